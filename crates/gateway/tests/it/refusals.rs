//! The refusals, row by row: status, code, when to come back, whether an SDK should try again by itself, and, where one is
//! to blame, the window with its reset.

use crate::provider::{Provider, Script};
use crate::world::{Answered, MODEL, Plan, World, chat, post, streamed};
use bytes::Bytes;
use chutes_emulator::{AccountChange, AccountSpec, Fault, FaultKind, KeyKind, PlanSpec};
use http::Request;
use ripcord_store::{ClientKey, ClientKeys as _, ClientRules};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A row of the table.
struct Row {
    status: u16,
    code: &'static str,
    retry_after: Option<RangeInclusive<u64>>,
    should_retry: bool,
    window: Option<&'static str>,
}

impl Row {
    const fn new(status: u16, code: &'static str) -> Self {
        Self { status, code, retry_after: None, should_retry: false, window: None }
    }

    fn after(mut self, seconds: RangeInclusive<u64>) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    const fn worth_retrying(mut self) -> Self {
        self.should_retry = true;
        self
    }

    const fn of_window(mut self, window: &'static str) -> Self {
        self.window = Some(window);
        self
    }

    fn holds(&self, answered: &Answered) {
        let text = answered.text();
        let should_retry = if self.should_retry { "true" } else { "false" };
        assert_eq!(answered.refusal(), (self.status, self.code.to_owned(), should_retry), "{text}");
        let retry_after = answered.header("retry-after").parse::<u64>().ok();
        match (&self.retry_after, retry_after) {
            (None, None) => {}
            (Some(range), Some(seconds)) if range.contains(&seconds) => {}
            (range, seconds) => panic!("retry-after {seconds:?} instead of {range:?}: {text}"),
        }
        let error = &answered.json()["error"];
        assert_eq!(error["window"].as_str(), self.window, "{text}");
        assert_eq!(error["reset_at"].is_string(), self.window.is_some(), "{text}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{text}");
        assert!(error["type"].is_string() && error.as_object().unwrap().contains_key("param"));
        assert_eq!(answered.header("cache-control"), "no-store");
        assert_eq!(answered.header("content-type"), "application/json");
        assert!(!answered.header("x-ripcord-request-id").is_empty());
    }
}

async fn of_account(account: AccountSpec) -> World {
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![account];
    plan.start().await
}

fn with_deadline(body: &serde_json::Value, seconds: u64) -> Request<Bytes> {
    let mut request = post("/v1/chat/completions", body.to_string());
    request.headers_mut().insert("x-ripcord-deadline", seconds.into());
    request
}

#[tokio::test]
async fn queue_full_and_deadline() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.queue = 1;
    plan.limits.plain_answer = Duration::from_secs(60);
    let world = Arc::new(plan.start().await);
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
    let begin = |request: Request<Bytes>| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.send(request).await })
    };
    let holder = begin(post("/v1/chat/completions", chat(MODEL).to_string()));
    world.wait_for("the slot is taken", || async { world.gateway().slots_in_use() == 1 }).await;
    let waiter = begin(with_deadline(&chat(MODEL), 1));
    world.wait_for("the place is taken", || async { world.gateway().queued() == 1 }).await;
    let full = Row::new(429, "queue_full").after(1..=60).worth_retrying();
    full.holds(&world.chat(&chat(MODEL)).await);
    let deadline = Row::new(429, "deadline").after(1..=60).worth_retrying();
    deadline.holds(&waiter.await.unwrap());
    holder.abort();
    let _ = holder.await;
    world.wait_until_idle().await;
}

#[tokio::test]
async fn window_used_up() {
    // The key may read the account, so it is known beforehand; the same told by Chutes' 402 is in `failures`.
    let world = of_account(
        AccountSpec::new("first", PlanSpec::Pro).used_usd(9.0, 20.0).keys(&[KeyKind::Admin]),
    )
    .await;
    // Two hours into a window of four.
    let four_hours = Row::new(429, "window_exhausted").after(7_000..=7_260).of_window("four_hour");
    four_hours.holds(&world.send(with_deadline(&chat(MODEL), 5)).await);
    assert!(world.upstream_calls().is_empty());
    let world = of_account(
        AccountSpec::new("first", PlanSpec::Pro).used_units(5_000.0).keys(&[KeyKind::Admin]),
    )
    .await;
    let day = Row::new(429, "window_exhausted").after(50_000..=50_460).of_window("day");
    day.holds(&world.send(with_deadline(&chat(MODEL), 5)).await);
}

#[tokio::test]
async fn spending_not_allowed_and_no_balance() {
    let world = of_account(
        AccountSpec::new("first", PlanSpec::Pro)
            .used_usd(9.0, 20.0)
            .balance_usd(5.0)
            .keys(&[KeyKind::Admin]),
    )
    .await;
    let paygo = Row::new(402, "paygo_not_allowed").after(7_000..=7_260).of_window("four_hour");
    paygo.holds(&world.send(with_deadline(&chat(MODEL), 5)).await);
    let world = of_account(
        AccountSpec::new("first", PlanSpec::Paygo).balance_usd(0.01).keys(&[KeyKind::Admin]),
    )
    .await;
    Row::new(402, "budget_exhausted").holds(&world.send(with_deadline(&chat(MODEL), 5)).await);
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn saturated_cold_and_switched_off() {
    for (kind, row) in [
        (FaultKind::Capacity, Row::new(503, "no_capacity").after(30..=300).worth_retrying()),
        (FaultKind::Cold, Row::new(503, "model_cold").after(58..=60).worth_retrying()),
        (FaultKind::Disabled, Row::new(503, "model_down").after(290..=300).worth_retrying()),
    ] {
        let world = World::start().await;
        world.control().add_model_fault(MODEL, Fault::new(kind)).unwrap();
        for body in [chat(MODEL), streamed(MODEL)] {
            row.holds(&world.send(with_deadline(&body, 1)).await);
        }
    }
}

#[tokio::test]
async fn unknown_model() {
    let world = World::start().await;
    let answered = world.chat(&chat("acme/Writer-9")).await;
    Row::new(404, "model_not_found").holds(&answered);
    assert!(answered.text().contains(MODEL), "{}", answered.text());
}

/// What a caller did wrong is told in the words of who says so, and never with a status that means something else to a
/// client.
#[tokio::test]
async fn what_is_the_callers() {
    let table: [(&str, &str, Row); 7] = [
        (
            "400 Bad Request\r\ncontent-type: application/json",
            r#"{"detail":"Invalid request: Invalid request: {\"detail\":{\"error\":{\"message\":\"temperature must be non-negative, got -1.0\",\"type\":\"BadRequestError\",\"param\":\"temperature\",\"code\":400}}}"}"#,
            Row::new(400, "bad_request"),
        ),
        (
            "400 Bad Request\r\ncontent-type: application/json",
            r#"{"detail":"The input (39000 tokens) is longer than the model's context length (32768 tokens)."}"#,
            Row::new(400, "context_length_exceeded"),
        ),
        (
            "400 Bad Request\r\ncontent-type: application/json",
            r#"{"detail":"bad request, naughty naughty"}"#,
            Row::new(400, "content_filter"),
        ),
        (
            "422 Unprocessable Entity\r\ncontent-type: application/json",
            r#"{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}"#,
            Row::new(422, "bad_request"),
        ),
        (
            "413 Content Too Large\r\ncontent-type: application/json",
            r#"{"detail":"Request body is too large."}"#,
            Row::new(413, "bad_request"),
        ),
        // With a status that says all is well, and as a document where a stream was asked for.
        (
            "200 OK\r\ncontent-type: application/json",
            r#"{"error":{"message":"the schema is odd","code":400}}"#,
            Row::new(400, "bad_request"),
        ),
        // An engine's own code in a refusal with another status.
        (
            "400 Bad Request\r\ncontent-type: application/json",
            r#"{"error":{"message":"the request is odd","code":429}}"#,
            Row::new(400, "bad_request"),
        ),
    ];
    for (head, body, row) in table {
        let mut plan = Plan::new();
        let provider = Provider::start(move |_| Script::whole("refuses", head, body)).await;
        plan.provider = Some(provider);
        let world = plan.start().await;
        for asked in [chat(MODEL), streamed(MODEL)] {
            row.holds(&world.chat(&asked).await);
        }
        assert_eq!(world.provider.as_ref().unwrap().calls(), 2, "never the same request again");
    }
}

#[tokio::test]
async fn keys_upstream_are_dead() {
    let world = World::start().await;
    let change = AccountChange { delete_key: Some(0), ..Default::default() };
    world.control().change_account("first", change).unwrap();
    for _ in 0..2 {
        Row::new(502, "upstream_auth").holds(&world.chat(&chat(MODEL)).await);
    }
}

#[tokio::test]
async fn the_client_is_not_let_in() {
    let world = World::start().await;
    let mut foreign = post("/v1/chat/completions", chat(MODEL).to_string());
    foreign.headers_mut().insert("authorization", "Bearer cpk_own.key.ofclient".parse().unwrap());
    Row::new(401, "invalid_api_key").holds(&world.send(foreign).await);
    let mut page = post("/v1/chat/completions", chat(MODEL).to_string());
    page.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
    Row::new(403, "not_allowed").holds(&world.send(page).await);
    let key = ClientKey::new("laptop", "rip_key", ClientRules::default(), 0);
    world.ledger.add_client_key(key).unwrap();
    world
        .wait_for("the key is asked for", || async {
            world.chat(&chat(MODEL)).await.status.as_u16() == 401
        })
        .await;
    Row::new(401, "invalid_api_key").holds(&world.chat(&chat(MODEL)).await);
    assert!(world.upstream_calls().iter().all(|call| call.status == Some(200)));
}

#[tokio::test]
async fn the_upstream_fails() {
    let page = "<html><head><title>502 Bad Gateway</title></head></html>";
    let block = "<html><head><title>403 Forbidden</title></head></html>";
    let table = [
        ("502 Bad Gateway\r\ncontent-type: text/html", page),
        ("500 Internal Server Error\r\ncontent-type: text/plain", "Internal Server Error"),
        ("403 Forbidden\r\ncontent-type: text/html", block),
        ("599 Odd\r\ncontent-type: application/json", r#"{"weird":1}"#),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", ""),
        ("404 Not Found\r\ncontent-type: text/html", "<html><title>404 Not Found</title></html>"),
    ];
    for (head, body) in table {
        let mut plan = Plan::new();
        plan.provider = Some(Provider::start(move |_| Script::whole("fails", head, body)).await);
        let world = plan.start().await;
        let row = Row::new(502, "upstream_failed").after(1..=5).worth_retrying();
        row.holds(&world.chat(&chat(MODEL)).await);
    }
}

/// Its head is gone, so the event says when to come back.
#[tokio::test]
async fn a_stream_that_was_opened_early_is_told_when_to_come_back() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.heartbeat = Duration::from_millis(50);
    plan.limits.plain_answer = Duration::from_secs(60);
    let world = Arc::new(plan.start().await);
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
    let holder = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.chat(&chat(MODEL)).await })
    };
    world.wait_for("the slot is taken", || async { world.gateway().slots_in_use() == 1 }).await;
    let answered = world.send(with_deadline(&streamed(MODEL), 1)).await;
    holder.abort();
    assert_eq!(answered.status.as_u16(), 200);
    let events = answered.events();
    let last: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "deadline", "{}", answered.text());
    assert!(last["error"]["retry_after"].as_u64().is_some_and(|seconds| seconds >= 1), "{last}");
    assert!(!events.iter().any(|data| data == "[DONE]"));
}

#[tokio::test]
async fn broken_after_bytes_went_out() {
    let world = World::start().await;
    let fault = Fault::new(FaultKind::Stall).after_chunks(4);
    world.control().add_model_fault(MODEL, fault).unwrap();
    let mut request = post("/v1/chat/completions", streamed(MODEL).to_string());
    // Nobody goes on with it, so that it stays broken.
    request.headers_mut().insert("x-ripcord-fallback", "off".parse().unwrap());
    world.send(request).await.assert_broken_stream();
}

#[tokio::test]
async fn what_nobody_recognises_is_counted() {
    let mut plan = Plan::new();
    let head = "418 I'm a teapot\r\ncontent-type: application/json";
    let body = r#"{"detail":"short and stout"}"#;
    plan.provider = Some(Provider::start(move |_| Script::whole("odd", head, body)).await);
    let world = plan.start().await;
    world.chat(&chat(MODEL)).await;
    let metrics = world.get("/metrics").await;
    let counted = r#"ripcord_unknown_causes_total{service="chutes",status="418"} 1"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    // What is known is not.
    let world = World::start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Cold)).unwrap();
    let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", 30.into());
    world.send(request).await;
    assert!(!world.get("/metrics").await.text().contains("ripcord_unknown_causes_total{"));
}
