use ripcord_client::chutes::Nonce;
use ripcord_client::error::Blame;
use ripcord_rules::cause::Cause;

use super::canned::Canned;
use super::*;

fn nonce() -> Nonce {
    Nonce::from_bytes([0xab; 32])
}

#[tokio::test]
async fn evidence_of_a_chute_and_of_an_instance() {
    let one = r#"{"quote":"cXVvdGU=","gpu_evidence":[{"arch":"x"}],"instance_id":"i1","certificate":"Y2VydA=="}"#;
    let server =
        Canned::json(&format!(r#"{{"evidence":[{one}],"failed_instance_ids":["i2"]}}"#)).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let all = in_time(chutes.evidence("Qwen/Qwen3-32B-TEE", &nonce())).await.unwrap().value;
    assert_eq!((all.evidence.len(), all.failed_instance_ids.unwrap().len()), (1, 1));
    assert_eq!(
        server.last_line(),
        format!("GET /chutes/Qwen/Qwen3-32B-TEE/evidence?nonce={}", "ab".repeat(32))
    );
    assert!(!server.asked()[0].contains("authorization"));

    let server = Canned::json(one).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let evidence = in_time(chutes.instance_evidence("i1", &nonce())).await.unwrap().value;
    assert_eq!(evidence.quote.as_deref(), Some("cXVvdGU="));
    assert!(server.asked()[0].contains("authorization: Bearer cpk_"));
}

#[tokio::test]
async fn nothing_running_is_an_answer() {
    let server = Canned::json(r#"{"evidence":[],"failed_instance_ids":[]}"#).await;
    let all = in_time(client(&server.url()).evidence("x", &nonce())).await.unwrap().value;
    assert!(all.evidence.is_empty());
}

#[tokio::test]
async fn the_limit_of_everybody_is_not_the_accounts_fault() {
    let body = r#"{"detail":"Rate limit exceeded. Try again later."}"#;
    let server = Canned::answering("429 Too Many Requests", "application/json", body).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let error = in_time(chutes.evidence("x", &nonce())).await.unwrap_err();
    assert_eq!((error.cause(), error.blame()), (Some(Cause::Transient), Blame::Chutes));
    assert!(error.retryable());
    assert!(error.hint().starts_with("everybody shares this limit"), "{}", error.hint());
}

#[tokio::test]
async fn what_has_no_evidence_says_so() {
    let cases = [
        ("400 Bad Request", "Chute x is not TEE-enabled", Cause::BadRequest, Blame::You),
        ("404 Not Found", "Chute not found", Cause::ModelNotFound, Blame::You),
        (
            "502 Bad Gateway",
            "Attestation service unavailable. Try again.",
            Cause::Transient,
            Blame::Chutes,
        ),
    ];
    for (status, detail, cause, blame) in cases {
        let body = serde_json::json!({ "detail": detail }).to_string();
        let server = Canned::answering(status, "application/json", &body).await;
        let error = in_time(client(&server.url()).evidence("x", &nonce())).await.unwrap_err();
        assert_eq!((error.cause(), error.blame()), (Some(cause), blame), "{detail}");
    }
}

#[tokio::test]
async fn what_encryption_starts_from() {
    let body = r#"{"instances":[{"instance_id":"i","e2e_pubkey":"a2V5","nonces":["n1","n2"]}],"nonce_expires_in":60,"nonce_expires_at":1795176060}"#;
    let server = Canned::json(body).await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    let exchange = in_time(chutes.key_exchange("60ab09ea")).await.unwrap().value;
    assert_eq!((exchange.instances.len(), exchange.nonce_expires_in), (1, Some(60)));
    assert_eq!(server.last_line(), "GET /e2e/instances/60ab09ea");

    for (detail, cause) in [
        ("No active instances found for this chute", Cause::Cold),
        ("No E2E-capable instances available", Cause::Cold),
        ("Chute not found", Cause::ModelNotFound),
    ] {
        let body = serde_json::json!({ "detail": detail }).to_string();
        let server = Canned::answering("404 Not Found", "application/json", &body).await;
        let chutes = client(&server.url()).with_key(key("pro", 1));
        let error = in_time(chutes.key_exchange("x")).await.unwrap_err();
        assert_eq!(error.cause(), Some(cause), "{detail}");
    }
}
