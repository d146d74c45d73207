//! Exit codes: the part of the output that scripts, cron, systemd and agents act on.

use std::process::ExitCode;

/// What the process says when it ends. The numbers are part of the contract and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, or the verdict is yes.
    Done,
    /// 1: the verdict is no.
    No,
    /// 2: wrong usage: arguments, configuration, a missing or malformed key.
    Usage,
    /// 3: it could not be found out: network, 401, 5xx, a figure the server does not show to this key.
    Unknown,
    /// 75: a command that was to be run was never started.
    NotStarted,
    /// What a command that was run ended with: its own code, 126 or 127 if it could not be started, 128 and the signal's
    /// number if a signal ended it.
    Child(u8),
}

// === impl Exit ===

impl Exit {
    /// Every code with its meaning, for the reference.
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::Done, "done, or the verdict is yes"),
        (Self::No, "the verdict is no"),
        (Self::Usage, "wrong usage: arguments, configuration, a missing or malformed key"),
        (Self::Unknown, "it could not be found out: network, a refused key, a failing server"),
        (
            Self::NotStarted,
            "`run`, `acquire`: the command was not started; else it is the command's own code, with 126, 127 and 128 + the signal as shells have them",
        ),
    ];

    /// The number the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
            Self::NotStarted => 75,
            Self::Child(code) => code,
        }
    }

    /// The verdict over several accounts of one pool: one account that can is enough, and a "no" counts only
    /// if every account said it.
    pub(crate) fn any(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let mut overall = Self::No;
        let mut seen = false;
        for verdict in verdicts {
            seen = true;
            match verdict {
                Self::Done => return Self::Done,
                Self::No => {}
                Self::Usage | Self::Unknown | Self::NotStarted | Self::Child(_) => {
                    overall = Self::Unknown
                }
            }
        }
        if seen { overall } else { Self::Unknown }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_that_can_is_enough() {
        assert_eq!(Exit::any([Exit::No, Exit::Unknown, Exit::Done]), Exit::Done);
    }

    #[test]
    fn no_needs_every_account_to_say_so() {
        assert_eq!(Exit::any([Exit::No, Exit::No]), Exit::No);
        assert_eq!(Exit::any([Exit::No, Exit::Unknown]), Exit::Unknown);
        assert_eq!(Exit::any([]), Exit::Unknown);
    }
}
