//! The models that Chutes lists: passed on as it sent them, and searched for prices and near names.

use crate::terms::Terms;
use bytes::Bytes;
use parking_lot::RwLock;
use ripcord_rules::quota::{Aliases, ModelPrices, members};
use ripcord_rules::time::Mono;
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_wire::models::{Model, ModelList};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Longer names are nobody's, and comparing them would take a while.
pub(crate) const LONGEST_MODEL_NAME: usize = 256;
/// The server caches its list as long.
pub(crate) const CATALOGUE_FRESH: Duration = Duration::from_secs(300);

/// The models of Chutes, as last read.
#[derive(Default)]
pub(crate) struct Catalogue {
    listing: RwLock<Option<Arc<Listing>>>,
}

/// One reading of the list.
pub(crate) struct Listing {
    /// The list as it came.
    pub(crate) bytes: Bytes,
    pub(crate) as_of: Mono,
    models: HashMap<String, Listed>,
    /// Names by chute.
    names: HashMap<Arc<str>, String>,
}

#[derive(Clone, Debug)]
struct Listed {
    name: Arc<str>,
    chute_id: Option<Arc<str>>,
    prices: Option<ModelPrices>,
}

/// A model that may serve a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    pub(crate) chute_id: Option<Arc<str>>,
    /// What the account pays for it; `None` if nobody knows.
    prices: Option<ModelPrices>,
}

/// What a request for a name may cost an account.
#[derive(Clone, Debug)]
pub(crate) struct Quote {
    /// Who may serve it, as far as they are listed.
    members: Vec<Member>,
    /// Whether all that may are listed.
    is_whole: bool,
    /// The dearest of all that may.
    pub(crate) dearest: ModelPrices,
}

impl Catalogue {
    pub(crate) fn listing(&self) -> Option<Arc<Listing>> {
        self.listing.read().clone()
    }

    /// Takes over a list; `None` if it is none.
    pub(crate) fn learn(&self, bytes: Bytes, now: Mono) -> Option<Arc<Listing>> {
        let list: ModelList = serde_json::from_slice(&bytes).ok()?;
        if list.data.is_empty() {
            return None;
        }
        let models: HashMap<String, Listed> =
            list.data.iter().map(|model| (model.id.clone(), Listed::of(model))).collect();
        let names = models.values().filter_map(|listed| {
            Some((Arc::clone(listed.chute_id.as_ref()?), listed.name.to_string()))
        });
        let names = names.collect();
        let listing = Arc::new(Listing { bytes, as_of: now, models, names });
        *self.listing.write() = Some(Arc::clone(&listing));
        Some(listing)
    }

    /// Who may serve a request for this name, and what that may cost an account on these terms: of a list or an alias the
    /// dearest member counts; of a name that is not listed (a private chute, an embedding, an alias that could not be
    /// read) the dearest of all. Unknown is not free.
    pub(crate) fn quote(&self, model: &str, terms: &Terms) -> Quote {
        let listing = self.listing();
        let known = |name: &str| {
            let listed = listing.as_ref()?.find(name)?;
            Some(Member {
                name: Arc::clone(&listed.name),
                chute_id: listed.chute_id.clone(),
                prices: terms.prices.of(listed.chute_id.as_deref(), listed.prices),
            })
        };
        let none = Aliases::new();
        let found = members(model, terms.aliases.as_ref().unwrap_or(&none), known);
        let is_whole = !found.is_empty() && found.iter().all(Option::is_some);
        let members: Vec<Member> = found.into_iter().flatten().collect();
        let priced: Option<Vec<ModelPrices>> = members.iter().map(|member| member.prices).collect();
        let dearest = priced
            .filter(|_| is_whole)
            .and_then(|prices| prices.into_iter().reduce(ModelPrices::dearer))
            .unwrap_or_else(|| dearest_of_all(listing.as_deref(), terms));
        Quote { members, is_whole, dearest }
    }

    /// Whether the list has the model.
    pub(crate) fn lists(&self, model: &str) -> bool {
        self.listing.read().as_ref().is_some_and(|listing| listing.models.contains_key(model))
    }

    /// Whether the list has the chute.
    pub(crate) fn lists_chute(&self, chute_id: &str) -> bool {
        self.listing.read().as_ref().is_some_and(|listing| listing.names.contains_key(chute_id))
    }

    /// Names that someone who wrote `model` may have meant, nearest first.
    pub(crate) fn near(&self, model: &str) -> Vec<String> {
        let listing = self.listing.read();
        let Some(listing) = listing.as_ref().filter(|_| model.len() <= LONGEST_MODEL_NAME) else {
            return Vec::new();
        };
        let wanted = model.to_lowercase();
        let bare = wanted.rsplit('/').next().unwrap_or(&wanted);
        let mut near: Vec<(f64, &String)> = listing
            .models
            .keys()
            .map(|name| {
                let lower = name.to_lowercase();
                let tail = lower.rsplit('/').next().unwrap_or(&lower);
                let likeness = strsim::normalized_levenshtein(&lower, &wanted)
                    .max(strsim::normalized_levenshtein(tail, bare) * 0.98);
                (likeness, name)
            })
            .filter(|&(likeness, _)| likeness >= 0.6)
            .collect();
        near.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(right.1)));
        near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
    }
}

impl Listing {
    /// One model as the list has it.
    pub(crate) fn model(&self, id: &str) -> Option<Bytes> {
        let found = self.items()?.into_iter().find(|item| id_of(item).is_some_and(|own| own == id));
        Some(Bytes::copy_from_slice(found?.get().as_bytes()))
    }

    /// The list with those models alone whose name is let in.
    pub(crate) fn only(&self, lets_in: impl Fn(&str) -> bool) -> Bytes {
        let items = self.items().unwrap_or_default().into_iter();
        let let_in = items.filter(|item| id_of(item).is_some_and(|id| lets_in(&id)));
        let items: Vec<&str> = let_in.map(RawValue::get).collect();
        format!("{{\"object\":\"list\",\"data\":[{}]}}", items.join(",")).into()
    }

    fn items(&self) -> Option<Vec<&RawValue>> {
        #[derive(serde::Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            data: Vec<&'a RawValue>,
        }
        Some(serde_json::from_slice::<Raw<'_>>(&self.bytes).ok()?.data)
    }

    pub(crate) fn count(&self) -> usize {
        self.models.len()
    }

    /// By name or by chute.
    fn find(&self, name: &str) -> Option<&Listed> {
        self.models.get(name).or_else(|| self.models.get(self.names.get(name)?))
    }
}

fn id_of(item: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: String,
    }
    Some(serde_json::from_str::<Id>(item.get()).ok()?.id)
}

/// What the dearest model costs an account, and anything that is not listed.
fn dearest_of_all(listing: Option<&Listing>, terms: &Terms) -> ModelPrices {
    let listed = listing.iter().flat_map(|listing| listing.models.values());
    let prices = listed.filter_map(|listed| {
        // Also at list price: a discount need not hold for what is not listed.
        let own = terms.prices.of(listed.chute_id.as_deref(), listed.prices);
        own.into_iter().chain(listed.prices).reduce(ModelPrices::dearer)
    });
    prices
        .reduce(ModelPrices::dearer)
        .into_iter()
        .chain(terms.prices.dearest_override())
        .reduce(ModelPrices::dearer)
        .filter(|_| listing.is_some())
        .unwrap_or(ModelPrices::DEARER_THAN_ANY)
}

impl Quote {
    /// Whether all that may serve it are listed.
    pub(crate) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The names of those who may serve it, as far as they are listed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// The only chute that it can be, or the first of several.
    pub(crate) fn chute_id(&self) -> Option<Arc<str>> {
        self.members.first()?.chute_id.clone()
    }

    /// The chutes of those who may serve it, as far as they are listed.
    pub(crate) fn chutes(&self) -> impl Iterator<Item = Option<Arc<str>>> {
        self.members.iter().map(|member| member.chute_id.clone())
    }

    /// Who served it, if that is sure: the only one that could, or the one that the answer names.
    pub(crate) fn served_by(&self, answered: Option<&str>) -> Option<&Member> {
        match self.members.as_slice() {
            [only] if self.is_whole => Some(only),
            several => several.iter().find(|member| Some(&*member.name) == answered),
        }
    }
}

impl Member {
    /// What the account pays for it, at most this if nobody knows.
    pub(crate) fn prices_or(&self, dearest: ModelPrices) -> ModelPrices {
        self.prices.unwrap_or(dearest)
    }
}

impl Listed {
    fn of(model: &Model) -> Self {
        // Nobody is paid for calling a model: what is below zero says nothing of its price.
        let price = |decimal: Option<&ripcord_wire::decimal::Decimal>| {
            let price = NanoUsd::from_decimal(decimal?.as_str(), Rounding::Up)?;
            (price >= NanoUsd::ZERO).then_some(price)
        };
        let prompt = price(model.prompt_price());
        let prices = prompt.zip(price(model.completion_price())).map(|(prompt, completion)| {
            // Without a price of its own, a cached token counts in full.
            let cached = price(model.cache_read_price()).unwrap_or(prompt);
            ModelPrices { prompt, completion, cached }
        });
        let chute_id = model.chute_id.as_deref().map(Arc::from);
        Self { name: model.id.as_str().into(), chute_id, prices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_rules::quota::{AccountPrices, CallSize, PriceOverride};

    fn catalogue() -> Catalogue {
        let catalogue = Catalogue::default();
        let list = br#"{"object":"list","data":[
            {"id":"acme/Writer-9-TEE","pricing":{"prompt":0.2,"completion":0.8,"input_cache_read":0.1},"x":1},
            {"id":"acme/Writer-9","chute_id":"c9","pricing":{"prompt":0.1,"completion":0.4}},
            {"id":"other/Unpriced"}]}"#;
        catalogue.learn(Bytes::from_static(list), Mono::default()).unwrap();
        catalogue
    }

    const MILLION: CallSize = CallSize { prompt_tokens: 1_000_000, completion_tokens: 1_000_000 };

    fn quoted(model: &str, terms: &Terms) -> NanoUsd {
        catalogue().quote(model, terms).dearest.cost(MILLION, 0)
    }

    #[test]
    fn what_has_no_price_counts_as_the_dearest() {
        let price = |model| quoted(model, &Terms::default());
        let (cheap, dear) = (NanoUsd(500_000_000), NanoUsd(1_000_000_000));
        for cheaper in ["acme/Writer-9", "acme/Writer-9:latency", "c9", "acme/Writer-9:THINKING"] {
            assert_eq!(price(cheaper), cheap, "{cheaper}");
        }
        assert_eq!(price("acme/Writer-9, acme/Writer-9-TEE:throughput"), dear);
        for unlisted in ["my-alias", "other/Unpriced", "acme/Writer-9,my-alias", ""] {
            assert_eq!(price(unlisted), dear, "{unlisted}");
        }
        let unread = Catalogue::default().quote("acme/Writer-9", &Terms::default());
        assert_eq!(unread.dearest, ModelPrices::DEARER_THAN_ANY);
    }

    #[test]
    fn a_price_below_zero_is_none() {
        let catalogue = Catalogue::default();
        let list = br#"{"object":"list","data":[
            {"id":"acme/Writer-9","pricing":{"prompt":0.1,"completion":0.4,"input_cache_read":-0.1}},
            {"id":"odd/Prompt","pricing":{"prompt":-1,"completion":0.4}},
            {"id":"odd/Answer","pricing":{"prompt":0.1,"completion":-1}}]}"#;
        catalogue.learn(Bytes::from_static(list), Mono::default()).unwrap();
        for model in ["acme/Writer-9", "odd/Prompt", "odd/Answer"] {
            let quote = catalogue.quote(model, &Terms::default());
            assert_eq!(quote.dearest.cost(MILLION, 0), NanoUsd(500_000_000), "{model}");
            assert_eq!(quote.dearest.cost(MILLION, 1_000_000), NanoUsd(500_000_000), "{model}");
        }
    }

    #[test]
    fn an_alias_that_is_known_costs_what_its_members_cost() {
        let aliases = [("mine", vec!["c9"]), ("odd", vec!["c9", "gone"])];
        let aliases = aliases.map(|(alias, members)| {
            (alias.to_owned(), members.into_iter().map(str::to_owned).collect())
        });
        let terms = Terms { aliases: Some(Aliases::from(aliases)), ..Terms::default() };
        assert_eq!(quoted("Mine:latency", &terms), NanoUsd(500_000_000));
        assert_eq!(quoted("odd", &terms), NanoUsd(1_000_000_000));
    }

    #[test]
    fn the_account_s_own_price_counts_also_for_what_is_not_listed() {
        let own = PriceOverride {
            chute_id: Some("c9".to_owned()),
            prompt: Some(NanoUsd::from_cents(300)),
            completion: Some(NanoUsd::from_cents(100)),
            cache_discount: None,
            has_rules: false,
        };
        let prices = AccountPrices { overrides: Some(vec![own]), discounts: None };
        let terms = Terms { prices, ..Terms::default() };
        assert_eq!(quoted("acme/Writer-9", &terms), NanoUsd::from_cents(400));
        assert_eq!(quoted("acme/Writer-9-TEE", &terms), NanoUsd::from_cents(100));
        assert_eq!(quoted("my-alias", &terms), NanoUsd::from_cents(400));
    }

    #[test]
    fn who_served_is_who_alone_could_or_whom_the_answer_names() {
        let catalogue = catalogue();
        let served = |model: &str, answered: Option<&str>| {
            let quote = catalogue.quote(model, &Terms::default());
            quote.served_by(answered).map(|member| member.name.to_string())
        };
        let (nine, tee) = ("acme/Writer-9", "acme/Writer-9-TEE");
        assert_eq!(served(nine, Some("whatever")).as_deref(), Some(nine));
        let list = format!("{tee},{nine}");
        assert_eq!(served(&list, Some(nine)).as_deref(), Some(nine));
        for unknown in [None, Some("whatever"), Some("other/Unpriced")] {
            assert_eq!(served(&list, unknown), None);
        }
        assert_eq!(served("my-alias", Some(nine)), None, "that is for another quote");
    }

    #[test]
    fn names_wrong_in_case_or_nearly_right_are_found() {
        let near = |name| catalogue().near(name);
        assert_eq!(near("ACME/writer-9")[0], "acme/Writer-9");
        assert_eq!(near("Writer-9-TEE")[0], "acme/Writer-9-TEE");
        assert!(near("gpt-4o").is_empty());
    }

    #[test]
    fn a_model_is_passed_on_as_it_came() {
        let listing = catalogue().listing().unwrap();
        let model = listing.model("acme/Writer-9-TEE").unwrap();
        assert!(std::str::from_utf8(&model).unwrap().ends_with(r#""x":1}"#));
        assert!(listing.model("acme/writer-9-tee").is_none());
    }

    #[test]
    fn what_is_no_list_does_not_replace_one() {
        let catalogue = catalogue();
        for bad in ["<html>", "{}", r#"{"data":[]}"#, ""] {
            assert!(catalogue.learn(Bytes::from(bad), Mono::default()).is_none(), "{bad}");
        }
        assert_eq!(catalogue.listing().unwrap().count(), 3);
    }
}
