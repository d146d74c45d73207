//! How long it takes from a client's leaving until the upstream sees the end of its connection.
//!
//! This program plays the client and the upstream both, so that one clock measures it. The emulator answers for the account.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::server::Server;
use crate::clock::Stopwatch;
use crate::project::Project;
use crate::recipe::Outcome;

const TIMES: usize = 500;
/// What is promised.
const MOST_P99: Duration = Duration::from_millis(50);
/// Whatever takes longer does not come at all.
const PATIENCE: Duration = Duration::from_secs(10);
const EVENT: &str = "data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"}}]}\n\n";

/// What the upstream tells.
enum Heard {
    /// A call came in.
    Call,
    /// Its connection ended.
    End,
}

pub(super) fn measure(project: &Project) -> Outcome {
    let emulator = Server::start(Command::new(project.target.join("release/chutes-emulator")))?;
    let key = emulator.key("pro")?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let upstream = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    let (sender, heard) = channel();
    // It ends with this program.
    let behind = emulator.address.clone();
    std::thread::spawn(move || serve(&listener, &behind, &sender));
    let gateway = Server::gateway(project, &key, &emulator.address, &upstream)?;
    let mut worst = Duration::ZERO;
    for (name, streams) in
        [("a stream, after its first event:", true), ("a plain call, before its answer:", false)]
    {
        let mut times = (0..TIMES)
            .map(|_| leave(&gateway.address, streams, &heard))
            .collect::<Outcome<Vec<Duration>>>()?;
        times.sort_unstable();
        let at = |percent: usize| {
            milliseconds(times[(times.len() * percent / 100).min(times.len() - 1)])
        };
        println!(
            "{name:<34} p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms, of {TIMES}",
            at(50),
            at(99),
            at(100)
        );
        worst = worst.max(times[times.len() * 99 / 100]);
    }
    if worst > MOST_P99 {
        return Err(format!(
            "p99 is {:.1} ms, more than {:.0}",
            milliseconds(worst),
            milliseconds(MOST_P99)
        ));
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// One client that leaves, and how long it takes until the upstream knows.
fn leave(gateway: &str, streams: bool, heard: &Receiver<Heard>) -> Outcome<Duration> {
    let failed = |error: std::io::Error| format!("the client failed: {error}");
    let lost = |what: &str| format!("the upstream did not hear of {what} within {PATIENCE:?}");
    let mut client = TcpStream::connect(gateway).map_err(failed)?;
    client.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let body = format!(
        "{{\"model\":\"deepseek-ai/DeepSeek-V3-Plain\",\"stream\":{streams},\"max_tokens\":1,\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
    );
    write!(
        client,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .map_err(failed)?;
    let Ok(Heard::Call) = heard.recv_timeout(PATIENCE) else {
        let mut buffer = [0; 4_096];
        let read = client.read(&mut buffer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&buffer[..read]);
        return Err(format!("{}; the gateway says: {answer}", lost("the call")));
    };
    if streams {
        let mut answer = String::new();
        let mut buffer = [0; 4_096];
        while !answer.contains("Hello") {
            let read = client.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                return Err(format!("the gateway ended the answer: {answer}"));
            }
            answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
    let stopwatch = Stopwatch::start();
    drop(client);
    match heard.recv_timeout(PATIENCE) {
        Ok(Heard::End) => Ok(stopwatch.read()),
        _ => Err(lost("the client's leaving")),
    }
}

/// The upstream: begins every stream, ends none, answers no plain call. The emulator lists the models.
fn serve(listener: &TcpListener, emulator: &str, sender: &Sender<Heard>) {
    for stream in listener.incoming().flatten() {
        let (emulator, sender) = (emulator.to_owned(), sender.clone());
        std::thread::spawn(move || {
            // Whoever measures has gone, or the connection has.
            let _ = answer(stream, &emulator, &sender);
        });
    }
}

fn answer(mut stream: TcpStream, emulator: &str, sender: &Sender<Heard>) -> std::io::Result<()> {
    let mut request = String::new();
    let mut buffer = [0; 4_096];
    let is_whole = |request: &str| {
        request.ends_with('}') || request.starts_with("GET") && request.ends_with("\r\n\r\n")
    };
    while !is_whole(&request) {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => request.push_str(&String::from_utf8_lossy(&buffer[..read])),
        }
    }
    if request.starts_with("GET") {
        let mut other = TcpStream::connect(emulator)?;
        other.write_all(request.trim_end().as_bytes())?;
        other.write_all(b"\r\nconnection: close\r\n\r\n")?;
        return std::io::copy(&mut other, &mut stream).map(|_| ());
    }
    let streams = request.contains("\"stream\":true");
    let told = sender.send(Heard::Call);
    if streams {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{EVENT}\r\n",
            EVENT.len()
        )?;
    }
    // Returns with the end of the connection, however it ends.
    let _ = stream.read(&mut buffer);
    let _ = told.and_then(|()| sender.send(Heard::End));
    Ok(())
}
