//! The one owner of output. stdout is data, stderr is talk; a broken pipe is success; colour never carries
//! meaning alone, and is used only where a person looks.

pub(crate) mod bar;
pub(crate) mod moment;
pub(crate) mod number;
pub(crate) mod table;
pub(crate) mod text;

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::args::ColorChoice;
use crate::error::{CommandError, ErrorObject, WarningObject};
use crate::settings::environment::{Environment, variables};
use moment::Moments;
use table::Table;
use text::{Text, Tone};

/// The width for text that wraps or fills a line when nobody says how wide the terminal is.
const DEFAULT_WIDTH: usize = 80;
/// Text grows no wider than this: long lines are hard to read, however wide the terminal.
const COMFORTABLE_WIDTH: usize = 140;

/// What the output device can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Whether stdout is a terminal: there is a person who looks.
    pub(crate) terminal: bool,
    /// Whether stderr is one: talk may move.
    pub(crate) error_terminal: bool,
    /// Whether to send colours to stdout.
    pub(crate) color: bool,
    /// Whether to send colours to stderr.
    pub(crate) error_color: bool,
    /// Whether characters beyond ASCII may be drawn.
    pub(crate) unicode: bool,
    /// The width to lay out for.
    pub(crate) width: usize,
    /// Whether rows that do not fit are cut; a pipe gets whole names.
    pub(crate) cuts: bool,
}

/// Writes for one run of the program.
#[derive(Debug)]
pub(crate) struct Printer {
    device: Device,
    json: bool,
    /// How moments are shown.
    pub(crate) moments: Moments,
}

/// Lines for a person, gathered before they are written.
#[derive(Debug, Default)]
pub(crate) struct Page {
    blocks: Vec<Block>,
}

#[derive(Debug)]
enum Block {
    Line(Text),
    /// A paragraph, wrapped to the width: the indentation of its first line, how much more the others have, the text.
    Paragraph(usize, usize, Text),
    /// A line with spaces that mean something, which is a paragraph where it does not fit.
    Fitting(usize, usize, Text),
    Table(Table),
}

// === impl Device ===

impl Device {
    /// Looks at the process's own stdout and stderr.
    pub(crate) fn detect(environment: &dyn Environment, choice: ColorChoice) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let error_terminal = std::io::stderr().is_terminal();
        let plain = environment.get(variables::NO_COLOR).is_some_and(|value| !value.is_empty())
            || environment.get(variables::TERM).is_some_and(|term| term == "dumb");
        let wanted = |device_is_terminal| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => device_is_terminal && !plain,
        };
        let told_width = environment
            .get(variables::COLUMNS)
            .and_then(|text| text.trim().parse::<usize>().ok())
            .filter(|width| *width >= 20);
        let measured_width = terminal
            .then(|| terminal_size::terminal_size_of(std::io::stdout()))
            .flatten()
            .map(|(width, _)| usize::from(width.0))
            .filter(|width| *width >= 20);
        let width = measured_width.or(told_width);
        Self {
            terminal,
            error_terminal,
            color: wanted(terminal),
            error_color: wanted(error_terminal),
            unicode: speaks_unicode(environment),
            width: width.unwrap_or(DEFAULT_WIDTH).min(COMFORTABLE_WIDTH),
            cuts: width.is_some(),
        }
    }
}

/// POSIX: the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set decides. Where none is set (containers, cron)
/// almost every reader takes UTF-8.
fn speaks_unicode(environment: &dyn Environment) -> bool {
    [variables::LC_ALL, variables::LC_CTYPE, variables::LANG]
        .iter()
        .find_map(|name| environment.get(name).filter(|value| !value.is_empty()))
        .is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

// === impl Printer ===

impl Printer {
    /// A printer for this device.
    pub(crate) const fn new(device: Device, json: bool, moments: Moments) -> Self {
        Self { device, json, moments }
    }

    /// Whether somebody looks at the talk: then a progress bar may move.
    pub(crate) const fn talks_to_a_person(&self) -> bool {
        self.device.error_terminal
    }

    /// Whether the answer is JSON, and with it everything else that is said.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// What the device can do.
    pub(crate) const fn device(&self) -> Device {
        self.device
    }

    /// Whether answers are JSON.
    pub(crate) const fn speaks_json(&self) -> bool {
        self.json
    }

    /// A report as one line of JSON, for a command that goes on after it.
    pub(crate) fn json_line<R: Serialize>(&self, report: &R) -> Result<(), CommandError> {
        self.stream_json(report).map(drop)
    }

    /// The answer: the report as JSON, or the page drawn from it.
    pub(crate) fn answer<R: Serialize>(
        &self,
        report: &R,
        page: impl FnOnce() -> Page,
    ) -> Result<(), CommandError> {
        if self.json {
            let mut text =
                serde_json::to_string_pretty(report).map_err(|problem| unwritable(&problem))?;
            text.push('\n');
            self.write(&text::harmless_json(&text))
        } else {
            self.write(&page().render(self.device))
        }
    }

    /// Plain data to stdout. A reader that has gone has what it wanted, as in `ripcord models | head -3`.
    pub(crate) fn write(&self, text: &str) -> Result<(), CommandError> {
        self.stream(text).map(drop)
    }

    /// Data to stdout from a command that goes on after it; whether there is still somebody to read it.
    pub(crate) fn stream(&self, text: &str) -> Result<bool, CommandError> {
        let text = text::without_keys(text);
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(problem) if problem.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(problem) => Err(CommandError::unknown(format!("could not write: {problem}"))),
            Ok(()) => Ok(true),
        }
    }

    /// A report as one line of JSON; whether there is still somebody to read it.
    pub(crate) fn stream_json<R: Serialize>(&self, report: &R) -> Result<bool, CommandError> {
        let text = serde_json::to_string(report).map_err(|problem| unwritable(&problem))?;
        self.stream(&text::harmless_json(&format!("{text}\n")))
    }

    /// Whether whoever reads stdout is there, as far as the system tells.
    pub(crate) fn has_reader(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdout = std::io::stdout();
        let mut looked_at = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        poll(&mut looked_at, Some(&at_once)).is_err() || !looked_at[0].revents().intersects(gone)
    }

    /// Something that deserves attention but stops nothing.
    pub(crate) fn warn(&self, text: &str) {
        if self.json {
            return self.talk_json(&WarningObject::from(text));
        }
        self.talk(Text::toned(Tone::Warn, "warning: ").plain(text));
    }

    /// A failure with its next steps.
    pub(crate) fn error(&self, error: &CommandError) {
        if self.json {
            return self.talk_json(&ErrorObject::from(error));
        }
        for detail in &error.details {
            self.talk(Text::new().plain(detail.as_str()));
        }
        for (index, line) in error.to_string().lines().enumerate() {
            match index {
                0 => self.talk(Text::toned(Tone::Bad, "error: ").plain(line)),
                _ => self.talk(Text::new().plain(line)),
            }
        }
        for hint in &error.hints {
            self.talk(Text::toned(Tone::Accent, "hint: ").plain(hint.as_str()));
        }
        if let Some(more) = error.more() {
            self.talk(Text::toned(Tone::Dim, "more: ").dim(more));
        }
    }

    /// One JSON object on a line of its own, to stderr.
    fn talk_json<T: Serialize>(&self, object: &T) {
        // Plain structures of texts and numbers always become JSON.
        if let Ok(line) = serde_json::to_string(object) {
            self.talk_rendered(&text::harmless_json(&line));
        }
    }

    /// A line of talk to stderr. Nobody can be told when stderr is gone, so a failure to write is ignored.
    pub(crate) fn talk(&self, line: Text) {
        self.talk_rendered(&line.render(self.device.error_color));
    }

    /// Lines to stderr that are laid out already, with their colours.
    pub(crate) fn talk_rendered(&self, lines: &str) {
        let lines = format!("{lines}\n");
        let lines = if self.device.unicode { lines } else { text::to_ascii(&lines) };
        let _ = std::io::stderr().lock().write_all(text::without_keys(&lines).as_bytes());
    }
}

fn unwritable(problem: &serde_json::Error) -> CommandError {
    CommandError::unknown(format!("could not write the report as JSON: {problem}"))
}

// === impl Page ===

impl Page {
    /// An empty page.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line that is kept as it is.
    pub(crate) fn line(&mut self, text: Text) -> &mut Self {
        self.blocks.push(Block::Line(text));
        self
    }

    /// An empty line, never two.
    pub(crate) fn gap(&mut self) -> &mut Self {
        let gap = |block: &Block| matches!(block, Block::Line(text) if text.width() == 0);
        if self.blocks.last().is_some_and(|last| !gap(last)) {
            self.blocks.push(Block::Line(Text::new()));
        }
        self
    }

    /// Text that wraps at the width, every line indented by `indent`.
    pub(crate) fn paragraph(&mut self, indent: usize, text: Text) -> &mut Self {
        self.paragraph_under(indent, 0, text)
    }

    /// As [`Self::paragraph`], with the lines after the first indented by `more`, under a sign.
    pub(crate) fn paragraph_under(&mut self, indent: usize, more: usize, text: Text) -> &mut Self {
        self.blocks.push(Block::Paragraph(indent, more, text));
        self
    }

    /// A line that keeps its spaces as long as there is room, and else wraps as [`Self::paragraph_under`].
    pub(crate) fn fitting(&mut self, indent: usize, more: usize, text: Text) -> &mut Self {
        self.blocks.push(Block::Fitting(indent, more, text));
        self
    }

    /// A table.
    pub(crate) fn table(&mut self, table: Table) -> &mut Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// The finished text.
    pub(crate) fn render(&self, device: Device) -> String {
        let mut output = String::new();
        for block in &self.blocks {
            match block {
                Block::Line(text) => push_line(&mut output, &text.render(device.color)),
                Block::Fitting(indent, _, text) if indent + text.width() <= device.width => {
                    let line = Text::new().plain(" ".repeat(*indent)).append(text.clone());
                    push_line(&mut output, &line.render(device.color));
                }
                Block::Paragraph(indent, more, text) | Block::Fitting(indent, more, text) => {
                    for line in text.wrapped(device.width, *indent, *more) {
                        push_line(&mut output, &line.render(device.color));
                    }
                }
                Block::Table(table) => {
                    for line in table.lines(device) {
                        push_line(&mut output, &line.render(device.color));
                    }
                }
            }
        }
        if device.unicode { output } else { text::to_ascii(&output) }
    }
}

fn push_line(output: &mut String, line: &str) {
    output.push_str(line.trim_end_matches(' '));
    output.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn environment(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_locale_decides_about_unicode() {
        assert!(speaks_unicode(&environment(&[])));
        assert!(speaks_unicode(&environment(&[("LANG", "de_DE.UTF-8")])));
        assert!(!speaks_unicode(&environment(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")])));
        assert!(!speaks_unicode(&environment(&[("LANG", "POSIX")])));
    }

    #[test]
    fn a_pipe_is_never_coloured_unless_asked() {
        // The test runner's stdout may be a terminal, so only the forced choices are certain.
        let environment = environment(&[("NO_COLOR", "1")]);
        assert!(!Device::detect(&environment, ColorChoice::Auto).color);
        assert!(!Device::detect(&environment, ColorChoice::Never).color);
        assert!(Device::detect(&environment, ColorChoice::Always).color);
    }

    #[test]
    fn a_page_has_no_double_gaps() {
        let mut page = Page::new();
        page.gap().line(Text::new().plain("a")).gap().gap().line(Text::new().plain("b"));
        let device = Device {
            terminal: false,
            error_terminal: false,
            color: false,
            error_color: false,
            unicode: true,
            width: 80,
            cuts: false,
        };
        assert_eq!(page.render(device), "a\n\nb\n");
    }
}
