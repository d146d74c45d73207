//! What each credential opens, and how credentials come and go.

use chutes_emulator::{
    AccountSpec, Emulator, KeyKind, Lag, ModelSpec, PlanSpec, Running, Scenario, TokenSpec,
    TokenState,
};
use serde_json::{Value, json};

use crate::raw::{CHAT, RawAnswer, call, chat, get, post};

const MODEL: &str = "acme/One";
const KEYS: [KeyKind; 7] = [
    KeyKind::Admin,
    KeyKind::Invoke,
    KeyKind::NoScope,
    KeyKind::OneChute,
    KeyKind::ChutesRead,
    KeyKind::ChutesAll,
    KeyKind::InvocationsRead,
];

fn scenario() -> Scenario {
    let mut account = AccountSpec::new("pro", PlanSpec::Pro)
        .keys(&KEYS)
        .token(&["profile"])
        .token(&["quota"])
        .token(&["account:read"])
        .token(&["balance"])
        .token(&["usage"])
        .token(&["chutes:invoke"])
        .token(&[&format!("chutes:{}:invoke", Scenario::chute_id(MODEL))])
        .token(&["chutes:read"])
        .token(&["admin"]);
    for state in [TokenState::Expired, TokenState::Revoked] {
        account.tokens.push(TokenSpec { state, ..TokenSpec::new(&["admin"]) });
    }
    Scenario::empty()
        .stopped_at("2026-11-20T11:00:00")
        .account(account)
        .model(ModelSpec::new(MODEL))
        .model(ModelSpec::new("acme/Other"))
}

async fn statuses(port: u16, key: &str) -> [u16; 6] {
    let body = chat("acme/Other", "hi", false);
    [
        get(port, "/users/me", Some(key)).await.status,
        get(port, "/users/me/usage", Some(key)).await.status,
        get(port, "/v1/models", Some(key)).await.status,
        get(port, "/chutes/", Some(key)).await.status,
        get(port, "/api_keys/", Some(key)).await.status,
        post(port, CHAT, key, &body).await.status,
    ]
}

#[tokio::test]
async fn every_kind_of_key_opens_what_was_recorded() {
    let emulator = Emulator::start(scenario()).await.unwrap();
    // Account, usage, models, chutes, keys, a call of the other model.
    let expected = [
        [200, 200, 200, 200, 200, 200],
        [401, 401, 200, 401, 401, 200],
        [401, 401, 401, 401, 401, 401],
        [401, 401, 200, 401, 401, 200],
        [401, 401, 401, 401, 401, 401],
        [401, 401, 200, 401, 401, 200],
        [401, 401, 401, 401, 401, 401],
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        let found = statuses(emulator.port(), &Scenario::key("pro", index)).await;
        assert_eq!(found, expected, "{:?}", KEYS[index]);
    }
}

#[tokio::test]
async fn every_scope_of_a_token_opens_what_was_recorded() {
    let emulator = Emulator::start(scenario()).await.unwrap();
    let expected = [
        ("profile", [200, 200, 403, 403, 403, 403]),
        ("quota", [200, 200, 403, 403, 403, 403]),
        ("account:read", [200, 200, 403, 403, 403, 403]),
        ("balance", [403, 403, 403, 403, 403, 403]),
        ("usage", [403, 403, 403, 403, 403, 403]),
        ("chutes:invoke", [403, 403, 200, 403, 403, 200]),
        ("chutes:{id}:invoke", [403, 403, 403, 403, 403, 403]),
        ("chutes:read", [403, 403, 403, 403, 403, 403]),
        ("admin", [200, 200, 200, 200, 200, 200]),
        // As good as nobody: public lists open, the rest asks for a key.
        ("expired", [401, 401, 200, 200, 401, 401]),
        ("revoked", [401, 401, 200, 200, 401, 401]),
    ];
    for (index, (scope, expected)) in expected.into_iter().enumerate() {
        let token = Scenario::oauth_token("pro", index);
        assert_eq!(statuses(emulator.port(), &token).await, expected, "{scope}");
    }
    let refused = get(emulator.port(), "/users/me", Some(&Scenario::oauth_token("pro", 3))).await;
    assert_eq!(refused.detail(), "Token does not have permission for this resource");
}

#[tokio::test]
async fn sessions_end_and_hotkeys_are_refused_by_reason() {
    let emulator = Emulator::start(scenario()).await.unwrap();
    let port = emulator.port();
    let me = async |token: String| get(port, "/users/me", Some(&token)).await;
    assert_eq!(me(Scenario::session_token("pro", 2_000_000_000)).await.status, 200);
    assert_eq!(me(Scenario::session_token("pro", 1_000)).await.detail(), "Token expired.");
    assert_eq!(me(Scenario::session_token("no", 2_000_000_000)).await.detail(), "Invalid token.");
    let body = json!({"fingerprint": Scenario::fingerprint("pro")});
    let signed_in = post(port, "/users/login", "", &body).await.json();
    assert_eq!(me(signed_in["token"].as_str().unwrap().to_owned()).await.status, 200);

    let hotkey = async |nonce: &str| -> RawAnswer {
        let headers =
            [("x-chutes-hotkey", "5F"), ("x-chutes-signature", "00"), ("x-chutes-nonce", nonce)];
        call(port, "GET", "/users/me", &headers, b"").await.unwrap()
    };
    assert_eq!(hotkey("1").await.detail(), "Invalid nonce!");
    let now = emulator.control().clock().now_micros() / 1_000_000;
    let text = format!("Invalid request signature for hotkey 5F. Message: 5F:{now}:me");
    assert_eq!(hotkey(&now.to_string()).await.detail(), text);
}

async fn form(port: u16, path: &str, fields: &str) -> RawAnswer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    call(port, "POST", path, &headers, fields.as_bytes()).await.unwrap()
}

async fn is_active(emulator: &Running, token: &str) -> bool {
    let answer = form(emulator.port(), "/idp/token/introspect", &format!("token={token}")).await;
    answer.json()["active"] == true
}

#[tokio::test]
async fn oauth_tokens_are_refreshed_once_introspected_and_given_back() {
    let emulator = Emulator::start(scenario()).await.unwrap();
    let port = emulator.port();
    let discovery = get(port, "/.well-known/openid-configuration", None).await.json();
    assert_eq!(discovery["issuer"], "https://api.chutes.ai");
    let refresh = Scenario::refresh_token("pro", 0);
    let fields = format!("grant_type=refresh_token&client_id=cid_emulator&refresh_token={refresh}");
    let fresh = form(port, "/idp/token", &fields).await.json();
    assert_eq!((&fresh["token_type"], &fresh["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let access = fresh["access_token"].as_str().unwrap();
    assert_eq!(get(port, "/users/me", Some(access)).await.status, 200);
    let info = get(port, "/idp/userinfo", Some(access)).await.json();
    assert_eq!(info["username"], "pro");
    assert!(is_active(&emulator, access).await);

    let again = form(port, "/idp/token", &fields).await;
    assert_eq!((again.status, again.json()), (400, json!({"error": "invalid_grant"})));
    let revoked = form(port, "/idp/token/revoke", &format!("token={access}")).await;
    assert_eq!(revoked.json(), json!({"revoked": true}));
    assert!(!is_active(&emulator, access).await);
    assert_eq!(get(port, "/users/me", Some(access)).await.status, 401);

    let query = "client_id=cid_emulator&redirect_uri=http://127.0.0.1/back&scope=chutes:invoke\
                 &state=s1&response_type=code";
    let sent = get(port, &format!("/idp/authorize?{query}"), None).await;
    let location = sent.header("location").unwrap().to_owned();
    assert_eq!(sent.status, 302);
    assert!(location.ends_with("&state=s1"), "{location}");
    let code = location.split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let fields =
        format!("grant_type=authorization_code&client_id=cid_emulator&redirect_uri=x&code={code}");
    assert_eq!(form(port, "/idp/token", &fields).await.json()["scope"], "chutes:invoke");
    emulator.control().advance(std::time::Duration::from_secs(3601));
    assert!(!is_active(&emulator, &Scenario::oauth_token("pro", 0)).await);
}

#[tokio::test]
async fn keys_are_made_used_and_deleted_with_a_lag() {
    let emulator = Emulator::start(scenario().lag(Lag::default())).await.unwrap();
    let (port, admin) = (emulator.port(), Scenario::key("pro", 0));
    let scopes = json!([{"object_type": "chutes", "action": "invoke"}]);
    let body = json!({"name": "gw", "admin": false, "scopes": scopes});
    let made = post(port, "/api_keys/", &admin, &body).await.json();
    let secret = made["secret_key"].as_str().unwrap();
    let listed = get(port, "/api_keys/?limit=100", Some(&admin)).await.json();
    assert_eq!(listed["total"], 8);
    assert_eq!(listed["items"][7].get("secret_key"), None::<&Value>);
    assert_eq!(post(port, "/api_keys/", &admin, &body).await.status, 409);
    let long = json!({"name": "a name of far too many letters", "admin": false});
    assert_eq!(post(port, "/api_keys/", &admin, &long).await.status, 400);
    assert_eq!(post(port, CHAT, secret, &chat(MODEL, "hi", false)).await.status, 200);

    let id = made["api_key_id"].as_str().unwrap();
    let path = format!("/api_keys/{id}");
    assert_eq!(get(port, &path, Some(&admin)).await.json()["name"], "gw");
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    let deleted = call(port, "DELETE", &path, &headers, b"").await.unwrap();
    assert_eq!(deleted.json(), json!({"api_key_id": id, "deleted": true}));
    assert_eq!(get(port, &path, Some(&admin)).await.status, 404);
    assert_eq!(get(port, "/v1/models", Some(secret)).await.status, 200, "still known");
    emulator.control().advance(std::time::Duration::from_secs(61));
    assert_eq!(get(port, "/v1/models", Some(secret)).await.status, 401);
    let log = emulator.control().log();
    let effects: Vec<_> = log.iter().filter_map(|entry| entry.side_effect.as_deref()).collect();
    assert_eq!(effects, ["key pro/7 made", "key pro/7 deleted"]);
}
