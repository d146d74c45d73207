//! Making text from elsewhere fit to show: a terminal, a log and an error message must not obey it.

/// How much of a text is looked at for each character that may be kept.
///
/// Without it a megabyte of control characters would be walked for a message of a hundred.
const LOOK_AHEAD: usize = 16;

/// `text` on one line, without control characters, at most `max_chars` characters long.
///
/// Terminal escape sequences are removed whole, white space becomes single spaces, invisible
/// characters that reorder text are dropped, and what looks like an API key is masked. A cut text
/// ends with `…`.
#[must_use]
pub fn clean(text: &str, max_chars: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(max_chars.saturating_mul(4)));
    let mut kept_chars = 0;
    let mut space = false;
    let mut cut = false;
    let mut characters = text.chars();
    let mut budget = max_chars.saturating_mul(LOOK_AHEAD).saturating_add(256);
    while let Some(character) = characters.next() {
        if budget == 0 {
            cut = true;
            break;
        }
        budget -= 1;
        if character == '\u{1b}' {
            skip_escape_sequence(&mut characters);
        } else if character.is_whitespace() {
            space = kept_chars > 0;
        } else if !is_hidden(character) {
            let wanted = 1 + usize::from(space);
            if kept_chars + wanted > max_chars {
                cut = true;
                break;
            }
            if space {
                kept.push(' ');
            }
            space = false;
            kept.push(character);
            kept_chars += wanted;
        }
    }
    if cut {
        while kept_chars >= max_chars && kept.pop().is_some() {
            kept_chars -= 1;
        }
        if max_chars > 0 {
            kept.push('…');
        }
    }
    mask_keys(kept)
}

/// [`clean`] for bytes of unknown encoding.
#[must_use]
pub fn clean_bytes(bytes: &[u8], max_chars: usize) -> String {
    let most = max_chars.saturating_mul(4 * LOOK_AHEAD).saturating_add(1024);
    clean(&String::from_utf8_lossy(&bytes[..bytes.len().min(most)]), max_chars)
}

/// Skips what follows an escape character, as a terminal would read it.
fn skip_escape_sequence(characters: &mut std::str::Chars<'_>) {
    let mut ahead = characters.clone();
    match ahead.next() {
        // CSI: parameters, then one final byte.
        Some('[') => {
            for character in ahead.by_ref().take(64) {
                if ('\u{40}'..='\u{7e}').contains(&character) {
                    break;
                }
            }
        }
        // OSC, DCS, PM, APC: up to BEL or the string terminator.
        Some(']' | 'P' | '^' | '_') => {
            let mut escaped = false;
            for character in ahead.by_ref().take(512) {
                if character == '\u{7}' || (escaped && character == '\\') {
                    break;
                }
                escaped = character == '\u{1b}';
            }
        }
        Some(character) if character.is_ascii_graphic() => {}
        _ => return,
    }
    *characters = ahead;
}

/// Characters that print nothing, or change how others are shown.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The starts of API keys; what follows one is masked.
const KEY_STARTS: [&str; 4] = ["cpk_", "cak_", "sk-", "csc_"];

/// Replaces the secret part of anything that looks like an API key.
fn mask_keys(text: String) -> String {
    if !KEY_STARTS.iter().any(|start| text.contains(start)) && !text.contains("earer ") {
        return text;
    }
    let mut masked = String::with_capacity(text.len());
    let mut previous = "";
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            masked.push(' ');
        }
        if previous.ends_with("earer") && word.len() > 12 {
            masked.push('…');
        } else {
            mask_word(word, &mut masked);
        }
        previous = word;
    }
    masked
}

fn mask_word(word: &str, masked: &mut String) {
    let mut rest = word;
    let mut before = None;
    while let Some(character) = rest.chars().next() {
        let inside_word = before.is_some_and(|before: char| before.is_ascii_alphanumeric());
        let start = KEY_STARTS.iter().find(|start| !inside_word && rest.starts_with(**start));
        let Some(start) = start else {
            masked.push(character);
            before = Some(character);
            rest = &rest[character.len_utf8()..];
            continue;
        };
        masked.push_str(start);
        rest = &rest[start.len()..];
        let secret_length = rest
            .find(|next: char| !(next.is_ascii_alphanumeric() || "._-*".contains(next)))
            .unwrap_or(rest.len());
        // Eight characters are no key: `sk-` also starts ordinary words.
        masked.push_str(if secret_length > 8 { "…" } else { &rest[..secret_length] });
        rest = &rest[secret_length..];
        before = Some('-');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{clean, clean_bytes};

    #[test]
    fn control_characters_and_sequences_go() {
        assert_eq!(clean("a\u{1b}[31mred\u{1b}[0m\r\n\tb\u{7}", 100), "ared b");
        assert_eq!(clean("x\u{1b}]0;title\u{7}y\u{1b}]8;;u\u{1b}\\z", 100), "xyz");
        assert_eq!(clean("  lead  and\ttrail  ", 100), "lead and trail");
        assert_eq!(clean("in\u{202e}side\u{200b}out", 100), "insideout");
        assert_eq!(clean("\u{9b}31m", 100), "31m");
        assert_eq!(clean_bytes(b"ok \xff\xfe", 100), "ok \u{fffd}\u{fffd}");
    }

    #[test]
    fn length_is_bounded_and_said() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        assert_eq!(clean("abc def", 4), "abc…");
        assert_eq!(clean("abc", 0), "");
        assert_eq!(clean(&"\u{1}".repeat(1 << 20), 10).chars().count(), 1);
    }

    #[test]
    fn keys_are_masked() {
        let key = format!("cpk_{}.{}.{}", "a".repeat(32), "b".repeat(32), "C".repeat(32));
        assert_eq!(clean(&format!("bad key {key}!"), 300), "bad key cpk_…!");
        assert_eq!(clean(&format!("({key},{key})"), 500), "(cpk_…,cpk_…)");
        assert_eq!(clean("provided: sk-proj-abcd1234efgh", 100), "provided: sk-…");
        assert_eq!(clean("Authorization: Bearer abcdefghijklmnop", 100), "Authorization: Bearer …");
        assert_eq!(
            clean("a task-oriented risk-free desk-lamp", 100),
            "a task-oriented risk-free desk-lamp"
        );
        assert_eq!(clean("cpk_abc", 100), "cpk_abc");
        assert_eq!(clean("xcpk_abcdefghijk,cpk_abcdefghijk", 100), "xcpk_abcdefghijk,cpk_…");
    }

    proptest! {
        #[test]
        fn always_short_and_printable(bytes in proptest::collection::vec(any::<u8>(), 0..300), max in 0_usize..40) {
            let text = clean_bytes(&bytes, max);
            prop_assert!(text.chars().count() <= max);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
