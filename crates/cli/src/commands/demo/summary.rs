//! What it came to, and how to try it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ripcord_rules::units::NanoUsd;

use super::client::{Answer, Ending, Kind};
use super::panel::beside;
use super::scenario::SMALL_MODEL;
use super::sight::{Sight, seconds};
use super::story::Story;
use crate::printer::Page;
use crate::printer::number::counted;
use crate::printer::text::{Text, Tone};

/// The place of the words behind a title.
const COLUMN: usize = 14;

/// The summary of the demonstration's own requests, and of the accounts by the emulator's books.
pub(crate) fn summary(story: &Story, now: &Sight, took: Duration, width: usize) -> Page {
    let mut page = Page::new();
    let line = |page: &mut Page, title: &str, text: String| {
        let title = Text::new().dim(format!("  {title}"));
        beside(page, title, COLUMN, &Text::from(text), width);
    };
    page.line(Text::new());
    heading(&mut page, &format!("what came of {} s", took.as_secs()));
    line(&mut page, "requests", requests(&story.answers));
    let errors = errors(&story.answers);
    let words = errors.iter().map(|(code, count)| format!("{code} {count}")).collect::<Vec<_>>();
    line(&mut page, "errors", if words.is_empty() { "none".to_owned() } else { words.join(" · ") });
    line(&mut page, "retries", retries(story));
    line(&mut page, "first byte", first_byte(&story.answers));
    page.gap();
    accounts(&mut page, story.first(), now);
    page
}

fn heading(page: &mut Page, title: &str) {
    let rest = 74_usize.saturating_sub(title.len());
    page.line(
        Text::new().dim("── ").then(Tone::Strong, title).dim(format!(" {}", "─".repeat(rest))),
    );
}

fn requests(answers: &[Answer]) -> String {
    let count = |wanted: fn(&Ending) -> bool| {
        answers.iter().filter(|answer| wanted(&answer.ending)).count() as u64
    };
    let whole = count(|ending| matches!(ending, Ending::Whole));
    let left = count(|ending| matches!(ending, Ending::Left));
    let told = count(|ending| matches!(ending, Ending::Refused { .. } | Ending::Broken(_)));
    let lost = count(|ending| matches!(ending, Ending::Torn | Ending::Unreachable(_)));
    format!(
        "{}: {}, {}, {}, {lost} cut short",
        answers.len(),
        counted(whole, "whole answer", "whole answers"),
        counted(told, "honest error", "honest errors"),
        counted(left, "hang-up", "hang-ups"),
    )
}

fn errors(answers: &[Answer]) -> BTreeMap<String, u64> {
    let mut errors = BTreeMap::new();
    for answer in answers {
        let code = match &answer.ending {
            Ending::Refused { status, error, .. } => format!("{status} {}", error.code),
            Ending::Broken(error) => error.code.clone(),
            Ending::Torn => "cut short unsaid".to_owned(),
            Ending::Unreachable(_) => "no HTTP answer".to_owned(),
            Ending::Whole | Ending::Left => continue,
        };
        *errors.entry(code).or_insert(0) += 1;
    }
    errors
}

/// By the ledger: attempts beyond the first of each request.
fn retries(story: &Story) -> String {
    let rows = || story.answers.iter().filter_map(|answer| story.requests.get(&answer.request_id));
    let retries: u64 = rows().map(|row| u64::from(row.attempt_count.saturating_sub(1))).sum();
    let retried = rows().filter(|row| row.attempt_count > 1).count() as u64;
    match retries {
        0 => "none".to_owned(),
        _ => format!(
            "{retries} by Ripcord for {}; the clients made none",
            counted(retried, "request", "requests")
        ),
    }
}

/// Of the streams: a plain answer comes when all of it is written.
fn first_byte(answers: &[Answer]) -> String {
    let mut times: Vec<Duration> = answers
        .iter()
        .filter(|answer| answer.call.kind == Kind::Streamed && answer.ending == Ending::Whole)
        .map(|answer| answer.first_byte)
        .collect();
    times.sort_unstable();
    match (at_share(&times, 500), at_share(&times, 950)) {
        (Some(median), Some(late)) => {
            format!("median {}, p95 {} (streams)", seconds(median), seconds(late))
        }
        _ => "no stream was answered".to_owned(),
    }
}

/// The nearest rank.
fn at_share(sorted: &[Duration], permille: usize) -> Option<Duration> {
    let rank = (sorted.len() * permille).div_ceil(1000);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// By the emulator's books, which nothing of Ripcord writes.
fn accounts(page: &mut Page, first: Option<&Sight>, now: &Sight) {
    let dim = |text: &str| Text::new().dim(text);
    page.line(dim(&format!(
        "  {:<10}{:>6}{:>11}{:>11}{:>13}{:>11}{:>10}",
        "account", "calls", "covered", "paid", "balance was", "is now", "at once"
    )));
    for account in &now.accounts {
        let truth = &account.truth;
        let before = first.and_then(|first| first.account(&account.label));
        let before = before.map_or_else(|| "?".to_owned(), |before| before.balance().to_string());
        let name = Text::toned(Tone::Strong, format!("  {:<10}", account.label));
        page.line(name.plain(format!(
            "{:>6}{:>11}{:>11}{before:>13}{:>11}{:>10}",
            truth.calls_counted,
            NanoUsd(truth.covered_nano_usd).to_string(),
            account.paid().to_string(),
            account.balance().to_string(),
            format!("{} of {}", truth.max_in_flight, account.slots),
        )));
    }
    page.line(dim(
        "  by the emulator's own books; covered by the plan, at list price; most at once",
    ));
}

/// How to try it, for programs that people have.
pub(crate) fn invitation(address: SocketAddr) -> Page {
    let base = format!("http://{address}/v1");
    let mut page = Page::new();
    page.line(Text::new());
    heading(&mut page, "your turn");
    page.line(
        Text::from("  It stays up at ")
            .then(Tone::Strong, base.clone())
            .plain(". Any text will do as the API key."),
    );
    page.gap();
    // Not indented, so that it can be pasted.
    for line in curl(&base) {
        page.line(Text::toned(Tone::Accent, line));
    }
    page.line(Text::new().dim("# Python: pip install openai"));
    page.line(Text::toned(Tone::Accent, "from openai import OpenAI"));
    page.line(Text::toned(
        Tone::Accent,
        format!("client = OpenAI(base_url=\"{base}\", api_key=\"any\")"),
    ));
    page.line(Text::new().dim("# what the gateway knows and does"));
    page.line(Text::toned(Tone::Accent, format!("curl http://{address}/-/status")));
    page.gap();
    page.line(
        Text::from("  Other clients, Node among them: ")
            .then(Tone::Strong, "ripcord config client"),
    );
    page.line(Text::from("  Your calls show up here. Ctrl-C ends it."));
    page
}

fn curl(base: &str) -> Vec<String> {
    vec![
        format!("curl -N {base}/chat/completions \\"),
        "  -H 'content-type: application/json' \\".to_owned(),
        format!("  -d '{{\"model\":\"{SMALL_MODEL}\",\"stream\":true,"),
        "      \"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_by_nearest_rank() {
        let times: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(at_share(&times, 500), Some(Duration::from_millis(10)));
        assert_eq!(at_share(&times, 950), Some(Duration::from_millis(19)));
        assert_eq!(at_share(&times[..1], 950), Some(Duration::from_millis(1)));
        assert_eq!(at_share(&[], 500), None);
    }

    #[test]
    fn the_snippets_fit_the_smallest_terminal() {
        let address = "127.0.0.1:65535".parse().unwrap();
        let device = crate::printer::Device {
            terminal: true,
            error_terminal: true,
            color: false,
            error_color: false,
            unicode: true,
            width: 80,
            cuts: true,
        };
        let page = invitation(address).render(device);
        assert!(page.lines().all(|line| line.chars().count() < 80), "{page}");
        assert!(page.contains("curl -N http://127.0.0.1:65535/v1/chat/completions"));
    }
}
