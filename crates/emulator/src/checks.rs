//! The checks before a call, in the server's order: which of two refusals wins is part of the API.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    accounts::{self, LimitHeaders, Refusal, python_float},
    auth::{Caller, REQUIRED, Scope},
    catalogue::usd,
    faults::{Fault, FaultKind},
    inference::Incoming,
    render::Kind,
    reply::Reply,
    routing,
    specs::{ModelSpec, StateSpec, Template},
    world::{CallGuard, LogTicket, State, World},
};

/// Why a call goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    Reply(Box<Reply>),
    Fault(Box<Fault>),
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// A call that passed every check.
pub(crate) struct Admitted {
    pub(crate) call: CallGuard,
    pub(crate) model: ModelSpec,
    pub(crate) chute_id: String,
    pub(crate) headers: LimitHeaders,
    pub(crate) fault: Option<Fault>,
    pub(crate) body: Map<String, Value>,
    pub(crate) kind: CallKind,
    pub(crate) stream: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Completion(Kind),
    Embedding,
}

/// Which member of a list is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) member: usize,
    pub(crate) members: usize,
}

/// Every check, in the server's order.
pub(crate) fn admit(
    world: &Arc<World>,
    incoming: &Incoming,
    ticket: &LogTicket,
    turn: &mut Turn,
) -> Result<Admitted, Stop> {
    let now = world.now();
    let mut guard = world.state();
    let state = &mut *guard;
    state.settle(now);
    let caller = Caller::read(&incoming.headers, state, now);
    let account_fault = if turn.member == 0 { edge(state, &caller, now)? } else { None };
    let account = caller.require(state, Scope::Invoke, REQUIRED)?;
    let body = read_body(&incoming.body)?;
    check_regex(&body)?;
    let name = match body.get("model") {
        None => return Err(Reply::no_chute().into()),
        Some(Value::String(name)) if name.is_empty() => return Err(Reply::no_chute().into()),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err(Reply::plain_500().into()),
    };
    let members = routing::candidates(state, incoming, &name, account, world.scenario.seed);
    turn.members = members.len();
    let model = *members
        .get(turn.member)
        .ok_or_else(|| Reply::not_found(&format!("model not found: {name}")))?;
    let spec = state.models[model].spec.clone();
    let chute_id = state.models[model].chute_id.clone();
    let seen = state.models[model].seen_state(now, state.lag);
    if seen == StateSpec::Disabled {
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
    if seen == StateSpec::Cold {
        state.models[model].raise_bounty(now);
        return Err(Reply::cold(&chute_id)
            .side_effect(format!("bounty raised for {}", spec.name))
            .into());
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
fn edge(state: &mut State, caller: &Caller, now: i64) -> Result<Option<Fault>, Stop> {
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
