//! Questions on the terminal. What is typed as a key is not shown, and the terminal is as before afterwards, also where
//! Ctrl-C or a signal ends the run.

use std::io::{self, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::signal::unix::{SignalKind, signal};

/// A paste of several keys fits; more is a mistake.
const LONGEST: usize = 8 * 1024;

const CONTROL_C: u8 = 0x03;
const CONTROL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CONTROL_U: u8 = 0x15;
const ESCAPE: u8 = 0x1b;
const CONTROL_BACKSLASH: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// What came of a question.
#[derive(PartialEq, Eq)]
pub(super) enum Typed {
    Text(String),
    /// Ctrl-C, Ctrl-D, or the end of the input.
    Cancelled,
}

/// The terminal as it was, put back when dropped.
struct Silence {
    before: Termios,
}

// === impl Silence ===

impl Silence {
    /// No echo, and every key as it is pressed: so Ctrl-C is a character, and cannot leave the terminal silent.
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Fails only if the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        let _ = io::stderr().write_all(b"\n");
    }
}

/// Does the work, unless a signal ends the run before it is done: `None` then, and the work is dropped, which puts the
/// terminal back.
pub(super) async fn unless_ended<T>(work: impl Future<Output = T>) -> io::Result<Option<T>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        done = work => Some(done),
        _ = interrupt.recv() => None,
        _ = quit.recv() => None,
        _ = terminate.recv() => None,
        _ = hangup.recv() => None,
    })
}

/// Reads from the keyboard on a thread of its own, since nothing else can leave such a read. If the run ends first, the
/// thread ends with the process.
async fn heard<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (teller, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
        // Nobody listens any more where the run has ended.
        let _ = teller.send(read());
    })?;
    answer.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// Asks for something secret.
pub(super) async fn secret(question: &str) -> io::Result<Typed> {
    let silence = Silence::begin()?;
    prompt(question)?;
    let typed = heard(|| read_secret(io::stdin().lock())).await;
    drop(silence);
    typed
}

/// Asks a question whose answer is yes or no; anything else is a no. `None` if somebody leaves. Nothing that is typed is
/// shown but the answer as it was understood: some paste a key here.
pub(super) async fn yes(question: &str, usual: bool) -> io::Result<Option<bool>> {
    let choice = if usual { "Y/n" } else { "y/N" };
    let silence = Silence::begin()?;
    prompt(&format!("{question} [{choice}] "))?;
    let Typed::Text(answer) = heard(|| read_secret(io::stdin().lock())).await? else {
        return Ok(None);
    };
    let is_yes = match answer.trim().to_lowercase().as_str() {
        "" => usual,
        answer => answer == "y" || answer == "yes",
    };
    prompt(if is_yes { "yes" } else { "no" })?;
    drop(silence);
    Ok(Some(is_yes))
}

fn prompt(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()
}

fn read_secret(keyboard: impl io::BufRead) -> io::Result<Typed> {
    let mut typed = Vec::new();
    let mut bytes = keyboard.bytes();
    while let Some(byte) = bytes.next() {
        match byte? {
            b'\n' | b'\r' => return Ok(Typed::Text(String::from_utf8_lossy(&typed).into_owned())),
            CONTROL_C | CONTROL_BACKSLASH => return Ok(Typed::Cancelled),
            CONTROL_D if typed.is_empty() => return Ok(Typed::Cancelled),
            BACKSPACE | DELETE => {
                typed.pop();
            }
            CONTROL_U => typed.clear(),
            ESCAPE => skip_sequence(&mut bytes)?,
            byte if byte >= b' ' && typed.len() < LONGEST => typed.push(byte),
            _ => {}
        }
    }
    Ok(Typed::Cancelled)
}

/// Arrow keys, and the marks around a paste: up to the letter or `~` that ends them.
fn skip_sequence(bytes: &mut impl Iterator<Item = io::Result<u8>>) -> io::Result<()> {
    if bytes.next().transpose()? != Some(b'[') {
        return Ok(());
    }
    while let Some(byte) = bytes.next().transpose()? {
        if byte.is_ascii_alphabetic() || byte == b'~' {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keyboard: &[u8]) -> Option<String> {
        match read_secret(keyboard).unwrap() {
            Typed::Text(text) => Some(text),
            Typed::Cancelled => None,
        }
    }

    #[test]
    fn what_is_typed_is_read_with_its_corrections() {
        assert_eq!(typed(b"cpk_ax\x7fb\n").as_deref(), Some("cpk_ab"));
        assert_eq!(typed(b"wrong\x15right\r").as_deref(), Some("right"));
        assert_eq!(typed(b"\x1b[200~pasted\x1b[201~\n").as_deref(), Some("pasted"));
        assert_eq!(typed(b"a\x1b[Db\n").as_deref(), Some("ab"));
    }

    #[test]
    fn leaving_is_no_answer() {
        for keyboard in [&b"half\x03"[..], b"\x04", b"half"] {
            assert_eq!(typed(keyboard), None);
        }
    }
}
