//! The screen: lines that stay, and below them, on a terminal, a panel that is drawn over and over. Everything of one
//! frame goes out in one write, and lines are overwritten rather than erased, so that nothing flickers.

use std::collections::VecDeque;
use std::time::Duration;

use ripcord_rules::units::NanoUsd;

use super::sight::{AccountSight, Sight, minutes, time_of_day};
use super::story::Line;
use crate::error::CommandError;
use crate::printer::bar::{Permille, bar};
use crate::printer::text::{Text, Tone, to_ascii};
use crate::printer::{Device, Page, Printer};

/// The rate is that of the last seconds.
const PACE_OVER: Duration = Duration::from_secs(5);
/// Cells of a bar.
const CELLS: usize = 16;
/// The place of a story line's text.
const TEXT_COLUMN: usize = 10;
const HIDE_CURSOR: &str = "\u{1b}[?25l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";
const ERASE_LINE_END: &str = "\u{1b}[K";
const ERASE_BELOW: &str = "\u{1b}[J";

/// The one owner of the terminal while the demonstration runs.
#[derive(Debug)]
pub(crate) struct Screen<'a> {
    printer: &'a Printer,
    is_live: bool,
    /// Lines of the panel that stand on the terminal.
    drawn: usize,
}

/// Requests that ended, and how many a second.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    pub(crate) done: u64,
    recent: VecDeque<Duration>,
}

// === impl Pace ===

impl Pace {
    /// One more has ended.
    pub(crate) fn ended(&mut self, at: Duration) {
        self.done += 1;
        self.recent.push_back(at);
    }

    fn per_second(&mut self, now: Duration) -> f64 {
        let since = now.saturating_sub(PACE_OVER);
        while self.recent.front().is_some_and(|at| *at < since) {
            self.recent.pop_front();
        }
        let over = now.min(PACE_OVER).as_secs_f64().max(1.0);
        self.recent.len() as f64 / over
    }
}

// === impl Screen ===

impl<'a> Screen<'a> {
    /// A screen; `is_live` if somebody looks and the terminal can move its cursor.
    pub(crate) const fn new(printer: &'a Printer, is_live: bool) -> Self {
        Self { printer, is_live, drawn: 0 }
    }

    /// Writes what stays, and draws the panel under it.
    pub(crate) fn show(&mut self, pages: &[&Page], panel: &[Text]) -> Result<(), CommandError> {
        let device = self.device();
        let text: String = pages.iter().map(|page| page.render(device)).collect();
        if !self.is_live {
            return if text.is_empty() { Ok(()) } else { self.printer.write(&text) };
        }
        let mut frame = self.up();
        if self.drawn == 0 && !panel.is_empty() {
            frame.push_str(HIDE_CURSOR);
        }
        let panel = panel.iter().map(|line| {
            // The last column stays free: a cursor beyond it wraps on some terminals.
            let line = line.clone().cut(device.width.saturating_sub(1)).render(device.color);
            if device.unicode { line } else { to_ascii(&line) }
        });
        let panel: Vec<String> = panel.collect();
        for line in text.lines().chain(panel.iter().map(String::as_str)) {
            frame.push_str(line);
            frame.push_str(ERASE_LINE_END);
            frame.push('\n');
        }
        frame.push_str(ERASE_BELOW);
        if panel.is_empty() && self.drawn > 0 {
            frame.push_str(SHOW_CURSOR);
        }
        self.drawn = panel.len();
        self.printer.write(&frame)
    }

    /// How wide it is now.
    pub(crate) fn width(&self) -> usize {
        self.device().width
    }

    /// The device, as wide as it is now.
    fn device(&self) -> Device {
        let device = self.printer.device();
        let now = self
            .is_live
            .then(|| terminal_size::terminal_size_of(std::io::stdout()))
            .flatten()
            .map(|(width, _)| usize::from(width.0).clamp(20, 140));
        Device { width: now.unwrap_or(device.width), ..device }
    }

    /// To the first line of the panel.
    fn up(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\r\u{1b}[{lines}A"),
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if self.drawn > 0 {
            // Nobody can be told any more; the terminal should still be usable.
            let _ = self.show(&[], &[]);
        }
    }
}

/// The lines of the story as a page.
pub(crate) fn story(lines: Vec<Line>, width: usize) -> Page {
    let mut page = Page::new();
    for Line { at, sign: (tone, sign), text } in lines {
        let title = Text::new().dim(format!("{:>6}  ", minutes(at))).then(tone, sign);
        beside(&mut page, title, TEXT_COLUMN, &text, width);
    }
    page
}

/// A title, and beside it, from a column on, a text that wraps below itself.
pub(crate) fn beside(page: &mut Page, title: Text, column: usize, text: &Text, width: usize) {
    let mut title = Some(title);
    for line in text.wrapped(width.saturating_sub(column + 1), 0, 0) {
        let margin = title.take().unwrap_or_default().padded_right(column);
        page.line(margin.append(line));
    }
}

/// The panel for one moment.
pub(crate) fn panel(
    sight: &Sight,
    first: Option<&Sight>,
    pace: &mut Pace,
    at: Duration,
) -> Vec<Text> {
    let mut lines = vec![Text::new().dim("─".repeat(78))];
    for account in &sight.accounts {
        let before = first.and_then(|first| first.account(&account.label));
        lines.push(row(account, before.map_or(NanoUsd::ZERO, AccountSight::balance)));
    }
    let number = |count: u64, what: &str| {
        Text::toned(Tone::Strong, count.to_string()).dim(format!(" {what}"))
    };
    lines.push(
        Text::from("  ")
            .append(number(pace.done, "done"))
            .dim(" · ")
            .append(number(sight.in_flight.saturating_sub(sight.waiting), "under way"))
            .dim(" · ")
            .append(number(sight.waiting, "waiting"))
            .dim(format!(
                " · {:.1} per second · {} UTC",
                pace.per_second(at),
                time_of_day(sight.now_micros)
            )),
    );
    lines
}

/// `alice  Pro   ▕████░░▏ 91.4 % of 4 h   resets 0:48   ●●●○○ closed`
fn row(account: &AccountSight, balance_before: NanoUsd) -> Text {
    let is_paygo = account.plan.as_deref() == Some("pay_as_you_go");
    let (used, words) = match (&account.gauge, is_paygo) {
        (_, true) => {
            let left = (account.balance().0.max(0) * 1000).checked_div(balance_before.0);
            let left = u32::try_from(left.unwrap_or(0)).unwrap_or(0).min(1000);
            (Some(left), format!("{} of {} left", account.balance(), balance_before))
        }
        (Some(gauge), false) => {
            let words = gauge.share();
            let resets = gauge.resets_in.map(|left| match left.as_secs() / 86_400 {
                0..2 => format!("resets {}", minutes(left)),
                days => format!("{days} d left"),
            });
            (Some(gauge.used_permille), format!("{words:<15} {}", resets.unwrap_or_default()))
        }
        (None, false) => (None, "no window known".to_owned()),
    };
    let tone = match used {
        _ if !account.is_open => Tone::Bad,
        Some(permille) if permille >= 800 && !is_paygo => Tone::Warn,
        _ => Tone::Good,
    };
    let used_slots = account.slots_in_use.min(account.slots);
    Text::from("  ")
        .append(Text::toned(Tone::Strong, account.label.as_str()).padded_right(7))
        .append(Text::new().dim(account.plan_name()).padded_right(6))
        .append(bar(used.map(Permille), CELLS, tone))
        .append(Text::from(format!(" {words}")).padded_right(33))
        .then(Tone::Accent, "●".repeat(used_slots))
        .dim("○".repeat(account.slots - used_slots))
        .then(Tone::Bad, if account.is_open { "" } else { " closed" })
}
