//! The accounts of the gateway: their keys, their last figures, and which of them could serve a request.

use crate::config::AccountConfig;
use http::HeaderValue;
use parking_lot::Mutex;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{
    AccountSnapshot, Missing, Paygo, SpendingPolicy, Verdict, WhenUnknown, may_spend,
};
use ripcord_rules::time::{Mono, Wall};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One Chutes account.
pub(crate) struct Account {
    pub(crate) label: Arc<str>,
    pub(crate) keys: Vec<AccountKey>,
    pub(crate) guard: SpendingPolicy,
    paygo: Paygo,
    when_unknown: WhenUnknown,
    next_key: AtomicUsize,
    state: Mutex<AccountState>,
}

/// One key of an account.
pub(crate) struct AccountKey {
    /// Its number over all accounts, as the book of rests knows it.
    pub(crate) number: usize,
    /// `1`, `2` …: never any part of the key.
    pub(crate) label: Arc<str>,
    pub(crate) authorization: HeaderValue,
    pub(crate) key: ripcord_client::key::Key,
}

#[derive(Default)]
struct AccountState {
    snapshot: Option<AccountSnapshot>,
    rest: Option<(Cause, Mono)>,
}

/// Whether an account's budget lets a request in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    Open,
    /// Open, though nobody knows what is left.
    Unguarded(Option<Missing>),
    /// No figures yet: a request may wait for the first ones.
    NotReadYet,
    Closed(Verdict),
}

impl Account {
    pub(crate) fn all(configs: &[AccountConfig]) -> Vec<Self> {
        let mut number = 0;
        configs
            .iter()
            .map(|config| {
                let keys = (1..).zip(&config.keys).map(|(place, key)| {
                    number += 1;
                    AccountKey {
                        number: number - 1,
                        label: place.to_string().into(),
                        authorization: key.authorization(),
                        key: key.clone(),
                    }
                });
                Self {
                    label: config.label.as_str().into(),
                    keys: keys.collect(),
                    guard: config.guard(),
                    paygo: config.paygo,
                    when_unknown: config.when_unknown,
                    next_key: AtomicUsize::new(0),
                    state: Mutex::default(),
                }
            })
            .collect()
    }

    /// The keys, the one that is next in turn first.
    pub(crate) fn keys_in_turn(&self) -> impl Iterator<Item = &AccountKey> {
        let first = self.next_key.fetch_add(1, Ordering::Relaxed);
        (0..self.keys.len())
            .map(move |step| &self.keys[(first.wrapping_add(step)) % self.keys.len()])
    }

    pub(crate) fn snapshot(&self) -> Option<AccountSnapshot> {
        self.state.lock().snapshot.clone()
    }

    pub(crate) fn learn(&self, snapshot: AccountSnapshot) {
        self.state.lock().snapshot = Some(snapshot);
    }

    pub(crate) fn rests(&self, cause: Cause, until: Mono) {
        self.state.lock().rest = Some((cause, until));
    }

    /// Why it rests, if it does.
    pub(crate) fn resting(&self, now: Mono) -> Option<(Cause, Mono)> {
        self.state.lock().rest.filter(|&(_, until)| until > now)
    }

    /// Whoever wrote `never` himself meant it, also for what nobody can see.
    pub(crate) fn refuses_unknown(&self) -> bool {
        self.paygo == Paygo::Never || self.when_unknown == WhenUnknown::Refuse
    }

    /// Whether the budget lets a request in.
    pub(crate) fn budget(&self, now: Wall) -> Budget {
        let state = self.state.lock();
        let Some(snapshot) = &state.snapshot else { return Budget::NotReadYet };
        match may_spend(snapshot, &self.guard, None, now) {
            Verdict::Yes(_) => Budget::Open,
            verdict @ Verdict::No { .. } => Budget::Closed(verdict),
            verdict @ Verdict::Unknown(missing) => {
                if self.refuses_unknown() {
                    Budget::Closed(verdict)
                } else {
                    Budget::Unguarded(Some(missing))
                }
            }
        }
    }
}
