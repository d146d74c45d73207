//! The only place in this crate that reads a clock.

use std::time::Instant;

/// Now, on a clock that never goes back. It does not count while the machine sleeps.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
