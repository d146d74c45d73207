//! Making, listing and deleting keys and aliases.

use ripcord_client::chutes::PageQuery;
use ripcord_client::error::Blame;
use ripcord_rules::cause::Cause;
use ripcord_wire::chutes::{NewApiKey, NewModelAlias};
use ripcord_wire::secret::Secret;

use super::canned::Canned;
use super::*;

const KEY: &str = r#"{"api_key_id":"11","user_id":"22","admin":false,"name":"gw","created_at":"2026-11-20T11:18:11","last_used_at":null,
    "scopes":[{"scope_id":"33","object_type":"chutes","object_id":null,"method":null}],"secret_key":"cpk_canary"}"#;

#[tokio::test]
async fn keys_are_listed_read_made_and_deleted() {
    let list = format!(r#"{{"total":8,"page":1,"limit":2,"items":[{KEY},17]}}"#);
    let server = Canned::json(&list).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let page = PageQuery { page: Some(1), limit: Some(2) };
    let keys = in_time(chutes.api_keys(page)).await.unwrap().value;
    assert_eq!((keys.total, keys.items.len(), keys.items.skipped), (Some(8), 1, 1));
    assert_eq!(server.last_line(), "GET /api_keys/?page=1&limit=2");
    assert!(!format!("{keys:?}").contains("canary"));

    let server = Canned::json(KEY).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let one = in_time(chutes.api_key("1/1")).await.unwrap().value;
    assert_eq!(
        (one.name.as_deref(), server.last_line().as_str()),
        (Some("gw"), "GET /api_keys/1%2F1")
    );

    let made = in_time(chutes.create_api_key(&NewApiKey::for_models("gw"))).await.unwrap().value;
    assert_eq!(made.secret_key.as_ref().map(Secret::expose), Some("cpk_canary"));
    assert!(!format!("{made:?}").contains("canary"));
    let asked = server.asked();
    let (head, body) = asked[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api_keys/ HTTP/1.1") && head.contains("application/json"));
    assert_eq!(
        body,
        r#"{"name":"gw","admin":false,"scopes":[{"object_type":"chutes","action":"invoke"}]}"#
    );

    let server = Canned::json(r#"{"api_key_id":"11","deleted":true}"#).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let gone = in_time(chutes.delete_api_key("11")).await.unwrap().value;
    assert_eq!((gone.deleted, server.last_line().as_str()), (Some(true), "DELETE /api_keys/11"));
}

#[tokio::test]
async fn a_key_that_cannot_be_made_is_the_callers() {
    let cases = [
        ("409 Conflict", r#"{"detail":"An API key already exists with this name"}"#),
        (
            "422 Unprocessable Entity",
            r#"{"detail":[{"type":"enum","loc":["body","scopes",0,"action"],"msg":"Input should be 'read'"}]}"#,
        ),
    ];
    for (status, body) in cases {
        let server = Canned::answering(status, "application/json", body).await;
        let chutes = client(&server.url()).with_key(key("pro", 0));
        let error = in_time(chutes.create_api_key(&NewApiKey::admin("gw"))).await.unwrap_err();
        assert_eq!((error.cause(), error.blame()), (Some(Cause::BadRequest), Blame::You));
        assert_eq!(error.hint(), "check what was asked for, as the message says");
        assert!(error.to_string().starts_with("POST /api_keys/ at 127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn aliases_are_put_and_deleted() {
    let answer = r#"{"alias":"work","chute_ids":["a/B"],"created_at":"2026-11-20T11:45:38Z","updated_at":"2026-11-20T11:45:38Z"}"#;
    let server = Canned::answering("201 Created", "application/json", answer).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let alias = NewModelAlias { alias: "Work".to_owned(), chute_ids: vec!["a/B".to_owned()] };
    let put = in_time(chutes.put_model_alias(&alias)).await.unwrap().value;
    assert_eq!(put.alias.as_deref(), Some("work"));
    assert!(server.asked()[0].ends_with(r#"{"alias":"Work","chute_ids":["a/B"]}"#));

    // Nothing comes back but the status.
    let server = Canned::answering("204 No Content", "text/plain", "").await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    in_time(chutes.delete_model_alias("Work")).await.unwrap();
    assert_eq!(server.last_line(), "DELETE /model_aliases/Work");

    let server =
        Canned::answering("404 Not Found", "application/json", r#"{"detail":"alias not found"}"#)
            .await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let error = in_time(chutes.delete_model_alias("work")).await.unwrap_err();
    assert_eq!((error.status(), error.blame()), (Some(404), Blame::You));
}

#[tokio::test]
async fn a_key_without_the_account_is_forbidden_not_dead() {
    let body = r#"{"detail":"Invalid token or user not found"}"#;
    let server = Canned::answering("401 Unauthorized", "application/json", body).await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    let error = in_time(chutes.api_keys(PageQuery::default())).await.unwrap_err();
    assert!(error.is_forbidden());
}
