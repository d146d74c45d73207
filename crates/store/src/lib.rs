//! Where Ripcord keeps what it did.
//!
//! The [`Ledger`] is durable and may be a moment late: one [`RequestRow`] for every request of a client and one
//! [`AttemptRow`] for every attempt made upstream for it. [`SqliteLedger`] keeps them in a file of the state directory,
//! [`MemoryLedger`] only as long as the process lives. Both pass one contract suite (`tests/it/contract.rs`).
//!
//! What is kept is about a call, never of it: ids, labels, times, counts and prices. There is no field for a prompt, an
//! answer or a key.
//!
//! A second contract belongs in this crate: `Coordination` (slots, rests, circuits, reservations, snapshots), which is fast
//! and may be lost, with back ends for one process, one machine and Redis. It gets its own module beside [`ledger`] and
//! shares nothing with it.

#![warn(missing_docs)]

pub mod ledger;

pub use ledger::memory::MemoryLedger;
pub use ledger::row::{
    AttemptRow, Cost, Coverage, Outcome, RequestRow, RequestStory, Row, ServedBy, Timing, Tokens,
    Totals,
};
pub use ledger::sqlite::{OpenError, SqliteLedger};
pub use ledger::{Health, Ledger, LedgerError, Problem, ProblemKind};
