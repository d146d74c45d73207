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
    // Of all accounts together, in so long that no fraction matters.
    let attempts = supplies.iter().fold(0_u128, |attempts, supply| {
        attempts.saturating_add(LONG / supply.interval.as_micros().max(1))
    });
    let queue = u128::try_from(ahead).unwrap_or(u128::MAX).saturating_mul(LONG) / attempts.max(1);
    Some(first.after(Duration::from_micros(u64::try_from(queue).unwrap_or(u64::MAX))))
}

/// In microseconds.
const LONG: u128 = 1_000_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn supply(opens_at: u64, first_free: u64, interval: u64) -> Supply {
        let interval = Duration::from_secs(interval);
        Supply { opens_at: at(opens_at), first_free: at(first_free), interval, is_sure: true }
    }

    #[test]
    fn accounts_together_are_quicker_than_each() {
        assert_eq!(turn_of(0, &[]), None);
        assert_eq!(turn_of(0, &[supply(0, 7, 10)]), Some(at(7)));
        assert_eq!(turn_of(3, &[supply(0, 7, 10)]), Some(at(37)));
        assert_eq!(turn_of(3, &[supply(0, 7, 10), supply(60, 0, 10)]), Some(at(22)));
        // An account that serves as quickly as can be is no division by zero, and the slowest no overflow.
        assert_eq!(turn_of(1_000_000, &[supply(0, 0, 0)]), Some(at(1)));
        assert!(turn_of(usize::MAX, &[supply(0, 0, u64::MAX / 2_000_000)]) > Some(at(1 << 40)));
    }

    #[test]
    fn the_average_follows_the_last_ones_and_needs_some() {
        let mut hold_time = HoldTime::default();
        assert_eq!(hold_time.mean(), None);
        hold_time.add(Duration::from_secs(96));
        assert_eq!(
            (hold_time.mean(), hold_time.is_well_known()),
            (Some(Duration::from_secs(96)), false)
        );
        (0..3).for_each(|_| hold_time.add(Duration::ZERO));
        assert_eq!(
            (hold_time.mean(), hold_time.is_well_known()),
            (Some(Duration::from_secs(24)), true)
        );
        (0..60).for_each(|_| hold_time.add(Duration::from_secs(8)));
        assert_eq!(hold_time.mean().map(|mean| mean.as_secs()), Some(8));
        hold_time.add(Duration::MAX);
        assert!(hold_time.mean() > Some(Duration::from_secs(1 << 40)));
    }

    #[test]
    fn what_is_held_longer_than_usual_may_end_any_moment() {
        let mut hold_time = HoldTime::default();
        hold_time.add(Duration::from_secs(10));
        assert_eq!(hold_time.first_back(&[at(0), at(3)], at(5)), at(10));
        assert_eq!(hold_time.first_back(&[at(0), at(3)], at(12)), at(12));
    }
}
