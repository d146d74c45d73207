//! What may serve a request besides the model that it names, as it is configured.

use crate::config::{ChainConfig, RoutingConfig, Trim};
use ripcord_rules::route::RoutePolicy;

/// Chains by their names.
pub(crate) struct Routing {
    /// For requests without a chain.
    policy: RoutePolicy,
    pub(crate) trim: Trim,
    chains: Vec<ChainConfig>,
    /// Their names.
    providers: Vec<String>,
}

impl Routing {
    pub(crate) fn new(config: &RoutingConfig) -> Self {
        Self {
            policy: config.policy,
            trim: config.trim,
            chains: config.chains.clone(),
            providers: config.providers.iter().map(|provider| provider.name.clone()).collect(),
        }
    }

    /// What is allowed on the way of a request for this name.
    pub(crate) fn policy_of(&self, name: &str) -> RoutePolicy {
        self.chain(name).map_or(self.policy, |chain| chain.policy)
    }

    /// The chain of this name.
    pub(crate) fn chain(&self, name: &str) -> Option<&ChainConfig> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// Whether the name is a virtual model, or `provider:model`.
    pub(crate) fn is_own_name(&self, name: &str) -> bool {
        let is_provider = |one: &String| {
            name.strip_prefix(one.as_str()).is_some_and(|model| model.starts_with(':'))
        };
        self.virtual_models().any(|chain| chain.name == name)
            || self.providers.iter().any(is_provider)
    }

    /// Names that are no model's.
    pub(crate) fn virtual_models(&self) -> impl Iterator<Item = &ChainConfig> {
        self.chains.iter().filter(|chain| !chain.name.contains('/'))
    }
}
