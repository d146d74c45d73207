//! The steps of an answer: its events, with the waits between them and the fault that hits it.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    engine::Answer,
    faults::{Fault, FaultKind},
    instances::Segment,
    log::Ended,
    quota::Tokens,
    render::{Event, Identity, events},
    stream::Step,
};

/// Events that pass before a fault that does not say how many.
const DEFAULT_CHUNKS: usize = 3;
/// What the server writes bare when a stream dies under it.
const BARE_TEXT: &str = "No infrastructure available to serve request";
const ENGINE_ERROR: &str = "{\"error\":{\"message\":\"engine died\",\"type\":\"InternalServerError\",\
                            \"param\":null,\"code\":500}}";

/// The steps of a stream that several instances had a hand in.
pub(crate) fn segment_steps(
    answer: &Answer,
    segments: &[Segment],
    pace: Option<Duration>,
    fault: &Fault,
    mut identity: impl FnMut() -> Identity,
) -> Vec<Step> {
    let all = events(answer);
    let chunks = fault.after_chunks.unwrap_or(DEFAULT_CHUNKS).min(all.len());
    let (first, _) = all.split_at(chunks);
    let mut steps = Vec::new();
    let mut began = false;
    for segment in segments {
        if matches!(segment, Segment::Whole | Segment::Broken | Segment::ErrorMid) {
            if std::mem::replace(&mut began, true) {
                steps.push(Step::Become(Box::new(identity())));
            }
            push_paced(&mut steps, if *segment == Segment::Whole { &all } else { first }, pace);
        }
        match segment {
            Segment::BlankLine => steps.push(Step::Bytes(Bytes::from_static(b"\n"))),
            Segment::Broken => {}
            Segment::Whole => push_end(&mut steps, answer.tokens, true),
            Segment::ErrorMid => {
                steps.extend(line(ENGINE_ERROR));
                push_end(&mut steps, answer.tokens, false);
            }
            Segment::ErrorBody => {
                steps.extend(line(ENGINE_ERROR));
                push_end(&mut steps, answer.tokens, true);
            }
            Segment::Bare(text) => push_bare(&mut steps, text),
        }
    }
    steps
}

/// Events, each text behind its wait.
fn push_paced(steps: &mut Vec<Step>, events: &[Event], pace: Option<Duration>) {
    for event in events {
        if let (Some(pace), Event::Text { .. } | Event::ToolArguments { .. }) = (pace, event) {
            steps.push(Step::Wait(pace));
        }
        steps.push(Step::Event(event.clone()));
    }
}

/// The end of a stream that counts.
fn push_end(steps: &mut Vec<Step>, tokens: Tokens, done: bool) {
    steps.push(Step::Book(tokens));
    steps.push(Step::End(if done { Ended::Complete } else { Ended::Broken }));
    if done {
        steps.extend(line("[DONE]"));
    }
}

/// The server's bare line, and the end of a stream that does not count.
fn push_bare(steps: &mut Vec<Step>, text: &str) {
    let text = format!("Unhandled exception during response stream: {text}");
    let text = serde_json::Value::String(text);
    steps.push(Step::Bytes(Bytes::from(format!("{{\"error\":{text}}}"))));
    steps.push(Step::End(Ended::Broken));
}

fn line(text: &str) -> [Step; 2] {
    [Step::Bytes(Bytes::from(format!("data: {text}\n"))), Step::Bytes(Bytes::from_static(b"\n"))]
}

/// The steps of a stream, with the fault that hits it.
pub(crate) fn stream_steps(
    answer: &Answer,
    identity: &Identity,
    pace: Option<Duration>,
    fault: Option<&Fault>,
    restarted: impl FnOnce() -> Identity,
) -> Vec<Step> {
    let all = events(answer);
    let tokens = answer.tokens;
    let mut chunks = fault.and_then(|f| f.after_chunks).unwrap_or(DEFAULT_CHUNKS).min(all.len());
    let kind = fault.map(|fault| fault.kind);
    let mut keep = None;
    if kind == Some(FaultKind::Cut)
        && let Some(bytes) = fault.and_then(|fault| fault.after_bytes)
    {
        (chunks, keep) = event_at(&all, identity, bytes);
    }
    let mut steps = Vec::with_capacity(all.len() * 2 + 8);
    let paced = |steps: &mut Vec<Step>, events: &[Event]| push_paced(steps, events, pace);
    let finish = |steps: &mut Vec<Step>, done: bool| push_end(steps, tokens, done);
    let (first, rest) = all.split_at(chunks);
    use FaultKind as K;
    match kind {
        Some(K::EmptyStream) => steps.push(Step::End(Ended::Broken)),
        Some(K::ErrorFirstEvent) => {
            steps.extend(line(ENGINE_ERROR));
            finish(&mut steps, true);
        }
        Some(K::Stall) => {
            paced(&mut steps, first);
            match fault.and_then(|fault| fault.delay_ms) {
                Some(delay) => steps.push(Step::Wait(Duration::from_millis(delay))),
                None => steps.push(Step::Stall),
            }
            paced(&mut steps, rest);
            finish(&mut steps, true);
        }
        Some(K::Cut) => {
            paced(&mut steps, first);
            steps.push(Step::Flush);
            let torn = rest.first().cloned().unwrap_or(Event::Usage(tokens));
            steps.push(Step::CutEvent(torn, keep));
        }
        Some(K::Reset) => {
            paced(&mut steps, first);
            steps.extend([Step::Flush, Step::Reset]);
        }
        Some(K::BareJsonError) => {
            paced(&mut steps, first);
            let text = fault.and_then(|fault| fault.text.as_deref()).unwrap_or(BARE_TEXT);
            push_bare(&mut steps, text);
        }
        Some(K::ErrorMidStream) => {
            paced(&mut steps, first);
            steps.extend(line(ENGINE_ERROR));
            finish(&mut steps, false);
        }
        Some(K::EndsEarly) => {
            paced(&mut steps, first);
            finish(&mut steps, false);
        }
        Some(K::MissingDone) => {
            paced(&mut steps, &all);
            finish(&mut steps, false);
        }
        Some(K::MalformedEvent) => {
            paced(&mut steps, first);
            steps.extend(line("{\"id\":\"chatcmpl-"));
            paced(&mut steps, rest);
            finish(&mut steps, true);
        }
        Some(K::Restart) => {
            paced(&mut steps, first);
            steps.push(Step::Become(Box::new(restarted())));
            paced(&mut steps, &all);
            finish(&mut steps, true);
        }
        _ => {
            paced(&mut steps, &all);
            finish(&mut steps, true);
        }
    }
    steps
}

/// The event in which the given byte of the stream lies, and how many of its bytes come before.
fn event_at(all: &[Event], identity: &Identity, bytes: usize) -> (usize, Option<usize>) {
    let mut left = bytes;
    for (at, event) in all.iter().enumerate() {
        // The line and the blank line behind it.
        let length = identity.line(event).len() + 1;
        if left < length {
            return (at, Some(left));
        }
        left -= length;
    }
    (all.len(), Some(0))
}

/// The steps of a whole answer that does not arrive whole.
pub(crate) fn whole_steps(body: &Bytes, fault: &Fault, tokens: Tokens) -> Vec<Step> {
    let half = body.len() / 2;
    let keep = fault.after_bytes.unwrap_or(half).min(body.len());
    match fault.kind {
        FaultKind::Cut => vec![Step::Flush, Step::CutBytes(body.clone(), keep)],
        FaultKind::Reset => {
            vec![Step::Flush, Step::Bytes(body.slice(..half)), Step::Flush, Step::Reset]
        }
        _ => {
            let wait = match fault.delay_ms {
                Some(delay) => Step::Wait(Duration::from_millis(delay)),
                None => Step::Stall,
            };
            vec![
                Step::Flush,
                Step::Bytes(body.slice(..half)),
                wait,
                Step::Book(tokens),
                Step::End(Ended::Complete),
                Step::Bytes(body.slice(half..)),
            ]
        }
    }
}
