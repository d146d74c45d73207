//! Upstream keys: read tolerantly, refused with a clear sentence, never shown whole.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::HeaderValue;

mod read;

pub use read::{KeyProblem, ListProblem, Repair};

/// A key as it was read, with what had to be repaired.
pub type ReadKey = (Key, Vec<Repair>);

/// The exact form of a Chutes API key, as the server checks it (api.md 1.1).
pub const API_KEY_FORM: &str = r"^cpk_[a-f0-9]{32}\.[a-f0-9]{32}\.[a-zA-Z0-9]{32}$";

/// The length of every Chutes API key in characters (api.md 1.1).
pub const API_KEY_LENGTH: usize = 102;

/// One credential for Chutes.
///
/// `Debug` and `Display` show at most the first eight characters, so a key cannot slip into a log by accident;
/// [`Key::expose`] is the one way to the whole text.
///
/// ```
/// use ripcord_client::key::{Key, Repair};
///
/// let pasted = format!("\"cpk_{}.{}.{}\"", "1a".repeat(16), "2b".repeat(16), "aB3d".repeat(8));
/// let (key, repairs) = Key::parse(&pasted)?;
/// assert_eq!(key.to_string(), "cpk_1a1a…");
/// assert_eq!(repairs, [Repair::Quotes]);
/// # Ok::<(), ripcord_client::key::KeyProblem>(())
/// ```
#[derive(Clone)]
pub struct Key {
    text: Arc<str>,
    form: KeyForm,
    authorization: HeaderValue,
}

/// What kind of credential a [`Key`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyForm {
    /// `cpk_…`: an API key, which names its account and lasts until it is deleted (api.md 1.1).
    ApiKey,
    /// `cak_…`: an OAuth access token, which lasts an hour and does what its scopes say: see [`crate::oauth`]. Dead, it
    /// counts as no key at all (recordings, D11).
    OAuth,
    /// A JSON web token of a login session, which lasts seven days (api.md 1.1).
    SessionToken,
    /// Some other token; Chutes may not know it.
    OtherToken,
}

/// The account a key belongs to: quota, caps and balance are counted per account, not per key.
///
/// Identifies a person, so it is redacted like a key; [`AccountId::as_str`] gives it whole.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

impl Key {
    /// Reads one key, repairing what pasting commonly adds.
    ///
    /// # Errors
    /// A [`KeyProblem`], a sentence that never contains the text given.
    pub fn parse(text: &str) -> Result<ReadKey, KeyProblem> {
        read::one(text)
    }

    /// Reads the key of another service, whose form nobody knows here.
    ///
    /// # Errors
    /// If there is none, or if it has a character that cannot stand in a header.
    pub fn of_provider(text: &str) -> Result<Self, KeyProblem> {
        read::of_provider(text)
    }

    /// Reads several keys separated by commas. A key given twice is kept once, with [`Repair::Duplicate`].
    ///
    /// # Errors
    /// The first key that cannot be read.
    pub fn parse_list(text: &str) -> Result<Vec<ReadKey>, ListProblem> {
        read::list(text)
    }

    /// The whole key. Never print, log or store what this returns.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What kind of credential this is.
    #[must_use]
    pub fn form(&self) -> KeyForm {
        self.form
    }

    /// The value of the `Authorization` header, marked sensitive. Cheap: the bytes are shared.
    #[must_use]
    pub fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// The account, where the key names it: segment 2 of a `cpk_` key (api.md 1.1).
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        match self.form {
            KeyForm::ApiKey => self.text.split('.').nth(1).and_then(AccountId::from_hex),
            KeyForm::OAuth | KeyForm::SessionToken | KeyForm::OtherToken => None,
        }
    }

    fn shown(&self) -> &str {
        let characters = match self.form {
            KeyForm::ApiKey | KeyForm::OAuth => 8,
            // A token's first characters say little more than its kind.
            KeyForm::SessionToken | KeyForm::OtherToken => 3,
        };
        self.text.get(..characters).unwrap_or("")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}…", self.shown())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({}…)", self.shown())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl AccountId {
    /// From the 32 hexadecimal digits of a key's second segment, or from a uuid with dashes.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits.len() != 32 || !is_hex {
            return None;
        }
        let digits = digits.to_ascii_lowercase();
        let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        let dashed: Vec<&str> =
            parts.iter().filter_map(|&(from, to)| digits.get(from..to)).collect();
        Some(Self(dashed.join("-").into()))
    }

    /// The user id as the API writes it: a uuid with dashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccountId({self})")
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}…", self.0.get(..4).unwrap_or(""))
    }
}

#[cfg(test)]
mod tests;
