//! How fast an account is being used, by whom, and when each window runs out at that rate.

use ripcord_rules::quota::{BurnRates, BurnSpan, Rate, RunsOut, Unit, Window, WindowKind};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use crate::figures::{amount_words, in_units, opened_at};
use crate::own_use::{Burn, Foreign, OwnUse};
use crate::printer::Page;
use crate::printer::moment::{self, Moments};
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::upstream::Reading;
use crate::verdict::{window_label, window_words};

/// How fast calls through this machine's gateway use an account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct BurnReport {
    /// Request units per hour.
    requests_per_hour: SpansReport,
    /// US dollars at list price per hour.
    usd_per_hour: SpansReport,
    /// Since when the ledger has every call, UTC; null without one.
    watched_since: Option<String>,
}

/// A figure per span; null where the span was not watched in full, or a price is missing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct SpansReport {
    /// Over the last five minutes.
    five_minutes: Option<f64>,
    /// Over the last hour.
    hour: Option<f64>,
    /// Over the last 24 hours.
    day: Option<f64>,
}

/// Where each rate leads; null where it is not known, or nothing is used.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RunsOutReport {
    /// At the rate of the last five minutes.
    five_minutes: Option<RunsOutAt>,
    /// At the rate of the last hour.
    hour: Option<RunsOutAt>,
    /// At the rate of the last 24 hours.
    day: Option<RunsOutAt>,
}

/// Where a rate leads.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct RunsOutAt {
    /// Used per hour, others included as far as they are known.
    per_hour: f64,
    /// When nothing is left, UTC.
    at: String,
    /// Whether that is before the window turns; null if nobody knows when it does.
    before_reset: Option<bool>,
}

/// What did not go through this machine's gateway.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ElsewhereReport {
    /// The window: `day`, `four_hour`, `month`.
    window: &'static str,
    /// `requests` or `usd`.
    unit: &'static str,
    /// At least this much,
    used_at_least: f64,
    /// since the window opened, UTC.
    since: String,
    /// Whether the ledger goes back as far: if not, an earlier gateway may have been it.
    is_known_in_full: bool,
}

/// The window that runs out first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FirstEnd {
    /// Which: `day`, `four_hour`, `month`, `chute`.
    window: &'static str,
    /// When nothing is left of it, UTC.
    at: String,
    /// The span whose rate says so: `five_minutes`, `hour`, `day`. The hour where it is known, else a shorter one.
    by_rate_of: &'static str,
    #[serde(skip)]
    #[schemars(skip)]
    found: (WindowKind, Wall, BurnSpan),
}

/// What was measured of one account.
pub(crate) struct Measured {
    burn: Burn,
    foreign: Vec<(Foreign, Window)>,
}

// === impl FirstEnd ===

impl FirstEnd {
    /// As a sentence.
    pub(crate) fn words(&self, moments: &Moments, now: Wall) -> String {
        let (kind, at, span) = self.found;
        format!(
            "At the rate of the last {} the {} runs out {}, at {}, before it resets.",
            span.in_words(),
            window_words(kind),
            moment::until(at, now),
            moments.at(at, now)
        )
    }
}

// === impl Measured ===

impl Measured {
    pub(crate) fn of(own_use: &OwnUse, reading: &Reading, now: Wall) -> Self {
        let windows = reading.snapshot.windows.iter().map(|window| window.at(now));
        let foreign =
            windows.filter_map(|window| Some((own_use.foreign(reading, &window)?, window)));
        Self { burn: own_use.burn(reading, now), foreign: foreign.collect() }
    }

    /// Request units of today that did not go through this machine's gateway.
    pub(super) fn elsewhere_requests(&self) -> Option<f64> {
        let mut all = self.foreign.iter().map(|(foreign, _)| foreign);
        let day = all.find(|foreign| foreign.kind == WindowKind::Day)?;
        Some(in_units(day.unit, day.used))
    }

    pub(super) fn elsewhere(&self) -> Vec<ElsewhereReport> {
        let report = |(foreign, _): &(Foreign, Window)| ElsewhereReport {
            window: foreign.kind.name(),
            unit: match foreign.unit {
                Unit::Requests => "requests",
                Unit::Usd => "usd",
            },
            used_at_least: in_units(foreign.unit, foreign.used),
            since: moment::utc(foreign.since),
            is_known_in_full: foreign.is_known_in_full,
        };
        self.foreign.iter().map(report).collect()
    }

    pub(crate) fn report(&self) -> BurnReport {
        let spans = |unit, rates: &BurnRates| {
            let per_hour = |span| rates.over(span).map(|rate| in_units(unit, rate.per_hour()));
            SpansReport {
                five_minutes: per_hour(BurnSpan::FiveMinutes),
                hour: per_hour(BurnSpan::Hour),
                day: per_hour(BurnSpan::Day),
            }
        };
        BurnReport {
            requests_per_hour: spans(Unit::Requests, &self.burn.units),
            usd_per_hour: spans(Unit::Usd, &self.burn.usd),
            watched_since: self.burn.watched_since.map(moment::utc),
        }
    }

    /// Where the rates lead, for a window of the whole account; `None` for the others.
    pub(super) fn runs_out(
        &self,
        chute_id: Option<&str>,
        window: &Window,
        now: Wall,
    ) -> Option<RunsOutReport> {
        if chute_id.is_some() {
            return None;
        }
        let at = |span| {
            let (rate, runs_out) = self.leads(window, span, now)?;
            let runs_out = runs_out?;
            Some(RunsOutAt {
                per_hour: in_units(window.unit, rate.per_hour()),
                at: moment::utc(runs_out.at),
                before_reset: runs_out.turns_first.map(|turns_first| !turns_first),
            })
        };
        Some(RunsOutReport {
            five_minutes: at(BurnSpan::FiveMinutes),
            hour: at(BurnSpan::Hour),
            day: at(BurnSpan::Day),
        })
    }

    /// Which of these windows runs out first, before it resets.
    pub(crate) fn first_end(&self, windows: &[Window], now: Wall) -> Option<FirstEnd> {
        let spans = [BurnSpan::Hour, BurnSpan::FiveMinutes];
        let span = spans.into_iter().find(|&span| self.burn.units.over(span).is_some())?;
        let ends = windows.iter().filter(|window| window.remaining() != Some(0));
        let ends = ends.filter_map(|window| {
            let runs_out = self.leads(window, span, now)?.1?;
            (runs_out.turns_first == Some(false)).then_some((window.kind, runs_out.at))
        });
        let (kind, at) = ends.min_by_key(|(_, at)| *at)?;
        Some(FirstEnd {
            window: kind.name(),
            at: moment::utc(at),
            by_rate_of: span.name(),
            found: (kind, at, span),
        })
    }

    /// A sentence about others, if there is enough to speak of.
    pub(super) fn warning(&self, moments: &Moments, now: Wall) -> Option<String> {
        let worth = self.foreign.iter().filter(|(foreign, window)| foreign.is_worth_a_word(window));
        // The longest window of a unit tells most of what the others do, too; the day is what people look at.
        let worth: Vec<&Foreign> = worth.map(|(foreign, _)| foreign).collect();
        let day = worth.iter().find(|foreign| foreign.kind == WindowKind::Day);
        let foreign = day.or_else(|| worth.first())?;
        let amount = match foreign.unit {
            Unit::Requests => format!("{} request units", amount_words(foreign.unit, foreign.used)),
            Unit::Usd => format!("{} at list price", amount_words(foreign.unit, foreign.used)),
        };
        Some(if foreign.is_known_in_full {
            let since = moments.at(foreign.since, now);
            format!(
                "Someone else uses this account too: at least {amount} since {since} did not go through this machine's \
                 gateway."
            )
        } else {
            let what = match foreign.kind {
                WindowKind::Day => {
                    format!("{} of today's request units", amount_words(foreign.unit, foreign.used))
                }
                kind => format!("{amount} in the {}", window_words(kind)),
            };
            format!(
                "At least {what} did not go through this machine's gateway, but another program or an earlier one."
            )
        })
    }

    /// The rates, and when each window runs out at them. Nothing without a ledger that has calls of the account.
    pub(super) fn draw(
        &self,
        page: &mut Page,
        windows: &[(Option<String>, Window)],
        moments: &Moments,
        now: Wall,
    ) {
        let is_idle = BurnSpan::ALL
            .iter()
            .all(|&span| self.burn.units.over(span).is_none_or(|rate| rate.used == 0));
        if !self.burn.is_known() || is_idle {
            return;
        }
        let mut columns = vec![Column::left("own calls, per hour")];
        columns.extend(BurnSpan::ALL.iter().map(|span| Column::right(span.in_words())));
        let mut table = Table::new(2, columns);
        for (label, unit) in [("requests", Unit::Requests), ("list price", Unit::Usd)] {
            let cell = |span: &BurnSpan| match self.burn.of(unit).over(*span) {
                Some(rate) => Text::from(amount_words(unit, rate.per_hour())),
                None => Text::new().dim("unknown"),
            };
            let cells = BurnSpan::ALL.iter().map(cell);
            table.row([Text::from(label)].into_iter().chain(cells).collect());
        }
        for (_, window) in windows.iter().filter(|(chute, _)| chute.is_none()) {
            if window.remaining().is_none_or(|left| left == 0) {
                continue;
            }
            let cells = BurnSpan::ALL.iter().map(|&span| self.cell(window, span, now));
            let label = Text::from(format!("{} runs out", window_label(window.kind)));
            table.row([label].into_iter().chain(cells).collect());
        }
        page.gap().table(table);
        if let Some(since) =
            self.burn.watched_since.filter(|&since| since > now.before(BurnSpan::Day.length()))
        {
            let since = moments.at(since, now);
            page.paragraph(
                2,
                Text::new().dim(format!(
                    "The ledger of this machine's gateway begins {since}: a rate over a longer time is not known."
                )),
            );
        }
    }

    fn cell(&self, window: &Window, span: BurnSpan, now: Wall) -> Text {
        match self.leads(window, span, now) {
            None => Text::new().dim("unknown"),
            Some((_, None)) => Text::new().dim("not at all"),
            Some((_, Some(RunsOut { turns_first: Some(true), .. }))) => {
                Text::new().dim("after its reset")
            }
            Some((_, Some(runs_out))) => Text::toned(Tone::Warn, moment::until(runs_out.at, now)),
        }
    }

    /// The rate at which the window is used, others included, and where it leads.
    fn leads(&self, window: &Window, span: BurnSpan, now: Wall) -> Option<(Rate, Option<RunsOut>)> {
        let own = self.burn.of(window.unit).over(span)?;
        let mut all = self.foreign.iter().map(|(foreign, _)| foreign);
        let others = all
            .find(|foreign| foreign.kind == window.kind && foreign.is_known_in_full)
            .filter(|_| opened_at(window).is_some())
            .and_then(|foreign| foreign.as_use().rate());
        let rate = others.map_or(own, |others| own.and(others));
        Some((rate, rate.runs_out(window, now)))
    }
}
