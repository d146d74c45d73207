//! The only place of this crate that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ripcord_rules::time::Wall;
use tokio::time::Instant;

/// Far enough away to mean "no limit" and near enough not to overflow.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The time of the calendar, as this machine knows it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the crate's clock")]
pub fn wall() -> Wall {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Wall::from_unix_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// The monotonic clock of the runtime, so that a test may pause it.
#[expect(clippy::disallowed_methods, reason = "this is the crate's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `start + limit`, where a limit too large to count means "never".
pub(crate) fn deadline(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit.min(FAR)).unwrap_or(start)
}
