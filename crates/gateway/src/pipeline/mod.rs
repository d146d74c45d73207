//! One forwarded request, from its body to its answer.
//!
//! [`call`] reads what is asked; [`itinerary`] says what may serve it; [`pursuit`] waits for a slot, makes attempts and
//! decides after each failure; [`attempt`] is one of them; [`relay`] carries a stream that has begun, from its [`source`], and asks for
//! the rest of one that broke ([`splice`]); [`early`] keeps a stream open that has not begun.

pub(crate) mod allowed;
pub(crate) mod attempt;
pub(crate) mod call;
pub(crate) mod early;
pub(crate) mod itinerary;
mod pacing;
pub(crate) mod pursuit;
mod refuse;
pub(crate) mod relay;
mod source;
mod splice;
pub(crate) mod waiting;
pub(crate) mod watch;

use crate::body::AnswerBody;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::story::Story;
use attempt::Arrived;
use bytes::Bytes;
use call::Call;
use http::{HeaderValue, StatusCode};
use pursuit::{Granted, Pursuit};
use ripcord_store::Outcome;
use ripcord_wire::chat::ChunkGlance;
use ripcord_wire::trim::Cut;
use splice::Means;
use std::sync::Arc;

/// An answer of a model, on its way.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: AnswerBody,
    pub(crate) model: Arc<str>,
    pub(crate) account: Arc<str>,
    pub(crate) attempts: u32,
    pub(crate) unguarded: bool,
    /// What of the request was not sent.
    pub(crate) trimmed: Option<Cut>,
}

/// What comes of a request.
pub(crate) type Decision = Result<Answer, Refusal>;

/// Serves one request. Dropping the future cancels whatever is under way for it.
pub(crate) async fn serve(shared: Arc<Shared>, call: Call, mut story: Story) -> Decision {
    shared.notice_jump_of_clock();
    let mut pursuit = Box::new(Pursuit::new(&shared, Arc::new(call)));
    let outcome = tokio::select! {
        biased;
        // First: a slot that comes free at the end must not start an attempt.
        () = shared.closing.cancelled() => Err(Refusal::shutting_down()),
        outcome = pursuit.next_answer(&mut story) => outcome,
    };
    match outcome {
        Ok(granted) => Ok(answer(&shared, granted, pursuit, story)),
        Err(refusal) => {
            story.refused(refusal.status.as_u16(), refusal.cause);
            Err(refusal)
        }
    }
}

fn answer(
    shared: &Arc<Shared>,
    granted: Granted,
    pursuit: Box<Pursuit>,
    mut story: Story,
) -> Answer {
    let Granted { arrived, permit, link, unguarded, cut } = granted;
    let account = Arc::clone(&shared.accounts[permit.grant.account].label);
    let attempts = story.attempts();
    let (status, content_type, body) = match arrived {
        Arrived::Whole { status, content_type, bytes } => {
            story.first_byte(status.as_u16());
            record_usage(&bytes, &mut story);
            story.end(Outcome::Completed, None);
            drop(permit);
            (status, content_type, AnswerBody::from(bytes))
        }
        Arrived::Stream { content_type, mut relay } => {
            story.first_byte(StatusCode::OK.as_u16());
            let request = Arc::clone(link.request());
            relay.carry(permit, story, Means { pursuit, link: Arc::clone(&link), request });
            (StatusCode::OK, Some(content_type), AnswerBody::Relay(relay))
        }
    };
    Answer {
        status,
        content_type,
        body,
        model: Arc::clone(&link.key),
        account,
        attempts,
        unguarded,
        trimmed: cut,
    }
}

fn record_usage(bytes: &Bytes, story: &mut Story) {
    let Some(glance) = ChunkGlance::read(bytes) else { return };
    if let Some(model) = &glance.model {
        story.answered_by(model);
    }
    if let Some(usage) = glance.usage {
        story.used(usage);
    }
}
