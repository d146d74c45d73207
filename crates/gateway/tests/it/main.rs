//! The gateway before the emulator, over real sockets. Each test asserts what the client got and what the
//! upstream saw.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that fails should fail loudly, measures time, and aborts its own tasks"
)]

mod budget;
mod clients;
mod connections;
mod continuing;
mod events;
mod failures;
mod faults;
mod forwarding;
mod guard;
mod health;
mod input;
mod leaving;
mod misbehaving;
mod own_rows;
mod pricing;
mod provider;
mod queue;
mod quota_stats;
mod raw;
mod refreshing;
mod refusals;
mod refusals_of_many;
mod rests;
mod riding;
mod routing;
mod slots;
mod soak;
mod spending;
mod stories;
mod turns;
mod world;
mod zero_paid;
