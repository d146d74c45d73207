//! `ripcord models`: the catalogue with prices, context, features and state.

pub(crate) mod filter;

use ripcord_rules::units::NanoUsd;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{ModelOrder, ModelsArguments};
use crate::catalogue::{Catalogue, Entry, StateWord};
use crate::commands::usage::ErrorReport;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::figures;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};
use crate::upstream::Upstream;
use filter::Filter;

/// What `ripcord models --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModelsReport {
    #[schemars(extend("const" = "ripcord/models/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// How many models the catalogue has before the filters.
    total: usize,
    /// The models that passed the filters.
    models: Vec<ModelReport>,
    /// Lists that could not be read; what they would have said is null or `unknown`.
    errors: Vec<ErrorReport>,
}

/// One model.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelReport {
    /// Its exact name.
    name: String,
    /// The chute behind it.
    chute_id: Option<String>,
    /// Its state.
    state: StateWord,
    /// Why, in words.
    why: String,
    /// US dollars per million prompt tokens.
    usd_per_million_in: Option<f64>,
    /// US dollars per million generated tokens.
    usd_per_million_out: Option<f64>,
    /// US dollars per million prompt tokens found in a cache.
    usd_per_million_cached: Option<f64>,
    /// Tokens that fit in its context.
    context_tokens: Option<u64>,
    /// The longest answer in tokens.
    max_output_tokens: Option<u64>,
    /// `tools`, `reasoning`, `json_mode`, `structured_outputs` …; null if the server does not say.
    features: Option<Vec<String>>,
    /// What it takes: `text`, `image`, `video`; null if the server does not say.
    input_modalities: Option<Vec<String>>,
    /// Whether it runs in a trusted execution environment.
    tee: Option<bool>,
    /// `fp8`, `bf16` …
    quantization: Option<String>,
    /// The engine: `sglang`, `vllm`, or `chutes` for models hosted elsewhere.
    owner: Option<String>,
}

/// Reads the public lists and shows what passes the filters.
pub(crate) async fn run(
    arguments: &ModelsArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let (lists, problems) = upstream.lists().await;
    if lists.models.is_none() && lists.chutes.is_none() {
        return Err(problems
            .into_iter()
            .next()
            .unwrap_or_else(|| CommandError::unknown("the catalogue could not be read")));
    }
    let by_models = lists.models.is_some();
    let now = context.now();
    let catalogue = Catalogue::join(lists, now);
    // `/v1/models` is the catalogue of what can be called; without it the list of chutes has to do.
    let listed: Vec<&Entry> =
        catalogue.entries.iter().filter(|entry| entry.model.is_some() || !by_models).collect();
    let filter = Filter::read(arguments, &listed)?;
    let mut shown: Vec<&Entry> =
        listed.iter().copied().filter(|entry| filter.passes(entry)).collect();
    sort(&mut shown, arguments.sort);
    let report = ModelsReport {
        schema: "ripcord/models/1",
        generated_at: moment::utc(now),
        total: listed.len(),
        models: shown.iter().map(|entry| model(entry)).collect(),
        errors: problems.iter().map(ErrorReport::from).collect(),
    };
    context.printer.answer(&report, || page(&shown, listed.len()))?;
    for problem in &problems {
        context.printer.error(problem);
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Unknown })
}

fn sort(entries: &mut [&Entry], order: ModelOrder) {
    let name = |entry: &&Entry| entry.name.to_lowercase();
    match order {
        ModelOrder::Popularity => {}
        ModelOrder::Name => entries.sort_by_key(name),
        ModelOrder::Price => entries.sort_by_key(|entry| {
            (entry.price_out().is_none(), entry.price_out(), entry.price_in(), name(entry))
        }),
        ModelOrder::Context => {
            entries.sort_by_key(|entry| {
                (std::cmp::Reverse(entry.context().unwrap_or(0)), name(entry))
            });
        }
        ModelOrder::State => entries.sort_by_key(|entry| entry.state_word().rank()),
    }
}

fn model(entry: &Entry) -> ModelReport {
    let model = entry.model.as_ref();
    ModelReport {
        name: entry.name.clone(),
        chute_id: entry.chute_id.clone(),
        state: entry.state_word(),
        why: entry.why(),
        usd_per_million_in: entry.price_in().map(figures::usd),
        usd_per_million_out: entry.price_out().map(figures::usd),
        usd_per_million_cached: entry.price_cached().map(figures::usd),
        context_tokens: entry.context(),
        max_output_tokens: model
            .and_then(|model| model.max_output_length)
            .and_then(|tokens| u64::try_from(tokens).ok()),
        features: model.and_then(|model| model.supported_features.clone()),
        input_modalities: model.and_then(|model| model.input_modalities.clone()),
        tee: entry.tee(),
        quantization: model.and_then(|model| model.quantization.clone()),
        owner: model.and_then(|model| model.owned_by.clone()),
    }
}

fn page(shown: &[&Entry], total: usize) -> Page {
    let mut page = Page::new();
    let mut table = Table::new(
        0,
        vec![
            Column::names("model"),
            Column::left("state"),
            Column::right("in"),
            Column::right("out"),
            Column::right("cached").leaves(2),
            Column::right("context").leaves(1),
            Column::left("").leaves(4),
            Column::left("features").leaves(3),
            Column::left("quant").leaves(5),
            Column::left("why").leaves(6),
        ],
    );
    for entry in shown {
        table.row(row(entry));
    }
    if shown.is_empty() {
        let listed = number::counted(total as u64, "model is", "models are");
        page.paragraph(0, Text::from(format!("no model passes these filters; {listed} listed")));
        return page;
    }
    page.table(table).gap();
    let count = if shown.len() == total {
        number::counted(total as u64, "model", "models")
    } else {
        format!("{} of {}", shown.len(), number::counted(total as u64, "model", "models"))
    };
    page.paragraph(
        0,
        Text::new().dim(format!("{count}. Prices in US dollars per million tokens.")),
    );
    page
}

fn row(entry: &Entry) -> Vec<Text> {
    let price =
        |amount: Option<NanoUsd>| amount.map_or_else(unknown, |amount| price_words(amount).into());
    let model = entry.model.as_ref();
    let features = model.and_then(|model| model.supported_features.as_ref());
    let short = |name: &String| match name.as_str() {
        "json_mode" => "json".to_owned(),
        "structured_outputs" => "schema".to_owned(),
        other => other.to_owned(),
    };
    let mut words: Vec<String> = features.into_iter().flatten().map(short).collect();
    let images = model.and_then(|model| model.input_modalities.as_ref());
    words.extend(images.into_iter().flatten().filter(|kind| *kind != "text").cloned());
    vec![
        Text::from(entry.name.as_str()),
        state_cell(entry.state_word()),
        price(entry.price_in()),
        price(entry.price_out()),
        price(entry.price_cached()),
        entry.context().map_or_else(unknown, |tokens| number::tokens(tokens).into()),
        Text::toned(Tone::Accent, if entry.tee() == Some(true) { "tee" } else { "" }),
        Text::from(words.join(" ")),
        Text::new().dim(model.and_then(|model| model.quantization.clone()).unwrap_or_default()),
        Text::new().dim(entry.why()),
    ]
}

/// A state with its sign.
pub(crate) fn state_cell(state: StateWord) -> Text {
    Text::toned(state.tone(), format!("{} {}", state.sign(), state.word()))
}

/// A price with as many decimals as it needs: `0.104`, `3.15`.
pub(crate) fn price_words(amount: NanoUsd) -> String {
    // Prices have four decimals at most.
    let tenth_millis = (amount.0 + 99_999) / 100_000;
    let text = format!("{}.{:04}", tenth_millis / 10_000, tenth_millis % 10_000);
    let trimmed = text.trim_end_matches('0');
    let decimals = trimmed.rsplit('.').next().map_or(0, str::len);
    format!("{trimmed}{}", "0".repeat(2_usize.saturating_sub(decimals)))
}

fn unknown() -> Text {
    Text::new().dim("?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_rules::units::Rounding;

    #[test]
    fn prices_keep_the_decimals_they_need() {
        let cases = [
            ("0.104", "0.104"),
            ("3.15", "3.15"),
            ("1", "1.00"),
            ("0.4750", "0.475"),
            ("0.00001", "0.0001"),
        ];
        for (price, shown) in cases {
            assert_eq!(price_words(NanoUsd::from_decimal(price, Rounding::Up).unwrap()), shown);
        }
    }
}
