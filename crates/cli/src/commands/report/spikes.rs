//! Hours far above the usual, and what did it.

use ripcord_rules::history::{SPIKE_RULE, Usual, usual};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use schemars::JsonSchema;
use serde::Serialize;

use super::sums::{Facts, ServerSum};
use super::words;
use crate::context::Context;
use crate::figures::usd;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};

/// Fewer requests in an hour are nothing to ask about.
const LEAST_REQUESTS: i64 = 50;

/// Nor is less than this at list price.
const LEAST_WORTH: NanoUsd = NanoUsd::from_cents(25);

/// More than these models do not explain an hour.
const MOST_MODELS: usize = 3;

/// More hours than these are no exception, and nobody reads them.
const MOST_SPIKES: usize = 50;

/// What stands out.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SpikesReport {
    /// What is usual for requests; null if there were fewer than 12 hours of use.
    requests: Option<UsualReport>,
    /// What is usual for value at list price, in US dollars (as if nothing came from a cache); null as above.
    value_usd: Option<UsualReport>,
    /// The hours above one of the two thresholds, the largest first; 50 at most.
    hours: Vec<SpikeReport>,
}

/// What is usual in an hour that was used at all.
#[derive(Debug, Serialize, JsonSchema)]
struct UsualReport {
    /// Hours of use.
    hours_of_use: usize,
    /// Half of them had no more than this.
    median: f64,
    /// Half of them lie no further from the median than this.
    median_distance: f64,
    /// An hour above this stands out: the largest of the median and six distances, three times the median, and a
    /// floor (50 requests, or 0.25 dollars).
    threshold: f64,
}

/// An hour that stands out.
#[derive(Debug, Serialize, JsonSchema)]
struct SpikeReport {
    /// When it began, UTC.
    from: String,
    /// Its requests.
    requests: u64,
    /// What they were worth at list price at the most, in US dollars.
    value_usd_most: f64,
    /// What was taken from the balance, in US dollars.
    charged_usd: f64,
    /// The models that did most of it, the largest first.
    models: Vec<ShareReport>,
    #[serde(skip)]
    began: Wall,
}

/// A model's part in it.
#[derive(Debug, Serialize, JsonSchema)]
struct ShareReport {
    /// The model's name, or the beginning of its chute's id if no list names it any more.
    model: String,
    /// Its requests.
    requests: u64,
    /// Its share of the hour's value, or of its requests where no value is known, in percent.
    percent: u64,
}

/// When an hour began, what it came to, and the part of each model.
type Hour = (Wall, ServerSum, Vec<(String, ServerSum)>);

/// The spikes between two moments.
pub(super) fn find(facts: &Facts<'_>, from: Wall, until: Wall) -> SpikesReport {
    let mut hours: Vec<Hour> = Vec::new();
    for row in facts.hours(from, until) {
        let began = Wall::from_unix_seconds(row.hour_unix_seconds);
        let part = (facts.prices.name(row.chute_id.as_deref()), facts.hour(row));
        match hours.last_mut() {
            Some((hour, sum, parts)) if *hour == began => {
                *sum = sum.plus(part.1);
                parts.push(part);
            }
            _ => hours.push((began, part.1, vec![part])),
        }
    }
    hours.retain(|(_, sum, _)| sum.requests > 0);
    let of = |amount: fn(&ServerSum) -> i64, floor: i64| {
        let amounts: Vec<i64> = hours.iter().map(|(_, sum, _)| amount(sum)).collect();
        usual(&amounts, floor, SPIKE_RULE)
    };
    let (by_requests, by_worth) = (of(requests, LEAST_REQUESTS), of(value, LEAST_WORTH.0));
    let above =
        |usual: Option<Usual>, amount: i64| usual.is_some_and(|usual| amount > usual.threshold);
    hours.retain(|(_, sum, _)| above(by_requests, requests(sum)) || above(by_worth, value(sum)));
    hours.sort_by_key(|(began, sum, _)| std::cmp::Reverse((value(sum), sum.requests, *began)));
    hours.truncate(MOST_SPIKES);
    let whole = |amount: i64| amount as f64;
    SpikesReport {
        requests: by_requests.map(|usual| usual_report(usual, whole)),
        value_usd: by_worth.map(|usual| usual_report(usual, |amount| usd(NanoUsd(amount)))),
        hours: hours.into_iter().map(|(began, sum, parts)| spike(began, sum, parts)).collect(),
    }
}

fn requests(sum: &ServerSum) -> i64 {
    i64::try_from(sum.requests).unwrap_or(i64::MAX)
}

const fn value(sum: &ServerSum) -> i64 {
    sum.worth.most.0
}

fn usual_report(usual: Usual, shown: impl Fn(i64) -> f64) -> UsualReport {
    UsualReport {
        hours_of_use: usual.hours,
        median: shown(usual.median),
        median_distance: shown(usual.distance),
        threshold: shown(usual.threshold),
    }
}

fn spike(began: Wall, sum: ServerSum, mut parts: Vec<(String, ServerSum)>) -> SpikeReport {
    let by_value = sum.unpriced == 0 && value(&sum) > 0;
    let amount = |sum: &ServerSum| if by_value { value(sum) } else { requests(sum) };
    let whole = amount(&sum).max(1);
    parts.sort_by_key(|(_, part)| std::cmp::Reverse(amount(part)));
    let percent = |part: &ServerSum| {
        let percent = i128::from(amount(part)) * 100 / i128::from(whole);
        u64::try_from(percent).unwrap_or(0)
    };
    let models = parts.iter().take(MOST_MODELS).map(|(model, part)| ShareReport {
        model: model.clone(),
        requests: part.requests,
        percent: percent(part),
    });
    SpikeReport {
        from: moment::utc(began),
        requests: sum.requests,
        value_usd_most: usd(sum.worth.most),
        charged_usd: usd(sum.charged),
        models: models.collect(),
        began,
    }
}

/// Draws them.
pub(super) fn draw(page: &mut Page, report: &SpikesReport, days: u64, context: &Context) {
    let (Some(requests), Some(value)) = (&report.requests, &report.value_usd) else {
        page.paragraph(
            2,
            Text::new().dim(format!(
                "In the last {days} days there were fewer than {} hours of use: too few to say what is usual.",
                SPIKE_RULE.least_hours
            )),
        );
        return;
    };
    page.paragraph(
        2,
        Text::new().plain(format!(
            "In {} hours of use of the last {days} days, half had at most {} requests, and half lie within {} of that. An hour \
             stands out above {} requests, or above {} at list price.",
            requests.hours_of_use,
            requests.median,
            requests.median_distance,
            requests.threshold,
            dollars(value.threshold),
        )),
    );
    if report.hours.is_empty() {
        page.paragraph(2, Text::toned(Tone::Good, "✓ ").plain("no hour stands out"));
        return;
    }
    let now = context.now();
    let mut table = Table::new(
        2,
        vec![
            Column::left(format!("hour, {}", context.printer.moments.zone_name(now))),
            Column::right("requests"),
            Column::right("list price").leaves(1),
            Column::right("charged").leaves(2),
            Column::left("what did it").shrinks_to(12),
        ],
    );
    for hour in &report.hours {
        let models = hour.models.iter().map(|share| format!("{} {} %", share.model, share.percent));
        table.row(vec![
            context.printer.moments.short(hour.began, now).into(),
            number::grouped(hour.requests).into(),
            dollars(hour.value_usd_most).into(),
            dollars(hour.charged_usd).into(),
            models.collect::<Vec<_>>().join(", ").into(),
        ]);
    }
    page.gap().table(table).gap();
    page.paragraph(
        2,
        Text::new().dim(
            "The bound is the largest of: the median and six times the usual distance from it, three times the median, and \
             50 requests or $0.25. List price at today's prices, as if no prompt came from a cache.",
        ),
    );
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float of dollars that came from nano-dollars"
)]
fn dollars(amount: f64) -> String {
    words::cents(NanoUsd((amount * 1e9).round() as i64))
}
