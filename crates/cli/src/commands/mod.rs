//! One file per command. Each reads, decides, and answers with a report that is drawn or printed as JSON.

mod acquire;
pub(crate) mod budget_check;
pub(crate) mod can_complete;
mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod keys;
mod man;
pub(crate) mod model_health;
pub(crate) mod models;
mod one_call;
pub(crate) mod probe;
pub(crate) mod recommend;
mod reference;
pub(crate) mod report;
mod run;
pub(crate) mod sanity;
pub(crate) mod serve;
pub(crate) mod slots;
pub(crate) mod status;
pub(crate) mod usage;
pub(crate) mod wait_for_reset;
pub(crate) mod watch;

use crate::args::{Command, DoctorArguments};
use crate::child;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::session::Session;

/// Runs the command. One that needs nothing that is configured does not prepare, so that a broken configuration does
/// not stop it.
pub(crate) fn run(command: Option<Command>, session: &Session<'_>) -> Result<Exit, CommandError> {
    let printer = session.printer;
    let prepare = || session.prepare();
    if let Some(what) = command.as_ref().and_then(prints_no_report).filter(|_| printer.is_json()) {
        return Err(
            CommandError::usage(format!("{what}, which is no JSON")).hint("leave `--json` away")
        );
    }
    match command {
        None => wait(usage::run_with_next_step(&prepare()?)),
        Some(Command::Status(arguments)) => wait(status::run(&arguments, &prepare()?)),
        Some(Command::Usage(arguments)) => wait(usage::run(&arguments, &prepare()?)),
        Some(Command::Models(arguments)) => wait(models::run(&arguments, &prepare()?)),
        Some(Command::ModelHealth(arguments)) => wait(model_health::run(&arguments, &prepare()?)),
        Some(Command::Recommend(arguments)) => wait(recommend::run(&arguments, &prepare()?)),
        Some(Command::Sanity(arguments)) => wait(sanity::run(&arguments, &prepare()?)),
        Some(Command::Probe(arguments)) => wait(probe::run(&arguments, &prepare()?)),
        Some(Command::BudgetCheck(arguments)) => wait(budget_check::run(&arguments, &prepare()?)),
        Some(Command::CanComplete(arguments)) => wait(can_complete::run(&arguments, &prepare()?)),
        Some(Command::WaitForReset(arguments)) => {
            wait(wait_for_reset::run(&arguments, &prepare()?))
        }
        Some(Command::Report(arguments)) => wait(report::run(&arguments, &prepare()?)),
        Some(Command::Watch(arguments)) => wait(watch::run(&arguments, &prepare()?)),
        Some(Command::Slots) => slots::run(&prepare()?),
        Some(Command::Acquire(arguments)) => wait(acquire::run(&arguments, &prepare()?)),
        Some(Command::Run(arguments)) => wait(run::run(&arguments, &prepare()?)),
        Some(Command::Doctor(DoctorArguments { explain: Some(asked) })) => {
            doctor::explain(&asked, printer)
        }
        Some(Command::Doctor(DoctorArguments { explain: None })) => wait(doctor::run(&prepare()?)),
        Some(Command::Serve(arguments)) => serve::run(&arguments, &prepare()?),
        Some(Command::Explain(arguments)) => wait(explain::run(&arguments, &prepare()?)),
        Some(Command::Keys(arguments)) => keys::run(&arguments, &prepare()?),
        Some(Command::Demo(arguments)) => demo::run(&arguments, printer),
        Some(Command::Init(arguments)) => wait(init::run(&arguments, &session.prepare_to_write()?)),
        Some(Command::Config(arguments)) => config::run(&arguments, session),
        Some(Command::Completions(arguments)) => completions::run(&arguments, printer),
        Some(Command::Man(arguments)) => man::run(&arguments, printer),
        Some(Command::Guard) => Ok(child::guard::run()),
        Some(Command::Foreground { group }) => Ok(child::terminal::run(group)),
        Some(Command::Reference(arguments)) => reference::run(&arguments),
    }
}

/// What a command prints that makes no report.
const fn prints_no_report(command: &Command) -> Option<&'static str> {
    match command {
        Command::Completions(_) => Some("`completions` prints a script for a shell"),
        Command::Man(_) => Some("`man` prints a manual page"),
        Command::Demo(_) => Some("`demo` shows a story to watch"),
        _ => None,
    }
}

/// Runs the work to its end. One thread is enough for a handful of calls, and starts fastest.
fn wait(work: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| CommandError::unknown(format!("could not start: {problem}")))?
        .block_on(work)
}
