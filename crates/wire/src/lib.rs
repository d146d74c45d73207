//! ripcord-wire
