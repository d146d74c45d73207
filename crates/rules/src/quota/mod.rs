//! Plans, windows and what an account may still do with them.
//!
//! Everything here is `chutes/api.md` 2 and 6 as arithmetic: the plan is recognised by one number, the day
//! window turns at 00:00 UTC, the 4-hour windows are fixed buckets, the month is anchored and does not roll by
//! itself.

mod account;
mod book;
mod burn;
mod calendar;
mod forecast;
#[cfg(test)]
mod histories;
mod members;
mod outlook;
mod plan;
mod policy;
mod price;
mod refresh;
mod repeats;
mod size;
mod stretch;
mod succession;
mod window;
mod words;

pub use account::{AccountSnapshot, Missing, Payer, Readable, Shortage, Verdict, may_spend};
pub use book::{
    Book, BookSettings, CLOCKS_DIFFER, ForeignUse, Held, Margin, Reservation, TURN_MARGIN,
};
pub use burn::{BurnMeter, BurnRates, BurnSpan, Rate, RunsOut};
pub use calendar::{FOUR_HOURS, calendar_month, four_hour_window, month_window, next_day_reset};
pub use forecast::{CallCost, Fit, Portion, all_fit_by, ends_at, fit_calls, spread};
pub use members::{Aliases, members};
pub use outlook::{HORIZON_DAYS, Limit, Outlook, Pace, Slice};
pub use plan::Plan;
pub use policy::{ClientPolicy, MARGIN_PERMILLE, Paygo, SpendingPolicy, WhenUnknown, Work};
pub use price::{AccountPrices, ModelPrices, PriceDiscount, PriceOverride, Share};
pub use refresh::{LEAST_PAUSE, READ_AT_ONCE, Readiness, Refresh, until_surely_turned};
pub use repeats::{BodyDigest, Ending, Repeats};
pub use size::{CallShape, CallSize, SizeBook};
pub use stretch::{Stretch, Substitute, stretches};
pub use succession::OLD_FIGURES_AFTER_TURN;
pub use window::{Cap, Source, Unit, Window, WindowKind};
