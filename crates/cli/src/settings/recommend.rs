//! `[recommend]`: what each purpose of `ripcord recommend --for` looks for.

use ripcord_rules::recommend::Weigh;
use ripcord_rules::units::NanoUsd;

use super::document::{Section, read};
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
