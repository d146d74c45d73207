use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const THIRTY: Share = Share(30);

fn trimmed(body: &Value, share: Share) -> Option<(Value, Cut)> {
    let trimmed = trim(&Bytes::from(body.to_string()), share)?;
    Some((serde_json::from_slice(&trimmed.body).unwrap(), trimmed.cut))
}

fn says(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

/// What is left of these messages, by the first word of each.
fn left(messages: Vec<Value>, share: Share) -> Option<Vec<String>> {
    let (body, _) = trimmed(&json!({"model": "m", "messages": messages}), share)?;
    let first = |message: &Value| {
        let text = message["content"].as_str().unwrap_or("-");
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    Some(body["messages"].as_array().unwrap().iter().map(first).collect())
}

fn text(name: &str, bytes: usize) -> String {
    format!("{name} {}", "x".repeat(bytes))
}

#[test]
fn the_oldest_turns_go_and_every_other_byte_stays() {
    let body = Bytes::from_static(
        br#" { "model" : "m", "messages" : [ {"role":"system","content":"be brief"} ,
  {"role":"user","content":"one one one one one one one one"},
  {"role":"assistant","content":"uno uno uno uno uno uno uno uno"} , { "role":"user" , "content":"two two two two two two" },
  {"role":"assistant","content":"dos dos dos dos dos dos"},
  {"role":"user","content":"three"}], "temperature":0.10 } "#,
    );
    let trimmed = trim(&body, THIRTY).unwrap();
    assert_eq!(
        std::str::from_utf8(&trimmed.body).unwrap(),
        r#" { "model" : "m", "messages" : [ {"role":"system","content":"be brief"} ,
  { "role":"user" , "content":"two two two two two two" },
  {"role":"assistant","content":"dos dos dos dos dos dos"},
  {"role":"user","content":"three"}], "temperature":0.10 } "#
    );
    assert_eq!(trimmed.cut.to_string(), "39%; messages=6->4");
    assert!(!format!("{trimmed:?}").contains("three"));
}

#[test]
fn the_length_of_the_answer_goes_first() {
    let turns =
        json!([says("user", &text("one", 2_000)), says("assistant", "a"), says("user", "two")]);
    let ask = |max_tokens: u64| json!({"max_tokens": max_tokens, "messages": turns, "max_completion_tokens": 7});
    // The answer has 80 of 82 parts of the context: it alone gives 30 percent.
    let (body, cut) = trimmed(&ask(20_000), THIRTY).unwrap();
    assert_eq!(cut.max_tokens, Some((20_000, 13_842)));
    assert_eq!((&body["max_tokens"], &body["max_completion_tokens"]), (&json!(13_842), &json!(7)));
    assert_eq!((body["messages"].as_array().unwrap().len(), cut.percent), (3, 30));
    // Here it does not, and it has too little that the first turn could stay.
    assert_eq!(trimmed(&ask(300), THIRTY), None, "the first turn is more than half of it");
    let (_, cut) = trimmed(&ask(1_000), THIRTY).unwrap();
    assert_eq!((cut.max_tokens, cut.messages_after), (Some((1_000, 542)), 3));
}

/// A share of 30 percent is met to the byte: rounded down it would be less than the least.
#[test]
fn thirty_percent_is_always_thirty_percent() {
    for bytes in 0..64 {
        let ask = json!({"max_tokens": 4_000, "messages": [says("user", &text("one", bytes))]});
        assert_eq!(trimmed(&ask, THIRTY).unwrap().1.percent, 30, "{bytes}");
    }
}

#[test]
fn an_answer_is_never_made_shorter_than_a_page() {
    let ask = |max_tokens: u64| json!({"max_tokens": max_tokens, "messages": [says("user", "hi")]});
    for max_tokens in [1, 200, 256, 300] {
        assert_eq!(trimmed(&ask(max_tokens), THIRTY), None, "{max_tokens}");
    }
    let (body, _) = trimmed(&ask(400), THIRTY).unwrap();
    assert_eq!(body["max_tokens"], 277);
}

#[test]
fn what_a_tool_said_goes_with_its_call() {
    let call = |id: &str, name: &str| json!({"role": "assistant", "content": name, "tool_calls": [{"id": id}]});
    let answer =
        |id: &str, name: &str| json!({"role": "tool", "content": name, "tool_call_id": id});
    // A user who speaks between call and answer begins no turn there; ids may be used again later.
    let messages = vec![
        says("user", &text("one", 200)),
        call("a", "call-a"),
        says("user", &text("hurry", 5)),
        answer("a", "answer-a"),
        says("user", &text("two", 400)),
        call("a", "call-a-again"),
        answer("a", "answer-a-again"),
    ];
    let kept = ["two", "call-a-again", "answer-a-again"];
    assert_eq!(left(messages.clone(), THIRTY).unwrap(), kept);
    // The older form has no ids.
    let mut older = messages;
    older[1] = json!({"role": "assistant", "content": "call-a", "function_call": {"name": "f"}});
    older[3] = json!({"role": "function", "content": "answer-a", "name": "f"});
    assert_eq!(left(older, THIRTY).unwrap(), kept);
}

#[test]
fn the_last_turn_and_the_system_stay_however_long_they_are() {
    let long = |name| says("user", &text(name, 4_000));
    assert_eq!(
        left(vec![says("system", &text("be", 9_000)), long("one"), long("two")], THIRTY),
        None
    );
    assert_eq!(left(vec![long("one")], THIRTY), None);
    // Several messages in a row are one turn.
    let two_turns =
        vec![long("one"), says("user", "still"), says("assistant", "a"), long("two"), long("too")];
    assert_eq!(left(two_turns, THIRTY).unwrap(), ["two", "too"]);
    let messages = vec![
        says("user", "one one one one one one"),
        says("developer", "mind the gap"),
        says("assistant", "uno uno uno"),
        says("user", "two"),
        says("assistant", "dos"),
    ];
    assert_eq!(left(messages, Share(50)).unwrap(), ["mind", "two", "dos"]);
}

#[test]
fn what_is_no_conversation_is_left_alone() {
    for body in [
        "",
        "[]",
        "{}",
        "{",
        r#"{"messages":[]}"#,
        r#"{"messages":{"role":"user"}}"#,
        r#"{"messages":[1,2,3,4,5,6]}"#,
        r#"{"input":["a","b","c","d","e"]}"#,
        r#"{"max_tokens":null,"prompt":"abcdefgh"}"#,
        r#"{"max_tokens":1000000000000000,"prompt":"abcdefgh"}"#,
    ] {
        assert_eq!(trim(&Bytes::copy_from_slice(body.as_bytes()), THIRTY), None, "{body}");
    }
    let turns = json!([says("user", &text("one", 50)), says("user", &text("two", 50))]);
    let twice = format!("{{\"messages\":{turns},\"m\\u0065ssages\":{turns}}}");
    assert_eq!(trim(&Bytes::from(twice), THIRTY), None);
    assert_eq!(trim(&Bytes::from_static(b"\xff"), THIRTY), None);
}

#[test]
fn a_share_is_read_as_people_write_it() {
    for (text, percent) in [("30%", 30), (" 45 % ", 45), ("50%", 50)] {
        assert_eq!(Share::read(text).map(Share::as_percent), Some(percent), "{text}");
    }
    for text in ["", "%", "30", "29%", "51%", "+40%", "0.4", "40%%", "99999999999999999999%"] {
        assert_eq!(Share::read(text), None, "{text}");
    }
    assert_eq!(Share::LEAST.to_string(), "30%");
}

#[derive(Debug, Clone)]
enum Spoken {
    System(String),
    User(String),
    Assistant(String),
    /// An assistant that calls so many tools, what they answer, and whether a user breaks in before the last answer.
    Tools(usize, String, bool),
}

fn spoken() -> impl Strategy<Value = Spoken> {
    let text = "[ -~\u{e4}\\\\\"\n]{0,60}";
    prop_oneof![
        1 => text.prop_map(Spoken::System),
        3 => text.prop_map(Spoken::User),
        3 => text.prop_map(Spoken::Assistant),
        2 => (1_usize..3, text, any::<bool>()).prop_map(|(count, text, breaks_in)| Spoken::Tools(count, text, breaks_in)),
    ]
}

fn messages(spoken: Vec<Spoken>) -> Vec<Value> {
    let mut messages = Vec::new();
    for (turn, spoken) in spoken.into_iter().enumerate() {
        match spoken {
            Spoken::System(text) => messages.push(says("system", &text)),
            Spoken::User(text) => messages.push(says("user", &text)),
            Spoken::Assistant(text) => messages.push(says("assistant", &text)),
            Spoken::Tools(count, text, breaks_in) => {
                // Some clients count anew in each turn.
                let ids: Vec<String> =
                    (0..count).map(|call| format!("call_{}_{call}", turn % 3)).collect();
                let calls: Vec<Value> =
                    ids.iter().map(|id| json!({"id": id, "type": "function"})).collect();
                messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
                for (call, id) in ids.iter().enumerate() {
                    if breaks_in && call + 1 == count {
                        messages.push(says("user", "hurry"));
                    }
                    messages.push(json!({"role": "tool", "content": text, "tool_call_id": id}));
                }
            }
        }
    }
    // Told apart by a number, since the same may be said twice.
    for (number, message) in messages.iter_mut().enumerate() {
        message["number"] = json!(number);
    }
    messages
}

proptest! {
    #[test]
    fn what_is_left_is_a_whole_conversation(
        spoken in vec(spoken(), 0..24),
        max_tokens in proptest::option::of(0_u64..3_000),
        percent in 30_u64..=50,
        pretty in any::<bool>(),
    ) {
        let before = messages(spoken);
        let mut body = json!({"model": "m", "messages": before, "tools": [{"type": "function"}], "stop": ["messages"]});
        if let Some(max_tokens) = max_tokens {
            body["max_tokens"] = json!(max_tokens);
        }
        let text = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
        let Some(Trimmed { body: bytes, cut }) = trim(&Bytes::from(text.clone()), Share(percent)) else {
            return Ok(());
        };
        // Valid, and nothing else changed.
        let after: Value = serde_json::from_slice(&bytes).unwrap();
        let mut expected = body.clone();
        expected["messages"] = after["messages"].clone();
        if let Some((from, to)) = cut.max_tokens {
            prop_assert_eq!(expected["max_tokens"].as_u64(), Some(from));
            prop_assert!(to >= from.div_ceil(2) && to >= LEAST_ANSWER_TOKENS);
            expected["max_tokens"] = json!(to);
        }
        prop_assert_eq!(&after, &expected);
        let numbers = |messages: &[Value]| -> Vec<u64> {
            messages.iter().map(|message| message["number"].as_u64().unwrap()).collect()
        };
        let kept = after["messages"].as_array().unwrap();
        let kept_numbers = numbers(kept);
        prop_assert!(kept_numbers.is_sorted());
        // What stays is the system's, and everything from one place on, where a user begins to speak.
        let gone: Vec<&Value> = before.iter().filter(|message| !kept.contains(message)).collect();
        prop_assert!(gone.iter().all(|message| message["role"] != "system"));
        prop_assert_eq!(gone.len() as u64, cut.messages_before - cut.messages_after);
        let said = |messages: &[Value]| -> Vec<Value> {
            messages.iter().filter(|message| message["role"] != "system").cloned().collect()
        };
        let (all, left) = (said(&before), said(kept));
        prop_assert!(all.ends_with(&left));
        let last_user = all.iter().rposition(|message| message["role"] == "user");
        if !gone.is_empty() {
            prop_assert_eq!(&left[0]["role"], "user");
            prop_assert!(last_user.is_some_and(|place| all.len() - place <= left.len()));
            let place = all.len() - left.len();
            prop_assert!(all[place - 1]["role"] != "user");
        }
        // No tool's answer without its call, and no call whose answer went.
        for (place, message) in left.iter().enumerate() {
            if let Some(id) = message["tool_call_id"].as_str() {
                let is_call = |other: &Value| {
                    other["tool_calls"].as_array().is_some_and(|calls| calls.iter().any(|call| call["id"] == id))
                };
                prop_assert!(left[..place].iter().any(is_call), "{id}");
            }
        }
        // Between 30 and 50 percent, measured on what came out.
        let weight = |body: &Value, bytes: usize| -> u64 {
            bytes as u64 + body["max_tokens"].as_u64().unwrap_or(0) * BYTES_PER_TOKEN
        };
        let digits = |cut: &Cut| cut.max_tokens.map_or(0, |(from, to)| from.to_string().len() - to.to_string().len());
        let outside = {
            let mut rest = body.clone();
            rest["messages"] = json!([]);
            rest["tools"] = json!([]);
            if pretty { serde_json::to_string_pretty(&rest).unwrap().len() } else { rest.to_string().len() }
        } as u64;
        let whole = weight(&body, text.len()) - outside + 4;
        let lost = weight(&body, text.len()) - weight(&after, bytes.len()) - digits(&cut) as u64;
        prop_assert!(lost * 100 >= whole * 29 && lost * 100 <= whole * 52, "{lost} of {whole}");
        prop_assert!((30..=50).contains(&cut.percent));
        prop_assert_eq!((cut.bytes_before, cut.bytes_after), (text.len() as u64, bytes.len() as u64));
    }

    /// Whatever is sent, what comes out is JSON if what went in was, and nothing panics.
    #[test]
    fn anything_may_come(text in "[\\[\\]{}:,\" a-z0-9]{0,200}", cut_at in 0_usize..200) {
        let _ = trim(&Bytes::from(text), THIRTY);
        let turns = json!({"messages": [says("user", "one one one"), says("user", "x"), says("assistant", "y"), says("user", "z")]}).to_string();
        let part = &turns.as_bytes()[..cut_at.min(turns.len())];
        if let Some(trimmed) = trim(&Bytes::copy_from_slice(part), THIRTY) {
            prop_assert!(serde_json::from_slice::<Value>(&trimmed.body).is_ok());
        }
    }
}

/// Long lists are read once: ids that come back in every message do not make it slow.
#[test]
fn a_hundred_thousand_messages_with_one_id() {
    let call = r#"{"role":"assistant","tool_calls":[{"id":"a"}]}"#;
    let answer = r#"{"role":"tool","tool_call_id":"a"}"#;
    let ask = r#"{"role":"user"}"#;
    let messages = vec![format!("{ask},{call},{answer},{answer}"); 25_000].join(",");
    let body = Bytes::from(format!("{{\"messages\":[{messages}]}}"));
    let trimmed = trim(&body, Share(40)).unwrap();
    assert_eq!((trimmed.cut.messages_before, trimmed.cut.messages_after), (100_000, 59_996));
}
