//! The steps of a request: what happened before, between and after its attempts.

use std::sync::Arc;

use super::row::{capped, cut};

/// More steps of one request are not kept; whoever writes them says with the last one that there were more.
pub const MOST_STEPS: u32 = 64;

/// One step of a request. Which of the texts and figures it has is for its [`StepKind`] to say; none is ever part of a
/// prompt, an answer or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// The request it is part of.
    pub request_id: Arc<str>,
    /// 1 for the first step of the request.
    pub number: u32,
    /// How many attempts had begun when it happened.
    pub after_attempt: u32,
    /// What happened.
    pub kind: StepKind,
    /// What it is about.
    pub subject: Option<Arc<str>>,
    /// Where it leads.
    pub target: Option<Arc<str>>,
    /// Why, as one word.
    pub reason: Option<Arc<str>>,
    /// The figure before.
    pub before: Option<u64>,
    /// The figure after.
    pub after: Option<u64>,
    /// When it was over, Unix time.
    pub at_unix_us: i64,
    /// How long it took.
    pub took_us: u64,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// It waited, for `reason`; `subject`: for which account or model.
    Waited,
    /// `subject`, which could have served it, was left out, for `reason`.
    LeftOut,
    /// `subject` was asked first, and not `target`, which comes before it, for `reason`.
    Chosen,
    /// It went from `subject` to `target`, because of `reason`.
    Switched,
    /// Of the request's `subject` (`max_tokens`, `messages`, `bytes`) there was `before`, and `after` was sent, because of
    /// `reason`.
    Trimmed,
    /// An answer that broke for `reason` goes on in the next attempt; `subject` says how, `before` how many bytes of text
    /// the client had.
    Continued,
    /// Further steps were not kept.
    More,
}

impl StepKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Waited,
        Self::LeftOut,
        Self::Chosen,
        Self::Switched,
        Self::Trimmed,
        Self::Continued,
        Self::More,
    ];

    /// The word used in the ledger and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waited => "waited",
            Self::LeftOut => "left_out",
            Self::Chosen => "chosen",
            Self::Switched => "switched",
            Self::Trimmed => "trimmed",
            Self::Continued => "continued",
            Self::More => "more",
        }
    }
}

impl StepRow {
    pub(super) fn bounded(self) -> Self {
        Self {
            request_id: cut(self.request_id),
            subject: self.subject.map(cut),
            target: self.target.map(cut),
            reason: self.reason.map(cut),
            before: self.before.map(capped),
            after: self.after.map(capped),
            took_us: capped(self.took_us),
            ..self
        }
    }
}
