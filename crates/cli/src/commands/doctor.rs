//! `ripcord doctor`: what is wrong with the set-up, and what to fix. Asks nothing that costs a request unit.

use std::time::Duration;

use ripcord_client::chutes::Reply;
use ripcord_client::error::{Error, ErrorKind};
use ripcord_client::key::KeyForm;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{Plan, Readable, Verdict, may_spend};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::Roster;
use crate::catalogue::{Catalogue, StateWord};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
use crate::upstream::{Reading, Upstream, explain};
use crate::verdict::VerdictReport;

/// A clock further off than this makes resets come at the wrong time.
const SKEW_WARNING: Duration = Duration::from_secs(5);
/// A clock further off than this breaks certificates and windows.
const SKEW_PROBLEM: Duration = Duration::from_secs(60);

/// What `ripcord doctor --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DoctorReport {
    #[schemars(extend("const" = "ripcord/doctor/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// `ok` if nothing has to be fixed, `problem` if something has, `unknown` if something could not be found out.
    /// Exit code 0, 1, 3.
    result: Health,
    /// Everything that was looked at, in order.
    findings: Vec<Finding>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Health {
    /// As it should be.
    Ok,
    /// Works, and deserves a look.
    Warning,
    /// Has to be fixed.
    Problem,
    /// Could not be found out.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Finding {
    /// What it belongs to: `configuration`, `keys`, `addresses`, `network`, `clock`, `accounts`, `models`.
    area: &'static str,
    /// How it went.
    result: Health,
    /// What was found.
    text: String,
    /// What to do about it.
    fix: Option<String>,
}

/// Everything found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

// === impl Findings ===

impl Findings {
    fn add(&mut self, area: &'static str, result: Health, text: impl Into<String>) -> &mut Self {
        self.0.push(Finding { area, result, text: text.into(), fix: None });
        self
    }

    fn fix(&mut self, fix: impl Into<String>) -> &mut Self {
        if let Some(last) = self.0.last_mut() {
            last.fix = Some(fix.into());
        }
        self
    }

    fn failed(&mut self, area: &'static str, what: &str, error: &Error) {
        let error_text = explain(error);
        let fault = matches!(
            error.kind(),
            ErrorKind::WebPage { .. } | ErrorKind::Redirected { .. } | ErrorKind::Unreadable { .. }
        );
        let result = if fault { Health::Problem } else { Health::Unknown };
        self.add(area, result, format!("{what}: {}", error_text.message));
        if let Some(hint) = error_text.hints.into_iter().next() {
            self.fix(hint);
        }
    }

    fn result(&self) -> Health {
        let has = |health| self.0.iter().any(|finding| finding.result == health);
        if has(Health::Problem) {
            Health::Problem
        } else if has(Health::Unknown) {
            Health::Unknown
        } else {
            Health::Ok
        }
    }
}

/// Looks at everything and answers.
pub(crate) async fn run(context: &Context) -> Result<Exit, CommandError> {
    let mut findings = Findings::default();
    let roster = Roster::gather(&context.settings);
    configuration(&mut findings, context);
    keys(&mut findings, &roster);
    match Upstream::new(context) {
        Ok(upstream) => {
            addresses(&mut findings, &upstream, context);
            network(&mut findings, &upstream, context).await;
            accounts(&mut findings, &upstream, &roster, context).await;
        }
        Err(error) => {
            findings.add("addresses", Health::Problem, error.message);
            if let Some(hint) = error.hints.into_iter().next() {
                findings.fix(hint);
            }
        }
    }
    let report = DoctorReport {
        schema: "ripcord/doctor/1",
        generated_at: moment::utc(context.now()),
        result: findings.result(),
        findings: findings.0,
    };
    context.printer.answer(&report, || page(&report))?;
    Ok(match report.result {
        Health::Ok | Health::Warning => Exit::Done,
        Health::Problem => Exit::No,
        Health::Unknown => Exit::Unknown,
    })
}

fn configuration(findings: &mut Findings, context: &Context) {
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

fn keys(findings: &mut Findings, roster: &Roster) {
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

fn addresses(findings: &mut Findings, upstream: &Upstream, context: &Context) {
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

async fn network(findings: &mut Findings, upstream: &Upstream, context: &Context) {
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

async fn accounts(
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

fn page(report: &DoctorReport) -> Page {
    let mut page = Page::new();
    let areas = ["configuration", "keys", "addresses", "network", "clock", "models", "accounts"];
    for area in areas {
        let found: Vec<&Finding> =
            report.findings.iter().filter(|finding| finding.area == area).collect();
        if found.is_empty() {
            continue;
        }
        page.gap().line(Text::toned(Tone::Strong, area));
        for finding in found {
            let (tone, sign) = match finding.result {
                Health::Ok => (Tone::Good, "✓"),
                Health::Warning => (Tone::Warn, "!"),
                Health::Problem => (Tone::Bad, "✗"),
                Health::Unknown => (Tone::Warn, "?"),
            };
            page.paragraph_under(
                2,
                2,
                Text::new().then(tone, sign).plain(format!(" {}", finding.text)),
            );
            if let Some(fix) = &finding.fix {
                page.paragraph_under(
                    4,
                    2,
                    Text::new().then(Tone::Accent, "→").plain(format!(" {fix}")),
                );
            }
        }
    }
    let count = |health| report.findings.iter().filter(|finding| finding.result == health).count();
    page.gap().line(match report.result {
        Health::Ok | Health::Warning => match count(Health::Warning) {
            0 => Text::toned(Tone::Good, "✓ everything is as it should be"),
            1 => Text::toned(Tone::Good, "✓ nothing has to be fixed")
                .plain("; 1 thing deserves a look"),
            more => Text::toned(Tone::Good, "✓ nothing has to be fixed")
                .plain(format!("; {more} things deserve a look")),
        },
        Health::Problem => match count(Health::Problem) {
            1 => Text::toned(Tone::Bad, "✗ 1 thing has to be fixed"),
            more => Text::toned(Tone::Bad, format!("✗ {more} things have to be fixed")),
        },
        Health::Unknown => Text::toned(Tone::Warn, "? some things could not be found out"),
    });
    page
}
