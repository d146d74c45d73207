//! Every error the gateway answers with: one table of situation, status, code and what the client should do.

mod of_client;

use crate::accounts::budget::DailyBound;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use ripcord_rules::quota::WindowKind;
use ripcord_rules::time::Wall;
use ripcord_wire::openai_error::ErrorReply;
use std::time::Duration;

/// Read by the OpenAI SDKs before they retry.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An SDK that waits longer than this for a retry only looks hung.
const WORTH_WAITING: Duration = Duration::from_secs(60);
/// A model that is full stays so for a while, and its callers must not all come back at once.
const SHORTEST_FULL: Duration = Duration::from_secs(30);
/// A longer wait than this says nothing about a model that is merely full.
const LONGEST_FULL: Duration = Duration::from_secs(300);

/// An answer that is no answer of a model.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    reply: Box<ErrorReply>,
    retry_after: Option<Duration>,
    should_retry: bool,
    /// For records and metrics: what it was, in one word.
    pub(crate) cause: &'static str,
}

impl Refusal {
    /// A request that cannot be served as it is, whatever happens.
    pub(crate) fn of_request(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self {
            status,
            reply: Box::new(ErrorReply::new(status.as_u16(), code, message)),
            retry_after: None,
            should_retry: false,
            cause: code,
        }
    }

    pub(crate) fn with_reply(mut self, change: impl FnOnce(ErrorReply) -> ErrorReply) -> Self {
        let reply = std::mem::replace(&mut *self.reply, ErrorReply::new(500, "", ""));
        *self.reply = change(reply);
        self
    }

    /// When the way to an answer may be open again, if it opens by itself.
    pub(crate) const fn opens_in(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The same, and why nobody else serves either.
    pub(crate) fn beside(self, others: &str) -> Self {
        let message = format!("{} (not by others either: {others})", self.reply.message());
        self.with_message(&message)
    }

    fn waiting(
        status: StatusCode,
        code: &'static str,
        message: &str,
        retry_after: Option<Duration>,
    ) -> Self {
        let should_retry = retry_after.is_some_and(|wait| wait <= WORTH_WAITING);
        Self { retry_after, should_retry, ..Self::of_request(status, code, message) }
    }

    pub(crate) fn queue_full(queue: usize, wait: Option<Duration>) -> Self {
        let message = format!("all {queue} places in the queue are taken; try again in a moment");
        Self::waiting(
            StatusCode::TOO_MANY_REQUESTS,
            "queue_full",
            &message,
            Some(wait.unwrap_or(Duration::from_secs(5))),
        )
    }

    pub(crate) fn deadline(why: &str, retry_after: Option<Duration>) -> Self {
        let message = format!(
            "nothing could serve it before the deadline: {why}. Send `x-ripcord-deadline: SECONDS` to wait longer"
        );
        Self::waiting(StatusCode::TOO_MANY_REQUESTS, "deadline", &message, retry_after)
    }

    /// The wait in the queue is not likely to fit the deadline by far.
    pub(crate) fn too_long(wait: Duration) -> Self {
        let message = format!(
            "no slot is likely to come free before the deadline: the wait in the queue is about {} s. Send \
             `x-ripcord-deadline: SECONDS` to wait longer",
            wait.as_secs().max(1)
        );
        Self::waiting(StatusCode::TOO_MANY_REQUESTS, "deadline", &message, Some(wait))
    }

    pub(crate) fn window_exhausted(
        account: &str,
        window: Option<WindowKind>,
        reset_at: Option<Wall>,
        now: Wall,
    ) -> Self {
        let which = window.map_or_else(
            || "a window".to_owned(),
            |kind| format!("the {} window", kind.in_words()),
        );
        let message = format!("{which} of account `{account}` is used up{}", until(reset_at, now));
        Self::waiting(
            StatusCode::TOO_MANY_REQUESTS,
            "window_exhausted",
            &message,
            reset_at.map(|reset| reset.since(now)),
        )
        .with_window(window, reset_at)
    }

    pub(crate) fn paygo_not_allowed(
        account: &str,
        window: WindowKind,
        reset_at: Option<Wall>,
        now: Wall,
    ) -> Self {
        let message = format!(
            "the {} window of account `{account}` is (nearly) used up{}, and its balance would be charged from \
             here on. To allow that, write `paygo = \"allow\"` below [spending] in the configuration, or below this account's [[accounts]]",
            window.in_words(),
            until(reset_at, now)
        );
        Self {
            retry_after: reset_at.map(|reset| reset.since(now)),
            ..Self::of_request(StatusCode::PAYMENT_REQUIRED, "paygo_not_allowed", &message)
        }
        .with_window(Some(window), reset_at)
    }

    pub(crate) fn balance_too_low(account: &str) -> Self {
        let message = format!(
            "the balance of account `{account}` is below the minimum, and its plan does not cover this call; top it up, or \
             lower `min_balance`"
        );
        Self::of_request(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", &message)
    }

    pub(crate) fn daily_bound_reached(
        bound: &DailyBound,
        window: WindowKind,
        reset_at: Option<Wall>,
        now: Wall,
    ) -> Self {
        let (whose, change) = match &bound.client_key {
            Some(name) => (
                format!("for client key `{name}`"),
                "A key with another bound is made with `ripcord keys add`",
            ),
            None if bound.is_provider => {
                let message = format!(
                    "of the {} that provider `{}` may cost a day, {} is left, which is too little{}. To allow more, raise \
                     `daily_usd` below its [[providers]] in the configuration",
                    bound.bound,
                    bound.account,
                    bound.left,
                    until(reset_at, now)
                );
                return Self::of_bound(&message, window, reset_at, now);
            }
            None => (
                format!("of account `{}`", bound.account),
                "To allow more, raise `daily_usd` in `paygo = { daily_usd = … }` below [spending] in the configuration, or \
                 below this account's [[accounts]]",
            ),
        };
        let message = format!(
            "no window covers this call, and of the {} that the balance may pay a day {whose}, {} is left, which is too \
             little{}. {change}",
            bound.bound,
            bound.left,
            until(reset_at, now)
        );
        Self::of_bound(&message, window, reset_at, now)
    }

    /// A budget for a day is spent.
    fn of_bound(message: &str, window: WindowKind, reset_at: Option<Wall>, now: Wall) -> Self {
        Self {
            retry_after: reset_at.map(|reset| reset.since(now)),
            ..Self::of_request(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", message)
        }
        .with_window(Some(window), reset_at)
    }

    pub(crate) fn kept_for_interactive(
        account: &str,
        window: WindowKind,
        reset_at: Option<Wall>,
        now: Wall,
    ) -> Self {
        let message = format!(
            "what is left of the {} window of account `{account}` is kept for interactive work{}. Requests with \
             `x-ripcord-priority: interactive` may use it; `reserve` below [spending] in the configuration says how much \
             is kept",
            window.in_words(),
            until(reset_at, now)
        );
        Self::waiting(
            StatusCode::TOO_MANY_REQUESTS,
            "window_exhausted",
            &message,
            reset_at.map(|reset| reset.since(now)),
        )
        .with_window(Some(window), reset_at)
    }

    pub(crate) fn unknown_paid_today(account: &str) -> Self {
        let message = format!(
            "no window covers this call, and what the balance of account `{account}` has paid today cannot be read at the \
             moment, so it pays no more (`paygo = {{ daily_usd = … }}`)"
        );
        let wait = Some(Duration::from_secs(30));
        let refusal =
            Self::waiting(StatusCode::PAYMENT_REQUIRED, "paygo_not_allowed", &message, wait);
        // An SDK that asks again on a 402 only adds to the load.
        Self { should_retry: false, ..refusal }
    }

    pub(crate) fn unknown_budget(account: &str) -> Self {
        let message = format!(
            "the figures of account `{account}` cannot be read, and its configuration forbids spending that is not known \
             to be covered (`paygo = \"never\"` or `when_unknown = \"refuse\"`)"
        );
        Self::of_request(StatusCode::PAYMENT_REQUIRED, "paygo_not_allowed", &message)
    }

    /// `who` serves the model; `wait` is what it asked for.
    pub(crate) fn no_capacity(who: &str, model: &str, wait: Option<Duration>) -> Self {
        let message = format!(
            "{who} has no free capacity for `{model}` right now; other keys would not help"
        );
        let wait = wait.unwrap_or_default().clamp(SHORTEST_FULL, LONGEST_FULL);
        Self::resting("no_capacity", &message, wait)
    }

    pub(crate) fn model_cold(model: &str, rest: Duration) -> Self {
        let message =
            format!("no instance of `{model}` is running; it may take minutes to come up");
        Self::resting("model_cold", &message, rest)
    }

    pub(crate) fn model_down(who: &str, model: &str, rest: Duration) -> Self {
        let message = format!("`{model}` is switched off at {who}");
        Self::resting("model_down", &message, rest)
    }

    /// Worth another try, however long it takes: the model may have come up by then.
    fn resting(code: &'static str, message: &str, rest: Duration) -> Self {
        let wait = Some(rest.max(Duration::from_secs(1)));
        let refusal = Self::waiting(StatusCode::SERVICE_UNAVAILABLE, code, message, wait);
        Self { should_retry: true, ..refusal }
    }

    /// A provider has no such model; its models are in no list of ours.
    pub(crate) fn not_at_provider(who: &str, model: &str) -> Self {
        let message = format!("{who} has no model `{model}`");
        Self::of_request(StatusCode::NOT_FOUND, "model_not_found", &message)
            .with_reply(|reply| reply.with_param("model"))
    }

    pub(crate) fn model_not_found(model: &str, near: &[String]) -> Self {
        let mut message = format!("there is no model `{model}`");
        if let Some((first, rest)) = near.split_first() {
            message.push_str(&format!("; did you mean `{first}`"));
            rest.iter().for_each(|name| message.push_str(&format!(" or `{name}`")));
            message.push('?');
        } else {
            message.push_str("; `GET /v1/models` lists those there are");
        }
        Self::of_request(StatusCode::NOT_FOUND, "model_not_found", &message)
            .with_reply(|reply| reply.with_param("model"))
    }

    pub(crate) fn upstream_auth(who: &str, account: &str) -> Self {
        let message = format!(
            "{who} accepts none of the keys of account `{account}`; `ripcord doctor` tells which and why"
        );
        Self::of_request(StatusCode::BAD_GATEWAY, "upstream_auth", &message)
    }

    pub(crate) fn out_of_credit(account: &str) -> Self {
        let message = format!(
            "account `{account}` has no credit left at its provider; top it up there, or raise its limit"
        );
        Self::of_request(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", &message)
    }

    pub(crate) fn upstream_failed(message: &str) -> Self {
        let wait = Some(Duration::from_secs(2));
        Self::waiting(StatusCode::BAD_GATEWAY, "upstream_failed", message, wait)
    }

    pub(crate) fn timed_out(message: &str) -> Self {
        Self::of_request(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", message)
    }

    pub(crate) fn busy(message: &str) -> Self {
        let wait = Some(Duration::from_secs(5));
        Self::waiting(StatusCode::SERVICE_UNAVAILABLE, "busy", message, wait)
    }

    pub(crate) fn shutting_down() -> Self {
        let message = "the gateway is shutting down";
        let wait = Some(Duration::from_secs(5));
        Self::waiting(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message, wait)
    }

    fn with_window(self, window: Option<WindowKind>, reset_at: Option<Wall>) -> Self {
        self.with_reply(|mut reply| {
            if let Some(window) = window {
                reply = reply.with_window(window.name());
            }
            match reset_at {
                Some(reset) => reply.with_reset_at(reset.as_unix_micros()),
                None => reply,
            }
        })
    }

    /// The same with other words.
    pub(crate) fn with_message(self, message: &str) -> Self {
        self.with_reply(|reply| reply.with_message(message))
    }

    pub(crate) fn message(&self) -> &str {
        self.reply.message()
    }

    /// As an event of a stream that has begun.
    pub(crate) fn event(&self) -> Vec<u8> {
        let mut event = Vec::new();
        let reply = (*self.reply).clone();
        // There are no headers any more to say it in.
        match self.retry_after {
            Some(wait) => reply.with_retry_after(whole_seconds(wait)),
            None => reply,
        }
        .write_event(&mut event);
        event
    }

    pub(crate) fn into_response<B: From<bytes::Bytes>>(self) -> Response<B> {
        let mut response = Response::new(B::from(self.reply.to_json().into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            SHOULD_RETRY,
            HeaderValue::from_static(if self.should_retry { "true" } else { "false" }),
        );
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response
    }
}

/// Rounded up: a client that comes a moment early comes twice.
fn whole_seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}

fn until(reset_at: Option<Wall>, now: Wall) -> String {
    let Some(reset) = reset_at else { return String::new() };
    let minutes = reset.since(now).as_secs().div_ceil(60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!(" until its reset in {minutes} min"),
        (hours, minutes) => format!(" until its reset in {hours} h {minutes} min"),
    }
}
