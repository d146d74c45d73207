//! Which plan would have been cheapest.

use std::collections::BTreeMap;

use ripcord_rules::history::{Best, HourUse, PlanCost, UsdSpan, cheapest, is_open, plan_costs};
use ripcord_rules::quota::Plan;
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use super::periods::Period;
use super::sums::{Facts, ServerSum};
use super::words;
use crate::commands::usage::PlanReport;
use crate::figures::usd;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};

/// One month, played again under each plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlanMonthReport {
    /// `billing_month`, `calendar_month` (where the billing month is not known) or `last_30_days`.
    span: &'static str,
    /// When it began, UTC.
    from: String,
    /// When it ended, UTC.
    until: String,
    /// Requests in it; null if not all of its hours are known.
    requests: Option<u64>,
    /// What they were worth at today's list prices if every prompt came from a cache, in US dollars.
    value_usd_least: Option<f64>,
    /// And if none did.
    value_usd_most: Option<f64>,
    /// Requests of models whose price is not known: they count as requests and as nothing in dollars.
    unpriced_requests: Option<u64>,
    /// The plans.
    plans: Vec<PlanCostReport>,
    /// The code of the cheapest plan that one can take or has; null if that hangs on what is not known.
    cheapest: Option<&'static str>,
    /// Which plans it may be, where that hangs on how much came from a cache.
    cheapest_of: Vec<&'static str>,
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    costs: Vec<PlanCost>,
    #[serde(skip)]
    worth: UsdSpan,
    #[serde(skip)]
    best: Option<Best>,
}

/// What it would have cost under one plan.
#[derive(Debug, Serialize, JsonSchema)]
struct PlanCostReport {
    /// The plan.
    plan: PlanReport,
    /// Whether one can take it today.
    open: bool,
    /// Whether the account has it.
    yours: bool,
    /// The price of the month, in US dollars.
    price_usd: f64,
    /// What the windows had no room for, at list price, if every prompt came from a cache.
    on_top_usd_least: f64,
    /// And if none did.
    on_top_usd_most: f64,
    /// Price and what comes on top, at the least.
    total_usd_least: f64,
    /// At the most.
    total_usd_most: f64,
    /// Days whose requests were used up.
    days_used_up: usize,
    /// 4-hour windows that were.
    four_hour_windows_used_up: usize,
    /// Whether the month was.
    month_used_up: bool,
}

/// Plays a month again. `span` and `title` say which.
pub(super) fn replay(
    facts: &Facts<'_>,
    span: &'static str,
    title: &str,
    period: &Period,
) -> PlanMonthReport {
    let known = facts.server(period.from, period.until);
    let hours = hours(facts, period);
    let costs = if known.is_some() { plan_costs(&hours, facts.plan) } else { Vec::new() };
    let unsure = known.is_none_or(|sum| sum.unpriced > 0 || sum.incomplete);
    let best = cheapest(&costs, facts.plan);
    let (sure, either) = match best {
        Some(Best::Sure(plan)) if !unsure => (Some(plan.code()), Vec::new()),
        Some(Best::Sure(plan)) => (None, vec![plan.code()]),
        Some(Best::Depends { at_most, at_least }) => (None, vec![at_least.code(), at_most.code()]),
        None => (None, Vec::new()),
    };
    PlanMonthReport {
        span,
        from: moment::utc(period.from),
        until: moment::utc(period.until),
        requests: known.map(|sum| sum.requests),
        value_usd_least: known.map(|sum| usd(sum.worth.least)),
        value_usd_most: known.map(|sum| usd(sum.worth.most)),
        unpriced_requests: known.map(|sum| sum.unpriced),
        plans: costs.iter().map(|cost| cost_report(cost, facts.plan)).collect(),
        cheapest: sure,
        cheapest_of: either,
        title: format!("{title}: {}", period.label),
        costs,
        worth: known.unwrap_or_default().worth,
        best,
    }
}

fn hours(facts: &Facts<'_>, period: &Period) -> Vec<HourUse> {
    let mut hours: BTreeMap<i64, ServerSum> = BTreeMap::new();
    for row in facts.hours(period.from, period.until) {
        let hour = hours.entry(row.hour_unix_seconds).or_default();
        *hour = hour.plus(facts.hour(row));
    }
    let hour = |(began, sum): (i64, ServerSum)| HourUse {
        from: Wall::from_unix_seconds(began),
        requests: sum.requests,
        worth: sum.worth,
    };
    hours.into_iter().map(hour).collect()
}

fn cost_report(cost: &PlanCost, current: Option<Plan>) -> PlanCostReport {
    let total = cost.total();
    PlanCostReport {
        plan: cost.plan.into(),
        open: is_open(cost.plan),
        yours: current == Some(cost.plan),
        price_usd: usd(cost.price),
        on_top_usd_least: usd(cost.on_top.least),
        on_top_usd_most: usd(cost.on_top.most),
        total_usd_least: usd(total.least),
        total_usd_most: usd(total.most),
        days_used_up: cost.used_up.days,
        four_hour_windows_used_up: cost.used_up.four_hours,
        month_used_up: cost.used_up.month,
    }
}

/// Draws one month.
pub(super) fn draw(page: &mut Page, month: &PlanMonthReport, current: Option<Plan>) {
    let heading = Text::toned(Tone::Strong, month.title.as_str());
    let Some(requests) = month.requests else {
        page.gap().paragraph(2, heading.dim(" · its hours are not known"));
        return;
    };
    page.gap().paragraph(
        2,
        heading.plain(format!(
            " · {}, worth {} at list price",
            number::counted(requests, "request", "requests"),
            words::span(month.worth)
        )),
    );
    let mut table = Table::new(
        4,
        vec![
            Column::left(""),
            Column::right("a month").leaves(3),
            Column::right("on top").leaves(1),
            Column::right("together"),
            Column::left("used up").leaves(2),
        ],
    );
    for cost in &month.costs {
        let yours = if current == Some(cost.plan) { " (yours)" } else { "" };
        let closed = if cost.plan == Plan::Base { " (closed)" } else { "" };
        table.row(vec![
            Text::from(cost.plan.name()).then(Tone::Accent, yours).dim(closed),
            cost.price.to_string().into(),
            words::span(cost.on_top).into(),
            words::span(cost.total()).into(),
            Text::new().dim(used_up(cost)),
        ]);
    }
    page.table(table);
    page.paragraph_under(4, 2, verdict(month, current));
    if let Some(unpriced) = month.unpriced_requests.filter(|unpriced| *unpriced > 0) {
        page.paragraph_under(
            4,
            2,
            Text::toned(Tone::Warn, "! ").plain(format!(
                "{} went to models whose price is not known: they count as requests, and as nothing in dollars.",
                number::counted(unpriced, "request", "requests")
            )),
        );
    }
}

/// `2 d, 5 × 4 h, month`.
fn used_up(cost: &PlanCost) -> String {
    let parts = [
        (cost.used_up.days > 0).then(|| format!("{} d", cost.used_up.days)),
        (cost.used_up.four_hours > 0).then(|| format!("{} × 4 h", cost.used_up.four_hours)),
        cost.used_up.month.then(|| "month".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn verdict(month: &PlanMonthReport, current: Option<Plan>) -> Text {
    let total = |plan: Plan| {
        let cost = month.costs.iter().find(|cost| cost.plan == plan);
        cost.map(|cost| words::span(cost.total())).unwrap_or_default()
    };
    let unsure = month.cheapest.is_none();
    match month.best {
        None => {
            Text::toned(Tone::Warn, "? ").plain("which plan would have been cheapest is not known")
        }
        Some(Best::Sure(plan)) => {
            let whose = if current == Some(plan) { ", which you have" } else { "" };
            let sure = if unsure { "? probably cheapest: " } else { "✓ cheapest: " };
            Text::toned(if unsure { Tone::Warn } else { Tone::Good }, sure)
                .then(Tone::Strong, plan.name())
                .plain(format!("{whose}, at {}", total(plan)))
        }
        Some(Best::Depends { at_most, at_least }) => {
            Text::toned(Tone::Warn, "? cheapest: ").plain(format!(
                "{} if little came from a cache ({}), {} if much did ({})",
                at_most.name(),
                total(at_most),
                at_least.name(),
                total(at_least)
            ))
        }
    }
}

/// What the comparison takes for granted.
pub(super) fn draw_assumptions(page: &mut Page) {
    page.gap().paragraph(
        2,
        Text::new().dim(
            "Taken for granted: today's prices (and those of your own) also for the past; each request is one unit, though a \
             repeated body counts a tenth; the requests of an hour are alike and evenly spread; what a window has no room for is \
             paid at list price, where Ripcord would wait unless paygo = \"allow\". Hours fall into the 4-hour windows and days \
             exactly. Where a span is given: how much of the prompts came from a cache is not known.",
        ),
    );
}
