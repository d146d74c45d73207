//! What follows from a cause: what rests, for how long, and whether the request is tried again.
//!
//! The dimension has to help: another account for a used-up window, nobody else for a full model, nothing for a
//! bad request. [`RestBook`] knows who rests, [`Attempts`] what one request may still try, [`RetryBudget`] how many
//! retries a service gets from all of them, [`Circuits`] who is left alone because it keeps failing, [`FirstTokens`] how long
//! a model may be silent, and [`Trimming`] when a request is sent without a part of its context.

mod attempts;
mod circuit;
mod first_token;
mod rests;
mod retry_budget;
#[cfg(test)]
mod samples;
mod trimming;

pub use attempts::{AttemptLimits, Attempts, Next};
pub use circuit::{CircuitLimits, Circuits, Heard, Passage};
pub use first_token::{FirstTokenLimits, FirstTokens};
pub use rests::{
    EDGE_MEMORY, KEY_QUARANTINE, LONGEST_COLD_REST, LONGEST_DISABLED_REST, LONGEST_KEY_QUARANTINE,
    LONGEST_RATE_LIMIT_REST, LONGEST_REST, NO_CREDIT_REST, NOT_ENTITLED_REST, RATE_LIMIT_REST,
    Rest, RestBook, RestLimits, SHORTEST_EDGE_REST, Scope, Tried,
};
pub use retry_budget::{RetryBudget, RetryBudgetLimits};
pub use trimming::Trimming;
