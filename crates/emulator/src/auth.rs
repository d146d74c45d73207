//! Who is calling: the header forms the server reads, what each credential opens, and the texts of
//! the refusals.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};

use crate::{
    catalogue::micros,
    clock::SECOND,
    credentials::{self, Session},
    ids,
    reply::Reply,
    world::State,
};

/// 401 on the management side without a key.
pub(crate) const NO_USER: &str = "Can't find a user with that api key in our db :(";
/// 401 on the inference side without a key.
pub(crate) const REQUIRED: &str = "Authentication required.";
const BAD_HEADER: &str = "Missing or invalid authorization header(s)";
const BAD_KEY: &str = "Invalid token or user not found";
const BAD_TOKEN: &str = "Invalid token.";
const EXPIRED: &str = "Token expired.";
const NO_PERMISSION: &str = "Token does not have permission for this resource";
/// How far a hotkey's nonce may be from the clock.
const NONCE_SECONDS: i64 = 600;

/// What the credentials say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// No credentials, or an OAuth token that is unknown, expired or revoked, which counts the same.
    Anonymous,
    /// Somebody known.
    Known { account: usize, credential: Credential },
    /// Credentials that are wrong, with the 401's text.
    Wrong(Cow<'static, str>),
}

/// What a known caller came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A `cpk_` key, by its number.
    Key(usize),
    /// An OAuth token, by its place in the state.
    Token(usize),
    Session,
}

/// What a path asks of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// `/users/me` and what is below it.
    Account,
    /// Everything that no scope was seen to open: lists with a key, keys, aliases, unknown paths.
    Admin,
    /// Models on the shared hosts, and their list.
    Invoke,
    /// One chute on its own host.
    InvokeChute(&'a str),
}

impl Caller {
    /// Reads the `Authorization` header, and the three of a hotkey when there is none.
    pub(crate) fn read(headers: &HeaderMap, state: &State, now: i64) -> Self {
        let Some(value) = headers.get(http::header::AUTHORIZATION) else {
            return hotkey(headers, now);
        };
        let Ok(value) = value.to_str() else { return Self::wrong(BAD_HEADER) };
        if value.is_empty() {
            return Self::Anonymous;
        }
        let token = value.rsplit(' ').next().unwrap_or_default();
        if token.starts_with("cak_") {
            return match state.find_token(token).filter(|at| state.tokens[*at].is_valid(now)) {
                Some(at) => Self::Known {
                    account: state.tokens[at].account,
                    credential: Credential::Token(at),
                },
                None => Self::Anonymous,
            };
        }
        if token.starts_with("cpk_") {
            if !ids::is_key_shaped(token) {
                return Self::wrong(BAD_HEADER);
            }
            let lag = micros(state.lag.deleted_key_seconds);
            return match state.find_key(token, now, lag) {
                Some((account, index)) => {
                    Self::Known { account, credential: Credential::Key(index) }
                }
                None => Self::wrong(BAD_KEY),
            };
        }
        let is_bearer = value.split(' ').next().is_some_and(|word| word == "Bearer");
        if !is_bearer || token.is_empty() || token == "Bearer" {
            return Self::wrong(BAD_HEADER);
        }
        match credentials::read_session(token, now) {
            Session::Of(user) => match state.find_account(&user) {
                Some(account) => Self::Known { account, credential: Credential::Session },
                None => Self::wrong(BAD_TOKEN),
            },
            Session::Expired => Self::wrong(EXPIRED),
            Session::Invalid => Self::wrong(BAD_TOKEN),
        }
    }

    const fn wrong(text: &'static str) -> Self {
        Self::Wrong(Cow::Borrowed(text))
    }

    /// The account if the credential opens the scope, or the refusal.
    pub(crate) fn require(
        &self,
        state: &State,
        scope: Scope<'_>,
        anonymous: &str,
    ) -> Result<usize, Reply> {
        match self {
            Self::Anonymous => Err(Reply::unauthorized(anonymous)),
            Self::Wrong(text) => Err(Reply::unauthorized(text)),
            Self::Known { account, credential } => {
                if opens(state, *account, *credential, scope) {
                    return Ok(*account);
                }
                Err(match credential {
                    Credential::Token(_) => Reply::detail(StatusCode::FORBIDDEN, NO_PERMISSION),
                    Credential::Key(_) | Credential::Session => Reply::unauthorized(BAD_KEY),
                })
            }
        }
    }

    /// As [`Caller::require`], where no key is as good as a right one.
    pub(crate) fn allow(&self, state: &State, scope: Scope<'_>) -> Result<Option<usize>, Reply> {
        match self {
            Self::Anonymous => Ok(None),
            other => other.require(state, scope, NO_USER).map(Some),
        }
    }

    pub(crate) fn account(&self) -> Option<usize> {
        match self {
            Self::Known { account, .. } => Some(*account),
            Self::Anonymous | Self::Wrong(_) => None,
        }
    }

    /// How the log names the credential.
    pub(crate) fn label(&self, state: &State) -> String {
        match self {
            Self::Anonymous => "none".to_owned(),
            Self::Wrong(_) => "unknown".to_owned(),
            Self::Known { account, credential } => {
                let name = &state.accounts[*account].spec.name;
                match credential {
                    Credential::Key(index) => format!("{name}/{index}"),
                    Credential::Token(at) => format!("{name}/token-{}", state.tokens[*at].index),
                    Credential::Session => format!("{name}/session"),
                }
            }
        }
    }
}

fn opens(state: &State, account: usize, credential: Credential, scope: Scope<'_>) -> bool {
    match credential {
        Credential::Session => true,
        Credential::Key(index) => {
            let key = &state.accounts[account].keys[index];
            match scope {
                Scope::Account | Scope::Admin => key.admin,
                Scope::Invoke => key.invokes(),
                Scope::InvokeChute(chute_id) => key.invokes_chute(chute_id),
            }
        }
        Credential::Token(at) => {
            let token = &state.tokens[at];
            match scope {
                Scope::Account => token.opens_account(),
                Scope::Admin => token.is_admin(),
                Scope::Invoke => token.invokes(),
                Scope::InvokeChute(chute_id) => token.invokes_chute(chute_id),
            }
        }
    }
}

/// A hotkey's headers. Signatures are not checked, so none is ever right here.
fn hotkey(headers: &HeaderMap, now: i64) -> Caller {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(hotkey), Some(_)) = (text("x-chutes-hotkey"), text("x-chutes-signature")) else {
        return Caller::Anonymous;
    };
    let nonce = text("x-chutes-nonce").unwrap_or_default();
    let is_fresh = nonce
        .parse::<i64>()
        .is_ok_and(|nonce| (now.div_euclid(SECOND) - nonce).abs() < NONCE_SECONDS);
    if !is_fresh {
        return Caller::wrong("Invalid nonce!");
    }
    Caller::Wrong(Cow::Owned(format!(
        "Invalid request signature for hotkey {hotkey}. Message: {hotkey}:{nonce}:me"
    )))
}
