//! The ledger's contract on every back end, and what is particular to SQLite.

mod contract;
mod sqlite;
mod world;
