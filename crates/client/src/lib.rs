//! ripcord-client
