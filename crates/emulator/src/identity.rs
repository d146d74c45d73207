//! Signing in: sessions by fingerprint, and OAuth as far as a client can use it.
//!
//! Shapes and error words are those of the public source; nobody looks at a page here, so
//! `/idp/authorize` sends the browser straight back with a code.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    auth::{NO_USER, REQUIRED},
    base64, clock,
    clock::SECOND,
    credentials::{self, ACCESS_SECONDS, CLIENT_ID, Token},
    ids,
    management::Asked,
    query::Query,
    reply::Reply,
    validation,
    world::State,
};

const ISSUER: &str = "https://api.chutes.ai";
/// What may be asked for, as the discovery document lists it.
const SCOPES: [&str; 21] = [
    "admin",
    "profile",
    "profile:read",
    "balance",
    "balance:read",
    "billing:read",
    "quota",
    "quota:read",
    "usage",
    "usage:read",
    "account:read",
    "account:write",
    "secrets:read",
    "secrets:write",
    "chutes:read",
    "chutes:write",
    "chutes:delete",
    "chutes:invoke",
    "images:read",
    "images:write",
    "images:delete",
];

/// A code on its way from `/idp/authorize` to `/idp/token`.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    code: String,
    account: usize,
    scopes: Vec<String>,
    challenge: Option<(String, bool)>,
}

/// Answers the sign-in paths.
pub(crate) fn serve(state: &mut State, asked: &Asked<'_>, path: &str) -> Option<Reply> {
    Some(match (&asked.incoming.method, path) {
        (&Method::GET, "/.well-known/openid-configuration") => discovery(),
        (&Method::GET, "/idp/scopes") => Reply::json(&json!(SCOPES)),
        (&Method::GET, "/idp/authorize") => authorize(state, asked),
        (&Method::POST, "/idp/token") => token(state, asked).unwrap_or_else(|refusal| refusal),
        (&Method::POST, "/idp/token/revoke") => revoke(state, asked),
        (&Method::POST, "/idp/token/introspect") => introspect(state, asked),
        (&Method::GET, "/idp/userinfo") => user_info(state, asked),
        (&Method::GET, "/users/login/nonce") => {
            let nonce = ids::hex32("nonce", &asked.now.to_string());
            Reply::json(&json!({ "nonce": nonce, "expires_in": 300 }))
        }
        (&Method::POST, "/users/login") => login(state, asked).unwrap_or_else(|refusal| refusal),
        _ => return None,
    })
}

fn discovery() -> Reply {
    let at = |path: &str| format!("{ISSUER}/idp/{path}");
    let scopes: Vec<&str> = SCOPES.iter().copied().chain(["invocations:read"]).collect();
    Reply::json(&json!({
        "issuer": ISSUER,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "userinfo_endpoint": at("userinfo"),
        "revocation_endpoint": at("token/revoke"),
        "introspection_endpoint": at("token/introspect"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "client_secret_basic", "none"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "service_documentation": "https://docs.chutes.ai/oauth",
        "subject_types_supported": ["public"],
        "claims_supported": ["sub", "username", "created_at"],
    }))
}

/// Agrees for the account that `login_hint` names, or else the first one.
fn authorize(state: &mut State, asked: &Asked<'_>) -> Reply {
    let query = Query::new(&asked.incoming.query);
    let Some(target) = query.get("redirect_uri") else {
        return validation::missing(&json!(["query", "redirect_uri"]), &Value::Null);
    };
    let hint = query.get("login_hint").unwrap_or_default();
    let account = state.find_account(&hint).unwrap_or(0);
    if state.accounts.is_empty() {
        return Reply::unauthorized(NO_USER);
    }
    let scope = query.get("scope").unwrap_or_else(|| "profile".to_owned());
    let code = ids::hex32("code", &format!("{}/{}", state.codes.len(), state.tokens.len()));
    let hashed = query.get("code_challenge_method").as_deref() == Some("S256");
    state.codes.push(Code {
        code: code.clone(),
        account,
        scopes: scope.split(' ').map(str::to_owned).collect(),
        challenge: query.get("code_challenge").map(|challenge| (challenge, hashed)),
    });
    let back = query.get("state").map_or(String::new(), |text| format!("&state={text}"));
    let join = if target.contains('?') { '&' } else { '?' };
    Reply::new(StatusCode::FOUND, crate::reply::JSON, "")
        .header("location", format!("{target}{join}code={code}{back}"))
}

fn oauth_error(word: &str) -> Reply {
    Reply::json_status(StatusCode::BAD_REQUEST, &json!({ "error": word }))
}

fn token(state: &mut State, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let form = validation::form(asked.incoming);
    let field =
        |name: &str| form.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let incomplete = || {
        Reply::json_status(
            StatusCode::BAD_REQUEST,
            &json!({
                "error": "invalid_request",
                "error_description": "Missing required parameters",
            }),
        )
    };
    let Some(grant) = field("grant_type") else {
        return Err(validation::missing(&json!(["body", "grant_type"]), &Value::Null));
    };
    let (account, scopes) = match grant.as_str() {
        "refresh_token" => {
            let (Some(refresh), Some(client)) = (field("refresh_token"), field("client_id")) else {
                return Err(incomplete());
            };
            let found = state.tokens.iter_mut().find(|token| {
                token.refresh == refresh
                    && !token.refresh_spent
                    && asked.now < token.refresh_expires_at()
            });
            let token = found.ok_or_else(|| oauth_error("invalid_grant"))?;
            if client != CLIENT_ID {
                return Err(oauth_error("invalid_client"));
            }
            token.refresh_spent = true;
            (token.account, token.scopes.clone())
        }
        "authorization_code" => {
            let (Some(code), Some(_), Some(client)) =
                (field("code"), field("redirect_uri"), field("client_id"))
            else {
                return Err(incomplete());
            };
            if client != CLIENT_ID {
                return Err(oauth_error("invalid_client"));
            }
            let found = state.codes.iter().position(|known| known.code == code);
            let code = state.codes.swap_remove(found.ok_or_else(|| oauth_error("invalid_grant"))?);
            let verifier = field("code_verifier").unwrap_or_default();
            if code.challenge.is_some_and(|challenge| !matches_challenge(&verifier, &challenge)) {
                return Err(oauth_error("invalid_grant"));
            }
            (code.account, code.scopes)
        }
        _ => return Err(oauth_error("unsupported_grant_type")),
    };
    let index = state.tokens.iter().filter(|token| token.account == account).count();
    let name = state.accounts[account].spec.name.clone();
    let made = Token::issue((account, &name), index, scopes, asked.now);
    let body = json!({
        "access_token": made.access,
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "refresh_token": made.refresh,
        "scope": made.scopes.join(" "),
    });
    state.tokens.push(made);
    Ok(Reply::json(&body).side_effect(format!("token {name}/{index} issued")))
}

fn matches_challenge(verifier: &str, (challenge, hashed): &(String, bool)) -> bool {
    if *hashed {
        base64::encode_for_addresses(&ids::sha256(verifier.as_bytes())) == *challenge
    } else {
        verifier == challenge
    }
}

fn form_token(asked: &Asked<'_>) -> Result<String, Reply> {
    let mut fields = validation::form(asked.incoming).into_iter();
    fields
        .find(|(name, _)| name == "token")
        .map(|(_, value)| value)
        .ok_or_else(|| validation::missing(&json!(["body", "token"]), &Value::Null))
}

/// Says yes whether or not there was such a token.
fn revoke(state: &mut State, asked: &Asked<'_>) -> Reply {
    let text = match form_token(asked) {
        Ok(text) => text,
        Err(refusal) => return refusal,
    };
    for token in &mut state.tokens {
        token.revoked |= token.access == text;
        token.refresh_spent |= token.refresh == text;
    }
    Reply::json(&json!({ "revoked": true }))
}

fn introspect(state: &State, asked: &Asked<'_>) -> Reply {
    let text = match form_token(asked) {
        Ok(text) => text,
        Err(refusal) => return refusal,
    };
    let found = state.tokens.iter().find(|t| t.access == text || t.refresh == text);
    let active = found.filter(|token| {
        if token.access == text {
            token.is_valid(asked.now)
        } else {
            !token.refresh_spent && asked.now < token.refresh_expires_at()
        }
    });
    let Some(token) = active else { return Reply::json(&json!({ "active": false })) };
    let account = &state.accounts[token.account];
    let (kind, ends) = if token.access == text {
        ("access_token", token.expires_at)
    } else {
        ("refresh_token", token.refresh_expires_at())
    };
    Reply::json(&json!({
        "active": true,
        "token_type": kind,
        "exp": ends.div_euclid(SECOND),
        "iat": token.issued_at.div_euclid(SECOND),
        "scope": token.scopes.join(" "),
        "client_id": CLIENT_ID,
        "username": account.spec.name,
        "sub": account.user_id,
    }))
}

fn user_info(state: &State, asked: &Asked<'_>) -> Reply {
    let header = asked.incoming.headers.get(http::header::AUTHORIZATION);
    let bearer = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(bearer) = bearer else {
        return Reply::unauthorized("Missing or invalid authorization header");
    };
    let found = state.find_token(bearer).map(|at| &state.tokens[at]);
    let Some(token) = found.filter(|token| token.is_valid(asked.now)) else {
        return Reply::unauthorized("Invalid or expired token");
    };
    let opens = ["openid", "profile", "account:read", "admin"];
    if !token.scopes.iter().any(|scope| opens.contains(&scope.as_str())) {
        return Reply::detail(
            StatusCode::FORBIDDEN,
            "Token does not have required scope (openid, profile, or account:read)",
        );
    }
    let account = &state.accounts[token.account];
    Reply::json(&json!({
        "sub": account.user_id,
        "username": account.spec.name,
        "created_at": "2025-08-04T10:00:00+00:00",
    }))
}

fn login(state: &State, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = validation::read_json(asked.incoming)?;
    let given = body.get("fingerprint").and_then(Value::as_str).unwrap_or_default();
    let found = state.accounts.iter().find(|a| ids::fingerprint(&a.spec.name) == given);
    let account = found.ok_or_else(|| Reply::unauthorized(REQUIRED))?;
    let token = credentials::new_session(&account.user_id, asked.now);
    let body = json!({ "token": token });
    let until = clock::iso_aware(asked.now);
    Ok(Reply::json(&body).side_effect(format!("{} signed in at {until}", account.spec.name)))
}
