//! Answers of services other than Chutes, and what each means: a corpus written from what the services document and what
//! their users quote. A new dialect is a new row of `fixtures/provider_errors.json`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use ripcord_client::classify::{FailedAnswer, answer, stream_error};
use ripcord_rules::cause::{Cause, Endpoint, Failure, Phase, Says, classify, is_recognised};
use ripcord_rules::time::Wall;
use serde_json::Value;

const NOW: Wall = Wall::from_unix_seconds(1_790_510_400);

fn bytes_of(row: &Value) -> Vec<u8> {
    match &row["body"] {
        Value::String(text) => text.as_bytes().to_vec(),
        json => json.to_string().into_bytes(),
    }
}

fn failure_of(row: &Value) -> Failure {
    let body = bytes_of(row);
    if row["in_stream"] == true {
        return stream_error(Endpoint::Provider, &body, Phase::FirstEvent, NOW);
    }
    let mut headers = HeaderMap::new();
    for (name, value) in row["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
    let endpoint = Endpoint::Provider;
    answer(FailedAnswer { endpoint, status, headers: &headers, body: &body }, NOW)
}

#[test]
fn every_row_of_the_corpus_is_what_it_says() {
    let corpus: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/provider_errors.json")).unwrap();
    let mut wrong = Vec::new();
    for row in &corpus {
        let failure = failure_of(row);
        let cause = classify(&failure).name();
        if row["cause"] != cause {
            wrong.push(format!("{cause} ({:?}): {row}", failure.says));
        }
        let wait = failure.retry_after.map(|wait| wait.as_millis());
        if row["wait_ms"].as_u64().map(u128::from) != wait {
            wrong.push(format!("waits {wait:?}: {row}"));
        }
        if is_recognised(&failure) == (row["guessed"] == true) {
            wrong.push(format!("recognised {}: {row}", is_recognised(&failure)));
        }
        let says = match row["says"].as_str() {
            Some("model") => failure.says == Says::ModelRateLimit,
            Some("account") => failure.says == Says::RateLimit,
            Some("prefill") => failure.says == Says::PrefillRefused,
            _ => true,
        };
        if !says {
            wrong.push(format!("says {:?}: {row}", failure.says));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.len(), wrong.join("\n"));
    assert!(corpus.len() >= 150, "{}", corpus.len());
}

#[test]
fn the_same_bytes_from_chutes_are_not_read_in_another_dialect() {
    // Chutes never sends OpenAI's codes; whoever does there is something in between.
    let body =
        br#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
    let headers = HeaderMap::new();
    let of = |endpoint| {
        classify(&answer(FailedAnswer { endpoint, status: 429, headers: &headers, body }, NOW))
    };
    assert_eq!(of(Endpoint::Inference), Cause::EdgeRateLimit);
    assert_eq!(of(Endpoint::Provider), Cause::OutOfCredit);
}

#[test]
fn what_came_after_useful_bytes_is_a_broken_stream_whoever_says_it() {
    let body = br#"{"error":{"code":429,"message":"rate limited"}}"#;
    let late = stream_error(Endpoint::Provider, body, Phase::Stream, NOW);
    assert_eq!(classify(&late), Cause::BrokenStream);
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        Just(Endpoint::Inference),
        Just(Endpoint::Account),
        Just(Endpoint::Public),
        Just(Endpoint::Provider),
    ]
}

/// Bytes of all kinds, and errors put together of words that the reader knows.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("rate_limit_exceeded".to_owned()),
        Just("context_length_exceeded".to_owned()),
        Just("insufficient_quota".to_owned()),
        Just("does not support assistant message prefill".to_owned()),
        Just("model not found".to_owned()),
        Just("invalid api key".to_owned()),
        Just("the prompt of 9 tokens exceeds the context length".to_owned()),
        Just("try again in 5s".to_owned()),
        Just("Infrastructure is at maximum capacity, try again later".to_owned()),
        ".{0,24}",
    ];
    let members = (word.clone(), word.clone(), word, 0..700_u16);
    let errors = members.prop_map(|(message, code, kind, number)| {
        let inner = serde_json::json!({ "message": message, "code": code, "type": kind });
        let shapes = [
            serde_json::json!({ "error": inner }),
            serde_json::json!({ "detail": inner }),
            serde_json::json!({ "error": { "message": message, "code": number } }),
            serde_json::json!({ "detail": format!("Invalid request: {inner}") }),
            inner.clone(),
        ];
        shapes[usize::from(number) % shapes.len()].to_string().into_bytes()
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), errors]
}

proptest! {
    #[test]
    fn any_answer_is_classified_and_a_failing_server_is_never_the_callers_mistake(
        endpoint in endpoints(),
        status in 100_u16..=999,
        body in bodies(),
        retry_after in proptest::option::of("[0-9a-z., :]{0,20}"),
        html in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        if let Some(Ok(value)) = retry_after.as_deref().map(HeaderValue::from_str) {
            headers.insert("retry-after", value);
        }
        if html {
            headers.insert("content-type", HeaderValue::from_static("text/html"));
        }
        let failure = answer(FailedAnswer { endpoint, status, headers: &headers, body: &body }, NOW);
        let cause = classify(&failure);
        if cause == Cause::BadRequest {
            prop_assert!((400..500).contains(&status), "{failure:?}");
        }
        prop_assert!(failure.retry_after.is_none_or(|wait| wait <= Duration::from_secs(32 * 86_400)));
    }

    #[test]
    fn any_error_inside_a_200_is_classified(
        endpoint in endpoints(),
        body in bodies(),
        early in any::<bool>(),
    ) {
        let phase = if early { Phase::FirstEvent } else { Phase::Stream };
        let failure = stream_error(endpoint, &body, phase, NOW);
        let cause = classify(&failure);
        prop_assert_eq!(cause == Cause::BrokenStream, !early);
        if failure.status.is_none_or(|status| status >= 500) {
            prop_assert_ne!(cause, Cause::BadRequest);
        }
    }
}
