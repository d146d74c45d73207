//! One forwarded request, from its body to its answer.
//!
//! [`call`] reads what is asked; [`serve`] waits for a slot, makes attempts and decides after each failure;
//! [`attempt`] is one of them; [`relay`] carries a stream that has begun; [`early`] keeps a stream open that has
//! not.

pub(crate) mod attempt;
pub(crate) mod call;
pub(crate) mod early;
mod refuse;
pub(crate) mod relay;
pub(crate) mod watch;

use crate::accounts::AccountKey;
use crate::body::AnswerBody;
use crate::charge::{Bill, Charge};
use crate::driver::gate::Permit;
use crate::refusal::Refusal;
use crate::shared::{Apart, Shared};
use crate::story::Story;
use attempt::Arrived;
use bytes::Bytes;
use call::Call;
use http::{HeaderValue, StatusCode};
use ripcord_rules::admit::Candidate;
use ripcord_rules::cause::classify;
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
    shared.notice_jump_of_clock();
    let outcome = tokio::select! {
        biased;
        // First: a slot that comes free at the end must not start an attempt.
        () = shared.closing.cancelled() => Err(Refusal::shutting_down()),
        outcome = attempts(&shared, &call, &mut story) => outcome,
    };
    match outcome {
        Ok(granted) => Ok(answer(&shared, &call, granted, story)),
        Err(refusal) => {
            story.refused(refusal.status.as_u16(), refusal.cause);
            Err(refusal)
        }
    }
}

/// An answer, the slot it holds, and whether anybody knows what is left on its account.
struct Granted {
    arrived: Arrived,
    permit: Permit,
    unguarded: bool,
}

async fn attempts(
    shared: &Arc<Shared>,
    call: &Call,
    story: &mut Story,
) -> Result<Granted, Refusal> {
    let mut attempts = Attempts::new(call.attempts, call.deadline);
    let mut last: Option<Refusal> = None;
    let mut apart: Vec<Apart> = Vec::new();
    loop {
        if let Some(refusal) = resting_model(shared, call) {
            return Err(last.unwrap_or(refusal));
        }
        let mut able = candidates(shared, call, &attempts);
        let now = shared.clock.mono();
        apart.retain(|one| one.until > now);
        let asks_none = !able.is_empty();
        able.retain(|one| !apart.iter().any(|other| other.account == one.account));
        if able.is_empty() && asks_none {
            wait_for_room(shared, call, &apart, story).await?;
            continue;
        }
        if able.is_empty() {
            return Err(last.unwrap_or_else(|| refuse::nobody(shared, call, None)));
        }
        let began = shared.clock.mono();
        let admitted = shared.gate.admit(able, call.deadline).await;
        story.waited(shared.clock.mono().since(began));
        let permit = match admitted {
            Ok(permit) => permit,
            Err(why) => return Err(last.unwrap_or_else(|| refuse::nobody(shared, call, Some(why)))),
        };
        if call.spender.bearer.is_revoked() {
            return Err(Refusal::key_revoked());
        }
        let account = &shared.accounts[permit.account];
        let charge = match Charge::reserve(shared, permit.account, call) {
            Ok(charge) => charge,
            Err(budget) => {
                let stays_away = shared.close_for(permit.account, call, &budget);
                drop(permit);
                apart.extend(stays_away);
                continue;
            }
        };
        // The last one may have been set aside meanwhile; then the account is no candidate any more.
        let Some(key) = usable_key(shared, permit.account) else {
            charge.settle(Bill::Nothing, None);
            continue;
        };
        let unguarded = charge.is_unguarded();
        attempts.begin(permit.account);
        let served_by = ServedBy {
            model: Some(Arc::clone(&call.model)),
            account: Some(Arc::clone(&account.label)),
            key: Some(Arc::clone(&key.label)),
        };
        story.begin_attempt(served_by, charge);
        let failed = match attempt::make(shared, call, key, story).await {
            Ok(arrived) => {
                shared.answered(permit.account, key, &call.model);
                return Ok(Granted { arrived, permit, unguarded });
            }
            Err(failed) => failed,
        };
        let cause = classify(&failed.failure);
        story.end_attempt(Outcome::Failed, Some(cause.name()));
        // Not the upstream's words: they may repeat the prompt.
        tracing::debug!(request = %story.request_id, cause = cause.name(), "attempt failed");
        let tried = Tried { account: permit.account, key: key.number, model: &call.model };
        shared.record_failure(tried, &failed.failure);
        let next = attempts.failed(
            shared.clock.mono(),
            permit.account,
            &failed.failure,
            jitter_permille(),
        );
        let refusal = refuse::after(shared, call, permit.account, cause, failed);
        // The slot is not held while waiting.
        drop(permit);
        match next {
            Next::GiveUp => return Err(refusal),
            // There is no point in waiting for an attempt that nobody may make.
            Next::Retry { .. } if candidates(shared, call, &attempts).is_empty() => {
                return Err(refusal);
            }
            Next::Retry { at } => {
                let began = shared.clock.mono();
                tokio::time::sleep_until(shared.clock.instant(at)).await;
                story.waited(shared.clock.mono().since(began));
                last = Some(refusal);
            }
        }
    }
}

/// Every account that could serve the call has no room for this one: waits until one of them may, or says why not.
async fn wait_for_room(
    shared: &Shared,
    call: &Call,
    apart: &[Apart],
    story: &mut Story,
) -> Result<(), Refusal> {
    let now = shared.clock.mono();
    let known = |one: &&Apart| one.turns.map_or(u64::MAX, Mono::as_micros);
    let Some(first) = apart.iter().min_by_key(known) else { return Ok(()) };
    let is_in_time = |deadline: Mono| first.turns.is_some_and(|turns| turns < deadline);
    if !call.deadline.is_none_or(is_in_time) {
        return Err(refuse::of_verdict(shared, call, first.account, &first.verdict));
    }
    let until = apart.iter().map(|one| one.until).min().unwrap_or(now);
    tokio::time::sleep_until(shared.clock.instant(until)).await;
    story.waited(shared.clock.mono().since(now));
    Ok(())
}

fn answer(shared: &Arc<Shared>, call: &Call, granted: Granted, mut story: Story) -> Answer {
    let Granted { arrived, permit, unguarded } = granted;
    let account = Arc::clone(&shared.accounts[permit.account].label);
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
        unguarded,
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

/// A model that is known not to answer is not asked.
fn resting_model(shared: &Shared, call: &Call) -> Option<Refusal> {
    let now = shared.clock.mono();
    let rest = shared.rests.lock().resting(&Scope::Model(call.model.to_string()), now)?;
    Some(refuse::resting_model(call, rest, now))
}

/// The accounts that may be asked. Plans go before figures that nobody can see, and those before the balance.
fn candidates(shared: &Shared, call: &Call, attempts: &Attempts) -> Vec<Candidate> {
    let now = shared.clock.now();
    let rests = shared.rests.lock();
    (0..shared.accounts.len())
        .filter(|&account| attempts.may_use(account))
        .filter(|&account| {
            shared.accounts[account].keys.iter().any(|key| !is_resting(&rests, key, now.mono))
        })
        .filter(|&account| {
            let pair = Scope::AccountModel(account, call.model.to_string());
            rests.resting(&pair, now.mono).is_none()
        })
        .map(|account| Candidate {
            account,
            class: call.spender.class(),
            tier: shared.accounts[account].tier(&call.spender, now.wall),
        })
        .collect()
}

fn usable_key(shared: &Shared, account: usize) -> Option<&AccountKey> {
    let now = shared.clock.mono();
    let rests = shared.rests.lock();
    shared.accounts[account].keys_in_turn().find(|key| !is_resting(&rests, key, now))
}

fn is_resting(rests: &RestBook, key: &AccountKey, now: Mono) -> bool {
    rests.resting(&Scope::Key(key.number), now).is_some()
}

fn jitter_permille() -> u64 {
    getrandom::u32().map_or(500, |random| u64::from(random) % 1_000)
}
