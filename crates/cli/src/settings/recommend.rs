//! `[recommend]`: what each purpose of `ripcord recommend --for` looks for.

use clap::ValueEnum as _;
use ripcord_rules::recommend::Weigh;
use ripcord_rules::units::NanoUsd;
use serde_json::{Value, json};

use super::document::{Section, read};
use super::listing::{Listed, listed, usd};
use super::origin::Sourced;
use crate::args::Purpose;

const WEIGH: &[(&str, Weigh)] =
    &[("preference", Weigh::Preference), ("price", Weigh::Price), ("speed", Weigh::Speed)];

/// What every purpose looks for.
#[derive(Debug, Clone)]
pub(crate) struct RecommendSettings {
    privacy: PurposeSettings,
    budget: PurposeSettings,
    coding: PurposeSettings,
    reasoning: PurposeSettings,
    creative: PurposeSettings,
    roleplay: PurposeSettings,
}

/// What one purpose looks for.
#[derive(Debug, Clone)]
pub(crate) struct PurposeSettings {
    pub(crate) tee: Sourced<bool>,
    pub(crate) features: Sourced<Vec<String>>,
    /// `None` for no limit.
    pub(crate) max_price: Sourced<Option<NanoUsd>>,
    pub(crate) prefer: Sourced<Vec<String>>,
    pub(crate) others: Sourced<bool>,
    pub(crate) weigh: Sourced<Weigh>,
}

// === impl RecommendSettings ===

impl RecommendSettings {
    /// The same for every purpose.
    pub(super) fn all(settings: &PurposeSettings) -> Self {
        Self {
            privacy: settings.clone(),
            budget: settings.clone(),
            coding: settings.clone(),
            reasoning: settings.clone(),
            creative: settings.clone(),
            roleplay: settings.clone(),
        }
    }

    /// What this purpose looks for.
    pub(crate) const fn of(&self, purpose: Purpose) -> &PurposeSettings {
        match purpose {
            Purpose::Privacy => &self.privacy,
            Purpose::Budget => &self.budget,
            Purpose::Coding => &self.coding,
            Purpose::Reasoning => &self.reasoning,
            Purpose::Creative => &self.creative,
            Purpose::Roleplay => &self.roleplay,
        }
    }

    /// Every setting of every purpose, for `ripcord config show`.
    pub(super) fn listing(&self) -> Vec<Listed> {
        let purposes = Purpose::value_variants().iter();
        purposes
            .filter_map(|purpose| {
                let name = purpose.to_possible_value()?;
                Some(self.of(*purpose).listing(&format!("recommend.{}", name.get_name())))
            })
            .flatten()
            .collect()
    }

    /// Reads the section.
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.table("privacy", |section| self.privacy.read(section));
        section.table("budget", |section| self.budget.read(section));
        section.table("coding", |section| self.coding.read(section));
        section.table("reasoning", |section| self.reasoning.read(section));
        section.table("creative", |section| self.creative.read(section));
        section.table("roleplay", |section| self.roleplay.read(section));
    }
}

// === impl PurposeSettings ===

impl PurposeSettings {
    fn listing(&self, section: &str) -> Vec<Listed> {
        let key = |name| format!("{section}.{name}");
        let word = |wanted: &Weigh| {
            WEIGH
                .iter()
                .find(|(_, weigh)| weigh == wanted)
                .map_or(Value::Null, |(word, _)| json!(word))
        };
        vec![
            listed(key("tee"), &self.tee, |flag| json!(flag)),
            listed(key("features"), &self.features, |names| json!(names)),
            listed(key("max_price"), &self.max_price, |limit| limit.map_or_else(|| json!(0), usd)),
            listed(key("prefer"), &self.prefer, |names| json!(names)),
            listed(key("others"), &self.others, |flag| json!(flag)),
            listed(key("weigh"), &self.weigh, word),
        ]
    }

    fn read(&mut self, section: &mut Section<'_>) {
        section.read("tee", &mut self.tee, read::flag);
        section.read("features", &mut self.features, read::texts);
        section.read("max_price", &mut self.max_price, |value| {
            read::usd(value).map(|limit| (limit.0 > 0).then_some(limit))
        });
        section.read("prefer", &mut self.prefer, read::texts);
        section.read("others", &mut self.others, read::flag);
        section.read("weigh", &mut self.weigh, read::word(WEIGH));
    }
}
