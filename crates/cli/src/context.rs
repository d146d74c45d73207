//! What every command is given.

use std::cell::OnceCell;

use ripcord_rules::time::Wall;

use crate::accounts::{Account, Roster};
use crate::clock::Clock;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::settings::Settings;

/// Settings, output and the clock of one run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    pub(crate) clock: Clock,
    /// The accounts that `--account` names; empty for all.
    pub(crate) selected: Vec<String>,
    roster: OnceCell<Roster>,
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
        Self { settings, printer, clock, selected, roster: OnceCell::new() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Wall {
        self.clock.now()
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
