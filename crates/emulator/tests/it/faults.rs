//! Every fault as a raw TCP client sees it.

use std::time::Duration;

use chutes_emulator::{
    AccountSpec, Emulator, Ended, Fault, FaultKind, FaultScope, ModelSpec, PlanSpec, Prefill,
    Running, Scenario, StateSpec,
};
use serde_json::json;

use crate::{
    inference::ended,
    raw::{CHAT, RawAnswer, RawConnection, RawEnd, chat, get, post, try_post},
};

const MODEL: &str = "Qwen/Qwen3-32B-TEE";

async fn with(fault: Fault) -> Running {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    emulator.control().add_model_fault(MODEL, fault).unwrap();
    emulator
}

async fn ask(emulator: &Running, stream: bool) -> Result<RawAnswer, RawEnd> {
    try_post(emulator.port(), CHAT, &Scenario::key("pro", 0), &chat(MODEL, "hi", stream)).await
}

fn units(emulator: &Running) -> i64 {
    emulator.control().account("pro").unwrap().day_milli_units
}

#[tokio::test]
async fn faults_that_replace_the_answer() {
    use FaultKind as K;
    let cold = format!("No instances available (yet) for chute_id='{}'", Scenario::chute_id(MODEL));
    let table = [
        (K::Capacity, 429, "Infrastructure is at maximum capacity, try again later"),
        (K::Cold, 503, cold.as_str()),
        (K::Disabled, 503, "This chute is currently disabled."),
        (K::ServerError, 500, "exhausted all available targets to no avail"),
        (K::NoInfrastructure, 500, "No infrastructure available to serve request"),
    ];
    for (kind, status, detail) in table {
        for stream in [false, true] {
            let emulator = with(Fault::new(kind).times(1)).await;
            let answer = ask(&emulator, stream).await.unwrap();
            assert_eq!((answer.status, answer.detail().as_str()), (status, detail), "{kind:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(units(&emulator), 0);
            // The same bytes again are no repeat: the first try failed.
            assert_eq!(ask(&emulator, stream).await.unwrap().status, 200, "{kind:?}");
            assert_eq!(units(&emulator), 1000);
        }
    }
}

#[tokio::test]
async fn a_long_prompt_gets_the_nested_text() {
    let emulator = with(Fault::new(FaultKind::ContextTooLong)).await;
    let answer = ask(&emulator, false).await.unwrap();
    assert_eq!(answer.status, 400);
    let detail = answer.detail();
    let inner = detail.strip_prefix("Invalid request: Invalid request: ").unwrap();
    let inner: serde_json::Value = serde_json::from_str(inner).unwrap();
    assert_eq!(inner["detail"]["error"]["code"], 400);
    let message = inner["detail"]["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("This model's maximum context length is 32768 tokens."));
}

#[tokio::test]
async fn the_edge_speaks_html() {
    let emulator = with(Fault::new(FaultKind::EdgeRateLimit).times(1)).await;
    let answer = ask(&emulator, false).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (429, Some("text/html")));
    assert!(answer.text().contains("<center>nginx</center>"));
    let emulator = with(Fault::new(FaultKind::EdgeForbidden).times(1)).await;
    let answer = ask(&emulator, false).await.unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
    assert_eq!(answer.header("via"), Some("1.1 google"));
    assert_eq!(answer.header("server"), None);
    assert_eq!(answer.body.len(), 134);
}

#[tokio::test]
async fn account_faults_touch_what_they_are_meant_to() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let (port, key) = (emulator.port(), Scenario::key("pro", 0));
    let control = emulator.control();
    control.add_account_fault("pro", Fault::new(FaultKind::EdgeRateLimit).times(1)).unwrap();
    assert_eq!(get(port, "/users/me", Some(&key)).await.status, 200);
    assert_eq!(
        post(port, CHAT, &Scenario::key("plus", 0), &chat(MODEL, "a", false)).await.status,
        200
    );
    assert_eq!(post(port, CHAT, &key, &chat(MODEL, "a", false)).await.status, 429);
    assert_eq!(post(port, CHAT, &key, &chat(MODEL, "a", false)).await.status, 200);
    let fault = Fault::new(FaultKind::PlainServerError).times(1).on(FaultScope::Management);
    control.add_account_fault("pro", fault).unwrap();
    assert_eq!(post(port, CHAT, &key, &chat(MODEL, "a", false)).await.status, 200);
    assert_eq!(get(port, "/users/me", Some(&key)).await.text(), "Internal Server Error");
    assert_eq!(get(port, "/users/me", Some(&key)).await.status, 200);
}

#[tokio::test]
async fn a_cut_ends_inside_a_chunk() {
    let emulator = with(Fault::new(FaultKind::Cut).after_chunks(2)).await;
    let answer = ask(&emulator, true).await.unwrap();
    assert_eq!((answer.status, answer.end), (200, RawEnd::Closed));
    // Two events in two chunks each, and a torn line.
    assert_eq!(answer.chunks.len(), 5);
    let torn = answer.chunks.last().unwrap();
    assert!(torn.starts_with(b"data: {") && !torn.ends_with(b"\n"));
    assert_eq!(units(&emulator), 0);
    assert_eq!(ended(&emulator, 1).await.ended, Some(Ended::Cut));
}

#[tokio::test]
async fn a_cut_can_be_placed_by_the_byte() {
    for bytes in [1, 10, 400, 777] {
        let emulator = with(Fault::new(FaultKind::Cut).after_bytes(bytes)).await;
        let answer = ask(&emulator, true).await.unwrap();
        assert_eq!((answer.end, answer.body.len()), (RawEnd::Closed, bytes));
        let answer = ask(&emulator, false).await.unwrap();
        assert_eq!((answer.end, answer.body.len()), (RawEnd::Closed, bytes));
        assert_eq!(units(&emulator), 0);
    }
}

#[tokio::test]
async fn resets_come_as_rst() {
    let emulator = with(Fault::new(FaultKind::ResetBeforeHeaders)).await;
    assert_eq!(ask(&emulator, true).await.unwrap_err(), RawEnd::Reset);
    assert_eq!(ask(&emulator, false).await.unwrap_err(), RawEnd::Reset);
    let emulator = with(Fault::new(FaultKind::Reset).after_chunks(4)).await;
    let answer = ask(&emulator, true).await.unwrap();
    assert_eq!((answer.end, answer.events().len()), (RawEnd::Reset, 4));
    let answer = ask(&emulator, false).await.unwrap();
    assert_eq!((answer.status, answer.end), (200, RawEnd::Reset));
    assert!(!answer.body.is_empty());
    assert_eq!(units(&emulator), 0);
}

#[tokio::test]
async fn a_stall_goes_quiet_and_an_abandoned_one_costs_nothing() {
    let emulator = with(Fault::new(FaultKind::Stall).after_chunks(2).times(1)).await;
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat(MODEL, "hi", true).to_string();
    connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
    connection.events(2).await;
    let more = tokio::time::timeout(Duration::from_millis(30), connection.events(3)).await;
    assert!(more.is_err(), "nothing comes after the second event");
    drop(connection);
    assert_eq!(ended(&emulator, 1).await.ended, Some(Ended::ClientLeft));
    assert_eq!(units(&emulator), 0);
    let emulator = with(Fault::new(FaultKind::Stall).after_chunks(2).delay_ms(5)).await;
    let answer = ask(&emulator, true).await.unwrap();
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let answer = ask(&emulator, false).await.unwrap();
    assert_eq!(
        (answer.end, answer.json()["object"].as_str()),
        (RawEnd::Complete, Some("chat.completion"))
    );
}

#[tokio::test]
async fn silence_lasts_until_the_client_leaves() {
    let emulator = with(Fault::new(FaultKind::Silent).times(1)).await;
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat(MODEL, "hi", true).to_string();
    connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
    let answer = tokio::time::timeout(Duration::from_millis(30), connection.answer(false)).await;
    assert!(answer.is_err());
    assert_eq!(emulator.control().account("pro").unwrap().in_flight, 1);
    drop(connection);
    assert_eq!(ended(&emulator, 1).await.ended, Some(Ended::ClientLeft));
    assert_eq!(emulator.control().account("pro").unwrap().in_flight, 0);
}

#[tokio::test]
async fn streams_break_in_the_recorded_ways() {
    use FaultKind as K;
    // Kind, how the text ends, events, units.
    let table = [
        (
            K::BareJsonError,
            "\n\n{\"error\":\"Unhandled exception during response stream: No infrastructure available to serve request\"}",
            3,
            0,
        ),
        (K::ErrorMidStream, "\"code\":500}}\n\n", 4, 1000),
        (K::ErrorFirstEvent, "\"code\":500}}\n\ndata: [DONE]\n\n", 1, 1000),
        (K::EmptyStream, "", 0, 0),
        (K::EndsEarly, "}\n\n", 3, 1000),
        (K::MalformedEvent, "data: [DONE]\n\n", 503, 1000),
    ];
    for (kind, end, events, counted) in table {
        let emulator = with(Fault::new(kind)).await;
        let answer = ask(&emulator, true).await.unwrap();
        assert_eq!((answer.status, answer.end), (200, RawEnd::Complete), "{kind:?}");
        assert!(answer.text().ends_with(end), "{kind:?}");
        assert_eq!(answer.events().len(), events, "{kind:?}");
        assert_eq!(units(&emulator), counted, "{kind:?}");
    }
    let emulator = with(Fault::new(K::MissingDone)).await;
    let answer = ask(&emulator, true).await.unwrap();
    assert_eq!(answer.events().last().unwrap()["usage"]["completion_tokens"], 500);
    assert!(!answer.text().contains("[DONE]"));
}

#[tokio::test]
async fn a_restart_repeats_the_text_under_a_new_id() {
    let emulator = with(Fault::new(FaultKind::Restart).after_chunks(4)).await;
    let answer = ask(&emulator, true).await.unwrap();
    let events = answer.events();
    let first = events[0]["id"].clone();
    let second = events[4]["id"].clone();
    assert_ne!(first, second);
    assert_eq!(events[4]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[1]["choices"], events[5]["choices"]);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(units(&emulator), 1000);
}

#[tokio::test]
async fn content_filters_end_the_choice() {
    let emulator = with(Fault::new(FaultKind::ContentFilter)).await;
    let answer = ask(&emulator, false).await.unwrap();
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "content_filter");
    let answer = ask(&emulator, true).await.unwrap();
    assert_eq!(answer.events()[1]["choices"][0]["finish_reason"], "content_filter");
}

#[tokio::test]
async fn faults_end_by_time_and_hit_by_chance() {
    let emulator =
        Emulator::start(Scenario::every_plan().stopped_at("2026-11-20T10:00:00")).await.unwrap();
    let control = emulator.control();
    let mut fault = Fault::new(FaultKind::Capacity).for_seconds(10.0);
    fault.begins_after_seconds = Some(5.0);
    control.add_model_fault(MODEL, fault).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&emulator, false).await.unwrap().status);
        control.advance(Duration::from_secs(5));
    }
    assert_eq!(statuses, [200, 429, 429, 200]);
    control.add_model_fault(MODEL, Fault::new(FaultKind::Capacity).with_probability(0.3)).unwrap();
    let mut refused = 0;
    for _ in 0..200 {
        refused += i32::from(ask(&emulator, false).await.unwrap().status == 429);
    }
    assert!((30..=90).contains(&refused), "{refused}");
}

#[tokio::test]
async fn too_many_at_once_are_refused_by_whom_they_burden() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let control = emulator.control();
    let change = chutes_emulator::ModelChange { max_at_once: Some(1), ..Default::default() };
    control.change_model("acme/Slow", change).unwrap();
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat("acme/Slow", "hi", true).to_string();
    connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
    connection.events(1).await;
    let other = Scenario::key("plus", 0);
    let refused = post(emulator.port(), CHAT, &other, &chat("acme/Slow", "hi", false)).await;
    assert_eq!(refused.detail(), "Infrastructure is at maximum capacity, try again later");
    let change = chutes_emulator::AccountChange { max_at_once: Some(1), ..Default::default() };
    control.change_account("pro", change).unwrap();
    let refused =
        post(emulator.port(), CHAT, &Scenario::key("pro", 1), &chat(MODEL, "hi", false)).await;
    assert_eq!((refused.status, refused.header("content-type")), (429, Some("text/html")));
    assert_eq!(connection.answer(false).await.unwrap().status, 200);
    let later =
        post(emulator.port(), CHAT, &Scenario::key("pro", 1), &chat(MODEL, "hi", false)).await;
    assert_eq!(later.status, 200);
}

#[tokio::test]
async fn a_busy_model_refuses_some_and_shows_it() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    emulator.control().set_model_state(MODEL, StateSpec::Busy).unwrap();
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..40 {
        statuses.insert(ask(&emulator, false).await.unwrap().status);
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 429]);
    let rows = get(emulator.port(), "/chutes/utilization", None).await.json();
    assert_eq!(rows[0]["rate_limit_ratio_5m"], json!(0.5));
    assert!(rows[0]["utilization_current"].as_f64().unwrap() > 0.9);
}

#[tokio::test]
async fn a_slow_first_token_holds_back_the_status_line() {
    let emulator = with(Fault::new(FaultKind::SlowFirstToken).delay_ms(40).times(1)).await;
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat(MODEL, "hi", true).to_string();
    connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
    let early = tokio::time::timeout(Duration::from_millis(5), connection.answer(false)).await;
    assert!(early.is_err());
    assert!(connection.answer(false).await.unwrap().text().ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn an_answer_that_was_begun_is_continued_refused_or_begun_again() {
    let table = [
        (Prefill::Continues, 200, " 4 5 6"),
        (Prefill::Refuses, 400, ""),
        (Prefill::BeginsAgain, 200, "1 2 3 4 5 6"),
    ];
    for (prefill, status, text) in table {
        let model = ModelSpec::new("acme/Counter").numbered().tokens(9, 6).prefill(prefill);
        let scenario =
            Scenario::empty().account(AccountSpec::new("pro", PlanSpec::Pro)).model(model);
        let emulator = Emulator::start(scenario).await.unwrap();
        let mut body = chat("acme/Counter", "count", true);
        let whole = post(emulator.port(), CHAT, &Scenario::key("pro", 0), &body).await;
        assert_eq!(whole.streamed_text(), "1 2 3 4 5 6");
        body["messages"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "role": "assistant", "content": "1 2 3" }));
        body["continue_final_message"] = json!(true);
        body["add_generation_prompt"] = json!(false);
        let rest = post(emulator.port(), CHAT, &Scenario::key("pro", 0), &body).await;
        assert_eq!((rest.status, rest.streamed_text().as_str()), (status, text), "{prefill:?}");
    }
}
