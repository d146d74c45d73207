//! What the bearer of a client key of the gateway may use, beside what the accounts' windows and balance allow.
//!
//! An account's policy says who pays ([`crate::quota::ClientPolicy`] narrows it for a key). Here it is about shares: so much
//! at list price a day and a month, so many requests, these models.

mod meter;
mod models;

pub use meter::{Bound, ClientLimits, ClientMeter, Entry, Full, Used};
pub use models::{LONGEST_PATTERN_BYTES, MOST_PATTERNS, ModelPatterns, PatternProblem};
