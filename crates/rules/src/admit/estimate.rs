//! How long a wait is likely to be.
//!
//! From how long slots were held lately, how many are ahead, and how fast attempts may start. What has not been seen is not
//! guessed: without a slot given back yet there is no estimate.

use crate::time::Mono;
use std::time::Duration;

/// How long slots are held, on the average of the last ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HoldTime {
    /// In microseconds.
    mean: u64,
    seen: u32,
}

/// What is known of one account that could serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Supply {
    /// When it takes requests at all.
    pub(super) opens_at: Mono,
    /// When the first of its slots is likely to be free.
    pub(super) first_free: Mono,
    /// The time between two slots that come free, or between two attempts that may start, if that is longer.
    pub(super) interval: Duration,
    /// Whether enough was seen to refuse somebody by it.
    pub(super) is_sure: bool,
}

/// The last so many slots count.
const WEIGHT: u64 = 8;
/// From this many on, the average is good enough to refuse by.
const ENOUGH: u32 = 4;

// === impl HoldTime ===

impl HoldTime {
    pub(super) fn add(&mut self, held: Duration) {
        let held = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        self.seen = self.seen.saturating_add(1);
        // The first few count alike, so that the very first does not stand for all.
        let weight = u64::from(self.seen).min(WEIGHT);
        self.mean = (self.mean - self.mean / weight).saturating_add(held / weight);
    }

    pub(super) const fn mean(&self) -> Option<Duration> {
        if self.seen == 0 { None } else { Some(Duration::from_micros(self.mean)) }
    }

    pub(super) const fn is_well_known(&self) -> bool {
        self.seen >= ENOUGH
    }

    /// When the first of the slots taken at these moments is likely to be given back.
    pub(super) fn first_back(&self, taken: &[Mono], now: Mono) -> Mono {
        let mean = Duration::from_micros(self.mean);
        // What is held for longer than usual may end any moment.
        taken.iter().map(|taken| taken.after(mean).max(now)).min().unwrap_or(now)
    }
}

/// When somebody is likely to go who has `ahead` others before it. `None` without any account.
pub(super) fn turn_of(ahead: usize, supplies: &[Supply]) -> Option<Mono> {
    let starts = supplies.iter().map(|supply| supply.opens_at.max(supply.first_free));
    let first = starts.min()?;
    // Attempts in a million seconds: those of all accounts together.
    let rate = supplies.iter().fold(0_u64, |rate, supply| {
        let interval = u64::try_from(supply.interval.as_micros()).unwrap_or(u64::MAX).max(1);
        rate.saturating_add(MILLION_SECONDS / interval)
    });
    let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
    let queue = ahead.saturating_mul(MILLION_SECONDS / rate.max(1));
    Some(first.after(Duration::from_micros(queue)))
}

const MILLION_SECONDS: u64 = 1_000_000_000_000;
