//! The only file of the command line that reads a clock.

use std::time::Duration;

use ripcord_rules::time::Wall;

/// Where "now" comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The machine's clock.
    System,
    /// Stands still, so that output can be compared letter by letter.
    Frozen(Wall),
    /// Starts at a given moment and then runs, as fast as the machine's clock or a number of times faster.
    Running { start: Wall, began_micros: i64, speed: u32 },
}

// === impl Clock ===

impl Clock {
    /// The clock that `RIPCORD_TEST_NOW` asks for: an RFC 3339 moment at which time stands still, or from which it
    /// runs on if the text ends in `/run`, or ten times as fast with `/run10`. `None` if it is neither.
    pub(crate) fn from_test_setting(text: &str) -> Option<Self> {
        let (moment, speed) = match text.split_once("/run") {
            None => (text, None),
            Some((moment, "")) => (moment, Some(1)),
            Some((moment, speed)) => (moment, Some(speed.parse().ok().filter(|speed| *speed > 0)?)),
        };
        let start =
            Wall::from_unix_micros(moment.parse::<jiff::Timestamp>().ok()?.as_microsecond());
        Some(match speed {
            None => Self::Frozen(start),
            Some(speed) => Self::Running { start, began_micros: system_micros(), speed },
        })
    }

    /// Sleeps for a duration of this clock.
    pub(crate) async fn sleep(self, duration: Duration) {
        let real = match self {
            Self::System | Self::Frozen(_) => duration,
            Self::Running { speed, .. } => duration / speed,
        };
        tokio::time::sleep(real).await;
    }

    /// Starts measuring. On a clock that stands still nothing takes any time.
    pub(crate) fn stopwatch(self) -> Stopwatch {
        match self {
            Self::Frozen(_) => Stopwatch(None),
            Self::System | Self::Running { .. } => Stopwatch(Some(instant())),
        }
    }

    /// A duration of the machine in the time of this clock, which may run faster.
    pub(crate) fn pace_of(self, duration: Duration) -> Duration {
        match self {
            Self::System | Self::Frozen(_) => duration,
            Self::Running { speed, .. } => duration.saturating_mul(speed),
        }
    }

    /// The present moment.
    pub(crate) fn now(self) -> Wall {
        match self {
            Self::System => Wall::from_unix_micros(system_micros()),
            Self::Frozen(moment) => moment,
            Self::Running { start, began_micros, speed } => {
                let passed = system_micros().saturating_sub(began_micros);
                let passed = u64::try_from(passed).unwrap_or(0).saturating_mul(u64::from(speed));
                start.after(Duration::from_micros(passed))
            }
        }
    }
}

/// Measures how long something took, on a clock that never steps back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Option<std::time::Instant>);

// === impl Stopwatch ===

impl Stopwatch {
    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.map_or(Duration::ZERO, |start| start.elapsed())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock file")]
fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock file")]
fn system_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_stands_still() {
        let clock = Clock::from_test_setting("2026-09-27T11:13:00Z").unwrap();
        assert_eq!(clock.now().as_unix_seconds(), 1_790_507_580);
        assert_eq!(clock.now(), clock.now());
    }

    #[test]
    fn a_running_clock_starts_where_it_is_told() {
        let clock = Clock::from_test_setting("2026-09-27T11:13:00Z/run").unwrap();
        assert!(
            clock.now().since(Wall::from_unix_seconds(1_790_507_580)) < Duration::from_secs(60)
        );
    }

    #[test]
    fn other_text_is_no_clock() {
        assert!(Clock::from_test_setting("yesterday").is_none());
        assert!(Clock::from_test_setting("").is_none());
        assert!(Clock::from_test_setting("2026-09-27T11:13:00Z/run0").is_none());
    }
}
