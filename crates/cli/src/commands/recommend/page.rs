//! The recommendation for a person: what to do, why, and the models that were weighed.

use std::time::Duration;

use ripcord_rules::model_state::UTILIZATION_FRESH;
use ripcord_rules::recommend::{Advice, Grade, Score};

use super::report::{RecommendReport, purpose_word};
use super::speed::SpeedSource;
use super::{Choice, Privacy, Recommendation};
use crate::commands::models::{price_words, state_cell};
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};

/// More rows than this are not read.
const MOST_ROWS: usize = 10;
/// More names than this are only counted.
const MOST_LEFT_OUT: usize = 3;

pub(super) fn page(recommendation: &Recommendation<'_>, report: &RecommendReport) -> Page {
    let mut page = Page::new();
    page.paragraph_under(0, 2, head(recommendation, report));
    page.paragraph(2, Text::from(report.why.as_str()));
    if !recommendation.ranked.is_empty() {
        page.gap().table(table(recommendation));
        let ranked = recommendation.ranked.iter().enumerate();
        let hidden = ranked.filter(|row| !is_shown(recommendation, row)).count();
        if hidden > 0 {
            page.paragraph(2, Text::new().dim(format!("… and {hidden} more, with --json")));
        }
    }
    let notes = [left_out(recommendation), recommendation.privacy_words(), sources(recommendation)];
    for (index, note) in notes.into_iter().flatten().enumerate() {
        if index == 0 {
            page.gap();
        }
        page.paragraph(0, Text::new().dim(note));
    }
    if let Some(next) = next_step(recommendation) {
        page.paragraph(0, next);
    }
    page
}

fn head(recommendation: &Recommendation<'_>, report: &RecommendReport) -> Text {
    let purpose = recommendation
        .purpose
        .map(|purpose| format!(" for {}", purpose_word(purpose)))
        .unwrap_or_default();
    let name = report.recommended.clone().unwrap_or_default();
    let named = |tone, words: &str| {
        Text::toned(tone, words).then(Tone::Strong, name.as_str()).plain(purpose.as_str())
    };
    match recommendation.advice {
        Advice::Stay => named(Tone::Good, "✓ stay with "),
        Advice::Switch(_) => named(Tone::Warn, "→ switch to "),
        Advice::Use(_) => named(Tone::Good, "✓ use "),
        Advice::Nothing => Text::toned(Tone::Bad, "✗ nothing to recommend").plain(purpose),
        Advice::Unknown => Text::toned(Tone::Warn, "? unknown").plain(purpose),
    }
}

fn table(recommendation: &Recommendation<'_>) -> Table {
    let mut table = Table::new(
        0,
        vec![
            Column::left(""),
            Column::names("model"),
            Column::left("state"),
            Column::right("busy"),
            Column::right("refused").leaves(1),
            Column::right("$ in").leaves(4),
            Column::right("$ out").leaves(1),
            Column::right("1st token").leaves(3),
            Column::right("tok/s").leaves(5),
            Column::left("").leaves(6),
        ],
    );
    // The model in use is shown wherever it stands.
    let rows = recommendation.ranked.iter().enumerate().filter(|row| is_shown(recommendation, row));
    for (_, (index, _)) in rows {
        if let Some(choice) = recommendation.choices.get(*index) {
            table.row(row(choice, recommendation.current == Some(*index)));
        }
    }
    table
}

fn is_shown(
    recommendation: &Recommendation<'_>,
    (place, (index, _)): &(usize, &(usize, Score)),
) -> bool {
    *place < MOST_ROWS || recommendation.current == Some(*index)
}

fn row(choice: &Choice<'_>, in_use: bool) -> Vec<Text> {
    let (entry, standing) = (choice.entry, &choice.candidate.standing);
    // How busy it is means something only where something runs.
    let percent = |permille: Option<u64>| match permille {
        _ if standing.grade() >= Grade::Cold => Text::new().dim("–"),
        Some(permille) => format!("{} %", permille / 10).into(),
        None => unknown(),
    };
    let price = |price| {
        let words = |price| Text::from(price_words(price));
        Option::map_or_else(price, unknown, words)
    };
    let speed = standing.speed;
    let name = Text::toned(if in_use { Tone::Strong } else { Tone::Plain }, entry.name.as_str());
    vec![
        Text::toned(Tone::Strong, if in_use { "›" } else { "" }),
        name,
        state_cell(entry.state_word()),
        percent(standing.busy_permille),
        percent(standing.refused_permille),
        price(entry.price_in()),
        price(entry.price_out()),
        speed.first_token_ms.map_or_else(unknown, |time| {
            Text::from(format!("{}.{} s", time / 1_000, time % 1_000 / 100))
        }),
        speed.pace_milli.map_or_else(unknown, |pace| Text::from(number::grouped(pace / 1_000))),
        Text::toned(Tone::Accent, if entry.tee() == Some(true) { "tee" } else { "" }),
    ]
}

/// The reasons for leaving models out, each with the names that it concerns.
fn left_out(recommendation: &Recommendation<'_>) -> Option<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for choice in &recommendation.choices {
        let Some(why) = choice.left_out() else { continue };
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(&choice.entry.name),
            None => reasons.push((why, vec![&choice.entry.name])),
        }
    }
    let sentences: Vec<String> = reasons
        .into_iter()
        .map(|(why, names)| {
            let shown = names.iter().take(MOST_LEFT_OUT).copied().collect::<Vec<_>>().join(", ");
            match names.len().saturating_sub(MOST_LEFT_OUT) {
                0 => format!("Left out, {why}: {shown}."),
                more => format!("Left out, {why}: {shown} and {more} more."),
            }
        })
        .collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// Where the figures come from, and how old they are.
fn sources(recommendation: &Recommendation<'_>) -> Option<String> {
    let choices =
        || recommendation.ranked.iter().filter_map(|(index, _)| recommendation.choices.get(*index));
    let age = choices().filter_map(|choice| choice.entry.evidence.utilization_age).max()?;
    let too_old = if age > UTILIZATION_FRESH { ", too old to count" } else { "" };
    let own = choices().any(|choice| {
        matches!(choice.measured.map(|measured| &measured.source), Some(SpeedSource::Ledger(_)))
    });
    let day = choices()
        .filter_map(|choice| match &choice.measured?.source {
            SpeedSource::Platform(day) => Some(day.clone()),
            SpeedSource::Ledger(_) => None,
        })
        .max();
    let speed = match (own, day) {
        (false, None) => "nobody's".to_owned(),
        (false, Some(day)) => format!("everybody's average of {day}"),
        (true, None) => "your own calls of 24 h".to_owned(),
        (true, Some(day)) => format!("your own calls of 24 h, else everybody's average of {day}"),
    };
    Some(format!("Load {} old{too_old}; speed: {speed}; $ per million tokens.", age_words(age)))
}

fn age_words(age: Duration) -> String {
    if age.as_secs() < 60 { format!("{} s", age.as_secs()) } else { moment::duration(age) }
}

fn next_step(recommendation: &Recommendation<'_>) -> Option<Text> {
    let hint = |text: String| Some(Text::toned(Tone::Accent, "hint: ").plain(text));
    match (recommendation.advice, recommendation.purpose) {
        (Advice::Nothing, Some(purpose)) if recommendation.choices.is_empty() => hint(format!(
            "`prefer` under [recommend.{}] in the configuration says what is looked for",
            purpose_word(purpose)
        )),
        (Advice::Nothing, None) => recommendation.in_use().and_then(|current| {
            hint(format!(
                "other models, too: ripcord recommend {}{} --for coding, or for another purpose",
                current.entry.name,
                if recommendation.privacy == Privacy::Asked { " --tee" } else { "" }
            ))
        }),
        _ => None,
    }
}

fn unknown() -> Text {
    Text::new().dim("?")
}
