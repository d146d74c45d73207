use super::*;
use crate::cause::{Origin, Says};
use crate::recover::samples::{edge_limit, failure, seconds};
use proptest::prelude::*;

fn fresh() -> Attempts {
    Attempts::new(AttemptLimits::default(), None)
}

fn full() -> Failure {
    failure(429, Origin::Application, Says::Capacity)
}

fn cold() -> Failure {
    failure(503, Origin::Application, Says::NoInstances)
}

fn lost(phase: Phase) -> Failure {
    Failure { phase, status: None, ..failure(0, Origin::Transport, Says::Nothing) }
}

/// An attempt for `m` that fails at `now`, with nothing else to go to.
fn try_once(attempts: &mut Attempts, now: u64, account: usize, failure: &Failure) -> Next {
    attempts.begin(account, "m");
    attempts.failed(seconds(now), (account, "m"), failure, None, 500)
}

const fn retry(at: Mono) -> Next {
    Next::Retry { at }
}

#[test]
fn an_account_that_is_refused_makes_room_for_another() {
    let mut attempts = fresh();
    assert_eq!(try_once(&mut attempts, 0, 0, &edge_limit()), retry(seconds(0)));
    assert!(attempts.may_use(0, "m"), "its rest keeps it away, as long as that lasts");
    let barred = failure(402, Origin::Application, Says::NotCoveredByPlan);
    assert_eq!(try_once(&mut attempts, 0, 1, &barred), retry(seconds(0)));
    assert!(!attempts.may_use(1, "m") && attempts.may_use(1, "other"));
    assert!(attempts.has_failed(0, "m") && !attempts.has_failed(0, "other"));
    assert_eq!(attempts.made(), 1, "what the plan does not cover cost nothing");
}

#[test]
fn a_full_model_is_waited_for_and_a_bad_request_is_not_repeated() {
    let mut attempts = Attempts::new(AttemptLimits::default(), Some(seconds(10)));
    assert_eq!(try_once(&mut attempts, 0, 0, &full()), retry(seconds(1)));
    assert_eq!(attempts.not_before("m", seconds(0)), Some(seconds(1)));
    assert_eq!(try_once(&mut attempts, 1, 0, &full()), retry(seconds(3)));
    assert!(attempts.may_use(0, "m"), "one account is enough: others would not help");
    // Past the deadline there is no point.
    assert_eq!(try_once(&mut attempts, 9, 0, &full()), Next::GiveUp);
    // Without one it ends all the same.
    let mut attempts = fresh();
    for _ in 0..11 {
        assert!(matches!(try_once(&mut attempts, 0, 0, &full()), Next::Retry { .. }));
    }
    assert_eq!(try_once(&mut attempts, 0, 0, &full()), Next::GiveUp);
    let bad = failure(400, Origin::Application, Says::Nothing);
    assert_eq!(try_once(&mut fresh(), 0, 0, &bad), Next::GiveUp);
}

#[test]
fn another_model_is_asked_at_once_and_the_full_one_not_before_its_time() {
    let mut attempts = Attempts::new(AttemptLimits::default(), Some(seconds(2)));
    attempts.begin(0, "m");
    assert_eq!(
        attempts.failed(seconds(0), (0, "m"), &full(), Some(seconds(0)), 999),
        retry(seconds(0))
    );
    let pause = attempts.not_before("m", seconds(0)).unwrap();
    assert!(pause > seconds(1) && attempts.not_before("other", seconds(0)).is_none());
    // The other one is full, too, for longer: the first that may be asked again is.
    attempts.begin(0, "other");
    let asks = Failure { retry_after: Some(Duration::from_secs(60)), ..full() };
    assert_eq!(attempts.failed(seconds(1), (0, "other"), &asks, None, 0), retry(pause));
    assert_eq!((attempts.times_full("m"), attempts.times_full("other")), (1, 1));
    // Both past the deadline.
    attempts.begin(0, "m");
    assert_eq!(attempts.failed(seconds(1), (0, "m"), &asks, None, 0), Next::GiveUp);
}

#[test]
fn a_model_whose_instances_all_failed_is_asked_after_the_others_and_counts() {
    let exhausted = failure(500, Origin::Application, Says::TargetsExhausted);
    let mut attempts = fresh();
    attempts.begin(0, "m");
    let next = attempts.failed(seconds(0), (0, "m"), &exhausted, Some(seconds(0)), 0);
    assert_eq!((next, attempts.made()), (retry(seconds(0)), 1));
    assert_eq!(attempts.not_before("m", seconds(0)), Some(seconds(2)));
    // Alone, it is asked again soon.
    let mut alone = fresh();
    assert_eq!(try_once(&mut alone, 0, 0, &exhausted), retry(Mono::from_micros(125_000)));
}

#[test]
fn the_wait_that_an_answer_asks_for_is_kept() {
    let asks = |failure| Failure { retry_after: Some(Duration::from_secs(7)), ..failure };
    for failure in [full(), failure(503, Origin::Application, Says::Nothing)] {
        let mut attempts = fresh();
        attempts.begin(0, "m");
        let next = attempts.failed(seconds(0), (0, "m"), &asks(failure), None, 0);
        assert_eq!(next, retry(seconds(7)));
    }
}

#[test]
fn a_cold_model_takes_no_attempt_away_and_a_disabled_one_is_left() {
    let mut attempts = fresh();
    for _ in 0..11 {
        assert_eq!(try_once(&mut attempts, 0, 0, &cold()), retry(seconds(0)));
    }
    assert!(attempts.may_use(0, "m") && attempts.made() == 0);
    assert_eq!(try_once(&mut attempts, 0, 0, &cold()), Next::GiveUp);
    let off = failure(503, Origin::Application, Says::ModelDisabled);
    let mut attempts = fresh();
    attempts.begin(0, "m");
    assert_eq!(attempts.failed(seconds(0), (0, "m"), &off, Some(seconds(0)), 0), retry(seconds(0)));
    assert!(!attempts.may_use(0, "m") && !attempts.may_use(1, "m") && attempts.may_use(0, "other"));
    assert_eq!(try_once(&mut fresh(), 0, 0, &off), Next::GiveUp);
}

#[test]
fn a_link_that_is_left_does_not_end_what_another_one_waits_for() {
    let mut attempts = fresh();
    attempts.begin(0, "m");
    attempts.failed(seconds(0), (0, "m"), &full(), Some(seconds(0)), 500);
    let gone = failure(404, Origin::Application, Says::ModelNotFound);
    attempts.begin(0, "other");
    assert_eq!(attempts.failed(seconds(0), (0, "other"), &gone, None, 0), retry(seconds(1)));
    // Nor what rests, and was not asked yet; unless that takes too long.
    let next = |elsewhere| {
        let mut attempts = Attempts::new(AttemptLimits::default(), Some(seconds(30)));
        attempts.begin(0, "m");
        attempts.failed(seconds(0), (0, "m"), &gone, Some(seconds(elsewhere)), 0)
    };
    assert_eq!((next(20), next(30)), (retry(seconds(20)), Next::GiveUp));
}

#[test]
fn what_does_not_fit_is_asked_again_only_when_it_is_shorter() {
    let long = failure(400, Origin::Application, Says::ContextTooLong);
    let mut attempts = fresh();
    assert_eq!(try_once(&mut attempts, 0, 0, &long), Next::GiveUp);
    assert!(!attempts.may_use(1, "m"));
    attempts.was_trimmed();
    assert!(attempts.may_use(1, "m"));
}

#[test]
fn what_may_have_been_billed_is_repeated_once() {
    let mut attempts = fresh();
    assert!(matches!(try_once(&mut attempts, 0, 0, &lost(Phase::AwaitHead)), Next::Retry { .. }));
    assert_eq!(try_once(&mut attempts, 0, 1, &lost(Phase::AwaitHead)), Next::GiveUp);
    let mut attempts = Attempts::new(AttemptLimits::default().for_stream(), None);
    for account in 0..2 {
        let next = try_once(&mut attempts, 0, account, &lost(Phase::FirstEvent));
        assert!(matches!(next, Next::Retry { .. }), "a stream that is left costs nothing");
    }
    assert_eq!(try_once(&mut attempts, 0, 2, &lost(Phase::FirstEvent)), Next::GiveUp);
    // What was never sent is repeated while attempts are left.
    let mut attempts = fresh();
    for account in 0..3 {
        let next = try_once(&mut attempts, 0, account, &lost(Phase::Connect));
        assert!(matches!(next, Next::Retry { .. }));
    }
    assert_eq!(try_once(&mut attempts, 0, 3, &lost(Phase::Connect)), Next::GiveUp);
}

#[test]
fn a_broken_answer_may_have_been_billed_too() {
    let cut = Failure {
        phase: Phase::FirstEvent,
        status: Some(200),
        ..failure(200, Origin::Application, Says::Nothing)
    };
    let mut attempts = fresh();
    assert!(matches!(try_once(&mut attempts, 0, 0, &cut), Next::Retry { .. }));
    assert_eq!(try_once(&mut attempts, 0, 1, &cut), Next::GiveUp);
}

#[test]
fn an_answer_that_broke_off_goes_on_within_the_same_attempts() {
    let cut = Failure { phase: Phase::Stream, ..lost(Phase::Stream) };
    let mut attempts = fresh();
    assert_eq!(try_once(&mut attempts, 0, 0, &cut), retry(seconds(0)));
    assert_eq!(try_once(&mut attempts, 0, 0, &cut), retry(seconds(0)));
    assert!(!attempts.may_use(0, "m") && attempts.may_use(1, "m"));
    assert_eq!(try_once(&mut attempts, 0, 1, &cut), retry(seconds(0)));
    assert_eq!(try_once(&mut attempts, 0, 1, &cut), Next::GiveUp);
}

#[test]
fn a_callers_retries_and_ours_do_not_multiply() {
    let limits = AttemptLimits::default();
    let left = limits.after_callers_retries(1);
    assert_eq!((left.attempts, left.attempts_per_pair, left.retries_after_send), (3, 1, 0));
    assert_eq!(left.for_stream().retries_after_send, 0);
    assert_eq!(limits.after_callers_retries(9).attempts, 1);
}

#[test]
fn dead_keys_and_used_up_windows_take_no_attempt_away() {
    let dead = failure(401, Origin::Application, Says::Nothing);
    let used_up = failure(402, Origin::Application, Says::SubscriptionCap);
    let mut attempts = fresh();
    for account in 0..9 {
        assert_eq!(try_once(&mut attempts, 0, account, &used_up), retry(seconds(0)));
        assert_eq!(try_once(&mut attempts, 0, 10, &dead), retry(seconds(0)));
    }
    assert!(attempts.may_use(10, "m"));
}

#[test]
fn an_edge_block_is_tried_once_more_over_another_connection() {
    let block = failure(403, Origin::Edge, Says::Nothing);
    let mut attempts = fresh();
    assert!(!attempts.wants_fresh_connection());
    assert_eq!(try_once(&mut attempts, 0, 0, &block), retry(seconds(0)));
    assert!(attempts.wants_fresh_connection());
    assert_eq!(try_once(&mut attempts, 0, 0, &block), Next::GiveUp);
    // Whoever is not behind that edge may still serve it.
    let mut attempts = fresh();
    try_once(&mut attempts, 0, 0, &block);
    attempts.begin(1, "m");
    assert_eq!(
        attempts.failed(seconds(0), (1, "m"), &block, Some(seconds(0)), 0),
        retry(seconds(0))
    );
    assert!(!attempts.may_use(1, "m") && attempts.may_use(2, "provider:m"));
    let _ = attempts.failed(seconds(0), (2, "provider:m"), &full(), None, 0);
    assert!(!attempts.wants_fresh_connection());
}

const LINKS: [&str; 3] = ["m", "sibling", "provider:m"];

fn any_failure() -> impl Strategy<Value = Failure> {
    let application = |status, says| failure(status, Origin::Application, says);
    let sample = prop::sample::select(vec![
        full(),
        cold(),
        edge_limit(),
        application(402, Says::SubscriptionCap),
        application(402, Says::NotCoveredByPlan),
        application(401, Says::Nothing),
        application(500, Says::Nothing),
        application(503, Says::ModelDisabled),
        application(404, Says::ModelNotFound),
        application(400, Says::ContextTooLong),
        failure(403, Origin::Edge, Says::Nothing),
        failure(502, Origin::Edge, Says::Nothing),
        lost(Phase::Connect),
        lost(Phase::Send),
        lost(Phase::AwaitHead),
        lost(Phase::FirstEvent),
        lost(Phase::Stream),
        Failure { says: Says::TimedOut, ..lost(Phase::FirstEvent) },
        Failure { says: Says::Unreachable, ..lost(Phase::Connect) },
    ]);
    let asked = prop::option::weighted(0.2, (0_u64..100).prop_map(Duration::from_secs));
    (sample, asked).prop_map(|(failure, retry_after)| Failure { retry_after, ..failure })
}

proptest! {
    /// Whatever comes: attempts are bounded in all and for each pair, nothing is tried past the deadline, nowhere before its
    /// time, and what may have been billed is repeated no more often than allowed.
    #[test]
    fn no_request_becomes_a_storm(
        steps in prop::collection::vec((0_usize..4, 0_usize..3, any_failure(), any::<bool>(), 0_u64..1_000), 200),
        deadline in prop::option::of(1_u64..200),
    ) {
        let limits = AttemptLimits::default();
        let deadline = deadline.map(seconds);
        let mut attempts = Attempts::new(limits, deadline);
        let mut now = Mono::default();
        let mut counted = std::collections::HashMap::new();
        let (mut begun, mut after_send) = (0, 0);
        for (account, link, failed, elsewhere, jitter) in steps {
            let link = LINKS[link];
            if !attempts.may_use(account, link) {
                continue;
            }
            now = attempts.not_before(link, now).unwrap_or(now);
            if deadline.is_some_and(|deadline| now >= deadline) {
                break;
            }
            attempts.begin(account, link);
            begun += 1;
            let before = attempts.made();
            let elsewhere = elsewhere.then_some(now);
            let next = attempts.failed(now, (account, link), &failed, elsewhere, jitter);
            if attempts.made() == before {
                *counted.entry((account, link)).or_insert(0) += 1;
            }
            let is_after_send = matches!(classify(&failed), Cause::Transient | Cause::Silent)
                && matches!(failed.phase, Phase::AwaitHead | Phase::FirstEvent);
            after_send += u32::from(is_after_send);
            prop_assert!(attempts.made() <= limits.attempts);
            prop_assert!(counted.values().all(|&count| count <= limits.attempts_per_pair));
            prop_assert!(counted.values().sum::<u32>() <= limits.attempts);
            prop_assert!(begun <= limits.attempts * (1 + WAITS_PER_ATTEMPT) + MANY_SET_ASIDE);
            match next {
                Next::GiveUp => break,
                Next::Retry { at } => {
                    prop_assert!(at >= now);
                    prop_assert!(at == now || deadline.is_none_or(|deadline| at < deadline));
                    prop_assert!(after_send <= limits.retries_after_send);
                    now = at;
                }
            }
        }
    }
}
