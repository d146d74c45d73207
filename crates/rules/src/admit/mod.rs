//! Who may start an attempt now, and who waits.

mod gate;

pub use gate::{Closure, Gate, GateLimits, Offer, Refused, Ticket, Wake, Waking};
