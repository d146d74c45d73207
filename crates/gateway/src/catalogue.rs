//! The models that Chutes lists: passed on as it sent them, and searched for prices and near names.

use crate::config::ChainConfig;
use crate::terms::Terms;
use bytes::Bytes;
use parking_lot::RwLock;
use ripcord_rules::quota::{Aliases, CallSize, ModelPrices, members};
use ripcord_rules::route::ModelFacts;
use ripcord_rules::time::Mono;
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_wire::models::{Model, ModelList};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

mod facts;

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
    facts: ModelFacts,
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
    /// Whether anything is known of its price. Of Chutes' models the dearest price of all is known.
    is_priced: bool,
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
        Quote { members, is_whole, is_priced: true, dearest }
    }

    /// Whether the list has the model.
    pub(crate) fn lists(&self, model: &str) -> bool {
        self.listing.read().as_ref().is_some_and(|listing| listing.models.contains_key(model))
    }

    /// Whether the list has the chute.
    pub(crate) fn lists_chute(&self, chute_id: &str) -> bool {
        self.listing.read().as_ref().is_some_and(|listing| listing.names.contains_key(chute_id))
    }

    /// Names that someone who wrote `model` may have meant, nearest first: of the list, and of `chains`.
    pub(crate) fn near<'c>(
        &self,
        model: &str,
        chains: impl Iterator<Item = &'c ChainConfig>,
    ) -> Vec<String> {
        let listing = self.listing.read();
        let Some(listing) = listing.as_ref().filter(|_| model.len() <= LONGEST_MODEL_NAME) else {
            return Vec::new();
        };
        let wanted = model.to_lowercase();
        let bare = wanted.rsplit('/').next().unwrap_or(&wanted);
        let names = listing.models.keys().chain(chains.map(|chain| &chain.name));
        let mut near: Vec<(f64, &String)> = names
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

    /// The list with those models alone whose name is let in, and `others` behind them.
    pub(crate) fn only(&self, lets_in: impl Fn(&str) -> bool, others: &[String]) -> Bytes {
        let items = self.items().unwrap_or_default().into_iter();
        let let_in = items.filter(|item| id_of(item).is_some_and(|id| lets_in(&id)));
        let others = others.iter().map(String::as_str);
        let items: Vec<&str> = let_in.map(RawValue::get).chain(others).collect();
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
    /// Of a model that only one service has under this name.
    pub(crate) fn of_one(name: Arc<str>, prices: Option<ModelPrices>) -> Self {
        Self {
            members: vec![Member { name, chute_id: None, prices }],
            is_whole: true,
            is_priced: prices.is_some(),
            dearest: prices.unwrap_or_default(),
        }
    }

    /// What a call of this size costs at these prices; `None` if nobody knows what the model costs.
    pub(crate) fn cost(&self, prices: ModelPrices, size: CallSize, cached: u64) -> Option<NanoUsd> {
        self.is_priced.then(|| prices.cost(size, cached))
    }

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
        Self { name: model.id.as_str().into(), chute_id, prices, facts: facts::of(model, prices) }
    }
}

#[cfg(test)]
mod tests;
