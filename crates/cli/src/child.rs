//! Runs a command for the user as if it stood alone: its terminal, its signals, its exit code.
//!
//! Signals that somebody sends to `ripcord` are passed on, with two exceptions:
//!
//! * What was ignored when we started stays ignored, for the command, too: `nohup ripcord acquire …` and jobs that a script
//!   starts with `&` live on. Linux tells what is ignored; on other systems the command gets the signal.
//! * What is typed at the terminal (Ctrl-C and the like) reaches the command by itself, and twice would mean something else. We
//!   are not told who sent a signal, so while we are in the foreground of our terminal, an interrupt or a quit counts as typed:
//!   `kill -INT` with the pid of `ripcord` alone is then not passed on. `kill -TERM` always is.

mod calls;
mod group;
pub(crate) mod guard;
pub(crate) mod paused;
pub(crate) mod terminal;

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
    let mut signals = listen(ignored())?;
    let spawned = Command::new(program).args(arguments).envs(environment.iter().copied()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Ok(unstartable(program, &error, printer)),
    };
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| lost(&error))?;
                return Ok(Exit::Child(code(status)));
            }
            kind = next(&mut signals) => pass_on(kind, &child),
        }
    }
}

/// Says why the command cannot be run, and with what code a shell would end.
fn unstartable(program: &OsString, error: &std::io::Error, printer: &Printer) -> Exit {
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such command".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it is not executable".to_owned(),
        _ => error.to_string(),
    };
    let name = program.to_string_lossy();
    printer.error(&CommandError::usage(format!("cannot run `{name}`: {reason}")));
    Exit::Child(code)
}

fn lost(error: &std::io::Error) -> CommandError {
    CommandError::unknown(format!("lost sight of the command: {error}"))
}

/// Listens to the signals that are not among `ignored`.
fn listen(ignored: u64) -> Result<Vec<(SignalKind, Signal)>, CommandError> {
    PASSED_ON
        .into_iter()
        .filter(|kind| ignored & bit(*kind) == 0)
        .map(|kind| Ok((kind, signal(kind)?)))
        .collect::<std::io::Result<_>>()
        .map_err(|error| CommandError::unknown(format!("cannot listen to signals: {error}")))
}

/// The signals that this process ignores, a bit for each. None where the system does not tell: to ask it for one takes
/// `unsafe` code.
fn ignored() -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = told.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The bit of a signal in a mask.
fn bit(kind: SignalKind) -> u64 {
    let number = u32::try_from(kind.as_raw_value()).unwrap_or(0);
    number.checked_sub(1).and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
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

/// Whether our process group is the one that our terminal speaks to, wherever input and output go.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    let group = rustix::process::getpgrp();
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == group)
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
