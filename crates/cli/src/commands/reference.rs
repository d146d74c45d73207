//! Writes `docs/reference/`: every page comes from the code that it describes, and a test compares them.

mod guide;

use std::fmt::Write as _;
use std::path::Path;

use clap::CommandFactory as _;
use schemars::schema_for;

use crate::args::{Arguments, ReferenceArguments, ReferencePart};
use crate::commands::{
    budget_check, can_complete, config, doctor, explain, init, keys, model_health, models, probe,
    recommend, report, sanity, serve, slots, status, usage, wait_for_reset, watch,
};
use crate::error::{self, CommandError};
use crate::exit::Exit;
use crate::settings::DEFAULT_FILE;
use crate::settings::environment::VARIABLES;

const GENERATED: &str =
    "<!-- Written by `ripcord reference all docs/reference`; edit the code instead. -->\n";

/// Writes the parts that were asked for into the directory.
pub(crate) fn run(arguments: &ReferenceArguments) -> Result<Exit, CommandError> {
    let wanted = |part| arguments.part == part || arguments.part == ReferencePart::All;
    if wanted(ReferencePart::Commands) {
        write(&arguments.directory, "commands.md", &commands_page())?;
    }
    if wanted(ReferencePart::Config) {
        write(&arguments.directory, "configuration.md", &configuration_page())?;
    }
    // In a directory of its own, beside pages that are written by hand.
    if arguments.part == ReferencePart::Guide {
        for (name, text) in guide::pages() {
            write(&arguments.directory, &name, &text)?;
        }
    }
    if wanted(ReferencePart::Schemas) {
        for (name, schema) in schemas() {
            let text = serde_json::to_string_pretty(&schema).map_err(|problem| {
                CommandError::unknown(format!("could not write a schema: {problem}"))
            })?;
            write(&arguments.directory, &format!("schemas/{name}.json"), &format!("{text}\n"))?;
        }
    }
    Ok(Exit::Done)
}

/// The schema of what each command prints with `--json`.
fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("budget-check", schema_for!(budget_check::BudgetCheckReport)),
        ("can-complete", schema_for!(can_complete::CanCompleteReport)),
        ("config-check", schema_for!(config::check::ConfigCheckReport)),
        ("config-client", schema_for!(config::client::ConfigClientReport)),
        ("config-show", schema_for!(config::show::ConfigShowReport)),
        ("doctor", schema_for!(doctor::DoctorReport)),
        ("doctor-explain", schema_for!(doctor::ExplainReport)),
        ("error", schema_for!(error::ErrorObject)),
        ("explain", schema_for!(explain::ExplainReport)),
        ("event", schema_for!(ripcord_gateway::EventReport)),
        ("hook-test", schema_for!(watch::HookTestReport)),
        ("gateway-budget", schema_for!(ripcord_gateway::BudgetReport)),
        ("gateway-quota-stats", schema_for!(ripcord_gateway::QuotaStats)),
        ("init", schema_for!(init::InitReport)),
        ("key-added", schema_for!(keys::KeyAddedReport)),
        ("key-changed", schema_for!(keys::KeyChangedReport)),
        ("keys", schema_for!(keys::KeysReport)),
        ("model-health", schema_for!(model_health::ModelHealthReport)),
        ("models", schema_for!(models::ModelsReport)),
        ("probe", schema_for!(probe::ProbeReport)),
        ("recommend", schema_for!(recommend::RecommendReport)),
        ("report", schema_for!(report::ReportReport)),
        ("sanity", schema_for!(sanity::SanityReport)),
        ("serve", schema_for!(serve::ServeReport)),
        ("slots", schema_for!(slots::SlotsReport)),
        ("status", schema_for!(status::StatusReport)),
        ("usage", schema_for!(usage::UsageReport)),
        ("wait-for-reset", schema_for!(wait_for_reset::WaitReport)),
        ("warning", schema_for!(error::WarningObject)),
    ]
}

fn write(directory: &Path, name: &str, text: &str) -> Result<(), CommandError> {
    let path = directory.join(name);
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|problem| {
            CommandError::unknown(format!("could not write {}: {problem}", path.display()))
        })
}

fn commands_page() -> String {
    let mut page = format!("# Commands\n\n{GENERATED}\n");
    let mut command = Arguments::command().term_width(96);
    command.build();
    let _ = writeln!(page, "```text\n{}\n```", command.render_long_help().to_string().trim_end());
    page.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(page, "| {} | {meaning} |", exit.code());
    }
    page.push_str(
        "\nSeveral accounts are one pool: a verdict is yes if one account says yes, no if all say no, and else 3. \
         A report is 3 if one of its parts could not be read; the other parts are shown all the same.\n\n\
         With `--json` stdout holds the report and nothing else; it is empty where there is none. Every line of stderr is \
         a JSON object then: an error ([schemas/error.json](schemas/error.json)) or a warning \
         ([schemas/warning.json](schemas/warning.json)).\n",
    );
    for subcommand in command.get_subcommands_mut() {
        command_section(&mut page, subcommand, "ripcord");
    }
    page
}

/// The help of a command, and of those below it.
fn command_section(page: &mut String, command: &mut clap::Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let help = command.render_long_help().to_string();
    let _ = writeln!(page, "\n## `{name}`\n\n```text\n{}\n```", help.trim_end());
    let schema = name.trim_start_matches("ripcord ").replace(' ', "-");
    if schemas().iter().any(|(known, _)| *known == schema) {
        let _ = writeln!(page, "\nWith `--json`: [schemas/{schema}.json](schemas/{schema}.json).");
    }
    for subcommand in command.get_subcommands_mut() {
        command_section(page, subcommand, &name);
    }
}

fn configuration_page() -> String {
    let mut page =
        format!("# Configuration\n\n{GENERATED}\n## The file\n\n```toml\n{DEFAULT_FILE}```\n");
    page.push_str("\n## Environment variables\n\n| variable | meaning |\n|---|---|\n");
    for variable in VARIABLES {
        let _ =
            writeln!(page, "| `{}` | {} |", variable.name.replace(", ", "`, `"), variable.purpose);
    }
    page
}
