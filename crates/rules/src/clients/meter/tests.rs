use super::*;
use proptest::prelude::*;

const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z
const DAY: Duration = Duration::from_secs(86_400);

const fn cents(cents: i64) -> NanoUsd {
    NanoUsd::from_cents(cents)
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::from_micros(seconds * 1_000_000),
        wall: NOON.after(Duration::from_secs(seconds)),
    }
}

fn dollars(daily: Option<i64>, monthly: Option<i64>) -> ClientLimits {
    ClientLimits {
        daily_usd: daily.map(cents),
        monthly_usd: monthly.map(cents),
        ..ClientLimits::default()
    }
}

#[test]
fn a_call_is_counted_before_it_is_sent_and_at_its_cost_when_it_is_over() {
    let limits = dollars(Some(100), None);
    let mut meter = ClientMeter::default();
    meter.reserve(&limits, cents(60), NOON).unwrap();
    let full = meter.reserve(&limits, cents(60), NOON).unwrap_err();
    assert_eq!(full.bound, Bound::DailyUsd(cents(100)));
    assert_eq!((full.left, full.may_settle), (cents(100), true), "the first may cost less");
    meter.settle(cents(60), cents(10), NOON);
    meter.reserve(&limits, cents(60), NOON).unwrap();
    meter.settle(cents(60), cents(70), NOON);
    let full = meter.reserve(&limits, cents(21), NOON).unwrap_err();
    assert_eq!((full.left, full.may_settle), (cents(20), false));
    assert_eq!(full.turns_at, Some(next_day_reset(NOON)));
    meter.reserve(&limits, cents(20), NOON).unwrap();
    meter.settle(cents(20), cents(20), NOON);
    assert!(meter.begin(&limits, at(0)).is_err(), "nothing is left, so nobody waits for a slot");
    assert_eq!(meter.used(NOON).today_usd, cents(100));
    let tomorrow = Now { wall: NOON.after(DAY), ..at(0) };
    let entry = meter.begin(&limits, tomorrow).unwrap();
    meter.reserve(&limits, cents(100), tomorrow.wall).unwrap();
    // While all of it is reserved another may wait for what is left over.
    let other = meter.begin(&limits, tomorrow).unwrap();
    meter.end(entry, true);
    meter.end(other, false);
}

#[test]
fn what_does_not_fit_into_a_whole_day_is_not_told_to_come_tomorrow() {
    let mut meter = ClientMeter::default();
    let full = meter.reserve(&dollars(Some(10), None), cents(11), NOON).unwrap_err();
    assert_eq!((full.turns_at, full.may_settle, full.left), (None, false, cents(10)));
}

#[test]
fn a_month_goes_on_when_the_day_turns() {
    let limits = dollars(Some(100), Some(150));
    let mut meter = ClientMeter::default();
    meter.settle(NanoUsd::ZERO, cents(100), NOON);
    let full = meter.reserve(&limits, cents(10), NOON).unwrap_err();
    assert_eq!(full.bound, Bound::DailyUsd(cents(100)));
    let tomorrow = NOON.after(DAY);
    meter.settle(NanoUsd::ZERO, cents(60), tomorrow);
    let full = meter.reserve(&limits, cents(10), tomorrow).unwrap_err();
    assert_eq!(full.bound, Bound::MonthlyUsd(cents(150)), "over, and none of it is left");
    let october = Wall::from_unix_seconds(1_790_812_800); // 2026-10-01T00:00:00Z
    assert_eq!((full.left, full.turns_at), (NanoUsd::ZERO, Some(october)));
    meter.reserve(&limits, cents(100), october).unwrap();
}

#[test]
fn requests_of_a_day_count_once_something_was_sent() {
    let limits = ClientLimits { daily_requests: Some(2), ..ClientLimits::default() };
    let mut meter = ClientMeter::default();
    meter.remember(Used { today_requests: 1, ..Used::default() }, NOON);
    let refused = meter.begin(&limits, at(0)).unwrap();
    let full = meter.begin(&limits, at(0)).unwrap_err();
    assert_eq!(full.bound, Bound::DailyRequests(2), "counted while it is under way");
    assert_eq!(full.turns_at, Some(next_day_reset(NOON)));
    meter.end(refused, false);
    let sent = meter.begin(&limits, at(1)).unwrap();
    meter.end(sent, true);
    assert!(meter.begin(&limits, at(2)).is_err());
    assert!(meter.begin(&limits, at(43_200)).is_ok());
}

#[test]
fn so_many_at_once_and_no_more() {
    let limits = ClientLimits { concurrent_requests: Some(2), ..ClientLimits::default() };
    let mut meter = ClientMeter::default();
    let one = meter.begin(&limits, at(0)).unwrap();
    let two = meter.begin(&limits, at(0)).unwrap();
    assert_eq!(meter.begin(&limits, at(0)).unwrap_err().bound, Bound::Concurrent(2));
    meter.end(one, true);
    let three = meter.begin(&limits, at(0)).unwrap();
    meter.end(two, true);
    meter.end(three, true);
    assert_eq!(meter.under_way(), 0);
}

#[test]
fn the_pace_says_when_there_is_room_again() {
    let limits = ClientLimits { requests_per_minute: Some(2), ..ClientLimits::default() };
    let mut meter = ClientMeter::default();
    let mut asks = |seconds| meter.begin(&limits, at(seconds)).map(drop).map_err(|full| full.wait);
    assert_eq!(asks(0), Ok(()));
    assert_eq!(asks(20), Ok(()));
    assert_eq!(asks(21), Err(Some(Duration::from_secs(39))));
    assert_eq!(asks(59), Err(Some(Duration::from_secs(1))), "what is refused does not count");
    assert_eq!(asks(60), Ok(()));
    assert_eq!(asks(61), Err(Some(Duration::from_secs(19))));
}

#[test]
fn what_is_refused_for_one_bound_uses_up_none_of_the_others() {
    let limits = ClientLimits {
        requests_per_minute: Some(1),
        daily_requests: Some(5),
        concurrent_requests: Some(1),
        ..dollars(Some(100), None)
    };
    let mut meter = ClientMeter::default();
    let entry = meter.begin(&limits, at(0)).unwrap();
    for _ in 0..3 {
        assert_eq!(meter.begin(&limits, at(1)).unwrap_err().bound, Bound::Concurrent(1));
    }
    meter.end(entry, true);
    assert_eq!(meter.begin(&limits, at(2)).unwrap_err().bound, Bound::Pace(1));
    assert_eq!(meter.used(NOON).today_requests, 1);
}

#[test]
fn a_clock_that_is_set_back_brings_its_day_back() {
    let limits = dollars(Some(100), Some(1_000));
    let mut meter = ClientMeter::default();
    meter.settle(NanoUsd::ZERO, cents(100), NOON);
    let tomorrow = NOON.after(DAY);
    meter.settle(NanoUsd::ZERO, cents(1), tomorrow);
    assert!(meter.reserve(&limits, cents(1), NOON).is_err());
    // Nor do days pile up.
    (0..100).for_each(|days| meter.settle(NanoUsd::ZERO, cents(1), NOON.after(DAY * days)));
    assert!(meter.days.len() <= 7 && meter.months.len() <= 3);
}

proptest! {
    /// Whatever comes and goes: nobody gets past a bound, and everything is given back.
    #[test]
    fn no_history_gets_past_a_bound(
        steps in proptest::collection::vec((0_u8..4, 0_i64..40, 0_u64..30), 1..200),
    ) {
        let limits = ClientLimits {
            requests_per_minute: Some(5),
            concurrent_requests: Some(3),
            daily_requests: Some(1_000),
            ..dollars(Some(100), Some(300))
        };
        let mut meter = ClientMeter::default();
        let mut time = 0;
        let (mut entries, mut calls) = (Vec::new(), Vec::new());
        let mut let_in: Vec<u64> = Vec::new();
        for (what, amount, passes) in steps {
            time += passes;
            let now = at(time);
            match what {
                0 => if let Ok(entry) = meter.begin(&limits, now) {
                    entries.push(entry);
                    let_in.push(time);
                },
                1 => if let Some(entry) = entries.pop() { meter.end(entry, amount % 2 == 0) },
                2 => if meter.reserve(&limits, cents(amount), now.wall).is_ok() { calls.push(amount) },
                _ => if let Some(likely) = calls.pop() {
                    meter.settle(cents(likely), cents(likely - likely / 3), now.wall);
                },
            }
            prop_assert!(meter.used(now.wall).today_usd.plus(meter.reserved()) <= cents(100));
            prop_assert_eq!(meter.under_way() as usize, entries.len());
            prop_assert!(entries.len() <= 3);
            let minute = let_in.iter().filter(|came| **came + 60 > time).count();
            prop_assert!(minute <= 5);
        }
        calls.into_iter().for_each(|likely| meter.settle(cents(likely), NanoUsd::ZERO, NOON));
        prop_assert_eq!(meter.reserved(), NanoUsd::ZERO);
    }
}
