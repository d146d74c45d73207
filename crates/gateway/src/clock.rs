//! The only place in this crate that reads a clock.

use parking_lot::Mutex;
use ripcord_rules::schedule::ServerClock;
use ripcord_rules::time::{Mono, Now, Wall};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Both clocks. The calendar follows the server's where that was learned: windows turn by the server's clock. From its start
/// on it goes with the interval clock, so that nobody who sets this machine's opens a window.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// The machine's calendar when it started.
    started_at: Wall,
    server: Mutex<ServerClock>,
    server_ahead_micros: AtomicI64,
}

/// Offsets below this are the resolution of a `Date` header, not a wrong clock.
const NOTICEABLE_OFFSET: Duration = Duration::from_secs(2);
/// Offsets above this are no clock that runs wrong, but a wrong `Date`.
const GREATEST_OFFSET_MICROS: i64 = 86_400_000_000;

impl Clock {
    pub(crate) fn start() -> Self {
        Self::starting_at(Self::local_wall())
    }

    /// A clock whose calendar begins here.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(crate) fn starting_at(wall: Wall) -> Self {
        let mut server = ServerClock::default();
        server.tick(Now { mono: Mono::default(), wall }, NOTICEABLE_OFFSET);
        Self {
            started: Instant::now(),
            started_at: wall,
            server: Mutex::new(server),
            server_ahead_micros: AtomicI64::new(0),
        }
    }

    /// Whether since the last look somebody set this machine's clock or the machine slept. After a sleep the interval clock
    /// is late, which only the server can tell.
    pub(crate) fn has_jumped(&self) -> bool {
        let now = Now { mono: self.mono(), wall: Self::local_wall() };
        self.server.lock().tick(now, NOTICEABLE_OFFSET)
    }

    pub(crate) fn now(&self) -> Now {
        let ahead = self.server_ahead_micros.load(Ordering::Relaxed);
        Now { mono: self.mono(), wall: self.wall_ahead_by(ahead) }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(crate) fn mono(&self) -> Mono {
        let elapsed = Instant::now().duration_since(self.started);
        Mono::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment on tokio's clock. What is further away than a year is a year away.
    pub(crate) fn instant(&self, moment: Mono) -> Instant {
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        let furthest = self.mono().after(YEAR);
        self.started + Duration::from_micros(moment.min(furthest).as_micros())
    }

    /// How far the server's clock is taken to be ahead of this machine's.
    pub(crate) fn server_ahead_micros(&self) -> i64 {
        self.server_ahead_micros.load(Ordering::Acquire)
    }

    /// The calendar with a given offset. Whoever measures keeps to one, whatever others learn meanwhile.
    pub(crate) fn wall_ahead_by(&self, ahead_micros: i64) -> Wall {
        Wall::from_unix_micros(self.calendar().as_unix_micros().saturating_add(ahead_micros))
    }

    /// Takes over how far the server's clock was measured to be ahead of this machine's: at least so much, so of several
    /// measurements the greatest counts, unless the clocks have moved.
    pub(crate) fn learn_server_ahead(&self, measured_micros: i64) {
        if measured_micros.saturating_abs() > GREATEST_OFFSET_MICROS {
            tracing::warn!(
                "Chutes' clock and this machine's are more than a day apart; this machine's is used"
            );
            return;
        }
        let mut server = self.server.lock();
        let known = self.server_ahead_micros();
        let more = server.learn(measured_micros.saturating_sub(known), NOTICEABLE_OFFSET);
        self.server_ahead_micros.store(known.saturating_add(more), Ordering::Release);
    }

    /// Whether two offsets differ by no more than a `Date` header tells.
    pub(crate) const fn are_alike(one_micros: i64, other_micros: i64) -> bool {
        one_micros.abs_diff(other_micros) < NOTICEABLE_OFFSET.as_micros() as u64
    }

    /// How far the server's clock is ahead of this machine's, in seconds.
    pub(crate) fn server_ahead_seconds(&self) -> i64 {
        self.server_ahead_micros.load(Ordering::Relaxed) / 1_000_000
    }

    fn calendar(&self) -> Wall {
        self.started_at.after(Duration::from_micros(self.mono().as_micros()))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(crate) fn local_wall() -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn what_two_measure_at_once_counts_once() {
        let clock = Clock::start();
        clock.learn_server_ahead(11 * HOUR);
        clock.learn_server_ahead(11 * HOUR - 400_000);
        assert_eq!(clock.server_ahead_micros(), 11 * HOUR, "an older `Date` is no news");
        clock.learn_server_ahead(11 * HOUR + 400_000);
        assert_eq!(clock.server_ahead_micros(), 11 * HOUR + 400_000, "a fresher one is");
        clock.learn_server_ahead(-HOUR);
        assert_eq!(clock.server_ahead_micros(), -HOUR);
        clock.learn_server_ahead(20 * 365 * 24 * HOUR);
        assert_eq!(clock.server_ahead_micros(), -HOUR, "that is no clock");
    }

    #[tokio::test(start_paused = true)]
    async fn the_calendar_goes_with_the_interval_clock_and_a_machine_that_disagrees_is_noticed() {
        let clock = Clock::start();
        let began = clock.now().wall;
        assert!(!clock.has_jumped());
        // The interval clock of this test goes on by itself, the machine's calendar does not: as if it was set back.
        tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
        assert_eq!(clock.now().wall.since(began).as_secs(), 14_400);
        assert!(clock.has_jumped(), "noticed");
        assert!(!clock.has_jumped(), "once");
    }
}
