//! A provider that no emulator plays: exact bytes on a socket. What it sends never looks like more than it is.

use crate::provider::{self, Provider, STREAM_HEAD, Script};
use crate::world::{Answered, MODEL, Plan, World, chat, streamed};
use http::StatusCode;
use http_body_util::BodyExt as _;
use ripcord_store::Outcome;
use serde_json::{Value, json};

async fn before(pieces: Vec<Vec<u8>>) -> (World, Provider) {
    let provider = Provider::start(move |_| Script::pieces("", &pieces)).await;
    let mut plan = Plan::new();
    plan.llm_url = Some(provider.url.clone());
    (plan.start().await, provider)
}

fn plain(head: &str, body: &str) -> Vec<Vec<u8>> {
    vec![provider::whole(head, body)]
}

fn events(body: &[&str]) -> Vec<Vec<u8>> {
    [STREAM_HEAD].iter().chain(body).map(|piece| piece.as_bytes().to_vec()).collect()
}

const OK_JSON: &str = "200 OK\r\ncontent-type: application/json";

async fn answered(pieces: Vec<Vec<u8>>, body: &Value) -> (Answered, usize, World) {
    let (world, provider) = before(pieces).await;
    let answered = world.chat(body).await;
    world.wait_until_idle().await;
    (answered, provider.calls(), world)
}

fn chunk(text: &str) -> String {
    json!({ "id": "a", "choices": [{ "index": 0, "delta": { "content": text } }] }).to_string()
}

fn stop(reason: &str) -> String {
    json!({ "id": "a", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
        .to_string()
}

#[tokio::test]
async fn a_plain_answer_that_is_none_is_an_error_and_bought_at_most_twice() {
    let unfinished =
        r#"{"id":"a","choices":[{"index":0,"message":{"content":"x"},"finish_reason":null}]}"#;
    let cut =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":";
    for pieces in [
        plain("200 OK\r\ncontent-type: text/html", "<html><body>Welcome</body></html>"),
        plain("200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip", "\u{1f}\u{8b}"),
        plain("204 No Content", ""),
        plain(OK_JSON, r#"{"object":"error","message":"no"}"#),
        plain(OK_JSON, r#"{"detail":"oops"}"#),
        plain(OK_JSON, unfinished),
        vec![cut.as_bytes().to_vec()],
    ] {
        let (answered, calls, _world) = answered(pieces.clone(), &chat(MODEL)).await;
        let shown = String::from_utf8_lossy(&pieces[0]).into_owned();
        assert!(answered.status.is_client_error() || answered.status.is_server_error(), "{shown}");
        assert!(answered.json()["error"]["code"].is_string(), "{shown}");
        assert!(calls <= 2, "{calls} calls for {shown}");
    }
}

#[tokio::test]
async fn an_sdk_that_tries_again_does_not_multiply_our_tries() {
    let cut =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":";
    let (world, provider) = before(vec![cut.as_bytes().to_vec()]).await;
    for retry in 0..3 {
        let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
        request.headers_mut().insert("x-stainless-retry-count", retry.into());
        assert_eq!(world.send(request).await.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(provider.calls(), 2 + 1 + 1);
}

#[tokio::test]
async fn a_stream_answered_by_a_document_is_an_error_and_not_a_silent_nothing() {
    let whole =
        r#"{"id":"a","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let (answered, _, _world) = answered(plain(OK_JSON, whole), &streamed(MODEL)).await;
    assert_eq!(answered.status, StatusCode::BAD_GATEWAY, "{}", answered.text());
}

#[tokio::test]
async fn events_in_any_pieces_and_any_line_ends_arrive_whole() {
    let text = format!(
        "data: {}\r\n\r\ndata: {}\r\rdata: {}\n\ndata: [DONE]\n\n",
        chunk("one "),
        chunk("two"),
        stop("stop")
    );
    for size in [1, 3, 7, 64] {
        let body: Vec<&str> =
            text.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        let (answered, _, world) = answered(events(&body), &streamed(MODEL)).await;
        assert_eq!(answered.text(), text, "in pieces of {size}");
        assert_eq!(world.story(&answered).await.request.unwrap().outcome, Outcome::Completed);
    }
    // Without the last blank line, and with a space behind [DONE].
    let unclosed = format!("data: {}\n\ndata: {}", chunk("one"), stop("stop"));
    let (answered_unclosed, _, _world) = answered(events(&[&unclosed]), &streamed(MODEL)).await;
    assert_eq!(answered_unclosed.text(), format!("{unclosed}\n\n"));
    let spaced = format!("data: {}\n\ndata: {}\n\ndata: [DONE] \n\n", chunk("one"), stop("stop"));
    let (answered_spaced, _, _world) = answered(events(&[&spaced]), &streamed(MODEL)).await;
    assert_eq!(answered_spaced.text(), spaced);
}

#[tokio::test]
async fn an_answer_that_only_looks_finished_is_not() {
    let done = "data: [DONE]\n\n";
    let part = format!("data: {}\n\n", chunk("half"));
    let empty_reason = format!("data: {}\n\n", stop(""));
    // What sglang and OpenRouter call the end of an answer that they gave up.
    let aborted = format!("data: {}\n\n", stop("abort"));
    let failed = format!("data: {}\n\n", stop("error"));
    for body in [
        vec![part.as_str(), done],
        vec![part.as_str(), &empty_reason],
        vec![part.as_str()],
        vec![part.as_str(), &aborted, done],
        vec![part.as_str(), &failed, done],
    ] {
        let (answered, _, world) = answered(events(&body), &streamed(MODEL)).await;
        answered.assert_broken_stream();
        assert_eq!(world.story(&answered).await.request.unwrap().outcome, Outcome::Broken);
    }
    // Two answers were asked for, one came.
    let mut two = streamed(MODEL);
    two["n"] = json!(2);
    let finished = format!("data: {}\n\n", stop("stop"));
    let (answered_two, _, _world) = answered(events(&[&part, &finished, done]), &two).await;
    assert!(answered_two.text().contains("stream_broken"), "{}", answered_two.text());
    assert!(!answered_two.text().contains("[DONE]"));
}

#[tokio::test]
async fn lines_without_end_are_not_kept_without_end() {
    let comments = ": keep alive\n".repeat(4_000);
    let mut body: Vec<&str> = Vec::new();
    body.resize(40, &comments);
    let (answered_comments, calls, _world) = answered(events(&body), &streamed(MODEL)).await;
    assert_eq!(answered_comments.status, StatusCode::BAD_GATEWAY);
    assert!(calls <= 2);
}

#[tokio::test]
async fn an_edge_limit_that_asks_for_no_time_at_all_still_rests_the_account() {
    let page = "<html><head><title>429 Too Many Requests</title></head></html>";
    let head = "429 Too Many Requests\r\ncontent-type: text/html\r\nretry-after: 0";
    let (world, provider) = before(plain(head, page)).await;
    let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", 5.into());
    for _ in 0..3 {
        let answered = world.send(request.clone()).await;
        assert_eq!(answered.refusal().0, 429);
        assert!(answered.header("retry-after").parse::<u64>().unwrap() >= 80);
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_retry_after_is_kept() {
    let head = "429 Too Many Requests\r\ncontent-type: text/html\r\nretry-after: 7";
    let (world, provider) = before(plain(head, "<html>slow down</html>")).await;
    let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", 5.into());
    let answered = world.send(request).await;
    // The caller's deadline has no room for it, and nobody else may serve: it is told when to come back.
    assert_eq!((answered.refusal().0, answered.refusal().2, provider.calls()), (429, "true", 1));
    assert_eq!(answered.header("retry-after"), "7");
}

/// The last event with what it is said to have cost.
fn stop_with(usage: &str) -> String {
    let stop = stop("stop");
    format!("{},\"usage\":{usage}}}", &stop[..stop.len() - 1])
}

const USAGE: &str = r#"{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050}"#;

#[tokio::test]
async fn a_client_that_hangs_up_after_the_last_event_has_had_it_all() {
    let mut pieces = events(&[
        &format!("data: {}\n\n", chunk("Hi")),
        &format!("data: {}\n\n", stop_with(USAGE)),
        "data: [DONE]\n\n",
    ]);
    // The end of the body takes its time.
    pieces.extend(std::iter::repeat_n(b": still here\n\n".to_vec(), 500));
    let (world, _provider) = before(pieces).await;
    let request = crate::world::post("/v1/chat/completions", streamed(MODEL).to_string());
    let mut response = world.open(request).await;
    let id = response.headers()["x-ripcord-request-id"].to_str().unwrap().to_owned();
    let mut text = String::new();
    while !text.contains("[DONE]") {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    drop(response);
    let request = world.story_of(&id).await.request.unwrap();
    assert_eq!(request.outcome, Outcome::Completed);
    assert_eq!((request.tokens.prompt, request.tokens.completion), (Some(1_000), Some(50)));
}

#[tokio::test]
async fn a_usage_that_says_nothing_does_not_wipe_out_what_was_said() {
    for nothing in ["{}", "null", r#"{"prompt_tokens":null}"#, r#"{"completion_tokens":0}"#] {
        let totals = format!(
            r#"{{"id":"a","choices":[{{"index":0,"delta":{{"content":"Hi"}}}}],"usage":{USAGE}}}"#
        );
        let pieces = events(&[
            &format!("data: {totals}\n\n"),
            &format!("data: {}\n\n", stop_with(nothing)),
            "data: [DONE]\n\n",
        ]);
        let (answered, _, world) = answered(pieces, &streamed(MODEL)).await;
        let request = world.story(&answered).await.request.unwrap();
        assert_eq!(request.tokens.completion, Some(50), "{nothing}");
    }
}
