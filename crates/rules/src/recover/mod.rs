//! What follows from a cause: what rests, for how long, and whether the request is tried again.
//!
//! The dimension has to help: another account for a used-up window, nobody else for a full model, nothing for a
//! bad request.

mod attempts;
mod rests;
#[cfg(test)]
mod samples;

pub use attempts::{AttemptLimits, Attempts, Next};
pub use rests::{
    COLD_REST, DISABLED_REST, EDGE_MEMORY, EDGE_REST, KEY_QUARANTINE, LONGEST_KEY_QUARANTINE,
    LONGEST_RATE_LIMIT_REST, LONGEST_REST, NO_CREDIT_REST, NOT_ENTITLED_REST, RATE_LIMIT_REST,
    Rest, RestBook, SHORTEST_EDGE_REST, Scope, Tried,
};
