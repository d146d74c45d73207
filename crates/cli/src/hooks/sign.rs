//! The signature of Standard Webhooks 1.0.0 ("Signature scheme", "Webhook headers"): `v1,` and the base64 of the
//! HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a hook signs with. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HookSecret(Vec<u8>);

/// How a secret begins where it is written.
const PREFIX: &str = "whsec_";
/// The standard asks for 24 to 64 bytes.
const LEAST_BYTES: usize = 24;
const MOST_BYTES: usize = 64;

// === impl HookSecret ===

impl HookSecret {
    /// Reads `whsec_` and base64; what is wrong is told without the secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = "expected `whsec_` and 24 to 64 bytes in base64, as Standard Webhooks has it";
        let encoded = text.strip_prefix(PREFIX).ok_or_else(|| form.to_owned())?;
        let bytes = STANDARD.decode(encoded).map_err(|_| form.to_owned())?;
        if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes.len()) {
            return Err(form.to_owned());
        }
        Ok(Self(bytes))
    }

    /// The value of `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
        // A key of any length is taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `hmac` and `base64` make of the same: see the test of the hooks for a second implementation.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let secret = HookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_that_is_none_is_told_without_it() {
        for text in ["", "hunter2hunter2hunter2hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%"] {
            let message = HookSecret::parse(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
        let secret = HookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secret:?}"), "HookSecret");
    }
}
