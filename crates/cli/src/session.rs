//! One run of the program, before anything was configured: commands that need the configuration ask for it.

use crate::args::GlobalArguments;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::CommandError;
use crate::printer::moment::Moments;
use crate::printer::{Device, Printer, number};
use crate::settings::document::Problem;
use crate::settings::environment::{Environment, variables};
use crate::settings::{MissingFile, Settings};

/// What the process was given.
#[derive(Clone, Copy)]
pub(crate) struct Session<'p> {
    pub(crate) arguments: &'p GlobalArguments,
    pub(crate) environment: &'p dyn Environment,
    /// Speaks before the settings are known, and when they are not usable.
    pub(crate) printer: &'p Printer,
}

// === impl Session ===

impl Session<'_> {
    /// Reads the configuration.
    pub(crate) fn prepare(&self) -> Result<Context, CommandError> {
        self.prepare_with(MissingFile::IsAProblem)
    }

    /// Reads the configuration, for a command that may write the file.
    pub(crate) fn prepare_to_write(&self) -> Result<Context, CommandError> {
        self.prepare_with(MissingFile::IsFine)
    }

    /// The clock of this run.
    pub(crate) fn clock(&self) -> Result<Clock, CommandError> {
        match self.environment.get(variables::RIPCORD_TEST_NOW) {
            None => Ok(Clock::System),
            Some(text) => Clock::from_test_setting(&text).ok_or_else(|| {
                CommandError::usage(format!(
                    "`{}` is not an RFC 3339 moment",
                    variables::RIPCORD_TEST_NOW
                ))
            }),
        }
    }

    fn prepare_with(&self, missing: MissingFile) -> Result<Context, CommandError> {
        let clock = self.clock()?;
        let (settings, problems) = Settings::read(self.arguments, self.environment, missing);
        if !problems.is_empty() {
            return Err(explain(problems));
        }
        let moments =
            Moments::in_zone(&settings.output.time_zone.value).map_err(CommandError::usage)?;
        let device = Device::detect(self.environment, settings.output.color.value);
        let printer = Printer::new(device, self.arguments.json, moments);
        for warning in &settings.warnings {
            printer.warn(warning);
        }
        let zone = self.environment.get(variables::TZ).unwrap_or_default();
        let local = settings.output.time_zone.value.eq_ignore_ascii_case("local");
        if local && !zone.is_empty() && Moments::machine_is_nowhere() {
            printer.warn("`TZ` names no time zone that is known here; times are shown in UTC");
        }
        Ok(Context::new(settings, printer, clock, self.arguments.account.clone()))
    }
}

/// All problems of the configuration as the error that ends the run.
fn explain(problems: Vec<Problem>) -> CommandError {
    let told = |problem: Problem| {
        let hint = problem.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}: {}{hint}", problem.place, problem.message)
    };
    let count = number::counted(problems.len() as u64, "problem", "problems");
    let mut error = CommandError::usage(format!("the configuration has {count}"))
        .hint("every key with its default and meaning: docs/reference/configuration.md")
        .see("configuration");
    error.details = in_order(problems).into_iter().map(told).collect();
    error
}

/// Problems in the order in which they stand in the file, those of variables last.
pub(crate) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.line().unwrap_or(usize::MAX));
    problems
}
