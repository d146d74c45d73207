//! Timestamps as Chutes, HTTP and other services write them. Nothing here reads a clock.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize};

/// Unix microseconds (UTC) of an ISO 8601 timestamp, or `None` if it is not one.
///
/// Chutes writes naive times that mean UTC, times with `Z` and with `+00:00`, and recorders write
/// other offsets; a date alone means its first moment.
///
/// ```
/// use ripcord_wire::time::parse_timestamp;
/// assert_eq!(parse_timestamp("2026-09-28T00:00:00"), parse_timestamp("2026-09-28T02:00:00+02:00"));
/// assert_eq!(parse_timestamp("soon"), None);
/// ```
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_microsecond());
    }
    let naive = text.parse::<jiff::civil::DateTime>().ok()?;
    let moment = jiff::tz::Offset::UTC.to_timestamp(naive).ok()?;
    Some(moment.as_microsecond())
}

/// Unix microseconds of an HTTP date in any of its three forms.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<i64> {
    let moment = httpdate::parse_http_date(text.trim()).ok()?;
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

/// An HTTP date, for `Date` and `Retry-After`. Times before 1970 become 1970.
#[must_use]
pub fn format_http_date(unix_micros: i64) -> String {
    // The last second of the year 9999, beyond which the format ends.
    const LAST_SECOND: u64 = 253_402_300_799;
    let seconds = u64::try_from(unix_micros / 1_000_000).unwrap_or(0).min(LAST_SECOND);
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// `2026-09-28T00:00:00Z`, with microseconds only where there are some.
/// A value outside the calendar becomes its nearest end.
#[must_use]
pub fn format_timestamp(unix_micros: i64) -> String {
    let nearest = if unix_micros < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(unix_micros).unwrap_or(nearest).to_string()
}

/// `2026-09-27T12:00:00`: the same moment in UTC without saying so, to the whole second.
///
/// The only form that `GET /users/me/usage` takes: with an offset it answers 500 (recordings 131, 132).
///
/// ```
/// assert_eq!(ripcord_wire::time::format_naive_utc(1_790_510_400_999_999), "2026-09-27T12:00:00");
/// ```
#[must_use]
pub fn format_naive_utc(unix_micros: i64) -> String {
    let whole_seconds = unix_micros.div_euclid(1_000_000).saturating_mul(1_000_000);
    let text = format_timestamp(whole_seconds);
    // A calendar's far ends have fractions; everything else has only the letter to lose.
    text.split(['.', 'Z']).next().unwrap_or_default().to_owned()
}

/// A day of the calendar in UTC, as Chutes counts days.
///
/// ```
/// use ripcord_wire::time::Day;
///
/// let day = Day::parse("2026-11-20").unwrap();
/// assert_eq!(Some(day), Day::new(2026, 11, 20));
/// assert_eq!(day.to_string(), "2026-11-20");
/// assert_eq!(Day::new(2026, 2, 30), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(jiff::civil::Date);

impl Day {
    /// The day of that year, month (from 1) and day of the month (from 1), where there is one.
    #[must_use]
    pub fn new(year: i16, month: u8, day: u8) -> Option<Self> {
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        jiff::civil::Date::new(year, month, day).ok().map(Self)
    }

    /// Reads `2026-11-20`, or the day of a timestamp in any form that [`parse_timestamp`] reads.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(parse_timestamp(text)?)
    }

    /// The day in UTC on which a moment lies (Unix microseconds).
    #[must_use]
    pub fn of(unix_micros: i64) -> Option<Self> {
        let moment = jiff::Timestamp::from_microsecond(unix_micros).ok()?;
        Some(Self(jiff::tz::Offset::UTC.to_datetime(moment).date()))
    }

    /// The year.
    #[must_use]
    pub fn year(self) -> i16 {
        self.0.year()
    }

    /// The month, from 1.
    #[must_use]
    pub fn month(self) -> u8 {
        self.0.month().unsigned_abs()
    }

    /// The day of the month, from 1.
    #[must_use]
    pub fn day_of_month(self) -> u8 {
        self.0.day().unsigned_abs()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day_of_month())
    }
}

/// A timestamp as it was sent, readable or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(String);

impl Timestamp {
    /// Keeps a timestamp's text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Unix microseconds (UTC); `None` if the text is no timestamp.
    #[must_use]
    pub fn unix_micros(&self) -> Option<i64> {
        parse_timestamp(&self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_use() {
        let noon = 1_790_510_400_000_000;
        for text in [
            "2026-09-27T12:00:00",
            "2026-09-27T12:00:00Z",
            "2026-09-27T12:00:00+00:00",
            "2026-09-27 12:00:00+00:00",
            "2026-09-27T14:00:00+02:00",
            " 2026-09-27T12:00:00.000 ",
            "2026-09-27T12:00:00.000000",
            "2026-09-27T12:00",
        ] {
            assert_eq!(parse_timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(parse_timestamp("2026-09-27T12:00:00.123456"), Some(noon + 123_456));
        assert_eq!(parse_timestamp("2026-09-27"), Some(noon - 43_200_000_000));
        for text in ["", "2026-02-30T00:00:00", "1790510400", "yesterday", "2026-09-27T25:00:00"] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn naive_times_and_days_are_those_of_utc() {
        let evening = parse_timestamp("2026-11-20T23:59:59.5-02:00").unwrap();
        assert_eq!(format_naive_utc(evening), "2026-11-21T01:59:59");
        assert_eq!(Day::of(evening), Day::new(2026, 11, 21));
        assert_eq!(format_naive_utc(-1), "1969-12-31T23:59:59");
        assert_eq!(Day::parse("2026-11-20T23:59:59Z"), Day::new(2026, 11, 20));
        assert!(Day::new(2026, 12, 1) > Day::new(2026, 11, 30));
        for wrong in ["", "2026-13-01", "20.11.2026"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Day::of(i64::MAX), None);
        assert!(!format_naive_utc(i64::MIN).contains('Z'));
    }

    #[test]
    fn http_dates_there_and_back() {
        let text = "Fri, 20 Nov 2026 11:31:34 GMT";
        let micros = parse_http_date(text).unwrap();
        assert_eq!(format_timestamp(micros), "2026-11-20T11:31:34Z");
        assert_eq!(format_http_date(micros), text);
        assert_eq!(parse_http_date("Friday, 20-Nov-26 11:31:34 GMT"), Some(micros));
        assert_eq!(parse_http_date("Fri Nov 20 11:31:34 2026"), Some(micros));
        assert_eq!(parse_http_date("tomorrow"), None);
        assert_eq!(format_http_date(i64::MIN), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format_http_date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert!(format_timestamp(i64::MIN).starts_with("-009999"));
    }
}
