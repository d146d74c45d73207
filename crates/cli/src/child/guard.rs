//! Lets a stopped process group go on when `ripcord` dies without having done so: a small process that is told through a pipe what
//! is stopped, and whose pipe ends with `ripcord`.
//!
//! Without more a system would do so itself, but roughly: a stopped group that nobody of its session looks after any more is hung up,
//! of which most programs die. So the guard stays in the session, and has a process of its own in the group while that is stopped.

use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::exit::Exit;

/// The hidden command that is the guard.
pub(crate) const COMMAND: &str = "__guard";

/// How long it may take to get ready, also where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it says when it is ready.
const READY: u8 = b'.';

/// The guard as `ripcord` sees it.
#[derive(Debug)]
pub(super) struct Guard {
    process: Child,
    /// Where it says that it is ready.
    said: pipe::Receiver,
}

// === impl Guard ===

impl Guard {
    /// Starts it.
    pub(super) fn start() -> std::io::Result<Self> {
        // In a group of its own: what is typed at the terminal is not meant for it.
        let mut process = start_in(0, Stdio::piped())?;
        let said = process.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(Self { process, said: pipe::Receiver::from_owned_fd(said.into())? })
    }

    /// Whether it still runs.
    pub(super) fn is_there(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells it that the group is about to be stopped, and waits until it is ready for that. After an error the group is not
    /// guarded.
    pub(super) async fn stops(&mut self, group: Pid) -> std::io::Result<()> {
        self.tell(&format!("{}\n", group.as_raw_nonzero()))?;
        tokio::time::timeout(PATIENCE, self.said.read_u8()).await??;
        Ok(())
    }

    /// Tells it that the group goes on.
    pub(super) fn goes_on(&mut self) {
        // Without a guard nothing was stopped.
        let _ = self.tell("0\n");
    }

    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        let pipe = self.process.stdin.as_mut();
        pipe.map_or_else(
            || Err(std::io::ErrorKind::BrokenPipe.into()),
            |pipe| pipe.write_all(line.as_bytes()),
        )
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It ends with its pipe, unless somebody stopped it.
        drop(self.process.stdin.take());
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id.filter(|_| self.is_there()) {
            let _ = rustix::process::kill_process(id, Signal::CONT);
        }
        let _ = self.process.wait();
    }
}

/// This program, also when its file was replaced meanwhile.
pub(super) fn own_program() -> std::io::Result<std::path::PathBuf> {
    let running = std::path::PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// Starts one that is told nothing yet, in the group of that number, or in one of its own for 0.
fn start_in(group: i32, stdout: Stdio) -> std::io::Result<Child> {
    let mut command = Command::new(own_program()?);
    command.arg0("ripcord").arg(COMMAND).process_group(group);
    command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::null()).spawn()
}

/// A stopped group, and the process that keeps it from being hung up, which is a guard that is told nothing.
struct Kept {
    group: Pid,
    anchor: Option<Child>,
}

impl Kept {
    fn keep(group: Pid) -> Self {
        let number = group.as_raw_nonzero().get();
        Self { group, anchor: start_in(number, Stdio::null()).ok() }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(anchor) = &mut self.anchor {
            // It may be stopped, too.
            let _ = anchor.kill();
            let _ = anchor.wait();
        }
    }
}

/// Is the guard: until the pipe ends, which says that `ripcord` has.
pub(crate) fn run() -> Exit {
    let mut kept = None;
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let group = line.trim().parse().ok().and_then(Pid::from_raw);
        kept = group.map(Kept::keep);
        if kept.is_some() {
            // If nobody hears it, the pipe ends, too.
            let _ = std::io::stdout().write_all(&[READY]);
            let _ = std::io::stdout().flush();
        }
    }
    if let Some(kept) = &kept {
        let _ = rustix::process::kill_process_group(kept.group, Signal::CONT);
    }
    drop(kept);
    Exit::Done
}
