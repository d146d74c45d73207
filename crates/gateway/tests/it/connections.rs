//! Connections that do too little, too slowly or for too long, and the end of the gateway under them.

use crate::raw::exchange;
use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use chutes_emulator::{Ended, Fault, FaultKind};
use http::StatusCode;
use http_body_util::BodyExt as _;
use ripcord_store::{Ledger as _, Outcome};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const HEAD: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const PATIENCE: Duration = Duration::from_secs(5);

fn raw_request(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_slot() {
    let mut plan = Plan::new();
    plan.limits.write_timeout = Duration::from_millis(300);
    // More than the buffers of all sockets between take.
    plan.scenario.models[0].answer_tokens = 60_000;
    let world = plan.start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut client = socket.connect(world.address).await.unwrap();
    client.write_all(&raw_request(&streamed(MODEL))).await.unwrap();
    world.wait_for("it is served", || async { world.gateway().slots_in_use() == 1 }).await;
    world.wait_until_idle().await;
    assert_eq!(world.upstream_calls()[0].ended, Some(Ended::ClientLeft));
    let written = || async { !world.ledger.recent_requests(1).unwrap().is_empty() };
    world.wait_for("the record", written).await;
    assert_eq!(world.ledger.recent_requests(1).unwrap()[0].outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let mut plan = Plan::new();
    plan.limits.connections = 20;
    plan.limits.header_timeout = Duration::from_secs(60);
    plan.limits.stall = Duration::from_secs(60);
    let world = plan.start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Stall).after_chunks(4)).unwrap();
    let mut under_way =
        world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await.into_body();
    assert!(under_way.frame().await.unwrap().is_ok());
    let mut idle = Vec::new();
    for number in 0..300 {
        let mut client = TcpStream::connect(world.address).await.unwrap();
        if number % 2 == 0 {
            // Half of a head is no request either.
            client.write_all(b"GET /-/health HTT").await.unwrap();
        }
        idle.push(client);
    }
    let request = b"GET /-/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = exchange(world.address, &[request], PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.gateway().slots_in_use(), 1, "who is being served stays");
    let mut byte = [0];
    let first_is_closed = tokio::time::timeout(PATIENCE, idle[0].read(&mut byte)).await.unwrap();
    assert!(!matches!(first_is_closed, Ok(1..)), "the longest idle had to leave");
}

#[tokio::test]
async fn what_is_only_announced_takes_no_memory() {
    let mut plan = Plan::new();
    plan.limits.buffered_bytes = 64 << 20;
    plan.limits.body_timeout = Duration::from_secs(60);
    let world = plan.start().await;
    let mut announcing = Vec::new();
    for _ in 0..17 {
        let mut client = TcpStream::connect(world.address).await.unwrap();
        client
            .write_all(format!("{HEAD}content-length: 33554432\r\n\r\n{{").as_bytes())
            .await
            .unwrap();
        announcing.push(client);
    }
    let all_read = || async { world.status_report().await["requests_in_flight"] == 17 };
    world.wait_for("all heads are read", all_read).await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
}

#[tokio::test]
async fn a_body_that_drips_ends_in_time() {
    let mut plan = Plan::new();
    plan.limits.body_total_timeout = Duration::from_millis(600);
    let world = plan.start().await;
    let (mut reading, mut writing) = TcpStream::connect(world.address).await.unwrap().into_split();
    writing.write_all(format!("{HEAD}content-length: 5000\r\n\r\n").as_bytes()).await.unwrap();
    let dripping = async {
        loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            if writing.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = [0; 1024];
    let answered = tokio::select! {
        read = reading.read(&mut answer) => read.unwrap(),
        () = dripping => 0,
        () = tokio::time::sleep(PATIENCE) => 0,
    };
    let answer = String::from_utf8_lossy(&answer[..answered]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("slow_body"), "{answer}");
}

#[tokio::test]
async fn a_large_body_in_many_pieces_arrives_whole() {
    let world = World::start().await;
    let mut body = chat(MODEL);
    body["messages"][0]["content"] = "word ".repeat(400_000).into();
    let answered = world.chat(&body).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let metrics = world.get("/metrics").await;
    assert!(metrics.text().contains("ripcord_buffered_bytes 0"), "{}", metrics.text());
}

#[tokio::test]
async fn every_value_of_a_repeated_header_is_checked() {
    let world = World::start().await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = post("/v1/chat/completions", chat(MODEL).to_string());
        request.headers_mut().append(name, value.parse().unwrap());
        request
    };
    let mut encoded = with("content-encoding", "identity");
    encoded.headers_mut().append("content-encoding", "gzip".parse().unwrap());
    let mut key = with("x-api-key", "anything");
    key.headers_mut().append("x-api-key", "cpk_0123".parse().unwrap());
    let table = [
        (with("content-type", "text/plain"), (415, "unsupported_content_type")),
        (encoded, (415, "unsupported_encoding")),
        (key, (401, "invalid_api_key")),
        (with("x-api-key", "cpk_0123"), (401, "invalid_api_key")),
    ];
    for (request, (status, code)) in table {
        let answered = world.send(request).await;
        assert_eq!(answered.refusal(), (status, code.to_owned(), "false"), "{}", answered.text());
    }
    assert_eq!(world.send(with("x-api-key", "anything")).await.status, StatusCode::OK);
    assert_eq!(world.upstream_calls().len(), 1);
}

/// One slot, held by a stream that has begun and goes no further.
async fn with_the_only_slot_taken(change: impl FnOnce(&mut Plan)) -> (World, Held) {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.stall = Duration::from_secs(60);
    change(&mut plan);
    let world = plan.start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Stall).after_chunks(4)).unwrap();
    let response = world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await;
    (world, response)
}

type Held = http::Response<ripcord_client::transport::Body>;

async fn whole(response: Held) -> Answered {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answered { status: head.status, headers: head.headers, body }
}

fn assert_says_that_it_shuts_down(answered: &Answered) {
    assert_eq!(answered.status, StatusCode::OK);
    let events = answered.events();
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "shutting_down", "{}", answered.text());
    assert!(!answered.text().contains("[DONE]"), "{}", answered.text());
    assert!(!answered.text().contains(r#""finish_reason":"stop""#), "{}", answered.text());
}

#[tokio::test]
async fn who_is_cut_off_at_the_end_of_the_drain_is_told_so() {
    let (mut world, held) = with_the_only_slot_taken(|plan| {
        plan.limits.drain = Duration::from_millis(300);
        plan.limits.heartbeat = Duration::from_millis(50);
    })
    .await;
    let gateway = world.gateway.take().unwrap();
    let world = Arc::new(world);
    // Opened before there is a slot.
    let early = world.open(post("/v1/chat/completions", streamed(OTHER_MODEL).to_string())).await;
    let plain = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.chat(&chat(OTHER_MODEL)).await })
    };
    world.wait_for("both wait", || async { gateway.queued() == 2 }).await;
    let mut uploading = TcpStream::connect(world.address).await.unwrap();
    uploading.write_all(format!("{HEAD}content-length: 99\r\n\r\n{{").as_bytes()).await.unwrap();
    world
        .wait_for("the upload", || async { world.status_report().await["requests_in_flight"] == 4 })
        .await;
    let began = tokio::time::Instant::now();
    let (held, early, plain, ()) =
        tokio::join!(whole(held), whole(early), plain, gateway.shutdown());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_says_that_it_shuts_down(&held);
    assert_says_that_it_shuts_down(&early);
    let plain = plain.unwrap();
    assert_eq!(plain.refusal(), (503, "shutting_down".to_owned(), "true"), "{}", plain.text());
    assert_eq!(plain.header("retry-after"), "5");
    let mut upload = String::new();
    uploading.read_to_string(&mut upload).await.unwrap();
    assert!(upload.starts_with("HTTP/1.1 503"), "{upload}");
    let broken = world.ledger.request(held.header("x-ripcord-request-id")).unwrap().unwrap();
    let broken = broken.request.unwrap();
    assert_eq!((broken.outcome, broken.cause.as_deref()), (Outcome::Broken, Some("shutting_down")));
    let refused = world.ledger.request(plain.header("x-ripcord-request-id")).unwrap().unwrap();
    assert_eq!(refused.request.unwrap().outcome, Outcome::Refused);
}

#[tokio::test]
async fn deadlines_hold_while_the_gateway_drains() {
    let (mut world, held) =
        with_the_only_slot_taken(|plan| plan.limits.drain = Duration::from_secs(60)).await;
    let gateway = world.gateway.take().unwrap();
    let waiting = async {
        let mut request = post("/v1/chat/completions", chat(OTHER_MODEL).to_string());
        request.headers_mut().insert("x-ripcord-deadline", "1".parse().unwrap());
        let answered = tokio::time::timeout(PATIENCE, world.send(request)).await.unwrap();
        assert_eq!(answered.refusal().1, "deadline", "{}", answered.text());
        drop(held);
    };
    let stopping = async {
        world.wait_for("it waits", || async { gateway.queued() == 1 }).await;
        gateway.shutdown().await;
    };
    tokio::join!(waiting, stopping);
}

#[tokio::test]
async fn a_drain_can_be_cut_short() {
    for drops_the_future in [true, false] {
        let (mut world, held) =
            with_the_only_slot_taken(|plan| plan.limits.drain = Duration::from_secs(60)).await;
        let gateway = world.gateway.take().unwrap();
        let handle = gateway.abort_handle();
        let mut draining = Box::pin(gateway.shutdown());
        let cut_short = tokio::time::timeout(Duration::from_millis(50), &mut draining).await;
        assert!(cut_short.is_err(), "it waits for the stream");
        if drops_the_future {
            drop(draining);
        } else {
            handle.abort();
            tokio::time::timeout(PATIENCE, draining).await.unwrap();
        }
        let rest = tokio::time::timeout(PATIENCE, held.into_body().collect()).await.unwrap();
        assert!(rest.is_err(), "an aborted answer does not look whole");
        let left = || async { world.upstream_calls()[0].ended == Some(Ended::ClientLeft) };
        world.wait_for("the upstream call ends", left).await;
    }
}
