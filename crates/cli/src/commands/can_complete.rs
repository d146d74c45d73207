//! `ripcord can-complete N`: do that many calls fit, which window is short, and when would the rest?

use ripcord_rules::quota::{
    CallCost, Fit, HORIZON_DAYS, Verdict, WindowKind, fit_calls, may_spend,
};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::CanCompleteArguments;
use crate::catalogue::Catalogue;
use crate::commands::model_health::not_found;
use crate::commands::usage::ErrorReport;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::figures;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};
use crate::upstream::{Reading, Upstream};
use crate::verdict::{Answer, VerdictReport, window_words};

/// What `ripcord can-complete --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CanCompleteReport {
    #[schemars(extend("const" = "ripcord/can-complete/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// Whether all calls fit now, over all accounts together. Exit code 0, 1, or 3.
    verdict: Answer,
    /// How many calls were asked for.
    calls: u64,
    /// How many fit now, at most as many as were asked for; null if that is not known for any account.
    fits_now: Option<u64>,
    /// When the last of the rest would fit, UTC, if all go as early as the windows let them; null if all fit now, or
    /// nobody knows, or that is more than 62 days ahead.
    rest_fits_by: Option<String>,
    /// What one call was taken to cost.
    call: CallReport,
    /// Each account.
    accounts: Vec<AccountFit>,
}

/// What one call was taken to cost.
#[derive(Debug, Serialize, JsonSchema)]
struct CallReport {
    /// The model, by its exact name.
    model: Option<String>,
    /// Request units.
    requests: f64,
    /// US dollars at list price; null if the model or the tokens were not given, or it has no price. Windows counted
    /// in dollars are left out then.
    usd: Option<f64>,
}

/// How the calls fit on one account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountFit {
    /// What the account is called.
    account: String,
    /// How many fit now; null if that is not known.
    fits_now: Option<u64>,
    /// The window that is short: `day`, `four_hour`, `month`, `chute`.
    short_window: Option<&'static str>,
    /// When all of them would fit on this account alone, UTC.
    all_fit_by: Option<String>,
    /// Windows counted in dollars that the answer leaves out.
    uncounted_windows: Vec<&'static str>,
    /// Why it is not known, or what stands in the way now.
    explanation: String,
    /// Why something could not be read.
    error: Option<ErrorReport>,
}

/// What is known of one call before it is made.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) model: Option<&'a str>,
    pub(super) tokens_in: Option<u64>,
    pub(super) tokens_out: Option<u64>,
}

/// The model as far as it matters to the cost.
pub(super) struct Target {
    model: Option<String>,
    pub(super) chute_id: Option<String>,
    pub(super) cost: CallCost,
}

/// Reads every account and counts.
pub(crate) async fn run(
    arguments: &CanCompleteArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?.for_work(arguments.priority.work());
    let call = Call {
        model: arguments.model.as_deref(),
        tokens_in: arguments.tokens_in,
        tokens_out: arguments.tokens_out,
    };
    let target = target(call, &upstream, context).await?;
    let readings = upstream.selected_readings(context).await?;
    let now = context.now();
    let fits: Vec<(Fit, String)> = readings
        .iter()
        .map(|reading| fit(reading, &target, arguments.calls, context, now))
        .collect();
    let known: Vec<u64> = fits.iter().filter_map(|(fit, _)| fit.now).collect();
    let total = known.iter().fold(0_u64, |sum, calls| sum.saturating_add(*calls));
    let verdict = if total >= arguments.calls {
        Answer::Yes
    } else if known.len() < fits.len() {
        Answer::Unknown
    } else {
        Answer::No
    };
    let rest_fits_by = (verdict == Answer::No)
        .then(|| rest_fits_by(&readings, &fits, &target, arguments.calls - total, now))
        .flatten();
    // If one more would fit, only the number of the rest is in the way.
    let is_beyond = verdict == Answer::No
        && rest_fits_by.is_none()
        && self::rest_fits_by(&readings, &fits, &target, 1, now).is_some();
    let report = CanCompleteReport {
        schema: "ripcord/can-complete/1",
        generated_at: moment::utc(now),
        verdict,
        calls: arguments.calls,
        fits_now: (!known.is_empty()).then_some(total.min(arguments.calls)),
        rest_fits_by: rest_fits_by.map(moment::utc),
        call: CallReport {
            model: target.model.clone(),
            requests: 1.0,
            usd: target.cost.usd.map(figures::usd),
        },
        accounts: readings.iter().zip(&fits).map(|(reading, fit)| account(reading, fit)).collect(),
    };
    context
        .printer
        .answer(&report, || page(&report, &target, rest_fits_by, is_beyond, context, now))?;
    for reading in &readings {
        if let Some(error) = &reading.problem {
            context.printer.error(error);
        }
    }
    Ok(verdict.exit())
}

/// Finds the model's price and chute. Without a model a call costs one request unit and an unknown price.
pub(super) async fn target(
    call: Call<'_>,
    upstream: &Upstream,
    context: &Context,
) -> Result<Target, CommandError> {
    let unpriced = CallCost { units: MilliUnits::ONE, usd: None };
    let Some(wanted) = call.model else {
        return Ok(Target { model: None, chute_id: None, cost: unpriced });
    };
    let (lists, problems) = upstream.lists().await;
    let catalogue = Catalogue::join(lists, context.now());
    let entry = catalogue.find(wanted).map_err(|miss| match problems.into_iter().next() {
        Some(problem) => problem,
        None => not_found(wanted, &miss),
    })?;
    let usd = match (call.tokens_in, call.tokens_out) {
        (None, None) => None,
        (input, output) => entry.price_in().zip(entry.price_out()).map(|(price_in, price_out)| {
            NanoUsd::for_tokens(price_in, input.unwrap_or(0))
                .plus(NanoUsd::for_tokens(price_out, output.unwrap_or(0)))
        }),
    };
    if usd.is_none() && (call.tokens_in.is_some() || call.tokens_out.is_some()) {
        context
            .printer
            .warn(&format!("{} has no known price; only request units are counted", entry.name));
    }
    Ok(Target {
        model: Some(entry.name.clone()),
        chute_id: entry.chute_id.clone(),
        cost: CallCost { usd, ..unpriced },
    })
}

/// How the calls fit on one account, and what stands in the way.
fn fit(
    reading: &Reading,
    target: &Target,
    calls: u64,
    context: &Context,
    now: Wall,
) -> (Fit, String) {
    let (snapshot, policy) = (&reading.snapshot, &reading.account.policy);
    let chute_id = target.chute_id.as_deref();
    let verdict = may_spend(snapshot, policy, chute_id, now);
    let mut fit = fit_calls(snapshot, policy, chute_id, target.cost, calls, now);
    let words =
        VerdictReport::new(&verdict, snapshot, policy, &context.printer.moments, now).explanation;
    match verdict {
        Verdict::Unknown(_) | Verdict::No { .. } => return (fit, words),
        Verdict::Yes(ripcord_rules::quota::Payer::Balance) if target.cost.usd.is_none() => {
            fit.now = None;
            return (
                fit,
                "the balance pays, so the price of a call is needed: add --model, --tokens-in, --tokens-out"
                    .to_owned(),
            );
        }
        Verdict::Yes(_) => {}
    }
    let words = match (fit.now, fit.short) {
        (Some(count), Some(short)) => {
            format!("{} now, then the {} is used up", fits(count), window_words(short))
        }
        (Some(count), None) if count < calls => {
            format!("{} before the balance is used up", fits(count))
        }
        _ => "all of them fit".to_owned(),
    };
    (fit, words)
}

fn fits(count: u64) -> String {
    format!(
        "{} {}",
        number::counted(count, "call", "calls"),
        if count == 1 { "fits" } else { "fit" }
    )
}

/// When the rest would fit, if each account does what fits now and one of them does all the rest.
fn rest_fits_by(
    readings: &[Reading],
    fits: &[(Fit, String)],
    target: &Target,
    rest: u64,
    now: Wall,
) -> Option<Wall> {
    readings
        .iter()
        .zip(fits)
        .filter_map(|(reading, (own, _))| {
            let calls = own.now?.saturating_add(rest);
            let forecast = fit_calls(
                &reading.snapshot,
                &reading.account.policy,
                target.chute_id.as_deref(),
                target.cost,
                calls,
                now,
            );
            forecast.all_by
        })
        .min()
}

fn account(reading: &Reading, (fit, explanation): &(Fit, String)) -> AccountFit {
    AccountFit {
        account: reading.label.clone(),
        fits_now: fit.now,
        short_window: fit.short.map(WindowKind::name),
        all_fit_by: fit.all_by.map(moment::utc),
        uncounted_windows: fit.uncounted.iter().map(|kind| kind.name()).collect(),
        explanation: explanation.clone(),
        error: reading.problem.as_ref().map(ErrorReport::from),
    }
}

fn page(
    report: &CanCompleteReport,
    target: &Target,
    rest_fits_by: Option<Wall>,
    is_beyond: bool,
    context: &Context,
    now: Wall,
) -> Page {
    let mut page = Page::new();
    let calls = number::counted(report.calls, "call", "calls");
    let headline = match (report.verdict, report.fits_now) {
        (Answer::Yes, _) => Text::toned(Tone::Good, "✓ yes").plain(format!(": {calls} fit now")),
        (Answer::No, fits) => Text::toned(Tone::Bad, "✗ no")
            .plain(format!(": {} of {calls} fit now", number::grouped(fits.unwrap_or(0)))),
        (Answer::Unknown, _) => Text::toned(Tone::Warn, "? unknown")
            .plain(format!(": whether {calls} fit could not be found out")),
    };
    page.paragraph(0, headline);
    for account in &report.accounts {
        let label = Text::new().then(Tone::Strong, account.account.as_str()).plain(": ");
        page.paragraph(2, label.plain(account.explanation.as_str()));
    }
    if let Some(moment) = rest_fits_by {
        let at = context.printer.moments.at(moment, now);
        let which = if report.fits_now == Some(0) { "All of them fit" } else { "The rest fits" };
        page.paragraph(
            2,
            Text::new().plain(format!("{which} by {at}, {}.", moment::until(moment, now))),
        );
    }
    if is_beyond {
        page.paragraph(
            2,
            Text::new().plain(format!(
                "When the rest would fit is not known: no later than {HORIZON_DAYS} days ahead is looked."
            )),
        );
    }
    match (target.cost.usd, &target.model) {
        (Some(price), Some(model)) => {
            page.paragraph(
                2,
                Text::new()
                    .dim(format!("One call to {model}: 1 request unit and {price} at list price.")),
            );
        }
        (None, model)
            if report.accounts.iter().any(|account| !account.uncounted_windows.is_empty()) =>
        {
            let missing = match model {
                None => "--model, --tokens-in and --tokens-out",
                Some(_) => "--tokens-in and --tokens-out",
            };
            page.paragraph(
                2,
                Text::toned(Tone::Warn, "! ").plain(format!(
                    "By request units only: the dollar windows are not counted. To count them too, add {missing}.",
                )),
            );
        }
        _ => {}
    }
    page
}
