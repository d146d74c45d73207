//! Answers that were begun elsewhere: the engine goes on where the last message ends, as the real ones do with
//! `continue_final_message`; and the numbered words that show whether anything is missing or said twice.

use serde_json::{Map, Value};

use crate::specs::ModelSpec;

/// The engine's complaint when it does not take the beginning of an answer.
pub(crate) const REFUSED: &str =
    "Cannot continue the final message: this model does not support assistant prefill.";

/// What is asked without the beginning of the answer, and that beginning.
pub(crate) fn beginning(body: &Map<String, Value>) -> Option<(Map<String, Value>, String)> {
    if body.get("continue_final_message") != Some(&Value::Bool(true)) {
        return None;
    }
    let messages = body.get("messages")?.as_array()?;
    let (last, asked) = messages.split_last()?;
    if last.get("role")?.as_str()? != "assistant" {
        return None;
    }
    let text = last.get("content")?.as_str()?.to_owned();
    let mut body = body.clone();
    body.insert("messages".to_owned(), Value::Array(asked.to_vec()));
    Some((body, text))
}

/// Takes away what has been said already. Another text than the model's own is no beginning of its answer: it then
/// says all of it.
pub(crate) fn skip(pieces: &mut Vec<String>, said: &str) {
    if !pieces.concat().starts_with(said) {
        return;
    }
    let mut left = said.len();
    pieces.retain_mut(|piece| {
        let taken = left.min(piece.len());
        left -= taken;
        piece.drain(..taken);
        !piece.is_empty()
    });
}

/// The same for a text completion of numbered words: its prompt ends with the last number that was said.
pub(crate) fn skip_numbers(model: &ModelSpec, body: &Map<String, Value>, pieces: &mut Vec<String>) {
    let Some(prompt) = body.get("prompt").and_then(Value::as_str).filter(|_| model.numbered) else {
        return;
    };
    let digits = prompt.len() - prompt.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let last = prompt[prompt.len() - digits..].parse::<usize>().unwrap_or(0);
    pieces.drain(..last.min(pieces.len()));
}

/// A numbered word.
pub(crate) fn number(at: usize) -> String {
    if at == 0 { "1".to_owned() } else { format!(" {}", at + 1) }
}
