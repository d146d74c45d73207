//! What a caller sees of the instances behind a model, of trace mode, and of a chute's own host.

use chutes_emulator::{
    AccountSpec, Emulator, Fault, Lag, ModelSpec, PlanSpec, Running, Scenario, StateSpec, Template,
    TryOutcome as T,
};
use serde_json::json;

use crate::raw::{CHAT, RawAnswer, call, chat, get, post};

async fn world(instances: u32, tries: &[T]) -> Running {
    let model = ModelSpec { instances, ..ModelSpec::new("acme/One").tokens(12, 5) };
    let scenario = Scenario::empty()
        .stopped_at("2026-11-20T11:00:00")
        .lag(Lag::none())
        .account(AccountSpec::new("pro", PlanSpec::Pro))
        .model(model.fault(Fault::instances(tries).after_chunks(3)))
        .model(ModelSpec::new("acme/Two"));
    Emulator::start(scenario).await.unwrap()
}

async fn ask(emulator: &Running, model: &str, stream: bool) -> RawAnswer {
    let body = chat(model, "hi", stream);
    post(emulator.port(), CHAT, &Scenario::key("pro", 1), &body).await
}

#[tokio::test]
async fn what_is_retried_and_what_is_said_in_the_end() {
    let cases: [(u32, &[T], u16, &str); 9] = [
        (1, &[T::Failed], 500, "No infrastructure available to serve request"),
        (2, &[T::Failed], 500, "No infrastructure available to serve request"),
        (3, &[T::Failed], 500, "exhausted all available targets to no avail"),
        (5, &[T::Failed], 500, "exhausted all available targets to no avail"),
        (
            3,
            &[T::Failed, T::Full, T::Failed],
            429,
            "Infrastructure is at maximum capacity, try again later",
        ),
        (3, &[T::Full, T::Failed, T::Ok], 200, ""),
        (
            5,
            &[T::Failed, T::Failed, T::Failed, T::Ok],
            500,
            "exhausted all available targets to no avail",
        ),
        (3, &[T::Empty, T::BreaksMidStream, T::Ok], 200, ""),
        (1, &[T::UpgradeRequired], 500, "No infrastructure available to serve request"),
    ];
    for (instances, tries, status, detail) in cases {
        let answer = ask(&world(instances, tries).await, "acme/One", false).await;
        assert_eq!(answer.status, status, "{tries:?}");
        if status != 200 {
            assert_eq!(answer.detail(), detail, "{tries:?}");
        }
    }
    let nested = ask(&world(3, &[T::BadRequest, T::Ok]).await, "acme/One", false).await;
    assert_eq!(nested.status, 400, "final, whatever the next would say");
    assert!(nested.detail().starts_with("Invalid request: Invalid request: {"));
}

#[tokio::test]
async fn a_stream_that_breaks_begins_again_elsewhere_or_ends_bare() {
    let again = ask(&world(3, &[T::BreaksMidStream, T::Ok]).await, "acme/One", true).await;
    let ids: Vec<String> = again.events().iter().map(|e| e["id"].to_string()).collect();
    assert_ne!(ids.first(), ids.last());
    assert!(again.text().ends_with("data: [DONE]\n\n"));
    let ends = [
        (&[T::BreaksMidStream][..], "exhausted all available targets to no avail\"}"),
        (&[T::BreaksMidStream, T::Full][..], "infra_overload\"}"),
        (&[T::BreaksMidStream, T::BadRequest][..], "bad_request\"}"),
        (&[T::BlankLine][..], "exhausted all available targets to no avail\"}"),
    ];
    for (tries, end) in ends {
        let emulator = world(3, tries).await;
        let answer = ask(&emulator, "acme/One", true).await;
        assert_eq!(answer.status, 200, "{tries:?}");
        assert!(answer.text().ends_with(end), "{tries:?}: {}", answer.text());
        assert_eq!(emulator.control().account("pro").unwrap().day_milli_units, 0);
    }
    let error = ask(&world(1, &[T::ErrorMidStream]).await, "acme/One", true).await;
    assert!(error.text().trim_end().ends_with("\"code\":500}}"), "{}", error.text());
}

#[tokio::test]
async fn seven_failures_switch_an_instance_off_and_some_answers_delete_it() {
    let emulator = world(1, &[T::Failed]).await;
    for _ in 0..7 {
        assert_eq!(ask(&emulator, "acme/One", false).await.status, 500);
    }
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 429);
    emulator.control().advance(std::time::Duration::from_secs(91));
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 500);

    let emulator = world(1, &[T::NoUsage]).await;
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 500);
    let cold = ask(&emulator, "acme/One", false).await;
    assert_eq!(cold.status, 503);
    assert!(cold.detail().starts_with("No instances available (yet)"));
    let shown = get(emulator.port(), "/chutes/acme/One", None).await.json();
    assert_eq!((&shown["hot"], &shown["instances"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn trace_mode_wraps_every_line_and_is_always_200_once_dispatched() {
    let emulator = world(3, &[T::Full, T::Ok]).await;
    let ask = async |emulator: &Running, model: &str, stream: bool| {
        let key = format!("Bearer {}", Scenario::key("pro", 1));
        let headers = [("authorization", key.as_str()), ("x-chutes-trace", "true")];
        let body = chat(model, "hi", stream).to_string();
        call(emulator.port(), "POST", CHAT, &headers, body.as_bytes()).await.unwrap()
    };
    let plain = ask(&emulator, "acme/One", false).await;
    let events = plain.events();
    assert_eq!(plain.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(events[0]["trace"]["message"], "identified 3 available targets");
    assert!(events[2]["trace"]["message"].as_str().unwrap().ends_with("exc=RATE_LIMIT"));
    assert_eq!(events[4]["result"]["json"]["object"], "chat.completion");
    let streamed = ask(&emulator, "acme/One", true).await;
    assert!(streamed.events().iter().any(|e| e["result"] == "data: [DONE]\n"));
    assert!(streamed.events().iter().any(|e| e["result"] == "\n"));

    let full = ask(&world(3, &[T::Full]).await, "acme/One", false).await;
    assert_eq!(full.status, 200);
    assert_eq!(full.events().last().unwrap()["error"], "infra_overload");
    emulator.control().set_model_state("acme/One", StateSpec::Cold).unwrap();
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 503, "before dispatch");
}

#[tokio::test]
async fn a_chutes_own_host_does_not_look_at_the_model() {
    let emulator = world(1, &[T::Ok]).await;
    let key = format!("Bearer {}", Scenario::key("pro", 1));
    let ask = async |host: &str, body: &str| {
        let headers = [("authorization", key.as_str()), ("host", host)];
        call(emulator.port(), "POST", CHAT, &headers, body.as_bytes()).await.unwrap()
    };
    let body = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;
    let answer = ask("chutes-acme-one.localhost", body).await;
    assert_eq!((answer.status, &answer.json()["model"]), (200, &json!("acme/One")));
    let other = ask("chutes-acme-two.chutes.ai", &chat("acme/One", "hi", false).to_string()).await;
    assert_eq!(other.json()["model"], "acme/Two");
    assert_eq!(ask("chutes-acme-three.localhost", body).await.detail(), "No matching chute found!");
}

#[tokio::test]
async fn aliases_are_kept_in_lower_case_and_work_as_lists() {
    let emulator = world(1, &[T::Ok]).await;
    let (port, admin) = (emulator.port(), Scenario::key("pro", 0));
    let set = async |alias: &str, members: &[&str]| {
        let body = json!({"alias": alias, "chute_ids": members});
        post(port, "/model_aliases/", &admin, &body).await
    };
    let made = set("Mine", &["acme/Two", &Scenario::chute_id("acme/One")]).await;
    assert_eq!((made.status, &made.json()["alias"]), (201, &json!("mine")));
    assert_eq!(set("a:b", &["acme/Two"]).await.status, 422);
    assert_eq!(set("x", &[]).await.status, 422);
    assert_eq!(set("x", &["no/such"]).await.detail(), "chute not found: no/such");
    for name in ["mine", "MINE", "mine:throughput", "no/such,mine"] {
        assert_eq!(ask(&emulator, name, false).await.status, 200, "{name}");
    }
    emulator.control().set_model_state("acme/Two", StateSpec::Cold).unwrap();
    assert_eq!(ask(&emulator, "mine", false).await.json()["model"], "acme/One");
    emulator.control().set_model_state("acme/One", StateSpec::Cold).unwrap();
    assert_eq!(ask(&emulator, "mine", false).await.detail(), "model not found: mine");
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    let delete = async || call(port, "DELETE", "/model_aliases/MINE", &headers, b"").await.unwrap();
    assert_eq!(delete().await.status, 204);
    assert_eq!(delete().await.detail(), "alias not found");
}

#[tokio::test]
async fn tokens_are_counted_pictures_are_made_and_bad_addresses_refused() {
    let scenario = Scenario::every_plan()
        .model(ModelSpec { template: Template::Diffusion, ..ModelSpec::new("acme/Painter") });
    let emulator = Emulator::start(scenario).await.unwrap();
    let (port, key) = (emulator.port(), Scenario::key("pro", 1));
    let count =
        post(port, "/tokenize", &key, &json!({"model": "acme/Slow", "prompt": "a b"})).await;
    assert!(count.json()["count"].as_u64() > Some(0));
    assert_eq!(emulator.control().account("pro").unwrap().day_milli_units, 1000);
    let picture = post(port, "/generate", &key, &json!({"model": "acme/Painter"})).await;
    assert_eq!(picture.header("content-type"), Some("image/jpeg"));
    let with = |url: &str| {
        json!({"model": "acme/Slow", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": url}}]}]})
    };
    let refused = post(port, CHAT, &key, &with("http://example.com/a.png")).await;
    assert_eq!(refused.detail(), "Only HTTPS URLs are supported for images. Got scheme: http");
    assert_eq!(post(port, CHAT, &key, &with("data:image/png;base64,AA==")).await.status, 200);
}

#[tokio::test]
async fn states_reach_inference_late() {
    let scenario = Scenario::empty()
        .stopped_at("2026-11-20T11:00:00")
        .account(AccountSpec::new("pro", PlanSpec::Pro))
        .model(ModelSpec::new("acme/One").state(StateSpec::Cold));
    let emulator = Emulator::start(scenario).await.unwrap();
    let control = emulator.control();
    let forward = |seconds| control.advance(std::time::Duration::from_secs(seconds));
    control.set_model_state("acme/One", StateSpec::Hot).unwrap();
    let shown = get(emulator.port(), "/chutes/acme/One", None).await.json();
    assert_eq!(shown["hot"], true, "the list knows at once");
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 503);
    forward(91);
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 200);
    control.set_model_state("acme/One", StateSpec::Disabled).unwrap();
    assert_eq!(ask(&emulator, "acme/One", false).await.status, 200);
    forward(201);
    assert_eq!(
        ask(&emulator, "acme/One", false).await.detail(),
        "This chute is currently disabled."
    );
}
