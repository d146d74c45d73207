//! The emulator's clock: real by default, and settable, so that a test can stand at a window's edge.
//!
//! Everything that depends on the calendar (windows, resets, the `Date` header) reads it here.
//! Delays inside a stream are real time: they are what a client waits for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::{Span, Timestamp, civil::DateTime, tz::Offset};
use parking_lot::Mutex;

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// A settable clock in Unix microseconds.
#[derive(Debug)]
pub struct Clock {
    state: Mutex<ClockState>,
    /// The moment and the speed it began with; without a moment the real one.
    start: (Option<i64>, f64),
}

#[derive(Debug, Clone, Copy)]
struct ClockState {
    real: Instant,
    unix_micros: i64,
    speed: f64,
}

impl Clock {
    /// A clock that starts at the given moment, or at the real one.
    pub(crate) fn starting_at(unix_micros: Option<i64>, speed: f64) -> Self {
        let start = (unix_micros, speed);
        Self { state: Mutex::new(ClockState::begin(start)), start }
    }

    /// Back to where it began.
    pub(crate) fn restart(&self) {
        *self.state.lock() = ClockState::begin(self.start);
    }

    /// The present, in Unix microseconds.
    #[must_use]
    pub fn now_micros(&self) -> i64 {
        self.state.lock().at(real_instant())
    }

    /// How many emulated seconds pass in a real one; 0 is a stopped clock.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.state.lock().speed
    }

    /// Moves the clock to the given moment, forwards or backwards.
    pub fn set_micros(&self, unix_micros: i64) {
        let real = real_instant();
        let mut state = self.state.lock();
        state.unix_micros = unix_micros;
        state.real = real;
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        let real = real_instant();
        let mut state = self.state.lock();
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        state.unix_micros = state.at(real).saturating_add(by);
        state.real = real;
    }

    /// Changes how fast emulated time passes; 0 stops it.
    pub fn set_speed(&self, speed: f64) {
        let real = real_instant();
        let mut state = self.state.lock();
        state.unix_micros = state.at(real);
        state.real = real;
        state.speed = speed.max(0.0);
    }
}

impl ClockState {
    fn begin((unix_micros, speed): (Option<i64>, f64)) -> Self {
        let unix_micros = unix_micros.unwrap_or_else(real_unix_micros);
        Self { real: real_instant(), unix_micros, speed }
    }

    fn at(&self, real: Instant) -> i64 {
        let passed = real.saturating_duration_since(self.real);
        let passed = i64::try_from(passed.mul_f64(self.speed).as_micros()).unwrap_or(i64::MAX);
        self.unix_micros.saturating_add(passed)
    }
}

#[expect(clippy::disallowed_methods, reason = "the emulator's one reading of the monotonic clock")]
pub(crate) fn real_instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the emulator's one reading of the wall clock")]
fn real_unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn civil(unix_micros: i64) -> DateTime {
    Offset::UTC
        .to_datetime(Timestamp::from_microsecond(unix_micros).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn civil_micros(moment: DateTime) -> i64 {
    Offset::UTC.to_timestamp(moment).map_or(0, Timestamp::as_microsecond)
}

/// `2026-11-14T08:12:45` or, with a fraction, `2026-11-14T08:12:45.123456`, as the server writes it.
pub(crate) fn iso_naive(unix_micros: i64) -> String {
    let moment = civil(unix_micros);
    let mut text = moment.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let micros = unix_micros.rem_euclid(SECOND);
    if micros != 0 {
        text.push_str(&format!(".{micros:06}"));
    }
    text
}

/// As [`iso_naive`], with the offset `+00:00`.
pub(crate) fn iso_aware(unix_micros: i64) -> String {
    format!("{}+00:00", iso_naive(unix_micros))
}

/// The day as `2026-11-14`.
pub(crate) fn iso_date(unix_micros: i64) -> String {
    civil(unix_micros).strftime("%Y-%m-%d").to_string()
}

/// The value of a `Date` header.
pub(crate) fn http_date(unix_micros: i64) -> String {
    civil(unix_micros).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// One calendar month later; the day is clamped to the length of the month.
pub(crate) fn month_after(unix_micros: i64) -> i64 {
    let moment = civil(unix_micros);
    civil_micros(moment.checked_add(Span::new().months(1)).unwrap_or(moment))
}

/// How a timestamp was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Naive,
    Aware,
}

/// Reads a naive (UTC), aware or date-only timestamp.
pub(crate) fn parse_timestamp(text: &str) -> Option<(i64, Written)> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some((moment.as_microsecond(), Written::Aware));
    }
    let moment = text.parse::<DateTime>().ok()?;
    Some((civil_micros(moment), Written::Naive))
}
