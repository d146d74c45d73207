//! How fast an account is being used: own calls over the last five minutes, hour and day, what others use beside them,
//! and when a window runs out if that goes on.
//!
//! A rate over a span that was not watched from its beginning is not known. It is neither zero nor the rate of the part
//! that was watched.

use super::book::ForeignUse;
use super::forecast::CallCost;
use super::window::{Unit, Window};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};
use std::collections::BTreeMap;
use std::time::Duration;

/// A time up to now, over which use is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BurnSpan {
    /// What happens right now.
    FiveMinutes,
    /// The usual measure.
    Hour,
    /// Nights and pauses included.
    Day,
}

/// Use over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// This much, in thousandths or billionths as the unit says.
    pub used: i64,
    /// In so much time.
    pub over: Duration,
}

/// The rates of one unit; `None` over a span that was not watched in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BurnRates {
    /// Over the last five minutes.
    pub five_minutes: Option<Rate>,
    /// Over the last hour.
    pub hour: Option<Rate>,
    /// Over the last 24 hours.
    pub day: Option<Rate>,
}

/// Where a rate leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunsOut {
    /// When nothing would be left.
    pub at: Wall,
    /// Whether the window turns before that, so that it does not run out. `None` if nobody knows when it turns.
    pub turns_first: Option<bool>,
}

/// Own calls of the last day, as they ended. Its size is bounded, however many calls there are.
#[derive(Clone, Debug, Default)]
pub struct BurnMeter {
    /// By the ten seconds in which they ended, for the shorter spans.
    fine: BTreeMap<i64, Burned>,
    /// By the five minutes in which they ended, for the day.
    coarse: BTreeMap<i64, Burned>,
}

/// What some calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Burned {
    units: MilliUnits,
    usd: NanoUsd,
    /// Calls whose price is not known.
    unpriced: u64,
}

const FINE_SECONDS: i64 = 10;
const COARSE_SECONDS: i64 = 300;
/// The spans, and one slot more because the first one is cut.
const FINE_SLOTS: usize = 361;
const COARSE_SLOTS: usize = 289;
/// Whatever is stamped later than this was stamped by a clock that was wrong.
const AHEAD_AT_MOST: Duration = Duration::from_secs(900);

// === impl BurnSpan ===

impl BurnSpan {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    /// How long it is.
    #[must_use]
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "five_minutes",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The name in output.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5 min",
            Self::Hour => "1 h",
            Self::Day => "24 h",
        }
    }
}

// === impl Rate ===

impl Rate {
    /// As much an hour, rounded up.
    #[must_use]
    pub fn per_hour(self) -> i64 {
        let product = i128::from(self.used.max(0)) * 3_600_000_000;
        let micros = i128::try_from(self.over.as_micros().max(1)).unwrap_or(i128::MAX);
        i64::try_from((product + micros - 1) / micros).unwrap_or(i64::MAX)
    }

    /// How long `amount` lasts; `None` if for ever, or longer than a calendar goes.
    #[must_use]
    pub fn lasts(self, amount: i64) -> Option<Duration> {
        if self.used <= 0 {
            return None;
        }
        let micros = i128::try_from(self.over.as_micros()).ok()?;
        let product = i128::from(amount.max(0)).checked_mul(micros)?;
        u64::try_from(product / i128::from(self.used)).ok().map(Duration::from_micros)
    }

    /// This rate and another one beside it, over the same time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let own = i128::try_from(self.over.as_micros()).unwrap_or(i128::MAX);
        let others = i128::try_from(other.over.as_micros().max(1)).unwrap_or(i128::MAX);
        let share = i128::from(other.used.max(0)).saturating_mul(own).div_euclid(others);
        let share = i64::try_from(share).unwrap_or(i64::MAX);
        Self { used: self.used.saturating_add(share), over: self.over }
    }

    /// When what is left of `window` is used up at this rate; `None` if never, or if nobody knows what is left.
    #[must_use]
    pub fn runs_out(self, window: &Window, now: Wall) -> Option<RunsOut> {
        let at = now.after(self.lasts(window.remaining()?)?);
        let turns_first = window.resets_at.filter(|&turns| turns > now).map(|turns| turns <= at);
        Some(RunsOut { at, turns_first })
    }
}

// === impl BurnRates ===

impl BurnRates {
    /// The rate over a span.
    #[must_use]
    pub const fn over(&self, span: BurnSpan) -> Option<Rate> {
        match span {
            BurnSpan::FiveMinutes => self.five_minutes,
            BurnSpan::Hour => self.hour,
            BurnSpan::Day => self.day,
        }
    }
}

// === impl ForeignUse ===

impl ForeignUse {
    /// As a rate over the time in which it was seen; `None` if that is too short to tell.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        let over = self.until.since(self.since);
        (over >= BurnSpan::FiveMinutes.length()).then_some(Rate { used: self.used, over })
    }
}

// === impl BurnMeter ===

impl BurnMeter {
    /// When the last call ended that is remembered, to ten seconds.
    #[must_use]
    pub fn last_call(&self) -> Option<Wall> {
        self.fine.last_key_value().map(|(second, _)| Wall::from_unix_seconds(*second))
    }

    /// Counts a call, or several together, that ended at that moment. A price that is not known makes the rate in
    /// dollars unknown, not lower.
    pub fn add(&mut self, ended: Wall, cost: CallCost) {
        let second = ended.as_unix_seconds();
        for (slots, seconds, most) in [
            (&mut self.fine, FINE_SECONDS, FINE_SLOTS),
            (&mut self.coarse, COARSE_SECONDS, COARSE_SLOTS),
        ] {
            slots.entry(second.div_euclid(seconds).saturating_mul(seconds)).or_default().add(cost);
            while slots.len() > most {
                slots.pop_first();
            }
        }
    }

    /// The rates up to `now`, if every call since `watched_since` is counted.
    #[must_use]
    pub fn rates(&self, unit: Unit, watched_since: Wall, now: Wall) -> BurnRates {
        let is_watched = |span: BurnSpan| watched_since <= now.before(span.length());
        let rate = |span| is_watched(span).then(|| self.rate(unit, span, now)).flatten();
        BurnRates {
            five_minutes: rate(BurnSpan::FiveMinutes),
            hour: rate(BurnSpan::Hour),
            day: rate(BurnSpan::Day),
        }
    }

    fn rate(&self, unit: Unit, span: BurnSpan, now: Wall) -> Option<Rate> {
        let began = now.before(span.length());
        let slots = match span {
            BurnSpan::FiveMinutes | BurnSpan::Hour => &self.fine,
            BurnSpan::Day => &self.coarse,
        };
        // A slot that lies only in part in the span counts: use is rounded up.
        let seconds = match span {
            BurnSpan::FiveMinutes | BurnSpan::Hour => FINE_SECONDS,
            BurnSpan::Day => COARSE_SECONDS,
        };
        let first = began.as_unix_seconds().saturating_sub(seconds).saturating_add(1);
        let last = now.after(AHEAD_AT_MOST).as_unix_seconds();
        let all = slots.range(first..=last).fold(Burned::default(), |mut all, (_, burned)| {
            all.join(*burned);
            all
        });
        let used = match unit {
            Unit::Requests => all.units.0,
            Unit::Usd if all.unpriced > 0 => return None,
            Unit::Usd => all.usd.0,
        };
        Some(Rate { used, over: span.length() })
    }
}

// === impl Burned ===

impl Burned {
    fn add(&mut self, cost: CallCost) {
        self.join(Self {
            units: cost.units,
            usd: cost.usd.unwrap_or(NanoUsd::ZERO),
            unpriced: u64::from(cost.usd.is_none()),
        });
    }

    const fn join(&mut self, other: Self) {
        self.units = MilliUnits(self.units.0.saturating_add(other.units.0));
        self.usd = self.usd.plus(other.usd);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{NOON, window};
    use super::super::window::WindowKind;
    use super::*;
    use proptest::prelude::*;

    fn cents(cents: i64) -> CallCost {
        CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(cents)) }
    }

    fn ago(seconds: u64) -> Wall {
        NOON.before(Duration::from_secs(seconds))
    }

    #[test]
    fn each_span_counts_what_ended_in_it() {
        let mut meter = BurnMeter::default();
        for (seconds, price) in [(60, 1), (1_800, 2), (40_000, 4), (89_000, 8)] {
            meter.add(ago(seconds), cents(price));
        }
        let usd = meter.rates(Unit::Usd, ago(90_000), NOON);
        let used = |span| usd.over(span).map(|rate: Rate| rate.used / 10_000_000);
        assert_eq!(BurnSpan::ALL.map(used), [Some(1), Some(3), Some(7)]);
        let units = meter.rates(Unit::Requests, ago(90_000), NOON);
        assert_eq!(units.hour.map(Rate::per_hour), Some(2_000));
        assert_eq!(units.five_minutes.map(Rate::per_hour), Some(12_000));
    }

    #[test]
    fn a_span_that_was_not_watched_in_full_is_not_known_and_one_without_calls_is_zero() {
        let mut meter = BurnMeter::default();
        meter.add(ago(60), cents(1));
        assert_eq!(meter.rates(Unit::Usd, ago(299), NOON), BurnRates::default());
        let rates = meter.rates(Unit::Usd, ago(3_600), NOON);
        assert!(rates.hour.is_some() && rates.day.is_none(), "{rates:?}");
        let idle = meter.rates(Unit::Usd, NOON, NOON.after(Duration::from_secs(7_200)));
        assert_eq!(idle.hour.map(|rate| rate.used), Some(0));
    }

    #[test]
    fn a_call_without_a_price_is_not_free() {
        let mut meter = BurnMeter::default();
        meter.add(ago(60), cents(1));
        meter.add(ago(1_000), CallCost { usd: None, ..cents(0) });
        let rates = meter.rates(Unit::Usd, ago(90_000), NOON);
        assert!(rates.five_minutes.is_some() && rates.hour.is_none() && rates.day.is_none());
        assert!(meter.rates(Unit::Requests, ago(90_000), NOON).day.is_some());
    }

    #[test]
    fn a_rate_says_when_a_window_runs_out_and_whether_it_turns_before() {
        let day = |used| window(WindowKind::Day, used, 5_000_000).at(NOON);
        let rate = Rate { used: 250_000, over: Duration::from_secs(3_600) };
        let soon = rate.runs_out(&day(4_000_000), NOON).unwrap();
        assert_eq!(soon.at, NOON.after(Duration::from_secs(4 * 3_600)));
        assert_eq!(soon.turns_first, Some(false));
        assert_eq!(rate.runs_out(&day(1_000_000), NOON).unwrap().turns_first, Some(true));
        assert_eq!(rate.runs_out(&day(9_000_000), NOON).unwrap().at, NOON, "nothing is left now");
        let idle = Rate { used: 0, ..rate };
        assert_eq!(idle.runs_out(&day(4_000_000), NOON), None);
        let unknown = Window { used: None, ..day(0) };
        assert_eq!(rate.runs_out(&unknown, NOON), None);
        let overdue = Window { resets_at: Some(ago(5)), kind: WindowKind::Month, ..day(4_000_000) };
        assert_eq!(rate.runs_out(&overdue, NOON).unwrap().turns_first, None);
    }

    #[test]
    fn what_others_use_comes_on_top() {
        let own = Rate { used: 100, over: Duration::from_secs(300) };
        let foreign = ForeignUse { used: 1_200, since: ago(3_600), until: NOON };
        assert_eq!(foreign.rate().map(|others| own.and(others).used), Some(200));
        let brief = ForeignUse { since: ago(30), ..foreign };
        assert_eq!(brief.rate(), None);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_memory_is_bounded(
            calls in prop::collection::vec((0_u64..86_000, 0_i64..1_000), 0..300),
        ) {
            let mut meter = BurnMeter::default();
            let mut in_order = calls.clone();
            in_order.sort_unstable_by_key(|(seconds, _)| std::cmp::Reverse(*seconds));
            for (seconds, price) in in_order {
                meter.add(ago(seconds), cents(price));
            }
            prop_assert!(meter.fine.len() <= FINE_SLOTS && meter.coarse.len() <= COARSE_SLOTS);
            let rates = meter.rates(Unit::Usd, ago(90_000), NOON);
            let used = |span| rates.over(span).map_or(-1, |rate: Rate| rate.used);
            let sum = |within: u64| -> i64 {
                let inside = calls.iter().filter(|(seconds, _)| *seconds < within);
                inside.map(|(_, price)| price * 10_000_000).sum()
            };
            prop_assert_eq!(used(BurnSpan::Day), sum(86_400));
            prop_assert!(used(BurnSpan::Hour) >= sum(3_600) && used(BurnSpan::Hour) <= sum(3_610));
            prop_assert!(used(BurnSpan::FiveMinutes) <= used(BurnSpan::Hour));
            prop_assert!(used(BurnSpan::Hour) <= used(BurnSpan::Day));
        }

        #[test]
        fn clocks_that_jump_do_not_panic_or_grow(
            calls in prop::collection::vec((any::<i64>(), any::<i64>()), 0..900),
        ) {
            let mut meter = BurnMeter::default();
            for (micros, price) in calls {
                let at = Wall::from_unix_micros(micros);
                meter.add(at, CallCost { units: MilliUnits(price), usd: Some(NanoUsd(price)) });
                let rates = meter.rates(Unit::Usd, Wall::from_unix_micros(i64::MIN), at);
                prop_assert!(rates.over(BurnSpan::Hour).is_none_or(|rate| rate.per_hour() >= 0));
            }
            prop_assert!(meter.fine.len() <= FINE_SLOTS && meter.coarse.len() <= COARSE_SLOTS);
        }
    }
}
