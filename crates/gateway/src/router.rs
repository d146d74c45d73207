//! Every route, and the checks that stand before all of them.

use crate::admin;
use crate::bearers::Bearer;
use crate::body::AnswerBody;
use crate::callers::{ALLOWS_PRIVATE_NETWORK, ASKS_FOR_PRIVATE_NETWORK, Callers, EXPOSED};
use crate::clock::Clock;
use crate::pipeline::call::{Call, Route};
use crate::pipeline::early::{EarlyStream, Pending};
use crate::pipeline::{Answer, Decision, allowed, serve};
use crate::refusal::Refusal;
use crate::request_body;
use crate::shared::Shared;
use crate::story::Story;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_TYPE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use ripcord_rules::time::Mono;
use ripcord_rules::units::NanoUsd;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ripcord-request-id");
const MODEL: HeaderName = HeaderName::from_static("x-ripcord-model");
const ACCOUNT: HeaderName = HeaderName::from_static("x-ripcord-account");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-ripcord-attempts");
const UNGUARDED: HeaderName = HeaderName::from_static("x-ripcord-unguarded");
const TRIMMED: HeaderName = HeaderName::from_static("x-ripcord-trimmed");

/// Answers one request.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    callers: Arc<Callers>,
    peer: Option<SocketAddr>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let arrived = shared.clock.mono();
    let request_id = new_request_id();
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match callers.check(request.headers()) {
        Err(refusal) => refusal.into_response(),
        Ok(()) if request.method() == Method::OPTIONS => preflight(request.headers()),
        Ok(()) => match admitted(&shared, &callers, peer, request, arrived, &request_id).await {
            Ok(response) => response,
            Err(refusal) => {
                let status = refusal.status.as_u16();
                tracing::info!(request = %request_id, status, cause = refusal.cause, "refused");
                refusal.into_response()
            }
        },
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    // Checked above: an origin that comes this far is listed. Credentials are never allowed.
    if let Some(origin) = origin.filter(|origin| callers.lists(origin)) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    if !callers.origins.is_empty() {
        // Also without an origin: whatever keeps answers must not hand this one to a page.
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// What only those who run the gateway may see is looked after first.
async fn admitted(
    shared: &Arc<Shared>,
    callers: &Callers,
    peer: Option<SocketAddr>,
    request: Request<Incoming>,
    arrived: Mono,
    request_id: &Arc<str>,
) -> Result<Response<AnswerBody>, Refusal> {
    if matches!(request.uri().path(), "/-/status" | "/-/budget" | "/-/events" | "/metrics") {
        callers.check_admin(request.headers(), peer)?;
    }
    route(shared, request, arrived, request_id).await
}

async fn route(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    arrived: Mono,
    request_id: &Arc<str>,
) -> Result<Response<AnswerBody>, Refusal> {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    match (path.as_str(), &method) {
        ("/v1/chat/completions", &Method::POST) => {
            forward(shared, Route::ChatCompletions, request, arrived, request_id).await
        }
        ("/v1/completions", &Method::POST) => {
            forward(shared, Route::Completions, request, arrived, request_id).await
        }
        ("/v1/embeddings", &Method::POST) => {
            forward(shared, Route::Embeddings, request, arrived, request_id).await
        }
        ("/v1/models", &Method::GET) => {
            let bearer = bearer_of(shared, request.headers())?;
            Ok(json(StatusCode::OK, admin::models::list(shared, &bearer).await?))
        }
        (path, &Method::GET) if path.starts_with("/v1/models/") => {
            let bearer = bearer_of(shared, request.headers())?;
            let id = path.trim_start_matches("/v1/models/").replace("%2F", "/").replace("%2f", "/");
            Ok(json(StatusCode::OK, admin::models::one(shared, &bearer, &id).await?))
        }
        ("/", &Method::GET) => Ok(admin::welcome(shared, request.headers())),
        ("/-/health", &Method::GET) => {
            Ok(json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ok\"}")))
        }
        ("/-/ready", &Method::GET) => Ok(admin::ready(shared)),
        ("/-/events", &Method::GET) => admin::events::open(shared, request.headers()),
        ("/v1/quota-stats", &Method::GET) => {
            bearer_of(shared, request.headers())?;
            admin::quota_stats::show(shared, request.uri().query()).await
        }
        ("/v1/quota-stats", &Method::POST) => {
            bearer_of(shared, request.headers())?;
            let (head, body) = request.into_parts();
            let (bytes, _buffered) = request_body::read(shared, &head.headers, body).await?;
            admin::quota_stats::refresh(shared, &bytes).await
        }
        ("/-/budget", &Method::GET) => {
            admin::budget::answer(shared, request.headers(), request.uri().query()).await
        }
        ("/-/status", &Method::GET) => {
            let report = admin::status::report(shared, request.uri().query())?;
            Ok(json(StatusCode::OK, report))
        }
        ("/metrics", &Method::GET) => Ok(admin::metrics(shared)),
        (path, method) => Err(unknown(path, method)),
    }
}

/// Who calls, if anybody who may.
fn bearer_of(shared: &Shared, headers: &HeaderMap) -> Result<Arc<Bearer>, Refusal> {
    refuse_chutes_key(headers)?;
    shared.bearers.bearer_of(headers, shared.clock.now().wall)
}

async fn forward(
    shared: &Arc<Shared>,
    route: Route,
    request: Request<Incoming>,
    arrived: Mono,
    request_id: &Arc<str>,
) -> Result<Response<AnswerBody>, Refusal> {
    let (head, body) = request.into_parts();
    let bearer = bearer_of(shared, &head.headers)?;
    let now = shared.clock.now();
    let mut story = Story::begin(shared, Arc::clone(request_id), route.name());
    story.called_by(bearer.label.clone());
    let refuse = |refusal: Refusal, story: &mut Story| {
        story.refused(refusal.status.as_u16(), refusal.cause);
        refusal
    };
    match bearer.visit(now) {
        Ok(visit) => story.visits(visit),
        Err(full) => {
            let refusal = Refusal::of_share(&bearer, &full, NanoUsd::ZERO, now.wall);
            return Err(refuse(refusal, &mut story));
        }
    }
    let (bytes, buffered) = match request_body::read(shared, &head.headers, body).await {
        Ok(read) => read,
        Err(refusal) => return Err(refuse(refusal, &mut story)),
    };
    let call = match Call::read(shared, route, &head.headers, bytes, bearer, arrived) {
        Ok(call) => call,
        Err(refusal) => return Err(refuse(refusal, &mut story)),
    };
    story.asks_for(&call.requested_model, call.wants_stream);
    story.is_due(call.priority.name(), call.patience);
    if let Err(refusal) = allowed::check(shared, &call).await {
        return Err(refuse(refusal, &mut story));
    }
    let wants_stream = call.wants_stream;
    let waiting = Arc::clone(&call.waiting);
    let parts = Arc::clone(shared);
    let mut pending: Pending = Box::pin(async move {
        let _buffered = buffered;
        serve(parts, call, story).await
    });
    if !wants_stream {
        return pending.await.map(response);
    }
    let decision: Result<Decision, _> =
        tokio::time::timeout(shared.limits.heartbeat, &mut pending).await;
    match decision {
        Ok(decision) => decision.map(response),
        Err(_) => {
            let early = EarlyStream::new(pending, waiting, shared.limits.heartbeat);
            Ok(event_stream(AnswerBody::Early(Box::new(early))))
        }
    }
}

fn response(answer: Answer) -> Response<AnswerBody> {
    let is_stream = matches!(answer.body, AnswerBody::Relay(_));
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if let Some(content_type) = answer.content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if is_stream {
        stream_headers(headers);
    }
    for (name, value) in [(MODEL, &answer.model), (ACCOUNT, &answer.account)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers.insert(ATTEMPTS, HeaderValue::from(answer.attempts));
    if answer.unguarded {
        headers.insert(UNGUARDED, HeaderValue::from_static("true"));
    }
    if let Some(Ok(cut)) = answer.trimmed.map(|cut| HeaderValue::from_str(&cut.to_string())) {
        headers.insert(TRIMMED, cut);
    }
    response
}

/// An answer of server-sent events.
pub(crate) fn event_stream(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    stream_headers(headers);
    response
}

/// So that nothing between here and the client holds events back.
fn stream_headers(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}

pub(crate) fn json(status: StatusCode, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A client that sends a Chutes key would spend it past the gateway's accounts, or does not know that it need not.
fn refuse_chutes_key(headers: &HeaderMap) -> Result<(), Refusal> {
    let names = [AUTHORIZATION, HeaderName::from_static("x-api-key")];
    let sends_one = names
        .iter()
        .flat_map(|name| headers.get_all(name))
        .any(|value| value.as_bytes().windows(4).any(|part| part == b"cpk_"));
    if !sends_one {
        return Ok(());
    }
    let message = "this is Ripcord, not Chutes: it uses the accounts it was configured with. Remove your Chutes key from \
                   this client and give it the gateway's client key, or any other text where the gateway asks for none";
    Err(Refusal::of_request(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
}

fn unknown(path: &str, method: &Method) -> Refusal {
    const ROUTES: [(&str, &str); 11] = [
        ("/v1/chat/completions", "POST"),
        ("/v1/completions", "POST"),
        ("/v1/embeddings", "POST"),
        ("/v1/models", "GET"),
        ("/v1/quota-stats", "GET or POST"),
        ("/-/health", "GET"),
        ("/-/ready", "GET"),
        ("/-/status", "GET"),
        ("/-/events", "GET"),
        ("/-/budget", "GET"),
        ("/metrics", "GET"),
    ];
    if let Some((path, allowed)) = ROUTES.iter().find(|(known, _)| *known == path) {
        let message = format!("{path} takes {allowed}, not {method}");
        return Refusal::of_request(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
    }
    let message = if path.contains("/v1/v1/") {
        "the path has `/v1` twice; the client's base URL should end in `/v1` once, or not at all if the client adds it"
            .to_owned()
    } else if ROUTES.iter().any(|(known, _)| known.strip_prefix("/v1") == Some(path)) {
        format!("there is nothing at {path}; the base URL should end in `/v1`")
    } else if path == "/v1/responses" || path == "/v1/messages" {
        format!("{path} is not served; use /v1/chat/completions")
    } else {
        let paths: Vec<&str> = ROUTES.iter().map(|(known, _)| *known).collect();
        format!(
            "there is nothing at this path; the base URL for clients ends in `/v1`, and these exist: {}",
            paths.join(", ")
        )
    };
    Refusal::of_request(StatusCode::NOT_FOUND, "not_found", &message)
}

fn preflight(headers: &HeaderMap) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
    if headers.contains_key(ORIGIN) {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(asked) = headers.get("access-control-request-headers") {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        if headers.contains_key(ASKS_FOR_PRIVATE_NETWORK) {
            answer.insert(ALLOWS_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
    }
    response
}

/// The time in milliseconds, so that the ledger's rows come in order, and 80 random bits.
fn new_request_id() -> Arc<str> {
    static FALLBACK: AtomicU64 = AtomicU64::new(0);
    let milliseconds = Clock::local_wall().as_unix_micros() / 1_000;
    let mut random = [0_u8; 16];
    if getrandom::fill(&mut random[..10]).is_err() {
        // No randomness is no reason to mix two requests up.
        random[2..10].copy_from_slice(&FALLBACK.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    }
    let random = u128::from_be_bytes(random) >> 48;
    format!("req_{milliseconds:012x}{random:020x}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_of_one_length_in_order_and_never_the_same() {
        let ids: Vec<Arc<str>> = (0..1_000).map(|_| new_request_id()).collect();
        assert!(ids.iter().all(|id| id.len() == 36 && id.starts_with("req_")));
        assert!(ids.windows(2).all(|pair| pair[0][..16] <= pair[1][..16]));
        let different: std::collections::HashSet<&str> = ids.iter().map(|id| &**id).collect();
        assert_eq!(different.len(), ids.len());
    }

    #[test]
    fn a_wrong_path_says_what_is_wrong_with_it() {
        let message = |path| unknown(path, &Method::POST).message().to_owned();
        assert!(message("/v1/v1/chat/completions").contains("twice"));
        assert!(message("/chat/completions").contains("should end in `/v1`"));
        assert!(message("/v1/messages").contains("not served"));
        assert_eq!(unknown("/v1/models", &Method::POST).status, StatusCode::METHOD_NOT_ALLOWED);
    }
}
