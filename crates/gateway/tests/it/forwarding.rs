//! What goes through, and what does not.

use crate::world::{MODEL, Plan, World, chat, post, streamed};
use bytes::Bytes;
use chutes_emulator::{ModelSpec, Template};
use http::{Request, StatusCode};
use ripcord_store::Outcome;
use serde_json::json;

#[tokio::test]
async fn a_plain_answer_arrives_whole_and_says_who_served_it() {
    let world = World::start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(answered.json()["model"], MODEL);
    assert!(!answered.json()["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
    assert_eq!(answered.header("x-ripcord-model"), MODEL);
    assert_eq!(answered.header("x-ripcord-account"), "first");
    assert_eq!(answered.header("x-ripcord-attempts"), "1");
    let story = world.story(&answered).await;
    let request = story.request.unwrap();
    assert_eq!(
        (request.outcome, request.status, request.attempt_count),
        (Outcome::Completed, Some(200), 1)
    );
    // 10 prompt tokens at $0.2 and 12 of the answer at $0.8 a million.
    assert_eq!((request.tokens.prompt, request.tokens.completion), (Some(10), Some(12)));
    assert_eq!(request.cost.list_price_nano_usd, Some(2_000 + 9_600));
    assert_eq!(story.attempts.len(), 1);
    world.wait_until_idle().await;
}

#[tokio::test]
async fn a_stream_arrives_byte_for_byte() {
    let world = World::start().await;
    let answered = world.chat(&streamed(MODEL)).await;
    answered.assert_whole_stream();
    assert!(answered.header("content-type").starts_with("text/event-stream"));
    assert_eq!(answered.header("x-accel-buffering"), "no");
    let direct = direct(&world, &streamed(MODEL).to_string()).await;
    // Ids and times differ between two calls, lengths and order do not.
    assert_eq!(answered.body.len(), direct.len());
    let story = world.story(&answered).await.request.unwrap();
    assert_eq!((story.outcome, story.is_stream), (Outcome::Completed, true));
    assert_eq!((story.tokens.prompt, story.tokens.completion), (Some(10), Some(12)));
    world.wait_until_idle().await;
}

/// The same call past the gateway.
async fn direct(world: &World, body: &str) -> String {
    let key = chutes_emulator::Scenario::key("first", 0);
    let address = world.emulator.url().trim_start_matches("http://").parse().unwrap();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: llm.chutes.ai\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer =
        crate::raw::exchange(address, &[request.as_bytes()], std::time::Duration::from_secs(5))
            .await;
    let (_, chunked) = answer.split_once("\r\n\r\n").unwrap();
    let mut rest = chunked;
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = after.get(size + 2..).unwrap_or("");
    }
    body
}

#[tokio::test]
async fn the_body_goes_upstream_byte_for_byte() {
    let world = World::start().await;
    // Odd spacing, odd order, unknown fields, non-ASCII, a number that a float would change.
    let body = format!(
        "{{ \"messages\" : [ {{\"content\":\"h\u{e9}\\u00e9 \",\"role\":\"user\"}} ],\n\t\"model\":\"{MODEL}\" , \
         \"seed\":12345678901234567890,\"x\":{{\"model\":\"inner\"}} }}  "
    );
    let answered = world.post("/v1/chat/completions", body.clone()).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let calls = world.upstream_calls();
    assert_eq!(calls[0].body_sha256.as_deref(), Some(sha256(body.as_bytes()).as_str()));
    assert_eq!(calls[0].body_bytes, body.len());
}

#[tokio::test]
async fn only_what_must_change_changes() {
    let world = World::start().await;
    let sent = format!(
        r#"{{"model":"chutes/{MODEL}","stream":null, "messages":[{{"role":"user","content":"x"}}],"stream_options":null}}"#
    );
    let expected =
        format!(r#"{{"model":"{MODEL}", "messages":[{{"role":"user","content":"x"}}]}}"#);
    let answered = world.post("/v1/chat/completions", sent).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let calls = world.upstream_calls();
    assert_eq!(calls[0].body_sha256.as_deref(), Some(sha256(expected.as_bytes()).as_str()));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn headers_go_upstream_by_an_allow_list() {
    let world = World::start().await;
    let mut request = post("/v1/chat/completions", chat(MODEL).to_string());
    for (name, value) in [
        ("authorization", "Bearer whatever"),
        ("cookie", "session=1"),
        ("x-chutes-trace", "true"),
        ("x-ripcord-priority", "agent"),
        ("x-forwarded-for", "10.0.0.1"),
        ("accept-encoding", "gzip"),
        ("x-stainless-os", "Linux"),
        ("user-agent", "test/1"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(world.send(request).await.status, StatusCode::OK);
    let call = &world.upstream_calls()[0];
    let sent = |name: &str| {
        call.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(call.key, "first/0", "the gateway's own key");
    assert_eq!(sent("accept-encoding"), Some("identity"));
    assert_eq!(sent("user-agent"), Some("test/1"));
    for name in
        ["cookie", "x-chutes-trace", "x-ripcord-priority", "x-forwarded-for", "x-stainless-os"]
    {
        assert_eq!(sent(name), None, "{name}");
    }
}

#[tokio::test]
async fn models_come_as_chutes_lists_them() {
    let world = World::start().await;
    let list = world.get("/v1/models").await;
    assert_eq!(list.status, StatusCode::OK);
    let ids: Vec<_> =
        list.json()["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    let one = world.get(&format!("/v1/models/{MODEL}")).await;
    assert_eq!(one.json()["id"], MODEL);
    let encoded = world.get(&format!("/v1/models/{}", MODEL.replace('/', "%2F"))).await;
    assert_eq!(encoded.json()["id"], MODEL);
    let wrong = world.get("/v1/models/acme/writer-9-tee").await;
    assert_eq!(wrong.refusal(), (404, "model_not_found".to_owned(), "false"));
    assert!(wrong.text().contains(MODEL), "{}", wrong.text());
}

#[tokio::test]
async fn embeddings_and_completions_have_their_routes() {
    let mut plan = Plan::new();
    plan.scenario = plan
        .scenario
        .model(ModelSpec { template: Template::Embedding, ..ModelSpec::new("acme/Embed-1") });
    let world = plan.start().await;
    let vectors = world
        .post("/v1/embeddings", json!({ "model": "acme/Embed-1", "input": "x" }).to_string())
        .await;
    assert_eq!(vectors.status, StatusCode::OK, "{}", vectors.text());
    assert!(vectors.json()["data"][0]["embedding"].is_array());
    let text =
        world.post("/v1/completions", json!({ "model": MODEL, "prompt": "x" }).to_string()).await;
    assert_eq!(text.status, StatusCode::OK, "{}", text.text());
    assert!(text.json()["choices"][0]["text"].is_string());
    let streamed = json!({ "model": MODEL, "prompt": "x", "stream": true });
    let stream = world.post("/v1/completions", streamed.to_string()).await;
    assert_eq!(stream.events().last().map(String::as_str), Some("[DONE]"), "{}", stream.text());
}

#[tokio::test]
async fn keys_of_one_account_take_turns() {
    let mut plan = Plan::new();
    plan.accounts = vec![crate::world::account("first", &[0, 1])];
    let world = plan.start().await;
    for _ in 0..4 {
        assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
    }
    let keys: Vec<_> = world.upstream_calls().into_iter().map(|call| call.key).collect();
    assert_eq!(keys, ["first/0", "first/1", "first/0", "first/1"]);
}

#[tokio::test]
async fn admin_routes_answer_without_secrets() {
    let world = World::start().await;
    world.chat(&chat(MODEL)).await;
    assert_eq!(world.get("/-/health").await.json(), json!({ "status": "ok" }));
    assert_eq!(world.get("/-/ready").await.status, StatusCode::OK);
    let status = world.status_report().await;
    assert_eq!(status["accounts"][0]["plan"], "pro");
    assert_eq!(status["accounts"][0]["budget"], "open");
    assert_eq!(status["accounts"][0]["windows"].as_array().unwrap().len(), 3);
    let metrics = world.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("ripcord_requests_total{route=\"chat/completions\",outcome=\"completed\"} 1"),
        "{}",
        metrics.text()
    );
    let key = chutes_emulator::Scenario::key("first", 0);
    for text in [status.to_string(), metrics.text().to_owned()] {
        assert!(!text.contains(&key) && !text.contains(&key[4..36]));
    }
}

#[tokio::test]
async fn a_listed_page_may_call_and_read_the_headers() {
    let mut plan = Plan::new();
    plan.allowed_origins = vec!["https://chat.example".to_owned()];
    let world = plan.start().await;
    let preflight = Request::options("/v1/chat/completions")
        .header("origin", "https://chat.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization, content-type")
        .body(Bytes::new())
        .unwrap();
    let allowed = world.send(preflight).await;
    assert_eq!(allowed.status, StatusCode::NO_CONTENT);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://chat.example");
    assert_eq!(allowed.header("access-control-allow-headers"), "authorization, content-type");
    assert_eq!(allowed.header("access-control-allow-credentials"), "");
    let mut request = post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("origin", "https://chat.example".parse().unwrap());
    let answered = world.send(request).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert!(answered.header("access-control-expose-headers").contains("x-ripcord-request-id"));
}

#[tokio::test]
async fn whoever_opens_the_address_is_told_where_to_go() {
    let world = World::start().await;
    let welcome = world.get("/").await;
    assert_eq!(welcome.status, StatusCode::OK);
    assert!(welcome.text().contains(&format!("http://{}/v1", world.address)), "{}", welcome.text());
}
