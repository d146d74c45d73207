//! `ripcord doctor`: what is wrong with the set-up, and what to fix. Asks nothing that costs a request unit.

mod checks;
mod explain;
mod gateway;
mod models;

pub(crate) use explain::{ExplainReport, explain};

use ripcord_client::error::{Error, ErrorKind};
use ripcord_rules::cause::Cause;
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::Roster;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
use crate::upstream::{self, Upstream};

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
    /// What it belongs to: `configuration`, `keys`, `addresses`, `network`, `clock`, `accounts`,
    /// `models`, `gateway`.
    area: &'static str,
    /// How it went.
    result: Health,
    /// What was found.
    text: String,
    /// What to do about it.
    fix: Option<String>,
    /// The command that says more.
    see: Option<String>,
}

/// Everything found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

// === impl Findings ===

impl Findings {
    fn add(&mut self, area: &'static str, result: Health, text: impl Into<String>) -> &mut Self {
        self.0.push(Finding { area, result, text: text.into(), fix: None, see: None });
        self
    }

    fn fix(&mut self, fix: impl Into<String>) -> &mut Self {
        if let Some(last) = self.0.last_mut() {
            last.fix = Some(fix.into());
        }
        self
    }

    /// Names the entry of the troubleshooting page about what was found last.
    fn see(&mut self, anchor: &'static str) -> &mut Self {
        if let Some(last) = self.0.last_mut() {
            last.see = Some(format!("ripcord doctor --explain {anchor}"));
        }
        self
    }

    /// Something that could not be asked. Where something else than Chutes answered, that has to be fixed.
    fn failed(&mut self, area: &'static str, what: &str, error: &Error) {
        let told = upstream::explain(error);
        let (result, text, fix) = if error.cause() == Some(Cause::EdgeBlock) {
            (
                Health::Problem,
                "the load balancers of Chutes refuse this connection (403 with a web page)"
                    .to_owned(),
                Some("look for a proxy or a VPN in between; this is not about the key".to_owned()),
            )
        } else {
            let foreign = matches!(
                error.kind(),
                ErrorKind::WebPage { .. }
                    | ErrorKind::Redirected { .. }
                    | ErrorKind::Unreadable { .. }
            );
            let result = if foreign { Health::Problem } else { Health::Unknown };
            (result, told.message, told.hints.into_iter().next())
        };
        self.add(area, result, format!("{what}: {text}"));
        if let Some(fix) = fix {
            self.fix(fix);
        }
        if let Some(anchor) = told.see {
            self.see(anchor);
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
    checks::configuration(&mut findings, context);
    checks::keys(&mut findings, &roster, context);
    gateway::check(&mut findings, context);
    match Upstream::new(context) {
        Ok(upstream) => {
            checks::addresses(&mut findings, &upstream, context);
            let reached = checks::network(&mut findings, &upstream, context).await;
            let readings = if reached.anything {
                checks::accounts(&mut findings, &upstream, &roster, context).await
            } else {
                checks::unreached(&mut findings, &roster);
                Vec::new()
            };
            models::check(&mut findings, &upstream, &reached.catalogue, &readings, context).await;
        }
        Err(error) => {
            findings.add("addresses", Health::Problem, error.message);
            if let Some(hint) = error.hints.into_iter().next() {
                findings.fix(hint);
            }
            if let Some(anchor) = error.see {
                findings.see(anchor);
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

fn page(report: &DoctorReport) -> Page {
    let mut page = Page::new();
    let areas =
        ["configuration", "keys", "gateway", "addresses", "network", "clock", "models", "accounts"];
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
            if let Some(see) = finding.see.as_ref().filter(|_| finding.result != Health::Ok) {
                page.line(Text::new().dim(format!("    more: {see}")));
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
