//! What one call of the batch takes: as it was said, else as calls to the model usually do.

use std::time::Duration;

use ripcord_rules::quota::{CallCost, CallSize};
use ripcord_rules::recommend::ModelName;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::Account;
use crate::catalogue::{Catalogue, Entry};
use crate::commands::model_health::not_found;
use crate::context::Context;
use crate::error::CommandError;
use crate::figures;
use crate::own_use::OwnUse;
use crate::prices::PricedCall;
use crate::printer::number;
use crate::upstream::Upstream;

/// What one call was taken to cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CallReport {
    /// The model, by its exact name.
    model: Option<String>,
    /// Request units.
    requests: f64,
    /// US dollars at list price; null if the model or the tokens are not known, or the list has no price for it. What an
    /// account pays otherwise stands with the account.
    usd: Option<f64>,
    /// Prompt tokens; null if not known.
    tokens_in: Option<u64>,
    /// Completion tokens; null if not known.
    tokens_out: Option<u64>,
    /// Where the tokens are from: `given`; `learned`, the mean of the model's calls through this machine's gateway in 30
    /// days; `unknown`.
    tokens_from: &'static str,
    /// The number of calls that was learned from.
    learned_from_calls: Option<u64>,
    /// How long a call to the model took on average through this machine's gateway, in seconds; null if not known.
    seconds: Option<f64>,
}

/// What is said of one call before it is made.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) model: Option<&'a str>,
    pub(crate) tokens_in: Option<u64>,
    pub(crate) tokens_out: Option<u64>,
}

/// The model as far as it matters to the cost.
pub(crate) struct Target {
    pub(super) model: Option<String>,
    pub(crate) chute_id: Option<String>,
    /// One call to it; `None` without a model or a size.
    pub(crate) call: Option<PricedCall>,
    size: Option<Size>,
    /// How long a call takes, if it was measured.
    pub(super) took: Option<Duration>,
    is_tee: bool,
    /// Other models that may do, at the same size.
    pub(super) substitutes: Vec<OtherModel>,
}

/// A model that may do instead.
pub(super) struct OtherModel {
    pub(super) name: String,
    pub(super) is_tee: bool,
    pub(super) call: PricedCall,
}

#[derive(Clone, Copy)]
struct Size {
    tokens: CallSize,
    cached: u64,
    /// `None` if it was given.
    learned_from: Option<u64>,
}

// === impl Target ===

impl Target {
    /// Finds the model's list price and chute. Without a model a call costs one request unit and an unknown price.
    pub(crate) async fn find(
        call: Call<'_>,
        upstream: &Upstream,
        context: &Context,
    ) -> Result<Self, CommandError> {
        let Some(wanted) = call.model else {
            return Ok(Self {
                model: None,
                chute_id: None,
                call: None,
                size: None,
                took: None,
                is_tee: false,
                substitutes: Vec::new(),
            });
        };
        let (lists, problems) = upstream.lists().await;
        let now = context.now();
        let catalogue = Catalogue::join(lists, now);
        let entry = catalogue.find(wanted).map_err(|miss| match problems.into_iter().next() {
            Some(problem) => problem,
            None => not_found(wanted, &miss),
        })?;
        let usual = OwnUse::read(context, now).usual(&entry.name, now);
        let given = match (call.tokens_in, call.tokens_out) {
            (None, None) => None,
            (input, output) => Some((input.unwrap_or(0), output.unwrap_or(0))),
        };
        let size = match (given, usual) {
            (Some((prompt_tokens, completion_tokens)), _) => Some(Size {
                tokens: CallSize { prompt_tokens, completion_tokens },
                cached: 0,
                learned_from: None,
            }),
            (None, Some(usual)) => Some(Size {
                tokens: CallSize {
                    prompt_tokens: usual.prompt_tokens,
                    completion_tokens: usual.completion_tokens,
                },
                cached: usual.cached_tokens,
                learned_from: Some(usual.calls),
            }),
            (None, None) => None,
        };
        let call = size.map(|size| PricedCall::new(entry, size.tokens, size.cached));
        if call.as_ref().is_some_and(|call| call.listed().is_none()) {
            context.printer.warn(&format!(
                "{} has no list price; where the account has none of its own, only request units are counted",
                entry.name
            ));
        }
        Ok(Self {
            model: Some(entry.name.clone()),
            chute_id: entry.chute_id.clone(),
            call,
            size,
            took: usual.map(|usual| usual.took),
            is_tee: entry.tee() != Some(false),
            substitutes: size
                .map(|size| substitutes(entry, &catalogue, size, context))
                .unwrap_or_default(),
        })
    }

    /// Whether the prompts may be confidential: nobody says that they are not.
    pub(super) const fn is_tee(&self) -> bool {
        self.is_tee
    }

    /// What one call costs at list price, if that is known.
    pub(crate) fn listed(&self) -> Option<NanoUsd> {
        self.call.as_ref().and_then(PricedCall::listed)
    }

    /// What one call costs this account.
    pub(super) fn cost_for(&self, account: &Account) -> CallCost {
        let unpriced = CallCost { units: MilliUnits::ONE, usd: None };
        self.call.as_ref().map_or(unpriced, |call| call.cost_for(account))
    }

    pub(super) fn report(&self) -> CallReport {
        let size = self.size;
        CallReport {
            model: self.model.clone(),
            requests: 1.0,
            usd: self.listed().map(figures::usd),
            tokens_in: size.map(|size| size.tokens.prompt_tokens),
            tokens_out: size.map(|size| size.tokens.completion_tokens),
            tokens_from: match size.map(|size| size.learned_from) {
                None => "unknown",
                Some(None) => "given",
                Some(Some(_)) => "learned",
            },
            learned_from_calls: size.and_then(|size| size.learned_from),
            seconds: self.took.map(|took| took.as_secs_f64()),
        }
    }

    /// What one call takes, in words; `None` if no price is known.
    pub(super) fn words(&self) -> Option<String> {
        let (price, model) = (self.listed()?, self.model.as_ref()?);
        let cost = format!("One call to {model}: 1 request unit and {price} at list price");
        let learned = self.size.and_then(|size| Some((size, size.learned_from?)));
        Some(match learned {
            None => format!("{cost}."),
            Some((size, calls)) => format!(
                "{cost}: {} tokens in and {} out, the mean of {} through this machine's gateway in 30 days.",
                number::grouped(size.tokens.prompt_tokens),
                number::grouped(size.tokens.completion_tokens),
                number::counted(calls, "call", "calls"),
            ),
        })
    }
}

/// Its siblings, and the models that are watched. Where a chain is configured, its models belong here.
fn substitutes(
    entry: &Entry,
    catalogue: &Catalogue,
    size: Size,
    context: &Context,
) -> Vec<OtherModel> {
    let own = ModelName::read(&entry.name);
    let watched = &context.settings.models.watch.value;
    let may_do = |other: &&Entry| {
        let is_sibling = own.kinship(&ModelName::read(&other.name)).is_some();
        let is_watched = watched.contains(&other.name);
        other.name != entry.name && (is_sibling || is_watched)
    };
    let found = catalogue.entries.iter().filter(may_do).map(|other| OtherModel {
        name: other.name.clone(),
        is_tee: other.tee() == Some(true),
        call: PricedCall::new(other, size.tokens, size.cached),
    });
    found.collect()
}
