//! What to say when nothing could serve a request: which situation it is, and when to come back.

use super::attempt::Failed;
use super::call::Call;
use super::itinerary::{Itinerary, Link};
use super::pursuit::usable_key;
use crate::accounts::budget::Budget;
use crate::driver::gate::NotAdmitted;
use crate::refusal::Refusal;
use crate::shared::{RECONSIDERED, Shared};
use http::StatusCode;
use ripcord_rules::admit::Refused;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{Missing, Shortage, Verdict, WindowKind};
use ripcord_rules::recover::{Rest, Scope};
use ripcord_rules::time::{Mono, Now, Wall};
use ripcord_rules::units::NanoUsd;
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
    match cause {
        Cause::Capacity => Refusal::no_capacity(&link.key),
        Cause::EdgeRateLimit | Cause::RateLimited => pause(shared, account, now),
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
        Cause::NotEntitled => not_entitled(label, &link.key),
        Cause::FreeModelLimit => free_model_limit(label, now),
        Cause::Cold | Cause::Disabled => {
            match shared.rests.lock().resting(&model_scope(link), now.mono) {
                Some(rest) => resting_model(link, rest, now.mono),
                None => Refusal::model_cold(&link.key, Duration::ZERO),
            }
        }
        Cause::ModelNotFound => {
            Refusal::model_not_found(&call.requested_model, &shared.catalogue.near(&call.model))
        }
        Cause::DeadKey => Refusal::upstream_auth(label),
        Cause::ContextTooLong => as_upstream(failed, Some("context_length_exceeded")),
        Cause::ContentFilter | Cause::BadRequest => as_upstream(failed, None),
        Cause::Silent => Refusal::timed_out(&format!(
            "`{}` did not answer in time: {}",
            link.key, failed.message
        )),
        Cause::EdgeBlock => Refusal::upstream_failed(
            "Chutes' load balancers refuse the connection (403 with a page instead of JSON); `ripcord doctor` checks this",
        ),
        Cause::Transient | Cause::BrokenStream | Cause::Unreachable | Cause::AccountUnreadable => {
            Refusal::upstream_failed(&format!("Chutes failed: {}", failed.message))
        }
    }
}

/// A model that is known not to answer.
pub(super) fn resting_model(link: &Link, rest: Rest, now: Mono) -> Refusal {
    let wait = rest.until.since(now);
    match rest.cause {
        Cause::Disabled => Refusal::model_down(&link.key, wait),
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
    match why {
        Some(NotAdmitted::Refused(Refused::QueueFull)) => {
            return Refusal::queue_full(shared.limits.queue);
        }
        Some(NotAdmitted::Expired) => {
            if let Some(account) = first_settling(shared, call, now) {
                return settling(&shared.accounts[account].label);
            }
            return Refusal::deadline("every slot stayed in use", Some(Duration::from_secs(5)));
        }
        Some(NotAdmitted::Refused(Refused::ClosedPastDeadline(_) | Refused::NoAccount)) | None => {}
    }
    if call.deadline.is_some_and(|deadline| deadline <= now.mono) {
        return Refusal::deadline(
            "it had passed before the request could start",
            Some(Duration::from_secs(1)),
        );
    }
    let opens = |account: usize| {
        let class = call.spender.class();
        shared.gate.opens_at(account, class, now.mono).map_or(u64::MAX, Mono::as_micros)
    };
    let soonest = itinerary
        .pairs(shared)
        .filter(|&(_, account)| usable_key(shared, account).is_some())
        .min_by_key(|&(link, account)| {
            opens(account)
                .max(pair_rest(shared, link, account, now).map_or(0, |rest| rest.until.as_micros()))
        });
    let Some((link, account)) = soonest else {
        let labels: Vec<&str> = shared.accounts.iter().map(|account| &*account.label).collect();
        return Refusal::upstream_auth(&labels.join("`, `"));
    };
    of_account(shared, call, link, account, now)
}

/// Why this account does not take the request.
fn of_account(shared: &Shared, call: &Call, link: &Link, account: usize, now: Now) -> Refusal {
    let label = &shared.accounts[account].label;
    let standing = shared.accounts[account].standing(&call.spender, None, now.wall);
    match standing.budget {
        Budget::Closed(_) if standing.may_settle => return settling(label),
        Budget::Closed(verdict) | Budget::TooDear(verdict) => {
            return of_verdict(shared, call, account, &verdict);
        }
        Budget::NotReadYet => {
            let why = format!("the figures of account `{label}` have not been read yet");
            return Refusal::deadline(&why, Some(Duration::from_secs(5)));
        }
        Budget::Open(_) | Budget::Unguarded => {}
    }
    if let Some(rest) = shared.accounts[account].resting(now.mono) {
        return match rest.cause {
            Cause::WindowUsedUp(kind) => {
                Refusal::window_exhausted(label, kind, rest_end(shared, account, now), now.wall)
            }
            _ => pause(shared, account, now),
        };
    }
    match pair_rest(shared, link, account, now) {
        Some(Rest { cause: Cause::FreeModelLimit, .. }) => free_model_limit(label, now),
        Some(Rest { cause: Cause::WindowUsedUp(kind), until, .. }) => {
            let reset = now.wall.after(until.since(now.mono));
            Refusal::window_exhausted(label, kind, Some(reset), now.wall)
        }
        Some(_) => not_entitled(label, &link.key),
        None => Refusal::deadline("every slot stayed in use", Some(Duration::from_secs(5))),
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

/// The upstream's own words, in OpenAI's shape.
fn as_upstream(failed: Failed, code: Option<&'static str>) -> Refusal {
    let (status, said) = match failed.said {
        Some((status, said)) => (status, Some(said)),
        None => (400, None),
    };
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(StatusCode::is_client_error)
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

fn pause(shared: &Shared, account: usize, now: Now) -> Refusal {
    let why =
        format!("Chutes' load balancers ask account `{}` to pause", shared.accounts[account].label);
    let wait = shared.accounts[account].resting(now.mono).map(|rest| rest.until.since(now.mono));
    Refusal::deadline(&why, wait)
}

fn not_entitled(label: &str, model: &str) -> Refusal {
    let message = format!("the plan of account `{label}` does not cover `{model}`");
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
