//! ripcord-store
