//! The stories as JSON.

use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{AttemptRow, Cost, Coverage, Outcome, RequestRow, StepKind, StepRow, Tokens};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Told, words};
use crate::context::Context;
use crate::figures;
use crate::printer::moment;

/// What `ripcord explain --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplainReport {
    #[schemars(extend("const" = "ripcord/explain/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The requests, newest first.
    requests: Vec<StoryReport>,
}

/// The story of one request. Null is what is not known.
#[derive(Debug, Serialize, JsonSchema)]
struct StoryReport {
    /// Its id.
    request_id: String,
    /// Whether it has ended. One that has not is under way, or its gateway was killed; then only `attempts` and `steps` say
    /// anything.
    ended: bool,
    /// When it came, UTC.
    started_at: Option<String>,
    /// The route, such as `chat/completions`.
    route: Option<String>,
    /// Whether a stream was asked for.
    stream: Option<bool>,
    /// The name of the client key.
    client_key: Option<String>,
    /// For whom it waited: `interactive`, `agent`, `batch`.
    priority: Option<String>,
    /// How many seconds after it came its first byte was due; null without a deadline.
    deadline_seconds: Option<f64>,
    /// The model's name as the client wrote it.
    requested_model: Option<String>,
    /// The model of the last attempt.
    model: Option<String>,
    /// The account of the last attempt.
    account: Option<String>,
    /// How it ended: `completed`, `failed`, `refused`, `cancelled`, `broken`.
    outcome: Option<&'static str>,
    /// The status that the client got.
    status: Option<u16>,
    /// Why it ended so, as one word.
    cause: Option<String>,
    /// The command that explains that cause.
    see: Option<String>,
    /// Seconds that it waited inside of the gateway.
    waited_seconds: Option<f64>,
    /// Seconds until the first byte went to the client.
    first_byte_seconds: Option<f64>,
    /// Seconds until the end.
    total_seconds: Option<f64>,
    /// The tokens of all its attempts.
    tokens: Option<TokensReport>,
    /// The price of all its attempts.
    cost: Option<CostReport>,
    /// What was tried, in order.
    attempts: Vec<AttemptReport>,
    /// What happened before, between and after the attempts, in order.
    steps: Vec<StepReport>,
}

/// One attempt upstream.
#[derive(Debug, Serialize, JsonSchema)]
struct AttemptReport {
    /// 1 for the first.
    number: u32,
    /// When it began, UTC.
    started_at: String,
    /// Seconds that were waited since the attempt before, or since the request came.
    waited_seconds: f64,
    /// The model that was asked.
    model: Option<String>,
    /// The account it was asked on.
    account: Option<String>,
    /// The label of the key.
    key: Option<String>,
    /// How it ended: `completed`, `failed`, `cancelled`, `broken`.
    outcome: &'static str,
    /// The status of the answer; null if none came.
    status: Option<u16>,
    /// Why it ended so, as one word.
    cause: Option<String>,
    /// Seconds until the answer began.
    first_byte_seconds: Option<f64>,
    /// Seconds until its end.
    total_seconds: f64,
    /// Its tokens.
    tokens: TokensReport,
    /// Its price.
    cost: CostReport,
}

/// Tokens, as reported or estimated.
#[derive(Debug, Serialize, JsonSchema)]
struct TokensReport {
    /// Of the prompt, the cached ones included.
    prompt: Option<u64>,
    /// Of the prompt, those that came from a cache.
    cached: Option<u64>,
    /// Of the answer.
    completion: Option<u64>,
    /// Whether nobody reported them, so that they are an estimate.
    estimated: bool,
}

/// What it cost.
#[derive(Debug, Serialize, JsonSchema)]
struct CostReport {
    /// In US dollars at list price.
    list_price_usd: Option<f64>,
    /// Who paid: `covered` (a window of the plan), `paid` (the balance).
    coverage: Option<&'static str>,
}

/// One thing that happened beside the attempts.
#[derive(Debug, Serialize, JsonSchema)]
struct StepReport {
    /// How many attempts had begun.
    after_attempt: u32,
    /// What: `waited`, `left_out`, `chosen`, `switched`, `trimmed`, `continued`, `more` (which was not kept).
    kind: &'static str,
    /// When it was over, UTC.
    at: String,
    /// How many seconds it took.
    seconds: f64,
    /// What it is about: what was left out, chosen, left or cut (`max_tokens`, `messages`, `bytes`), or how an answer went on
    /// (`prefill`, `restart`).
    subject: Option<String>,
    /// Where it went; of what was chosen, what comes before it.
    target: Option<String>,
    /// Why, as one word: what was waited for (`slot`, `account`, `room`, `share`, `backoff`, `warming`), or a cause.
    reason: Option<String>,
    /// Of what was cut, how much there was; of a continued answer, how many bytes of text the client had.
    before: Option<u64>,
    /// How much was left of it.
    after: Option<u64>,
    /// The same as a sentence.
    text: String,
}

// === impl ExplainReport ===

impl ExplainReport {
    pub(super) fn new(told: &[Told], context: &Context) -> Self {
        Self {
            schema: "ripcord/explain/1",
            generated_at: moment::utc(context.now()),
            requests: told.iter().map(StoryReport::of).collect(),
        }
    }
}

// === impl StoryReport ===

impl StoryReport {
    fn of(told: &Told) -> Self {
        let story = &told.story;
        let request = story.request.as_ref();
        let text = |of: fn(&RequestRow) -> Option<&std::sync::Arc<str>>| {
            request.and_then(of).map(ToString::to_string)
        };
        let timing = request.map(|request| request.timing);
        let failed = request.filter(|request| request.outcome != Outcome::Completed);
        let anchor = failed.and_then(|request| words::anchor(request.cause.as_deref()?));
        Self {
            request_id: told.id.to_string(),
            ended: request.is_some(),
            started_at: timing.map(|timing| utc(timing.started_at_unix_us)),
            route: text(|request| Some(&request.route)),
            stream: request.map(|request| request.is_stream),
            client_key: text(|request| request.client_key.as_ref()),
            priority: text(|request| request.priority.as_ref()),
            deadline_seconds: request.and_then(|request| request.deadline_us).map(seconds),
            requested_model: text(|request| request.requested_model.as_ref()),
            model: text(|request| request.served_by.model.as_ref()),
            account: text(|request| request.served_by.account.as_ref()),
            outcome: request.map(|request| request.outcome.as_str()),
            status: request.and_then(|request| request.status),
            cause: text(|request| request.cause.as_ref()),
            see: anchor.map(|name| format!("ripcord doctor --explain {name}")),
            waited_seconds: timing.map(|timing| seconds(timing.waited_us)),
            first_byte_seconds: timing.and_then(|timing| timing.first_byte_us).map(seconds),
            total_seconds: timing.map(|timing| seconds(timing.total_us)),
            tokens: request.map(|request| request.tokens.into()),
            cost: request.map(|request| request.cost.into()),
            attempts: story.attempts.iter().map(AttemptReport::from).collect(),
            steps: story.steps.iter().map(StepReport::from).collect(),
        }
    }
}

impl From<&AttemptRow> for AttemptReport {
    fn from(row: &AttemptRow) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(ToString::to_string);
        Self {
            number: row.number,
            started_at: utc(row.timing.started_at_unix_us),
            waited_seconds: seconds(row.timing.waited_us),
            model: text(&row.served_by.model),
            account: text(&row.served_by.account),
            key: text(&row.served_by.key),
            outcome: row.outcome.as_str(),
            status: row.status,
            cause: text(&row.cause),
            first_byte_seconds: row.timing.first_byte_us.map(seconds),
            total_seconds: seconds(row.timing.total_us),
            tokens: row.tokens.into(),
            cost: row.cost.into(),
        }
    }
}

impl From<Tokens> for TokensReport {
    fn from(tokens: Tokens) -> Self {
        Self {
            prompt: tokens.prompt,
            cached: tokens.cached,
            completion: tokens.completion,
            estimated: tokens.estimated,
        }
    }
}

impl From<Cost> for CostReport {
    fn from(cost: Cost) -> Self {
        Self {
            list_price_usd: cost.list_price_nano_usd.map(|price| figures::usd(NanoUsd(price))),
            coverage: cost.coverage.map(Coverage::as_str),
        }
    }
}

impl From<&StepRow> for StepReport {
    fn from(step: &StepRow) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(ToString::to_string);
        Self {
            after_attempt: step.after_attempt,
            kind: StepKind::as_str(step.kind),
            at: utc(step.at_unix_us),
            seconds: seconds(step.took_us),
            subject: text(&step.subject),
            target: text(&step.target),
            reason: text(&step.reason),
            before: step.before,
            after: step.after,
            text: words::step(step),
        }
    }
}

fn utc(unix_us: i64) -> String {
    moment::utc(Wall::from_unix_micros(unix_us))
}

/// To the millisecond.
fn seconds(micros: u64) -> f64 {
    (micros / 1_000) as f64 / 1e3
}
