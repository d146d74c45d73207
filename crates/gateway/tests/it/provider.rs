//! A provider that no emulator plays: exact bytes on a socket, when and how a script says, and what came in, and when.
//!
//! Only `POST` is played. Everything else, the list of models above all, is passed on to the emulator behind it.

use chutes_emulator::Scenario;
use parking_lot::Mutex;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens on one connection, in order. At the end of a script the connection is closed with a FIN.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Exactly these bytes, in a write of their own.
    Send(Vec<u8>),
    /// Nothing for so long.
    Pause(Duration),
    /// Nothing more, until the client leaves.
    Stall,
    /// An RST instead of a FIN: everything that was not read yet is lost.
    Reset,
}

/// What one request gets.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What it is called in a table.
    pub(crate) name: String,
    pub(crate) acts: Vec<Act>,
}

/// A request, for whoever has to decide what it gets.
#[derive(Debug)]
pub(crate) struct Asked {
    /// How many requests came before it.
    pub(crate) number: usize,
    /// How many of them came with the same key for the same model.
    pub(crate) number_of_pair: usize,
    /// The account or provider whose key it carries.
    pub(crate) who: String,
    pub(crate) model: String,
    pub(crate) streams: bool,
    pub(crate) body: Value,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The script was played to its end.
    Played,
    /// The client left before.
    ClientLeft,
}

/// A request that came in, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) who: String,
    pub(crate) model: String,
    pub(crate) played: String,
    pub(crate) ended: Option<(End, Instant)>,
}

type Director = dyn Fn(&Asked) -> Script + Send + Sync;

/// The parts that every connection shares.
struct Stage {
    director: Box<Director>,
    seen: Mutex<Vec<Seen>>,
    /// Who answers everything but a `POST`.
    behind: OnceLock<SocketAddr>,
}

/// A server that plays a script for each request.
pub(crate) struct Provider {
    pub(crate) url: String,
    stage: Arc<Stage>,
    _task: JoinSet<()>,
}

// === impl Provider ===

impl Provider {
    /// Plays what `director` says of each request.
    pub(crate) async fn start(director: impl Fn(&Asked) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stage = Arc::new(Stage {
            director: Box::new(director),
            seen: Mutex::default(),
            behind: OnceLock::new(),
        });
        let mut task = JoinSet::new();
        let shared = Arc::clone(&stage);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&shared).serve(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, stage, _task: task }
    }

    /// Whom to ask for everything but a `POST`.
    pub(crate) fn stands_before(&self, emulator: SocketAddr) {
        let _ = self.stage.behind.set(emulator);
    }

    /// The requests so far, in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.stage.seen.lock().clone()
    }

    /// How many requests came.
    pub(crate) fn calls(&self) -> usize {
        self.stage.seen.lock().len()
    }

    /// Whether nobody is connected for an answer any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.stage.seen.lock().iter().all(|seen| seen.ended.is_some())
    }
}

// === impl Stage ===

impl Stage {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        if let Some((head, bytes)) = read_request(&mut stream).await {
            if !head.starts_with("POST ") {
                self.pass_on(&head, stream).await;
                return;
            }
            let (number, script) = self.note(&head, &bytes);
            let end = play(&mut stream, script).await;
            self.seen.lock()[number].ended = Some((end, Instant::now()));
        }
    }

    fn note(&self, head: &str, bytes: &[u8]) -> (usize, Script) {
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let who = who(head);
        let model = body["model"].as_str().unwrap_or_default().to_owned();
        let mut seen = self.seen.lock();
        let of_pair = |one: &&Seen| one.who == who && one.model == model;
        let asked = Asked {
            number: seen.len(),
            number_of_pair: seen.iter().filter(of_pair).count(),
            who: who.clone(),
            streams: body["stream"] == Value::Bool(true),
            model: model.clone(),
            body,
        };
        let script = (self.director)(&asked);
        let played = script.name.clone();
        let at = Instant::now();
        seen.push(Seen { at, who, model, played, ended: None });
        (asked.number, script)
    }

    async fn pass_on(&self, head: &str, mut stream: TcpStream) {
        let Some(&behind) = self.behind.get() else {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
            return;
        };
        let Ok(mut other) = TcpStream::connect(behind).await else { return };
        let head = head.trim_end().to_owned() + "\r\nconnection: close\r\n\r\n";
        if other.write_all(head.as_bytes()).await.is_ok() {
            let _ = tokio::io::copy(&mut other, &mut stream).await;
        }
    }
}

/// Head and body of the next request; `None` when there is none.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at + 4]).into_owned();
            let length = header(&head, "content-length").and_then(|length| length.parse().ok());
            let body = &bytes[at + 4..];
            if body.len() >= length.unwrap_or(0) {
                return Some((head, body.to_vec()));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The owner of the key: one of the accounts of the emulator (a second key with its number), or what `key-of-` is of.
fn who(head: &str) -> String {
    const ACCOUNTS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    let key = header(head, "authorization").unwrap_or_default().trim_start_matches("Bearer ");
    let owns = |name: &&str, number: usize| Scenario::key(name, number) == key;
    for number in 0..3 {
        if let Some(name) = ACCOUNTS.iter().find(|name| owns(name, number)) {
            return if number == 0 { (*name).to_owned() } else { format!("{name}/{number}") };
        }
    }
    key.trim_start_matches("key-of-").to_owned()
}

/// Plays a script, and says whether the client left before its end.
async fn play(stream: &mut TcpStream, script: Script) -> End {
    for act in script.acts {
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return End::ClientLeft;
                }
            }
            Act::Pause(time) => {
                if tokio::time::timeout(time, left(stream)).await.is_ok() {
                    return End::ClientLeft;
                }
            }
            Act::Stall => {
                left(stream).await;
                return End::ClientLeft;
            }
            Act::Reset => {
                let _ = stream.set_zero_linger();
                return End::Played;
            }
        }
    }
    End::Played
}

/// Returns when the client has closed the connection, with or without a word.
async fn left(stream: &mut TcpStream) {
    let mut buffer = [0; 1_024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

// === impl Script ===

impl Script {
    pub(crate) fn new(name: impl Into<String>, acts: Vec<Act>) -> Self {
        Self { name: name.into(), acts }
    }

    /// The same bytes in these pieces, with a moment between them, so that they arrive as such.
    pub(crate) fn pieces(name: &str, pieces: &[Vec<u8>]) -> Self {
        let moment = Act::Pause(Duration::from_millis(2));
        let acts = pieces.iter().flat_map(|piece| [Act::Send(piece.clone()), moment.clone()]);
        Self::new(name, acts.collect())
    }

    /// A whole answer of known length. `head` is the status with the headers behind it.
    pub(crate) fn whole(name: impl Into<String>, head: &str, body: &str) -> Self {
        Self::new(name, vec![Act::Send(whole(head, body))])
    }

    /// With something before all else.
    pub(crate) fn after(mut self, act: Act) -> Self {
        self.acts.insert(0, act);
        self
    }

    /// Called otherwise.
    pub(crate) fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

/// The bytes of an answer of known length.
pub(crate) fn whole(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The head of a stream that ends with the connection.
pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
/// The head of a stream in HTTP chunks, whose end is marked.
pub(crate) const CHUNKED_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// An HTTP chunk.
pub(crate) fn http_chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
