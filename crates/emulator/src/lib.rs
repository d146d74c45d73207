//! Chutes.ai on loopback: accounts, windows, models, streams and faults, for tests and
//! demonstrations.
//!
//! One port serves the management API and inference. The arithmetic of quotas and caps is the
//! emulator's own, written from the description of the service, so that it can prove the product's
//! rules wrong. It is a library of its own, without sockets: [`quota`].
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use chutes_emulator::{Emulator, Fault, FaultKind, Scenario};
//!
//! let emulator = Emulator::start(Scenario::every_plan()).await?;
//! let key = Scenario::key("pro", 0);
//! println!("CHUTES_API_URL={} key {}...", emulator.url(), &key[..8]);
//!
//! let control = emulator.control();
//! control.add_model_fault(
//!     "Qwen/Qwen3-32B-TEE",
//!     Fault::new(FaultKind::Capacity).for_seconds(10.0),
//! )?;
//! control.set_time("2026-11-20T23:59:59")?;
//! assert_eq!(control.account("pro").map(|pro| pro.day_milli_units), Some(0));
//! emulator.shutdown().await;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod account_reads;
mod accounts;
mod aliases;
mod api_keys;
mod auth;
mod base64;
mod calls;
mod catalogue;
mod changes;
mod checks;
mod clock;
mod connection;
mod control;
mod credentials;
mod engine;
mod evidence;
mod exports;
mod faults;
mod generated;
mod guardrails;
mod identity;
mod ids;
mod inference;
mod instances;
mod listing;
mod log;
mod management;
mod models;
mod operations;
mod other_calls;
mod plain;
mod platform;
mod prefill;
mod query;
pub mod quota;
mod render;
mod reply;
mod routing;
mod running;
mod scenario;
mod server;
mod specs;
mod steps;
mod stream;
mod trace;
mod truth;
mod usage;
mod validation;
mod warmup;
mod world;

pub use crate::{
    accounts::Coverage,
    changes::{AccountChange, ClockChange, ModelChange, ModelTruth},
    clock::Clock,
    control::{Control, ControlError},
    faults::{Fault, FaultKind, FaultScope},
    generated::Catalogue,
    instances::TryOutcome,
    log::{Ended, LogEntry},
    running::{Emulator, Running},
    scenario::{Lag, Scenario, ScenarioError},
    server::StartError,
    specs::{
        AccountSpec, KeyKind, ModelSpec, PlanSpec, Prefill, PriceOverride, StateSpec, Template,
        TokenSpec, TokenState, UsageHistory, UsageRowSpec,
    },
    truth::AccountTruth,
};
