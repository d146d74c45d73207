//! A stream on its way to a client: bytes as they came, whole events only, and an honest end.
//!
//! If it breaks, the rest is asked for where that is safe, and follows as the rest of the same answer. Otherwise the
//! client gets an error event, and never the `[DONE]` or finish reason of an answer that broke.

use super::attempt::Order;
use super::call::Call;
use super::source::{Arrival, Opening, Source};
use super::splice::{GoingOn, Means, Plan, WentOn};
use super::watch::{Break, StreamWatch};
use crate::accounts::without_key;
use crate::driver::gate::Permit;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::story::Story;
use bytes::Bytes;
use http::HeaderValue;
use ripcord_client::transport::Body;
use ripcord_rules::continuation::Hindrance;
use ripcord_rules::route::Continuation;
use ripcord_rules::time::Mono;
use ripcord_store::Outcome;
use ripcord_wire::error::ErrorBody;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// A comment that clients skip.
pub(crate) const HEARTBEAT: &[u8] = b": ripcord is waiting for the model\n\n";

/// A stream from upstream to a client.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    call: Arc<Call>,
    /// Where the answer comes from; `None` while the rest of it is asked for, and after its end.
    source: Option<Source>,
    /// With which key it was asked for.
    authorization: Option<HeaderValue>,
    going_on: Option<GoingOn>,
    ready: VecDeque<Bytes>,
    /// Since when the next part is awaited; not while the client takes its time with the last one.
    waiting_since: Option<Mono>,
    last_sent: Mono,
    timer: Pin<Box<Sleep>>,
    heartbeat: Duration,
    stall: Duration,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// With which the rest is asked for.
    means: Option<Means>,
    /// How the answer broke of which the rest is asked for.
    broken: Option<Break>,
    /// How many attempts it took so far.
    attempts: u32,
    /// The client has all of it, whole or broken.
    has_ended: bool,
    // Dropped in this order: the connection above, then the slot, then the record.
    permit: Option<Permit>,
    story: Option<Story>,
}

impl Relay {
    pub(crate) fn new(shared: &Arc<Shared>, order: &Order<'_>, upstream: Body) -> Self {
        Self {
            shared: Arc::clone(shared),
            call: Arc::clone(order.call),
            source: Some(Source::new(upstream, order.call, order.link)),
            authorization: order.key.authorization.clone(),
            going_on: None,
            ready: VecDeque::new(),
            waiting_since: None,
            last_sent: shared.clock.mono(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            heartbeat: shared.limits.heartbeat,
            stall: shared.limits.stall,
            closing: Box::pin(shared.closing.clone().cancelled_owned()),
            means: None,
            broken: None,
            attempts: 0,
            has_ended: false,
            permit: None,
            story: None,
        }
    }

    /// Reads until part of an answer is in hand.
    pub(crate) async fn open(&mut self) -> Opening {
        match &mut self.source {
            Some(source) => std::future::poll_fn(|cx| source.poll_open(cx)).await,
            None => Opening::Broken(Break::EndedEarly),
        }
    }

    /// Takes over the slot, the record and what is needed to go on: from here on the stream answers for them.
    pub(crate) fn carry(&mut self, permit: Permit, story: Story, means: Means) {
        self.last_sent = self.shared.clock.mono();
        self.permit = Some(permit);
        self.attempts = story.attempts();
        self.story = Some(story);
        self.means = Some(means);
    }

    /// How many attempts it took so far.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let ready = self.ready.pop_front();
            if let Some(bytes) = ready.or_else(|| self.source.as_mut()?.next_ready()) {
                self.last_sent = self.shared.clock.mono();
                self.waiting_since = None;
                return Poll::Ready(Some(bytes));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            let polled = match &mut self.going_on {
                Some(going_on) => going_on.poll(cx).map(|went_on| self.went_on(went_on)),
                None => self.poll_source(cx),
            };
            if polled.is_pending() {
                match self.poll_silence(cx) {
                    Poll::Ready(Some(comment)) => {
                        self.last_sent = self.shared.clock.mono();
                        return Poll::Ready(Some(comment));
                    }
                    Poll::Ready(None) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.as_mut().poll(cx).is_ready() {
            self.end_with(&Refusal::shutting_down(), "shutting_down");
            return Poll::Ready(());
        }
        let Some(source) = &mut self.source else {
            self.has_ended = true;
            return Poll::Ready(());
        };
        source.poll_arrival(cx).map(|arrival| {
            self.waiting_since = None;
            self.arrived(arrival, "broken_stream");
        })
    }

    fn arrived(&mut self, arrival: Arrival, cause: &'static str) {
        match arrival {
            Arrival::Some => {}
            Arrival::End => self.settle(Outcome::Completed, None),
            Arrival::Broken(broken) => self.broke(broken, cause),
        }
    }

    /// The stream broke: asks for the rest of the answer, or says that it broke.
    fn broke(&mut self, broken: Break, cause: &'static str) {
        match self.plan(&broken) {
            Ok((plan, means, mut story)) => {
                if let Some(source) = &mut self.source {
                    tell(source.watch(), &mut story);
                    self.ready.extend(source.take_ready());
                }
                story.end_attempt(Outcome::Broken, Some(cause));
                // Nobody reads it any more, and the slot is not held while waiting.
                self.source = None;
                self.permit = None;
                self.waiting_since = None;
                self.going_on = Some(plan.go_on(&self.shared, means, story, cause));
                self.broken = Some(broken);
            }
            Err(hindrance) => {
                tracing::debug!(why = hindrance.in_words(), "not continued");
                let refusal = self.in_words(&broken, &hindrance.in_words());
                self.end_with(&refusal, cause);
            }
        }
    }

    /// How to go on, and what is needed for it.
    fn plan(&mut self, broken: &Break) -> Result<(Plan, Means, Story), Hindrance> {
        let (Some(source), Some(means)) = (&mut self.source, &self.means) else {
            return Err(Hindrance::Unclear);
        };
        let part = source.part();
        let sent = source.take_transcript().ok_or(match self.call.continuation {
            Continuation::Off => Hindrance::Off,
            _ => Hindrance::Asked("several choices"),
        })?;
        let plan = Plan::make(&self.shared, &self.call, means, (broken, part), sent)?;
        match (self.means.take(), self.story.take()) {
            (Some(means), Some(story)) => Ok((plan, means, story)),
            (means, story) => {
                (self.means, self.story) = (means, story);
                Err(Hindrance::Unclear)
            }
        }
    }

    /// The rest comes, or nobody gives it.
    fn went_on(&mut self, went_on: WentOn) {
        self.going_on = None;
        let WentOn { means, story, sent, rest } = went_on;
        self.means = Some(means);
        self.attempts = story.attempts();
        self.story = Some(story);
        match rest {
            Ok(rest) => {
                self.permit = Some(rest.permit);
                self.authorization.clone_from(&rest.relay.authorization);
                self.source = rest.relay.into_source().map(|mut source| {
                    source.goes_on(sent, rest.way);
                    source
                });
            }
            Err(refusal) if refusal.cause == "shutting_down" => {
                self.end_with(&refusal, "shutting_down");
            }
            Err(refusal) => {
                let broken = self.broken.take().unwrap_or(Break::EndedEarly);
                let refusal = self.in_words(&broken, refusal.message());
                self.end_with(&refusal, "broken_stream");
            }
        }
    }

    /// What a client is told of an answer that stays broken.
    fn in_words(&self, broken: &Break, why_not_continued: &str) -> Refusal {
        let how = match broken {
            Break::Error(data) => {
                let said = ErrorBody::read(200, None, data).message;
                let said = without_key(said, self.authorization.as_ref());
                format!("the answer broke off: {said}")
            }
            Break::BeganAgain => {
                "the answer broke off: Chutes began it again from the start on another instance"
                    .to_owned()
            }
            Break::Malformed => {
                "the answer broke off: Chutes sent an event that cannot be read".to_owned()
            }
            Break::EndedEarly | Break::Diverged => "the answer broke off before its end".to_owned(),
        };
        let message = format!("{how} (not continued: {why_not_continued})");
        Refusal::upstream_failed(&message)
            .with_reply(|reply| reply.with_code(Some("stream_broken".to_owned())))
    }

    fn into_source(mut self) -> Option<Source> {
        self.source.take()
    }

    /// Replaces the rest of the stream by an error event. What was held back never reaches the client.
    fn end_with(&mut self, refusal: &Refusal, cause: &'static str) {
        self.settle(Outcome::Broken, Some(cause));
        self.ready.push_back(refusal.event().into());
    }

    /// The answer is over: the connection goes first, then the slot, then the record.
    fn settle(&mut self, outcome: Outcome, cause: Option<&'static str>) {
        self.has_ended = true;
        if let Some(mut source) = self.source.take() {
            self.ready.extend(source.take_ready());
            if let Some(story) = &mut self.story {
                tell(source.watch(), story);
            }
        }
        self.permit = None;
        if let Some(mut story) = self.story.take() {
            story.end(outcome, cause);
        }
    }

    /// Nothing came: a comment when it is time for one, the end when it is too long. `None` when there is something
    /// else to hand on.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let now = self.shared.clock.mono();
        let comment_at = self.last_sent.after(self.heartbeat);
        // Whoever is asked for the rest has limits of its own.
        let stalls_at = match self.going_on {
            Some(_) => None,
            None => Some(self.waiting_since.get_or_insert(now).after(self.stall)),
        };
        if stalls_at.is_some_and(|stalls_at| now >= stalls_at) {
            let arrival = match &mut self.source {
                // What is whole may end without a word.
                Some(source) if source.watch().is_finished() => source.conclude(),
                _ => Arrival::Broken(Break::EndedEarly),
            };
            self.arrived(arrival, "silent");
            return Poll::Ready(None);
        }
        if now >= comment_at {
            // Whatever was sent ends with a whole event, so a comment may follow.
            let comment = match self.going_on {
                Some(_) => self.call.waiting.comment(),
                None => HEARTBEAT,
            };
            return Poll::Ready(Some(Bytes::from_static(comment)));
        }
        // The timer is moved when it rings, not with every event.
        let due = stalls_at.map_or(comment_at, |stalls_at| stalls_at.min(comment_at));
        let due = self.shared.clock.instant(due);
        if self.timer.is_elapsed() || self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        self.timer.as_mut().poll(cx).map(|()| None)
    }
}

/// What the stream said of itself goes into the record.
fn tell(watch: &StreamWatch, story: &mut Story) {
    if let Some(model) = watch.model() {
        story.answered_by(model);
    }
    if let Some(usage) = watch.usage() {
        story.used(usage);
    }
}

impl Drop for Relay {
    /// The client has left, or has what it wanted: some hang up at the last event instead of at the end of the body.
    fn drop(&mut self) {
        let Some(story) = &mut self.story else { return };
        let mut has_all = false;
        if let Some(source) = &self.source {
            tell(source.watch(), story);
            has_all = source.is_whole() && self.ready.is_empty();
        }
        story.end(if has_all { Outcome::Completed } else { Outcome::Cancelled }, None);
    }
}
