//! What changes, as it is told at `/-/events` and to the program that runs the gateway.

use crate::world::{MODEL, OTHER_MODEL, Plan, World, chat};
use bytes::{Bytes, BytesMut};
use chutes_emulator::{AccountChange, AccountSpec, PlanSpec, Scenario, StateSpec};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use ripcord_client::transport::Body;
use ripcord_gateway::{EventReport, Notice};
use std::time::Duration;

/// A client of `/-/events`.
struct Listener {
    body: Body,
    text: BytesMut,
}

impl Listener {
    async fn at(world: &World, last_event_id: Option<&str>) -> Self {
        let mut request = Request::get("/-/events");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = world.open(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        Self { body: response.into_body(), text: BytesMut::new() }
    }

    /// The next block: an event or a comment; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        let read = async {
            loop {
                if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                    let block = self.text.split_to(end + 2);
                    return Some(String::from_utf8(block.to_vec()).unwrap().trim().to_owned());
                }
                let frame = self.body.frame().await?.unwrap();
                self.text.extend_from_slice(&frame.into_data().unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(8), read).await.unwrap()
    }

    /// The next event, whose lines agree with each other.
    async fn event(&mut self) -> EventReport {
        loop {
            let block = self.block().await.unwrap();
            let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else {
                assert!(block.starts_with(':'), "{block}");
                continue;
            };
            let report: EventReport = serde_json::from_str(data).unwrap();
            assert!(
                block.contains(&format!("id: {}\nevent: {}\n", report.id, report.kind)),
                "{block}"
            );
            return report;
        }
    }
}

fn told(report: &EventReport) -> (&str, Option<&str>, Option<&str>) {
    (&report.kind, report.account.as_deref(), report.window.as_deref().or(report.model.as_deref()))
}

/// A Pro account whose 4-hour window is used up, at this time of the day.
fn used_up(time: &str) -> Plan {
    let mut plan = Plan::new();
    let day = plan.scenario.starts_at.as_ref().unwrap()[..10].to_owned();
    plan.scenario.starts_at = Some(format!("{day}T{time}"));
    plan.scenario.accounts = vec![AccountSpec::new("first", PlanSpec::Pro).used_usd(8.4, 50.4)];
    plan
}

#[tokio::test]
async fn a_window_that_is_used_up_is_told_and_so_is_its_turn() {
    let world = used_up("11:59:58").start().await;
    let mut listener = Listener::at(&world, None).await;
    let exhausted = listener.event().await;
    assert_eq!(told(&exhausted), ("exhausted", Some("first"), Some("four_hour")));
    assert_eq!((exhausted.used, exhausted.remaining), (Some(8.4), Some(0.0)));
    assert!(exhausted.resets_at.as_ref().unwrap().ends_with("T12:00:00Z"), "{exhausted:?}");
    let reset = listener.event().await;
    assert_eq!(told(&reset), ("reset", Some("first"), Some("four_hour")));
    assert!(reset.resets_at.as_ref().unwrap().ends_with("T16:00:00Z"), "{reset:?}");
    // Whoever runs the gateway hears the same, from the start on.
    let mut own = world.gateway().events();
    assert_eq!(own.next().await, Some(Notice::Event(exhausted.clone().into())));
    assert_eq!(own.next().await, Some(Notice::Event(reset.clone().into())));
    // One that comes back after the first gets the second; a new one hears of nothing that is over.
    let mut back = Listener::at(&world, Some(&exhausted.id)).await;
    assert_eq!(back.event().await, reset);
    let mut new = Listener::at(&world, None).await;
    assert!(new.block().await.unwrap().starts_with(": ripcord"));
}

#[tokio::test]
async fn a_watched_model_goes_cold_and_hot_again() {
    let mut plan = Plan::new();
    plan.watched_models = vec![OTHER_MODEL.to_owned(), "acme/No-Such".to_owned()];
    let world = plan.start().await;
    let mut listener = Listener::at(&world, None).await;
    listener.block().await.unwrap();
    world.control().set_model_state(OTHER_MODEL, StateSpec::Cold).unwrap();
    let cold = listener.event().await;
    assert_eq!(told(&cold), ("saturated", None, Some(OTHER_MODEL)));
    assert_eq!(cold.state.as_deref(), Some("cold"));
    world.control().set_model_state(OTHER_MODEL, StateSpec::Hot).unwrap();
    assert_eq!(told(&listener.event().await), ("recovered", None, Some(OTHER_MODEL)));
}

#[tokio::test]
async fn what_a_request_meets_is_told() {
    let mut plan = Plan::new();
    plan.accounts = vec![crate::world::account("first", &[0, 1])];
    let world = plan.start().await;
    let mut listener = Listener::at(&world, None).await;
    let revoked = AccountChange { delete_key: Some(0), ..AccountChange::default() };
    world.control().change_account("first", revoked).unwrap();
    // The keys take turns, so one of two requests meets the dead one; the other key answers both.
    for _ in 0..2 {
        assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
    }
    let dead = listener.event().await;
    assert_eq!((told(&dead), dead.key.as_deref()), (("key_dead", Some("first"), None), Some("1")));
    world.control().set_model_state(MODEL, StateSpec::Cold).unwrap();
    let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", 30.into());
    assert_eq!(world.send(request).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told(&listener.event().await), ("saturated", None, Some(MODEL)));
    // What is still wrong is what a new listener hears first. No key and no user id is in any of it.
    let mut new = Listener::at(&world, None).await;
    let standing = [new.event().await, new.event().await];
    assert_eq!(
        standing.iter().map(|report| &*report.kind).collect::<Vec<_>>(),
        ["saturated", "key_dead"]
    );
    let text = serde_json::to_string(&standing).unwrap();
    let key = Scenario::key("first", 0);
    for secret in key.split('.') {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn names_that_clients_make_up_are_not_told() {
    let world = World::start().await;
    let mut own = world.gateway().events();
    world.chat(&chat("acme/No-Such-Model")).await;
    let silent = tokio::time::timeout(Duration::from_millis(50), own.next()).await;
    assert!(silent.is_err(), "{silent:?}");
}

#[tokio::test]
async fn listeners_are_bounded_and_hold_up_no_shutdown() {
    let mut plan = Plan::new();
    plan.limits.heartbeat = Duration::from_millis(20);
    let mut world = plan.start().await;
    let mut listeners = Vec::new();
    for _ in 0..16 {
        listeners.push(Listener::at(&world, None).await);
    }
    let refused = world.get("/-/events").await;
    assert_eq!((refused.status.as_u16(), refused.refusal().1.as_str()), (503, "busy"));
    let mut last = listeners.pop().unwrap();
    drop(listeners);
    world
        .wait_for("a place that is free again", || async {
            world.open(Request::get("/-/events").body(Bytes::new()).unwrap()).await.status()
                == StatusCode::OK
        })
        .await;
    assert!(last.block().await.unwrap().starts_with(": ripcord"));
    assert_eq!(last.block().await.unwrap(), ": nothing new");
    let gateway = world.gateway.take().unwrap();
    tokio::time::timeout(Duration::from_secs(2), gateway.shutdown()).await.expect("a prompt end");
    while let Some(block) = last.block().await {
        assert_eq!(block, ": nothing new");
    }
}

#[tokio::test]
async fn the_stream_is_for_reading_and_for_this_machine() {
    let world = World::start().await;
    let posted = world.post("/-/events", "{}").await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    let request =
        Request::get("/-/events").header("host", "evil.example").body(Bytes::new()).unwrap();
    assert_eq!(world.send(request).await.status, StatusCode::FORBIDDEN);
    let request =
        Request::get("/-/events").header("origin", "https://evil.example").body(Bytes::new());
    assert_eq!(world.send(request.unwrap()).await.status, StatusCode::FORBIDDEN);
}
