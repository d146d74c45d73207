//! Who may start an attempt now, and who waits.

mod gate;

pub use gate::{Candidate, Closure, Gate, GateLimits, Offer, Refused, Ticket, Wake, Waking};
