//! What went through this machine's gateway, by its ledger: burn rates, what others use of an account, and how large
//! calls to a model usually are.

use std::time::Duration;

use ripcord_rules::quota::{
    BurnMeter, BurnRates, BurnSpan, CallCost, ForeignUse, Unit, Window, WindowKind,
};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use ripcord_store::{Ledger as _, LedgerError, Spent, SqliteLedger, UsualCall};

use crate::commands::serve;
use crate::context::Context;
use crate::figures::opened_at;
use crate::upstream::Reading;

/// For the rates.
const FINE: Duration = Duration::from_secs(10);
/// For the windows: a month is the longest.
const COARSE: Duration = Duration::from_secs(3_600);
const A_MONTH: Duration = Duration::from_secs(32 * 86_400);
/// The calls of so long a time tell what is usual.
const LEARNED_OVER: Duration = Duration::from_secs(30 * 86_400);
/// Fewer units than this may be a call that was just under way.
const LEAST_UNITS: MilliUnits = MilliUnits::from_units(5);
/// Less than this share of a cap may be rounding, in thousandths.
const LEAST_PERMILLE: i64 = 10;

/// The ledger of this machine, as far as it could be read.
#[derive(Debug, Default)]
pub(crate) struct OwnUse {
    /// `None` without a ledger, or without a row in it.
    begins_at: Option<Wall>,
    fine: Vec<Spent>,
    coarse: Vec<Spent>,
}

/// Own use of one account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Burn {
    /// In request units.
    pub(crate) units: BurnRates,
    /// In dollars at list price.
    pub(crate) usd: BurnRates,
    /// Since when every call is in the ledger; `None` without one.
    pub(crate) watched_since: Option<Wall>,
}

/// What others use of a window, at the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    pub(crate) kind: WindowKind,
    pub(crate) unit: Unit,
    pub(crate) used: i64,
    /// When the window opened.
    pub(crate) since: Wall,
    pub(crate) until: Wall,
    /// Whether the ledger goes back as far, so that it was no gateway of before.
    pub(crate) is_known_in_full: bool,
}

// === impl OwnUse ===

impl OwnUse {
    /// Reads the ledger. One that is not there, or cannot be read, is the gateway's matter: here it only means that nobody
    /// can tell.
    pub(crate) fn read(context: &Context, now: Wall) -> Self {
        let state = context.settings.gateway.state_directory.value.as_ref();
        let path = state.map(|directory| directory.join("ledger.sqlite"));
        let Some(path) = path.filter(|path| path.exists()) else { return Self::default() };
        let Ok(ledger) = SqliteLedger::open(&path) else { return Self::default() };
        let read = || -> Result<Self, LedgerError> {
            let day = now.before(BurnSpan::Day.length() + FINE);
            Ok(Self {
                begins_at: ledger.begins_at()?.map(Wall::from_unix_micros),
                fine: ledger.spent_since(day.as_unix_micros(), FINE)?,
                coarse: ledger.spent_since(now.before(A_MONTH).as_unix_micros(), COARSE)?,
            })
        };
        read().unwrap_or_default()
    }

    /// How fast own calls use this account.
    pub(crate) fn burn(&self, reading: &Reading, now: Wall) -> Burn {
        let Some(begins_at) = self.begins_at else { return Burn::default() };
        let label = serve::label(&reading.account);
        let mut meter = BurnMeter::default();
        for spent in self.fine.iter().filter(|spent| is_of(spent, &label)) {
            meter.add(Wall::from_unix_micros(spent.from_unix_us), cost_of(spent));
        }
        Burn {
            units: meter.rates(Unit::Requests, begins_at, now),
            usd: meter.rates(Unit::Usd, begins_at, now),
            watched_since: Some(begins_at),
        }
    }

    /// What others use of this window, at the least. `None` where that cannot be said: no figure, no ledger, or no own
    /// call in the window.
    pub(crate) fn foreign(&self, reading: &Reading, window: &Window) -> Option<Foreign> {
        let begins_at = self.begins_at?;
        let used = window.used?;
        let since = opened_at(window)?;
        let label = serve::label(&reading.account);
        // A stretch that only ends in the window counts whole: own use is rounded up.
        let first = since.before(COARSE).as_unix_micros();
        let in_window = |spent: &&Spent| is_of(spent, &label) && spent.from_unix_us > first;
        let own: Vec<&Spent> = self.coarse.iter().filter(in_window).collect();
        if own.is_empty() {
            return None;
        }
        let own = match window.unit {
            // No attempt costs more than one unit, so this is the most that can have come from here.
            Unit::Requests => own.iter().fold(0_i64, |sum, spent| sum.saturating_add(units(spent))),
            Unit::Usd if own.iter().any(|spent| spent.unpriced > 0) => return None,
            Unit::Usd => {
                own.iter().fold(0_i64, |sum, spent| sum.saturating_add(spent.list_price_nano_usd))
            }
        };
        Some(Foreign {
            kind: window.kind,
            unit: window.unit,
            used: used.saturating_sub(own).max(0),
            since,
            until: window.as_of,
            is_known_in_full: begins_at <= since,
        })
    }

    /// What a call to the model usually takes.
    pub(crate) fn usual(&self, model: &str, now: Wall) -> Option<UsualCall> {
        let since = now.before(LEARNED_OVER).as_unix_micros();
        let recent: Vec<Spent> =
            self.coarse.iter().filter(|spent| spent.from_unix_us >= since).cloned().collect();
        UsualCall::of(&recent, model)
    }
}

// === impl Burn ===

impl Burn {
    /// The rates in this unit.
    pub(crate) const fn of(&self, unit: Unit) -> &BurnRates {
        match unit {
            Unit::Requests => &self.units,
            Unit::Usd => &self.usd,
        }
    }

    /// Whether any rate is known.
    pub(crate) fn is_known(&self) -> bool {
        self.units != BurnRates::default()
    }
}

// === impl Foreign ===

impl Foreign {
    /// Whether it is enough to speak of.
    pub(crate) fn is_worth_a_word(&self, window: &Window) -> bool {
        match (self.unit, window.cap) {
            (Unit::Requests, _) => self.used >= LEAST_UNITS.0,
            (Unit::Usd, ripcord_rules::quota::Cap::Limited(cap)) => {
                self.used >= cap / 1_000 * LEAST_PERMILLE && self.used > 0
            }
            (Unit::Usd, _) => false,
        }
    }

    /// As what the rules know.
    pub(crate) const fn as_use(&self) -> ForeignUse {
        ForeignUse { used: self.used, since: self.since, until: self.until }
    }
}

fn is_of(spent: &Spent, label: &str) -> bool {
    spent.account.as_deref() == Some(label)
}

fn units(spent: &Spent) -> i64 {
    MilliUnits::from_units(i64::try_from(spent.attempts).unwrap_or(i64::MAX)).0
}

fn cost_of(spent: &Spent) -> CallCost {
    let usd = (spent.unpriced == 0).then_some(NanoUsd(spent.list_price_nano_usd));
    CallCost { units: MilliUnits(units(spent)), usd }
}
