//! The models that Chutes lists: passed on as it sent them, and searched for prices and near names.

use bytes::Bytes;
use parking_lot::RwLock;
use ripcord_rules::quota::CallSize;
use ripcord_rules::time::Mono;
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_wire::chat::UsageGlance;
use ripcord_wire::models::{Model, ModelList};
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
    /// The highest price of a prompt and the highest of an answer, per million tokens.
    dearest: (NanoUsd, NanoUsd),
}

/// Per million tokens of a prompt and of an answer, before any list was read: more than any model cost in 2026.
const DEARER_THAN_ANY: (NanoUsd, NanoUsd) = (NanoUsd::from_cents(500), NanoUsd::from_cents(2_000));

#[derive(Clone, Debug)]
struct Listed {
    chute_id: Option<String>,
    prompt: Option<NanoUsd>,
    completion: Option<NanoUsd>,
    cached: Option<NanoUsd>,
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
        let highest =
            |price: fn(&Listed) -> Option<NanoUsd>| models.values().filter_map(price).max();
        let dearest = (
            highest(|listed| listed.prompt).unwrap_or(DEARER_THAN_ANY.0),
            highest(|listed| listed.completion).unwrap_or(DEARER_THAN_ANY.1),
        );
        let listing = Arc::new(Listing { bytes, as_of: now, models, dearest });
        *self.listing.write() = Some(Arc::clone(&listing));
        Some(listing)
    }

    /// What an answer costs at list price; `None` where the model or its price is not known.
    pub(crate) fn list_price(&self, model: &str, usage: UsageGlance) -> Option<NanoUsd> {
        let listing = self.listing.read();
        let prices = listing.as_ref()?.models.get(model)?;
        let prompt = usage.prompt_tokens?;
        let cached = usage.cached_tokens.unwrap_or(0).min(prompt);
        let cached_price = prices.cached.or(prices.prompt)?;
        Some(
            NanoUsd::for_tokens(prices.prompt?, prompt - cached)
                .plus(NanoUsd::for_tokens(cached_price, cached))
                .plus(NanoUsd::for_tokens(prices.completion?, usage.completion_tokens?)),
        )
    }

    /// What these tokens cost at list price at the most: of a list of models that of the dearest; of a name that is not
    /// listed (an alias, a private chute, an embedding) what the dearest of all costs. Unknown is not free.
    pub(crate) fn careful_price(&self, model: &str, size: CallSize) -> NanoUsd {
        let listing = self.listing.read();
        let known = |name: &str| {
            let listing = listing.as_ref()?;
            let bare = name.split(':').next().unwrap_or(name);
            let listed = listing.models.get(name).or_else(|| listing.models.get(bare))?;
            listed.uncached(size)
        };
        let members: Option<Vec<NanoUsd>> =
            model.split(',').map(|member| known(member.trim())).collect();
        members.and_then(|prices| prices.into_iter().max()).unwrap_or_else(|| {
            let dearest = listing.as_ref().map_or(DEARER_THAN_ANY, |listing| listing.dearest);
            cost(dearest, size)
        })
    }

    /// The chute behind a model.
    pub(crate) fn chute_id(&self, model: &str) -> Option<String> {
        self.listing.read().as_ref()?.models.get(model)?.chute_id.clone()
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
        #[derive(serde::Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            data: Vec<&'a serde_json::value::RawValue>,
        }
        #[derive(serde::Deserialize)]
        struct Id {
            id: String,
        }
        let raw: Raw<'_> = serde_json::from_slice(&self.bytes).ok()?;
        let found = raw.data.into_iter().find(|item| {
            serde_json::from_str::<Id>(item.get()).is_ok_and(|model| model.id == id)
        })?;
        Some(Bytes::copy_from_slice(found.get().as_bytes()))
    }

    pub(crate) fn count(&self) -> usize {
        self.models.len()
    }
}

fn cost((prompt, completion): (NanoUsd, NanoUsd), size: CallSize) -> NanoUsd {
    NanoUsd::for_tokens(prompt, size.prompt_tokens)
        .plus(NanoUsd::for_tokens(completion, size.completion_tokens))
}

impl Listed {
    /// What so many tokens cost if nothing of them is cached.
    fn uncached(&self, size: CallSize) -> Option<NanoUsd> {
        Some(cost((self.prompt?, self.completion?), size))
    }

    fn of(model: &Model) -> Self {
        let price = |decimal: Option<&ripcord_wire::decimal::Decimal>| {
            decimal.and_then(|decimal| NanoUsd::from_decimal(decimal.as_str(), Rounding::Up))
        };
        Self {
            chute_id: model.chute_id.clone(),
            prompt: price(model.prompt_price()),
            completion: price(model.completion_price()),
            cached: price(model.cache_read_price()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let catalogue = Catalogue::default();
        let list = br#"{"object":"list","data":[
            {"id":"acme/Writer-9-TEE","pricing":{"prompt":0.2,"completion":0.8,"input_cache_read":0.1},"x":1},
            {"id":"acme/Writer-9","pricing":{"prompt":0.1,"completion":0.4}},
            {"id":"other/Unpriced"}]}"#;
        catalogue.learn(Bytes::from_static(list), Mono::default()).unwrap();
        catalogue
    }

    #[test]
    fn an_answer_is_priced_with_its_cached_part() {
        let usage = UsageGlance {
            prompt_tokens: Some(1_000),
            completion_tokens: Some(100),
            cached_tokens: Some(400),
            ..UsageGlance::default()
        };
        let price = |model| catalogue().list_price(model, usage);
        assert_eq!(price("acme/Writer-9-TEE"), Some(NanoUsd(120_000 + 40_000 + 80_000)));
        // Without a price of its own, a cached token counts in full.
        assert_eq!(price("acme/Writer-9"), Some(NanoUsd(100_000 + 40_000)));
        assert_eq!(price("other/Unpriced"), None, "unknown is not free");
        assert_eq!(price("nobody"), None);
    }

    #[test]
    fn what_has_no_price_counts_as_the_dearest() {
        let million = CallSize { prompt_tokens: 1_000_000, completion_tokens: 1_000_000 };
        let price = |model| catalogue().careful_price(model, million);
        let (cheap, dear) = (NanoUsd(500_000_000), NanoUsd(1_000_000_000));
        assert_eq!(price("acme/Writer-9"), cheap);
        assert_eq!(price("acme/Writer-9:latency"), cheap);
        assert_eq!(price("acme/Writer-9, acme/Writer-9-TEE:throughput"), dear);
        for unlisted in ["my-alias", "other/Unpriced", "acme/Writer-9,my-alias", ""] {
            assert_eq!(price(unlisted), dear, "{unlisted}");
        }
        let unread = Catalogue::default().careful_price("acme/Writer-9", million);
        assert_eq!(unread, NanoUsd::from_cents(2_500));
    }

    #[test]
    fn usage_that_says_nothing_has_no_price() {
        let half = UsageGlance { completion_tokens: Some(0), ..UsageGlance::default() };
        assert_eq!(catalogue().list_price("acme/Writer-9", half), None);
        assert_eq!(catalogue().list_price("acme/Writer-9", UsageGlance::default()), None);
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
