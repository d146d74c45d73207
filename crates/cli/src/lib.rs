//! The `ripcord` program: arguments → settings → one command.
//!
//! | file | holds |
//! |---|---|
//! | `args.rs` | what the user typed |
//! | `settings/` | defaults, file, environment and flags as one set of values with their origins |
//! | `session.rs`, `context.rs` | what a run is given, and what every command is given once the settings are read |
//! | `printer.rs`, `printer/` | the one owner of output |
//! | `exit.rs`, `error.rs` | how a command ends |
//! | `clock.rs` | the only place that reads a clock |
//! | `accounts.rs` | keys grouped by account |
//! | `slots.rs`, `child.rs`, `child/` | the machine's slots, and a command that runs while one is held, or stands still without budget |
//! | `upstream.rs` | every question to Chutes |
//! | `waiting.rs`, `allowance.rs` | waiting for budget, for `wait-for-reset` and `run`; and whether there still is some |
//! | `catalogue.rs`, `figures.rs`, `verdict.rs` | models, windows and "may I go on?" as JSON and in words |
//! | `hooks/` | programs and addresses that are told of events |
//! | `recipes.rs`, `recipes/` | how clients are set up |
//! | `troubleshooting.rs` | `docs/TROUBLESHOOTING.md`, looked up by what a user sees |
//! | `commands/` | one file per command |

mod accounts;
mod allowance;
mod args;
mod catalogue;
mod child;
mod clock;
mod commands;
mod context;
mod error;
mod exit;
mod exposure;
mod figures;
mod hooks;
mod ledger;
mod own_use;
mod prices;
mod printer;
mod recipes;
mod session;
mod settings;
mod slots;
mod troubleshooting;
mod upstream;
mod verdict;
mod waiting;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use args::{Arguments, ColorChoice, GlobalArguments};
use error::CommandError;
use exit::Exit;
use printer::moment::Moments;
use printer::{Device, Printer};
use session::Session;
use settings::environment::{Environment, ProcessEnvironment, variables};

/// Runs the program: reads the command line, does the work, says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let environment = ProcessEnvironment;
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(problem) => {
            return refuse(&problem, &environment);
        }
    };
    // A server says what it does; a command says its answer.
    let usual_log =
        matches!(arguments.command, Some(args::Command::Serve(_))).then_some(SERVER_LOG);
    start_log(&environment, usual_log);
    let early = early_printer(&arguments.global, &environment);
    let session =
        Session { arguments: &arguments.global, environment: &environment, printer: &early };
    let outcome = commands::run(arguments.command, &session);
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            early.error(&error);
            error.exit.into()
        }
    }
}

/// Prints what clap has to say: help and version, which are successes, or what is wrong with the arguments.
fn refuse(problem: &clap::Error, environment: &dyn Environment) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let arguments = GlobalArguments { json, ..GlobalArguments::default() };
    let printer = early_printer(&arguments, environment);
    let (device, text) = (printer.device(), problem.render());
    if problem.use_stderr() {
        if json {
            let text = text.to_string();
            let message = text.trim().trim_start_matches("error: ");
            printer.error(&CommandError::usage(message));
            return Exit::Usage.into();
        }
        let text = if device.error_color { text.ansi().to_string() } else { text.to_string() };
        printer.talk_rendered(text.trim_end());
        return Exit::Usage.into();
    }
    let text = if device.color { text.ansi().to_string() } else { text.to_string() };
    match printer.write(&text) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            printer.error(&error);
            error.exit.into()
        }
    }
}

fn early_printer(arguments: &GlobalArguments, environment: &dyn Environment) -> Printer {
    let device = Device::detect(environment, arguments.color.unwrap_or(ColorChoice::Auto));
    Printer::new(device, arguments.json, Moments::utc())
}

/// What `serve` logs: what rests and why, and what is wrong.
const SERVER_LOG: &str = "warn,ripcord_gateway=info";

/// Logging is for finding out what went wrong: beyond `usual`, silent unless `RUST_LOG` asks.
fn start_log(environment: &dyn Environment, usual: Option<&str>) {
    let asked = environment.get(variables::RUST_LOG);
    let Some(filter) = asked.as_deref().or(usual) else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish();
    // Fails only if a subscriber is set already, and this is the only place that sets one.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
