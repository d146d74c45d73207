//! `ripcord wait-for-reset`: returns when there is budget. Asks at the moment a window turns, and between only as
//! often as the figures are refreshed anyway, so that a top-up is noticed.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ripcord_rules::quota::{
    Readable, Shortage, Verdict, WindowKind, four_hour_window, may_spend, next_day_reset,
};
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
use crate::verdict::{Answer, window_words};

/// The least time between two looks at the account.
const LEAST_GAP: Duration = Duration::from_secs(10);
/// Asked right at the boundary the server may still be on the other side of it.
const AFTER_THE_TURN: Duration = Duration::from_secs(1);
/// Once it has begun to wait, a failing network is given this many tries.
const TRIES: u32 = 10;

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

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// There is budget.
    Open,
    /// This window turns then.
    Turn(WindowKind, Wall),
    /// Something will help, but nobody knows when: a billing month that is overdue.
    Sometime,
    /// Nothing turns by itself.
    Nothing,
    /// The accounts could not be read.
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

/// One wait.
struct Wait<'c> {
    context: &'c Context,
    began: Wall,
    deadline: Option<Wall>,
    bar: Option<ProgressBar>,
    announced: Option<Wall>,
}

/// Waits as the arguments say.
pub(crate) async fn run(
    arguments: &WaitForResetArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let began = context.now();
    let mut wait = Wait {
        context,
        began,
        deadline: arguments.timeout.map(|seconds| began.after(Duration::from_secs(seconds))),
        bar: None,
        announced: None,
    };
    let (ended, next, readings) = match arguments.next {
        Some(window) => wait.for_next(window).await?,
        None => wait.for_budget().await?,
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
        waited_seconds: context.now().since(wait.began).as_secs(),
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

// === impl Wait ===

impl Wait<'_> {
    /// Until one account has budget.
    async fn for_budget(&mut self) -> Result<Outcome, CommandError> {
        let upstream = Upstream::new(self.context)?;
        let mut failures = 0;
        let mut next = None;
        loop {
            let readings = self.look(&upstream).await?;
            let now = self.context.now();
            let refresh = now.after(self.context.settings.chutes.refresh.value);
            let wake = match ahead(&readings, now) {
                Ahead::Open => return Ok((Ended::Budget, None, readings)),
                Ahead::Nothing => return Ok((Ended::NothingTurns, None, readings)),
                Ahead::Unreadable => {
                    // What could not be read at the start will not become readable; later it may be the network.
                    failures += 1;
                    if self.announced.is_none() || failures >= TRIES {
                        return Ok((Ended::Unreadable, next, readings));
                    }
                    now.after(Duration::from_secs(30))
                }
                Ahead::Sometime => {
                    self.announce(None, now);
                    refresh
                }
                Ahead::Turn(kind, turns) => {
                    failures = 0;
                    next = Some(turns);
                    self.announce(Some((kind, turns)), now);
                    turns.after(AFTER_THE_TURN).min(refresh)
                }
            };
            let wake = wake.max(now.after(LEAST_GAP));
            match self.deadline.filter(|deadline| *deadline < wake) {
                None => self.sleep_until(wake).await,
                Some(deadline) => {
                    self.sleep_until(deadline).await;
                    // Too soon to ask again, but the calendar may have turned the window meanwhile.
                    let open = ahead(&readings, self.context.now()) == Ahead::Open;
                    let ended = if open { Ended::Budget } else { Ended::Timeout };
                    return Ok((ended, next, readings));
                }
            }
        }
    }

    /// Reads the accounts. If that corrects the clock, what was counted from the start is counted by the new one.
    async fn look(&mut self, upstream: &Upstream) -> Result<Vec<Reading>, CommandError> {
        let before = self.context.behind_micros();
        let readings = upstream.selected_readings(self.context).await?;
        let by = self.context.behind_micros().saturating_sub(before);
        for moment in [Some(&mut self.began), self.deadline.as_mut()].into_iter().flatten() {
            *moment = Wall::from_unix_micros(moment.as_unix_micros().saturating_add(by));
        }
        Ok(readings)
    }

    /// Until the next reset, budget or not. `day` and `four_hour` follow the calendar, so no account is asked.
    async fn for_next(&mut self, window: NextWindow) -> Result<Outcome, CommandError> {
        let now = self.context.now();
        let (turn, readings) = match window {
            NextWindow::Day => (Some((WindowKind::Day, next_day_reset(now))), Vec::new()),
            NextWindow::FourHour => {
                (Some((WindowKind::FourHour, four_hour_window(now).1)), Vec::new())
            }
            NextWindow::Any | NextWindow::Month => {
                let upstream = Upstream::new(self.context)?;
                let readings = self.look(&upstream).await?;
                (next_turn(&readings, window, self.context.now()), readings)
            }
        };
        let now = self.context.now();
        let Some((kind, turns)) = turn else {
            let unread = readings.iter().any(|reading| reading.snapshot.readable != Readable::Yes);
            let ended = if unread { Ended::Unreadable } else { Ended::NothingTurns };
            return Ok((ended, None, readings));
        };
        self.announce(Some((kind, turns)), now);
        self.sleep_until(turns).await;
        let ended = if self.context.now() >= turns { Ended::Turned } else { Ended::Timeout };
        Ok((ended, Some(turns), readings))
    }

    /// Sleeps until `wake` or the deadline, whichever is first, moving the bar every second.
    async fn sleep_until(&self, wake: Wall) {
        let end = self.deadline.map_or(wake, |deadline| deadline.min(wake));
        loop {
            let now = self.context.now();
            let left = end.since(now);
            if left.is_zero() {
                return;
            }
            if let Some(bar) = &self.bar {
                bar.set_position(now.since(self.began).as_secs());
                bar.set_message(
                    self.announced
                        .map_or_else(String::new, |turns| moment::duration(turns.since(now))),
                );
            }
            let step =
                if self.bar.is_some() { Duration::from_secs(1) } else { Duration::from_secs(30) };
            self.context.clock.sleep(left.min(step)).await;
        }
    }

    /// Says what is awaited, once per goal: as a bar where a person looks, else as one line.
    fn announce(&mut self, goal: Option<(WindowKind, Wall)>, now: Wall) {
        let turns = goal.map(|(_, turns)| turns);
        let marker = turns.unwrap_or(now);
        if self.announced.is_some_and(|announced| turns.is_none() || announced == marker) {
            return;
        }
        self.announced = Some(marker);
        self.clear_bar();
        let words = match goal {
            Some((kind, turns)) => format!(
                "waiting for the {} to turn at {}",
                window_words(kind),
                self.context.printer.moments.at(turns, now)
            ),
            None => "waiting for the billing month to turn; it is overdue".to_owned(),
        };
        let Some(turns) = turns.filter(|_| self.context.printer.talks_to_a_person()) else {
            let until =
                turns.map(|turns| format!(", {}", moment::until(turns, now))).unwrap_or_default();
            // Under `--json` stderr is for objects alone; the report at the end says how long it was.
            if !self.context.printer.is_json() {
                self.context.printer.talk(Text::new().dim(format!("{words}{until}")));
            }
            return;
        };
        let length = turns.since(self.began).as_secs().max(1);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let (template, cells) = if self.context.printer.device().unicode {
            ("{prefix}\n{wide_bar:.green} {msg}", "█▓░")
        } else {
            ("{prefix}\n[{wide_bar}] {msg}", "#>.")
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars(cells));
        }
        bar.set_prefix(words);
        self.bar = Some(bar);
    }

    fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What stands between these accounts and the next call.
fn ahead(readings: &[Reading], now: Wall) -> Ahead {
    let mut best = None;
    let mut sometime = false;
    let mut unreadable = false;
    for reading in readings {
        match may_spend(&reading.snapshot, &reading.account.policy, None, now) {
            Verdict::Yes(_) => return Ahead::Open,
            Verdict::Unknown(_) => unreadable = true,
            Verdict::No { shortage, turns_at, .. } => match (turns_at, shortage) {
                (
                    Some(turns),
                    Shortage::PaygoNotAllowed(kind)
                    | Shortage::WindowUsedUp(kind)
                    | Shortage::DailyBoundReached(kind)
                    | Shortage::KeptForInteractive(kind),
                ) => {
                    if best.is_none_or(|(_, earliest)| turns < earliest) {
                        best = Some((kind, turns));
                    }
                }
                (
                    None,
                    Shortage::PaygoNotAllowed(WindowKind::Month)
                    | Shortage::WindowUsedUp(WindowKind::Month)
                    | Shortage::KeptForInteractive(WindowKind::Month),
                ) => sometime = true,
                (_, Shortage::BalanceTooLow)
                | (
                    None,
                    Shortage::PaygoNotAllowed(_)
                    | Shortage::WindowUsedUp(_)
                    | Shortage::DailyBoundReached(_)
                    | Shortage::KeptForInteractive(_),
                ) => {}
            },
        }
    }
    match best {
        Some((kind, turns)) => Ahead::Turn(kind, turns),
        None if sometime => Ahead::Sometime,
        None if unreadable => Ahead::Unreadable,
        None => Ahead::Nothing,
    }
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
