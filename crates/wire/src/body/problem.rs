//! What is wrong with a body.

use crate::json::{JsonProblem, MAX_DEPTH};

/// Why a body cannot be forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    /// No bytes, or only white space.
    #[error("the request body is empty; send a JSON object with a `model`")]
    Empty,
    /// Not UTF-8.
    #[error("the request body is not valid UTF-8 at byte {at}")]
    InvalidUtf8 {
        /// The first wrong byte.
        at: usize,
    },
    /// Not JSON.
    #[error("the request body is not valid JSON at byte {at}: expected {expected}")]
    InvalidJson {
        /// The first wrong byte.
        at: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// A whole JSON value, and then more.
    #[error("the request body goes on after its JSON object, at byte {at}")]
    TrailingBytes {
        /// The first byte too many.
        at: usize,
    },
    /// Nested too deep.
    #[error("the request body is nested deeper than {limit} levels, at byte {at}")]
    TooDeep {
        /// Where the limit was passed.
        at: usize,
        /// The limit.
        limit: u32,
    },
    /// JSON, but not an object.
    #[error("the request body is not a JSON object but {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// No `model`.
    #[error("the request body has no `model`")]
    MissingModel,
    /// A `model` that is no string.
    #[error("`model` is not a string but {found}")]
    ModelNotText {
        /// What it is.
        found: &'static str,
    },
    /// An empty `model`.
    #[error("`model` is empty")]
    EmptyModel,
    /// A key that decides something, twice: services disagree about which one counts.
    #[error("the request body has `{key}` twice")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// A key that decides something, written with escapes so that a simple reader misses it.
    #[error("the key `{key}` of the request body is written with escapes; write it plainly")]
    EscapedKey {
        /// The key as it reads.
        key: &'static str,
    },
}

impl BodyProblem {
    /// The parameter that an error answer should name, if one is to blame.
    #[must_use]
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::MissingModel | Self::ModelNotText { .. } | Self::EmptyModel => Some("model"),
            Self::DuplicateKey { key } | Self::EscapedKey { key } => Some(key),
            Self::Empty
            | Self::InvalidUtf8 { .. }
            | Self::InvalidJson { .. }
            | Self::TrailingBytes { .. }
            | Self::TooDeep { .. }
            | Self::NotAnObject { .. } => None,
        }
    }

    /// A stable code for an error answer.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_body",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::InvalidJson { .. } | Self::TrailingBytes { .. } => "invalid_json",
            Self::TooDeep { .. } => "json_too_deep",
            Self::NotAnObject { .. } => "body_not_an_object",
            Self::MissingModel => "missing_model",
            Self::ModelNotText { .. } | Self::EmptyModel => "invalid_model",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::EscapedKey { .. } => "escaped_key",
        }
    }
}

impl From<JsonProblem> for BodyProblem {
    fn from(problem: JsonProblem) -> Self {
        match problem {
            JsonProblem::Syntax { at, expected } => Self::InvalidJson { at, expected },
            JsonProblem::TooDeep { at } => Self::TooDeep { at, limit: MAX_DEPTH },
        }
    }
}
