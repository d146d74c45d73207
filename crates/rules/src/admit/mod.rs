//! Who may start an attempt now, and who waits.

mod gate;

pub use gate::{Candidate, Class, Closure, Gate, GateLimits, Offer, Refused, Ticket, Wake, Waking};
