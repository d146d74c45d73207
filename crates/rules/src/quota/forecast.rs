//! How many calls of a size fit, now and later.

use super::account::{AccountSnapshot, Payer, SpendingPolicy, Verdict, may_spend};
use super::calendar::{four_hour_window, month_window, next_day_reset};
use super::plan::Plan;
use super::window::{Cap, Unit, Window, WindowKind};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};

/// What one call takes from the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCost {
    /// From windows counted in request units.
    pub units: MilliUnits,
    /// From windows counted in dollars, and from the balance; `None` if the model has no known price.
    pub usd: Option<NanoUsd>,
}

/// How a batch of calls fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// How many fit now, at most as many as were asked for; `None` if that is not known.
    pub now: Option<u64>,
    /// The window that is short, if one is.
    pub short: Option<WindowKind>,
    /// When the last of them would fit, if all go as early as the windows let them. `None` if they all fit now,
    /// if it is not known, or if they do not fit within [`HORIZON_DAYS`].
    pub all_by: Option<Wall>,
    /// Windows counted in dollars that the answer leaves out, because the call has no known price.
    pub uncounted: Vec<WindowKind>,
}

/// How far ahead [`fit_calls`] looks, in days.
pub const HORIZON_DAYS: u64 = 62;

/// How many of `calls` calls at `cost` fit on the account, now and over the next windows.
#[must_use]
pub fn fit_calls(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    chute_id: Option<&str>,
    cost: CallCost,
    calls: u64,
    now: Wall,
) -> Fit {
    let mut fit = Fit { now: None, short: None, all_by: None, uncounted: Vec::new() };
    match may_spend(account, policy, chute_id, now) {
        Verdict::Unknown(_) => return fit,
        Verdict::Yes(Payer::Unlimited) => {
            fit.now = Some(calls);
            return fit;
        }
        Verdict::Yes(_) | Verdict::No { .. } => {}
    }
    let windows = account.windows_at(chute_id, now);
    fit.uncounted = windows
        .iter()
        .filter(|window| window.unit == Unit::Usd && cost.usd.is_none())
        .filter(|window| window.cap != Cap::Uncapped && window.remaining() != Some(0))
        .map(|window| window.kind)
        .collect();
    let by_balance = balance_calls(account, policy, cost);
    let mut meters: Vec<Meter> = windows
        .iter()
        .filter_map(|window| Meter::new(window, cost, policy, account.plan))
        .collect();
    let shortest = meters.iter().min_by_key(|meter| meter.calls_left());
    let covered = shortest.map_or(u64::MAX, Meter::calls_left);
    let total = covered.saturating_add(by_balance);
    fit.now = Some(total.min(calls));
    if total >= calls {
        return fit;
    }
    fit.short = shortest.map(|meter| meter.kind);
    fit.all_by = when_done(&mut meters, calls - by_balance, now);
    fit
}

/// Calls that the balance may pay for.
fn balance_calls(account: &AccountSnapshot, policy: &SpendingPolicy, cost: CallCost) -> u64 {
    let allowed = policy.allows_paygo(account.plan) == Some(true);
    let (Some(NanoUsd(balance)), Some(NanoUsd(price)), true) = (account.balance, cost.usd, allowed)
    else {
        return 0;
    };
    let spendable = balance.saturating_sub(policy.min_balance.0.max(0)).max(0);
    if price <= 0 { u64::MAX } else { u64::try_from(spendable / price).unwrap_or(0) }
}

/// The earliest turn of a window by which `calls` calls have fitted, each window filled as soon as it opens.
fn when_done(meters: &mut [Meter], calls: u64, now: Wall) -> Option<Wall> {
    let horizon = now.after(std::time::Duration::from_secs(HORIZON_DAYS * 86_400));
    let mut left = calls;
    let mut moment = now;
    loop {
        let batch = meters.iter().map(Meter::calls_left).min()?.min(left);
        meters.iter_mut().for_each(|meter| meter.take(batch));
        left -= batch;
        if left == 0 {
            return Some(moment);
        }
        moment = meters.iter().filter_map(|meter| meter.turns_at).min()?;
        if moment > horizon {
            return None;
        }
        meters.iter_mut().for_each(|meter| meter.roll(moment));
    }
}

/// A limited window as the forecast steps through it.
struct Meter {
    kind: WindowKind,
    cap: i64,
    left: i64,
    per_call: i64,
    turns_at: Option<Wall>,
}

// === impl Meter ===

impl Meter {
    /// `None` where the window does not limit a call of that cost, or cannot be counted.
    fn new(
        window: &Window,
        cost: CallCost,
        policy: &SpendingPolicy,
        plan: Option<Plan>,
    ) -> Option<Self> {
        let (Cap::Limited(cap), Some(left)) = (window.cap, window.remaining()) else { return None };
        let kept = policy.kept(cap, plan);
        let (cap, left) = (cap.saturating_sub(kept), left.saturating_sub(kept).max(0));
        let per_call = match window.unit {
            Unit::Requests => cost.units.0,
            Unit::Usd => match cost.usd {
                Some(usd) => usd.0,
                // Nothing fits into a window that is used up, whatever it would cost.
                None if left == 0 => 1,
                None => return None,
            },
        };
        (per_call > 0).then_some(Self {
            kind: window.kind,
            cap,
            left,
            per_call,
            turns_at: window.resets_at,
        })
    }

    fn calls_left(&self) -> u64 {
        // A call is covered while any room is left when it starts (chutes/api.md 5.3), but a plan that leans on
        // that overshoot is no plan.
        u64::try_from(self.left / self.per_call).unwrap_or(0)
    }

    fn take(&mut self, calls: u64) {
        let taken =
            i64::try_from(i128::from(self.per_call) * i128::from(calls)).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(taken);
    }

    fn roll(&mut self, moment: Wall) {
        if self.turns_at != Some(moment) {
            return;
        }
        self.left = self.cap;
        self.turns_at = match self.kind {
            WindowKind::Day | WindowKind::Chute => Some(next_day_reset(moment)),
            WindowKind::FourHour => Some(four_hour_window(moment).1),
            WindowKind::Month => month_window(moment).map(|(_, end)| end),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{NOON, pro, window};
    use super::*;
    use crate::quota::{Paygo, Plan, Readable};
    use proptest::prelude::*;

    const CALL: CallCost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd(10_000_000)) };

    fn hours(hours: u64) -> Option<Wall> {
        Some(NOON.after(std::time::Duration::from_secs(hours * 3_600)))
    }

    /// Without anything kept for others, so that the sums are round.
    const EXACT: SpendingPolicy = SpendingPolicy {
        paygo: Paygo::ByPlan,
        min_balance: NanoUsd::ZERO,
        margin_permille: 0,
        require_balance: false,
    };

    fn fit(account: &AccountSnapshot, calls: u64) -> Fit {
        fit_calls(account, &EXACT, None, CALL, calls, NOON)
    }

    #[test]
    fn what_is_kept_for_others_is_kept_in_every_window() {
        let policy = SpendingPolicy::default();
        let fit = fit_calls(&pro(0, 0, 0, None), &policy, None, CALL, 1_640, NOON);
        assert_eq!((fit.now, fit.all_by), (Some(823), hours(4)));
        let allow = SpendingPolicy { paygo: Paygo::Allow, ..policy };
        assert_eq!(fit_calls(&pro(0, 0, 0, None), &allow, None, CALL, 833, NOON).now, Some(833));
    }

    #[test]
    fn the_shortest_window_decides() {
        // 833 calls of one cent fit the 4-hour cap of $8.33.
        let account = pro(0, 0, 0, None);
        assert_eq!(fit(&account, 833).now, Some(833));
        let more = fit(&account, 834);
        assert_eq!(
            (more.now, more.short, more.all_by),
            (Some(833), Some(WindowKind::FourHour), hours(4))
        );
        assert_eq!(fit(&account, 2_000).all_by, hours(8));
    }

    #[test]
    fn a_long_batch_meets_every_window() {
        // Five windows of 833 make 4,165 by the evening; the day quota of 5,000 units is not the limit, the
        // month of $100 (10,000 calls) is, and it turns in ten days.
        let account = pro(0, 0, 0, None);
        let long = fit(&account, 10_001);
        assert_eq!(long.all_by, hours(240));
    }

    #[test]
    fn the_balance_pays_for_the_rest_where_it_may() {
        let account = pro(0, 8_333_333_333, 0, Some(NanoUsd::from_cents(505)));
        let allow = SpendingPolicy { paygo: Paygo::Allow, ..SpendingPolicy::default() };
        assert_eq!(fit(&account, 10).now, Some(0));
        let paid = fit_calls(&account, &allow, None, CALL, 10_000, NOON);
        assert_eq!(paid.now, Some(500));
    }

    #[test]
    fn pay_as_you_go_without_money_never_fits() {
        let mut account = pro(0, 0, 0, Some(NanoUsd::ZERO));
        account.plan = Some(Plan::PayAsYouGo);
        account.windows = vec![window(WindowKind::Day, 0, 0)];
        let none = fit(&account, 1);
        assert_eq!((none.now, none.all_by), (Some(0), None));
    }

    #[test]
    fn a_model_without_a_price_is_counted_in_units_and_says_so() {
        let unpriced = CallCost { usd: None, ..CALL };
        let fit = fit_calls(&pro(0, 0, 0, None), &EXACT, None, unpriced, 5_001, NOON);
        assert_eq!((fit.now, fit.short), (Some(5_000), Some(WindowKind::Day)));
        assert_eq!(fit.uncounted, [WindowKind::FourHour, WindowKind::Month]);
        // Into a window that is used up nothing fits, whatever it would cost.
        let full = pro(0, 8_333_333_333, 0, None);
        let none = fit_calls(&full, &EXACT, None, unpriced, 1, NOON);
        assert_eq!((none.now, none.short), (Some(0), Some(WindowKind::FourHour)));
    }

    #[test]
    fn unknown_stays_unknown() {
        let account = AccountSnapshot::unknown(Readable::Failed, NOON);
        assert_eq!(fit(&account, 1).now, None);
    }

    proptest! {
        #[test]
        fn nothing_fits_twice(day in 0_i64..6_000_000, four_hour in 0_i64..9_000_000_000, calls in 1_u64..30_000) {
            let account = pro(day, four_hour, 0, None);
            let first = fit(&account, calls);
            let now = first.now.unwrap();
            prop_assert!(now <= calls);
            prop_assert!(now as i64 * 1_000 <= (5_000_000 - day).max(0));
            prop_assert!(now as i64 * 10_000_000 <= (8_333_333_333 - four_hour).max(0));
            prop_assert_eq!(first.all_by.is_none(), now == calls);
            if let Some(by) = first.all_by {
                prop_assert!(by > NOON);
                prop_assert!(fit(&account, calls + 1).all_by.unwrap() >= by);
            }
        }
    }
}
