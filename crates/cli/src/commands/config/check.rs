//! `ripcord config check`: the whole configuration, read without being used.

use ripcord_client::key::Key;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::exposure;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, number};
use crate::session::{Session, in_order};
use crate::settings::document::Problem;
use crate::settings::hooks::HookSettings;
use crate::settings::keys::RawKey;
use crate::settings::providers::ProviderSettings;
use crate::settings::{MissingFile, Settings};
use crate::upstream;

/// What `ripcord config check --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConfigCheckReport {
    #[schemars(extend("const" = "ripcord/config-check/1"))]
    schema: &'static str,
    /// The file that was read; null if there is none.
    file: Option<String>,
    /// Whether everything is right. Exit code 0, else 2.
    ok: bool,
    /// Everything that is wrong, in the order of the file; variables last.
    problems: Vec<ProblemReport>,
    /// What deserves a look and stops nothing.
    warnings: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct ProblemReport {
    /// The file with the line, the variable, or the file.
    place: String,
    /// The line, from 1; null if it is about no line.
    line: Option<usize>,
    /// What is wrong.
    message: String,
    /// What was probably meant, or what to do; null if nobody can tell.
    hint: Option<String>,
}

// === impl ProblemReport ===

impl From<Problem> for ProblemReport {
    fn from(problem: Problem) -> Self {
        let line = problem.line();
        Self { place: problem.place, line, message: problem.message, hint: problem.hint }
    }
}

/// Reads everything and says what is wrong. Nothing is asked of Chutes: that is for `ripcord doctor`.
pub(crate) fn run(session: &Session<'_>) -> Result<Exit, CommandError> {
    let (settings, mut problems) =
        Settings::read(session.arguments, session.environment, MissingFile::IsAProblem);
    let mut warnings = settings.warnings.clone();
    keys(&settings, &mut problems, &mut warnings);
    gateway(&settings, &mut problems);
    let unusable = settings.hooks.iter().flat_map(HookSettings::problems);
    problems.extend(unusable.cloned().map(Problem::from));
    let unusable = settings.providers.iter().filter_map(ProviderSettings::problem);
    problems.extend(unusable.cloned().map(Problem::from));
    if let Err(error) = upstream::endpoints(&settings) {
        // Its text says where the address comes from.
        problems.push(Problem {
            place: "[chutes]".to_owned(),
            message: error.message,
            hint: error.hints.into_iter().next(),
        });
    }
    let report = ConfigCheckReport {
        schema: "ripcord/config-check/1",
        file: settings.file.as_ref().map(|file| file.display().to_string()),
        ok: problems.is_empty(),
        problems: in_order(problems).into_iter().map(ProblemReport::from).collect(),
        warnings,
    };
    session.printer.answer(&report, || page(&report))?;
    Ok(if report.ok { Exit::Done } else { Exit::Usage })
}

/// The form of every key; whether Chutes knows it, only Chutes can say.
fn keys(settings: &Settings, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) {
    let mut look = |raw: &RawKey| match Key::parse(raw.expose()) {
        Ok((_, repairs)) => {
            warnings.extend(repairs.iter().map(|repair| format!("{}: {repair}", raw.origin)));
        }
        Err(problem) => problems.push(Problem {
            place: raw.origin.to_string(),
            message: problem.to_string(),
            hint: Some("copy the key again from https://chutes.ai/app/api".to_owned()),
        }),
    };
    settings.accounts.iter().flat_map(|account| &account.keys).for_each(&mut look);
    settings.environment_keys.iter().for_each(&mut look);
    for account in settings.accounts.iter().filter(|account| account.keys.is_empty()) {
        problems.push(Problem {
            place: account.name.origin.to_string(),
            message: format!("the account `{}` has no key", account.name.value),
            hint: Some("give it `keys`, `key_env` or `key_file`".to_owned()),
        });
    }
}

/// What `ripcord serve` would refuse.
fn gateway(settings: &Settings, problems: &mut Vec<Problem>) {
    let listen = &settings.gateway.listen;
    problems.extend(exposure::lacks(settings).into_iter().map(|lack| Problem {
        place: listen.origin.to_string(),
        message: format!("`gateway.listen`: {}", lack.what),
        hint: Some(format!("{}; or listen on 127.0.0.1:{}", lack.fix, listen.value.port())),
    }));
    if let Some(Err(problem)) = &settings.admin_token {
        problems.push(problem.clone().into());
    }
}

fn page(report: &ConfigCheckReport) -> Page {
    let mut page = Page::new();
    for problem in &report.problems {
        // Whole, so that a terminal or an editor can open it.
        page.line(Text::toned(Tone::Bad, "✗ ").plain(problem.place.as_str()));
        page.paragraph(2, Text::new().plain(problem.message.as_str()));
        if let Some(hint) = &problem.hint {
            page.paragraph_under(
                2,
                2,
                Text::new().then(Tone::Accent, "→").plain(format!(" {hint}")),
            );
        }
    }
    for warning in &report.warnings {
        page.paragraph_under(0, 2, Text::toned(Tone::Warn, "! ").plain(warning.as_str()));
    }
    if !report.problems.is_empty() || !report.warnings.is_empty() {
        page.gap();
    }
    page.line(match (&report.file, report.ok) {
        (Some(file), true) => Text::toned(Tone::Good, "✓ ").plain(format!("{file} is right")),
        (None, true) => Text::toned(Tone::Good, "✓ ")
            .plain("no file; the defaults and the environment are right"),
        (_, false) => {
            let count = number::counted(report.problems.len() as u64, "problem", "problems");
            Text::toned(Tone::Bad, format!("✗ {count}"))
        }
    });
    page
}
