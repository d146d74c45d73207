//! What several processes share while they work: the slots of an account.
//!
//! Chutes sees one account, however many programs of a machine use it: the gateway, `sanity`, `probe`, `acquire`. They
//! take their slots here, and whoever dies gives its slots back, at once and without a word.
//!
//! Nothing here waits. [`Slots::try_take`] answers at once; who finds nothing stands in a [`Line`] and asks again every
//! [`LINE_POLL`]. While somebody stands at the head of the line, `try_take` gives nothing to anybody else that it could use
//! itself: a program that takes and returns slots all the time cannot starve one that waits for its first. Behind the
//! head the line has no order: of those who ask, the next to ask comes next.

pub mod machine;
pub mod memory;

use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often whoever stands in a [`Line`] asks. It costs a few system calls.
pub const LINE_POLL: Duration = Duration::from_millis(10);

/// Names an account among the programs that share it, without telling who it is: a digest of the account's id, or of
/// its token where that names no account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountTag(String);

/// Who holds a slot, for whoever wants to know.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it does, such as `serve`. Never its arguments: they may hold secrets.
    pub purpose: String,
    /// When the process began to use slots, in seconds since 1970 UTC.
    pub since_unix_seconds: i64,
}

/// One slot of an account, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Nobody holds it.
    Free,
    /// It is held; by whom, if the holder wrote that down.
    Held(Option<Holder>),
}

/// The slots of an account at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats {
    /// Each slot, by number.
    pub seats: Vec<Seat>,
    /// Whether somebody stands in line for one.
    pub awaited: bool,
}

/// Why slots cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum CoordinationError {
    /// The directory or one of its files cannot be made, opened or locked.
    #[error("cannot use {path}: {error}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

/// Where slots are shared: one process ([`memory`]) or one machine ([`machine`]).
pub trait Coordination: Send + Sync + fmt::Debug {
    /// The slots of an account.
    ///
    /// Programs may be configured with different numbers of slots: each then uses the first ones, up to its own number.
    ///
    /// # Errors
    /// If the place that is shared cannot be used.
    fn slots(&self, account: &AccountTag, slots: u32) -> Result<Arc<dyn Slots>, CoordinationError>;
}

/// The slots of one account.
pub trait Slots: Send + Sync + fmt::Debug {
    /// Takes a free slot; `None` if there is none, or only such as somebody in line could use.
    ///
    /// # Errors
    /// If the place that is shared cannot be used any more.
    fn try_take(&self) -> Result<Option<Slot>, CoordinationError>;

    /// Stands in line behind those who already do.
    ///
    /// # Errors
    /// If the place that is shared cannot be used any more.
    fn line(&self) -> Result<Box<dyn Line>, CoordinationError>;

    /// Who holds what. For people: it may be over before it is read.
    ///
    /// # Errors
    /// If the place that is shared cannot be used any more.
    fn seats(&self) -> Result<Seats, CoordinationError>;
}

/// A place in line. Dropping it leaves the line.
pub trait Line: Send {
    /// A slot, if one is free that nobody before us could use. Whoever is first and does not ask for a second or so may
    /// lose its place: it might never ask again.
    ///
    /// # Errors
    /// If the place that is shared cannot be used any more.
    fn advance(&mut self) -> Result<Option<Slot>, CoordinationError>;
}

/// A slot that is held. Dropping it gives it back.
pub struct Slot {
    owner: Arc<dyn GiveBack>,
    number: usize,
}

/// What a back end does when a slot is dropped.
trait GiveBack: Send + Sync {
    fn give_back(&self, number: usize);
}

// === impl AccountTag ===

impl AccountTag {
    /// The tag of an account, from its id or else from its token.
    #[must_use]
    pub fn of(identity: &str) -> Self {
        let digest =
            Sha256::new().chain_update(b"ripcord slots\0").chain_update(identity).finalize();
        Self(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Seats ===

impl Seats {
    /// How many are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.seats.iter().filter(|seat| **seat != Seat::Free).count()
    }
}

// === impl Slot ===

impl Slot {
    /// Its number, from 0.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.owner.give_back(self.number);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("number", &self.number).finish_non_exhaustive()
    }
}
