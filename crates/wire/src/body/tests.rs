use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn scan(text: &str) -> Result<RequestBody, BodyProblem> {
    RequestBody::scan(Bytes::copy_from_slice(text.as_bytes()))
}

fn rewritten(text: &str, rewrite: &Rewrite<'_>) -> String {
    String::from_utf8(scan(text).unwrap().rewrite(rewrite).to_vec()).unwrap()
}

const NOTHING: Rewrite<'static> = Rewrite { model: None, include_usage: false };
const USAGE: Rewrite<'static> = Rewrite { model: None, include_usage: true };
const MODEL_B: Rewrite<'static> = Rewrite { model: Some("b/\"B\""), include_usage: false };

#[test]
fn pictures_and_json_are_asked_for_in_their_own_words() {
    let presence =
        |members: &str| scan(&format!(r#"{{"model":"m",{members}}}"#)).unwrap().presence();
    let shown = r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]"#;
    assert!(presence(shown).images);
    assert!(
        !presence(r#""messages":[{"role":"user","content":"a \"image_url\" in words"}]"#).images
    );
    assert!(presence(r#""response_format":{"type":"json_schema","json_schema":{}}"#).json_schema);
    assert!(!presence(r#""response_format":{"type":"text"}"#).json_schema);
}

#[test]
fn a_conversation_keeps_its_beginning() {
    let beginning = |text: &str| {
        let body = scan(text).unwrap();
        body.beginning().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    };
    let begun = r#"[{"role":"system","content":"be kind"}, {"content":"hi","role":"user"}"#;
    for (rest, stream) in [
        ("]", ""),
        (
            r#",{"role":"assistant","content":"ho"},{"role":"user","content":"x"}]"#,
            ",\"stream\":true",
        ),
    ] {
        let text = format!(r#"{{"model":"m","messages": {begun}{rest}{stream}}}"#);
        assert_eq!(beginning(&text).as_deref(), Some(begun), "{text}");
    }
    for nothing in [
        r#"{"model":"m","messages":[{"role":"system","content":"x"}]}"#,
        r#"{"model":"m","messages":"hi"}"#,
        r#"{"model":"m","messages":[3]}"#,
        r#"{"model":"m","prompt":"short"}"#,
        r#"{"model":"m","input":"x"}"#,
    ] {
        assert_eq!(beginning(nothing), None, "{nothing}");
    }
    let long = "x".repeat(2_000);
    let prompt = beginning(&format!(r#"{{"model":"m","prompt":"{long}"}}"#)).unwrap();
    assert_eq!(prompt.len(), 1_024);
}

#[test]
fn what_a_call_may_cost_is_read_however_it_is_spelled() {
    let text = r#"{"model":"a","max_token\u0073":900,"\u006e":7,"messages":[{"role":"user","content":"hi"}]}"#;
    let body = scan(text).unwrap();
    assert_eq!((body.max_tokens(), body.answer_count()), (Some(900), 7));
    // What is passed on is what came.
    assert_eq!(body.rewrite(&Rewrite::default()), text);
}

#[test]
fn counts_every_answer_that_is_generated() {
    let count = |rest: &str| scan(&format!(r#"{{"model":"a",{rest}}}"#)).unwrap().answer_count();
    for (rest, expected) in [
        (r#""prompt":"x""#, 1),
        (r#""prompt":"x","n":0"#, 1),
        (r#""prompt":"x","n":3"#, 3),
        (r#""prompt":"x","n":2,"best_of":5"#, 5),
        (r#""prompt":["x","y"],"n":3"#, 6),
        (r#""prompt":["x"],"best_of":4"#, 4),
        (r#""prompt":[1,2,3]"#, 1),
        (r#""prompt":[[1,2],[3],[4]]"#, 3),
        (r#""prompt":[],"n":2"#, 2),
        (r#""messages":[{},{}],"n":2"#, 2),
        (r#""prompt":["x","y"],"n":18446744073709551615"#, u64::MAX),
    ] {
        assert_eq!(count(rest), expected, "{rest}");
    }
}

#[test]
fn finds_what_decides_about_a_request() {
    let text = r#" {"messages":[{"role":"user","content":"hi"}], "model" : "a\/A" ,"stream":true,
        "stream_options":{"include_usage":true},"max_tokens":10,"max_completion_tokens":20,"n":2,
        "tools":[{}],"response_format":{"type":"json_object"},"logprobs":true,"stop":["x"],"seed":0} "#;
    let body = scan(text).unwrap();
    assert_eq!(body.model(), "a/A");
    assert_eq!(&text[body.model_span()], r#""a\/A""#);
    assert!(body.wants_stream() && body.wants_usage());
    assert_eq!((body.max_tokens(), body.choice_count()), (Some(20), Some(2)));
    let expected = Presence {
        messages: true,
        tools: true,
        response_format: true,
        logprobs: true,
        stop: true,
        seed: true,
        json_schema: true,
        ..Presence::default()
    };
    assert_eq!(body.presence(), expected);
    assert_eq!(body.prompt_bytes(), r#"[{"role":"user","content":"hi"}]"#.len() + "[{}]".len());
    assert!(!format!("{body:?}").contains("hi"));
}

#[test]
fn absent_null_false_and_odd_values_are_told_apart() {
    let stream = |text: &str| scan(&format!(r#"{{"model":"m"{text}}}"#)).unwrap().stream();
    assert_eq!(stream(""), StreamField::Absent);
    assert_eq!(stream(r#","stream":null"#), StreamField::Null);
    assert_eq!(stream(r#","stream":false"#), StreamField::Bool(false));
    assert_eq!(stream(r#","stream":1"#), StreamField::Other);
    assert_eq!(stream(r#","stream":"true""#), StreamField::Other);
    let options = |text: &str| scan(&format!(r#"{{"model":"m"{text}}}"#)).unwrap().stream_options();
    assert_eq!(options(""), StreamOptionsField::Absent);
    assert_eq!(options(r#","stream_options":null"#), StreamOptionsField::Null);
    assert_eq!(
        options(r#","stream_options":{}"#),
        StreamOptionsField::Object { include_usage: false }
    );
    assert_eq!(options(r#","stream_options":[]"#), StreamOptionsField::Other);
    let empty =
        scan(r#"{"model":"m","tools":[],"stop":null,"logprobs":false,"messages":[],"seed":null}"#);
    assert_eq!(empty.unwrap().presence(), Presence::default());
}

#[test]
fn each_problem_has_its_own_name_and_sentence() {
    use BodyProblem as P;
    let cases: [(&str, P, &str); 19] = [
        (" \n", P::Empty, "the request body is empty; send a JSON object with a `model`"),
        (
            "{",
            P::InvalidJson { at: 1, expected: "a key in double quotes" },
            "the request body is not valid JSON at byte 1: expected a key in double quotes",
        ),
        (
            "model=x",
            P::InvalidJson { at: 0, expected: "a JSON value" },
            "the request body is not valid JSON at byte 0: expected a JSON value",
        ),
        (
            r#"{"model":"m","a":01}"#,
            P::InvalidJson { at: 18, expected: "`,` or `}`" },
            "the request body is not valid JSON at byte 18: expected `,` or `}`",
        ),
        (
            r#"{"model":"m"} {}"#,
            P::TrailingBytes { at: 14 },
            "the request body goes on after its JSON object, at byte 14",
        ),
        (
            r#"[{"model":"m"}]"#,
            P::NotAnObject { found: "a list" },
            "the request body is not a JSON object but a list",
        ),
        (
            "null",
            P::NotAnObject { found: "null" },
            "the request body is not a JSON object but null",
        ),
        (
            r#""{}""#,
            P::NotAnObject { found: "a string" },
            "the request body is not a JSON object but a string",
        ),
        ("{}", P::MissingModel, "the request body has no `model`"),
        (r#"{"a":{"model":"m"}}"#, P::MissingModel, "the request body has no `model`"),
        (
            r#"{"model":null}"#,
            P::ModelNotText { found: "null" },
            "`model` is not a string but null",
        ),
        (
            r#"{"model":["m"]}"#,
            P::ModelNotText { found: "a list" },
            "`model` is not a string but a list",
        ),
        (
            r#"{"model":"\ud800"}"#,
            P::ModelNotText { found: "text with half a surrogate pair" },
            "`model` is not a string but text with half a surrogate pair",
        ),
        (r#"{"model":" "}"#, P::EmptyModel, "`model` is empty"),
        (
            r#"{"model":"a","model":"b"}"#,
            P::DuplicateKey { key: "model" },
            "the request body has `model` twice",
        ),
        (
            r#"{"model":"a","stream":true,"stream":null}"#,
            P::DuplicateKey { key: "stream" },
            "the request body has `stream` twice",
        ),
        (
            r#"{"stream_options":{},"model":"a","stream_options":{}}"#,
            P::DuplicateKey { key: "stream_options" },
            "the request body has `stream_options` twice",
        ),
        (
            r#"{"mod\u0065l":"a"}"#,
            P::EscapedKey { key: "model" },
            "the key `model` of the request body is written with escapes; write it plainly",
        ),
        (
            r#"{"model":"a","\u0073tream":true}"#,
            P::EscapedKey { key: "stream" },
            "the key `stream` of the request body is written with escapes; write it plainly",
        ),
    ];
    for (text, problem, sentence) in cases {
        assert_eq!(scan(text).unwrap_err(), problem, "{text}");
        assert_eq!(problem.to_string(), sentence);
    }
    let deep = format!(r#"{{"model":"m","a":{}"#, "[".repeat(10_000));
    assert!(matches!(scan(&deep), Err(P::TooDeep { limit: 128, .. })));
    let invalid = RequestBody::scan(Bytes::from_static(b"{\"model\":\"\xff\"}"));
    assert_eq!(invalid.unwrap_err(), P::InvalidUtf8 { at: 10 });
    assert_eq!(P::EscapedKey { key: "stream" }.param(), Some("stream"));
    assert_eq!(P::MissingModel.code(), "missing_model");
}

#[test]
fn harmless_escapes_and_duplicates_pass() {
    assert!(scan(r#"{"model":"a","t\u0065mperature":1,"\ud800":0,"seed":1,"seed":2}"#).is_ok());
    assert!(scan(r#"{"model":"a","x":{"model":1,"model":2,"mod\u0065l":3}}"#).is_ok());
}

#[test]
fn nothing_to_change_is_no_copy() {
    let bytes = Bytes::from_static(br#"{"model":"a","stream":true}"#);
    let body = RequestBody::scan(bytes.clone()).unwrap();
    for rewrite in [NOTHING, Rewrite { model: Some("a"), include_usage: false }] {
        assert_eq!(body.rewrite(&rewrite).as_ptr(), bytes.as_ptr());
    }
}

#[test]
fn the_model_is_replaced_in_place() {
    assert_eq!(
        rewritten(r#"{ "x" : 1.50 , "model"	:"a" , "y":"é\u00e9" }"#, &MODEL_B),
        r#"{ "x" : 1.50 , "model"	:"b/\"B\"" , "y":"é\u00e9" }"#
    );
}

#[test]
fn null_members_go_with_one_comma() {
    for (text, expected) in [
        (r#"{"stream":null,"model":"a"}"#, r#"{"model":"a"}"#),
        (r#"{"model":"a","stream":null}"#, r#"{"model":"a"}"#),
        (r#"{"model":"a", "stream" : null , "b":1}"#, r#"{"model":"a" , "b":1}"#),
        (r#"{ "stream":null , "stream_options":null, "model":"a"}"#, r#"{   "model":"a"}"#),
        (r#"{"model":"a","stream":null,"stream_options":null}"#, r#"{"model":"a"}"#),
        (r#"{"stream":null,"model":"a","stream_options":null}"#, r#"{"model":"a"}"#),
        (r#"{"model":"a","stream_options":null,"b":1,"stream":null}"#, r#"{"model":"a","b":1}"#),
        (
            r#"{"model":"a","stop":null,"x":{"stream":null}}"#,
            r#"{"model":"a","stop":null,"x":{"stream":null}}"#,
        ),
    ] {
        assert_eq!(rewritten(text, &NOTHING), expected, "{text}");
    }
}

#[test]
fn usage_is_asked_for_in_place() {
    for (text, expected) in [
        (
            r#"{"model":"a","b":1}"#,
            r#"{"model":"a","stream_options":{"include_usage":true},"b":1}"#,
        ),
        (
            r#"{"model":"a","stream_options":null}"#,
            r#"{"model":"a","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"a","stream_options":{ }}"#,
            r#"{"model":"a","stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"stream_options":{"x":1},"model":"a"}"#,
            r#"{"stream_options":{"include_usage":true,"x":1},"model":"a"}"#,
        ),
        (
            r#"{"model":"a","stream_options":{"include_usage":false,"x":1}}"#,
            r#"{"model":"a","stream_options":{"include_usage":true,"x":1}}"#,
        ),
        (
            r#"{"model":"a","stream_options":{"include_\u0075sage":null}}"#,
            r#"{"model":"a","stream_options":{"include_\u0075sage":true}}"#,
        ),
        (
            r#"{"model":"a","stream_options":{"include_usage":true}}"#,
            r#"{"model":"a","stream_options":{"include_usage":true}}"#,
        ),
        (r#"{"model":"a","stream_options":7}"#, r#"{"model":"a","stream_options":7}"#),
        (
            r#"{"model":"a","stream":null}"#,
            r#"{"model":"a","stream_options":{"include_usage":true}}"#,
        ),
    ] {
        assert_eq!(rewritten(text, &USAGE), expected, "{text}");
    }
    let both = Rewrite { model: Some("b"), include_usage: true };
    assert_eq!(
        rewritten(r#"{"stream":null,"model":"a","c":0}"#, &both),
        r#"{"model":"b","stream_options":{"include_usage":true},"c":0}"#
    );
}

/// One member of a request and its spacing.
fn member() -> impl Strategy<Value = (String, String)> {
    let space = "[ \\n\\t]{0,2}";
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1.5e3".to_owned()),
        Just(r#"{"include_usage":false}"#.to_owned()),
        Just("{}".to_owned()),
        Just("[1, {}]".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    let key = prop_oneof![
        Just("stream".to_owned()),
        Just("stream_options".to_owned()),
        Just("seed".to_owned()),
        "[a-z]{1,3}",
    ];
    (key, value, space, space, space, space).prop_map(|(key, value, a, b, c, d)| {
        (key.clone(), format!("{a}\"{key}\"{b}:{c}{value}{d}"))
    })
}

/// A request with a model somewhere, without repeated keys.
fn requests() -> impl Strategy<Value = String> {
    (proptest::collection::vec(member(), 0..6), any::<prop::sample::Index>()).prop_map(
        |(members, place)| {
            let mut seen = std::collections::HashSet::new();
            let mut members: Vec<String> = members
                .into_iter()
                .filter(|(key, _)| seen.insert(key.clone()))
                .map(|(_, text)| text)
                .collect();
            members.insert(place.index(members.len() + 1), r#" "model": "old""#.to_owned());
            format!("{{{}}}", members.join(","))
        },
    )
}

fn parse(text: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(text).unwrap()
}

proptest! {
    /// The result means what the request meant, but for what was asked to change.
    #[test]
    fn only_the_intended_changes(text in requests(), model in any::<String>(), include_usage in any::<bool>()) {
        let body = scan(&text).unwrap();
        let out = body.rewrite(&Rewrite { model: Some(&model), include_usage });
        let mut expected = parse(text.as_bytes());
        expected.insert("model".to_owned(), json!(model));
        for key in ["stream", "stream_options"] {
            if expected.get(key) == Some(&Value::Null) {
                expected.remove(key);
            }
        }
        if include_usage {
            let options = expected.entry("stream_options").or_insert_with(|| json!({}));
            if let Value::Object(options) = options {
                options.insert("include_usage".to_owned(), json!(true));
            }
        }
        prop_assert_eq!(parse(&out), expected);
    }

    /// What is not cut out or put in stays as it was, byte for byte.
    #[test]
    fn other_bytes_stay(text in requests()) {
        let body = scan(&text).unwrap();
        let out = body.rewrite(&Rewrite { model: Some("new"), include_usage: false });
        let out = std::str::from_utf8(&out).unwrap();
        let span = body.model_span();
        // With the model put back, the result is the request without some of its bytes, and
        // exactly that where there is no null to remove.
        let at = out.find("\"model\": \"new\"").unwrap() + "\"model\": ".len();
        let back = format!("{}{}{}", &out[..at], &text[span], &out[at + 5..]);
        if body.null_members.is_empty() {
            prop_assert_eq!(back, text);
        } else {
            let mut source = text.chars();
            prop_assert!(back.chars().all(|kept| source.any(|one| one == kept)));
        }
    }

    /// Whatever is accepted is JSON; nothing panics.
    #[test]
    fn accepted_bodies_are_json(text in r#"\{("model":"m")?[\[\]{}:,"\\a01 tnu]{0,16}\}?"#) {
        if let Ok(body) = scan(&text) {
            prop_assert!(serde_json::from_slice::<Value>(&body.rewrite(&USAGE)).is_ok());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = RequestBody::scan(bytes.into());
    }
}

#[test]
fn a_list_of_texts_or_of_lists_is_several_prompts() {
    for (prompt, expected) in [
        (r#""one""#, 1),
        ("[]", 1),
        (r#"["one"]"#, 1),
        (r#"["one", "two"]"#, 2),
        ("[1, 2, 3]", 1),
        ("[[1, 2], [3], []]", 3),
        ("null", 1),
    ] {
        let body = format!(r#"{{"model":"m","prompt":{prompt}}}"#);
        assert_eq!(RequestBody::scan(body.into()).unwrap().prompt_count(), expected, "{prompt}");
    }
    assert_eq!(RequestBody::scan(r#"{"model":"m"}"#.into()).unwrap().prompt_count(), 1);
}
