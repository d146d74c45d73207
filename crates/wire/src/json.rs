//! A small JSON reader that walks a text in place: no tree, no copies, spans of the source.
//!
//! `serde_json` cannot tell *where* a value stood, and a body must be changed in place. This
//! reader checks the whole grammar of RFC 8259 in one pass and in linear time, with a bounded
//! depth and without recursion over nested values.

use std::borrow::Cow;
use std::ops::Range;

use crate::find;

/// How deep containers may be nested, as in `serde_json`.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonProblem {
    /// Something else was expected at this byte.
    Syntax { at: usize, expected: &'static str },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep { at: usize },
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    Text,
    Array,
    Object,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Found<'a> {
    pub(crate) kind: Kind,
    pub(crate) raw: &'a str,
    pub(crate) span: Range<usize>,
}

impl<'a> Found<'a> {
    /// The text of a string value; `None` for other kinds and for lone surrogates.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        (self.kind == Kind::Text).then(|| decode(self.raw)).flatten()
    }

    /// A number that is not negative and has no fraction.
    pub(crate) fn unsigned(&self) -> Option<u64> {
        if self.kind != Kind::Number {
            return None;
        }
        if let Ok(number) = self.raw.parse() {
            return Some(number);
        }
        // `12.0` and `1e3` are whole numbers too; beyond 2^53 they are not worth guessing.
        let number: f64 = self.raw.parse().ok()?;
        let count = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
        count.then_some(number as u64)
    }

    /// Whether there is something: not null, not an empty string, list or object.
    pub(crate) fn is_something(&self) -> bool {
        match self.kind {
            Kind::Null => false,
            Kind::Text => self.raw.len() > 2,
            Kind::Array | Kind::Object => {
                self.raw[1..self.raw.len() - 1].bytes().any(|byte| !is_space(byte))
            }
            Kind::True | Kind::False | Kind::Number => true,
        }
    }
}

/// A member of an object whose value has not been read yet.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// The key with its quotes.
    pub(crate) raw_key: &'a str,
    /// Where the key starts.
    pub(crate) key_start: usize,
    /// Where the comma before this member stands.
    pub(crate) comma_before: Option<usize>,
}

impl<'a> Member<'a> {
    /// Whether the key is written with escapes.
    pub(crate) fn is_escaped(&self) -> bool {
        self.raw_key.contains('\\')
    }

    /// The key; `None` if it cannot be decoded.
    pub(crate) fn key(&self) -> Option<Cow<'a, str>> {
        decode(self.raw_key)
    }
}

/// A position in a text.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    pub(crate) fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.position += 1;
        }
    }

    /// Only white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), JsonProblem> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => self.expected("the end of the body"),
        }
    }

    /// Reads any value and says where it was.
    pub(crate) fn value(&mut self) -> Result<Found<'a>, JsonProblem> {
        self.skip_space();
        let start = self.position;
        let kind = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        };
        self.skip_value()?;
        let span = start..self.position;
        Ok(Found { kind, raw: &self.text[span.clone()], span })
    }

    /// Reads an object. `visit` gets the cursor before each value and must read that value.
    /// Answers where the object stood and whether it had members.
    pub(crate) fn members(
        &mut self,
        mut visit: impl FnMut(&mut Self, Member<'a>) -> Result<(), JsonProblem>,
    ) -> Result<Range<usize>, JsonProblem> {
        self.skip_space();
        let start = self.position;
        self.take(b'{', "an object")?;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.position += 1;
            return Ok(start..self.position);
        }
        let mut comma_before = None;
        loop {
            self.skip_space();
            let key_start = self.position;
            let raw_key = self.key()?;
            visit(self, Member { raw_key, key_start, comma_before })?;
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    comma_before = Some(self.position);
                    self.position += 1;
                }
                Some(b'}') => {
                    self.position += 1;
                    return Ok(start..self.position);
                }
                _ => return self.expected("`,` or `}`"),
            }
        }
    }

    /// Reads a list. `visit` gets the cursor before each element and must read that element.
    pub(crate) fn elements(
        &mut self,
        mut visit: impl FnMut(&mut Self) -> Result<(), JsonProblem>,
    ) -> Result<(), JsonProblem> {
        self.skip_space();
        self.take(b'[', "a list")?;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.position += 1;
            return Ok(());
        }
        loop {
            visit(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.position += 1,
                Some(b']') => {
                    self.position += 1;
                    return Ok(());
                }
                _ => return self.expected("`,` or `]`"),
            }
        }
    }

    /// Skips any value. Nested containers are kept in the bits of one number, not on the stack.
    fn skip_value(&mut self) -> Result<(), JsonProblem> {
        let mut objects: u128 = 0;
        let mut depth = 0;
        loop {
            self.skip_space();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(JsonProblem::TooDeep { at: self.position });
                    }
                    self.position += 1;
                    self.skip_space();
                    let (is_object, close) = (open == b'{', if open == b'{' { b'}' } else { b']' });
                    if self.peek() == Some(close) {
                        self.position += 1;
                    } else {
                        objects = (objects << 1) | u128::from(is_object);
                        depth += 1;
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => self.number()?,
            }
            // A value ended here: close what closes with it, or go on after a comma.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.skip_space();
                let in_object = objects & 1 == 1;
                match (self.peek(), in_object) {
                    (Some(b','), _) => {
                        self.position += 1;
                        if in_object {
                            self.skip_space();
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.position += 1;
                        objects >>= 1;
                        depth -= 1;
                    }
                    (_, true) => return self.expected("`,` or `}`"),
                    (_, false) => return self.expected("`,` or `]`"),
                }
            }
        }
    }

    /// A key and its colon; answers the key with its quotes.
    fn key(&mut self) -> Result<&'a str, JsonProblem> {
        if self.peek() != Some(b'"') {
            return self.expected("a key in double quotes");
        }
        let key = self.string()?;
        self.skip_space();
        self.take(b':', "`:`")?;
        Ok(key)
    }

    /// A string; answers it with its quotes.
    fn string(&mut self) -> Result<&'a str, JsonProblem> {
        let start = self.position;
        self.position += 1;
        loop {
            let rest = &self.text.as_bytes()[self.position..];
            let stop = find::position(rest, |byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            let Some(stop) = stop else {
                self.position = self.text.len();
                return self.expected("the end of a string");
            };
            self.position += stop;
            match rest[stop] {
                b'"' => {
                    self.position += 1;
                    return Ok(&self.text[start..self.position]);
                }
                b'\\' => self.escape()?,
                _ => return self.expected("no raw control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonProblem> {
        self.position += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.position += 1;
                Ok(())
            }
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.expected("four hexadecimal digits after `\\u`");
                    }
                    self.position += 1;
                }
                Ok(())
            }
            _ => self.expected("a known escape after `\\`"),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonProblem> {
        if self.text[self.position..].starts_with(word) {
            self.position += word.len();
            Ok(())
        } else {
            self.expected("a JSON value")
        }
    }

    fn number(&mut self) -> Result<(), JsonProblem> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        match self.peek() {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => {
                self.position = start;
                return self.expected("a JSON value");
            }
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), JsonProblem> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.expected("a digit");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonProblem> {
        if self.peek() == Some(byte) {
            self.position += 1;
            Ok(())
        } else {
            self.expected(expected)
        }
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, JsonProblem> {
        Err(JsonProblem::Syntax { at: self.position, expected })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Decodes a string with its quotes; borrowed where it holds no escape.
pub(crate) fn decode(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if inner.contains('\\') {
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

#[cfg(test)]
mod tests;
