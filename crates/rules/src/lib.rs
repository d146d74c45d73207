//! What is allowed, when, and at what cost: the decisions Ripcord takes about Chutes.ai, as pure functions and
//! state machines.
//!
//! Nothing here reads a clock, draws a random number, opens a socket or waits. Time comes in as [`time::Now`],
//! facts come in as values, decisions go out as values. So every decision can be tested in microseconds and
//! replayed from a list of events.
//!
//! | module | decides |
//! |---|---|
//! | [`time`], [`units`] | the values everything else is counted in |
//! | [`quota`] | plans, windows, when they turn, whether an account may spend |
//! | [`admit`] | who may start an attempt now, who waits, who waited too long |
//! | [`clients`] | what the bearer of a client key may use |
//! | [`cause`] | what a failed attempt means |
//! | [`continuation`] | whether an answer that broke off is continued, and how |
//! | [`recover`] | what rests after a failure, for how long, and whether to try again |
//! | [`model_state`] | hot, busy, cold, down or unknown |
//! | [`health`] | how each model stands by now, and when the lists are looked at |
//! | [`events`] | what changed and is worth a word: windows, models, keys |
//! | [`history`] | what hours that are over say: drift, spikes, the plan that would have been cheapest |
//! | [`recommend`] | which model to use: variants, purposes, stay or switch |
//! | [`route`] | what may serve a request, and in which order |
//! | [`schedule`] | when work may start, when to look again, when a program pauses |
//!
//! Facts about Chutes are cited by section of the project's `chutes/api.md` reference.
#![warn(missing_docs)]
#![warn(clippy::float_arithmetic)]

pub mod admit;
pub mod cause;
pub mod clients;
pub mod continuation;
pub mod events;
pub mod health;
pub mod history;
pub mod model_state;
pub mod quota;
pub mod recommend;
pub mod recover;
pub mod route;
pub mod schedule;
pub mod time;
pub mod units;
