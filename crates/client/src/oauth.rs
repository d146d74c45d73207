//! Logging in for somebody else: OAuth with PKCE (api.md 1.1, 1.4; recordings, D11, D14, D15, 273).
//!
//! An app that Chutes knows sends its user to [`Chutes::authorization_url`], gets a code back ([`Callback`]), and
//! exchanges it for tokens ([`Chutes::exchange_code`]). The access token (`cak_…`) is a [`Key`](crate::key::Key) like
//! any other and lasts an hour; the refresh token (`crt_…`) gets the next pair once ([`Chutes::refresh_tokens`]) and
//! lasts 30 days unless the app says otherwise.
//!
//! ```no_run
//! use ripcord_client::chutes::Chutes;
//! use ripcord_client::key::Key;
//! use ripcord_client::oauth::{App, Callback, Verifier};
//!
//! # async fn example(chutes: Chutes, random: [u8; 32], request_line: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let app = App {
//!     client_id: "cid_example".to_owned(),
//!     client_secret: None,
//!     redirect_uri: "http://127.0.0.1:8123/callback".to_owned(),
//! };
//! let verifier = Verifier::from_random(random);
//! let url = chutes.authorization_url(&app, &["profile", "chutes:invoke"], "state-1", &verifier);
//! println!("open {url}");
//! // … the browser comes back …
//! let code = Callback::parse(request_line, "state-1")?.code;
//! let tokens = chutes.exchange_code(&app, &code, &verifier).await?.value;
//! let access = tokens.access_token.ok_or("no token")?;
//! let chutes = chutes.with_key(Key::parse(access.expose())?.0);
//! println!("{:?}", chutes.userinfo().await?.value.username);
//! # Ok(())
//! # }
//! ```
//!
//! # What a scope opens
//!
//! Numbers are those of recordings.
//!
//! | scope | opens | source |
//! |---|---|---|
//! | `profile`, `quota`, `account:read` | each of them all of `/users/me*`, use included, and [`Chutes::userinfo`] for the first and the last | D15 (843-845, 849-851, 867-869) |
//! | `balance`, `billing:read` | none of `/users/me*` | D15 (861-863) |
//! | `usage` | reading invocations, not `/users/me/usage` | (857), api.md 1.4 |
//! | `chutes:invoke` | models, on the host of language models | api.md 1.4 |
//! | `chutes:{id}:invoke` | nothing on that host, not even its own chute | D14 (842) |
//! | `admin` | everything; the app has to be registered for it | (879-884) |
//!
//! A token without the scope gets 403 `Token does not have permission for this resource`, also on the public lists
//! (840, 846, 847). On an account endpoint that is
//! [`Cause::AccountUnreadable`](ripcord_rules::cause::Cause::AccountUnreadable): the quota is unknown, the token is
//! well. A dead token counts as no token: 200 where none is needed (888, 889, 894), else 401 (885, 886, 891). To tell one
//! from the other: [`Chutes::key_standing`].
//!
//! [`Chutes::authorization_url`]: crate::chutes::Chutes::authorization_url
//! [`Chutes::exchange_code`]: crate::chutes::Chutes::exchange_code
//! [`Chutes::refresh_tokens`]: crate::chutes::Chutes::refresh_tokens
//! [`Chutes::userinfo`]: crate::chutes::Chutes::userinfo
//! [`Chutes::key_standing`]: crate::chutes::Chutes::key_standing

use std::fmt;

use ripcord_wire::secret::Secret;
use ripcord_wire::text;
use sha2::{Digest as _, Sha256};

/// An app as Chutes knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// `cid_…`.
    pub client_id: String,
    /// `csc_…`. With PKCE a code can be exchanged without it; by the server's public source a refresh token cannot.
    pub client_secret: Option<Secret>,
    /// Where the user comes back to: exactly one of those that the app was registered with.
    pub redirect_uri: String,
}

/// The secret of PKCE (RFC 7636): whoever exchanges the code has to be the one who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier(Secret);

impl Verifier {
    /// From 32 random bytes of a source that nobody can guess.
    ///
    /// ```
    /// use ripcord_client::oauth::Verifier;
    ///
    /// let verifier = Verifier::from_random([0; 32]);
    /// assert_eq!(verifier.secret().expose(), "A".repeat(43));
    /// assert_eq!(verifier.challenge(), "DwBzhbb51LfusnSGBa_hqYSgo7-j8BTQnip4TOnlzRo");
    /// ```
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(Secret::new(base64_url(&bytes)))
    }

    /// A verifier that was kept while the user was away.
    #[must_use]
    pub fn from_secret(secret: Secret) -> Self {
        Self(secret)
    }

    /// The secret, to be kept until the user is back.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// The `S256` challenge, which may be seen.
    #[must_use]
    pub fn challenge(&self) -> String {
        base64_url(&Sha256::digest(self.0.expose().as_bytes()))
    }
}

/// What the browser brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The code, good for one exchange.
    pub code: Secret,
}

/// Why a user came back without a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackProblem {
    /// The user said no, or the request was wrong.
    #[error("the login was refused: {reason}")]
    Refused {
        /// Cleaned, on one line.
        reason: String,
    },
    /// Not the answer to this request: somebody may try to slip in their own.
    #[error("the answer belongs to another login; begin again")]
    OtherState,
    /// Neither a code nor an error.
    #[error("the answer has no code")]
    NoCode,
}

impl Callback {
    /// Reads the address that the browser asked for, or its query, or the first line of the request.
    ///
    /// ```
    /// use ripcord_client::oauth::{Callback, CallbackProblem};
    ///
    /// let back = Callback::parse("GET /callback?code=abc&state=s1 HTTP/1.1", "s1").unwrap();
    /// assert_eq!(back.code.expose(), "abc");
    /// assert_eq!(Callback::parse("/callback?code=abc&state=s2", "s1"), Err(CallbackProblem::OtherState));
    /// ```
    ///
    /// # Errors
    /// If there is no code in it, or it is the answer to another login.
    pub fn parse(text: &str, state: &str) -> Result<Self, CallbackProblem> {
        let address = text.split_whitespace().find(|word| word.contains('=')).unwrap_or_default();
        let query = address.split_once('?').map_or(address, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let field = |wanted: &str| {
            query.split('&').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                (name == wanted).then(|| decoded(value))
            })
        };
        if field("state").as_deref() != Some(state) {
            return Err(CallbackProblem::OtherState);
        }
        if let Some(error) = field("error") {
            let reason = field("error_description").unwrap_or(error);
            return Err(CallbackProblem::Refused { reason: text::clean(&reason, 200) });
        }
        match field("code") {
            Some(code) if !code.is_empty() => Ok(Self { code: Secret::new(code) }),
            _ => Err(CallbackProblem::NoCode),
        }
    }
}

/// Why the identity provider refuses (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthFault {
    /// The code or the refresh token is not right: used, revoked, too old, of another app or redirect address.
    InvalidGrant,
    /// The app is not known, or its secret is wrong or missing.
    InvalidClient,
    /// Something is missing.
    InvalidRequest,
    /// A scope that there is not, or that the app may not ask for.
    InvalidScope,
    /// The app may not do this.
    UnauthorizedClient,
    /// Something else than a code and a refresh token.
    UnsupportedGrantType,
}

impl OAuthFault {
    /// The fault that a code names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "invalid_grant" => Self::InvalidGrant,
            "invalid_client" => Self::InvalidClient,
            "invalid_request" => Self::InvalidRequest,
            "invalid_scope" => Self::InvalidScope,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            _ => return None,
        })
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidClient => "invalid_client",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    /// What to do next, as a sentence without a period.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::InvalidGrant => "the code or token is used up, revoked or too old; log in again",
            Self::InvalidClient => "check the app's client id and secret",
            Self::InvalidScope => "ask for scopes that the app is registered for",
            Self::InvalidRequest | Self::UnauthorizedClient | Self::UnsupportedGrantType => {
                "check how the app is registered, its redirect address above all"
            }
        }
    }
}

impl fmt::Display for OAuthFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// Base64 in its form for addresses, without padding (RFC 4648, section 5).
fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let index = bits >> (18 - 6 * place) & 63;
            text.push(LETTERS.get(index as usize).copied().map_or('A', char::from));
        }
    }
    text
}

/// `%41+b` is `A b`. What is no escape stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
        });
        bytes.push(escape.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if escape.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_and_the_challenge_are_those_of_the_standards() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64_url(bytes.as_bytes()), text);
        }
        assert_eq!(base64_url(&[0xff, 0xfb, 0xfe]), "__v-");
        // The example of RFC 7636, appendix B.
        let verifier =
            Verifier::from_secret(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(!format!("{verifier:?}").contains("dBjft"));
    }

    #[test]
    fn a_callback_is_only_believed_with_its_state() {
        let parse = |text: &str| Callback::parse(text, "s 1");
        let code = |text: &str| parse(text).unwrap().code.expose().to_owned();
        assert_eq!(code("http://127.0.0.1:1/cb?code=a%2Bb&state=s+1#x"), "a+b");
        assert_eq!(code("code=abc&state=s%201"), "abc");
        assert_eq!(parse("/cb?code=abc"), Err(CallbackProblem::OtherState));
        assert_eq!(parse("/cb?state=s+1"), Err(CallbackProblem::NoCode));
        assert_eq!(parse("/cb?state=s+1&code="), Err(CallbackProblem::NoCode));
        assert_eq!(parse(""), Err(CallbackProblem::OtherState));
        assert_eq!(
            parse("/cb?error=access_denied&error_description=User+denied%0Athe%1b[1m+request&state=s+1")
                .unwrap_err()
                .to_string(),
            CallbackProblem::Refused { reason: text::clean("User denied\nthe\u{1b}[1m request", 200) }
                .to_string()
        );
        assert_eq!(decoded("%zz%4%"), "%zz%4%");
    }

    #[test]
    fn faults_are_named_as_on_the_wire() {
        for code in ["invalid_grant", "invalid_client", "invalid_request", "invalid_scope"] {
            assert_eq!(OAuthFault::from_code(code).unwrap().to_string(), code);
        }
        assert_eq!(OAuthFault::from_code("teapot"), None);
    }
}
