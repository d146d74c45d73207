//! What to say when nothing could serve a request: which situation it is, and when to come back.

pub(crate) mod several;

use super::attempt::Failed;
use super::call::Call;
use super::itinerary::{Itinerary, LeftOut, Link};
use super::pursuit::usable_key;
use crate::accounts::budget::Budget;
use crate::driver::gate::NotAdmitted;
use crate::refusal::Refusal;
use crate::shared::{RECONSIDERED, Shared};
use http::StatusCode;
use ripcord_rules::admit::Refused;
use ripcord_rules::cause::Cause;
use ripcord_rules::model_state::ModelState;
use ripcord_rules::quota::{Missing, Shortage, Verdict, WindowKind};
use ripcord_rules::recover::{Rest, Scope};
use ripcord_rules::route::{Kind, WhyNot};
use ripcord_rules::time::{Mono, Now, Wall};
use ripcord_rules::units::NanoUsd;
use several::{Refusals, Weight};
use std::sync::Arc;
use std::time::Duration;

/// What to say after a failed attempt if it is the last.
pub(super) fn after(
    shared: &Shared,
    call: &Call,
    link: &Link,
    account: usize,
    cause: Cause,
    failed: Failed,
) -> Refusal {
    let now = shared.clock.now();
    let label = &shared.accounts[account].label;
    let who = link.service.in_words();
    match cause {
        Cause::Capacity => Refusal::no_capacity(&who, &link.key, failed.failure.retry_after),
        Cause::EdgeRateLimit | Cause::RateLimited => pause(shared, link, account, now),
        Cause::OutOfCredit => Refusal::out_of_credit(label),
        Cause::WindowUsedUp(kind) => {
            match shared.accounts[account].budget(&call.spender, None, now.wall) {
                Budget::Closed(verdict @ Verdict::No { .. }) => {
                    of_verdict(shared, call, account, &verdict)
                }
                _ => {
                    let reset = failed.failure.reset_at.or_else(|| rest_end(shared, account, now));
                    Refusal::window_exhausted(label, kind, reset, now.wall)
                }
            }
        }
        Cause::NotEntitled => not_entitled(link, label),
        Cause::FreeModelLimit => free_model_limit(label, now),
        Cause::Cold | Cause::Disabled => {
            match shared.rests.lock().resting(&model_scope(link), now.mono) {
                Some(rest) => resting_model(link, rest, now.mono),
                None => Refusal::model_cold(&link.key, shared.limits.recovery.rests.cold),
            }
        }
        Cause::ModelNotFound if link.service.is_chutes() => {
            Refusal::model_not_found(&call.requested_model, &shared.near(&call.model))
        }
        Cause::ModelNotFound => Refusal::not_at_provider(&who, &link.model),
        Cause::DeadKey => Refusal::upstream_auth(&who, label),
        Cause::ContextTooLong | Cause::ContentFilter | Cause::BadRequest => {
            as_upstream(link, failed, cause)
        }
        Cause::Silent => Refusal::timed_out(&format!(
            "`{}` did not answer in time: {}",
            link.key, failed.message
        )),
        Cause::EdgeBlock => Refusal::upstream_failed(&format!(
            "the load balancers of {who} refuse the connection (403 with a page instead of JSON); `ripcord doctor` checks this"
        )),
        Cause::Transient | Cause::BrokenStream | Cause::Unreachable | Cause::AccountUnreadable => {
            Refusal::upstream_failed(&format!("the request failed at {who}: {}", failed.message))
        }
    }
}

/// What the reason of a failed attempt is worth beside others.
pub(super) fn weight(itinerary: &Itinerary, link: &Arc<Link>, cause: Cause) -> Weight {
    // A name for a chain has no model of its own: the first of them speaks for it.
    let speaks = match link.kind {
        Kind::Asked | Kind::Sibling => true,
        Kind::Chain => itinerary.links().first().is_some_and(|first| Arc::ptr_eq(first, link)),
        Kind::Provider => false,
    };
    match cause {
        Cause::BadRequest | Cause::ContentFilter if speaks => Weight::Request,
        Cause::BadRequest | Cause::ContentFilter | Cause::ModelNotFound => Weight::StandIn,
        _ => Weight::Link,
    }
}

/// What to say in the end: what the failed attempts came to, and what keeps the links that were not asked.
pub(super) fn told(
    shared: &Shared,
    call: &Call,
    itinerary: &Itinerary,
    mut refusals: Refusals,
    why: Option<NotAdmitted>,
) -> Refusal {
    if refusals.is_empty() {
        return nobody(shared, call, itinerary, why);
    }
    add_links(shared, call, itinerary, &mut refusals);
    refusals.take().unwrap_or_else(|| busy(None))
}

/// What to say if nothing may serve the request, whoever is free; `None` if something may.
pub(super) fn left_out(call: &Call, itinerary: &Itinerary) -> Option<Refusal> {
    if !itinerary.links().is_empty() {
        return None;
    }
    let first = itinerary.left_out.first()?;
    let name = &call.requested_model;
    Some(match first.why {
        WhyNot::NotConfidential => Refusal::of_request(
            StatusCode::BAD_REQUEST,
            "tee_required",
            &format!(
                "`x-ripcord-tee: required` was sent, and nothing that may serve `{name}` is known to run in a trusted \
                 execution environment; `ripcord models --tee` lists what does"
            ),
        ),
        why => {
            let message = format!("`{}` may not serve this request: {why}", first.key);
            Refusal::of_request(StatusCode::FORBIDDEN, "not_allowed", &message)
        }
    })
}

/// A model that is known not to answer.
pub(super) fn resting_model(link: &Link, rest: Rest, now: Mono) -> Refusal {
    let wait = rest.until.since(now);
    match rest.cause {
        Cause::Disabled => Refusal::model_down(&link.service.in_words(), &link.key, wait),
        _ => Refusal::model_cold(&link.key, wait),
    }
}

/// Why nobody takes the request: of the accounts that could, the one that can first.
pub(super) fn nobody(
    shared: &Shared,
    call: &Call,
    itinerary: &Itinerary,
    why: Option<NotAdmitted>,
) -> Refusal {
    let now = shared.clock.now();
    let is_left_alone = |link: &Arc<Link>| shared.health.is_left_alone(now.mono, &link.key);
    match why {
        Some(NotAdmitted::Refused(Refused::QueueFull(wait))) => {
            return Refusal::queue_full(shared.limits.queue, wait);
        }
        Some(NotAdmitted::Refused(Refused::TooLong(wait))) => {
            return Refusal::too_long(wait);
        }
        // It did not wait for a slot.
        _ if itinerary.links().iter().all(is_left_alone) => {
            return of_links(shared, call, itinerary);
        }
        Some(NotAdmitted::Expired(wait)) => {
            if let Some(account) = first_settling(shared, call, now) {
                return settling(&shared.accounts[account].label);
            }
            return busy(wait);
        }
        Some(NotAdmitted::Refused(Refused::ClosedPastDeadline(_) | Refused::NoAccount)) | None => {}
    }
    if call.deadline.is_some_and(|deadline| deadline <= now.mono) {
        return Refusal::deadline(
            "it had passed before the request could start",
            Some(Duration::from_secs(1)),
        );
    }
    of_links(shared, call, itinerary)
}

/// Why no link serves.
fn of_links(shared: &Shared, call: &Call, itinerary: &Itinerary) -> Refusal {
    let mut refusals = Refusals::default();
    add_links(shared, call, itinerary, &mut refusals);
    refusals.take().unwrap_or_else(|| busy(None))
}

/// Adds what keeps the links of which it is not known yet, and those that may not serve the request.
fn add_links(shared: &Shared, call: &Call, itinerary: &Itinerary, refusals: &mut Refusals) {
    let now = shared.clock.now();
    for (choice, link) in itinerary.links().iter().enumerate() {
        let Some((because, refusal)) = of_link(shared, call, itinerary, link, now) else {
            continue;
        };
        // Of what was known a while ago the time has gone on; of anything else nothing better is known now.
        if refusals.because(choice).is_none_or(|known| known == because) {
            refusals.add(choice, &link.key, because, Weight::Link, refusal);
        }
    }
    for LeftOut { key, why } in &itinerary.left_out {
        // What a client key may not use is nothing that its bearer need hear of.
        if !matches!(why, WhyNot::Forbidden | WhyNot::FallbackOff) {
            refusals.leave_out(key, &why.to_string());
        }
    }
}

/// Why nobody serves this link: of the accounts that could, the one that can first.
fn of_link(
    shared: &Shared,
    call: &Call,
    itinerary: &Itinerary,
    link: &Arc<Link>,
    now: Now,
) -> Option<(&'static str, Refusal)> {
    let rest = shared.rests.lock().resting(&model_scope(link), now.mono);
    if let Some(rest) = rest {
        return Some((in_few_words(rest.cause), resting_model(link, rest, now.mono)));
    }
    if let Some(left_alone) = left_alone(shared, link, now.mono) {
        return Some(left_alone);
    }
    let opens = |account: usize| {
        let class = call.spender.class();
        let opens = shared.gate.opens_at(account, class, now.mono);
        let rest = pair_rest(shared, link, account, now).map(|rest| rest.until);
        opens.map_or(u64::MAX, Mono::as_micros).max(rest.map_or(0, Mono::as_micros))
    };
    let its = itinerary.pairs(shared).filter(|(other, _)| Arc::ptr_eq(other, link));
    let accounts: Vec<usize> = its.map(|(_, account)| account).collect();
    let able = accounts.iter().copied().filter(|&account| usable_key(shared, account).is_some());
    match able.min_by_key(|&account| opens(account)) {
        Some(account) => of_account(shared, call, link, account, now),
        None if accounts.is_empty() => None,
        None => {
            let labels: Vec<&str> =
                accounts.iter().map(|&account| &*shared.accounts[account].label).collect();
            let refusal = Refusal::upstream_auth(&link.service.in_words(), &labels.join("`, `"));
            Some((in_few_words(Cause::DeadKey), refusal))
        }
    }
}

/// A link keeps failing, so that only one request at a time tries it: what to say to the others.
fn left_alone(shared: &Shared, link: &Link, now: Mono) -> Option<(&'static str, Refusal)> {
    if !shared.health.is_left_alone(now, &link.key) {
        return None;
    }
    Some(match shared.health.standing(now, &link.key).state {
        ModelState::Busy => (
            in_few_words(Cause::Capacity),
            Refusal::no_capacity(&link.service.in_words(), &link.key, None),
        ),
        _ => (
            in_few_words(Cause::Transient),
            Refusal::upstream_failed(&format!(
                "`{}` keeps failing; one request at a time tries it until it works again",
                link.key
            )),
        ),
    })
}

/// Why this account does not take the request; `None` if nobody is in the way but other requests.
fn of_account(
    shared: &Shared,
    call: &Call,
    link: &Link,
    account: usize,
    now: Now,
) -> Option<(&'static str, Refusal)> {
    const NO_ROOM: &str = in_few_words(Cause::WindowUsedUp(None));
    let label = &shared.accounts[account].label;
    let standing = shared.accounts[account].standing(&call.spender, None, now.wall);
    match standing.budget {
        Budget::Closed(_) if standing.may_settle => return Some((NO_ROOM, settling(label))),
        Budget::Closed(verdict) | Budget::TooDear(verdict) => {
            return Some((NO_ROOM, of_verdict(shared, call, account, &verdict)));
        }
        Budget::NotReadYet => {
            let why = format!("the figures of account `{label}` have not been read yet");
            return Some((NO_ROOM, Refusal::deadline(&why, Some(Duration::from_secs(5)))));
        }
        Budget::Open(_) | Budget::Unguarded => {}
    }
    let rest = shared.accounts[account].resting(now.mono).map(|rest| (rest.cause, rest.until));
    let pair = pair_rest(shared, link, account, now).map(|rest| (rest.cause, rest.until));
    let Some((cause, until)) = rest.or(pair) else {
        // The headers of its last answers may say that nothing is left.
        let opens = shared.gate.opens_at(account, call.spender.class(), now.mono)?;
        let who = link.service.in_words();
        let why = format!("{who} says that nothing is left for account `{label}` for now");
        let refusal = || Refusal::deadline(&why, Some(opens.since(now.mono)));
        return (opens > now.mono).then(|| (in_few_words(Cause::RateLimited), refusal()));
    };
    let refusal = match cause {
        Cause::WindowUsedUp(kind) => {
            let reset = now.wall.after(until.since(now.mono));
            Refusal::window_exhausted(label, kind, Some(reset), now.wall)
        }
        Cause::OutOfCredit => Refusal::out_of_credit(label),
        Cause::EdgeRateLimit | Cause::RateLimited => pause(shared, link, account, now),
        Cause::FreeModelLimit => free_model_limit(label, now),
        _ if rest.is_some() => pause(shared, link, account, now),
        _ => not_entitled(link, label),
    };
    Some((in_few_words(cause), refusal))
}

/// Nobody is in the way but other requests.
fn busy(estimate: Option<Duration>) -> Refusal {
    let wait = estimate.unwrap_or(Duration::from_secs(5));
    Refusal::deadline("every slot stayed in use, or the pace let no more begin", Some(wait))
}

/// A cause beside another reason.
pub(super) const fn in_few_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Capacity => "full",
        Cause::EdgeRateLimit | Cause::RateLimited => "asks for a pause",
        Cause::WindowUsedUp(_) => "no room in a window",
        Cause::OutOfCredit => "no credit left",
        Cause::NotEntitled => "not covered by the plan",
        Cause::FreeModelLimit => "its free calls are used up",
        Cause::Cold => "not running",
        Cause::Disabled => "switched off",
        Cause::ModelNotFound => "not known there",
        Cause::DeadKey => "no key is accepted",
        Cause::ContextTooLong => "its context is too small",
        Cause::ContentFilter => "refuses the content",
        Cause::BadRequest => "does not take the request",
        Cause::Silent => "did not answer in time",
        Cause::BrokenStream => "broke off",
        Cause::EdgeBlock | Cause::Unreachable => "cannot be reached",
        Cause::Transient | Cause::AccountUnreadable => "failed",
    }
}

/// The first account that is closed only until it is known what its calls cost.
fn first_settling(shared: &Shared, call: &Call, now: Now) -> Option<usize> {
    (0..shared.accounts.len()).find(|&account| {
        let standing = shared.accounts[account].standing(&call.spender, None, now.wall);
        matches!(standing.budget, Budget::Closed(_)) && standing.may_settle
    })
}

/// Little is left of a window, and it is not known yet how much.
fn settling(label: &str) -> Refusal {
    let why = format!(
        "little is left of a window of account `{label}`, and what calls under way cost is not known yet"
    );
    Refusal::deadline(&why, Some(RECONSIDERED))
}

pub(super) fn of_verdict(
    shared: &Shared,
    call: &Call,
    account: usize,
    verdict: &Verdict,
) -> Refusal {
    let now = shared.clock.now().wall;
    let label = &shared.accounts[account].label;
    match *verdict {
        Verdict::No { shortage: Shortage::PaygoNotAllowed(kind), turns_at, .. } => {
            let has_money = shared.accounts[account]
                .snapshot()
                .and_then(|snapshot| snapshot.balance)
                .is_some_and(|balance| balance > NanoUsd::ZERO);
            if has_money {
                Refusal::paygo_not_allowed(label, kind, turns_at, now)
            } else {
                Refusal::window_exhausted(label, Some(kind), turns_at, now)
            }
        }
        Verdict::No { shortage: Shortage::WindowUsedUp(kind), turns_at, .. } => {
            Refusal::window_exhausted(label, Some(kind), turns_at, now)
        }
        Verdict::No { shortage: Shortage::BalanceTooLow, .. } => Refusal::balance_too_low(label),
        Verdict::No { shortage: Shortage::DailyBoundReached(kind), turns_at, .. } => {
            let bound = shared.accounts[account].daily_bound(&call.spender, now);
            match bound {
                Some(bound) => Refusal::daily_bound_reached(&bound, kind, turns_at, now),
                None => Refusal::window_exhausted(label, Some(kind), turns_at, now),
            }
        }
        Verdict::No { shortage: Shortage::KeptForInteractive(kind), turns_at, .. } => {
            Refusal::kept_for_interactive(label, kind, turns_at, now)
        }
        Verdict::Unknown(Missing::PaidToday) => Refusal::unknown_paid_today(label),
        Verdict::Yes(_) | Verdict::Unknown(_) => Refusal::unknown_budget(label),
    }
}

/// Statuses that say of a request that it is wrong.
const OF_REQUESTS: [u16; 12] = [400, 403, 404, 405, 411, 413, 414, 415, 422, 426, 431, 451];

/// The upstream's own words, in OpenAI's shape.
fn as_upstream(link: &Link, failed: Failed, cause: Cause) -> Refusal {
    let code = (cause == Cause::ContextTooLong).then_some("context_length_exceeded");
    let is_filter = cause == Cause::ContentFilter;
    let (status, said) = match failed.said {
        Some((status, said)) => (status, Some(said)),
        None => (400, None),
    };
    // Not one that means something else to a client: its key, its budget, its rate.
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| OF_REQUESTS.contains(&status.as_u16()))
        .unwrap_or(StatusCode::BAD_REQUEST);
    let code_without = if is_filter { "content_filter" } else { "bad_request" };
    let message = match link.service.is_chutes() {
        true => failed.message,
        false => format!("{}: {}", link.service.in_words(), failed.message),
    };
    let refusal = Refusal::of_request(status, code.unwrap_or(code_without), &message);
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

fn pause(shared: &Shared, link: &Link, account: usize, now: Now) -> Refusal {
    let (who, label) = (link.service.in_words(), &shared.accounts[account].label);
    let why = if link.service.is_chutes() {
        format!("{who}' load balancers ask account `{label}` to pause")
    } else {
        format!("{who} limits how much it may be asked at a time")
    };
    let rest = shared.accounts[account].resting(now.mono).map(|rest| rest.until);
    let until = rest.or_else(|| pair_rest(shared, link, account, now).map(|rest| rest.until));
    Refusal::deadline(&why, until.map(|until| until.since(now.mono)))
}

fn not_entitled(link: &Link, label: &str) -> Refusal {
    let message = match link.service.is_chutes() {
        true => format!("the plan of account `{label}` does not cover `{}`", link.key),
        false => format!("{} does not let its account use `{}`", link.service.in_words(), link.key),
    };
    Refusal::of_request(StatusCode::FORBIDDEN, "not_allowed", &message)
}

fn free_model_limit(label: &str, now: Now) -> Refusal {
    let turns = ripcord_rules::quota::next_day_reset(now.wall);
    Refusal::window_exhausted(label, Some(WindowKind::Day), Some(turns), now.wall)
        .with_message(&format!("the free calls of account `{label}` are used up for today"))
}

fn model_scope(link: &Link) -> Scope {
    Scope::Model(link.key.to_string())
}

fn pair_rest(shared: &Shared, link: &Link, account: usize, now: Now) -> Option<Rest> {
    shared.rests.lock().resting(&Scope::AccountModel(account, link.key.to_string()), now.mono)
}

fn rest_end(shared: &Shared, account: usize, now: Now) -> Option<Wall> {
    let rest = shared.accounts[account].resting(now.mono)?;
    Some(now.wall.after(rest.until.since(now.mono)))
}
