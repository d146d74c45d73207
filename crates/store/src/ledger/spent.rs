//! What was spent when: attempts summed by the stretch of time in which they ended, for burn rates and usual sizes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::row::{AttemptRow, Outcome};

/// The attempts on one account and model that ended in one stretch of time and that Chutes counts, or may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// When the stretch began, Unix time.
    pub from_unix_us: i64,
    /// The account's label.
    pub account: Option<Arc<str>>,
    /// The model's id.
    pub model: Option<Arc<str>>,
    /// Attempts that count: those that have a price, and those that ended with an answer.
    pub attempts: u64,
    /// Of these, the ones that completed: Chutes counts every one of them, and may count the others.
    pub completed: u64,
    /// Of all, the ones without a price.
    pub unpriced: u64,
    /// Nano-dollars at list price.
    pub list_price_nano_usd: i64,
    /// Completed attempts with tokens that Chutes reported; what follows is summed over them alone.
    pub measured: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Of these, cached ones.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// How long they took together.
    pub total_us: u64,
}

/// What a call to a model usually takes, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsualCall {
    /// The mean of so many calls.
    pub calls: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Of these, cached ones, rounded down.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// How long it takes.
    pub took: Duration,
}

impl UsualCall {
    /// Of this model, on any account; `None` if none of its calls was measured.
    #[must_use]
    pub fn of(spent: &[Spent], model: &str) -> Option<Self> {
        let own = spent.iter().filter(|spent| spent.model.as_deref() == Some(model));
        let sum = own.fold(Spent::default(), |sum, spent| Spent {
            measured: sum.measured + spent.measured,
            prompt_tokens: sum.prompt_tokens + spent.prompt_tokens,
            cached_tokens: sum.cached_tokens + spent.cached_tokens,
            completion_tokens: sum.completion_tokens + spent.completion_tokens,
            total_us: sum.total_us + spent.total_us,
            ..sum
        });
        (sum.measured > 0).then(|| Self {
            calls: sum.measured,
            prompt_tokens: sum.prompt_tokens.div_ceil(sum.measured),
            cached_tokens: sum.cached_tokens / sum.measured,
            completion_tokens: sum.completion_tokens.div_ceil(sum.measured),
            took: Duration::from_micros(sum.total_us.div_ceil(sum.measured)),
        })
    }
}

/// An attempt that began later than this, in the year 2255, or as long before 1970, was stamped by a clock that was
/// wrong, and is left out.
pub(super) const LATEST_START_US: i64 = 9_000_000_000_000_000;

/// Sums attempts as [`Ledger::spent_since`](super::Ledger::spent_since) promises.
pub(super) fn sum<'a>(
    attempts: impl Iterator<Item = &'a AttemptRow>,
    since_unix_us: i64,
    stretch_us: i64,
) -> Vec<Spent> {
    let mut stretches: BTreeMap<_, Spent> = BTreeMap::new();
    for attempt in attempts {
        let took = i64::try_from(attempt.timing.total_us).unwrap_or(i64::MAX);
        let ended = attempt.timing.started_at_unix_us.saturating_add(took);
        let price = attempt.cost.list_price_nano_usd;
        let is_answer = matches!(attempt.outcome, Outcome::Completed | Outcome::Broken);
        let started = attempt.timing.started_at_unix_us;
        let is_absurd = !(-LATEST_START_US..=LATEST_START_US).contains(&started);
        if is_absurd || ended < since_unix_us || (price.is_none() && !is_answer) {
            continue;
        }
        let from_unix_us = ended.div_euclid(stretch_us) * stretch_us;
        let (account, model) = (&attempt.served_by.account, &attempt.served_by.model);
        let spent = stretches.entry((from_unix_us, account, model)).or_insert_with(|| Spent {
            from_unix_us,
            account: account.clone(),
            model: model.clone(),
            ..Spent::default()
        });
        spent.attempts += 1;
        spent.completed += u64::from(attempt.outcome == Outcome::Completed);
        spent.unpriced += u64::from(price.is_none());
        spent.list_price_nano_usd += price.unwrap_or(0);
        let tokens = attempt.tokens;
        if let (Outcome::Completed, false, Some(prompt), Some(completion)) =
            (attempt.outcome, tokens.estimated, tokens.prompt, tokens.completion)
        {
            spent.measured += 1;
            spent.prompt_tokens += prompt;
            spent.cached_tokens += tokens.cached.unwrap_or(0);
            spent.completion_tokens += completion;
            spent.total_us += attempt.timing.total_us;
        }
    }
    stretches.into_values().collect()
}
