//! From what came over the wire to the facts that [`ripcord_rules::cause`] decides on.
//!
//! The texts of the application are matched exactly, as its source and the recordings of its answers have them
//! (api.md 1.3 and 5.2), never by a word somewhere inside: a model's name or a prompt is echoed in some of them.
//! Only the engines' messages about an overlong context, which differ and change, are matched loosely. What other
//! services say is read by rules of their own.

use http::HeaderMap;
use ripcord_rules::cause::{Endpoint, Failure, Origin, Phase, Says};
use ripcord_rules::time::Wall;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::limits::LimitHeaders;

use crate::transport::{TransportError, TransportErrorKind, TransportPhase};

mod provider;

/// A failed answer as it came.
#[derive(Clone, Copy, Debug)]
pub struct FailedAnswer<'a> {
    /// Which kind of endpoint was called.
    pub endpoint: Endpoint,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body, or its beginning.
    pub body: &'a [u8],
}

/// The facts of an answer with a status that says it failed.
///
/// ```
/// use http::HeaderMap;
/// use ripcord_client::classify::{FailedAnswer, answer};
/// use ripcord_rules::cause::{Cause, Endpoint, classify};
/// use ripcord_rules::time::Wall;
///
/// let body = br#"{"detail":"Infrastructure is at maximum capacity, try again later"}"#;
/// let headers = HeaderMap::new();
/// let failed = FailedAnswer { endpoint: Endpoint::Inference, status: 429, headers: &headers, body };
/// assert_eq!(classify(&answer(failed, Wall::from_unix_seconds(0))), Cause::Capacity);
/// ```
#[must_use]
pub fn answer(answer: FailedAnswer<'_>, now: Wall) -> Failure {
    let body = ErrorBody::read(answer.status, content_type(answer.headers), answer.body);
    answer_read(answer.endpoint, answer.status, &body, &limits(answer.headers), now)
}

/// As [`answer`], for a caller who has read body and headers already.
#[must_use]
pub fn answer_read(
    endpoint: Endpoint,
    status: u16,
    body: &ErrorBody,
    limits: &LimitHeaders,
    now: Wall,
) -> Failure {
    let (origin, says) = speaker(endpoint, status, body);
    let now_micros = now.as_unix_micros();
    let told = body.retry_after.map(|hint| hint.wait(now_micros));
    Failure {
        endpoint,
        phase: Phase::Head,
        status: Some(status),
        origin,
        says,
        retry_after: limits.wait(now_micros).or(told),
        reset_at: body.reset_at.map(Wall::from_unix_micros),
        limit_spent: limits.is_spent(),
    }
}

/// The facts of an error inside a 200: the data of an event, a bare line, or a whole body.
///
/// `phase` is [`Phase::FirstEvent`] while nothing useful came, else [`Phase::Stream`].
#[must_use]
pub fn stream_error(endpoint: Endpoint, data: &[u8], phase: Phase, now: Wall) -> Failure {
    let body = ErrorBody::read(200, None, data);
    let status = body.inner_status.filter(|&status| match endpoint {
        // Other services put the status that they would have sent into the error.
        Endpoint::Provider => status >= 400,
        // An engine refuses a request inside a 200 with its own code. Only those that speak of the request itself are
        // taken over: its 401 or 429 are not those of Chutes.
        Endpoint::Inference | Endpoint::Account | Endpoint::Public => {
            matches!(status, 400 | 413 | 422)
        }
    });
    let status = status.unwrap_or(200);
    let (origin, says) = speaker(endpoint, status, &body);
    Failure {
        endpoint,
        phase,
        status: Some(status),
        origin,
        says,
        retry_after: body.retry_after.map(|hint| hint.wait(now.as_unix_micros())),
        reset_at: body.reset_at.map(Wall::from_unix_micros),
        limit_spent: false,
    }
}

/// The facts of a 200 stream that ended without `[DONE]` and without a finish reason.
#[must_use]
pub fn stream_cut_short(phase: Phase) -> Failure {
    without_answer(Endpoint::Inference, phase, Some(200), Says::Nothing)
}

/// The facts of a failure below HTTP.
///
/// `body_phase` says how far the answer had come if the error came from its body: [`Phase::Head`],
/// [`Phase::FirstEvent`] or [`Phase::Stream`].
#[must_use]
pub fn transport(endpoint: Endpoint, error: &TransportError, body_phase: Phase) -> Failure {
    let phase = match error.phase() {
        TransportPhase::Resolve | TransportPhase::Connect | TransportPhase::Tls => Phase::Connect,
        TransportPhase::Send => Phase::Send,
        TransportPhase::FirstByte => Phase::AwaitHead,
        TransportPhase::Body => body_phase,
    };
    let says = match error.kind() {
        TransportErrorKind::Timeout => Says::TimedOut,
        // Set up wrongly, here or there: asking again at once changes nothing.
        TransportErrorKind::NameNotFound
        | TransportErrorKind::Unreachable
        | TransportErrorKind::Certificate
        | TransportErrorKind::Tls
        | TransportErrorKind::InvalidRequest => Says::Unreachable,
        TransportErrorKind::Refused
        | TransportErrorKind::Reset
        | TransportErrorKind::Closed
        | TransportErrorKind::NotHttp
        | TransportErrorKind::HeadTooLarge
        | TransportErrorKind::ShuttingDown
        | TransportErrorKind::Other => Says::Nothing,
    };
    without_answer(endpoint, phase, None, says)
}

fn without_answer(endpoint: Endpoint, phase: Phase, status: Option<u16>, says: Says) -> Failure {
    Failure {
        endpoint,
        phase,
        status,
        origin: Origin::Transport,
        says,
        retry_after: None,
        reset_at: None,
        limit_spent: false,
    }
}

pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(http::header::CONTENT_TYPE)?.to_str().ok()
}

pub(crate) fn limits(headers: &HeaderMap) -> LimitHeaders {
    LimitHeaders::read(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// Bodies without JSON that the application's own server writes.
const SERVER_TEXTS: [&str; 3] =
    ["Internal Server Error", "Service Unavailable", "Invalid HTTP request received."];

/// Who speaks, and what is said.
fn speaker(endpoint: Endpoint, status: u16, body: &ErrorBody) -> (Origin, Says) {
    let origin = origin(endpoint, body);
    let says = match endpoint {
        Endpoint::Inference | Endpoint::Account | Endpoint::Public => of_chutes(status, body),
        Endpoint::Provider => provider::says(status, body),
    };
    match origin {
        Origin::Application => (origin, says),
        // Some services answer with a bare sentence.
        _ if endpoint == Endpoint::Provider && body.shape == ErrorShape::Text => match says {
            Says::PrefillRefused | Says::OutOfCredit | Says::KeyRefused | Says::Capacity => {
                (Origin::Application, says)
            }
            Says::ContextTooLong | Says::ModelNotFound if status != 404 => {
                (Origin::Application, says)
            }
            _ => (origin, Says::Nothing),
        },
        _ => (origin, Says::Nothing),
    }
}

fn origin(endpoint: Endpoint, body: &ErrorBody) -> Origin {
    match body.shape {
        // A load balancer of theirs may speak JSON, too, but so do many services in shapes of their own.
        ErrorShape::OtherJson if endpoint == Endpoint::Provider => Origin::Application,
        ErrorShape::DetailText
        | ErrorShape::DetailObject
        | ErrorShape::DetailList
        | ErrorShape::NestedText
        | ErrorShape::OpenAi
        | ErrorShape::ErrorText => Origin::Application,
        ErrorShape::Text if SERVER_TEXTS.contains(&body.message.as_str()) => Origin::Application,
        ErrorShape::Text | ErrorShape::OtherJson | ErrorShape::Html | ErrorShape::Empty => {
            Origin::Edge
        }
    }
}

/// The whole text.
const WHOLE: [(&str, Says); 21] = [
    ("Infrastructure is at maximum capacity, try again later", Says::Capacity),
    ("Instance is at maximum capacity, try again later", Says::Capacity),
    ("infra_overload", Says::Capacity),
    ("exhausted all available targets to no avail", Says::TargetsExhausted),
    ("No infrastructure available to serve request", Says::TargetsExhausted),
    ("No result returned from upstream", Says::TargetsExhausted),
    ("Subscription usage cap exceeded. Please add balance to continue.", Says::SubscriptionCap),
    ("TEE models require an active subscription or positive balance.", Says::NotCoveredByPlan),
    ("This model requires a higher subscription tier or positive balance.", Says::NotCoveredByPlan),
    (
        "Invalid free model, please select from the updated list of current chutes free models",
        Says::NotCoveredByPlan,
    ),
    ("This chute is currently disabled.", Says::ModelDisabled),
    ("model is under maintenance", Says::ModelDisabled),
    ("External execution is currently unavailable.", Says::Nothing),
    ("No matching chute found!", Says::ModelNotFound),
    ("Chute not found, or does not belong to you", Says::ModelNotFound),
    // Evidence and end-to-end encryption (api.md 3.8, 3.9).
    ("Chute not found", Says::ModelNotFound),
    ("No active instances found for this chute", Says::NoInstances),
    ("No E2E-capable instances available", Says::NoInstances),
    ("Rate limit exceeded. Try again later.", Says::PlatformLimit),
    ("bad request, naughty naughty", Says::ContentFilter),
    ("Already borrowed", Says::EngineHiccup),
];

/// The beginning of the text; the rest names an amount, a model or a chute.
const BEGINNING: [(&str, Says); 6] = [
    ("Quota exceeded and account balance is $", Says::DayQuotaUsedUp),
    ("Free models limit reached for today", Says::FreeModelLimit),
    ("No instances available (yet) for chute_id=", Says::NoInstances),
    ("model not found: ", Says::ModelNotFound),
    // The braces are in the answer: whoever owns the chute cannot pay for it. Another account does not help.
    ("Chute unavailable because the creator of this chute ", Says::ModelDisabled),
    ("Invalid request: Already borrowed", Says::EngineHiccup),
];

/// How a broken stream begins its last line.
const STREAM_PREFIX: &str = "Unhandled exception during response stream: ";

fn of_chutes(status: u16, body: &ErrorBody) -> Says {
    let message = body.message.strip_prefix(STREAM_PREFIX).unwrap_or(&body.message);
    if let Some((_, says)) = WHOLE.iter().find(|(text, _)| *text == message) {
        return *says;
    }
    if let Some((_, says)) = BEGINNING.iter().find(|(text, _)| message.starts_with(text)) {
        return *says;
    }
    match body.code.as_deref() {
        Some("infra_overload") => return Says::Capacity,
        Some("context_length_exceeded") => return Says::ContextTooLong,
        Some("content_filter" | "content_policy_violation") => return Says::ContentFilter,
        _ => {}
    }
    if matches!(status, 200 | 400 | 413 | 422) && is_context_overflow(message) {
        return Says::ContextTooLong;
    }
    Says::Nothing
}

/// Whether an engine says that the prompt is longer than it can take. sglang and vLLM word it differently and
/// change their words, so this asks for a number, for what is too long, and for what it is compared with.
fn is_context_overflow(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    let has_number = lower.bytes().any(|byte| byte.is_ascii_digit());
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let limit = any(&[
        "context length",
        "context window",
        "context size",
        "context_length",
        "maximum context",
        "model length",
        "max_model_len",
        "maximum sequence length",
        "maximum input length",
        "maximum number of tokens",
    ]);
    let excess = any(&[
        "longer than",
        "exceed",
        "too long",
        "too large",
        "greater than",
        "reduce the length",
        "maximum context length is",
        "larger than",
    ]);
    let subject = any(&["token", "prompt", "input", "messages"]);
    let plain = any(&["prompt is too long", "input is too long", "prompt too long"]);
    plain || (has_number && limit && excess && subject)
}

#[cfg(test)]
mod tests;
