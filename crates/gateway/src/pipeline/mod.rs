//! One forwarded request, from its body to its answer.
//!
//! [`call`] reads what is asked; [`serve`] waits for a slot, makes attempts and decides after each failure;
//! [`attempt`] is one of them; [`relay`] carries a stream that has begun; [`early`] keeps a stream open that has
//! not.

pub(crate) mod attempt;
pub(crate) mod call;
pub(crate) mod early;
pub(crate) mod relay;
pub(crate) mod watch;

use crate::accounts::{AccountKey, Budget};
use crate::body::AnswerBody;
use crate::driver::gate::NotAdmitted;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::story::Story;
use attempt::{Arrived, Failed};
use bytes::Bytes;
use call::Call;
use http::{HeaderValue, StatusCode};
use ripcord_rules::admit::Refused;
use ripcord_rules::cause::{Cause, classify};
use ripcord_rules::quota::{Shortage, Verdict};
use ripcord_rules::recover::{Attempts, Next, RestBook, Scope, Tried};
use ripcord_rules::time::Mono;
use ripcord_store::{Outcome, ServedBy};
use ripcord_wire::chat::ChunkGlance;
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
}

/// What comes of a request.
pub(crate) type Decision = Result<Answer, Refusal>;

/// Serves one request. Dropping the future cancels whatever is under way for it.
pub(crate) async fn serve(shared: Arc<Shared>, call: Call, mut story: Story) -> Decision {
    let outcome = tokio::select! {
        biased;
        // First: a slot that comes free at the end must not start an attempt.
        () = shared.closing.cancelled() => Err(Refusal::shutting_down()),
        outcome = attempts(&shared, &call, &mut story) => outcome,
    };
    match outcome {
        Ok((arrived, permit)) => Ok(answer(&shared, &call, arrived, permit, story)),
        Err(refusal) => {
            story.refused(refusal.status.as_u16(), refusal.cause);
            Err(refusal)
        }
    }
}

type Granted = (Arrived, crate::driver::gate::Permit);

async fn attempts(
    shared: &Arc<Shared>,
    call: &Call,
    story: &mut Story,
) -> Result<Granted, Refusal> {
    let mut attempts = Attempts::new(call.attempts, call.deadline);
    let mut last: Option<Refusal> = None;
    loop {
        if let Some(refusal) = resting_model(shared, call) {
            return Err(last.unwrap_or(refusal));
        }
        let candidates = candidates(shared, call, &attempts);
        if candidates.is_empty() {
            return Err(last.unwrap_or_else(|| nobody(shared, call, None)));
        }
        let began = shared.clock.mono();
        let admitted = shared.gate.admit(candidates, call.deadline).await;
        story.waited(shared.clock.mono().since(began));
        let permit = match admitted {
            Ok(permit) => permit,
            Err(why) => return Err(last.unwrap_or_else(|| nobody(shared, call, Some(why)))),
        };
        let account = &shared.accounts[permit.account];
        // The last one may have been set aside meanwhile; then the account is no candidate any more.
        let Some(key) = usable_key(shared, permit.account) else { continue };
        attempts.begin(permit.account);
        story.begin_attempt(ServedBy {
            model: Some(Arc::clone(&call.model)),
            account: Some(Arc::clone(&account.label)),
            key: Some(Arc::clone(&key.label)),
        });
        let failed = match attempt::make(shared, call, key, story).await {
            Ok(arrived) => {
                shared.key_works(key.number);
                return Ok((arrived, permit));
            }
            Err(failed) => failed,
        };
        let cause = classify(&failed.failure);
        story.end_attempt(Outcome::Failed, Some(cause.name()));
        tracing::debug!(request = %story.request_id, cause = cause.name(), message = %failed.message, "attempt failed");
        let tried = Tried { account: permit.account, key: key.number, model: &call.model };
        shared.record_failure(tried, &failed.failure);
        let next = attempts.failed(
            shared.clock.mono(),
            permit.account,
            &failed.failure,
            jitter_permille(),
        );
        let refusal = refusal_of(shared, call, permit.account, cause, failed);
        // The slot is not held while waiting.
        drop(permit);
        match next {
            Next::GiveUp => return Err(refusal),
            Next::Retry { at } => {
                let began = shared.clock.mono();
                tokio::time::sleep_until(shared.clock.instant(at)).await;
                story.waited(shared.clock.mono().since(began));
                last = Some(refusal);
            }
        }
    }
}

fn answer(
    shared: &Arc<Shared>,
    call: &Call,
    arrived: Arrived,
    permit: crate::driver::gate::Permit,
    mut story: Story,
) -> Answer {
    let account = &shared.accounts[permit.account];
    let budget = account.budget(shared.clock.now().wall);
    let (account, attempts) = (Arc::clone(&account.label), story.attempts());
    let (status, content_type, body) = match arrived {
        Arrived::Whole { status, content_type, bytes } => {
            story.first_byte(status.as_u16());
            record_usage(shared, call, &bytes, &mut story);
            story.end(Outcome::Completed, None);
            drop(permit);
            (status, content_type, AnswerBody::from(bytes))
        }
        Arrived::Stream { content_type, mut relay } => {
            story.first_byte(StatusCode::OK.as_u16());
            relay.carry(permit, story);
            (StatusCode::OK, Some(content_type), AnswerBody::Relay(relay))
        }
    };
    Answer {
        status,
        content_type,
        body,
        model: Arc::clone(&call.model),
        account,
        attempts,
        unguarded: matches!(budget, Budget::Unguarded(_) | Budget::NotReadYet),
    }
}

fn record_usage(shared: &Shared, call: &Call, bytes: &Bytes, story: &mut Story) {
    if let Some(usage) = ChunkGlance::read(bytes).and_then(|glance| glance.usage) {
        story.used(usage, shared.catalogue.list_price(&call.model, usage));
    }
}

/// A model that is known not to answer is not asked.
fn resting_model(shared: &Shared, call: &Call) -> Option<Refusal> {
    let scope = Scope::Model(call.model.to_string());
    shared.rests.lock().resting_until(&scope, shared.clock.mono())?;
    Some(Refusal::model_cold(&call.model))
}

/// The accounts that may be asked, in order of preference.
fn candidates(shared: &Shared, call: &Call, attempts: &Attempts) -> Vec<usize> {
    let now = shared.clock.mono();
    let rests = shared.rests.lock();
    (0..shared.accounts.len())
        .filter(|&account| attempts.may_use(account))
        .filter(|&account| {
            shared.accounts[account].keys.iter().any(|key| !is_resting(&rests, key, now))
        })
        .filter(|&account| {
            let pair = Scope::AccountModel(account, call.model.to_string());
            rests.resting_until(&pair, now).is_none()
        })
        .collect()
}

fn usable_key(shared: &Shared, account: usize) -> Option<&AccountKey> {
    let now = shared.clock.mono();
    let rests = shared.rests.lock();
    shared.accounts[account].keys_in_turn().find(|key| !is_resting(&rests, key, now))
}

fn is_resting(rests: &RestBook, key: &AccountKey, now: Mono) -> bool {
    rests.resting_until(&Scope::Key(key.number), now).is_some()
}

/// What to say after a failed attempt if it is the last.
fn refusal_of(
    shared: &Shared,
    call: &Call,
    account: usize,
    cause: Cause,
    failed: Failed,
) -> Refusal {
    let now = shared.clock.now();
    let label = &shared.accounts[account].label;
    match cause {
        Cause::Capacity => Refusal::no_capacity(&call.model),
        Cause::EdgeRateLimit => {
            let until =
                shared.accounts[account].resting(now.mono).map(|(_, until)| until.since(now.mono));
            let why = format!("Chutes' load balancers ask account `{label}` to pause");
            Refusal::deadline(&why, until)
        }
        Cause::WindowUsedUp(kind) => {
            let turns_at = failed.failure.reset_at.or_else(|| {
                let (_, until) = shared.accounts[account].resting(now.mono)?;
                Some(now.wall.after(until.since(now.mono)))
            });
            match shared.accounts[account].budget(now.wall) {
                Budget::Closed(verdict) if !matches!(verdict, Verdict::Unknown(_)) => {
                    budget_refusal(shared, account, &verdict)
                }
                _ => Refusal::window_exhausted(label, kind, turns_at, now.wall),
            }
        }
        Cause::NotEntitled => Refusal::of_request(
            StatusCode::FORBIDDEN,
            "not_allowed",
            &format!("account `{label}` may not use `{}`: {}", call.model, failed.message),
        ),
        Cause::FreeModelLimit => {
            let turns = ripcord_rules::quota::next_day_reset(now.wall);
            Refusal::window_exhausted(
                label,
                Some(ripcord_rules::quota::WindowKind::Day),
                Some(turns),
                now.wall,
            )
            .with_reply(|_| {
                ripcord_wire::openai_error::ErrorReply::new(
                    429,
                    "window_exhausted",
                    &failed.message,
                )
            })
        }
        Cause::Cold => Refusal::model_cold(&call.model),
        Cause::Disabled => Refusal::model_down(&call.model),
        Cause::ModelNotFound => {
            Refusal::model_not_found(&call.requested_model, &shared.catalogue.near(&call.model))
        }
        Cause::DeadKey => Refusal::upstream_auth(label),
        Cause::ContextTooLong => as_upstream(failed, Some("context_length_exceeded")),
        Cause::ContentFilter | Cause::BadRequest => as_upstream(failed, None),
        Cause::Silent => Refusal::timed_out(&format!(
            "`{}` did not answer in time: {}",
            call.model, failed.message
        )),
        Cause::EdgeBlock => Refusal::upstream_failed(
            "Chutes' load balancers refuse the connection (403 with a page instead of JSON); `ripcord doctor` checks this",
        ),
        Cause::Transient | Cause::BrokenStream | Cause::Unreachable | Cause::AccountUnreadable => {
            Refusal::upstream_failed(&format!("Chutes failed: {}", failed.message))
        }
    }
}

/// The upstream's own words, in OpenAI's shape.
fn as_upstream(failed: Failed, code: Option<&'static str>) -> Refusal {
    let (status, said) = match failed.said {
        Some((status, said)) => (status, Some(said)),
        None => (400, None),
    };
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.is_client_error())
        .unwrap_or(StatusCode::BAD_REQUEST);
    let refusal = Refusal::of_request(status, code.unwrap_or("bad_request"), &failed.message);
    let Some(said) = said else { return refusal };
    refusal.with_reply(|mut reply| {
        if code.is_none()
            && let Some(code) = said.code
        {
            reply = reply.with_code(Some(code));
        }
        if let Some(kind) = said.kind {
            reply = reply.with_kind(kind);
        }
        match said.param {
            Some(param) => reply.with_param(param),
            None => reply,
        }
    })
}

/// Why nobody takes the request: the reason that ends first, so that the client knows when to come back.
fn nobody(shared: &Shared, call: &Call, why: Option<NotAdmitted>) -> Refusal {
    let now = shared.clock.now();
    match why {
        Some(NotAdmitted::Refused(Refused::QueueFull)) => {
            return Refusal::queue_full(shared.limits.queue);
        }
        Some(NotAdmitted::Expired) => {
            return Refusal::deadline(
                "every slot stayed in use",
                Some(std::time::Duration::from_secs(5)),
            );
        }
        Some(NotAdmitted::Refused(Refused::ClosedPastDeadline(_) | Refused::NoAccount)) | None => {}
    }
    let soonest = (0..shared.accounts.len()).min_by_key(|&account| {
        shared.gate.opens_at(account, now.mono).map_or(u64::MAX, |opens| opens.as_micros())
    });
    let Some(account) = soonest else {
        return Refusal::upstream_auth("(none)");
    };
    let label = &shared.accounts[account].label;
    if usable_key(shared, account).is_none() {
        return Refusal::upstream_auth(label);
    }
    match shared.accounts[account].budget(now.wall) {
        Budget::Closed(verdict) => return budget_refusal(shared, account, &verdict),
        Budget::NotReadYet => {
            let why = format!("the figures of account `{label}` have not been read yet");
            return Refusal::deadline(&why, Some(std::time::Duration::from_secs(5)));
        }
        Budget::Open | Budget::Unguarded(_) => {}
    }
    match shared.accounts[account].resting(now.mono) {
        Some((Cause::WindowUsedUp(kind), until)) => {
            let turns = now.wall.after(until.since(now.mono));
            Refusal::window_exhausted(label, kind, Some(turns), now.wall)
        }
        Some((_, until)) => {
            let why = format!("Chutes' load balancers ask account `{label}` to pause");
            Refusal::deadline(&why, Some(until.since(now.mono)))
        }
        None => {
            let message = format!("no account may use `{}` at the moment", call.model);
            Refusal::of_request(StatusCode::FORBIDDEN, "not_allowed", &message)
        }
    }
}

fn budget_refusal(shared: &Shared, account: usize, verdict: &Verdict) -> Refusal {
    let now = shared.clock.now().wall;
    let label = &shared.accounts[account].label;
    match *verdict {
        Verdict::No { shortage: Shortage::PaygoNotAllowed(kind), turns_at } => {
            let has_money = shared.accounts[account]
                .snapshot()
                .and_then(|snapshot| snapshot.balance)
                .is_some_and(|balance| balance > ripcord_rules::units::NanoUsd::ZERO);
            if has_money {
                Refusal::paygo_not_allowed(label, kind, turns_at, now)
            } else {
                Refusal::window_exhausted(label, Some(kind), turns_at, now)
            }
        }
        Verdict::No { shortage: Shortage::WindowUsedUp(kind), turns_at } => {
            Refusal::window_exhausted(label, Some(kind), turns_at, now)
        }
        Verdict::No { shortage: Shortage::BalanceTooLow, .. } => Refusal::balance_too_low(label),
        Verdict::Yes(_) | Verdict::Unknown(_) => Refusal::unknown_budget(label),
    }
}

fn jitter_permille() -> u64 {
    getrandom::u32().map_or(500, |random| u64::from(random) % 1_000)
}
