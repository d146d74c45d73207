//! `--plain`: a fixed short completion or stream as fast as one core can write it, for measuring
//! what stands in front of it. No accounting, no log.
//!
//! hyper's general machinery is most of the cost of so small an answer, so this is a loop of its
//! own: HTTP/1.1 with keep-alive, pipelining, `Content-Length` and chunked request bodies.
//! Everything but a POST takes the ordinary, slower way to the management answers.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    engine::{Answer, Choice},
    inference::{Host, Incoming},
    management,
    quota::Tokens,
    render::{Identity, Kind, events},
    world::World,
};

/// The longest head and the longest body that are read.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const BODY_LIMIT_BYTES: usize = 128 * 1024 * 1024;
/// Answers of pipelined requests are gathered up to here before they are written.
const GATHER_BYTES: usize = 64 * 1024;
const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\ncontent-length: 30\r\n\r\nInvalid HTTP request received.";

/// The bytes of both answers, built once.
#[derive(Debug)]
struct Answers {
    whole: Vec<u8>,
    stream: Vec<u8>,
}

impl Answers {
    fn build() -> Self {
        let pieces = ["Hello", " from", " the", " engine", "."].map(str::to_owned).to_vec();
        let choice = Choice { pieces, finish: "stop", ..Choice::default() };
        let answer = Answer {
            choices: vec![choice],
            tokens: Tokens { prompt: 12, cached: 4, completion: 5, flat_pico: 0 },
        };
        let identity = Identity {
            kind: Kind::Chat,
            fresh: "97d4804fccfa4591da3cb111184e8d70".to_owned(),
            created_seconds: 1_795_174_294,
            model: "deepseek-ai/DeepSeek-V3-Plain".to_owned(),
            running_usage: None,
        };
        let invocation = "x-chutes-invocationid: f005c0b6-46b2-483f-b0f5-2b3f96549bf0\r\n";
        let body = identity.whole(&answer);
        let mut whole = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{invocation}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        whole.extend_from_slice(&body);
        let mut stream = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n{invocation}\
             transfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        let mut chunk = |bytes: &[u8]| {
            stream.extend_from_slice(format!("{:X}\r\n", bytes.len()).as_bytes());
            stream.extend_from_slice(bytes);
            stream.extend_from_slice(b"\r\n");
        };
        for event in events(&answer) {
            chunk(&identity.line(&event));
            chunk(b"\n");
        }
        chunk(b"data: [DONE]\n");
        chunk(b"\n");
        stream.extend_from_slice(b"0\r\n\r\n");
        Self { whole, stream }
    }
}

/// Accepts until the world stops.
pub(crate) async fn run(world: Arc<World>, listener: TcpListener) {
    let answers = Arc::new(Answers::build());
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (world, answers) = (Arc::clone(&world), Arc::clone(&answers));
        let tasks = world.tasks.clone();
        tasks.spawn(async move {
            let stop = world.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                // An error here is the client leaving.
                _ = converse(&world, &answers, stream) => {}
            }
        });
    }
}

async fn converse(world: &World, answers: &Answers, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input: Vec<u8> = Vec::with_capacity(16 * 1024);
    let mut output: Vec<u8> = Vec::with_capacity(16 * 1024);
    loop {
        let mut at = 0;
        let mut last = false;
        loop {
            match parse(&input[at..]) {
                Parsed::Incomplete { wants_continue } => {
                    if wants_continue && output.is_empty() {
                        output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    break;
                }
                Parsed::Invalid => {
                    output.extend_from_slice(BAD_REQUEST);
                    last = true;
                    break;
                }
                Parsed::Request(request) => {
                    let bytes = &input[at..at + request.length];
                    at += request.length;
                    if !request.is_post {
                        ordinary(world, bytes, &mut output);
                    } else if request.streams {
                        output.extend_from_slice(&answers.stream);
                    } else {
                        output.extend_from_slice(&answers.whole);
                    }
                    if request.closes {
                        last = true;
                        break;
                    }
                    if output.len() >= GATHER_BYTES {
                        stream.write_all(&output).await?;
                        output.clear();
                    }
                }
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if last {
            return stream.shutdown().await;
        }
        input.drain(..at);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// The answer of the ordinary emulator, for everything that is no completion.
fn ordinary(world: &World, bytes: &[u8], output: &mut Vec<u8>) {
    let reply = request_of(bytes).map(|incoming| management::serve(world, &incoming));
    let Some(reply) = reply else {
        output.extend_from_slice(BAD_REQUEST);
        return;
    };
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
        reply.status.as_u16(),
        reply.status.canonical_reason().unwrap_or_default(),
        reply.content_type,
        reply.body.len()
    );
    output.extend_from_slice(head.as_bytes());
    if !bytes.starts_with(b"HEAD ") {
        output.extend_from_slice(&reply.body);
    }
}

fn request_of(bytes: &[u8]) -> Option<Incoming> {
    let head = bytes.get(..head_end(bytes)?)?;
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(Incoming {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        host: Host::read(&headers).0,
        slug: None,
        headers,
        body: Bytes::new(),
        body_sha256: String::new(),
    })
}

/// What the bytes at the front of the input are.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Incomplete { wants_continue: bool },
    Invalid,
    Request(Request),
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// Head and body together.
    length: usize,
    is_post: bool,
    streams: bool,
    closes: bool,
}

fn head_end(input: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        // Heads are short and line ends rare: looking for the newline alone is quick.
        let newline = from + input.get(from..)?.iter().position(|&byte| byte == b'\n')?;
        if input.get(newline + 1..newline + 3) == Some(b"\r\n") {
            return Some(newline + 3);
        }
        from = newline + 1;
    }
}

fn parse(input: &[u8]) -> Parsed {
    let Some(head_end) = head_end(input) else {
        return if input.len() > HEAD_LIMIT_BYTES {
            Parsed::Invalid
        } else {
            Parsed::Incomplete { wants_continue: false }
        };
    };
    let (head, rest) = input.split_at(head_end);
    let Some(fields) = Fields::read(head) else { return Parsed::Invalid };
    let wants_continue = fields.wants_continue && rest.is_empty();
    let (body_length, streams) = if fields.is_chunked {
        match chunked(rest) {
            Ok(Some((length, body))) => (length, asks_for_stream(&body)),
            Ok(None) => return Parsed::Incomplete { wants_continue },
            Err(()) => return Parsed::Invalid,
        }
    } else {
        if fields.content_length > BODY_LIMIT_BYTES {
            return Parsed::Invalid;
        }
        let Some(body) = rest.get(..fields.content_length) else {
            return Parsed::Incomplete { wants_continue };
        };
        (body.len(), asks_for_stream(body))
    };
    Parsed::Request(Request {
        length: head_end + body_length,
        is_post: head.starts_with(b"POST "),
        streams,
        closes: fields.closes,
    })
}

/// The header fields that decide where a request ends.
#[derive(Debug, Default)]
struct Fields {
    content_length: usize,
    is_chunked: bool,
    closes: bool,
    wants_continue: bool,
}

impl Fields {
    fn read(head: &[u8]) -> Option<Self> {
        let mut lines = head.split(|&byte| byte == b'\n');
        let first = lines.next()?;
        let mut fields = Self { closes: first.ends_with(b"HTTP/1.0\r"), ..Self::default() };
        if !fields.closes && !first.ends_with(b"HTTP/1.1\r") {
            return None;
        }
        for line in lines {
            match line.first() {
                Some(b'c' | b'C' | b't' | b'T' | b'e' | b'E') => {}
                _ => continue,
            }
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                fields.content_length = std::str::from_utf8(value).ok()?.parse().ok()?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                fields.is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
            } else if name.eq_ignore_ascii_case(b"connection") {
                fields.closes |= value.eq_ignore_ascii_case(b"close");
            } else if name.eq_ignore_ascii_case(b"expect") {
                fields.wants_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        Some(fields)
    }
}

/// A chunked body: how long it is on the wire, and what it says. Nothing while it is not all there.
fn chunked(input: &[u8]) -> Result<Option<(usize, Vec<u8>)>, ()> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(newline) = input[at..].iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let line = input[at..at + newline].trim_ascii();
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let digits = std::str::from_utf8(digits).map_err(|_| ())?;
        let size = usize::from_str_radix(digits, 16).map_err(|_| ())?;
        at += newline + 1;
        if body.len().saturating_add(size) > BODY_LIMIT_BYTES {
            return Err(());
        }
        if size == 0 {
            return trailers(input, at).map(|end| end.map(|end| (end, body)));
        }
        let Some(data) = input.get(at..at + size + 2) else { return Ok(None) };
        let (data, line_end) = data.split_at(size);
        if line_end != b"\r\n" {
            return Err(());
        }
        body.extend_from_slice(data);
        at += size + 2;
    }
}

/// Where the (usually absent) trailer fields end.
fn trailers(input: &[u8], mut at: usize) -> Result<Option<usize>, ()> {
    loop {
        let Some(newline) = input[at..].iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let is_last = input[at..at + newline].trim_ascii().is_empty();
        at += newline + 1;
        if is_last {
            return Ok(Some(at));
        }
    }
}

/// Whether the body holds `"stream":true`, with or without spaces.
fn asks_for_stream(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"stream\"";
    let mut rest = body;
    while let Some(quote) = rest.iter().position(|&byte| byte == b'"') {
        rest = &rest[quote..];
        if let Some(behind) = rest.strip_prefix(NAME) {
            let behind = behind.trim_ascii_start();
            if let Some(value) = behind.strip_prefix(b":") {
                return value.trim_ascii_start().starts_with(b"true");
            }
        }
        rest = &rest[1..];
    }
    false
}
