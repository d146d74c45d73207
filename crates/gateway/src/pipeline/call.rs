//! What a client asks for, read from the head and the body of its request.

use crate::bearers::{Bearer, Spender};
use crate::catalogue::LONGEST_MODEL_NAME;
use crate::config::Trim;
use crate::pipeline::waiting::Waiting;
use crate::refusal::Refusal;
use crate::shared::Shared;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ripcord_rules::admit::{Asker, Priority};
use ripcord_rules::quota::CallShape;
use ripcord_rules::recover::AttemptLimits;
use ripcord_rules::route::Continuation;
use ripcord_rules::route::Fingerprint;
use ripcord_rules::time::Mono;
use ripcord_store::ClientPriority;
use ripcord_wire::body::RequestBody;
use ripcord_wire::trim::{Cut, Share, Trimmed, trim};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

/// The routes that are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    ChatCompletions,
    Completions,
    Embeddings,
}

/// One request of a client, ready to be sent as often as it takes.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) route: Route,
    /// As the client wrote it.
    pub(crate) requested_model: Arc<str>,
    /// Without the prefix that names Chutes.
    pub(crate) model: Arc<str>,
    pub(crate) request: Arc<RequestBody>,
    pub(crate) wants_stream: bool,
    /// How many answers are asked for.
    pub(crate) choices: u64,
    /// What is known of its size.
    pub(crate) shape: CallShape,
    /// When it came.
    pub(crate) arrived: Mono,
    /// Whose it is, and for whom.
    pub(crate) spender: Spender,
    pub(crate) deadline: Option<Mono>,
    /// The client named the deadline itself, so a plain answer is not worth more to it than that.
    pub(crate) names_deadline: bool,
    /// How long that was from its arrival.
    pub(crate) patience: Option<Duration>,
    /// Who may continue an answer that broke off.
    pub(crate) continuation: Continuation,
    /// How urgent it is in the queue.
    pub(crate) priority: Priority,
    pub(crate) attempts: AttemptLimits,
    /// What it waits for, while it does.
    pub(crate) waiting: Arc<Waiting>,
    /// Only what is asked for may serve it.
    pub(crate) fallback_off: bool,
    /// Of what all requests of its conversation begin with.
    pub(crate) beginning: Option<Fingerprint>,
    /// No model outside of a trusted execution environment may see it.
    pub(crate) tee_required: bool,
    /// Whether a part of its context may be left out; `None` where the client does not say.
    pub(crate) trim: Option<Trim>,
    /// The client's headers that go upstream.
    pub(crate) headers: HeaderMap,
}

/// What of a client's headers goes upstream. Everything else stays here: its authorization, cookies, addresses.
const FORWARDED: [&str; 4] = ["accept", "accept-language", "user-agent", "x-enable-thinking"];

/// The longest deadline that a client may ask for.
const LONGEST_DEADLINE: Duration = Duration::from_secs(86_400);

impl Route {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
        }
    }
}

impl Call {
    pub(crate) fn read(
        shared: &Shared,
        route: Route,
        headers: &HeaderMap,
        body: Bytes,
        bearer: Arc<Bearer>,
        arrived: Mono,
    ) -> Result<Self, Refusal> {
        let scanned = RequestBody::scan(body).map_err(|problem| {
            let code = problem.code();
            let refusal = Refusal::of_request(StatusCode::BAD_REQUEST, code, &problem.to_string());
            match problem.param() {
                Some(param) => refusal.with_reply(|reply| reply.with_param(param)),
                None => refusal,
            }
        })?;
        if scanned.model().len() > LONGEST_MODEL_NAME {
            let message = format!("`model` is longer than {LONGEST_MODEL_NAME} bytes");
            let refusal = Refusal::of_request(StatusCode::BAD_REQUEST, "invalid_model", &message);
            return Err(refusal.with_reply(|reply| reply.with_param("model")));
        }
        let requested: Arc<str> = scanned.model().into();
        // Some tools put the provider before the model.
        let model: Arc<str> = match requested.strip_prefix("chutes/") {
            Some(bare) if !bare.is_empty() => bare.into(),
            _ => Arc::clone(&requested),
        };
        let steering = Steering::read(shared, headers, &bearer)?;
        let mut forwarded = HeaderMap::new();
        for name in FORWARDED {
            if let Some(value) = headers.get(name) {
                forwarded.insert(name, value.clone());
            }
        }
        let attempts = match scanned.wants_stream() {
            true => steering.attempts.for_stream(),
            false => steering.attempts,
        };
        let choices = choices(route, &scanned);
        let shape = shape(route, &scanned);
        let beginning = scanned
            .beginning()
            .map(|bytes| Fingerprint(shared.body_hasher.hash_one((&*model, bytes))));
        Ok(Self {
            route,
            beginning,
            continuation: shared.routing.policy_of(&model).continuation,
            fallback_off: steering.fallback_off,
            wants_stream: scanned.wants_stream(),
            choices,
            shape,
            request: Arc::new(scanned),
            requested_model: requested,
            model,
            patience: steering.deadline,
            spender: Spender::new(bearer, steering.priority.work()),
            priority: steering.priority,
            arrived,
            deadline: steering.deadline.map(|deadline| arrived.after(deadline)),
            names_deadline: steering.names_deadline,
            attempts,
            waiting: Arc::default(),
            tee_required: steering.tee_required,
            trim: steering.trim,
            headers: forwarded,
        })
    }

    /// The same call with a shorter context, and what it lacks; `None` where nothing can go.
    pub(crate) fn trimmed(&self, share: Share) -> Option<(Self, Cut)> {
        let Trimmed { body, cut } = trim(self.request.bytes(), share)?;
        let request = RequestBody::scan(body).ok()?;
        let shape = shape(self.route, &request);
        Some((Self { request: Arc::new(request), shape, ..self.clone() }, cut))
    }

    /// As what it asks for a slot.
    pub(crate) fn asker(&self, deadline: Option<Mono>) -> Asker {
        let client = self.spender.bearer.client;
        Asker { priority: self.priority, client, deadline, came: self.arrived }
    }
}

fn shape(route: Route, request: &RequestBody) -> CallShape {
    CallShape {
        body_bytes: request.bytes().len() as u64,
        // An embedding has no answer to be paid for.
        max_tokens: if route == Route::Embeddings { Some(0) } else { request.max_tokens() },
        choices: request.answer_count(),
    }
}

/// How many answers are asked for: each prompt of a list gets its own.
fn choices(route: Route, request: &RequestBody) -> u64 {
    let of_each = request.choice_count().unwrap_or(1).max(1);
    match route {
        Route::Completions => of_each.saturating_mul(request.prompt_count()),
        Route::ChatCompletions | Route::Embeddings => of_each,
    }
}

/// What a caller may decide with `x-ripcord-*` headers.
struct Steering {
    priority: Priority,
    deadline: Option<Duration>,
    names_deadline: bool,
    attempts: AttemptLimits,
    tee_required: bool,
    trim: Option<Trim>,
    fallback_off: bool,
}

impl Steering {
    fn read(shared: &Shared, headers: &HeaderMap, bearer: &Bearer) -> Result<Self, Refusal> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("").trim());
        let wrong = |name: &str, expected: &str| {
            let message = format!("the header `{name}` should be {expected}");
            Refusal::of_request(StatusCode::BAD_REQUEST, "invalid_header", &message)
        };
        let asked = match text("x-ripcord-priority") {
            None => Priority::default(),
            Some(text) => Priority::read(text)
                .ok_or_else(|| wrong("x-ripcord-priority", "interactive, agent or batch"))?,
        };
        let highest = match bearer.rights.highest_priority {
            ClientPriority::Interactive => Priority::Interactive,
            ClientPriority::Agent => Priority::Agent,
            ClientPriority::Batch => Priority::Batch,
        };
        // The more urgent is the lesser.
        let priority = asked.max(highest);
        let by_priority = match priority {
            Priority::Interactive => Some(shared.limits.interactive_deadline),
            Priority::Agent => Some(shared.limits.agent_deadline),
            Priority::Batch => None,
        };
        let deadline = match text("x-ripcord-deadline") {
            None => by_priority,
            Some(seconds) => {
                let seconds = seconds.parse::<u64>().ok().filter(|&seconds| seconds > 0);
                let seconds = seconds.ok_or_else(|| {
                    wrong("x-ripcord-deadline", "a whole number of seconds above 0")
                })?;
                Some(Duration::from_secs(seconds).min(LONGEST_DEADLINE))
            }
        };
        let tee_required = match text("x-ripcord-tee") {
            None => false,
            Some("required") => true,
            Some(_) => return Err(wrong("x-ripcord-tee", "`required`")),
        };
        let trim = match text("x-ripcord-trim") {
            None => None,
            Some("off") => Some(Trim::Off),
            Some(share) => Some(Trim::Share(Share::read(share).ok_or_else(|| {
                wrong("x-ripcord-trim", "`off`, or a share from `30%` to `50%`")
            })?)),
        };
        let fallback_off = match text("x-ripcord-fallback") {
            None => false,
            Some("off") => true,
            Some(_) => return Err(wrong("x-ripcord-fallback", "`off`")),
        };
        // An SDK that is on its third try already has had ours twice.
        let sdk_retries = text("x-stainless-retry-count")
            .and_then(|count| count.parse::<u32>().ok())
            .unwrap_or(0);
        let attempts = shared.limits.recovery.attempts.after_callers_retries(sdk_retries);
        let names_deadline = headers.contains_key("x-ripcord-deadline");
        Ok(Self { priority, deadline, names_deadline, attempts, tee_required, trim, fallback_off })
    }
}
