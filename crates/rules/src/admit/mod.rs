//! Who may start an attempt now, and who waits.

mod gate;

pub use gate::{
    Candidate, Class, Closure, Gate, GateLimits, Grant, ModelNumber, Offer, Refused, Ticket, Wake,
    Waking,
};
