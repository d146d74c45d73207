//! The models of the platform: three public lists joined into one, each entry with its state and the evidence.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_client::model_evidence;
use ripcord_rules::model_state::{Because, ModelEvidence, ModelState, UTILIZATION_FRESH, decide};
use ripcord_rules::quota::ModelPrices;
use ripcord_rules::time::Wall;
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_wire::chutes::{Chute, Utilization};
use ripcord_wire::decimal::Decimal;
use ripcord_wire::models::Model;
use schemars::JsonSchema;
use serde::Serialize;

use crate::printer::text::Tone;
use crate::settings::document::nearest;

/// The prefix under which other tools know the models of Chutes.
const PROVIDER_PREFIX: &str = "chutes/";

/// A longer name is none: Chutes has none of half this length.
const MOST_NAME_CHARS: usize = 200;

/// What the three lists said; `None` where a list could not be read.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// `/v1/models`: names, prices, features.
    pub(crate) models: Option<Vec<Model>>,
    /// `/chutes/`: instances and the operator's switch.
    pub(crate) chutes: Option<Vec<Chute>>,
    /// Whether `chutes` is the whole list, so that what is missing in it is gone.
    pub(crate) chutes_whole: bool,
    /// `/chutes/utilization`: load.
    pub(crate) loads: Option<Vec<Utilization>>,
}

/// Every model that one of the lists names, in the order of the server.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) entries: Vec<Entry>,
    /// Whether both lists of names were read to their end, so that a name without an entry is none of a model.
    pub(crate) whole: bool,
}

/// One model.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) chute_id: Option<String>,
    pub(crate) model: Option<Model>,
    pub(crate) chute: Option<Chute>,
    pub(crate) load: Option<Utilization>,
    pub(crate) evidence: ModelEvidence,
    pub(crate) state: ModelState,
    pub(crate) because: Because,
}

/// How busy a model is, each `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Share of slots busy, in thousandths.
    pub(crate) busy_permille: Option<u64>,
    /// Share of calls refused for capacity over five minutes, in thousandths.
    pub(crate) refused_permille: Option<u64>,
    /// Instances that take calls.
    pub(crate) instances: Option<u64>,
}

/// A model's state as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateWord {
    /// Instances are up and have room.
    Hot,
    /// Instances are up and full.
    Busy,
    /// Nothing runs it at the moment.
    Cold,
    /// Switched off, or gone.
    Down,
    /// Not known: a look-up failed.
    Unknown,
}

/// A name that the catalogue does not have as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotFound {
    /// The name that differs only in case, if there is one.
    pub(crate) other_case: Option<String>,
    /// Names that look like it, best first.
    pub(crate) near: Vec<String>,
}

// === impl StateWord ===

impl From<ModelState> for StateWord {
    fn from(state: ModelState) -> Self {
        match state {
            ModelState::Hot => Self::Hot,
            ModelState::Busy => Self::Busy,
            ModelState::Cold => Self::Cold,
            ModelState::Down => Self::Down,
            ModelState::Unknown => Self::Unknown,
        }
    }
}

impl StateWord {
    /// The word in a table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Busy => "busy",
            Self::Cold => "cold",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    /// The sign before the word.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Hot => "●",
            Self::Busy => "◐",
            Self::Cold => "○",
            Self::Down => "✗",
            Self::Unknown => "?",
        }
    }

    /// How it should strike the eye.
    pub(crate) const fn tone(self) -> Tone {
        match self {
            Self::Hot => Tone::Good,
            Self::Busy => Tone::Warn,
            Self::Cold => Tone::Accent,
            Self::Down => Tone::Bad,
            Self::Unknown => Tone::Dim,
        }
    }

    /// Best first.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Hot => 0,
            Self::Busy => 1,
            Self::Unknown => 2,
            Self::Cold => 3,
            Self::Down => 4,
        }
    }
}

// === impl Catalogue ===

impl Catalogue {
    /// Joins the lists by chute id, else by name. All of them were read at `now`.
    pub(crate) fn join(lists: Lists, now: Wall) -> Self {
        let listed = lists.chutes.is_some() && lists.chutes_whole;
        let whole = listed && lists.models.is_some();
        let mut chutes: BTreeMap<String, Chute> = BTreeMap::new();
        let mut order = Vec::new();
        for chute in lists.chutes.into_iter().flatten() {
            order.push(chute.chute_id.clone());
            chutes.insert(chute.chute_id.clone(), chute);
        }
        let loads: BTreeMap<String, Utilization> = lists
            .loads
            .into_iter()
            .flatten()
            .filter_map(|load| Some((load.chute_id.clone()?, load)))
            .collect();
        let mut entries = Vec::new();
        let mut named = BTreeSet::new();
        for model in lists.models.into_iter().flatten().filter(|model| is_name(&model.id)) {
            let by_name = || {
                let found = chutes.values().find(|chute| chute.name.as_deref() == Some(&model.id));
                found.map(|chute| chute.chute_id.clone())
            };
            let chute_id = model.chute_id.clone().or_else(by_name);
            // Two names may stand for one chute.
            let chute = chute_id.as_ref().and_then(|id| chutes.get(id)).cloned();
            let load = chute_id.as_ref().and_then(|id| loads.get(id)).cloned();
            named.extend(chute_id.clone());
            entries.push(Entry::new(
                model.id.clone(),
                chute_id,
                Some(model),
                chute,
                load,
                listed,
                now,
            ));
        }
        for id in order.into_iter().filter(|id| !named.contains(id)) {
            let Some(chute) = chutes.remove(&id) else { continue };
            let Some(name) = chute.name.clone().filter(|name| is_name(name)) else { continue };
            let load = loads.get(&id).cloned();
            entries.push(Entry::new(name, Some(id), None, Some(chute), load, listed, now));
        }
        Self { entries, whole }
    }

    /// The entry of that exact name, with or without the `chutes/` prefix, or of that chute id.
    pub(crate) fn find(&self, wanted: &str) -> Result<&Entry, NotFound> {
        let exact = |name: &str| {
            self.entries
                .iter()
                .find(|entry| entry.name == name || entry.chute_id.as_deref() == Some(name))
        };
        let bare = without_prefix(wanted);
        if let Some(entry) = exact(wanted).or_else(|| exact(bare)) {
            return Ok(entry);
        }
        let other_case = self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(bare));
        Err(NotFound {
            other_case: other_case.map(|entry| entry.name.clone()),
            near: self.near(bare),
        })
    }

    /// At most three names that look like `wanted`: those that contain it, and the nearest by spelling.
    fn near(&self, wanted: &str) -> Vec<String> {
        let names = || self.entries.iter().map(|entry| entry.name.as_str());
        let short = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let needle = short(wanted);
        let mut near: Vec<&str> = Vec::new();
        near.extend(nearest(wanted, names()));
        near.extend(names().filter(|name| needle.len() >= 3 && short(name).contains(&needle)));
        let tails = names().max_by(|left, right| {
            let likeness = |name: &str| strsim::jaro_winkler(&short(name), &needle);
            likeness(left).total_cmp(&likeness(right))
        });
        near.extend(tails.filter(|name| strsim::jaro_winkler(&short(name), &needle) > 0.85));
        let mut unique: Vec<String> = Vec::new();
        for name in near {
            if !unique.iter().any(|seen| seen == name) {
                unique.push(name.to_owned());
            }
        }
        unique.truncate(3);
        unique
    }
}

/// Whether somebody could call a model by it.
fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().take(MOST_NAME_CHARS + 1).count() <= MOST_NAME_CHARS
}

/// The name as Chutes knows it.
pub(crate) fn without_prefix(name: &str) -> &str {
    name.trim().strip_prefix(PROVIDER_PREFIX).unwrap_or(name.trim())
}

// === impl Entry ===

impl Entry {
    fn new(
        name: String,
        chute_id: Option<String>,
        model: Option<Model>,
        chute: Option<Chute>,
        load: Option<Utilization>,
        listed: bool,
        now: Wall,
    ) -> Self {
        let evidence = model_evidence(chute.as_ref(), load.as_ref(), listed, now);
        let (state, because) = decide(&evidence);
        Self { name, chute_id, model, chute, load, evidence, state, because }
    }

    /// The state as JSON and in tables.
    pub(crate) fn state_word(&self) -> StateWord {
        self.state.into()
    }

    /// How busy it is. Figures that are too old to decide anything are not shown as if they were true now.
    pub(crate) fn fresh_load(&self) -> Load {
        let evidence = &self.evidence;
        if evidence.utilization_age.is_none_or(|age| age > UTILIZATION_FRESH) {
            return Load::default();
        }
        Load {
            busy_permille: evidence.utilization_permille,
            refused_permille: evidence.refused_permille,
            instances: evidence.active_instances,
        }
    }

    /// Why it is in that state, with the figures that decided.
    pub(crate) fn why(&self) -> String {
        let percent =
            |permille: Option<u64>| permille.map(|permille| format!("{} %", permille / 10));
        let fresh = self.fresh_load();
        let instances = fresh.instances.map(|count| match count {
            1 => "1 instance".to_owned(),
            _ => format!("{count} instances"),
        });
        let load = percent(fresh.busy_permille).map(|share| format!("{share} busy"));
        let refused = percent(fresh.refused_permille.filter(|share| *share > 0))
            .map(|share| format!("{share} refused"));
        let figures = |parts: [Option<String>; 3]| {
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        };
        let reason = match self.because {
            Because::Disabled => "switched off by its operator",
            Because::NotListed => "not in the catalogue",
            Because::NoInstances | Because::OwnNoInstances => "no instance is running",
            Because::NothingKnown => "its state could not be read",
            Because::Refusals => {
                return figures([refused, load, instances]).unwrap_or_else(|| "full".to_owned());
            }
            Because::Utilization | Because::OwnCapacity => {
                return figures([load, refused, instances]).unwrap_or_else(|| "full".to_owned());
            }
            Because::InstancesUp | Because::OwnAnswered => {
                return figures([load, refused, instances]).unwrap_or_else(|| "running".to_owned());
            }
        };
        reason.to_owned()
    }

    /// Whether it runs in a trusted execution environment; `None` if no list says.
    pub(crate) fn tee(&self) -> Option<bool> {
        let by_model = self.model.as_ref().and_then(|model| model.confidential_compute);
        by_model.or_else(|| self.chute.as_ref().and_then(|chute| chute.tee))
    }

    /// US dollars per million prompt tokens.
    pub(crate) fn price_in(&self) -> Option<NanoUsd> {
        self.price(Model::prompt_price, |table| table.input.as_ref())
    }

    /// US dollars per million generated tokens.
    pub(crate) fn price_out(&self) -> Option<NanoUsd> {
        self.price(Model::completion_price, |table| table.output.as_ref())
    }

    /// US dollars per million prompt tokens found in a cache.
    pub(crate) fn price_cached(&self) -> Option<NanoUsd> {
        self.price(Model::cache_read_price, |table| table.input_cache_read.as_ref())
    }

    /// What the list says, if it says it of the prompt and the answer.
    pub(crate) fn list_prices(&self) -> Option<ModelPrices> {
        let (prompt, completion) = (self.price_in()?, self.price_out()?);
        Some(ModelPrices { prompt, completion, cached: self.price_cached().unwrap_or(prompt) })
    }

    fn price(
        &self,
        of_model: impl Fn(&Model) -> Option<&Decimal>,
        of_table: impl Fn(&ripcord_wire::models::PriceTable) -> Option<&ripcord_wire::models::Amount>,
    ) -> Option<NanoUsd> {
        let estimated = || {
            let chute = self.chute.as_ref()?;
            let table = chute.current_estimated_price.as_ref()?.per_million_tokens.as_ref()?;
            of_table(table)?.usd.as_ref()
        };
        let price = self.model.as_ref().and_then(of_model).or_else(estimated)?;
        // Nobody is paid for a call: what is below zero is no price.
        NanoUsd::from_decimal(price.as_str(), Rounding::Up).filter(|price| *price >= NanoUsd::ZERO)
    }

    /// Tokens that fit in its context.
    pub(crate) fn context(&self) -> Option<u64> {
        let tokens = self.model.as_ref().and_then(Model::context_tokens)?;
        u64::try_from(tokens).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Wall = Wall::from_unix_seconds(1_790_510_400);

    fn lists() -> Lists {
        let read = |value| serde_json::from_value(value).unwrap();
        Lists {
            models: Some(vec![
                read(json!({"id": "Qwen/Qwen3-32B-TEE", "chute_id": "c1", "pricing": {"prompt": 0.1, "completion": 0.4}})),
                serde_json::from_value(json!({"id": "zai-org/GLM-5.2-TEE", "chute_id": "c2"})).unwrap(),
            ]),
            chutes: Some(vec![
                serde_json::from_value(json!({"chute_id": "c1", "name": "Qwen/Qwen3-32B-TEE", "hot": true})).unwrap(),
                serde_json::from_value(json!({"chute_id": "c3", "name": "someone/embed", "hot": false})).unwrap(),
            ]),
            chutes_whole: true,
            loads: Some(vec![
                serde_json::from_value(json!({"chute_id": "c1", "timestamp": "2026-09-27T11:59:50",
                    "utilization_current": 0.97, "rate_limit_ratio_5m": 0.0, "active_instance_count": 3})).unwrap(),
            ]),
        }
    }

    #[test]
    fn the_lists_are_joined_and_each_entry_has_its_state() {
        let catalogue = Catalogue::join(lists(), NOW);
        let states: Vec<_> = catalogue
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.state_word().word()))
            .collect();
        assert_eq!(
            states,
            [
                ("Qwen/Qwen3-32B-TEE", "busy"),
                ("zai-org/GLM-5.2-TEE", "down"),
                ("someone/embed", "cold")
            ]
        );
        assert_eq!(catalogue.entries[0].why(), "97 % busy, 3 instances");
    }

    #[test]
    fn a_list_that_could_not_be_read_makes_unknown_not_down() {
        let catalogue = Catalogue::join(Lists { chutes: None, ..lists() }, NOW);
        assert_eq!(catalogue.entries[1].state_word(), StateWord::Unknown);
    }

    #[test]
    fn what_the_read_part_of_a_list_lacks_is_unknown_not_down() {
        let catalogue = Catalogue::join(Lists { chutes_whole: false, ..lists() }, NOW);
        assert_eq!(catalogue.entries[0].state_word(), StateWord::Busy);
        assert_eq!(catalogue.entries[1].state_word(), StateWord::Unknown);
        assert!(!catalogue.whole);
    }

    #[test]
    fn two_names_of_one_chute_have_the_same_state() {
        let mut lists = lists();
        let alias = json!({"id": "qwen/alias", "chute_id": "c1"});
        lists.models.as_mut().unwrap().push(serde_json::from_value(alias).unwrap());
        let catalogue = Catalogue::join(lists, NOW);
        assert_eq!(catalogue.find("qwen/alias").unwrap().state_word(), StateWord::Busy);
    }

    #[test]
    fn what_is_no_name_and_what_is_no_price_is_left_out() {
        let mut lists = lists();
        let models = lists.models.as_mut().unwrap();
        for id in ["", " ", &"x".repeat(5_000)] {
            models.push(serde_json::from_value(json!({"id": id})).unwrap());
        }
        let pricing = json!({"prompt": -5, "completion": "-0.0001"});
        let odd = json!({"id": "a/negative", "pricing": pricing});
        models.push(serde_json::from_value(odd).unwrap());
        let catalogue = Catalogue::join(lists, NOW);
        assert_eq!(catalogue.entries.len(), 4);
        let odd = catalogue.find("a/negative").unwrap();
        assert_eq!((odd.price_in(), odd.price_out()), (None, None));
        assert!(catalogue.find("Qwen/Qwen3-32B-TEE").unwrap().price_in().is_some());
    }

    #[test]
    fn names_are_found_with_prefix_and_by_id_and_near_misses_are_named() {
        let catalogue = Catalogue::join(lists(), NOW);
        assert!(catalogue.find("chutes/Qwen/Qwen3-32B-TEE").is_ok());
        assert!(catalogue.find("c1").is_ok());
        let miss = catalogue.find("qwen/qwen3-32b-tee").unwrap_err();
        assert_eq!(miss.other_case.as_deref(), Some("Qwen/Qwen3-32B-TEE"));
        let miss = catalogue.find("GLM-5.2").unwrap_err();
        assert_eq!(miss.near, ["zai-org/GLM-5.2-TEE"]);
        assert!(catalogue.find("gpt-7").unwrap_err().near.is_empty());
    }
}
