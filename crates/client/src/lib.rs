//! A typed, careful client for the Chutes.ai API.
//!
//! | module | what it is |
//! |---|---|
//! | [`key`], [`endpoints`] | keys and addresses, read from what people really paste |
//! | [`transport`] | raw HTTP/1.1 with its own small pool: no retries, exact phases in its errors, cancelled by dropping |
//! | [`chutes`], [`error`] | the typed endpoints; errors say who is to blame and what to do next |
//! | [`classify`] | what a failed answer says, as the facts that [`ripcord_rules::cause`] decides on |
//! | [`snapshot`] | one account's plan, windows and balance as [`ripcord_rules::quota`] values |
//!
//! Keys are redacted by type and appear in no error of this crate.
#![warn(missing_docs)]

pub mod chutes;
pub mod classify;
pub mod clock;
pub mod endpoints;
pub mod error;
pub mod key;
pub mod oauth;
pub mod snapshot;
pub mod transport;
