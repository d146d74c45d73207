//! One account with a plan and a balance, as far as its calls to one public model go.

use super::{Booking, CapFigures, Meters, Payer};

/// The row that every chute without one of its own counts against.
const ANY: &str = "*";

/// An account: its plan, its balance, its counters, and how late its figures show.
///
/// Nothing happens by itself but the turn of the day and of the four hours; a month begins with [`Subscriber::bill`].
#[derive(Debug, Clone)]
pub struct Subscriber {
    quota: u64,
    balance_pico: i64,
    lag_micros: i64,
    meters: Meters,
    paid_pico: i64,
}

impl Subscriber {
    /// An account with this quota of requests a day, which also names its plan, whose cap figures lag by as much.
    #[must_use]
    pub fn new(quota: u64, lag_micros: i64) -> Self {
        Self { quota, balance_pico: 0, lag_micros, meters: Meters::default(), paid_pico: 0 }
    }

    /// With a balance that pays where the plan does not.
    #[must_use]
    pub fn with_balance(mut self, pico: i64) -> Self {
        self.balance_pico = pico;
        self
    }

    /// Decides who pays for a call that starts now.
    #[must_use]
    pub fn check(&self, now: i64) -> Payer {
        self.meters.payer(ANY, self.quota, self.quota, self.balance_pico, now)
    }

    /// Books a call that ends now, as it was decided when it started. Returns what the balance paid.
    pub fn complete(&mut self, payer: Payer, booking: &Booking<'_>, now: i64) -> i64 {
        match payer {
            Payer::Subscription => {
                self.meters.book(booking, self.lag_micros, now);
                0
            }
            Payer::Balance => {
                self.balance_pico -= booking.value_pico;
                self.paid_pico += booking.value_pico;
                booking.value_pico
            }
            Payer::Nobody(_) => 0,
        }
    }

    /// The cap figures that a reader gets now.
    pub fn shown(&mut self, now: i64) -> CapFigures {
        self.meters.shown_caps(now, self.lag_micros)
    }

    /// A new month begins.
    pub fn bill(&mut self, now: i64) {
        self.meters.set_caps(None, Some(0), now);
    }

    /// Its counters.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Its counters, to begin with other figures.
    pub fn meters_mut(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// What is left of the balance.
    #[must_use]
    pub fn balance_pico(&self) -> i64 {
        self.balance_pico
    }

    /// What the balance has paid so far.
    #[must_use]
    pub fn paid_pico(&self) -> i64 {
        self.paid_pico
    }
}
