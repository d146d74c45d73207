//! `[[providers]]`: OpenAI-compatible services besides Chutes.

use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_gateway::ProviderConfig;
use ripcord_rules::quota::ModelPrices;
use ripcord_rules::route::Place;
use ripcord_rules::units::NanoUsd;

use super::document::{Problem, Section, Value, read};
use super::environment::Environment;
use super::named::{self, NamedProblem};
use super::origin::{Origin, Sourced};

const PLACES: &[(&str, Place)] = &[("behind", Place::Behind), ("before", Place::Before)];

/// The keys of an entry, for suggestions.
pub(super) const PROVIDER_KEYS: [&str; 11] = [
    "name",
    "base_url",
    "key",
    "place",
    "models",
    "tee",
    "slots",
    "prices",
    "daily_usd",
    "include_usage",
    "prefill",
];

/// One `[[providers]]` entry.
#[derive(Debug, Clone)]
pub(crate) struct ProviderSettings {
    pub(crate) name: Sourced<String>,
    pub(crate) base_url: Sourced<BaseUrl>,
    /// The key, or why it is not known, which stops only the gateway; `None` for a service without one.
    pub(crate) key: Option<Result<Key, NamedProblem>>,
    pub(crate) place: Place,
    /// Chutes' names and its own for the same models.
    pub(crate) models: Vec<(String, String)>,
    pub(crate) tee: bool,
    pub(crate) slots: Option<u32>,
    /// By its own names.
    pub(crate) prices: Vec<(String, ModelPrices)>,
    pub(crate) daily_usd: Option<NanoUsd>,
    pub(crate) include_usage: bool,
    pub(crate) prefill: bool,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    /// Whether a bound for a day could not hold, since nobody knows what the model costs.
    pub(super) fn lacks_price(&self, model: &str) -> bool {
        self.daily_usd.is_some() && !self.prices.iter().any(|(priced, _)| priced == model)
    }

    /// What keeps it from being used.
    pub(crate) fn problem(&self) -> Option<&NamedProblem> {
        self.key.as_ref()?.as_ref().err()
    }

    pub(crate) const fn place_word(&self) -> &'static str {
        match self.place {
            Place::Behind => "behind",
            Place::Before => "before",
        }
    }

    pub(super) fn config(&self) -> Result<ProviderConfig, Problem> {
        let key = self.key.clone().transpose().map_err(Problem::from)?;
        Ok(ProviderConfig {
            name: self.name.value.clone(),
            base_url: self.base_url.value.clone(),
            key,
            place: self.place,
            models: self.models.clone(),
            tee: self.tee,
            slots: self.slots,
            prices: self.prices.clone(),
            daily_usd: self.daily_usd,
            include_usage: self.include_usage,
            prefill: self.prefill,
        })
    }
}

/// Reads one entry; `None` where it has no name or no address.
pub(super) fn read_provider(
    section: &mut Section<'_>,
    origin: &Origin,
    environment: &dyn Environment,
) -> Option<ProviderSettings> {
    fn value<T>(sourced: Option<Sourced<T>>) -> Option<T> {
        sourced.map(|sourced| sourced.value)
    }
    let name = section.read_new("name", provider_name);
    let key = section.read_new("key", read::text);
    // What has no key cannot give one away.
    let plain = if key.is_some() { PlainHttp::LoopbackOnly } else { PlainHttp::Allowed };
    let base_url = section.read_new("base_url", |value| {
        BaseUrl::parse(Service::Provider, &read::text(value)?, plain)
            .map_err(|problem| problem.to_string())
    });
    let place = value(section.read_new("place", read::word(PLACES)));
    let models = value(section.read_new("models", names)).unwrap_or_default();
    let tee = value(section.read_new("tee", read::flag));
    let slots = value(section.read_new("slots", read::whole(1, 1_000, "slots")));
    let prices = value(section.read_new("prices", prices)).unwrap_or_default();
    let daily_usd = section.read_new("daily_usd", |value| {
        let amount = read::usd(value)?;
        (amount > NanoUsd::ZERO).then_some(amount).ok_or_else(|| "must be above 0".to_owned())
    });
    let include_usage = value(section.read_new("include_usage", read::flag));
    let prefill = value(section.read_new("prefill", read::flag));
    let (Some(name), Some(base_url)) = (name, base_url) else {
        // What is there and wrong has been told.
        if !(section.has("name") && section.has("base_url")) {
            let hint = "name = \"spare\", base_url = \"https://api.example.com/v1\"".to_owned();
            let message = "a provider needs a `name` and a `base_url`".to_owned();
            section.problem(origin, message, Some(hint));
        }
        return None;
    };
    let read = ProviderSettings {
        name,
        base_url,
        key: key.map(|place| secret(&place, environment)),
        place: place.unwrap_or_default(),
        models,
        tee: tee.unwrap_or(false),
        slots: slots.and_then(|slots| u32::try_from(slots).ok()),
        prices,
        daily_usd: daily_usd.as_ref().map(|bound| bound.value),
        include_usage: include_usage.unwrap_or(true),
        prefill: prefill.unwrap_or(false),
    };
    let unpriced = read.models.iter().find(|(_, own)| read.lacks_price(own));
    if let (Some(bound), Some((_, own))) = (&daily_usd, unpriced) {
        let message = format!("`daily_usd` needs a price for every model, and `{own}` has none");
        let hint = format!("prices = {{ \"{own}\" = {{ input = 0.5, output = 1.5 }} }}");
        section.problem(&bound.origin, message, Some(hint));
    }
    Some(read)
}

/// Names that stand twice, among providers and accounts: records and metrics go by them.
pub(super) fn provider_problems<'s>(
    providers: &'s [ProviderSettings],
    accounts: impl Iterator<Item = &'s Sourced<String>> + Clone,
) -> Vec<Problem> {
    let doubled = providers.iter().enumerate().filter_map(|(index, provider)| {
        let others = providers[..index].iter().map(|other| &other.name).chain(accounts.clone());
        let first = others.into_iter().find(|name| name.value == provider.name.value)?;
        Some(Problem {
            place: provider.name.origin.to_string(),
            message: format!("the name `{}` stands for two things", provider.name.value),
            hint: Some(format!("the first is at {}", first.origin)),
        })
    });
    doubled.collect()
}

fn secret(place: &Sourced<String>, environment: &dyn Environment) -> Result<Key, NamedProblem> {
    let problem = |message: String, hint: Option<String>| NamedProblem {
        place: place.origin.clone(),
        message: format!("`key`: {message}"),
        hint,
    };
    let text = named::text_behind(place, environment)?.ok_or_else(|| {
        let hint = Some("write \"env:NAME\" or \"file:PATH\"".to_owned());
        problem("the key of a provider does not stand in this file".to_owned(), hint)
    })?;
    // What it says of keys of Chutes does not belong here.
    Key::of_provider(&text).map_err(|_| problem("this is no key".to_owned(), None))
}

fn provider_name(value: &Value<'_>) -> Result<String, String> {
    let name = read::text(value)?;
    let is_plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_right = name.len() <= 40 && name != "chutes" && name.chars().all(is_plain);
    is_right.then_some(name).ok_or_else(|| {
        "expected a short name of letters, digits, `-`, `_` and `.`, other than \"chutes\""
            .to_owned()
    })
}

/// `{ "Chutes/Name" = "their/name" }`.
fn names(value: &Value<'_>) -> Result<Vec<(String, String)>, String> {
    let expected = || {
        "expected names of Chutes with those of the provider, such as { \"a/Model\" = \"their-model\" }".to_owned()
    };
    let Value::Table(table) = value else { return Err(expected()) };
    let pair =
        |(chutes, own): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<Value<'_>>)| {
            let own = super::routing::model_name(own.get_ref()).map_err(|_| expected())?;
            Ok((chutes.get_ref().to_string(), own))
        };
    table.iter().map(pair).collect()
}

/// `{ "their/name" = { input = 0.5, output = 1.5, cached_input = 0.1 } }`, US dollars for a million tokens.
fn prices(value: &Value<'_>) -> Result<Vec<(String, ModelPrices)>, String> {
    const EXPECTED: &str = "expected US dollars for a million tokens of each model, such as \
                            { \"their-model\" = { input = 0.5, output = 1.5 } }; `cached_input` may be added";
    let Value::Table(table) = value else { return Err(EXPECTED.to_owned()) };
    let price = |price: &Value<'_>| {
        let Value::Table(price) = price else { return Err(EXPECTED.to_owned()) };
        let amount =
            |key: &str| price.get(key).map(|amount| read::usd(amount.get_ref())).transpose();
        let known = ["input", "output", "cached_input"];
        if price.iter().any(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            return Err(EXPECTED.to_owned());
        }
        let (Some(prompt), Some(completion)) = (amount("input")?, amount("output")?) else {
            return Err(EXPECTED.to_owned());
        };
        let cached = amount("cached_input")?.unwrap_or(prompt);
        Ok(ModelPrices { prompt, completion, cached })
    };
    let all = table
        .iter()
        .map(|(model, value)| Ok((model.get_ref().to_string(), price(value.get_ref())?)));
    all.collect()
}
