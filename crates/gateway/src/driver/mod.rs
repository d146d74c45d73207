//! The parts with clocks, locks and tasks. What they decide is decided in `ripcord-rules`.

pub(crate) mod client_keys;
pub(crate) mod gate;
mod shared_slots;
pub(crate) mod snapshots;
pub(crate) mod terms;
pub(crate) mod utilization;
