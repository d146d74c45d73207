//! What no error may repeat: the key of a call, and the secrets in its body.

use std::borrow::Cow;
use std::sync::Arc;

use ripcord_wire::secret::Secret;

use crate::key::Key;

/// Shorter pieces of a key than this are no secret on their own.
const SHORTEST_PIECE: usize = 16;

/// The secrets of one call. Has no `Debug`, on purpose.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<Arc<str>>);

impl Secrets {
    pub(super) fn of(key: Option<&Key>, others: &[Secret]) -> Self {
        let key = key.map(Key::expose).into_iter();
        let texts = key.chain(others.iter().map(Secret::expose));
        let pieces = texts.flat_map(|text| {
            let parts = text.split('.').filter(|part| part.len() >= SHORTEST_PIECE);
            std::iter::once(text).chain(parts)
        });
        Self(pieces.filter(|piece| !piece.is_empty()).map(Arc::from).collect())
    }

    /// The bytes with every secret in them, whole or in the parts it is made of, masked by as many characters.
    pub(super) fn hide<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut cleaned = Cow::Borrowed(bytes);
        for secret in &self.0 {
            let mut from = 0;
            while let Some(at) = find(&cleaned, secret.as_bytes(), from) {
                let end = at + secret.len();
                if let Some(place) = cleaned.to_mut().get_mut(at..end) {
                    place.fill(b'*');
                }
                from = end;
            }
        }
        cleaned
    }
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    rest.windows(needle.len()).position(|window| window == needle).map(|at| from + at)
}
