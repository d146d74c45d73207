//! What the provider of these cases says: numbered words, so that one that is missing or said twice shows.

use crate::provider::{Act, Asked, CHUNKED_HEAD, Script, http_chunk};
use serde_json::{Value, json};
use std::time::Duration;

/// The words of a whole answer.
pub(crate) const WORDS: usize = 12;
/// The words that come before something breaks.
pub(crate) const PART_WORDS: usize = 5;

/// The text of a whole answer.
pub(crate) fn text() -> String {
    words(1, WORDS)
}

/// The words with these numbers, as they stand in the text.
fn words(first: usize, last: usize) -> String {
    (first..=last).map(word).collect()
}

fn word(number: usize) -> String {
    if number == 1 { "1".to_owned() } else { format!(" {number}") }
}

/// How many words the request gives as the beginning of the answer.
pub(crate) fn begun(asked: &Asked) -> usize {
    if asked.body["continue_final_message"] != true {
        return 0;
    }
    let messages = asked.body["messages"].as_array().unwrap();
    let prefill = messages.last().unwrap()["content"].as_str().unwrap();
    let count = prefill.split(' ').count();
    assert_eq!(prefill, words(1, count), "a prefill that is no beginning of the answer");
    count
}

fn usage(first: usize, last: usize) -> Value {
    let (prompt, completion) = (99 + first, last + 1 - first);
    json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
}

fn event(asked: &Asked, choices: Value, usage: Option<Value>) -> String {
    event_of(&format!("chatcmpl-{}", asked.number), asked, choices, usage)
}

fn event_of(id: &str, asked: &Asked, choices: Value, usage: Option<Value>) -> String {
    let mut chunk = json!({
        "id": id, "object": "chat.completion.chunk", "created": 1, "model": asked.model, "choices": choices
    });
    if let Some(usage) = usage {
        chunk["usage"] = usage;
    }
    format!("data: {chunk}\n\n")
}

fn delta(delta: &Value, finish: Option<&str>) -> Value {
    json!([{ "index": 0, "delta": delta, "finish_reason": finish }])
}

fn send(event: &str) -> Act {
    Act::Send(http_chunk(event))
}

/// A moment, so that what was sent arrives before what follows.
fn moment() -> Act {
    Act::Pause(Duration::from_millis(5))
}

/// The head, the role, and the words with these numbers.
fn beginning(asked: &Asked, first: usize, last: usize) -> Vec<Act> {
    let mut acts = vec![Act::Send(CHUNKED_HEAD.as_bytes().to_vec())];
    let role = delta(&json!({ "role": "assistant", "content": "" }), None);
    acts.push(send(&event(asked, role, None)));
    acts.extend(said(asked, first, last));
    acts.push(moment());
    acts
}

fn said(asked: &Asked, first: usize, last: usize) -> impl Iterator<Item = Act> {
    (first..=last).map(move |number| {
        send(&event(asked, delta(&json!({ "content": word(number) }), None), None))
    })
}

/// The finish reason and the usage.
fn finish(asked: &Asked, first: usize) -> [Act; 2] {
    let end = event(asked, delta(&json!({}), Some("stop")), None);
    [send(&end), send(&event(asked, json!([]), Some(usage(first, WORDS))))]
}

/// The marked end of the body.
pub(crate) fn body_end() -> Act {
    Act::Send(b"0\r\n\r\n".to_vec())
}

fn done() -> Act {
    send("data: [DONE]\n\n")
}

/// The whole answer, or what is left of one that was begun.
pub(crate) fn whole(asked: &Asked) -> Script {
    let begun = begun(asked);
    from_word(asked, begun + 1).named(if begun > 0 { "the rest" } else { "whole answer" })
}

/// The answer from the word with this number on.
pub(crate) fn from_word(asked: &Asked, first: usize) -> Script {
    if !asked.streams {
        return document("", asked, first, "stop");
    }
    let mut acts = beginning(asked, first, WORDS);
    acts.extend(finish(asked, first));
    acts.extend([done(), body_end()]);
    Script::new("", acts)
}

/// As [`whole`], without `[DONE]`.
pub(crate) fn without_done(asked: &Asked) -> Script {
    if !asked.streams {
        return whole(asked);
    }
    let mut acts = beginning(asked, 1, WORDS);
    acts.extend(finish(asked, 1));
    acts.push(body_end());
    Script::new("all but `[DONE]`", acts)
}

/// Every word and the finish reason, then these acts.
fn finished(name: &str, asked: &Asked, then: impl IntoIterator<Item = Act>) -> Script {
    let mut acts = beginning(asked, 1, WORDS);
    acts.push(finish(asked, 1)[0].clone());
    acts.push(moment());
    acts.extend(then);
    Script::new(name, acts)
}

/// Half an event behind the finish reason, and no proper end.
pub(crate) fn cut_behind_the_end(asked: &Asked) -> Script {
    let half = Act::Send(b"ff\r\ndata: {\"id\":".to_vec());
    finished("cut behind the finish reason", asked, [half])
}

/// Chutes' bare line behind the finish reason.
pub(crate) fn error_behind_the_end(asked: &Asked) -> Script {
    let line = r#"{"error":"Unhandled exception during response stream: infra_overload"}"#;
    finished("an error behind the finish reason", asked, [send(line), body_end()])
}

/// Another answer behind the finish reason.
pub(crate) fn again_behind_the_end(asked: &Asked) -> Script {
    let role = delta(&json!({ "role": "assistant", "content": "1" }), None);
    let again = send(&event_of("chatcmpl-again", asked, role, None));
    finished("begun again behind the finish reason", asked, [again, done(), body_end()])
}

/// As [`whole`], with totals on every event that must not be added up.
pub(crate) fn with_running_totals(asked: &Asked) -> Script {
    if !asked.streams {
        return whole(asked);
    }
    let mut acts = beginning(asked, 1, 0);
    acts.extend((1..=WORDS).map(|number| {
        let choices = delta(&json!({ "content": word(number) }), None);
        send(&event(asked, choices, Some(usage(1, number))))
    }));
    acts.extend(finish(asked, 1));
    acts.extend([done(), body_end()]);
    Script::new("running totals", acts)
}

/// A plain answer from the word with this number on.
fn document(name: &str, asked: &Asked, first: usize, finish: &str) -> Script {
    let body = document_body(asked, first, finish);
    Script::whole(name, "200 OK\r\ncontent-type: application/json", &body)
}

fn document_body(asked: &Asked, first: usize, finish: &str) -> String {
    json!({
        "id": format!("chatcmpl-{}", asked.number), "object": "chat.completion", "created": 1, "model": asked.model,
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": words(first, WORDS) }, "finish_reason": finish }],
        "usage": usage(first, WORDS),
    })
    .to_string()
}

/// The beginning of an answer, and then these acts. A plain answer has half of its bytes before them.
pub(crate) fn breaks(name: &str, asked: &Asked, then: &[Act]) -> Script {
    let mut acts = if asked.streams {
        let begun = begun(asked);
        beginning(asked, begun + 1, begun + PART_WORDS)
    } else {
        let bytes = crate::provider::whole(
            "200 OK\r\ncontent-type: application/json",
            &document_body(asked, 1, "stop"),
        );
        vec![Act::Send(bytes[..bytes.len() * 2 / 3].to_vec()), moment()]
    };
    acts.extend(then.iter().cloned());
    Script::new(name, acts)
}

/// The beginning of an answer, an event that is no JSON, and the rest. A plain answer is half a document.
pub(crate) fn malformed(asked: &Asked) -> Script {
    if !asked.streams {
        let head = "200 OK\r\ncontent-type: application/json";
        return Script::whole("a malformed answer", head, "{\"id\":\"chatcmpl-");
    }
    let mut acts = vec![send("data: {\"id\":\"chatcmpl-\n\n")];
    acts.extend(said(asked, PART_WORDS + 1, WORDS));
    acts.extend(finish(asked, 1));
    acts.extend([done(), body_end()]);
    breaks("a malformed event mid-answer", asked, &acts)
}

/// The beginning of an answer, then Chutes' bare line and a proper end of the body.
pub(crate) fn bare_error(asked: &Asked) -> Script {
    let line = r#"{"error":"Unhandled exception during response stream: infra_overload"}"#;
    breaks("a bare JSON error mid-answer", asked, &[send(line), body_end()])
}

/// The role, and an RST.
pub(crate) fn reset_before_any_text(asked: &Asked) -> Script {
    let mut acts = beginning(asked, 1, 0);
    acts.push(Act::Reset);
    Script::new("reset before any text", acts)
}

/// The role, and Chutes' bare line.
pub(crate) fn bare_error_before_any_text(asked: &Asked) -> Script {
    let mut acts = beginning(asked, 1, 0);
    let line = r#"{"error":"Unhandled exception during response stream: infra_overload"}"#;
    acts.extend([send(line), body_end()]);
    Script::new("a bare JSON error before any text", acts)
}

/// The beginning of an answer, an error as an event, and `[DONE]`.
pub(crate) fn error_event(asked: &Asked) -> Script {
    let event = r#"{"error":{"message":"engine died","type":"InternalServerError","code":500}}"#;
    let error = send(&format!("data: {event}\n\n"));
    breaks("an error event mid-answer", asked, &[error, done(), body_end()])
}

/// The beginning of an answer, and then all of it with another id.
pub(crate) fn begun_again(asked: &Asked) -> Script {
    begun_again_with(asked, "begun again mid-answer with a new id", 1)
}

/// The same with another text.
pub(crate) fn begun_again_otherwise(asked: &Asked) -> Script {
    begun_again_with(asked, "begun again mid-answer with another text", 2)
}

fn begun_again_with(asked: &Asked, name: &str, from: usize) -> Script {
    let id = format!("chatcmpl-{}-again", asked.number);
    let of = |choices: Value, usage: Option<Value>| send(&event_of(&id, asked, choices, usage));
    let role = delta(&json!({ "role": "assistant", "content": "" }), None);
    let mut acts = vec![of(role, None)];
    let said = (from..=WORDS).map(|number| delta(&json!({ "content": word(number) }), None));
    acts.extend(said.map(|choices| of(choices, None)));
    acts.push(of(delta(&json!({}), Some("stop")), None));
    acts.push(of(json!([]), Some(usage(1, WORDS))));
    acts.extend([done(), body_end()]);
    breaks(name, asked, &acts)
}

/// A stream whose first event is an error; of a plain call, an error object with status 200.
pub(crate) fn error_first(asked: &Asked) -> Script {
    let error = r#"{"error":{"message":"engine died","type":"InternalServerError","code":500}}"#;
    let name = "an error inside of a 200";
    if !asked.streams {
        return Script::whole(name, "200 OK\r\ncontent-type: application/json", error);
    }
    let head = Act::Send(CHUNKED_HEAD.as_bytes().to_vec());
    Script::new(name, vec![head, send(&format!("data: {error}\n\n")), done(), body_end()])
}

/// A stream without one event; of a plain call, an empty body.
pub(crate) fn empty(asked: &Asked) -> Script {
    let name = "an empty answer";
    if !asked.streams {
        return Script::whole(name, "200 OK\r\ncontent-type: application/json", "");
    }
    Script::new(name, vec![Act::Send(CHUNKED_HEAD.as_bytes().to_vec()), body_end()])
}

/// An answer whose choice ends with `content_filter`.
pub(crate) fn filtered(asked: &Asked) -> Script {
    let name = "finish reason `content_filter`";
    if !asked.streams {
        return document(name, asked, 1, "content_filter");
    }
    let mut acts = beginning(asked, 1, PART_WORDS);
    acts.push(send(&event(asked, delta(&json!({}), Some("content_filter")), None)));
    acts.extend([done(), body_end()]);
    Script::new(name, acts)
}

/// An answer of Chutes' application.
pub(crate) fn detail(status: &str, detail: &str) -> Script {
    let head = format!("{status}\r\ncontent-type: application/json");
    let name = status.split(' ').next().unwrap().to_owned();
    Script::whole(name, &head, &json!({ "detail": detail }).to_string())
}

/// An error in OpenAI's shape, as other providers send it.
pub(crate) fn openai_error(status: &str, kind: &str, code: &str, message: &str) -> Script {
    let head = format!("{status}\r\ncontent-type: application/json");
    let name = format!("{} `{code}`", status.split(' ').next().unwrap());
    let body =
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    Script::whole(name, &head, &body.to_string())
}

/// A page of the load balancers.
pub(crate) fn page(name: &str, status: &str) -> Script {
    let body = "<html><head><title>Sorry</title></head><body>nginx</body></html>";
    Script::whole(name, &format!("{status}\r\ncontent-type: text/html"), body)
}

/// No status line, ever.
pub(crate) fn silence() -> Script {
    Script::new("nothing", vec![Act::Stall])
}
