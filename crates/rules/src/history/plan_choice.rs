//! Which plan would have been cheapest: the hours of a month, played again under each plan's windows.
//!
//! Hour by hour, what a plan's windows have room for is covered, and the rest is paid at list price (`chutes/api.md` 5.3,
//! 5.6; the discounts of plans do not reach language models). The 4-hour windows and the day turn on whole UTC hours, so
//! the hours of the record fall into them without a rest. Inside an hour its requests are taken to be alike and spread
//! evenly; every request is taken as one unit, though the same body sent again counts a tenth.

use std::collections::BTreeSet;

use super::worth::UsdSpan;
use crate::quota::{Plan, four_hour_window, next_day_reset};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};

/// What was used in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourUse {
    /// When it began.
    pub from: Wall,
    /// Requests.
    pub requests: u64,
    /// What they were worth at list price.
    pub worth: UsdSpan,
}

/// How often a plan's windows would have been used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UsedUp {
    /// Days whose request units were.
    pub days: usize,
    /// 4-hour windows.
    pub four_hours: usize,
    /// Whether the month's cap was.
    pub month: bool,
}

/// What a month would have cost under a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanCost {
    /// The plan.
    pub plan: Plan,
    /// Its price.
    pub price: NanoUsd,
    /// What would have been charged on top: what the windows had no room for, at list price.
    pub on_top: UsdSpan,
    /// Which windows, if every token was worth the most that it may have been.
    pub used_up: UsedUp,
    /// The same at the points of the span at which plans are compared.
    totals: [NanoUsd; POINTS.len()],
}

/// Which plan was cheapest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// This one, whatever came from a cache.
    Sure(Plan),
    /// This one if nothing came from a cache, the other one if everything did.
    Depends {
        /// If nothing came from a cache.
        at_most: Plan,
        /// If all of it did.
        at_least: Plan,
    },
}

/// Between "everything from a cache" and "nothing", in hundredths.
const POINTS: [i64; 3] = [0, 50, 100];

/// Whether one can take the plan today: Base was closed in 2026 (`chutes/api.md` 6.2), the others are by arrangement.
#[must_use]
pub const fn is_open(plan: Plan) -> bool {
    matches!(plan, Plan::PayAsYouGo | Plan::Plus | Plan::Pro)
}

/// What the hours of one month would have cost under pay-as-you-go, Base, Plus and Pro, and under the plan that the
/// account has, where that is another one whose price is known. The hours in order.
#[must_use]
pub fn plan_costs(hours: &[HourUse], current: Option<Plan>) -> Vec<PlanCost> {
    let mut plans = vec![Plan::PayAsYouGo, Plan::Base, Plan::Plus, Plan::Pro];
    let own = current.filter(|plan| *plan == Plan::Legacy || plan.is_subscription());
    plans.extend(own.filter(|plan| !plans.contains(plan)));
    plans.into_iter().map(|plan| plan_cost(hours, plan)).collect()
}

/// The cheapest of those that one can take, or has; of two that cost the same, the one the account has, else the first.
/// `None` if there is none.
#[must_use]
pub fn cheapest(costs: &[PlanCost], current: Option<Plan>) -> Option<Best> {
    // Base does not go on at its renewal either.
    let is_candidate = |plan: Plan| is_open(plan) || (current == Some(plan) && plan != Plan::Base);
    let best = |point: usize| {
        let candidates = costs.iter().filter(|cost| is_candidate(cost.plan));
        let rank = |cost: &&PlanCost| (cost.totals.get(point).copied(), current != Some(cost.plan));
        candidates.min_by_key(rank).map(|cost| cost.plan)
    };
    let (at_least, at_most) = (best(0)?, best(POINTS.len() - 1)?);
    let everywhere = (0..POINTS.len()).all(|point| best(point) == Some(at_most));
    Some(if everywhere { Best::Sure(at_most) } else { Best::Depends { at_most, at_least } })
}

// === impl PlanCost ===

impl PlanCost {
    /// The price and what comes on top.
    #[must_use]
    pub const fn total(&self) -> UsdSpan {
        UsdSpan::exactly(self.price).plus(self.on_top)
    }
}

fn plan_cost(hours: &[HourUse], plan: Plan) -> PlanCost {
    let price = plan.monthly_price().unwrap_or(NanoUsd::ZERO);
    let mut on_top = [NanoUsd::ZERO; POINTS.len()];
    let mut used_up = UsedUp::default();
    for (charge, percent) in on_top.iter_mut().zip(POINTS) {
        let mut replay = Replay::of(plan);
        hours.iter().for_each(|hour| replay.hour(hour, hour.worth.at(percent)));
        *charge = replay.charged;
        used_up = replay.used_up();
    }
    let [least, _, most] = on_top;
    PlanCost {
        plan,
        price,
        // More worth is never charged less, but a span has its ends in order whatever it is made from.
        on_top: UsdSpan { least: least.min(most), most: most.max(least) },
        used_up,
        totals: on_top.map(|charge| price.plus(charge)),
    }
}

/// A plan's windows while hours go by.
struct Replay {
    plan: Plan,
    day: Room,
    four_hour: Room,
    month: Option<i64>,
    charged: NanoUsd,
    days: BTreeSet<Wall>,
    four_hours: BTreeSet<Wall>,
    month_used_up: bool,
}

/// What is left of the window that is open.
struct Room {
    ends: Wall,
    /// `None` where nothing limits.
    left: Option<i64>,
}

// === impl Replay ===

impl Replay {
    fn of(plan: Plan) -> Self {
        let never = Wall::from_unix_micros(i64::MIN);
        Self {
            plan,
            day: Room { ends: never, left: None },
            four_hour: Room { ends: never, left: None },
            month: plan.month_cap().map(|cap| cap.0),
            charged: NanoUsd::ZERO,
            days: BTreeSet::new(),
            four_hours: BTreeSet::new(),
            month_used_up: false,
        }
    }

    fn hour(&mut self, hour: &HourUse, worth: NanoUsd) {
        if hour.from >= self.day.ends {
            let left = self.plan.day_quota().map(|MilliUnits(units)| units);
            self.day = Room { ends: next_day_reset(hour.from), left };
        }
        if hour.from >= self.four_hour.ends {
            let left = self.plan.four_hour_cap().map(|cap| cap.0);
            self.four_hour = Room { ends: four_hour_window(hour.from).1, left };
        }
        let (worth, units) = (worth.0.max(0), milli_units(hour.requests));
        let by_units = match self.day.left {
            Some(0) => 0,
            Some(left) if left < units => scale(worth, left, units),
            _ => worth,
        };
        let dollars = |left: Option<i64>| left.unwrap_or(i64::MAX).max(0);
        let covered =
            worth.min(by_units).min(dollars(self.four_hour.left)).min(dollars(self.month));
        // Calls without worth count their units all the same.
        let covered_units = if worth == 0 { units } else { scale(units, covered, worth) };
        self.note_shortage(worth, units, hour.from);
        for (left, used) in [
            (&mut self.day.left, covered_units),
            (&mut self.four_hour.left, covered),
            (&mut self.month, covered),
        ] {
            if let Some(left) = left {
                *left = left.saturating_sub(used).max(0);
            }
        }
        self.charged = self.charged.plus(NanoUsd(worth - covered));
    }

    /// Which windows have no room for all of it. Pay-as-you-go has none that could be used up.
    fn note_shortage(&mut self, worth: i64, units: i64, from: Wall) {
        if self.plan == Plan::PayAsYouGo {
            return;
        }
        let is_short = |left: Option<i64>, wanted: i64| left.is_some_and(|left| left < wanted);
        if is_short(self.day.left, units) {
            self.days.insert(next_day_reset(from));
        }
        if is_short(self.four_hour.left, worth) {
            self.four_hours.insert(self.four_hour.ends);
        }
        self.month_used_up |= is_short(self.month, worth);
    }

    fn used_up(&self) -> UsedUp {
        UsedUp {
            days: self.days.len(),
            four_hours: self.four_hours.len(),
            month: self.month_used_up,
        }
    }
}

fn milli_units(requests: u64) -> i64 {
    MilliUnits::from_units(i64::try_from(requests).unwrap_or(i64::MAX)).0
}

/// `amount * part / whole`, rounded down.
fn scale(amount: i64, part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let scaled = i128::from(amount) * i128::from(part.max(0)) / i128::from(whole);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-09-01T00:00:00Z.
    const MIDNIGHT: i64 = 1_788_220_800;

    fn hour(number: i64, requests: u64, cents: i64) -> HourUse {
        HourUse {
            from: Wall::from_unix_seconds(MIDNIGHT + number * 3_600),
            requests,
            worth: UsdSpan::exactly(NanoUsd::from_cents(cents)),
        }
    }

    fn cost(hours: &[HourUse], plan: Plan) -> PlanCost {
        plan_cost(hours, plan)
    }

    fn cents(amount: NanoUsd) -> i64 {
        amount.0 / 10_000_000
    }

    #[test]
    fn no_use_costs_the_price() {
        for plan in [Plan::PayAsYouGo, Plan::Base, Plan::Plus, Plan::Pro] {
            let total = cost(&[], plan).total();
            assert_eq!(total.most, plan.monthly_price().unwrap_or(NanoUsd::ZERO));
        }
        let costs = plan_costs(&[], Some(Plan::Pro));
        assert_eq!(cheapest(&costs, Some(Plan::Pro)), Some(Best::Sure(Plan::PayAsYouGo)));
    }

    #[test]
    fn pay_as_you_go_pays_for_everything() {
        let hours = [hour(0, 10, 250), hour(30, 1, 1)];
        let cost = cost(&hours, Plan::PayAsYouGo);
        assert_eq!(cents(cost.total().most), 251);
        assert_eq!(cost.used_up, UsedUp::default(), "there is no window to use up");
    }

    #[test]
    fn a_four_hour_window_covers_up_to_its_cap_and_turns_on_its_hour() {
        // Base: $1.25 in four hours. Hours 3 and 4 lie in two windows.
        let cost = cost(&[hour(2, 1, 100), hour(3, 1, 100), hour(4, 1, 100)], Plan::Base);
        assert_eq!(cents(cost.on_top.most), 75);
        assert_eq!(cost.used_up, UsedUp { days: 0, four_hours: 1, month: false });
    }

    #[test]
    fn a_day_covers_its_units_and_turns_at_midnight() {
        // Base: 300 a day. 400 requests at one cent: 100 are over.
        let cost = cost(&[hour(20, 200, 20), hour(23, 200, 20), hour(24, 200, 20)], Plan::Base);
        assert_eq!(cents(cost.on_top.most), 10);
        assert_eq!(cost.used_up, UsedUp { days: 1, four_hours: 0, month: false });
    }

    #[test]
    fn the_month_ends_what_the_other_windows_would_cover() {
        // Base: $15 a month; $1 in each 4-hour window of 20.
        let hours: Vec<HourUse> = (0..20).map(|window| hour(window * 4, 1, 100)).collect();
        let base = cost(&hours, Plan::Base);
        assert_eq!(cents(base.on_top.most), 500);
        assert!(base.used_up.month);
        assert_eq!(cents(cost(&hours, Plan::CustomBase).on_top.most), 0, "no cap of a month");
    }

    #[test]
    fn what_is_not_covered_takes_nothing_from_the_other_windows() {
        // $9 in one hour on Pro: $8.33 are covered; the day loses only what that is of the requests.
        let mut replay = Replay::of(Plan::Pro);
        replay.hour(&hour(0, 900, 900), NanoUsd::from_cents(900));
        assert_eq!(replay.month, Some(100_000_000_000 - 8_333_333_333));
        assert_eq!(replay.day.left, Some(5_000_000 - 833_333));
    }

    #[test]
    fn the_best_is_sure_only_if_caches_do_not_matter() {
        let spread = |least, most| HourUse {
            worth: UsdSpan { least: NanoUsd::from_cents(least), most: NanoUsd::from_cents(most) },
            ..hour(0, 1, 0)
        };
        // Over many 4-hour windows, so that only the price of the plan counts.
        let month = |least, most| -> Vec<HourUse> {
            (0..20)
                .map(|window| HourUse { from: hour(window * 4, 0, 0).from, ..spread(least, most) })
                .collect()
        };
        let best = |hours: &[HourUse]| cheapest(&plan_costs(hours, None), None);
        assert_eq!(best(&month(10, 20)), Some(Best::Sure(Plan::PayAsYouGo)));
        assert_eq!(best(&month(60, 100)), Some(Best::Sure(Plan::Plus)));
        assert_eq!(
            best(&month(20, 100)),
            Some(Best::Depends { at_most: Plan::Plus, at_least: Plan::PayAsYouGo })
        );
    }

    #[test]
    fn of_plans_at_one_price_the_account_s_own_wins_and_base_is_never_the_best() {
        let hours = [hour(0, 1, 1_000)];
        // $10 pay-as-you-go; Plus: $10 + $5.83.
        let costs = plan_costs(&hours, Some(Plan::PayAsYouGo));
        assert_eq!(cheapest(&costs, Some(Plan::PayAsYouGo)), Some(Best::Sure(Plan::PayAsYouGo)));
        let many: Vec<HourUse> = (0..10).map(|window| hour(window * 4, 1, 100)).collect();
        for current in [Plan::PayAsYouGo, Plan::Plus] {
            assert_eq!(
                cheapest(&plan_costs(&many, Some(current)), Some(current)),
                Some(Best::Sure(current))
            );
        }
        let costs = plan_costs(&many, Some(Plan::Base));
        assert_eq!(cost(&many, Plan::Base).total().most, NanoUsd::from_cents(300));
        assert_eq!(cheapest(&costs, Some(Plan::Base)), Some(Best::Sure(Plan::PayAsYouGo)));
    }

    #[test]
    fn an_own_plan_by_arrangement_is_compared_too() {
        let plans = |current| -> Vec<Plan> {
            plan_costs(&[], current).into_iter().map(|cost| cost.plan).collect()
        };
        assert_eq!(plans(Some(Plan::CustomPro)).last(), Some(&Plan::CustomPro));
        assert_eq!(plans(Some(Plan::Legacy)).last(), Some(&Plan::Legacy));
        assert_eq!(plans(Some(Plan::Pro)).len(), 4);
        assert_eq!(plans(Some(Plan::Other(1_000))).len(), 4, "nobody knows its price");
    }

    #[test]
    fn cheap_calls_may_take_the_units_of_dear_ones() {
        // Plus refuses the third and fourth hour most of their dollars, and so keeps units for the fifth.
        let used = [(0, 142), (0, 229), (2_098, 79), (2_241, 1), (1_897, 516)];
        let hours: Vec<HourUse> = (0..)
            .zip(used)
            .map(|(number, (requests, cents))| hour(number, requests, cents))
            .collect();
        assert_eq!(cents(cost(&hours, Plan::Plus).on_top.most), 336);
        assert_eq!(cents(cost(&hours, Plan::Pro).on_top.most), 336);
        assert!(cost(&hours, Plan::Pro).on_top.most > cost(&hours, Plan::Plus).on_top.most);
    }

    proptest! {
        /// No dollar is created or lost: what is worth something is covered or charged, and no window covers more than
        /// its cap.
        #[test]
        fn every_dollar_is_covered_or_charged(
            hours in proptest::collection::vec((0_u64..3_000, 0_i64..2_000), 0..200),
            plan in proptest::sample::select(vec![Plan::PayAsYouGo, Plan::Base, Plan::Plus, Plan::Pro, Plan::CustomPlus, Plan::Legacy])
        ) {
            let mut replay = Replay::of(plan);
            let mut worth = 0;
            let mut covered_in_window = 0;
            for (number, (requests, cents)) in (0_i64..).zip(hours) {
                let hour = hour(number, requests, cents);
                if number % 4 == 0 {
                    covered_in_window = 0;
                }
                let before = replay.charged;
                replay.hour(&hour, hour.worth.most);
                let charged = replay.charged.0 - before.0;
                prop_assert!((0..=hour.worth.most.0).contains(&charged));
                covered_in_window += hour.worth.most.0 - charged;
                prop_assert!(plan.four_hour_cap().is_none_or(|cap| covered_in_window <= cap.0));
                worth += hour.worth.most.0;
            }
            let covered = worth - replay.charged.0;
            prop_assert!(plan.month_cap().is_none_or(|cap| covered <= cap.0));
            prop_assert!(plan != Plan::PayAsYouGo || covered == 0);
        }

        /// A larger plan never charges more on top, as long as request units do not bind: where they do, a larger 4-hour
        /// cap may let cheap calls take the units that a dear one would have needed later.
        #[test]
        fn a_larger_plan_covers_more(
            hours in proptest::collection::vec((0_u64..=12, 0_i64..2_000), 0..200)
        ) {
            let hours: Vec<HourUse> = (0_i64..)
                .zip(hours)
                .map(|(number, (requests, cents))| hour(number, requests, cents))
                .collect();
            let on_top = |plan| cost(&hours, plan).on_top.most;
            prop_assert!(on_top(Plan::Pro) <= on_top(Plan::Plus));
            prop_assert!(on_top(Plan::Plus) <= on_top(Plan::Base));
            prop_assert!(on_top(Plan::Base) <= on_top(Plan::PayAsYouGo));
        }
    }
}
