//! What is known of models, accounts and services beyond rests: how they stand, whether their circuits are open, how long
//! a model may be silent, and how many retries a service still gets. Decisions are in `ripcord_rules`.

use crate::clock::Clock;
use parking_lot::{Mutex, MutexGuard};
use ripcord_rules::cause::{Cause, Failure};
use ripcord_rules::health::{HealthBook, LookSettings, Looks, Standing};
use ripcord_rules::model_state::{ModelEvidence, OwnTraffic};
use ripcord_rules::recover::{
    AttemptLimits, CircuitLimits, Circuits, FirstTokenLimits, FirstTokens, Heard, Passage,
    RestLimits, RetryBudget, RetryBudgetLimits,
};
use ripcord_rules::time::Mono;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Bounds of what the gateway does after a failure. The defaults are the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryLimits {
    /// Attempts of one request.
    pub attempts: AttemptLimits,
    /// The first rests.
    pub rests: RestLimits,
    /// When models and accounts that keep failing are left alone.
    pub circuits: CircuitLimits,
    /// Retries of all requests at one service.
    pub retries: RetryBudgetLimits,
    /// Between two looks at the load of the models, while requests come.
    pub loads_interval: Duration,
    /// Between two looks at which models run, while requests come.
    pub list_interval: Duration,
}

/// What is known.
pub(crate) struct Health {
    limits: RecoveryLimits,
    book: Mutex<HealthBook>,
    looks: Mutex<Looks>,
    /// Somebody asks again, after a while in which nobody did.
    pub(crate) woken: Notify,
    models: Mutex<Circuits<Arc<str>>>,
    accounts: Mutex<Circuits<usize>>,
    first_tokens: Mutex<FirstTokens>,
    /// By service.
    retries: Mutex<HashMap<Arc<str>, RetryBudget>>,
}

/// An attempt that passed the circuits of its model and its account. What came of it is told; if nobody does, because
/// the client left, it said nothing.
pub(crate) struct Passing<'a> {
    health: &'a Health,
    clock: &'a Clock,
    model: Option<(Arc<str>, Passage)>,
    account: Option<(usize, Passage)>,
}

impl Default for RecoveryLimits {
    fn default() -> Self {
        Self {
            attempts: AttemptLimits::default(),
            rests: RestLimits::default(),
            circuits: CircuitLimits::default(),
            retries: RetryBudgetLimits::default(),
            loads_interval: Duration::from_secs(30),
            list_interval: Duration::from_secs(60),
        }
    }
}

/// After so long without a request nobody looks at the lists any more.
const QUIET_AFTER: Duration = Duration::from_secs(300);

// === impl Health ===

impl Health {
    /// Nothing known yet. `watched`: how often the lists are looked at even if nobody asks.
    pub(crate) fn new(
        limits: RecoveryLimits,
        first_token: Duration,
        watched: Option<Duration>,
    ) -> Self {
        let looks = LookSettings {
            loads: limits.loads_interval,
            list: limits.list_interval,
            quiet_after: QUIET_AFTER,
            watched,
        };
        Self {
            limits,
            book: Mutex::default(),
            looks: Mutex::new(Looks::new(looks)),
            woken: Notify::new(),
            models: Mutex::new(Circuits::new(limits.circuits)),
            accounts: Mutex::new(Circuits::new(limits.circuits)),
            first_tokens: Mutex::new(FirstTokens::new(FirstTokenLimits::from_start(first_token))),
            retries: Mutex::default(),
        }
    }

    /// A request came.
    pub(crate) fn asked(&self, now: Mono) {
        if self.looks.lock().asked(now) {
            self.woken.notify_one();
        }
    }

    pub(crate) fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock()
    }

    /// What was just read of some models.
    pub(crate) fn learn(&self, now: Mono, models: Vec<(String, ModelEvidence)>) {
        self.book.lock().learn(now, models);
    }

    /// How a model of Chutes stands, by the lists and by own calls.
    pub(crate) fn standing(&self, now: Mono, model: &str) -> Standing {
        self.book.lock().standing(now, model)
    }

    /// What the lists say of a model, as long as that is believed.
    pub(crate) fn listed(&self, now: Mono, model: &str) -> Option<ModelEvidence> {
        self.book.lock().listed(now, model)
    }

    /// Of these models, those that a list shows up, and when it was read.
    pub(crate) fn listed_up(&self, models: &[String]) -> Vec<(String, Mono)> {
        let book = self.book.lock();
        let up = |model: &String| Some((model.clone(), book.listed_up_at(model)?));
        models.iter().filter_map(up).collect()
    }

    /// Whether the model is left alone because it keeps failing.
    pub(crate) fn is_left_alone(&self, now: Mono, link: &str) -> bool {
        self.models.lock().is_open(link, now)
    }

    /// The links that keep failing, by name.
    pub(crate) fn failing_models(&self) -> Vec<String> {
        let mut failing: Vec<String> =
            self.models.lock().open().map(|key| key.to_string()).collect();
        failing.sort();
        failing
    }

    /// From when on the link may be asked for this account; `None` if at once.
    pub(crate) fn not_before(&self, now: Mono, account: usize, link: &str) -> Option<Mono> {
        let model = self.models.lock().not_before(link, now);
        let account = self.accounts.lock().not_before(&account, now);
        model.max(account)
    }

    /// An attempt begins.
    ///
    /// # Errors
    /// If it may not yet: when to ask again.
    pub(crate) fn pass<'a>(
        &'a self,
        clock: &'a Clock,
        account: usize,
        link: &Arc<str>,
    ) -> Result<Passing<'a>, Mono> {
        let now = clock.mono();
        let of_account = (account, self.accounts.lock().pass(&account, now)?);
        let mut passing = Passing { health: self, clock, model: None, account: Some(of_account) };
        // If this one may not pass, dropping what was made of the other gives its passage back.
        passing.model = Some((Arc::clone(link), self.models.lock().pass(link, now)?));
        Ok(passing)
    }

    /// What a failed call says of its model.
    pub(crate) fn failed(&self, now: Mono, link: &str, cause: Cause) {
        if let Some(traffic) = OwnTraffic::of_cause(cause) {
            self.book.lock().met(now, link, traffic);
        }
    }

    /// A call was answered.
    pub(crate) fn answered(&self, now: Mono, link: &str) {
        self.book.lock().met(now, link, OwnTraffic::Answered);
    }

    /// How long the first useful event of a stream may take.
    pub(crate) fn first_token_limit(&self, link: &str, body_bytes: u64) -> Duration {
        self.first_tokens.lock().limit(link, body_bytes)
    }

    pub(crate) fn first_token_came(&self, link: &str, body_bytes: u64, took: Duration) {
        self.first_tokens.lock().came(link, body_bytes, took);
    }

    pub(crate) fn first_token_did_not_come(&self, link: &str, body_bytes: u64, waited: Duration) {
        self.first_tokens.lock().did_not_come(link, body_bytes, waited);
    }

    /// A request made its first attempt at a service.
    pub(crate) fn earn_retries(&self, service: &Arc<str>, now: Mono) {
        self.with_retries(service, now, |budget| budget.earn(now));
    }

    /// Takes a retry after a failure at a service: from when on it may be made, `None` if there is none.
    pub(crate) fn take_retry(
        &self,
        service: &Arc<str>,
        cause: Cause,
        now: Mono,
        deadline: Option<Mono>,
    ) -> Option<Mono> {
        if is_set_aside(cause) {
            return Some(now);
        }
        self.with_retries(service, now, |budget| budget.take(now, deadline))
    }

    fn with_retries<T>(
        &self,
        service: &Arc<str>,
        now: Mono,
        change: impl FnOnce(&mut RetryBudget) -> T,
    ) -> T {
        let mut retries = self.retries.lock();
        let fresh = || RetryBudget::new(self.limits.retries, now);
        change(retries.entry(Arc::clone(service)).or_insert_with(fresh))
    }
}

/// A key or an account that is set aside is not asked again, so going on to the next one is no storm.
const fn is_set_aside(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::DeadKey
            | Cause::WindowUsedUp(_)
            | Cause::OutOfCredit
            | Cause::NotEntitled
            | Cause::FreeModelLimit
    )
}

// === impl Passing ===

impl Passing<'_> {
    /// Whether a circuit is closed by it, so that whoever waits for it may go.
    pub(crate) fn works(mut self) -> bool {
        self.tell(Heard::Works, Heard::Works)
    }

    /// The same.
    pub(crate) fn failed(mut self, failure: &Failure) -> bool {
        self.tell(Heard::of_model(failure), Heard::of_account(failure))
    }

    fn tell(&mut self, model_heard: Heard, account_heard: Heard) -> bool {
        let mut closes = false;
        let now = self.clock.mono();
        if let Some((model, passage)) = self.model.take() {
            closes |= self.health.models.lock().heard(&model, passage, model_heard, now);
        }
        if let Some((account, passage)) = self.account.take() {
            closes |= self.health.accounts.lock().heard(&account, passage, account_heard, now);
        }
        closes
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.tell(Heard::Nothing, Heard::Nothing);
    }
}
