//! The client against servers that behave and servers that do not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests, which clippy does not recognise as test code"
)]

mod endpoints;
mod futures;
mod provider_errors;
mod recordings;
mod replay;
mod server;
mod snapshots;
mod transport;
