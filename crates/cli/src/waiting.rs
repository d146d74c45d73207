//! Waiting for budget, for `wait-for-reset` and `run`: goes on promptly after a turn, and asks sparingly before it.
//!
//! The time is the server's, learned from its answers, since its windows turn by it. At a turn the calendar decides, since the
//! server's own figures may lag for a minute. What stops a wait is the deadline alone: a network that fails, a clock that is
//! set and a machine that sleeps only make it look again.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ripcord_rules::quota::{LEAST_PAUSE, Readable, WindowKind};
use ripcord_rules::schedule::{
    Ahead, Demand, Expression, ServerClock, Waiting, ahead, believed, restamped,
};
use ripcord_rules::time::{Mono, Now, Wall};

use crate::accounts::Account;
use crate::clock::Stopwatch;
use crate::context::Context;
use crate::error::CommandError;
use crate::prices::PricedCall;
use crate::printer::moment;
use crate::printer::text::Text;
use crate::upstream::{Reading, Upstream};
use crate::verdict::window_words;

/// A `Date` header has whole seconds, and its way takes time.
const DATE_TOLERANCE: Duration = Duration::from_secs(2);
/// How often the clocks are looked at while nobody watches.
const STEP: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) demand: Demand,
    /// What the calls of the demand are, where each account may pay another price for them.
    pub(crate) call: Option<PricedCall>,
    pub(crate) condition: Option<Expression>,
    /// Whether it waits also for a network that fails from the start.
    pub(crate) is_patient: bool,
}

/// How a wait ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What stood ahead at the end.
    pub(crate) ahead: Ahead,
    /// When something would have turned.
    pub(crate) next: Option<Wall>,
    /// The accounts at the last look.
    pub(crate) readings: Vec<Reading>,
}

/// One wait.
pub(crate) struct Wait<'c> {
    context: &'c Context,
    began: Wall,
    deadline: Option<Wall>,
    stopwatch: Stopwatch,
    clock: ServerClock,
    /// When the accounts were read last, by the interval clock.
    last_look: Option<Mono>,
    /// Whether a clock jumped since: then the calendar says nothing until the server was asked.
    is_shaken: bool,
    bar: Option<ProgressBar>,
    /// What was told last, and until when it lasts.
    announced: Option<(String, Option<Wall>)>,
    complained: bool,
}

// === impl Goal ===

impl Goal {
    /// One call, whatever it costs.
    pub(crate) const fn one_call(is_patient: bool) -> Self {
        Self { demand: Demand::OneCall, call: None, condition: None, is_patient }
    }

    /// The demand at the prices of this account.
    fn demand_of(&self, account: &Account) -> Demand {
        match (&self.demand, &self.call) {
            (Demand::Calls { count, chute_id, .. }, Some(call)) => Demand::Calls {
                count: *count,
                cost: call.cost_for(account),
                chute_id: chute_id.clone(),
            },
            (demand, _) => demand.clone(),
        }
    }
}

// === impl Wait ===

impl<'c> Wait<'c> {
    /// A wait that begins now.
    pub(crate) fn new(context: &'c Context, timeout: Option<Duration>) -> Self {
        let began = context.now();
        Self {
            context,
            began,
            deadline: timeout.map(|timeout| began.after(timeout)),
            stopwatch: context.clock.stopwatch(),
            clock: ServerClock::default(),
            last_look: None,
            is_shaken: false,
            bar: None,
            announced: None,
            complained: false,
        }
    }

    /// The same without an end: what is known of the clocks and of the last look stays.
    pub(crate) fn without_deadline(mut self) -> Self {
        self.clear_bar();
        self.deadline = None;
        self
    }

    /// When it began, by the server's clock.
    pub(crate) const fn began(&self) -> Wall {
        self.began
    }

    /// What is left until the deadline; `None` without one.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(self.context.now()))
    }

    /// Until one of the selected accounts takes it, nothing that turns would help, or the time is up. `readings` are those of
    /// an earlier look, if there was one.
    pub(crate) async fn until_open(
        &mut self,
        goal: &Goal,
        upstream: &Upstream,
        mut readings: Vec<Reading>,
    ) -> Result<Outcome, CommandError> {
        let mut next = None;
        self.until_possible(goal).await;
        self.look_again(&mut readings, upstream).await?;
        loop {
            let now = self.context.now();
            let mut ahead = self.ahead(goal, &readings, now);
            if self.is_shaken && matches!(ahead, Ahead::Open(_)) {
                // The figures are old, and what time it is nobody knows.
                ahead = Ahead::Unreadable;
            }
            if ahead == Ahead::Unreadable {
                if !self.goes_on(goal, &readings) {
                    return Ok(Outcome { ahead, next, readings });
                }
                self.complain(&readings);
            }
            let Some(wake) = ahead.next_look(now, self.context.settings.chutes.refresh.value)
            else {
                return Ok(Outcome { ahead, next, readings });
            };
            if let Ahead::Turn(_, turns) | Ahead::Condition(Some(turns)) = ahead {
                next = Some(turns);
            }
            self.announce(&self.words(goal, ahead, &readings, now), ahead.moment(), now);
            let is_last = self.deadline.is_some_and(|deadline| deadline < wake);
            self.sleep_until(wake).await;
            if is_last && !self.is_shaken {
                // Too soon to ask again, but the calendar may have turned the window meanwhile.
                let ahead = self.ahead(goal, &readings, self.context.now());
                return Ok(Outcome { ahead, next, readings });
            }
            self.keep_apart().await;
            self.look(&mut readings, upstream).await?;
        }
    }

    /// What stands between these accounts and the work, as far as the figures at hand tell.
    pub(crate) fn ahead(&self, goal: &Goal, readings: &[Reading], now: Wall) -> Ahead {
        let zone = |moment| self.context.printer.moments.offset_seconds(moment);
        let waiting = Waiting { condition: goal.condition.as_ref(), zone: &zone };
        let demands: Vec<Demand> =
            readings.iter().map(|reading| goal.demand_of(&reading.account)).collect();
        let accounts = readings.iter().zip(&demands);
        ahead(
            accounts.map(|(reading, demand)| (&reading.snapshot, &reading.account.policy, demand)),
            waiting,
            now,
        )
    }

    /// Reads the accounts unless that was just done. What is known stays where it cannot be read again.
    pub(crate) async fn look_again(
        &mut self,
        readings: &mut Vec<Reading>,
        upstream: &Upstream,
    ) -> Result<(), CommandError> {
        let is_fresh = self.last_look.is_some_and(|last| self.mono().since(last) < LEAST_PAUSE);
        if is_fresh { Ok(()) } else { self.look(readings, upstream).await }
    }

    /// Until this moment of the server's clock, or the deadline. Asks the server for its time.
    pub(crate) async fn until_turn(&mut self, kind: WindowKind, turns: Wall, upstream: &Upstream) {
        loop {
            let now = self.context.now();
            self.announce(&turn_words(kind, turns, now, self.context), Some(turns), now);
            self.sleep_until(turns).await;
            if !std::mem::take(&mut self.is_shaken) || self.is_over() {
                return;
            }
            self.keep_apart().await;
            self.ask_the_time(upstream).await;
        }
    }

    /// Does nothing for a while, but notices when a clock jumps.
    pub(crate) async fn rest(&mut self, duration: Duration) {
        self.sleep_until(self.context.now().after(duration)).await;
    }

    /// Whether a clock jumped, so that nobody knows what time it is at the server.
    pub(crate) const fn is_shaken(&self) -> bool {
        self.is_shaken
    }

    /// Learns the server's time by a question that needs no account.
    pub(crate) async fn ask_the_time(&mut self, upstream: &Upstream) {
        let behind = upstream.server_ahead(self.context).await;
        self.last_look = Some(self.mono());
        match behind {
            Some(behind) => {
                let before = self.context.behind_micros();
                self.context.compare_clocks(behind);
                self.follow_clock(before);
            }
            None if !self.complained => {
                self.complained = true;
                self.context
                    .printer
                    .warn("Chutes could not be asked for its time; this machine's clock is used");
            }
            None => {}
        }
    }

    /// Waits for the time of day that a condition asks for: until then no figure matters.
    async fn until_possible(&mut self, goal: &Goal) {
        let Some(condition) = &goal.condition else { return };
        let zone = |moment| self.context.printer.moments.offset_seconds(moment);
        loop {
            let now = self.context.now();
            let Some(possible) = condition.next_possible(now, &zone) else { return };
            if possible <= now || self.is_over() {
                return;
            }
            let ahead = Ahead::Condition(Some(possible));
            self.announce(&self.words(goal, ahead, &[], now), Some(possible), now);
            self.sleep_until(possible).await;
            self.is_shaken = false;
        }
    }

    async fn look(
        &mut self,
        readings: &mut Vec<Reading>,
        upstream: &Upstream,
    ) -> Result<(), CommandError> {
        let before = self.context.behind_micros();
        let mut newer = if readings.is_empty() {
            upstream.selected_readings(self.context).await?
        } else {
            // The same accounts, also where only their answers had told their names.
            let accounts = readings.iter().map(|reading| reading.account.clone()).collect();
            upstream.readings(accounts, self.context).await
        };
        self.last_look = Some(self.mono());
        if let Some((altogether, since)) = self.follow_clock(before) {
            let older = readings.iter_mut().map(|reading| (reading, altogether));
            for (reading, moved) in newer.iter_mut().map(|reading| (reading, since)).chain(older) {
                reading.snapshot = restamped(&reading.snapshot, moved);
            }
        }
        for reading in &mut newer {
            let same =
                |older: &&Reading| older.account.keys.first() == reading.account.keys.first();
            if let Some(older) = readings.iter().find(same) {
                let snapshot = std::mem::replace(&mut reading.snapshot, older.snapshot.clone());
                reading.snapshot = believed(&older.snapshot, snapshot);
                if reading.username.is_none() {
                    reading.label.clone_from(&older.label);
                    reading.username.clone_from(&older.username);
                }
            }
        }
        if !readings.is_empty() {
            self.complain(&newer);
        }
        *readings = newer;
        Ok(())
    }

    /// Says once that the accounts cannot be read, and once that they can again.
    fn complain(&mut self, readings: &[Reading]) {
        let problem = readings.iter().find_map(|reading| reading.problem.as_ref());
        if problem.is_some() == self.complained || self.is_over() {
            return;
        }
        self.complained = problem.is_some();
        self.suspended(|printer| match problem {
            Some(problem) => printer.warn(&format!("{problem}; waiting on")),
            None if printer.is_json() => {}
            None => printer.talk(Text::new().dim("the account can be read again")),
        });
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.context.now())
    }

    /// Whether to wait on although nothing could be read: what could not be read at the start may be a wrong key.
    fn goes_on(&self, goal: &Goal, readings: &[Reading]) -> bool {
        let may_come = readings.iter().any(|reading| reading.snapshot.readable == Readable::Failed);
        self.announced.is_some() || self.is_shaken || (goal.is_patient && may_come)
    }

    /// Takes over what answers said about the clock, which stood at `before` when they were asked: by how much it has been
    /// moved altogether, and since they came. What was counted from the start is counted by the new one.
    fn follow_clock(&mut self, before: i64) -> Option<(i64, i64)> {
        let behind = self.context.take_seen_behind()?;
        let since = self.clock.learn(behind, self.context.clock.pace_of(DATE_TOLERANCE));
        self.context.correct_clock(since);
        let altogether = self.context.behind_micros().saturating_sub(before);
        for moment in [Some(&mut self.began), self.deadline.as_mut()].into_iter().flatten() {
            *moment = Wall::from_unix_micros(moment.as_unix_micros().saturating_add(altogether));
        }
        self.is_shaken = false;
        // A step of our own is none to be noticed.
        self.clock.tick(self.now(), Duration::MAX);
        Some((altogether, since))
    }

    /// Sleeps until `wake` or the deadline, whichever is first, moving the bar every second. Ends early if a clock jumps.
    async fn sleep_until(&mut self, wake: Wall) {
        let end = self.deadline.map_or(wake, |deadline| deadline.min(wake));
        loop {
            let now = self.now();
            if self.clock.tick(now, self.context.clock.pace_of(DATE_TOLERANCE)) {
                self.is_shaken = true;
                return;
            }
            let left = end.since(now.wall);
            if left.is_zero() {
                return;
            }
            if let Some(bar) = &self.bar {
                bar.set_position(now.wall.since(self.began).as_secs());
                let until = self.announced.as_ref().and_then(|(_, until)| *until);
                bar.set_message(
                    until.map_or_else(String::new, |until| moment::duration(until.since(now.wall))),
                );
            }
            let step = if self.bar.is_some() { Duration::from_secs(1) } else { STEP };
            self.context.clock.sleep(left.min(self.context.clock.pace_of(step))).await;
        }
    }

    /// Two looks are never close together.
    async fn keep_apart(&self) {
        let Some(last) = self.last_look else { return };
        let passed = self.mono().since(last);
        self.context.clock.sleep(LEAST_PAUSE.saturating_sub(passed)).await;
    }

    fn mono(&self) -> Mono {
        let elapsed = self.context.clock.pace_of(self.stopwatch.elapsed());
        Mono::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    fn now(&self) -> Now {
        Now { mono: self.mono(), wall: self.context.now() }
    }

    fn words(&self, goal: &Goal, ahead: Ahead, readings: &[Reading], now: Wall) -> String {
        let at = |moment| self.context.printer.moments.at(moment, now);
        match (ahead, &goal.condition) {
            (Ahead::Turn(kind, turns), None) => turn_words(kind, turns, now, self.context),
            (Ahead::Turn(kind, opens), Some(condition)) => format!(
                "waiting until {}: the {} is in the way, and `{condition}` has to hold",
                at(opens),
                window_words(kind)
            ),
            (Ahead::Condition(Some(opens)), Some(condition)) => {
                format!("waiting until {} for `{condition}`", at(opens))
            }
            (Ahead::Condition(_), Some(condition)) => {
                let unknown: Vec<String> = readings
                    .iter()
                    .flat_map(|reading| condition.unknown_figures(&reading.snapshot, now))
                    .map(|figure| format!("`{figure}`"))
                    .collect();
                let unknown = match unknown.is_empty() {
                    true => String::new(),
                    false => format!("; not known yet: {}", unknown.join(", ")),
                };
                format!("waiting for `{condition}`{unknown}")
            }
            (Ahead::Sometime, _) => {
                "waiting for the billing month to turn; it is overdue".to_owned()
            }
            _ => "waiting for the account to be readable".to_owned(),
        }
    }

    /// Says what is awaited, once per change: as a bar where a person looks, else as one line.
    fn announce(&mut self, words: &str, until: Option<Wall>, now: Wall) {
        if self.announced.as_ref().is_some_and(|(told, _)| told == words) || self.is_over() {
            return;
        }
        self.clear_bar();
        self.announced = Some((words.to_owned(), until));
        let printer = &self.context.printer;
        let Some(until) = until.filter(|_| printer.talks_to_a_person()) else {
            let left =
                until.map(|until| format!(", {}", moment::until(until, now))).unwrap_or_default();
            // Under `--json` stderr is for objects alone; a report at the end says how long it was.
            if !printer.is_json() {
                printer.talk(Text::new().dim(format!("{words}{left}")));
            }
            return;
        };
        let length = until.since(self.began).as_secs().max(1);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let (template, cells) = if printer.device().unicode {
            ("{prefix}\n{wide_bar:.green} {msg} ", "█▓░")
        } else {
            ("{prefix}\n[{wide_bar}] {msg} ", "#>.")
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars(cells));
        }
        bar.set_prefix(words.to_owned());
        self.bar = Some(bar);
    }

    /// Says something above the bar.
    fn suspended(&self, say: impl FnOnce(&crate::printer::Printer)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&self.context.printer)),
            None => say(&self.context.printer),
        }
    }

    /// Takes the bar away; what comes next is said below nothing.
    pub(crate) fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn turn_words(kind: WindowKind, turns: Wall, now: Wall, context: &Context) -> String {
    format!(
        "waiting for the {} to turn at {}",
        window_words(kind),
        context.printer.moments.at(turns, now)
    )
}
