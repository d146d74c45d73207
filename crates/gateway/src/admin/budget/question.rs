//! What `/-/budget` is asked.

use crate::accounts::Account;
use crate::admin::models;
use crate::admin::query;
use crate::bearers::{Bearer, Spender};
use crate::catalogue::Quote;
use crate::refusal::Refusal;
use crate::shared::Shared;
use ripcord_rules::admit::Priority;
use ripcord_rules::quota::{CallCost, CallSize};
use ripcord_rules::units::MilliUnits;
use ripcord_store::UsualCall;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// The calls of so long a time tell what is usual.
const LEARNED_OVER: Duration = Duration::from_secs(30 * 86_400);
/// All of that time together.
const TOGETHER: Duration = Duration::from_secs(31 * 86_400);
const MOST_CALLS: u64 = 1_000_000_000;
const MOST_TOKENS: u64 = 1_000_000_000_000;

const PARAMETERS: [&str; 7] =
    ["account", "model", "calls", "priority", "gate", "tokens_in", "tokens_out"];

/// What is asked.
pub(super) struct Question {
    pub(super) account: Option<String>,
    pub(super) model: Option<String>,
    pub(super) calls: Option<u64>,
    pub(super) priority: Priority,
    /// Whoever asks, with that priority.
    pub(super) spender: Spender,
    pub(super) is_gate: bool,
    sizes: Option<Sizes>,
    /// How long calls to the model take, if it is known.
    pub(super) took: Option<Duration>,
}

/// Tokens of one call.
struct Sizes {
    tokens_in: u64,
    cached: u64,
    tokens_out: u64,
    /// From so many calls before; `None` if they were given.
    learned_from: Option<u64>,
}

/// How large one call was taken to be.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CallBudget {
    /// Prompt tokens; null if not known.
    tokens_in: Option<u64>,
    /// Completion tokens; null if not known.
    tokens_out: Option<u64>,
    /// Where the tokens are from: `given`, `learned` (the mean of the model's calls of 30 days in the ledger), `unknown`.
    tokens_from: &'static str,
    /// The number of calls it was learned from.
    learned_from_calls: Option<u64>,
    /// How long a call to the model took on average, in seconds; null if not known.
    seconds: Option<f64>,
}

// === impl Question ===

impl Question {
    /// Reads the query, and what the model's calls usually cost.
    pub(super) async fn read(
        shared: &Arc<Shared>,
        bearer: Arc<Bearer>,
        query: Option<&str>,
    ) -> Result<Self, Refusal> {
        let parameters = query::read(query, &PARAMETERS)?;
        let get = |name: &str| {
            let found = parameters.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let number = |name, least, most| {
            get(name).map(|text| query::number(name, text, least, most)).transpose()
        };
        let priority = query::priority(get("priority"))?;
        let mut question = Self {
            account: get("account").map(|label| account(shared, label)).transpose()?,
            model: None,
            calls: number("calls", 1, MOST_CALLS)?,
            spender: Spender::new(bearer, priority.work()),
            priority,
            is_gate: match get("gate") {
                None | Some("0") => false,
                Some("1") => true,
                Some(_) => return Err(query::wrong("`gate` takes 1 or 0")),
            },
            sizes: None,
            took: None,
        };
        let given = (number("tokens_in", 0, MOST_TOKENS)?, number("tokens_out", 0, MOST_TOKENS)?);
        let Some(model) = get("model") else {
            return match given {
                (None, None) => Ok(question),
                _ => Err(query::wrong("`tokens_in` and `tokens_out` need a `model`")),
            };
        };
        let model = model.strip_prefix("chutes/").unwrap_or(model);
        models::listing(shared).await?;
        let mut accounts = shared.at_chutes().iter();
        if !accounts.any(|account| Self::quote(shared, account, model).is_whole()) {
            return Err(Refusal::model_not_found(model, &shared.near(model)));
        }
        question.model = Some(model.to_owned());
        let usual = usual(shared, model).await;
        question.took = usual.map(|usual| usual.took);
        question.sizes = match (given, usual) {
            ((Some(tokens_in), Some(tokens_out)), _) => {
                Some(Sizes { tokens_in, cached: 0, tokens_out, learned_from: None })
            }
            ((None, None), usual) => usual.map(|usual| Sizes {
                tokens_in: usual.prompt_tokens,
                cached: usual.cached_tokens,
                tokens_out: usual.completion_tokens,
                learned_from: Some(usual.calls),
            }),
            _ => return Err(query::wrong("`tokens_in` and `tokens_out` are given together")),
        };
        Ok(question)
    }

    /// What a call costs this account, and the chute that it goes to.
    pub(super) fn cost(&self, shared: &Shared, account: &Account) -> (CallCost, Option<Arc<str>>) {
        let quote = self.model.as_deref().map(|model| Self::quote(shared, account, model));
        let usd = quote.as_ref().zip(self.sizes.as_ref()).map(|(quote, sizes)| {
            let (prompt_tokens, completion_tokens) = (sizes.tokens_in, sizes.tokens_out);
            quote.dearest.cost(CallSize { prompt_tokens, completion_tokens }, sizes.cached)
        });
        let chute_id = quote.and_then(|quote| quote.chute_id());
        (CallCost { units: MilliUnits::ONE, usd }, chute_id)
    }

    fn quote(shared: &Shared, account: &Account, model: &str) -> Quote {
        shared.catalogue.quote(model, &account.pricing.terms())
    }
}

fn account(shared: &Shared, label: &str) -> Result<String, Refusal> {
    if shared.at_chutes().iter().any(|account| *account.label == *label) {
        return Ok(label.to_owned());
    }
    let labels: Vec<&str> = shared.at_chutes().iter().map(|account| &*account.label).collect();
    Err(query::wrong(&format!(
        "there is no account `{}`; the accounts are: {}",
        ripcord_wire::text::clean(label, 60),
        labels.join(", ")
    )))
}

/// What calls to the model usually take, by the ledger. One that cannot be read tells nothing.
async fn usual(shared: &Arc<Shared>, model: &str) -> Option<UsualCall> {
    let since = shared.clock.now().wall.before(LEARNED_OVER).as_unix_micros();
    let ledger = Arc::clone(&shared.ledger);
    let spent = tokio::task::spawn_blocking(move || ledger.spent_since(since, TOGETHER)).await;
    UsualCall::of(&spent.ok()?.ok()?, model)
}

// === impl CallBudget ===

impl CallBudget {
    pub(super) fn of(question: &Question) -> Self {
        let sizes = question.sizes.as_ref();
        Self {
            tokens_in: sizes.map(|sizes| sizes.tokens_in),
            tokens_out: sizes.map(|sizes| sizes.tokens_out),
            tokens_from: match sizes.map(|sizes| sizes.learned_from) {
                None => "unknown",
                Some(None) => "given",
                Some(Some(_)) => "learned",
            },
            learned_from_calls: sizes.and_then(|sizes| sizes.learned_from),
            seconds: question.took.map(|took| took.as_secs_f64()),
        }
    }
}
