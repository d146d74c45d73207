use std::time::Duration;

use http::HeaderValue;
use ripcord_rules::cause::{Cause, classify};
use ripcord_rules::quota::WindowKind;

use super::*;

const NOW: Wall = Wall::from_unix_seconds(1_790_510_400);

fn failure_of(endpoint: Endpoint, status: u16, body: &str) -> Failure {
    answer(
        FailedAnswer { endpoint, status, headers: &HeaderMap::new(), body: body.as_bytes() },
        NOW,
    )
}

fn cause(status: u16, body: &str) -> Cause {
    classify(&failure_of(Endpoint::Inference, status, body))
}

fn detail(text: &str) -> String {
    serde_json::json!({ "detail": text }).to_string()
}

#[test]
fn each_row_of_the_authentication_table() {
    // api.md 1.3.
    for text in [
        "Can't find a user with that api key in our db :(",
        "Authentication required.",
        "Missing or invalid authorization header(s)",
        "Invalid token or user not found",
        "Invalid token.",
        "Token expired.",
        "Invalid BT Auth.",
        "Invalid nonce!",
    ] {
        assert_eq!(cause(401, &detail(text)), Cause::DeadKey, "{text}");
        let on_account = failure_of(Endpoint::Account, 401, &detail(text));
        assert_eq!(classify(&on_account), Cause::AccountUnreadable, "{text}");
    }
    let scope = detail("Token does not have permission for this resource");
    assert_eq!(cause(403, &scope), Cause::NotEntitled);
    assert_eq!(classify(&failure_of(Endpoint::Account, 403, &scope)), Cause::AccountUnreadable);
    assert_eq!(cause(404, &detail("Not Found")), Cause::BadRequest);
}

#[test]
fn each_row_of_the_inference_table() {
    // api.md 5.2, in its order.
    let exact: [(u16, &str, Cause); 38] = [
        (400, "Invalid request JSON: Expecting value: line 1 column 1 (char 0)", Cause::BadRequest),
        (400, "invalid request JSON payload: x", Cause::BadRequest),
        (400, "File content not currently supported", Cause::BadRequest),
        (400, "Regex-based structured output is temporarily disabled.", Cause::BadRequest),
        (
            400,
            "Regex-based structured output (JSON schema 'pattern' fields) is temporarily disabled.",
            Cause::BadRequest,
        ),
        (400, "Invalid tool_calls.function.arguments value, expected JSON", Cause::BadRequest),
        (400, "bad request, naughty naughty", Cause::ContentFilter),
        (400, "Exceeded maximum image URLs per request: 9", Cause::BadRequest),
        (
            402,
            "Quota exceeded and account balance is $0.0, please pay with fiat or send tao to 5x",
            Cause::WindowUsedUp(Some(WindowKind::Day)),
        ),
        (
            402,
            "Subscription usage cap exceeded. Please add balance to continue.",
            Cause::WindowUsedUp(None),
        ),
        (402, "TEE models require an active subscription or positive balance.", Cause::NotEntitled),
        (
            402,
            "This model requires a higher subscription tier or positive balance.",
            Cause::NotEntitled,
        ),
        (
            402,
            "Chute unavailable because the creator of this chute {chute.user_id=} has zero balance.",
            Cause::Disabled,
        ),
        (
            402,
            "Account balance is $0.0, please top-up with fiat or send tao to 5x",
            Cause::WindowUsedUp(None),
        ),
        (403, "Token does not have permission for this resource", Cause::NotEntitled),
        (404, "model not found: no/such", Cause::ModelNotFound),
        (404, "No matching chute found!", Cause::ModelNotFound),
        (409, "idempotency conflict", Cause::BadRequest),
        (413, "Request body is too large.", Cause::BadRequest),
        (
            426,
            "This chute does not have TEE enabled. Please remove the X-TEE-Only header, or use a TEE-enabled chute.",
            Cause::BadRequest,
        ),
        (429, "Infrastructure is at maximum capacity, try again later", Cause::Capacity),
        (429, "Instance is at maximum capacity, try again later", Cause::Capacity),
        (
            429,
            "Free models limit reached for today - maintain >= $10 balance or upgrade subscription to pro to unlock more.",
            Cause::FreeModelLimit,
        ),
        (
            429,
            "Invalid free model, please select from the updated list of current chutes free models",
            Cause::NotEntitled,
        ),
        (429, "Stop spamming this prompt, please...", Cause::EdgeRateLimit),
        (429, "model is under maintenance", Cause::Disabled),
        (429, "some governance text", Cause::EdgeRateLimit),
        (500, "exhausted all available targets to no avail", Cause::Transient),
        (500, "No infrastructure available to serve request", Cause::Transient),
        (500, "No result returned from upstream", Cause::Transient),
        (500, "Unhandled error generating response: boom", Cause::Transient),
        (500, "CUDA error: device-side assert triggered", Cause::Transient),
        (
            503,
            "No instances available (yet) for chute_id='10a8f1f3-068d-5770-9504-ce41cbc28f96'",
            Cause::Cold,
        ),
        (503, "This chute is currently disabled.", Cause::Disabled),
        (503, "External execution is currently unavailable.", Cause::Transient),
        (503, "External execution configuration changed; retry the request.", Cause::Transient),
        (503, "Database connectivity problems: timeout", Cause::Transient),
        (502, "Attestation service unavailable. x", Cause::Transient),
    ];
    for (status, text, expected) in exact {
        assert_eq!(cause(status, &detail(text)), expected, "{status} {text}");
    }
    assert_eq!(
        cause(
            422,
            r#"{"detail":[{"type":"missing","loc":["query","nonce"],"msg":"Field required"}]}"#
        ),
        Cause::BadRequest
    );
    assert_eq!(cause(500, "Internal Server Error"), Cause::Transient);
    assert_eq!(
        cause(429, "<html><head><title>429 Too Many Requests</title></head></html>"),
        Cause::EdgeRateLimit
    );
    assert_eq!(cause(429, "slow down"), Cause::EdgeRateLimit);
    assert_eq!(
        cause(403, "<!doctype html><meta charset=\"utf-8\"><title>403</title>403 Forbidden"),
        Cause::EdgeBlock
    );
    assert_eq!(cause(502, "<html><title>502 Bad Gateway</title></html>"), Cause::Transient);
}

#[test]
fn a_402_brings_its_reset_time() {
    let body = r#"{"detail":{"message":"Quota exceeded and account balance is $-0.059, please pay with fiat or send tao to 5x","quota_reset_timestamp":"2026-09-28T00:00:00+00:00"}}"#;
    let failure = failure_of(Endpoint::Inference, 402, body);
    assert_eq!(failure.reset_at, Some(Wall::from_unix_seconds(1_790_553_600)));
    assert_eq!(classify(&failure), Cause::WindowUsedUp(Some(WindowKind::Day)));
}

#[test]
fn engines_say_in_many_ways_that_a_prompt_is_too_long() {
    let nested = |message: &str| {
        let engine = serde_json::json!({"detail": {"error": {"message": message, "type": "BadRequestError", "param": null, "code": 400}}});
        detail(&format!("Invalid request: Invalid request: {engine}"))
    };
    for message in [
        "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens (39000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
        "The input (39000 tokens) is longer than the model's context length (32768 tokens).",
        "Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 140000 tokens: 139000 tokens from the input messages and 1000 tokens for the completion.",
        "The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens.",
        "'max_tokens' or 'max_completion_tokens' is too large: 40000. This model's maximum context length is 32768 tokens and your request has 5 input tokens.",
        "Input length (39000) exceeds model's maximum context length (32768).",
        "prompt is too long: 210000 tokens > 200000 maximum",
    ] {
        assert_eq!(cause(400, &nested(message)), Cause::ContextTooLong, "{message}");
    }
    let flat = r#"{"detail":"Invalid request: Invalid request: {\"object\": \"error\", \"message\": \"The input (39000 tokens) is longer than the model's context length (32768 tokens).\"}"}"#;
    assert_eq!(cause(400, flat), Cause::ContextTooLong);
    assert_eq!(cause(400, &nested("Already borrowed")), Cause::Transient);
    for message in [
        "max_tokens must be at least 1, got 0.",
        "temperature must be non-negative, got -1.0",
        "Tool name too long: 70 characters",
        "Could not finish the message because max_tokens is 5",
    ] {
        assert_eq!(cause(400, &nested(message)), Cause::BadRequest, "{message}");
    }
}

#[test]
fn what_a_caller_wrote_is_not_taken_for_what_the_server_says() {
    let echo = "model not found: Infrastructure is at maximum capacity, try again later";
    assert_eq!(cause(404, &detail(echo)), Cause::ModelNotFound);
    let name = "model not found: the prompt of 9 tokens exceeds the context length";
    assert_eq!(cause(404, &detail(name)), Cause::ModelNotFound);
    // Not the application's own text, but something that has it inside.
    let page = "<html>Infrastructure is at maximum capacity, try again later</html>";
    assert_eq!(cause(429, page), Cause::EdgeRateLimit);
}

#[test]
fn headers_of_the_edge_and_of_other_services_count() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("17"));
    headers.insert("x-ratelimit-limit-requests", HeaderValue::from_static("60"));
    headers.insert("x-ratelimit-remaining-requests", HeaderValue::from_static("0"));
    let read = |headers: &HeaderMap| {
        answer(FailedAnswer { endpoint: Endpoint::Inference, status: 429, headers, body: b"" }, NOW)
    };
    assert_eq!(read(&headers).retry_after, Some(Duration::from_secs(17)));
    assert!(read(&headers).limit_spent);
    headers.insert("retry-after", HeaderValue::from_static("Sun, 27 Sep 2026 12:00:30 GMT"));
    assert_eq!(read(&headers).retry_after, Some(Duration::from_secs(30)));
}

#[test]
fn errors_inside_a_stream() {
    let first = |data: &str| {
        classify(&stream_error(Endpoint::Inference, data.as_bytes(), Phase::FirstEvent, NOW))
    };
    let unhandled =
        |text: &str| format!(r#"{{"error":"Unhandled exception during response stream: {text}"}}"#);
    assert_eq!(first(&unhandled("infra_overload")), Cause::Capacity);
    assert_eq!(first(&unhandled("exhausted all available targets to no avail")), Cause::Transient);
    assert_eq!(first(&unhandled("bad_request")), Cause::Transient);
    assert_eq!(first(r#"{"error":"infra_overload","detail":"no room"}"#), Cause::Capacity);
    assert_eq!(first(r#"{"error":{"message":"boom","code":500}}"#), Cause::Transient);
    assert_eq!(first(r#"{"error":{"message":"bad schema","code":400}}"#), Cause::BadRequest);
    assert_eq!(
        first(r#"{"error":{"message":"unauthorised engine","code":401}}"#),
        Cause::Transient
    );
    let long = r#"{"error":{"message":"The input (39000 tokens) is longer than the model's context length (32768 tokens).","code":400}}"#;
    assert_eq!(first(long), Cause::ContextTooLong);
    let late = stream_error(
        Endpoint::Inference,
        unhandled("infra_overload").as_bytes(),
        Phase::Stream,
        NOW,
    );
    assert_eq!(classify(&late), Cause::BrokenStream);
    assert_eq!(classify(&stream_cut_short(Phase::Stream)), Cause::BrokenStream);
    assert_eq!(classify(&stream_cut_short(Phase::FirstEvent)), Cause::Transient);
}

#[test]
fn failures_below_http() {
    use TransportErrorKind as Kind;
    use TransportPhase as At;
    let peer = std::sync::Arc::from("llm.chutes.ai:443");
    let cause = |phase, kind| {
        let error = TransportError::new(phase, kind, &peer);
        classify(&transport(Endpoint::Inference, &error, Phase::Stream))
    };
    assert_eq!(cause(At::Resolve, Kind::NameNotFound), Cause::Unreachable);
    assert_eq!(cause(At::Tls, Kind::Certificate), Cause::Unreachable);
    assert_eq!(cause(At::Connect, Kind::Refused), Cause::Transient);
    assert_eq!(cause(At::Connect, Kind::Timeout), Cause::Transient);
    assert_eq!(cause(At::Send, Kind::Reset), Cause::Transient);
    assert_eq!(cause(At::FirstByte, Kind::Closed), Cause::Transient);
    assert_eq!(cause(At::FirstByte, Kind::Timeout), Cause::Silent);
    assert_eq!(cause(At::Body, Kind::Timeout), Cause::BrokenStream);
    let first = TransportError::new(At::Body, Kind::Timeout, &peer);
    assert_eq!(classify(&transport(Endpoint::Inference, &first, Phase::FirstEvent)), Cause::Silent);
}
