//! A command in a process group of its own, so that it can be stopped with all that it started.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
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

    /// How it ended, once it has.
    pub(super) fn end(mut self) -> Result<std::process::ExitStatus, CommandError> {
        self.child.wait().map_err(|error| super::lost(&error))
    }
}
