use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::ChunkGlance;
use crate::sse::{self, Event, EventReader};

const REQUEST: &str =
    r#"{"model":"acme/Writer","messages":[{"role":"user","content":"Say \"it\"."}],"stream":true}"#;

fn chunk(id: &str, delta: Value, finish: Option<&str>) -> Value {
    json!({ "id": id, "created": if id == "first" { 7 } else { 8 }, "model": id,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
}

/// The events of a stream that says these pieces.
fn stream(id: &str, pieces: &[&str], usage: Option<(u64, u64)>) -> Vec<Value> {
    let mut events = vec![chunk(id, json!({ "role": "assistant", "content": "" }), None)];
    events.extend(pieces.iter().map(|piece| chunk(id, json!({ "content": piece }), None)));
    events.push(chunk(id, json!({}), Some("stop")));
    if let Some((prompt, completion)) = usage {
        let mut last = chunk(id, json!({}), None);
        last["choices"] = json!([]);
        last["usage"] = json!({ "prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion, "prompt_tokens_details": { "cached_tokens": prompt } });
        events.push(last);
    }
    events
}

fn bytes_of(events: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| sse::write_data(&mut bytes, event.to_string().as_bytes()));
    sse::write_done(&mut bytes);
    bytes
}

fn sent(events: &[Value]) -> Transcript {
    let mut transcript = Transcript::default();
    for event in events {
        transcript.observe(&ChunkGlance::read(event.to_string().as_bytes()).unwrap());
    }
    transcript
}

/// What a client reads of a stream.
#[derive(Debug, Default, PartialEq)]
struct Read {
    text: String,
    ids: Vec<String>,
    roles: usize,
    finishes: usize,
    usage: Option<Value>,
    is_done: bool,
}

fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let mut reader = EventReader::new(1 << 20);
    reader
        .feed(bytes, |event| {
            let Event::Data(data) = event else { return };
            if data == sse::DONE {
                read.is_done = true;
                return;
            }
            let chunk: Value = serde_json::from_slice(data).unwrap();
            let id = format!("{}/{}/{}", chunk["id"], chunk["model"], chunk["created"]);
            if read.ids.last() != Some(&id) {
                read.ids.push(id);
            }
            let choice = &chunk["choices"][0];
            read.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            read.text.push_str(choice["text"].as_str().unwrap_or_default());
            read.roles += usize::from(choice["delta"]["role"].is_string());
            read.finishes += usize::from(choice["finish_reason"].is_string());
            if chunk["usage"].is_object() {
                read.usage = Some(chunk["usage"].clone());
            }
        })
        .unwrap();
    read
}

/// Passes a stream through in pieces of some bytes.
fn spliced(splicer: &mut Splicer, bytes: &[u8], size: usize) -> (Vec<u8>, Result<(), Diverged>) {
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        if let Err(diverged) = splicer.pass(piece, &mut out) {
            return (out, Err(diverged));
        }
    }
    (out, Ok(()))
}

fn pieces<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
    let mut places: Vec<usize> = cuts
        .iter()
        .map(|cut| cut % (text.len() + 1))
        .filter(|place| text.is_char_boundary(*place))
        .chain([0, text.len()])
        .collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

fn for_the_rest(transcript: &Transcript, request: &str) -> Result<Value, CannotAsk> {
    let original = Original::read(Bytes::copy_from_slice(request.as_bytes())).unwrap();
    let body = original.for_the_rest(Begun {
        text: transcript.text().trim_end(),
        reasoning: transcript.reasoning(),
        tokens: transcript.produced().tokens,
    })?;
    Ok(serde_json::from_slice(&body).unwrap())
}

/// Words, white space of every kind, escapes, and characters of several bytes.
fn answers() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-z]{1,6}",
        2 => Just(" ".to_owned()),
        1 => Just("\n\n".to_owned()),
        1 => Just("\u{a0}\t".to_owned()),
        1 => Just("\"\\/\u{1}".to_owned()),
        1 => Just("日本👩‍🚀é".to_owned()),
    ];
    prop::collection::vec(word, 1..20).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Wherever it breaks and however both streams are cut, the client reads the whole answer once.
    #[test]
    fn a_continued_answer_is_the_whole_answer_once(
        answer in answers(),
        first_cuts in prop::collection::vec(any::<usize>(), 0..8),
        second_cuts in prop::collection::vec(any::<usize>(), 0..8),
        broke_after in 1_usize..8,
        size in 1_usize..200,
        onward in any::<bool>(),
    ) {
        let first = stream("first", &pieces(&answer, &first_cuts), None);
        let first = &first[..broke_after.min(first.len() - 1)];
        let transcript = sent(first);
        let produced = transcript.text().to_owned();
        prop_assert!(answer.starts_with(&produced));
        // What is all white space is asked for from the start.
        let onward = onward && !produced.trim().is_empty();
        let rest = if onward {
            let asked = for_the_rest(&transcript, REQUEST).unwrap();
            let begun = asked["messages"][1]["content"].as_str().unwrap().to_owned();
            prop_assert!(begun == produced.trim_end());
            answer[begun.len()..].to_owned()
        } else {
            answer.clone()
        };
        // Nobody can tell that from a second beginning.
        prop_assume!(!onward || !rest.starts_with(&produced));
        let second = bytes_of(&stream("second", &pieces(&rest, &second_cuts), Some((9, 5))));
        let begins = if onward { Begins::Onward } else { Begins::Again };
        let mut splicer = Splicer::new(transcript, begins, 1 << 20);
        let (out, outcome) = spliced(&mut splicer, &second, size);
        let mut both = Vec::new();
        first.iter().for_each(|event| sse::write_data(&mut both, event.to_string().as_bytes()));
        both.extend_from_slice(&out);
        let read = read(&both);
        if outcome.is_err() {
            // A rest that may as well be a second beginning is given up, and never shown as finished.
            let in_common = rest.bytes().zip(produced.bytes()).take_while(|(one, other)| one == other);
            prop_assert!(onward && (in_common.count() >= 8 || produced.starts_with(&rest)));
            prop_assert!(answer.starts_with(&read.text) && !read.is_done && read.finishes == 0);
            return Ok(());
        }
        prop_assert_eq!(&read.text, &answer);
        let transcript = splicer.into_transcript();
        prop_assert_eq!(transcript.text(), &answer);
        prop_assert_eq!((read.roles, read.finishes, read.is_done), (1, 1, true));
        prop_assert_eq!(read.ids, ["\"first\"/\"first\"/7"]);
    }

    /// Another answer is never glued to the first.
    #[test]
    fn another_answer_is_refused(
        first in "[a-e ]{1,9}",
        second in "[a-e ]{0,9}",
        cuts in prop::collection::vec(any::<usize>(), 0..5),
    ) {
        let mut splicer = Splicer::new(sent(&stream("first", &[&first], None)[..2]), Begins::Again, 1 << 20);
        let bytes = bytes_of(&stream("second", &pieces(&second, &cuts), None));
        let (out, outcome) = spliced(&mut splicer, &bytes, 64);
        prop_assert_eq!(outcome.is_ok(), second.starts_with(&first));
        let read = read(&out);
        let text = first.clone() + &read.text;
        let is_right = if outcome.is_ok() { text == second } else { read == Read::default() };
        prop_assert!(is_right);
    }

    /// Whatever stands in the request, what is added is all that changes.
    #[test]
    fn a_request_for_the_rest_keeps_every_other_byte(
        question in "\\PC{0,20}", text in "\\PC{1,20}", limit in 5_u64..100, spaced in any::<bool>(),
    ) {
        let mut request = json!({ "model": "m", "max_tokens": limit, "stream": true, "temperature": 0.70,
            "messages": [{ "role": "user", "content": question }] });
        let written = if spaced { serde_json::to_string_pretty(&request) } else { serde_json::to_string(&request) };
        let original = Original::read(written.unwrap().into()).unwrap();
        let begun = Begun { text: &text, reasoning: None, tokens: 4 };
        let body = original.for_the_rest(begun).unwrap_or_default();
        if limit == 4 {
            prop_assert!(body.is_empty());
            return Ok(());
        }
        let asked: Value = serde_json::from_slice(&body).unwrap();
        request["max_tokens"] = json!(limit - 4);
        request["messages"].as_array_mut().unwrap().push(json!({ "role": "assistant", "content": text }));
        request["continue_final_message"] = json!(true);
        request["add_generation_prompt"] = json!(false);
        prop_assert_eq!(asked, request);
    }
}

#[test]
fn an_engine_that_begins_again_though_it_was_to_go_on_is_recognised() {
    let words: Vec<String> = (1..=12).map(|word| format!("{word} ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for at in 1..words.len() {
        let transcript = sent(&stream("first", &words, None)[..=at]);
        let begun = transcript.produced().tokens;
        let second = bytes_of(&stream("second", &words, Some((20, 12))));
        let produced = transcript.text().to_owned();
        let mut splicer = Splicer::new(transcript, Begins::Onward, 1 << 20);
        let (out, outcome) = spliced(&mut splicer, &second, 7);
        let read = read(&out);
        assert_eq!(outcome, Ok(()), "{at}: the space that has to come did not");
        assert_eq!(produced + &read.text, words.concat());
        // It counts the whole answer itself; the beginning that it was given is no part of the prompt.
        let usage = read.usage.unwrap();
        assert_eq!(usage["prompt_tokens"], json!(20 - begun));
        assert_eq!(usage["completion_tokens"], json!(12));
        assert_eq!(splicer.into_transcript().produced().tokens, 12);
    }
    // Without a space at its end, a short beginning may well come next.
    for (begun, is_known) in
        [("one", false), ("one two three", false), ("one two three four", true)]
    {
        let mut splicer =
            Splicer::new(sent(&stream("first", &[begun], None)[..2]), Begins::Onward, 1 << 20);
        let second = bytes_of(&stream("second", &[begun, " and on"], None));
        let (out, outcome) = spliced(&mut splicer, &second, 64);
        assert_eq!(outcome.is_ok(), is_known, "{begun}");
        assert_eq!(read(&out).text, if is_known { " and on" } else { "" });
    }
    // One that begins as before and says something else was not told what had been said.
    for (second, is_rest) in [
        ("The harbour lamp glows", false),
        ("The harm is done", true),
        ("The harbour", false),
        (" and The harbour light", true),
    ] {
        let first = stream("first", &["The harbour light turns"], None);
        let mut splicer = Splicer::new(sent(&first[..2]), Begins::Onward, 1 << 20);
        let (out, outcome) =
            spliced(&mut splicer, &bytes_of(&stream("second", &[second], None)), 64);
        assert_eq!(outcome.is_ok(), is_rest, "{second}");
        assert_eq!(read(&out).text, if is_rest { second } else { "" });
    }
    // A ruler may go on for ever.
    let first = stream("first", &["--------"], None);
    let mut splicer = Splicer::new(sent(&first[..2]), Begins::Onward, 1 << 20);
    let second = bytes_of(&stream("second", &["--------", "|"], None));
    assert_eq!(spliced(&mut splicer, &second, 64).1, Err(Diverged));
}

#[test]
fn white_space_that_was_sent_has_to_come_again() {
    for (rest, expected) in [
        (" \nnext", Some("next")),
        ("next", None),
        (" next", None),
        (" ", Some("")),
        (" \n", Some("")),
    ] {
        let mut splicer =
            Splicer::new(sent(&stream("first", &["Well. \n"], None)[..2]), Begins::Onward, 1 << 20);
        let (out, outcome) =
            spliced(&mut splicer, &bytes_of(&stream("second", &[rest], None)), 1_000);
        assert_eq!(outcome.ok().map(|()| read(&out).text).as_deref(), expected, "{rest:?}");
    }
}

#[test]
fn the_usage_is_that_of_one_answer() {
    let usage_of = |prompt_told: bool, begins: Begins| {
        let mut first = stream("first", &["one", " two"], None);
        first.truncate(3);
        if prompt_told {
            first[2]["usage"] = json!({ "prompt_tokens": 10, "completion_tokens": 2 });
        }
        let (rest, told): (&[&str], _) = if begins == Begins::Onward {
            (&[" three"], (14, 1))
        } else {
            (&["one two three"], (10, 3))
        };
        let mut splicer = Splicer::new(sent(&first), begins, 1 << 20);
        let second = bytes_of(&stream("second", rest, Some(told)));
        let (out, outcome) = spliced(&mut splicer, &second, 50);
        assert_eq!(outcome, Ok(()));
        let usage = read(&out).usage.unwrap();
        assert_eq!(splicer.into_transcript().produced().tokens, 3);
        ["prompt_tokens", "completion_tokens", "total_tokens"]
            .map(|name| usage[name].as_u64().unwrap())
    };
    assert_eq!(usage_of(true, Begins::Onward), [10, 3, 13]);
    // The prompt of the second was the prompt and what had been said.
    assert_eq!(usage_of(false, Begins::Onward), [12, 3, 15]);
    assert_eq!(usage_of(true, Begins::Again), [10, 3, 13]);
}

#[test]
fn tokens_are_not_forgotten_when_the_second_stream_breaks_too() {
    let first = stream("first", &["a", " b", " c", " d"], None);
    let mut splicer = Splicer::new(sent(&first[..5]), Begins::Again, 1 << 20);
    let second = stream("second", &["a", " b"], None);
    let mut out = Vec::new();
    second[..3].iter().for_each(|event| {
        let mut bytes = Vec::new();
        sse::write_data(&mut bytes, event.to_string().as_bytes());
        splicer.pass(&bytes, &mut out).unwrap();
    });
    let transcript = splicer.into_transcript();
    assert_eq!((transcript.text(), transcript.produced().tokens, out.len()), ("a b c d", 4, 0));
    let mut splicer = Splicer::new(transcript, Begins::Onward, 1 << 20);
    let third = bytes_of(&stream("third", &[" e", " f"], None));
    splicer.pass(&third, &mut out).unwrap();
    let transcript = splicer.into_transcript();
    assert_eq!((transcript.text(), transcript.produced().tokens), ("a b c d e f", 6));
}

#[test]
fn a_tool_call_may_follow_and_thinking_may_not() {
    let begun = || sent(&stream("first", &["Let me look."], None)[..2]);
    let call = json!({ "role": "assistant", "tool_calls": [{ "index": 0, "function": { "name": "look" } }] });
    let mut splicer = Splicer::new(begun(), Begins::Onward, 1 << 20);
    let (out, outcome) = spliced(&mut splicer, &bytes_of(&[chunk("second", call, None)]), 9);
    assert_eq!(outcome, Ok(()));
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("look") && !text.contains("role") && text.contains("\"first\""),
        "{text}"
    );
    let thought = chunk("second", json!({ "reasoning_content": "Hm." }), None);
    let onward = chunk("second", json!({ "content": " It is there." }), None);
    let mut splicer = Splicer::new(begun(), Begins::Onward, 1 << 20);
    let (out, outcome) = spliced(&mut splicer, &bytes_of(&[thought.clone(), onward]), 9);
    assert_eq!((outcome, out.len()), (Err(Diverged), 0));
    // One that answers anew may think anew, and nobody sees it.
    let again = chunk("second", json!({ "content": "Let me look. There." }), None);
    let mut splicer = Splicer::new(begun(), Begins::Onward, 1 << 20);
    let (out, outcome) = spliced(&mut splicer, &bytes_of(&[thought, again]), 9);
    assert_eq!((outcome, read(&out).text.as_str()), (Ok(()), " There."));
}

#[test]
fn a_transcript_knows_what_it_does_not_know() {
    let produced = |deltas: &[Value]| {
        let events: Vec<Value> =
            deltas.iter().map(|delta| chunk("first", delta.clone(), None)).collect();
        sent(&events).produced()
    };
    let plain = produced(&[json!({ "content": "Hi" })]);
    assert_eq!(plain, Produced { text_bytes: 2, tokens: 1, ..Produced::default() });
    assert!(produced(&[json!({ "reasoning": "Hm" })]).is_thinking);
    assert!(!produced(&[json!({ "reasoning": "Hm" }), json!({ "content": "Hi" })]).is_thinking);
    assert!(produced(&[json!({ "content": "<think>Hm" })]).is_thinking);
    assert!(produced(&[json!({ "content": "\n<thi" })]).is_thinking);
    assert!(produced(&[json!({ "content": "[THINK]Hm" })]).is_thinking);
    assert!(!produced(&[json!({ "content": "[THINK]Hm[/THINK]Hi" })]).is_thinking);
    assert!(!produced(&[json!({ "content": "1 <" })]).is_thinking);
    assert!(!produced(&[json!({ "content": "<think>Hm</think>Hi" })]).is_thinking);
    assert!(produced(&[json!({ "tool_calls": [{}] })]).calls_tools);
    assert!(produced(&[json!({ "content": "Hi\u{fffd}" })]).is_unclear);
    assert!(produced(&[json!({ "audio": { "id": "x" } })]).is_unclear);
    assert!(produced(&[json!({ "content": [{ "text": "Hi" }] })]).is_unclear);
    let mut half = Transcript::default();
    half.observe(&ChunkGlance::read(br#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#).unwrap());
    assert!(half.produced().is_unclear);
    let mut long = Transcript::default();
    let text = json!({ "content": "x".repeat(400_000) });
    for _ in 0..2 {
        long.observe(
            &ChunkGlance::read(chunk("a", text.clone(), None).to_string().as_bytes()).unwrap(),
        );
    }
    assert!(long.produced().is_unclear && long.text().len() < 512 << 10);
    assert!(!format!("{long:?}").contains("xx"));
}

#[test]
fn what_a_request_asks_for() {
    let asks = |more: &str| {
        let request =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
        Original::read(request.into()).unwrap().asks()
    };
    let nothing = Asks::default();
    for harmless in [
        "",
        r#","n":1,"stop":null,"stop":[],"seed":null,"logprobs":false,"echo":false,"min_tokens":0"#,
        r#","response_format":{"type":"text"},"tool_choice":"auto","tools":[{}],"modalities":["text"]"#,
        r#","temperature":0.5,"top_p":1,"reasoning_effort":"low""#,
    ] {
        assert_eq!(asks(harmless), nothing, "{harmless}");
    }
    let several = Asks { several_choices: true, ..nothing };
    let structured = Asks { structured: true, ..nothing };
    let logprobs = Asks { logprobs: true, ..nothing };
    let stop = Asks { stop: true, ..nothing };
    let echo = Asks { echo: true, ..nothing };
    let unclear = Asks { unclear: true, ..nothing };
    for (more, expected) in [
        (r#","n":2"#, several),
        (r#","best_of":3"#, several),
        (r#","response_format":{"type":"json_object"}"#, structured),
        (r#","guided_regex":"a+""#, structured),
        (r#","tool_choice":{"type":"function"}"#, structured),
        (r#","tool_choice":"required""#, structured),
        (r#","logprobs":true"#, logprobs),
        (r#","top_logprobs":2"#, logprobs),
        (r#","stop":"x""#, stop),
        (r#","stop_token_ids":[1]"#, stop),
        (r#","seed":0"#, Asks { seed: true, ..nothing }),
        (r#","echo":true"#, echo),
        (r#","suffix":"x""#, echo),
        (r#","min_tokens":3"#, Asks { min_tokens: true, ..nothing }),
        (r#","modalities":["text","audio"]"#, Asks { audio: true, ..nothing }),
        (r#","st\u006fp":"x""#, unclear),
        (r#","max_tokens":1,"max_tokens":2"#, unclear),
        (r#","max_tokens":"7""#, unclear),
    ] {
        assert_eq!(asks(more), expected, "{more}");
    }
    assert!(Original::read(Bytes::from_static(b"[]")).is_none());
}

#[test]
fn the_request_for_the_rest() {
    let begun = Begun { text: "It \"is", reasoning: None, tokens: 3 };
    let ask = |request: &str| {
        let original = Original::read(Bytes::copy_from_slice(request.as_bytes())).unwrap();
        original.for_the_rest(begun).map(|body| String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(
        ask(REQUEST).unwrap(),
        r#"{"model":"acme/Writer","messages":[{"role":"user","content":"Say \"it\"."},{"role":"assistant","content":"It \"is"}],"continue_final_message":true,"add_generation_prompt":false,"stream":true}"#
    );
    // What the client had continued itself goes on growing.
    let own = r#"{"messages":[{"role":"assistant","content":"So: "}],"continue_final_message":true,"max_tokens":9}"#;
    assert_eq!(
        ask(own).unwrap(),
        r#"{"messages":[{"role":"assistant","content":"So: It \"is"}],"continue_final_message":true,"max_tokens":6}"#
    );
    let flags = r#"{"messages":[{"role":"user"}],"add_generation_prompt":true,"continue_final_message":false}"#;
    assert_eq!(
        ask(flags).unwrap(),
        r#"{"messages":[{"role":"user"},{"role":"assistant","content":"It \"is"}],"add_generation_prompt":false,"continue_final_message":true}"#
    );
    let text = r#"{"prompt":"Once \u00e9","max_tokens":5,"max_completion_tokens":8}"#;
    assert_eq!(
        ask(text).unwrap(),
        r#"{"prompt":"Once \u00e9It \"is","max_tokens":2,"max_completion_tokens":5}"#
    );
    assert_eq!(ask(r#"{"prompt":"Once"}"#), Err(CannotAsk::NoLimit));
    assert_eq!(ask(r#"{"prompt":"Once","max_tokens":3}"#), Err(CannotAsk::NothingLeft));
    for unclear in [
        r#"{"prompt":["a"]}"#,
        r#"{"messages":[]}"#,
        r#"{"messages":[{"role":"user","content":"x"}],"continue_final_message":true}"#,
        r#"{"messages":[{"role":"user","content":"x"}],"prompt":"x","max_tokens":9}"#,
    ] {
        assert_eq!(ask(unclear), Err(CannotAsk::Unclear), "{unclear}");
    }
    let thought = Begun { reasoning: Some((crate::chat::ReasoningName::Reasoning, "Hm")), ..begun };
    let body = Original::read(REQUEST.into()).unwrap().for_the_rest(thought).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["messages"][1]["reasoning"], "Hm");
    assert!(!format!("{begun:?} {:?}", Original::read(REQUEST.into())).contains("Say"));
}

#[test]
fn a_role_is_cut_out_wherever_it_stands() {
    for (delta, expected) in [
        (r#"{"role":"assistant","content":" b"}"#, r#"{"content":" b"}"#),
        (r#"{"content":" b", "role":"assistant"}"#, r#"{"content":" b"}"#),
        (r#"{"content":" b","role" : "assistant","x":1}"#, r#"{"content":" b","x":1}"#),
    ] {
        let event = format!("data: {{\"id\":\"second\",\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        let mut splicer =
            Splicer::new(sent(&stream("first", &["a"], None)[..2]), Begins::Onward, 1 << 20);
        let mut out = Vec::new();
        splicer.pass(event.as_bytes(), &mut out).unwrap();
        let expected =
            format!("data: {{\"id\":\"first\",\"choices\":[{{\"delta\":{expected}}}]}}\n\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn an_absurd_count_of_tokens_overflows_nothing() {
    let most = json!({ "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX,
        "total_tokens": u64::MAX, "completion_tokens_details": { "reasoning_tokens": u64::MAX } });
    let mut first = stream("first", &["one", " two"], None);
    first.truncate(3);
    first[1]["usage"] = most.clone();
    let transcript = sent(&first);
    assert_eq!(transcript.produced().tokens, u64::MAX);
    let mut splicer = Splicer::new(transcript, Begins::Onward, 1 << 20);
    let mut second = stream("second", &[" three", " four"], None);
    second[1]["usage"] = most;
    let (out, outcome) = spliced(&mut splicer, &bytes_of(&second), 50);
    assert_eq!((outcome, read(&out).text.as_str()), (Ok(()), " three four"));
    assert_eq!(splicer.into_transcript().produced().tokens, u64::MAX);
}

#[test]
fn a_text_that_is_said_twice_in_a_chunk_is_changed_in_both_places() {
    let said = |text: &str, also: &str, finish: Option<&str>| {
        json!({ "id": "a", "choices": [{ "index": 0, "delta": { "content": text },
            "finish_reason": finish, "text": also }] })
    };
    let first = said("The harbour light", "The harbour light", None);
    let begun = || sent(std::slice::from_ref(&first));
    assert!(!begun().produced().is_unclear);
    let text = "The harbour light turns.";
    let second = bytes_of(&[said(text, text, None), said("", "", Some("stop"))]);
    let mut splicer = Splicer::new(begun(), Begins::Again, 1 << 20);
    let (out, outcome) = spliced(&mut splicer, &second, 64);
    let out = String::from_utf8(out).unwrap();
    assert_eq!((outcome, out.matches("\" turns.\"").count()), (Ok(()), 2), "{out}");
    assert!(!out.contains("harbour"));
    // Two different texts are none that is known.
    assert!(sent(&[said("one", "two", None)]).produced().is_unclear);
    assert_eq!(sent(&[said("one", "", None)]).text(), "one");
    // Nor are two answers in one chunk.
    let mut two = said(text, text, None);
    let one = two["choices"][0].clone();
    two["choices"] = json!([one, one]);
    let mut splicer = Splicer::new(begun(), Begins::Again, 1 << 20);
    assert_eq!(spliced(&mut splicer, &bytes_of(&[two]), 64), (Vec::new(), Err(Diverged)));
}

#[test]
fn what_is_not_known_does_not_say_where_the_text_goes_on() {
    let begun = || sent(&stream("first", &["The harbour light turns "], None)[..2]);
    let odd = |text: &str| chunk("second", json!({ "content": text, "channel": "final" }), None);
    for (rest, expected) in [
        (vec![odd(""), odd(" slowly")], None),
        (vec![odd(""), odd("The harbour light turns slowly")], None),
        // Once that is known it may say what it likes.
        (vec![odd(" slowly"), odd(".")], Some("slowly.")),
    ] {
        let mut splicer = Splicer::new(begun(), Begins::Onward, 1 << 20);
        let (out, outcome) = spliced(&mut splicer, &bytes_of(&rest), 64);
        assert_eq!(outcome.ok().map(|()| read(&out).text).as_deref(), expected);
        assert!(expected.is_some() || out.is_empty());
    }
}

#[test]
fn a_rest_that_says_nothing_does_not_end_an_answer_in_the_middle_of_a_word() {
    for (begun, is_whole) in [
        ("The harbour light turns slo", false),
        ("First, ", false),
        ("The harbour light turns slowly.", true),
        ("```\n", true),
        ("灯台は回る", false),
        ("灯台は回る。", true),
    ] {
        let transcript = sent(&stream("first", &[begun], None)[..2]);
        let mut splicer = Splicer::new(transcript, Begins::Onward, 1 << 20);
        let (out, outcome) = spliced(&mut splicer, &bytes_of(&stream("second", &[], None)), 64);
        assert_eq!(outcome.is_ok(), is_whole, "{begun}");
        assert_eq!(read(&out).finishes, usize::from(is_whole));
    }
}
