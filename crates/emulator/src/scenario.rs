//! Scenarios: the accounts, models, lags and faults of an emulated service, from code or from TOML.

use serde::{Deserialize, Serialize};

use crate::{
    clock, credentials,
    generated::Catalogue,
    ids,
    specs::{AccountSpec, ModelSpec},
};

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file is no TOML, or has unknown keys or wrong types.
    #[error("scenario: {}{hint}", error.to_string().trim_end())]
    Toml {
        /// What is wrong, and where.
        error: toml::de::Error,
        /// What may have been meant, on a line of its own; empty when nothing comes near.
        hint: String,
    },
    /// A value that cannot be meant.
    #[error("scenario: {0}")]
    Value(String),
}

/// More would only fill the memory.
const MOST_GENERATED: usize = 100_000;

/// A reading error with a known key that comes near the unknown one.
fn suggested(error: toml::de::Error) -> ScenarioError {
    let message = error.message().to_owned();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let hint = match quoted.split_first() {
        Some((wrong, known)) if is_unknown => known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(wrong, known), known))
            .filter(|(distance, known)| *distance <= known.len() / 2)
            .min()
            .map(|(_, known)| format!("\ndid you mean `{known}`?"))
            .unwrap_or_default(),
        _ => String::new(),
    };
    ScenarioError::Toml { error, hint }
}

/// Everything the emulator starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Seed of everything drawn by chance.
    pub seed: u64,
    /// Where the clock starts, as an ISO timestamp; without it, at the real time.
    pub starts_at: Option<String>,
    /// Emulated seconds per real second; 0 is a stopped clock.
    pub clock_speed: f64,
    /// Whether successful inference carries the quota and rate headers.
    pub quota_headers: bool,
    /// Whether streams carry running usage totals on their content events.
    pub running_usage: bool,
    /// Days for which `/invocations/stats/llm` has rows, today included.
    pub statistics_days: u32,
    /// How many requests the log keeps.
    pub log_entries: usize,
    /// How late changes show.
    pub lag: Lag,
    /// The accounts.
    pub accounts: Vec<AccountSpec>,
    /// The models given one by one, most used first.
    pub models: Vec<ModelSpec>,
    /// Models made up behind them.
    pub catalogue: Catalogue,
}

/// How late changes show, in emulated seconds. 0 shows them at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lag {
    /// The figures of `subscription_usage` behind the truth.
    pub cap_figures_seconds: f64,
    /// For so long after a turn the four-hour figure is still that of the window before.
    pub turn_seconds: f64,
    /// The balance inference sees behind the truth.
    pub balance_seconds: f64,
    /// The quota rows inference and `quota_usage` see behind the truth.
    pub quota_seconds: f64,
    /// How long a deleted key still counts.
    pub deleted_key_seconds: f64,
    /// How long inference still takes a model for cold after its first instance runs.
    pub cold_to_hot_seconds: f64,
    /// How long inference does not know yet that a model was switched off, or on again.
    pub disabled_seconds: f64,
}

impl Default for Lag {
    fn default() -> Self {
        Self {
            cap_figures_seconds: 60.0,
            turn_seconds: 0.0,
            balance_seconds: 60.0,
            quota_seconds: 60.0,
            deleted_key_seconds: 60.0,
            cold_to_hot_seconds: 90.0,
            disabled_seconds: 200.0,
        }
    }
}

impl Lag {
    /// Everything shows at once.
    #[must_use]
    pub fn none() -> Self {
        Self {
            cap_figures_seconds: 0.0,
            turn_seconds: 0.0,
            balance_seconds: 0.0,
            quota_seconds: 0.0,
            deleted_key_seconds: 0.0,
            cold_to_hot_seconds: 0.0,
            disabled_seconds: 0.0,
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::demo()
    }
}

impl Scenario {
    /// No accounts, no models.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seed: 1,
            starts_at: None,
            clock_speed: 1.0,
            quota_headers: true,
            running_usage: false,
            statistics_days: 2,
            log_entries: 10_000,
            lag: Lag::default(),
            accounts: Vec::new(),
            models: Vec::new(),
            catalogue: Catalogue::default(),
        }
    }

    /// The demonstration: four accounts and a dozen models, one of them cold and one busy.
    #[must_use]
    pub fn demo() -> Self {
        crate::catalogue::demo()
    }

    /// For tests: an account on every plan, a small catalogue, no lag, no delays.
    ///
    /// Accounts: `paygo`, `paygo-rich` (5 dollars), `legacy`, `base`, `plus`, `pro`, `custom301`,
    /// `custom2001`, `custom5001`, `other1000`, `free`, `invoiced`, `norows`; each with an admin key
    /// (0), an invoke-only key (1) and a key without scope (2).
    #[must_use]
    pub fn every_plan() -> Self {
        crate::catalogue::every_plan()
    }

    /// Adds an account.
    #[must_use]
    pub fn account(mut self, account: AccountSpec) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds a model.
    #[must_use]
    pub fn model(mut self, model: ModelSpec) -> Self {
        self.models.push(model);
        self
    }

    /// With so many made-up models behind those given one by one.
    #[must_use]
    pub fn generated(mut self, models: usize) -> Self {
        self.catalogue.generated = models;
        self
    }

    /// With another lag.
    #[must_use]
    pub fn lag(mut self, lag: Lag) -> Self {
        self.lag = lag;
        self
    }

    /// With a clock that stands still at this moment until it is moved.
    #[must_use]
    pub fn stopped_at(mut self, timestamp: &str) -> Self {
        self.starts_at = Some(timestamp.to_owned());
        self.clock_speed = 0.0;
        self
    }

    /// The key of an account, whether or not a scenario has it: keys derive from names.
    #[must_use]
    pub fn key(account: &str, index: usize) -> String {
        ids::api_key(account, index)
    }

    /// An OAuth access token of an account.
    #[must_use]
    pub fn oauth_token(account: &str, index: usize) -> String {
        ids::oauth_token("cak", account, index)
    }

    /// The refresh token that belongs to an access token.
    #[must_use]
    pub fn refresh_token(account: &str, index: usize) -> String {
        ids::oauth_token("crt", account, index)
    }

    /// A session token of an account that ends at this moment, in Unix seconds.
    #[must_use]
    pub fn session_token(account: &str, expires_at_seconds: i64) -> String {
        credentials::session_token(&ids::user_id(account), expires_at_seconds)
    }

    /// What signs an account in at `POST /users/login`.
    #[must_use]
    pub fn fingerprint(account: &str) -> String {
        ids::fingerprint(account)
    }

    /// The user id of an account.
    #[must_use]
    pub fn user_id(account: &str) -> String {
        ids::user_id(account)
    }

    /// The chute id of a model.
    #[must_use]
    pub fn chute_id(model: &str) -> String {
        ids::chute_id(model)
    }

    /// Reads a scenario. What the text leaves out is as in [`Scenario::demo`]; unknown keys are
    /// errors.
    ///
    /// # Errors
    /// When the text is no TOML, holds unknown keys, or values that cannot be meant.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(suggested)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Whether every value can be meant.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let wrong = |text: String| Err(ScenarioError::Value(text));
        let timestamps = self.starts_at.iter().chain(
            self.accounts
                .iter()
                .flat_map(|a| a.anchor.iter().chain(std::iter::once(&a.updated_at)))
                .chain(self.accounts.iter().flat_map(|a| a.usage_rows.iter().map(|row| &row.at))),
        );
        for text in timestamps {
            if clock::parse_timestamp(text).is_none() {
                return wrong(format!("`{text}` is not a timestamp"));
            }
        }
        let mut names = std::collections::BTreeSet::new();
        for account in &self.accounts {
            if account.name.is_empty() || !names.insert(account.name.as_str()) {
                return wrong(format!("account name `{}` is empty or taken", account.name));
            }
        }
        if self.catalogue.generated > MOST_GENERATED {
            return wrong(format!("more than {MOST_GENERATED} generated models"));
        }
        names.clear();
        for model in &self.models {
            if model.name.is_empty() || !names.insert(model.name.as_str()) {
                return wrong(format!("model name `{}` is empty or taken", model.name));
            }
        }
        Ok(())
    }
}
