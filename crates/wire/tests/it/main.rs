//! The readers before whole documents: the project's own payload files, and a folder of
//! recordings where there is one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod chat;
mod fixtures;
mod glance;
mod payloads;
mod platform;
mod recordings;
mod streams;
