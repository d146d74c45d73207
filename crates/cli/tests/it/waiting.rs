//! `wait-for-reset` with clocks that run, on both sides equally fast.

use std::time::Duration;

use chutes_emulator::{AccountSpec, PlanSpec, Scenario};

use crate::world::{World, catalogue, pro};

/// One second here is this many there.
const SPEED: u32 = 60;

/// Thirty seconds before the 4-hour window turns, with that window used up.
fn before_the_turn() -> World {
    let mut scenario: Scenario = catalogue().account(pro().used_usd(8.4, 50.4));
    scenario.starts_at = Some("2026-09-27T11:59:30Z".to_owned());
    scenario.clock_speed = f64::from(SPEED);
    World::of(scenario)
        .key(&Scenario::key("alice", 0))
        .variable("RIPCORD_TEST_NOW", &format!("2026-09-27T11:59:30Z/run{SPEED}"))
}

#[test]
fn it_returns_when_the_window_turns_and_asks_sparingly() {
    let world = before_the_turn();
    let outcome = world.run(&["wait-for-reset", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    let report = outcome.report("wait-for-reset");
    assert_eq!(report["ended"], "budget");
    assert!(report["generated_at"].as_str().unwrap() >= "2026-09-27T12:00:00Z", "{report}");
    // Time passes at Chutes, too, until it is asked.
    assert!((1..60).contains(&report["waited_seconds"].as_u64().unwrap()), "{report}");
    let log = world.emulator().control().log();
    let looks: Vec<i64> = log
        .iter()
        .filter(|entry| entry.path == "/users/me")
        .map(|entry| entry.started_micros)
        .collect();
    assert_eq!(looks.len(), 2, "once at the start and once after the turn");
    let gap = Duration::from_micros(u64::try_from(looks[1] - looks[0]).unwrap());
    assert!(gap >= Duration::from_secs(10), "{gap:?}");
}

#[test]
fn it_gives_up_at_the_timeout() {
    let world = before_the_turn();
    let outcome = world.run(&["wait-for-reset", "--timeout", "12", "--json"]);
    assert_eq!(outcome.code, 1, "{}", outcome.seen());
    assert_eq!(outcome.report("wait-for-reset")["ended"], "timeout");
}

#[test]
fn a_turn_shortly_before_the_timeout_counts() {
    let outcome = before_the_turn().run(&["wait-for-reset", "--timeout", "33", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
}

#[test]
fn the_next_reset_is_awaited_even_with_budget() {
    let world = before_the_turn();
    let outcome = world.run(&["wait-for-reset", "--next", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert_eq!(outcome.report("wait-for-reset")["ended"], "turned");
}

/// What `--next` awaits is a turn; whether there is budget is another question, and is not answered beside it.
#[test]
fn a_next_reset_that_did_not_come_says_nothing_of_the_budget() {
    let mut scenario = catalogue().account(pro()).account(AccountSpec::new("bob", PlanSpec::Pro));
    scenario.starts_at = Some("2026-09-27T11:59:30Z".to_owned());
    let world = World::of(scenario)
        .key(&format!("{},{}", Scenario::key("alice", 0), Scenario::key("bob", 0)))
        .variable("RIPCORD_TEST_NOW", "2026-09-27T11:59:30Z/run10");
    let outcome = world.run(&["wait-for-reset", "--next", "--timeout", "1"]);
    assert_eq!(outcome.code, 1, "{}", outcome.seen());
    assert_eq!(outcome.stdout.lines().count(), 1, "{}", outcome.seen());
    assert!(
        outcome.stdout.starts_with("✗ the time is up; the next reset is in"),
        "{}",
        outcome.seen()
    );
    let report = world.run(&["wait-for-reset", "--next", "--timeout", "0", "--json"]);
    let report = report.report("wait-for-reset");
    assert_eq!((&report["verdict"], &report["ended"]), (&"no".into(), &"timeout".into()));
    assert_eq!(report["accounts"], serde_json::json!([]));
}

/// The machine is eight minutes ahead and believes that the window has turned.
#[test]
fn a_wrong_clock_of_the_machine_is_told_and_the_time_of_chutes_counts() {
    let world = World::of(
        catalogue().stopped_at("2026-09-27T11:55:00Z").account(pro().used_usd(8.4, 50.4)),
    )
    .key(&Scenario::key("alice", 0))
    .variable("RIPCORD_TEST_NOW", "2026-09-27T12:03:00Z");
    let wait = world.run(&["wait-for-reset", "--timeout", "0", "--json"]);
    assert_eq!(wait.code, 1, "{}", wait.seen());
    let report = wait.report("wait-for-reset");
    assert_eq!(report["next_reset_at"], "2026-09-27T12:00:00Z");
    assert_eq!(report["waited_seconds"], 0);
    for command in [&["usage"][..], &["budget-check"], &["can-complete", "5"]] {
        let outcome = world.run(command);
        assert!(
            outcome
                .stderr
                .starts_with("warning: this machine's clock is 8 min ahead of that of Chutes;"),
            "{}",
            outcome.seen()
        );
    }
    assert_eq!(world.run(&["budget-check", "--json"]).talk("warning").len(), 1);
}

#[test]
fn the_calendar_needs_no_account() {
    let world = before_the_turn().unreachable().without("CHUTES_API_KEY");
    assert_eq!(world.run(&["wait-for-reset", "--next", "four_hour"]).code, 0);
    let timed_out = world.run(&["wait-for-reset", "--next", "day", "--timeout", "1"]);
    assert_eq!(timed_out.code, 1, "{}", timed_out.seen());
}

#[test]
fn what_cannot_be_read_ends_at_once() {
    let world = before_the_turn().unreachable();
    assert_eq!(world.run(&["wait-for-reset"]).code, 3);
    assert_eq!(world.run(&["wait-for-reset", "--next", "month"]).code, 3);
}
