//! What a caller may hold: `cpk_` keys, OAuth tokens and sign-in sessions.

use serde_json::{Value, json};

use crate::{
    base64, clock, ids,
    scenario::Scenario,
    specs::{KeyKind, TokenSpec, TokenState},
};

/// How long an access token lives.
pub(crate) const ACCESS_SECONDS: i64 = 3600;
const REFRESH_SECONDS: i64 = 30 * 86_400;
const SESSION_SECONDS: i64 = 7 * 86_400;
/// The one registered application; a scenario's tokens are its.
pub(crate) const CLIENT_ID: &str = "cid_emulator";

/// A `cpk_` key of an account.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) admin: bool,
    pub(crate) scopes: Vec<KeyScope>,
    pub(crate) created_at: i64,
    pub(crate) deleted_at: Option<i64>,
}

/// One thing a key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyScope {
    pub(crate) object_type: String,
    pub(crate) object_id: Option<String>,
    pub(crate) action: Option<String>,
}

impl Key {
    /// The key a scenario describes; a key for one chute is for the first of the catalogue.
    pub(crate) fn of_kind(scenario: &Scenario, kind: KeyKind, index: usize) -> Self {
        let scope = |object_type: &str, object_id: Option<String>, action: Option<&str>| {
            let (object_type, action) = (object_type.to_owned(), action.map(str::to_owned));
            vec![KeyScope { object_type, object_id, action }]
        };
        let scopes = match kind {
            KeyKind::Admin | KeyKind::NoScope => Vec::new(),
            KeyKind::Invoke => scope("chutes", None, Some("invoke")),
            KeyKind::OneChute => {
                let first = scenario.models.first().map(|model| ids::chute_id(&model.name));
                scope("chutes", first, Some("invoke"))
            }
            KeyKind::ChutesRead => scope("chutes", None, Some("read")),
            KeyKind::ChutesAll => scope("chutes", None, None),
            KeyKind::InvocationsRead => scope("invocations", None, Some("read")),
        };
        Self {
            name: format!("key-{index}"),
            admin: kind == KeyKind::Admin,
            scopes,
            // 2026-01-01.
            created_at: 1_767_225_600 * clock::SECOND,
            deleted_at: None,
        }
    }

    /// Whether it calls models on the shared hosts. A key for one chute calls them all there.
    pub(crate) fn invokes(&self) -> bool {
        self.admin
            || self.scopes.iter().any(|scope| {
                scope.object_type == "chutes"
                    && scope.action.as_deref().is_none_or(|action| action == "invoke")
            })
    }

    /// Whether it calls this one chute on the chute's own host.
    pub(crate) fn invokes_chute(&self, chute_id: &str) -> bool {
        self.admin
            || self.scopes.iter().any(|scope| {
                scope.object_type == "chutes"
                    && scope.action.as_deref().is_none_or(|action| action == "invoke")
                    && scope.object_id.as_deref().is_none_or(|id| id == chute_id)
            })
    }

    /// Whether it still counts; a deleted key does so for as long as the lag says.
    pub(crate) fn is_alive(&self, now: i64, lag_micros: i64) -> bool {
        self.deleted_at.is_none_or(|deleted_at| (0..lag_micros).contains(&(now - deleted_at)))
    }
}

/// An OAuth token: an access token and the refresh token that came with it.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) account: usize,
    /// Its number among the tokens of its account.
    pub(crate) index: usize,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) revoked: bool,
    pub(crate) refresh_spent: bool,
}

impl Token {
    pub(crate) fn of_spec(
        (account, name): (usize, &str),
        index: usize,
        spec: &TokenSpec,
        now: i64,
    ) -> Self {
        let token = Self::issue((account, name), index, spec.scopes.clone(), now);
        match spec.state {
            TokenState::Valid => token,
            TokenState::Expired => Self { expires_at: now - 1, ..token },
            TokenState::Revoked => Self { revoked: true, ..token },
        }
    }

    pub(crate) fn issue(
        (account, name): (usize, &str),
        index: usize,
        scopes: Vec<String>,
        now: i64,
    ) -> Self {
        Self {
            account,
            index,
            access: ids::oauth_token("cak", name, index),
            refresh: ids::oauth_token("crt", name, index),
            scopes,
            issued_at: now,
            expires_at: now + ACCESS_SECONDS * clock::SECOND,
            revoked: false,
            refresh_spent: false,
        }
    }

    pub(crate) fn is_valid(&self, now: i64) -> bool {
        !self.revoked && now < self.expires_at
    }

    pub(crate) fn refresh_expires_at(&self) -> i64 {
        self.issued_at + REFRESH_SECONDS * clock::SECOND
    }

    fn holds(&self, names: &[&str]) -> bool {
        self.scopes.iter().any(|scope| scope == "admin" || names.contains(&scope.as_str()))
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.holds(&[])
    }

    /// All of `/users/me*`, usage included, opens to any of these; `balance` and `usage` open none
    /// of it.
    pub(crate) fn opens_account(&self) -> bool {
        self.holds(&["profile", "profile:read", "quota", "quota:read", "account:read"])
    }

    /// A scope for one chute does not reach the shared hosts.
    pub(crate) fn invokes(&self) -> bool {
        self.holds(&["chutes:invoke"])
    }

    pub(crate) fn invokes_chute(&self, chute_id: &str) -> bool {
        self.invokes() || self.scopes.iter().any(|s| *s == format!("chutes:{chute_id}:invoke"))
    }
}

/// A session token, as `POST /users/login` gives it: a JWT that only this emulator can read.
pub(crate) fn session_token(user_id: &str, expires_at_seconds: i64) -> String {
    let part = |value: &Value| base64::encode_for_addresses(value.to_string().as_bytes());
    let head = part(&json!({ "alg": "HS256", "typ": "JWT" }));
    let body = part(&json!({ "sub": user_id, "exp": expires_at_seconds }));
    let signed = format!("{head}.{body}");
    format!("{signed}.{}", signature(&signed))
}

/// The session a sign-in at this moment opens.
pub(crate) fn new_session(user_id: &str, now: i64) -> String {
    session_token(user_id, now.div_euclid(clock::SECOND) + SESSION_SECONDS)
}

/// What a session token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Of(String),
    Expired,
    Invalid,
}

pub(crate) fn read_session(token: &str, now: i64) -> Session {
    let Some((signed, given)) = token.rsplit_once('.') else { return Session::Invalid };
    if signature(signed) != given {
        return Session::Invalid;
    }
    let body = signed.split('.').nth(1).and_then(base64::decode);
    let Some(body) = body.and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return Session::Invalid;
    };
    if body["exp"].as_i64().is_none_or(|expires| expires * clock::SECOND <= now) {
        return Session::Expired;
    }
    body["sub"].as_str().map_or(Session::Invalid, |user| Session::Of(user.to_owned()))
}

fn signature(signed: &str) -> String {
    base64::encode_for_addresses(&ids::digest(&["session", signed]))
}
