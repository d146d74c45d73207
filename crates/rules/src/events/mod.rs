//! What changed, told once: a window runs low or out and turns, a model fills up and recovers, a key dies.
//!
//! [`Watcher`] is fed what was seen, each time with the moment, and gives the changes as [`Event`]s. The rules:
//!
//! * The first sight of something tells of it only where something is wrong; what is well is where everything begins.
//! * What is not known changes nothing. A look-up that failed is neither a used-up window nor a model that is down.
//! * A trouble is told once, and its end once: `exhausted` is followed by `reset` (its window turned) or `recovered` (room
//!   again before that: a larger plan, a corrected figure), `saturated` and `key_dead` by `recovered`.
//! * A window turns because the calendar or the server's figures say so; the month only when it was billed.
//!
//! | told | when |
//! |---|---|
//! | `low` | less than a share of a window is left; again only after clearly more was left, or in the next window |
//! | `exhausted` | a window is used up, as the account's policy sees it |
//! | `reset` | a window that was exhausted has turned |
//! | `saturated` | a model is busy, cold or down |
//! | `recovered` | a model has been hot again for a while; a key is taken again; an exhausted window has room before its turn |
//! | `key_dead` | Chutes refuses a key |

pub mod delivery;
mod id;
mod standing;
mod watcher;

pub use id::EventId;
pub use watcher::{KeyStanding, LowMarks, WatchSettings, Watcher};

use crate::model_state::ModelState;
use crate::quota::{Window, WindowKind};
use crate::time::Wall;
use std::fmt;
use std::sync::Arc;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// Little is left of a window.
    Low,
    /// A window is used up.
    Exhausted,
    /// A window that was used up has turned.
    Reset,
    /// A model is busy, cold or down.
    Saturated,
    /// A model, a key or a window is well again.
    Recovered,
    /// A key is refused.
    KeyDead,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same for the same change, whoever notices it: of a window also after a restart, of a model or a key within the
    /// hour.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// When it was noticed.
    pub at: Wall,
    /// What it happened to.
    pub subject: Subject,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A window of an account, as it stood then.
    Window {
        /// The account's label.
        account: Arc<str>,
        /// The chute whose own window it is, if it is one's.
        chute_id: Option<Arc<str>>,
        /// The window.
        window: Window,
    },
    /// A model and its state.
    Model {
        /// Its name.
        model: Arc<str>,
        /// Its state.
        state: ModelState,
    },
    /// A key, by its label, which is no part of it.
    Key {
        /// The account's label.
        account: Arc<str>,
        /// The key's label.
        key: Arc<str>,
    },
}

/// What can be in trouble and out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Window(Arc<str>, WindowKind, Option<Arc<str>>),
    Model(Arc<str>),
    Key(Arc<str>, Arc<str>),
}

// === impl EventKind ===

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Low, Self::Exhausted, Self::Reset, Self::Saturated, Self::Recovered, Self::KeyDead];

    /// The name in configuration, JSON and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Exhausted => "exhausted",
            Self::Reset => "reset",
            Self::Saturated => "saturated",
            Self::Recovered => "recovered",
            Self::KeyDead => "key_dead",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether something is wrong from here on.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        match self {
            Self::Low | Self::Exhausted | Self::Saturated | Self::KeyDead => true,
            Self::Reset | Self::Recovered => false,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

// === impl Event ===

impl Event {
    fn new(kind: EventKind, at: Wall, subject: Subject, anchor: i64, repeated: u32) -> Self {
        let id = EventId::of(kind, &subject.topic(), anchor, repeated);
        Self { id, kind, at, subject }
    }
}

// === impl Subject ===

impl Subject {
    fn topic(&self) -> Topic {
        match self {
            Self::Window { account, chute_id, window } => {
                Topic::Window(Arc::clone(account), window.kind, chute_id.clone())
            }
            Self::Model { model, .. } => Topic::Model(Arc::clone(model)),
            Self::Key { account, key } => Topic::Key(Arc::clone(account), Arc::clone(key)),
        }
    }
}

#[cfg(test)]
mod tests;
