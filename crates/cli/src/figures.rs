//! An account's figures as JSON and as lines for a person. Every figure carries its age and its source; what is
//! not known is null or `unknown`, never 0.

use std::time::Duration;

use jiff::{Span, Timestamp, tz::TimeZone};
use ripcord_rules::quota::{Cap, FOUR_HOURS, Source, Unit, Window, WindowKind};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use schemars::JsonSchema;
use serde::Serialize;

use crate::commands::usage::burn::RunsOutReport;
use crate::printer::bar::{Permille, bar};
use crate::printer::moment::{self, Moments};
use crate::printer::number;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::verdict::window_label;

/// From this share on a window is worth a look, in thousandths.
const LOW_PERMILLE: u64 = 800;
/// A pace measured over less than this says nothing.
const LEAST_MEASURE: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);

/// One limit of an account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct WindowReport {
    /// Which limit: `day`, `four_hour`, `month`, `chute`.
    pub(crate) window: &'static str,
    /// The chute whose own quota this is, for `chute`.
    pub(crate) chute_id: Option<String>,
    /// What it is counted in: `requests` (request units) or `usd` (US dollars at list price).
    pub(crate) unit: &'static str,
    /// Used so far; null if not known.
    pub(crate) used: Option<f64>,
    /// How much fits; null if nothing limits it or it is not known.
    pub(crate) cap: Option<f64>,
    /// Whether the window counts but does not limit.
    pub(crate) uncapped: bool,
    /// What still fits, never negative; null if nothing limits it or it is not known.
    pub(crate) remaining: Option<f64>,
    /// The share used, in percent of the cap; may exceed 100.
    pub(crate) used_percent: Option<f64>,
    /// When it turns, UTC. May lie in the past for `month`, which turns only when billing says so.
    pub(crate) resets_at: Option<String>,
    /// Seconds until it turns, 0 if the moment has passed.
    pub(crate) resets_in_seconds: Option<u64>,
    /// The average use per hour since the window opened; null while there is too little to measure.
    pub(crate) per_hour: Option<f64>,
    /// When it would be used up at that pace, if that is before it turns.
    pub(crate) runs_out_at: Option<String>,
    /// When it would be used up if own calls through this machine's gateway, and what others use, go on as over the last
    /// 5 minutes, hour and day. Only in `ripcord usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runs_out: Option<RunsOutReport>,
    /// When the figure was true, UTC.
    pub(crate) as_of: String,
    /// The age of the figure in seconds.
    pub(crate) age_seconds: u64,
    /// Who says so: `server`, `header`, `estimate`.
    pub(crate) source: &'static str,
}

/// How fast a window is being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Thousandths or billionths per hour, as the window's unit says.
    pub(crate) per_hour: i64,
    /// When it runs out, if before it turns.
    pub(crate) runs_out_at: Option<Wall>,
}

// === impl WindowReport ===

impl WindowReport {
    /// A window as it stands at `now`.
    pub(crate) fn new(window: &Window, chute_id: Option<&str>, now: Wall) -> Self {
        let number = |value: i64| in_units(window.unit, value);
        let pace = pace(window);
        Self {
            window: window.kind.name(),
            chute_id: chute_id.map(str::to_owned),
            unit: match window.unit {
                Unit::Requests => "requests",
                Unit::Usd => "usd",
            },
            used: window.used.map(number),
            cap: match window.cap {
                Cap::Limited(cap) => Some(number(cap)),
                Cap::Uncapped | Cap::Unknown => None,
            },
            uncapped: window.cap == Cap::Uncapped,
            remaining: window.remaining().map(number),
            used_percent: window.used_permille().map(|permille| permille as f64 / 10.0),
            resets_at: window.resets_at.map(moment::utc),
            resets_in_seconds: window.resets_at.map(|turns| turns.since(now).as_secs()),
            per_hour: pace.map(|pace| number(pace.per_hour)),
            runs_out_at: pace.and_then(|pace| pace.runs_out_at).map(moment::utc),
            runs_out: None,
            as_of: moment::utc(window.as_of),
            age_seconds: now.since(window.as_of).as_secs(),
            source: source_word(window.source),
        }
    }
}

/// Dollars as a JSON number.
pub(crate) fn usd(amount: NanoUsd) -> f64 {
    in_units(Unit::Usd, amount.0)
}

pub(crate) fn in_units(unit: Unit, value: i64) -> f64 {
    let scale = match unit {
        Unit::Requests => 1e3,
        Unit::Usd => 1e9,
    };
    value as f64 / scale
}

pub(crate) const fn source_word(source: Source) -> &'static str {
    match source {
        Source::Server => "server",
        Source::Header => "header",
        Source::Estimate => "estimate",
    }
}

/// When the window that is open now began.
pub(crate) fn opened_at(window: &Window) -> Option<Wall> {
    let turns = window.resets_at?;
    match window.kind {
        WindowKind::Day | WindowKind::Chute => Some(turns.before(DAY)),
        WindowKind::FourHour => Some(turns.before(FOUR_HOURS)),
        WindowKind::Month => {
            let turns = Timestamp::from_microsecond(turns.as_unix_micros()).ok()?;
            let opened = turns.to_zoned(TimeZone::UTC).checked_sub(Span::new().months(1)).ok()?;
            Some(Wall::from_unix_micros(opened.timestamp().as_microsecond()))
        }
    }
}

/// The average pace since the window opened, and where it leads. `None` while there is too little to measure.
pub(crate) fn pace(window: &Window) -> Option<Pace> {
    let used = window.used?;
    let measured = window.as_of.since(opened_at(window)?);
    if measured < LEAST_MEASURE {
        return None;
    }
    let seconds = i128::from(measured.as_secs());
    let per_hour = i64::try_from(i128::from(used) * 3600 / seconds).ok()?;
    let runs_out_at = window.remaining().filter(|_| used > 0).and_then(|left| {
        let seconds_left = i128::from(left) * seconds / i128::from(used);
        let left = Duration::from_secs(u64::try_from(seconds_left).ok()?);
        let moment = window.as_of.after(left);
        (left > Duration::ZERO && window.resets_at.is_some_and(|turns| moment < turns))
            .then_some(moment)
    });
    Some(Pace { per_hour, runs_out_at })
}

/// The table of an account's windows.
pub(crate) fn table(
    windows: &[(Option<String>, Window)],
    moments: &Moments,
    now: Wall,
    width: usize,
) -> Table {
    let cells = match width {
        0..66 => 5,
        66..90 => 8,
        90..120 => 16,
        _ => 30,
    };
    let mut table = Table::new(
        2,
        vec![
            Column::left(""),
            Column::left("").leaves(3),
            Column::right("used").leaves(1),
            Column::right("of").leaves(2),
            Column::right("left"),
            Column::right("resets"),
            Column::left(format!("at {}", moments.zone_name(now))).leaves(4),
        ],
    );
    for (chute_id, window) in windows {
        let label = match chute_id {
            Some(id) => format!("chute {}", id.chars().take(8).collect::<String>()),
            None => window_label(window.kind).to_owned(),
        };
        let permille = window.used_permille();
        let tone = tone(permille);
        let shown = permille.map(|permille| Permille(u32::try_from(permille).unwrap_or(u32::MAX)));
        let amount = |value: Option<i64>| {
            value.map_or_else(unknown, |value| amount_words(window.unit, value).into())
        };
        let (of, left) = match window.cap {
            Cap::Limited(cap) => (amount(Some(cap)), amount(window.remaining())),
            Cap::Uncapped => (Text::from("no cap"), Text::new()),
            Cap::Unknown => (unknown(), unknown()),
        };
        let left = if tone == Tone::Plain { left } else { left.tinted(tone) };
        let (resets, at) = match window.resets_at {
            Some(turns) if turns <= now => {
                (Text::from("overdue"), Text::from(moments.short(turns, now)))
            }
            Some(turns) => {
                (Text::from(moment::until(turns, now)), Text::new().dim(moments.short(turns, now)))
            }
            None => (unknown(), Text::new()),
        };
        table.row(vec![
            Text::toned(Tone::Strong, label),
            bar(shown, cells, if tone == Tone::Plain { Tone::Good } else { tone }),
            amount(window.used),
            of,
            left,
            resets,
            at,
        ]);
    }
    table
}

/// How a share of a window should strike the eye.
pub(crate) const fn tone(permille: Option<u64>) -> Tone {
    match permille {
        Some(1000..) => Tone::Bad,
        Some(LOW_PERMILLE..) => Tone::Warn,
        Some(_) | None => Tone::Plain,
    }
}

/// An amount of a window for a person.
pub(crate) fn amount_words(unit: Unit, value: i64) -> String {
    match unit {
        Unit::Requests => number::units(MilliUnits(value)),
        Unit::Usd => NanoUsd(value).to_string(),
    }
}

fn unknown() -> Text {
    Text::new().dim("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z

    fn day(used: i64) -> Window {
        Window {
            kind: WindowKind::Day,
            unit: Unit::Requests,
            used: Some(used),
            cap: Cap::Limited(5_000_000),
            resets_at: Some(NOON.after(Duration::from_secs(12 * 3600))),
            as_of: NOON,
            source: Source::Server,
        }
    }

    #[test]
    fn the_pace_is_the_average_since_the_window_opened() {
        let slow = pace(&day(1_200_000)).unwrap();
        assert_eq!(slow, Pace { per_hour: 100_000, runs_out_at: None });
        let fast = pace(&day(4_000_000)).unwrap();
        assert_eq!(fast.runs_out_at, Some(NOON.after(Duration::from_secs(3 * 3600))));
    }

    #[test]
    fn what_is_used_up_or_unknown_has_no_end_ahead() {
        assert_eq!(pace(&day(6_000_000)).unwrap().runs_out_at, None);
        assert_eq!(pace(&Window { used: None, ..day(0) }), None);
        assert_eq!(pace(&day(0)).unwrap().runs_out_at, None);
    }

    #[test]
    fn unknown_is_null_and_never_zero() {
        let window = Window { used: None, cap: Cap::Unknown, resets_at: None, ..day(0) };
        let report = WindowReport::new(&window, None, NOON);
        assert_eq!(
            (report.used, report.cap, report.remaining, report.used_percent),
            (None, None, None, None)
        );
        let lines = table(&[(None, window)], &Moments::utc(), NOON, 80);
        let device = crate::printer::Device {
            terminal: false,
            error_terminal: false,
            color: false,
            error_color: false,
            unicode: true,
            width: 80,
            cuts: true,
        };
        let row = lines.lines(device)[1].render(false);
        assert_eq!(row.matches("unknown").count(), 4, "{row}");
    }
}
