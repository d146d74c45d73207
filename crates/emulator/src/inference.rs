//! Inference: the checks in the server's order, then the answer, plain or streamed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::{
    accounts::{self, LimitHeaders, Refusal, python_float},
    auth::{Caller, REQUIRED, Scope},
    catalogue::usd,
    clock::SECOND,
    connection::ConnectionControl,
    engine::{self, Answer},
    faults::{Fault, FaultKind},
    ids,
    log::Ended,
    quota::Tokens,
    render::{Identity, Kind},
    reply::Reply,
    routing,
    scenario::{ModelSpec, StateSpec, Template},
    stream::{StepBody, stream_steps, whole_steps},
    world::{CallGuard, LogTicket, State, World},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: Host,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) body_sha256: String,
}

/// The first label of the `Host` header, which decides a few answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Llm,
    Embed,
    Api,
    Other,
}

impl Host {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let host = headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
        let label = host.and_then(|host| host.split('.').next()).unwrap_or_default();
        match label.to_ascii_lowercase().as_str() {
            "llm" => Self::Llm,
            "embed" => Self::Embed,
            "api" => Self::Api,
            _ => Self::Other,
        }
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

/// Why a call goes no further.
#[derive(Debug)]
enum Stop {
    Reply(Box<Reply>),
    Fault(Box<Fault>),
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// A call that passed every check.
struct Admitted {
    call: CallGuard,
    model: ModelSpec,
    chute_id: String,
    headers: LimitHeaders,
    fault: Option<Fault>,
    body: Map<String, Value>,
    kind: CallKind,
    stream: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallKind {
    Completion(Kind),
    Embedding,
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
    let mut turn = Turn { member: 0, members: 1 };
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

/// Which member of a list is tried.
#[derive(Debug, Clone, Copy)]
struct Turn {
    member: usize,
    members: usize,
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
        Err(Stop::Fault(fault)) => return refuse(&fault, "", None, ticket).await,
    };
    if let Some(fault) = &admitted.fault
        && !fault.kind.is_in_body()
        && fault.kind != FaultKind::SlowFirstToken
    {
        let fault = fault.clone();
        return refuse(&fault, &admitted.chute_id, Some(admitted.call), ticket).await;
    }
    let headers = success_headers(world, &admitted.headers);
    match admitted.kind {
        CallKind::Embedding => embeddings(admitted, headers, ticket),
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
        K::ContextTooLong => Reply::engine_400(text.unwrap_or(
            "This model's maximum context length is 32768 tokens. However, you requested 40000 \
             tokens (39000 in the messages, 1000 in the completion). Please reduce the length of \
             the messages or completion.",
        )),
        _ => Reply::server_error(text.unwrap_or("exhausted all available targets to no avail")),
    };
    drop(call);
    Outcome::Reply(reply, ticket)
}

fn success_headers(world: &World, limits: &LimitHeaders) -> Vec<(&'static str, String)> {
    let id = world.next_id();
    let mut headers = vec![("x-chutes-invocationid", ids::uuid("invocation", &id))];
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

/// Every check, in the server's order.
fn admit(
    world: &Arc<World>,
    incoming: &Incoming,
    ticket: &LogTicket,
    turn: &mut Turn,
) -> Result<Admitted, Stop> {
    let now = world.now();
    let mut guard = world.state();
    let state = &mut *guard;
    let caller = Caller::read(&incoming.headers, state);
    let account_fault = if turn.member == 0 { edge(state, caller, now)? } else { None };
    let (account, _) = caller.require(Scope::Invoke, REQUIRED).map_err(Reply::unauthorized)?;
    let body = read_body(&incoming.body)?;
    check_regex(&body)?;
    let name = match body.get("model") {
        None => return Err(Reply::no_chute().into()),
        Some(Value::String(name)) if name.is_empty() => return Err(Reply::no_chute().into()),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err(Reply::plain_500().into()),
    };
    let members = routing::candidates(state, incoming, &name, account);
    turn.members = members.len();
    let model = *members
        .get(turn.member)
        .ok_or_else(|| Reply::not_found(&format!("model not found: {name}")))?;
    let spec = state.models[model].spec.clone();
    let chute_id = state.models[model].chute_id.clone();
    if spec.state == StateSpec::Disabled {
        return Err(Reply::disabled().into());
    }
    if incoming.headers.get("x-tee-only").is_some_and(|value| value == "true") && !spec.tee {
        return Err(Reply::detail(
            StatusCode::UPGRADE_REQUIRED,
            "This chute does not have TEE enabled. Please remove the X-TEE-Only header, or use a \
             TEE-enabled chute.",
        )
        .into());
    }
    let payer = &mut state.accounts[account];
    let (coverage, headers) = payer
        .admit(&spec, now, world.scenario.lag)
        .map_err(|refusal| refused(&refusal, &payer.payment_address(), now))?;
    check_messages(&body)?;
    let (kind, stream) = cord(incoming, &spec, &body)?;
    if spec.state == StateSpec::Cold {
        return Err(Reply::cold(&chute_id).into());
    }
    if is_full(state, model, &spec) {
        state.models[model].refused += 1;
        return Err(Reply::capacity().into());
    }
    let fault = account_fault.or_else(|| state.model_fault(model, now));
    if fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Capacity) {
        state.models[model].refused += 1;
    }
    let call =
        CallGuard::begin(world, state, (account, model), coverage.clone(), &incoming.body_sha256);
    let running = (state.accounts[account].in_flight, state.models[model].in_flight);
    drop(guard);
    ticket.note(|entry| {
        (entry.account_in_flight, entry.model_in_flight) = running;
        entry.coverage = Some(coverage);
        entry.stream = stream;
        entry.fault = fault.as_ref().map(|fault| fault.kind);
    });
    Ok(Admitted { call, model: spec, chute_id, headers, fault, body, kind, stream })
}

/// What the load balancers say before the application sees anything.
fn edge(state: &mut State, caller: Caller, now: i64) -> Result<Option<Fault>, Stop> {
    let Some(account) = caller.account() else { return Ok(None) };
    let running = &state.accounts[account];
    if running.max_at_once.is_some_and(|most| running.in_flight >= most) {
        return Err(Reply::edge_429().into());
    }
    let Some(fault) = state.account_fault(account, true, now) else { return Ok(None) };
    use FaultKind as K;
    match fault.kind {
        K::EdgeRateLimit
        | K::EdgeForbidden
        | K::Silent
        | K::ResetBeforeHeaders
        | K::PlainServerError => Err(Stop::Fault(Box::new(fault))),
        _ => Ok(Some(fault)),
    }
}

fn is_full(state: &mut State, model: usize, spec: &ModelSpec) -> bool {
    if spec.max_at_once.is_some_and(|most| state.models[model].in_flight >= most) {
        return true;
    }
    spec.state == StateSpec::Busy && (state.draw() as f64) < spec.busy_share * 1e6
}

fn refused(refusal: &Refusal, payment_address: &str, now: i64) -> Reply {
    match refusal {
        Refusal::FreeModelLimit => Reply::detail(
            StatusCode::TOO_MANY_REQUESTS,
            "Free models limit reached for today - maintain >= $10 balance or upgrade subscription \
             to pro to unlock more.",
        ),
        Refusal::TeeNeedsSubscription => Reply::detail(
            StatusCode::PAYMENT_REQUIRED,
            "TEE models require an active subscription or positive balance.",
        ),
        Refusal::CapExceeded => Reply::detail(
            StatusCode::PAYMENT_REQUIRED,
            "Subscription usage cap exceeded. Please add balance to continue.",
        ),
        Refusal::QuotaExceeded { balance_pico, has_quota } => {
            let balance = python_float(usd(*balance_pico));
            let message = format!(
                "Quota exceeded and account balance is ${balance}, please pay with fiat or send tao \
                 to {payment_address}"
            );
            let mut detail = json!({ "message": message });
            if *has_quota {
                detail["quota_reset_timestamp"] = json!(accounts::quota_reset(now));
            }
            Reply::detail_value(StatusCode::PAYMENT_REQUIRED, &detail)
        }
    }
}

/// The JSON object of a body, or the server's complaint about it.
fn read_body(body: &Bytes) -> Result<Map<String, Value>, Reply> {
    let invalid = |text: String| {
        Reply::detail(StatusCode::BAD_REQUEST, &format!("Invalid request JSON: {text}"))
    };
    if let Err(error) = std::str::from_utf8(body) {
        let at = error.valid_up_to();
        let byte = body.get(at).copied().unwrap_or_default();
        return Err(invalid(format!(
            "'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: invalid start byte"
        )));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Reply::plain_500()),
        Err(error) => {
            // Python counts columns from one and names the place where a value should begin.
            let line_start = body
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .nth(error.line().saturating_sub(2))
                .map_or(0, |(at, _)| if error.line() > 1 { at + 1 } else { 0 });
            let column = error.column() + usize::from(error.is_eof());
            let column = column.max(1);
            let at = line_start + column - 1;
            Err(invalid(format!(
                "Expecting value: line {} column {column} (char {at})",
                error.line().max(1)
            )))
        }
    }
}

/// Output by regular expression is refused, before the model is looked up.
fn check_regex(body: &Map<String, Value>) -> Result<(), Reply> {
    let nested = body.get("structured_outputs").and_then(|outputs| outputs.get("regex"));
    if nested.is_some() || ["regex", "guided_regex"].iter().any(|name| body.contains_key(*name)) {
        return Err(Reply::detail(
            StatusCode::BAD_REQUEST,
            "Regex-based structured output is temporarily disabled.",
        ));
    }
    let schema = body.get("response_format").and_then(|f| f.pointer("/json_schema/schema"));
    if schema.is_some_and(has_pattern) {
        return Err(Reply::detail(
            StatusCode::BAD_REQUEST,
            "Regex-based structured output (JSON schema 'pattern' fields) is temporarily disabled.",
        ));
    }
    Ok(())
}

/// The server's search: it takes a property named `pattern` for the keyword, and does not look into
/// the schemas of properties.
fn has_pattern(schema: &Value) -> bool {
    schema.get("pattern").is_some()
        || schema.pointer("/properties/pattern").is_some()
        || schema.get("items").is_some_and(has_pattern)
}

/// The guardrails on messages.
fn check_messages(body: &Map<String, Value>) -> Result<(), Reply> {
    let bad = |text: &str| Err(Reply::detail(StatusCode::BAD_REQUEST, text));
    let Some(messages) = body.get("messages").and_then(Value::as_array) else { return Ok(()) };
    for message in messages {
        if let Some(parts) = message.get("content").and_then(Value::as_array) {
            for part in parts {
                match part {
                    Value::Number(_) => return Err(Reply::plain_500()),
                    Value::String(text) if text.contains("file_url") => {
                        return bad("File content not currently supported");
                    }
                    Value::Object(part) if part.contains_key("file_url") => {
                        return bad("File content not currently supported");
                    }
                    _ => {}
                }
            }
        }
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
            if arguments.is_some_and(|text| serde_json::from_str::<Value>(text).is_err()) {
                return bad("Invalid tool_calls.function.arguments value, expected JSON");
            }
        }
    }
    Ok(())
}

/// Which function of the model serves the path, and whether it streams.
fn cord(
    incoming: &Incoming,
    spec: &ModelSpec,
    body: &Map<String, Value>,
) -> Result<(CallKind, bool), Reply> {
    // Numbers pass, as they do in Python: 1 is true and 0 is false.
    let stream = match body.get("stream") {
        None => false,
        Some(Value::Bool(stream)) => *stream,
        Some(value) if value == &json!(1) => true,
        Some(value) if value == &json!(0) => false,
        Some(_) => return Err(Reply::no_cord()),
    };
    let query_streams =
        incoming.query.split('&').any(|pair| pair.split('=').next() == Some("stream"));
    if query_streams {
        return Err(Reply::no_cord());
    }
    if stream && body.get("stream_options").is_some_and(|options| !options.is_object()) {
        return Err(Reply::plain_500());
    }
    let kind = match (spec.template, incoming.path.as_str()) {
        (Template::Vllm, "/v1/chat/completions") => CallKind::Completion(Kind::Chat),
        (Template::Vllm, "/v1/completions") => CallKind::Completion(Kind::Text),
        (Template::Embedding, "/v1/embeddings") if !stream => CallKind::Embedding,
        _ => return Err(Reply::no_cord()),
    };
    Ok((kind, stream))
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
    let Admitted { mut call, model, fault, body, stream, .. } = admitted;
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
        let steps = stream_steps(&answer, &first, pace, in_body, || identity(world));
        let mut reply =
            Reply::new(StatusCode::OK, "text/event-stream; charset=utf-8", Bytes::new());
        reply.headers = headers;
        reply.headers.push(("cache-control", "no-cache, no-transform".to_owned()));
        reply.headers.push(("x-accel-buffering", "no".to_owned()));
        let body = StepBody::new(steps, first, Arc::clone(connection), Some(call), ticket);
        return Outcome::Steps { reply, body: Box::new(body), streamed: true };
    }
    let tokens = answer.tokens;
    let whole = first.whole(&answer);
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

fn filter_content(answer: &mut Answer, keep: usize) {
    for choice in &mut answer.choices {
        choice.pieces.truncate(keep);
        choice.tool_calls.clear();
        choice.finish = "content_filter";
        choice.matched_stop = None;
    }
    answer.tokens.completion = answer.choices.iter().map(|choice| choice.pieces.len() as u64).sum();
}

fn embeddings(
    admitted: Admitted,
    headers: Vec<(&'static str, String)>,
    ticket: LogTicket,
) -> Outcome {
    const DIMENSIONS: usize = 32;
    let Admitted { mut call, model, body, .. } = admitted;
    let inputs: Vec<String> = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts
            .iter()
            .map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    let as_base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let asked = body.get("dimensions").and_then(Value::as_u64);
    let dimensions =
        asked.and_then(|n| usize::try_from(n).ok()).unwrap_or(DIMENSIONS).clamp(1, 8192);
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = engine::embedding(text, dimensions);
            let embedding = if as_base64 { json!(base64_floats(&vector)) } else { json!(vector) };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    let estimate = || inputs.iter().map(|text| engine::estimate(text)).sum();
    let prompt = model.prompt_tokens.unwrap_or_else(estimate);
    let tokens = Tokens { prompt, cached: 0, completion: 0 };
    call.book(tokens, ticket.reference());
    drop(call);
    let mut reply = Reply::json(&json!({
        "object": "list",
        "data": data,
        "model": model.name,
        "usage": { "prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt },
    }));
    reply.headers = headers;
    Outcome::Reply(reply, ticket)
}

/// Little-endian 32-bit floats in base64, as the official clients ask for them.
fn base64_floats(values: &[f64]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at <= group.len() {
                text.push(char::from(LETTERS[bits >> (18 - 6 * at) & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// What an account's fault does to a management request.
pub(crate) async fn management_fault(fault: &Fault, ticket: LogTicket) -> Outcome {
    refuse(fault, "", None, ticket).await
}
