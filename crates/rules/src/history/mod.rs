//! What hours that are over say: how far two records of them differ, which of them stand out, and which plan would have
//! been cheapest.
//!
//! Chutes tells what an account used by the UTC hour: requests, tokens, and what it took from the balance. It does not
//! tell what a subscription covered, nor which prompt tokens came from a cache (`chutes/api.md` 2.6). So what hours were
//! worth at list price is a [`UsdSpan`]: as if every prompt token had come from a cache, and as if none had.

mod drift;
mod months;
mod plan_choice;
mod spikes;
mod worth;

pub use drift::{Drift, OwnCalls, drift};
pub use months::billing_months;
pub use plan_choice::{Best, HourUse, PlanCost, UsedUp, cheapest, is_open, plan_costs};
pub use spikes::{SPIKE_RULE, SpikeRule, Usual, usual};
pub use worth::{UsdSpan, worth};
