use super::*;

const SEGMENTS: [&str; 3] = [
    "0123456789abcdef0123456789abcdef",
    "6f0c0c1e000040008000000000000001",
    "CanaryCanaryCanaryCanaryCanary12",
];

fn good() -> String {
    format!("cpk_{}", SEGMENTS.join("."))
}

fn problem(text: &str) -> KeyProblem {
    Key::parse(text).expect_err(text)
}

#[test]
fn a_well_formed_key_is_read_and_named() {
    let (key, repairs) = Key::parse(&good()).unwrap();
    assert_eq!(key.expose(), good());
    assert_eq!(key.expose().len(), API_KEY_LENGTH);
    assert_eq!(key.form(), KeyForm::ApiKey);
    assert_eq!(repairs, []);
    assert_eq!(key.account_id().unwrap().as_str(), "6f0c0c1e-0000-4000-8000-000000000001");
    assert_eq!(key.authorization().to_str().unwrap(), format!("Bearer {}", good()));
}

#[test]
fn nothing_shows_more_than_eight_characters() {
    let (key, _) = Key::parse(&good()).unwrap();
    assert_eq!(key.to_string(), "cpk_0123…");
    assert_eq!(format!("{key:?}"), "Key(cpk_0123…)");
    assert_eq!(format!("{:?}", key.authorization()), "Sensitive");
    let account = key.account_id().unwrap();
    assert_eq!(format!("{account} {account:?}"), "6f0c… AccountId(6f0c…)");
}

#[test]
fn pasting_accidents_are_repaired_with_a_warning() {
    let key = good();
    let cases: [(String, &[Repair]); 12] = [
        (format!("\"{key}\""), &[Repair::Quotes]),
        (format!("'{key}'"), &[Repair::Quotes]),
        (format!("\u{201c}{key}\u{201d}"), &[Repair::Quotes]),
        (format!("  {key} "), &[Repair::Whitespace]),
        (format!("{key}\n"), &[]),
        (format!("{key}\r\n"), &[]),
        (format!("Bearer {key}"), &[Repair::BearerPrefix, Repair::Whitespace]),
        (format!("bearer\t{key}"), &[Repair::BearerPrefix, Repair::Whitespace]),
        (format!("\u{feff}{key}"), &[Repair::Invisible]),
        (format!("CHUTES_API_KEY=\"{key}\""), &[Repair::Quotes, Repair::NamePrefix]),
        (format!("{}\n{}", &key[..40], &key[40..]), &[Repair::InnerWhitespace]),
        (format!("\"Bearer {key}\""), &[Repair::Quotes, Repair::BearerPrefix, Repair::Whitespace]),
    ];
    for (text, expected) in cases {
        let (read, repairs) = Key::parse(&text).unwrap();
        assert_eq!(read.expose(), key, "{text:?}");
        assert_eq!(repairs, expected, "{text:?}");
    }
}

#[test]
fn each_wrong_form_has_its_own_sentence() {
    let [first, second, third] = SEGMENTS;
    assert_eq!(problem(""), KeyProblem::Empty);
    assert_eq!(problem(" \"\" \n"), KeyProblem::Empty);
    assert_eq!(problem(&good()[..90]), KeyProblem::WrongLength { characters: 90 });
    assert_eq!(
        problem(&format!("{}x", good())).to_string(),
        "a Chutes key has 102 characters and this one has 103; it was probably extended when copied"
    );
    let upper = format!("cpk_{}.{second}.{third}", first.to_uppercase());
    assert_eq!(problem(&upper), KeyProblem::WrongSegment { segment: 1, expected: read_hex() });
    let shifted = format!("cpk_{first}.{second}a.{}", &third[1..]);
    assert_eq!(problem(&shifted), KeyProblem::WrongSegment { segment: 2, expected: read_hex() });
    let symbol = format!("cpk_{first}.{second}.{}-", &third[1..]);
    assert!(matches!(problem(&symbol), KeyProblem::WrongSegment { segment: 3, .. }));
    let dashes = format!("cpk_{first}-{second}-{third}");
    assert_eq!(problem(&dashes), KeyProblem::WrongSegmentCount { segments: 1 });
    assert_eq!(problem(&good().replace("cpk_", "CPK_")), KeyProblem::PrefixCase);
    assert_eq!(problem("short"), KeyProblem::TooShort { characters: 5 });
    assert!(matches!(
        problem("two words here and more"),
        KeyProblem::ForbiddenCharacter { position: 4 }
    ));
}

fn read_hex() -> &'static str {
    "32 characters of 0-9 and a-f"
}

#[test]
fn other_providers_and_placeholders_are_recognised() {
    for (text, provider) in [
        ("sk-or-v1-0123456789abcdef", "OpenRouter"),
        ("sk-ant-api03-0123456789", "Anthropic"),
        ("sk-0123456789abcdef0123", "OpenAI or a service with its key form"),
        ("gsk_0123456789abcdef", "Groq"),
        ("hf_0123456789abcdef", "Hugging Face"),
    ] {
        assert_eq!(problem(text), KeyProblem::OtherProvider { provider }, "{text}");
    }
    for text in [
        "YOUR_API_KEY",
        "your-api-key-here",
        "<your key>",
        "$CHUTES_API_KEY",
        "${CHUTES_API_KEY}",
        "cpk_",
        "xxxx",
        "cpk_xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxx",
        "changeme",
        "none",
        "cpk_your_key_here",
    ] {
        assert_eq!(problem(text), KeyProblem::Placeholder, "{text}");
    }
    for text in ["cpk_1234...abcd", "cpk_1a2b…", "cpk_1234********"] {
        assert_eq!(problem(text), KeyProblem::Masked, "{text}");
    }
}

#[test]
fn other_forms_of_chutes_tokens_are_kept() {
    let form = |text: &str| Key::parse(text).unwrap().0.form();
    assert_eq!(form("cak_0123456789abcdef.0123456789abcdef"), KeyForm::OAuth);
    assert_eq!(form("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"), KeyForm::SessionToken);
    let (other, _) = Key::parse("0123456789abcdef-token").unwrap();
    assert_eq!(other.form(), KeyForm::OtherToken);
    assert_eq!(other.to_string(), "012…");
    assert_eq!(other.account_id(), None);
}

#[test]
fn several_keys_are_read_once_each() {
    let first = good();
    let second = first.replace("Canary12", "Canary34");
    let keys = Key::parse_list(&format!("{first}, \"{second}\" ,{first},\n")).unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].1, [Repair::Duplicate]);
    assert_eq!(keys[1].0.expose(), second);
    assert_eq!(keys[0].0.account_id(), keys[1].0.account_id());
    let quoted = Key::parse_list(&format!("\"{first},{second}\"")).unwrap();
    assert_eq!(quoted.len(), 2);
    assert_eq!(quoted[0].1, [Repair::Quotes]);
    assert_eq!(Key::parse_list(&format!("{first},sk-0123456789abcdef")).unwrap_err().position, 2);
    assert_eq!(Key::parse_list(" , ").unwrap_err().problem, KeyProblem::Empty);
    assert_eq!(problem(&format!("{first},{second}")), KeyProblem::Several);
    for between in [" ", ";", "; ", "\n", ""] {
        let both = problem(&format!("{first}{between}{second}"));
        assert_eq!(both, KeyProblem::Joined, "{between:?}");
        assert!(both.to_string().contains("commas"));
    }
}

#[test]
fn no_problem_repeats_the_text() {
    for text in [
        good().replace('.', "-"),
        good()[..60].to_owned(),
        format!("{}!", good()),
        "sk-Canary12Canary12".into(),
    ] {
        let shown = format!("{0} {0:?}", problem(&text));
        assert!(!shown.contains("Canary") && !shown.contains("6f0c"), "{shown}");
    }
}

#[test]
fn the_key_of_another_service_has_whatever_form_it_has() {
    let key = Key::of_provider(" 'sk-or-v1-0123456789abcdef'\n").unwrap();
    assert_eq!(key.expose(), "sk-or-v1-0123456789abcdef");
    assert_eq!((key.to_string(), key.account_id()), ("sk-…".to_owned(), None));
    assert_eq!(Key::of_provider("ollama").unwrap().expose(), "ollama");
    for wrong in ["", "  ", "sk-…abc", "two words", "sk-\u{e4}"] {
        assert!(Key::of_provider(wrong).is_err(), "{wrong}");
    }
}
