//! The real binary, seen from outside.

mod reference;
