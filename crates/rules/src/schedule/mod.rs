//! When work may start, and when it has to pause: what `ripcord run` and `wait-for-reset` decide.
//!
//! | part | decides |
//! |---|---|
//! | [`Expression`] | whether a condition such as `day>20% and before=16:00` holds, and when it next may |
//! | [`Demand`] | whether what somebody needs fits an account, and whether it ever can |
//! | [`Waiting`] | when to look at an account again while waiting |
//! | [`ServerClock`] | what time it is at the server, whatever this machine's clock does |
//! | [`Pause`] | when to stop a running program and when to let it go on |

mod clock;
mod demand;
mod expression;
mod parse;
mod pause;
mod waiting;

pub use clock::ServerClock;
pub use demand::{Demand, Fitting, fits};
pub use expression::{
    Amount, Comparison, Condition, Expression, Figure, Standing, TimeOfDay, Weekdays,
};
pub use parse::{LONGEST_TEXT, ParseError};
pub use pause::{Action, GRACE, Pause, PauseState, Sight};
pub use waiting::{Ahead, Waiting, ahead, believed, near_the_end, restamped};
