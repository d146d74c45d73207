//! Where Ripcord keeps what it did.
//!
//! The [`Ledger`] is durable and may be a moment late: one [`RequestRow`] for every request of a client and one
//! [`AttemptRow`] for every attempt made upstream for it, and a [`StepRow`] for what is worth a word between them
//! ([`StepKind`]). [`SqliteLedger`] keeps them in a file of the state directory,
//! [`MemoryLedger`] only as long as the process lives. Both pass one contract suite (`tests/it/contract.rs`).
//!
//! What is kept is about a call, never of it: ids, labels, times, counts and prices. There is no field for a prompt, an
//! answer or a key. Of the gateway's own client keys ([`ClientKeys`]) it keeps the SHA-256.
//!
//! [`Coordination`] is the second contract: what the programs of a machine share while they work, fast and without a word
//! when it is lost. Today that is the slots of an account ([`MachineCoordination`], [`MemoryCoordination`]; one contract
//! suite, too). Rests, circuits, reservations and snapshots belong beside them, and a back end for many machines.
//!
//! A [`HistoryFile`] keeps what Chutes said an account used by the hour, so that hours that are over are asked for once.

#![warn(missing_docs)]

mod clock;
pub mod coordination;
mod directory;
pub mod history;
pub mod ledger;

pub use coordination::machine::MachineCoordination;
pub use coordination::memory::MemoryCoordination;
pub use coordination::{
    AccountTag, Coordination, CoordinationError, Holder, LINE_POLL, Line, Seat, Seats, Slot, Slots,
};
pub use history::{HistoryError, HistoryFile, HourlyUsage, UsageHour};
pub use ledger::client_keys::{
    AddKeyError, ClientKey, ClientKeys, ClientPaygo, ClientPriority, ClientRules, ClientShare,
    ClientUse, MOST_CLIENT_KEYS, Paid,
};
pub use ledger::memory::MemoryLedger;
pub use ledger::row::{
    AttemptRow, Cost, Coverage, Outcome, RequestRow, RequestStory, Row, ServedBy, Timing, Tokens,
    Totals,
};
pub use ledger::spent::{Spent, UsualCall};
pub use ledger::sqlite::{OpenError, SqliteLedger};
pub use ledger::step::{MOST_STEPS, StepKind, StepRow};
pub use ledger::{Health, Ledger, LedgerError, Problem, ProblemKind};
