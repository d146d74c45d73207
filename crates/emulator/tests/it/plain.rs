//! The plain server: its own HTTP/1.1 loop has to be right about where requests end.

use std::net::{Ipv4Addr, SocketAddr};

use chutes_emulator::{Emulator, Running, Scenario};
use tokio::io::AsyncWriteExt;

use crate::raw::{CHAT, RawConnection, RawEnd, chat, get, post};

async fn plain() -> Running {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Emulator::start_plain(address, Scenario::every_plan()).await.unwrap()
}

#[tokio::test]
async fn completions_streams_and_the_rest() {
    let emulator = plain().await;
    let (port, key) = (emulator.port(), Scenario::key("pro", 0));
    let whole = post(port, CHAT, &key, &chat("any/thing", "hi", false)).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], "Hello from the engine.");
    let stream = post(port, CHAT, &key, &chat("any/thing", "hi", true)).await;
    assert_eq!(stream.streamed_text(), "Hello from the engine.");
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(get(port, "/users/me", Some(&key)).await.json()["username"], "pro");
    assert_eq!(get(port, "/nothing", None).await.status, 401);
}

#[tokio::test]
async fn pipelined_chunked_and_torn_requests() {
    let emulator = plain().await;
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = r#"{"model":"a", "stream" : true}"#;
    let (first, second) = body.split_at(9);
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:X};ext=1\r\n{second}\r\n0\r\nTrailer: x\r\n\r\n",
        first.len(),
        second.len()
    );
    let counted =
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n{{\"model\":\"a\"}}");
    let all = format!("{counted}{chunked}{counted}");
    // Byte by byte and all at once.
    for byte in all.as_bytes() {
        connection.stream.write_all(&[*byte]).await.unwrap();
    }
    connection.stream.write_all(all.as_bytes()).await.unwrap();
    for _ in 0..2 {
        for streams in [false, true, false] {
            let answer = connection.answer(false).await.unwrap();
            assert_eq!(answer.text().starts_with("data: "), streams);
        }
    }
    connection.stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    assert_eq!(connection.answer(false).await.unwrap().status, 400);
    assert_eq!(connection.end().await, RawEnd::Closed);
}

#[tokio::test]
async fn close_and_continue() {
    let emulator = plain().await;
    let mut connection = RawConnection::open(emulator.port()).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nExpect: 100-continue\r\nConnection: close\r\ncontent-length: 2\r\n\r\n"
    );
    connection.stream.write_all(head.as_bytes()).await.unwrap();
    connection.until(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    connection.stream.write_all(b"{}").await.unwrap();
    assert_eq!(connection.answer(false).await.unwrap().status, 200);
    assert_eq!(connection.end().await, RawEnd::Closed);
}
