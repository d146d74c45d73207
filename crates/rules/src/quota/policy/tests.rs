use super::super::account::tests::{NOON, pro, window};
use super::*;
use crate::quota::{
    AccountSnapshot, Book, BookSettings, CallCost, Margin, Missing, Outlook, Payer, Plan, Shortage,
    Verdict, WindowKind, may_spend,
};
use crate::time::Wall;
use crate::units::MilliUnits;
use proptest::prelude::*;
use std::time::Duration;

const DOLLAR: NanoUsd = NanoUsd::from_cents(100);
const FULL: i64 = 8_333_333_333;

fn daily(cents: i64) -> SpendingPolicy {
    SpendingPolicy { paygo: Paygo::Daily(NanoUsd::from_cents(cents)), ..SpendingPolicy::default() }
}

fn keeping(permille: u64) -> SpendingPolicy {
    SpendingPolicy { reserve_permille: permille, ..SpendingPolicy::default() }
}

/// Pro, its 4-hour window used so far, which has paid so much today.
fn account(four_hour: i64, paid_cents: Option<i64>) -> AccountSnapshot {
    AccountSnapshot {
        paid_today: paid_cents.map(NanoUsd::from_cents),
        ..pro(0, four_hour, 0, Some(NanoUsd::from_cents(1_000)))
    }
}

fn verdict(account: &AccountSnapshot, policy: &SpendingPolicy) -> Verdict {
    may_spend(account, policy, None, NOON)
}

fn hours(hours: u64) -> Wall {
    NOON.after(Duration::from_secs(hours * 3_600))
}

#[test]
fn with_a_daily_bound_the_windows_pay_first_and_then_the_balance_up_to_it() {
    let policy = daily(200);
    assert_eq!(verdict(&account(0, None), &policy), Verdict::Yes(Payer::Windows));
    assert_eq!(verdict(&account(FULL, Some(199)), &policy), Verdict::Yes(Payer::Balance));
    // The window turns before the day does.
    let reached = Verdict::No {
        shortage: Shortage::DailyBoundReached(WindowKind::FourHour),
        turns_at: Some(hours(4)),
        by_itself: true,
    };
    assert_eq!(verdict(&account(FULL, Some(200)), &policy), reached);
    // What others paid from the balance counts, too, and may be more.
    assert_eq!(verdict(&account(FULL, Some(300)), &policy), reached);
}

#[test]
fn a_bound_that_is_reached_turns_with_the_day_where_nothing_else_does() {
    let mut account = account(0, Some(200));
    account.plan = Some(Plan::PayAsYouGo);
    account.windows = vec![window(WindowKind::Day, 0, 0)];
    let reached = Verdict::No {
        shortage: Shortage::DailyBoundReached(WindowKind::Day),
        turns_at: Some(hours(12)),
        by_itself: true,
    };
    assert_eq!(verdict(&account, &daily(200)), reached);
    let tomorrow = may_spend(&account, &daily(200), None, hours(12));
    assert_eq!(tomorrow, Verdict::Yes(Payer::Balance));
    // Nor does a month that waits for billing hold up what the balance may pay tomorrow.
    let mut account = pro(0, 0, 100_000_000_000, Some(DOLLAR));
    account.paid_today = Some(DOLLAR);
    let turns = match verdict(&account, &daily(100)) {
        Verdict::No { turns_at, by_itself: true, .. } => turns_at,
        other => panic!("{other:?}"),
    };
    assert_eq!(turns, Some(hours(12)));
}

#[test]
fn what_was_paid_today_and_is_not_known_is_not_nothing() {
    let unknown = Verdict::Unknown(Missing::PaidToday);
    assert_eq!(verdict(&account(FULL, None), &daily(200)), unknown);
    let never = SpendingPolicy { paygo: Paygo::Never, ..daily(200) };
    assert!(matches!(verdict(&account(FULL, None), &never), Verdict::No { .. }));
}

#[test]
fn where_it_matters_who_pays_the_margin_is_kept() {
    // 1.2 % below the cap the balance is counted as the payer.
    let close = FULL - FULL / 100;
    assert_eq!(verdict(&account(close, Some(0)), &daily(200)), Verdict::Yes(Payer::Balance));
    assert!(matches!(verdict(&account(close, Some(200)), &daily(200)), Verdict::No { .. }));
}

#[test]
fn what_is_kept_for_interactive_work_is_kept_from_the_rest() {
    let policy = SpendingPolicy { margin_permille: 0, ..keeping(100) };
    let nine_tenths = account(FULL - FULL / 10, None);
    let kept = Verdict::No {
        shortage: Shortage::KeptForInteractive(WindowKind::FourHour),
        turns_at: Some(hours(4)),
        by_itself: true,
    };
    assert_eq!(verdict(&nine_tenths, &policy), kept);
    let interactive = policy.for_work(Work::Interactive);
    assert_eq!(verdict(&nine_tenths, &interactive), Verdict::Yes(Payer::Windows));
    assert_eq!(verdict(&account(FULL / 10 * 8, None), &policy), Verdict::Yes(Payer::Windows));
    // Nor does the balance pay for what waits.
    let allow = SpendingPolicy { paygo: Paygo::Allow, ..policy };
    assert_eq!(verdict(&account(FULL, None), &allow), kept);
    assert_eq!(
        verdict(&account(FULL, None), &allow.for_work(Work::Interactive)),
        Verdict::Yes(Payer::Balance)
    );
    // Where nothing is covered, there is nothing to keep.
    let mut pays = account(0, None);
    pays.plan = Some(Plan::PayAsYouGo);
    pays.windows = vec![window(WindowKind::Day, 0, 0)];
    assert_eq!(verdict(&pays, &policy), Verdict::Yes(Payer::Balance));
}

#[test]
fn a_used_up_window_is_told_as_such_and_turns_with_the_last_one_that_is_kept() {
    let policy = keeping(100);
    let both = pro(4_600_000, FULL, 0, None);
    let told = Verdict::No {
        shortage: Shortage::PaygoNotAllowed(WindowKind::FourHour),
        turns_at: Some(hours(12)),
        by_itself: true,
    };
    assert_eq!(verdict(&both, &policy), told);
}

#[test]
fn a_daily_bound_is_forecast_day_by_day() {
    let cost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(10)) };
    let mut account = account(0, Some(50));
    account.plan = Some(Plan::PayAsYouGo);
    account.windows = vec![window(WindowKind::Day, 0, 0)];
    account.balance = Some(NanoUsd::from_cents(405));
    let outlook = Outlook::new(&account, &daily(200), None, cost, NOON).unwrap();
    let paid: Vec<u64> = outlook.map(|slice| slice.paid).filter(|paid| *paid > 0).collect();
    assert_eq!(paid, [15, 20, 5]);
    account.paid_today = None;
    assert!(Outlook::new(&account, &daily(200), None, cost, NOON).is_none(), "unknown stays so");
}

#[test]
fn a_call_that_would_pass_the_bound_is_not_let_in() {
    let mut book = Book::new(BookSettings::default());
    book.learn(account(FULL, Some(100)));
    let cost = |cents| CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(cents)) };
    let of_call = |book: &Book, cents| {
        book.verdict_of_call(&daily(200), None, cost(cents), NOON, Margin::Kept).unwrap()
    };
    assert_eq!(of_call(&book, 100), Verdict::Yes(Payer::Balance));
    assert!(matches!(of_call(&book, 101), Verdict::No { .. }));
    let first = book.reserve_paid(None, cost(60));
    assert_eq!(of_call(&book, 40), Verdict::Yes(Payer::Balance));
    assert!(matches!(of_call(&book, 41), Verdict::No { .. }));
    // It cost less than it seemed.
    book.settle(first, NOON, cost(10));
    assert_eq!(of_call(&book, 90), Verdict::Yes(Payer::Balance));
    assert_eq!(book.own_paid_today(NOON), NanoUsd::from_cents(10));
    let second = book.reserve_paid(None, cost(50));
    book.cancel(second);
    assert_eq!(book.own_paid_today(NOON), NanoUsd::from_cents(10));
    assert_eq!(book.own_paid_today(hours(13)), NanoUsd::ZERO, "another day");
}

fn any_paygo() -> impl Strategy<Value = Paygo> {
    prop_oneof![
        Just(Paygo::ByPlan),
        Just(Paygo::Never),
        Just(Paygo::Allow),
        (1_i64..500).prop_map(|cents| Paygo::Daily(NanoUsd::from_cents(cents)))
    ]
}

fn any_client() -> impl Strategy<Value = ClientPolicy> {
    (any_paygo(), any::<bool>(), prop::option::of(0_i64..2_000)).prop_map(
        |(paygo, may_use_reserve, cents)| ClientPolicy {
            paygo,
            may_use_reserve,
            min_balance: cents.map(NanoUsd::from_cents),
            when_unknown: WhenUnknown::Allow,
        },
    )
}

fn any_account() -> impl Strategy<Value = AccountSnapshot> {
    let plan = prop_oneof![Just(Plan::Pro), Just(Plan::PayAsYouGo), Just(Plan::Other(1_000))];
    let used = || prop_oneof![Just(0_i64), Just(FULL / 10 * 9), Just(FULL), 0..=FULL];
    let cents = || prop::option::of(-10_i64..1_000);
    (plan, used(), 0_i64..=5_000_000, cents(), cents()).prop_map(
        |(plan, four_hour, day, balance, paid)| {
            let mut account = pro(day, four_hour, 0, balance.map(NanoUsd::from_cents));
            account.plan = Some(plan);
            account.paid_today = paid.map(|cents| NanoUsd::from_cents(cents.max(0)));
            match plan {
                Plan::PayAsYouGo => account.windows = vec![window(WindowKind::Day, day, 0)],
                Plan::Other(_) => account.windows = vec![window(WindowKind::Day, day, 1_000_000)],
                _ => {}
            }
            account
        },
    )
}

fn any_policy() -> impl Strategy<Value = SpendingPolicy> {
    (any_paygo(), 0_i64..500, 0_u64..=900).prop_map(|(paygo, cents, reserve_permille)| {
        SpendingPolicy {
            paygo,
            min_balance: NanoUsd::from_cents(cents),
            reserve_permille,
            ..SpendingPolicy::default()
        }
    })
}

proptest! {
    /// Of account and client key the stricter one wins: what either refuses is not paid for.
    #[test]
    fn a_client_key_only_narrows(account in any_account(), policy in any_policy(), client in any_client()) {
        let narrowed = policy.narrowed_by(&client);
        prop_assert_eq!(narrowed.reserve_permille, policy.reserve_permille);
        prop_assert!(narrowed.min_balance >= policy.min_balance);
        for work in [Work::Interactive, Work::Background] {
            let own = verdict(&account, &policy.for_work(work));
            let client_verdict = verdict(&account, &narrowed.for_work(client.work(work)));
            if client_verdict == Verdict::Yes(Payer::Balance) {
                prop_assert!(!matches!(own, Verdict::No { .. }), "{:?} was {:?}", client_verdict, own);
                prop_assert!(client.paygo != Paygo::Never);
            }
            if matches!(own, Verdict::No { .. }) {
                prop_assert!(!matches!(client_verdict, Verdict::Yes(_)), "{:?}", client_verdict);
            }
        }
    }

    /// The last of a window never goes to a batch, whoever would pay.
    #[test]
    fn the_reserve_never_opens_for_a_batch(account in any_account(), policy in any_policy()) {
        let batch = verdict(&account, &policy.for_work(Work::Background));
        let is_kept = |window: &Window| match (window.cap, window.used) {
            (Cap::Limited(cap), Some(used)) => {
                cap > 0 && used >= cap - scaled(cap, policy.reserve_permille, 1_000)
            }
            _ => false,
        };
        if policy.reserve_permille > 0 && account.windows.iter().any(is_kept) {
            prop_assert!(matches!(batch, Verdict::No { .. }), "{:?}", batch);
        }
        // And where nothing is kept, a batch is as good as a person.
        let all = SpendingPolicy { reserve_permille: 0, ..policy };
        prop_assert_eq!(verdict(&account, &all), verdict(&account, &all.for_work(Work::Interactive)));
    }

    /// Nobody pays more than was allowed for a day, though what the server shows of it lags.
    #[test]
    fn no_dollar_above_the_daily_bound(
        bound in 1_i64..300,
        calls in prop::collection::vec((0_u64..400, 0_u64..120, 1_i64..80, 1_i64..=100), 1..60),
        lag in prop_oneof![Just(0_u64), Just(60), Just(179)],
        begins in prop_oneof![Just(0_u64), Just(43_000), Just(43_100)],
    ) {
        let policy = daily(bound);
        let mut book = Book::new(BookSettings::default());
        let mut paid: Vec<(u64, i64)> = Vec::new();
        let mut running: Vec<(u64, crate::quota::Reservation, i64)> = Vec::new();
        let mut second = begins;
        let noon = |second: u64| NOON.after(Duration::from_secs(second));
        let day_of = |second: u64| (second + 43_200) / 86_400;
        for (pause, takes, likely, share) in calls {
            second += pause;
            running.retain(|&(ends, reservation, cents)| {
                if ends <= second {
                    // The server books it when it ends.
                    paid.push((ends, cents));
                    book.settle(reservation, noon(ends), CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(cents)) });
                }
                ends > second
            });
            let shown = paid.iter().filter(|(ended, _)| ended + lag <= second && day_of(*ended) == day_of(second));
            let mut reading = account(FULL, Some(shown.map(|(_, cents)| cents).sum()));
            (reading.as_of, reading.paid_as_of, reading.balance_as_of) = (noon(second), noon(second), noon(second));
            reading.balance = Some(NanoUsd::from_cents(100_000));
            for window in &mut reading.windows { window.as_of = noon(second); }
            book.learn(reading);
            let cost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(likely)) };
            let verdict = book.verdict_of_call(&policy, None, cost, noon(second), Margin::Kept);
            if verdict == Some(Verdict::Yes(Payer::Balance)) {
                running.push((second + takes, book.reserve_paid(None, cost), likely * share / 100));
            }
        }
        paid.extend(running.iter().map(|&(ends, _, cents)| (ends, cents)));
        for day in [0, 1] {
            let of_day: i64 = paid.iter().filter(|(ended, _)| day_of(*ended) == day).map(|(_, cents)| cents).sum();
            prop_assert!(of_day <= bound, "{of_day} of {bound}");
        }
    }
}
