//! How fast models were: as this machine's gateway measured, else as the platform says of everybody's calls.

use std::collections::HashMap;
use std::time::Duration;

use ripcord_client::chutes::StatisticsQuery;
use ripcord_rules::recommend::Speed;
use ripcord_rules::time::Wall;
use ripcord_store::{Ledger as _, Outcome, RequestRow, SqliteLedger};
use ripcord_wire::chutes::LlmStats;
use ripcord_wire::time::Day;

use crate::context::Context;
use crate::error::CommandError;
use crate::upstream::{Upstream, explain};

/// The platform's figures are per day; older ones say little.
const DAYS: Duration = Duration::from_secs(2 * 86_400);
/// Own calls older than this say little.
const OWN_AGE: Duration = Duration::from_secs(86_400);
/// The newest own calls that are looked at.
const OWN_CALLS: usize = 5_000;
/// Fewer own calls of a model than this are chance.
const LEAST_CALLS: usize = 5;

/// How fast one model was, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) speed: Speed,
    pub(super) source: SpeedSource,
}

/// Who measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpeedSource {
    /// The platform, over everybody's calls of this day (UTC).
    Platform(String),
    /// This machine's gateway, the median of so many calls of the last 24 hours.
    Ledger(usize),
}

/// What was measured of every model.
#[derive(Debug, Default)]
pub(super) struct Speeds {
    by_chute: HashMap<String, Measured>,
    by_name: HashMap<String, Measured>,
    own: HashMap<String, Measured>,
}

// === impl Speeds ===

impl Speeds {
    /// Asks the platform; an answer that fails leaves only own figures.
    pub(super) async fn read(
        upstream: &Upstream,
        context: &Context,
    ) -> (Self, Option<CommandError>) {
        let now = context.now();
        let query = StatisticsQuery {
            first_day: Day::of(now.before(DAYS).as_unix_micros()),
            ..StatisticsQuery::default()
        };
        let mut speeds = Self { own: own(context, now).unwrap_or_default(), ..Self::default() };
        match upstream.public().llm_statistics(&query).await {
            Ok(reply) => {
                speeds.add_platform(reply.value.items);
                (speeds, None)
            }
            Err(error) => (speeds, Some(explain(&error))),
        }
    }

    fn add_platform(&mut self, mut rows: Vec<LlmStats>) {
        // The newest day of each model is written last, and stays.
        rows.sort_by_key(|row| {
            row.date.as_ref().and_then(ripcord_wire::time::Timestamp::unix_micros)
        });
        for row in rows {
            let speed = Speed {
                first_token_ms: thousandths(row.average_ttft),
                pace_milli: thousandths(row.average_tps),
            };
            let Some(day) = row.date.as_ref().and_then(|date| Day::parse(date.text())) else {
                continue;
            };
            if speed == Speed::default() {
                continue;
            }
            let measured = Measured { speed, source: SpeedSource::Platform(day.to_string()) };
            if let Some(chute) = row.chute_id {
                self.by_chute.insert(chute, measured.clone());
            }
            if let Some(name) = row.name {
                self.by_name.insert(name, measured);
            }
        }
    }

    /// The figures of one model: its own ones first.
    pub(super) fn of(&self, name: &str, chute_id: Option<&str>) -> Option<&Measured> {
        let platform = || {
            let by_chute = chute_id.and_then(|id| self.by_chute.get(id));
            by_chute.or_else(|| self.by_name.get(name))
        };
        self.own.get(name).or_else(platform)
    }
}

/// What the ledger of this machine's gateway says. A ledger that is not there or cannot be read says nothing.
fn own(context: &Context, now: Wall) -> Option<HashMap<String, Measured>> {
    let path = context.settings.gateway.state_directory.value.as_ref()?.join("ledger.sqlite");
    if !path.exists() {
        return None;
    }
    let rows = SqliteLedger::open(&path).ok()?.recent_requests(OWN_CALLS).ok()?;
    Some(medians(&rows, now.before(OWN_AGE)))
}

/// The median of the whole streams since a moment that went through at the first attempt: only there the first byte is
/// the model's alone.
fn medians(rows: &[RequestRow], since: Wall) -> HashMap<String, Measured> {
    let mut samples: HashMap<&str, (Vec<u64>, Vec<u64>)> = HashMap::new();
    for row in rows {
        let counts = row.is_stream
            && row.outcome == Outcome::Completed
            && row.attempt_count == 1
            && row.timing.started_at_unix_us >= since.as_unix_micros();
        let (Some(model), Some(first_byte), true) =
            (row.served_by.model.as_deref(), row.timing.first_byte_us, counts)
        else {
            continue;
        };
        let (waits, paces) = samples.entry(model).or_default();
        waits.push(first_byte.saturating_sub(row.timing.waited_us) / 1_000);
        let writing_us = row.timing.total_us.saturating_sub(first_byte);
        if let Some(tokens) = row.tokens.completion.filter(|_| writing_us > 0) {
            paces.push(tokens.saturating_mul(1_000_000_000) / writing_us);
        }
    }
    samples
        .into_iter()
        .filter(|(_, (waits, _))| waits.len() >= LEAST_CALLS)
        .map(|(model, (waits, paces))| {
            let calls = waits.len();
            let speed = Speed { first_token_ms: median(waits), pace_milli: median(paces) };
            (model.to_owned(), Measured { speed, source: SpeedSource::Ledger(calls) })
        })
        .collect()
}

fn median(mut figures: Vec<u64>) -> Option<u64> {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

/// A figure in thousandths; what is negative or no number is not known.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to lie between 0 and a million"
)]
fn thousandths(figure: Option<f64>) -> Option<u64> {
    figure.filter(|figure| (0.0..=1e6).contains(figure)).map(|figure| (figure * 1e3).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_store::{Cost, ServedBy, Timing, Tokens};
    use serde_json::json;

    #[test]
    fn the_newest_day_counts_and_what_is_no_figure_is_not_known() {
        let row = |value| serde_json::from_value::<LlmStats>(value).unwrap();
        let mut speeds = Speeds::default();
        speeds.add_platform(vec![
            row(json!({"chute_id": "c1", "name": "a/b", "date": "2026-11-20", "average_ttft": 1.25, "average_tps": 60})),
            row(json!({"chute_id": "c1", "name": "a/b", "date": "2026-11-19", "average_ttft": 9.0, "average_tps": 1})),
            row(json!({"chute_id": "c2", "name": "a/c", "date": "2026-11-20", "average_ttft": -1.0, "average_tps": null})),
        ]);
        let found = speeds.of("renamed", Some("c1")).unwrap();
        assert_eq!(found.speed, Speed { first_token_ms: Some(1_250), pace_milli: Some(60_000) });
        assert_eq!(found.source, SpeedSource::Platform("2026-11-20".to_owned()));
        assert_eq!(speeds.of("a/b", None), Some(found));
        assert_eq!(speeds.of("a/c", Some("c2")), None);
    }

    #[test]
    fn own_figures_are_the_median_of_calls_that_went_through_at_once() {
        let row = |first_byte_us, attempt_count| RequestRow {
            request_id: "r".into(),
            client_key: None,
            route: "chat/completions".into(),
            requested_model: None,
            served_by: ServedBy { model: Some("a/b".into()), ..ServedBy::default() },
            is_stream: true,
            priority: None,
            deadline_us: None,
            status: Some(200),
            outcome: Outcome::Completed,
            cause: None,
            attempt_count,
            tokens: Tokens { completion: Some(100), ..Tokens::default() },
            cost: Cost::default(),
            timing: Timing {
                started_at_unix_us: 5,
                waited_us: 100_000,
                first_byte_us: Some(first_byte_us),
                total_us: first_byte_us + 2_000_000,
            },
        };
        let mut rows: Vec<_> = [1, 2, 3, 4].map(|tenths| row(tenths * 100_000, 1)).to_vec();
        rows.push(row(60_000_000, 3));
        let since = Wall::from_unix_micros(0);
        assert!(medians(&rows, since).is_empty(), "four calls are chance");
        rows.push(row(500_000, 1));
        let found = medians(&rows, since);
        let speed = Speed { first_token_ms: Some(200), pace_milli: Some(50_000) };
        assert_eq!(found["a/b"], Measured { speed, source: SpeedSource::Ledger(5) });
        assert!(medians(&rows, Wall::from_unix_micros(6)).is_empty(), "they are too old");
    }
}
