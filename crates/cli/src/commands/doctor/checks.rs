//! What `ripcord doctor` looks at, area by area.

use std::time::Duration;

use ripcord_client::chutes::Reply;
use ripcord_client::error::Error;
use ripcord_client::key::KeyForm;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{Paygo, Plan, Readable, Verdict, WhenUnknown, may_spend};
use ripcord_rules::time::Wall;

use super::{Findings, Health};
use crate::accounts::{Account, Roster};
use crate::catalogue::Catalogue;
use crate::context::Context;
use crate::printer::moment;
use crate::settings::keys::RawKey;
use crate::upstream::{Reading, Upstream};
use crate::verdict::VerdictReport;

/// A clock further off than this makes resets come at the wrong time.
const SKEW_WARNING: Duration = Duration::from_secs(5);
/// A clock further off than this breaks certificates and windows.
const SKEW_PROBLEM: Duration = Duration::from_secs(60);

pub(super) fn configuration(findings: &mut Findings, context: &Context) {
    match &context.settings.file {
        Some(path) => {
            findings.add("configuration", Health::Ok, format!("{} is right", path.display()))
        }
        None => findings.add("configuration", Health::Ok, "no file; the defaults hold"),
    };
    for warning in &context.settings.warnings {
        findings.add("configuration", Health::Warning, warning.as_str());
    }
}

pub(super) fn keys(findings: &mut Findings, roster: &Roster, context: &Context) {
    for account in &roster.accounts {
        for key in &account.keys {
            let form = match key.form() {
                KeyForm::ApiKey => "well formed",
                KeyForm::OAuth => "an OAuth token, good for an hour",
                KeyForm::SessionToken => "a session token, good for a week",
                KeyForm::OtherToken => {
                    findings
                        .add(
                            "keys",
                            Health::Warning,
                            format!("{key} is a token of an unknown form"),
                        )
                        .fix("Chutes API keys begin with cpk_ and have 102 characters");
                    continue;
                }
            };
            let owner =
                account.name.as_ref().map(|name| format!(" (account {name})")).unwrap_or_default();
            findings.add("keys", Health::Ok, format!("{key}{owner} is {form}"));
        }
    }
    for repair in &roster.repairs {
        findings
            .add("keys", Health::Warning, repair.as_str())
            .fix("correct it where it is written")
            .see("key-form");
    }
    header_habit(findings, context);
    for unusable in &roster.unusable {
        findings
            .add("keys", Health::Problem, unusable.as_str())
            .fix("copy the key again from https://chutes.ai/app/api")
            .see("key-form");
    }
    if roster.accounts.is_empty() && roster.unusable.is_empty() {
        findings
            .add("keys", Health::Problem, "no API key is configured")
            .fix("create one at https://chutes.ai/app/api, then: export CHUTES_API_KEY=cpk_…")
            .see("key-missing");
    }
}

/// A key that was written down with the header it does not belong into: whoever wrote it will send it so elsewhere.
fn header_habit(findings: &mut Findings, context: &Context) {
    let of_accounts = context.settings.accounts.iter().flat_map(|account| &account.keys);
    let is_headed = |key: &&RawKey| key.expose().to_ascii_lowercase().contains("x-api-key");
    for key in context.settings.environment_keys.iter().chain(of_accounts).filter(is_headed) {
        findings
            .add(
                "keys",
                Health::Warning,
                format!(
                    "the key from {} is written as `X-API-Key`, a header that Chutes never reads",
                    key.origin
                ),
            )
            .fix("write the key alone; clients send it as `Authorization: Bearer cpk_…`")
            .see("header-habit");
    }
}

pub(super) fn addresses(findings: &mut Findings, upstream: &Upstream, context: &Context) {
    let written = &context.settings.chutes.llm_url;
    let doubled = written.value.trim_end_matches('/').ends_with("/v1/v1");
    if doubled {
        findings
            .add(
                "addresses",
                Health::Warning,
                format!(
                    "the inference address has /v1 twice (from {}); it was repaired",
                    written.origin
                ),
            )
            .fix(format!("write {}/v1", upstream.endpoints.llm))
            .see("doubled-v1");
    }
    findings.add(
        "addresses",
        Health::Ok,
        format!(
            "management at {}, inference at {}",
            upstream.endpoints.api, upstream.endpoints.llm
        ),
    );
}

/// What the network check brought along.
pub(super) struct Reached {
    /// Whether anything answered, in whatever way.
    pub(super) anything: bool,
    /// The models, as far as the lists could be read.
    pub(super) catalogue: Catalogue,
}

pub(super) async fn network(
    findings: &mut Findings,
    upstream: &Upstream,
    context: &Context,
) -> Reached {
    let public = upstream.public();
    let stopwatch = context.clock.stopwatch();
    let ping = async {
        let ping = public.ping().await;
        (ping, stopwatch.elapsed().as_millis())
    };
    // Side by side: where nothing answers, each takes as long as it may.
    let ((ping, took), (lists, _)) = tokio::join!(ping, upstream.lists());
    let answered = |error: &Error| error.status().is_some();
    let mut anything = match &ping {
        Ok(_) => {
            findings.add("network", Health::Ok, format!("the management API answers in {took} ms"));
            true
        }
        Err(error) => {
            findings.failed("network", "the management API", error);
            answered(error)
        }
    };
    match &lists.models {
        Some(models) => {
            findings.add(
                "network",
                Health::Ok,
                format!("the inference API lists {} models", models.len()),
            );
            anything = true;
        }
        None => {
            if let Err(error) = public.models().await {
                findings.failed("network", "the inference API", &error);
                anything |= answered(&error);
            }
        }
    }
    if let Ok(reply) = &ping {
        clock(findings, reply, context);
    }
    Reached { anything, catalogue: Catalogue::join(lists, context.now()) }
}

/// Nothing answers, so asking for each key and account would only say so again.
pub(super) fn unreached(findings: &mut Findings, roster: &Roster) {
    if !roster.accounts.is_empty() {
        findings.add(
            "accounts",
            Health::Unknown,
            "keys and accounts were not tried, since nothing at Chutes can be reached",
        );
    }
}

fn clock<T>(findings: &mut Findings, reply: &Reply<T>, context: &Context) {
    let now = context.now();
    let Some(date) = reply.limits.date else { return };
    let server = Wall::from_unix_micros(date);
    // `Date` has whole seconds.
    let skew = now.since(server).max(server.since(now)).saturating_sub(Duration::from_secs(1));
    if skew < SKEW_WARNING {
        findings.add("clock", Health::Ok, "this machine and Chutes agree on the time");
        return;
    }
    let side = if now > server { "ahead of" } else { "behind" };
    let result = if skew >= SKEW_PROBLEM { Health::Problem } else { Health::Warning };
    // Told here, so that reading the accounts need not.
    if result == Health::Problem {
        context.correct_clock(date.saturating_sub(now.as_unix_micros()));
    }
    findings
        .add("clock", result, format!("this machine is {} {side} Chutes", moment::duration(skew)))
        .fix("set the clock, for instance with: timedatectl set-ntp true")
        .see("clock");
}

/// Tries each key, then reads the accounts; gives back what was read of those that have a key at all.
pub(super) async fn accounts(
    findings: &mut Findings,
    upstream: &Upstream,
    roster: &Roster,
    context: &Context,
) -> Vec<Reading> {
    let mut alive = Vec::new();
    for account in &roster.accounts {
        let mut refused = 0;
        for key in &account.keys {
            match upstream.public().clone().with_key(key.clone()).models_with_key().await {
                Ok(_) => {
                    findings.add("keys", Health::Ok, format!("{key} is alive and may call models"));
                }
                Err(error) if is_refusal(&error) => {
                    refused += 1;
                    findings
                        .add("keys", Health::Problem, format!("{key} is refused: it is dead, or it may not call models"))
                        .fix("create a new key at https://chutes.ai/app/api; nobody can tell the two apart from outside. A client that sends it as `X-API-Key` may still list models, since that needs no key")
                        .see("key-refused");
                }
                Err(error) => findings.failed("keys", &key.to_string(), &error),
            }
        }
        if refused < account.keys.len() {
            alive.push(account);
        } else {
            findings.add(
                "accounts",
                Health::Unknown,
                format!(
                    "{}: nothing is known of it while Chutes accepts none of its keys",
                    account.label()
                ),
            );
        }
    }
    if alive.is_empty() {
        return Vec::new();
    }
    let mut readings = match upstream.selected_readings(context).await {
        Ok(readings) => readings,
        Err(error) => {
            findings.add("accounts", Health::Problem, error.message);
            return Vec::new();
        }
    };
    readings.retain(|reading| alive.iter().any(|account| account.keys == reading.account.keys));
    for reading in &readings {
        account(findings, reading, context);
    }
    readings
}

fn is_refusal(error: &Error) -> bool {
    error.status() == Some(401)
        || error.status() == Some(403) && error.cause() != Some(Cause::EdgeBlock)
}

/// What the gateway does with an account that nobody can look into.
fn unseen_words(account: &Account) -> String {
    match (account.policy.paygo, account.when_unknown) {
        (Paygo::Never, _) => "the gateway does not use it (paygo = \"never\")".to_owned(),
        (_, WhenUnknown::Refuse) => {
            "the gateway does not use it (when_unknown = \"refuse\")".to_owned()
        }
        (Paygo::Daily(bound), WhenUnknown::Allow) => {
            format!("its calls are unguarded, but for at most {bound} at list price a day")
        }
        (Paygo::ByPlan | Paygo::Allow, WhenUnknown::Allow) => "its calls are unguarded".to_owned(),
    }
}

fn account(findings: &mut Findings, reading: &Reading, context: &Context) {
    let label = &reading.label;
    match reading.snapshot.readable {
        Readable::Yes => {}
        Readable::Forbidden => {
            findings
                .add("accounts", Health::Warning, format!("{label}: no key may read the account, so {}: quota, caps and balance are unknown", unseen_words(&reading.account)))
                .fix("add an admin key of this account to see and guard its quota")
                .see("account-unreadable");
            return;
        }
        Readable::Failed => {
            let why = reading
                .problem
                .as_ref()
                .map_or("it could not be read", |problem| problem.message.as_str());
            findings.add("accounts", Health::Unknown, format!("{label}: {why}"));
            if let Some(anchor) = reading.problem.as_ref().and_then(|problem| problem.see) {
                findings.see(anchor);
            }
            return;
        }
    }
    let now = context.now();
    let policy = &reading.account.policy;
    let verdict = may_spend(&reading.snapshot, policy, None, now);
    let words =
        VerdictReport::new(&verdict, &reading.snapshot, policy, &context.printer.moments, now);
    let plan = reading.snapshot.plan.map_or("plan unknown", Plan::name);
    let result = match verdict {
        Verdict::Yes(_) => Health::Ok,
        // Nothing is wrong with the set-up: the budget is spent.
        Verdict::No { .. } => Health::Warning,
        Verdict::Unknown(_) => Health::Unknown,
    };
    findings.add("accounts", result, format!("{label}: {plan}; {}", words.explanation));
    if let Some(remedy) = words.remedy(&reading.snapshot, policy) {
        findings.fix(remedy);
    }
    if result != Health::Ok {
        findings.see(words.anchor(&reading.snapshot));
    }
}
