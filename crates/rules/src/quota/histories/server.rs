//! Chutes as it is described, for as long as a history goes: what was booked when, and what a reading shows of it.

use super::super::*;
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};

/// The chute with a quota row of its own, where a history has one.
pub(super) const SPECIAL: &str = "special";

/// Small, so that a history gets to the end of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) plan: Plan,
    pub(super) day: i64,
    pub(super) four_hour: i64,
    pub(super) month: Cap,
    pub(super) chute: i64,
}

pub(super) const PRO: Caps = Caps {
    plan: Plan::Pro,
    day: 9_000,
    four_hour: 3_000,
    month: Cap::Limited(20_000),
    chute: 4_000,
};

pub(super) const PLUS: Caps = Caps {
    plan: Plan::Plus,
    day: 5_000,
    four_hour: 1_500,
    month: Cap::Limited(9_000),
    chute: 4_000,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Booking {
    pub(super) at: i64,
    pub(super) is_own: bool,
    pub(super) is_special: bool,
    pub(super) units: i64,
    pub(super) usd: i64,
}

/// How a reading goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Nothing,
    /// Nothing answers.
    Failed,
    /// The key may not read.
    Forbidden,
    /// The caps do not answer.
    NoCaps,
    /// The quota rows do not answer.
    NoRows,
    /// The counters do not answer; their caps do.
    NoCounters,
    /// The store of the counters is down: all read 0.0 (recordings, "Redis down").
    Zeros,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    /// By its own clock, in microseconds.
    pub(super) now: i64,
    pub(super) caps: Caps,
    pub(super) has_row: bool,
    pub(super) anchor: i64,
    pub(super) bookings: Vec<Booking>,
    /// The dollar figures are true as of here; they never go back.
    shown: i64,
}

pub(super) const KINDS: [WindowKind; 4] =
    [WindowKind::Day, WindowKind::FourHour, WindowKind::Month, WindowKind::Chute];

// === impl Server ===

impl Server {
    pub(super) const fn new(now: i64, anchor: i64, has_row: bool) -> Self {
        Self { now, caps: PRO, has_row, anchor, bookings: Vec::new(), shown: i64::MIN }
    }

    pub(super) const fn wall(&self) -> Wall {
        Wall::from_unix_micros(self.now)
    }

    /// When the window that holds `moment` began.
    pub(super) fn began(&self, kind: WindowKind, moment: i64) -> i64 {
        let bucket = |seconds: i64| moment.div_euclid(seconds * 1_000_000) * seconds * 1_000_000;
        match kind {
            WindowKind::Day | WindowKind::Chute => bucket(86_400),
            WindowKind::FourHour => bucket(14_400),
            WindowKind::Month => self.anchor,
        }
    }

    pub(super) const fn share(kind: WindowKind, booking: &Booking) -> i64 {
        match kind {
            WindowKind::FourHour | WindowKind::Month => booking.usd,
            WindowKind::Day | WindowKind::Chute => booking.units,
        }
    }

    pub(super) fn counts_in(&self, kind: WindowKind, is_special: bool) -> bool {
        match kind {
            WindowKind::FourHour | WindowKind::Month => true,
            WindowKind::Day => !(is_special && self.has_row),
            WindowKind::Chute => is_special && self.has_row,
        }
    }

    /// The sum of what was booked from one moment until another one, both included.
    pub(super) fn booked(
        &self,
        kind: WindowKind,
        from: i64,
        until: i64,
        which: impl Fn(&Booking) -> bool,
    ) -> i64 {
        let counts = self.bookings.iter().filter(|booking| {
            booking.at >= from && booking.at <= until && self.counts_in(kind, booking.is_special)
        });
        counts.filter(|booking| which(booking)).map(|booking| Self::share(kind, booking)).sum()
    }

    pub(super) const fn cap(&self, kind: WindowKind) -> Cap {
        match kind {
            WindowKind::Day => Cap::Limited(self.caps.day),
            WindowKind::FourHour => Cap::Limited(self.caps.four_hour),
            WindowKind::Month => self.caps.month,
            WindowKind::Chute => Cap::Limited(self.caps.chute),
        }
    }

    /// Billing: the month begins anew.
    pub(super) const fn bill(&mut self) {
        self.anchor = self.now;
    }

    pub(super) fn month_ends(&self) -> Option<Wall> {
        month_window(Wall::from_unix_micros(self.anchor)).map(|(_, end)| end)
    }

    /// Until when the figure of this kind is true, if it lags by so much.
    pub(super) fn true_until(&self, kind: WindowKind) -> i64 {
        match kind {
            WindowKind::Day | WindowKind::Chute => self.now,
            WindowKind::FourHour | WindowKind::Month => self.shown,
        }
    }

    /// What the account endpoints show to a client whose clock says `as_of`, with dollar figures that lag.
    pub(super) fn read(&mut self, as_of: Wall, lag: i64, trouble: Trouble) -> AccountSnapshot {
        self.shown = self.shown.max(self.now - lag);
        if trouble == Trouble::Failed || trouble == Trouble::Forbidden {
            let failed = trouble == Trouble::Failed;
            let readable = if failed { Readable::Failed } else { Readable::Forbidden };
            return AccountSnapshot::unknown(readable, as_of);
        }
        let (rows_read, caps_read) = (trouble != Trouble::NoRows, trouble != Trouble::NoCaps);
        let mut windows = vec![self.window(WindowKind::Day, as_of, trouble)];
        if caps_read {
            windows.push(self.window(WindowKind::FourHour, as_of, trouble));
            windows.push(self.window(WindowKind::Month, as_of, trouble));
        }
        let row = self.window(WindowKind::Chute, as_of, trouble);
        AccountSnapshot {
            plan: Some(self.caps.plan),
            windows,
            chute_windows: if self.has_row && rows_read {
                vec![(SPECIAL.to_owned(), row)]
            } else {
                Vec::new()
            },
            balance: Some(NanoUsd::ZERO),
            balance_as_of: as_of,
            paid_today: None,
            paid_as_of: as_of,
            rows_read,
            caps_read,
            readable: Readable::Yes,
            as_of,
        }
    }

    fn window(&self, kind: WindowKind, as_of: Wall, trouble: Trouble) -> Window {
        let unit = match kind {
            WindowKind::Day | WindowKind::Chute => Unit::Requests,
            WindowKind::FourHour | WindowKind::Month => Unit::Usd,
        };
        let used = self.booked(kind, self.began(kind, self.now), self.true_until(kind), |_| true);
        let is_counter = unit == Unit::Requests;
        Window {
            kind,
            unit,
            used: match trouble {
                Trouble::Zeros => Some(0),
                Trouble::NoCounters | Trouble::NoRows if is_counter => None,
                _ => Some(used),
            },
            cap: if trouble == Trouble::NoRows && is_counter {
                Cap::Unknown
            } else {
                self.cap(kind)
            },
            resets_at: match kind {
                WindowKind::Month => self.month_ends(),
                _ => None,
            },
            as_of,
            source: Source::Server,
        }
    }
}

pub(super) const fn cost(units: i64, usd: i64) -> CallCost {
    CallCost { units: MilliUnits(units), usd: Some(NanoUsd(usd)) }
}
