//! What a request needs, and whether a model has it.

use crate::units::NanoUsd;
use std::fmt;

/// What a request needs of whatever serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The caller insists on a trusted execution environment.
    pub tee_required: bool,
    /// How many tokens the prompt has at least; 0 where that cannot be told.
    pub prompt_tokens: u64,
    /// It offers tools.
    pub tools: bool,
    /// It shows pictures.
    pub vision: bool,
    /// It prescribes a JSON schema for the answer.
    pub json_schema: bool,
    /// What a million output tokens may cost at most of a model that the caller did not name.
    pub max_output_price: Option<NanoUsd>,
    /// Whether a model outside of a trusted execution environment may stand in for one inside.
    pub allow_plain: bool,
    /// Whether only what the caller named may serve it.
    pub fallback_off: bool,
}

/// What is known of a model; `None` where nothing says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Whether it runs in a trusted execution environment.
    pub tee: Option<bool>,
    /// Prompt and answer together, in tokens.
    pub context_tokens: Option<u64>,
    /// Whether it takes tools.
    pub tools: Option<bool>,
    /// Whether it takes pictures.
    pub vision: Option<bool>,
    /// Whether it keeps to a JSON schema.
    pub json_schema: Option<bool>,
    /// What a million output tokens cost.
    pub output_price: Option<NanoUsd>,
    /// The name stands for several models, of which one runs in one.
    pub is_partly_tee: bool,
    /// The caller may not use it.
    pub is_forbidden: bool,
    /// What it costs would count towards a bound in dollars, and nobody knows what it costs.
    pub is_uncounted: bool,
}

/// Why a model does not serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhyNot {
    /// The client key may not use it.
    Forbidden,
    /// The caller wants what it named and nothing else.
    FallbackOff,
    /// It does not run in a trusted execution environment, or nobody says that it does, and one is required.
    NotConfidential,
    /// The same, and the model that it would stand in for runs in one.
    LessPrivate,
    /// It has room for so many tokens, and the prompt has more.
    ContextTooShort(u64),
    /// It takes no tools.
    NoTools,
    /// It takes no pictures.
    NoVision,
    /// It keeps to no JSON schema.
    NoJsonSchema,
    /// A million output tokens cost more than allowed, or nobody knows what they cost.
    TooDear(Option<NanoUsd>),
}

impl ModelFacts {
    /// What is sure of whichever of two models answers.
    #[must_use]
    pub fn or_less(self, other: Self) -> Self {
        let lacks = |one: Option<bool>, other: Option<bool>| match (one, other) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
        Self {
            tee: lacks(self.tee, other.tee),
            is_partly_tee: self.may_be_tee() || other.may_be_tee(),
            context_tokens: self.context_tokens.zip(other.context_tokens).map(|(a, b)| a.min(b)),
            tools: lacks(self.tools, other.tools),
            vision: lacks(self.vision, other.vision),
            json_schema: lacks(self.json_schema, other.json_schema),
            output_price: self.output_price.zip(other.output_price).map(|(a, b)| a.max(b)),
            is_forbidden: self.is_forbidden || other.is_forbidden,
            is_uncounted: self.is_uncounted || other.is_uncounted,
        }
    }

    /// Whether whoever asks for it may count on a trusted execution environment.
    pub(super) fn may_be_tee(&self) -> bool {
        self.is_partly_tee || self.tee == Some(true)
    }
}

impl WhyNot {
    /// The name in records and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "not_allowed",
            Self::FallbackOff => "fallback_off",
            Self::NotConfidential => "not_confidential",
            Self::LessPrivate => "less_private",
            Self::ContextTooShort(_) => "context_too_short",
            Self::NoTools => "no_tools",
            Self::NoVision => "no_vision",
            Self::NoJsonSchema => "no_json_schema",
            Self::TooDear(_) => "too_dear",
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => formatter.write_str("the client key may not use it"),
            Self::FallbackOff => formatter.write_str("the caller allows no fallback"),
            Self::NotConfidential => {
                formatter.write_str("it is not known to run in a trusted execution environment, which is required")
            }
            Self::LessPrivate => formatter.write_str(
                "it is not known to run in a trusted execution environment, as the model does that it would stand in for",
            ),
            Self::ContextTooShort(tokens) => {
                write!(formatter, "its context of {tokens} tokens is too short for the prompt")
            }
            Self::NoTools => formatter.write_str("it takes no tools"),
            Self::NoVision => formatter.write_str("it takes no pictures"),
            Self::NoJsonSchema => formatter.write_str("it keeps to no JSON schema"),
            Self::TooDear(Some(price)) => {
                write!(formatter, "a million output tokens cost {price}, which is more than allowed")
            }
            Self::TooDear(None) => formatter
                .write_str("nobody knows what its output costs, and there is a limit for that"),
        }
    }
}

impl Requirements {
    /// Why a model that the caller did not name may not stand in. `from_tee`: what it named runs in a trusted execution
    /// environment. What nobody knows of a model does not count against it, except where privacy or money hangs on it.
    pub(super) fn against(&self, facts: &ModelFacts, from_tee: bool) -> Option<WhyNot> {
        let is_tee = facts.tee == Some(true);
        let lacks = |needed: bool, has: Option<bool>| needed && has == Some(false);
        if from_tee && !is_tee && !self.allow_plain {
            return Some(WhyNot::LessPrivate);
        }
        if let Some(tokens) = facts.context_tokens.filter(|&tokens| tokens < self.prompt_tokens) {
            return Some(WhyNot::ContextTooShort(tokens));
        }
        if lacks(self.tools, facts.tools) {
            return Some(WhyNot::NoTools);
        }
        if lacks(self.vision, facts.vision) {
            return Some(WhyNot::NoVision);
        }
        if lacks(self.json_schema, facts.json_schema) {
            return Some(WhyNot::NoJsonSchema);
        }
        let is_dear = |limit: NanoUsd| facts.output_price.is_none_or(|price| price > limit);
        self.max_output_price.is_some_and(is_dear).then_some(WhyNot::TooDear(facts.output_price))
    }

    /// Why a model may not serve the request, whoever named it.
    pub(super) fn forbids(&self, facts: &ModelFacts) -> Option<WhyNot> {
        if facts.is_forbidden {
            return Some(WhyNot::Forbidden);
        }
        if facts.is_uncounted {
            return Some(WhyNot::TooDear(None));
        }
        (self.tee_required && facts.tee != Some(true)).then_some(WhyNot::NotConfidential)
    }
}
