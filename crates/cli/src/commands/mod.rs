//! One file per command. Each reads, decides, and answers with a report that is drawn or printed as JSON.

pub(crate) mod budget_check;
pub(crate) mod can_complete;
pub(crate) mod demo;
pub(crate) mod doctor;
mod elsewhere;
pub(crate) mod model_health;
pub(crate) mod models;
mod reference;
pub(crate) mod sanity;
mod serve;
pub(crate) mod status;
pub(crate) mod usage;
pub(crate) mod wait_for_reset;

use crate::args::Command;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(command: Option<Command>, context: &Context) -> Result<Exit, CommandError> {
    if let Some(Command::Reference(arguments)) = &command {
        return reference::run(arguments);
    }
    if let Some(Command::Serve(arguments)) = &command {
        return serve::run(arguments, context);
    }
    // One thread is enough for a handful of calls, and starts fastest.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| CommandError::unknown(format!("could not start: {problem}")))?;
    runtime.block_on(report(command, context))
}

async fn report(command: Option<Command>, context: &Context) -> Result<Exit, CommandError> {
    match command {
        None => usage::run_with_next_step(context).await,
        Some(Command::Status(arguments)) => status::run(&arguments, context).await,
        Some(Command::Usage(arguments)) => usage::run(&arguments, context).await,
        Some(Command::Models(arguments)) => models::run(&arguments, context).await,
        Some(Command::ModelHealth(arguments)) => model_health::run(&arguments, context).await,
        Some(Command::Sanity(arguments)) => sanity::run(&arguments, context).await,
        Some(Command::BudgetCheck(arguments)) => budget_check::run(&arguments, context).await,
        Some(Command::CanComplete(arguments)) => can_complete::run(&arguments, context).await,
        Some(Command::WaitForReset(arguments)) => wait_for_reset::run(&arguments, context).await,
        Some(Command::Doctor) => doctor::run(context).await,
        Some(Command::Serve(arguments)) => serve::run(&arguments, context),
        Some(Command::Demo(arguments)) => demo::run(&arguments, &context.printer),
        Some(Command::Reference(arguments)) => reference::run(&arguments),
    }
}
