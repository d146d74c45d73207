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
