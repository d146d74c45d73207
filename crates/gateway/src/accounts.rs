//! The accounts of the gateway: their keys, their last figures, and which of them could serve a request.

use crate::config::AccountConfig;
use crate::terms::Pricing;
use http::HeaderValue;
use parking_lot::Mutex;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{
    AccountSnapshot, Book, BookSettings, CallCost, ForeignUse, Margin, Missing, Payer, Paygo,
    Reservation, SpendingPolicy, Verdict, WhenUnknown, WindowKind, may_spend,
};
use ripcord_rules::time::{Mono, Wall};
use ripcord_rules::units::NanoUsd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// One Chutes account.
pub(crate) struct Account {
    pub(crate) label: Arc<str>,
    pub(crate) keys: Vec<AccountKey>,
    policy: SpendingPolicy,
    /// Figures older than this are no longer believed to show room.
    trusted_for: Duration,
    paygo: Paygo,
    when_unknown: WhenUnknown,
    next_key: AtomicUsize,
    /// The gate is closed for its budget, so whatever changes the budget may open it.
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
    pub(crate) authorization: HeaderValue,
    pub(crate) key: ripcord_client::key::Key,
}

struct AccountState {
    /// The figures, and own calls that they may lack.
    book: Book,
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

/// An account's budget, and whether waiting for own calls could change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) budget: Budget,
    /// Own calls are under way that may cost less than is reserved for them.
    pub(crate) calls_run: bool,
    /// Own calls are counted that newer figures may show, or the figures show room all the same.
    pub(crate) may_settle: bool,
}

/// Whether an account's budget lets a request in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// Open; and who pays for the next call.
    Open(Payer),
    /// Open, though nobody knows what is left.
    Unguarded,
    /// No figures yet: a request may wait for the first ones.
    NotReadYet,
    Closed(Verdict),
}

impl Budget {
    /// Who pays for the next call; `None` if it is not let in, or if nobody knows.
    pub(crate) const fn payer(&self) -> Option<Payer> {
        match self {
            Self::Open(payer) => Some(*payer),
            Self::Unguarded | Self::NotReadYet | Self::Closed(_) => None,
        }
    }
}

impl Account {
    pub(crate) fn all(
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
                        authorization: key.authorization(),
                        key: key.clone(),
                    }
                });
                Self {
                    label: config.label.as_str().into(),
                    keys: keys.collect(),
                    policy: config.policy(),
                    trusted_for,
                    paygo: config.paygo,
                    when_unknown: config.when_unknown,
                    next_key: AtomicUsize::new(0),
                    is_closed: AtomicBool::new(false),
                    applying: Mutex::new(()),
                    state: Mutex::new(AccountState { book: Book::new(book), rest: None }),
                    pricing: Pricing::default(),
                }
            })
            .collect()
    }

    /// Whether it matters what the balance has paid today.
    pub(crate) const fn has_daily_bound(&self) -> bool {
        matches!(self.paygo, Paygo::Daily(_))
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
        self.state.lock().book.learn(newer);
    }

    /// Counts a call that ended, at what it cost; nothing if `None`.
    pub(crate) fn settle(&self, reservation: Reservation, ended: Wall, cost: Option<CallCost>) {
        let mut state = self.state.lock();
        match cost {
            Some(cost) => state.book.settle(reservation, ended, cost),
            None => state.book.cancel(reservation),
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

    /// Whoever wrote `never` himself meant it, also for what nobody can see.
    pub(crate) fn refuses_unknown(&self) -> bool {
        self.paygo == Paygo::Never || self.when_unknown == WhenUnknown::Refuse
    }

    /// Whether the budget lets a request in.
    ///
    /// `chute_id` counts where the account has a window of its own for it.
    pub(crate) fn budget(&self, chute_id: Option<&str>, now: Wall) -> Budget {
        self.budget_in(&self.state.lock(), chute_id, now)
    }

    /// The budget of one moment with what could change it.
    pub(crate) fn standing(&self, chute_id: Option<&str>, now: Wall) -> Standing {
        let state = self.state.lock();
        let read = state.book.snapshot();
        let is_used_up = read.is_some_and(|read| {
            matches!(may_spend(read, &self.policy, chute_id, now), Verdict::No { .. })
        });
        Standing {
            budget: self.budget_in(&state, chute_id, now),
            calls_run: state.book.has_open(),
            may_settle: !is_used_up && state.book.has_unseen(),
        }
    }

    /// Counts a call that is about to be sent, if the budget lets it in. Both at once: of two calls that come together
    /// each sees the other.
    pub(crate) fn reserve(
        &self,
        chute_id: Option<&str>,
        cost: CallCost,
        now: Wall,
    ) -> Result<(Reservation, Budget), Budget> {
        let mut state = self.state.lock();
        match self.budget_in(&state, chute_id, now) {
            closed @ Budget::Closed(_) => Err(closed),
            Budget::NotReadYet if self.refuses_unknown() => Err(Budget::NotReadYet),
            open @ (Budget::Open(_) | Budget::Unguarded | Budget::NotReadYet) => {
                Ok((state.book.reserve(chute_id, cost), open))
            }
        }
    }

    fn budget_in(&self, state: &AccountState, chute_id: Option<&str>, now: Wall) -> Budget {
        let Some(read) = state.book.snapshot() else { return Budget::NotReadYet };
        // Only where going over could cost what it must not is the last of a window left alone.
        let must_not_pay = self.policy.allows_paygo(read.plan) != Some(true);
        let margin = if must_not_pay { Margin::Kept } else { Margin::None };
        let Some(verdict) = state.book.verdict(&self.policy, chute_id, now, margin) else {
            return Budget::NotReadYet;
        };
        let is_old = |as_of| now.since(as_of) > self.trusted_for;
        let is_stale = is_old(read.oldest_figure(chute_id));
        match verdict {
            Verdict::Yes(Payer::Balance) if is_old(read.balance_as_of) => {
                self.unknown(Missing::Balance)
            }
            Verdict::Yes(payer) if !is_stale || payer == Payer::Unlimited => Budget::Open(payer),
            // A subscription that could be charged is not used blindly; one without money cannot be.
            Verdict::Yes(_)
                if must_not_pay && (may_be_charged(read) || is_old(read.balance_as_of)) =>
            {
                Budget::Closed(Verdict::Unknown(Missing::Failed))
            }
            Verdict::Yes(_) => self.unknown(Missing::Failed),
            verdict @ Verdict::No { .. } => Budget::Closed(verdict),
            Verdict::Unknown(missing) => self.unknown(missing),
        }
    }

    /// Who goes first while several accounts have a free slot: what is paid for already, then what nobody can see,
    /// then what costs money.
    pub(crate) fn tier(&self, now: Wall) -> u8 {
        let state = self.state.lock();
        let verdict = state.book.snapshot().map(|known| may_spend(known, &self.policy, None, now));
        match verdict {
            Some(Verdict::Yes(Payer::Windows | Payer::Unlimited)) => 0,
            Some(Verdict::Unknown(_)) | None => 1,
            Some(Verdict::Yes(Payer::Balance) | Verdict::No { .. }) => 2,
        }
    }

    fn unknown(&self, missing: Missing) -> Budget {
        if self.refuses_unknown() {
            Budget::Closed(Verdict::Unknown(missing))
        } else {
            Budget::Unguarded
        }
    }
}

fn may_be_charged(snapshot: &AccountSnapshot) -> bool {
    snapshot.balance.is_none_or(|balance| balance > NanoUsd::ZERO)
}
