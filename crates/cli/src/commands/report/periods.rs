//! The rows of a report: days, hours and months of a calendar, made of the UTC hours by which Chutes counts.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use ripcord_rules::history::billing_months;
use ripcord_rules::time::Wall;

use crate::error::CommandError;

/// How many months a report looks back.
pub(super) const MONTHS: usize = 6;

/// Some hours, of which a report makes a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Period {
    /// What it is called in a table.
    pub(super) label: String,
    /// It holds every hour that begins from here on …
    pub(super) from: Wall,
    /// … and before this.
    pub(super) until: Wall,
}

/// By whose calendar days begin.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    zone: TimeZone,
    /// The zone that was asked for, where its days do not begin with an hour of UTC.
    pub(super) passed_over: Option<String>,
    now: Zoned,
}

// === impl Calendar ===

impl Calendar {
    /// The calendar of a zone, if its days of this span begin with a UTC hour; else that of UTC.
    pub(super) fn of(zone: &TimeZone, days: u64, now: Wall) -> Self {
        let in_utc = |passed_over| Self {
            zone: TimeZone::UTC,
            passed_over,
            now: timestamp(now).to_zoned(TimeZone::UTC),
        };
        let here = timestamp(now).to_zoned(zone.clone());
        let calendar = Self { zone: zone.clone(), passed_over: None, now: here };
        let starts = (0..=days).filter_map(|back| calendar.start_of_day(calendar.day(back)?));
        if starts.into_iter().all(|start| start.as_unix_seconds().rem_euclid(3600) == 0) {
            calendar
        } else {
            in_utc(Some(calendar.zone_name()))
        }
    }

    /// What the zone is called: `Europe/Berlin`, or its abbreviation.
    pub(super) fn zone_name(&self) -> String {
        match self.zone.iana_name() {
            Some("Etc/UTC") | None => self.abbreviation(),
            Some(name) => name.to_owned(),
        }
    }

    /// The zone in force now: `CEST`.
    pub(super) fn abbreviation(&self) -> String {
        self.now.strftime("%Z").to_string()
    }

    /// Today and the days before it, oldest first.
    pub(super) fn days(&self, count: u64) -> Vec<Period> {
        (0..count).rev().filter_map(|back| self.period_of_day(self.day(back)?)).collect()
    }

    /// The hours of a day, as many as it has.
    pub(super) fn hours(&self, day: Date) -> Vec<Period> {
        let Some(whole) = self.period_of_day(day) else { return Vec::new() };
        let zone_of = |moment: Wall| self.zoned(moment).strftime("%Z").to_string();
        let last = Wall::from_unix_seconds(whole.until.as_unix_seconds() - 1);
        let format = if zone_of(whole.from) == zone_of(last) { "%H:%M" } else { "%H:%M %Z" };
        let mut hours = Vec::new();
        let mut from = whole.from;
        while from < whole.until {
            let until = Wall::from_unix_seconds(from.as_unix_seconds() + 3600);
            let label = self.zoned(from).strftime(format).to_string();
            hours.push(Period { label, from, until });
            from = until;
        }
        hours
    }

    /// The day that somebody named.
    pub(super) fn day_of(&self, text: &str) -> Result<Date, CommandError> {
        let today = self.now.date();
        let day = match text.trim() {
            "today" => Some(today),
            "yesterday" => today.yesterday().ok(),
            other => other.parse().ok(),
        };
        let day = day.ok_or_else(|| {
            CommandError::usage(format!("--hourly `{text}` is no day"))
                .hint("write `2026-09-27`, `today` or `yesterday`")
        })?;
        if day > today {
            return Err(CommandError::usage(format!("--hourly {day} has not come yet"))
                .hint(format!("today is {today} in {}", self.zone_name())));
        }
        Ok(day)
    }

    /// This month of the calendar and those before it, oldest first.
    pub(super) fn months(&self) -> Vec<Period> {
        let first = self.now.date().first_of_month();
        let month = |back: i64| {
            let day = first.checked_sub(back.months()).ok()?;
            let next = day.checked_add(1.month()).ok()?;
            Some(Period {
                label: day.strftime("%b %Y").to_string(),
                from: self.start_of_day(day)?,
                until: self.start_of_day(next)?,
            })
        };
        (0..MONTHS as i64).rev().filter_map(month).collect()
    }

    /// The billing months that the anchor tells, oldest first. The hour in which a month turns counts to the one before;
    /// hours after the end of the one that runs count to it, since it ends only when billing says so.
    pub(super) fn billing_months(&self, anchor: Wall, count: usize, now: Wall) -> Vec<Period> {
        let months = billing_months(anchor, now, count);
        let runs = months.first().copied();
        let period = |(from, until): (Wall, Wall)| Period {
            label: format!("{} – {}", self.date(from), self.date(until)),
            from,
            until: if runs == Some((from, until)) { until.max(now) } else { until },
        };
        months.into_iter().rev().map(period).collect()
    }

    /// A moment: `27 Sep 11:00`.
    pub(super) fn hour_of(&self, moment: Wall) -> String {
        format!("{} {}", self.date(moment), self.zoned(moment).strftime("%H:00 %Z"))
    }

    fn date(&self, moment: Wall) -> String {
        let moment = self.zoned(moment);
        let is_this_year = moment.year() == self.now.year();
        moment.strftime(if is_this_year { "%-d %b" } else { "%-d %b %Y" }).to_string()
    }

    fn day(&self, back: u64) -> Option<Date> {
        self.now.date().checked_sub(i64::try_from(back).ok()?.days()).ok()
    }

    fn period_of_day(&self, day: Date) -> Option<Period> {
        let format = if day.year() == self.now.year() { "%a %-d %b" } else { "%-d %b %Y" };
        Some(Period {
            label: day.strftime(format).to_string(),
            from: self.start_of_day(day)?,
            until: self.start_of_day(day.tomorrow().ok()?)?,
        })
    }

    fn start_of_day(&self, day: Date) -> Option<Wall> {
        let start = day.to_zoned(self.zone.clone()).ok()?;
        Some(Wall::from_unix_micros(start.timestamp().as_microsecond()))
    }

    fn zoned(&self, moment: Wall) -> Zoned {
        timestamp(moment).to_zoned(self.zone.clone())
    }
}

fn timestamp(moment: Wall) -> Timestamp {
    Timestamp::from_microsecond(moment.as_unix_micros()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        Wall::from_unix_micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn calendar(zone: &str, now: &str) -> Calendar {
        Calendar::of(&TimeZone::get(zone).unwrap(), 30, wall(now))
    }

    #[test]
    fn days_are_those_of_the_zone_where_its_hours_are_whole() {
        let berlin = calendar("Europe/Berlin", "2026-09-27T23:30:00Z");
        let days = berlin.days(2);
        assert_eq!(days[1].label, "Mon 28 Sep");
        assert_eq!(days[1].from, wall("2026-09-27T22:00:00Z"));
        assert_eq!(days[0].until, days[1].from);
        let india = calendar("Asia/Kolkata", "2026-09-27T23:30:00Z");
        assert_eq!(india.passed_over.as_deref(), Some("Asia/Kolkata"));
        assert_eq!(india.zone_name(), "UTC");
        assert_eq!(india.days(1)[0].from, wall("2026-09-27T00:00:00Z"));
    }

    #[test]
    fn a_day_has_as_many_hours_as_it_has() {
        let berlin = calendar("Europe/Berlin", "2026-11-01T12:00:00Z");
        let hours = |day: &str| berlin.hours(day.parse().unwrap());
        assert_eq!(hours("2026-09-27").len(), 24);
        assert_eq!(hours("2026-03-29").len(), 23);
        let long = hours("2026-10-25");
        assert_eq!(long.len(), 25);
        assert_eq!((long[2].label.as_str(), long[3].label.as_str()), ("02:00 CEST", "02:00 CET"));
        assert_eq!(hours("2026-09-27")[5].label, "05:00");
    }

    #[test]
    fn months_meet_and_go_over_the_year() {
        let months = calendar("UTC", "2027-02-28T12:00:00Z").months();
        let labels: Vec<&str> = months.iter().map(|month| month.label.as_str()).collect();
        assert_eq!(
            labels,
            ["Sep 2026", "Oct 2026", "Nov 2026", "Dec 2026", "Jan 2027", "Feb 2027"]
        );
        for pair in months.windows(2) {
            assert_eq!(pair[0].until, pair[1].from);
        }
    }

    #[test]
    fn a_billing_month_that_is_overdue_goes_on() {
        let now = "2026-10-20T00:00:00Z";
        let utc = calendar("UTC", now);
        let months = utc.billing_months(wall("2026-09-14T08:12:45Z"), 2, wall(now));
        assert_eq!(months[1].label, "14 Sep – 14 Oct");
        assert_eq!(months[1].until, wall(now));
        assert_eq!(months[0].until, wall("2026-09-14T08:12:45Z"));
    }

    #[test]
    fn days_are_named_or_refused() {
        let utc = calendar("UTC", "2026-09-27T11:13:00Z");
        assert_eq!(utc.day_of("today").unwrap(), "2026-09-27".parse().unwrap());
        assert_eq!(utc.day_of(" yesterday").unwrap(), "2026-09-26".parse().unwrap());
        assert!(utc.day_of("27.9.2026").is_err());
        assert!(utc.day_of("2026-09-28").unwrap_err().message.contains("not come yet"));
    }
}
