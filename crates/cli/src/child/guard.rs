//! Lets a stopped process group go on when `ripcord` dies without having done so: a small process in a session of its own, which
//! is told through a pipe what is stopped, and whose pipe ends with `ripcord`.

use std::io::{BufRead as _, Write as _};
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
        let mut command = Command::new(own_program()?);
        command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { process: command.spawn()? })
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

/// Is the guard: until the pipe ends, which says that `ripcord` has.
pub(crate) fn run() -> Exit {
    // What is typed at the terminal is not meant for it.
    let _ = rustix::process::setsid();
    let mut stopped = None;
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        stopped = line.trim().parse().ok().and_then(Pid::from_raw);
    }
    if let Some(group) = stopped {
        let _ = rustix::process::kill_process_group(group, Signal::CONT);
    }
    Exit::Done
}
