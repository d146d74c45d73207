//! One account in `/-/budget`.

use super::question::Question;
use crate::accounts::Account;
use crate::accounts::budget::Budget;
use crate::accounts::sight::Sight;
use crate::admin::figures::{self, decimal, format_time, source_word, unit_word};
use crate::shared::Shared;
use ripcord_rules::quota::{
    AccountSnapshot, BurnRates, BurnSpan, CallCost, Cap, Fit, Outlook, Plan, Rate, Readable, Unit,
    Verdict, Window, WindowKind, fit_calls, may_spend,
};
use ripcord_rules::time::{Now, Wall};
use schemars::JsonSchema;
use serde::Serialize;

/// Yes, no, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Verdict")]
pub(super) enum Verdict3 {
    Yes,
    No,
    Unknown,
}

/// One account.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AccountBudget {
    /// What the account is called.
    account: String,
    /// `pay_as_you_go`, `legacy`, `base`, `plus`, `pro`, `custom_base`, `custom_plus`, `custom_pro`, `unlimited`, `other`;
    /// null if not known.
    plan: Option<&'static str>,
    /// Whether its budget lets the next call in.
    pub(super) verdict: Verdict3,
    /// Why: `windows_open`, `balance_pays`, `unlimited`, `paygo_not_allowed`, `window_used_up`, `balance_too_low`,
    /// `daily_bound_reached`, `kept_for_interactive`, `settling` (no room until it is known what calls under way cost), or
    /// what is not known: `not_read_yet`, `forbidden`, `failed`, `window_unknown`, `balance_unknown`,
    /// `paid_today_unknown`, `plan_unknown`.
    reason: &'static str,
    /// The window that decides, if one does: `day`, `four_hour`, `month`, `chute`.
    window: Option<&'static str>,
    /// When the verdict turns, UTC; null if nobody knows.
    turns_at: Option<String>,
    /// Whether it turns by the calendar alone. A month does not: it waits until Chutes bills it.
    turns_by_itself: Option<bool>,
    /// Whether requests are sent although the verdict is unknown (`when_unknown = "allow"`).
    unguarded: bool,
    /// `read`, `forbidden` (the key may not), `failed`, `not_read_yet`.
    figures: &'static str,
    /// When the figures were true, UTC; null before the first reading.
    as_of: Option<String>,
    /// Their age in seconds.
    age_seconds: Option<u64>,
    /// Every window that limits the account, as it may stand now.
    windows: Vec<WindowBudget>,
    /// Pay-as-you-go money in US dollars, own calls that it may still have to pay taken off; null if not known.
    balance_usd: Option<f64>,
    /// When Chutes' figure for it was true, UTC.
    balance_as_of: Option<String>,
    /// What the balance has paid since 00:00 UTC in US dollars; null if not known. Read only where the policy bounds it.
    paid_today_usd: Option<f64>,
    /// How fast own calls through this gateway use the account.
    burn: Burn,
    /// How the calls fit; null if none were asked for.
    fit: Option<FitReport>,
    /// [`Self::turns_at`] as a moment.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) turns: Option<Wall>,
    /// It is closed only until calls under way are counted.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) settles: bool,
}

/// A window as it may stand now.
#[derive(Debug, Serialize, JsonSchema)]
struct WindowBudget {
    /// `day`, `four_hour`, `month`, `chute`.
    window: &'static str,
    /// The chute whose own quota this is, for `chute`.
    chute_id: Option<String>,
    /// What it is counted in: `requests` (request units) or `usd` (US dollars at list price).
    unit: &'static str,
    /// Used, own calls that Chutes' figure may lack and those under way included; null if not known.
    used: Option<f64>,
    /// How much fits; null if nothing limits it or it is not known.
    cap: Option<f64>,
    /// Whether the window counts but does not limit.
    uncapped: bool,
    /// What still fits, never negative; null if nothing limits it or it is not known.
    remaining: Option<f64>,
    /// What is left alone of it: for others who use the account, and for interactive work.
    kept: Option<f64>,
    /// When it turns, UTC. May lie in the past for `month`, which turns only when billing says so.
    resets_at: Option<String>,
    /// When the figure was true, UTC.
    as_of: String,
    /// `server`, `header`, or `estimate` where own calls are counted on top.
    source: &'static str,
    /// What Chutes said last, without own calls on top; null if not known.
    server_used: Option<f64>,
    /// When that was true, UTC.
    server_as_of: String,
    /// Own calls that ended since, or so shortly before that the figure may lack them.
    own_since: Option<f64>,
    /// Reserved for own calls under way.
    reserved: f64,
    /// What others use of it; null if its figures have not been read twice.
    foreign: Option<Foreign>,
    /// When it runs out if own calls and others go on as over the last 5 minutes, hour and day.
    runs_out: RunsOutReport,
}

/// What others use of a window.
#[derive(Debug, Serialize, JsonSchema)]
struct Foreign {
    /// At most this much,
    used: f64,
    /// since then, UTC,
    since: String,
    /// until then, UTC.
    until: String,
}

/// Rates per hour in request units and in dollars.
#[derive(Debug, Serialize, JsonSchema)]
struct Burn {
    /// Request units per hour.
    requests_per_hour: Spans,
    /// US dollars at list price per hour.
    usd_per_hour: Spans,
    /// Since when every own call is counted, UTC, the ledger included. A rate over a span that began before is null.
    watched_since: String,
}

/// A figure per span; null where the span was not watched in full, or a price is missing.
#[derive(Debug, Serialize, JsonSchema)]
struct Spans {
    /// Over the last five minutes.
    five_minutes: Option<f64>,
    /// Over the last hour.
    hour: Option<f64>,
    /// Over the last 24 hours.
    day: Option<f64>,
}

/// Where each rate leads; null where the rate is not known, or nothing is used.
#[derive(Debug, Serialize, JsonSchema)]
struct RunsOutReport {
    /// At the rate of the last five minutes.
    five_minutes: Option<RunsOutAt>,
    /// At the rate of the last hour.
    hour: Option<RunsOutAt>,
    /// At the rate of the last 24 hours.
    day: Option<RunsOutAt>,
}

/// Where a rate leads.
#[derive(Debug, Serialize, JsonSchema)]
struct RunsOutAt {
    /// Used per hour, others included as far as they were seen.
    per_hour: f64,
    /// When nothing is left, UTC.
    at: String,
    /// Whether that is before the window turns; null if nobody knows when it does.
    before_reset: Option<bool>,
}

/// How calls fit on one account.
#[derive(Debug, Serialize, JsonSchema)]
struct FitReport {
    /// What one call costs the account in request units.
    call_requests: f64,
    /// What one call costs the account in US dollars; null if its size is not known: windows counted in dollars are left
    /// out then.
    call_usd: Option<f64>,
    /// How many fit now; null if that is not known.
    now: Option<u64>,
    /// The window that is short: `day`, `four_hour`, `month`, `chute`.
    short_window: Option<&'static str>,
    /// When all of them would fit on this account alone, UTC.
    all_by: Option<String>,
    /// Whether that waits for Chutes to bill the month.
    waits_for_billing: bool,
    /// Windows counted in dollars that the answer leaves out, because the price of a call is not known.
    uncounted_windows: Vec<&'static str>,
}

// === impl Verdict3 ===

impl Verdict3 {
    /// The answer of a pool: yes if one says yes, no if all say no.
    pub(super) fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        let answers: Vec<Self> = answers.into_iter().collect();
        if answers.contains(&Self::Yes) {
            Self::Yes
        } else if answers.contains(&Self::Unknown) || answers.is_empty() {
            Self::Unknown
        } else {
            Self::No
        }
    }
}

/// How an account stands, and what lies ahead of it if calls were asked for.
pub(super) fn look(
    shared: &Shared,
    account: &Account,
    question: &Question,
    now: Now,
) -> (AccountBudget, Option<Outlook>) {
    let sight = account.sight(&question.spender, now);
    let now = now.wall;
    let (cost, chute_id) = question.cost(shared, account);
    let chute_id = chute_id.as_deref();
    let standing = account.standing(&question.spender, chute_id, now);
    let answer = Answered::of(&standing.budget, standing.may_settle, &sight, chute_id, now);
    let read = sight.read.as_ref();
    let expected = sight.expected.as_ref();
    let outlook =
        expected.and_then(|expected| Outlook::new(expected, &sight.policy, chute_id, cost, now));
    let fit = question.calls.map(|calls| match expected {
        Some(expected) => {
            FitReport::of(fit_calls(expected, &sight.policy, chute_id, cost, calls, now), cost)
        }
        None => FitReport::of(Fit::unknown(), cost),
    });
    let budget = AccountBudget {
        account: account.label.to_string(),
        plan: read.and_then(|read| read.plan).map(Plan::code),
        verdict: answer.verdict,
        reason: answer.reason,
        window: answer.window.map(WindowKind::name),
        turns_at: answer.turns.map(format_time),
        turns_by_itself: answer.by_itself,
        unguarded: standing.budget == Budget::Unguarded,
        figures: match read.map(|read| read.readable) {
            None => "not_read_yet",
            Some(Readable::Yes) => "read",
            Some(Readable::Forbidden) => "forbidden",
            Some(Readable::Failed) => "failed",
        },
        as_of: read.map(|read| format_time(read.as_of)),
        age_seconds: read.map(|read| now.since(read.as_of).as_secs()),
        windows: windows(&sight, chute_id, now),
        balance_usd: expected.and_then(|expected| expected.balance).map(figures::usd),
        balance_as_of: read
            .filter(|read| read.balance.is_some())
            .map(|read| format_time(read.balance_as_of)),
        paid_today_usd: read.and_then(|read| read.paid_today_at(now)).map(figures::usd),
        burn: Burn::of(&sight),
        fit,
        turns: answer.turns,
        settles: standing.may_settle && matches!(standing.budget, Budget::Closed(_)),
    };
    (budget, outlook)
}

/// The verdict in parts.
struct Answered {
    verdict: Verdict3,
    reason: &'static str,
    window: Option<WindowKind>,
    turns: Option<Wall>,
    by_itself: Option<bool>,
}

// === impl Answered ===

impl Answered {
    fn of(
        budget: &Budget,
        may_settle: bool,
        sight: &Sight,
        chute_id: Option<&str>,
        now: Wall,
    ) -> Self {
        let unknown = |reason, window| Self {
            verdict: Verdict3::Unknown,
            reason,
            window,
            turns: None,
            by_itself: None,
        };
        match budget {
            Budget::NotReadYet => unknown("not_read_yet", None),
            Budget::Open(payer) => {
                Self { verdict: Verdict3::Yes, ..unknown(Verdict::Yes(*payer).code(), None) }
            }
            Budget::Unguarded => {
                let Some(expected) = &sight.expected else { return unknown("not_read_yet", None) };
                match may_spend(expected, &sight.policy, chute_id, now) {
                    verdict @ Verdict::Unknown(_) => unknown(verdict.code(), verdict.window()),
                    // What is known is too old to show room.
                    Verdict::Yes(_) | Verdict::No { .. } => unknown("failed", None),
                }
            }
            Budget::Closed(verdict @ Verdict::No { turns_at, by_itself, .. }) => Self {
                verdict: Verdict3::No,
                reason: if may_settle { "settling" } else { verdict.code() },
                window: verdict.window(),
                turns: *turns_at,
                by_itself: Some(*by_itself),
            },
            Budget::Closed(verdict) | Budget::TooDear(verdict) => {
                unknown(verdict.code(), verdict.window())
            }
        }
    }
}

// === impl AccountBudget ===

impl AccountBudget {
    /// How many of the calls fit now; `None` if that is not known.
    pub(super) fn fits_now(&self) -> Option<u64> {
        match self.verdict {
            Verdict3::Unknown => None,
            Verdict3::No => Some(0),
            Verdict3::Yes => self.fit.as_ref().and_then(|fit| fit.now),
        }
    }
}

fn windows(sight: &Sight, chute_id: Option<&str>, now: Wall) -> Vec<WindowBudget> {
    let (Some(read), Some(expected)) = (&sight.read, &sight.expected) else { return Vec::new() };
    let all = |account: &AccountSnapshot| -> Vec<(Option<String>, Window)> {
        let wide = account.windows.iter().map(|window| (None, window.at(now)));
        let own = account
            .chute_windows
            .iter()
            .filter(|(chute, _)| chute_id.is_none_or(|wanted| wanted == chute))
            .map(|(chute, window)| (Some(chute.clone()), window.at(now)));
        wide.chain(own).collect()
    };
    let pairs = all(read).into_iter().zip(all(expected));
    pairs
        .map(|((chute, read), (_, expected))| window_budget(sight, chute, &read, &expected, now))
        .collect()
}

fn window_budget(
    sight: &Sight,
    chute_id: Option<String>,
    read: &Window,
    expected: &Window,
    now: Wall,
) -> WindowBudget {
    let unit = expected.unit;
    let amount = |value: i64| decimal(unit, value);
    let reserved = match unit {
        Unit::Requests => sight.reserved.units.0,
        Unit::Usd => sight.reserved.usd.map_or(0, |usd| usd.0),
    };
    let cap = match expected.cap {
        Cap::Limited(cap) => Some(cap),
        Cap::Uncapped | Cap::Unknown => None,
    };
    let own = expected.used.zip(read.used).map(|(expected, read)| expected.saturating_sub(read));
    let plan = sight.read.as_ref().and_then(|read| read.plan);
    let foreign = if chute_id.is_none() { sight.foreign(expected.kind) } else { None };
    WindowBudget {
        window: expected.kind.name(),
        unit: unit_word(unit),
        used: expected.used.map(amount),
        cap: cap.map(amount),
        uncapped: expected.cap == Cap::Uncapped,
        remaining: expected.remaining().map(amount),
        kept: cap.map(|cap| amount(sight.policy.kept(cap, plan))),
        resets_at: expected.resets_at.map(format_time),
        as_of: format_time(expected.as_of),
        source: source_word(expected.source),
        server_used: read.used.map(amount),
        server_as_of: format_time(read.as_of),
        own_since: own.map(|own| amount(own.saturating_sub(reserved).max(0))),
        reserved: amount(reserved),
        foreign: foreign.map(|foreign| Foreign {
            used: amount(foreign.used),
            since: format_time(foreign.since),
            until: format_time(foreign.until),
        }),
        runs_out: {
            let others = foreign.and_then(|foreign| foreign.rate());
            let at = |span| {
                let own: Rate = sight.own(unit).over(span)?;
                let rate = others.map_or(own, |others| own.and(others));
                let runs_out = rate.runs_out(expected, now)?;
                Some(RunsOutAt {
                    per_hour: amount(rate.per_hour()),
                    at: format_time(runs_out.at),
                    before_reset: runs_out.turns_first.map(|turns_first| !turns_first),
                })
            };
            RunsOutReport {
                five_minutes: at(BurnSpan::FiveMinutes),
                hour: at(BurnSpan::Hour),
                day: at(BurnSpan::Day),
            }
        },
        chute_id,
    }
}

// === impl Burn ===

impl Burn {
    fn of(sight: &Sight) -> Self {
        let spans = |unit, rates: &BurnRates| {
            let per_hour = |span| rates.over(span).map(|rate| decimal(unit, rate.per_hour()));
            Spans {
                five_minutes: per_hour(BurnSpan::FiveMinutes),
                hour: per_hour(BurnSpan::Hour),
                day: per_hour(BurnSpan::Day),
            }
        };
        Self {
            requests_per_hour: spans(Unit::Requests, &sight.units),
            usd_per_hour: spans(Unit::Usd, &sight.usd),
            watched_since: format_time(sight.watched_since),
        }
    }
}

// === impl FitReport ===

impl FitReport {
    fn of(fit: Fit, cost: CallCost) -> Self {
        Self {
            call_requests: figures::units(cost.units),
            call_usd: cost.usd.map(figures::usd),
            now: fit.now,
            short_window: fit.short.map(WindowKind::name),
            all_by: fit.all_by.map(format_time),
            waits_for_billing: fit.waits_for_billing,
            uncounted_windows: fit.uncounted.iter().map(|kind| kind.name()).collect(),
        }
    }
}
