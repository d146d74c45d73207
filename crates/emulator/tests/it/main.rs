//! Behaviour of the emulator as its clients see it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod conformance;
mod control;
mod credentials;
mod faults;
mod inference;
mod instances;
mod management;
mod plain;
mod platform;
mod raw;
mod recorded;
mod scenarios;
mod windows;
