use super::*;
use proptest::prelude::*;

fn at(seconds: u64) -> Mono {
    Mono::from_micros(seconds * 1_000_000)
}

fn adaptive(per_minute: u64) -> Pace {
    let mut pace = Pace::new(PaceRule::Adaptive);
    pace.hear_printed(at(0), per_minute);
    pace
}

/// Starts whatever may start in each second, and says how many that were. Every attempt is answered at once.
fn run(pace: &mut Pace, seconds: std::ops::Range<u64>) -> u64 {
    let mut started = 0;
    for second in seconds {
        while pace.is_ready(at(second)) && started < 100_000 {
            pace.start(at(second));
            started += 1;
        }
        pace.holds_up();
        pace.answered(at(second));
    }
    started
}

#[test]
fn nothing_is_held_up_before_anything_is_known() {
    let mut pace = Pace::new(PaceRule::Adaptive);
    (0..1_000).for_each(|_| pace.start(at(0)));
    assert!(pace.is_ready(at(0)) && pace.interval().is_none());
}

#[test]
fn a_printed_number_is_a_pace_with_a_small_burst() {
    let mut pace = adaptive(60);
    for _ in 0..15 {
        assert!(pace.is_ready(at(100)));
        pace.start(at(100));
    }
    assert!(!pace.is_ready(at(100)));
    assert_eq!(pace.ready_at(at(100)), at(101));
    // Idle time is not saved up for longer than a quarter of a minute.
    assert_eq!((at(1_000).since(pace.ready_at(at(1_000)))).as_secs(), 899);
    for _ in 0..15 {
        pace.start(at(1_000));
    }
    assert!(!pace.is_ready(at(1_000)) && pace.is_ready(at(1_001)));
}

#[test]
fn it_rises_slowly_while_it_holds_work_up() {
    let mut pace = adaptive(60);
    assert_eq!(run(&mut pace, 0..60), 15 + 59);
    run(&mut pace, 60..61);
    assert_eq!(pace.per_thousand_minutes(), Some(66_000));
    run(&mut pace, 61..301);
    assert_eq!(pace.per_thousand_minutes(), Some(90_000));
    // What nobody waits for needs no more.
    pace.answered(at(900));
    pace.answered(at(1_000));
    assert_eq!(pace.per_thousand_minutes(), Some(90_000));
}

#[test]
fn an_edge_refusal_halves_what_was_tried_and_ends_the_bursts() {
    let mut pace = adaptive(60);
    run(&mut pace, 0..301);
    let under_way = at(300);
    pace.edge_refused(at(302), at(301));
    // About ninety in the last minute were too many.
    assert!((40_000..=45_000).contains(&pace.per_thousand_minutes().unwrap()), "{pace:?}");
    // Those that were under way already are the same ban.
    let slowed = pace.per_thousand_minutes();
    pace.edge_refused(at(303), under_way);
    pace.edge_refused(at(303), at(302));
    assert_eq!(pace.per_thousand_minutes(), slowed);
    // After the rest: one at a time.
    assert!(pace.is_ready(at(400)));
    pace.start(at(400));
    assert!(!pace.is_ready(at(400)));
    pace.answered(at(400));
    assert!(pace.is_ready(at(402)));
    // One that started after the rest and is refused halves it again, though less was tried.
    pace.start(at(402));
    pace.edge_refused(at(403), at(402));
    assert!(pace.per_thousand_minutes() < slowed);
}

#[test]
fn what_the_edge_refused_is_not_tried_again_for_hours() {
    let mut pace = adaptive(60);
    run(&mut pace, 0..601);
    let refused = pace.per_thousand_minutes().unwrap();
    pace.edge_refused(at(601), at(601));
    run(&mut pace, 602..3_600 * 6);
    let later = pace.per_thousand_minutes().unwrap();
    assert!(later < refused && later > refused * 8 / 10, "{later} of {refused}");
    run(&mut pace, 3_600 * 6..3_600 * 7);
    assert!(pace.per_thousand_minutes().unwrap() > refused);
}

#[test]
fn a_refusal_that_the_pace_did_not_cause_sets_no_ceiling() {
    let mut pace = adaptive(60);
    pace.start(at(0));
    pace.edge_refused(at(1), at(0));
    assert_eq!(pace.per_thousand_minutes(), Some(30_000));
    assert_eq!(pace.ceiling, None);
    // However often it is refused, some attempts are made.
    for time in (200..20_000).step_by(200) {
        pace.start(at(time));
        pace.edge_refused(at(time), at(time));
    }
    assert_eq!(pace.per_thousand_minutes(), Some(6_000));
}

#[test]
fn without_a_printed_number_the_edge_teaches_one() {
    let mut pace = Pace::new(PaceRule::Adaptive);
    (0..40).for_each(|_| pace.start(at(30)));
    pace.edge_refused(at(31), at(30));
    assert_eq!(pace.per_thousand_minutes(), Some(20_000));
    // A number that is printed later does not take back what was learned.
    pace.hear_printed(at(40), 60);
    assert_eq!(pace.per_thousand_minutes(), Some(20_000));
    // But a better plan is one.
    pace.hear_printed(at(50), 120);
    assert_eq!(pace.per_thousand_minutes(), Some(40_000));
}

#[test]
fn numbers_that_mean_nothing_are_no_pace() {
    let mut pace = Pace::new(PaceRule::Adaptive);
    pace.hear_printed(at(0), 0);
    pace.hear_printed(at(0), u64::MAX);
    assert_eq!(pace.interval(), None);
    let mut off = Pace::new(PaceRule::Off);
    off.hear_printed(at(0), 1);
    off.edge_refused(at(0), at(0));
    off.hear_allowances(at(0), 0, [Allowance { left: 0, until: at(9) }]);
    assert!(off.interval().is_none() && off.is_ready(at(0)));
}

#[test]
fn a_pace_that_was_asked_for_is_never_passed() {
    let mut pace = Pace::new(PaceRule::PerMinute(30));
    pace.hear_printed(at(0), 600);
    run(&mut pace, 0..3_600);
    assert_eq!(pace.per_thousand_minutes(), Some(30_000));
    pace.edge_refused(at(3_600), at(3_600));
    assert!(pace.per_thousand_minutes() < Some(30_000));
    run(&mut pace, 3_601..3_600 * 8);
    assert_eq!(pace.per_thousand_minutes(), Some(30_000));
}

#[test]
fn what_a_service_says_is_left_is_not_passed() {
    let mut pace = Pace::new(PaceRule::Adaptive);
    let minute = |left| Allowance { left, until: at(60) };
    pace.hear_allowances(at(0), 1, [minute(3), Allowance { left: 900, until: at(3_000) }]);
    pace.start(at(1));
    pace.start(at(1));
    assert_eq!(pace.spent_until(at(1)), Some(at(60)));
    assert!(!pace.is_ready(at(59)) && pace.is_ready(at(60)));
    // An attempt that was not made after all is given back.
    pace.take_back();
    assert!(pace.is_ready(at(59)));
    // The newest word counts, and nothing is believed for longer than an hour.
    pace.hear_allowances(at(59), 0, [Allowance { left: 0, until: at(86_400) }]);
    assert_eq!(pace.spent_until(at(59)), Some(at(59 + 3_600)));
    pace.hear_allowances(at(59), 0, []);
    assert!(pace.is_ready(at(59)));
    // What is over already is no limit.
    pace.hear_allowances(at(59), 0, [Allowance { left: 0, until: at(59) }]);
    assert!(pace.is_ready(at(59)));
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    NotMade,
    Answered,
    Refused,
    Printed(u64),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Start),
        1 => Just(Step::NotMade),
        2 => Just(Step::Answered),
        1 => Just(Step::Refused),
        1 => prop_oneof![Just(1_u64), Just(60), Just(61), Just(6_000)].prop_map(Step::Printed),
        4 => prop_oneof![Just(0_u64), Just(1), Just(999_999), Just(1_000_000), Just(59_000_000), Just(60_000_000), Just(61_000_000)]
            .prop_map(Step::Advance),
    ]
}

proptest! {
    /// In no stretch of time do more attempts start than the burst and the highest rate in it allow, and none waits for ever.
    #[test]
    fn no_more_start_than_the_rate_allows(steps in prop::collection::vec(step(), 1..200)) {
        let mut pace = Pace::new(PaceRule::Adaptive);
        pace.hear_printed(Mono::default(), 60);
        let mut now = 0_u64;
        let mut starts: Vec<u64> = Vec::new();
        let mut fastest = 60_000_u64;
        for step in steps {
            let moment = Mono::from_micros(now);
            match step {
                Step::Start => if pace.is_ready(moment) {
                    pace.start(moment);
                    starts.push(now);
                } else {
                    pace.holds_up();
                    prop_assert!(pace.ready_at(moment) > moment);
                    prop_assert!(pace.ready_at(moment).since(moment) <= Duration::from_secs(3_600));
                },
                Step::NotMade => if starts.last() == Some(&now) {
                    starts.pop();
                    pace.take_back();
                },
                Step::Answered => pace.answered(moment),
                Step::Refused => pace.edge_refused(moment, moment),
                Step::Printed(number) => pace.hear_printed(moment, number),
                Step::Advance(time) => now += time,
            }
            let rate = pace.per_thousand_minutes().unwrap();
            prop_assert!(rate >= 1, "somebody goes some time");
            fastest = fastest.max(rate);
        }
        let burst = fastest / SCALE / BURST_PART + 1;
        for (index, first) in starts.iter().enumerate() {
            for (count, last) in (1_u64..).zip(&starts[index..]) {
                let allowed = burst + 1 + (last - first) * fastest / (MINUTE_MICROS * SCALE);
                prop_assert!(count <= allowed, "{count} from {first} to {last}: {allowed} allowed");
            }
        }
    }
}

#[test]
fn a_refusal_after_a_few_attempts_without_a_pace_slows_little_and_not_for_hours() {
    let mut pace = Pace::new(PaceRule::Adaptive);
    (1..=3).for_each(|second| pace.start(at(second)));
    pace.edge_refused(at(4), at(3));
    assert_eq!(pace.interval(), Some(Duration::from_secs(2)));
    // Attempts now and then are held up no more.
    run(&mut pace, 70..500);
    assert!(pace.per_thousand_minutes().unwrap() > 60_000, "{:?}", pace.per_thousand_minutes());
}
