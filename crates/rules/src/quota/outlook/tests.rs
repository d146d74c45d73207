use super::super::account::tests::{NOON, pro, window};
use super::super::forecast::{all_fit_by, ends_at, spread};
use super::*;
use crate::quota::{Paygo, Plan, Readable};
use crate::units::MilliUnits;
use proptest::prelude::*;

const CENT: i64 = 10_000_000;
const CALL: CallCost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd(CENT)) };

fn exact() -> SpendingPolicy {
    SpendingPolicy { margin_permille: 0, ..SpendingPolicy::default() }
}

fn outlook(account: &AccountSnapshot) -> Option<Outlook> {
    Outlook::new(account, &exact(), None, CALL, NOON)
}

fn hours(hours: u64) -> Wall {
    NOON.after(Duration::from_secs(hours * 3_600))
}

#[test]
fn each_window_is_filled_in_turn_and_says_what_is_short() {
    // Two hours' worth of the 4-hour window are gone, and 1,000 units are left of the day.
    let account = pro(4_000_000, 5_000_000_000, 0, None);
    let slices = outlook(&account).unwrap().slices(4);
    let seen: Vec<_> = slices.iter().map(|slice| (slice.from, slice.fits, slice.short)).collect();
    let four_hour = Some(Limit::Window(WindowKind::FourHour));
    assert_eq!(
        seen,
        [
            (NOON, 333, four_hour),
            (hours(4), 667, Some(Limit::Window(WindowKind::Day))),
            (hours(8), 0, Some(Limit::Window(WindowKind::Day))),
            (hours(12), 833, four_hour),
        ]
    );
    assert_eq!(slices[2].until, Some(hours(12)));
}

#[test]
fn windows_into_which_nothing_fits_are_one() {
    let account = pro(0, 0, 100_000_000_000, None);
    let slices = outlook(&account).unwrap().slices(2);
    assert_eq!((slices[0].fits, slices[0].until), (0, Some(hours(240))));
    assert_eq!((slices[1].fits, slices[1].waits_for_billing), (833, true));
    assert!(!slices[0].waits_for_billing);
}

#[test]
fn a_month_that_is_overdue_is_never_taken_for_turned() {
    let mut account = pro(0, 0, 99_950_000_000, None);
    account.windows[2].resets_at = Some(NOON.before(Duration::from_secs(60)));
    let portions = spread(outlook(&account).unwrap(), 6);
    assert_eq!(portions.iter().map(|portion| portion.calls).sum::<u64>(), 5);
    assert!(outlook(&account).unwrap().all(|slice| slice.from == NOON || slice.fits == 0));
}

#[test]
fn months_are_as_long_as_the_calendar_says() {
    // 2028-01-31T08:00:00Z.
    let start = Wall::from_unix_seconds(1_832_918_400);
    let mut account = pro(0, 0, 0, None);
    account.windows = vec![Window {
        as_of: start,
        resets_at: Some(start),
        ..window(WindowKind::Month, 0, 10 * CENT)
    }];
    let before = start.before(Duration::from_secs(3_600));
    let policy = exact();
    let months: Vec<_> = Outlook::new(&account, &policy, None, CALL, before)
        .unwrap()
        .map(|slice| (slice.from.as_unix_seconds(), slice.fits))
        .collect();
    // 31 January, 29 February, 29 March 2028, each at 08:00.
    let turns = [1_832_918_400, 1_835_424_000, 1_837_929_600].map(|turn| (turn, 10));
    assert_eq!(months[1..], turns);
}

#[test]
fn the_balance_is_spent_once() {
    let account = pro(0, 0, 0, Some(NanoUsd::from_cents(105)));
    let allow = SpendingPolicy { paygo: Paygo::Allow, ..exact() };
    let slices = Outlook::new(&account, &allow, None, CALL, NOON).unwrap().slices(3);
    let seen: Vec<_> = slices.iter().map(|slice| (slice.fits, slice.paid)).collect();
    assert_eq!(seen, [(933, 100), (833, 0), (833, 0)]);
}

#[test]
fn pay_as_you_go_is_short_of_money_and_no_turn_helps() {
    let mut account = pro(0, 0, 0, Some(NanoUsd::from_cents(25)));
    account.plan = Some(Plan::PayAsYouGo);
    account.windows = vec![window(WindowKind::Day, 0, 0)];
    let slices = outlook(&account).unwrap().slices(9);
    assert_eq!((slices[0].fits, slices[0].paid, slices[0].short), (20, 20, Some(Limit::Balance)));
    assert_eq!((slices.len(), slices[1].fits), (2, 0));
}

#[test]
fn an_account_without_limits_has_one_slice() {
    let mut account = pro(0, 0, 0, None);
    account.plan = Some(Plan::Unlimited);
    let slices = outlook(&account).unwrap().slices(5);
    assert_eq!((slices.len(), slices[0].fits, slices[0].until), (1, u64::MAX, None));
    assert!(outlook(&AccountSnapshot::unknown(Readable::Failed, NOON)).is_none());
}

#[test]
fn a_batch_ends_by_its_slots_or_by_its_windows() {
    let pace = Pace { slots: 5, call: Duration::from_secs(30) };
    let one = || vec![outlook(&pro(0, 0, 0, None)).unwrap()];
    let is_about = |end: Option<Wall>, expected: Wall| {
        let end = end.unwrap();
        assert!(end >= expected && end.since(expected).as_secs() < 1, "{end:?} {expected:?}");
    };
    is_about(ends_at(one(), pace, 100), NOON.after(Duration::from_secs(600)));
    is_about(ends_at(one(), pace, 101), NOON.after(Duration::from_secs(630)));
    // 833 fit now, the rest goes from 16:00 on.
    is_about(ends_at(one(), pace, 900), hours(4).after(Duration::from_secs(14 * 30)));
    // Two accounts have twice the slots and the windows.
    let two = || [one(), one()].concat();
    is_about(ends_at(two(), pace, 200), NOON.after(Duration::from_secs(600)));
    assert_eq!(all_fit_by(two(), 1_666), Some((NOON, false)));
    assert_eq!(all_fit_by(two(), 1_667), Some((hours(4), false)));
    assert_eq!(all_fit_by(two(), u64::MAX), None);
    // With slow calls the slots are what is short: 48 in four hours, and the windows never fill.
    let slow = Pace { slots: 1, call: Duration::from_secs(300) };
    is_about(ends_at(one(), slow, 96), hours(8));
    assert_eq!(ends_at(one(), slow, 1_000_000), None);
    let slices = outlook(&pro(0, 0, 0, None)).unwrap().at_pace(Some(slow)).slices(1);
    assert_eq!((slices[0].fits, slices[0].short), (48, Some(Limit::Slots)));
}

proptest! {
    #[test]
    fn no_call_is_lost_or_placed_twice_and_no_window_is_overfilled(
        day in 0_i64..5_500_000,
        four_hour in 0_i64..9_000_000_000,
        month in 0_i64..101_000_000_000,
        price in 1_i64..300_000_000,
        calls in 1_u64..40_000,
        seconds in 0_u64..86_400,
    ) {
        let account = pro(day, four_hour, month, None);
        let cost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd(price)) };
        let now = NOON.after(Duration::from_secs(seconds));
        let outlook = || Outlook::new(&account, &exact(), None, cost, now).unwrap();
        let portions = spread(outlook(), calls);
        let placed: u64 = portions.iter().map(|portion| portion.calls).sum();
        prop_assert!(placed <= calls);
        if placed < calls {
            let all: u64 = outlook().map(|slice| slice.fits).sum();
            prop_assert_eq!(all, placed);
        }
        // In each window of each kind no more than its cap.
        let sums = |length: i64| {
            let mut sums = std::collections::BTreeMap::new();
            for portion in &portions {
                *sums.entry(portion.slice.from.as_unix_seconds() / length).or_insert(0) += portion.calls;
            }
            sums
        };
        for (_, in_day) in sums(86_400) {
            prop_assert!(in_day <= 5_000);
        }
        for (_, in_bucket) in sums(14_400) {
            prop_assert!(i128::from(in_bucket) * i128::from(price) <= 8_333_333_333);
        }
        prop_assert!(portions.windows(2).all(|pair| pair[0].slice.until.unwrap() <= pair[1].slice.from));
        // More calls never end sooner, nor a dearer one.
        let pace = Pace { slots: 5, call: Duration::from_secs(20) };
        let end = |calls| ends_at(vec![outlook()], pace, calls);
        if let (Some(one), Some(more)) = (end(calls), end(calls + 7)) {
            prop_assert!(one <= more);
        }
        let dearer = CallCost { usd: Some(NanoUsd(price * 2)), ..cost };
        let less = spread(Outlook::new(&account, &exact(), None, dearer, now).unwrap(), calls);
        prop_assert!(less.iter().map(|portion| portion.calls).sum::<u64>() <= placed);
    }
}
