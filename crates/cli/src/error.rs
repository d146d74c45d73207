//! What a command says when it cannot do its work: what was wrong, with which account, what to do next.

use ripcord_rules::cause::Cause;
use schemars::JsonSchema;
use serde::Serialize;

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
    /// What was found on the way, each with its place: the problems of a configuration file.
    pub(crate) details: Vec<String>,
    /// What a failed answer means.
    pub(crate) cause: Option<Cause>,
    /// The entry of the troubleshooting page that says more.
    pub(crate) see: Option<&'static str>,
    /// The exit code it leads to.
    pub(crate) exit: Exit,
}

// === impl CommandError ===

impl CommandError {
    /// A mistake in how Ripcord was called or configured.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message.into(), Exit::Usage)
    }

    /// Something that could not be found out.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(message.into(), Exit::Unknown)
    }

    /// Something that was found out, and is a "no".
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(message.into(), Exit::No)
    }

    const fn new(message: String, exit: Exit) -> Self {
        Self {
            message,
            account: None,
            hints: Vec::new(),
            details: Vec::new(),
            cause: None,
            see: None,
            exit,
        }
    }

    /// Adds a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names the entry of the troubleshooting page that says more.
    pub(crate) const fn see(mut self, anchor: &'static str) -> Self {
        self.see = Some(anchor);
        self
    }

    /// The line to type for more.
    pub(crate) fn more(&self) -> Option<String> {
        self.see.map(|anchor| format!("ripcord doctor --explain {anchor}"))
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

/// What stands on stderr under `--json` when a command fails: one line, one object.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorObject {
    #[schemars(extend("const" = "ripcord/error/1"))]
    schema: &'static str,
    /// What was wrong.
    message: String,
    /// The account concerned, if one is.
    account: Option<String>,
    /// What to do next, one sentence each.
    next: Vec<String>,
    /// More about it, each with its place: the problems of a configuration file.
    details: Vec<String>,
    /// What a failed answer means, such as `capacity` or `dead_key`; null where none came, or it was no answer.
    cause: Option<&'static str>,
    /// The code that this error alone leads to: 1, 2 or 3. Where a report stands on stdout the process may still end
    /// with another one, since the other parts of the report are fine.
    exit_code: u8,
    /// The command that explains it.
    see: Option<String>,
}

/// What stands on stderr under `--json` where something deserves attention but stops nothing.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WarningObject {
    #[schemars(extend("const" = "ripcord/warning/1"))]
    schema: &'static str,
    /// What deserves attention.
    message: String,
}

// === impl ErrorObject ===

impl From<&CommandError> for ErrorObject {
    fn from(error: &CommandError) -> Self {
        Self {
            schema: "ripcord/error/1",
            message: error.message.clone(),
            account: error.account.clone(),
            next: error.hints.clone(),
            details: error.details.clone(),
            cause: error.cause.map(Cause::name),
            exit_code: error.exit.code(),
            see: error.more(),
        }
    }
}

// === impl WarningObject ===

impl From<&str> for WarningObject {
    fn from(message: &str) -> Self {
        Self { schema: "ripcord/warning/1", message: message.to_owned() }
    }
}
