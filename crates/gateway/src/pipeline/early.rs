//! A stream opened before there is an answer, so that a client with a short patience sees that its request lives.

use super::{Answer, Decision};
use crate::body::AnswerBody;
use crate::pipeline::waiting::Waiting;
use bytes::{Buf as _, Bytes};
use ripcord_wire::trim::Cut;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// The pipeline of one request, still under way.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// Comments while the pipeline runs, then its answer. Dropping it cancels the pipeline.
pub(crate) struct EarlyStream {
    state: State,
    waiting: Arc<Waiting>,
    heartbeat: Duration,
    timer: Pin<Box<Sleep>>,
    /// Nothing of the answer was sent yet.
    is_start: bool,
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

enum State {
    Waiting(Pending),
    Answering(Box<AnswerBody>, Trailer),
    Ended,
}

impl EarlyStream {
    pub(crate) fn new(pending: Pending, waiting: Arc<Waiting>, heartbeat: Duration) -> Self {
        // The head has just gone out: the first comment follows at once, so that it is seen.
        Self {
            state: State::Waiting(pending),
            waiting,
            heartbeat,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            is_start: true,
        }
    }

    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Waiting(pending) => {
                    if let Poll::Ready(decision) = pending.as_mut().poll(cx) {
                        self.state = match decision {
                            Ok(answer) => Self::answering(answer),
                            Err(refusal) => {
                                self.state = State::Ended;
                                return Poll::Ready(Some(refusal.event().into()));
                            }
                        };
                        continue;
                    }
                    ready!(self.timer.as_mut().poll(cx));
                    let next = self.timer.deadline() + self.heartbeat;
                    self.timer.as_mut().reset(next);
                    return Poll::Ready(Some(Bytes::from_static(self.waiting.comment())));
                }
                State::Answering(body, trailer) => {
                    return match ready!(poll_body(body, cx)) {
                        Some(mut bytes) => {
                            // It may stand at the start of a stream only, and that was before the first comment.
                            if std::mem::take(&mut self.is_start)
                                && bytes.starts_with(BYTE_ORDER_MARK)
                            {
                                bytes.advance(BYTE_ORDER_MARK.len());
                            }
                            Poll::Ready(Some(bytes))
                        }
                        None => {
                            let comment = trailer.comment(body);
                            self.state = State::Ended;
                            Poll::Ready(Some(comment))
                        }
                    };
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn answering(answer: Answer) -> State {
        let trailer = Trailer {
            model: answer.model,
            account: answer.account,
            attempts: answer.attempts,
            unguarded: answer.unguarded,
            trimmed: answer.trimmed,
        };
        State::Answering(Box::new(answer.body), trailer)
    }
}

/// The headers that could not be sent any more. They follow as a last comment.
struct Trailer {
    model: Arc<str>,
    account: Arc<str>,
    attempts: u32,
    unguarded: bool,
    trimmed: Option<Cut>,
}

impl Trailer {
    fn comment(&self, body: &AnswerBody) -> Bytes {
        let attempts = match body {
            // It may have taken more to have all of it.
            AnswerBody::Relay(relay) => relay.attempts(),
            AnswerBody::Whole(_) | AnswerBody::Early(_) | AnswerBody::Events(_) => self.attempts,
        };
        let unguarded = if self.unguarded { " x-ripcord-unguarded=true" } else { "" };
        let trimmed =
            self.trimmed.map_or_else(String::new, |cut| format!(" x-ripcord-trimmed={cut}"));
        let (model, account) = (&self.model, &self.account);
        let comment = format!(
            ": x-ripcord-model={model} x-ripcord-account={account} x-ripcord-attempts={attempts}{unguarded}{trimmed}\n\n"
        );
        comment.into()
    }
}

fn poll_body(body: &mut AnswerBody, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
    match body {
        AnswerBody::Whole(bytes) => Poll::Ready(bytes.take()),
        AnswerBody::Relay(relay) => relay.poll_bytes(cx),
        AnswerBody::Early(early) => early.poll_bytes(cx),
        AnswerBody::Events(events) => events.poll_bytes(cx),
    }
}
