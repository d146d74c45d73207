//! Whoever waits in the queue while a window is used up goes on soon after it turned, by the server's clock.

use crate::world::{MODEL, Plan, account, chat, post};
use chutes_emulator::{AccountSpec, Lag, LogEntry, PlanSpec};
use http::StatusCode;
use ripcord_rules::quota::Paygo;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const SECOND: i64 = 1_000_000;
const FOUR_HOURS: i64 = 14_400 * SECOND;
/// Clocks agree to about this much.
const CLOCKS_DIFFER: i64 = 2 * SECOND;

/// A window that is used up and ends in a few seconds, and money that must not be touched.
fn nearly_over(ends_in_seconds: u64) -> Plan {
    let mut plan = Plan::new();
    plan.scenario.accounts =
        vec![AccountSpec::new("first", PlanSpec::Pro).used_usd(8.4, 20.0).balance_usd(5.0)];
    plan.scenario.starts_at = plan
        .scenario
        .starts_at
        .map(|start| format!("{}T11:59:{}", &start[..10], 60 - ends_in_seconds));
    plan.accounts = vec![account("first", &[0])];
    plan.accounts[0].paygo = Paygo::Never;
    plan
}

/// Queues three batches, lets the server's clock run another `ahead` by then, and waits until all are answered. What the
/// server saw, and when it turned.
async fn ride_over(plan: Plan, ahead: i64) -> (Vec<LogEntry>, i64) {
    let world = Arc::new(plan.start().await);
    let mut batches = JoinSet::new();
    for number in 0..3_usize {
        let mut request = post("/v1/chat/completions", chat(MODEL).to_string());
        request.headers_mut().insert("x-ripcord-priority", "batch".parse().unwrap());
        let waiting = Arc::clone(&world);
        batches.spawn(async move { waiting.send_patiently(request).await.status });
        world.wait_for("a place", || async { world.gateway().queued() == number + 1 }).await;
    }
    let control = world.control();
    let now = control.clock().now_micros();
    control.clock().set_micros(now + ahead);
    let turn = (now / FOUR_HOURS + 1) * FOUR_HOURS;
    let all = async {
        while let Some(status) = batches.join_next().await {
            assert_eq!(status.unwrap(), StatusCode::OK);
        }
    };
    // Only so that a queue that stands still does not hang.
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    assert_eq!(control.account("first").unwrap().paid_nano_usd, 0);
    (control.log(), turn)
}

fn assert_went_on_after(log: &[LogEntry], turn: i64) {
    let calls: Vec<i64> = log
        .iter()
        .filter(|entry| entry.method == "POST")
        .map(|entry| entry.started_micros - turn)
        .collect();
    assert_eq!(calls.len(), 3);
    // Not before the server's turn, whatever our clock says; and not at the next reading, but at the turn.
    assert!(calls.iter().all(|&call| call >= 0), "{calls:?}");
    assert!(calls.iter().all(|&call| call < 2 * CLOCKS_DIFFER + 2 * SECOND), "{calls:?}");
    // The time is learned once, by a second look; from then on nobody asks more than once in ten seconds.
    let readings: Vec<i64> = log
        .iter()
        .filter(|entry| entry.path == "/users/me")
        .map(|entry| entry.started_micros)
        .collect();
    for two in readings[1..].windows(2) {
        assert!(two[1] - two[0] >= 10 * SECOND - CLOCKS_DIFFER, "{readings:?}");
    }
}

#[tokio::test]
async fn the_queue_goes_on_after_a_turn() {
    let (log, turn) = ride_over(nearly_over(2), 0).await;
    assert_went_on_after(&log, turn);
}

#[tokio::test]
async fn the_queue_goes_on_after_a_turn_that_comes_sooner() {
    let (log, turn) = ride_over(nearly_over(4), 3 * SECOND / 2).await;
    assert_went_on_after(&log, turn);
}

#[tokio::test]
async fn the_queue_goes_on_after_a_turn_that_comes_later() {
    let (log, turn) = ride_over(nearly_over(2), -3 * SECOND / 4).await;
    assert_went_on_after(&log, turn);
}

#[tokio::test]
async fn the_queue_goes_on_though_the_figures_are_still_those_of_the_window_before() {
    let mut plan = nearly_over(2);
    plan.scenario.lag = Lag { turn_seconds: 60.0, ..Lag::none() };
    let (log, turn) = ride_over(plan, 0).await;
    assert_went_on_after(&log, turn);
}
