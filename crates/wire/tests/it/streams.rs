//! Whole streams, as the relay watches them.

use ripcord_wire::chat::ChunkGlance;
use ripcord_wire::chutes::WarmupEvent;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::sse::{DONE, Event, EventReader};
use ripcord_wire::trace::TraceEvent;

use crate::payloads::bytes;

/// What a relay would have noticed.
#[derive(Debug, Default, PartialEq)]
struct Story {
    text: String,
    ids: Vec<String>,
    roles: usize,
    finish: Option<String>,
    done: bool,
    prompt_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    tool_pieces: usize,
    errors: Vec<(ErrorShape, String)>,
    comments: usize,
}

impl Story {
    fn of(name: &str, piece_bytes: usize) -> Self {
        let mut story = Self::default();
        let mut reader = EventReader::new(1 << 20);
        for piece in bytes(name).chunks(piece_bytes) {
            reader.feed(piece, |event| story.see(event)).unwrap();
        }
        reader.finish(|event| story.see(event)).unwrap();
        story
    }

    fn see(&mut self, event: Event<'_>) {
        match event {
            Event::Data(DONE) => self.done = true,
            Event::Data(data) => {
                let glance = ChunkGlance::read(data).unwrap();
                self.chunk(&glance, data);
            }
            Event::Stray(line) => self.error(line),
            Event::Comment(_) => self.comments += 1,
            Event::Field { .. } => {}
        }
    }

    fn chunk(&mut self, glance: &ChunkGlance<'_>, data: &[u8]) {
        if glance.error.is_some() {
            self.error(data);
        }
        if let Some(id) = &glance.id
            && self.ids.last().is_none_or(|last| last != id)
        {
            self.ids.push(id.to_string());
        }
        if let Some(usage) = glance.usage {
            (self.prompt_tokens, self.cached_tokens) = (usage.prompt_tokens, usage.cached_tokens);
        }
        for choice in glance.choices() {
            self.roles += usize::from(choice.has_role);
            self.tool_pieces += usize::from(choice.has_tool_call);
            self.text.push_str(&choice.content_text().unwrap_or_default());
        }
        if let Some(reason) = glance.finish_reason() {
            self.finish = Some(reason.to_owned());
        }
    }

    fn error(&mut self, body: &[u8]) {
        let read = ErrorBody::read(200, None, body);
        self.errors.push((read.shape, read.message));
    }
}

/// The story is the same at every size of piece.
fn story(name: &str) -> Story {
    let whole = Story::of(name, usize::MAX);
    for piece_bytes in [1, 2, 3, 7, 64] {
        assert_eq!(Story::of(name, piece_bytes), whole, "{name} in pieces of {piece_bytes}");
    }
    whole
}

#[test]
fn complete() {
    let story = story("stream_complete.sse");
    assert_eq!(
        (story.text.as_str(), story.finish.as_deref(), story.done),
        ("Sure, \"yes\"", Some("stop"), true)
    );
    assert_eq!((story.prompt_tokens, story.cached_tokens, story.comments), (Some(21), Some(8), 1));
    assert_eq!((story.ids, story.roles), (vec!["one".to_owned()], 1));
}

#[test]
fn begun_again() {
    let story = story("stream_restarted.sse");
    assert_eq!((story.ids.len(), story.roles), (2, 2));
    assert_eq!(story.text, "Once uponOnce upon a time");
}

#[test]
fn broken_off_with_a_bare_line() {
    let story = story("stream_broken.sse");
    assert_eq!((story.done, story.finish), (false, None));
    let message =
        "Unhandled exception during response stream: exhausted all available targets to no avail";
    assert_eq!(story.errors, [(ErrorShape::ErrorText, message.to_owned())]);
}

#[test]
fn an_error_as_first_event() {
    let story = story("stream_error_first.sse");
    assert_eq!(story.errors, [(ErrorShape::OpenAi, "worker is gone".to_owned())]);
    assert!(story.done && story.text.is_empty());
}

#[test]
fn tool_calls() {
    let story = story("stream_tools.sse");
    assert_eq!((story.tool_pieces, story.finish.as_deref()), (2, Some("tool_calls")));
}

#[test]
fn trace_mode() {
    let story = story("stream_trace.sse");
    let message = "Infrastructure is at maximum capacity, try again later".to_owned();
    assert_eq!(story.errors, [(ErrorShape::DetailText, message)]);
    let mut kinds = Vec::new();
    let mut reader = EventReader::new(1000);
    let on_event = |event: Event<'_>| {
        if let Event::Data(data) = event {
            kinds.push(match TraceEvent::read(data).unwrap() {
                TraceEvent::Step(step) => step.message.unwrap(),
                TraceEvent::Line(line) => line,
                TraceEvent::Whole { .. } => "whole".to_owned(),
                TraceEvent::Failed(error) => error.code.unwrap(),
            });
        }
    };
    reader.feed(&bytes("stream_trace.sse"), on_event).unwrap();
    assert_eq!(kinds[0], "identified 1 available targets");
    assert_eq!((kinds[3].as_str(), kinds[4].as_str()), ("\n", "infra_overload"));
}

#[test]
fn warm_up() {
    let mut states = Vec::new();
    let mut reader = EventReader::new(1000);
    let on_event = |event: Event<'_>| {
        if let Event::Data(data) = event {
            states.extend(serde_json::from_slice::<WarmupEvent>(data).unwrap().status);
        }
    };
    reader.feed(&bytes("warmup.sse"), on_event).unwrap();
    assert_eq!(states, ["cold", "hot"]);
}
