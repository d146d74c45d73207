//! The identity provider, and that none of its secrets shows.

use ripcord_client::error::{Blame, Error, ErrorKind};
use ripcord_client::key::KeyForm;
use ripcord_client::oauth::{App, OAuthFault, Verifier};
use ripcord_rules::cause::Cause;
use ripcord_wire::secret::Secret;

use super::canned::Canned;
use super::*;

const TOKENS: &str = r#"{"access_token":"cak_canaryCanaryCanary","token_type":"Bearer","expires_in":3600,
    "refresh_token":"crt_canaryCanaryCanary","scope":"profile chutes:invoke"}"#;

fn app(secret: bool) -> App {
    App {
        client_id: "cid_example".to_owned(),
        client_secret: secret.then(|| Secret::new("csc_canarySecret")),
        redirect_uri: "http://127.0.0.1:9/back?x=1".to_owned(),
    }
}

fn verifier() -> Verifier {
    Verifier::from_random([7; 32])
}

#[tokio::test]
async fn the_address_to_open_has_everything() {
    let chutes = client("http://127.0.0.1:9/prefix");
    let verifier = verifier();
    let url = chutes.authorization_url(&app(true), &["profile", "chutes:invoke"], "s 1", &verifier);
    let challenge = verifier.challenge();
    assert_eq!(
        url,
        format!(
            "http://127.0.0.1:9/prefix/idp/authorize?response_type=code&client_id=cid_example&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fback%3Fx%3D1&scope=profile%20chutes%3Ainvoke&state=s%201&code_challenge={challenge}&code_challenge_method=S256"
        )
    );
    assert!(!url.contains("csc_") && !url.contains(verifier.secret().expose()));
}

#[tokio::test]
async fn a_code_becomes_tokens_and_tokens_become_a_key() {
    let server = Canned::json(TOKENS).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let code = Secret::new("c0de");
    let tokens = in_time(chutes.exchange_code(&app(true), &code, &verifier())).await.unwrap().value;
    assert_eq!(tokens.expires_in, Some(3600));
    assert!(!format!("{tokens:?}").contains("canary"));
    let access = tokens.access_token.unwrap();
    assert_eq!(Key::parse(access.expose()).unwrap().0.form(), KeyForm::OAuth);
    let asked = server.asked();
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /idp/token HTTP/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"));
    // The key of the client is no business of the identity provider.
    assert!(!head.contains("authorization"));
    assert_eq!(
        body,
        format!(
            "grant_type=authorization_code&code=c0de&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fback%3Fx%3D1&client_id=cid_example&client_secret=csc_canarySecret&code_verifier={}",
            verifier().secret().expose()
        )
    );
    in_time(chutes.refresh_tokens(&app(false), &Secret::new("crt_old"))).await.unwrap();
    assert!(
        server.asked()[1]
            .ends_with("grant_type=refresh_token&refresh_token=crt_old&client_id=cid_example")
    );
}

#[tokio::test]
async fn tokens_are_looked_at_and_ended() {
    let server = Canned::json(r#"{"active":true,"exp":1795176000,"scope":"quota"}"#).await;
    let chutes = client(&server.url());
    let token = Secret::new("crt_x");
    let found = in_time(chutes.introspect_token(&token)).await.unwrap().value;
    assert_eq!((found.active, found.exp), (Some(true), Some(1_795_176_000)));
    assert!(server.asked()[0].ends_with("\r\n\r\ntoken=crt_x"));

    let server = Canned::json(r#"{"revoked":true}"#).await;
    let revoked = in_time(client(&server.url()).revoke_token(&token)).await.unwrap().value;
    assert_eq!(
        (revoked.revoked, server.last_line().as_str()),
        (Some(true), "POST /idp/token/revoke")
    );

    let server =
        Canned::json(r#"{"issuer":"https://x.example","token_endpoint":"https://x.example/t"}"#)
            .await;
    let discovery = in_time(client(&server.url()).oauth_discovery()).await.unwrap().value;
    assert_eq!(discovery.issuer.as_deref(), Some("https://x.example"));
    assert_eq!(server.last_line(), "GET /.well-known/openid-configuration");
}

#[tokio::test]
async fn refusals_are_told_in_its_own_words() {
    for (status, body, fault) in [
        ("400 Bad Request", r#"{"error":"invalid_grant"}"#, OAuthFault::InvalidGrant),
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#, OAuthFault::InvalidClient),
        (
            "400 Bad Request",
            r#"{"error":"invalid_request","error_description":"Missing required parameters"}"#,
            OAuthFault::InvalidRequest,
        ),
    ] {
        let server = Canned::answering(status, "application/json", body).await;
        let chutes = client(&server.url());
        let error =
            in_time(chutes.refresh_tokens(&app(true), &Secret::new("crt_x"))).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OAuthRefused { fault: found, .. } if *found == fault),
            "{error:?}"
        );
        assert_eq!((error.blame(), error.cause(), error.retryable()), (Blame::You, None, false));
        assert!(error.to_string().ends_with(fault.code()), "{error}");
    }
    // Something else than a refusal stays what it is.
    let server =
        Canned::answering("500 Internal Server Error", "text/plain", "Internal Server Error").await;
    let error =
        in_time(client(&server.url()).revoke_token(&Secret::new("crt_x"))).await.unwrap_err();
    assert_eq!((error.cause(), error.blame()), (Some(Cause::Transient), Blame::Chutes));
}

#[tokio::test]
async fn no_error_shows_a_token_or_a_secret() {
    let secrets = ["crt_canaryRefresh", "csc_canarySecret", "canaryCode"];
    let answers = [
        ("400 Bad Request", r#"{"detail":"bad ECHO"}"#),
        ("400 Bad Request", r#"{"error":"ECHO","error_description":"ECHO"}"#),
        (
            "422 Unprocessable Entity",
            r#"{"detail":[{"loc":["body"],"msg":"ECHO","input":"ECHO"}]}"#,
        ),
        ("500 Internal Server Error", "Traceback ECHO"),
        ("200 OK", "<!doctype html><html><title>ECHO</title></html>"),
        ("200 OK", r#"{"token": ECHO}"#),
        ("200 OK", r#"{"detail":"ECHO"}"#),
    ];
    for (status, body) in answers {
        let body = body.replace("ECHO", &secrets.join(" "));
        let server = Canned::answering(status, "application/json", &body).await;
        let chutes = client(&server.url());
        let errors: [Error; 2] = [
            in_time(chutes.refresh_tokens(&app(true), &Secret::new("crt_canaryRefresh")))
                .await
                .unwrap_err(),
            in_time(chutes.exchange_code(&app(true), &Secret::new("canaryCode"), &verifier()))
                .await
                .unwrap_err(),
        ];
        for (error, hidden) in errors.iter().zip([&secrets[..2], &secrets[1..]]) {
            let shown = format!("{error} {error:?} {}", error.hint());
            for secret in hidden {
                assert!(!shown.contains(secret), "{status} {body}: {shown}");
            }
        }
    }
    assert!(!format!("{:?} {:?}", app(true), verifier()).contains("canary"));
}

#[tokio::test]
async fn a_token_is_dead_or_only_without_the_scope() {
    for (status, detail, cause) in [
        ("401 Unauthorized", "Invalid or expired token", Cause::DeadKey),
        (
            "403 Forbidden",
            "Token does not have required scope (openid, profile, or account:read)",
            Cause::NotEntitled,
        ),
    ] {
        let body = serde_json::json!({ "detail": detail }).to_string();
        let server = Canned::answering(status, "application/json", &body).await;
        let chutes = client(&server.url()).with_key(key("pro", 0));
        let error = in_time(chutes.userinfo()).await.unwrap_err();
        assert_eq!(error.cause(), Some(cause), "{detail}");
    }
    let body = r#"{"detail":"Token does not have permission for this resource"}"#;
    let server = Canned::answering("403 Forbidden", "application/json", body).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let error = in_time(chutes.quota_usage()).await.unwrap_err();
    assert!(error.is_forbidden(), "{error:?}");
}
