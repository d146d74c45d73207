//! Where requests are sent: Chutes, or another service that speaks the same API.

use crate::catalogue::Quote;
use crate::config::ProviderConfig;
use crate::pipeline::call::Route;
use ripcord_client::endpoints::Endpoints;
use ripcord_client::transport::{Target, Transport, TransportError};
use ripcord_rules::cause::Endpoint;
use ripcord_rules::quota::ModelPrices;
use ripcord_rules::route::{ModelFacts, ProviderRoute, Where};
use ripcord_rules::units::NanoUsd;
use std::collections::HashMap;
use std::sync::Arc;

/// Somebody who serves models.
pub(crate) struct Service {
    /// Its name in output and records.
    pub(crate) label: Arc<str>,
    /// Chutes, or which provider.
    pub(crate) at: Where,
    /// Chat and completions.
    pub(crate) llm: Target,
    pub(crate) embed: Target,
    /// Whether its streams tell usage only if they are asked to.
    pub(crate) include_usage: bool,
    /// Whether its models go on with the beginning of an answer.
    pub(crate) takes_prefill: bool,
    /// Whether it may cost only so much a day.
    pub(crate) is_bounded: bool,
    /// What is configured of its models; nothing at Chutes, whose catalogue says more.
    tee: bool,
    prices: HashMap<String, ModelPrices>,
}

/// Chutes and the providers, and what clients may ask for besides models.
pub(crate) struct Services {
    pub(crate) chutes: Arc<Service>,
    /// In the order of the configuration.
    pub(crate) providers: Vec<Arc<Service>>,
    /// The same, as the lineup of a request needs them.
    pub(crate) routes: Vec<ProviderRoute>,
}

// === impl Service ===

impl Service {
    fn chutes(transport: &Transport, endpoints: &Endpoints) -> Result<Self, TransportError> {
        Ok(Self {
            label: "chutes".into(),
            at: Where::Chutes,
            llm: transport.target(&endpoints.llm)?,
            embed: transport.target(&endpoints.embed)?,
            include_usage: false,
            takes_prefill: true,
            is_bounded: false,
            tee: false,
            prices: HashMap::new(),
        })
    }

    /// As it is called in sentences.
    pub(crate) fn in_words(&self) -> String {
        if self.is_chutes() { "Chutes".to_owned() } else { format!("provider `{}`", self.label) }
    }

    fn provider(
        transport: &Transport,
        number: u16,
        config: &ProviderConfig,
    ) -> Result<Self, TransportError> {
        let target = transport.target(&config.base_url)?;
        Ok(Self {
            label: config.name.as_str().into(),
            at: Where::Provider(number),
            llm: target.clone(),
            embed: target,
            include_usage: config.include_usage,
            takes_prefill: config.prefill,
            is_bounded: config.daily_usd.is_some(),
            tee: config.tee,
            prices: config.prices.iter().cloned().collect(),
        })
    }

    /// Only there are windows, figures of the account, and prices and states in a catalogue.
    pub(crate) fn is_chutes(&self) -> bool {
        self.at == Where::Chutes
    }

    /// Whose dialect its errors are in.
    pub(crate) fn endpoint(&self) -> Endpoint {
        if self.is_chutes() { Endpoint::Inference } else { Endpoint::Provider }
    }

    /// Where requests of this route go, and under which path.
    pub(crate) fn target(&self, route: Route) -> (&Target, String) {
        let target = if route == Route::Embeddings { &self.embed } else { &self.llm };
        // The address of a provider has the version of its API in it.
        let path = match route.upstream_path().strip_prefix("/v1") {
            Some(path) if !self.is_chutes() => path,
            _ => route.upstream_path(),
        };
        (target, target.base().path(path))
    }

    /// How a model of it is called in rests, records and metrics.
    pub(crate) fn key_of(&self, model: &Arc<str>) -> Arc<str> {
        if self.is_chutes() { Arc::clone(model) } else { format!("{}:{model}", self.label).into() }
    }

    /// What a request for a model of a provider costs.
    pub(crate) fn quote(&self, model: &Arc<str>) -> Quote {
        Quote::of_one(Arc::clone(model), self.prices.get(&**model).copied())
    }

    /// What is known of a model of a provider. Whoever configured it knows what it can do.
    pub(crate) fn facts(&self, model: &str) -> ModelFacts {
        ModelFacts {
            tee: Some(self.tee),
            output_price: self.prices.get(model).map(|prices| prices.completion),
            ..ModelFacts::default()
        }
    }

    /// Whether it is known what the model costs.
    pub(crate) fn has_price(&self, model: &str) -> bool {
        self.prices.contains_key(model)
    }

    /// Whether the model is known to cost nothing.
    pub(crate) fn is_free(&self, model: &str) -> bool {
        let free =
            ModelPrices { prompt: NanoUsd::ZERO, completion: NanoUsd::ZERO, cached: NanoUsd::ZERO };
        self.prices.get(model) == Some(&free)
    }
}

// === impl Services ===

impl Services {
    pub(crate) fn new(
        transport: &Transport,
        endpoints: &Endpoints,
        configs: &[ProviderConfig],
    ) -> Result<Self, TransportError> {
        let providers: Result<Vec<_>, _> = (0..)
            .zip(configs)
            .map(|(number, config)| Service::provider(transport, number, config).map(Arc::new))
            .collect();
        let route = |config: &ProviderConfig| ProviderRoute {
            name: config.name.clone(),
            place: config.place,
            models: config.models.clone(),
        };
        Ok(Self {
            chutes: Arc::new(Service::chutes(transport, endpoints)?),
            providers: providers?,
            routes: configs.iter().map(route).collect(),
        })
    }

    pub(crate) fn at(&self, at: Where) -> Option<&Arc<Service>> {
        match at {
            Where::Chutes => Some(&self.chutes),
            Where::Provider(number) => self.providers.get(usize::from(number)),
        }
    }
}
