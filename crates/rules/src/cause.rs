//! What a failed attempt means. Never just its status code: Chutes says 429 for a full model and for a banned
//! account, 402 for four different shortages, and 200 for errors inside a stream (`chutes/api.md` 4.5, 5.2).
//!
//! The client crate reads bytes into a [`Failure`], a list of facts; [`classify`] turns the facts into a
//! [`Cause`]. What to do about it is in [`crate::recover`].

use crate::quota::WindowKind;
use crate::time::Wall;
use std::time::Duration;

/// How far the attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No connection. Nothing was sent.
    Connect,
    /// The request was under way; not all of it had been sent.
    Send,
    /// All of it had been sent, and no status line came. It may have been billed.
    AwaitHead,
    /// A status line came.
    Head,
    /// A 200 came, and what followed was no useful event yet.
    FirstEvent,
    /// Useful bytes had come.
    Stream,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The application: a JSON body of its known shapes, or its plain `Internal Server Error`.
    Application,
    /// Something in front of it: HTML, or a body it would not send.
    Edge,
    /// Nobody: the transport failed.
    Transport,
}

/// Which kind of endpoint was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Endpoint {
    /// Chat, completions, embeddings.
    #[default]
    Inference,
    /// `/users/me` and below.
    Account,
    /// Lists that need no key.
    Public,
    /// Chat, completions, embeddings at a service other than Chutes, which speaks OpenAI's dialect or something like it.
    Provider,
}

/// What the text of the answer says, recognised by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Says {
    /// Nothing that is recognised.
    #[default]
    Nothing,
    /// `Infrastructure is at maximum capacity`, `Instance is at maximum capacity`, `infra_overload`.
    Capacity,
    /// `exhausted all available targets`, `No infrastructure available`.
    TargetsExhausted,
    /// `Quota exceeded and account balance is …`.
    DayQuotaUsedUp,
    /// `Subscription usage cap exceeded`: the 4-hour or the month window, it does not say which.
    SubscriptionCap,
    /// The plan does not cover this model (TEE, tier).
    NotCoveredByPlan,
    /// `Free models limit reached for today`.
    FreeModelLimit,
    /// `No instances available (yet)`.
    NoInstances,
    /// `This chute is currently disabled`, `model is under maintenance`.
    ModelDisabled,
    /// `model not found`, `No matching chute found`.
    ModelNotFound,
    /// The prompt is longer than the model's context.
    ContextTooLong,
    /// The content was refused.
    ContentFilter,
    /// An engine hiccup that passes (`Already borrowed`).
    EngineHiccup,
    /// `Rate limit exceeded. Try again later.`: a limit that the whole platform shares (evidence), not the account's.
    PlatformLimit,
    /// A provider's own limit for the account: requests or tokens of a minute, or how many at once.
    RateLimit,
    /// The same for one model alone.
    ModelRateLimit,
    /// The account's money or bought quota at a provider is used up.
    OutOfCredit,
    /// The key is not accepted, whatever the status.
    KeyRefused,
    /// It does not go on where an assistant's message breaks off, so an answer cannot be continued there.
    PrefillRefused,
    /// A TLS, DNS or similar set-up error that a retry does not cure.
    Unreachable,
    /// No status line, first event or next event came in time.
    TimedOut,
}

/// The facts of a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind of endpoint was called.
    pub endpoint: Endpoint,
    /// How far it had come.
    pub phase: Phase,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// Who answered.
    pub origin: Origin,
    /// What the text says.
    pub says: Says,
    /// The wait that the answer asks for. Chutes itself never sends one.
    pub retry_after: Option<Duration>,
    /// The reset that the body names (402 day quota).
    pub reset_at: Option<Wall>,
    /// Whether a limit header says that nothing is left.
    pub limit_spent: bool,
}

/// What a failed attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The model is full. Other keys do not help.
    Capacity,
    /// The load balancers refuse the account for its rate.
    EdgeRateLimit,
    /// A provider refuses the account for its rate, and says so itself.
    RateLimited,
    /// A window is used up and the balance does not pay; `None` where the answer does not say which.
    WindowUsedUp(Option<WindowKind>),
    /// A provider's account has no money or bought quota left. Nothing turns by itself.
    OutOfCredit,
    /// The account may not use this model.
    NotEntitled,
    /// The account's free calls of the day are used up.
    FreeModelLimit,
    /// Nothing runs the model.
    Cold,
    /// The model is switched off.
    Disabled,
    /// No such model, as far as the answer tells.
    ModelNotFound,
    /// The key is not accepted for model calls.
    DeadKey,
    /// The key may not read the account. It may still call models.
    AccountUnreadable,
    /// The load balancers refuse the connection, whoever calls.
    EdgeBlock,
    /// The prompt does not fit the model.
    ContextTooLong,
    /// The content was refused.
    ContentFilter,
    /// The request is wrong.
    BadRequest,
    /// It may work the next time.
    Transient,
    /// Nothing came in time.
    Silent,
    /// The answer broke off after useful bytes.
    BrokenStream,
    /// The server cannot be reached, and will not be by trying again at once.
    Unreachable,
}

// === impl Cause ===

impl Cause {
    /// The name in records, metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::EdgeRateLimit => "edge_rate_limit",
            Self::RateLimited => "rate_limited",
            Self::WindowUsedUp(_) => "window_used_up",
            Self::OutOfCredit => "out_of_credit",
            Self::NotEntitled => "not_entitled",
            Self::FreeModelLimit => "free_model_limit",
            Self::Cold => "cold",
            Self::Disabled => "disabled",
            Self::ModelNotFound => "model_not_found",
            Self::DeadKey => "dead_key",
            Self::AccountUnreadable => "account_unreadable",
            Self::EdgeBlock => "edge_block",
            Self::ContextTooLong => "context_too_long",
            Self::ContentFilter => "content_filter",
            Self::BadRequest => "bad_request",
            Self::Transient => "transient",
            Self::Silent => "silent",
            Self::BrokenStream => "broken_stream",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What the failure means.
#[must_use]
pub fn classify(failure: &Failure) -> Cause {
    decide(failure).0
}

/// Whether the failure is one that is known, rather than one that was given a careful default for its status.
///
/// The default never blames the request for a status that speaks of the server, lets nothing rest for longer than the
/// status alone is worth, and is worth counting: a text that comes often should be recognised.
#[must_use]
pub fn is_recognised(failure: &Failure) -> bool {
    decide(failure).1
}

/// The cause, and whether it is more than a guess.
fn decide(failure: &Failure) -> (Cause, bool) {
    if failure.phase == Phase::Stream {
        return (Cause::BrokenStream, true);
    }
    // What the text says is surer than the status: the same text comes with 429, 500, or inside a 200.
    if failure.origin == Origin::Application
        && let Some(cause) = by_text(failure)
    {
        return (cause, true);
    }
    let Some(status) = failure.status.filter(|_| failure.origin != Origin::Transport) else {
        return (by_transport(failure), true);
    };
    match (failure.endpoint, failure.origin) {
        (Endpoint::Provider, _) if status == 402 && failure.retry_after.is_some() => {
            (Cause::RateLimited, true)
        }
        (Endpoint::Provider, Origin::Application) => by_status_of_provider(status),
        (Endpoint::Provider, _) => by_status_before_provider(status),
        (_, Origin::Application) => by_status_of_chutes(status, failure.endpoint),
        (_, _) => by_status_of_edge(status, failure.endpoint),
    }
}

/// An answer of Chutes' own program without a known text.
const fn by_status_of_chutes(status: u16, endpoint: Endpoint) -> (Cause, bool) {
    let is_account = matches!(endpoint, Endpoint::Account);
    match status {
        // The engines' complaints about a request are many and change.
        400 | 413 | 422 | 426 => (Cause::BadRequest, true),
        401 | 403 if is_account => (Cause::AccountUnreadable, true),
        401 => (Cause::DeadKey, true),
        402 => (Cause::WindowUsedUp(None), false),
        // An OAuth token without the scope is the only one that is known.
        403 => (Cause::NotEntitled, true),
        // The application's own are all known by their text, so the likeliest is a limit before it.
        429 => (Cause::EdgeRateLimit, false),
        408 | 425 => (Cause::Transient, false),
        500 | 502 | 503 | 504 => (Cause::Transient, true),
        501.. => (Cause::Transient, false),
        // A 200 whose first event is an error without a known text.
        0..=299 => (Cause::Transient, false),
        300..=399 => (Cause::Unreachable, false),
        _ => (Cause::BadRequest, false),
    }
}

/// An answer of something in front of Chutes: a page, a bare status, a body that the application would not send.
const fn by_status_of_edge(status: u16, endpoint: Endpoint) -> (Cause, bool) {
    match status {
        // A page with a 403 refuses the connection, whoever calls; it says nothing of a key.
        401 if matches!(endpoint, Endpoint::Account) => (Cause::AccountUnreadable, false),
        402 => (Cause::WindowUsedUp(None), false),
        403 => (Cause::EdgeBlock, true),
        429 => (Cause::EdgeRateLimit, true),
        401 | 407 | 451 => (Cause::EdgeBlock, false),
        // The request is larger, or worse formed, than what stands between lets through.
        400 | 413 | 414 | 415 | 422 | 431 => (Cause::BadRequest, false),
        // Not the service that was meant.
        300..=399 | 404 | 405 | 410 => (Cause::Unreachable, false),
        500 | 502 | 503 | 504 => (Cause::Transient, true),
        // Something between, give it a moment.
        _ => (Cause::Transient, false),
    }
}

/// A provider's answer in JSON, without a known text or code. OpenAI's statuses mean much the same everywhere.
const fn by_status_of_provider(status: u16) -> (Cause, bool) {
    match status {
        400 | 413 | 422 => (Cause::BadRequest, true),
        401 => (Cause::DeadKey, true),
        402 => (Cause::OutOfCredit, true),
        403 => (Cause::NotEntitled, false),
        // A model that has gone, or a base address with a mistake in it: another one may serve.
        404 | 410 => (Cause::ModelNotFound, false),
        405 => (Cause::Unreachable, false),
        429 => (Cause::RateLimited, true),
        // Groq's for its flexible tier, Anthropic's for everybody.
        498 | 529 => (Cause::Capacity, true),
        500 | 502 | 503 | 504 => (Cause::Transient, true),
        408 | 409 | 423..=425 | 499 | 501.. => (Cause::Transient, false),
        0..=299 => (Cause::Transient, false),
        300..=399 => (Cause::Unreachable, false),
        _ => (Cause::BadRequest, false),
    }
}

/// An answer without JSON at a provider's address: its load balancer, or a server that knows no better.
const fn by_status_before_provider(status: u16) -> (Cause, bool) {
    match status {
        401 => (Cause::DeadKey, false),
        402 => (Cause::OutOfCredit, false),
        403 => (Cause::EdgeBlock, true),
        407 | 451 => (Cause::EdgeBlock, false),
        429 => (Cause::RateLimited, true),
        498 | 529 => (Cause::Capacity, true),
        400 | 413 | 414 | 415 | 422 | 431 => (Cause::BadRequest, false),
        300..=399 | 404 | 405 | 410 => (Cause::Unreachable, false),
        500 | 502 | 503 | 504 => (Cause::Transient, true),
        _ => (Cause::Transient, false),
    }
}

fn by_text(failure: &Failure) -> Option<Cause> {
    Some(match failure.says {
        Says::Nothing | Says::TimedOut => return None,
        Says::Capacity => Cause::Capacity,
        Says::TargetsExhausted => {
            // Fewer than three instances, or three tried: either way this model, this moment. Not asked as often as a full
            // one, which refuses at the door: this may be a request that kills engines, and seven failures in a row
            // take an instance away from everybody (recordings, D36).
            Cause::Transient
        }
        Says::DayQuotaUsedUp => Cause::WindowUsedUp(Some(WindowKind::Day)),
        Says::SubscriptionCap => Cause::WindowUsedUp(None),
        Says::NotCoveredByPlan => Cause::NotEntitled,
        Says::FreeModelLimit => Cause::FreeModelLimit,
        Says::NoInstances => Cause::Cold,
        Says::ModelDisabled => Cause::Disabled,
        Says::ModelNotFound => Cause::ModelNotFound,
        Says::ContextTooLong => Cause::ContextTooLong,
        Says::ContentFilter => Cause::ContentFilter,
        Says::EngineHiccup | Says::PlatformLimit => Cause::Transient,
        Says::RateLimit | Says::ModelRateLimit => Cause::RateLimited,
        // Some call a limit of the minute a quota. What comes back by itself is no empty account.
        Says::OutOfCredit if failure.retry_after.is_some() => Cause::RateLimited,
        Says::OutOfCredit => Cause::OutOfCredit,
        Says::KeyRefused if failure.endpoint == Endpoint::Account => Cause::AccountUnreadable,
        Says::KeyRefused => Cause::DeadKey,
        Says::PrefillRefused if failure.status.is_some_and(|status| status >= 500) => {
            Cause::Transient
        }
        // The request's own; who goes on with a broken answer asks `says` and knows that this way is closed.
        Says::PrefillRefused => Cause::BadRequest,
        Says::Unreachable => Cause::Unreachable,
    })
}

const fn by_transport(failure: &Failure) -> Cause {
    match (failure.says, failure.phase) {
        (Says::Unreachable, _) => Cause::Unreachable,
        (Says::TimedOut, Phase::AwaitHead | Phase::FirstEvent) => Cause::Silent,
        _ => Cause::Transient,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn answer(status: u16, origin: Origin, says: Says) -> Failure {
        Failure {
            endpoint: Endpoint::Inference,
            phase: Phase::Head,
            status: Some(status),
            origin,
            says,
            retry_after: None,
            reset_at: None,
            limit_spent: false,
        }
    }

    fn transport(phase: Phase, says: Says) -> Failure {
        Failure { phase, status: None, ..answer(0, Origin::Transport, says) }
    }

    #[test]
    fn the_causes_table() {
        use Origin::{Application, Edge};
        let table = [
            (answer(429, Application, Says::Capacity), Cause::Capacity),
            (answer(500, Application, Says::TargetsExhausted), Cause::Transient),
            (answer(429, Edge, Says::Nothing), Cause::EdgeRateLimit),
            (answer(429, Application, Says::Nothing), Cause::EdgeRateLimit),
            (answer(402, Application, Says::SubscriptionCap), Cause::WindowUsedUp(None)),
            (
                answer(402, Application, Says::DayQuotaUsedUp),
                Cause::WindowUsedUp(Some(WindowKind::Day)),
            ),
            (answer(402, Application, Says::NotCoveredByPlan), Cause::NotEntitled),
            (answer(402, Application, Says::Nothing), Cause::WindowUsedUp(None)),
            (answer(429, Application, Says::FreeModelLimit), Cause::FreeModelLimit),
            (answer(503, Application, Says::NoInstances), Cause::Cold),
            (answer(503, Application, Says::ModelDisabled), Cause::Disabled),
            (answer(404, Application, Says::ModelNotFound), Cause::ModelNotFound),
            // `No matching cord found!`: the path or the type of `stream` is wrong, not the model.
            (answer(404, Application, Says::Nothing), Cause::BadRequest),
            (answer(401, Application, Says::Nothing), Cause::DeadKey),
            (answer(403, Edge, Says::Nothing), Cause::EdgeBlock),
            (answer(403, Application, Says::Nothing), Cause::NotEntitled),
            // TEE was asked for and the model has none: this request's problem, nobody else's.
            (answer(426, Application, Says::Nothing), Cause::BadRequest),
            (answer(400, Application, Says::ContextTooLong), Cause::ContextTooLong),
            (answer(400, Application, Says::ContentFilter), Cause::ContentFilter),
            (answer(400, Application, Says::EngineHiccup), Cause::Transient),
            (answer(400, Application, Says::Nothing), Cause::BadRequest),
            (answer(413, Application, Says::Nothing), Cause::BadRequest),
            (answer(422, Application, Says::Nothing), Cause::BadRequest),
            (answer(500, Application, Says::Nothing), Cause::Transient),
            (answer(502, Edge, Says::Nothing), Cause::Transient),
            (answer(503, Application, Says::Nothing), Cause::Transient),
        ];
        for (failure, cause) in table {
            assert_eq!(classify(&failure), cause, "{failure:?}");
        }
    }

    #[test]
    fn an_error_in_the_first_event_of_a_200_is_what_its_text_says() {
        let first =
            |says| Failure { phase: Phase::FirstEvent, ..answer(200, Origin::Application, says) };
        assert_eq!(classify(&first(Says::Capacity)), Cause::Capacity);
        assert_eq!(classify(&first(Says::Nothing)), Cause::Transient);
    }

    #[test]
    fn a_401_on_the_account_endpoints_alone_is_no_dead_key() {
        let failure = Failure {
            endpoint: Endpoint::Account,
            ..answer(401, Origin::Application, Says::Nothing)
        };
        assert_eq!(classify(&failure), Cause::AccountUnreadable);
        // Nor is one that came from something in between.
        assert_eq!(classify(&answer(401, Origin::Edge, Says::Nothing)), Cause::EdgeBlock);
        // And a page with a 403 is the edge's, also where the account is asked: many have taken it for a dead key.
        let page = Failure { status: Some(403), origin: Origin::Edge, ..failure };
        assert_eq!(classify(&page), Cause::EdgeBlock);
    }

    #[test]
    fn transport_failures() {
        assert_eq!(classify(&transport(Phase::Connect, Says::Nothing)), Cause::Transient);
        assert_eq!(classify(&transport(Phase::Connect, Says::Unreachable)), Cause::Unreachable);
        assert_eq!(classify(&transport(Phase::AwaitHead, Says::Nothing)), Cause::Transient);
        assert_eq!(classify(&transport(Phase::AwaitHead, Says::TimedOut)), Cause::Silent);
        assert_eq!(classify(&transport(Phase::FirstEvent, Says::TimedOut)), Cause::Silent);
        assert_eq!(classify(&transport(Phase::Stream, Says::TimedOut)), Cause::BrokenStream);
    }

    fn of_provider(status: u16, origin: Origin, says: Says) -> Failure {
        Failure { endpoint: Endpoint::Provider, ..answer(status, origin, says) }
    }

    #[test]
    fn a_provider_speaks_for_itself() {
        use Origin::{Application, Edge};
        let table = [
            (of_provider(429, Application, Says::Nothing), Cause::RateLimited),
            (of_provider(429, Edge, Says::Nothing), Cause::RateLimited),
            (of_provider(429, Application, Says::OutOfCredit), Cause::OutOfCredit),
            (of_provider(429, Application, Says::Capacity), Cause::Capacity),
            (of_provider(402, Application, Says::Nothing), Cause::OutOfCredit),
            (of_provider(401, Application, Says::Nothing), Cause::DeadKey),
            // Perplexity's 401 is a page.
            (of_provider(401, Edge, Says::Nothing), Cause::DeadKey),
            (of_provider(400, Application, Says::KeyRefused), Cause::DeadKey),
            (of_provider(403, Application, Says::Nothing), Cause::NotEntitled),
            (of_provider(403, Edge, Says::Nothing), Cause::EdgeBlock),
            (of_provider(404, Application, Says::Nothing), Cause::ModelNotFound),
            (of_provider(404, Edge, Says::Nothing), Cause::Unreachable),
            (of_provider(529, Application, Says::Nothing), Cause::Capacity),
            (of_provider(498, Application, Says::Nothing), Cause::Capacity),
            (of_provider(503, Application, Says::NoInstances), Cause::Cold),
            (of_provider(400, Application, Says::PrefillRefused), Cause::BadRequest),
            (of_provider(301, Edge, Says::Nothing), Cause::Unreachable),
        ];
        for (failure, cause) in table {
            assert_eq!(classify(&failure), cause, "{failure:?}");
        }
    }

    #[test]
    fn what_is_only_guessed_says_so() {
        use Origin::{Application, Edge};
        for failure in [
            answer(429, Application, Says::Nothing),
            answer(402, Application, Says::Nothing),
            answer(404, Application, Says::Nothing),
            answer(418, Application, Says::Nothing),
            answer(521, Edge, Says::Nothing),
            answer(404, Edge, Says::Nothing),
            of_provider(404, Application, Says::Nothing),
            of_provider(409, Application, Says::Nothing),
        ] {
            assert!(!is_recognised(&failure), "{failure:?}");
        }
        for failure in [
            answer(429, Application, Says::Capacity),
            answer(429, Edge, Says::Nothing),
            answer(502, Edge, Says::Nothing),
            of_provider(429, Application, Says::Nothing),
            transport(Phase::Connect, Says::Nothing),
        ] {
            assert!(is_recognised(&failure), "{failure:?}");
        }
    }

    const EVERY_SAYS: [Says; 21] = [
        Says::Nothing,
        Says::Capacity,
        Says::TargetsExhausted,
        Says::DayQuotaUsedUp,
        Says::SubscriptionCap,
        Says::NotCoveredByPlan,
        Says::FreeModelLimit,
        Says::NoInstances,
        Says::ModelDisabled,
        Says::ModelNotFound,
        Says::ContextTooLong,
        Says::ContentFilter,
        Says::EngineHiccup,
        Says::PlatformLimit,
        Says::RateLimit,
        Says::ModelRateLimit,
        Says::OutOfCredit,
        Says::KeyRefused,
        Says::PrefillRefused,
        Says::Unreachable,
        Says::TimedOut,
    ];

    #[test]
    fn a_server_that_failed_is_never_the_callers_mistake() {
        let endpoints =
            [Endpoint::Inference, Endpoint::Account, Endpoint::Public, Endpoint::Provider];
        for endpoint in endpoints {
            for origin in [Origin::Application, Origin::Edge, Origin::Transport] {
                for says in EVERY_SAYS {
                    for status in 500..=u16::MAX {
                        let failure = Failure { endpoint, ..answer(status, origin, says) };
                        assert_ne!(classify(&failure), Cause::BadRequest, "{failure:?}");
                    }
                }
            }
        }
    }
}
