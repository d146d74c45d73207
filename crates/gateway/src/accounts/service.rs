//! Where requests are sent: Chutes, or another service that speaks the same API.

use crate::pipeline::call::Route;
use ripcord_client::endpoints::Endpoints;
use ripcord_client::transport::{Target, Transport, TransportError};
use ripcord_rules::cause::Endpoint;
use std::sync::Arc;

/// Somebody who serves models.
pub(crate) struct Service {
    /// Its name in output and records.
    pub(crate) label: Arc<str>,
    /// Chat and completions.
    pub(crate) llm: Target,
    pub(crate) embed: Target,
    /// Whether it is Chutes: only there are windows, snapshots, and prices of its catalogue.
    pub(crate) is_chutes: bool,
    /// Whether its streams tell usage only if they are asked to.
    pub(crate) include_usage: bool,
}

impl Service {
    pub(crate) fn chutes(
        transport: &Transport,
        endpoints: &Endpoints,
    ) -> Result<Self, TransportError> {
        Ok(Self {
            label: "chutes".into(),
            llm: transport.target(&endpoints.llm)?,
            embed: transport.target(&endpoints.embed)?,
            is_chutes: true,
            include_usage: false,
        })
    }

    /// As it is called in sentences.
    pub(crate) fn in_words(&self) -> String {
        if self.is_chutes { "Chutes".to_owned() } else { format!("provider `{}`", self.label) }
    }

    /// Whose dialect its errors are in.
    pub(crate) const fn endpoint(&self) -> Endpoint {
        if self.is_chutes { Endpoint::Inference } else { Endpoint::Provider }
    }

    /// Where requests of this route go, and under which path.
    pub(crate) fn target(&self, route: Route) -> (&Target, String) {
        let target = if route == Route::Embeddings { &self.embed } else { &self.llm };
        (target, target.base().path(route.upstream_path()))
    }
}
