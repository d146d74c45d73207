//! What every command is given.

use std::cell::{Cell, OnceCell};

use std::time::Duration;

use ripcord_rules::time::Wall;

use crate::accounts::{Account, Roster};
use crate::clock::Clock;
use crate::error::CommandError;
use crate::printer::{Printer, moment};
use crate::settings::Settings;

/// Clocks that differ by no more than this are taken as one.
const CLOCKS_AGREE: Duration = Duration::from_secs(60);

/// The machine's clock, corrected by what Chutes says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CorrectedClock {
    clock: Clock,
    behind_micros: i64,
}

// === impl CorrectedClock ===

impl CorrectedClock {
    /// The present moment.
    pub(crate) fn now(self) -> Wall {
        let moment = self.clock.now().as_unix_micros();
        Wall::from_unix_micros(moment.saturating_add(self.behind_micros))
    }
}

/// Settings, output and the clock of one run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    pub(crate) clock: Clock,
    /// The accounts that `--account` names; empty for all.
    pub(crate) selected: Vec<String>,
    roster: OnceCell<Roster>,
    /// How far this machine's clock is behind that of Chutes, in microseconds, where that is too much to be passed over.
    behind_micros: Cell<i64>,
    /// What the last answers said about that, also where it is little; as it was left by that.
    seen_behind_micros: Cell<Option<i64>>,
}

// === impl Context ===

impl Context {
    /// The context of a run.
    pub(crate) const fn new(
        settings: Settings,
        printer: Printer,
        clock: Clock,
        selected: Vec<String>,
    ) -> Self {
        Self {
            settings,
            printer,
            clock,
            selected,
            roster: OnceCell::new(),
            behind_micros: Cell::new(0),
            seen_behind_micros: Cell::new(None),
        }
    }

    /// The present moment: by the clock of Chutes, by which its windows turn, where this machine's is known to be wrong.
    pub(crate) fn now(&self) -> Wall {
        self.time().now()
    }

    /// [`Self::now`] for a task of its own.
    pub(crate) fn time(&self) -> CorrectedClock {
        CorrectedClock { clock: self.clock, behind_micros: self.behind_micros.get() }
    }

    /// Takes the time of Chutes from now on if this machine's differs from it by more than a minute, and says so; whether
    /// it does.
    pub(crate) fn compare_clocks(&self, behind_micros: i64) -> bool {
        self.seen_behind_micros.set(Some(behind_micros));
        let difference = Duration::from_micros(behind_micros.unsigned_abs());
        if difference <= self.clock.pace_of(CLOCKS_AGREE) {
            return false;
        }
        let side = if behind_micros > 0 { "behind" } else { "ahead of" };
        self.correct_clock(behind_micros);
        self.seen_behind_micros.set(Some(0));
        self.printer.warn(&format!(
            "this machine's clock is {} {side} that of Chutes; resets are counted by the time of Chutes",
            moment::duration(difference)
        ));
        true
    }

    /// By how much the present is behind that of Chutes by the last answers, if any came since this was asked last.
    pub(crate) const fn take_seen_behind(&self) -> Option<i64> {
        self.seen_behind_micros.replace(None)
    }

    /// By how much the present has been moved.
    pub(crate) const fn behind_micros(&self) -> i64 {
        self.behind_micros.get()
    }

    /// Moves the present by so much from now on.
    pub(crate) fn correct_clock(&self, micros: i64) {
        self.behind_micros.set(self.behind_micros.get().saturating_add(micros));
    }

    /// The configured accounts. What was noticed about their keys is told once.
    pub(crate) fn roster(&self) -> &Roster {
        self.roster.get_or_init(|| {
            let roster = Roster::gather(&self.settings);
            for repair in &roster.repairs {
                self.printer.warn(repair);
            }
            if !roster.accounts.is_empty() {
                for unusable in &roster.unusable {
                    self.printer.warn(&format!("{unusable}; it is left out"));
                }
            }
            roster
        })
    }

    /// The accounts that `--account` names, or all of them, without asking Chutes: by their configured name, a key or an
    /// id, not by a user name.
    pub(crate) fn named_accounts(&self) -> Result<Vec<Account>, CommandError> {
        let accounts = self.roster().usable()?;
        for name in &self.selected {
            if !accounts.iter().any(|account| account.is_called(name)) {
                let labels: Vec<String> = accounts.iter().map(Account::label).collect();
                return Err(CommandError::usage(format!("there is no account `{name}`"))
                    .hint(format!("the accounts are: {}", labels.join(", "))));
            }
        }
        let is_named =
            |account: &&Account| self.selected.iter().any(|name| account.is_called(name));
        let all = self.selected.is_empty();
        Ok(accounts.iter().filter(|account| all || is_named(account)).cloned().collect())
    }
}
