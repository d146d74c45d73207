//! `[routing]` and `[[chains]]`: where requests may go, and what may be done to get them there.

use ripcord_gateway::{ChainConfig, RoutingConfig, Share, Trim};
use ripcord_rules::route::{Continuation, RoutePolicy};
use ripcord_rules::units::NanoUsd;
use serde_json::{Value as Json, json};

use super::document::{Problem, Section, Value, read};
use super::listing::{Listed, listed, usd};
use super::origin::{Origin, Sourced};
use super::providers::ProviderSettings;

const CONTINUATION: &[(&str, Continuation)] = &[
    ("off", Continuation::Off),
    ("same_model", Continuation::SameModel),
    ("any_model", Continuation::AnyModel),
];

/// The keys of a `[[chains]]` entry, for suggestions.
pub(super) const CHAIN_KEYS: [&str; 8] = [
    "name",
    "models",
    "siblings",
    "stickiness",
    "continuation",
    "max_output_price_usd",
    "allow_plain",
    "trim",
];

/// `[routing]`, for every request that says nothing else.
#[derive(Debug, Clone)]
pub(crate) struct RoutingSettings {
    /// Whether other variants of a model's release may stand in for it.
    siblings: Sourced<bool>,
    /// Whether a conversation stays where its beginning was served.
    stickiness: Sourced<bool>,
    /// Who may continue an answer that broke off.
    continuation: Sourced<Continuation>,
    /// What a million output tokens of a stand-in may cost.
    max_output_price: Sourced<Option<NanoUsd>>,
    /// Whether a request may be sent without a part of its context.
    pub(crate) trim: Sourced<Trim>,
}

/// One `[[chains]]` entry. What it does not say is as for all others.
#[derive(Debug, Clone)]
pub(crate) struct ChainSettings {
    pub(crate) name: Sourced<String>,
    pub(crate) models: Sourced<Vec<String>>,
    siblings: Option<Sourced<bool>>,
    stickiness: Option<Sourced<bool>>,
    continuation: Option<Sourced<Continuation>>,
    max_output_price: Option<Sourced<Option<NanoUsd>>>,
    allow_plain: Option<Sourced<bool>>,
    trim: Option<Sourced<Trim>>,
}

// === impl RoutingSettings ===

impl RoutingSettings {
    /// Settings that a layer has to write over.
    pub(super) fn unset() -> Self {
        fn unset<T>(value: T) -> Sourced<T> {
            Sourced::new(value, Origin::Flag("unset"))
        }
        Self {
            siblings: unset(false),
            stickiness: unset(false),
            continuation: unset(Continuation::Off),
            max_output_price: unset(None),
            trim: unset(Trim::Off),
        }
    }

    /// Reads the section.
    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.read("siblings", &mut self.siblings, read::flag);
        section.read("stickiness", &mut self.stickiness, read::flag);
        section.read("continuation", &mut self.continuation, read::word(CONTINUATION));
        section.read("max_output_price_usd", &mut self.max_output_price, price_limit);
        section.read("trim", &mut self.trim, trim);
    }

    /// Every setting with its name.
    pub(super) fn listing(&self) -> Vec<Listed> {
        vec![
            listed("routing.siblings", &self.siblings, |flag| json!(flag)),
            listed("routing.stickiness", &self.stickiness, |flag| json!(flag)),
            listed("routing.continuation", &self.continuation, |who| continuation_value(*who)),
            listed("routing.max_output_price_usd", &self.max_output_price, |limit| {
                limit_value(*limit)
            }),
            listed("routing.trim", &self.trim, |trim| trim_value(*trim)),
        ]
    }

    /// As the gateway takes it.
    pub(crate) fn config(
        &self,
        chains: &[ChainSettings],
        providers: &[ProviderSettings],
    ) -> Result<RoutingConfig, Problem> {
        let policy = RoutePolicy {
            siblings: self.siblings.value,
            stickiness: self.stickiness.value,
            continuation: self.continuation.value,
            max_output_price: self.max_output_price.value,
            allow_plain: false,
        };
        let providers: Result<Vec<_>, _> = providers.iter().map(ProviderSettings::config).collect();
        let chain = |chain: &ChainSettings| chain.config(policy, self.trim.value);
        Ok(RoutingConfig {
            policy,
            trim: self.trim.value,
            chains: chains.iter().map(chain).collect(),
            providers: providers?,
        })
    }
}

// === impl ChainSettings ===

impl ChainSettings {
    fn config(&self, others: RoutePolicy, trim: Trim) -> ChainConfig {
        fn own<T: Copy>(own: Option<&Sourced<T>>, others: T) -> T {
            own.map_or(others, |own| own.value)
        }
        ChainConfig {
            name: self.name.value.clone(),
            models: self.models.value.clone(),
            policy: RoutePolicy {
                siblings: own(self.siblings.as_ref(), others.siblings),
                stickiness: own(self.stickiness.as_ref(), others.stickiness),
                continuation: own(self.continuation.as_ref(), others.continuation),
                max_output_price: own(self.max_output_price.as_ref(), others.max_output_price),
                allow_plain: own(self.allow_plain.as_ref(), others.allow_plain),
            },
            trim: own(self.trim.as_ref(), trim),
        }
    }

    /// What it says besides its name and models, by the names of the file.
    pub(crate) fn own(&self) -> Vec<Listed> {
        let flag = |key, flag: &Option<Sourced<bool>>| {
            flag.as_ref().map(|flag| listed(key, flag, |flag| json!(flag)))
        };
        let continuation = self.continuation.as_ref();
        let limit = self.max_output_price.as_ref();
        let trim = self.trim.as_ref();
        let all = [
            flag("siblings", &self.siblings),
            flag("stickiness", &self.stickiness),
            continuation.map(|who| listed("continuation", who, |who| continuation_value(*who))),
            limit.map(|limit| listed("max_output_price_usd", limit, |limit| limit_value(*limit))),
            flag("allow_plain", &self.allow_plain),
            trim.map(|trim| listed("trim", trim, |trim| trim_value(*trim))),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Reads one entry; `None` where it has no name or no models.
pub(super) fn read_chain(section: &mut Section<'_>, origin: &Origin) -> Option<ChainSettings> {
    let name = section.read_new("name", model_name);
    let models = section.read_new("models", model_names);
    let siblings = section.read_new("siblings", read::flag);
    let stickiness = section.read_new("stickiness", read::flag);
    let continuation = section.read_new("continuation", read::word(CONTINUATION));
    let max_output_price = section.read_new("max_output_price_usd", price_limit);
    let allow_plain = section.read_new("allow_plain", read::flag);
    let trim = section.read_new("trim", trim);
    let (Some(name), Some(models)) = (name, models) else {
        // What is there and wrong has been told.
        if !(section.has("name") && section.has("models")) {
            let hint = "name = \"coder\", models = [\"best/Model\", \"next/Model\"]".to_owned();
            let message = "a chain needs a `name` and `models`".to_owned();
            section.problem(origin, message, Some(hint));
        }
        return None;
    };
    Some(ChainSettings {
        name,
        models,
        siblings,
        stickiness,
        continuation,
        max_output_price,
        allow_plain,
        trim,
    })
}

/// What one entry alone does not show: names that stand twice, and providers that are not there.
pub(super) fn chain_problems(
    chains: &[ChainSettings],
    providers: &[ProviderSettings],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, chain) in chains.iter().enumerate() {
        let same = chains[..index].iter().find(|other| other.name.value == chain.name.value);
        if let Some(first) = same {
            problems.push(Problem {
                place: chain.name.origin.to_string(),
                message: format!("the chain `{}` is there twice", chain.name.value),
                hint: Some(format!("the first is at {}", first.name.origin)),
            });
        }
        for (place, model) in chain.models.value.iter().enumerate() {
            let problem = |message, hint| Problem {
                place: chain.models.origin.to_string(),
                message,
                hint: Some(hint),
            };
            // One with an owner is a model, whatever stands behind it when it is asked for itself.
            let is_chain = chains.iter().any(|other| other.name.value == *model);
            if is_chain && !model.contains('/') {
                problems.push(problem(
                    format!("`{model}` is a chain, and a chain is made of models"),
                    "write the models of that chain here".to_owned(),
                ));
            } else if chain.models.value[..place].contains(model) {
                problems.push(problem(
                    format!("`{model}` stands twice in the chain `{}`", chain.name.value),
                    "each is asked in its first place; take the other away".to_owned(),
                ));
            }
            let Some((name, own)) = model.split_once(':').filter(|(name, _)| !name.contains('/'))
            else {
                continue;
            };
            match providers.iter().find(|provider| provider.name.value == name) {
                None => problems.push(problem(
                    format!("`{model}` names the provider `{name}`, which is not configured"),
                    format!("add name = \"{name}\" below [[providers]]"),
                )),
                Some(provider) if provider.lacks_price(own) => problems.push(problem(
                    format!("`{model}` has no price, so `daily_usd` of the provider cannot hold"),
                    format!("add prices = {{ \"{own}\" = {{ input = …, output = … }} }}"),
                )),
                Some(_) => {}
            }
        }
    }
    problems
}

/// The longest that the gateway takes.
const LONGEST_NAME: usize = 256;
/// Each could stand for a wait.
const MOST_MODELS: usize = 16;

pub(super) fn model_name(value: &Value<'_>) -> Result<String, String> {
    let name = read::text(value)?;
    let is_plain = name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    is_plain.then_some(name).ok_or_else(|| "expected the name of a model".to_owned())
}

fn model_names(value: &Value<'_>) -> Result<Vec<String>, String> {
    let names = read::texts(value)?;
    let is_plain = |name: &String| name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    let is_right = (1..=MOST_MODELS).contains(&names.len()) && names.iter().all(is_plain);
    is_right
        .then_some(names)
        .ok_or_else(|| format!("expected the names of 1 to {MOST_MODELS} models"))
}

/// Zero for none.
fn price_limit(value: &Value<'_>) -> Result<Option<NanoUsd>, String> {
    read::usd(value).map(|limit| (limit > NanoUsd::ZERO).then_some(limit))
}

fn limit_value(limit: Option<NanoUsd>) -> Json {
    limit.map_or_else(|| json!(0), usd)
}

fn continuation_value(who: Continuation) -> Json {
    let word = CONTINUATION.iter().find(|(_, choice)| *choice == who);
    word.map_or(Json::Null, |(word, _)| json!(word))
}

/// `"off"`, or a share from `"30%"` to `"50%"`.
fn trim(value: &Value<'_>) -> Result<Trim, String> {
    let text = read::text(value)?;
    if text == "off" {
        return Ok(Trim::Off);
    }
    Share::read(&text)
        .map(Trim::Share)
        .ok_or_else(|| "expected \"off\", or a share from \"30%\" to \"50%\"".to_owned())
}

fn trim_value(trim: Trim) -> Json {
    match trim {
        Trim::Off => json!("off"),
        Trim::Share(share) => json!(share.to_string()),
    }
}
