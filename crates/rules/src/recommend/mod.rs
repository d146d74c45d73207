//! Which model to use: the variants of one, or those that suit a purpose, the steadiest first.
//!
//! 1. [`family`] says which names are variants of one model.
//! 2. [`fit`] says which models may be recommended at all: features, price, and the privacy rule, by which a user of a
//!    model in a trusted execution environment is never sent to one outside.
//! 3. [`score`] grades and scores each by what is known of it. Steadiness counts before everything else: a list of
//!    favourites decides only between models that are equally able to answer.
//! 4. [`advice`] says whether to stay or to switch.
//!
//! What is not known is neither the best nor the worst: it scores a little below the middle.

pub mod advice;
pub mod family;
pub mod fit;
pub mod score;

pub use advice::{Advice, Candidate, advise, ranked};
pub use family::{Kinship, ModelName};
pub use fit::{Misfit, Needs, Offer, Pattern};
pub use score::{Grade, Score, Speed, Standing, Weigh};
