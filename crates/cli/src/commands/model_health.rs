//! `ripcord model-health MODEL`: the state of one model with the evidence. Only the public lists are read: probing
//! with inference costs quota, and a warm-up raises a bounty.

use ripcord_rules::recommend::ModelName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::ModelHealthArguments;
use crate::catalogue::{Catalogue, Entry, Lists, NotFound, StateWord, without_prefix};
use crate::commands::models::{price_words, state_cell};
use crate::commands::usage::ErrorReport;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::figures;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
use crate::upstream::Upstream;

/// What `ripcord model-health --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModelHealthReport {
    #[schemars(extend("const" = "ripcord/model-health/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// Its exact name.
    name: String,
    /// The chute behind it.
    chute_id: Option<String>,
    /// Its state. Exit code 0 for `hot` and `busy`, 1 for `cold` and `down`, 3 for `unknown`.
    state: StateWord,
    /// What decided, in words.
    why: String,
    /// The command that explains what that means for callers; null where it is hot, or nobody knows.
    see: Option<String>,
    /// The figures behind it.
    evidence: EvidenceReport,
    /// The other variants of the same model (precision, trusted execution, point version), with their states.
    siblings: Vec<SiblingReport>,
    /// Lists that could not be read.
    errors: Vec<ErrorReport>,
}

/// The figures behind a state; null where a list does not say.
#[derive(Debug, Serialize, JsonSchema)]
struct EvidenceReport {
    /// Whether the operator switched it off.
    disabled: Option<bool>,
    /// Whether the list shows an instance that is active and verified.
    hot: Option<bool>,
    /// Instances active and verified in the list.
    ready_instances: Option<usize>,
    /// Instances active in the load table.
    active_instances: Option<u64>,
    /// Instances the autoscaler wants.
    target_instances: Option<i64>,
    /// Requests one instance takes at once.
    concurrency: Option<i64>,
    /// Share of slots busy now, in percent.
    busy_percent: Option<f64>,
    /// Share of calls refused for capacity over five minutes, in percent.
    refused_percent: Option<f64>,
    /// The age of the load figures in seconds.
    load_age_seconds: Option<u64>,
    /// US dollars per million prompt tokens.
    usd_per_million_in: Option<f64>,
    /// US dollars per million generated tokens.
    usd_per_million_out: Option<f64>,
}

/// A variant of the same model.
#[derive(Debug, Serialize, JsonSchema)]
struct SiblingReport {
    /// Its name.
    name: String,
    /// Its state.
    state: StateWord,
}

/// Finds the model and shows its state with the evidence.
pub(crate) async fn run(
    arguments: &ModelHealthArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let (lists, problems) = upstream.lists().await;
    let (lists, problems) =
        with_single_look_up(&upstream, &arguments.model, lists, problems).await?;
    let now = context.now();
    let catalogue = Catalogue::join(lists, now);
    let entry = catalogue.find(&arguments.model).map_err(|miss| match problems.first() {
        Some(problem) => problem.clone(),
        None => not_found(&arguments.model, &miss),
    })?;
    let report = report(entry, &catalogue, &problems, context);
    context.printer.answer(&report, || page(&report))?;
    for problem in &problems {
        context.printer.error(problem);
    }
    Ok(match report.state {
        StateWord::Hot | StateWord::Busy => Exit::Done,
        StateWord::Cold | StateWord::Down => Exit::No,
        StateWord::Unknown => Exit::Unknown,
    })
}

/// The lists hold language models only, so a name that they lack is looked up by itself.
async fn with_single_look_up(
    upstream: &Upstream,
    wanted: &str,
    mut lists: Lists,
    problems: Vec<CommandError>,
) -> Result<(Lists, Vec<CommandError>), CommandError> {
    let listed = lists.chutes.iter().flatten().any(|chute| {
        chute.name.as_deref() == Some(without_prefix(wanted)) || chute.chute_id == wanted
    });
    if listed || lists.chutes.is_none() {
        return Ok((lists, problems));
    }
    if let Some(chute) = upstream.chute(without_prefix(wanted)).await?
        && let Some(chutes) = &mut lists.chutes
    {
        chutes.push(chute);
    }
    Ok((lists, problems))
}

/// The error for a name that is not in the catalogue.
pub(crate) fn not_found(wanted: &str, miss: &NotFound) -> CommandError {
    let error = CommandError::usage(format!("there is no model `{}`", without_prefix(wanted)))
        .see("model-not-found");
    match &miss.other_case {
        Some(name) => {
            error.hint(format!("did you mean `{name}`? Names are exact, upper and lower case too"))
        }
        None if miss.near.is_empty() => {
            error.hint("`ripcord models --query TEXT` searches the catalogue")
        }
        None => {
            let names: Vec<String> = miss.near.iter().map(|name| format!("`{name}`")).collect();
            error.hint(format!("did you mean {}?", names.join(" or ")))
        }
    }
}

fn report(
    entry: &Entry,
    catalogue: &Catalogue,
    problems: &[CommandError],
    context: &Context,
) -> ModelHealthReport {
    let (chute, load) = (entry.chute.as_ref(), entry.load.as_ref());
    let percent = |permille: Option<u64>| permille.map(|permille| permille as f64 / 10.0);
    ModelHealthReport {
        schema: "ripcord/model-health/1",
        generated_at: moment::utc(context.now()),
        name: entry.name.clone(),
        chute_id: entry.chute_id.clone(),
        state: entry.state_word(),
        why: entry.why(),
        see: anchor(entry.state_word()).map(|name| format!("ripcord doctor --explain {name}")),
        evidence: EvidenceReport {
            disabled: chute.and_then(|chute| chute.disabled),
            hot: chute.and_then(|chute| chute.hot),
            ready_instances: chute.map(ripcord_wire::chutes::Chute::ready_instances),
            active_instances: entry.evidence.active_instances,
            target_instances: load.and_then(|load| load.target_count),
            concurrency: chute.and_then(|chute| chute.concurrency),
            busy_percent: percent(entry.evidence.utilization_permille),
            refused_percent: percent(entry.evidence.refused_permille),
            load_age_seconds: entry.evidence.utilization_age.map(|age| age.as_secs()),
            usd_per_million_in: entry.price_in().map(figures::usd),
            usd_per_million_out: entry.price_out().map(figures::usd),
        },
        siblings: siblings(entry, catalogue)
            .map(|sibling| SiblingReport {
                name: sibling.name.clone(),
                state: sibling.state_word(),
            })
            .collect(),
        errors: problems.iter().map(ErrorReport::from).collect(),
    }
}

/// The other variants of the same model.
fn siblings<'c>(entry: &'c Entry, catalogue: &'c Catalogue) -> impl Iterator<Item = &'c Entry> {
    let name = ModelName::read(&entry.name);
    catalogue.entries.iter().filter(move |other| {
        other.name != entry.name && name.kinship(&ModelName::read(&other.name)).is_some()
    })
}

/// The entry of the troubleshooting page about what callers of such a model get.
const fn anchor(state: StateWord) -> Option<&'static str> {
    match state {
        StateWord::Hot | StateWord::Unknown => None,
        StateWord::Busy => Some("model-full"),
        StateWord::Cold => Some("model-cold"),
        StateWord::Down => Some("model-off"),
    }
}

fn page(report: &ModelHealthReport) -> Page {
    let mut page = Page::new();
    page.fitting(
        0,
        2,
        state_cell(report.state).plain("  ").then(Tone::Strong, report.name.as_str()),
    );
    page.paragraph(2, Text::from(report.why.as_str()));
    if let Some(see) = &report.see {
        page.paragraph_under(2, 2, Text::new().dim(format!("more: {see}")));
    }
    page.gap();
    let evidence = &report.evidence;
    let mut fact = |label: &str, value: Option<String>| {
        let label = format!("{label:<20}");
        page.fitting(
            2,
            2,
            match value {
                Some(value) => Text::new().dim(label).plain(value),
                None => Text::new().dim(label).dim("unknown"),
            },
        );
    };
    let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let share = |value: f64| format!("{value:.1} %");
    let instances =
        evidence.active_instances.or(evidence.ready_instances.map(|count| count as u64));
    fact("switched off", evidence.disabled.map(yes_no));
    fact(
        "instances",
        instances.map(|count| match (evidence.target_instances, evidence.concurrency) {
            (Some(target), _) if u64::try_from(target).is_ok_and(|target| target > count) => {
                format!("{count}, and the autoscaler wants {target}")
            }
            (_, Some(at_once)) => format!("{count}, each takes {at_once} at once"),
            _ => count.to_string(),
        }),
    );
    fact("slots busy", evidence.busy_percent.map(share));
    fact("refused, 5 min", evidence.refused_percent.map(share));
    fact(
        "load figures",
        evidence
            .load_age_seconds
            .map(|age| format!("{} old", moment::duration(std::time::Duration::from_secs(age)))),
    );
    let price = match (evidence.usd_per_million_in, evidence.usd_per_million_out) {
        (Some(input), Some(output)) => {
            let words = |usd: f64| {
                ripcord_rules::units::NanoUsd::from_decimal(
                    &usd.to_string(),
                    ripcord_rules::units::Rounding::Up,
                )
                .map_or_else(|| usd.to_string(), price_words)
            };
            Some(format!("${} in, ${} out per million tokens", words(input), words(output)))
        }
        _ => None,
    };
    fact("price", price);
    if !report.siblings.is_empty() {
        page.gap().line(Text::toned(Tone::Strong, "Variants of the same model"));
        let mut table = Table::new(2, vec![Column::left(""), Column::names("")]);
        for sibling in &report.siblings {
            table.row(vec![state_cell(sibling.state), Text::from(sibling.name.as_str())]);
        }
        page.table(table);
    }
    page
}
