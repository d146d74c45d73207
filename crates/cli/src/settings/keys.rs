//! Keys as they are written somewhere, before anybody has looked at their form.

use std::fmt;

use super::environment::{Environment, variables};
use super::origin::Origin;

/// The text of a key and where it stands. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RawKey {
    text: String,
    /// Where it stands.
    pub(crate) origin: Origin,
}

// === impl RawKey ===

impl RawKey {
    /// A key found at `origin`.
    pub(crate) fn new(text: impl Into<String>, origin: Origin) -> Self {
        Self { text: text.into(), origin }
    }

    /// Whether it is the same key as far as one can tell before it is parsed.
    fn is_same(&self, other: &Self) -> bool {
        self.text.trim() == other.text.trim()
    }

    /// The key itself, to be parsed.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawKey({})", self.origin)
    }
}

/// The keys in a text that may hold several, separated by commas or lines. Blanks after a comma are how one writes a
/// list; those around a variable came by mistake and are kept, so that whoever reads the key says what was removed.
pub(crate) fn split(text: &str, origin: &Origin) -> Vec<RawKey> {
    let mut pieces: Vec<&str> = text.split([',', '\n']).collect();
    let last = pieces.len().saturating_sub(1);
    let is_variable = matches!(origin, Origin::Environment(_));
    for (index, piece) in pieces.iter_mut().enumerate() {
        let keeps = (is_variable && index == 0, is_variable && index == last);
        *piece = match keeps {
            (true, true) => piece,
            (true, false) => piece.trim_end(),
            (false, true) => piece.trim_start(),
            (false, false) => piece.trim(),
        };
    }
    let is_key = |piece: &&str| !piece.trim().is_empty() && !piece.trim_start().starts_with('#');
    pieces.into_iter().filter(is_key).map(|piece| RawKey::new(piece, origin.clone())).collect()
}

/// All keys of the environment, each once, and what deserves a warning.
pub(crate) fn of_environment(environment: &dyn Environment) -> (Vec<RawKey>, Vec<String>) {
    let read = |name: &str| {
        let text = environment.get(name).unwrap_or_default();
        split(&text, &Origin::Environment(name.to_owned()))
    };
    let mut numbered: Vec<(u32, String)> = environment
        .names()
        .into_iter()
        .filter_map(|name| {
            let number = name.strip_prefix(variables::CHUTES_API_KEY_NUMBERED)?.parse().ok()?;
            Some((number, name))
        })
        .collect();
    numbered.sort();
    let mut keys = read(variables::CHUTES_API_KEY);
    keys.extend(numbered.iter().flat_map(|(_, name)| read(name)));
    let tokens = read(variables::CHUTES_API_TOKEN);
    let mut warnings = Vec::new();
    let differs = tokens.iter().any(|token| !keys.iter().any(|key| key.is_same(token)));
    if differs && !keys.is_empty() {
        warnings.push(format!(
            "both `{}` and `{}` are set and differ; the keys of both are used",
            variables::CHUTES_API_KEY,
            variables::CHUTES_API_TOKEN
        ));
    }
    keys.extend(tokens);
    let mut unique: Vec<RawKey> = Vec::new();
    for key in keys {
        if !unique.iter().any(|seen| seen.is_same(&key)) {
            unique.push(key);
        }
    }
    (unique, warnings)
}
