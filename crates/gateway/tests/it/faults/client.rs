//! What a client got, in the words of the table.

use super::answers::text;
use crate::world::Answered;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// All of the text once, one finish reason, and of a stream one id, one role and `[DONE]`.
    Whole,
    /// The same without `[DONE]`, as the upstream left it out.
    WholeWithoutDone,
    /// An answer of known status and text that is passed on unchanged.
    AsItIs(&'static str),
    /// An error as the whole answer.
    Refused { status: u16, code: String, retries: bool, after: Option<RangeInclusive<u64>> },
    /// The beginning of the text, then an error event: no finish reason, no `[DONE]`.
    Broken,
    /// An error event in a stream that was opened before there was an answer.
    ErrorEvent(String),
    /// What no client should get.
    Wrong(String),
}

pub(crate) fn refused(status: u16, code: &str, retries: bool) -> Client {
    Client::Refused { status, code: code.to_owned(), retries, after: None }
}

pub(crate) fn refused_for(
    status: u16,
    code: &str,
    retries: bool,
    after: RangeInclusive<u64>,
) -> Client {
    Client::Refused { status, code: code.to_owned(), retries, after: Some(after) }
}

pub(crate) fn error_event(code: &str) -> Client {
    Client::ErrorEvent(code.to_owned())
}

// === impl Client ===

impl Client {
    pub(crate) fn of(answered: &Answered, streams: bool) -> Self {
        if answered.status != 200 {
            let (status, code, retries) = answered.refusal();
            let after = answered.header("retry-after").parse::<u64>().ok();
            let is_kept = answered.header("cache-control") == "no-store";
            if !is_kept || answered.json()["error"]["message"].as_str().is_none_or(str::is_empty) {
                return Self::Wrong(format!("an error without form: {}", answered.text()));
            }
            return Self::Refused {
                status,
                code,
                retries: retries == "true",
                after: after.map(|seconds| seconds..=seconds),
            };
        }
        if streams { Self::of_stream(answered) } else { Self::of_document(answered) }
    }

    fn of_document(answered: &Answered) -> Self {
        let body = answered.json();
        let choice = &body["choices"][0];
        let is_whole = choice["message"]["content"] == text() && choice["finish_reason"] == "stop";
        if is_whole { Self::Whole } else { Self::Wrong(body.to_string()) }
    }

    fn of_stream(answered: &Answered) -> Self {
        let wrong = |why: &str| Self::Wrong(format!("{why}: {}", answered.text()));
        let mut events = answered.events();
        let is_done = events.pop_if(|data| data == "[DONE]").is_some();
        let chunks: Vec<Value> =
            events.iter().filter_map(|data| serde_json::from_str(data).ok()).collect();
        if chunks.len() != events.len() {
            return wrong("an event that is none");
        }
        let deltas = || chunks.iter().filter(|chunk| chunk["choices"][0].is_object());
        let ids: BTreeSet<&str> = chunks.iter().filter_map(|chunk| chunk["id"].as_str()).collect();
        let ends =
            deltas().filter(|chunk| chunk["choices"][0]["finish_reason"].is_string()).count();
        let roles =
            deltas().filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string()).count();
        let said = answered.streamed_text();
        if let Some(error) = chunks.last().filter(|chunk| chunk["error"].is_object()) {
            let code = error["error"]["code"].as_str().unwrap_or_default();
            return match (is_done || ends > 0, said.is_empty()) {
                (true, _) => wrong("an answer that broke and looks finished"),
                (false, true) => error_event(code),
                (false, false) if code != "stream_broken" => wrong("another code"),
                (false, false) if !text().starts_with(&said) => wrong("another text"),
                (false, false) => Self::Broken,
            };
        }
        if said != text() || ends != 1 {
            return wrong("not the text, or not one end");
        }
        if ids.len() != 1 || roles != 1 {
            return wrong("not one id or not one role");
        }
        if is_done { Self::Whole } else { Self::WholeWithoutDone }
    }

    /// Whether that is what was expected.
    pub(crate) fn fits(&self, got: &Self) -> bool {
        match (self, got) {
            (
                Self::Refused { status, code, retries, after },
                Self::Refused {
                    status: got_status,
                    code: got_code,
                    retries: got_retries,
                    after: got_after,
                },
            ) => {
                let is_told = match (after, got_after) {
                    (Some(range), Some(told)) => range.contains(told.start()),
                    (after, told) => after.is_none() && told.is_none(),
                };
                // Near the turn of a window it is worth waiting for.
                let turns_soon = code == "window_exhausted"
                    && got_after.as_ref().is_some_and(|told| *told.start() <= 60);
                (status, code) == (got_status, got_code)
                    && (retries == got_retries || turns_soon && *got_retries)
                    && is_told
            }
            (Self::AsItIs(part), Self::Wrong(shown)) => shown.contains(part),
            _ => self == got,
        }
    }

    /// As a cell of a table.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Whole => "the whole answer".to_owned(),
            Self::WholeWithoutDone => "the whole answer, without `[DONE]`".to_owned(),
            Self::AsItIs(part) => format!("the upstream's answer as it is (`{part}`)"),
            Self::Broken => {
                "the beginning, then an error event `stream_broken`; no finish reason, no `[DONE]`"
                    .to_owned()
            }
            Self::ErrorEvent(code) => format!("an error event `{code}`, no `[DONE]`"),
            Self::Wrong(what) => what.clone(),
            Self::Refused { status, code, retries, after } => {
                let again = if *retries { "SDKs try again" } else { "SDKs do not try again" };
                let wait = match after {
                    None => String::new(),
                    Some(range) if range.start() == range.end() => {
                        format!(", `Retry-After: {}`", range.start())
                    }
                    Some(range) => {
                        format!(", `Retry-After` {} to {}", range.start(), range.end())
                    }
                };
                format!("{status} `{code}`{wait}, {again}")
            }
        }
    }
}
