//! Answers by path, for endpoints whose answers are more telling when a test writes them itself.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;

use crate::server::{RawServer, read_request};

/// A server that gives one answer to every request and remembers what was asked.
pub(crate) struct Canned {
    server: RawServer,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// `kind` is the content type; `status` such as `200 OK`.
    pub(crate) async fn answering(status: &str, kind: &str, body: &str) -> Self {
        Self::each(vec![(status, kind, body)]).await
    }

    pub(crate) async fn json(body: &str) -> Self {
        Self::answering("200 OK", "application/json", body).await
    }

    /// One answer after the other; the last one stays.
    pub(crate) async fn each(answers: Vec<(&str, &str, &str)>) -> Self {
        let answers: Vec<String> = answers
            .iter()
            .map(|(status, kind, body)| {
                let length = body.len();
                format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
                )
            })
            .collect();
        let answers = Arc::new(answers);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let server = RawServer::start(move |mut stream, _| {
            let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
            async move {
                while let Some(request) = read_request(&mut stream).await {
                    let number = {
                        let mut seen = seen.lock();
                        seen.push(request);
                        seen.len() - 1
                    };
                    let answer = answers.get(number).or(answers.last()).unwrap();
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        Self { server, asked }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The requests so far, whole.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// The first line of the last request, without the protocol.
    pub(crate) fn last_line(&self) -> String {
        let asked = self.asked.lock();
        let line = asked.last().and_then(|request| request.lines().next()).unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1").to_owned()
    }
}
