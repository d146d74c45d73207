//! `/-/budget`: may work go on, and for how long, as JSON that scripts decide by. Never a key, never a prompt.

mod account;
mod question;

use self::account::{AccountBudget, Verdict3};
use self::question::{CallBudget, Question};
use super::figures::format_time;
use crate::body::AnswerBody;
use crate::refusal::Refusal;
use crate::router::json;
use crate::shared::Shared;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ripcord_rules::quota::{Outlook, Pace, TURN_MARGIN, all_fit_by, ends_at};
use ripcord_rules::time::{Now, Wall};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What `GET /-/budget` answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BudgetReport {
    #[schemars(extend("const" = "ripcord/budget/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// Whether work may go on: yes if one account says yes, no if all say no. With `calls`: whether all of them fit now,
    /// over all accounts together.
    verdict: Verdict3,
    /// Seconds after which asking again makes sense; null if the verdict is yes. Sent as `Retry-After` with `gate=1`.
    ask_again_seconds: Option<u64>,
    /// What was asked.
    asked: Asked,
    /// How many of the calls fit now, at most as many as were asked for; null if none were asked for, or if that is not
    /// known for any account.
    fits_now: Option<u64>,
    /// When the last of the calls would fit, UTC, if all go as early as the windows let them; null if all fit now, or if
    /// that is not known or more than 62 days ahead.
    all_fit_by: Option<String>,
    /// Whether that moment waits for Chutes to bill a month, which may be later than its date.
    waits_for_billing: bool,
    /// When the batch would end, UTC, with all slots in use and calls that take as long as those to the model did;
    /// null if that is not known.
    ends_at: Option<String>,
    /// Each account.
    accounts: Vec<AccountBudget>,
}

/// What was asked.
#[derive(Debug, Serialize, JsonSchema)]
struct Asked {
    /// The only account that was looked at; null for all.
    account: Option<String>,
    /// The model, by its exact name.
    model: Option<String>,
    /// How many calls.
    calls: Option<u64>,
    /// For whom: `interactive`, `agent`, `batch`.
    priority: &'static str,
    /// How large one call was taken to be; null if no calls were asked for.
    call: Option<CallBudget>,
}

/// A month that may be billed any moment, or figures that may come.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(30);
/// Nobody knows when it turns; somebody may top up.
const TURNS_NOBODY_KNOWS_WHEN: Duration = Duration::from_secs(300);

/// Answers `GET /-/budget`.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Response<AnswerBody>, Refusal> {
    // With a client key the answer is for its bearer.
    let bearer = shared.bearers.bearer_of(headers, shared.clock.now().wall);
    let bearer = bearer.unwrap_or_else(|_| shared.bearers.anyone().bearer);
    let question = Question::read(shared, bearer, query).await?;
    let now = shared.clock.now();
    let report = report(shared, &question, now);
    let is_yes = report.verdict == Verdict3::Yes;
    let refuses = question.is_gate && !is_yes;
    let status = if refuses { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    // Plain values always serialise.
    let body = serde_json::to_vec_pretty(&report).unwrap_or_default();
    let mut response = json(status, body.into());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = report.ask_again_seconds.filter(|_| refuses) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// When more calls fit than now.
fn more_fit_from(outlooks: &[Outlook]) -> Option<Wall> {
    let next = |outlook: &Outlook| outlook.clone().skip(1).find(|slice| slice.fits > 0);
    outlooks.iter().filter_map(next).map(|slice| slice.from).min()
}

fn report(shared: &Shared, question: &Question, now: Now) -> BudgetReport {
    let chosen = shared
        .accounts
        .iter()
        .filter(|account| question.account.as_deref().is_none_or(|label| *label == *account.label));
    let looked: Vec<_> =
        chosen.map(|account| account::look(shared, account, question, now)).collect();
    let now = now.wall;
    let outlooks: Vec<Outlook> = looked.iter().filter_map(|(_, outlook)| outlook.clone()).collect();
    let accounts: Vec<AccountBudget> = looked.into_iter().map(|(budget, _)| budget).collect();
    let one = Verdict3::any(accounts.iter().map(|account| account.verdict));
    let mut report = BudgetReport {
        schema: "ripcord/budget/1",
        generated_at: format_time(now),
        verdict: one,
        ask_again_seconds: None,
        asked: Asked {
            account: question.account.clone(),
            model: question.model.clone(),
            calls: question.calls,
            priority: question.priority.name(),
            call: question.calls.map(|_| CallBudget::of(question)),
        },
        fits_now: None,
        all_fit_by: None,
        waits_for_billing: false,
        ends_at: None,
        accounts,
    };
    let mut turns = report.accounts.iter().filter_map(|account| account.turns).min();
    if let Some(calls) = question.calls {
        let fits: Vec<Option<u64>> = report.accounts.iter().map(AccountBudget::fits_now).collect();
        let total = fits.iter().flatten().fold(0_u64, |sum, fits| sum.saturating_add(*fits));
        report.fits_now = fits.iter().any(Option::is_some).then_some(total.min(calls));
        report.verdict = if total >= calls {
            Verdict3::Yes
        } else if fits.iter().any(Option::is_none) {
            Verdict3::Unknown
        } else {
            Verdict3::No
        };
        if report.verdict != Verdict3::Yes {
            let all_by = all_fit_by(outlooks.clone(), calls).filter(|(by, _)| *by > now);
            report.all_fit_by = all_by.map(|(by, _)| format_time(by));
            report.waits_for_billing = all_by.is_some_and(|(_, waits)| waits);
            // Not all of them may ever fit at once; more of them do from the next turn on.
            turns = more_fit_from(&outlooks).or(turns);
        }
        let pace = question.took.map(|call| Pace { slots: shared.limits.slots_per_account, call });
        report.ends_at = pace.and_then(|pace| ends_at(outlooks, pace, calls)).map(format_time);
    }
    report.ask_again_seconds = match report.verdict {
        Verdict3::Yes => None,
        Verdict3::Unknown => Some(UNKNOWN_AGAIN.as_secs()),
        Verdict3::No if report.accounts.iter().any(|account| account.settles) => {
            Some(crate::shared::RECONSIDERED.as_secs())
        }
        Verdict3::No => {
            let wait = turns.map(|turns| turns.since(now) + TURN_MARGIN);
            Some(wait.unwrap_or(TURNS_NOBODY_KNOWS_WHEN).as_secs())
        }
    };
    report
}
