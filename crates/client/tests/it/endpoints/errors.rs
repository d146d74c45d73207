//! Answers that are not those of the API, and the one promise above all others: no error shows a key.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use ripcord_client::chutes::ChutesSettings;
use ripcord_client::error::{Blame, Error, ErrorKind, Unreadable};
use ripcord_rules::cause::Cause;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::server::{RawServer, read_request};

const SECRET: &str = "CanaryCanaryCanaryCanaryCanary12";

fn canary() -> Key {
    let text = format!("cpk_{}.{}.{SECRET}", "c0ffee00".repeat(4), "ba5eba11".repeat(4));
    Key::parse(&text).unwrap().0
}

/// Answers one request with `head` and `body`, in which `KEY` stands for the key that came.
async fn answering(head: &'static str, body: &'static str) -> RawServer {
    RawServer::start(move |mut stream, _| async move {
        while let Some(request) = read_request(&mut stream).await {
            let lines = request.lines();
            let key = lines
                .filter_map(|line| line.strip_prefix("authorization: Bearer "))
                .next()
                .unwrap_or("");
            let (head, body) = (head.replace("KEY", key), body.replace("KEY", key));
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

async fn error_of(head: &'static str, body: &'static str) -> Error {
    let server = answering(head, body).await;
    in_time(client(&server.url()).with_key(canary()).quota_usage()).await.unwrap_err()
}

/// Everything that could be printed of an error.
fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?} {} {}", error.hint(), error.call());
    let mut source = error.source();
    while let Some(cause) = source {
        write!(shown, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    shown
}

const JSON: &str = "200 OK\r\ncontent-type: application/json";
const PAGE: &str =
    "<!doctype html><html><head><title>Sign in to Cafe WiFi</title></head><body>KEY</body></html>";

#[tokio::test]
async fn a_web_page_is_called_one() {
    for head in [
        "200 OK\r\ncontent-type: text/html",
        "502 Bad Gateway\r\ncontent-type: text/html",
        "200 OK",
    ] {
        let error = error_of(head, PAGE).await;
        assert!(matches!(error.kind(), ErrorKind::WebPage { .. }), "{error:?}");
        assert_eq!(error.blame(), Blame::Network);
        assert!(error.to_string().contains("with a web page: Sign in to Cafe WiFi"), "{error}");
        assert!(error.hint().starts_with("a proxy or captive portal answered instead of the API"));
    }
}

#[tokio::test]
async fn an_unreadable_answer_says_where_and_shows_little() {
    let error = error_of(
        JSON,
        "{\"quota\": 5000,\n \"used\": oops and a long tail that nobody needs to see in an error}",
    )
    .await;
    let ErrorKind::Unreadable { fault, excerpt } = error.kind() else { panic!("{error:?}") };
    assert_eq!(*fault, Unreadable::NotJson { line: 2, column: 10 });
    assert!(excerpt.contains("oops") && excerpt.chars().count() <= 41, "{excerpt}");
    assert_eq!(error.blame(), Blame::Chutes);

    let error = error_of(JSON, "{\"quota\": 50").await;
    assert!(
        matches!(error.kind(), ErrorKind::Unreadable { fault: Unreadable::EndsEarly, .. }),
        "{error:?}"
    );
    assert!(error.retryable());

    let error = error_of(JSON, "[1, 2]").await;
    assert!(
        matches!(error.kind(), ErrorKind::Unreadable { fault: Unreadable::OtherShape, .. }),
        "{error:?}"
    );
    assert_eq!(error.blame(), Blame::Ripcord);

    let error = error_of("200 OK\r\ncontent-encoding: gzip", "xxxx").await;
    assert!(
        matches!(error.kind(), ErrorKind::Unreadable { fault: Unreadable::Compressed, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_error_inside_a_200_is_no_answer() {
    let engine = r#"{"error":{"object":"error","message":"boom","code":500},"model":"m","usage":{"prompt_tokens":12}}"#;
    let server = answering(JSON, engine).await;
    let chutes = client(&server.url()).with_key(canary());
    let error = in_time(chutes.chat(chat("m", false))).await.unwrap_err();
    assert!(error.to_string().ends_with(" answered 200: boom"), "{error}");
    assert_eq!((error.cause(), error.blame()), (Some(Cause::Transient), Blame::Chutes));
    let error = error_of(JSON, r#"{"detail":"something new"}"#).await;
    assert!(error.to_string().ends_with(" answered 200: something new"), "{error}");
    let error = error_of(JSON, r#"{"status":"ok"}"#).await;
    assert!(
        matches!(error.kind(), ErrorKind::Unreadable { fault: Unreadable::OtherShape, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let error =
        error_of("307 Temporary Redirect\r\nlocation: https://elsewhere.example/?key=KEY", "")
            .await;
    let ErrorKind::Redirected { status: 307, to_host: Some(host) } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!((host.as_str(), error.blame()), ("elsewhere.example", Blame::You));
}

#[tokio::test]
async fn a_large_answer_is_not_read() {
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[").await.unwrap();
        while stream.write_all(&[b' '; 65536]).await.is_ok() {}
    })
    .await;
    let settings = ChutesSettings { answer_limit_bytes: 1 << 20, ..ChutesSettings::default() };
    let chutes = client(&server.url()).with_key(canary()).with_settings(settings);
    let error = in_time(chutes.me()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge { limit_bytes: 1_048_576 }), "{error:?}");
    assert!(error.to_string().ends_with("is larger than 1 MiB"), "{error}");
}

#[tokio::test]
async fn a_management_call_has_a_deadline_for_all_of_it() {
    // A byte now and then: no limit of the transport would ever pass.
    let server = RawServer::start(|mut stream, _| async move {
        read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let after = Duration::from_millis(100);
    let settings = ChutesSettings { management_deadline: after, ..ChutesSettings::default() };
    let chutes = client(&server.url()).with_key(canary()).with_settings(settings);
    let error = in_time(chutes.me()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Deadline { .. }), "{error:?}");
    assert!(error.retryable());
}

#[tokio::test]
async fn no_error_shows_a_key() {
    let answers: [(&'static str, &'static str); 14] = [
        ("401 Unauthorized", r#"{"detail":"Invalid token KEY"}"#),
        (
            "401 Unauthorized",
            r#"{"detail":{"message":"Bearer KEY","code":"KEY","type":"KEY","param":"KEY"}}"#,
        ),
        (
            "422 Unprocessable Entity",
            r#"{"detail":[{"loc":["header","KEY"],"msg":"KEY","input":"KEY"}]}"#,
        ),
        ("500 Internal Server Error", "Traceback: Authorization: Bearer KEY"),
        ("500 Internal Server Error", r#"{"other":{"echo":"KEY"}}"#),
        (
            "400 Bad Request",
            r#"{"detail":"Invalid request: {\"detail\":{\"error\":{\"message\":\"KEY\"}}}"}"#,
        ),
        ("403 Forbidden\r\ncontent-type: text/html", PAGE),
        ("307 Temporary Redirect\r\nlocation: https://KEY.example/KEY", ""),
        ("307 Temporary Redirect\r\nlocation: KEY", "KEY"),
        (JSON, "KEY"),
        (JSON, r#"{"quota": KEY}"#),
        (JSON, r#"{"quota": "KEY"#),
        (JSON, r#"["KEY"]"#),
        ("200 OK\r\ncontent-type: text/html", PAGE),
    ];
    let mut seen = Vec::new();
    for (head, body) in answers {
        seen.push((head, error_of(head, body).await));
    }
    let refused = client("http://127.0.0.1:1").with_key(canary());
    seen.push(("nobody listens", in_time(refused.me()).await.unwrap_err()));
    for (body, place) in [
        ("data: {\"error\":\"KEY\"}\n\n", "error event"),
        ("data: KEY\n\n", "event that is no JSON"),
        ("data: {\"id\": KEY\n\n", "event that is bad JSON"),
        ("{\"error\":\"Unhandled exception during response stream: KEY\"}", "bare line"),
    ] {
        let server = answering("200 OK\r\ncontent-type: text/event-stream", body).await;
        let chutes = client(&server.url()).with_key(canary());
        let mut stream = in_time(chutes.chat_stream(chat("m", true))).await.unwrap();
        assert!(!format!("{stream:?}").contains("anary"));
        seen.push((place, in_time(stream.next()).await.unwrap().unwrap_err()));
    }
    let server = answering("200 OK\r\ncontent-type: text/html", PAGE).await;
    let chutes = client(&server.url()).with_key(canary());
    let page = in_time(chutes.chat_stream(chat("m", true))).await.unwrap_err();
    assert!(matches!(page.kind(), ErrorKind::WebPage { status: 200, .. }), "{page:?}");
    seen.push(("page in place of a stream", page));
    let key = canary();
    for (case, error) in &seen {
        let shown = shown(error);
        for secret in
            [key.expose(), SECRET, "anaryCanary", &"c0ffee00".repeat(2), &"ba5eba11".repeat(2)]
        {
            assert!(!shown.contains(secret), "{case}: {shown}");
        }
        // Host names are compared in lower case.
        assert!(!shown.contains("canarycanary"), "{case}: {shown}");
    }
    let client = client("http://127.0.0.1:1").with_key(key);
    assert!(!format!("{client:?}").contains("anary"));
}

#[tokio::test]
async fn nothing_of_a_prompt_or_an_answer_is_in_an_error() {
    let server = answering(
        "200 OK\r\ncontent-type: text/event-stream",
        "data: {\"choices\":[{\"delta\":{\"content\":\"once upon a time there was a very long and private story\"\n\n",
    )
    .await;
    let chutes = client(&server.url()).with_key(canary());
    let mut stream =
        in_time(chutes.chat_stream(r#"{"model":"m","stream":true,"messages":["prompt canary"]}"#))
            .await
            .unwrap();
    let error = in_time(stream.next()).await.unwrap().unwrap_err();
    let shown = shown(&error);
    assert!(!shown.contains("private story") && !shown.contains("prompt canary"), "{shown}");
}

/// A server that answers the first request of each connection and closes at the next, as if it had just been about to.
async fn closing_unannounced() -> RawServer {
    RawServer::start(|mut stream, _| async move {
        if read_request(&mut stream).await.is_none() {
            return;
        }
        let body = r#"{"message":"pong"}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = read_request(&mut stream).await;
    })
    .await
}

#[tokio::test]
async fn a_read_over_a_connection_that_closes_is_made_again_and_nothing_else_is() {
    let server = closing_unannounced().await;
    let client = client(&server.url()).with_key(canary());
    for round in 1..=5 {
        in_time(client.ping()).await.unwrap();
        assert_eq!(server.connections(), round, "one more connection, and no failure");
    }
    // A generation may have begun.
    let error = in_time(client.chat(chat("acme/One", false))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transport(_)), "{error}");
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_asked_again_and_again() {
    let server = RawServer::start(|mut stream, _| async move {
        let _ = read_request(&mut stream).await;
    })
    .await;
    let error = in_time(client(&server.url()).ping()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transport(_)), "{error}");
    assert_eq!(server.connections(), 1);
}
