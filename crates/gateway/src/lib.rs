//! The gateway: an OpenAI-compatible endpoint on this machine, in front of one or more Chutes accounts.
//!
//! # The life of a request
//!
//! ```text
//! client ── server ── router ── request_body ── call ──┐
//!                                                      │  serve: until answered, refused or out of time
//!              ┌───────────────────────────────────────┘
//!              ▼
//!      gate (slot, queue) ── attempt ── Chutes
//!              ▲                │
//!              │                ├─ failed: classify ─ rests ─ try again, elsewhere or not at all
//!              └────────────────┘
//!                               └─ answered: whole, or a relay once the first useful event is in hand
//!                                                      │
//! client ◀─────────────────────────────────────────────┘      story: ledger and metrics, on every path
//! ```
//!
//! 1. `server` accepts connections within bounds (`places`: an idle one leaves for a newcomer), `connection` serves one,
//!    and at the end they are drained.
//! 2. `router` checks who calls (`Host`, `Origin`, a Chutes key that does not belong here) and finds the route.
//! 3. `request_body` reads the body whole: a retry needs it again, and a body left unread would hide a client that
//!    leaves.
//! 4. `pipeline::call` finds the model in the raw bytes and changes only what must change.
//! 5. `pipeline::itinerary` says which models at which services may serve it, best first. `pipeline::pursuit` asks the
//!    gate (`driver::gate`, decisions in `ripcord_rules::admit`) for a slot on an account of one of them, makes an
//!    attempt, and asks `ripcord_rules::recover` what follows from a failure. What to say when nothing could serve it
//!    is in `pipeline::refuse`, as one table of refusals in `refusal`.
//! 6. A plain answer is read whole before it goes on. A stream goes on from its first useful event (`pipeline::relay`),
//!    whole events only; if it breaks, the rest is asked for where that is safe (`pipeline::splice`), and otherwise the
//!    client gets an error event.
//! 7. The slot and the record live in the body of the answer. Dropping it, because the client left or because it
//!    ended, closes the upstream call, gives the slot back and writes the rows (`story`). What happens between attempts
//!    is written as it happens: waits, switches, what was left out or cut.
//!
//! Nothing is spawned for a request, so nothing outlives it.
#![warn(missing_docs)]

mod accounts;
mod admin;
mod bearers;
mod body;
mod callers;
mod catalogue;
mod charge;
mod clock;
mod config;
mod connection;
mod driver;
mod events;
mod health;
mod metrics;
mod pipeline;
mod places;
mod refusal;
mod request_body;
mod router;
mod routing;
mod server;
mod shared;
#[cfg(test)]
mod simulation;
mod start;
mod story;
mod terms;
mod under_way;

pub use admin::budget::BudgetReport;
pub use admin::quota_stats::QuotaStats;
pub use bearers::new_client_key;
pub use config::{
    AccountConfig, AdminToken, AdminTokenError, ChainConfig, Config, Limits, ProviderConfig,
    RoutingConfig, Trim, WatchConfig, slot_tag,
};
pub use events::{EVENT_SCHEMA, EventReport, Notice, Subscription};
pub use health::RecoveryLimits;
pub use ripcord_wire::trim::Share;
pub use start::{AbortHandle, Gateway, StartError};
