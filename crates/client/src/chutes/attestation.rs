//! What instances show to prove that they run in a trusted execution environment, and what end-to-end encryption
//! starts from (api.md 3.8, 3.9). This crate gets the evidence; it does not verify it.

use std::fmt;

use ripcord_wire::chutes::{Evidence, EvidenceList, KeyExchange};

use super::call::Plan;
use super::path::{Query, chute_path, segment};
use super::{Chutes, Reply};
use crate::error::Error;

/// 32 bytes that evidence has to contain, so that it cannot be an old one: take them from a source of randomness and
/// use them once.
///
/// ```
/// use ripcord_client::chutes::Nonce;
///
/// let nonce = Nonce::from_bytes([0xab; 32]);
/// assert_eq!(nonce.to_string(), "ab".repeat(32));
/// assert_eq!(Nonce::parse(&"AB".repeat(32)), Ok(nonce));
/// assert_eq!(Nonce::parse("abcd").unwrap_err().to_string(), "a nonce has 64 hexadecimal digits and this has 4 characters");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; Self::BYTES]);

/// Why a text is no [`Nonce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceProblem {
    /// Not 64 characters.
    #[error("a nonce has 64 hexadecimal digits and this has {characters} characters")]
    WrongLength {
        /// How many there are.
        characters: usize,
    },
    /// Something else than a hexadecimal digit.
    #[error("a nonce has only the digits 0-9 and a-f")]
    NotHexadecimal,
}

impl Nonce {
    /// How many bytes a nonce has.
    pub const BYTES: usize = 32;

    /// From random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits, as the server demands them.
    ///
    /// # Errors
    /// If it is something else; the server would answer 400.
    pub fn parse(text: &str) -> Result<Self, NonceProblem> {
        let characters = text.chars().count();
        if characters != 2 * Self::BYTES {
            return Err(NonceProblem::WrongLength { characters });
        }
        let mut digits = text.chars().map(|character| character.to_digit(16));
        let mut bytes = [0; Self::BYTES];
        for byte in &mut bytes {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(NonceProblem::NotHexadecimal);
            };
            *byte = u8::try_from(high * 16 + low).map_err(|_| NonceProblem::NotHexadecimal)?;
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl Chutes {
    /// `GET /chutes/{id_or_name}/evidence` (api.md 3.8): what every instance of a public chute shows. Two empty lists
    /// mean that nothing runs. Sent without a key.
    ///
    /// **Sixty calls a minute are let through for the whole platform**, failed ones included (recordings 238, 239):
    /// a 429 `Rate limit exceeded` is nobody's fault in particular, its cause is
    /// [`Transient`](ripcord_rules::cause::Cause::Transient). Keep evidence rather than ask again.
    ///
    /// # Errors
    /// 400 if the chute is not one of these (`… is not TEE-enabled`) or too old for it, 404 if there is none, 502 if
    /// attestation is down; else as every call: see [`Error`].
    pub async fn evidence(
        &self,
        id_or_name: &str,
        nonce: &Nonce,
    ) -> Result<Reply<EvidenceList>, Error> {
        let path = format!("{}/evidence", chute_path(id_or_name));
        let path = Query::new(path).with("nonce", Some(nonce)).path();
        let plan = self.list(&self.api, "/chutes/{id_or_name}/evidence").with_path(path);
        self.read(self.slowly(plan)).await
    }

    /// `GET /instances/{id}/evidence` (api.md 3.8): what one instance shows. Needs a key, and has the same limit as
    /// [`Chutes::evidence`].
    ///
    /// # Errors
    /// 403 `You do not have access to this instance`, 404 if there is none; else as [`Chutes::evidence`].
    pub async fn instance_evidence(
        &self,
        instance_id: &str,
        nonce: &Nonce,
    ) -> Result<Reply<Evidence>, Error> {
        let path = format!("/instances/{}/evidence", segment(instance_id));
        let path = Query::new(path).with("nonce", Some(nonce)).path();
        let plan = self.account("/instances/{id}/evidence").with_path(path);
        self.read(self.slowly(plan)).await
    }

    /// `GET /e2e/instances/{chute_id}` (api.md 3.9): up to five instances with the keys and the single-use nonces that
    /// end-to-end encryption starts from. They last a minute. This crate goes no further: it does not encrypt.
    ///
    /// By the server's public source ten calls a minute are let through, also for the whole platform.
    ///
    /// # Errors
    /// 404 if there is no such chute, or no instance that can; else as every call: see [`Error`].
    pub async fn key_exchange(&self, chute_id: &str) -> Result<Reply<KeyExchange>, Error> {
        let path = format!("/e2e/instances/{}", segment(chute_id));
        self.read(self.account("/e2e/instances/{chute_id}").with_path(path)).await
    }

    /// The same call with more time.
    pub(super) fn slowly<'a>(&self, plan: Plan<'a>) -> Plan<'a> {
        Plan { deadline: Some(self.settings.slow_deadline), ..plan }
    }
}
