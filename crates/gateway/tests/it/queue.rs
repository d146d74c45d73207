//! Who comes first, who waits where, and how fast attempts start.

use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat, post};
use bytes::Bytes;
use chutes_emulator::{Fault, FaultKind};
use http::{Request, StatusCode};
use ripcord_rules::admit::PaceRule;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

fn with(model: &str, headers: &[(&'static str, &str)]) -> Request<Bytes> {
    let mut request = post("/v1/chat/completions", chat(model).to_string());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

impl World {
    async fn queue(&self, query: &str) -> Value {
        self.get(&format!("/-/status{query}")).await.json()["queue"].clone()
    }

    /// A request that holds a slot until it is aborted.
    async fn hold_a_slot(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        self.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent).times(1)).unwrap();
        let world = Arc::clone(self);
        let holder = tokio::spawn(async move {
            drop(world.open(with(MODEL, &[("x-ripcord-priority", "batch")])).await);
        });
        self.wait_for("the slot is taken", || async { self.gateway().slots_in_use() == 1 }).await;
        holder
    }
}

/// The third of what issue 5 asks for: with a batch client that keeps 500 requests queued, an interactive request waits at
/// most two slot times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_batch_requests_do_not_keep_an_interactive_one_waiting() {
    const SLOTS: u32 = 2;
    const QUEUED: usize = 500;
    let mut plan = Plan::new();
    plan.limits.slots_per_account = SLOTS;
    for model in &mut plan.scenario.models {
        model.first_token_ms = 100;
    }
    let world = Arc::new(plan.start().await);
    let mut batches: JoinSet<()> = JoinSet::new();
    for _ in 0..QUEUED + SLOTS as usize + 8 {
        let world = Arc::clone(&world);
        batches.spawn(async move {
            loop {
                let answered =
                    world.send_patiently(with(MODEL, &[("x-ripcord-priority", "batch")])).await;
                assert_eq!(answered.status, StatusCode::OK);
            }
        });
    }
    world.wait_for("the batches wait", || async { world.gateway().queued() >= QUEUED }).await;
    let mut waited = Vec::new();
    for _ in 0..8 {
        assert!(world.gateway().queued() >= QUEUED);
        let before = world.upstream_calls().len();
        let answered = world.send(with(OTHER_MODEL, &[])).await;
        assert_eq!(answered.status, StatusCode::OK);
        let calls = world.upstream_calls();
        let models: Vec<&str> =
            calls[before..].iter().filter_map(|call| call.model.as_deref()).collect();
        waited.push(models.iter().position(|model| *model == OTHER_MODEL).unwrap());
    }
    // In a slot time, as many begin as there are slots.
    assert!(waited.iter().all(|&batches| batches <= 2 * SLOTS as usize), "{waited:?}");
    let queue = world.queue("").await;
    assert!(queue["batch"].as_u64().unwrap() >= 490, "{}", queue["batch"]);
    assert_eq!(queue["requests"].as_array().unwrap().len(), 100, "not all of them are shown");
    batches.shutdown().await;
    world.wait_until_idle().await;
}

#[tokio::test]
async fn the_status_shows_who_waits_and_behind_how_many() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.plain_answer = Duration::from_secs(60);
    let world = Arc::new(plan.start().await);
    let holder = world.hold_a_slot().await;
    let mut waiters: JoinSet<Answered> = JoinSet::new();
    for (number, priority) in ["batch", "batch", "interactive"].into_iter().enumerate() {
        let sender = Arc::clone(&world);
        waiters.spawn(async move {
            sender.send(with(MODEL, &[("x-ripcord-priority", priority)])).await
        });
        world.wait_for("it waits", || async { world.gateway().queued() == number + 1 }).await;
    }
    let queue = world.queue("").await;
    assert_eq!((&queue["waiting"], &queue["places"]), (&3.into(), &1_000.into()));
    assert_eq!(
        (&queue["interactive"], &queue["agent"], &queue["batch"]),
        (&1.into(), &0.into(), &2.into())
    );
    let requests = queue["requests"].as_array().unwrap();
    let shown: Vec<(&str, u64)> = requests
        .iter()
        .map(|one| (one["priority"].as_str().unwrap(), one["ahead"].as_u64().unwrap()))
        .collect();
    assert_eq!(shown, [("batch", 1), ("batch", 2), ("interactive", 0)]);
    assert!(
        requests.iter().all(|one| one["likely_wait_seconds"].is_null()),
        "nothing was seen yet"
    );
    assert_eq!(world.status_report().await["accounts"][0]["waiting"], 3);
    let second = requests[1]["request"].as_str().unwrap();
    let only = world.queue(&format!("?request={second}")).await;
    assert_eq!(only["requests"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&only["requests"][0]["request"], &only["requests"][0]["ahead"]),
        (&second.into(), &2.into())
    );
    assert_eq!(world.queue("?request=unknown").await["requests"], serde_json::json!([]));
    holder.abort();
    while let Some(answered) = waiters.join_next().await {
        assert_eq!(answered.unwrap().status, StatusCode::OK);
    }
    world.wait_until_idle().await;
}

#[tokio::test]
async fn a_wait_that_cannot_fit_is_refused_at_once_with_its_likely_length() {
    let mut plan = Plan::new();
    plan.limits.pace = PaceRule::PerMinute(4);
    let world = plan.start().await;
    assert_eq!(world.send(with(MODEL, &[])).await.status, StatusCode::OK);
    let refused = world.send(with(MODEL, &[("x-ripcord-deadline", "5")])).await;
    assert_eq!(refused.refusal(), (429, "deadline".to_owned(), "true"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((10..=15).contains(&wait), "one attempt in fifteen seconds: {wait}");
    assert_eq!(world.upstream_calls().len(), 1);
    world.wait_until_idle().await;
}

#[tokio::test]
async fn the_pace_begins_at_the_number_that_chutes_prints_and_falls_when_the_edge_refuses() {
    let mut plan = Plan::new();
    plan.limits.pace = PaceRule::Adaptive;
    let world = plan.start().await;
    let pace = || async { world.status_report().await["accounts"][0]["pace_per_minute"].clone() };
    assert!(pace().await.is_null(), "nothing was heard yet");
    for _ in 0..2 {
        assert_eq!(world.send(with(MODEL, &[])).await.status, StatusCode::OK);
    }
    assert_eq!(pace().await, 60.0);
    world
        .control()
        .add_account_fault("first", Fault::new(FaultKind::EdgeRateLimit).times(1))
        .unwrap();
    let refused = world.send(with(MODEL, &[("x-ripcord-deadline", "5")])).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(pace().await, 30.0);
    assert_eq!(world.upstream_calls().len(), 3);
}

#[tokio::test]
async fn without_a_pace_nothing_is_held_up() {
    let world = Plan::new().start().await;
    for _ in 0..40 {
        assert_eq!(world.send(with(MODEL, &[])).await.status, StatusCode::OK);
    }
    assert!(world.status_report().await["accounts"][0]["pace_per_minute"].is_null());
}
