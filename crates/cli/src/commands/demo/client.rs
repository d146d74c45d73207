//! One client's call through the gateway, over HTTP as anybody's would be, and what came of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use ripcord_client::transport::{Body, Target, Transport};
use ripcord_wire::chat::ChunkGlance;
use ripcord_wire::sse::{DONE, Event, EventReader};
use serde_json::{Value, json};

use super::scenario::COLD_MODEL;
use crate::clock::Clock;

/// The longest event that is read.
const EVENT_BYTES: usize = 1 << 20;

/// A cold model is not waited for so long: it rests a minute.
const COLD_DEADLINE_SECONDS: u64 = 30;

/// Where calls go.
#[derive(Clone)]
pub(crate) struct Caller {
    transport: Transport,
    gateway: Target,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A chat whose answer is wanted as it comes.
    Streamed,
    /// A chat whose answer is wanted whole.
    Plain,
    /// A text as numbers.
    Embedding,
    /// A streamed chat that the client leaves after this many events.
    Left(usize),
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Who calls.
    pub(crate) client: &'static str,
    /// The model.
    pub(crate) model: &'static str,
    /// What for.
    pub(crate) kind: Kind,
    /// Its number, which makes its body and its `user-agent` unlike any other's.
    pub(crate) number: u64,
    /// Whether it is one of many sent at once.
    pub(crate) in_burst: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The call.
    pub(crate) call: Call,
    /// The gateway's id of the request.
    pub(crate) request_id: String,
    /// The account that answered.
    pub(crate) account: Option<String>,
    /// Events received, for a stream.
    pub(crate) events: usize,
    /// Until the answer began.
    pub(crate) first_byte: Duration,
    /// How it ended.
    pub(crate) ending: Ending,
}

/// How an answer ended, as the client could tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it came.
    Whole,
    /// The client left.
    Left,
    /// An error was the answer.
    Refused { status: u16, error: Said, retry_after: Option<String> },
    /// An error event ended the stream.
    Broken(Said),
    /// It ended without saying that it was not whole. A gateway must never do that.
    Torn,
    /// No HTTP answer.
    Unreachable(String),
}

/// An error's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) message: String,
}

// === impl Call ===

impl Call {
    /// Names the call to the emulator: the gateway passes a client's `user-agent` on.
    pub(crate) fn user_agent(self) -> String {
        format!("demo/{}", self.number)
    }

    const fn is_streamed(self) -> bool {
        matches!(self.kind, Kind::Streamed | Kind::Left(_))
    }

    fn request(self) -> Result<Request<Bytes>, http::Error> {
        let text = format!("Question {} of {}.", self.number, self.client);
        let (path, body) = match self.kind {
            Kind::Embedding => ("/v1/embeddings", json!({ "model": self.model, "input": text })),
            Kind::Plain | Kind::Streamed | Kind::Left(_) => (
                "/v1/chat/completions",
                json!({
                    "model": self.model,
                    "messages": [{ "role": "user", "content": text }],
                    "stream": self.is_streamed(),
                }),
            ),
        };
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("user-agent", self.user_agent());
        let request = match self.model {
            // Nobody waits a minute for it in a demonstration.
            COLD_MODEL => request.header("x-ripcord-deadline", COLD_DEADLINE_SECONDS),
            _ => request,
        };
        request.body(body.to_string().into())
    }
}

// === impl Caller ===

impl Caller {
    /// A caller of the gateway.
    pub(crate) const fn new(transport: Transport, gateway: Target) -> Self {
        Self { transport, gateway }
    }

    /// A report of the gateway; `None` if there is none, for the next one comes soon.
    pub(crate) async fn report(&self, path: &str) -> Option<Bytes> {
        let request = Request::get(path).body(Bytes::new()).ok()?;
        let answer = self.transport.send(&self.gateway, request).await.ok()?;
        Some(answer.into_body().collect().await.ok()?.to_bytes())
    }

    /// Makes the call. Dropping the future hangs up.
    pub(crate) async fn call(&self, call: Call) -> Answer {
        let watch = Clock::System.stopwatch();
        let mut answer = Answer {
            call,
            request_id: String::new(),
            account: None,
            events: 0,
            first_byte: Duration::ZERO,
            ending: Ending::Torn,
        };
        let sent = match call.request() {
            Ok(request) => self.transport.send(&self.gateway, request).await,
            Err(problem) => {
                answer.ending = Ending::Unreachable(problem.to_string());
                return answer;
            }
        };
        answer.first_byte = watch.elapsed();
        let (head, body) = match sent {
            Ok(response) => response.into_parts(),
            Err(problem) => {
                answer.ending = Ending::Unreachable(problem.to_string());
                return answer;
            }
        };
        answer.request_id = header(&head.headers, "x-ripcord-request-id").unwrap_or_default();
        answer.account = header(&head.headers, "x-ripcord-account");
        if call.is_streamed() && head.status == StatusCode::OK {
            (answer.ending, answer.events) = follow(body, call.kind).await;
        } else {
            answer.ending = whole(head.status, &head.headers, body).await;
        }
        answer
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn whole(status: StatusCode, headers: &HeaderMap, body: Body) -> Ending {
    let Ok(body) = body.collect().await else { return Ending::Torn };
    let Ok(json) = serde_json::from_slice::<Value>(&body.to_bytes()) else { return Ending::Torn };
    if !status.is_success() {
        let retry_after = header(headers, "retry-after");
        return Ending::Refused { status: status.as_u16(), error: said(&json), retry_after };
    }
    let has_answer =
        json["choices"][0]["finish_reason"].is_string() || json["data"][0]["embedding"].is_array();
    if has_answer { Ending::Whole } else { Ending::Torn }
}

/// Reads a stream to its end, or to where this client leaves. Dropping the body hangs up.
async fn follow(mut body: Body, kind: Kind) -> (Ending, usize) {
    let mut reader = EventReader::new(EVENT_BYTES);
    let mut seen = Seen::default();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (Ending::Torn, seen.events) };
        let Some(bytes) = frame.data_ref() else { continue };
        if reader.feed(bytes, |event| seen.event(event)).is_err() {
            return (Ending::Torn, seen.events);
        }
        if matches!(kind, Kind::Left(events) if seen.events >= events) {
            return (Ending::Left, seen.events);
        }
    }
    if reader.finish(|event| seen.event(event)).is_err() {
        return (Ending::Torn, seen.events);
    }
    let events = seen.events;
    (seen.ending(), events)
}

/// What a stream has said.
#[derive(Default)]
struct Seen {
    events: usize,
    finished: bool,
    done: bool,
    error: Option<Said>,
}

// === impl Seen ===

impl Seen {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Data(DONE) => self.done = true,
            Event::Data(data) => {
                self.events += 1;
                let Some(chunk) = ChunkGlance::read(data) else { return };
                self.finished |= chunk.choices().any(|choice| choice.finish_reason.is_some());
                if chunk.error.is_some() {
                    self.error = serde_json::from_slice(data).ok().map(|json| said(&json));
                }
            }
            Event::Comment(_) | Event::Stray(_) | Event::Field { .. } => {}
        }
    }

    fn ending(self) -> Ending {
        match self.error {
            // Whoever reads an error must not find an end beside it.
            Some(error) if !self.done && !self.finished => Ending::Broken(error),
            None if self.done && self.finished => Ending::Whole,
            Some(_) | None => Ending::Torn,
        }
    }
}

fn said(json: &Value) -> Said {
    let text = |name: &str| json["error"][name].as_str().unwrap_or_default().to_owned();
    Said { code: text("code"), message: text("message") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"id":"a","choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
    const STOP: &str = r#"{"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    const ERROR: &str = r#"{"error":{"message":"broke off","code":"stream_broken"}}"#;

    fn ending(events: &[&str]) -> Ending {
        let mut seen = Seen::default();
        events.iter().for_each(|data| seen.event(Event::Data(data.as_bytes())));
        seen.ending()
    }

    #[test]
    fn only_a_finished_answer_is_whole() {
        assert_eq!(ending(&[TEXT, STOP, "[DONE]"]), Ending::Whole);
        for torn in [&[TEXT][..], &[TEXT, STOP], &[TEXT, "[DONE]"], &[TEXT, ERROR, "[DONE]"]] {
            assert_eq!(ending(torn), Ending::Torn, "{torn:?}");
        }
        let Ending::Broken(said) = ending(&[TEXT, ERROR]) else { panic!("not broken") };
        assert_eq!((said.code.as_str(), said.message.as_str()), ("stream_broken", "broke off"));
    }
}
