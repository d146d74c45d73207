//! Who may start an attempt now, and who waits.
//!
//! [`Gate`] decides. It puts together what is decided in parts of its own: who is next (`queue`), which account takes
//! attempts (`account`), how fast ([`Pace`]), how many at once a model bears (`model_slots`), and how long a wait is
//! likely to be (`estimate`).

mod account;
mod candidate;
mod estimate;
mod gate;
mod model_slots;
mod pace;
mod queue;

pub use account::{AccountLimits, Class, Closure};
pub use candidate::{Candidate, Grant};
pub use gate::{Gate, Offer, Place, Refused, Wake, Waking};
pub use model_slots::ModelNumber;
pub use pace::{Allowance, Pace, PaceRule};
pub use queue::{Asker, Priority, Ticket};
