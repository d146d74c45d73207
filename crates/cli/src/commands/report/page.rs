//! A report for people.

use ripcord_rules::history::{Drift, UsdSpan};
use ripcord_rules::time::Wall;

use super::periods::Calendar;
use super::sums::{Difference, PriceList, Row};
use super::{Chapter, Form, ReportReport, plans, spikes, together, words};
use crate::commands::usage;
use crate::context::Context;
use crate::printer::bar::{Permille, bar};
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};

/// The whole page.
pub(super) fn of(
    report: &ReportReport,
    chapters: &[Chapter],
    form: Form,
    calendar: &Calendar,
    prices: &PriceList,
    context: &Context,
) -> Page {
    let mut page = Page::new();
    let now = context.now();
    for (chapter, told) in chapters.iter().zip(&report.accounts) {
        page.gap();
        usage::draw_heading(&mut page, &chapter.reading, context, now);
        draw_age(&mut page, chapter, context, now);
        if chapter.past.usage.is_none() {
            continue;
        }
        if form == Form::BillingMonths && chapter.past.anchor.is_none() {
            page.paragraph(
                2,
                Text::new().dim(
                    "No billing month is known of this account; months of the calendar are shown.",
                ),
            );
        }
        if let (Form::Spikes(days), Some(found)) = (form, &told.spikes) {
            page.gap();
            spikes::draw(&mut page, found, days, context);
        }
        for month in &told.plans {
            plans::draw(&mut page, month, chapter.reading.snapshot.plan);
        }
        draw_rows(&mut page, &chapter.rows, form, calendar, context);
        draw_drift(&mut page, &chapter.rows);
    }
    let together = together(chapters);
    if !together.is_empty() {
        page.gap().line(Text::toned(Tone::Strong, "all accounts together"));
        draw_rows(&mut page, &together, form, calendar, context);
    }
    let known = chapters.iter().any(|chapter| chapter.past.usage.is_some());
    if known {
        draw_notes(&mut page, chapters, form, calendar, prices, context);
    }
    page
}

/// Figures that are not of now say so before anything else.
fn draw_age(page: &mut Page, chapter: &Chapter, context: &Context, now: Wall) {
    let sign = Text::toned(Tone::Warn, "! ");
    match &chapter.past.usage {
        None => {
            page.paragraph_under(
                2,
                2,
                sign.plain("its history could not be read, and none is kept"),
            );
        }
        Some(usage) if chapter.past.is_kept => {
            let read_at = Wall::from_unix_seconds(usage.read_at_unix_seconds);
            let age = moment::duration(now.since(read_at));
            let at = context.printer.moments.at(read_at, now);
            page.paragraph_under(
                2,
                2,
                sign.plain(format!(
                    "its history is that of {at}, {age} old: it could not be read now"
                )),
            );
        }
        Some(_) => {}
    }
}

fn draw_rows(page: &mut Page, rows: &[Row], form: Form, calendar: &Calendar, context: &Context) {
    if rows.is_empty() {
        return;
    }
    let used = |row: &Row| row.server.map_or(0, |sum| sum.requests);
    if rows.iter().all(|row| row.server.is_some() || !row.begun)
        && rows.iter().all(|row| used(row) == 0)
    {
        page.paragraph(2, Text::new().dim("Chutes counted no request in this time."));
        if rows.iter().all(|row| row.own.is_none_or(|own| own.calls.completed == 0)) {
            return;
        }
    }
    let cells = match context.printer.device().width {
        0..90 => 8,
        90..120 => 12,
        _ => 20,
    };
    let most = rows.iter().map(used).max().unwrap_or(0).max(1);
    let head = match form {
        Form::Hours(day) => format!("{day}, {}", calendar.abbreviation()),
        Form::Days(_) => format!("day, {}", calendar.abbreviation()),
        _ => format!("month, {}", calendar.abbreviation()),
    };
    let mut table = Table::new(
        2,
        vec![
            Column::left(head),
            Column::left("").leaves(5),
            Column::right("requests"),
            Column::right("tokens in").leaves(7),
            Column::right("out").leaves(6),
            Column::right("list price").leaves(3),
            Column::right("charged").leaves(1),
            Column::right("gateway").leaves(4),
            Column::left("drift").leaves(2),
        ],
    );
    for row in rows {
        let share = u128::from(used(row)) * 1000 / u128::from(most);
        let share = row.server.map(|_| Permille(u32::try_from(share).unwrap_or(1000)));
        // An hour that is still to come is no hour without use, nor one of which nothing is known.
        let drawn = if row.begun { bar(share, cells, Tone::Accent) } else { Text::new() };
        let mut line = vec![Text::from(row.period.label.as_str()), drawn];
        line.extend(figures(row));
        table.row(line);
    }
    let sum = Row::whole(rows);
    if let Some(sum) = sum.filter(|_| rows.len() > 1) {
        let mut line = vec![Text::toned(Tone::Strong, "together"), Text::new()];
        line.extend(figures(&sum));
        table.row(line);
    }
    page.gap().table(table).gap();
}

/// The cells of a row behind its bar.
fn figures(row: &Row) -> Vec<Text> {
    let unknown = || if row.begun { Text::new().dim("unknown") } else { Text::new().dim("·") };
    let mut cells = match &row.server {
        None => vec![unknown(), Text::new(), Text::new(), Text::new(), Text::new()],
        Some(sum) => {
            let worth = match sum.unpriced {
                0 => Text::from(words::span(sum.worth)),
                _ if sum.worth == UsdSpan::ZERO => Text::new().dim("unknown"),
                _ => Text::from(format!("≥ {}", words::span(sum.worth))),
            };
            vec![
                number::grouped(sum.requests).into(),
                number::tokens(sum.prompt_tokens).into(),
                number::tokens(sum.completion_tokens).into(),
                worth,
                words::dollars(sum.charged),
            ]
        }
    };
    cells.push(match row.own {
        Some(own) => number::grouped(own.calls.completed).into(),
        None => Text::new(),
    });
    cells.push(if row.begun { words::difference(row.difference) } else { Text::new() });
    cells
}

/// The drift in words.
fn draw_drift(page: &mut Page, rows: &[Row]) {
    let (mut elsewhere, mut missing) = (0_u64, 0_u64);
    for row in rows.iter().filter(|row| row.begun) {
        match row.difference {
            Difference::Settled(Drift::Elsewhere(count)) => {
                elsewhere = elsewhere.saturating_add(count);
            }
            Difference::Settled(Drift::Missing(count)) => missing = missing.saturating_add(count),
            Difference::NotYet | Difference::Settled(Drift::None | Drift::Unknown) => {}
        }
    }
    let warn = |text: String| Text::toned(Tone::Warn, "! ").plain(text);
    if elsewhere > 0 {
        page.paragraph_under(2, 2, warn(format!(
            "At least {} did not go through this machine's gateway, but another program or an earlier one.",
            number::counted(elsewhere, "of these requests", "of these requests")
        )));
    }
    if missing > 0 {
        page.paragraph_under(
            2,
            2,
            warn(format!(
                "{} of the gateway that completed {} not in Chutes' record of those hours.",
                number::counted(missing, "call", "calls"),
                if missing == 1 { "is" } else { "are" }
            )),
        );
    }
}

fn draw_notes(
    page: &mut Page,
    chapters: &[Chapter],
    form: Form,
    calendar: &Calendar,
    prices: &PriceList,
    context: &Context,
) {
    if form == Form::Plans {
        plans::draw_assumptions(page);
    }
    let mut notes = Vec::new();
    let rows = || chapters.iter().flat_map(|chapter| &chapter.rows);
    let used = rows().any(|row| row.server.is_some_and(|sum| sum.requests > 0));
    if used {
        if rows().any(|row| row.server.is_some_and(|sum| !sum.worth.is_exact())) {
            let own: usize =
                chapters.iter().filter_map(|chapter| chapter.past.prices.own_count()).sum();
            let prices = if own > 0 { "prices, those of your own included" } else { "prices" };
            notes.push(format!(
                "List price: what the tokens are worth at today's {prices}, if all prompts came from a cache and if none did."
            ));
        }
        if rows().any(|row| row.server.is_some_and(|sum| sum.unpriced > 0)) {
            notes.push(if prices.is_read {
                "Of some models no price is known: they count as what was charged for them."
                    .to_owned()
            } else {
                "Prices could not be read: what was used counts as what was charged for it."
                    .to_owned()
            });
        }
        notes.extend(compared(chapters, form, context));
    }
    if let Some(zone) = calendar.passed_over.as_deref().filter(|_| form != Form::Plans) {
        notes.push(format!(
            "Chutes counts by hours of UTC, and days in {zone} do not begin with one: days are those of UTC."
        ));
    }
    if !notes.is_empty() {
        page.gap();
    }
    for note in notes {
        page.paragraph(2, Text::new().dim(note));
    }
}

/// What the drift is worth: with what it was compared, and since when.
fn compared(chapters: &[Chapter], form: Form, context: &Context) -> Option<String> {
    let now = context.now();
    let moments = &context.printer.moments;
    let Some(own) = chapters.iter().find_map(|chapter| chapter.own.as_ref()) else {
        let nothing =
            "No gateway has written a ledger on this machine: there is nothing to compare with.";
        return Some(nothing.to_owned());
    };
    let first =
        chapters.iter().flat_map(|chapter| &chapter.rows).map(|row| row.period.from).min()?;
    let begins = Wall::from_unix_seconds(own.begins);
    let since = if begins > first {
        format!(" since its ledger began ({})", moments.at(begins, now))
    } else {
        String::new()
    };
    let rows = chapters.iter().flat_map(|chapter| &chapter.rows);
    let settled = chapters.iter().filter_map(|chapter| {
        let read_at = chapter.past.usage.as_ref()?.read_at_unix_seconds;
        Some(super::history::compared_until(read_at))
    });
    let settled = Wall::from_unix_seconds(settled.min()?);
    if begins >= settled && !matches!(form, Form::Plans | Form::Spikes(_)) {
        return Some(format!(
            "Drift: not known yet. The ledger of this machine's gateway began at {}, and figures of Chutes from {} on may lag.",
            moments.at(begins, now),
            moments.at(settled, now)
        ));
    }
    let is_young = rows.filter(|row| row.begun).any(|row| row.period.until > settled);
    let young = if is_young && !matches!(form, Form::Plans | Form::Spikes(_)) {
        format!(", but for the hours from {} on, whose figures may lag", moments.at(settled, now))
    } else {
        String::new()
    };
    Some(format!("Drift: against the calls of this machine's gateway{since}{young}."))
}
