//! The server's time, by which windows turn, from what its answers say and what this machine's clocks do.

use crate::time::Now;
use std::time::Duration;

/// Learns how far this machine's calendar is from the server's, and notices when it jumps.
///
/// A `Date` header has whole seconds, cut off, and is old when it arrives. So the server's clock is at least there, and the
/// greatest of several readings is the nearest: whoever believes it is never early, and at most a second and the way of an
/// answer late.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerClock {
    is_learned: bool,
    last: Option<Now>,
}

// === impl ServerClock ===

impl ServerClock {
    /// By how much to move the calendar, after an answer whose `Date` is so many microseconds ahead of the calendar as it was
    /// moved so far. Less than `tolerance` backwards is what the header leaves open.
    pub fn learn(&mut self, ahead_micros: i64, tolerance: Duration) -> i64 {
        let is_behind = ahead_micros < 0 && ahead_micros.unsigned_abs() > micros(tolerance);
        let moves = !self.is_learned || ahead_micros > 0 || is_behind;
        self.is_learned = true;
        if moves { ahead_micros } else { 0 }
    }

    /// Whether the calendar went on by another time than the interval clock since the last tick: somebody set it, or the
    /// machine slept. Which of the two, and what time it is now, only the server can tell.
    pub fn tick(&mut self, now: Now, tolerance: Duration) -> bool {
        let Some(last) = self.last.replace(now) else { return false };
        let by_interval = i64::try_from(now.mono.since(last.mono).as_micros()).unwrap_or(i64::MAX);
        let by_calendar = now.wall.as_unix_micros().saturating_sub(last.wall.as_unix_micros());
        by_calendar.saturating_sub(by_interval).unsigned_abs() > micros(tolerance)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Mono, Wall};
    use proptest::prelude::*;

    const TOLERANCE: Duration = Duration::from_secs(2);

    fn at(mono: u64, wall: i64) -> Now {
        Now { mono: Mono::from_micros(mono), wall: Wall::from_unix_micros(wall) }
    }

    #[test]
    fn a_calendar_that_jumps_is_noticed_and_one_that_runs_is_not() {
        let mut clock = ServerClock::default();
        assert!(!clock.tick(at(0, 5_000_000_000), TOLERANCE), "nothing to compare with");
        assert!(!clock.tick(at(10_000_000, 5_010_500_000), TOLERANCE));
        assert!(clock.tick(at(20_000_000, 5_000_000_000), TOLERANCE), "set back");
        assert!(!clock.tick(at(30_000_000, 5_010_000_000), TOLERANCE));
        assert!(clock.tick(at(40_000_000, 9_999_000_000), TOLERANCE), "slept");
    }

    proptest! {
        /// However far off the calendar is and whatever the headers cut off: never early, and after the first answer at
        /// most a second and a journey late.
        #[test]
        fn the_server_is_never_thought_to_be_further_than_it_is(
            off in -100_000_000_i64..100_000_000,
            readings in prop::collection::vec((0_i64..1_000_000, 0_i64..300_000), 1..20),
        ) {
            let mut clock = ServerClock::default();
            let mut moved = 0;
            let mut best = i64::MIN;
            for (cut_off, journey) in readings {
                let ahead = off - moved - cut_off - journey;
                moved += clock.learn(ahead, TOLERANCE);
                best = best.max(off - cut_off - journey);
                prop_assert!(moved <= off, "early by {}", moved - off);
                prop_assert_eq!(moved, best, "the best reading counts");
            }
        }
    }
}
