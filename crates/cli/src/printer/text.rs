//! A line of text whose parts know what they mean; colour is added, or not, at the very end.

use std::borrow::Cow;

use ripcord_wire::text::is_hidden;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What a part of a line means. The words beside it say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// What the eye should find first.
    Strong,
    /// What is there for those who look for it.
    Dim,
    Good,
    Warn,
    Bad,
    Accent,
}

/// A line made of toned parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    parts: Vec<(Tone, String)>,
}

// === impl Tone ===

impl Tone {
    const fn style(self) -> anstyle::Style {
        use anstyle::{Ansi256Color, Color, Style};
        // Of the palette that is the same everywhere, those that can be read on white and on black alike (contrast 4 to
        // 5.5 on both). The sixteen of the terminal cannot: its yellow and cyan vanish on a white background.
        const fn color(number: u8) -> Style {
            Style::new().fg_color(Some(Color::Ansi256(Ansi256Color(number))))
        }
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => color(28),
            Self::Warn => color(166),
            Self::Bad => color(196),
            Self::Accent => color(31),
        }
    }
}

// === impl Text ===

impl Text {
    /// An empty line.
    pub(crate) const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// A line that begins with a toned part.
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self::new().then(tone, text)
    }

    /// Adds a toned part.
    pub(crate) fn then(mut self, tone: Tone, text: impl Into<String>) -> Self {
        let text = harmless(text.into());
        if !text.is_empty() {
            self.parts.push((tone, text));
        }
        self
    }

    /// Adds a plain part.
    pub(crate) fn plain(self, text: impl Into<String>) -> Self {
        self.then(Tone::Plain, text)
    }

    /// Adds a part that stands back.
    pub(crate) fn dim(self, text: impl Into<String>) -> Self {
        self.then(Tone::Dim, text)
    }

    /// Adds another line's parts.
    pub(crate) fn append(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// How many columns it takes on a terminal.
    pub(crate) fn width(&self) -> usize {
        self.parts.iter().map(|(_, text)| text.width()).sum()
    }

    /// The same words, all in this tone.
    pub(crate) fn tinted(self, tone: Tone) -> Self {
        Self { parts: self.parts.into_iter().map(|(_, text)| (tone, text)).collect() }
    }

    /// Spaces added at the right end, up to `width`.
    pub(crate) fn padded_right(self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        self.plain(" ".repeat(missing))
    }

    /// Spaces added at the left end, up to `width`.
    pub(crate) fn padded_left(self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        Self::new().plain(" ".repeat(missing)).append(self)
    }

    /// Cut to `width` columns, with an ellipsis where something is missing.
    pub(crate) fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut left = width.saturating_sub(1);
        let mut cut = Self::new();
        for (tone, text) in self.parts {
            let mut kept = String::new();
            for character in text.chars() {
                let columns = character.width().unwrap_or(0);
                if columns > left {
                    return cut.then(tone, kept).dim("…");
                }
                left -= columns;
                kept.push(character);
            }
            cut = cut.then(tone, kept);
        }
        cut
    }

    /// Cut to `width` columns in the middle, so that both ends of a name can be told from others: `Qwen/Qwen3…FP8-TEE`.
    pub(crate) fn cut_in_the_middle(self, width: usize) -> Self {
        let whole = self.width();
        if whole <= width {
            return self;
        }
        let tail = width.saturating_sub(1) / 2;
        let end = self.clone().without_first(whole - tail);
        let head = self.cut((width - tail).max(1));
        head.append(end)
    }

    /// What is left when the first `columns` are taken away; a wide character on the edge goes too.
    fn without_first(self, columns: usize) -> Self {
        let mut left = columns;
        let mut rest = Self::new();
        for (tone, text) in self.parts {
            let mut kept = String::new();
            for character in text.chars() {
                if left > 0 {
                    left = left.saturating_sub(character.width().unwrap_or(0));
                } else {
                    kept.push(character);
                }
            }
            rest = rest.then(tone, kept);
        }
        rest
    }

    /// Broken at spaces into lines of at most `width` columns: the first indented by `indent`, the others by `more`
    /// on top.
    pub(crate) fn wrapped(&self, width: usize, indent: usize, more: usize) -> Vec<Self> {
        let mut room = width.saturating_sub(indent).max(20);
        let margin = " ".repeat(indent + more);
        let mut lines = Vec::new();
        let mut line = Self::new().plain(" ".repeat(indent));
        let mut used = 0;
        for (tone, word, glued) in self.words() {
            let columns = word.width();
            let space = usize::from(used > 0 && !glued);
            if used > 0 && !glued && used + space + columns > room {
                lines.push(std::mem::replace(&mut line, Self::new().plain(margin.as_str())));
                room = width.saturating_sub(indent + more).max(20);
                used = 0;
            } else if space == 1 {
                line = line.plain(" ");
                used += 1;
            }
            line = line.then(tone, word);
            used += columns;
        }
        lines.push(line);
        lines
    }

    /// The words, and whether each follows its predecessor without a space (a change of tone inside a word).
    fn words(&self) -> Vec<(Tone, String, bool)> {
        let mut words = Vec::new();
        let mut after_space = true;
        for (tone, text) in &self.parts {
            for (index, word) in text.split(' ').enumerate() {
                if index > 0 {
                    after_space = true;
                }
                if !word.is_empty() {
                    words.push((*tone, word.to_owned(), !after_space));
                    after_space = false;
                }
            }
        }
        words
    }

    /// The text, with colours if the device takes them.
    pub(crate) fn render(&self, color: bool) -> String {
        let mut output = String::new();
        for (tone, text) in &self.parts {
            let style = tone.style();
            if color && *tone != Tone::Plain {
                output.push_str(&format!("{style}{text}{style:#}"));
            } else {
                output.push_str(text);
            }
        }
        output
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new().plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new().plain(text)
    }
}

/// Text from elsewhere (a model's name, a user's) may hold characters that a terminal obeys or that reorder a line. Every
/// text that is shown passes here.
fn harmless(text: String) -> String {
    if !text.contains(is_hidden) {
        return text;
    }
    text.chars()
        .map(|character| if is_hidden(character) { '\u{fffd}' } else { character })
        .collect()
}

/// JSON whose characters a terminal does not obey either, written as escapes, so that its meaning is the same.
pub(crate) fn harmless_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_hidden(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                harmless.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            harmless.push(character);
        }
    }
    harmless
}

/// The drawing characters of this program in ASCII, one column each; whatever else is not ASCII stays, since it
/// came from a name.
pub(crate) fn to_ascii(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '█' => '#',
            '░' => '.',
            '▕' => '[',
            '▏' => ']',
            '●' => '*',
            '○' => 'o',
            '◐' => '~',
            '✓' => '+',
            '✗' => 'x',
            '…' => '~',
            '·' | '–' | '—' | '─' => '-',
            '→' | '›' => '>',
            '≈' => '~',
            other => other,
        })
        .collect()
}

/// The text with every key cut to its beginning. Keys are redacted where they are held; this is for what a user put
/// into a place that repeats it, such as an argument.
pub(crate) fn without_keys(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = "cpk_1a2b".len();
    let mut cleaned = String::new();
    let mut rest = text;
    while let Some(at) = ["cpk_", "cak_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        let (before, from) = rest.split_at(at);
        let part_of_key =
            |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        let length = from.find(|character| !part_of_key(character)).unwrap_or(from.len());
        cleaned.push_str(before);
        if length > SHOWN {
            cleaned.push_str(&from[..SHOWN]);
            cleaned.push('…');
        } else {
            cleaned.push_str(&from[..length]);
        }
        rest = &from[length..];
    }
    if cleaned.is_empty() {
        return Cow::Borrowed(text);
    }
    cleaned.push_str(rest);
    Cow::Owned(cleaned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_keeps_its_width() {
        let text = Text::toned(Tone::Strong, "Qwen/").plain("Qwen3-235B-A22B");
        let cut = text.cut(10);
        assert_eq!(cut.width(), 10);
        assert_eq!(cut.render(false), "Qwen/Qwen…");
    }

    #[test]
    fn a_name_cut_in_the_middle_keeps_both_ends() {
        let name = Text::from("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE");
        let cut = name.clone().cut_in_the_middle(24);
        assert_eq!(cut.render(false), "Qwen/Qwen3-C…uct-FP8-TEE");
        assert_eq!(cut.width(), 24);
        assert_eq!(name.clone().cut_in_the_middle(43), name);
        for width in 1..12 {
            assert!(Text::from("模型/通义千问-32B").cut_in_the_middle(width).width() <= width);
        }
    }

    #[test]
    fn wide_characters_are_not_split() {
        assert_eq!(Text::from("模型模型").cut(4).render(false), "模…");
    }

    #[test]
    fn words_wrap_with_their_indentation_and_tones_stay_glued() {
        let text =
            Text::from("the account ").then(Tone::Strong, "work").plain(": has no room left today");
        let lines: Vec<_> = text.wrapped(24, 2, 0).iter().map(|line| line.render(false)).collect();
        assert_eq!(lines, ["  the account work: has", "  no room left today"]);
    }

    #[test]
    fn keys_are_cut_wherever_they_stand() {
        let key = format!("cpk_{}.{}", "0a".repeat(16), "Zz".repeat(20));
        let text = format!("no `{key}` and https://cak_0123456789@host, cpk_1a2b…, cpk_");
        assert_eq!(
            without_keys(&text),
            "no `cpk_0a0a…` and https://cak_0123…@host, cpk_1a2b…, cpk_"
        );
        assert_eq!(without_keys("nothing here"), "nothing here");
    }

    #[test]
    fn colour_only_when_wanted() {
        let text = Text::toned(Tone::Bad, "no");
        assert_eq!(text.render(false), "no");
        assert_eq!(text.render(true), "\u{1b}[38;5;196mno\u{1b}[0m");
    }
}
