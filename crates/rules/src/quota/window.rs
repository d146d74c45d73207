//! One limit of an account, with where the figure comes from and how old it is.

use super::calendar::{four_hour_window, next_day_reset};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};
use std::fmt;

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowKind {
    /// Request units, turning at 00:00 UTC.
    Day,
    /// Dollars at list price, fixed UTC buckets.
    FourHour,
    /// Dollars at list price, anchored at the billing date.
    Month,
    /// An own quota of one chute, in request units, turning at 00:00 UTC.
    Chute,
}

/// What a window is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// [`MilliUnits`].
    Requests,
    /// [`NanoUsd`].
    Usd,
}

/// How much fits in a window, in thousandths of a request or billionths of a dollar, as its [`Unit`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cap {
    /// This much.
    Limited(i64),
    /// The window counts but does not limit.
    Uncapped,
    /// Not known. Neither zero nor unlimited.
    Unknown,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An account endpoint.
    Server,
    /// A header of an inference answer.
    Header,
    /// Worked out here.
    Estimate,
}

/// One limit of an account at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which limit.
    pub kind: WindowKind,
    /// What `used` and `cap` are counted in.
    pub unit: Unit,
    /// Used so far, in thousandths or billionths; `None` if not known.
    pub used: Option<i64>,
    /// How much fits.
    pub cap: Cap,
    /// When it turns. May lie in the past for `month` (`chutes/api.md` 2.4); `None` if not known.
    pub resets_at: Option<Wall>,
    /// When the figure was true.
    pub as_of: Wall,
    /// Who says so.
    pub source: Source,
}

// === impl WindowKind ===

impl WindowKind {
    /// The name in configuration, JSON and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::FourHour => "four_hour",
            Self::Month => "month",
            Self::Chute => "chute",
        }
    }

    /// The name in sentences.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::FourHour => "4-hour",
            Self::Month => "month",
            Self::Chute => "model's own",
        }
    }

    /// The window of that name, as people type it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "day" | "daily" => Self::Day,
            "four_hour" | "four-hour" | "4h" => Self::FourHour,
            "month" | "monthly" => Self::Month,
            "chute" => Self::Chute,
            _ => return None,
        })
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

// === impl Window ===

impl Window {
    /// What still fits, never negative. `None` if that is not known or nothing limits it.
    #[must_use]
    pub const fn remaining(&self) -> Option<i64> {
        match (self.cap, self.used) {
            (Cap::Limited(cap), Some(used)) => {
                let rest = cap.saturating_sub(used);
                Some(if rest > 0 { rest } else { 0 })
            }
            _ => None,
        }
    }

    /// The share used, in thousandths of the cap, never below 0; `None` if not known or not limited.
    /// A cap of 0 is used up from the start: 1000.
    #[must_use]
    pub fn used_permille(&self) -> Option<u64> {
        let (Cap::Limited(cap), Some(used)) = (self.cap, self.used) else { return None };
        if cap <= 0 {
            return Some(1_000);
        }
        let permille = i128::from(used.max(0)) * 1_000 / i128::from(cap);
        u64::try_from(permille).ok()
    }

    /// The figures as they stand at `now`: once a window that rolls by itself has turned, a figure from before
    /// says nothing about the new one except that it began at zero, so `used` becomes an estimate of 0.
    ///
    /// `month` does not roll by itself (`chutes/api.md` 2.4) and keeps its figure.
    #[must_use]
    pub fn at(&self, now: Wall) -> Self {
        let mut window = self.clone();
        let rolled = match self.kind {
            WindowKind::Month => return window,
            WindowKind::Day | WindowKind::Chute => next_day_reset(self.as_of),
            WindowKind::FourHour => four_hour_window(self.as_of).1,
        };
        if now >= rolled {
            window.used = self.used.map(|_| 0);
            window.source = Source::Estimate;
        }
        window.resets_at = window.turns_at(now);
        window
    }

    /// When the window that holds `now` turns: from the calendar where that decides (the server's figure is the
    /// same, or older than the last turn), from the server for `month`.
    #[must_use]
    pub const fn turns_at(&self, now: Wall) -> Option<Wall> {
        match self.kind {
            WindowKind::Day | WindowKind::Chute => Some(next_day_reset(now)),
            WindowKind::FourHour => Some(four_hour_window(now).1),
            WindowKind::Month => self.resets_at,
        }
    }

    /// An amount of this window's unit, for people.
    #[must_use]
    pub fn amount(&self, value: i64) -> String {
        match self.unit {
            Unit::Requests => MilliUnits(value).to_string(),
            Unit::Usd => NanoUsd(value).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_790_510_400; // 2026-09-27T12:00:00Z

    fn window(kind: WindowKind, used: Option<i64>, cap: Cap, as_of: i64) -> Window {
        Window {
            kind,
            unit: Unit::Usd,
            used,
            cap,
            resets_at: None,
            as_of: Wall::from_unix_seconds(as_of),
            source: Source::Server,
        }
    }

    #[test]
    fn unknown_is_neither_zero_nor_used_up() {
        let unknown = window(WindowKind::Day, None, Cap::Limited(10), NOON);
        assert_eq!((unknown.remaining(), unknown.used_permille()), (None, None));
        let uncapped = window(WindowKind::Month, Some(3), Cap::Uncapped, NOON);
        assert_eq!((uncapped.remaining(), uncapped.used_permille()), (None, None));
        let later = unknown.at(Wall::from_unix_seconds(NOON + 86_400));
        assert_eq!(later.used, None, "a turned window with unknown use stays unknown");
    }

    #[test]
    fn one_percent_is_not_everything() {
        assert_eq!(
            window(WindowKind::FourHour, Some(1), Cap::Limited(100), NOON).used_permille(),
            Some(10)
        );
        assert_eq!(
            window(WindowKind::FourHour, Some(120), Cap::Limited(100), NOON).used_permille(),
            Some(1_200)
        );
        assert_eq!(
            window(WindowKind::FourHour, Some(120), Cap::Limited(100), NOON).remaining(),
            Some(0)
        );
        assert_eq!(
            window(WindowKind::Day, Some(0), Cap::Limited(0), NOON).used_permille(),
            Some(1_000)
        );
    }

    #[test]
    fn a_figure_from_before_the_turn_does_not_fill_the_new_window() {
        let full = window(WindowKind::FourHour, Some(100), Cap::Limited(100), NOON - 1);
        assert_eq!(full.at(Wall::from_unix_seconds(NOON - 1)).used, Some(100));
        let turned = full.at(Wall::from_unix_seconds(NOON));
        assert_eq!((turned.used, turned.source), (Some(0), Source::Estimate));
        assert_eq!(turned.resets_at, Some(Wall::from_unix_seconds(NOON + 14_400)));
    }

    #[test]
    fn a_clock_that_steps_back_refills_nothing() {
        let full = window(WindowKind::FourHour, Some(100), Cap::Limited(100), NOON);
        assert_eq!(full.at(Wall::from_unix_seconds(NOON - 20_000)).used, Some(100));
    }

    #[test]
    fn the_month_waits_for_billing() {
        let mut month = window(WindowKind::Month, Some(100), Cap::Limited(100), NOON - 90);
        month.resets_at = Some(Wall::from_unix_seconds(NOON - 60));
        let now = Wall::from_unix_seconds(NOON);
        assert_eq!((month.at(now).used, month.at(now).resets_at), (Some(100), month.resets_at));
    }
}
