//! `/-/events`: what changes, as it happens, in the form of server-sent events.

use crate::body::AnswerBody;
use crate::events::{Begin, Notice, Subscription};
use crate::refusal::Refusal;
use crate::router::event_stream;
use crate::shared::Shared;
use bytes::Bytes;
use http::{HeaderMap, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::ReusableBoxFuture;

/// Programs that listen at once. Each holds a connection.
pub(crate) const LISTENERS: usize = 16;

/// Comes at once, so that a listener knows that it is one.
const HELLO: &[u8] = b": ripcord tells what changes\n\n";
const HEARTBEAT: &[u8] = b": nothing new\n\n";

/// Events for one client. One that does not read is not waited for: what it missed it gets when it asks again.
pub(crate) struct EventStream {
    next: ReusableBoxFuture<'static, (Option<Notice>, Subscription)>,
    hello: Option<Bytes>,
    heartbeat: Duration,
    timer: Pin<Box<Sleep>>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// Opens a stream, after the event that the client saw last if it says so.
pub(crate) fn open(shared: &Shared, headers: &HeaderMap) -> Result<Response<AnswerBody>, Refusal> {
    let Ok(place) = Arc::clone(&shared.listeners).try_acquire_owned() else {
        let message = format!("{LISTENERS} programs listen to the events already");
        return Err(Refusal::busy(&message));
    };
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let begin = seen.filter(|id| !id.is_empty()).map_or(Begin::Standing, Begin::After);
    let heartbeat = shared.limits.heartbeat;
    let stream = EventStream {
        next: ReusableBoxFuture::new(next(shared.events.subscribe(begin))),
        hello: Some(Bytes::from_static(HELLO)),
        heartbeat,
        timer: Box::pin(tokio::time::sleep(heartbeat)),
        is_over: false,
        _place: place,
    };
    Ok(event_stream(AnswerBody::Events(Box::new(stream))))
}

async fn next(mut subscription: Subscription) -> (Option<Notice>, Subscription) {
    let notice = subscription.next().await;
    (notice, subscription)
}

impl EventStream {
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(hello));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready((notice, subscription)) = self.next.poll(cx) {
            self.next.set(next(subscription));
            return Poll::Ready(self.bytes(notice));
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            let pause = self.timer.deadline() + self.heartbeat;
            self.timer.as_mut().reset(pause);
            return Poll::Ready(Some(Bytes::from_static(HEARTBEAT)));
        }
        Poll::Pending
    }

    fn bytes(&mut self, notice: Option<Notice>) -> Option<Bytes> {
        match notice? {
            Notice::Event(report) => {
                // Plain values always serialise.
                let data = serde_json::to_string(&*report).unwrap_or_default();
                Some(format!("id: {}\nevent: {}\ndata: {data}\n\n", report.id, report.kind).into())
            }
            Notice::Missed(missed) => {
                self.is_over = true;
                Some(
                    format!(
                        ": {missed} events were not read in time; ask again with Last-Event-ID\n\n"
                    )
                    .into(),
                )
            }
        }
    }
}
