//! The billing months that are over.

use crate::time::Wall;
use jiff::{Timestamp, ToSpan, tz::TimeZone};

/// More months than anybody keeps figures of.
const MOST_MONTHS: usize = 120;

/// The billing months up to now, newest first: start and end of each.
///
/// The first one begins at the anchor. Those before it are worked out backwards by the calendar, the day clamped to the
/// length of its month, since the server does not say when it billed before (`chutes/api.md` 2.4). The month that runs ends
/// by the calendar, too, though it goes on until billing moves the anchor: whoever sums up counts later hours to it.
///
/// Empty if the anchor lies outside the years that a calendar knows.
#[must_use]
pub fn billing_months(anchor: Wall, now: Wall, count: usize) -> Vec<(Wall, Wall)> {
    let Ok(first) = Timestamp::from_microsecond(anchor.as_unix_micros()) else { return Vec::new() };
    let civil = first.to_zoned(TimeZone::UTC).datetime();
    let start = |back: i64| {
        let start = civil.checked_sub(back.months()).ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(Wall::from_unix_micros(start.timestamp().as_microsecond()))
    };
    let months = (0_i64..).map_while(|back| Some((start(back)?, start(back - 1)?)));
    // An anchor may lie in the future: then the months before it are the ones that count.
    months.take(MOST_MONTHS).filter(|(start, _)| *start <= now).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        Wall::from_unix_micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn months(anchor: &str, now: &str, count: usize) -> Vec<(String, String)> {
        let text = |moment: Wall| {
            Timestamp::from_microsecond(moment.as_unix_micros()).unwrap().to_string()
        };
        let months = billing_months(wall(anchor), wall(now), count);
        months.into_iter().map(|(start, end)| (text(start), text(end))).collect()
    }

    #[test]
    fn months_go_back_from_the_anchor() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(
            months("2026-09-14T08:12:45Z", "2026-09-27T00:00:00Z", 2),
            [
                pair("2026-09-14T08:12:45Z", "2026-10-14T08:12:45Z"),
                pair("2026-08-14T08:12:45Z", "2026-09-14T08:12:45Z"),
            ]
        );
    }

    #[test]
    fn the_last_days_of_a_month_are_clamped_from_the_anchor_not_from_each_other() {
        let starts: Vec<String> = months("2026-05-31T00:00:00Z", "2026-06-05T00:00:00Z", 5)
            .into_iter()
            .map(|(start, _)| start[..10].to_owned())
            .collect();
        assert_eq!(starts, ["2026-05-31", "2026-04-30", "2026-03-31", "2026-02-28", "2026-01-31"]);
        // Each ends where the next begins: no hour is lost or counted twice.
        let months = months("2028-03-30T05:00:00Z", "2028-04-01T00:00:00Z", 4);
        for pair in months.windows(2) {
            assert_eq!(pair[1].1, pair[0].0);
        }
        assert_eq!(months[1].0, "2028-02-29T05:00:00Z");
    }

    #[test]
    fn an_anchor_ahead_is_passed_over() {
        let found = months("2027-01-14T08:00:00Z", "2026-11-20T00:00:00Z", 1);
        assert_eq!(found[0].0, "2026-11-14T08:00:00Z");
        assert!(billing_months(Wall::from_unix_micros(i64::MAX), Wall::default(), 3).is_empty());
        assert!(months("2090-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 3).is_empty());
    }
}
