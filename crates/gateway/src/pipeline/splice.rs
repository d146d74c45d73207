//! The rest of an answer that broke after part of it was sent: whether it is asked for, and how.
//!
//! What is safe is decided in [`ripcord_rules::continuation`]; here are the facts for it, and the further attempts.
//! They are made by the pursuit of the request, within its limits, while the stream to the client stays open.

use super::attempt::Arrived;
use super::call::Call;
use super::itinerary::Link;
use super::pursuit::{Granted, Pursuit};
use super::relay::Relay;
use super::source::Part;
use super::watch::Break;
use crate::driver::gate::Permit;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::story::{ContinuedBy, Story};
use ripcord_client::classify::stream_error;
use ripcord_rules::cause::{Phase, classify};
use ripcord_rules::continuation::{self, Asked, Broke, Hindrance, Produced, Service, Way};
use ripcord_wire::body::RequestBody;
use ripcord_wire::continuation::{Asks, Begun, CannotAsk, Original, Transcript};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What the attempts need, from one answer to the next.
pub(crate) struct Means {
    pub(crate) pursuit: Box<Pursuit>,
    /// Where the answer comes from.
    pub(crate) link: Arc<Link>,
    /// What the first part of it was the answer to.
    pub(crate) request: Arc<RequestBody>,
}

/// The rest of an answer, being asked for. Dropping it cancels whatever is under way for it.
pub(super) struct GoingOn(Pin<Box<dyn Future<Output = WentOn> + Send>>);

/// What came of asking for the rest.
pub(super) struct WentOn {
    pub(super) means: Means,
    pub(super) story: Story,
    /// What was sent before.
    pub(super) sent: Transcript,
    pub(super) rest: Result<Rest, Refusal>,
}

/// A stream that is expected to be the rest.
pub(super) struct Rest {
    pub(super) relay: Box<Relay>,
    pub(super) permit: Permit,
    pub(super) way: Way,
}

/// What is to be asked for.
pub(super) struct Plan {
    sent: Transcript,
    /// The request as it was made.
    original: Arc<RequestBody>,
    /// With the beginning of the answer, where that can be given to a model.
    prefilled: Option<Arc<RequestBody>>,
    /// Links, by their keys, that refused the beginning.
    refused: Vec<Arc<str>>,
}

// === impl Plan ===

impl Plan {
    /// How to go on after this much was sent, or why not.
    pub(super) fn make(
        shared: &Shared,
        call: &Call,
        means: &Means,
        (broken, part): (&Break, Part),
        sent: Transcript,
    ) -> Result<Self, Hindrance> {
        let link = &means.link;
        let original = original(&means.request)?;
        let produced = produced(&sent);
        continuation::may_go_on(call.continuation, asked(original.asks()), produced)?;
        let way =
            continuation::way(how_it_broke(shared, link, broken, part), produced, service(link))?;
        let prefilled = match way {
            Way::Restart => None,
            Way::Prefill => with_beginning(&original, &sent)?,
        };
        Ok(Self { sent, original: Arc::clone(&means.request), prefilled, refused: Vec::new() })
    }

    /// What to send to a link, and what is expected to come of it.
    fn request_for(&self, link: &Link) -> (&Arc<RequestBody>, Way) {
        let takes_it = service(link).takes_prefill && !self.refused.contains(&link.key);
        match self.prefilled.as_ref().filter(|_| takes_it) {
            Some(prefilled) => (prefilled, Way::Prefill),
            None => (&self.original, Way::Restart),
        }
    }

    /// Asks for it.
    pub(super) fn go_on(
        self,
        shared: &Arc<Shared>,
        means: Means,
        story: Story,
        why: &'static str,
    ) -> GoingOn {
        let shared = Arc::clone(shared);
        let (mut plan, mut means, mut story) = (self, means, story);
        GoingOn(Box::pin(async move {
            let rest = tokio::select! {
                biased;
                () = shared.closing.cancelled() => Err(Refusal::shutting_down()),
                rest = plan.ask(&mut means, &mut story, why) => rest,
            };
            WentOn { means, story, sent: plan.sent, rest }
        }))
    }

    async fn ask(
        &mut self,
        means: &mut Means,
        story: &mut Story,
        why: &'static str,
    ) -> Result<Rest, Refusal> {
        loop {
            means.pursuit.goes_on(&means.link, |link| Arc::clone(self.request_for(link).0))?;
            let how = match self.request_for(&means.link).1 {
                Way::Prefill => ContinuedBy::Prefill,
                Way::Restart => ContinuedBy::Restart,
            };
            story.continued(how, why, self.sent.text().len() as u64);
            let granted = match means.pursuit.next_answer(story).await {
                Ok(granted) => granted,
                Err(refusal) => match means.pursuit.refused_prefill() {
                    Some(link) if self.request_for(&link).1 == Way::Prefill => {
                        self.refused.push(Arc::clone(&link.key));
                        continue;
                    }
                    _ => return Err(refusal),
                },
            };
            let Granted { arrived, permit, link, .. } = granted;
            let Arrived::Stream { relay, .. } = arrived else {
                return Err(Refusal::upstream_failed("the rest of the answer came as a document"));
            };
            let way = self.request_for(&link).1;
            means.link = link;
            return Ok(Rest { relay, permit, way });
        }
    }
}

// === impl GoingOn ===

impl GoingOn {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<WentOn> {
        self.0.as_mut().poll(cx)
    }
}

/// Why an answer of which this was sent is not continued; `None` if it may be.
pub(super) fn hindrance(call: &Call, sent: &Transcript) -> Option<Hindrance> {
    let may = original(&call.request).and_then(|original| {
        continuation::may_go_on(call.continuation, asked(original.asks()), produced(sent))
    });
    may.err()
}

fn original(request: &RequestBody) -> Result<Original, Hindrance> {
    Original::read(request.bytes().clone()).ok_or(Hindrance::Unclear)
}

/// The request with the beginning of its answer; `None` where none can be added, so that only the same request again
/// is left.
fn with_beginning(
    original: &Original,
    sent: &Transcript,
) -> Result<Option<Arc<RequestBody>>, Hindrance> {
    let begun = Begun {
        text: sent.text().trim_end(),
        reasoning: sent.reasoning(),
        tokens: sent.produced().tokens,
    };
    match original.for_the_rest(begun) {
        Ok(bytes) => Ok(RequestBody::scan(bytes).ok().map(Arc::new)),
        Err(CannotAsk::NothingLeft) => Err(Hindrance::NothingLeft),
        Err(CannotAsk::NoLimit | CannotAsk::Unclear) => Ok(None),
    }
}

fn how_it_broke(shared: &Shared, link: &Link, broken: &Break, part: Part) -> Broke {
    match (broken, part) {
        (Break::BeganAgain, _) | (Break::Diverged, Part::Beginning | Part::ToldAgain) => {
            Broke::BeganAgain
        }
        (Break::Diverged, Part::Rest(way)) => Broke::Diverged(way),
        (Break::Malformed | Break::EndedEarly, _) => Broke::Off,
        (Break::Error(data), _) => {
            let now = shared.clock.now().wall;
            let endpoint = link.service.endpoint();
            Broke::Error(classify(&stream_error(endpoint, data, Phase::FirstEvent, now)))
        }
    }
}

fn service(link: &Link) -> Service {
    Service { takes_prefill: link.service.takes_prefill }
}

fn asked(asks: Asks) -> Asked {
    Asked {
        several_choices: asks.several_choices,
        structured: asks.structured,
        logprobs: asks.logprobs,
        stop: asks.stop,
        seed: asks.seed,
        echo: asks.echo,
        min_tokens: asks.min_tokens,
        audio: asks.audio,
        unclear: asks.unclear,
    }
}

fn produced(sent: &Transcript) -> Produced {
    let facts = sent.produced();
    Produced {
        has_text: facts.text_bytes > 0,
        has_words: !sent.text().trim().is_empty(),
        is_thinking: facts.is_thinking,
        calls_tools: facts.calls_tools,
        is_finished: facts.is_finished,
        is_unclear: facts.is_unclear,
    }
}
