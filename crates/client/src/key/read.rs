//! Reading a key from what people paste: repairs, then one verdict on the form.

use std::fmt;

use http::HeaderValue;

use super::{API_KEY_LENGTH, Key, KeyForm, ReadKey};

/// What was put right while reading a key. Its `Display` is the warning to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Repair {
    /// White space or a line end around the key.
    Whitespace,
    /// White space or a line end inside the key.
    InnerWhitespace,
    /// Quotation marks around the key.
    Quotes,
    /// An invisible character, such as a byte order mark.
    Invisible,
    /// The word `Bearer`, which belongs to the header.
    BearerPrefix,
    /// The name of a header or an environment variable in front of the key.
    NamePrefix,
    /// The same key was given twice.
    Duplicate,
}

impl fmt::Display for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Whitespace => "removed white space around the key",
            Self::InnerWhitespace => "removed white space inside the key",
            Self::Quotes => "removed quotation marks around the key",
            Self::Invisible => "removed an invisible character from the key",
            Self::BearerPrefix => "removed the word `Bearer` in front of the key",
            Self::NamePrefix => "removed the name in front of the key",
            Self::Duplicate => "the same key was given twice and is used once",
        })
    }
}

/// Why a text is not a usable key. The sentences never contain the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// Nothing there.
    #[error("the key is empty; create one at https://chutes.ai/app/api and set CHUTES_API_KEY")]
    Empty,
    /// A sample from a manual, or a variable that was not expanded.
    #[error("this is a placeholder, not a key; put your own key there (it begins with `cpk_`)")]
    Placeholder,
    /// A key as some page shows it, with its middle hidden.
    #[error("this key is masked; copy it from where it was created, a masked key cannot be used")]
    Masked,
    /// A key of somebody else's service.
    #[error("this looks like a key of {provider}, not of Chutes (those begin with `cpk_`)")]
    OtherProvider {
        /// Whose it seems to be.
        provider: &'static str,
    },
    /// `cpk_` in other letters.
    #[error("a Chutes key begins with lower-case `cpk_`")]
    PrefixCase,
    /// The right beginning and the wrong length.
    #[error("a Chutes key has {API_KEY_LENGTH} characters and this one has {characters}; it was probably {fault} when copied", fault = if *.characters < API_KEY_LENGTH { "cut" } else { "extended" })]
    WrongLength {
        /// How many characters there are.
        characters: usize,
    },
    /// Not three segments.
    #[error("a Chutes key has 3 segments separated by dots and this one has {segments}")]
    WrongSegmentCount {
        /// How many segments there are.
        segments: usize,
    },
    /// One segment has the wrong length or the wrong characters.
    #[error("segment {segment} of the key is not {expected}")]
    WrongSegment {
        /// Which one, from 1.
        segment: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// A character that no key has.
    #[error("the key contains a character that no key has, at position {position}")]
    ForbiddenCharacter {
        /// Where, from 1.
        position: usize,
    },
    /// Too short for a token of any kind.
    #[error(
        "the key is too short to be one ({characters} characters); a Chutes key begins with `cpk_`"
    )]
    TooShort {
        /// How many characters there are.
        characters: usize,
    },
    /// Several keys where one was expected.
    #[error("there are several keys separated by commas where one is expected")]
    Several,
    /// Several keys with something else than a comma between them, or nothing.
    #[error("there are several keys in one; separate them by commas")]
    Joined,
}

/// Which of several keys cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {position} of the list: {problem}")]
pub struct ListProblem {
    /// Which one, from 1.
    pub position: usize,
    /// What is wrong with it.
    pub problem: KeyProblem,
}

/// Shorter than this is a typing error, not a token.
const SHORTEST_TOKEN: usize = 16;

const HEX: &str = "32 characters of 0-9 and a-f";
const ALPHANUMERIC: &str = "32 letters and digits";

/// Beginnings of other providers' keys; longer ones first where one begins another.
const OTHER_PROVIDERS: [(&str, &str); 15] = [
    ("sk-or-", "OpenRouter"),
    ("sk-ant-", "Anthropic"),
    ("sk-", "OpenAI or a service with its key form"),
    ("sk_", "another service"),
    ("gsk_", "Groq"),
    ("hf_", "Hugging Face"),
    ("AIza", "Google"),
    ("xai-", "xAI"),
    ("pplx-", "Perplexity"),
    ("nvapi-", "NVIDIA"),
    ("fw_", "Fireworks"),
    ("r8_", "Replicate"),
    ("ghp_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("tgp_", "Together"),
];

pub(super) fn one(text: &str) -> Result<ReadKey, KeyProblem> {
    let mut repairs = Vec::new();
    let repaired = repair(text, &mut repairs);
    if repaired.is_empty() {
        return Err(KeyProblem::Empty);
    }
    if repaired.contains(',') {
        return Err(KeyProblem::Several);
    }
    let form = form_of(&repaired)?;
    Ok((key(&repaired, form)?, repairs))
}

pub(super) fn of_provider(text: &str) -> Result<Key, KeyProblem> {
    let repaired = repair(text, &mut Vec::new());
    if repaired.is_empty() {
        return Err(KeyProblem::Empty);
    }
    if is_masked(&repaired) {
        return Err(KeyProblem::Masked);
    }
    if let Some(position) = repaired.chars().position(|character| !character.is_ascii_graphic()) {
        return Err(KeyProblem::ForbiddenCharacter { position: position + 1 });
    }
    key(&repaired, KeyForm::OtherToken)
}

fn key(text: &str, form: KeyForm) -> Result<Key, KeyProblem> {
    let mut authorization = HeaderValue::try_from(format!("Bearer {text}"))
        .map_err(|_| KeyProblem::ForbiddenCharacter { position: 1 })?;
    authorization.set_sensitive(true);
    Ok(Key { text: text.into(), form, authorization })
}

pub(super) fn list(text: &str) -> Result<Vec<ReadKey>, ListProblem> {
    let mut outer = Vec::new();
    // Quotes may stand around the whole list; the list is split first where they stand around each key.
    let stripped = repair_outside(text, &mut outer);
    let mut keys: Vec<ReadKey> = Vec::new();
    for (index, part) in stripped.split(',').enumerate() {
        // A comma at the end or twice in a row is no key.
        if part.trim().is_empty() && stripped.contains(',') {
            continue;
        }
        let (key, mut repairs) =
            one(part).map_err(|problem| ListProblem { position: index + 1, problem })?;
        if let Some((_, earlier)) = keys.iter_mut().find(|(known, _)| *known == key) {
            earlier.push(Repair::Duplicate);
            continue;
        }
        if keys.is_empty() {
            repairs.splice(0..0, outer.iter().copied());
            repairs.dedup();
        }
        keys.push((key, repairs));
    }
    if keys.is_empty() {
        Err(ListProblem { position: 1, problem: KeyProblem::Empty })
    } else {
        Ok(keys)
    }
}

fn note(repairs: &mut Vec<Repair>, repair: Repair) {
    if !repairs.contains(&repair) {
        repairs.push(repair);
    }
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{202a}'..='\u{202e}')
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '«' | '»')
}

/// Takes white space, quotes, names and `Bearer` from around the text until nothing changes.
fn repair_outside<'a>(text: &'a str, repairs: &mut Vec<Repair>) -> &'a str {
    let mut rest = text;
    loop {
        let before = rest;
        let trimmed = rest.trim();
        if trimmed.len() != rest.len() {
            // A single line end is what every file and shell adds; it is not worth a warning.
            let only_line_end = rest.trim_end_matches(['\r', '\n']) == trimmed;
            if !only_line_end || rest.len() - trimmed.len() > 2 {
                note(repairs, Repair::Whitespace);
            }
            rest = trimmed;
        }
        let visible = rest.trim_matches(is_invisible);
        if visible.len() != rest.len() {
            note(repairs, Repair::Invisible);
            rest = visible;
        }
        let unquoted = rest.trim_matches(is_quote);
        if unquoted.len() != rest.len() {
            note(repairs, Repair::Quotes);
            rest = unquoted;
        }
        if let Some(after) = without_name(rest) {
            note(repairs, Repair::NamePrefix);
            rest = after;
        }
        if let Some(after) = without_bearer(rest) {
            note(repairs, Repair::BearerPrefix);
            rest = after;
        }
        if rest.len() == before.len() {
            return rest;
        }
    }
}

fn without_bearer(text: &str) -> Option<&str> {
    let (word, after) = text.split_at_checked(6)?;
    (word.eq_ignore_ascii_case("bearer") && after.starts_with([' ', '\t'])).then_some(after)
}

/// `CHUTES_API_KEY=…`, `export CHUTES_API_KEY=…`, `Authorization: …`, `x-api-key: …`.
fn without_name(text: &str) -> Option<&str> {
    let (name, after) = text.split_once(['=', ':'])?;
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let known = ["CHUTES_API_KEY", "CHUTES_API_TOKEN", "CHUTES_KEY", "Authorization", "X-API-Key"];
    known.iter().any(|word| word.eq_ignore_ascii_case(name)).then_some(after)
}

fn repair(text: &str, repairs: &mut Vec<Repair>) -> String {
    let outside = repair_outside(text, repairs);
    let mut inside = String::with_capacity(outside.len());
    // Only a key that is known by its beginning may be joined over a gap: two words are two words.
    let joins = outside.starts_with("cpk_");
    for character in outside.chars() {
        if is_invisible(character) {
            note(repairs, Repair::Invisible);
        } else if joins && character.is_whitespace() {
            note(repairs, Repair::InnerWhitespace);
        } else {
            inside.push(character);
        }
    }
    inside
}

fn form_of(text: &str) -> Result<KeyForm, KeyProblem> {
    if is_masked(text) {
        return Err(KeyProblem::Masked);
    }
    if is_placeholder(text) {
        return Err(KeyProblem::Placeholder);
    }
    if let Some(position) = text.chars().position(|character| !character.is_ascii_graphic()) {
        return Err(KeyProblem::ForbiddenCharacter { position: position + 1 });
    }
    if let Some(body) = text.strip_prefix("cpk_") {
        if body.contains("cpk_") {
            return Err(KeyProblem::Joined);
        }
        return api_key(text).map(|()| KeyForm::ApiKey);
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("cpk_") {
        return Err(KeyProblem::PrefixCase);
    }
    let other = OTHER_PROVIDERS.iter().find(|(beginning, _)| text.starts_with(beginning));
    if let Some((_, provider)) = other {
        return Err(KeyProblem::OtherProvider { provider });
    }
    if text.len() < SHORTEST_TOKEN {
        return Err(KeyProblem::TooShort { characters: text.len() });
    }
    if text.starts_with("cak_") {
        return Ok(KeyForm::OAuth);
    }
    if text.starts_with("eyJ") && text.split('.').count() == 3 {
        return Ok(KeyForm::SessionToken);
    }
    Ok(KeyForm::OtherToken)
}

fn api_key(text: &str) -> Result<(), KeyProblem> {
    let body = text.get(4..).unwrap_or("");
    let segments: Vec<&str> = body.split('.').collect();
    if text.len() != API_KEY_LENGTH {
        return Err(KeyProblem::WrongLength { characters: text.len() });
    }
    if segments.len() != 3 {
        return Err(KeyProblem::WrongSegmentCount { segments: segments.len() });
    }
    for (index, segment) in segments.iter().enumerate() {
        let (matches, expected) = if index < 2 {
            let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (segment.bytes().all(is_hex), HEX)
        } else {
            (segment.bytes().all(|byte| byte.is_ascii_alphanumeric()), ALPHANUMERIC)
        };
        if segment.len() != 32 || !matches {
            return Err(KeyProblem::WrongSegment { segment: index + 1, expected });
        }
    }
    Ok(())
}

fn is_masked(text: &str) -> bool {
    text.contains('…') || text.contains("***") || text.contains('•') || text.contains("...")
}

fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let in_brackets = text.starts_with(['<', '$', '{', '[', '%']);
    let words = [
        "your",
        "placeholder",
        "changeme",
        "change_me",
        "example",
        "replace",
        "api_key_here",
        "insert",
    ];
    let body = lower.strip_prefix("cpk_").unwrap_or(&lower);
    let mut characters = body.chars().filter(|character| *character != '.');
    let first = characters.next();
    let all_the_same = first.is_none_or(|first| characters.all(|character| character == first));
    let is_word = words.iter().any(|word| body.starts_with(word));
    // `cpk_` alone, `cpk_xxxx.xxxx.xxxx`, `xxxx`: nobody's key is one character over and over.
    in_brackets
        || is_word
        || all_the_same
        || ["none", "null", "undefined", "test", "dummy", "todo"].contains(&body)
}
