//! Moments and durations for people: local time with its zone, and "in 2 h 13 min". JSON has UTC.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ripcord_rules::time::Wall;

/// No place is further from UTC: Kiribati is 14 hours ahead.
const MOST_OFFSET_SECONDS: i32 = 14 * 3600;

/// Shows moments in one zone, seen from one present.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    zone: TimeZone,
}

// === impl Moments ===

impl Moments {
    /// Shows moments in UTC.
    pub(crate) const fn utc() -> Self {
        Self { zone: TimeZone::UTC }
    }

    /// Reads the name of a zone: `local`, `UTC`, an IANA name, a fixed offset (`+02:00`) or a POSIX rule.
    pub(crate) fn in_zone(name: &str) -> Result<Self, String> {
        let name = name.trim();
        let zone = match name.to_ascii_lowercase().as_str() {
            // A machine that does not say where it is, such as a bare container, is in UTC.
            "" | "local" => Some(TimeZone::system()).filter(|zone| !zone.is_unknown()).unwrap_or(TimeZone::UTC),
            "utc" | "z" => TimeZone::UTC,
            _ => fixed_offset(name)
                .or_else(|| TimeZone::get(name).ok())
                .or_else(|| name.contains(',').then(|| TimeZone::posix(name).ok()).flatten())
                .ok_or_else(|| {
                    format!("`{name}` is no time zone; write `local`, `UTC`, `Europe/Berlin` or `+02:00`")
                })?,
        };
        Ok(Self { zone })
    }

    /// The zone in which moments are shown.
    pub(crate) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether this is the zone of a machine that does not say which that is.
    pub(crate) fn machine_is_nowhere() -> bool {
        TimeZone::system().is_unknown()
    }

    /// The time of day, with the date where it is another one, and the zone: `14:00 CEST`, `Sat 3 Oct 02:00 CEST`.
    pub(crate) fn at(&self, moment: Wall, now: Wall) -> String {
        let (moment, now) = (self.zoned(moment), self.zoned(now));
        let format = if moment.date() == now.date() {
            "%H:%M %Z"
        } else if moment.year() == now.year() || moment.duration_since(&now).as_hours() < 24 * 40 {
            "%a %-d %b %H:%M %Z"
        } else {
            "%-d %b %Y %H:%M %Z"
        };
        moment.strftime(format).to_string()
    }

    /// The zone in force at `now`: `CEST`. For the head of a column of [`Self::short`] moments.
    pub(crate) fn zone_name(&self, now: Wall) -> String {
        self.zoned(now).strftime("%Z").to_string()
    }

    /// As [`Self::at`] under a head that names the zone; where another one is in force, it is added.
    pub(crate) fn short(&self, moment: Wall, now: Wall) -> String {
        let (there, here) = (self.zoned(moment), self.zoned(now));
        let format = if there.date() == here.date() {
            "%H:%M"
        } else if there.duration_since(&here).as_hours().abs() < 24 * 300 {
            "%-d %b %H:%M"
        } else {
            "%-d %b %Y"
        };
        let same_zone = there.strftime("%Z").to_string() == here.strftime("%Z").to_string();
        let zone = if same_zone { "" } else { " %Z" };
        there.strftime(&format!("{format}{zone}")).to_string()
    }

    /// By how many seconds the zone is ahead of UTC at that moment.
    pub(crate) fn offset_seconds(&self, moment: Wall) -> i32 {
        self.zoned(moment).offset().seconds()
    }

    fn zoned(&self, moment: Wall) -> Zoned {
        timestamp(moment).to_zoned(self.zone.clone())
    }
}

fn timestamp(moment: Wall) -> Timestamp {
    Timestamp::from_microsecond(moment.as_unix_micros()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The moment in UTC with whole seconds, for JSON: `2026-09-28T00:00:00Z`.
pub(crate) fn utc(moment: Wall) -> String {
    timestamp(Wall::from_unix_seconds(moment.as_unix_seconds())).to_string()
}

/// `+02:00`, `-0530`, `UTC+2`.
fn fixed_offset(text: &str) -> Option<TimeZone> {
    let text = text.strip_prefix("UTC").unwrap_or(text);
    let negative = match text.as_bytes().first()? {
        b'+' => false,
        b'-' => true,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|character| *character != ':').collect();
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) =
        digits.split_at(if digits.len() > 2 { digits.len() - 2 } else { digits.len() });
    let hours: i32 = hours.parse().ok()?;
    let minutes: i32 = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    let seconds = hours * 3600 + minutes * 60;
    if minutes > 59 || seconds > MOST_OFFSET_SECONDS {
        return None;
    }
    let offset = jiff::tz::Offset::from_seconds(if negative { -seconds } else { seconds }).ok()?;
    Some(TimeZone::fixed(offset))
}

/// A duration in at most two units: `47 s`, `12 min`, `2 h 13 min`, `3 d 4 h`. Rounded down, so that nobody waits
/// for a moment that has not come.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    if seconds < 60 {
        format!("{seconds} s")
    } else if minutes < 5 {
        two(minutes, "min", seconds % 60, "s")
    } else if minutes < 60 {
        format!("{minutes} min")
    } else if hours < 24 {
        two(hours, "h", minutes % 60, "min")
    } else {
        two(days, "d", hours % 24, "h")
    }
}

/// `in 2 h 13 min`, or `now` if the moment has come.
pub(crate) fn until(moment: Wall, now: Wall) -> String {
    let left = moment.since(now);
    if left.as_secs() == 0 { "now".to_owned() } else { format!("in {}", duration(left)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Wall = Wall::from_unix_seconds(1_790_510_400);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn durations_read_in_two_units() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (150, "2 min 30 s"),
            (2_820, "47 min"),
            (7_980, "2 h 13 min"),
            (7_200, "2 h"),
            (86_400, "1 d"),
            (1_479_165, "17 d 2 h"),
        ];
        for (input, expected) in cases {
            assert_eq!(duration(seconds(input)), expected);
        }
    }

    #[test]
    fn moments_carry_their_zone_and_a_date_when_it_differs() {
        let moments = Moments::in_zone("+02:00").unwrap();
        assert_eq!(moments.at(NOON.after(seconds(3600)), NOON), "15:00 +02");
        assert_eq!(moments.at(NOON.after(seconds(12 * 3600)), NOON), "Mon 28 Sep 02:00 +02");
        assert_eq!(Moments::in_zone("UTC").unwrap().at(NOON, NOON), "12:00 UTC");
        assert_eq!(utc(NOON), "2026-09-27T12:00:00Z");
    }

    #[test]
    fn a_column_names_its_zone_once_and_other_zones_where_they_hold() {
        let moments = Moments::in_zone("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(moments.zone_name(NOON), "CEST");
        assert_eq!(moments.short(NOON, NOON), "14:00");
        assert_eq!(moments.short(NOON.after(seconds(12 * 3600)), NOON), "28 Sep 02:00");
        assert_eq!(moments.short(NOON.after(seconds(40 * 86_400)), NOON), "6 Nov 13:00 CET");
    }

    #[test]
    fn zones_are_read_or_refused_with_an_example() {
        for good in [
            "local",
            "UTC",
            "Europe/Berlin",
            "+02:00",
            "-0530",
            "UTC+2",
            "CET-1CEST,M3.5.0,M10.5.0/3",
        ] {
            assert!(Moments::in_zone(good).is_ok(), "{good}");
        }
        assert!(Moments::in_zone("Mars/Olympus").unwrap_err().contains("Europe/Berlin"));
        for bad in ["+99", "+25:00", "+14:01", "-02:75"] {
            assert!(Moments::in_zone(bad).is_err(), "{bad}");
        }
        assert!(Moments::in_zone("-03:30").is_ok());
        assert!(Moments::in_zone("+14:00").is_ok());
    }

    #[test]
    fn past_and_future_are_told_apart() {
        assert_eq!(until(NOON, NOON), "now");
        assert_eq!(until(NOON, NOON.after(seconds(5))), "now");
        assert_eq!(until(NOON.after(seconds(7_980)), NOON), "in 2 h 13 min");
    }
}
