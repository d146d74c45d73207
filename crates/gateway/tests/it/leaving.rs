//! A client that leaves takes everything with it: its place in the queue, its slot, and the upstream call.

use crate::world::{MODEL, Plan, World, chat, post, streamed};
use chutes_emulator::{Ended, Fault, FaultKind};
use http_body_util::BodyExt as _;
use ripcord_store::{Ledger as _, Outcome};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

async fn leaves_after_a_moment(world: &Arc<World>, body: Value) {
    let client = {
        let world = Arc::clone(world);
        tokio::spawn(
            async move { world.open(post("/v1/chat/completions", body.to_string())).await },
        )
    };
    let asked =
        || async { world.upstream_calls().len() == 1 && world.gateway().slots_in_use() == 1 };
    world.wait_for("the call is under way upstream", asked).await;
    client.abort();
    assert!(client.await.is_err());
}

/// The upstream call ended within a second of the client's leaving, and the record says why.
async fn assert_cancelled(world: &World) {
    let left = || async { world.upstream_calls()[0].ended == Some(Ended::ClientLeft) };
    tokio::time::timeout(Duration::from_secs(1), world.wait_for("the upstream call ends", left))
        .await
        .unwrap();
    world.wait_until_idle().await;
    let written = || async { !world.ledger.recent_requests(1).unwrap().is_empty() };
    world.wait_for("the record", written).await;
    assert_eq!(world.ledger.recent_requests(1).unwrap()[0].outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn before_the_head_of_a_plain_call_and_of_a_stream() {
    for body in [chat(MODEL), streamed(MODEL)] {
        let mut plan = Plan::new();
        plan.limits.plain_answer = Duration::from_secs(60);
        plan.limits.first_token = Duration::from_secs(60);
        let world = Arc::new(plan.start().await);
        world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
        leaves_after_a_moment(&world, body).await;
        assert_cancelled(&world).await;
    }
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let mut plan = Plan::new();
    plan.limits.stall = Duration::from_secs(60);
    let world = plan.start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Stall).after_chunks(4)).unwrap();
    let mut response = world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await;
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    drop(response);
    assert_cancelled(&world).await;
    assert_eq!(
        world.control().account("first").unwrap().milli_units_ever,
        0,
        "a stream that is left costs nothing"
    );
}

#[tokio::test]
async fn while_it_waits_in_the_queue() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.plain_answer = Duration::from_secs(60);
    let world = Arc::new(plan.start().await);
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
    let send = || {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world.open(post("/v1/chat/completions", chat(MODEL).to_string())).await
        })
    };
    let holder = send();
    world.wait_for("the slot is taken", || async { world.gateway().slots_in_use() == 1 }).await;
    let waiter = send();
    world.wait_for("one waits", || async { world.gateway().queued() == 1 }).await;
    let ports = world.status_report().await["calling_ports"].clone();
    assert_eq!(ports.as_array().map(Vec::len), Some(2), "each by its port, the one who asks not");
    waiter.abort();
    world.wait_for("nobody waits", || async { world.gateway().queued() == 0 }).await;
    assert_eq!(world.upstream_calls().len(), 1, "the waiter never reached Chutes");
    holder.abort();
    world.wait_until_idle().await;
    assert_eq!(world.status_report().await["calling_ports"], serde_json::json!([]));
}

#[tokio::test]
async fn two_hundred_clients_that_leave_at_random_leave_nothing_behind() {
    let mut plan = Plan::new();
    for model in &mut plan.scenario.models {
        model.first_token_ms = 3;
        model.tokens_per_second = 2_000.0;
    }
    let world = Arc::new(plan.start().await);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..200_u64 {
        let world = Arc::clone(&world);
        clients.spawn(async move {
            let body = if number % 3 == 0 { chat(MODEL) } else { streamed(MODEL) };
            let whole = world.chat(&body);
            // From "at once" to "after the whole answer".
            let patience = Duration::from_micros(number * 7_919 % 60_000);
            let _ = tokio::time::timeout(patience, whole).await;
        });
    }
    while clients.join_next().await.is_some() {}
    world.wait_until_idle().await;
    let most = world.upstream_calls().iter().map(|call| call.account_in_flight).max().unwrap_or(0);
    // Upstream may count one that was just cancelled a moment longer.
    assert!(most <= 10, "{most}");
}

#[tokio::test]
async fn a_gateway_that_stops_finishes_what_is_under_way() {
    let mut plan = Plan::new();
    for model in &mut plan.scenario.models {
        model.tokens_per_second = 60.0;
    }
    let mut world = plan.start().await;
    let response = world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await;
    let gateway = world.gateway.take().unwrap();
    let (collected, ()) = tokio::join!(response.into_body().collect(), gateway.shutdown());
    let text = String::from_utf8(collected.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(world.ledger.recent_requests(1).unwrap()[0].outcome, Outcome::Completed);
    assert!(
        tokio::net::TcpStream::connect(world.address).await.is_err(),
        "it takes no new connections"
    );
}
