//! The real binary, seen from outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may fail loudly too")]

mod bad_input;
mod commands;
mod config;
mod demo;
mod doctor;
mod explain;
mod forecasts;
mod hooks;
mod init;
mod keys;
mod pause;
mod probe;
mod recommend;
mod reference;
mod report;
mod run;
mod scheduling;
mod serve;
mod setup;
mod sharing;
mod situations;
mod situations_page;
mod skill;
mod slots;
mod stories;
mod terminal;
mod waiting;
mod watch;
mod world;
