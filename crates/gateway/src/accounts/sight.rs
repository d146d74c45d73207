//! An account at one moment, for those who ask how it stands.

use super::Account;
use crate::bearers::Spender;
use ripcord_rules::quota::{
    AccountSnapshot, BurnRates, CallCost, ForeignUse, Margin, SpendingPolicy, Unit, WindowKind,
};
use ripcord_rules::time::{Mono, Now, Wall};

/// What is known of an account, all of it at the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// The figures as they were read.
    pub(crate) read: Option<AccountSnapshot>,
    /// The figures with own calls that they may lack.
    pub(crate) expected: Option<AccountSnapshot>,
    /// What is reserved for calls under way.
    pub(crate) reserved: CallCost,
    /// What others use of the windows of the whole account, as far as it was seen.
    pub(crate) foreign: Vec<(WindowKind, ForeignUse)>,
    /// Own use in request units.
    pub(crate) units: BurnRates,
    /// Own use in dollars at list price.
    pub(crate) usd: BurnRates,
    /// Since when every own call is counted.
    pub(crate) watched_since: Wall,
    /// When the last own call ended, to ten seconds.
    pub(crate) last_call: Option<Wall>,
    /// What may be spent on it by whoever asks.
    pub(crate) policy: SpendingPolicy,
}

// === impl Account ===

impl Account {
    /// How the account stands.
    pub(crate) fn sight(&self, spender: &Spender, now: Now) -> Sight {
        let state = self.state.lock();
        // By the calendar as it is known now: it may have been wrong when this gateway began.
        let began = now.wall.before(now.mono.since(Mono::default()));
        let now = now.wall;
        let watched_since = state.known_since.map_or(began, |known| known.min(began));
        let kinds = [WindowKind::Day, WindowKind::FourHour, WindowKind::Month];
        let foreign = kinds.into_iter().filter_map(|kind| Some((kind, state.book.foreign(kind)?)));
        Sight {
            read: state.book.snapshot().cloned(),
            expected: state.book.predicted(now, Margin::None),
            reserved: state.book.reserved(),
            foreign: foreign.collect(),
            units: state.burn.rates(Unit::Requests, watched_since, now),
            usd: state.burn.rates(Unit::Usd, watched_since, now),
            watched_since,
            last_call: state.burn.last_call(),
            policy: self.policy_for(spender),
        }
    }

    /// Counts calls from before this gateway began, all of them since then.
    pub(crate) fn remember(&self, calls: &[(Wall, CallCost)], since: Option<Wall>) {
        let mut state = self.state.lock();
        for (ended, cost) in calls {
            state.burn.add(*ended, *cost);
        }
        state.known_since = since;
    }
}

// === impl Sight ===

impl Sight {
    /// Own use in this unit.
    pub(crate) const fn own(&self, unit: Unit) -> &BurnRates {
        match unit {
            Unit::Requests => &self.units,
            Unit::Usd => &self.usd,
        }
    }

    /// What others use of this window.
    pub(crate) fn foreign(&self, kind: WindowKind) -> Option<ForeignUse> {
        self.foreign.iter().find(|(known, _)| *known == kind).map(|(_, foreign)| *foreign)
    }
}
