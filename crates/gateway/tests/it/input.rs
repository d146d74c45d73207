//! Bad input: a clear error each, and nothing sent upstream.

use crate::raw::exchange;
use crate::world::{MODEL, Plan, World, chat, post};
use bytes::Bytes;
use http::{Request, StatusCode};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_body_that_cannot_be_forwarded_is_a_400_that_says_why() {
    let world = World::start().await;
    let twice = format!(r#"{{"model":"{MODEL}","messages":[],"model":"{MODEL}"}}"#);
    let escaped = format!(r#"{{"mod\u0065l":"{MODEL}","messages":[]}}"#);
    let table: [(&[u8], &str); 9] = [
        (b"", "empty_body"),
        (b"hello", "invalid_json"),
        (b"{\"model\":\"x\"", "invalid_json"),
        (b"[1]", "body_not_an_object"),
        (b"{\"messages\":[]}", "missing_model"),
        (b"{\"model\":7}", "invalid_model"),
        (b"{\"model\":\"\xff\"}", "invalid_utf8"),
        (twice.as_bytes(), "duplicate_key"),
        (escaped.as_bytes(), "escaped_key"),
    ];
    for (body, code) in table {
        let answered = world.post("/v1/chat/completions", Bytes::copy_from_slice(body)).await;
        assert_eq!(answered.refusal(), (400, code.to_owned(), "false"), "{}", answered.text());
        assert_eq!(answered.header("cache-control"), "no-store");
        assert!(answered.header("x-ripcord-request-id").starts_with("req_"));
    }
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_length_and_by_its_bytes() {
    let mut plan = Plan::new();
    plan.limits.body_bytes = 1 << 20;
    let world = plan.start().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 99999999\r\n\r\n");
    let answer = exchange(world.address, &[announced.as_bytes()], Duration::from_millis(500)).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(18));
    let answer = exchange(world.address, &[chunked.as_bytes()], Duration::from_millis(500)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_or_dawdles_is_not_forwarded() {
    let world = World::start().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let bad_chunk = format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{{\"mod\r\nzz\r\n");
    let answer = exchange(world.address, &[bad_chunk.as_bytes()], PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("incomplete_body"), "{answer}");
    let slow = format!("{head}content-length: 50\r\n\r\n{{\"model\"");
    let answer = exchange(world.address, &[slow.as_bytes()], PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("slow_body"), "{answer}");
    assert!(world.upstream_calls().is_empty());
    world.wait_until_idle().await;
}

#[tokio::test]
async fn slow_headers_end_the_connection_and_nobody_elses() {
    let world = World::start().await;
    let began = tokio::time::Instant::now();
    let slow =
        exchange(world.address, &[b"POST /v1/chat/completions HTTP/1.1\r\nhost: loc"], PATIENCE);
    let body = chat(MODEL);
    let (answer, other) = tokio::join!(slow, world.chat(&body));
    assert_eq!(other.status, StatusCode::OK);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(began.elapsed() < PATIENCE, "the connection was closed by the gateway");
}

#[tokio::test]
async fn types_encodings_names_pages_and_keys_are_checked() {
    let world = World::start().await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = post("/v1/chat/completions", chat(MODEL).to_string());
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let table = [
        (with("content-type", "text/plain"), (415, "unsupported_content_type")),
        (with("content-encoding", "gzip"), (415, "unsupported_encoding")),
        (with("host", "evil.example"), (403, "not_allowed")),
        (with("origin", "https://evil.example"), (403, "not_allowed")),
        (with("authorization", "Bearer cpk_0123"), (401, "invalid_api_key")),
        (with("x-ripcord-deadline", "soon"), (400, "invalid_header")),
        (with("x-ripcord-priority", "vip"), (400, "invalid_header")),
    ];
    for (request, (status, code)) in table {
        let answered = world.send(request).await;
        assert_eq!(answered.refusal(), (status, code.to_owned(), "false"), "{}", answered.text());
    }
    for path in ["/-/status", "/metrics", "/-/health", "/v1/models"] {
        let request = Request::get(path).header("host", "evil.example").body(Bytes::new()).unwrap();
        assert_eq!(world.send(request).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let charset = with("content-type", "application/json; charset=utf-8");
    assert_eq!(world.send(charset).await.status, StatusCode::OK);
    assert_eq!(world.upstream_calls().len(), 1);
}

#[tokio::test]
async fn a_model_name_of_no_end_is_refused_at_once() {
    let world = World::start().await;
    let long = "x".repeat(200_000);
    assert_eq!(
        world.chat(&chat(&long)).await.refusal(),
        (400, "invalid_model".to_owned(), "false")
    );
    assert_eq!(world.get(&format!("/v1/models/{}", &long[..30_000])).await.refusal().0, 404);
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn a_wrong_path_or_verb_is_told_what_is_wrong() {
    let world = World::start().await;
    let doubled = world.post("/v1/v1/chat/completions", "{}").await;
    assert_eq!(doubled.refusal().0, 404);
    assert!(doubled.text().contains("twice"), "{}", doubled.text());
    assert_eq!(world.get("/v1/chat/completions").await.refusal().0, 405);
    let options = Request::options("/v1/chat/completions").body(Bytes::new()).unwrap();
    assert_eq!(world.send(options).await.status, StatusCode::NO_CONTENT);
}
