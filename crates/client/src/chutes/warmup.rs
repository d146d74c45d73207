//! Asking for a chute to be started. **This is no status probe**: it makes the platform do something.

use std::collections::VecDeque;
use std::fmt;

use http_body_util::BodyExt as _;
use ripcord_rules::cause::Phase;
use ripcord_wire::chutes::{QuickWarmup, WarmupEvent};
use ripcord_wire::sse::{DONE, Event, EventReader};

use super::answer::{EXCERPT_CHARS, parse, read_body};
use super::call::{Opened, Plan};
use super::path::{Query, encoded_name};
use super::secrets::Secrets;
use super::{Chutes, Reply};
use crate::classify;
use crate::clock;
use crate::error::{Call, Error, ErrorKind, Unreadable};
use crate::transport::Body;

impl Chutes {
    /// `GET /chutes/warmup/{id_or_name}` (api.md 3.7): asks miners to start a chute, and tells how it goes.
    ///
    /// # This has side effects
    ///
    /// * It **raises a bounty** if nothing runs: the platform pays miners more for starting this chute. Dropping the
    ///   stream does not take it back.
    /// * It needs a **balance above 0**; a subscription alone gets 402 (recordings 212, 219).
    /// * It promises nothing: after 602 seconds of `cold` the recorded stream ended without a last word
    ///   (recordings, D25). Whether the chute runs now is what [`Chutes::chute`] says, for free.
    ///
    /// # Errors
    /// 402 without balance, 503 if the chute is switched off, 404 if there is none; else as every call: see [`Error`].
    pub async fn warm_up_raising_a_bounty(&self, id_or_name: &str) -> Result<WarmupStream, Error> {
        let plan = self.warmup(id_or_name, None);
        // It goes on for ten minutes.
        let opened = self.open(Plan { deadline: None, ..plan }).await?;
        Ok(WarmupStream::new(opened, self.settings.stream_line_limit_bytes))
    }

    /// `GET /chutes/warmup/{id_or_name}?quick=true` (api.md 3.7): asks miners to start a chute and does not wait.
    ///
    /// # This has side effects
    ///
    /// Those of [`Chutes::warm_up_raising_a_bounty`]: **a bounty**, and 402 without a balance.
    ///
    /// A server that knows no `quick` answers with events (recording 214); then the first of them is the answer, with
    /// nothing but its `status`.
    ///
    /// # Errors
    /// As [`Chutes::warm_up_raising_a_bounty`].
    pub async fn quick_warm_up_raising_a_bounty(
        &self,
        id_or_name: &str,
    ) -> Result<Reply<QuickWarmup>, Error> {
        let plan = self.warmup(id_or_name, Some(true));
        let limit_bytes = plan.limit_bytes;
        let line_limit_bytes = self.settings.stream_line_limit_bytes;
        self.within(plan, async move |opened| {
            let headers = opened.answer.headers();
            let limits = classify::limits(headers);
            if classify::content_type(headers).is_some_and(is_event_stream) {
                let mut stream = WarmupStream::new(opened, line_limit_bytes);
                let status = match stream.next().await {
                    Some(event) => event?.status,
                    None => None,
                };
                return Ok(Reply {
                    value: QuickWarmup { status, ..QuickWarmup::default() },
                    limits,
                });
            }
            let Opened { answer, call, secrets } = opened;
            let (head, body) = answer.into_parts();
            let bytes = read_body(body, limit_bytes, &call).await?;
            Ok(Reply { value: parse(&bytes, &call, &head.headers, &secrets)?, limits })
        })
        .await
    }

    fn warmup(&self, id_or_name: &str, quick: Option<bool>) -> Plan<'_> {
        let path = Query::new(format!("/chutes/warmup/{}", encoded_name(id_or_name)));
        self.account("/chutes/warmup/{id_or_name}").with_path(path.with("quick", quick).path())
    }
}

fn is_event_stream(content_type: &str) -> bool {
    content_type.to_ascii_lowercase().starts_with("text/event-stream")
}

/// How a warm-up goes. Dropping it stops the watching, not the bounty.
pub struct WarmupStream {
    body: Body,
    reader: EventReader,
    seen: VecDeque<Vec<u8>>,
    call: Call,
    secrets: Secrets,
    ended: bool,
}

impl WarmupStream {
    fn new(opened: Opened, line_limit_bytes: usize) -> Self {
        let Opened { answer, call, secrets } = opened;
        Self {
            body: answer.into_body(),
            reader: EventReader::new(line_limit_bytes),
            seen: VecDeque::new(),
            call,
            secrets,
            ended: false,
        }
    }

    /// The next event, about every five seconds; `None` at the end, which comes after `hot`, or after ten minutes of
    /// `cold`.
    ///
    /// # Errors
    /// Whatever broke the stream. After an error comes the end.
    pub async fn next(&mut self) -> Option<Result<WarmupEvent, Error>> {
        loop {
            if let Some(data) = self.seen.pop_front() {
                return Some(self.read(&data));
            }
            if self.ended {
                return None;
            }
            let seen = &mut self.seen;
            let mut collect = |event: Event<'_>| match event {
                Event::Data(data) | Event::Stray(data) if data != DONE && !data.is_empty() => {
                    seen.push_back(data.to_vec());
                }
                _ => {}
            };
            let fed = match self.body.frame().await {
                Some(Ok(frame)) => {
                    frame.into_data().map_or(Ok(()), |data| self.reader.feed(&data, &mut collect))
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(self.error(ErrorKind::Transport(error))));
                }
                None => {
                    self.ended = true;
                    self.reader.finish(&mut collect)
                }
            };
            if fed.is_err() {
                self.ended = true;
                let fault = Unreadable::LineTooLong;
                let kind = ErrorKind::Unreadable { fault, excerpt: String::new() };
                return Some(Err(self.error(kind)));
            }
        }
    }

    fn read(&mut self, data: &[u8]) -> Result<WarmupEvent, Error> {
        let event = serde_json::from_slice::<WarmupEvent>(data).ok();
        if let Some(event) = event.filter(|event| event.status.is_some()) {
            return Ok(event);
        }
        self.ended = true;
        self.seen.clear();
        let data = self.secrets.hide(data);
        let failure =
            classify::stream_error(self.call.endpoint, &data, Phase::FirstEvent, clock::wall());
        let message = ripcord_wire::error::ErrorBody::read(200, None, &data).message;
        let message = ripcord_wire::text::clean(&message, 2 * EXCERPT_CHARS);
        Err(self.error(ErrorKind::BrokenStream { message, failure }))
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.call.clone(), kind)
    }
}

impl fmt::Debug for WarmupStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WarmupStream")
            .field("call", &self.call)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
