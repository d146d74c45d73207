//! `ripcord can-complete N`: do that many calls fit, which window is short, and when would the rest?

mod ahead;
mod call;

use ripcord_rules::quota::{
    Fit, HORIZON_DAYS, Outlook, Pace, Stretch, Substitute, Verdict, WindowKind, all_fit_by,
    ends_at, fit_calls, may_spend, stretches,
};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use self::ahead::SliceReport;
use self::call::CallReport;
pub(super) use self::call::{Call, Target};
use crate::args::CanCompleteArguments;
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
    /// Whether that moment waits for Chutes to bill a month, which may be later than its date.
    waits_for_billing: bool,
    /// When the batch would end, UTC, with all slots of the gateway in use and calls that take as long as those to the model
    /// did; null if that is not known.
    ends_at: Option<String>,
    /// Cheaper models with which more calls would fit by `rest_fits_by`, on all accounts together, if not all fit now:
    /// siblings of the model and those of `models.watch`. For a confidential model only confidential ones.
    cheaper: Vec<CheaperReport>,
    /// What one call was taken to cost.
    call: CallReport,
    /// Each account.
    accounts: Vec<AccountFit>,
}

/// A model with which more would fit.
#[derive(Debug, Serialize, JsonSchema)]
struct CheaperReport {
    /// Its name.
    model: String,
    /// As many calls fit by then as with the model that was asked for, times this.
    times: f64,
}

/// How the calls fit on one account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountFit {
    /// What the account is called.
    account: String,
    /// What one call costs this account, in US dollars: at its own price, if it has one; null if that is not known. Windows
    /// counted in dollars are left out then.
    call_usd: Option<f64>,
    /// How many fit now; null if that is not known.
    fits_now: Option<u64>,
    /// The window that is short: `day`, `four_hour`, `month`, `chute`.
    short_window: Option<&'static str>,
    /// When all of them would fit on this account alone, UTC.
    all_fit_by: Option<String>,
    /// Windows counted in dollars that the answer leaves out.
    uncounted_windows: Vec<&'static str>,
    /// The next windows, with `--windows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<SliceReport>>,
    /// Why it is not known, or what stands in the way now.
    explanation: String,
    /// Why something could not be read.
    error: Option<ErrorReport>,
}

/// Reads every account and counts.
pub(crate) async fn run(
    arguments: &CanCompleteArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let mut upstream = Upstream::new(context)?.for_work(arguments.priority.work());
    let call = Call {
        model: arguments.model.as_deref(),
        tokens_in: arguments.tokens.tokens_in,
        tokens_out: arguments.tokens.tokens_out,
    };
    let target = Target::find(call, &upstream, context).await?;
    if target.call.is_some() {
        upstream = upstream.with_prices();
    }
    let readings = upstream.selected_readings(context).await?;
    let now = context.now();
    let fits: Vec<(Fit, String)> = readings
        .iter()
        .map(|reading| fit(reading, &target, arguments.calls, context, now))
        .collect();
    let outlooks: Vec<Option<Outlook>> = readings
        .iter()
        .zip(&fits)
        .map(|(reading, (fit, _))| outlook(reading, &target, now).filter(|_| fit.now.is_some()))
        .collect();
    let mut answer = answer(&fits, &outlooks, &target, arguments.calls, context, now);
    if answer.verdict == Answer::No {
        answer.cheaper = cheaper(&readings, &outlooks, &target, arguments.calls, now);
    }
    let report = CanCompleteReport {
        schema: "ripcord/can-complete/1",
        generated_at: moment::utc(now),
        verdict: answer.verdict,
        calls: arguments.calls,
        fits_now: answer.fits_now,
        rest_fits_by: answer.rest_fits_by.map(moment::utc),
        waits_for_billing: answer.waits_for_billing,
        ends_at: answer.ends_at.map(moment::utc),
        cheaper: answer.cheaper.iter().map(CheaperReport::from).collect(),
        call: target.report(),
        accounts: readings
            .iter()
            .zip(&fits)
            .zip(&outlooks)
            .map(|((reading, fit), outlook)| {
                account(reading, fit, outlook.as_ref(), &target, arguments.windows)
            })
            .collect(),
    };
    context.printer.answer(&report, || {
        let mut page = page(&report, &readings, &answer, &target, context, now);
        draw_windows(&mut page, &report, &outlooks, arguments.windows, context, now);
        page
    })?;
    for reading in &readings {
        if let Some(error) = &reading.problem {
            context.printer.error(error);
        }
    }
    Ok(answer.verdict.exit())
}

/// The answer over all accounts.
struct Pooled {
    verdict: Answer,
    fits_now: Option<u64>,
    rest_fits_by: Option<Wall>,
    /// One more would fit at some time; only the number of the rest is in the way.
    is_beyond: bool,
    waits_for_billing: bool,
    ends_at: Option<Wall>,
    cheaper: Vec<Stretch>,
}

fn answer(
    fits: &[(Fit, String)],
    outlooks: &[Option<Outlook>],
    target: &Target,
    calls: u64,
    context: &Context,
    now: Wall,
) -> Pooled {
    let known: Vec<u64> = fits.iter().filter_map(|(fit, _)| fit.now).collect();
    let total = known.iter().fold(0_u64, |sum, calls| sum.saturating_add(*calls));
    let verdict = if total >= calls {
        Answer::Yes
    } else if known.len() < fits.len() {
        Answer::Unknown
    } else {
        Answer::No
    };
    let all = || -> Vec<Outlook> { outlooks.iter().flatten().cloned().collect() };
    let by = |calls| all_fit_by(all(), calls).filter(|_| verdict == Answer::No);
    let rest = by(calls);
    let slots = u32::try_from(context.settings.gateway.slots_per_account.value).unwrap_or(u32::MAX);
    let pace = target.took.filter(|_| verdict != Answer::Unknown);
    let pace = pace.map(|call| Pace { slots, call });
    Pooled {
        verdict,
        fits_now: (!known.is_empty()).then_some(total.min(calls)),
        rest_fits_by: rest.map(|(by, _)| by).filter(|by| *by > now),
        is_beyond: rest.is_none() && by(total.saturating_add(1)).is_some(),
        waits_for_billing: rest.is_some_and(|(_, waits)| waits),
        ends_at: pace.and_then(|pace| ends_at(all(), pace, calls)),
        cheaper: Vec::new(),
    }
}

fn outlook(reading: &Reading, target: &Target, now: Wall) -> Option<Outlook> {
    let chute_id = target.chute_id.as_deref();
    let cost = target.cost_for(&reading.account);
    Outlook::new(&reading.snapshot, &reading.account.policy, chute_id, cost, now)
}

/// Models with which more calls would fit by the time when all do with the one that was asked for, on the accounts that are
/// known.
fn cheaper(
    readings: &[Reading],
    outlooks: &[Option<Outlook>],
    target: &Target,
    calls: u64,
    now: Wall,
) -> Vec<Stretch> {
    let known = || readings.iter().zip(outlooks).filter(|(_, outlook)| outlook.is_some());
    let substitutes = target.substitutes.iter().filter_map(|other| {
        let ahead = |(reading, _): (&Reading, _)| {
            let account = &reading.account;
            let cost = other.call.cost_for(account);
            cost.usd?;
            Outlook::new(&reading.snapshot, &account.policy, None, cost, now)
        };
        let outlooks: Option<Vec<Outlook>> = known().map(ahead).collect();
        Some(Substitute { name: other.name.clone(), is_tee: other.is_tee, outlooks: outlooks? })
    });
    let asked: Vec<Outlook> = outlooks.iter().flatten().cloned().collect();
    let until = all_fit_by(asked.clone(), calls).map(|(by, _)| by);
    stretches(&asked, until, target.is_tee(), &substitutes.collect::<Vec<_>>())
}

/// Which accounts pay something else than the list says.
fn own_prices(readings: &[Reading], target: &Target) -> Vec<String> {
    let own = readings.iter().filter_map(|reading| {
        let usd = target.cost_for(&reading.account).usd?;
        (Some(usd) != target.listed())
            .then(|| format!("{} pays {usd}: it has a price of its own.", reading.label))
    });
    own.collect()
}

impl From<&Stretch> for CheaperReport {
    fn from(stretch: &Stretch) -> Self {
        Self { model: stretch.name.clone(), times: stretch.factor_tenths as f64 / 10.0 }
    }
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
    let cost = target.cost_for(&reading.account);
    let verdict = may_spend(snapshot, policy, chute_id, now);
    let mut fit = fit_calls(snapshot, policy, chute_id, cost, calls, now);
    let words =
        VerdictReport::new(&verdict, snapshot, policy, &context.printer.moments, now).explanation;
    match verdict {
        Verdict::Unknown(_) | Verdict::No { .. } => return (fit, words),
        Verdict::Yes(ripcord_rules::quota::Payer::Balance) if cost.usd.is_none() => {
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

fn account(
    reading: &Reading,
    (fit, explanation): &(Fit, String),
    outlook: Option<&Outlook>,
    target: &Target,
    windows: Option<u64>,
) -> AccountFit {
    AccountFit {
        account: reading.label.clone(),
        call_usd: target.cost_for(&reading.account).usd.map(figures::usd),
        fits_now: fit.now,
        short_window: fit.short.map(WindowKind::name),
        all_fit_by: fit.all_by.map(moment::utc),
        uncounted_windows: fit.uncounted.iter().map(|kind| kind.name()).collect(),
        windows: windows
            .map(|_| ahead::slices(outlook, windows).iter().map(SliceReport::from).collect()),
        explanation: explanation.clone(),
        error: reading.problem.as_ref().map(ErrorReport::from),
    }
}

fn page(
    report: &CanCompleteReport,
    readings: &[Reading],
    answer: &Pooled,
    target: &Target,
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
    if let Some(moment) = answer.rest_fits_by {
        let at = context.printer.moments.at(moment, now);
        let which = if report.fits_now == Some(0) { "All of them fit" } else { "The rest fits" };
        page.paragraph(
            2,
            Text::new().plain(format!(
                "{which} by {at}, {}{}.",
                moment::until(moment, now),
                if answer.waits_for_billing { ", if Chutes bills the month on time" } else { "" }
            )),
        );
    }
    if answer.is_beyond {
        page.paragraph(
            2,
            Text::new().plain(format!(
                "When the rest would fit is not known: no later than {HORIZON_DAYS} days ahead is looked."
            )),
        );
    }
    draw_end(&mut page, answer, target, context, now);
    if let Some(stretch) = answer.cheaper.first() {
        let (whole, tenth) = (stretch.factor_tenths / 10, stretch.factor_tenths % 10);
        let times = if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") };
        page.paragraph(
            2,
            Text::new()
                .plain("Of calls to ")
                .then(Tone::Strong, stretch.name.as_str())
                .plain(format!(", which is cheaper, {times} times as many would fit.")),
        );
    }
    match (target.words(), &target.model) {
        (Some(words), _) => {
            page.paragraph(2, Text::new().dim(words));
            for words in own_prices(readings, target) {
                page.paragraph(2, Text::new().dim(words));
            }
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

/// When the batch would end. Without a measured call nothing is said of it, but that the windows alone decided.
fn draw_end(page: &mut Page, answer: &Pooled, target: &Target, context: &Context, now: Wall) {
    match (answer.ends_at, target.took) {
        (Some(end), Some(took)) => {
            let slots = context.settings.gateway.slots_per_account.value;
            page.paragraph(
                2,
                Text::new().plain(format!(
                    "The batch would end about {}, {}: {slots} calls at once, {:.1} s each, as measured.",
                    context.printer.moments.at(end, now),
                    moment::until(end, now),
                    took.as_secs_f64(),
                )),
            );
        }
        (None, None) if answer.rest_fits_by.is_some() && target.model.is_some() => {
            let text =
                "By the windows alone: how long a call takes was not measured on this machine.";
            page.paragraph(2, Text::new().dim(text));
        }
        _ => {}
    }
}

/// The table of the next windows, for each account.
fn draw_windows(
    page: &mut Page,
    report: &CanCompleteReport,
    outlooks: &[Option<Outlook>],
    count: Option<u64>,
    context: &Context,
    now: Wall,
) {
    for (account, outlook) in report.accounts.iter().zip(outlooks) {
        let slices = ahead::slices(outlook.as_ref(), count);
        if slices.is_empty() {
            continue;
        }
        page.gap();
        if report.accounts.len() > 1 {
            page.line(Text::new().plain("  ").then(Tone::Strong, account.account.as_str()));
        }
        page.table(ahead::table(&slices, &context.printer.moments, now));
    }
}
