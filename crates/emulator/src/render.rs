//! The texts of answers: whole completions and the events of a stream, in the server's key order.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    engine::{Answer, Choice},
    quota::Tokens,
};

/// Which kind of completion was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Text,
}

/// What every part of one answer carries.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) kind: Kind,
    /// 32 hex digits; the id and the verification derive from it.
    pub(crate) fresh: String,
    pub(crate) created_seconds: i64,
    pub(crate) model: String,
    /// Prompt tokens, when events carry running totals.
    pub(crate) running_usage: Option<Tokens>,
}

/// One event of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Role { choice: usize },
    Text { choice: usize, text: String, so_far: u64 },
    ToolStart { choice: usize, id: String, name: String },
    ToolArguments { choice: usize, text: String },
    Finish { choice: usize, reason: &'static str, matched_stop: Option<String> },
    Usage(Tokens),
}

impl Identity {
    /// Of streams that are no completions.
    pub(crate) fn none() -> Self {
        Self {
            kind: Kind::Chat,
            fresh: String::new(),
            created_seconds: 0,
            model: String::new(),
            running_usage: None,
        }
    }

    fn id(&self) -> &str {
        self.fresh.get(..16).unwrap_or(&self.fresh)
    }

    fn head(&self, object: &str) -> String {
        format!(
            "{{\"id\":\"chatcmpl-{}\",\"object\":\"{object}\",\"created\":{},\"model\":{},\"choices\":[",
            self.id(),
            self.created_seconds,
            quoted(&self.model),
        )
    }

    /// The `data:` line of an event, without the blank line behind it.
    pub(crate) fn line(&self, event: &Event) -> Bytes {
        let object = match self.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Text => "text_completion",
        };
        let mut line = String::with_capacity(320);
        line.push_str("data: ");
        line.push_str(&self.head(object));
        line.push_str(&self.choice(event));
        line.push(']');
        if let Some(usage) = self.usage(event) {
            line.push_str(",\"usage\":");
            line.push_str(&usage);
        }
        line.push_str(",\"chutes_verification\":\"");
        line.push_str(&self.fresh);
        line.push_str("\"}\n");
        Bytes::from(line)
    }

    fn usage(&self, event: &Event) -> Option<String> {
        match event {
            Event::Usage(tokens) => Some(usage(*tokens)),
            Event::Text { so_far, .. } => self.running_usage.map(|tokens| {
                format!(
                    "{{\"prompt_tokens\":{},\"completion_tokens\":{so_far},\"total_tokens\":{}}}",
                    tokens.prompt,
                    tokens.prompt + so_far
                )
            }),
            _ => None,
        }
    }

    fn choice(&self, event: &Event) -> String {
        let (choice, part, reason, stop) = match event {
            Event::Usage(_) => return String::new(),
            Event::Role { choice } => match self.kind {
                Kind::Chat => {
                    (choice, "{\"role\":\"assistant\",\"content\":\"\"}".to_owned(), None, None)
                }
                Kind::Text => (choice, "\"\"".to_owned(), None, None),
            },
            Event::Text { choice, text, .. } => match self.kind {
                Kind::Chat => (choice, format!("{{\"content\":{}}}", quoted(text)), None, None),
                Kind::Text => (choice, quoted(text), None, None),
            },
            Event::ToolStart { choice, id, name } => {
                let call = format!(
                    "{{\"tool_calls\":[{{\"index\":0,\"id\":{},\"type\":\"function\",\"function\":\
                     {{\"name\":{},\"arguments\":\"\"}}}}]}}",
                    quoted(id),
                    quoted(name)
                );
                (choice, call, None, None)
            }
            Event::ToolArguments { choice, text } => {
                let call = format!(
                    "{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":{}}}}}]}}",
                    quoted(text)
                );
                (choice, call, None, None)
            }
            Event::Finish { choice, reason, matched_stop } => match self.kind {
                Kind::Chat => {
                    (choice, "{\"content\":\"\"}".to_owned(), Some(reason), matched_stop.as_deref())
                }
                Kind::Text => (choice, "\"\"".to_owned(), Some(reason), matched_stop.as_deref()),
            },
        };
        let name = match self.kind {
            Kind::Chat => "delta",
            Kind::Text => "text",
        };
        format!(
            "{{\"index\":{choice},\"{name}\":{part},\"logprobs\":null,\"finish_reason\":{},\"matched_stop\":{}}}",
            reason.map_or("null".to_owned(), |reason| quoted(reason)),
            stop.map_or("null".to_owned(), quoted),
        )
    }

    /// A whole completion.
    pub(crate) fn whole(&self, answer: &Answer) -> Bytes {
        let object = match self.kind {
            Kind::Chat => "chat.completion",
            Kind::Text => "text_completion",
        };
        let choices: Vec<String> = answer
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| self.whole_choice(index, choice))
            .collect();
        Bytes::from(format!(
            "{}{}],\"usage\":{},\"metadata\":{{\"weight_version\":\"default\"}},\
             \"chutes_verification\":\"{}\"}}",
            self.head(object),
            choices.join(","),
            usage(answer.tokens),
            self.fresh
        ))
    }

    fn whole_choice(&self, index: usize, choice: &Choice) -> String {
        let stop = match (&choice.matched_stop, choice.finish) {
            (Some(stop), _) => quoted(stop),
            // The number of the engine's end token.
            (None, "stop") => "2".to_owned(),
            (None, _) => "null".to_owned(),
        };
        let content = match self.kind {
            Kind::Text => format!("\"text\":{}", quoted(&choice.text())),
            Kind::Chat => format!("\"message\":{}", message(choice)),
        };
        format!(
            "{{\"index\":{index},{content},\"logprobs\":null,\"finish_reason\":{},\"matched_stop\":{stop}}}",
            quoted(choice.finish)
        )
    }
}

fn message(choice: &Choice) -> String {
    let (content, calls) = if choice.tool_calls.is_empty() {
        (quoted(&choice.text()), "null".to_owned())
    } else {
        let calls: Vec<String> = choice
            .tool_calls
            .iter()
            .enumerate()
            .map(|(index, call)| {
                format!(
                    "{{\"id\":{},\"index\":{index},\"type\":\"function\",\"function\":\
                     {{\"name\":{},\"arguments\":{}}}}}",
                    quoted(&call.id),
                    quoted(&call.name),
                    quoted(&call.arguments)
                )
            })
            .collect();
        ("null".to_owned(), format!("[{}]", calls.join(",")))
    };
    format!(
        "{{\"role\":\"assistant\",\"content\":{content},\"reasoning_content\":null,\"tool_calls\":{calls}}}"
    )
}

fn usage(tokens: Tokens) -> String {
    format!(
        "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{}}}}}",
        tokens.prompt,
        tokens.completion,
        tokens.prompt + tokens.completion,
        tokens.cached
    )
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// The events of an answer: roles, texts choice by choice in turn, ends, and the usage.
pub(crate) fn events(answer: &Answer) -> Vec<Event> {
    let mut events: Vec<Event> =
        (0..answer.choices.len()).map(|choice| Event::Role { choice }).collect();
    let longest = answer.choices.iter().map(|choice| choice.pieces.len()).max().unwrap_or(0);
    let mut so_far = 0;
    for at in 0..longest {
        for (choice, content) in answer.choices.iter().enumerate() {
            if let Some(text) = content.pieces.get(at) {
                so_far += 1;
                events.push(Event::Text { choice, text: text.clone(), so_far });
            }
        }
    }
    for (choice, content) in answer.choices.iter().enumerate() {
        for call in &content.tool_calls {
            let (id, name) = (call.id.clone(), call.name.clone());
            events.push(Event::ToolStart { choice, id, name });
            let pieces = call.argument_pieces();
            events.extend(pieces.into_iter().map(|text| Event::ToolArguments { choice, text }));
        }
        let matched_stop = content.matched_stop.clone();
        events.push(Event::Finish { choice, reason: content.finish, matched_stop });
    }
    events.push(Event::Usage(answer.tokens));
    events
}
