use proptest::prelude::*;

use super::{Cursor, Found, JsonProblem, Kind, MAX_DEPTH};

fn whole(text: &str) -> Result<Found<'_>, JsonProblem> {
    let mut cursor = Cursor::new(text);
    let found = cursor.value()?;
    cursor.end()?;
    Ok(found)
}

#[test]
fn refuses_what_is_nearly_json() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "NaN",
        "Infinity",
        "nul",
        "truer",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":}",
        "[}",
        "{]",
        "\"\n\"",
        "1 2",
        "\u{feff}1",
    ] {
        assert!(whole(text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(whole(&nested(MAX_DEPTH as usize)).is_ok());
    let far = nested(1_000_000);
    assert!(matches!(whole(&far), Err(JsonProblem::TooDeep { .. })));
}

#[test]
fn whole_numbers_in_other_spellings() {
    assert_eq!(whole("12.0").ok().and_then(|found| found.unsigned()), Some(12));
    assert_eq!(whole("1e3").ok().and_then(|found| found.unsigned()), Some(1000));
    assert_eq!(whole("-1").ok().and_then(|found| found.unsigned()), None);
    assert_eq!(whole("1e300").ok().and_then(|found| found.unsigned()), None);
    assert_eq!(whole("\"1\"").ok().and_then(|found| found.unsigned()), None);
}

#[test]
fn emptiness() {
    for (text, something) in [
        ("null", false),
        ("\"\"", false),
        ("[ ]", false),
        ("{}", false),
        ("\" \"", true),
        ("[0]", true),
        ("false", true),
        ("0", true),
    ] {
        assert_eq!(whole(text).unwrap().is_something(), something, "{text}");
    }
    assert_eq!(whole("{}").unwrap().kind, Kind::Object);
}

proptest! {
    /// The same verdict as `serde_json` on text that is often nearly JSON.
    #[test]
    fn agrees_with_serde_json(text in r#"[\[\]{}:,"\\a01.eE+\- tnu]{0,24}"#) {
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(whole(&text).is_ok(), theirs);
    }

    /// No input makes it panic.
    #[test]
    fn never_panics(text in ".{0,200}") {
        let _ = whole(&text);
    }
}
