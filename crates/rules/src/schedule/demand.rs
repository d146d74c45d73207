//! Whether what somebody needs fits an account, now or ever.

use crate::quota::{
    AccountSnapshot, CallCost, Missing, Payer, Shortage, SpendingPolicy, Verdict, Window,
    WindowKind, fit_calls, may_spend,
};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};

/// What has to be free before work starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Room for a call.
    OneCall,
    /// Room for so many calls at once.
    Calls {
        /// How many.
        count: u64,
        /// What one costs.
        cost: CallCost,
        /// The chute they go to, which may have an own quota.
        chute_id: Option<String>,
    },
    /// Room for so many dollars at list price in every window that is counted in dollars, or of the balance.
    Usd(NanoUsd),
}

/// How a demand fits an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitting {
    /// It does.
    Fits,
    /// Not yet: this window is in the way.
    NotYet(WindowKind),
    /// Not yet, and no window that turns would help: the balance is too low.
    NeedsMoney,
    /// Not even into windows that are empty.
    Never {
        /// How many calls, or billionths of a dollar, would fit at most.
        most: u64,
        /// The window that is too small.
        window: Option<WindowKind>,
    },
    /// The balance pays, so what a call costs has to be told.
    NeedsPrice,
    /// It is not known.
    Unknown(Missing),
}

// === impl Demand ===

impl Demand {
    const fn chute_id(&self) -> Option<&String> {
        match self {
            Self::Calls { chute_id, .. } => chute_id.as_ref(),
            Self::OneCall | Self::Usd(_) => None,
        }
    }
}

/// Whether the demand fits the account at `now`.
#[must_use]
pub fn fits(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    demand: &Demand,
    now: Wall,
) -> Fitting {
    let chute_id = demand.chute_id().map(String::as_str);
    let verdict = may_spend(account, policy, chute_id, now);
    if let Verdict::Unknown(missing) = verdict {
        return Fitting::Unknown(missing);
    }
    let short = match short(account, policy, demand, now) {
        Ok(short) => short,
        Err(fitting) => return fitting,
    };
    if matches!((verdict, &short), (Verdict::Yes(_), None)) {
        return Fitting::Fits;
    }
    let empty = emptied(account);
    if let Ok(Some(Short { window, most })) = self::short(&empty, policy, demand, now)
        && window.is_some()
    {
        // Where the balance may pay, money would help.
        return match policy.allows_paygo(account.plan) {
            Some(true) => Fitting::NeedsMoney,
            _ => Fitting::Never { most, window },
        };
    }
    match (verdict, short) {
        (Verdict::No { shortage, .. }, _) => match shortage {
            Shortage::PaygoNotAllowed(kind)
            | Shortage::WindowUsedUp(kind)
            | Shortage::DailyBoundReached(kind)
            | Shortage::KeptForInteractive(kind) => Fitting::NotYet(kind),
            Shortage::BalanceTooLow => Fitting::NeedsMoney,
        },
        (_, Some(Short { window: Some(kind), .. })) => Fitting::NotYet(kind),
        _ => Fitting::NeedsMoney,
    }
}

/// What falls short of a demand.
struct Short {
    window: Option<WindowKind>,
    /// What fits instead: calls, or billionths of a dollar.
    most: u64,
}

/// What is short now, if something is; as an error where that cannot be said.
fn short(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    demand: &Demand,
    now: Wall,
) -> Result<Option<Short>, Fitting> {
    let (cost, count, chute_id) = match demand {
        Demand::OneCall => return Ok(None),
        Demand::Calls { count, cost, chute_id } => (*cost, *count, chute_id.as_deref()),
        // The least of a unit, since dollars find no room on a day that has none.
        Demand::Usd(dollars) => {
            let whole = CallCost { units: MilliUnits(1), usd: Some(*dollars) };
            (whole, 1, None)
        }
    };
    let pays = may_spend(account, policy, chute_id, now);
    if pays == Verdict::Yes(Payer::Balance) && cost.usd.is_none() {
        return Err(Fitting::NeedsPrice);
    }
    let fit = fit_calls(account, policy, chute_id, cost, count, now);
    match fit.now {
        None => Err(match pays {
            Verdict::Unknown(missing) => Fitting::Unknown(missing),
            Verdict::Yes(_) | Verdict::No { .. } => Fitting::NeedsPrice,
        }),
        Some(fitting) if fitting >= count => Ok(None),
        Some(fitting) => {
            let most = match demand {
                Demand::Usd(_) => most_dollars(account, policy, now),
                Demand::OneCall | Demand::Calls { .. } => fitting,
            };
            Ok(Some(Short { window: fit.short, most }))
        }
    }
}

/// How many billionths of a dollar the tightest window has room for.
fn most_dollars(account: &AccountSnapshot, policy: &SpendingPolicy, now: Wall) -> u64 {
    let least = CallCost { units: MilliUnits(0), usd: Some(NanoUsd(1)) };
    fit_calls(account, policy, None, least, u64::MAX / 2, now).now.unwrap_or(0)
}

/// The account as it would be if nobody had used it.
fn emptied(account: &AccountSnapshot) -> AccountSnapshot {
    let empty = |window: &mut Window| window.used = window.used.map(|_| 0);
    let mut account = account.clone();
    account.windows.iter_mut().for_each(empty);
    account.chute_windows.iter_mut().for_each(|(_, window)| empty(window));
    account
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::quota::{AccountSnapshot, Cap, Paygo, Plan, Readable, Source, Unit};
    use std::time::Duration;

    pub(in crate::schedule) const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z

    /// A Pro account read at noon, with so many units, nano-dollars of the 4-hour window and of the month used.
    pub(in crate::schedule) fn pro(day: i64, four_hour: i64, month: i64) -> AccountSnapshot {
        let window = |kind, unit, used, cap, resets_in| Window {
            kind,
            unit,
            used: Some(used),
            cap: Cap::Limited(cap),
            resets_at: Some(NOON.after(Duration::from_secs(resets_in))),
            as_of: NOON,
            source: Source::Server,
        };
        AccountSnapshot {
            plan: Some(Plan::Pro),
            windows: vec![
                window(WindowKind::Day, Unit::Requests, day, 5_000_000, 43_200),
                window(WindowKind::FourHour, Unit::Usd, four_hour, 8_333_333_333, 14_400),
                window(WindowKind::Month, Unit::Usd, month, 100_000_000_000, 864_000),
            ],
            balance: None,
            ..AccountSnapshot::unknown(Readable::Yes, NOON)
        }
    }

    pub(in crate::schedule) fn exact() -> SpendingPolicy {
        SpendingPolicy { margin_permille: 0, ..SpendingPolicy::default() }
    }

    fn cents(count: u64, cents: i64) -> Demand {
        let cost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(cents)) };
        Demand::Calls { count, cost, chute_id: None }
    }

    fn fitting(account: &AccountSnapshot, demand: &Demand) -> Fitting {
        fits(account, &exact(), demand, NOON)
    }

    #[test]
    fn calls_fit_at_once_or_wait_for_the_window_that_is_short() {
        let account = pro(0, 8_000_000_000, 0);
        assert_eq!(fitting(&account, &Demand::OneCall), Fitting::Fits);
        assert_eq!(fitting(&account, &cents(33, 1)), Fitting::Fits);
        assert_eq!(fitting(&account, &cents(34, 1)), Fitting::NotYet(WindowKind::FourHour));
        assert_eq!(fitting(&pro(4_990_000, 0, 0), &cents(11, 1)), Fitting::NotYet(WindowKind::Day));
    }

    #[test]
    fn what_is_larger_than_a_whole_window_never_fits() {
        let never = Fitting::Never { most: 833, window: Some(WindowKind::FourHour) };
        assert_eq!(fitting(&pro(0, 0, 0), &cents(834, 1)), never);
        assert_eq!(fitting(&pro(0, 9_000_000_000, 0), &cents(834, 1)), never, "used up as well");
        let dollars = |dollars: i64| Demand::Usd(NanoUsd::from_cents(dollars * 100));
        assert_eq!(fitting(&pro(0, 0, 0), &dollars(8)), Fitting::Fits);
        assert_eq!(
            fitting(&pro(0, 0, 0), &dollars(9)),
            Fitting::Never { most: 8_333_333_333, window: Some(WindowKind::FourHour) }
        );
        assert_eq!(
            fitting(&pro(0, 0, 99_000_000_000), &dollars(2)),
            Fitting::NotYet(WindowKind::Month)
        );
    }

    #[test]
    fn dollars_need_a_day_with_room_too() {
        let used_up = pro(5_000_000, 0, 0);
        let dollar = Demand::Usd(NanoUsd::from_cents(100));
        assert_eq!(fitting(&used_up, &dollar), Fitting::NotYet(WindowKind::Day));
    }

    #[test]
    fn the_balance_has_to_be_large_enough_where_it_pays() {
        let mut account = pro(0, 0, 0);
        account.plan = Some(Plan::PayAsYouGo);
        account.windows.truncate(1);
        account.windows[0].cap = Cap::Limited(0);
        account.balance = Some(NanoUsd::from_cents(105));
        assert_eq!(fitting(&account, &cents(100, 1)), Fitting::Fits);
        assert_eq!(fitting(&account, &Demand::Usd(NanoUsd::from_cents(100))), Fitting::Fits);
        let unpriced = Demand::Calls {
            count: 1,
            cost: CallCost { units: MilliUnits::ONE, usd: None },
            chute_id: None,
        };
        assert_eq!(fitting(&account, &unpriced), Fitting::NeedsPrice);
        for too_much in [cents(101, 1), Demand::Usd(NanoUsd::from_cents(101))] {
            assert_eq!(fitting(&account, &too_much), Fitting::NeedsMoney, "{too_much:?}");
        }
        account.balance = Some(NanoUsd::ZERO);
        assert_eq!(fitting(&account, &Demand::OneCall), Fitting::NeedsMoney);
    }

    #[test]
    fn where_the_balance_may_pay_it_pays_for_the_rest() {
        let mut account = pro(0, 8_000_000_000, 0);
        account.balance = Some(NanoUsd::from_cents(505));
        let allow = SpendingPolicy { paygo: Paygo::Allow, ..exact() };
        assert_eq!(fits(&account, &allow, &cents(500, 1), NOON), Fitting::Fits);
    }

    #[test]
    fn unknown_is_unknown() {
        let failed = AccountSnapshot::unknown(Readable::Failed, NOON);
        assert_eq!(fitting(&failed, &cents(1, 1)), Fitting::Unknown(Missing::Failed));
    }
}
