//! A command in a process group of its own, so that it can be stopped with all that it started.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::error::CommandError;

/// A running command, the leader of its process group.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    leader: Pid,
}

/// What became of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It has ended, and is kept until [`Group::end`], so that nobody else gets its number meanwhile.
    Ended,
    /// It was stopped by this signal.
    Stopped(i32),
    /// It goes on.
    Continued,
}

// === impl Group ===

impl Group {
    /// Starts the command with these extra environment variables.
    pub(super) fn start(
        program: &OsString,
        arguments: &[OsString],
        environment: &[(&str, &str)],
    ) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied()).process_group(0);
        let child = command.spawn()?;
        let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let leader = leader.ok_or_else(|| std::io::Error::other("it has no number"))?;
        Ok(Self { child, leader })
    }

    /// The number of the group.
    pub(super) const fn id(&self) -> Pid {
        self.leader
    }

    /// Sends it to every process of the group. It may have ended in this moment.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.leader, signal);
    }

    /// Sends it to the command alone.
    pub(super) fn signal_leader(&self, signal: Signal) {
        let _ = rustix::process::kill_process(self.leader, signal);
    }

    /// What happened to the command since this was asked last.
    pub(super) fn change(&self) -> Option<Change> {
        let ask = |options| {
            waitid(WaitId::Pid(self.leader), options | WaitIdOptions::NOHANG).ok().flatten()
        };
        if ask(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).is_some() {
            return Some(Change::Ended);
        }
        let status = ask(WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED)?;
        if status.continued() {
            return Some(Change::Continued);
        }
        status.stopping_signal().map(Change::Stopped)
    }

    /// Whether a stop that was sent neither waits for the leader nor holds it. Then it was heard of, or else somebody let the group
    /// go on before the leader had it: one that waits for what it starts (`vfork`) has no signal until that runs, which is stopped,
    /// and a stop that is taken back so is told to nobody. `false` where the system does not tell.
    pub(super) fn has_no_stop(&self) -> bool {
        let process = Path::new("/proc").join(self.leader.to_string());
        let status = std::fs::read_to_string(process.join("status")).ok();
        // In this order: a stop that does not wait any more holds a thread at once.
        let is_waiting = status.as_deref().and_then(|status| is_pending(status, Signal::STOP));
        is_waiting == Some(false) && !is_held(&process).unwrap_or(true)
    }

    /// How it ended, once it has.
    pub(super) fn end(mut self) -> Result<std::process::ExitStatus, CommandError> {
        self.child.wait().map_err(|error| super::lost(&error))
    }
}

/// Whether a signal that was sent to the process waits for it, by its `/proc/…/status`.
fn is_pending(status: &str, signal: Signal) -> Option<bool> {
    let set = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"))?;
    let set = u64::from_str_radix(set.trim(), 16).ok()?;
    let bit = u32::try_from(signal.as_raw()).ok()?.checked_sub(1)?;
    Some(set.checked_shr(bit)? & 1 == 1)
}

/// Whether a thread of the process is stopped, or held by who traces it.
fn is_held(process: &Path) -> Option<bool> {
    let threads = std::fs::read_dir(process.join("task")).ok()?.flatten();
    let is_held = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let (_, fields) = status.rsplit_once(')')?;
        Some(fields.trim_start().starts_with(['T', 't']))
    };
    Some(threads.filter_map(is_held).any(|is_held| is_held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_waits_is_told_from_others() {
        let status = |set: &str| format!("Name:\tsh\nSigPnd:\t0000000000040000\nShdPnd:\t{set}\n");
        let stop = Signal::STOP;
        if stop.as_raw() != 19 {
            return;
        }
        assert_eq!(is_pending(&status("0000000000050000"), stop), Some(true));
        assert_eq!(is_pending(&status("0000000000030000"), stop), Some(false));
        assert_eq!(is_pending("Name:\tsh\n", stop), None);
    }
}
