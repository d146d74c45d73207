//! The emulator's own quota arithmetic, written from the description of the service and not from
//! the product's rules, so that the two check each other.
//!
//! A library without sockets or clocks: every moment is a value, in Unix microseconds. Request
//! units are counted in thousandths, money in pico-dollars. [`Subscriber`] is a whole account;
//! [`Meters`] are its counters alone.
//!
//! ```
//! use chutes_emulator::quota::{Booking, Payer, SECOND, Subscriber, Terms};
//!
//! let noon = 1_795_176_000 * SECOND;
//! let mut account = Subscriber::new(5000, 60 * SECOND).with_balance(5_000_000_000_000);
//! let cap = Terms::of_quota(5000).unwrap().four_hour_cap_pico();
//!
//! // Who pays is decided when a call starts, whatever it will cost.
//! let first = account.check(noon);
//! assert_eq!(first, Payer::Subscription);
//! // What it costs is booked when it ends, in the four hours of that moment.
//! let booking = |body| Booking { row: "*", chute: "a", body_sha256: body, value_pico: cap };
//! account.complete(first, &booking("1"), noon + 20 * SECOND);
//!
//! let second = account.check(noon + 21 * SECOND);
//! assert_eq!(second, Payer::Balance);
//! account.complete(second, &booking("2"), noon + 30 * SECOND);
//! assert_eq!(account.paid_pico(), cap);
//!
//! // The figures that the account shows are those of the last full minute.
//! assert_eq!(account.shown(noon + 59 * SECOND).four_hour_pico, 0);
//! assert_eq!(account.shown(noon + 60 * SECOND).four_hour_pico, cap);
//! ```

mod meters;
mod subscriber;

pub use meters::{Booking, CapFigures, Meters, Payer, Short};
pub use subscriber::Subscriber;

use crate::catalogue::pico;

/// Microseconds in a second.
pub const SECOND: i64 = crate::clock::SECOND;
/// A request unit.
pub const UNIT: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;
const FOUR_HOURS: i64 = 14_400 * SECOND;

/// The number of the UTC day.
#[must_use]
pub fn day_of(now: i64) -> i64 {
    now.div_euclid(DAY)
}

/// The next 00:00 UTC.
#[must_use]
pub fn next_day(now: i64) -> i64 {
    (day_of(now) + 1) * DAY
}

/// The number of the fixed four-hour bucket.
#[must_use]
pub fn bucket_of(now: i64) -> i64 {
    now.div_euclid(FOUR_HOURS)
}

/// The end of the running four-hour bucket.
#[must_use]
pub fn bucket_end(now: i64) -> i64 {
    (bucket_of(now) + 1) * FOUR_HOURS
}

/// What a quota number buys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Dollars a month.
    pub price_usd: f64,
    /// No monthly cap.
    pub custom: bool,
}

impl Terms {
    /// The subscription a quota number stands for, if any.
    #[must_use]
    pub fn of_quota(quota: u64) -> Option<Self> {
        let (price_usd, custom) = match quota {
            300 => (3.0, false),
            2000 => (10.0, false),
            5000 => (20.0, false),
            301 => (3.0, true),
            2001 => (10.0, true),
            5001 => (20.0, true),
            _ => return None,
        };
        Some(Self { price_usd, custom })
    }

    /// The four-hour cap in dollars; this order of operations gives the server's last digit.
    #[must_use]
    pub fn four_hour_cap_usd(self) -> f64 {
        self.price_usd / 180.0 * 75.0
    }

    /// The monthly cap in dollars.
    #[must_use]
    pub fn month_cap_usd(self) -> f64 {
        self.price_usd * 5.0
    }

    /// The four-hour cap in pico-dollars.
    #[must_use]
    pub fn four_hour_cap_pico(self) -> i64 {
        pico(self.four_hour_cap_usd())
    }

    /// The monthly cap in pico-dollars; none for a custom plan.
    #[must_use]
    pub fn month_cap_pico(self) -> Option<i64> {
        (!self.custom).then(|| pico(self.month_cap_usd()))
    }

    /// Whether either cap is used up.
    #[must_use]
    pub fn is_capped(self, four_hour_pico: i64, month_pico: i64) -> bool {
        four_hour_pico >= self.four_hour_cap_pico()
            || self.month_cap_pico().is_some_and(|cap| month_pico >= cap)
    }
}

/// Prices in pico-dollars per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Of a prompt.
    pub input: f64,
    /// Of an answer.
    pub output: f64,
    /// Of the part of a prompt that was cached.
    pub cached: f64,
}

impl Prices {
    /// From dollars per million tokens.
    #[must_use]
    pub fn per_million(input: f64, output: f64, cached: f64) -> Self {
        Self { input: input * 1e6, output: output * 1e6, cached: cached * 1e6 }
    }

    /// Each of them times the factor.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            input: self.input * factor,
            output: self.output * factor,
            cached: self.cached * factor,
        }
    }

    /// What a call costs in pico-dollars.
    #[must_use]
    pub fn cost(self, tokens: Tokens) -> i64 {
        let fresh = tokens.prompt.saturating_sub(tokens.cached) as f64;
        let cost = fresh * self.input
            + tokens.cached as f64 * self.cached
            + tokens.completion as f64 * self.output;
        cost.round() as i64 + tokens.flat_pico
    }
}

/// The tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Of the prompt.
    pub prompt: u64,
    /// Of these, the cached ones.
    pub cached: u64,
    /// Of the answer.
    pub completion: u64,
    /// What a call costs that is charged by time.
    pub flat_pico: i64,
}
