//! ripcord-rules
