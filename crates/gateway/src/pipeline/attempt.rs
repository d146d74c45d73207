//! One attempt upstream: send, wait for something useful, or say what failed.

use super::call::{Call, Route};
use super::itinerary::Link;
use super::pacing;
use super::relay::Relay;
use super::source::Opening;
use super::watch::Break;
use crate::accounts::{AccountKey, without_key};
use crate::driver::gate::Permit;
use crate::shared::Shared;
use crate::story::Story;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ripcord_client::classify::{self, FailedAnswer};
use ripcord_client::transport::{Body, TransportError, TransportLimits};
use ripcord_rules::cause::{self, Cause, Endpoint, Failure, Origin, Phase, Says};
use ripcord_rules::time::Mono;
use ripcord_wire::chat::{ChoiceGlance, ChunkGlance};
use ripcord_wire::error::ErrorBody;
use std::sync::Arc;
use std::time::Duration;

/// What to ask whom.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) call: &'a Arc<Call>,
    pub(crate) link: &'a Link,
    pub(crate) key: &'a AccountKey,
    pub(crate) permit: &'a Permit,
    /// Until the first byte goes to the client.
    pub(crate) deadline: Option<Mono>,
    /// Over a connection of its own: the one before may have been the trouble.
    pub(crate) is_fresh: bool,
}

/// What came of it.
pub(crate) enum Arrived {
    /// A plain answer, whole.
    Whole { status: StatusCode, content_type: Option<HeaderValue>, bytes: Bytes },
    /// A stream whose first useful event is in hand.
    Stream { content_type: HeaderValue, relay: Box<Relay> },
}

/// Why nothing did.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// The upstream's own words, for errors that are the caller's.
    pub(crate) said: Option<(u16, ErrorBody)>,
    /// What to tell people.
    pub(crate) message: String,
}

/// The largest error body that is read.
const ERROR_BYTES: usize = 1 << 20;
/// The largest plain answer that is read.
const ANSWER_BYTES: usize = 64 << 20;

/// Makes one attempt.
pub(crate) async fn make(
    shared: &Arc<Shared>,
    order: Order<'_>,
    story: &mut Story,
) -> Result<Arrived, Failed> {
    let Order { call, link, deadline, is_fresh, .. } = order;
    let (target, path) = link.service.target(call.route);
    let request = request(shared, &order, &path)
        .map_err(|error| Failed::internal(format!("the request cannot be sent: {error}")))?;
    let body_bytes = request.body().len() as u64;
    let first_token = shared.health.first_token_limit(&link.key, body_bytes);
    let sent_at = shared.clock.mono();
    // A stream that is left costs nothing, so the deadline holds for it to the end.
    let until_deadline = |now: Mono| deadline.map_or(Duration::MAX, |deadline| deadline.since(now));
    let limits = TransportLimits {
        connect: shared.limits.connect,
        first_byte: if call.wants_stream {
            first_token.min(until_deadline(sent_at))
        } else {
            shared.limits.plain_answer.min(plain_patience(&order, sent_at))
        },
        // The relay has its own idea of a stall once an answer has begun.
        idle: shared.limits.stall.max(first_token),
        fresh_connection: is_fresh,
        ..TransportLimits::default()
    };
    let was_silent = || {
        let waited = shared.clock.mono().since(sent_at);
        shared.health.first_token_did_not_come(&link.key, body_bytes, waited);
    };
    let response = shared.transport.send_with(target, request, limits).await.map_err(|error| {
        let failed = Failed::transport(&error);
        if call.wants_stream && cause::classify(&failed.failure) == Cause::Silent {
            was_silent();
        }
        failed
    })?;
    story.answered(response.status().as_u16());
    pacing::hear(shared, &order, response.headers());
    if !response.status().is_success() {
        return Err(refused(shared, link, response).await);
    }
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    let is_stream =
        content_type.as_ref().and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
        });
    match content_type.filter(|_| is_stream) {
        Some(content_type) => {
            let mut relay = Box::new(Relay::new(shared, &order, response.into_body()));
            let now = shared.clock.mono();
            let patience = first_token.saturating_sub(now.since(sent_at)).min(until_deadline(now));
            match tokio::time::timeout(patience, relay.open()).await {
                Ok(Opening::Useful) => {
                    let took = shared.clock.mono().since(sent_at);
                    shared.health.first_token_came(&link.key, body_bytes, took);
                    Ok(Arrived::Stream { content_type, relay })
                }
                Ok(Opening::Broken(broken)) => {
                    Err(Failed::before_first_event(shared, link, broken))
                }
                Ok(Opening::Failed(error)) => Err(Failed::transport(&error)),
                Err(_) => {
                    was_silent();
                    Err(Failed::silent())
                }
            }
        }
        None => whole(shared, &order, response).await,
    }
}

fn request(shared: &Shared, order: &Order<'_>, path: &str) -> Result<Request<Bytes>, http::Error> {
    let body = order.link.outgoing(shared).bytes.clone();
    let mut request = Request::builder().method(Method::POST).uri(path).body(body)?;
    let headers = request.headers_mut();
    headers.extend(order.call.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    if order.call.tee_required && order.link.service.is_chutes() {
        headers.insert("x-tee-only", HeaderValue::from_static("true"));
    }
    if let Some(authorization) = &order.key.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Compressed events would lose their usage and arrive in lumps.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(request)
}

/// How long a plain answer may still take. It is billed also if it is left, so only a client that names a deadline has it cut
/// off there.
fn plain_patience(order: &Order<'_>, now: Mono) -> Duration {
    let deadline = order.deadline.filter(|_| order.call.names_deadline);
    deadline.map_or(Duration::MAX, |deadline| deadline.since(now))
}

/// A plain answer is read whole before any of it goes on, so that a broken one can be tried again.
async fn whole(
    shared: &Shared,
    order: &Order<'_>,
    response: Response<Body>,
) -> Result<Arrived, Failed> {
    let Order { call, link, .. } = *order;
    let (head, body) = response.into_parts();
    let patience = plain_patience(order, shared.clock.mono());
    let reading = Limited::new(body, ANSWER_BYTES).collect();
    let bytes = match tokio::time::timeout(patience, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Err(Failed::reading(error.as_ref())),
        Err(_) => return Err(Failed::silent()),
    };
    match ChunkGlance::read(&bytes) {
        Some(glance) if glance.error.is_some() => {
            Err(Failed::before_first_event(shared, link, Break::Error(bytes.as_ref().into())))
        }
        // Framed as nothing, a client of a stream would drop it.
        Some(_) if call.wants_stream => {
            Err(Failed::before_first_event(shared, link, Break::Malformed))
        }
        Some(glance) if !is_whole(call, &glance, &bytes) => {
            Err(Failed::before_first_event(shared, link, Break::EndedEarly))
        }
        Some(_) => Ok(Arrived::Whole {
            status: head.status,
            content_type: head.headers.get(CONTENT_TYPE).cloned(),
            bytes,
        }),
        None => Err(Failed::before_first_event(shared, link, Break::Malformed)),
    }
}

/// Whether a plain answer is one: all that was asked for, each with its end.
fn is_whole(call: &Call, answer: &ChunkGlance<'_>, bytes: &[u8]) -> bool {
    if call.route == Route::Embeddings {
        #[derive(serde::Deserialize)]
        struct Vectors {
            data: Vec<serde::de::IgnoredAny>,
        }
        return serde_json::from_slice::<Vectors>(bytes)
            .is_ok_and(|vectors| !vectors.data.is_empty());
    }
    let finished = |choice: &ChoiceGlance<'_>| {
        choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty())
    };
    let count = answer.choices().count() as u64;
    count >= call.choices.min(64) && answer.choices().all(finished)
}

async fn refused(shared: &Shared, link: &Link, response: Response<Body>) -> Failed {
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let bytes = match Limited::new(body, ERROR_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        // The status alone still says something.
        Err(_) => Bytes::new(),
    };
    let now = shared.clock.now().wall;
    let answer = FailedAnswer {
        endpoint: link.service.endpoint(),
        status,
        headers: &head.headers,
        body: &bytes,
    };
    let failure = classify::answer(answer, now);
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let said = ErrorBody::read(status, content_type, &bytes);
    let message = said.message.clone();
    Failed { failure, said: Some((said.inner_status.unwrap_or(status), said)), message }
}

impl Failed {
    /// Without the key that it was made with.
    pub(crate) fn without(mut self, key: &AccountKey) -> Self {
        let hidden = |text| without_key(text, key.authorization.as_ref());
        self.message = hidden(self.message);
        if let Some((_, said)) = &mut self.said {
            said.message = hidden(std::mem::take(&mut said.message));
            said.code = said.code.take().map(hidden);
            said.kind = said.kind.take().map(hidden);
            said.param = said.param.take().map(hidden);
        }
        self
    }

    fn internal(message: String) -> Self {
        let failure = Failure {
            endpoint: Endpoint::Inference,
            phase: Phase::Connect,
            status: None,
            origin: Origin::Transport,
            says: Says::Unreachable,
            retry_after: None,
            reset_at: None,
            limit_spent: false,
        };
        Self { failure, said: None, message }
    }

    fn transport(error: &TransportError) -> Self {
        let failure = classify::transport(Endpoint::Inference, error, Phase::FirstEvent);
        Self { failure, said: None, message: error.to_string() }
    }

    fn reading(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if error.is::<LengthLimitError>() {
            return Self::internal("the answer is larger than 64 MiB".to_owned());
        }
        match error.downcast_ref::<TransportError>() {
            Some(error) => Self::transport(error),
            None => Self::internal("the answer cannot be read".to_owned()),
        }
    }

    fn silent() -> Self {
        let mut failed = Self::internal("the model said nothing in time".to_owned());
        failed.failure.phase = Phase::FirstEvent;
        failed.failure.says = Says::TimedOut;
        failed
    }

    /// A 200 that turned out to be none.
    fn before_first_event(shared: &Shared, link: &Link, broken: Break) -> Self {
        let cut_short = |message: &str| Self {
            failure: classify::stream_cut_short(Phase::FirstEvent),
            said: None,
            message: message.to_owned(),
        };
        match broken {
            Break::Error(data) => {
                let said = ErrorBody::read(200, None, &data);
                let (endpoint, now) = (link.service.endpoint(), shared.clock.now().wall);
                Self {
                    failure: classify::stream_error(endpoint, &data, Phase::FirstEvent, now),
                    message: said.message.clone(),
                    said: Some((said.inner_status.unwrap_or(400), said)),
                }
            }
            Break::BeganAgain | Break::EndedEarly | Break::Diverged => {
                cut_short("the answer ended before it began")
            }
            Break::Malformed => cut_short("the answer cannot be read"),
        }
    }
}

impl Route {
    pub(crate) const fn upstream_path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
        }
    }
}
