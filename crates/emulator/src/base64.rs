//! Base64, in its ordinary alphabet and the one for addresses.

const ORDINARY: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_ADDRESSES: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = letters(bytes, ORDINARY);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Encodes in the alphabet for addresses, without padding.
pub(crate) fn encode_for_addresses(bytes: &[u8]) -> String {
    letters(bytes, FOR_ADDRESSES)
}

/// Decodes either alphabet, with or without padding.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let ordinary = match letter {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let value = ORDINARY.iter().position(|known| *known == ordinary)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn letters(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=group.len() {
            text.push(char::from(alphabet[bits >> (18 - 6 * at) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_again() {
        for text in ["", "f", "fo", "foo", "foob", "\u{fffd}?>"] {
            assert_eq!(decode(&encode(text.as_bytes())).as_deref(), Some(text.as_bytes()));
            let plain = encode_for_addresses(text.as_bytes());
            assert!(!plain.contains(['+', '/', '=']));
            assert_eq!(decode(&plain).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(encode(b"foob"), "Zm9vYg==");
        assert_eq!(decode("a b"), None);
    }
}
