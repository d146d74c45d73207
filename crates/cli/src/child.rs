//! Runs a command for the user as if it stood alone: its terminal, its signals, its exit code.

use std::ffi::OsString;
use std::process::ExitStatus;

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::Printer;

/// The signals that somebody may send to `ripcord` and mean the command.
const PASSED_ON: [SignalKind; 7] = [
    SignalKind::interrupt(),
    SignalKind::quit(),
    SignalKind::terminate(),
    SignalKind::hangup(),
    SignalKind::user_defined1(),
    SignalKind::user_defined2(),
    SignalKind::window_change(),
];

/// Runs the command with these extra environment variables, and ends as it ends: with its exit code, 128 and the
/// signal's number if a signal ended it, 127 if it is not found, 126 if it cannot be run.
pub(crate) async fn run(
    command: &[OsString],
    environment: &[(&str, &str)],
    printer: &Printer,
) -> Result<Exit, CommandError> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(CommandError::usage("there is no command to run"));
    };
    // Before it starts, so that no signal finds only us.
    let mut signals = listen()?;
    let spawned = Command::new(program).args(arguments).envs(environment.iter().copied()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such command".to_owned(),
                std::io::ErrorKind::PermissionDenied => "it is not executable".to_owned(),
                _ => error.to_string(),
            };
            let name = program.to_string_lossy();
            printer.error(&CommandError::usage(format!("cannot run `{name}`: {reason}")));
            return Ok(Exit::Child(code));
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| {
                    CommandError::unknown(format!("lost sight of the command: {error}"))
                })?;
                return Ok(Exit::Child(code(status)));
            }
            kind = next(&mut signals) => pass_on(kind, &child),
        }
    }
}

fn listen() -> Result<Vec<(SignalKind, Signal)>, CommandError> {
    PASSED_ON
        .into_iter()
        .map(|kind| Ok((kind, signal(kind)?)))
        .collect::<std::io::Result<_>>()
        .map_err(|error| CommandError::unknown(format!("cannot listen to signals: {error}")))
}

/// The next signal of any kind.
async fn next(signals: &mut [(SignalKind, Signal)]) -> SignalKind {
    std::future::poll_fn(|context| {
        for (kind, signal) in &mut *signals {
            if signal.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*kind);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn pass_on(kind: SignalKind, child: &Child) {
    // What is typed at the terminal reaches the command by itself, and twice would mean something else.
    let is_typed = matches!(kind, k if k == SignalKind::interrupt() || k == SignalKind::quit() || k == SignalKind::window_change());
    if is_typed && in_foreground() {
        return;
    }
    let Some(process) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
    let (Some(process), Some(signal)) = (
        rustix::process::Pid::from_raw(process),
        rustix::process::Signal::from_named_raw(kind.as_raw_value()),
    ) else {
        return;
    };
    // It may have ended in this moment.
    let _ = rustix::process::kill_process(process, signal);
}

/// Whether our process group is the one that the terminal speaks to.
fn in_foreground() -> bool {
    let group = rustix::process::getpgrp();
    let terminal = std::io::stdin();
    rustix::termios::tcgetpgrp(&terminal)
        .or_else(|_| rustix::termios::tcgetpgrp(std::io::stderr()))
        .is_ok_and(|foreground| foreground == group)
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
