//! Identifiers and keys derived from names, so that a test can name them and two runs agree.

use sha2::{Digest, Sha256};

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// SHA-256 of the parts, separated by a byte that no name holds.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

/// SHA-256 of raw bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of raw bytes, as lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// As many bytes as asked for that depend on the parts only.
pub(crate) fn stretch(parts: &[&str], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = digest(parts);
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = sha256(&block);
    }
    bytes.truncate(length);
    bytes
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// 32 hex digits that depend on the kind and the name only.
pub(crate) fn hex32(kind: &str, name: &str) -> String {
    hex(&digest(&[kind, name])[..16])
}

/// A number below the bound that depends on the seed and the label only.
pub(crate) fn draw(seed: u64, label: &str, below: u64) -> u64 {
    let digest = digest(&["draw", &seed.to_string(), label]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(bytes) % below.max(1)
}

/// A number from 0 up to 1 that depends on the seed and the label only.
pub(crate) fn share(seed: u64, label: &str) -> f64 {
    draw(seed, label, 1_000_000) as f64 / 1e6
}

/// A UUID in its dashed form that depends on the kind and the name only.
pub(crate) fn uuid(kind: &str, name: &str) -> String {
    let plain = hex32(kind, name);
    // Version 5 and the usual variant, so that strict parsers accept it.
    format!(
        "{}-{}-5{}-a{}-{}",
        &plain[..8],
        &plain[8..12],
        &plain[13..16],
        &plain[17..20],
        &plain[20..]
    )
}

/// The user id of an account.
pub(crate) fn user_id(account: &str) -> String {
    uuid("user", account)
}

/// The chute id of a model.
pub(crate) fn chute_id(model: &str) -> String {
    uuid("chute", model)
}

/// The key id of one of an account's keys.
pub(crate) fn key_id(account: &str, index: usize) -> String {
    uuid("key", &format!("{account}/{index}"))
}

/// A well-formed `cpk_` key: key id, user id and a secret.
pub(crate) fn api_key(account: &str, index: usize) -> String {
    let secret = secret(&["secret", account, &index.to_string()]);
    let key_id = key_id(account, index).replace('-', "");
    let user_id = user_id(account).replace('-', "");
    format!("cpk_{key_id}.{user_id}.{secret}")
}

/// An OAuth token of an account: `cak_` for access, `crt_` for refreshing.
pub(crate) fn oauth_token(kind: &str, account: &str, index: usize) -> String {
    let label = format!("{account}/{index}");
    format!("{kind}_{}.{}", hex32(kind, &label), secret(&["token", kind, &label]))
}

/// What signs an account in, as `POST /users/login` takes it.
pub(crate) fn fingerprint(account: &str) -> String {
    secret(&["fingerprint", account])
}

/// 32 letters and digits.
fn secret(parts: &[&str]) -> String {
    digest(parts)
        .iter()
        .map(|byte| char::from(ALPHANUMERIC[usize::from(*byte) % ALPHANUMERIC.len()]))
        .collect()
}

/// Whether the text has the shape of a `cpk_` key.
pub(crate) fn is_key_shaped(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("cpk_") else { return false };
    let mut parts = rest.split('.');
    let (Some(key), Some(user), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_hex = |part: &str| {
        part.len() == 32 && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    is_hex(key)
        && is_hex(user)
        && secret.len() == 32
        && secret.bytes().all(|b| b.is_ascii_alphanumeric())
}
