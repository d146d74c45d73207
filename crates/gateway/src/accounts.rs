//! The accounts of the gateway: their keys, their last figures, and which of them could serve a request.

pub(crate) mod service;
pub(crate) mod sight;

use crate::config::{AccountConfig, Config};
use crate::terms::Pricing;
use http::HeaderValue;
use parking_lot::Mutex;
use ripcord_client::key::Key;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{
    AccountSnapshot, Book, BookSettings, BurnMeter, CallCost, ForeignUse, Held, Margin, Paygo,
    SpendingPolicy, WhenUnknown, WindowKind,
};
use ripcord_rules::time::{Mono, Wall};
use ripcord_rules::units::NanoUsd;
use service::{Service, Services};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) mod budget;

/// An account at a service.
pub(crate) struct Account {
    pub(crate) service: Arc<Service>,
    pub(crate) label: Arc<str>,
    pub(crate) keys: Vec<AccountKey>,
    /// Its reserve included.
    policy: SpendingPolicy,
    /// Figures older than this are no longer believed to show room.
    trusted_for: Duration,
    when_unknown: WhenUnknown,
    next_key: AtomicUsize,
    /// The gate is closed for its budget, to some at least, so whatever changes the budget may open it.
    pub(crate) is_closed: AtomicBool,
    /// Held while the budget is applied to the gate: two at once could apply an older one last.
    pub(crate) applying: Mutex<()>,
    state: Mutex<AccountState>,
    /// What its calls cost.
    pub(crate) pricing: Pricing,
}

/// One key of an account.
pub(crate) struct AccountKey {
    /// Its number over all accounts, as the book of rests knows it.
    pub(crate) number: usize,
    /// `1`, `2` …: never any part of the key.
    pub(crate) label: Arc<str>,
    /// None for a service that asks for none.
    pub(crate) authorization: Option<HeaderValue>,
    /// Of an account at Chutes.
    pub(crate) key: Option<Key>,
}

/// A text of the upstream without the key that was sent, should it repeat that: clients must not see it.
pub(crate) fn without_key(text: String, authorization: Option<&HeaderValue>) -> String {
    /// A shorter one hides nothing, and its letters may stand in any text.
    const SHORTEST_BYTES: usize = 8;
    let sent = authorization.and_then(|sent| sent.to_str().ok());
    match sent.and_then(|sent| sent.strip_prefix("Bearer ")) {
        Some(key) if key.len() >= SHORTEST_BYTES && text.contains(key) => text.replace(key, "…"),
        _ => text,
    }
}

struct AccountState {
    /// The figures, and own calls that they may lack.
    book: Book,
    /// Own calls of the last day.
    burn: BurnMeter,
    /// Since when the ledger has them, if it is older than this gateway.
    known_since: Option<Wall>,
    /// How often it was read, well or not.
    readings: u64,
    rest: Option<AccountRest>,
}

/// A rest of the whole account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountRest {
    pub(crate) cause: Cause,
    pub(crate) until: Mono,
    /// When it began, by the calendar that figures are dated in.
    pub(crate) since: Wall,
}

impl Account {
    /// Those at Chutes first, then one for each provider.
    pub(crate) fn all(services: &Services, config: &Config, trusted_for: Duration) -> Vec<Self> {
        let mut accounts =
            Self::at_chutes(&services.chutes, &config.accounts, config.book, trusted_for);
        let keys: usize = accounts.iter().map(|account| account.keys.len()).sum();
        let providers = services.providers.iter().zip(&config.routing.providers);
        for (number, (service, provider)) in (keys..).zip(providers) {
            let key = AccountKey {
                number,
                label: "1".into(),
                authorization: provider.key.as_ref().map(Key::authorization),
                key: None,
            };
            let policy = SpendingPolicy {
                paygo: provider.daily_usd.map_or(Paygo::Allow, Paygo::Daily),
                ..SpendingPolicy::default()
            };
            accounts.push(Self::new(service, vec![key], policy, config.book));
        }
        accounts
    }

    fn at_chutes(
        service: &Arc<Service>,
        configs: &[AccountConfig],
        book: BookSettings,
        trusted_for: Duration,
    ) -> Vec<Self> {
        let mut number = 0;
        configs
            .iter()
            .map(|config| {
                let keys = (1..).zip(&config.keys).map(|(place, key)| {
                    number += 1;
                    AccountKey {
                        number: number - 1,
                        label: place.to_string().into(),
                        authorization: Some(key.authorization()),
                        key: Some(key.clone()),
                    }
                });
                let policy = config.policy();
                Self {
                    label: config.label.as_str().into(),
                    trusted_for,
                    when_unknown: config.when_unknown,
                    ..Self::new(service, keys.collect(), policy, book)
                }
            })
            .collect()
    }

    fn new(
        service: &Arc<Service>,
        keys: Vec<AccountKey>,
        policy: SpendingPolicy,
        book: BookSettings,
    ) -> Self {
        Self {
            service: Arc::clone(service),
            label: Arc::clone(&service.label),
            keys,
            policy,
            trusted_for: Duration::MAX,
            when_unknown: WhenUnknown::Allow,
            next_key: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            applying: Mutex::new(()),
            state: Mutex::new(AccountState {
                book: Book::new(book),
                burn: BurnMeter::default(),
                known_since: None,
                readings: 0,
                rest: None,
            }),
            pricing: Pricing::default(),
        }
    }

    /// Whether it matters what the balance has paid today.
    pub(crate) const fn has_daily_bound(&self) -> bool {
        matches!(self.policy.paygo, Paygo::Daily(_))
    }

    /// The keys, the one that is next in turn first.
    pub(crate) fn keys_in_turn(&self) -> impl Iterator<Item = &AccountKey> {
        let first = self.next_key.fetch_add(1, Ordering::Relaxed);
        (0..self.keys.len())
            .map(move |step| &self.keys[(first.wrapping_add(step)) % self.keys.len()])
    }

    /// What may be spent.
    pub(crate) const fn policy(&self) -> &SpendingPolicy {
        &self.policy
    }

    /// The figures as they were read.
    pub(crate) fn snapshot(&self) -> Option<AccountSnapshot> {
        self.state.lock().book.snapshot().cloned()
    }

    /// The account as it may stand now, own calls and a margin for others included.
    pub(crate) fn predicted(&self, now: Wall) -> Option<AccountSnapshot> {
        self.state.lock().book.predicted(now, Margin::Kept)
    }

    /// What others use of a window, as far as the figures tell.
    pub(crate) fn foreign(&self, kind: WindowKind) -> Option<ForeignUse> {
        self.state.lock().book.foreign(kind)
    }

    /// Whether own calls are under way or may be missing in the figures.
    pub(crate) fn has_unseen_calls(&self) -> bool {
        self.state.lock().book.has_unseen()
    }

    /// Takes over a reading, as far as it can be believed.
    pub(crate) fn learn(&self, newer: AccountSnapshot) {
        let mut state = self.state.lock();
        state.readings += 1;
        state.book.learn(newer);
    }

    /// How often it was read, well or not.
    pub(crate) fn readings(&self) -> u64 {
        self.state.lock().readings
    }

    /// Takes over what the balance paid before this program began.
    pub(crate) fn remember_paid(&self, ended: Wall, usd: NanoUsd) {
        self.state.lock().book.remember_paid(ended, usd);
    }

    /// Counts a call that ended, at what it cost; nothing if `None`. `served` is the chute that did, if that is known.
    pub(crate) fn settle(
        &self,
        held: &Held,
        served: Option<&str>,
        ended: Wall,
        cost: Option<CallCost>,
    ) {
        let mut state = self.state.lock();
        match cost {
            Some(cost) => {
                state.book.settle_held(held, served, ended, cost);
                state.burn.add(ended, cost);
            }
            None => state.book.release(held),
        }
    }

    /// Begins a rest; a shorter one never shortens a longer one. Whether it counts.
    pub(crate) fn rests(&self, rest: AccountRest) -> bool {
        let mut state = self.state.lock();
        let is_longer = state.rest.is_none_or(|known| rest.until > known.until);
        if is_longer {
            state.rest = Some(rest);
        }
        is_longer
    }

    /// Ends this rest, unless another one has begun; whether it did.
    pub(crate) fn wakes_from(&self, rest: AccountRest) -> bool {
        let mut state = self.state.lock();
        let is_it = state.rest == Some(rest);
        if is_it {
            state.rest = None;
        }
        is_it
    }

    /// Its rest, if it rests.
    pub(crate) fn resting(&self, now: Mono) -> Option<AccountRest> {
        self.state.lock().rest.filter(|rest| rest.until > now)
    }
}
