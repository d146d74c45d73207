//! The checks before a call, in the server's order: which of two refusals wins is part of the API.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    accounts::{self, Coverage, LimitHeaders, Refusal, python_float},
    auth::{Caller, REQUIRED, Scope},
    calls::{CallGuard, LogTicket},
    catalogue::usd,
    faults::{Fault, FaultKind},
    guardrails::{check_messages, check_regex, read_body},
    inference::Incoming,
    instances::{self, Course},
    listing, prefill,
    render::Kind,
    reply::Reply,
    routing,
    specs::{ModelSpec, Prefill, StateSpec, Template},
    trace::{self, Trace},
    world::{State, World},
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
    pub(crate) course: Course,
    pub(crate) body: Map<String, Value>,
    pub(crate) kind: CallKind,
    pub(crate) stream: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Completion(Kind),
    Embedding,
    Tokens,
    Picture,
}

/// Which member of a list is tried.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) member: usize,
    pub(crate) members: usize,
    /// Instances tried so far, whoever's.
    pub(crate) tries: usize,
    pub(crate) billing: Option<(Coverage, LimitHeaders)>,
}

impl Admitted {
    pub(crate) fn trace(&self, invocation_id: &str, now: i64) -> Trace {
        let function = match self.kind {
            CallKind::Completion(kind) => trace::function(kind, self.stream),
            CallKind::Embedding => "embeddings",
            CallKind::Tokens => "tokenize",
            CallKind::Picture => "generate",
        };
        Trace {
            invocation_id: invocation_id.to_owned(),
            chute_id: self.chute_id.clone(),
            function,
            model: self.model.name.clone(),
            course: self.course.clone(),
            now,
        }
    }
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
    let (account, body, model) = match &incoming.slug {
        Some(slug) => on_own_host(state, incoming, &caller, slug)?,
        None => on_shared_host(state, incoming, &caller, turn)?,
    };
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
    // Who pays is settled with the first member of a list that gets as far as here.
    let (coverage, headers) = match turn.billing.clone() {
        Some(billing) => billing,
        None => payer
            .admit(&spec, now, world.scenario.lag)
            .map_err(|refusal| refused(&refusal, &payer.payment_address(), now))?,
    };
    turn.billing = Some((coverage.clone(), headers.clone()));
    check_messages(&body)?;
    let (kind, stream) = cord(incoming, &spec, &body)?;
    if spec.prefill == Prefill::Refuses && prefill::beginning(&body).is_some() {
        return Err(Reply::long_prompt(Some(prefill::REFUSED)).into());
    }
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
    let outcomes = fault
        .as_ref()
        .filter(|fault| fault.kind == FaultKind::Instances)
        .map_or(&[][..], |fault| fault.tries.as_slice());
    let course = instances::run(&mut state.models[model], outcomes, &mut turn.tries, stream, now);
    if course.refusal == Some(instances::Refusal::Capacity) {
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
    Ok(Admitted { call, model: spec, chute_id, headers, fault, course, body, kind, stream })
}

/// The account, the body and the model of a call to a chute's own host, which does not look at the
/// body's `model`.
fn on_own_host(
    state: &State,
    incoming: &Incoming,
    caller: &Caller,
    slug: &str,
) -> Result<(usize, Map<String, Value>, usize), Reply> {
    let found = state.models.iter().position(|model| listing::slug(&model.spec.name) == slug);
    let chute_id = found.map_or("", |at| state.models[at].chute_id.as_str());
    let account = caller.require(state, Scope::InvokeChute(chute_id), REQUIRED)?;
    let model = found
        .filter(|at| listing::visible(state, &state.models[*at], Some(account)))
        .ok_or_else(Reply::no_chute)?;
    let body = match serde_json::from_slice(&incoming.body) {
        Ok(Value::Object(body)) => body,
        Ok(_) => return Err(Reply::plain_500()),
        Err(error) => {
            let text = format!("invalid request JSON payload: {error}");
            return Err(Reply::detail(StatusCode::BAD_REQUEST, &text));
        }
    };
    Ok((account, body, model))
}

/// The account, the body and the model of a call to a host that many chutes share.
fn on_shared_host(
    state: &State,
    incoming: &Incoming,
    caller: &Caller,
    turn: &mut Turn,
) -> Result<(usize, Map<String, Value>, usize), Reply> {
    let account = caller.require(state, Scope::Invoke, REQUIRED)?;
    let body = read_body(&incoming.body)?;
    check_regex(&body)?;
    let name = match body.get("model") {
        None => return Err(Reply::no_chute()),
        Some(Value::String(name)) if name.is_empty() => return Err(Reply::no_chute()),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err(Reply::plain_500()),
    };
    let members = routing::candidates(state, incoming, &name, account);
    turn.members = members.len();
    let model = *members
        .get(turn.member)
        .ok_or_else(|| Reply::not_found(&format!("model not found: {name}")))?;
    Ok((account, body, model))
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
        (Template::Vllm, "/tokenize" | "/detokenize") if !stream => CallKind::Tokens,
        (Template::Embedding, "/v1/embeddings") if !stream => CallKind::Embedding,
        (Template::Diffusion, "/generate") if !stream => CallKind::Picture,
        _ => return Err(Reply::no_cord()),
    };
    Ok((kind, stream))
}
