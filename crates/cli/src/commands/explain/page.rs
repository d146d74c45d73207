//! The stories for people.

use std::time::Duration;

use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{AttemptRow, Cost, Coverage, Outcome, RequestRow, StepKind, StepRow, Tokens};

use super::{Told, words};
use crate::context::Context;
use crate::printer::Page;
use crate::printer::number;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};

/// The newest requests, a line each.
pub(super) fn list(told: &[Told], context: &Context) -> Page {
    let mut page = Page::new();
    if told.is_empty() {
        page.paragraph(0, Text::from("No request has come through the gateway yet."));
        page.line(Text::new().dim("ripcord serve starts it"));
        return page;
    }
    let now = context.now();
    let moments = &context.printer.moments;
    let mut table = Table::new(
        0,
        vec![
            Column::left(moments.zone_name(now)).leaves(2),
            // Whole, since it is there to be copied.
            Column::left("request"),
            Column::left("ended").leaves(1),
            Column::left("why").leaves(4),
            Column::right("tries").leaves(5),
            Column::right("took").leaves(6),
            Column::names("model").leaves(3),
        ],
    );
    for request in told.iter().filter_map(|told| told.story.request.as_ref()) {
        let started = Wall::from_unix_micros(request.timing.started_at_unix_us);
        table.row(vec![
            Text::new().dim(moments.short(started, now)),
            Text::from(&*request.request_id),
            ending(request),
            Text::from(request.cause.as_deref().unwrap_or_default()),
            Text::from(number::grouped(u64::from(request.attempt_count))),
            Text::from(words::seconds(Duration::from_micros(request.timing.total_us))),
            model(request),
        ]);
    }
    page.table(table);
    page.gap().paragraph(0, Text::new().dim("ripcord explain REQUEST_ID tells the story of one"));
    page
}

fn model(request: &RequestRow) -> Text {
    let name = request.served_by.model.as_deref().or(request.requested_model.as_deref());
    name.map_or_else(|| Text::new().dim("?"), Text::from)
}

fn ending(request: &RequestRow) -> Text {
    let tone = match request.outcome {
        Outcome::Completed => Tone::Good,
        Outcome::Cancelled => Tone::Plain,
        Outcome::Refused => Tone::Warn,
        Outcome::Failed | Outcome::Broken => Tone::Bad,
    };
    Text::toned(tone, request.outcome.as_str())
}

/// Whole stories.
pub(super) fn stories(told: &[Told], context: &Context) -> Page {
    let mut page = Page::new();
    if told.is_empty() {
        return list(told, context);
    }
    for told in told {
        page.gap();
        story(&mut page, told, context);
    }
    page
}

fn story(page: &mut Page, told: &Told, context: &Context) {
    match &told.story.request {
        Some(request) => head(page, request, context),
        None => {
            page.line(Text::toned(Tone::Strong, &*told.id));
            page.paragraph_under(
                2,
                2,
                Text::toned(Tone::Warn, "has not ended").plain(
                    ": it is under way, or its gateway was killed before it could say how it ended",
                ),
            );
        }
    }
    page.gap();
    let mut lines = Lines { began: began(told), lines: Vec::new() };
    let mut steps = &told.story.steps[..];
    for attempt in &told.story.attempts {
        let count = steps.partition_point(|step| step.after_attempt < attempt.number);
        let (before, rest) = steps.split_at(count);
        steps = rest;
        lines.add_steps(before);
        lines.add_attempt(attempt);
    }
    lines.add_steps(steps);
    lines.draw(page);
    if let Some(request) = &told.story.request {
        foot(page, request);
    }
}

/// When the request came, or what is known to have been first.
fn began(told: &Told) -> i64 {
    let story = &told.story;
    let request = story.request.as_ref().map(|request| request.timing.started_at_unix_us);
    let attempts = story.attempts.iter().map(|row| row.timing.started_at_unix_us);
    let steps = story.steps.iter().map(step_began);
    request.or_else(|| attempts.chain(steps).min()).unwrap_or(0)
}

fn step_began(step: &StepRow) -> i64 {
    step.at_unix_us.saturating_sub(i64::try_from(step.took_us).unwrap_or(i64::MAX))
}

fn head(page: &mut Page, request: &RequestRow, context: &Context) {
    let at = Wall::from_unix_micros(request.timing.started_at_unix_us);
    page.line(Text::toned(Tone::Strong, &*request.request_id));
    let mut facts = vec![context.printer.moments.at(at, context.now()), request.route.to_string()];
    if request.is_stream {
        facts.push("stream".to_owned());
    }
    facts.extend(request.client_key.as_ref().map(|name| format!("client key {name}")));
    facts.extend(request.priority.as_ref().map(ToString::to_string));
    if let Some(deadline) = request.deadline_us {
        let deadline = words::seconds(Duration::from_micros(deadline));
        facts.push(format!("first byte due in {deadline}"));
    }
    page.paragraph_under(2, 2, Text::new().dim(facts.join(" · ")));
    page.paragraph_under(2, 2, verdict(request));
}

/// How it ended, in a sentence.
fn verdict(request: &RequestRow) -> Text {
    let total = words::seconds(Duration::from_micros(request.timing.total_us));
    let asked = request.requested_model.as_deref();
    let served = request.served_by.model.as_deref();
    let named = |name: Option<&str>| match name {
        Some(name) => Text::new().plain(" ").then(Tone::Accent, name),
        None => Text::new(),
    };
    let on = request.served_by.account.as_ref().map(|account| format!(" on {account}"));
    let mut text = match request.outcome {
        Outcome::Completed => Text::toned(Tone::Good, "✓ answered")
            .plain(format!(" after {total} by"))
            .append(named(served))
            .plain(on.unwrap_or_default()),
        Outcome::Cancelled => Text::new().plain(format!("the client left after {total}")),
        Outcome::Refused => Text::toned(Tone::Warn, "✗ refused").plain(format!(" after {total}")),
        Outcome::Failed => Text::toned(Tone::Bad, "✗ failed").plain(format!(" after {total}")),
        Outcome::Broken => Text::toned(Tone::Bad, "✗ broke off").plain(format!(" after {total}")),
    };
    if let Some(status) = request.status.filter(|_| request.outcome != Outcome::Completed) {
        text = text.plain(format!(" with status {status}"));
    }
    if let Some(cause) = request.cause.as_deref().filter(|_| request.outcome != Outcome::Completed)
    {
        text = text.plain(format!(": {}", words::cause(cause)));
    }
    if asked.is_some() && (asked != served || request.outcome != Outcome::Completed) {
        text = text.plain(", asked for").append(named(asked));
    }
    text
}

/// The lines of a story, each behind its time.
struct Lines {
    began: i64,
    lines: Vec<Line>,
}

struct Line {
    after: String,
    words: Text,
    /// What stands below it.
    below: Vec<Text>,
}

impl Lines {
    fn add(&mut self, at_us: i64, words: Text, below: Vec<Text>) {
        let after = u64::try_from(at_us.saturating_sub(self.began)).unwrap_or(0);
        let after = words::seconds(Duration::from_micros(after));
        self.lines.push(Line { after, words, below });
    }

    fn add_steps(&mut self, steps: &[StepRow]) {
        let is_one_cut = |one: &StepRow, next: &StepRow| {
            one.kind == StepKind::Trimmed && next.kind == StepKind::Trimmed
        };
        for together in steps.chunk_by(is_one_cut) {
            let Some(first) = together.first() else { continue };
            let words = match together.len() {
                1 => words::step(first),
                _ => words::cuts(together),
            };
            self.add(step_began(first), Text::from(words), Vec::new());
        }
    }

    fn add_attempt(&mut self, row: &AttemptRow) {
        let mut words = Text::toned(Tone::Strong, format!("attempt {}", row.number));
        if let Some(model) = &row.served_by.model {
            words = words.plain(": ").then(Tone::Accent, &**model);
        }
        if let Some(account) = &row.served_by.account {
            words = words.plain(format!(" on {account}"));
        }
        if let Some(key) = &row.served_by.key {
            words = words.dim(format!(", key {key}"));
        }
        let (tone, sign) = match row.outcome {
            Outcome::Completed => (Tone::Good, "✓ "),
            Outcome::Cancelled => (Tone::Plain, ""),
            Outcome::Failed | Outcome::Refused | Outcome::Broken => (Tone::Bad, "✗ "),
        };
        let mut ending = Text::toned(tone, sign).plain(words::attempt_ending(row));
        let first = row.timing.first_byte_us.filter(|_| row.outcome == Outcome::Completed);
        if let Some(first) = first {
            let first = words::seconds(Duration::from_micros(first));
            ending = ending.dim(format!(", its head after {first}"));
        }
        let figures = figures(row.tokens, row.cost).map(|figures| Text::new().dim(figures));
        let below = [Some(ending), figures].into_iter().flatten().collect();
        self.add(row.timing.started_at_unix_us, words, below);
    }

    fn draw(self, page: &mut Page) {
        let widest = self.lines.iter().map(|line| line.after.len()).max().unwrap_or(0);
        // Two before the time, and a sign between spaces behind it.
        let hangs = 2 + widest + 3;
        for line in self.lines {
            let indent = 2 + widest - line.after.len();
            let words = Text::new().dim(line.after).dim(" · ").append(line.words);
            page.paragraph_under(indent, hangs - indent, words);
            for below in line.below {
                page.paragraph_under(hangs, 2, below);
            }
        }
    }
}

/// Tokens and price, where anything is known of them.
fn figures(tokens: Tokens, cost: Cost) -> Option<String> {
    let mut facts = Vec::new();
    if let Some(prompt) = tokens.prompt {
        let cached = tokens.cached.filter(|cached| *cached > 0);
        let cached = cached.map(|cached| format!(" ({cached} cached)"));
        facts.push(format!("{prompt} tokens in{}", cached.unwrap_or_default()));
    }
    facts.extend(tokens.completion.map(|count| format!("{count} out")));
    if tokens.estimated && !facts.is_empty() {
        facts.push("estimated".to_owned());
    }
    // A refusal costs nothing, which goes without saying.
    let is_told = |price: &i64| *price != 0 || !facts.is_empty();
    if let Some(price) = cost.list_price_nano_usd.filter(is_told) {
        let payer = match cost.coverage {
            Some(Coverage::Covered) => ", covered by the plan",
            Some(Coverage::Paid) => ", paid from the balance",
            None => "",
        };
        facts.push(format!("{} at list price{payer}", NanoUsd(price)));
    }
    (!facts.is_empty()).then(|| facts.join(" · "))
}

fn foot(page: &mut Page, request: &RequestRow) {
    page.gap();
    let timing = request.timing;
    let of = |micros| words::seconds(Duration::from_micros(micros));
    let mut sums = vec![
        format!("{} in all", of(timing.total_us)),
        format!("{} waiting", of(timing.waited_us)),
    ];
    sums.extend(timing.first_byte_us.map(|first| format!("first byte after {}", of(first))));
    page.paragraph_under(2, 2, Text::from(sums.join(" · ")));
    // One attempt has said it already.
    if request.attempt_count > 1
        && let Some(figures) = figures(request.tokens, request.cost)
    {
        page.paragraph_under(2, 2, Text::from(format!("together {figures}")));
    }
    let failed = request.cause.as_deref().filter(|_| request.outcome != Outcome::Completed);
    if let Some(anchor) = failed.and_then(words::anchor) {
        page.paragraph_under(
            2,
            2,
            Text::new().dim(format!("more: ripcord doctor --explain {anchor}")),
        );
    }
}
