//! What goes wrong upstream, and what follows from it for the requests after it. One request by itself is in `faults`.

use crate::world::{Answered, BREAKS, MODEL, Plan, World, account, chat, streamed};
use chutes_emulator::{AccountSpec, Fault, FaultKind, PlanSpec};
use http::StatusCode;
use ripcord_store::Outcome;
use std::time::Duration;

async fn with_fault(fault: Fault, body: &serde_json::Value) -> (World, Answered) {
    let world = World::start().await;
    world.control().add_model_fault(MODEL, fault).unwrap();
    let answered = world.chat(body).await;
    world.wait_until_idle().await;
    (world, answered)
}

/// A request whose deadline has no room for the rest of a model or an account.
fn with_deadline(body: &serde_json::Value) -> http::Request<bytes::Bytes> {
    let mut request = crate::world::post("/v1/chat/completions", body.to_string());
    request.headers_mut().insert("x-ripcord-deadline", 30.into());
    request
}

#[tokio::test]
async fn a_stream_that_breaks_after_text_ends_in_an_error_if_it_cannot_be_continued() {
    let mut body = streamed(MODEL);
    body["seed"] = 7.into();
    for kind in BREAKS {
        let (world, stream) = with_fault(Fault::new(kind).times(1).after_chunks(4), &body).await;
        assert_eq!(stream.status, StatusCode::OK, "{kind:?}");
        stream.assert_broken_stream();
        let whole = world.chat(&streamed(MODEL)).await.streamed_text();
        let part = stream.streamed_text();
        assert!(
            !part.is_empty() && whole.starts_with(&part) && part.len() < whole.len(),
            "{kind:?}: {part:?}"
        );
        let story = world.story(&stream).await.request.unwrap();
        assert_eq!(story.outcome, Outcome::Broken, "{kind:?}");
    }
}

#[tokio::test]
async fn what_stays_wrong_is_an_honest_refusal() {
    // (fault, status, code, should retry, most attempts)
    let table = [
        // It does not wake up before the deadline of this.
        (FaultKind::Cold, 503, "model_cold", "true", 1),
        (FaultKind::Disabled, 503, "model_down", "true", 1),
        (FaultKind::ContextTooLong, 400, "context_length_exceeded", "false", 1),
        (FaultKind::ServerError, 502, "upstream_failed", "true", 2),
        (FaultKind::EdgeForbidden, 502, "upstream_failed", "true", 2),
        (FaultKind::ResetBeforeHeaders, 502, "upstream_failed", "true", 2),
    ];
    for (kind, status, code, retry, attempts) in table {
        for body in [chat(MODEL), streamed(MODEL)] {
            let world = World::start().await;
            world.control().add_model_fault(MODEL, Fault::new(kind)).unwrap();
            let answered = world.send(with_deadline(&body)).await;
            world.wait_until_idle().await;
            assert_eq!(
                answered.refusal(),
                (status, code.to_owned(), retry),
                "{kind:?}: {}",
                answered.text()
            );
            assert_eq!(world.upstream_calls().len(), attempts, "{kind:?}");
            let story = world.story(&answered).await;
            assert_eq!(story.request.unwrap().outcome, Outcome::Failed);
            assert_eq!(story.attempts.len(), attempts);
        }
    }
}

#[tokio::test]
async fn a_cold_model_is_not_asked_again_at_once() {
    let world = World::start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Cold)).unwrap();
    let first = world.send(with_deadline(&chat(MODEL))).await;
    assert_eq!(first.refusal().0, 503);
    let second = world.send(with_deadline(&chat(MODEL))).await;
    assert_eq!(second.refusal(), (503, "model_cold".to_owned(), "true"));
    assert_eq!(world.upstream_calls().len(), 1, "the second was refused here");
    assert_eq!(world.status_report().await["models_resting"][0]["model"], MODEL);
    assert_eq!(world.chat(&chat(crate::world::OTHER_MODEL)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_model_gets_near_names() {
    let world = World::start().await;
    let answered = world.chat(&chat("acme/writer-9-tee")).await;
    assert_eq!(answered.refusal(), (404, "model_not_found".to_owned(), "false"));
    assert!(answered.text().contains(MODEL), "{}", answered.text());
    assert_eq!(answered.json()["error"]["param"], "model");
}

#[tokio::test]
async fn an_edge_limit_rests_the_account_and_not_its_sibling_keys_first() {
    let mut plan = Plan::new();
    plan.accounts = vec![account("first", &[0, 1])];
    let world = plan.start().await;
    world.control().add_account_fault("first", Fault::new(FaultKind::EdgeRateLimit)).unwrap();
    let answered = world.send(with_deadline(&chat(MODEL))).await;
    assert_eq!(answered.refusal(), (429, "deadline".to_owned(), "false"), "{}", answered.text());
    let wait: u64 = answered.header("retry-after").parse().unwrap();
    assert!((80..=90).contains(&wait), "{wait}");
    assert_eq!(world.upstream_calls().len(), 1, "no hop to the second key");
    // The next one is refused here as long as its deadline is shorter than the rest.
    let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", "30".parse().unwrap());
    assert_eq!(world.send(request).await.refusal().0, 429);
    assert_eq!(world.upstream_calls().len(), 1);
    assert_eq!(world.status_report().await["accounts"][0]["resting_because"], "edge_rate_limit");
}

#[tokio::test]
async fn a_dead_key_is_set_aside_and_the_next_one_serves() {
    let mut plan = Plan::new();
    plan.accounts = vec![account("first", &[0, 1])];
    let world = plan.start().await;
    let change = chutes_emulator::AccountChange { delete_key: Some(0), ..Default::default() };
    world.control().change_account("first", change).unwrap();
    for _ in 0..3 {
        assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
    }
    let refused = world.upstream_calls().iter().filter(|call| call.status == Some(401)).count();
    assert_eq!(refused, 1, "a quarantined key is not tried again at once");
    let keys = world.status_report().await["accounts"][0]["keys"].clone();
    assert_eq!((&keys[0]["state"], &keys[1]["state"]), (&"quarantined".into(), &"ok".into()));
}

#[tokio::test]
async fn all_keys_dead_is_a_502_that_names_the_account() {
    let world = World::start().await;
    let change = chutes_emulator::AccountChange { delete_key: Some(0), ..Default::default() };
    world.control().change_account("first", change).unwrap();
    for _ in 0..2 {
        let answered = world.chat(&chat(MODEL)).await;
        assert_eq!(
            answered.refusal(),
            (502, "upstream_auth".to_owned(), "false"),
            "{}",
            answered.text()
        );
        assert!(answered.text().contains("`first`"));
    }
    assert_eq!(world.upstream_calls().len(), 1);
}

#[tokio::test]
async fn a_402_goes_to_another_account_or_says_when_the_window_turns() {
    // The key may not read the account, so only the answer tells that the window is used up.
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![
        AccountSpec::new("first", PlanSpec::Pro)
            .keys(&[chutes_emulator::KeyKind::Invoke])
            .used_usd(9.0, 20.0),
    ];
    let world = plan.start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(answered.refusal().0, 429, "{}", answered.text());
    assert_eq!(answered.refusal().1, "window_exhausted");
    let wait: u64 = answered.header("retry-after").parse().unwrap();
    assert!(wait <= 4 * 3_600, "{wait}");
    assert!(answered.json()["error"]["reset_at"].is_string());
    assert_eq!(world.chat(&chat(MODEL)).await.refusal().0, 429);
    assert_eq!(world.upstream_calls().len(), 1, "the account rests");
}

#[tokio::test]
async fn a_request_that_demands_tee_closes_nothing_for_others() {
    let world = World::start().await;
    let mut request =
        crate::world::post("/v1/chat/completions", chat(crate::world::OTHER_MODEL).to_string());
    request.headers_mut().insert("x-ripcord-tee", "required".parse().unwrap());
    let demanding = world.send(request).await;
    assert_eq!(demanding.refusal(), (400, "tee_required".to_owned(), "false"));
    assert!(world.upstream_calls().is_empty());
    assert_eq!(world.chat(&chat(crate::world::OTHER_MODEL)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_same_situation_is_told_the_same_way_the_second_time() {
    let world = World::start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Disabled)).unwrap();
    for _ in 0..2 {
        let answered = world.chat(&chat(MODEL)).await;
        assert_eq!(answered.refusal(), (503, "model_down".to_owned(), "true"));
        let wait: u64 = answered.header("retry-after").parse().unwrap();
        assert!((290..=300).contains(&wait), "{wait}");
    }
}

#[tokio::test]
async fn two_dead_keys_do_not_keep_the_third_from_serving() {
    let mut plan = Plan::new();
    plan.scenario.accounts[0].keys = vec![chutes_emulator::KeyKind::Admin; 3];
    plan.accounts = vec![account("first", &[0, 1, 2])];
    let world = plan.start().await;
    for dead in [0, 1] {
        let change =
            chutes_emulator::AccountChange { delete_key: Some(dead), ..Default::default() };
        world.control().change_account("first", change).unwrap();
    }
    assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_a_502_and_not_a_hang() {
    let mut plan = Plan::new();
    plan.limits.connect = Duration::from_millis(300);
    let world = plan.start().await;
    let World { emulator, gateway, address, .. } = world;
    emulator.shutdown().await;
    let body = chat(MODEL).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = crate::raw::exchange(address, &[request.as_bytes()], Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("upstream_failed"), "{answer}");
    drop(gateway);
}
