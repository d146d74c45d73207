//! A stream opened before there is an answer, so that a client with a short patience sees that its request lives.

use super::{Answer, Decision};
use crate::body::AnswerBody;
use crate::pipeline::waiting::Waiting;
use bytes::Bytes;
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
}

enum State {
    Waiting(Pending),
    Answering(Box<AnswerBody>, Option<Bytes>),
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
                        Some(bytes) => Poll::Ready(Some(bytes)),
                        None => {
                            let trailer = trailer.take();
                            self.state = State::Ended;
                            Poll::Ready(trailer)
                        }
                    };
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    /// The headers that could not be sent any more follow as a last comment.
    fn answering(answer: Answer) -> State {
        let trailer = format!(
            ": x-ripcord-model={} x-ripcord-account={} x-ripcord-attempts={}{}{}\n\n",
            answer.model,
            answer.account,
            answer.attempts,
            if answer.unguarded { " x-ripcord-unguarded=true" } else { "" },
            answer.trimmed.map_or_else(String::new, |cut| format!(" x-ripcord-trimmed={cut}")),
        );
        State::Answering(Box::new(answer.body), Some(trailer.into()))
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
