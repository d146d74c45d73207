use super::*;
use crate::quota::account::tests::{NOON, pro};
use crate::quota::{Readable, SpendingPolicy, Verdict};
use proptest::prelude::*;

fn at(seconds: u64) -> Wall {
    NOON.after(Duration::from_secs(seconds))
}

fn cost(units: i64, usd: i64) -> CallCost {
    CallCost { units: MilliUnits(units), usd: Some(NanoUsd(usd)) }
}

fn exact() -> BookSettings {
    BookSettings { margin_permille: 0, ..BookSettings::default() }
}

fn used(book: &Book, kind: WindowKind, now: Wall) -> i64 {
    standing(book, kind, now).used.unwrap()
}

/// Without room for others.
fn used_alone(book: &Book, kind: WindowKind, now: Wall) -> i64 {
    let predicted = book.predicted(now, Margin::None).unwrap();
    predicted.windows.into_iter().find(|window| window.kind == kind).unwrap().used.unwrap()
}

fn standing(book: &Book, kind: WindowKind, now: Wall) -> Window {
    let predicted = book.predicted(now, Margin::Kept).unwrap();
    predicted.windows.into_iter().find(|window| window.kind == kind).unwrap()
}

/// A reading at `seconds` after noon.
fn reading(seconds: u64, day: i64, four_hour: i64, month: i64) -> AccountSnapshot {
    let mut reading = pro(day, four_hour, month, Some(NanoUsd::from_cents(500)));
    reading.as_of = at(seconds);
    reading.balance_as_of = at(seconds);
    reading.windows.iter_mut().for_each(|window| window.as_of = at(seconds));
    reading
}

#[test]
fn a_call_counts_while_it_runs_and_until_the_figures_have_it() {
    let mut book = Book::new(exact());
    assert_eq!(book.predicted(NOON, Margin::Kept), None);
    book.learn(reading(0, 100, 1_000, 5_000));
    let call = book.reserve(None, cost(1_000, 70));
    assert_eq!(used(&book, WindowKind::FourHour, at(1)), 1_070);
    assert_eq!(used(&book, WindowKind::Day, at(1)), 1_100);
    book.settle(call, at(10), cost(100, 30));
    assert_eq!(used(&book, WindowKind::FourHour, at(11)), 1_030);
    assert_eq!(used(&book, WindowKind::Day, at(11)), 200);
    // The counter is live and has it; the dollars may lack it for a minute.
    book.learn(reading(20, 200, 1_030, 5_030));
    assert_eq!(used(&book, WindowKind::Day, at(20)), 200);
    // Twice: in the figure and beside it. And what may be ours may as well be another's, who then goes on like that.
    assert_eq!(used(&book, WindowKind::FourHour, at(20)), 1_060 + 65);
    book.learn(reading(80, 200, 1_030, 5_030));
    assert_eq!(used(&book, WindowKind::FourHour, at(80)), 1_030);
}

#[test]
fn a_call_that_is_left_costs_nothing_and_is_settled_once() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 0, 0));
    let call = book.reserve(None, cost(1_000, 70));
    book.cancel(call);
    book.settle(call, at(1), cost(1_000, 70));
    assert_eq!(used(&book, WindowKind::FourHour, at(1)), 0);
    assert_eq!(book.reserved(), cost(0, 0));
}

#[test]
fn a_turn_takes_along_only_what_is_still_under_way() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 500, 500));
    let long = book.reserve(None, cost(1_000, 40));
    let short = book.reserve(None, cost(1_000, 7));
    let turn = 4 * 3_600;
    book.settle(short, at(turn - 10), cost(1_000, 7));
    assert_eq!(used(&book, WindowKind::FourHour, at(turn - 1)), 547);
    // What ends in the new window is booked there; the month does not turn.
    // For a second the server's clock may not be there yet.
    assert_eq!(used(&book, WindowKind::FourHour, at(turn)), 547);
    assert_eq!(used(&book, WindowKind::FourHour, at(turn + 1)), 40);
    assert_eq!(used(&book, WindowKind::Month, at(turn + 1)), 547);
    book.settle(long, at(turn + 5), cost(1_000, 41));
    assert_eq!(used(&book, WindowKind::FourHour, at(turn + 6)), 41);
}

#[test]
fn a_call_that_ended_at_the_turn_counts_on_both_sides() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 500, 500));
    let call = book.reserve(None, cost(1_000, 7));
    let turn = 4 * 3_600;
    book.settle(call, at(turn - 1), cost(1_000, 7));
    assert_eq!(used(&book, WindowKind::FourHour, at(turn - 1)), 507);
    assert_eq!(used(&book, WindowKind::FourHour, at(turn + 2)), 7);
}

#[test]
fn others_are_noticed_and_get_room() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 0, 0));
    for minute in 0..10 {
        let call = book.reserve(None, cost(1_000, 60));
        book.settle(call, at(minute * 60 + 1), cost(1_000, 60));
    }
    assert_eq!(book.foreign(WindowKind::FourHour), None, "one figure tells nothing");
    // Of 900 only 600 are ours, and the last of them may not be in the figure yet.
    book.learn(reading(600, 10_000, 900, 900));
    let foreign = book.foreign(WindowKind::FourHour).unwrap();
    assert_eq!((foreign.used, foreign.since, foreign.until), (360, at(0), at(600)));
    // The day's counter is all ours.
    assert_eq!(book.foreign(WindowKind::Day).unwrap().used, 0);
    // 360 in 600 s: as much again in 65 s + 35 s, twice.
    assert_eq!(used(&book, WindowKind::FourHour, at(635)), 900 + 60 + 120);
}

#[test]
fn unknown_stays_unknown() {
    let mut book = Book::new(BookSettings::default());
    let mut partial = reading(0, 0, 0, 0);
    partial.windows[1].used = None;
    partial.windows[2].cap = Cap::Unknown;
    book.learn(partial);
    book.reserve(None, cost(1_000, 60));
    assert_eq!(standing(&book, WindowKind::FourHour, at(1)).used, None);
    assert_eq!(standing(&book, WindowKind::Month, at(1)).cap, Cap::Unknown);
}

#[test]
fn a_chute_with_an_own_row_counts_there_and_not_on_the_day() {
    let mut book = Book::new(exact());
    let mut known = reading(0, 0, 0, 0);
    let mut own = known.windows[0].clone();
    own.kind = WindowKind::Chute;
    known.chute_windows.push(("special".to_owned(), own));
    book.learn(known);
    book.reserve(Some("special"), cost(1_000, 5));
    book.reserve(Some("other"), cost(1_000, 5));
    let predicted = book.predicted(at(1), Margin::Kept).unwrap();
    assert_eq!(used(&book, WindowKind::Day, at(1)), 1_000);
    assert_eq!(predicted.chute_windows[0].1.used, Some(1_000));
    assert_eq!(used(&book, WindowKind::FourHour, at(1)), 10);
}

#[test]
fn right_after_a_turn_the_window_before_may_still_be_the_server_s() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, CAP, 500));
    let turn = 4 * 3_600;
    let policy = SpendingPolicy::default();
    let verdict = |seconds| book.verdict(&policy, None, at(seconds), Margin::Kept).unwrap();
    let Verdict::No { turns_at, .. } = verdict(turn) else { panic!("{:?}", verdict(turn)) };
    assert_eq!(turns_at, Some(at(turn)));
    assert!(matches!(verdict(turn + 1), Verdict::Yes(_)));
}

#[test]
fn the_balance_is_led_by_own_calls_too() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 0, 0));
    let balance = |book: &Book| book.predicted(at(5), Margin::Kept).unwrap().balance.unwrap().0;
    let before = balance(&book);
    let call = book.reserve(None, cost(1_000, 70));
    book.reserve(None, cost(1_000, 30));
    assert_eq!(before - balance(&book), 100);
    book.settle(call, at(4), cost(1_000, 50));
    assert_eq!(before - balance(&book), 80);
}

#[test]
fn calls_that_a_wrong_clock_stamped_count_until_the_figures_have_them() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 10, 10));
    let call = book.reserve(None, cost(1_000, 70));
    book.settle(call, at(30 * 86_400), cost(1_000, 70));
    // The clock is right again. Whether the figure has the call nobody knows.
    book.learn(reading(600, 10, 10, 10));
    assert_eq!(used_alone(&book, WindowKind::Month, at(601)), 80);
    book.learn(reading(700, 1_010, 80, 80));
    assert!(!book.has_unseen());
}

#[test]
fn readings_that_fail_for_long_make_no_call_forgotten() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 10, 10));
    for minute in 1..=120 {
        let call = book.reserve(None, cost(1_000, 7));
        book.settle(call, at(minute * 60), cost(1_000, 7));
        book.learn(AccountSnapshot::unknown(Readable::Failed, at(minute * 60)));
    }
    assert_eq!(used(&book, WindowKind::FourHour, at(7_300)), 10 + 120 * 7);
    assert_eq!(used(&book, WindowKind::Day, at(7_300)), 120_000);
}

#[test]
fn a_zero_has_no_own_calls_in_it() {
    // Redis may have been down at the first reading of the window, and nobody can tell.
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 0, 0));
    let call = book.reserve(None, cost(1_000, 70));
    book.settle(call, at(10), cost(1_000, 70));
    book.learn(reading(3_600, 0, 0, 0));
    for kind in [WindowKind::Day, WindowKind::FourHour] {
        assert!(used(&book, kind, at(3_601)) >= 70, "{kind}");
    }
    book.learn(reading(3_700, 1_000, 70, 70));
    assert_eq!(used_alone(&book, WindowKind::FourHour, at(3_701)), 70);
    assert!(!book.has_unseen());
}

#[test]
fn a_day_without_readings_neither_grows_nor_forgets() {
    let mut book = Book::new(exact());
    book.learn(reading(0, 0, 0, 0));
    let calls = 3 * i64::try_from(SECONDS_APART).unwrap();
    for second in 0..calls {
        let call = book.reserve(None, cost(1_000, 7));
        book.settle(call, at(second.unsigned_abs()), cost(1_000, 7));
    }
    assert!(book.ended.len() <= SECONDS_APART + 1);
    assert_eq!(used(&book, WindowKind::Month, at(calls.unsigned_abs())), calls * 7);
}

/// Chutes as it is described: figures that are true at the last full minute, a check at the start, a booking at the end.
#[derive(Default)]
struct Server {
    four_hour: BTreeMap<i64, i64>,
    shown: (i64, i64),
    paid: i64,
}

const CAP: i64 = 8_333_333_333;

impl Server {
    fn bucket(&mut self, now: Wall) -> &mut i64 {
        self.four_hour.entry(now.as_unix_seconds().div_euclid(14_400)).or_default()
    }

    fn is_covered(&mut self, now: Wall) -> bool {
        *self.bucket(now) < CAP
    }

    fn book(&mut self, now: Wall, usd: i64, covered: bool) {
        if covered {
            *self.bucket(now) += usd;
        } else {
            self.paid += usd;
        }
    }

    /// The figure as it is shown: of the last full minute.
    fn figure(&mut self, now: Wall) -> i64 {
        let minute = now.as_unix_seconds() / 60;
        if self.shown.0 != minute {
            self.shown = (minute, *self.bucket(now));
        }
        self.shown.1
    }
}

#[derive(Clone, Debug)]
struct Load {
    /// Each own call: how long it takes, in seconds, and what it costs in thousandths of the cap's 0.5 %.
    calls: Vec<(u64, i64)>,
    /// Moments in the window at which others call.
    foreign: Vec<u64>,
    begins: u64,
}

fn load() -> impl Strategy<Value = Load> {
    let call = (0_u64..90, 1_i64..=1_000);
    (
        prop::collection::vec(call, 1..64),
        prop::collection::vec(0_u64..14_400, 200),
        prop_oneof![Just(0_u64), Just(10_000), Just(14_000), 0_u64..14_400],
    )
        .prop_map(|(calls, foreign, begins)| Load { calls, foreign, begins })
}

/// One window: our calls, five at once, as fast as they are let, and others that use 20 % of the cap. Who watches the
/// clock reads the figures every 10 s near the end and every 300 s else. What was paid, and what was used.
fn one_window(load: &Load) -> (i64, i64, i64) {
    let mut server = Server::default();
    let mut book = Book::new(BookSettings::default());
    let policy = SpendingPolicy::default();
    let mut running: Vec<(u64, Reservation, i64, bool)> = Vec::new();
    let mut next = load.calls.iter().cycle();
    let mut read_at = load.begins;
    let mut foreign_used = 0;
    let largest = CAP / 200;
    for second in 0..14_400_u64 {
        let now = at(second);
        server.figure(now);
        for _ in load.foreign.iter().filter(|moment| **moment == second) {
            let covered = server.is_covered(now);
            // A foreign call that is not covered is its owner's matter.
            if covered {
                server.book(now, CAP / 1_000, true);
                foreign_used += CAP / 1_000;
            }
        }
        running.retain(|&(ends, reservation, usd, covered)| {
            let still = ends > second;
            if !still {
                server.book(now, usd, covered);
                book.settle(reservation, now, cost(0, usd));
            }
            still
        });
        if second < load.begins {
            continue;
        }
        if second >= read_at {
            let figure = server.figure(now);
            book.learn(reading(second, 1_000, figure, 1_000));
            read_at = second + if figure > CAP / 10 * 7 { 10 } else { 300 };
        }
        while running.len() < 5 {
            let verdict = book.verdict(&policy, None, now, Margin::Kept);
            if !matches!(verdict, Some(Verdict::Yes(_))) {
                break;
            }
            let &(takes, thousandths) = next.next().unwrap();
            let usd = largest * thousandths / 1_000;
            // Nobody knows beforehand what a call costs: its bound is reserved.
            let reservation = book.reserve(None, cost(0, largest));
            let covered = server.is_covered(now);
            running.push((second + takes, reservation, usd, covered));
        }
    }
    (server.paid, *server.bucket(at(0)), foreign_used)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_ever_paid(load in load()) {
        let (paid, _, _) = one_window(&load);
        prop_assert_eq!(paid, 0);
    }

    #[test]
    fn no_unit_is_created_or_lost(steps in prop::collection::vec((0_u8..4, 0_i64..2_000, 0_u64..200), 1..80)) {
        let mut book = Book::new(exact());
        book.learn(reading(0, 0, 0, 0));
        let mut now = 0;
        let mut open: Vec<(Reservation, i64)> = Vec::new();
        let mut booked = 0;
        for (what, usd, pause) in steps {
            now += pause;
            match what {
                0 | 1 => open.push((book.reserve(None, cost(usd, usd)), usd)),
                2 => if let Some((call, _)) = open.pop() { book.settle(call, at(now), cost(usd, usd)); booked += usd; },
                _ => if let Some((call, _)) = open.pop() { book.cancel(call); },
            }
            let expected = booked + open.iter().map(|(_, usd)| usd).sum::<i64>();
            // Within one window, from figures at its beginning on, everything is counted once.
            if now < 14_400 {
                prop_assert_eq!(used(&book, WindowKind::FourHour, at(now)), expected);
                prop_assert_eq!(used(&book, WindowKind::Day, at(now)), expected);
            }
            prop_assert_eq!(used(&book, WindowKind::Month, at(now)), expected);
        }
    }
}

#[test]
fn nearly_all_of_a_window_is_used() {
    let load = Load {
        calls: vec![(3, 1_000), (20, 300), (45, 700), (1, 20)],
        foreign: (0..200).map(|call| call * 71 % 14_400).collect(),
        begins: 0,
    };
    let (paid, used, foreign) = one_window(&load);
    assert_eq!(paid, 0);
    let own = used - foreign;
    assert!(own >= (CAP - foreign) / 100 * 97, "{} permille", own * 1_000 / (CAP - foreign));
}

/// How long a verdict takes beside a whole prediction, on an account with many rows: run by hand, for commit messages.
#[test]
#[ignore = "measures time"]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn a_verdict_costs_little() {
    let mut book = Book::new(BookSettings::default());
    let mut known = reading(0, 1_000, 1_000, 1_000);
    let row = Window { kind: WindowKind::Chute, ..known.windows[0].clone() };
    known.chute_windows = (0..32).map(|chute| (format!("chute-{chute}"), row.clone())).collect();
    book.learn(known);
    for second in 0..65 {
        let call = book.reserve(Some("chute-7"), cost(1_000, 7));
        book.settle(call, at(second), cost(1_000, 7));
        if second < 5 {
            book.reserve(None, cost(1_000, 7));
        }
    }
    let policy = SpendingPolicy::default();
    let time = |work: &dyn Fn()| {
        let began = std::time::Instant::now();
        (0..2_000).for_each(|_| work());
        began.elapsed()
    };
    let whole = time(&|| drop(book.predicted(at(66), Margin::Kept)));
    let one = time(&|| {
        let _ = book.verdict(&policy, Some("chute-7"), at(66), Margin::Kept);
    });
    println!("a prediction {:?}, a verdict {:?}", whole / 2_000, one / 2_000);
}
