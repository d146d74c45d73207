//! Inference: a call that passed the checks gets its answer, plain or streamed, or its fault.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::sync::oneshot;

use crate::{
    accounts::LimitHeaders,
    calls::{CallGuard, LogTicket},
    checks::{Admitted, CallKind, Stop, Turn, admit},
    clock::SECOND,
    connection::ConnectionControl,
    engine::{self, Answer},
    faults::{Fault, FaultKind},
    ids,
    instances::Segment,
    log::Ended,
    other_calls::{embeddings, picture, tokens},
    quota::Tokens,
    render::{Identity, Kind},
    reply::Reply,
    steps::{segment_steps, stream_steps, whole_steps},
    stream::StepBody,
    world::World,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: Host,
    /// The first label of a chute's own host.
    pub(crate) slug: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) body_sha256: String,
}

/// The first label of the `Host` header, which decides a few answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Llm,
    Embed,
    Image,
    Api,
    /// A chute's own host.
    Slug,
    Other,
}

impl Host {
    /// The host, and the label of a chute's own one.
    pub(crate) fn read(headers: &HeaderMap) -> (Self, Option<String>) {
        let host = headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let host = host.split(':').next().unwrap_or_default();
        let (label, domain) = host.split_once('.').unwrap_or((host, ""));
        let known = match label {
            "llm" => Self::Llm,
            "embed" => Self::Embed,
            "image" => Self::Image,
            "api" => Self::Api,
            label if matches!(domain, "chutes.ai" | "localhost") => {
                return (Self::Slug, Some(label.to_owned()));
            }
            _ => Self::Other,
        };
        (known, None)
    }
}

/// What goes back.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Reply, LogTicket),
    Steps {
        reply: Reply,
        body: Box<StepBody>,
        streamed: bool,
    },
    /// No status line: the connection is reset.
    Reset(LogTicket),
}

/// Serves one call. A list of models is tried in turn while the answer is 429 or 503; when all of
/// them fail the first of these answers goes back.
pub(crate) async fn serve(
    world: &Arc<World>,
    incoming: &Incoming,
    connection: &Arc<ConnectionControl>,
    mut ticket: LogTicket,
) -> Outcome {
    let mut first = None;
    let mut turn = Turn { member: 0, members: 1, tries: 0, billing: None };
    loop {
        match attempt(world, incoming, connection, ticket, &mut turn).await {
            Outcome::Reply(reply, returned) if fails_over(&reply) => {
                let reply = first.unwrap_or(reply);
                if turn.member + 1 >= turn.members {
                    return Outcome::Reply(reply, returned);
                }
                first = Some(reply);
                ticket = returned;
                turn.member += 1;
            }
            other => return other,
        }
    }
}

fn fails_over(reply: &Reply) -> bool {
    !reply.from_edge
        && matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

async fn attempt(
    world: &Arc<World>,
    incoming: &Incoming,
    connection: &Arc<ConnectionControl>,
    ticket: LogTicket,
    turn: &mut Turn,
) -> Outcome {
    let admitted = match admit(world, incoming, &ticket, turn) {
        Ok(admitted) => admitted,
        Err(Stop::Reply(reply)) => return Outcome::Reply(*reply, ticket),
        Err(Stop::Fault(fault)) => {
            ticket.note(|entry| entry.fault = Some(fault.kind));
            return refuse(&fault, "", None, ticket).await;
        }
    };
    let invocation_id = ids::uuid("invocation", &world.next_id());
    let trace = incoming
        .headers
        .get("x-chutes-trace")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
        .then(|| admitted.trace(&invocation_id, world.now()));
    let outcome = dispatch(world, incoming, connection, admitted, invocation_id, ticket).await;
    match trace {
        Some(trace) => trace.wrap(outcome, connection),
        None => outcome,
    }
}

/// What a call that passed every check comes to.
async fn dispatch(
    world: &Arc<World>,
    incoming: &Incoming,
    connection: &Arc<ConnectionControl>,
    admitted: Admitted,
    invocation_id: String,
    ticket: LogTicket,
) -> Outcome {
    if let Some(refusal) = admitted.course.refusal {
        let text = admitted.fault.as_ref().and_then(|fault| fault.text.as_deref());
        return Outcome::Reply(refusal.reply(text), ticket);
    }
    if let Some(fault) = &admitted.fault
        && !fault.kind.is_in_body()
        && fault.kind != FaultKind::SlowFirstToken
    {
        let fault = fault.clone();
        return refuse(&fault, &admitted.chute_id, Some(admitted.call), ticket).await;
    }
    let headers = success_headers(world, invocation_id, &admitted.headers);
    match admitted.kind {
        CallKind::Embedding => embeddings(admitted, headers, ticket),
        CallKind::Tokens => tokens(admitted, headers, ticket),
        CallKind::Picture => picture(admitted, headers, ticket),
        CallKind::Completion(kind) => {
            complete(world, incoming, connection, admitted, kind, headers, ticket).await
        }
    }
}

/// The answer a fault gives instead of one. Whoever waits here counts as running.
async fn refuse(
    fault: &Fault,
    chute_id: &str,
    call: Option<CallGuard>,
    ticket: LogTicket,
) -> Outcome {
    use FaultKind as K;
    let text = fault.text.as_deref();
    let reply = match fault.kind {
        K::ResetBeforeHeaders => return Outcome::Reset(ticket),
        K::Silent => {
            match fault.delay_ms {
                Some(delay) => tokio::time::sleep(Duration::from_millis(delay)).await,
                None => std::future::pending().await,
            }
            return Outcome::Reset(ticket);
        }
        K::Capacity => Reply::capacity(),
        K::EdgeRateLimit => Reply::edge_429(),
        K::EdgeForbidden => Reply::edge_403(),
        K::Cold => Reply::cold(chute_id),
        K::Disabled => Reply::disabled(),
        K::NoInfrastructure => Reply::server_error("No infrastructure available to serve request"),
        K::PlainServerError => Reply::plain_500(),
        K::ContextTooLong => Reply::long_prompt(text),
        _ => Reply::server_error(text.unwrap_or("exhausted all available targets to no avail")),
    };
    drop(call);
    Outcome::Reply(reply, ticket)
}

fn success_headers(
    world: &World,
    invocation_id: String,
    limits: &LimitHeaders,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![("x-chutes-invocationid", invocation_id)];
    if !world.scenario.quota_headers {
        return headers;
    }
    if let Some((total, used, remaining)) = limits.quota {
        headers.push(("x-chutes-quota-total", total.to_string()));
        headers.push(("x-chutes-quota-used", used.to_string()));
        headers.push(("x-chutes-quota-remaining", remaining.to_string()));
    }
    if limits.invoiced {
        headers.push(("x-chutes-invoice-billing", "true".to_owned()));
    }
    headers.push(("x-chutes-rl-user", limits.rate.clone()));
    headers
}

async fn complete(
    world: &Arc<World>,
    incoming: &Incoming,
    connection: &Arc<ConnectionControl>,
    admitted: Admitted,
    kind: Kind,
    headers: Vec<(&'static str, String)>,
    mut ticket: LogTicket,
) -> Outcome {
    let Admitted { mut call, model, fault, course, body, stream, .. } = admitted;
    let mut answer = engine::answer(&model, &body, &incoming.body_sha256);
    if let Some(fault) = fault.as_ref().filter(|fault| fault.kind == FaultKind::ContentFilter) {
        filter_content(&mut answer, fault.after_chunks.unwrap_or(0));
    }
    let identity = |world: &World| Identity {
        kind,
        fresh: world.next_id(),
        created_seconds: world.now().div_euclid(SECOND),
        model: model.name.clone(),
        running_usage: world.scenario.running_usage.then_some(answer.tokens),
    };
    let first = identity(world);
    let mut delay = Duration::from_millis(model.first_token_ms);
    if let Some(fault) = fault.as_ref().filter(|fault| fault.kind == FaultKind::SlowFirstToken) {
        delay += Duration::from_millis(fault.delay_ms.unwrap_or(1000));
    }
    let pace = (model.tokens_per_second > 0.0)
        .then(|| Duration::from_secs_f64(1.0 / model.tokens_per_second));
    let in_body = fault.as_ref().filter(|fault| fault.kind.is_in_body());
    if stream {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let steps = match in_body.filter(|fault| fault.kind == FaultKind::Instances) {
            Some(fault) => {
                segment_steps(&answer, &course.segments, pace, fault, || identity(world))
            }
            None => stream_steps(&answer, &first, pace, in_body, || identity(world)),
        };
        let mut reply =
            Reply::new(StatusCode::OK, "text/event-stream; charset=utf-8", Bytes::new());
        reply.headers = headers;
        reply.headers.push(("cache-control", "no-cache, no-transform".to_owned()));
        reply.headers.push(("x-accel-buffering", "no".to_owned()));
        let body = StepBody::new(steps, first, Arc::clone(connection), Some(call), ticket);
        return Outcome::Steps { reply, body: Box::new(body), streamed: true };
    }
    let tokens = answer.tokens;
    let whole = if course.segments.contains(&Segment::ErrorBody) {
        error_body(&model.name, tokens)
    } else {
        first.whole(&answer)
    };
    let mut reply = Reply::new(StatusCode::OK, crate::reply::JSON, whole.clone());
    reply.headers = headers;
    if let Some(fault) = in_body
        && matches!(fault.kind, FaultKind::Cut | FaultKind::Reset | FaultKind::Stall)
    {
        let steps = whole_steps(&whole, fault, tokens);
        let body = StepBody::new(steps, first, Arc::clone(connection), Some(call), ticket);
        return Outcome::Steps { reply, body: Box::new(body), streamed: false };
    }
    delay += pace.map_or(Duration::ZERO, |pace| {
        pace.saturating_mul(u32::try_from(tokens.completion).unwrap_or(u32::MAX))
    });
    // A plain call that the client leaves runs on and counts: it belongs to the emulator.
    let (done, finished) = oneshot::channel();
    let reference = ticket.reference();
    if delay.is_zero() {
        call.book(tokens, reference);
    } else {
        let stop = world.stop.clone();
        world.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => call.book(tokens, reference),
                () = stop.cancelled() => {}
            }
            drop(call);
            let _ = done.send(());
        });
        let _ = finished.await;
    }
    ticket.end(Ended::Complete);
    Outcome::Reply(reply, ticket)
}

/// An error object that an engine sent in place of an answer, with status 200.
fn error_body(model: &str, tokens: Tokens) -> Bytes {
    let body = json!({
        "error": { "object": "error", "message": "boom", "code": 500 },
        "model": model,
        "usage": {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "total_tokens": tokens.prompt + tokens.completion,
            "prompt_tokens_details": { "cached_tokens": tokens.cached },
        },
    });
    Bytes::from(body.to_string())
}

fn filter_content(answer: &mut Answer, keep: usize) {
    for choice in &mut answer.choices {
        choice.pieces.truncate(keep);
        choice.tool_calls.clear();
        choice.finish = "content_filter";
        choice.matched_stop = None;
    }
    answer.tokens.completion = answer.choices.iter().map(|choice| choice.pieces.len() as u64).sum();
}

/// What an account's fault does to a management request.
pub(crate) async fn management_fault(fault: &Fault, ticket: LogTicket) -> Outcome {
    refuse(fault, "", None, ticket).await
}
