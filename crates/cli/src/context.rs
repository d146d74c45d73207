//! What every command is given.

use ripcord_rules::time::Wall;

use crate::clock::Clock;
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
}

// === impl Context ===

impl Context {
    /// The present moment.
    pub(crate) fn now(&self) -> Wall {
        self.clock.now()
    }
}
