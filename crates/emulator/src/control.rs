//! Control of a running emulator: the same actions in process and under `/__emulator/`.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    accounts::ANY,
    catalogue::pico,
    changes::{AccountChange, ClockChange, ModelChange, ModelTruth},
    clock::{self, Clock, SECOND},
    faults::Fault,
    ids,
    inference::Incoming,
    log::LogEntry,
    query::percent_decode,
    quota::UNIT,
    reply::Reply,
    specs::StateSpec,
    truth::AccountTruth,
    world::World,
};

/// A handle on a running emulator.
#[derive(Debug, Clone)]
pub struct Control {
    world: Arc<World>,
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ControlError {
    /// No account or model of that name.
    #[error("no `{0}` here")]
    Unknown(String),
    /// A timestamp that cannot be read.
    #[error("`{0}` is not a timestamp")]
    Timestamp(String),
}

impl Control {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// The clock, for reading and moving.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.world.clock
    }

    /// Moves the clock to an ISO timestamp (naive ones are UTC).
    ///
    /// # Errors
    /// When the text is no timestamp.
    pub fn set_time(&self, timestamp: &str) -> Result<(), ControlError> {
        let (at, _) = clock::parse_timestamp(timestamp)
            .ok_or_else(|| ControlError::Timestamp(timestamp.to_owned()))?;
        self.world.clock.set_micros(at);
        Ok(())
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        self.world.clock.advance(by);
    }

    /// The truth about every account.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountTruth> {
        let now = self.world.now();
        let lag = self.world.scenario.lag;
        self.world.state().accounts.iter_mut().map(|account| account.truth(now, lag)).collect()
    }

    /// The truth about one account, by name or user id.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<AccountTruth> {
        self.accounts().into_iter().find(|account| account.name == name || account.user_id == name)
    }

    /// Changes an account, by name or user id.
    ///
    /// # Errors
    /// When there is no such account, or the anchor is no timestamp.
    pub fn change_account(&self, name: &str, change: AccountChange) -> Result<(), ControlError> {
        let now = self.world.now();
        let anchor = match &change.anchor {
            Some(text) => Some(
                clock::parse_timestamp(text)
                    .ok_or_else(|| ControlError::Timestamp(text.clone()))?
                    .0,
            ),
            None => None,
        };
        let mut state = self.world.state();
        let found =
            state.find_account(name).ok_or_else(|| ControlError::Unknown(name.to_owned()))?;
        let account = &mut state.accounts[found];
        if let Some(dollars) = change.balance_usd {
            account.balance_pico = pico(dollars);
        }
        if let Some(quota) = change.quota {
            account.quotas.insert(ANY.to_owned(), quota);
            account.updated_at = now;
        }
        for (model, quota) in change.chute_quotas {
            account.quotas.insert(ids::chute_id(&model), quota);
        }
        if let Some(units) = change.used_units {
            account.meters.set_units(ANY, (units * UNIT as f64).round() as i64, now);
        }
        if let Some(anchor) = anchor {
            account.anchor = Some(anchor);
            account.meters.set_caps(None, Some(0), now);
        }
        let (four_hour, month) = (change.four_hour_used_usd, change.month_used_usd);
        if four_hour.is_some() || month.is_some() {
            account.meters.set_caps(four_hour.map(pico), month.map(pico), now);
        }
        if let Some(most) = change.max_at_once {
            account.max_at_once = (most > 0).then_some(most);
        }
        if let Some(key) = change.delete_key.and_then(|index| account.keys.get_mut(index)) {
            key.deleted_at = Some(now);
        }
        if change.clear_faults {
            account.faults.clear();
        }
        for fault in change.faults {
            account.faults.add(fault, now);
        }
        Ok(())
    }

    /// Sets an account's balance in dollars.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn set_balance_usd(&self, name: &str, dollars: f64) -> Result<(), ControlError> {
        self.change_account(
            name,
            AccountChange { balance_usd: Some(dollars), ..AccountChange::default() },
        )
    }

    /// Sets the request units an account has used today.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn set_used_units(&self, name: &str, units: f64) -> Result<(), ControlError> {
        self.change_account(
            name,
            AccountChange { used_units: Some(units), ..AccountChange::default() },
        )
    }

    /// Adds a fault to an account.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn add_account_fault(&self, name: &str, fault: Fault) -> Result<(), ControlError> {
        self.change_account(name, AccountChange { faults: vec![fault], ..AccountChange::default() })
    }

    /// The truth about every model.
    #[must_use]
    pub fn models(&self) -> Vec<ModelTruth> {
        let now = self.world.now();
        let state = self.world.state();
        state
            .models
            .iter()
            .map(|model| ModelTruth {
                name: model.spec.name.clone(),
                chute_id: model.chute_id.clone(),
                state: model.spec.state,
                in_flight: model.in_flight,
                max_in_flight: model.max_in_flight,
                served: model.served,
                refused: model.refused,
                faults: model.faults.in_force(now),
            })
            .collect()
    }

    /// The truth about one model, by name or chute id.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<ModelTruth> {
        self.models().into_iter().find(|model| model.name == name || model.chute_id == name)
    }

    /// Changes a model, by name or chute id.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn change_model(&self, name: &str, change: ModelChange) -> Result<(), ControlError> {
        let now = self.world.now();
        let mut state = self.world.state();
        let found = state.find_model(name).ok_or_else(|| ControlError::Unknown(name.to_owned()))?;
        let model = &mut state.models[found];
        if let Some(to) = change.state {
            model.change_state(to, now);
        }
        if let Some(count) = change.instances {
            model.change_instances(count);
        }
        let spec = &mut model.spec;
        spec.busy_share = change.busy_share.unwrap_or(spec.busy_share);
        spec.first_token_ms = change.first_token_ms.unwrap_or(spec.first_token_ms);
        spec.tokens_per_second = change.tokens_per_second.unwrap_or(spec.tokens_per_second);
        spec.answer_tokens = change.answer_tokens.unwrap_or(spec.answer_tokens);
        let keep = |new: Option<f64>, old: &mut Option<f64>| *old = new.or(*old);
        keep(change.average_ttft_seconds, &mut spec.average_ttft_seconds);
        keep(change.average_tokens_per_second, &mut spec.average_tokens_per_second);
        keep(change.utilization, &mut spec.utilization);
        keep(change.rate_limit_ratio, &mut spec.rate_limit_ratio);
        if let Some(most) = change.max_at_once {
            spec.max_at_once = (most > 0).then_some(most);
        }
        if change.clear_faults {
            model.faults.clear();
        }
        for fault in change.faults {
            model.faults.add(fault, now);
        }
        Ok(())
    }

    /// Sets a model's state.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn set_model_state(&self, name: &str, state: StateSpec) -> Result<(), ControlError> {
        self.change_model(name, ModelChange { state: Some(state), ..ModelChange::default() })
    }

    /// Adds a fault to a model.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn add_model_fault(&self, name: &str, fault: Fault) -> Result<(), ControlError> {
        self.change_model(name, ModelChange { faults: vec![fault], ..ModelChange::default() })
    }

    /// Forgets every fault of a model.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn clear_model_faults(&self, name: &str) -> Result<(), ControlError> {
        self.change_model(name, ModelChange { clear_faults: true, ..ModelChange::default() })
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.world.state().log.entries()
    }

    /// Back to the scenario: counters, faults, states and log. The clock stays where it is.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Answers a request under `/__emulator/`.
    pub(crate) fn serve(&self, incoming: &Incoming) -> Reply {
        let path = percent_decode(&incoming.path);
        let Some(path) = path.strip_prefix("/__emulator/") else { return Reply::no_chute() };
        let posted = incoming.method == Method::POST;
        let outcome = match path.split_once('/').unwrap_or((path, "")) {
            ("log", "") => Ok(Reply::json(&self.log())),
            ("accounts", "") => Ok(Reply::json(&self.accounts())),
            ("accounts", name) if posted => read(incoming)
                .and_then(|change| Ok(self.change_account(name, change)?))
                .map(|()| self.one_account(name)),
            ("accounts", name) => Ok(self.one_account(name)),
            ("models", "") => Ok(Reply::json(&self.models())),
            ("models", name) if posted => read(incoming)
                .and_then(|change| Ok(self.change_model(name, change)?))
                .map(|()| self.one_model(name)),
            ("models", name) => Ok(self.one_model(name)),
            ("clock", "") if posted => read(incoming)
                .and_then(|change| self.change_clock(&change))
                .map(|()| self.clock_reply()),
            ("clock", "") => Ok(self.clock_reply()),
            ("reset", "") if posted => {
                self.reset();
                Ok(Reply::json(&json!({ "reset": true })))
            }
            _ => Ok(unknown(path)),
        };
        outcome.unwrap_or_else(|refused| refused.0)
    }

    fn one_account(&self, name: &str) -> Reply {
        self.account(name).map_or_else(|| unknown(name), |account| Reply::json(&account))
    }

    fn one_model(&self, name: &str) -> Reply {
        self.model(name).map_or_else(|| unknown(name), |model| Reply::json(&model))
    }

    fn change_clock(&self, change: &ClockChange) -> Result<(), Refused> {
        if let Some(now) = &change.now {
            self.set_time(now)?;
        }
        if let Some(seconds) = change.advance_seconds {
            let duration = Duration::try_from_secs_f64(seconds)
                .map_err(|_| ControlError::Timestamp(seconds.to_string()))?;
            self.advance(duration);
        }
        if let Some(speed) = change.speed {
            self.world.clock.set_speed(speed);
        }
        Ok(())
    }

    fn clock_reply(&self) -> Reply {
        let now = self.world.now();
        Reply::json(&json!({
            "now": clock::iso_aware(now),
            "unix_seconds": now.div_euclid(SECOND),
            "unix_micros": now,
            "speed": self.world.clock.speed(),
        }))
    }
}

/// A refusal on its way out.
struct Refused(Reply);

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let status = match error {
            ControlError::Unknown(_) => StatusCode::NOT_FOUND,
            ControlError::Timestamp(_) => StatusCode::BAD_REQUEST,
        };
        Self(Reply::json_status(status, &json!({ "emulator_error": error.to_string() })))
    }
}

fn read<T: for<'de> Deserialize<'de>>(incoming: &Incoming) -> Result<T, Refused> {
    let body: &[u8] = if incoming.body.is_empty() { b"{}" } else { &incoming.body };
    serde_json::from_slice(body).map_err(|error| {
        let value: Value = json!({ "emulator_error": error.to_string() });
        Refused(Reply::json_status(StatusCode::BAD_REQUEST, &value))
    })
}

fn unknown(name: &str) -> Reply {
    Reply::json_status(
        StatusCode::NOT_FOUND,
        &json!({ "emulator_error": format!("no `{name}` here") }),
    )
}
