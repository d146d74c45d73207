//! Lets a stopped process group go on when `ripcord` dies without having done so: a small process that is told through a pipe what
//! is stopped, and whose pipe ends with `ripcord`.
//!
//! Without more a system would do so itself, but roughly: a stopped group that nobody of its session looks after any more is hung up,
//! of which most programs die. So the guard stays in the session, and has a process of its own in the group while that is stopped.

use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::exit::Exit;

/// The hidden command that is the guard.
pub(crate) const COMMAND: &str = "__guard";

/// The guard as `ripcord` sees it.
#[derive(Debug)]
pub(super) struct Guard {
    process: Child,
}

// === impl Guard ===

impl Guard {
    /// Starts it.
    pub(super) fn start() -> std::io::Result<Self> {
        // In a group of its own: what is typed at the terminal is not meant for it.
        Ok(Self { process: start_in(0)? })
    }

    /// Tells it that the group is about to be stopped. After an error it is not guarded.
    pub(super) fn stops(&mut self, group: Pid) -> std::io::Result<()> {
        self.tell(&format!("{}\n", group.as_raw_nonzero()))
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
        // It ends with its pipe.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// This program, also when its file was replaced meanwhile.
pub(super) fn own_program() -> std::io::Result<std::path::PathBuf> {
    let running = std::path::PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// Starts one that is told nothing yet, in the group of that number, or in one of its own for 0.
fn start_in(group: i32) -> std::io::Result<Child> {
    let mut command = Command::new(own_program()?);
    command.arg0("ripcord").arg(COMMAND).process_group(group);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// A stopped group, and the process that keeps it from being hung up, which is a guard that is told nothing.
struct Kept {
    group: Pid,
    anchor: Option<Child>,
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
        kept =
            group.map(|group| Kept { group, anchor: start_in(group.as_raw_nonzero().get()).ok() });
    }
    if let Some(kept) = &kept {
        let _ = rustix::process::kill_process_group(kept.group, Signal::CONT);
    }
    drop(kept);
    Exit::Done
}
