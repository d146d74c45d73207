//! What `ripcord doctor` looks at, area by area.

use std::time::Duration;

use ripcord_client::chutes::Reply;
use ripcord_client::key::KeyForm;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{Plan, Readable, Verdict, may_spend};
use ripcord_rules::time::Wall;

use super::{Findings, Health};
use crate::accounts::Roster;
use crate::catalogue::{Catalogue, StateWord};
use crate::context::Context;
use crate::printer::moment;
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

pub(super) fn keys(findings: &mut Findings, roster: &Roster) {
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
            .fix("correct it where it is written");
    }
    for unusable in &roster.unusable {
        findings
            .add("keys", Health::Problem, unusable.as_str())
            .fix("copy the key again from https://chutes.ai/app/api");
    }
    if roster.accounts.is_empty() && roster.unusable.is_empty() {
        findings
            .add("keys", Health::Problem, "no API key is configured")
            .fix("create one at https://chutes.ai/app/api, then: export CHUTES_API_KEY=cpk_…");
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
            .fix(format!("write {}/v1", upstream.endpoints.llm));
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

pub(super) async fn network(findings: &mut Findings, upstream: &Upstream, context: &Context) {
    let public = upstream.public();
    let stopwatch = context.clock.stopwatch();
    let ping = public.ping().await;
    let took = stopwatch.elapsed().as_millis();
    match &ping {
        Ok(_) => {
            findings.add("network", Health::Ok, format!("the management API answers in {took} ms"));
        }
        Err(error) => findings.failed("network", "the management API", error),
    }
    let (lists, problems) = upstream.lists().await;
    match (&lists.models, problems.is_empty()) {
        (Some(models), _) => {
            findings.add(
                "network",
                Health::Ok,
                format!("the inference API lists {} models", models.len()),
            );
        }
        (None, _) => {
            if let Err(error) = public.models().await {
                if error.cause() == Some(Cause::EdgeBlock) {
                    findings
                        .add("network", Health::Problem, "the load balancers of Chutes refuse this connection (403 with a web page)")
                        .fix("look for a proxy or a VPN in between; this is not about the key");
                } else {
                    findings.failed("network", "the inference API", &error);
                }
            }
        }
    }
    if let Ok(reply) = &ping {
        clock(findings, reply, context.now());
    }
    models(findings, &Catalogue::join(lists, context.now()), context);
}

fn clock<T>(findings: &mut Findings, reply: &Reply<T>, now: Wall) {
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
    findings
        .add("clock", result, format!("this machine is {} {side} Chutes", moment::duration(skew)))
        .fix("set the clock, for instance with: timedatectl set-ntp true");
}

fn models(findings: &mut Findings, catalogue: &Catalogue, context: &Context) {
    if catalogue.entries.is_empty() {
        return;
    }
    for name in &context.settings.models.watch.value {
        match catalogue.find(name) {
            Ok(entry) => {
                let state = entry.state_word();
                let result = match state {
                    StateWord::Hot | StateWord::Busy => Health::Ok,
                    StateWord::Cold | StateWord::Down | StateWord::Unknown => Health::Warning,
                };
                findings.add(
                    "models",
                    result,
                    format!("{} is {}: {}", entry.name, state.word(), entry.why()),
                );
            }
            Err(miss) => {
                findings.add("models", Health::Problem, format!("there is no model `{name}`"));
                let near = miss.other_case.or_else(|| miss.near.into_iter().next());
                findings.fix(match near {
                    Some(near) => {
                        format!("write `{near}` at {}", context.settings.models.watch.origin)
                    }
                    None => "`ripcord models` lists every name".to_owned(),
                });
            }
        }
    }
}

pub(super) async fn accounts(
    findings: &mut Findings,
    upstream: &Upstream,
    roster: &Roster,
    context: &Context,
) {
    if roster.accounts.is_empty() {
        return;
    }
    for account in &roster.accounts {
        for key in &account.keys {
            match upstream.public().clone().with_key(key.clone()).models_with_key().await {
                Ok(_) => {
                    findings.add("keys", Health::Ok, format!("{key} is alive and may call models"));
                }
                Err(error)
                    if error.status() == Some(401)
                        || error.status() == Some(403)
                            && error.cause() != Some(Cause::EdgeBlock) =>
                {
                    findings
                        .add("keys", Health::Problem, format!("{key} is refused: it is dead, or it may not call models"))
                        .fix("create a new key at https://chutes.ai/app/api; nobody can tell the two apart from outside");
                }
                Err(error) => findings.failed("keys", &key.to_string(), &error),
            }
        }
    }
    let readings = match upstream.selected_readings(context).await {
        Ok(readings) => readings,
        Err(error) => {
            findings.add("accounts", Health::Problem, error.message);
            return;
        }
    };
    for reading in &readings {
        account(findings, reading, context);
    }
}

fn account(findings: &mut Findings, reading: &Reading, context: &Context) {
    let label = &reading.label;
    match reading.snapshot.readable {
        Readable::Yes => {}
        Readable::Forbidden => {
            findings
                .add("accounts", Health::Warning, format!("{label}: no key may read the account, so its calls are unguarded: quota, caps and balance are unknown"))
                .fix("add an admin key of this account to see and guard its quota");
            return;
        }
        Readable::Failed => {
            let why = reading
                .problem
                .as_ref()
                .map_or("it could not be read", |problem| problem.message.as_str());
            findings.add("accounts", Health::Unknown, format!("{label}: {why}"));
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
    if reading.snapshot.plan == Some(Plan::Legacy)
        && reading.snapshot.balance.is_some_and(|balance| balance.0 <= 0)
    {
        findings.add(
            "accounts",
            Health::Warning,
            format!("{label}: the Legacy plan may call TEE models only with a positive balance"),
        );
    }
}
