//! `ripcord status`: is it down? Answered per model, since one model is full more often than the platform is down.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::args::StatusArguments;
use crate::catalogue::{Catalogue, Entry, NotFound, StateWord};
use crate::commands::model_health::not_found;
use crate::commands::models::state_cell;
use crate::commands::usage::ErrorReport;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Device, Page, moment, number};
use crate::upstream::{Upstream, note};

/// From this width on a reason has room beside a name.
const ROOM_FOR_REASONS: usize = 72;

/// What `ripcord status --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatusReport {
    #[schemars(extend("const" = "ripcord/status/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The platform as a whole.
    platform: PlatformReport,
    /// The models that were asked for, else those named under `models.watch`, in that order; one of the latter that is not
    /// in the catalogue is `down`.
    mine: Vec<ModelStatus>,
    /// The other models: those that are not hot, or with `--all` all of them; empty with `--mine` and where models were
    /// asked for.
    others: Vec<ModelStatus>,
    /// What could not be read.
    errors: Vec<ErrorReport>,
}

/// The platform as a whole.
#[derive(Debug, Serialize, JsonSchema)]
struct PlatformReport {
    /// Whether the management API answers a ping; null if it could not be asked.
    answers: Option<bool>,
    /// How long the ping took, in milliseconds.
    ping_ms: Option<u64>,
    /// Models in the catalogue; null if it could not be read.
    models: Option<usize>,
    /// How many are in each state.
    hot: usize,
    /// Instances up and full.
    busy: usize,
    /// Nothing runs them.
    cold: usize,
    /// Switched off, or gone from the catalogue.
    down: usize,
    /// Not known.
    unknown: usize,
    /// The share of calls refused for capacity over five minutes, in percent, over all models.
    refused_percent: Option<f64>,
    /// The age of the newest load figure in seconds.
    load_age_seconds: Option<u64>,
}

/// One model.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelStatus {
    /// Its name.
    name: String,
    /// Its state.
    state: StateWord,
    /// Why, in words.
    why: String,
    /// Share of slots busy, in percent; null if not known or older than five minutes.
    busy_percent: Option<f64>,
    /// Share of calls refused for capacity over five minutes, in percent; null as above, and without calls.
    refused_percent: Option<f64>,
    /// Instances that take calls; null as above.
    instances: Option<u64>,
}

/// Reads the public lists, pings, and shows what is not as it should be.
pub(crate) async fn run(
    arguments: &StatusArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let ((lists, mut problems), ping) = tokio::join!(upstream.lists(), upstream.ping(context));
    let now = context.now();
    let readable = lists.models.is_some() || lists.chutes.is_some();
    let catalogue = Catalogue::join(lists, now);
    let counted =
        |word| catalogue.entries.iter().filter(|entry| entry.state_word() == word).count();
    let platform = PlatformReport {
        answers: match &ping {
            Ok(_) => Some(true),
            Err(_) => readable.then_some(false),
        },
        ping_ms: ping.as_ref().ok().and_then(|time| u64::try_from(time.as_millis()).ok()),
        models: readable.then_some(catalogue.entries.len()),
        hot: counted(StateWord::Hot),
        busy: counted(StateWord::Busy),
        cold: counted(StateWord::Cold),
        down: counted(StateWord::Down),
        unknown: counted(StateWord::Unknown),
        refused_percent: refused_percent(&catalogue),
        load_age_seconds: catalogue
            .entries
            .iter()
            .filter_map(|entry| entry.evidence.utilization_age)
            .min()
            .map(|age| age.as_secs()),
    };
    if readable && let Some(problem) = unknown_name(&arguments.models, &catalogue) {
        return Err(problem);
    }
    let asked = !arguments.models.is_empty();
    let watched = &context.settings.models.watch.value;
    let named = if asked { &arguments.models } else { watched };
    let mine: Vec<ModelStatus> =
        named.iter().map(|name| mine(name, &catalogue, readable)).collect();
    let is_mine = |entry: &Entry| mine.iter().any(|model| model.name == entry.name);
    let mut others: Vec<&Entry> = catalogue
        .entries
        .iter()
        .filter(|entry| !arguments.mine && !asked && !is_mine(entry))
        .filter(|entry| arguments.all || entry.state_word() != StateWord::Hot)
        .collect();
    let order = order(arguments.all);
    others.sort_by_key(|entry| order.iter().position(|state| *state == entry.state_word()));
    if let Err(error) = ping {
        note(&mut problems, error);
    }
    let report = StatusReport {
        schema: "ripcord/status/1",
        generated_at: moment::utc(now),
        platform,
        mine,
        others: others.iter().map(|entry| status(entry)).collect(),
        errors: problems.iter().map(ErrorReport::from).collect(),
    };
    context.printer.answer(&report, || page(&report, arguments, context))?;
    for problem in &problems {
        context.printer.error(problem);
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Unknown })
}

/// The error for the first of the names that were asked for that nobody has.
fn unknown_name(asked: &[String], catalogue: &Catalogue) -> Option<CommandError> {
    asked.iter().find_map(|name| catalogue.find(name).err().map(|miss| not_found(name, &miss)))
}

fn status(entry: &Entry) -> ModelStatus {
    let load = entry.fresh_load();
    let percent = |permille: Option<u64>| permille.map(|permille| permille as f64 / 10.0);
    ModelStatus {
        name: entry.name.clone(),
        state: entry.state_word(),
        why: entry.why(),
        busy_percent: percent(load.busy_permille),
        refused_percent: percent(load.refused_permille),
        instances: load.instances,
    }
}

fn mine(name: &str, catalogue: &Catalogue, readable: bool) -> ModelStatus {
    let missing = |state, why: String| ModelStatus {
        name: name.to_owned(),
        state,
        why,
        busy_percent: None,
        refused_percent: None,
        instances: None,
    };
    match catalogue.find(name) {
        Ok(entry) => status(entry),
        Err(_) if !readable => {
            missing(StateWord::Unknown, "the catalogue could not be read".to_owned())
        }
        Err(NotFound { other_case: None, .. }) if !catalogue.whole => {
            missing(StateWord::Unknown, "not in the part of the catalogue that was read".to_owned())
        }
        Err(miss) => missing(
            StateWord::Down,
            match miss.other_case.or_else(|| miss.near.into_iter().next()) {
                Some(near) => format!("did you mean {near}?"),
                None => "not in the catalogue".to_owned(),
            },
        ),
    }
}

/// Refused calls of all calls, over five minutes and all models; `None` without traffic figures.
fn refused_percent(catalogue: &Catalogue) -> Option<f64> {
    let loads = || catalogue.entries.iter().filter_map(|entry| entry.load.as_ref());
    let total: f64 = loads().filter_map(|load| load.total_requests_5m).sum();
    let refused: f64 = loads().filter_map(|load| load.rate_limited_requests_5m).sum();
    (total > 0.0).then(|| (refused / total * 1000.0).round() / 10.0)
}

fn page(report: &StatusReport, arguments: &StatusArguments, context: &Context) -> Page {
    let mut page = Page::new();
    draw_platform(&mut page, &report.platform);
    if !report.mine.is_empty() {
        page.gap();
        if arguments.models.is_empty() {
            page.line(Text::toned(Tone::Strong, "Your models"));
        }
        draw_mine(&mut page, &report.mine, context.printer.device());
    } else if arguments.mine {
        page.gap().paragraph(0, Text::from("No models are named as yours. ").append(naming()));
    }
    for state in order(arguments.all) {
        let group: Vec<&ModelStatus> =
            report.others.iter().filter(|model| model.state == state).collect();
        if !group.is_empty() {
            let meaning = meaning(state, &group);
            page.gap().paragraph_under(0, 2, group_title(state, meaning, group.len()));
            page.table(group_table(&group, meaning));
        }
    }
    let looks_at_others = !arguments.mine && arguments.models.is_empty();
    if report.others.is_empty() && looks_at_others && report.platform.models.is_some() {
        page.gap().line(Text::from("Every other model is hot."));
    }
    let names_none = report.mine.is_empty() && !arguments.mine && !arguments.all;
    if names_none && context.printer.device().terminal {
        page.gap().paragraph(
            0,
            Text::new().dim("The models that you use can come first here. ").append(naming()),
        );
    }
    page
}

fn naming() -> Text {
    Text::new().dim("Name them in the configuration: watch = [\"MODEL\", …] under [models].")
}

/// Without the hot ones, what is full and may free up comes before what is off.
const fn order(all: bool) -> [StateWord; 5] {
    use StateWord::{Busy, Cold, Down, Hot, Unknown};
    if all { [Hot, Busy, Unknown, Cold, Down] } else { [Busy, Down, Cold, Unknown, Hot] }
}

/// What all models of a state have in common, so that their lines need not repeat it.
fn meaning<'m>(state: StateWord, group: &[&'m ModelStatus]) -> &'m str {
    let shared = group.first().map(|first| first.why.as_str());
    match state {
        StateWord::Hot => "running, with room",
        StateWord::Busy => "running, but full or refusing calls",
        StateWord::Cold => "no instance is running",
        StateWord::Down => shared
            .filter(|why| group.iter().all(|model| model.why == *why))
            .unwrap_or("switched off, or gone"),
        StateWord::Unknown => "its state could not be read",
    }
}

fn group_title(state: StateWord, meaning: &str, count: usize) -> Text {
    state_cell(state).plain(": ").plain(meaning).dim(format!(" ({count})"))
}

fn group_table(group: &[&ModelStatus], meaning: &str) -> Table {
    let mut table = Table::new(
        2,
        vec![
            Column::names(""),
            Column::right("").leaves(1),
            Column::right("").leaves(2),
            Column::right("").leaves(3),
            Column::left("").leaves(4),
        ],
    );
    let share = |percent: Option<f64>, what: &str| {
        percent.map_or_else(Text::new, |percent| Text::new().dim(format!("{percent:.0} % {what}")))
    };
    for model in group {
        let runs = matches!(model.state, StateWord::Hot | StateWord::Busy);
        let why = if runs || model.why == meaning { "" } else { model.why.as_str() };
        let instances = model.instances.filter(|_| runs);
        table.row(vec![
            Text::from(model.name.as_str()),
            share(model.refused_percent.filter(|_| runs), "refused"),
            share(model.busy_percent.filter(|_| runs), "busy"),
            instances.map_or_else(Text::new, |count| {
                Text::new().dim(number::counted(count, "instance", "instances"))
            }),
            Text::new().dim(why),
        ]);
    }
    table
}

fn draw_platform(page: &mut Page, platform: &PlatformReport) {
    let ping = platform.ping_ms.map(|time| format!(" (ping {time} ms)")).unwrap_or_default();
    let line = match (platform.answers, platform.models) {
        (Some(true), _) => Text::toned(Tone::Good, "● Chutes answers").dim(ping),
        (Some(false), _) => Text::toned(Tone::Warn, "◐ Chutes answers in part"),
        (None, _) => Text::toned(Tone::Dim, "? Chutes could not be reached"),
    };
    page.line(line);
    let Some(models) = platform.models else { return };
    let counts = [
        (platform.hot, StateWord::Hot),
        (platform.busy, StateWord::Busy),
        (platform.cold, StateWord::Cold),
        (platform.down, StateWord::Down),
        (platform.unknown, StateWord::Unknown),
    ];
    let mut line =
        Text::new().plain(format!("{}: ", number::counted(models as u64, "model", "models")));
    for (index, (count, state)) in counts.into_iter().filter(|(count, _)| *count > 0).enumerate() {
        line = line
            .dim(if index > 0 { ", " } else { "" })
            .then(state.tone(), format!("{count} {}", state.word()));
    }
    page.paragraph(2, line);
    if let Some(refused) = platform.refused_percent {
        let age = platform
            .load_age_seconds
            .map(|age| format!(", figures {} old", moment::duration(Duration::from_secs(age))));
        page.paragraph(
            2,
            Text::new().dim(format!(
                "{refused:.1} % of calls refused for capacity in the last 5 min{}",
                age.unwrap_or_default()
            )),
        );
    }
}

/// One line for each, or, where there is no room for the reasons beside the names, as many as it takes.
fn draw_mine(page: &mut Page, models: &[ModelStatus], device: Device) {
    if !device.cuts || device.width >= ROOM_FOR_REASONS {
        page.table(table(models));
        return;
    }
    for model in models {
        let line = state_cell(model.state).plain(" ").then(Tone::Strong, model.name.as_str());
        page.paragraph_under(2, 2, line.plain(" ").dim(model.why.as_str()));
    }
}

fn table(models: &[ModelStatus]) -> Table {
    let mut table =
        Table::new(2, vec![Column::left(""), Column::names(""), Column::left("").shrinks_to(24)]);
    for model in models {
        table.row(vec![
            state_cell(model.state),
            Text::from(model.name.as_str()),
            Text::new().dim(model.why.as_str()),
        ]);
    }
    table
}
