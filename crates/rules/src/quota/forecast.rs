//! How many calls of a size fit, now and later.

use super::account::AccountSnapshot;
use super::outlook::{Limit, Outlook, Pace, Slice};
use super::policy::SpendingPolicy;
use super::window::{Cap, Unit, WindowKind};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd, scaled};
use std::time::Duration;

/// What one call takes from the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCost {
    /// From windows counted in request units.
    pub units: MilliUnits,
    /// From windows counted in dollars, and from the balance; `None` if the model has no known price.
    pub usd: Option<NanoUsd>,
}

impl CallCost {
    /// What it takes from the windows as a repeat: a tenth, rounded up (`chutes/api.md` 5.5). The balance pays all of it.
    #[must_use]
    pub fn of_repeat(self) -> Self {
        let tenth = |amount: i64| scaled(amount, 1, 10);
        Self {
            units: MilliUnits(tenth(self.units.0)),
            usd: self.usd.map(|usd| NanoUsd(tenth(usd.0))),
        }
    }
}

/// How a batch of calls fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// How many fit now, at most as many as were asked for; `None` if that is not known.
    pub now: Option<u64>,
    /// The window that is short, if one is.
    pub short: Option<WindowKind>,
    /// When the last of them would fit, if all go as early as the windows let them. `None` if they all fit now,
    /// if it is not known, or if they do not fit within [`HORIZON_DAYS`](super::HORIZON_DAYS).
    pub all_by: Option<Wall>,
    /// Whether that moment waits for Chutes to bill the month, which may be later than its date.
    pub waits_for_billing: bool,
    /// Windows counted in dollars that the answer leaves out, because the call has no known price.
    pub uncounted: Vec<WindowKind>,
}

/// A part of a batch in one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The slice.
    pub slice: Slice,
    /// So many calls of the batch go in it.
    pub calls: u64,
}

// === impl Fit ===

impl Fit {
    /// Nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            now: None,
            short: None,
            all_by: None,
            waits_for_billing: false,
            uncounted: Vec::new(),
        }
    }
}

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
    let mut fit = Fit::unknown();
    let Some(outlook) = Outlook::new(account, policy, chute_id, cost, now) else { return fit };
    fit.uncounted = uncounted(account, chute_id, cost, now);
    let mut left = calls;
    for slice in outlook {
        if fit.now.is_none() {
            fit.now = Some(slice.fits.min(calls));
            fit.short = match slice.short {
                Some(Limit::Window(kind)) if slice.fits < calls => Some(kind),
                Some(Limit::Balance) if slice.fits < calls => short_of_nothing(account, now),
                _ => None,
            };
        }
        left = left.saturating_sub(slice.fits);
        if left == 0 {
            if slice.from > now {
                fit.all_by = Some(slice.from);
                fit.waits_for_billing = slice.waits_for_billing;
            }
            break;
        }
    }
    fit
}

/// How a batch spreads over the slices ahead, each filled as early as it can be: all of it, or what fits within the
/// horizon.
#[must_use]
pub fn spread(outlook: Outlook, calls: u64) -> Vec<Portion> {
    let mut left = calls;
    let mut portions = Vec::new();
    for slice in outlook {
        let taken = slice.fits.min(left);
        left -= taken;
        if taken > 0 {
            portions.push(Portion { slice, calls: taken });
        }
        if left == 0 {
            break;
        }
    }
    portions
}

/// When the last of `calls` calls would have fitted on these accounts together, each slice of each filled as early as
/// it can be, and whether that waits for a month to be billed. `None` if not within the horizon.
#[must_use]
pub fn all_fit_by(outlooks: Vec<Outlook>, calls: u64) -> Option<(Wall, bool)> {
    let mut slices: Vec<Slice> = outlooks.into_iter().flatten().collect();
    slices.sort_by_key(|slice| slice.from);
    let (mut left, mut waits) = (calls, false);
    for slice in slices {
        left = left.saturating_sub(slice.fits);
        waits |= slice.waits_for_billing && slice.fits > 0;
        if left == 0 {
            return Some((slice.from, waits));
        }
    }
    None
}

/// When a batch of `calls` would end on these accounts together, each at this pace, if it begins now and takes what the
/// windows let it have. `None` if not within the horizon.
#[must_use]
pub fn ends_at(outlooks: Vec<Outlook>, pace: Pace, calls: u64) -> Option<Wall> {
    let slices: Vec<Slice> =
        outlooks.into_iter().flat_map(|outlook| outlook.at_pace(Some(pace))).collect();
    let done_by = |moment: Wall| {
        let begun = slices.iter().filter(|slice| slice.from <= moment);
        let done = begun.map(|slice| slice.fits.min(pace.rounds_within(moment.since(slice.from))));
        done.fold(0_u64, u64::saturating_add)
    };
    let mut latest = slices.iter().map(|slice| slice.from).max()?;
    latest = latest.after(pace.time_for(calls));
    let mut earliest = slices.iter().map(|slice| slice.from).min()?;
    if done_by(latest) < calls {
        return None;
    }
    // What is done only grows with time: halves what is between until a second is left.
    while latest.since(earliest) > A_SECOND {
        let middle = earliest.after(latest.since(earliest) / 2);
        if done_by(middle) >= calls { latest = middle } else { earliest = middle }
    }
    Some(latest)
}

const A_SECOND: Duration = Duration::from_secs(1);

/// The window that would have to cover the calls that the balance pays for.
fn short_of_nothing(account: &AccountSnapshot, now: Wall) -> Option<WindowKind> {
    let windows = account.windows_at(None, now);
    windows.iter().find(|window| window.cap == Cap::Limited(0)).map(|window| window.kind)
}

fn uncounted(
    account: &AccountSnapshot,
    chute_id: Option<&str>,
    cost: CallCost,
    now: Wall,
) -> Vec<WindowKind> {
    let windows = account.windows_at(chute_id, now);
    let is_left_out = |window: &&super::window::Window| {
        window.unit == Unit::Usd
            && cost.usd.is_none()
            && window.cap != Cap::Uncapped
            && window.remaining() != Some(0)
    };
    windows.iter().filter(is_left_out).map(|window| window.kind).collect()
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
        reserve_permille: 0,
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
