//! What one answer was: whole, an honest error, or something that no client may get.

use crate::world::Answered;
use serde_json::Value;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every word once, and an end.
    Whole,
    /// The upstream's content filter ended it, and it says so.
    Filtered,
    /// An error instead of an answer, by its code.
    Refused(String),
    /// A beginning, then an error event and nothing that looks like an end.
    Broken,
    /// What must never be.
    Wrong(String),
}

/// The text of an answer of so many numbered words.
pub(super) fn numbered(words: u64) -> String {
    (1..=words).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

impl Verdict {
    /// The verdict over an answer that should have so many words.
    pub(super) fn of(answered: &Answered, streams: bool, words: u64) -> Self {
        let text = numbered(words);
        if answered.status != 200 {
            let code = answered.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
            let is_told = !answered.header("x-should-retry").is_empty() && !code.is_empty();
            return if is_told {
                Self::Refused(code)
            } else {
                wrong("an error without form", answered)
            };
        }
        if streams { Self::of_stream(answered, &text) } else { Self::of_document(answered, &text) }
    }

    fn of_document(answered: &Answered, text: &str) -> Self {
        let choice = answered.json()["choices"][0].clone();
        let said = choice["message"]["content"].as_str().unwrap_or_default();
        match choice["finish_reason"].as_str() {
            Some("stop") if said == text => Self::Whole,
            Some("content_filter") if text.starts_with(said) => Self::Filtered,
            _ => wrong("a plain answer that is not whole", answered),
        }
    }

    fn of_stream(answered: &Answered, text: &str) -> Self {
        let mut events = answered.events();
        let is_done = events.pop_if(|data| data == "[DONE]").is_some();
        let Ok(chunks) =
            events.iter().map(|data| serde_json::from_str(data)).collect::<Result<Vec<Value>, _>>()
        else {
            return wrong("an event that is none", answered);
        };
        let ends: Vec<&str> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
            .collect();
        let said = answered.streamed_text();
        if !text.starts_with(&said) {
            return wrong("words that are missing or said twice", answered);
        }
        let error = chunks.last().and_then(|chunk| chunk["error"]["code"].as_str());
        match (error, &ends[..]) {
            (Some(_), _) if is_done || !ends.is_empty() => {
                wrong("an answer that broke and looks finished", answered)
            }
            (Some(code), _) if said.is_empty() => Self::Refused(code.to_owned()),
            (Some(_), _) => Self::Broken,
            (None, ["stop"]) if said == text => Self::Whole,
            (None, ["content_filter"]) => Self::Filtered,
            (None, _) => wrong("a stream that is not whole and says nothing of it", answered),
        }
    }
}

fn wrong(what: &str, answered: &Answered) -> Verdict {
    let text = String::from_utf8_lossy(&answered.body);
    let end = text.len().saturating_sub(1_500);
    let end = (end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Verdict::Wrong(format!("{what}: … {}", &text[end..]))
}
