//! The parts with clocks, locks and tasks. What they decide is decided in `ripcord-rules`.

pub(crate) mod gate;
pub(crate) mod snapshots;
