//! Which models a client key may use, by name.

use std::sync::Arc;

/// Patterns that one key may have.
pub const MOST_PATTERNS: usize = 50;
/// The longest pattern.
pub const LONGEST_PATTERN_BYTES: usize = 256;

/// Names of models with `*` for any text, the empty one included. Nothing at all lets every model in.
///
/// Upper and lower case are the same here: no two models differ by that alone, and whoever writes `qwen/*` means
/// `Qwen/Qwen3-32B`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ModelPatterns(Arc<[String]>);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternProblem {
    /// Empty, or with characters that stand in no name of a model.
    NotAName,
    /// Longer than [`LONGEST_PATTERN_BYTES`].
    TooLong,
    /// More than [`MOST_PATTERNS`].
    TooMany,
}

// === impl ModelPatterns ===

impl ModelPatterns {
    /// Reads patterns, as people write them.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternProblem> {
        let patterns = texts.into_iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        if patterns.len() > MOST_PATTERNS {
            return Err(PatternProblem::TooMany);
        }
        Ok(Self(patterns.into()))
    }

    /// Patterns that no model fits.
    #[must_use]
    pub fn none() -> Self {
        Self([String::new()].into())
    }

    /// Whether every model may be used.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the model of this name may be used.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.is_unrestricted()
            || self.0.iter().any(|pattern| fits(pattern.as_bytes(), model.as_bytes()))
    }

    /// Whether a pattern is this very name: then it is meant, whatever it stands for.
    #[must_use]
    pub fn names(&self, model: &str) -> bool {
        self.0.iter().any(|pattern| pattern.eq_ignore_ascii_case(model))
    }

    /// The patterns, as they were written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

fn pattern(text: &str) -> Result<String, PatternProblem> {
    let text = text.trim();
    if text.len() > LONGEST_PATTERN_BYTES {
        return Err(PatternProblem::TooLong);
    }
    // A comma would be a list, which is resolved to its members before they are looked at.
    let is_plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != ',';
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(PatternProblem::NotAName);
    }
    Ok(text.to_owned())
}

/// Whether `text` fits `pattern`, in which `*` is any text. At most as many steps as the product of their lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // The last star, and up to where it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(letter) if letter.eq_ignore_ascii_case(&text[seen]) => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((of_star, reach)) = star else { return false };
                star = Some((of_star, reach + 1));
                at = of_star + 1;
                seen = reach + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patterns(texts: &[&str]) -> ModelPatterns {
        ModelPatterns::read(texts.iter().copied()).unwrap()
    }

    #[test]
    fn a_star_is_any_text_and_everything_else_is_itself() {
        for (pattern, model, expected) in [
            ("*", "acme/Writer-9", true),
            ("acme/*", "acme/Writer-9", true),
            ("ACME/writer-9", "acme/Writer-9", true),
            ("acme/*", "acme/", true),
            ("acme/*", "acme", false),
            ("*-TEE", "acme/Writer-9-TEE", true),
            ("*-TEE", "acme/Writer-9-TEE-2", false),
            ("*/Writer-*-TEE", "acme/Writer-9-TEE", true),
            ("a*b*c", "a-b-b-c-c", true),
            ("a*b*c", "a-b-b-c-d", false),
            ("acme/Writer-9", "acme/Writer-9-TEE", false),
            ("acme/Writer-9", "x-acme/Writer-9", false),
            ("acme/Writer-?", "acme/Writer-9", false),
            ("spare:*", "spare:acme/Writer-9", true),
            ("acme/*", "spare:acme/Writer-9", false),
        ] {
            assert_eq!(patterns(&[pattern]).allows(model), expected, "{pattern} and {model}");
        }
    }

    #[test]
    fn without_a_pattern_everything_goes_and_with_some_one_of_them_has_to_fit() {
        assert!(ModelPatterns::default().allows("anything"));
        let two = patterns(&["acme/*", "other/Small"]);
        assert!(two.allows("acme/X") && two.allows("other/Small") && !two.allows("other/Large"));
        assert!(!two.is_unrestricted());
        assert!(two.names("Other/Small") && !two.names("acme/X"));
        let none = ModelPatterns::none();
        assert!(!none.allows("acme/X") && !none.is_unrestricted());
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let read = |text: &str| ModelPatterns::read([text]).unwrap_err();
        for text in ["", "  ", "a b", "a,b", "a\nb"] {
            assert_eq!(read(text), PatternProblem::NotAName, "{text:?}");
        }
        assert_eq!(read(&"x".repeat(257)), PatternProblem::TooLong);
        let many = ModelPatterns::read(std::iter::repeat_n("x", 51));
        assert_eq!(many, Err(PatternProblem::TooMany));
    }

    proptest! {
        #[test]
        fn it_is_what_the_plain_definition_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            fn plain(pattern: &str, text: &str) -> bool {
                match pattern.chars().next() {
                    None => text.is_empty(),
                    Some('*') => (0..=text.len()).any(|cut| plain(&pattern[1..], &text[cut..])),
                    Some(letter) => text.starts_with(letter) && plain(&pattern[1..], &text[1..]),
                }
            }
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), plain(&pattern, &text));
        }
    }
}
