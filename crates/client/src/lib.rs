//! A typed, careful client for the Chutes.ai API.
//!
//! | module | what it is |
//! |---|---|
//! | [`key`], [`endpoints`] | keys and addresses, read from what people really paste |
//! | [`transport`] | raw HTTP/1.1 with its own small pool: no retries, exact phases in its errors, cancelled by dropping |
//!
//! Keys are redacted by type and appear in no error of this crate.
#![warn(missing_docs)]

pub mod classify;
pub mod clock;
pub mod endpoints;
pub mod key;
pub mod transport;
