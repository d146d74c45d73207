//! The only place of this crate that reads a clock.

use std::time::Duration;

use tokio::time::Instant;

/// Far enough away to mean "no limit" and near enough not to overflow.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The monotonic clock of the runtime, so that a test may pause it.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `start + limit`, where a limit too large to count means "never".
pub(crate) fn deadline(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit.min(FAR)).unwrap_or(start)
}
