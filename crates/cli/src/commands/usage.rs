//! `ripcord usage`, and `ripcord` alone: plan, windows, balance, and when each would run out.

pub(crate) mod burn;

use ripcord_rules::quota::{Cap, Paygo, Plan, Unit, Verdict, Window, may_spend};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use self::burn::{BurnReport, ElsewhereReport, Measured};
use crate::args::UsageArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::figures::{self, WindowReport};
use crate::own_use::OwnUse;
use crate::printer::Page;
use crate::printer::moment;
use crate::printer::text::{Text, Tone};
use crate::settings::spending::paygo_word;
use crate::upstream::{Reading, Upstream};
use crate::verdict::{Answer, VerdictReport, paid_words, window_words};

/// What `ripcord usage --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageReport {
    #[schemars(extend("const" = "ripcord/usage/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The accounts, in the order of the configuration.
    accounts: Vec<AccountUsage>,
}

/// One account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountUsage {
    /// What the account is called: its configured name, else its user name, else the beginning of its key.
    account: String,
    /// Its user name at Chutes; null if not known.
    username: Option<String>,
    /// The beginnings of its keys.
    keys: Vec<String>,
    /// The plan; null if not known.
    plan: Option<PlanReport>,
    /// Every window that limits the account.
    windows: Vec<WindowReport>,
    /// Pay-as-you-go money in US dollars; may be negative; null if not known.
    balance_usd: Option<f64>,
    /// The spending rule in force: `by_plan`, `never`, `allow`, `daily`.
    paygo: &'static str,
    /// What the balance may pay from 00:00 to 00:00 UTC in US dollars; null without a daily bound.
    paygo_daily_usd: Option<f64>,
    /// What the balance has paid since 00:00 UTC in US dollars; null if not known. Read only where there is a daily bound.
    paid_today_usd: Option<f64>,
    /// Whether that rule lets the balance pay; null while the plan is not known.
    paygo_allowed: Option<bool>,
    /// Whether the next call may go.
    verdict: VerdictReport,
    /// Request units of today that did not go through this machine's gateway, at the least; null where that cannot be
    /// said, for instance without a gateway.
    elsewhere_requests: Option<f64>,
    /// What did not go through this machine's gateway, by window, as far as that can be said.
    elsewhere: Vec<ElsewhereReport>,
    /// How fast calls through this machine's gateway use the account.
    burn: BurnReport,
    /// When the figures were true, UTC.
    as_of: String,
    /// Their age in seconds.
    age_seconds: u64,
    /// Why something could not be read; null if all of it was.
    error: Option<ErrorReport>,
}

/// The plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PlanReport {
    /// `pay_as_you_go`, `legacy`, `base`, `plus`, `pro`, `custom_base`, `custom_plus`, `custom_pro`,
    /// `unlimited`, `other`.
    pub(crate) code: &'static str,
    /// Its name for people.
    pub(crate) name: &'static str,
    /// The list price of a month in US dollars; null without a subscription.
    pub(crate) monthly_price_usd: Option<f64>,
}

/// Something that went wrong, without ending the command.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ErrorReport {
    /// What was wrong.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hints: Vec<String>,
    /// What the answer means, such as `capacity` or `dead_key`; null where none came.
    pub(crate) cause: Option<&'static str>,
    /// The command that explains it.
    pub(crate) see: Option<String>,
}

// === impl PlanReport ===

impl From<Plan> for PlanReport {
    fn from(plan: Plan) -> Self {
        Self {
            code: plan.code(),
            name: plan.name(),
            monthly_price_usd: plan.monthly_price().map(figures::usd),
        }
    }
}

// === impl ErrorReport ===

impl From<&CommandError> for ErrorReport {
    fn from(error: &CommandError) -> Self {
        Self {
            message: error.message.clone(),
            hints: error.hints.clone(),
            cause: error.cause.map(ripcord_rules::cause::Cause::name),
            see: error.more(),
        }
    }
}

/// Reads every account and shows it.
pub(crate) async fn run(
    arguments: &UsageArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    show(arguments, context, false).await
}

/// `ripcord` alone: the same figures, and the next step.
pub(crate) async fn run_with_next_step(context: &Context) -> Result<Exit, CommandError> {
    show(&UsageArguments::default(), context, true).await
}

async fn show(
    arguments: &UsageArguments,
    context: &Context,
    next_step: bool,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let readings = upstream.selected_readings(context).await?;
    let now = context.now();
    let own_use = OwnUse::read(context, now);
    let chute_id = arguments.chute_id.as_deref();
    let report = UsageReport {
        schema: "ripcord/usage/1",
        generated_at: moment::utc(now),
        accounts: readings
            .iter()
            .map(|reading| account(reading, &own_use, chute_id, context, now))
            .collect(),
    };
    context.printer.answer(&report, || {
        page(&readings, &report, &own_use, chute_id, context, now, next_step)
    })?;
    for reading in &readings {
        if let Some(error) = &reading.problem {
            context.printer.error(error);
        }
    }
    let unread = readings.iter().any(|reading| reading.problem.is_some());
    Ok(if unread { Exit::Unknown } else { Exit::Done })
}

fn verdict(reading: &Reading, chute_id: Option<&str>, now: Wall) -> Verdict {
    may_spend(&reading.snapshot, &reading.account.policy, chute_id, now)
}

fn account(
    reading: &Reading,
    own_use: &OwnUse,
    chute_id: Option<&str>,
    context: &Context,
    now: Wall,
) -> AccountUsage {
    let (snapshot, policy) = (&reading.snapshot, &reading.account.policy);
    let windows = windows(reading, chute_id, now);
    let measured = Measured::of(own_use, reading, now);
    AccountUsage {
        account: reading.label.clone(),
        username: reading.username.clone(),
        keys: reading.account.keys.iter().map(ToString::to_string).collect(),
        plan: snapshot.plan.map(PlanReport::from),
        windows: windows
            .iter()
            .map(|(chute, window)| {
                let report = WindowReport::new(window, chute.as_deref(), now);
                WindowReport {
                    runs_out: measured.runs_out(chute.as_deref(), window, now),
                    ..report
                }
            })
            .collect(),
        balance_usd: snapshot.balance.map(figures::usd),
        paygo: paygo_word(policy.paygo),
        paygo_daily_usd: daily_bound(policy.paygo),
        paid_today_usd: snapshot.paid_today_at(now).map(figures::usd),
        paygo_allowed: policy.allows_paygo(snapshot.plan),
        verdict: VerdictReport::new(
            &verdict(reading, chute_id, now),
            snapshot,
            policy,
            &context.printer.moments,
            now,
        ),
        elsewhere_requests: measured.elsewhere_requests(),
        elsewhere: measured.elsewhere(),
        burn: measured.report(),
        as_of: moment::utc(snapshot.as_of),
        age_seconds: now.since(snapshot.as_of).as_secs(),
        error: reading.problem.as_ref().map(ErrorReport::from),
    }
}

/// The account-wide windows, and the own ones of chutes: of all, or of the one that was asked for.
fn windows(reading: &Reading, chute_id: Option<&str>, now: Wall) -> Vec<(Option<String>, Window)> {
    let wide = reading.snapshot.windows.iter().map(|window| (None, window.at(now)));
    let own = reading
        .snapshot
        .chute_windows
        .iter()
        .filter(|(chute, _)| chute_id.is_none_or(|wanted| wanted == chute))
        .map(|(chute, window)| (Some(chute.clone()), window.at(now)));
    wide.chain(own).collect()
}

fn page(
    readings: &[Reading],
    report: &UsageReport,
    own_use: &OwnUse,
    chute_id: Option<&str>,
    context: &Context,
    now: Wall,
    next_step: bool,
) -> Page {
    let mut page = Page::new();
    for (reading, account) in readings.iter().zip(&report.accounts) {
        page.gap();
        draw_account(&mut page, reading, account, own_use, chute_id, context, now);
    }
    if next_step {
        let answer = Answer::any(report.accounts.iter().map(|account| account.verdict.verdict));
        let (command, purpose) = match answer {
            Answer::Yes => ("ripcord status", "which models are up"),
            Answer::No => ("ripcord wait-for-reset", "return as soon as there is budget"),
            Answer::Unknown => ("ripcord doctor", "find out what is wrong and what to fix"),
        };
        page.gap().line(
            Text::new().dim("Next: ").then(Tone::Strong, command).dim(format!("  {purpose}")),
        );
    }
    page
}

fn draw_account(
    page: &mut Page,
    reading: &Reading,
    account: &AccountUsage,
    own_use: &OwnUse,
    chute_id: Option<&str>,
    context: &Context,
    now: Wall,
) {
    let device = context.printer.device();
    let moments = &context.printer.moments;
    let snapshot = &reading.snapshot;
    draw_heading(page, reading, context, now);
    let mut windows = windows(reading, chute_id, now);
    // A plan that includes nothing has no window worth a bar; the balance says it all.
    windows.retain(|(_, window)| window.cap != Cap::Limited(0));
    if !windows.is_empty() {
        page.gap().table(figures::table(&windows, moments, now, device.width)).gap();
    }
    if let Some(wanted) = chute_id
        && !windows.iter().any(|(chute, _)| chute.as_deref() == Some(wanted))
        && snapshot.plan.is_some()
    {
        page.paragraph(
            2,
            Text::new().dim(format!(
                "{wanted} has no quota of its own; its calls count against the day quota."
            )),
        );
    }
    page.paragraph_under(2, 2, balance_line(reading, account, now));
    page.paragraph_under(2, 2, verdict_line(&account.verdict));
    if let Some(remedy) = account.verdict.remedy(snapshot, &reading.account.policy) {
        page.paragraph(4, Text::new().dim(remedy));
    }
    let measured = Measured::of(own_use, reading, now);
    if let Some(warning) = measured.warning(moments, now) {
        page.paragraph_under(4, 2, Text::toned(Tone::Warn, "! ").plain(warning));
    }
    let goes_on = account.verdict.verdict == Answer::Yes;
    draw_paces(page, &windows, goes_on, context, now);
    measured.draw(page, &windows, moments, now);
}

/// An account as `ripcord usage` shows it, for a command that has read it.
pub(crate) fn describe(page: &mut Page, reading: &Reading, context: &Context) {
    let now = context.now();
    let own_use = OwnUse::read(context, now);
    let report = account(reading, &own_use, None, context, now);
    draw_account(page, reading, &report, &own_use, None, context, now);
}

/// The account's name and plan, and how old its figures are.
pub(crate) fn draw_heading(page: &mut Page, reading: &Reading, context: &Context, now: Wall) {
    let snapshot = &reading.snapshot;
    let mut left = Text::toned(Tone::Strong, reading.label.as_str());
    if let Some(name) = &reading.username
        && *name != reading.label
    {
        left = left.dim(format!(" ({name})"));
    }
    let plan = match snapshot.plan {
        None => "plan unknown".to_owned(),
        Some(Plan::Other(units)) => format!("{units} requests a day"),
        Some(plan) => match plan.monthly_price() {
            Some(price) => format!("{}, {price} a month", plan.name()),
            None => plan.name().to_owned(),
        },
    };
    left = left.dim(" · ").plain(plan);
    if let Some(key) = reading.account.keys.first().filter(|_| reading.account.keys.len() == 1) {
        if reading.label != key.to_string() {
            left = left.dim(format!(" · {key}"));
        }
    } else {
        left = left.dim(format!(" · {} keys", reading.account.keys.len()));
    }
    let age = now.since(snapshot.as_of);
    let read = if snapshot.windows.is_empty() {
        String::new()
    } else if age.as_secs() < 60 {
        format!("from Chutes, {} s old", age.as_secs())
    } else {
        format!("from Chutes, {} old", moment::duration(age))
    };
    let room = context.printer.device().width.min(100);
    let needed = left.width() + read.chars().count();
    if needed + 2 <= room || read.is_empty() {
        page.line(left.plain(" ".repeat(room.saturating_sub(needed))).dim(read));
    } else {
        page.paragraph(0, left).paragraph(2, Text::new().dim(read));
    }
}

/// What the balance may pay a day, in US dollars.
fn daily_bound(paygo: Paygo) -> Option<f64> {
    match paygo {
        Paygo::Daily(bound) => Some(figures::usd(bound)),
        Paygo::ByPlan | Paygo::Never | Paygo::Allow => None,
    }
}

fn balance_line(reading: &Reading, account: &AccountUsage, now: Wall) -> Text {
    let line = Text::toned(Tone::Strong, "balance").plain(" ");
    let line = match reading.snapshot.balance {
        None => line.dim("unknown"),
        Some(balance) if balance.0 < 0 => line.then(Tone::Bad, balance.to_string()),
        Some(balance) => line.plain(balance.to_string()),
    };
    if let Paygo::Daily(_) = reading.account.policy.paygo {
        let paid = paid_words(&reading.snapshot, &reading.account.policy, now);
        return line.dim(format!(" · has paid {paid}"));
    }
    let only_the_balance = reading.snapshot.plan == Some(Plan::PayAsYouGo);
    line.dim(match (account.paygo_allowed, account.paygo) {
        (_, _) if reading.snapshot.plan == Some(Plan::Unlimited) => "",
        (Some(true), _) if only_the_balance => " · pays for every call",
        (Some(true), _) => " · pays when a window is used up",
        (Some(false), "by_plan") => " · not spent: a subscription never slides into pay-as-you-go",
        (Some(false), _) => " · not spent: paygo = \"never\"",
        (None, _) => "",
    })
}

/// The verdict with its sign.
pub(crate) fn verdict_line(verdict: &VerdictReport) -> Text {
    let (tone, sign, word) = match verdict.verdict {
        Answer::Yes => (Tone::Good, "✓", "go on"),
        Answer::No => (Tone::Bad, "✗", "stop"),
        Answer::Unknown => (Tone::Warn, "?", "unknown"),
    };
    Text::toned(tone, format!("{sign} {word}")).plain(format!(": {}", verdict.explanation))
}

fn draw_paces(
    page: &mut Page,
    windows: &[(Option<String>, Window)],
    goes_on: bool,
    context: &Context,
    now: Wall,
) {
    let mut measured = false;
    let mut ends = Vec::new();
    for (_, window) in windows {
        let Some(pace) = figures::pace(window) else { continue };
        if window.remaining() == Some(0) {
            continue;
        }
        measured |= pace.per_hour > 0;
        if let Some(end) = pace.runs_out_at {
            let unit = match window.unit {
                Unit::Requests => " requests",
                Unit::Usd => "",
            };
            ends.push(format!(
                "The {} runs out {}, at {}, before it resets: {}{unit} an hour so far.",
                window_words(window.kind),
                moment::until(end, now),
                context.printer.moments.at(end, now),
                figures::amount_words(window.unit, pace.per_hour),
            ));
        }
    }
    for end in &ends {
        page.paragraph_under(4, 2, Text::toned(Tone::Warn, "! ").plain(end.as_str()));
    }
    if measured && ends.is_empty() && goes_on {
        page.paragraph(4, Text::new().dim("At the pace so far nothing runs out before it resets."));
    }
}
