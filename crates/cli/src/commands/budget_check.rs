//! `ripcord budget-check`: is there budget to go on with?

use ripcord_rules::quota::{SpendingPolicy, Verdict, may_spend};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::BudgetCheckArguments;
use crate::commands::usage::burn::{BurnReport, FirstEnd, Measured};
use crate::commands::usage::{ErrorReport, verdict_line};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::figures;
use crate::own_use::OwnUse;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
use crate::upstream::{Reading, Upstream};
use crate::verdict::{Answer, VerdictReport};

/// What `ripcord budget-check --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BudgetCheckReport {
    #[schemars(extend("const" = "ripcord/budget-check/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The answer over all accounts: yes if one says yes, no if all say no. Exit code 0, 1, or 3.
    verdict: Answer,
    /// Whether the balance had to be above the minimum even where a window covers the work.
    require_balance: bool,
    /// The answer of each account.
    accounts: Vec<AccountBudget>,
}

/// One account's answer, and how long it holds.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountBudget {
    #[serde(flatten)]
    verdict: AccountVerdict,
    /// Seconds until the answer turns by itself; null if it does not, or nobody knows.
    turns_in_seconds: Option<u64>,
    /// How fast calls through this machine's gateway use the account.
    burn: BurnReport,
    /// Which window runs out first, before it resets, if calls go on as they did; null if none does, or nobody knows.
    runs_out: Option<FirstEnd>,
}

/// One account's answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AccountVerdict {
    /// What the account is called.
    pub(crate) account: String,
    /// Whether the next call may go.
    #[serde(flatten)]
    pub(crate) verdict: VerdictReport,
    /// Pay-as-you-go money in US dollars; null if not known.
    pub(crate) balance_usd: Option<f64>,
    /// What stays on the balance, in US dollars.
    pub(crate) min_balance_usd: f64,
    /// When the figures were true, UTC.
    pub(crate) as_of: String,
    /// Why something could not be read.
    pub(crate) error: Option<ErrorReport>,
}

/// Reads every account and answers.
pub(crate) async fn run(
    arguments: &BudgetCheckArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?.for_work(arguments.priority.work());
    let readings = upstream.selected_readings(context).await?;
    let now = context.now();
    let own_use = OwnUse::read(context, now);
    let accounts: Vec<AccountBudget> = readings
        .iter()
        .map(|reading| account_budget(reading, &own_use, arguments.require_balance, context, now))
        .collect();
    let verdict = Answer::any(accounts.iter().map(|account| account.verdict.verdict.verdict));
    let report = BudgetCheckReport {
        schema: "ripcord/budget-check/1",
        generated_at: moment::utc(now),
        verdict,
        require_balance: arguments.require_balance,
        accounts,
    };
    context
        .printer
        .answer(&report, || own_page(&readings, &report.accounts, verdict, context, now))?;
    for reading in &readings {
        if let Some(error) = &reading.problem {
            context.printer.error(error);
        }
    }
    Ok(verdict.exit())
}

fn account_budget(
    reading: &Reading,
    own_use: &OwnUse,
    require_balance: bool,
    context: &Context,
    now: Wall,
) -> AccountBudget {
    let policy = SpendingPolicy { require_balance, ..reading.account.policy };
    let turns = match may_spend(&reading.snapshot, &policy, None, now) {
        Verdict::No { turns_at, .. } => turns_at,
        Verdict::Yes(_) | Verdict::Unknown(_) => None,
    };
    let measured = Measured::of(own_use, reading, now);
    let windows = reading.snapshot.windows_at(None, now);
    AccountBudget {
        verdict: account_verdict(reading, require_balance, context),
        turns_in_seconds: turns.map(|turns| turns.since(now).as_secs()),
        burn: measured.report(),
        runs_out: measured.first_end(&windows, now),
    }
}

/// A line per account, what runs out first, and over several the answer of the pool.
fn own_page(
    readings: &[Reading],
    accounts: &[AccountBudget],
    verdict: Answer,
    context: &Context,
    now: Wall,
) -> Page {
    let mut page = Page::new();
    for (reading, account) in readings.iter().zip(accounts) {
        draw_account(&mut page, reading, &account.verdict);
        if let Some(end) = &account.runs_out {
            let words = end.words(&context.printer.moments, now);
            page.paragraph_under(4, 2, Text::toned(Tone::Warn, "! ").plain(words));
        }
    }
    draw_pool(&mut page, accounts.len(), verdict);
    page
}

/// What an account answers under its own rules.
pub(crate) fn account_verdict(
    reading: &Reading,
    require_balance: bool,
    context: &Context,
) -> AccountVerdict {
    let policy = SpendingPolicy { require_balance, ..reading.account.policy };
    let now = context.now();
    let verdict = may_spend(&reading.snapshot, &policy, None, now);
    AccountVerdict {
        account: reading.label.clone(),
        verdict: VerdictReport::new(
            &verdict,
            &reading.snapshot,
            &policy,
            &context.printer.moments,
            now,
        ),
        balance_usd: reading.snapshot.balance.map(figures::usd),
        min_balance_usd: figures::usd(policy.min_balance),
        as_of: moment::utc(reading.snapshot.as_of),
        error: reading.problem.as_ref().map(ErrorReport::from),
    }
}

/// A line per account, and over several the answer of the pool.
pub(crate) fn page(readings: &[Reading], accounts: &[AccountVerdict], verdict: Answer) -> Page {
    let mut page = Page::new();
    for (reading, account) in readings.iter().zip(accounts) {
        draw_account(&mut page, reading, account);
    }
    draw_pool(&mut page, accounts.len(), verdict);
    page
}

fn draw_account(page: &mut Page, reading: &Reading, account: &AccountVerdict) {
    page.line(Text::toned(Tone::Strong, account.account.as_str()));
    page.paragraph_under(2, 2, verdict_line(&account.verdict));
    if let Some(remedy) = account.verdict.remedy(&reading.snapshot, &reading.account.policy) {
        page.paragraph(4, Text::new().dim(remedy));
    }
}

fn draw_pool(page: &mut Page, accounts: usize, verdict: Answer) {
    if accounts > 1 {
        page.gap().line(match verdict {
            Answer::Yes => Text::toned(Tone::Good, "✓ there is budget"),
            Answer::No => Text::toned(Tone::Bad, "✗ no account has budget"),
            Answer::Unknown => Text::toned(Tone::Warn, "? it could not be found out"),
        });
    }
}
