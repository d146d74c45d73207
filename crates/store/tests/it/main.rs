//! The contracts of the ledger and of the shared slots on every back end, and what is particular to one.

mod contract;
mod coordination;
mod history;
mod killed;
mod sqlite;
mod world;
