//! Reads a TOML file section by section. Every key that is asked for is known; what is left over is a problem
//! with a suggestion; problems are gathered, never the first one only.

use toml::de::{DeTable, DeValue};

use super::origin::{Origin, Sourced};
use super::vocabulary;

/// The span of a key or value in the file.
type Span = std::ops::Range<usize>;

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// File and line, or the variable or flag.
    pub(crate) place: String,
    /// What is wrong, without the value where that could be a key.
    pub(crate) message: String,
    /// A suggestion.
    pub(crate) hint: Option<String>,
}

/// The text of a file, for turning positions into lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceFile<'t> {
    pub(crate) label: &'t str,
    pub(crate) text: &'t str,
    /// Values of the embedded file are defaults.
    pub(crate) embedded: bool,
}

/// One table of the file, while it is read.
#[derive(Debug)]
pub(crate) struct Section<'t> {
    source: SourceFile<'t>,
    path: String,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

/// A value of the file: what a reader of one setting sees.
pub(crate) type Value<'t> = DeValue<'t>;

// === impl Problem ===

impl Problem {
    /// The line of the file, if it is about one.
    pub(crate) fn line(&self) -> Option<usize> {
        self.place.rsplit_once(':').and_then(|(_, line)| line.parse().ok())
    }
}

// === impl SourceFile ===

impl SourceFile<'_> {
    fn line(&self, position: usize) -> usize {
        let before = self.text.as_bytes().get(..position).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn place(&self, span: &Span) -> String {
        format!("{}:{}", self.label, self.line(span.start))
    }

    fn origin(&self, span: &Span) -> Origin {
        if self.embedded {
            Origin::Default
        } else {
            Origin::File { path: self.label.to_owned(), line: self.line(span.start) }
        }
    }

    /// What the TOML reader itself found wrong.
    pub(crate) fn syntax_problem(&self, error: &toml::de::Error) -> Problem {
        let position = error.span().map_or(0, |span| span.start);
        Problem {
            place: format!("{}:{}", self.label, self.line(position)),
            message: error.message().trim_end_matches('.').to_owned(),
            hint: None,
        }
    }
}

// === impl Section ===

impl<'t> Section<'t> {
    /// The file's outermost table.
    pub(crate) const fn root(source: SourceFile<'t>, table: &'t DeTable<'t>) -> Self {
        Self::below(source, String::new(), table)
    }

    const fn below(source: SourceFile<'t>, path: String, table: &'t DeTable<'t>) -> Self {
        Self { source, path, table, known: Vec::new(), problems: Vec::new() }
    }

    /// Replaces `target` if the file has `key` and `read` accepts its value.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        target: &mut Sourced<T>,
        read: impl FnOnce(&Value<'_>) -> Result<T, String>,
    ) {
        if let Some(found) = self.read_new(key, read) {
            *target = found;
        }
    }

    /// The value of `key`, if the file has it and `read` accepts it.
    pub(crate) fn read_new<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'_>) -> Result<T, String>,
    ) -> Option<Sourced<T>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        match read(value.get_ref()) {
            Ok(read) => Some(Sourced::new(read, self.source.origin(&value.span()))),
            Err(message) => {
                self.problems.push(Problem {
                    place: self.source.place(&value.span()),
                    message: format!("`{}`: {message}", self.dotted(key)),
                    hint: None,
                });
                None
            }
        }
    }

    /// Whether the file has `key`, whatever its value is.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Reads the table under `key`, if there is one.
    pub(crate) fn table(&mut self, key: &'static str, read: impl FnOnce(&mut Self)) {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return };
        match value.get_ref() {
            DeValue::Table(table) => {
                let mut section = Self::below(self.source, self.dotted(key), table);
                read(&mut section);
                self.problems.extend(section.finish());
            }
            _ => self.problems.push(Problem {
                place: self.source.place(&value.span()),
                message: format!(
                    "`{}` is a section; write `[{}]`",
                    self.dotted(key),
                    self.dotted(key)
                ),
                hint: None,
            }),
        }
    }

    /// Reads every table of the array under `key`, each with the line it begins on.
    pub(crate) fn tables(&mut self, key: &'static str, mut read: impl FnMut(&mut Self, Origin)) {
        self.known.push(key);
        let Some(value) = self.table.get(key) else { return };
        let tables = match value.get_ref() {
            DeValue::Array(items) => Some(items),
            _ => None,
        };
        let whole = tables.is_some_and(|items| {
            items.iter().all(|item| matches!(item.get_ref(), DeValue::Table(_)))
        });
        let (Some(items), true) = (tables, whole) else {
            self.problems.push(Problem {
                place: self.source.place(&value.span()),
                message: format!("`{0}` is a list of sections; write `[[{0}]]`", self.dotted(key)),
                hint: None,
            });
            return;
        };
        for item in items.iter() {
            let DeValue::Table(table) = item.get_ref() else { continue };
            let mut section = Self::below(self.source, self.dotted(key), table);
            read(&mut section, self.source.origin(&item.span()));
            self.problems.extend(section.finish());
        }
    }

    /// Something wrong that only the reader of this section can see.
    pub(crate) fn problem(&mut self, origin: &Origin, message: String, hint: Option<String>) {
        self.problems.push(Problem { place: origin.to_string(), message, hint });
    }

    /// Everything wrong with this section: what was noted, and every key that nobody asked for.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        for (key, value) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let is_section = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(items) => {
                    items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_)))
                }
                _ => false,
            };
            self.problems.push(Problem {
                place: self.source.place(&key.span()),
                message: format!("unknown key `{}`", self.dotted(name)),
                hint: self.suggestion(name, is_section),
            });
        }
        self.problems
    }

    /// What was meant: a key of this section, or one that belongs into another.
    fn suggestion(&self, name: &str, is_section: bool) -> Option<String> {
        if self.path != "accounts" && vocabulary::means_a_key(name) {
            return Some(
                "keys belong to an account, as `keys = [\"…\"]` below [[accounts]]; `ripcord init` writes that"
                    .to_owned(),
            );
        }
        let siblings = self.known.iter().copied().map(|known| (known, self.dotted(known)));
        // Below the root stand sections only, and a value is never meant to be one.
        let siblings = siblings.filter(|_| is_section || !self.path.is_empty());
        let own = best(name, siblings);
        let other = if is_section { None } else { best(name, vocabulary::keys().into_iter()) };
        match (own, other) {
            (Some((likeness, own)), other)
                if other.as_ref().is_none_or(|(better, _)| likeness >= *better) =>
            {
                Some(format!("did you mean `{own}`?"))
            }
            (_, Some((_, other))) => Some(match other.rsplit_once('.') {
                Some(("accounts", key)) => {
                    format!("did you mean `{key}` of an account, below [[accounts]]?")
                }
                Some((section, _)) => {
                    format!("did you mean `{other}`? It belongs below [{section}]")
                }
                None => format!("did you mean `{other}`?"),
            }),
            _ => None,
        }
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The candidate that is most like `name`, if any is near enough to be meant.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    best(name, candidates.map(|candidate| (candidate, candidate))).map(|(_, candidate)| candidate)
}

/// The candidate whose word is most like `name`, with how much it is.
fn best<T>(name: &str, candidates: impl Iterator<Item = (impl AsRef<str>, T)>) -> Option<(f64, T)> {
    let wanted = name.to_lowercase().replace('-', "_");
    candidates
        .map(|(word, candidate)| {
            (strsim::jaro_winkler(&wanted, &word.as_ref().to_lowercase()), candidate)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        // The first of those that are equally near.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
}

/// Readers for single values. Each says what it expected; none repeats the value, which could be a key.
pub(crate) mod read {
    use ripcord_rules::units::{NanoUsd, Rounding};

    use super::Value;

    const fn kind(value: &Value<'_>) -> &'static str {
        match value {
            Value::String(_) => "a text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(value: &Value<'_>) -> Result<String, String> {
        match value {
            Value::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Value::String(_) => Err("must not be empty".to_owned()),
            other => Err(format!("expected a text in quotes, found {}", kind(other))),
        }
    }

    /// Text, or nothing where it is left empty.
    pub(crate) fn optional_text(value: &Value<'_>) -> Result<Option<String>, String> {
        match value {
            Value::String(text) if text.trim().is_empty() => Ok(None),
            other => text(other).map(Some),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(value: &Value<'_>) -> Result<Vec<String>, String> {
        match value {
            Value::Array(items) => items.iter().map(|item| text(item.get_ref())).collect(),
            other => Err(format!("expected a list such as [\"…\"], found {}", kind(other))),
        }
    }

    /// True or false.
    pub(crate) fn flag(value: &Value<'_>) -> Result<bool, String> {
        match value {
            Value::Boolean(flag) => Ok(*flag),
            other => Err(format!("expected true or false, found {}", kind(other))),
        }
    }

    /// A list of web origins. One with a path would never match what a browser sends.
    pub(crate) fn origins(value: &Value<'_>) -> Result<Vec<String>, String> {
        let origins = texts(value)?;
        for origin in &origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let host = host.unwrap_or_default();
            if host.is_empty() || host.contains(['/', '?', '#', '@', '*', ' ']) {
                return Err(
                    "expected origins as browsers send them, without a path and without a `/` at the end, such as \
                     \"https://chat.example\""
                        .to_owned(),
                );
            }
        }
        Ok(origins)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        choices: &'static [(&'static str, T)],
    ) -> impl FnOnce(&Value<'_>) -> Result<T, String> {
        move |value| {
            let names = || {
                choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            };
            let Value::String(text) = value else {
                return Err(format!("expected one of {}, found {}", names(), kind(value)));
            };
            let found = choices.iter().find(|(name, _)| *name == text.trim());
            found.map(|(_, choice)| *choice).ok_or_else(|| format!("expected one of {}", names()))
        }
    }

    /// A whole number within bounds.
    pub(crate) fn whole(
        least: u64,
        most: u64,
        unit: &'static str,
    ) -> impl FnOnce(&Value<'_>) -> Result<u64, String> {
        move |value| {
            let number = match value {
                Value::Integer(number) => {
                    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
                }
                other => {
                    return Err(format!(
                        "expected a whole number of {unit}, found {}",
                        kind(other)
                    ));
                }
            };
            number
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| format!("must be from {least} to {most} {unit}"))
        }
    }

    /// An amount of US dollars, as a number or in quotes; never negative.
    pub(crate) fn usd(value: &Value<'_>) -> Result<NanoUsd, String> {
        let text = match value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.as_str().to_owned(),
            Value::String(text) => text.to_string(),
            other => {
                return Err(format!("expected an amount of US dollars, found {}", kind(other)));
            }
        };
        usd_text(&text)
    }

    /// An amount of US dollars in text: `0.05`, `$5`.
    pub(crate) fn usd_text(text: &str) -> Result<NanoUsd, String> {
        let text = text.trim().trim_start_matches('$').replace('_', "");
        NanoUsd::from_decimal(&text, Rounding::Up)
            .filter(|amount| amount.0 >= 0)
            .ok_or_else(|| "expected an amount of US dollars such as 0.05".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(String, String, Option<String>)> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let source = SourceFile { label: "config.toml", text, embedded: false };
        let mut problems: Vec<_> =
            errors.iter().map(|error| source.syntax_problem(error)).collect();
        let mut root = Section::root(source, table.get_ref());
        root.table("spending", |section| {
            let mut target = Sourced::new(ripcord_rules::units::NanoUsd(0), Origin::Default);
            section.read("min_balance", &mut target, read::usd);
        });
        problems.extend(root.finish());
        problems.into_iter().map(|found| (found.place, found.message, found.hint)).collect()
    }

    #[test]
    fn all_problems_come_together_with_line_and_suggestion() {
        let found =
            problems("[spending]\nmin_balanse = 1\nmin_balance = true\n\n[spendings]\nx = 1\n");
        assert_eq!(
            found,
            [
                (
                    "config.toml:3".into(),
                    "`spending.min_balance`: expected an amount of US dollars, found true or false"
                        .into(),
                    None
                ),
                (
                    "config.toml:2".into(),
                    "unknown key `spending.min_balanse`".into(),
                    Some("did you mean `spending.min_balance`?".into())
                ),
                (
                    "config.toml:5".into(),
                    "unknown key `spendings`".into(),
                    Some("did you mean `spending`?".into())
                ),
            ]
        );
    }

    #[test]
    fn a_key_in_the_wrong_place_is_sent_to_its_section() {
        let hint = |text: &str| problems(text)[0].2.clone().unwrap_or_default();
        assert!(hint("listen = 1").contains("`gateway.listen`? It belongs below [gateway]"));
        assert!(hint("listne = 1").contains("`gateway.listen`"), "not `limits`, a section");
        assert!(hint("[spending]\nslots_per_acount = 1").contains("`gateway.slots_per_account`"));
        assert!(hint("[spending]\nkey_fil = 1").contains("`key_file` of an account"));
        assert!(hint("api_key = \"x\"").contains("ripcord init"));
        assert_eq!(hint("[spendign]\nx = 1"), "did you mean `spending`?");
        assert_eq!(hint("zzz = 1"), "");
    }

    #[test]
    fn a_section_written_as_a_value_is_explained() {
        assert_eq!(problems("spending = 3")[0].1, "`spending` is a section; write `[spending]`");
    }

    #[test]
    fn amounts_are_read_exactly() {
        assert_eq!(read::usd_text(" $0.05 ").unwrap(), ripcord_rules::units::NanoUsd(50_000_000));
        assert!(read::usd_text("-1").is_err());
        assert!(read::usd_text("free").is_err());
    }
}
