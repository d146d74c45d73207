//! What of a new text was sent already.
//!
//! A stream that begins again repeats what was sent; one that continues goes on right behind it. An engine that was
//! asked to continue may begin again all the same, so both are followed until one of them is ruled out. A text that
//! begins as the answer did and then says something else is another answer, not the rest of this one. Where neither
//! is ruled out, a long beginning is taken for a second one: hardly an answer says its first sentence twice without a space
//! between. A short one may, so it is given up rather than guessed.

/// The new text is no continuation of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the new text does not begin with what was sent")]
pub struct Diverged;

/// How the new text turned out to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// With what was sent.
    Again,
    /// Where what was sent ends.
    Onward,
}

/// Drops from a text that comes in pieces what was sent already. No `Debug`: it holds what was said.
pub(super) struct Matcher {
    /// What was sent.
    sent: Box<str>,
    /// The white space at its end. It is no part of a prefill, so it comes again.
    margin: usize,
    /// What has come. Kept only while it is undecided which way it goes.
    seen: String,
    may_be_again: bool,
    may_be_onward: bool,
    beginning: Option<Beginning>,
}

/// A beginning of fewer bytes may well be what comes next, too: two words, a short formula.
const LEAST_BYTES: usize = 16;
/// A rest that has as much in common with the beginning was not told what had been said.
const LEAST_IN_COMMON: usize = 8;
/// So may one of so few different bytes, such as a ruler.
const LEAST_DIFFERENT: usize = 4;

impl Matcher {
    /// For a stream that was asked to begin again, or does.
    pub(super) fn again(sent: &str) -> Self {
        Self {
            sent: sent.into(),
            margin: 0,
            seen: String::new(),
            may_be_again: true,
            may_be_onward: false,
            beginning: None,
        }
    }

    /// For a stream that was given all that was sent but the white space at its end.
    pub(super) fn onward(sent: &str) -> Self {
        Self {
            margin: sent.len() - sent.trim_end().len(),
            may_be_onward: true,
            ..Self::again(sent)
        }
    }

    /// How it begins, once that is known.
    pub(super) fn beginning(&self) -> Option<Beginning> {
        self.beginning
    }

    /// The model thinks first, so it does not go on where it was.
    pub(super) fn thinks(&mut self) -> Result<(), Diverged> {
        if self.beginning.is_some() {
            return Ok(());
        }
        self.may_be_onward = false;
        if self.may_be_again { Ok(()) } else { Err(Diverged) }
    }

    /// What of the next piece is new; `None` while that is not known.
    pub(super) fn take<'a>(&'a mut self, piece: &'a str) -> Result<Option<&'a str>, Diverged> {
        if self.beginning.is_some() {
            return Ok(Some(piece));
        }
        let compared = self.seen.len();
        self.seen.push_str(piece);
        let agrees = |expected: &str, seen: &str| {
            let end = expected.len().min(seen.len());
            let start = compared.min(end);
            expected.as_bytes()[start..end] == seen.as_bytes()[start..end]
        };
        let margin = &self.sent[self.sent.len() - self.margin..];
        self.may_be_again = self.may_be_again && agrees(&self.sent, &self.seen);
        self.may_be_onward = self.may_be_onward && agrees(margin, &self.seen);
        match (self.may_be_again, self.may_be_onward) {
            (true, may_be_onward) if self.seen.len() >= self.sent.len() => {
                if may_be_onward && comes_twice(&self.sent) {
                    return Err(Diverged);
                }
                Ok(Some(self.decide(Beginning::Again, self.sent.len())))
            }
            (true, _) => Ok(None),
            (false, true) if begins_like(&self.seen, &self.sent) => Err(Diverged),
            (false, true) if self.seen.len() >= self.margin => {
                Ok(Some(self.decide(Beginning::Onward, self.margin)))
            }
            (false, true) => Ok(None),
            (false, false) => Err(Diverged),
        }
    }

    /// The text has ended; what of it was held back and is new. It is the rest of an answer only if it is known to be
    /// one, or if all that is left to say is white space. Where the answer is said to end there, too, it has to look like
    /// an end: a model that was not told to go on may say nothing at all.
    pub(super) fn finish(&mut self, is_end: bool) -> Result<&str, Diverged> {
        if self.beginning.is_some() {
            return Ok("");
        }
        let may_end = !is_end || looks_ended(&self.sent);
        if may_end && self.may_be_onward && self.seen.trim_end().is_empty() {
            return Ok(self.decide(Beginning::Onward, self.margin.min(self.seen.len())));
        }
        Err(Diverged)
    }

    fn decide(&mut self, beginning: Beginning, dropped: usize) -> &str {
        self.beginning = Some(beginning);
        &self.seen[dropped..]
    }
}

/// Whether a text may be a whole one: it does not stop in the middle of a word or of a list of them.
fn looks_ended(text: &str) -> bool {
    let last = text.trim_end().chars().next_back();
    last.is_some_and(|last| !last.is_alphanumeric() && !matches!(last, ',' | '，' | '、'))
}

/// Whether a text begins as another does, and not by chance.
fn begins_like(text: &str, other: &str) -> bool {
    let both = text.bytes().zip(other.bytes());
    both.take_while(|(one, other)| one == other).count() >= LEAST_IN_COMMON
}

/// Whether an answer that begins like this may well go on with the same again.
fn comes_twice(sent: &str) -> bool {
    let sent = sent.trim();
    let mut bytes: Vec<u8> = sent.bytes().take(256).collect();
    bytes.sort_unstable();
    bytes.dedup();
    sent.len() < LEAST_BYTES || bytes.len() < LEAST_DIFFERENT
}
