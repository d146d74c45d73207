//! The name of a change, from what it is and not from when somebody noticed it.

use super::{EventKind, Topic};
use std::fmt;

/// The id of an event: `evt_` and 32 hexadecimal digits, without a full stop, so that it may stand in a signature of
/// Standard Webhooks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

/// FNV-1a, 128 bits: no secret and no defence, but no two changes of one installation meet in it.
const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

// === impl EventId ===

impl EventId {
    /// The id of the `repeated`th change of this kind since `anchor`.
    pub(super) fn of(kind: EventKind, topic: &Topic, anchor: i64, repeated: u32) -> Self {
        let (what, parts) = match topic {
            Topic::Window(account, window, chute) => {
                let chute = chute.as_deref().unwrap_or_default();
                ("window", [&**account, window.name(), chute])
            }
            Topic::Model(model) => ("model", [&**model, "", ""]),
            Topic::Key(account, key) => ("key", [&**account, &**key, ""]),
        };
        let (anchor, repeated) = (anchor.to_be_bytes(), repeated.to_be_bytes());
        let texts = [kind.name(), what, parts[0], parts[1], parts[2]];
        // Each with its length before it, so that no two lists run together.
        let texts = texts.iter().flat_map(|text| {
            let length = (text.len() as u64).to_be_bytes();
            length.into_iter().chain(text.bytes())
        });
        let bytes = texts.chain(anchor).chain(repeated);
        Self(bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME)))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{:032x}", self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
