use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::*;
use crate::server::{RawServer, goes_away, read_request};

/// A server that says `start`, then reports whether the client went away within a second.
async fn watching(
    start: &'static [u8],
) -> (RawServer, mpsc::UnboundedReceiver<&'static str>, mpsc::UnboundedReceiver<bool>) {
    let (reached, has_reached) = mpsc::unbounded_channel();
    let (gone, has_gone) = mpsc::unbounded_channel();
    let server = RawServer::start(move |mut stream, _| {
        let (reached, gone) = (reached.clone(), gone.clone());
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(start).await.unwrap();
            reached.send("request read").unwrap();
            gone.send(goes_away(&mut stream).await).unwrap();
        }
    })
    .await;
    (server, has_reached, has_gone)
}

#[tokio::test]
async fn dropping_the_wait_for_a_plain_answer_closes_the_connection() {
    let (server, mut reached, mut gone) = watching(b"").await;
    let transport = transport();
    let target = target(&transport, &server.url());
    tokio::select! {
        answer = transport.send(&target, post("{}")) => panic!("answered: {answer:?}"),
        _ = reached.recv() => {}
    }
    assert!(in_time(gone.recv()).await.unwrap());
    until(|| transport.open_connections() == 0).await;
}

#[tokio::test]
async fn dropping_a_request_that_is_still_going_out_closes_the_connection() {
    let (gone, mut has_gone) = mpsc::unbounded_channel();
    let server = RawServer::start(move |mut stream, _| {
        let gone = gone.clone();
        async move {
            // Leaves the rest in the pipe until the client has had time to fill it and to leave.
            let mut start = [0_u8; 1024];
            tokio::io::AsyncReadExt::read(&mut stream, &mut start).await.unwrap();
            tokio::time::sleep(SHORT).await;
            gone.send(goes_away(&mut stream).await).unwrap();
        }
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let sending = transport.send(&target, post(vec![b' '; 64 << 20]));
    assert!(tokio::time::timeout(SHORT / 2, sending).await.is_err());
    assert!(in_time(has_gone.recv()).await.unwrap());
    until(|| transport.open_connections() == 0).await;
}

#[tokio::test]
async fn dropping_a_stream_closes_the_connection() {
    let (server, _reached, mut gone) =
        watching(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let mut answer = send(&transport, &target, post("{}")).await.unwrap();
    assert!(in_time(answer.body_mut().frame()).await.unwrap().is_ok());
    drop(answer);
    assert!(in_time(gone.recv()).await.unwrap());
    assert_eq!(target.resting_connections(), 0);
}

#[tokio::test]
async fn dropping_a_stream_nobody_read_closes_the_connection_of_a_busy_server() {
    // More than the buffers hold: the server is blocked in a write when the client leaves.
    let (gone, mut has_gone) = mpsc::unbounded_channel();
    let server = RawServer::start(move |mut stream, _| {
        let gone = gone.clone();
        async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
            gone.send(()).unwrap();
        }
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    drop(send(&transport, &target, post("{}")).await.unwrap());
    in_time(has_gone.recv()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_dropped_streams_leave_nothing_open() {
    let server =
        RawServer::answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
            .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    for _ in 0..50 {
        drop(send(&transport, &target, post("{}")).await.unwrap());
    }
    until(|| transport.open_connections() == 0).await;
    assert_eq!(target.resting_connections(), 0);
}

#[test]
fn a_body_whose_runtime_went_away_is_broken_and_not_finished() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    };
    let (servers, clients, readers) = (runtime(), runtime(), runtime());
    let server = servers.block_on(RawServer::answering(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ));
    let transport = transport();
    let target = target(&transport, &server.url());
    let mut answer = clients.block_on(send(&transport, &target, get("/"))).unwrap();
    clients.block_on(answer.body_mut().frame()).unwrap().unwrap();
    clients.shutdown_timeout(PATIENCE);
    readers.block_on(async {
        let error = in_time(answer.body_mut().frame()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ripcord_client::transport::TransportErrorKind::Closed);
        assert!(answer.body_mut().frame().await.is_none());
    });
}
