use ripcord_client::transport::TransportErrorKind as Kind;
use ripcord_client::transport::TransportPhase as Phase;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::server::{RawServer, read_request, reset};

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn facts(error: &TransportError) -> (Phase, Kind, bool) {
    (error.phase(), error.kind(), error.request_sent())
}

/// The error of a body, and that nothing but the end comes after it.
async fn body_error(mut answer: Response<Body>) -> TransportError {
    loop {
        match in_time(answer.body_mut().frame()).await.expect("the body ended as if it were whole")
        {
            Ok(_) => {}
            Err(error) => {
                assert!(answer.body_mut().frame().await.is_none());
                return error;
            }
        }
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let transport = transport();
    let error = send(&transport, &target(&transport, &format!("http://{address}")), post("{}"))
        .await
        .unwrap_err();
    assert_eq!(facts(&error), (Phase::Connect, Kind::Refused, false));
    assert_eq!(
        error.to_string(),
        format!("the connection was refused while connecting ({address})")
    );
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    let cases: [(&'static [u8], Kind); 5] = [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", Kind::Closed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n", Kind::NotHttp),
    ];
    for (bytes, kind) in cases {
        let server = RawServer::start(move |mut stream, _| async move {
            read_request(&mut stream).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        })
        .await;
        let transport = transport();
        let target = target(&transport, &server.url());
        let answer = send(&transport, &target, post("{}")).await.unwrap();
        let error = body_error(answer).await;
        assert_eq!(facts(&error), (Phase::Body, kind, true), "{}", String::from_utf8_lossy(bytes));
        assert_eq!(target.resting_connections(), 0);
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
    })
    .await;
    let transport = transport();
    let answer = send(&transport, &target(&transport, &server.url()), get("/")).await.unwrap();
    assert_eq!(text(answer).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_reset_is_told_from_an_end() {
    let server = RawServer::start(|mut stream, number| async move {
        read_request(&mut stream).await.unwrap();
        if number == 0 {
            stream.write_all(STREAM_HEAD).await.unwrap();
            stream.write_all(b"5\r\nhello\r\n").await.unwrap();
            // The client says that it has read the beginning by sending nothing: give it a moment of the runtime.
            tokio::time::sleep(SHORT).await;
        }
        reset(stream);
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let in_body = body_error(send(&transport, &target, post("{}")).await.unwrap()).await;
    assert_eq!(facts(&in_body), (Phase::Body, Kind::Reset, true));
    let before = send(&transport, &target, post("{}")).await.unwrap_err();
    assert_eq!(facts(&before), (Phase::FirstByte, Kind::Reset, true));
}

#[tokio::test]
async fn closing_without_an_answer_is_an_error_after_sending() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
    })
    .await;
    let transport = transport();
    let error = send(&transport, &target(&transport, &server.url()), post("{}")).await.unwrap_err();
    assert_eq!(facts(&error), (Phase::FirstByte, Kind::Closed, true));
}

#[tokio::test]
async fn silence_before_the_answer_runs_into_the_first_byte_limit() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        let mut rest = Vec::new();
        // Ends when the client closes.
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let limits = TransportLimits { first_byte: SHORT, ..TransportLimits::default() };
    let error = send_within(&transport, &target, post("{}"), limits).await.unwrap_err();
    assert_eq!(facts(&error), (Phase::FirstByte, Kind::Timeout, true));
    assert!(error.is_timeout());
    until(|| transport.open_connections() == 0).await;
}

#[tokio::test]
async fn half_a_head_is_not_a_first_byte() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-").await.unwrap();
        tokio::time::sleep(PATIENCE).await;
    })
    .await;
    let transport = transport();
    let limits = TransportLimits { first_byte: SHORT, ..TransportLimits::default() };
    let error = send_within(&transport, &target(&transport, &server.url()), get("/"), limits)
        .await
        .unwrap_err();
    assert_eq!(facts(&error), (Phase::FirstByte, Kind::Timeout, true));
}

#[tokio::test]
async fn silence_within_a_body_runs_into_the_idle_limit() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(STREAM_HEAD).await.unwrap();
        for _ in 0..5 {
            stream.write_all(b"1\r\nx\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(PATIENCE).await;
    })
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let limits = TransportLimits { idle: Duration::from_millis(200), ..TransportLimits::default() };
    let answer = send_within(&transport, &target, post("{}"), limits).await.unwrap();
    let error = body_error(answer).await;
    assert_eq!(facts(&error), (Phase::Body, Kind::Timeout, true));
    until(|| transport.open_connections() == 0).await;
}

#[tokio::test]
async fn a_slow_reader_is_not_taken_for_a_silent_server() {
    let server = RawServer::answering(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
    )
    .await;
    let transport = transport();
    let target = target(&transport, &server.url());
    let limits = TransportLimits { idle: Duration::from_millis(20), ..TransportLimits::default() };
    let answer = send_within(&transport, &target, get("/"), limits).await.unwrap();
    tokio::time::sleep(SHORT).await;
    assert_eq!(text(answer).await.unwrap(), "ab");
}

#[tokio::test]
async fn a_limit_may_be_endless() {
    let server = RawServer::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let transport = transport();
    let forever = Duration::MAX;
    let limits = TransportLimits {
        connect: forever,
        send_stall: forever,
        first_byte: forever,
        idle: forever,
        fresh_connection: false,
    };
    let answer = send_within(&transport, &target(&transport, &server.url()), get("/"), limits)
        .await
        .unwrap();
    assert_eq!(text(answer).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_server_that_does_not_read_runs_into_the_send_limit() {
    let server = RawServer::start(|stream, _| async move {
        tokio::time::sleep(PATIENCE).await;
        drop(stream);
    })
    .await;
    let transport = transport();
    let limits =
        TransportLimits { send_stall: Duration::from_millis(100), ..TransportLimits::default() };
    let request = post(vec![b' '; 64 << 20]);
    let error = send_within(&transport, &target(&transport, &server.url()), request, limits)
        .await
        .unwrap_err();
    assert_eq!(facts(&error), (Phase::Send, Kind::Timeout, false));
}

#[tokio::test]
async fn a_slow_upload_that_moves_is_not_cut_off() {
    let server = RawServer::start(|mut stream, _| async move {
        let mut left: usize = 24 << 20;
        let mut buffer = vec![0_u8; 1 << 20];
        while left > 0 {
            left = left.saturating_sub(stream.read(&mut buffer).await.unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    let transport = transport();
    // Shorter than the whole upload takes, far longer than any pause in it.
    let limits = TransportLimits {
        send_stall: Duration::from_millis(100),
        first_byte: PATIENCE,
        ..TransportLimits::default()
    };
    let request = post(vec![b' '; 24 << 20]);
    assert!(
        send_within(&transport, &target(&transport, &server.url()), request, limits).await.is_ok()
    );
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while stream
            .write_all(b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
            .await
            .is_ok()
        {}
    })
    .await;
    let transport = transport();
    let error = send(&transport, &target(&transport, &server.url()), get("/")).await.unwrap_err();
    assert_eq!(facts(&error), (Phase::FirstByte, Kind::HeadTooLarge, true));
}

#[tokio::test]
async fn something_else_than_http_is_named() {
    let server = RawServer::answering(b"220 mail.example ESMTP\r\n").await;
    let transport = transport();
    let error = send(&transport, &target(&transport, &server.url()), get("/")).await.unwrap_err();
    assert_eq!((error.phase(), error.kind()), (Phase::FirstByte, Kind::NotHttp));
}

#[tokio::test]
async fn an_unknown_name_fails_while_resolving() {
    let transport = transport();
    let base = BaseUrl::parse(Service::Llm, "http://name.invalid", PlainHttp::Allowed).unwrap();
    let target = transport.target(&base).unwrap();
    let limits = TransportLimits { connect: Duration::from_secs(2), ..TransportLimits::default() };
    let error = send_within(&transport, &target, get("/"), limits).await.unwrap_err();
    assert_eq!((error.phase(), error.request_sent()), (Phase::Resolve, false));
    assert!(matches!(error.kind(), Kind::NameNotFound | Kind::Timeout), "{error}");
}

#[tokio::test]
async fn a_full_listener_runs_into_the_connect_limit() {
    // Nothing accepts and the queue is full: the handshake of the next connection is not answered.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        fillers.push(stream);
    }
    let transport = transport();
    let limits = TransportLimits { connect: SHORT, ..TransportLimits::default() };
    let target = target(&transport, &format!("http://{address}"));
    let error = send_within(&transport, &target, get("/"), limits).await.unwrap_err();
    assert_eq!(facts(&error), (Phase::Connect, Kind::Timeout, false));
}
