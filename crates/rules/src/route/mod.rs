//! What may serve a request, and in which order.
//!
//! A request names a model, or a chain by its name. [`lineup()`] makes of that the models and services which could serve
//! it, in the order of the configuration; [`plan()`] leaves out those that must not or cannot, with the reason for each,
//! and lets those that do not stand well go behind those that do. [`Stickiness`] remembers which of them served the same
//! beginning of a prompt before, since its prefix is cached there.

mod lineup;
mod needs;
mod plan;
mod stickiness;

pub use lineup::{Kind, Place, ProviderRoute, Stop, Where, lineup};
pub use needs::{ModelFacts, Requirements, WhyNot};
pub use plan::{Plan, Prospect, Shape, plan};
pub use stickiness::{Fingerprint, Stickiness, Stuck};

use crate::units::NanoUsd;

/// Who may continue an answer that broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Continuation {
    /// Nobody: the client is told that it broke.
    Off,
    /// The same model.
    #[default]
    SameModel,
    /// Any model that may serve the request.
    AnyModel,
}

/// What is allowed on the way of a request: for all of them, or for those of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutePolicy {
    /// Whether other variants of a model's release may stand in for it.
    pub siblings: bool,
    /// Whether requests with the same beginning go where the last one went.
    pub stickiness: bool,
    /// Who may continue an answer that broke off.
    pub continuation: Continuation,
    /// What a million output tokens may cost at most of a model that the client did not name.
    pub max_output_price: Option<NanoUsd>,
    /// Whether a model outside of a trusted execution environment may stand in for one inside.
    pub allow_plain: bool,
}

impl Default for RoutePolicy {
    fn default() -> Self {
        Self {
            siblings: true,
            stickiness: true,
            continuation: Continuation::SameModel,
            max_output_price: None,
            allow_plain: false,
        }
    }
}
