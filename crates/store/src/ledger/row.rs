//! The rows of a ledger and what is read back from it.
//!
//! Everything that is not known is `None`. A label is the short name that a person gave, or would recognise; texts longer
//! than [`LONGEST_TEXT_BYTES`] are cut, because some of them (the model a client asked for) come from outside.

use std::sync::Arc;

use super::step::StepRow;

/// Longer labels and causes are cut here.
pub const LONGEST_TEXT_BYTES: usize = 256;

/// A larger figure in one row is kept as this one, so that no sum over rows can overflow.
pub const LARGEST_FIGURE: i64 = 1_000_000_000_000;

/// One row to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A finished request of a client.
    Request(RequestRow),
    /// A finished attempt upstream.
    Attempt(AttemptRow),
    /// What happened before, between or after attempts.
    Step(StepRow),
}

/// One request of a client, written when it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// The id the client was given.
    pub request_id: Arc<str>,
    /// The label of the gateway's client key.
    pub client_key: Option<Arc<str>>,
    /// The route without its prefix, such as `chat/completions`.
    pub route: Arc<str>,
    /// The model's name as the client wrote it.
    pub requested_model: Option<Arc<str>>,
    /// Who served it in the end.
    pub served_by: ServedBy,
    /// Whether a stream was asked for.
    pub is_stream: bool,
    /// For whom it waits in the queue: `interactive`, `agent`, `batch`.
    pub priority: Option<Arc<str>>,
    /// How long after its start the first byte was due; `None` without a deadline, or where it is not known.
    pub deadline_us: Option<u64>,
    /// The status sent to the client; `None` if it left before there was one.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so.
    pub cause: Option<Arc<str>>,
    /// Attempts made upstream.
    pub attempt_count: u32,
    /// The tokens of all its attempts.
    pub tokens: Tokens,
    /// The price of all its attempts.
    pub cost: Cost,
    /// When, and how long.
    pub timing: Timing,
}

/// One attempt upstream, written when it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// The request it was made for.
    pub request_id: Arc<str>,
    /// 1 for the first attempt of the request.
    pub number: u32,
    /// Where it was sent.
    pub served_by: ServedBy,
    /// The status upstream answered with; `None` if it did not answer.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so.
    pub cause: Option<Arc<str>>,
    /// Its tokens.
    pub tokens: Tokens,
    /// Its price.
    pub cost: Cost,
    /// When, and how long.
    pub timing: Timing,
}

/// The model, account and key that did the work; the key by its label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedBy {
    /// The model's exact id.
    pub model: Option<Arc<str>>,
    /// The account's label.
    pub account: Option<Arc<str>>,
    /// The key's label, never the key.
    pub key: Option<Arc<str>>,
}

/// How a request or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The whole answer was received and passed on.
    Completed,
    /// An error was the answer.
    Failed,
    /// Ripcord refused it and sent nothing upstream.
    Refused,
    /// The client left.
    Cancelled,
    /// The answer broke off after part of it was passed on.
    Broken,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Completed, Self::Failed, Self::Refused, Self::Cancelled, Self::Broken];

    /// The word used in the ledger and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Broken => "broken",
        }
    }
}

/// Who paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coverage {
    /// A window of the plan.
    Covered,
    /// The account's balance.
    Paid,
}

impl Coverage {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Covered, Self::Paid];

    /// The word used in the ledger and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::Paid => "paid",
        }
    }
}

/// Tokens, as reported or estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, the cached ones included.
    pub prompt: Option<u64>,
    /// Of the completion.
    pub completion: Option<u64>,
    /// Of the prompt, those that came from a cache.
    pub cached: Option<u64>,
    /// Whether these are Ripcord's own estimate, upstream having reported none.
    pub estimated: bool,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// At list price, in nano-dollars.
    pub list_price_nano_usd: Option<i64>,
    /// Who paid, if known.
    pub coverage: Option<Coverage>,
}

/// When something began and how long its parts took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Unix time, UTC.
    pub started_at_unix_us: i64,
    /// Waiting inside Ripcord, before anything was sent.
    pub waited_us: u64,
    /// Until the first byte of the answer; `None` if there was none.
    pub first_byte_us: Option<u64>,
    /// Until the end.
    pub total_us: u64,
}

/// A request with its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestStory {
    /// The request; `None` while it has not ended.
    pub request: Option<RequestRow>,
    /// Its attempts, by number.
    pub attempts: Vec<AttemptRow>,
    /// What happened before, between and after them, by number.
    pub steps: Vec<StepRow>,
}

/// Sums over the attempts on one account and model. What is not known adds nothing; how often that was so is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The account's label.
    pub account: Option<Arc<str>>,
    /// The model's id.
    pub model: Option<Arc<str>>,
    /// Different requests among the attempts.
    pub requests: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that completed.
    pub completed: u64,
    /// Attempts whose tokens are an estimate.
    pub estimated: u64,
    /// Attempts without a price.
    pub unpriced: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// Cached prompt tokens.
    pub cached_tokens: u64,
    /// Nano-dollars at list price.
    pub list_price_nano_usd: i64,
    /// The part of it that is known to have been paid from the balance.
    pub paid_nano_usd: i64,
}

impl Row {
    /// The row with its texts and figures inside the bounds of this module. Every back end applies it.
    #[must_use]
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::Request(row) => Self::Request(RequestRow {
                request_id: cut(row.request_id),
                client_key: row.client_key.map(cut),
                route: cut(row.route),
                requested_model: row.requested_model.map(cut),
                served_by: row.served_by.bounded(),
                priority: row.priority.map(cut),
                deadline_us: row.deadline_us.map(capped),
                cause: row.cause.map(cut),
                tokens: row.tokens.bounded(),
                cost: row.cost.bounded(),
                timing: row.timing.bounded(),
                ..row
            }),
            Self::Attempt(row) => Self::Attempt(AttemptRow {
                request_id: cut(row.request_id),
                served_by: row.served_by.bounded(),
                cause: row.cause.map(cut),
                tokens: row.tokens.bounded(),
                cost: row.cost.bounded(),
                timing: row.timing.bounded(),
                ..row
            }),
            Self::Step(row) => Self::Step(row.bounded()),
        }
    }
}

impl ServedBy {
    fn bounded(self) -> Self {
        Self { model: self.model.map(cut), account: self.account.map(cut), key: self.key.map(cut) }
    }
}

impl Tokens {
    fn bounded(self) -> Self {
        Self {
            prompt: self.prompt.map(capped),
            completion: self.completion.map(capped),
            cached: self.cached.map(capped),
            estimated: self.estimated,
        }
    }
}

impl Cost {
    fn bounded(self) -> Self {
        Self {
            list_price_nano_usd: self
                .list_price_nano_usd
                .map(|price| price.clamp(-LARGEST_FIGURE, LARGEST_FIGURE)),
            coverage: self.coverage,
        }
    }
}

impl Timing {
    fn bounded(self) -> Self {
        Self {
            started_at_unix_us: self.started_at_unix_us,
            waited_us: capped(self.waited_us),
            first_byte_us: self.first_byte_us.map(capped),
            total_us: capped(self.total_us),
        }
    }
}

pub(super) fn capped(figure: u64) -> u64 {
    figure.min(LARGEST_FIGURE.unsigned_abs())
}

pub(super) fn cut(text: Arc<str>) -> Arc<str> {
    if text.len() <= LONGEST_TEXT_BYTES {
        return text;
    }
    text[..text.floor_char_boundary(LONGEST_TEXT_BYTES)].into()
}
