//! What a failed probe means, and what the gateway would do about it.

use http::header::CONTENT_TYPE;
use ripcord_client::classify::{self, FailedAnswer};
use ripcord_rules::cause::{Cause, Endpoint, Phase, classify};
use ripcord_rules::time::Wall;
use ripcord_wire::chat::ChatCompletion;
use ripcord_wire::error::ErrorBody;
use schemars::JsonSchema;
use serde::Serialize;

use super::request::{Answer, Outcome};
use crate::exit::Exit;
use crate::troubleshooting;

/// A failure with what it means.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FailureReport {
    /// What it means, in a word: `capacity`, `window_used_up`, `dead_key` …
    pub(super) cause: &'static str,
    /// What the answer says, cleaned and shortened.
    pub(super) message: String,
    /// What it means, in a sentence.
    pub(super) means: &'static str,
    /// What the gateway would do about it: the end of a sentence that begins with "Ripcord would".
    pub(super) ripcord_would: &'static str,
    /// When the answer says that it may work again, UTC.
    pub(super) reset_at: Option<String>,
    /// The command that explains it.
    pub(super) see: String,
    #[serde(skip)]
    exit: Exit,
}

// === impl FailureReport ===

impl FailureReport {
    /// `None` if the model answered.
    pub(super) fn new(outcome: &Outcome, now: Wall) -> Option<Self> {
        let (cause, message, anchor, reset_at) = match &outcome.answer {
            Err(problem) => {
                let failure = classify::transport(Endpoint::Inference, problem, Phase::Head);
                let anchor = troubleshooting::anchor_of_transport(problem.kind());
                (classify(&failure), problem.kind().to_string(), anchor, None)
            }
            Ok(answer) => {
                let body = unanswered(answer)?;
                let failed = FailedAnswer {
                    endpoint: Endpoint::Inference,
                    status: answer.status,
                    headers: &answer.headers,
                    body: &answer.body,
                };
                let reset_at = body.reset_at.map(Wall::from_unix_micros);
                let cause = classify(&classify::answer(failed, now));
                let anchor = troubleshooting::anchor_of_answer(cause, &body.message);
                (cause, body.message, anchor, reset_at)
            }
        };
        let (means, ripcord_would) = words(cause);
        Some(Self {
            cause: cause.name(),
            message,
            means,
            ripcord_would,
            reset_at: reset_at.map(crate::printer::moment::utc),
            see: format!("ripcord doctor --explain {anchor}"),
            exit: exit(cause),
        })
    }

    /// The exit code it leads to.
    pub(super) const fn exit(&self) -> Exit {
        self.exit
    }
}

/// What the answer says if it is none of a model.
fn unanswered(answer: &Answer) -> Option<ErrorBody> {
    let is_success = (200..300).contains(&answer.status);
    let completion = serde_json::from_slice::<ChatCompletion>(&answer.body);
    if is_success && completion.is_ok_and(|completion| !completion.choices.is_empty()) {
        return None;
    }
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Some(ErrorBody::read(answer.status, content_type, &answer.body))
}

/// A clear "no" of Chutes, or something that does not tell.
const fn exit(cause: Cause) -> Exit {
    match cause {
        Cause::Capacity
        | Cause::EdgeRateLimit
        | Cause::RateLimited
        | Cause::WindowUsedUp(_)
        | Cause::OutOfCredit
        | Cause::NotEntitled
        | Cause::FreeModelLimit
        | Cause::Cold
        | Cause::Disabled
        | Cause::ModelNotFound
        | Cause::ContextTooLong
        | Cause::ContentFilter
        | Cause::BadRequest => Exit::No,
        Cause::DeadKey
        | Cause::AccountUnreadable
        | Cause::EdgeBlock
        | Cause::Transient
        | Cause::Silent
        | Cause::BrokenStream
        | Cause::Unreachable => Exit::Unknown,
    }
}

/// What it means, and what the gateway does about it.
const fn words(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Capacity => (
            "Every instance of this model is busy, for everybody. It is not your rate limit.",
            "wait a moment and ask again, on no other key: none would help.",
        ),
        Cause::EdgeRateLimit => (
            "The load balancers limit this account or address, not the program behind them.",
            "let the account rest: as long as Retry-After says, else 90 s, longer with each repetition; and ask another account.",
        ),
        Cause::WindowUsedUp(_) => (
            "A window of the account is used up, and the balance does not pay.",
            "let the account rest until the window turns, and ask another account.",
        ),
        Cause::RateLimited => (
            "The service limits how much this account may ask at a time.",
            "let the account rest as long as the answer says, and ask another one.",
        ),
        Cause::OutOfCredit => (
            "The account has no money or bought quota left at this service.",
            "not ask this account for 15 minutes, and ask another one.",
        ),
        Cause::NotEntitled => (
            "The plan or the token does not cover this model.",
            "not ask this account for this model for 15 minutes, and ask another account.",
        ),
        Cause::FreeModelLimit => (
            "The account's free calls of the day are used up; failed ones count, too.",
            "not ask this account for this model before 00:00 UTC.",
        ),
        Cause::Cold => (
            "No machine runs this model.",
            "let the model rest for a minute at least, and tell its callers so.",
        ),
        Cause::Disabled => (
            "The model is switched off, or its owner cannot pay for it.",
            "let the model rest for five minutes, and tell its callers so.",
        ),
        Cause::ModelNotFound => (
            "Chutes has no model of this name at this address, as far as this key sees.",
            "pass it on as a 404, with the names that come near.",
        ),
        Cause::DeadKey => (
            "Chutes does not accept the key, or it lacks the scope for models; the answer is the same.",
            "go on with the account's other keys, and try this one again from time to time.",
        ),
        Cause::AccountUnreadable => {
            ("The key may not read the account.", "go on, and mark the account as unguarded.")
        }
        Cause::EdgeBlock => (
            "The load balancers refuse the connection, whatever the key.",
            "ask once more over a new HTTP/1.1 connection, then say so.",
        ),
        Cause::ContextTooLong | Cause::ContentFilter | Cause::BadRequest => (
            "Chutes does not take the request as it is. It was built here, so the server has changed, or something in between has changed the request.",
            "pass it on unchanged, and not ask again.",
        ),
        Cause::Transient => (
            "Something failed that may work the next time.",
            "ask again after a moment, a few times at most.",
        ),
        Cause::Silent => (
            "Nothing came in time.",
            "give this attempt up and make another one, within the deadline of the request.",
        ),
        Cause::BrokenStream => (
            "The answer broke off.",
            "end the stream with an error event, never like a finished answer.",
        ),
        Cause::Unreachable => (
            "The host cannot be reached, and asking again at once will not change that.",
            "say so, and try with the next request.",
        ),
    }
}
