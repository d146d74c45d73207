//! The binary as somebody at a terminal has it.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use crate::world::{Outcome, World};

/// The binary on a terminal of its own, which `script` makes; `None` where there is no such program.
pub(crate) struct Terminal {
    child: Child,
    seen: String,
}

// === impl Terminal ===

impl Terminal {
    /// Runs this line of a shell, to which the binary is `$RIPCORD`.
    pub(crate) fn start(world: &World, line: &str) -> Option<Self> {
        // Elsewhere a program of that name takes other flags.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let inner = world.command(&[]);
        // Signals as a terminal has them: where this test runs in the background they are ignored, and no program below it
        // could hear them. And an end, so that a program that hears nothing fails the test instead of stopping it.
        let mut command = Command::new("env");
        command.env_clear().args(["--default-signal=INT,QUIT,HUP,TERM"]);
        command.args(["timeout", "--foreground", "--signal=KILL", "60"]);
        command.args(["script", "-qec", line, "/dev/null"]);
        for (name, value) in inner.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.env("TERM", "xterm").env("RIPCORD", env!("CARGO_BIN_EXE_ripcord"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        Some(Self { child, seen: String::new() })
    }

    /// Reads until this is seen, after what was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut byte = [0];
        let mut bytes = Vec::new();
        while !bytes.ends_with(text.as_bytes()) {
            let read = self.child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert!(read > 0, "no `{text}` in: {}{}", self.seen, String::from_utf8_lossy(&bytes));
            bytes.push(byte[0]);
        }
        self.seen += &String::from_utf8_lossy(&bytes);
    }

    /// Types this.
    pub(crate) fn send(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// What was seen altogether, when it has ended.
    pub(crate) fn ended(mut self) -> Outcome {
        let mut rest = String::new();
        self.child.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        let code = self.child.wait().unwrap().code().unwrap();
        Outcome { code, stdout: self.seen + &rest, stderr: String::new() }
    }
}
