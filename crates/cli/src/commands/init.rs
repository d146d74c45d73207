//! `ripcord init`: a key is read, tested and written, and what comes next is said.

mod ask;
mod file;
mod source;
mod trial;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use ripcord_client::key::Key;
use ripcord_rules::quota::Readable;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{InitArguments, LONGEST_NAME};
use crate::commands::usage::{self, PlanReport};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment, number};
use crate::recipes::Values;
use crate::settings::Settings;
use crate::upstream::{Reading, Upstream};
use file::{Draft, Home};
use trial::{Fared, Trial, Tried};

/// What `ripcord init --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InitReport {
    #[schemars(extend("const" = "ripcord/init/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// The configuration file.
    file: String,
    /// Whether the file was written.
    written: bool,
    /// The accounts of the keys that were given.
    accounts: Vec<AccountReport>,
    /// The base URL for clients, while `ripcord serve` runs.
    base_url: String,
}

/// An account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountReport {
    /// What it is called in the configuration.
    account: String,
    /// Its user name at Chutes; null if no key may read it.
    username: Option<String>,
    /// Whether a key may read the account; null if that could not be found out. If not, its quota cannot be guarded.
    readable: Option<bool>,
    /// The plan; null if not known.
    plan: Option<PlanReport>,
    /// The keys that were given.
    keys: Vec<KeyReport>,
}

/// A key.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyReport {
    /// Its beginning.
    key: String,
    /// What Chutes said to it.
    fared: Fared,
    /// Why, where it may not do everything; null else.
    why: Option<String>,
    /// What became of it.
    outcome: Outcome,
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It is in the file now.
    Written,
    /// It was configured before.
    AlreadyThere,
    /// It was left out.
    LeftOut,
}

// === impl AccountReport ===

impl AccountReport {
    /// Whether a key of it is in the file now that was not before.
    fn has_written(&self) -> bool {
        self.keys.iter().any(|key| key.outcome == Outcome::Written)
    }
}

/// Reads, tests and writes keys.
pub(crate) async fn run(
    arguments: &InitArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let asks = !arguments.yes && !context.printer.speaks_json() && io::stdin().is_terminal();
    let work = set_up(arguments, asks, context);
    if !asks {
        return work.await;
    }
    ask::unless_ended(work).await.map_err(source::unheard)?.unwrap_or_else(|| Err(source::left()))
}

/// The work itself. It is left only while it waits for Chutes or for an answer, so never once the file is written.
async fn set_up(
    arguments: &InitArguments,
    asks: bool,
    context: &Context,
) -> Result<Exit, CommandError> {
    let Some(place) = context.settings.file_place.clone() else {
        return Err(CommandError::usage("nothing says where the configuration belongs")
            .hint("name a file with --config, or set HOME"));
    };
    if arguments.replace && context.settings.file.is_some() {
        confirm_replacing(arguments, asks, &place).await?;
    }
    let roster = source::roster(arguments, asks, context).await?;
    let upstream = Upstream::new(context)?;
    let mut draft = Draft::open(&place, arguments.replace)?;
    let mut trials = Vec::new();
    for account in &roster.accounts {
        trials.extend(Trial::run(account, &upstream, context).await);
    }
    let mut reports = Vec::new();
    for trial in &trials {
        reports.push(settle(trial, arguments, asks, context, &mut draft).await?);
    }
    let written = reports.iter().any(AccountReport::has_written);
    let file = if written {
        write(draft, &mut reports)?
    } else {
        draft.keep_private();
        place
    };
    let report = InitReport {
        schema: "ripcord/init/1",
        generated_at: moment::utc(context.now()),
        file: file.display().to_string(),
        written,
        accounts: reports,
        base_url: Values::of_gateway(&context.settings, None).base(),
    };
    context.printer.answer(&report, || page(&report, &trials, context))?;
    end(&report, context)
}

/// Writes the draft. An account may be called otherwise than was foreseen, if another run has taken its name.
fn write(draft: Draft, reports: &mut [AccountReport]) -> Result<PathBuf, CommandError> {
    let written = draft.write()?;
    let changed = reports.iter_mut().filter(|report| report.has_written());
    for (report, name) in changed.zip(written.names) {
        report.account = name;
    }
    Ok(written.path)
}

/// Starting anew loses what the file holds, so it is asked for twice.
async fn confirm_replacing(
    arguments: &InitArguments,
    asks: bool,
    place: &Path,
) -> Result<(), CommandError> {
    let question = format!("Start {} anew? What it holds is lost.", place.display());
    let agreed = arguments.force || asks && source::agreed(&question, false).await?;
    if agreed {
        return Ok(());
    }
    Err(CommandError::usage(format!("{} exists and stays as it is", place.display()))
        .hint("without --replace the account is added to it; --replace --force starts it anew"))
}

/// Decides about an account's keys and adds them to the draft.
async fn settle(
    trial: &Trial,
    arguments: &InitArguments,
    asks: bool,
    context: &Context,
    draft: &mut Draft,
) -> Result<AccountReport, CommandError> {
    let known = Known::of(trial, &context.settings, arguments.replace);
    let mut keys = Vec::new();
    let mut outcomes = Vec::new();
    for tried in &trial.keys {
        let outcome = if known.keys.contains(&tried.key) {
            Outcome::AlreadyThere
        } else if tried.fared.is_good() || insists(tried, arguments, asks).await? {
            keys.push(tried.key.clone());
            Outcome::Written
        } else {
            Outcome::LeftOut
        };
        outcomes.push(outcome);
    }
    let home = match known.name {
        Some(name) => Home::Known(name),
        None => Home::New(new_name(trial, arguments)),
    };
    let name = draft.name_of(&home);
    if !keys.is_empty() {
        draft.add(home, keys);
    }
    let readable = match trial.reading.snapshot.readable {
        Readable::Yes => Some(true),
        Readable::Forbidden => Some(false),
        Readable::Failed => None,
    };
    Ok(AccountReport {
        account: name,
        username: trial.reading.username.clone(),
        readable,
        plan: trial.reading.snapshot.plan.map(PlanReport::from),
        keys: trial
            .keys
            .iter()
            .zip(outcomes)
            .map(|(tried, outcome)| KeyReport {
                key: tried.key.to_string(),
                fared: tried.fared,
                why: tried.why.clone(),
                outcome,
            })
            .collect(),
    })
}

/// Whether a key is to be written although it did not pass.
async fn insists(
    tried: &Tried,
    arguments: &InitArguments,
    asks: bool,
) -> Result<bool, CommandError> {
    if arguments.force || !asks {
        return Ok(arguments.force);
    }
    let why = tried.why.as_deref().unwrap_or("it could not be tested");
    let question = match tried.fared {
        Fared::Untested => {
            format!("{} could not be tested: {why}. Write it all the same?", tried.key)
        }
        _ => format!("Chutes refuses {}: {why}. Write it all the same?", tried.key),
    };
    source::agreed(&question, false).await
}

/// What the file already says of an account.
struct Known {
    name: Option<String>,
    keys: Vec<Key>,
}

// === impl Known ===

impl Known {
    fn of(trial: &Trial, settings: &Settings, replace: bool) -> Self {
        let mut known = Self { name: None, keys: Vec::new() };
        if replace {
            return known;
        }
        let id = &trial.reading.account.id;
        for entry in &settings.accounts {
            let keys = entry.keys.iter().filter_map(|raw| Key::parse(raw.expose()).ok());
            let keys: Vec<Key> = keys.map(|(key, _)| key).collect();
            let same = |key: &Key| {
                trial.keys.iter().any(|tried| tried.key == *key)
                    || id.is_some() && key.account_id() == *id
            };
            if keys.iter().any(same) {
                known.name.get_or_insert_with(|| entry.name.value.clone());
                known.keys.extend(keys);
            }
        }
        known
    }
}

/// The name that was asked for, or the user's, or one of our own.
fn new_name(trial: &Trial, arguments: &InitArguments) -> String {
    let of_user = || {
        let name = trial.reading.username.as_deref()?;
        let name = ripcord_wire::text::clean(name.trim(), LONGEST_NAME);
        Some(name).filter(|name| !name.is_empty())
    };
    arguments.name.clone().or_else(of_user).unwrap_or_else(|| "main".to_owned())
}

fn end(report: &InitReport, context: &Context) -> Result<Exit, CommandError> {
    let keys = || report.accounts.iter().flat_map(|account| &account.keys);
    let left_out: Vec<&KeyReport> = keys().filter(|key| key.outcome == Outcome::LeftOut).collect();
    if left_out.is_empty() {
        return Ok(Exit::Done);
    }
    let nothing = if report.written { "" } else { "; nothing was written" };
    let mut messages = Vec::new();
    for key in &left_out {
        let why = key.why.as_deref().unwrap_or("it could not be tested");
        let what = if key.fared == Fared::Untested { "could not be tested" } else { "is refused" };
        messages.push(format!("{} {what}: {why}", key.key));
    }
    let error = CommandError::unknown(format!("{}{nothing}", messages.join("; ")));
    let error = if left_out.iter().any(|key| key.fared == Fared::Refused) {
        error.hint("create a new key at https://chutes.ai/app/api")
    } else {
        error.hint("try again when Chutes answers (`ripcord doctor` looks why it does not)")
    };
    context.printer.error(&error.hint("--force writes a key all the same"));
    Ok(Exit::Unknown)
}

fn page(report: &InitReport, trials: &[Trial], context: &Context) -> Page {
    let mut page = Page::new();
    for (trial, account) in trials.iter().zip(&report.accounts) {
        if trial.keys.iter().any(|tried| tried.fared.is_good()) {
            page.gap();
            usage::describe(&mut page, &trial.reading, context);
        }
        page.gap();
        for key in &account.keys {
            page.paragraph_under(2, 2, key_line(key, &account.account));
        }
        if trial.keys.iter().any(|tried| tried.fared == Fared::Alive)
            && let Some(remark) = remark_on(&trial.reading)
        {
            page.paragraph_under(2, 2, Text::toned(Tone::Warn, "! ").plain(remark));
        }
    }
    if report.written {
        let accounts = report.accounts.iter().filter(|account| account.has_written());
        let names: Vec<&str> = accounts.map(|account| account.account.as_str()).collect();
        let what = number::counted(names.len() as u64, "account", "accounts");
        page.gap().line(
            Text::toned(Tone::Good, "✓ ").plain("wrote ").then(Tone::Strong, report.file.as_str()),
        );
        page.paragraph(
            2,
            Text::new().dim(format!("{what}: {}; readable by you alone", names.join(", "))),
        );
    }
    let all_there = report
        .accounts
        .iter()
        .flat_map(|account| &account.keys)
        .all(|key| key.outcome != Outcome::LeftOut);
    if report.written || all_there {
        next_steps(&mut page, report);
    }
    page
}

/// Why not all of the account was read: the key may not, which stays so, or Chutes did not answer this time.
fn remark_on(reading: &Reading) -> Option<String> {
    let later = |what: &str| {
        let why = &reading.problem.as_ref()?.message;
        Some(format!("{what} could not be read this time: {why}; try `ripcord usage` later"))
    };
    match reading.snapshot.readable {
        Readable::Yes => later("part of the account"),
        Readable::Forbidden => Some(
            "it may call models and not read the account: quota, windows and balance stay unknown, so nothing warns before they \
             are used up, and the gateway uses it \"unguarded\". An admin key of the same account would show them"
                .to_owned(),
        ),
        Readable::Failed => later("the account"),
    }
}

fn key_line(key: &KeyReport, account: &str) -> Text {
    let (tone, sign) = match (key.fared, key.outcome) {
        (Fared::Refused, _) => (Tone::Bad, "✗ "),
        (Fared::Untested, _) => (Tone::Warn, "? "),
        (Fared::AccountOnly, _) => (Tone::Warn, "! "),
        (Fared::Alive, _) => (Tone::Good, "✓ "),
    };
    let fared = match key.fared {
        Fared::Alive => "is alive and may call models",
        Fared::AccountOnly => "reads the account and may not call models",
        Fared::Refused => "is refused by Chutes",
        Fared::Untested => "could not be tested",
    };
    let outcome = match key.outcome {
        Outcome::Written => String::new(),
        Outcome::AlreadyThere => format!("; it is configured already, as `{account}`"),
        Outcome::LeftOut => "; it was left out".to_owned(),
    };
    Text::toned(tone, sign).then(Tone::Strong, key.key.as_str()).plain(format!(" {fared}{outcome}"))
}

fn next_steps(page: &mut Page, report: &InitReport) {
    let mut table = Table::new(2, vec![Column::left(""), Column::left("")]);
    for (command, purpose) in [
        ("ripcord serve", format!("the gateway; clients call {}", report.base_url)),
        ("ripcord config client", "settings for your client, ready to paste".to_owned()),
        ("ripcord status", "which models are up".to_owned()),
    ] {
        table.row(vec![Text::toned(Tone::Strong, command), Text::new().dim(purpose)]);
    }
    page.gap().line(Text::new().dim("Next")).table(table);
}
