//! The `ripcord` program: arguments → settings → one command.
//!
//! | file | holds |
//! |---|---|
//! | `args.rs` | what the user typed |
//! | `settings/` | defaults, file, environment and flags as one set of values with their origins |
//! | `context.rs` | what every command is given |
//! | `printer.rs`, `printer/` | the one owner of output |
//! | `exit.rs`, `error.rs` | how a command ends |
//! | `clock.rs` | the only place that reads a clock |
//! | `accounts.rs` | keys grouped by account |
//! | `upstream.rs` | every question to Chutes |
//! | `catalogue.rs`, `figures.rs`, `verdict.rs` | models, windows and "may I go on?" as JSON and in words |
//! | `commands/` | one file per command |

mod accounts;
mod args;
mod catalogue;
mod clock;
mod commands;
mod context;
mod error;
mod exit;
mod figures;
mod printer;
mod settings;
mod upstream;
mod verdict;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Arguments, ColorChoice, GlobalArguments};
use clock::Clock;
use context::Context;
use error::CommandError;
use exit::Exit;
use printer::moment::Moments;
use printer::text::Text;
use printer::{Device, Printer};
use settings::Settings;
use settings::document::Problem;
use settings::environment::{Environment, ProcessEnvironment, variables};

/// Runs the program: reads the command line, does the work, says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let environment = ProcessEnvironment;
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(problem) => {
            // Help and version end here too, as successes. If nobody reads them, nobody can be told.
            let _ = problem.print();
            return if problem.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    start_log(&environment);
    let early = early_printer(&arguments.global, &environment);
    let outcome = prepare(&arguments.global, &environment, &early)
        .and_then(|context| commands::run(arguments.command, &context));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            early.error(&error);
            error.exit.into()
        }
    }
}

/// Speaks before the settings are known, and when they are not usable.
fn early_printer(arguments: &GlobalArguments, environment: &dyn Environment) -> Printer {
    let device = Device::detect(environment, arguments.color.unwrap_or(ColorChoice::Auto));
    Printer::new(device, arguments.json, Moments::utc())
}

fn prepare(
    arguments: &GlobalArguments,
    environment: &dyn Environment,
    early: &Printer,
) -> Result<Context, CommandError> {
    let clock = match environment.get(variables::RIPCORD_TEST_NOW) {
        None => Clock::System,
        Some(text) => Clock::from_test_setting(&text).ok_or_else(|| {
            CommandError::usage(format!(
                "`{}` is not an RFC 3339 moment",
                variables::RIPCORD_TEST_NOW
            ))
        })?,
    };
    let settings =
        Settings::load(arguments, environment).map_err(|problems| explain(&problems, early))?;
    let moments =
        Moments::in_zone(&settings.output.time_zone.value).map_err(CommandError::usage)?;
    let device = Device::detect(environment, settings.output.color.value);
    let printer = Printer::new(device, arguments.json, moments);
    for warning in &settings.warnings {
        printer.warn(warning);
    }
    Ok(Context::new(settings, printer, clock, arguments.account.clone()))
}

/// All problems of the configuration, one line each, and the error that ends the run.
fn explain(problems: &[Problem], printer: &Printer) -> CommandError {
    for problem in problems {
        let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        printer.talk(
            Text::new()
                .dim(format!("{}: ", problem.place))
                .plain(format!("{}{hint}", problem.message)),
        );
    }
    let count = printer::number::counted(problems.len() as u64, "problem", "problems");
    CommandError::usage(format!("the configuration has {count}"))
        .hint("every key with its default and meaning: docs/reference/configuration.md")
}

/// Logging is for finding out what went wrong: silent unless `RUST_LOG` asks.
fn start_log(environment: &dyn Environment) {
    let Some(filter) = environment.get(variables::RUST_LOG) else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish();
    // Fails only if a subscriber is set already, and this is the only place that sets one.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
