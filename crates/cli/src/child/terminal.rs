//! Whose turn the terminal is: the command's while it runs, `ripcord`'s while it is stopped, so that Ctrl-C, Ctrl-Z and `fg` work.

use std::fs::File;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getpgrp};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

use super::guard::own_program;
use crate::exit::Exit;

/// The hidden command that takes a terminal back.
pub(crate) const COMMAND: &str = "__foreground";

/// A system stops a program of the background that takes the terminal, unless it ignores the signal for that. To ignore one takes
/// `unsafe` code, or a shell.
const IGNORING: &str = "trap '' TTOU && exec \"$0\" \"$@\"";

/// The terminal that `ripcord` was started on.
#[derive(Debug)]
pub(super) struct Terminal {
    device: File,
    own: Pid,
    /// How it was set before the command.
    modes: Option<Termios>,
    /// How the command had set it when it was stopped.
    modes_of_command: Option<Termios>,
    is_given: bool,
}

// === impl Terminal ===

impl Terminal {
    /// The terminal, if it speaks to us.
    pub(super) fn of_foreground() -> Option<Self> {
        let device = File::open("/dev/tty").ok()?;
        let modes = tcgetattr(&device).ok();
        let terminal =
            Self { device, own: getpgrp(), modes, modes_of_command: None, is_given: false };
        terminal.is_ours().then_some(terminal)
    }

    /// Whether the command has it.
    pub(super) const fn is_given(&self) -> bool {
        self.is_given
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.device).is_ok_and(|foreground| foreground == self.own)
    }

    /// Hands it to the command, if it is ours: after `bg` it is the shell's.
    pub(super) fn give(&mut self, group: Pid) {
        if !self.is_ours() {
            return;
        }
        if let Some(modes) = self.modes_of_command.take() {
            let _ = tcsetattr(&self.device, OptionalActions::Drain, &modes);
        }
        self.is_given = tcsetpgrp(&self.device, group).is_ok();
    }

    /// Takes it back from the command, and sets it as it was before unless the command ended as it wanted.
    pub(super) fn take_back(&mut self, and_reset: bool) {
        if !std::mem::take(&mut self.is_given) {
            return;
        }
        if !self.is_ours() {
            let Ok(program) = own_program() else { return };
            let own = self.own.as_raw_nonzero().to_string();
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", IGNORING]).arg(program).args([COMMAND, &own]);
            let _ = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        if and_reset && self.is_ours() {
            self.modes_of_command = tcgetattr(&self.device).ok();
            if let Some(modes) = &self.modes {
                let _ = tcsetattr(&self.device, OptionalActions::Drain, modes);
            }
        }
    }

    /// Forgets that it was given: somebody else has it now.
    pub(super) const fn was_taken(&mut self) {
        self.is_given = false;
    }
}

/// Stops the programs of our own group, as Ctrl-Z would have without a group of the command's own. Has no effect where no shell
/// could let them go on.
pub(super) fn stop_ourselves() {
    let _ = rustix::process::kill_current_process_group(Signal::TSTP);
}

/// Tells the programs of our own group what was typed while the command had the terminal.
pub(super) fn tell_ourselves(signal: Signal) {
    let _ = rustix::process::kill_current_process_group(signal);
}

/// Makes this process group the one that the terminal speaks to.
pub(crate) fn run(group: i32) -> Exit {
    let done = File::open("/dev/tty")
        .ok()
        .zip(Pid::from_raw(group))
        .is_some_and(|(device, group)| tcsetpgrp(&device, group).is_ok());
    if done { Exit::Done } else { Exit::Unknown }
}
