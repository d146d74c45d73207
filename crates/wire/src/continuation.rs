//! An answer that broke off in the middle: what was said of it, the request for the rest, and one stream of both parts.
//!
//! * [`Transcript`] keeps what a client was sent of an answer.
//! * [`Original`] reads the request for what decides whether its answer can be continued, and makes the request that
//!   asks for the rest: the raw bytes with the beginning of the answer pasted in.
//! * [`Splicer`] makes the second stream the end of the first: what was sent is left out of it, and the client sees
//!   one id, one role and the usage of one answer.
//!
//! Whether an answer *may* be continued is decided elsewhere; here are the facts and the bytes.

mod chunk;
mod matcher;
mod request;
mod splice;
mod transcript;

pub use matcher::Diverged;
pub use request::{Asks, Begun, CannotAsk, Original};
pub use splice::{Begins, Splicer};
pub use transcript::{Produced, Transcript};

#[cfg(test)]
mod tests;
