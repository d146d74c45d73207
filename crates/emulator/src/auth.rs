//! Who is calling: the header forms the server reads, and the texts of its 401s.

use http::HeaderMap;

use crate::{ids, specs::KeyKind, world::State};

/// 401 on the management side without a key.
pub(crate) const NO_USER: &str = "Can't find a user with that api key in our db :(";
/// 401 on the inference side without a key.
pub(crate) const REQUIRED: &str = "Authentication required.";
const BAD_HEADER: &str = "Missing or invalid authorization header(s)";
const BAD_KEY: &str = "Invalid token or user not found";
const BAD_TOKEN: &str = "Invalid token.";

/// What the credentials say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// No credentials, or an unknown OAuth token, which counts the same.
    Anonymous,
    /// A key of an account.
    Key { account: usize, index: usize, kind: KeyKind },
    /// Credentials that are wrong, with the 401's text.
    Wrong(&'static str),
}

/// What a path asks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Account,
    Invoke,
}

impl Caller {
    /// Reads the `Authorization` header; no other header counts.
    pub(crate) fn read(headers: &HeaderMap, state: &State) -> Self {
        let Some(value) = headers.get(http::header::AUTHORIZATION) else { return Self::Anonymous };
        let Ok(value) = value.to_str() else { return Self::Wrong(BAD_HEADER) };
        if value.is_empty() {
            return Self::Anonymous;
        }
        let token = value.rsplit(' ').next().unwrap_or_default();
        if token.starts_with("cak_") {
            return Self::Anonymous;
        }
        if token.starts_with("cpk_") {
            if !ids::is_key_shaped(token) {
                return Self::Wrong(BAD_HEADER);
            }
            return match state.find_key(token) {
                Some((account, index)) => {
                    let kind = state.accounts[account].keys[index].kind;
                    Self::Key { account, index, kind }
                }
                None => Self::Wrong(BAD_KEY),
            };
        }
        let is_bearer = value.split(' ').next().is_some_and(|word| word == "Bearer");
        if is_bearer && !token.is_empty() && token != "Bearer" {
            return Self::Wrong(BAD_TOKEN);
        }
        Self::Wrong(BAD_HEADER)
    }

    /// The account and key number if the key opens the scope, or the 401's text.
    pub(crate) fn require(
        self,
        scope: Scope,
        anonymous: &'static str,
    ) -> Result<(usize, usize), &'static str> {
        match self {
            Self::Anonymous => Err(anonymous),
            Self::Wrong(text) => Err(text),
            Self::Key { account, index, kind } => {
                let opens = match scope {
                    Scope::Account => kind == KeyKind::Admin,
                    Scope::Invoke => kind != KeyKind::NoScope,
                };
                if opens { Ok((account, index)) } else { Err(BAD_KEY) }
            }
        }
    }

    /// As [`Caller::require`], where no key is as good as a right one.
    pub(crate) fn allow(self, scope: Scope) -> Result<Option<usize>, &'static str> {
        match self {
            Self::Anonymous => Ok(None),
            other => other.require(scope, NO_USER).map(|(account, _)| Some(account)),
        }
    }

    pub(crate) fn account(self) -> Option<usize> {
        match self {
            Self::Key { account, .. } => Some(account),
            _ => None,
        }
    }
}
