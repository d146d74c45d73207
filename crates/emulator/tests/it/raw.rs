//! A client that shows what is on the wire: every chunk, and how the connection ended.

use std::io;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawEnd {
    Complete,
    /// A FIN before the end.
    Closed,
    /// An RST before the end.
    Reset,
}

/// An answer as it was on the wire.
#[derive(Debug, Clone)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) end: RawEnd,
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of every `data:` line.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }

    /// The text of the first choice of a stream.
    pub(crate) fn streamed_text(&self) -> String {
        self.events()
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect()
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct RawConnection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl RawConnection {
    pub(crate) async fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.push_str("host: 127.0.0.1\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Reads more; false at the end of the connection.
    async fn more(&mut self) -> Result<bool, io::Error> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Reads until the connection is over.
    pub(crate) async fn end(&mut self) -> RawEnd {
        loop {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return RawEnd::Closed,
                Err(_) => return RawEnd::Reset,
            }
        }
    }

    /// Reads until at least this many events of a stream have come.
    pub(crate) async fn events(&mut self, count: usize) {
        loop {
            let seen = self.buffer.windows(6).filter(|bytes| bytes == b"data: ").count();
            if seen >= count || !self.more().await.unwrap() {
                return;
            }
        }
    }

    /// Reads until this text has come.
    pub(crate) async fn text(&mut self, expected: &str) {
        while !String::from_utf8_lossy(&self.buffer).contains(expected) {
            assert!(self.more().await.unwrap(), "{}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// Reads and drops exactly these bytes.
    pub(crate) async fn until(&mut self, expected: &[u8]) {
        while self.buffer.len() < expected.len() {
            assert!(self.more().await.unwrap());
        }
        let found: Vec<u8> = self.buffer.drain(..expected.len()).collect();
        assert_eq!(found, expected);
    }

    /// Reads one answer, as far as it comes; nothing when not even a status line does.
    pub(crate) async fn answer(&mut self, is_head: bool) -> Result<RawAnswer, RawEnd> {
        let head_end = loop {
            let found = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(at) = found {
                break at;
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return Err(RawEnd::Closed),
                Err(_) => return Err(RawEnd::Reset),
            }
        };
        let head = String::from_utf8(self.buffer[..head_end].to_vec()).unwrap();
        self.buffer.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = RawAnswer {
            status,
            headers,
            body: Vec::new(),
            chunks: Vec::new(),
            end: RawEnd::Complete,
        };
        if is_head {
            return Ok(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            self.chunked(&mut answer).await;
        } else {
            let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
            while self.buffer.len() < length {
                match self.more().await {
                    Ok(true) => {}
                    Ok(false) => answer.end = RawEnd::Closed,
                    Err(_) => answer.end = RawEnd::Reset,
                }
                if answer.end != RawEnd::Complete {
                    break;
                }
            }
            answer.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        }
        Ok(answer)
    }

    async fn chunked(&mut self, answer: &mut RawAnswer) {
        loop {
            if let Some((chunk, used)) = chunk(&self.buffer) {
                self.buffer.drain(..used);
                if chunk.is_empty() {
                    return;
                }
                answer.body.extend_from_slice(&chunk);
                answer.chunks.push(chunk);
                continue;
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => answer.end = RawEnd::Closed,
                Err(_) => answer.end = RawEnd::Reset,
            }
            if answer.end != RawEnd::Complete {
                // What came of the torn chunk.
                if let Some(line) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                    let torn = self.buffer[line + 2..].to_vec();
                    answer.body.extend_from_slice(&torn);
                    answer.chunks.push(torn);
                }
                return;
            }
        }
    }
}

fn chunk(buffer: &[u8]) -> Option<(Vec<u8>, usize)> {
    let line = buffer.windows(2).position(|bytes| bytes == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&buffer[..line]).ok()?, 16).ok()?;
    let start = line + 2;
    let data = buffer.get(start..start + size)?.to_vec();
    buffer.get(start + size..start + size + 2)?;
    Some((data, start + size + 2))
}

/// One request on a connection of its own.
pub(crate) async fn call(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<RawAnswer, RawEnd> {
    let mut connection = RawConnection::open(port).await;
    connection.send(method, path, headers, body).await;
    connection.answer(method == "HEAD").await
}

/// `GET` with a key.
pub(crate) async fn get(port: u16, path: &str, key: Option<&str>) -> RawAnswer {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<(&str, &str)> =
        bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    call(port, "GET", path, &headers, b"").await.unwrap()
}

/// `POST` of JSON with a key.
pub(crate) async fn post(port: u16, path: &str, key: &str, body: &Value) -> RawAnswer {
    try_post(port, path, key, body).await.unwrap()
}

/// As [`post`], when there may be no answer.
pub(crate) async fn try_post(
    port: u16,
    path: &str,
    key: &str,
    body: &Value,
) -> Result<RawAnswer, RawEnd> {
    let bearer = format!("Bearer {key}");
    call(port, "POST", path, &[("authorization", &bearer)], body.to_string().as_bytes()).await
}

/// The body of a short chat.
pub(crate) fn chat(model: &str, text: &str, stream: bool) -> Value {
    serde_json::json!({
        "model": model,
        "messages": [{ "role": "user", "content": text }],
        "stream": stream,
    })
}

/// The path of chats.
pub(crate) const CHAT: &str = "/v1/chat/completions";
