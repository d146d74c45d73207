//! Runs a command that stands still while its account's budget is used up.
//!
//! The command gets a process group of its own, which is stopped whole and goes on whole; on a terminal the group gets the terminal,
//! and `ripcord` has it while the group is stopped. What somebody else stops is theirs to let go on, and what somebody else lets go
//! on is not stopped again. A guard lets the group go on if `ripcord` dies.

use std::cell::Cell;
use std::convert::Infallible;
use std::ffi::OsString;
use std::pin::pin;
use std::time::Duration;

use ripcord_rules::schedule::{Action, Pause, PauseState, Sight};
use ripcord_rules::time::Mono;
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::watch;

use super::group::{Change, Group};
use super::guard::Guard;
use super::terminal::{self, Terminal};
use super::{calls, code, ignored, listen, next, unstartable};
use crate::allowance::View;
use crate::clock::Stopwatch;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::moment;
use crate::printer::text::Text;

/// A change that no signal told is seen within this time.
const TICK: Duration = Duration::from_secs(1);
/// A program that stopped itself and was let go on knows it by then.
const SETTLES: Duration = Duration::from_millis(200);

/// What is done when the budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The command is stopped, and goes on when there is budget.
    Stop,
    /// It is sent this signal, on which it ends by itself.
    Signal(Signal),
}

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) environment: &'a [(&'a str, &'a str)],
    pub(crate) how: How,
}

/// The command while it runs.
struct Running<'c> {
    context: &'c Context,
    how: How,
    group: Group,
    guard: Option<Guard>,
    terminal: Option<Terminal>,
    pause: Pause,
    stopwatch: Stopwatch,
    continued: Signals,
    /// Whether we sent it a stop and did not hear yet that it has it.
    awaits_stop: bool,
    /// Whether it was stopped as a job of the shell is, and goes on with us.
    is_job_stopped: bool,
}

/// Runs the command, and ends as it ends. `follow` tells how its budget stands, more often while `closely` is set.
pub(crate) async fn run(
    order: Order<'_>,
    follow: impl Future<Output = Infallible>,
    mut told: watch::Receiver<View>,
    closely: &Cell<bool>,
    context: &Context,
) -> Result<Exit, CommandError> {
    let Some((program, arguments)) = order.command.split_first() else {
        return Err(CommandError::usage("there is no command to run"));
    };
    // Before it starts, so that nothing is missed.
    let mut signals = listen(ignored())?;
    let mut children = signal(SignalKind::child()).map_err(deaf)?;
    let continued = signal(SignalKind::from_raw(Signal::CONT.as_raw())).map_err(deaf)?;
    let guard = match order.how {
        How::Stop => Guard::start().ok(),
        How::Signal(_) => None,
    };
    let terminal = Terminal::of_foreground();
    let group = match Group::start(program, arguments, order.environment) {
        Ok(group) => group,
        Err(error) => return Ok(unstartable(program, &error, &context.printer)),
    };
    let mut running = Running {
        context,
        how: order.how,
        group,
        guard,
        terminal,
        pause: Pause::new(matches!(order.how, How::Signal(_))),
        stopwatch: context.clock.stopwatch(),
        continued,
        awaits_stop: false,
        is_job_stopped: false,
    };
    running.give_terminal();
    let mut follow = pin!(follow);
    loop {
        let mut passed = None;
        tokio::select! {
            never = &mut follow => match never {},
            _ = told.changed() => {}
            _ = children.recv() => {}
            _ = running.continued.recv() => running.resume(),
            kind = next(&mut signals) => passed = Some(kind),
            () = context.clock.sleep(TICK) => {}
        }
        // What happened before is heard before anything is done.
        while let Some(change) = running.change() {
            match change {
                Change::Ended => return running.end(),
                Change::Stopped(by) => running.was_stopped(by).await,
                Change::Continued => running.was_continued(),
            }
        }
        match passed {
            Some(kind) => running.pass_on(kind),
            None => {
                let view = told.borrow_and_update().clone();
                running.look(&view).await;
            }
        }
        running.keep_guarded().await;
        closely.set(matches!(running.pause.state(), PauseState::Draining(_)));
    }
}

fn deaf(error: std::io::Error) -> CommandError {
    CommandError::unknown(format!("cannot listen to signals: {error}"))
}

// === impl Running ===

impl Running<'_> {
    /// What happened to the command, also that somebody let it go on before it had the stop that we sent.
    fn change(&mut self) -> Option<Change> {
        // Before what is heard, which may be the reason.
        let has_no_stop = self.awaits_stop && self.group.has_no_stop();
        let change = self.group.change().or_else(|| has_no_stop.then_some(Change::Continued));
        self.awaits_stop &= change.is_none();
        change
    }

    /// Does what the budget asks for.
    async fn look(&mut self, view: &View) {
        let is_calling =
            view.is_open == Some(false) && calls::come_from(&view.calls, self.group.id());
        let elapsed = self.context.clock.pace_of(self.stopwatch.elapsed());
        let now = Mono::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        match self.pause.see(Sight { is_open: view.is_open, is_calling }, now) {
            Action::Leave => {}
            Action::Stop => self.stop(view).await,
            Action::Continue => {
                self.say("there is budget again; the command goes on");
                self.go_on();
            }
            Action::Signal => {
                if let How::Signal(signal) = self.how {
                    self.say("the budget is used up; the command is told to end");
                    self.group.signal(signal);
                }
            }
        }
    }

    /// Stops the group, guarded.
    async fn stop(&mut self, view: &View) {
        if !self.is_guarded().await {
            self.pause.leave_alone();
            self.say("the budget is used up, but the command cannot be stopped safely: its guard does not start");
            return;
        }
        self.group.signal(Signal::STOP);
        self.awaits_stop = true;
        if let Some(terminal) = &mut self.terminal {
            terminal.take_back(true);
        }
        let now = self.context.now();
        let until = view.opens_at.filter(|opens| *opens > now).map_or_else(String::new, |opens| {
            format!(
                " {}, at {}",
                moment::until(opens, now),
                self.context.printer.moments.at(opens, now)
            )
        });
        self.say(&format!(
            "the budget is used up; the command is stopped, and goes on{until} when there is some"
        ));
    }

    /// Whether the guard knows that the group is stopped, or is about to be. Starts another one if somebody ended it.
    async fn is_guarded(&mut self) -> bool {
        let group = self.group.id();
        if let Some(guard) = &mut self.guard
            && guard.stops(group).await.is_ok()
        {
            return true;
        }
        self.guard = Guard::start().ok();
        match &mut self.guard {
            Some(guard) => guard.stops(group).await.is_ok(),
            None => false,
        }
    }

    /// A guard that was ended while the group is stopped is replaced.
    async fn keep_guarded(&mut self) {
        let is_there = self.guard.as_mut().is_some_and(Guard::is_there);
        if self.pause.state() == PauseState::Stopped && !is_there && !self.is_guarded().await {
            self.pause.leave_alone();
            self.say(
                "the command cannot be kept stopped safely: its guard does not start; it goes on",
            );
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        self.give_terminal();
        self.group.signal(Signal::CONT);
        self.awaits_stop = false;
        if let Some(guard) = &mut self.guard {
            guard.goes_on();
        }
    }

    fn give_terminal(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.give(self.group.id());
        }
    }

    /// The command stopped.
    async fn was_stopped(&mut self, by: i32) {
        if !self.pause.was_stopped() {
            return;
        }
        let by_terminal = [Signal::TSTP, Signal::TTIN, Signal::TTOU];
        let is_by_terminal = by_terminal.iter().any(|signal| signal.as_raw() == by);
        let has_terminal = self.terminal.as_ref().is_some_and(Terminal::is_given);
        if has_terminal && by != Signal::TSTP.as_raw() && is_by_terminal {
            // It asked for the terminal in the moment before it got it.
            self.group.signal(Signal::CONT);
            return;
        }
        self.is_job_stopped = is_by_terminal || has_terminal;
        if !has_terminal {
            return;
        }
        // The shell has to see that its job stopped: that is us.
        terminal::stop_ourselves();
        let goes_on = tokio::time::timeout(SETTLES, self.continued.recv()).await.is_ok();
        if goes_on {
            if let Some(terminal) = &mut self.terminal {
                terminal.was_taken();
            }
            self.resume();
        } else if is_by_terminal {
            // There is no shell that could let it go on.
            self.group.signal(Signal::CONT);
        }
    }

    /// The command goes on.
    fn was_continued(&mut self) {
        self.is_job_stopped = false;
        if self.pause.was_continued() {
            if let Some(guard) = &mut self.guard {
                guard.goes_on();
            }
            self.give_terminal();
            self.say(
                "somebody let the command go on; it is left alone until there is budget again",
            );
        }
    }

    /// We were let go on, by `fg` or `bg`.
    fn resume(&mut self) {
        if self.pause.state() == PauseState::Stopped {
            return;
        }
        self.give_terminal();
        if std::mem::take(&mut self.is_job_stopped) {
            self.group.signal(Signal::CONT);
        }
    }

    /// What somebody sent us means the command. What ends programs means all that it started.
    fn pass_on(&mut self, kind: SignalKind) {
        let Some(signal) = Signal::from_named_raw(kind.as_raw_value()) else { return };
        if kind == SignalKind::window_change() {
            // The one that has the terminal knows.
            if !self.terminal.as_ref().is_some_and(Terminal::is_given) {
                self.group.signal_leader(signal);
            }
            return;
        }
        if [SignalKind::user_defined1(), SignalKind::user_defined2()].contains(&kind) {
            return self.group.signal_leader(signal);
        }
        self.group.signal(signal);
        if self.pause.state() == PauseState::Stopped {
            // Who stands still hears nothing.
            self.pause.leave_alone();
            self.go_on();
        }
    }

    /// The command has ended; so do we. What it started and we stopped goes on.
    fn end(mut self) -> Result<Exit, CommandError> {
        use std::os::unix::process::ExitStatusExt as _;
        if self.pause.state() == PauseState::Stopped {
            self.group.signal(Signal::CONT);
        }
        if let Some(guard) = &mut self.guard {
            guard.goes_on();
        }
        let status = self.group.end()?;
        if let Some(terminal) = &mut self.terminal {
            let was_given = terminal.is_given();
            terminal.take_back(status.signal().is_some());
            // A script that we are part of would have heard it, too.
            for typed in [Signal::INT, Signal::QUIT] {
                if was_given && status.signal() == Some(typed.as_raw()) {
                    terminal::tell_ourselves(typed);
                }
            }
        }
        Ok(Exit::Child(code(status)))
    }

    fn say(&self, words: &str) {
        let printer = &self.context.printer;
        if printer.is_json() {
            printer.warn(words);
        } else {
            printer.talk(Text::new().dim(format!("ripcord: {words}")));
        }
    }
}
