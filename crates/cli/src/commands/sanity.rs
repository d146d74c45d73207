//! `ripcord sanity [MODEL]`: one tiny real inference, timed. It costs one request unit, and says so.

use schemars::JsonSchema;
use serde::Serialize;

use crate::args::SanityArguments;
use crate::catalogue::Catalogue;
use crate::commands::one_call::{Choice, Deadline, choose, choose_from, payer};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};
use crate::slots;
use crate::upstream::{Measured, Reading, Upstream};

/// What `ripcord sanity --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SanityReport {
    #[schemars(extend("const" = "ripcord/sanity/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The model that was asked.
    model: String,
    /// The model that was meant, where the catalogue lacks it.
    instead_of: Option<String>,
    /// The model that the answer names; Chutes rewrites some names.
    answered_as: Option<String>,
    /// The account that paid.
    account: String,
    /// Milliseconds until the first piece of the answer.
    first_token_ms: u64,
    /// Milliseconds until its end.
    total_ms: u64,
    /// Generated tokens per second after the first; null if there were too few to measure.
    tokens_per_second: Option<f64>,
    /// Prompt tokens as counted by the server.
    prompt_tokens: Option<u64>,
    /// Generated tokens as counted by the server.
    completion_tokens: Option<u64>,
    /// What it said, shortened.
    said: String,
}

/// Asks the model one short question.
pub(crate) async fn run(
    arguments: &SanityArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let deadline = Deadline::new(context);
    let (lists, problems) = deadline.within(async { Ok(upstream.lists().await) }).await?;
    let catalogue = Catalogue::join(lists, context.now());
    let typed = arguments.model.as_deref();
    let Choice { model, instead_of } = choose_from(typed, &catalogue, problems, context, choose)?;
    let readings = deadline.within(upstream.selected_readings(context)).await?;
    let reading = payer(&readings, context)?;
    let _slot = slots::for_one_call(&reading.account, "sanity", context).await?;
    let measured = deadline.within(upstream.measure(reading, &model, context)).await?;
    let report = report(&model, instead_of, reading, &measured, context);
    context.printer.answer(&report, || page(&report, context))?;
    Ok(Exit::Done)
}

fn report(
    model: &str,
    instead_of: Option<String>,
    reading: &Reading,
    measured: &Measured,
    context: &Context,
) -> SanityReport {
    let millis =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let streaming = measured.total.saturating_sub(measured.first_token);
    let after_first = measured.completion_tokens.and_then(|tokens| tokens.checked_sub(1));
    let tokens_per_second = after_first
        .filter(|tokens| *tokens >= 2 && !streaming.is_zero())
        .map(|tokens| (tokens as f64 / streaming.as_secs_f64() * 10.0).round() / 10.0);
    SanityReport {
        schema: "ripcord/sanity/1",
        generated_at: moment::utc(context.now()),
        model: model.to_owned(),
        instead_of,
        answered_as: measured.model.clone(),
        account: reading.label.clone(),
        first_token_ms: millis(measured.first_token),
        total_ms: millis(measured.total),
        tokens_per_second,
        prompt_tokens: measured.prompt_tokens,
        completion_tokens: measured.completion_tokens,
        said: ripcord_wire::text::clean(&measured.said, 200),
    }
}

fn page(report: &SanityReport, context: &Context) -> Page {
    let room = context.printer.device().width.saturating_sub(16);
    let mut page = Page::new();
    page.line(
        Text::toned(Tone::Good, "✓ ").then(Tone::Strong, report.model.as_str()).plain(" answers"),
    );
    if let Some(missing) = &report.instead_of {
        page.paragraph(
            2,
            Text::new().dim(format!("asked instead of {missing}, which the catalogue lacks")),
        );
    }
    let pace = report
        .tokens_per_second
        .map_or_else(|| "too short to measure".to_owned(), |pace| format!("{pace:.1} tokens/s"));
    let mut fact = |label: &str, value: String| {
        page.line(Text::new().dim(format!("  {label:<13}")).plain(value));
    };
    fact("first token", format!("{} ms", number::grouped(report.first_token_ms)));
    fact("pace", pace);
    let tokens =
        |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    fact(
        "tokens",
        format!("{} in, {} out", tokens(report.prompt_tokens), tokens(report.completion_tokens)),
    );
    fact("said", Text::from(report.said.as_str()).cut(room).render(false));
    fact("cost", format!("1 request unit of {}", report.account));
    page
}
