//! From a name to the models and services that could serve it, in the order of the configuration.

/// Where a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Where {
    /// At Chutes.
    Chutes,
    /// At a provider, by its place in the configuration.
    Provider(u16),
}

/// How a stop came into the lineup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is what the client named.
    Asked,
    /// Another variant of the same release.
    Sibling,
    /// The chain of the name has it.
    Chain,
    /// A provider has it, too.
    Provider,
}

/// One model at one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stop {
    /// Where.
    pub at: Where,
    /// Its name there.
    pub model: String,
    /// Why it is here.
    pub kind: Kind,
}

/// Whether a provider is asked before Chutes or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Place {
    /// When nothing at Chutes can serve a request.
    #[default]
    Behind,
    /// First, with Chutes behind it.
    Before,
}

/// What a provider has, as far as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRoute {
    /// Its name, as in `name:model`.
    pub name: String,
    /// Before Chutes or behind it.
    pub place: Place,
    /// Chutes' names and its own for the same models.
    pub models: Vec<(String, String)>,
}

/// What could serve a request for `asked`, each once. `chain` are the models of the chain of that name, if there is one;
/// `siblings` knows the other variants of a model's release, best first.
#[must_use]
pub fn lineup(
    asked: &str,
    chain: Option<&[String]>,
    providers: &[ProviderRoute],
    mut siblings: impl FnMut(&str) -> Vec<String>,
) -> Vec<Stop> {
    let named = named(asked, chain);
    let at_providers = |model: &str, place: Place| {
        let numbered = (0..).zip(providers).filter(move |(_, provider)| provider.place == place);
        let own = |(number, provider): (u16, &ProviderRoute)| {
            let (_, own) = provider.models.iter().find(|(chutes, _)| chutes == model)?;
            let at = Where::Provider(number);
            Some(Stop { at, model: own.clone(), kind: Kind::Provider })
        };
        numbered.filter_map(own).collect::<Vec<_>>()
    };
    let mut stops = Vec::new();
    for (model, kind) in &named {
        match of_provider(model, providers) {
            Some((at, own)) => stops.push(Stop { at, model: own.to_owned(), kind: *kind }),
            None => {
                stops.extend(at_providers(model, Place::Before));
                stops.push(Stop { at: Where::Chutes, model: model.clone(), kind: *kind });
                let others = siblings(model).into_iter();
                stops.extend(others.map(|model| Stop {
                    at: Where::Chutes,
                    model,
                    kind: Kind::Sibling,
                }));
            }
        }
    }
    for (model, _) in &named {
        stops.extend(at_providers(model, Place::Behind));
    }
    // What the configuration names stays what it is, also where it is a sibling of something before it.
    let kept = |stop: &Stop| {
        let same = |other: &&Stop| other.at == stop.at && other.model == stop.model;
        let by_name = |other: &&Stop| matches!(other.kind, Kind::Asked | Kind::Chain);
        let first = stops.iter().filter(same).find(by_name).or_else(|| stops.iter().find(same));
        first.is_some_and(|first| std::ptr::eq(first, stop))
    };
    stops.iter().filter(|stop| kept(stop)).cloned().collect()
}

/// The models that are named by the client or by the chain. A chain with the name of a model (which has an owner before
/// a slash) begins with that model.
fn named(asked: &str, chain: Option<&[String]>) -> Vec<(String, Kind)> {
    let Some(chain) = chain else { return vec![(asked.to_owned(), Kind::Asked)] };
    let itself = asked.contains('/') && !chain.iter().any(|model| model == asked);
    let first = itself.then(|| asked.to_owned());
    let models = first.into_iter().chain(chain.iter().cloned());
    models
        .map(|model| {
            let kind = if model == asked { Kind::Asked } else { Kind::Chain };
            (model, kind)
        })
        .collect()
}

/// Which provider `name:model` means, and the model there; `None` if it is a model of Chutes.
fn of_provider<'a>(model: &'a str, providers: &[ProviderRoute]) -> Option<(Where, &'a str)> {
    let (name, own) = model.split_once(':')?;
    let (number, _) = (0..).zip(providers).find(|(_, provider)| provider.name == name)?;
    (!own.is_empty()).then_some((Where::Provider(number), own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn provider(name: &str, place: Place, models: &[(&str, &str)]) -> ProviderRoute {
        let owned = |(chutes, own): &(&str, &str)| ((*chutes).to_owned(), (*own).to_owned());
        ProviderRoute { name: name.to_owned(), place, models: models.iter().map(owned).collect() }
    }

    fn variants(model: &str) -> Vec<String> {
        match model {
            "a/One" => vec!["a/One-TEE".to_owned(), "a/One-FP8".to_owned()],
            "a/One-TEE" => vec!["a/One".to_owned(), "a/One-FP8".to_owned()],
            _ => Vec::new(),
        }
    }

    fn shown(asked: &str, chain: Option<&[&str]>, providers: &[ProviderRoute]) -> Vec<String> {
        let chain: Option<Vec<String>> =
            chain.map(|chain| chain.iter().map(|model| (*model).to_owned()).collect());
        let stops = lineup(asked, chain.as_deref(), providers, variants);
        let show = |stop: &Stop| match stop.at {
            Where::Chutes => format!("{} {:?}", stop.model, stop.kind),
            Where::Provider(number) => format!("{number}:{} {:?}", stop.model, stop.kind),
        };
        stops.iter().map(show).collect()
    }

    #[test]
    fn a_model_is_followed_by_its_siblings_and_what_its_chain_names() {
        assert_eq!(
            shown("a/One", None, &[]),
            ["a/One Asked", "a/One-TEE Sibling", "a/One-FP8 Sibling"]
        );
        assert_eq!(shown("x/Other", None, &[]), ["x/Other Asked"]);
        assert_eq!(
            shown("coder", Some(&["x/Other", "a/One"]), &[]),
            ["x/Other Chain", "a/One Chain", "a/One-TEE Sibling", "a/One-FP8 Sibling"]
        );
        // The chain of a model begins with it, unless it says otherwise.
        assert_eq!(shown("x/Other", Some(&["x/Two"]), &[]), ["x/Other Asked", "x/Two Chain"]);
        let turned = shown("x/Other", Some(&["x/Two", "x/Other"]), &[]);
        assert_eq!(turned, ["x/Two Chain", "x/Other Asked"]);
    }

    #[test]
    fn the_order_of_a_chain_counts_also_for_siblings() {
        let chain = ["a/One", "x/Other", "a/One-FP8"];
        assert_eq!(
            shown("coder", Some(&chain), &[]),
            ["a/One Chain", "a/One-TEE Sibling", "x/Other Chain", "a/One-FP8 Chain"]
        );
    }

    #[test]
    fn providers_stand_before_or_behind() {
        let both = [
            provider("main", Place::Before, &[("a/One", "one")]),
            provider("spare", Place::Behind, &[("a/One", "uno"), ("x/Other", "otro")]),
        ];
        assert_eq!(
            shown("a/One", None, &both),
            [
                "0:one Provider",
                "a/One Asked",
                "a/One-TEE Sibling",
                "a/One-FP8 Sibling",
                "1:uno Provider"
            ]
        );
        assert_eq!(
            shown("coder", Some(&["spare:big/one", "x/Other", "main:"]), &both),
            ["1:big/one Chain", "x/Other Chain", "main: Chain", "1:otro Provider"]
        );
        // A client may name a provider, too. What only looks like one is a name of Chutes.
        assert_eq!(shown("main:one", None, &both), ["0:one Asked"]);
        assert_eq!(shown("x/Other:latency", None, &both), ["x/Other:latency Asked"]);
    }

    proptest! {
        #[test]
        fn nothing_is_there_twice_and_what_is_named_is_there(
            chain in prop::collection::vec(prop::sample::select(vec!["a/One", "a/One-TEE", "a/One-FP8", "x/Other", "main:one"]), 0..6),
            asked in prop::sample::select(vec!["coder", "a/One", "main:one"]),
        ) {
            let providers = [provider("main", Place::Before, &[("a/One", "one")])];
            let names: Vec<String> = chain.iter().map(|model| (*model).to_owned()).collect();
            let stops = lineup(asked, Some(&names), &providers, variants);
            for (at, stop) in stops.iter().enumerate() {
                let again = stops[at + 1..].iter().any(|other| (other.at, &other.model) == (stop.at, &stop.model));
                prop_assert!(!again, "{stop:?}");
            }
            let named: Vec<&Stop> = stops.iter().filter(|stop| stop.kind == Kind::Chain).collect();
            let expected: std::collections::HashSet<&str> =
                chain.iter().copied().filter(|model| *model != asked).collect();
            prop_assert_eq!(named.len(), expected.len());
        }
    }
}
