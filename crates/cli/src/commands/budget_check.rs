//! `ripcord budget-check`: is there budget to go on with?

use ripcord_rules::quota::{SpendingPolicy, may_spend};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::BudgetCheckArguments;
use crate::commands::usage::{ErrorReport, verdict_line};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::figures;
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
    accounts: Vec<AccountVerdict>,
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
    let accounts: Vec<AccountVerdict> = readings
        .iter()
        .map(|reading| account_verdict(reading, arguments.require_balance, context))
        .collect();
    let verdict = Answer::any(accounts.iter().map(|account| account.verdict.verdict));
    let report = BudgetCheckReport {
        schema: "ripcord/budget-check/1",
        generated_at: moment::utc(context.now()),
        verdict,
        require_balance: arguments.require_balance,
        accounts,
    };
    context.printer.answer(&report, || page(&readings, &report.accounts, verdict))?;
    for reading in &readings {
        if let Some(error) = &reading.problem {
            context.printer.error(error);
        }
    }
    Ok(verdict.exit())
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
        page.line(Text::toned(Tone::Strong, account.account.as_str()));
        page.paragraph_under(2, 2, verdict_line(&account.verdict));
        if let Some(remedy) = account.verdict.remedy(&reading.snapshot, &reading.account.policy) {
            page.paragraph(4, Text::new().dim(remedy));
        }
    }
    if accounts.len() > 1 {
        page.gap().line(match verdict {
            Answer::Yes => Text::toned(Tone::Good, "✓ there is budget"),
            Answer::No => Text::toned(Tone::Bad, "✗ no account has budget"),
            Answer::Unknown => Text::toned(Tone::Warn, "? it could not be found out"),
        });
    }
    page
}
