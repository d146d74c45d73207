//! When windows turn.

use crate::time::Wall;
use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use std::time::Duration;

/// The length of the `four_hour` window.
pub const FOUR_HOURS: Duration = Duration::from_secs(FOUR_HOUR_SECONDS as u64);

const FOUR_HOUR_SECONDS: i64 = 14_400;
const DAY_SECONDS: i64 = 86_400;

/// The next 00:00 UTC strictly after `now`: the `day` window's reset (`chutes/api.md` 2.3).
#[must_use]
pub const fn next_day_reset(now: Wall) -> Wall {
    next_multiple(now, DAY_SECONDS)
}

/// Start and end of the 4-hour window that holds `now`: fixed buckets 00, 04, 08, 12, 16, 20 UTC, neither
/// rolling nor anchored to first use (`chutes/api.md` 2.4).
#[must_use]
pub const fn four_hour_window(now: Wall) -> (Wall, Wall) {
    let end = next_multiple(now, FOUR_HOUR_SECONDS);
    (Wall::from_unix_seconds(end.as_unix_seconds() - FOUR_HOUR_SECONDS), end)
}

/// Start and end of the month anchored at `anchor`: one calendar month, the day clamped to the length of the
/// month it ends in (`chutes/api.md` 2.4).
///
/// The month does **not** roll by itself: it ends once, and the server moves the anchor when it bills. A reset
/// in the past therefore stays in the past, and usage keeps adding to the same window until then.
///
/// `None` if the anchor is outside the years that a calendar knows.
#[must_use]
pub fn month_window(anchor: Wall) -> Option<(Wall, Wall)> {
    let start = Timestamp::from_microsecond(anchor.as_unix_micros()).ok()?;
    let civil: DateTime = start.to_zoned(TimeZone::UTC).datetime();
    let end = civil.checked_add(1.month()).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((anchor, Wall::from_unix_micros(end.timestamp().as_microsecond())))
}

/// When the month began that ends at `end`; up to three days too early where its first day is one that the last month of
/// the window has not.
pub(super) fn month_began(end: Wall) -> Option<Wall> {
    let end = Timestamp::from_microsecond(end.as_unix_micros()).ok()?;
    let civil: DateTime = end.to_zoned(TimeZone::UTC).datetime();
    let start = civil.checked_sub(1.month()).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Wall::from_unix_micros(start.timestamp().as_microsecond()))
}

/// Start and end of the calendar month, UTC, that holds `now`. `None` outside the years that a calendar knows.
#[must_use]
pub fn calendar_month(now: Wall) -> Option<(Wall, Wall)> {
    let civil = Timestamp::from_microsecond(now.as_unix_micros()).ok()?.to_zoned(TimeZone::UTC);
    let first = civil.date().first_of_month();
    let wall = |date: jiff::civil::Date| {
        let midnight = date.to_zoned(TimeZone::UTC).ok()?;
        Some(Wall::from_unix_micros(midnight.timestamp().as_microsecond()))
    };
    Some((wall(first)?, wall(first.checked_add(1.month()).ok()?)?))
}

const fn next_multiple(now: Wall, period_seconds: i64) -> Wall {
    let bucket = now.as_unix_seconds().div_euclid(period_seconds);
    Wall::from_unix_seconds((bucket + 1) * period_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall(text: &str) -> Wall {
        let stamp: Timestamp = text.parse().unwrap();
        Wall::from_unix_micros(stamp.as_microsecond())
    }

    #[test]
    fn the_day_turns_at_midnight_utc_winter_and_summer() {
        assert_eq!(
            next_day_reset(wall("2026-01-10T23:59:59.999999Z")),
            wall("2026-01-11T00:00:00Z")
        );
        assert_eq!(next_day_reset(wall("2026-07-10T23:30:00Z")), wall("2026-07-11T00:00:00Z"));
        // At the boundary itself the new day has begun.
        assert_eq!(next_day_reset(wall("2026-07-10T00:00:00Z")), wall("2026-07-11T00:00:00Z"));
        assert_eq!(next_day_reset(wall("1969-12-31T12:00:00Z")), wall("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn four_hour_windows_are_fixed_buckets() {
        let expect = (wall("2026-09-27T08:00:00Z"), wall("2026-09-27T12:00:00Z"));
        assert_eq!(four_hour_window(wall("2026-09-27T08:00:00Z")), expect);
        assert_eq!(four_hour_window(wall("2026-09-27T11:59:59.999999Z")), expect);
        assert_eq!(four_hour_window(wall("2026-09-27T12:00:00Z")).0, expect.1);
    }

    #[test]
    fn a_month_clamps_its_last_day() {
        let end = |anchor| month_window(wall(anchor)).unwrap().1;
        assert_eq!(end("2026-09-14T08:12:45Z"), wall("2026-10-14T08:12:45Z"));
        assert_eq!(end("2026-08-31T09:30:00Z"), wall("2026-09-30T09:30:00Z"));
        assert_eq!(end("2027-01-31T00:00:00Z"), wall("2027-02-28T00:00:00Z"));
        assert_eq!(end("2028-01-30T00:00:00Z"), wall("2028-02-29T00:00:00Z"));
        assert_eq!(end("2026-12-31T23:59:59.5Z"), wall("2027-01-31T23:59:59.5Z"));
    }

    #[test]
    fn a_calendar_month_is_from_first_to_first() {
        let month = |now| calendar_month(wall(now)).unwrap();
        let december = (wall("2026-12-01T00:00:00Z"), wall("2027-01-01T00:00:00Z"));
        assert_eq!(month("2026-12-01T00:00:00Z"), december);
        assert_eq!(month("2026-12-31T23:59:59.999999Z"), december);
        assert_eq!(month("2028-02-29T12:00:00Z").1, wall("2028-03-01T00:00:00Z"));
        assert_eq!(calendar_month(Wall::from_unix_micros(i64::MAX)), None);
    }

    #[test]
    fn an_anchor_outside_the_calendar_has_no_month() {
        assert_eq!(month_window(Wall::from_unix_micros(i64::MAX)), None);
    }

    proptest! {
        #[test]
        fn a_window_holds_its_moment(micros in -4_000_000_000_000_000_i64..4_000_000_000_000_000) {
            let now = Wall::from_unix_micros(micros);
            let (start, end) = four_hour_window(now);
            prop_assert!(start <= now && now < end);
            prop_assert_eq!(end.since(start), FOUR_HOURS);
            prop_assert!(now < next_day_reset(now));
            prop_assert!(next_day_reset(now).since(now) <= Duration::from_secs(86_400));
        }

        #[test]
        fn a_month_is_28_to_31_days(seconds in 0_i64..4_000_000_000) {
            let (start, end) = month_window(Wall::from_unix_seconds(seconds)).unwrap();
            let days = end.since(start).as_secs() / 86_400;
            prop_assert!((28..=31).contains(&days));
            let began = month_began(end).unwrap();
            prop_assert!(began <= start && start.since(began) <= Duration::from_secs(3 * 86_400));
        }
    }
}
