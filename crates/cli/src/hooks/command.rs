//! A program that is told of an event by its standard input. No shell, a process group of its own, a limit.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ripcord_gateway::EventReport;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{SAID_BYTES, Told, said};
use crate::clock::Clock;

/// From the request to end until it is ended.
const GRACE: Duration = Duration::from_secs(2);
/// What a program has left running may hold its output open; nobody waits for that.
const AFTER_THE_END: Duration = Duration::from_millis(200);

/// Runs the program with the event as one line of JSON on its standard input. Dropping the future ends it with all that
/// it has started.
pub(super) async fn run(
    words: &[String],
    event: &EventReport,
    timeout: Duration,
    clock: Clock,
) -> Told {
    let Some((program, arguments)) = words.split_first() else {
        return Told::failed("there is no program to run");
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(variables(event))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Told::failed(format!("there is no program `{program}`"));
        }
        Err(error) => return Told::failed(format!("`{program}` cannot be run: {error}")),
    };
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let mut output = Output::default();
    let ended = tokio::select! {
        ended = attend(&mut child, event, &mut output) => Some(ended),
        () = clock.sleep(timeout) => None,
    };
    let said = output.said();
    let Some(ended) = ended else {
        group.end(&mut child).await;
        let answer = format!("it was still running after {} s and was ended", timeout.as_secs());
        return Told { taken: false, answer, said };
    };
    group.leave();
    let (taken, answer) = match ended {
        Ok(status) => (status.success(), how_it_ended(status)),
        Err(error) => (false, format!("lost sight of it: {error}")),
    };
    Told { taken, answer, said }
}

/// The beginnings of what a program said.
#[derive(Default)]
struct Output {
    told: Vec<u8>,
    complained: Vec<u8>,
}

// === impl Output ===

impl Output {
    fn said(mut self) -> String {
        self.told.append(&mut self.complained);
        said(&self.told)
    }
}

/// Feeds it and reads what it says until it ends.
async fn attend(
    child: &mut Child,
    event: &EventReport,
    output: &mut Output,
) -> std::io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut line = serde_json::to_string(event).unwrap_or_default();
    line.push('\n');
    let feed = async {
        // One that reads nothing may be gone already.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(line.as_bytes()).await;
        }
    };
    let Output { told, complained } = output;
    let mut listen = Box::pin(async {
        tokio::join!(feed, keep(stdout, told), keep(stderr, complained));
    });
    let mut is_silent = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut listen, if !is_silent => is_silent = true,
        }
    };
    if !is_silent {
        let _ = tokio::time::timeout(AFTER_THE_END, &mut listen).await;
    }
    status
}

/// Reads to the end, and keeps the beginning: one that cannot write would hang.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let room = SAID_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// For programs that show a line and read no JSON.
fn variables(event: &EventReport) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        ("RIPCORD_EVENT", event.kind.clone()),
        ("RIPCORD_EVENT_ID", event.id.clone()),
        ("RIPCORD_EVENT_TEXT", event.text.clone()),
        ("RIPCORD_EVENT_ACCOUNT", text(&event.account)),
        ("RIPCORD_EVENT_WINDOW", text(&event.window)),
        ("RIPCORD_EVENT_MODEL", text(&event.model)),
    ]
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it ended".to_owned(),
    }
}

/// The program's process group, ended when this is dropped.
struct Group(Option<Pid>);

// === impl Group ===

impl Group {
    /// It has ended by itself; what it left running was meant to stay.
    fn leave(mut self) {
        self.0 = None;
    }

    /// Asks it to end, then ends it.
    async fn end(mut self, child: &mut Child) {
        self.signal(Signal::TERM);
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
        // Also where the program is gone: what it started may not be.
        self.signal(Signal::KILL);
        self.0 = None;
        let _ = child.wait().await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may have ended in this moment.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
