//! `ripcord wait-for-reset`: returns when there is budget, or when a window turns.

use std::time::Duration;

use ripcord_rules::quota::{Readable, WindowKind, four_hour_window, next_day_reset};
use ripcord_rules::schedule::Ahead;
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{NextWindow, WaitForResetArguments};
use crate::commands::budget_check::{AccountVerdict, account_verdict, page};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::moment;
use crate::printer::text::{Text, Tone};
use crate::upstream::{Reading, Upstream};
use crate::verdict::Answer;
use crate::waiting::{Goal, Wait};

/// What `ripcord wait-for-reset --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WaitReport {
    #[schemars(extend("const" = "ripcord/wait-for-reset/1"))]
    schema: &'static str,
    /// When the wait ended, UTC.
    generated_at: String,
    /// Whether what was awaited has come, which is budget, or with `--next` the turn of a window: `yes` if so, `no` if the
    /// time was up or nothing turns by itself, `unknown` if it could not be found out. Exit code 0, 1, 3.
    verdict: Answer,
    /// How long it waited, in seconds.
    waited_seconds: u64,
    /// Why it ended: `budget`, `turned`, `timeout`, `nothing_turns`, `unreadable`.
    ended: &'static str,
    /// When the next window turns that would help, UTC.
    next_reset_at: Option<String>,
    /// Each account at the last look; empty with `--next`, which does not ask for budget, unless one could not be read.
    accounts: Vec<AccountVerdict>,
}

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Budget,
    Turned,
    Timeout,
    NothingTurns,
    Unreadable,
}

// === impl Ended ===

impl Ended {
    const fn word(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Turned => "turned",
            Self::Timeout => "timeout",
            Self::NothingTurns => "nothing_turns",
            Self::Unreadable => "unreadable",
        }
    }

    const fn answer(self) -> Answer {
        match self {
            Self::Budget | Self::Turned => Answer::Yes,
            Self::Timeout | Self::NothingTurns => Answer::No,
            Self::Unreadable => Answer::Unknown,
        }
    }
}

/// Waits as the arguments say.
pub(crate) async fn run(
    arguments: &WaitForResetArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let mut wait = Wait::new(context, arguments.timeout.map(Duration::from_secs));
    let upstream = Upstream::new(context)?.for_work(arguments.priority.work());
    let (ended, next, readings) = match arguments.next {
        Some(window) => for_next(window, &mut wait, &upstream, context).await?,
        None => for_budget(&mut wait, &upstream).await?,
    };
    wait.clear_bar();
    let about_budget = arguments.next.is_none() || ended == Ended::Unreadable;
    let accounts: Vec<AccountVerdict> = readings
        .iter()
        .filter(|_| about_budget)
        .map(|reading| account_verdict(reading, false, context))
        .collect();
    let report = WaitReport {
        schema: "ripcord/wait-for-reset/1",
        generated_at: moment::utc(context.now()),
        verdict: ended.answer(),
        waited_seconds: context.now().since(wait.began()).as_secs(),
        ended: ended.word(),
        next_reset_at: next.map(moment::utc),
        accounts,
    };
    context.printer.answer(&report, || {
        let mut page = page(&readings, &report.accounts, report.verdict);
        if !matches!(ended, Ended::Budget | Ended::Unreadable) {
            page.gap().paragraph_under(0, 2, last_line(ended, next, context));
        }
        page
    })?;
    for reading in &readings {
        if let Some(error) = &reading.problem {
            context.printer.error(error);
        }
    }
    Ok(report.verdict.exit())
}

fn last_line(ended: Ended, next: Option<Wall>, context: &Context) -> Text {
    let when = next.filter(|next| *next > context.now()).map(|next| {
        format!(
            "; the next reset is {}, at {}",
            moment::until(next, context.now()),
            context.printer.moments.at(next, context.now())
        )
    });
    let when = when.unwrap_or_default();
    match ended {
        Ended::Budget | Ended::Turned => Text::toned(Tone::Good, "✓ the window has turned"),
        Ended::Timeout => Text::toned(Tone::Bad, "✗ the time is up").plain(when),
        Ended::NothingTurns => Text::toned(Tone::Bad, "✗ nothing to wait for")
            .plain(": no window that turns by itself would help"),
        Ended::Unreadable => Text::new(),
    }
}

type Outcome = (Ended, Option<Wall>, Vec<Reading>);

/// Until one account has budget.
async fn for_budget(wait: &mut Wait<'_>, upstream: &Upstream) -> Result<Outcome, CommandError> {
    let goal = Goal::one_call(false);
    let outcome = wait.until_open(&goal, upstream, Vec::new()).await?;
    let ended = match outcome.ahead {
        Ahead::Open(_) => Ended::Budget,
        Ahead::Unreadable => Ended::Unreadable,
        Ahead::Turn(..) | Ahead::Condition(_) | Ahead::Sometime => Ended::Timeout,
        Ahead::NeedsPrice | Ahead::Never { .. } | Ahead::Nothing => Ended::NothingTurns,
    };
    let next = outcome.next.filter(|_| ended != Ended::Budget);
    Ok((ended, next, outcome.readings))
}

/// Until the next reset, budget or not. `day` and `four_hour` follow the calendar, so no account is asked.
async fn for_next(
    window: NextWindow,
    wait: &mut Wait<'_>,
    upstream: &Upstream,
    context: &Context,
) -> Result<Outcome, CommandError> {
    let mut readings = Vec::new();
    let turn = match window {
        NextWindow::Day => {
            wait.ask_the_time(upstream).await;
            Some((WindowKind::Day, next_day_reset(context.now())))
        }
        NextWindow::FourHour => {
            wait.ask_the_time(upstream).await;
            Some((WindowKind::FourHour, four_hour_window(context.now()).1))
        }
        NextWindow::Any | NextWindow::Month => {
            wait.look_again(&mut readings, upstream).await?;
            next_turn(&readings, window, context.now())
        }
    };
    let Some((kind, turns)) = turn else {
        let unread = readings.iter().any(|reading| reading.snapshot.readable != Readable::Yes);
        let ended = if unread { Ended::Unreadable } else { Ended::NothingTurns };
        return Ok((ended, None, readings));
    };
    wait.until_turn(kind, turns, upstream).await;
    let ended = if context.now() >= turns { Ended::Turned } else { Ended::Timeout };
    Ok((ended, Some(turns), readings))
}

/// The first window of these accounts that turns, of any kind or of the one asked for.
fn next_turn(readings: &[Reading], window: NextWindow, now: Wall) -> Option<(WindowKind, Wall)> {
    readings
        .iter()
        .flat_map(|reading| reading.snapshot.windows_at(None, now))
        .filter(|found| window == NextWindow::Any || found.kind == WindowKind::Month)
        .filter_map(|found| Some((found.kind, found.resets_at?)))
        .filter(|(_, turns)| *turns > now)
        .min_by_key(|(_, turns)| *turns)
}
