use proptest::prelude::*;

use super::*;

fn read(status: u16, body: &str) -> ErrorBody {
    ErrorBody::read(status, Some("application/json"), body.as_bytes())
}

/// Shape and message of a body.
fn told(body: &str) -> (ErrorShape, String) {
    let read = read(500, body);
    (read.shape, read.message)
}

#[test]
fn every_shape() {
    use ErrorShape as S;
    for (body, shape, message) in [
        (r#"{"detail":"Too  busy"}"#, S::DetailText, "Too busy"),
        (r#"{"detail":{"message":"Out of quota"}}"#, S::DetailObject, "Out of quota"),
        (
            r#"{"detail":[{"type":"missing","loc":["body","name"],"msg":"Field required"}]}"#,
            S::DetailList,
            "body.name: Field required",
        ),
        (
            r#"{"detail":[{"loc":["query",0],"msg":"a"},{"msg":"b"},"c"]}"#,
            S::DetailList,
            "query.0: a; b; c",
        ),
        (
            r#"{"error":{"message":"No such model","type":"t","param":"model","code":"c"}}"#,
            S::OpenAi,
            "No such model",
        ),
        (r#"{"object":"error","message":"flat","code":400}"#, S::OpenAi, "flat"),
        (
            r#"[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}]"#,
            S::OpenAi,
            "Quota",
        ),
        (r#"{"error":"broke: reason"}"#, S::ErrorText, "broke: reason"),
        (r#"{"error":"Bad Request","message":"temperature"}"#, S::ErrorText, "temperature"),
        (r#"{"weird":1}"#, S::OtherJson, r#"{"weird":1}"#),
        (r#"{"detail":{"weird":1}}"#, S::DetailObject, r#"{"detail":{"weird":1}}"#),
        ("17", S::OtherJson, "17"),
        (r#""just text""#, S::Text, "just text"),
        ("Internal Server Error", S::Text, "Internal Server Error"),
        ("\u{feff}{\"detail\":\"x\"}\n", S::DetailText, "x"),
        (r#"{"detail":""}"#, S::DetailText, "status 500 without a message"),
        (" \n", S::Empty, "status 500 with an empty body"),
        ("", S::Empty, "status 500 with an empty body"),
        (
            "data: {\"error\":{\"message\":\"first event\"}}\n\ndata: [DONE]\n\n",
            S::OpenAi,
            "first event",
        ),
        ("<html><title>502 Bad Gateway</title>", S::Html, "502 Bad Gateway"),
        (r#"{"detail":"cut"#, S::Text, r#"{"detail":"cut"#),
    ] {
        assert_eq!(told(body), (shape, message.to_owned()), "{body}");
    }
}

#[test]
fn quota_answers_carry_their_reset() {
    let read = read(
        402,
        r#"{"detail":{"message":"Quota exceeded","quota_reset_timestamp":"2026-09-28T00:00:00+00:00"}}"#,
    );
    assert_eq!(read.reset_at, Some(1_790_553_600_000_000));
    assert_eq!(read.shape, ErrorShape::DetailObject);
}

#[test]
fn engine_errors_are_unwrapped_from_their_text() {
    let inner = r#"{"detail":{"error":{"message":"is longer than 4096","type":"BadRequestError","param":"messages","code":400}}}"#;
    let body =
        serde_json::json!({ "detail": format!("Invalid request: Invalid request: {inner}") });
    let found = read(400, &body.to_string());
    assert_eq!(found.shape, ErrorShape::NestedText);
    assert_eq!(found.message, "is longer than 4096");
    assert_eq!(found.kind.as_deref(), Some("BadRequestError"));
    assert_eq!(found.param.as_deref(), Some("messages"));
    assert_eq!((found.inner_status, found.code), (Some(400), None));

    let flat = serde_json::json!({ "detail": "Invalid request: {\"object\":\"error\",\"message\":\"odd\",\"code\":\"422\"}" });
    let found = read(400, &flat.to_string());
    assert_eq!(
        (found.shape, found.message.as_str(), found.inner_status),
        (ErrorShape::NestedText, "odd", Some(422))
    );

    // A text with braces that are not JSON, or not an error, stays as it is.
    for text in ["creator {chute.user_id=} has zero", "set {a} or {b}", "see {\"x\":1}"] {
        let body = serde_json::json!({ "detail": text });
        assert_eq!(told(&body.to_string()), (ErrorShape::DetailText, text.to_owned()));
    }
}

#[test]
fn trace_mode_names_its_code() {
    let found = read(200, r#"{"error":"infra_overload","detail":"at capacity"}"#);
    assert_eq!(
        (found.message.as_str(), found.code.as_deref()),
        ("at capacity", Some("infra_overload"))
    );
}

#[test]
fn pages_are_told_by_their_title_or_type() {
    let page = b"<!doctype html><meta charset=\"utf-8\"><title>403</title>403 Forbidden";
    let found = ErrorBody::read(403, None, page);
    assert_eq!((found.shape, found.message.as_str()), (ErrorShape::Html, "403 Forbidden"));
    let fragment = ErrorBody::read(429, Some("text/html"), b"<b>Slow down</b>");
    assert_eq!((fragment.shape, fragment.message.as_str()), (ErrorShape::Html, "Slow down"));
    let bare = ErrorBody::read(502, Some("text/html"), b"<html></html>");
    assert_eq!(bare.message, "status 502 without a message");
}

#[test]
fn messages_are_clean_bounded_and_without_keys() {
    let long = "x".repeat(100_000);
    let body = serde_json::json!({ "detail": format!("\u{1b}[31mbad\u{1b}[0m\n cpk_0123456789abcdef {long}") });
    let found = read(400, &body.to_string());
    assert!(found.message.starts_with("bad cpk_… xxx"), "{}", &found.message[..40]);
    assert!(found.message.chars().count() <= MAX_MESSAGE_CHARS);
    assert!(read(500, &"[".repeat(1_000_000)).message.chars().count() <= MAX_MESSAGE_CHARS);
}

/// How long a body asks to wait, in milliseconds.
fn asks(body: &str) -> Option<u128> {
    read(429, body).retry_after.map(|hint| hint.wait(1_795_176_000_000_000).as_millis())
}

#[test]
fn a_wait_is_read_from_the_body() {
    let said = |text: &str| serde_json::json!({ "error": { "message": text } }).to_string();
    for (text, millis) in [
        ("Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s. Need more?", 4_770),
        ("Please try again in 9m38.016s. Need more tokens?", 578_016),
        ("Please try again in 60ms.", 60),
        (
            "Rate limit of 8 per 86400s exceeded. Please wait 32567 seconds before retrying.",
            32_567_000,
        ),
        ("exceeded call rate limit. Please retry after 13 seconds. Contact us", 13_000),
        ("* Quota exceeded\nPlease retry in 17.30897372s.", 17_308),
        ("No deployments available for selected model, Try again in 5 seconds.", 5_000),
        ("try again in 2 minutes", 120_000),
    ] {
        assert_eq!(asks(&said(text)), Some(millis), "{text}");
    }
    for text in [
        "try again in a moment",
        "try again in 0s",
        "try again in 5 rounds",
        "try again in ",
        "retry in 1e9",
    ] {
        assert_eq!(asks(&said(text)), None, "{text}");
    }
    let fields = [
        (r#"{"error":"Model x is currently loading","estimated_time":20.5}"#, 20_500),
        (r#"{"error":{"message":"m","retry_after":3}}"#, 3_000),
        (r#"{"error":{"message":"m","retry_after_ms":250}}"#, 250),
        (
            r#"[{"error":{"code":429,"message":"m","details":[{"@type":"q"},{"@type":"r","retryDelay":"34s"}]}}]"#,
            34_000,
        ),
        (
            r#"{"error":{"message":"free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795176060000"}}}}"#,
            60_000,
        ),
    ];
    for (body, millis) in fields {
        assert_eq!(asks(body), Some(millis), "{body}");
    }
    assert_eq!(asks(r#"{"error":{"message":"m","retry_after":"soon","details":[7]}}"#), None);
}

#[test]
fn what_a_service_behind_the_service_said_is_told() {
    let found = read(
        429,
        r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"acme/writer is temporarily rate-limited upstream","provider_name":"P","error_type":"rate_limit_exceeded"}},"user_id":"u"}"#,
    );
    assert_eq!(
        found.message,
        "Provider returned error: acme/writer is temporarily rate-limited upstream"
    );
    assert_eq!(
        (found.kind.as_deref(), found.inner_status),
        (Some("rate_limit_exceeded"), Some(429))
    );
    let nested = read(
        400,
        r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}"}}}"#,
    );
    assert_eq!(nested.message, "Provider returned error: too long");
    assert_eq!(nested.code.as_deref(), Some("context_length_exceeded"));
}

#[test]
fn an_answer_that_gave_up_is_told_without_its_text() {
    let aborted = r#"{"id":"a","choices":[{"index":0,"delta":{"content":"secret"},"finish_reason":"abort"}]}"#;
    assert_eq!(
        told(aborted),
        (ErrorShape::OpenAi, "the service ended the answer with `abort`".to_owned())
    );
    let own =
        r#"{"choices":[{"error":{"message":"upstream died","code":502},"finish_reason":"error"}]}"#;
    let found = read(200, own);
    assert_eq!((found.message.as_str(), found.inner_status), ("upstream died", Some(502)));
}

#[test]
fn other_names_for_a_kind() {
    let kind = |body: &str| read(400, body).kind;
    assert_eq!(
        kind(r#"{"error":"full","error_type":"overloaded"}"#).as_deref(),
        Some("overloaded")
    );
    assert_eq!(
        kind(r#"{"code":403,"reason":"NOT_ENOUGH_BALANCE","message":"not enough balance"}"#)
            .as_deref(),
        Some("NOT_ENOUGH_BALANCE")
    );
    let azure = r#"{"error":{"message":"m","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
    assert_eq!(kind(azure).as_deref(), Some("ResponsibleAIPolicyViolation"));
    let cloudflare =
        r#"{"errors":[{"message":"No such model","code":7009}],"success":false,"result":{}}"#;
    let found = read(400, cloudflare);
    assert_eq!((found.message.as_str(), found.code.as_deref()), ("No such model", Some("7009")));
}

#[test]
fn nesting_has_an_end() {
    let mut body = r#"{"message":"core"}"#.to_owned();
    for _ in 0..12 {
        body = serde_json::json!({ "detail": body }).to_string();
    }
    assert!(!read(400, &body).message.is_empty());
}

/// JSON that looks like an error.
fn errors() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("x {\"message\":\"m\"}")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            Just("detail"),
            Just("error"),
            Just("message"),
            Just("code"),
            Just("type"),
            Just("loc"),
            Just("msg"),
            Just("metadata"),
            Just("raw"),
            Just("headers"),
            Just("details"),
            Just("errors"),
            Just("retry_after"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..4).prop_map(|members| {
                Value::Object(
                    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

fn check(found: &ErrorBody) -> Result<(), TestCaseError> {
    prop_assert!(!found.message.is_empty());
    prop_assert!(found.message.chars().count() <= MAX_MESSAGE_CHARS);
    prop_assert!(!found.message.chars().any(char::is_control));
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_give_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..200), html in any::<bool>()) {
        check(&ErrorBody::read(500, html.then_some("text/html"), &bytes))?;
    }

    #[test]
    fn any_page_gives_a_message(page in "(<(title|h1|script|/title|/h1|p)?>?|[a-z&; é]){0,20}") {
        check(&ErrorBody::read(502, Some("text/html"), page.as_bytes()))?;
    }

    #[test]
    fn any_json_gives_a_message(value in errors()) {
        check(&ErrorBody::read(400, None, value.to_string().as_bytes()))?;
    }
}
