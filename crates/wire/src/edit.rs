//! Bytes changed in place: what is cut out, what is put in, and everything else as it was.

use std::ops::Range;

use bytes::Bytes;

/// One place to change.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
}

impl Edit {
    pub(crate) fn new(span: Range<usize>, text: String) -> Self {
        Self { span, text }
    }

    /// Puts a text between two bytes.
    pub(crate) fn insert(at: usize, text: String) -> Self {
        Self { span: at..at, text }
    }

    pub(crate) fn cut(span: Range<usize>) -> Self {
        Self { span, text: String::new() }
    }
}

/// The bytes with these changes, which do not overlap. Without any they are the ones that came, not a copy.
pub(crate) fn apply(bytes: &Bytes, mut edits: Vec<Edit>) -> Bytes {
    if edits.is_empty() {
        return bytes.clone();
    }
    edits.sort_by_key(|edit| edit.span.start);
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + added);
    let mut copied = 0;
    for edit in &edits {
        out.extend_from_slice(&bytes[copied..edit.span.start]);
        out.extend_from_slice(edit.text.as_bytes());
        copied = edit.span.end;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.into()
}
