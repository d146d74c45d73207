//! `ripcord probe [MODEL]`: one tiny request, and everything in its answer that speaks of limits, explained. It costs at
//! most one request unit, and says so.

mod failure;
mod fields;
mod headers;
mod request;

use std::time::Duration;

use ripcord_rules::time::Wall;
use ripcord_wire::limits::LimitHeaders;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::ProbeArguments;
use crate::catalogue::Catalogue;
use crate::commands::one_call::{Choice, Deadline, choose_from, choose_running, payer};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};
use crate::slots;
use crate::upstream::{Reading, Upstream};

use failure::FailureReport;
use fields::FieldReport;
use headers::{About, HeaderReport};
use request::Outcome;

/// What `ripcord probe --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProbeReport {
    #[schemars(extend("const" = "ripcord/probe/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The account that paid.
    account: String,
    /// The beginning of the key it was asked with.
    key: String,
    /// The model that was asked.
    model: String,
    /// The model that was meant, where it is missing or does not run.
    instead_of: Option<String>,
    /// What was called, and where.
    call: String,
    /// The status of the answer; null if none came.
    status: Option<u16>,
    /// Milliseconds until the answer was there.
    took_ms: u64,
    /// Request units that it costs at most. A failed request costs none, unless nobody knows whether it arrived.
    request_units_at_most: u64,
    /// How many seconds this machine's clock is ahead of that of Chutes (negative: behind), as far as whole seconds
    /// tell; null if the answer has no date.
    clock_ahead_seconds: Option<i64>,
    /// Every header of the answer, in its order.
    headers: Vec<HeaderReport>,
    /// Headers that one would look for, and that are not there.
    absent: Vec<AbsentReport>,
    /// The fields of the body that speak of limits, usage and identity.
    fields: Vec<FieldReport>,
    /// What a failure means; null if the model answered.
    failure: Option<FailureReport>,
}

/// A header that is not there.
#[derive(Debug, Serialize, JsonSchema)]
struct AbsentReport {
    /// Its name; `*` stands for several.
    name: &'static str,
    /// What that means.
    meaning: &'static str,
}

/// Chooses a model and a payer, asks, and explains what came back.
pub(crate) async fn run(
    arguments: &ProbeArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let deadline = Deadline::new(context);
    let (lists, problems) = deadline.within(async { Ok(upstream.lists().await) }).await?;
    let catalogue = Catalogue::join(lists, context.now());
    let typed = arguments.model.as_deref();
    let choice = choose_from(typed, &catalogue, problems, context, choose_running)?;
    let readings = deadline.within(upstream.selected_readings(context)).await?;
    let reading = payer(&readings, context)?;
    let _slot = slots::for_one_call(&reading.account, "probe", context).await?;
    let outcome =
        deadline.within(request::send(&upstream, reading, &choice.model, context)).await?;
    let report = report(choice, reading, &upstream, &outcome, context);
    context.printer.answer(&report, || page(&report))?;
    Ok(report.failure.as_ref().map_or(Exit::Done, FailureReport::exit))
}

fn report(
    choice: Choice,
    reading: &Reading,
    upstream: &Upstream,
    outcome: &Outcome,
    context: &Context,
) -> ProbeReport {
    let now = context.now();
    let answer = outcome.answer.as_ref().ok();
    let pairs = || answer.into_iter().flat_map(|answer| &answer.headers);
    let limits = LimitHeaders::read(pairs().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let failure = FailureReport::new(outcome, now);
    ProbeReport {
        schema: "ripcord/probe/1",
        generated_at: moment::utc(now),
        account: reading.label.clone(),
        key: outcome.key.to_string(),
        model: choice.model,
        instead_of: choice.instead_of,
        call: format!("POST /v1/chat/completions at {}", upstream.endpoints.llm.authority()),
        status: answer.map(|answer| answer.status),
        took_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        request_units_at_most: u64::from(match &outcome.answer {
            // A 200 is counted, whatever stands in it.
            Ok(answer) => failure.is_none() || (200..300).contains(&answer.status),
            Err(problem) => problem.request_sent(),
        }),
        clock_ahead_seconds: limits.date.map(|date| ahead_seconds(now, date)),
        headers: headers::explained(pairs(), now, &context.printer.moments),
        absent: answer.map_or_else(Vec::new, |_| absent(&limits, failure.is_some())),
        fields: answer.map_or_else(Vec::new, |answer| fields::explained(&answer.body)),
        failure,
    }
}

/// `Date` has whole seconds, so less than one tells nothing.
fn ahead_seconds(now: Wall, date_micros: i64) -> i64 {
    let server = Wall::from_unix_micros(date_micros);
    let (ahead, behind) = (now.since(server), server.since(now));
    let seconds = |difference: Duration| i64::try_from(difference.as_secs()).unwrap_or(i64::MAX);
    if behind.is_zero() { seconds(ahead) } else { -seconds(behind) }
}

fn absent(limits: &LimitHeaders, failed: bool) -> Vec<AbsentReport> {
    let mut absent = Vec::new();
    let mut note = |missing: bool, name, meaning| {
        if missing {
            absent.push(AbsentReport { name, meaning });
        }
    };
    note(
        limits.chutes_quota.is_none(),
        "x-chutes-quota-*",
        if failed {
            "Chutes sends no quota headers with an error; `ripcord usage` asks for the figures"
        } else {
            "no quota counts here: an unlimited or invoiced account, a model that is free, or an older server"
        },
    );
    note(
        limits.retry_after.is_none() && failed,
        "retry-after",
        "Chutes never says when to come back; Ripcord works it out from the windows",
    );
    note(
        limits.windows.is_empty(),
        "x-ratelimit-*",
        "Chutes never sends them; only something in between would",
    );
    absent
}

fn page(report: &ProbeReport) -> Page {
    let mut page = Page::new();
    let took = format!(" after {} ms", number::grouped(report.took_ms));
    page.paragraph_under(
        0,
        2,
        match (&report.failure, report.status) {
            (None, _) => Text::toned(Tone::Good, "✓ ")
                .then(Tone::Strong, report.model.as_str())
                .plain(format!(" answers{took}")),
            (Some(failure), Some(status)) => Text::toned(Tone::Bad, "✗ ")
                .then(Tone::Strong, report.model.as_str())
                .plain(match status {
                    200..300 => format!(" answers {status}{took}, but not as a model does: "),
                    _ => format!(" answers {status}{took}: "),
                })
                .plain(failure.message.as_str()),
            (Some(failure), None) => Text::toned(Tone::Bad, "✗ ")
                .plain("no answer from ")
                .then(Tone::Strong, report.model.as_str())
                .plain(format!("{took}: {}", failure.message)),
        },
    );
    if let Some(missing) = &report.instead_of {
        page.paragraph(
            2,
            Text::new().dim(format!("asked instead of {missing}, which is missing or not up")),
        );
    }
    let whose = if report.key == report.account {
        report.key.clone()
    } else {
        format!("{} of {}", report.key, report.account)
    };
    page.line(Text::new().dim("  asked  ").plain(format!("with {whose}")));
    page.line(Text::new().dim("  cost   ").plain(cost(report)));
    if let Some(failure) = &report.failure {
        page.gap().line(Text::toned(Tone::Strong, "What it means"));
        page.paragraph(2, Text::new().plain(failure.means));
        page.paragraph_under(
            2,
            2,
            Text::new().plain("Ripcord would ").plain(failure.ripcord_would),
        );
        page.paragraph_under(
            2,
            2,
            Text::new().then(Tone::Accent, "→").plain(format!(" {}", failure.see)),
        );
    }
    for about in About::ALL {
        let headers = report.headers.iter().filter(|header| header.about == about);
        section(
            &mut page,
            about.title(),
            headers.map(|header| {
                (header.name.as_str(), header.value.as_str(), header.meaning.as_deref())
            }),
        );
    }
    section(
        &mut page,
        "In the body",
        report
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.value.as_str(), field.meaning)),
    );
    section(
        &mut page,
        "Not there",
        report.absent.iter().map(|absent| (absent.name, "", Some(absent.meaning))),
    );
    page
}

fn cost(report: &ProbeReport) -> &'static str {
    let pays_by_call =
        |header: &HeaderReport| header.name == "x-chutes-quota-total" && header.value == "0";
    match (report.request_units_at_most, &report.failure) {
        (0, _) => "nothing: a failed request is not counted",
        (_, Some(_)) if report.status.is_some() => {
            "1 request unit at most: what Chutes answers with 200 is counted"
        }
        (_, Some(_)) => "1 request unit at most: it may have arrived",
        (_, None) if report.headers.iter().any(pays_by_call) => {
            "a few tokens, paid from the balance"
        }
        (_, None) => "1 request unit at most",
    }
}

fn section<'r>(
    page: &mut Page,
    title: &str,
    rows: impl Iterator<Item = (&'r str, &'r str, Option<&'r str>)>,
) {
    let mut titled = false;
    for (name, value, meaning) in rows {
        if !titled {
            page.gap().line(Text::toned(Tone::Strong, title));
            titled = true;
        }
        let gap = if value.is_empty() { "" } else { " " };
        page.paragraph_under(2, 2, Text::new().then(Tone::Accent, name).plain(gap).plain(value));
        if let Some(meaning) = meaning {
            page.paragraph(4, Text::new().dim(meaning));
        }
    }
}
