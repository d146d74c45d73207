//! What the list says of its models besides their prices, and which of them are variants of one.

use super::{Catalogue, Listed};
use crate::terms::Terms;
use ripcord_rules::quota::ModelPrices;
use ripcord_rules::recommend::{Kinship, ModelName};
use ripcord_rules::route::ModelFacts;
use ripcord_wire::models::Model;
use std::sync::Arc;

impl Catalogue {
    /// What is known of a model, or of a list of models, of which the one that has least counts. An account's own name is
    /// what any of the accounts means by it. Its name may tell that a model runs in a trusted execution environment even
    /// where no list has it.
    pub(crate) fn facts(&self, model: &str, terms: impl Fn() -> Vec<Arc<Terms>>) -> ModelFacts {
        let listing = self.listing();
        let named = |name: &str| {
            let listed = listing.as_ref().and_then(|listing| listing.find(name));
            let facts = listed.map(|listed| listed.facts).unwrap_or_default();
            let says = ModelName::read(name).tee.then_some(true);
            ModelFacts { tee: facts.tee.or(says), ..facts }
        };
        let bare = |name: &str| name.trim().split(':').next().unwrap_or_default().to_owned();
        let meant = |name: &str| {
            let is_listed = listing.as_ref().is_some_and(|listing| listing.find(name).is_some());
            let terms = if is_listed { Vec::new() } else { terms() };
            let own = name.to_lowercase();
            let by_account = terms.iter().map(|terms| {
                let members = terms.aliases.as_ref().and_then(|aliases| aliases.get(&own));
                let members = members.into_iter().flatten().map(|member| named(member));
                members.reduce(ModelFacts::or_less).unwrap_or_else(|| named(name))
            });
            by_account.reduce(ModelFacts::or_less).unwrap_or_else(|| named(name))
        };
        let mut parts = model.split(',').map(bare).map(|name| meant(&name));
        let first = parts.next().unwrap_or_default();
        parts.fold(first, ModelFacts::or_less)
    }

    /// The other variants of a listed model's release: those that are as private first, then the cheaper.
    pub(crate) fn siblings(&self, model: &str) -> Vec<String> {
        let Some(listing) = self.listing() else { return Vec::new() };
        let Some(own) = listing.models.get(model) else { return Vec::new() };
        let name = ModelName::read(model);
        let is_sibling = |other: &&Listed| {
            name.kinship(&ModelName::read(&other.name)) == Some(Kinship::SameRelease)
        };
        let mut siblings: Vec<&Listed> = listing.models.values().filter(is_sibling).collect();
        siblings.sort_by_key(|other| {
            let price = other.facts.output_price.map_or(i64::MAX, |price| price.0);
            (other.facts.tee != own.facts.tee, price, Arc::clone(&other.name))
        });
        siblings.into_iter().map(|other| other.name.to_string()).collect()
    }
}

/// What the list says of a model. A list of features that is not there says nothing.
pub(super) fn of(model: &Model, prices: Option<ModelPrices>) -> ModelFacts {
    let feature = |names: &[&str]| {
        model.supported_features.as_ref().map(|_| names.iter().any(|name| model.has_feature(name)))
    };
    let takes_pictures =
        |kinds: &Vec<String>| kinds.iter().any(|kind| kind.eq_ignore_ascii_case("image"));
    ModelFacts {
        tee: model.confidential_compute.or_else(|| ModelName::read(&model.id).tee.then_some(true)),
        context_tokens: model.context_tokens().and_then(|tokens| u64::try_from(tokens).ok()),
        tools: feature(&["tools"]),
        vision: model.input_modalities.as_ref().map(takes_pictures),
        json_schema: feature(&["structured_outputs", "json_mode"]),
        output_price: prices.map(|prices| prices.completion),
        ..ModelFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ripcord_rules::time::Mono;

    fn catalogue() -> Catalogue {
        let catalogue = Catalogue::default();
        let list = br#"{"object":"list","data":[
            {"id":"acme/Writer-9","confidential_compute":false,"context_length":8192,"supported_features":["tools"],
             "input_modalities":["text"],"pricing":{"prompt":0.2,"completion":0.8}},
            {"id":"acme/Writer-9-TEE","confidential_compute":true,"pricing":{"prompt":0.3,"completion":1.0}},
            {"id":"acme/Writer-9-FP8","confidential_compute":false,"pricing":{"prompt":0.1,"completion":0.4}},
            {"id":"acme/Writer-9.1","confidential_compute":false},
            {"id":"acme/Odd-TEE"}]}"#;
        catalogue.learn(Bytes::from_static(list), Mono::default()).unwrap();
        catalogue
    }

    #[test]
    fn siblings_are_variants_of_one_release_the_as_private_first() {
        let catalogue = catalogue();
        let siblings = |model| catalogue.siblings(model);
        assert_eq!(siblings("acme/Writer-9"), ["acme/Writer-9-FP8", "acme/Writer-9-TEE"]);
        assert_eq!(siblings("acme/Writer-9-TEE"), ["acme/Writer-9-FP8", "acme/Writer-9"]);
        for none in ["acme/Writer-9.1", "acme/writer-9", "acme/Writer-9,acme/Odd-TEE", "x"] {
            assert!(siblings(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn what_the_list_says_and_what_the_name_says() {
        let catalogue = catalogue();
        let facts = |model| catalogue.facts(model, Vec::new);
        let known = facts("acme/Writer-9");
        assert_eq!((known.tee, known.context_tokens), (Some(false), Some(8_192)));
        assert_eq!(
            (known.tools, known.vision, known.json_schema),
            (Some(true), Some(false), Some(false))
        );
        assert_eq!(facts("acme/Writer-9-TEE").tools, None, "nothing is said of its features");
        assert_eq!(facts("acme/Odd-TEE").tee, Some(true));
        assert_eq!(facts("not/Listed-TEE:latency").tee, Some(true));
        assert_eq!(facts("not/Listed").tee, None);
        // Of a list it is not sure which answers.
        let both = facts("acme/Writer-9,acme/Writer-9-TEE:latency");
        assert_eq!((both.tee, both.is_partly_tee), (Some(false), true));
        assert_eq!(facts("acme/Odd-TEE,acme/Writer-9-TEE").tee, Some(true));
    }
    #[test]
    fn an_own_name_is_as_private_as_what_it_stands_for() {
        let catalogue = catalogue();
        let terms = |aliases: &[(&str, &[&str])]| {
            let owned = |members: &[&str]| members.iter().map(|&name| name.to_owned()).collect();
            let aliases =
                aliases.iter().map(|(name, members)| ((*name).to_owned(), owned(members)));
            Arc::new(Terms { aliases: Some(aliases.collect()), ..Terms::default() })
        };
        let mine = terms(&[
            ("secret", &["acme/Writer-9-TEE", "acme/Odd-TEE"]),
            ("mixed", &["acme/Writer-9-TEE", "acme/Writer-9"]),
            ("acme/writer-9", &["acme/Odd-TEE"]),
        ]);
        let facts = |model: &str| catalogue.facts(model, || vec![Arc::clone(&mine)]);
        for secret in ["secret", "Secret:latency", "secret,acme/Odd-TEE"] {
            assert_eq!(facts(secret).tee, Some(true), "{secret}");
        }
        for mixed in ["mixed", "mixed:THINKING", "secret,acme/Writer-9"] {
            assert_eq!((facts(mixed).tee, facts(mixed).is_partly_tee), (Some(false), true));
        }
        assert_eq!(facts("acme/Writer-9").tee, Some(false), "a listed name is what the list says");
        // Another account means nothing by it.
        let both = catalogue.facts("secret", || vec![Arc::clone(&mine), Arc::default()]);
        assert_eq!((both.tee, both.is_partly_tee), (None, true));
    }
}
