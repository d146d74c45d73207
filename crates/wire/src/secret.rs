//! Texts that must not be shown.

use std::fmt;

use serde::Deserialize;

/// A key, a token or a client's secret. It has no `Display` and cannot be written as JSON, its `Debug` tells its
/// length, and [`Secret::expose`] is the one way to its text.
///
/// ```
/// let secret = ripcord_wire::secret::Secret::new("crt_hidden");
/// assert_eq!(format!("{secret:?}"), "Secret(10 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Never print or log what this returns.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({} bytes)", self.0.len())
    }
}
