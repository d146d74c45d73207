use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use ripcord_client::transport::TransportErrorKind;

use super::*;
use crate::server::{RawServer, read_request};

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

#[tokio::test]
async fn a_body_read_to_its_end_frees_its_connection_for_the_next_request() {
    for answer in [PLAIN, CHUNKED] {
        let server = RawServer::answering(answer).await;
        let transport = transport();
        let target = target(&transport, &server.url());
        for round in 0..5 {
            let answer = send(&transport, &target, post("{}")).await.unwrap();
            assert_eq!(answer.body().came_over_reused_connection(), round > 0);
            assert_eq!(target.resting_connections(), 0);
            assert_eq!(text(answer).await.unwrap(), "hello");
            assert_eq!(target.resting_connections(), 1);
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_request_that_wants_a_connection_of_its_own_gets_one() {
    let server = RawServer::answering(PLAIN).await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let limits = TransportLimits { fresh_connection: true, ..TransportLimits::default() };
    text(send(&transport, &target, post("{}")).await.unwrap()).await.unwrap();
    for connections in 2..4 {
        let answer = transport.send_with(&target, post("{}"), limits).await.unwrap();
        assert!(!answer.body().came_over_reused_connection());
        assert_eq!(
            (text(answer).await.unwrap().as_str(), server.connections()),
            ("hello", connections)
        );
    }
    let later = send(&transport, &target, post("{}")).await.unwrap();
    assert!(later.body().came_over_reused_connection(), "the pool is as it was");
}

#[tokio::test]
async fn by_length_the_last_byte_is_the_end() {
    let server = RawServer::answering(PLAIN).await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let mut answer = send(&transport, &target, get("/")).await.unwrap();
    let frame = in_time(answer.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "hello");
    drop(answer);
    assert_eq!(target.resting_connections(), 1);
}

#[tokio::test]
async fn an_answer_without_a_body_frees_its_connection_at_once() {
    let server = RawServer::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let first = send(&transport, &target, get("/")).await.unwrap();
    let second = send(&transport, &target, get("/")).await.unwrap();
    assert!(second.body().came_over_reused_connection());
    assert_eq!((text(first).await.unwrap(), server.connections()), (String::new(), 1));
}

#[tokio::test]
async fn parallel_requests_have_connections_of_their_own_and_few_are_kept() {
    let server = RawServer::answering(PLAIN).await;
    let transport = Transport::new(TransportSettings {
        max_resting_connections: 2,
        ..TransportSettings::default()
    });
    let target = target(&transport, &server.url());
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(send(&transport, &target, get("/")).await.unwrap());
    }
    assert_eq!((server.connections(), transport.open_connections()), (4, 4));
    for answer in answers {
        text(answer).await.unwrap();
    }
    assert_eq!(target.resting_connections(), 2);
    until(|| transport.open_connections() == 2).await;
}

#[tokio::test]
async fn two_targets_of_one_origin_share_their_connections() {
    let server = RawServer::answering(PLAIN).await;
    let transport = transport();
    let (first, second) =
        (target(&transport, &server.url()), target(&transport, &format!("{}/v1", server.url())));
    text(send(&transport, &first, get("/")).await.unwrap()).await.unwrap();
    text(send(&transport, &second, get("/")).await.unwrap()).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_it_rested_is_replaced_and_nothing_is_sent_twice() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let server = RawServer::start(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            if read_request(&mut stream).await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
                // Then it closes without announcing it, as the server does after a plain 500.
                stream.write_all(PLAIN).await.unwrap();
            }
        }
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    for round in 1..=3 {
        text(send(&transport, &target, post("{}")).await.unwrap()).await.unwrap();
        until(|| target.resting_connections() == 0).await;
        assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (round, round));
    }
}

#[tokio::test]
async fn a_request_that_was_written_is_never_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let server = RawServer::start(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            while read_request(&mut stream).await.is_some() {
                if counter.fetch_add(1, Ordering::SeqCst) > 0 {
                    return;
                }
                stream.write_all(PLAIN).await.unwrap();
            }
        }
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    text(send(&transport, &target, post("{}")).await.unwrap()).await.unwrap();
    let error = send(&transport, &target, post("{}")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Closed);
    assert!(error.request_sent());
    assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_connection_that_rested_too_long_is_not_used() {
    let server = RawServer::answering(PLAIN).await;
    let settings =
        TransportSettings { rest_limit: Duration::from_millis(5), ..TransportSettings::default() };
    let transport = Transport::new(settings);
    let target = target(&transport, &server.url());
    text(send(&transport, &target, get("/")).await.unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let answer = send(&transport, &target, get("/")).await.unwrap();
    assert!(!answer.body().came_over_reused_connection());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_server_that_announces_the_close_is_believed() {
    let server = RawServer::answering(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    for _ in 0..2 {
        assert_eq!(text(send(&transport, &target, get("/")).await.unwrap()).await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_before_the_request_was_out_is_read_and_its_connection_closed() {
    let server = RawServer::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        // Keeps the connection open without reading.
        tokio::time::sleep(PATIENCE).await;
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let answer = send(&transport, &target, post(vec![b' '; 64 << 20])).await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(text(answer).await.unwrap(), "no");
    assert_eq!(target.resting_connections(), 0);
    until(|| transport.open_connections() == 0).await;
}

#[tokio::test]
async fn the_request_goes_out_as_an_origin_expects_it() {
    let (heads, mut seen) = mpsc::unbounded_channel();
    let server = RawServer::start(move |mut stream, _| {
        let heads = heads.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                heads.send(request).unwrap();
                stream.write_all(PLAIN).await.unwrap();
            }
        }
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let request = Request::post("https://elsewhere.example/v1/chat/completions?x=1")
        .header("content-length", "9999")
        .header("transfer-encoding", "chunked")
        .header("x-own", "kept")
        .body(Bytes::from_static(b"{\"a\":1}"))
        .unwrap();
    text(send(&transport, &target, request).await.unwrap()).await.unwrap();
    let seen = seen.recv().await.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /v1/chat/completions?x=1 HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.address);
    assert_eq!(lines, ["content-length: 7", host.as_str(), "x-own: kept"]);
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test]
async fn shutting_down_waits_for_answers_in_use_and_refuses_new_requests() {
    let server = RawServer::answering(PLAIN).await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let in_use = send(&transport, &target, get("/")).await.unwrap();
    text(send(&transport, &target, get("/")).await.unwrap()).await.unwrap();
    let mut shutdown = std::pin::pin!(transport.shutdown());
    assert!(tokio::time::timeout(SHORT, shutdown.as_mut()).await.is_err(), "does not wait");
    assert_eq!(target.resting_connections(), 0);
    let error = send(&transport, &target, get("/")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::ShuttingDown);
    assert_eq!(text(in_use).await.unwrap(), "hello");
    in_time(shutdown).await;
    assert_eq!(transport.open_connections(), 0);
}
