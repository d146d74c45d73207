//! For whom work is, as `x-ripcord-priority` has it.

use clap::ValueEnum;
use ripcord_rules::quota::Work;

/// For whom work is.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Priority {
    /// Somebody waits for it; it may use what is kept for that
    #[default]
    Interactive,
    /// A program that works by itself
    Agent,
    /// A batch
    Batch,
}

// === impl Priority ===

impl Priority {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Agent => "agent",
            Self::Batch => "batch",
        }
    }

    /// What it counts as.
    pub(crate) const fn work(self) -> Work {
        match self {
            Self::Interactive => Work::Interactive,
            Self::Agent | Self::Batch => Work::Background,
        }
    }
}
