//! Two clocks as values: one for intervals, one for calendars.

use std::time::Duration;

/// A moment on a clock that never steps back, in microseconds since the process started.
/// For intervals: deadlines, rests, latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

/// A moment of civil time, in microseconds since the Unix epoch, UTC.
/// For what the calendar governs: windows, `Retry-After` dates, records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

/// Both clocks, read once at the edge of a request or a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// The interval clock.
    pub mono: Mono,
    /// The calendar clock.
    pub wall: Wall,
}

// === impl Mono ===

impl Mono {
    /// The moment `micros` microseconds after the process started.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the process started.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This moment plus `duration`; the far end of the clock if that overflows.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

// === impl Wall ===

const MICROS_PER_SECOND: i64 = 1_000_000;

impl Wall {
    /// The moment `seconds` after the Unix epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// The moment `micros` microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Whole seconds since the Unix epoch, rounded towards the past.
    #[must_use]
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_micros(self) -> i64 {
        self.0
    }

    /// This moment plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This moment minus `duration`, saturating.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_never_runs_backwards() {
        assert_eq!(Mono::from_micros(5).since(Mono::from_micros(9)), Duration::ZERO);
        assert_eq!(Wall::from_unix_seconds(5).since(Wall::from_unix_seconds(9)), Duration::ZERO);
        assert_eq!(
            Wall::from_unix_seconds(9).since(Wall::from_unix_seconds(5)),
            Duration::from_secs(4)
        );
    }

    #[test]
    fn the_ends_of_the_clocks_saturate() {
        assert_eq!(Mono::from_micros(u64::MAX).after(Duration::MAX), Mono::from_micros(u64::MAX));
        assert_eq!(
            Wall::from_unix_micros(i64::MAX).after(Duration::MAX).as_unix_micros(),
            i64::MAX
        );
    }

    #[test]
    fn seconds_before_the_epoch_round_to_the_past() {
        assert_eq!(Wall::from_unix_micros(-1).as_unix_seconds(), -1);
    }
}
