//! What a command says when it cannot do its work: what was wrong, with which account, what to do next.

use crate::exit::Exit;

/// An expected failure. A lower-case fragment, the account it concerns, and the next step.
#[derive(Debug, Clone)]
pub(crate) struct CommandError {
    /// What was wrong: a fragment without a final period.
    pub(crate) message: String,
    /// The account concerned, by its label.
    pub(crate) account: Option<String>,
    /// What to do next, one sentence each.
    pub(crate) hints: Vec<String>,
    /// The exit code it leads to.
    pub(crate) exit: Exit,
}

// === impl CommandError ===

impl CommandError {
    /// A mistake in how Ripcord was called or configured.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), account: None, hints: Vec::new(), exit: Exit::Usage }
    }

    /// Something that could not be found out.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self { message: message.into(), account: None, hints: Vec::new(), exit: Exit::Unknown }
    }

    /// Adds a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names the account concerned.
    pub(crate) fn account(mut self, label: impl Into<String>) -> Self {
        self.account = Some(label.into());
        self
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{account}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for CommandError {}
