//! ripcord-gateway
