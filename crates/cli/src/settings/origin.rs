//! A value and where it comes from.

use std::fmt;

/// The layer a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The embedded `default.toml`.
    Default,
    /// A line of the user's file.
    File { path: String, line: usize },
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(&'static str),
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

// === impl Sourced ===

impl<T> Sourced<T> {
    /// A value that a layer above may replace.
    pub(crate) const fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}
