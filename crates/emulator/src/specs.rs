//! What a scenario says of an account and of a model.

mod account;
mod model;

pub use account::{
    AccountSpec, KeyKind, PlanSpec, PriceOverride, TokenSpec, TokenState, UsageHistory,
    UsageRowSpec,
};
pub use model::{ModelSpec, Prefill, StateSpec, Template};
