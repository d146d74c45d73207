//! Never more at once than an account allows; whoever waits is served in turn or told in time.

use crate::world::{MODEL, Plan, chat, streamed};
use chutes_emulator::{Fault, FaultKind};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

fn slow(plan: &mut Plan, delay_ms: u64) {
    for model in &mut plan.scenario.models {
        model.first_token_ms = delay_ms;
    }
}

#[tokio::test]
async fn twenty_at_once_run_five_at_a_time_and_all_are_answered() {
    let mut plan = Plan::new();
    slow(&mut plan, 20);
    let world = Arc::new(plan.start().await);
    let mut clients = JoinSet::new();
    for number in 0..20 {
        let world = Arc::clone(&world);
        clients.spawn(async move {
            let body = if number % 2 == 0 { chat(MODEL) } else { streamed(MODEL) };
            world.chat(&body).await.status
        });
    }
    while let Some(status) = clients.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    let most = world.upstream_calls().iter().map(|call| call.account_in_flight).max();
    assert_eq!(most, Some(5), "all five slots were used, and never a sixth");
    world.wait_until_idle().await;
}

#[tokio::test]
async fn two_accounts_serve_twice_as_many_at_once() {
    let mut plan = Plan::new().and_second();
    slow(&mut plan, 50);
    let world = Arc::new(plan.start().await);
    let mut clients = JoinSet::new();
    for _ in 0..10 {
        let world = Arc::clone(&world);
        clients.spawn(async move {
            world.chat(&chat(MODEL)).await.header("x-ripcord-account").to_owned()
        });
    }
    let mut served = Vec::new();
    while let Some(account) = clients.join_next().await {
        served.push(account.unwrap());
    }
    served.sort();
    assert_eq!(served[..5], ["first"; 5].map(str::to_owned));
    assert_eq!(served[5..], ["second"; 5].map(str::to_owned));
}

#[tokio::test]
async fn a_stream_that_waits_long_is_opened_early_and_kept_alive() {
    let mut plan = Plan::new();
    plan.limits.heartbeat = Duration::from_millis(100);
    plan.limits.first_token = Duration::from_secs(5);
    slow(&mut plan, 450);
    let world = plan.start().await;
    let answered = world.chat(&streamed(MODEL)).await;
    answered.assert_whole_stream();
    assert!(answered.text().starts_with(": "), "a comment first: {}", answered.text());
    assert!(answered.text().matches("ripcord is waiting").count() >= 3);
    assert!(answered.text().contains("x-ripcord-account=first"), "the headers follow as a comment");
    // A refusal that comes late is an event.
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Cold).delay_ms(0)).unwrap();
    let mut plan = Plan::new();
    plan.limits.heartbeat = Duration::from_millis(50);
    let late = plan.start().await;
    late.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
    let answered = late.chat(&streamed(MODEL)).await;
    assert_eq!(answered.status, StatusCode::OK, "the stream was open already");
    let events = answered.events();
    assert!(events.last().unwrap().contains("upstream_timeout"), "{}", answered.text());
    late.wait_until_idle().await;
}

#[tokio::test]
async fn a_silent_stream_gets_comments_between_whole_events() {
    let mut plan = Plan::new();
    plan.limits.heartbeat = Duration::from_millis(60);
    plan.limits.stall = Duration::from_millis(2_000);
    let world = plan.start().await;
    let fault = Fault::new(FaultKind::Stall).after_chunks(4).delay_ms(300).times(1);
    world.control().add_model_fault(MODEL, fault).unwrap();
    let answered = world.chat(&streamed(MODEL)).await;
    answered.assert_whole_stream();
    assert!(answered.text().matches("ripcord is waiting").count() >= 2, "{}", answered.text());
}
