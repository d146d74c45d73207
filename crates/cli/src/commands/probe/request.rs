//! The request itself, whose answer is kept as it came.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use ripcord_client::key::Key;
use ripcord_client::transport::{Body, Target, TransportError};

use crate::context::Context;
use crate::error::CommandError;
use crate::upstream::{Reading, Upstream};

/// What of a body is read: the answer to one word is short, and an error says no more later.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What became of the request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The key it was asked with.
    pub(super) key: Key,
    pub(super) answer: Result<Answer, TransportError>,
    pub(super) took: Duration,
}

/// Asks with the account's first key that Chutes accepts.
pub(super) async fn send(
    upstream: &Upstream,
    reading: &Reading,
    model: &str,
    context: &Context,
) -> Result<Outcome, CommandError> {
    let unusable = |problem: TransportError| CommandError::unknown(problem.to_string());
    let target = upstream.transport.target(&upstream.endpoints.llm).map_err(unusable)?;
    let mut last = None;
    for key in &reading.account.keys {
        let stopwatch = context.clock.stopwatch();
        let request = request(upstream, key, model).map_err(|problem| {
            CommandError::unknown(format!("the request cannot be built: {problem}"))
        })?;
        let answer = ask(&target, upstream, request).await;
        let took = stopwatch.elapsed();
        let refused = matches!(&answer, Ok(answer) if answer.status == 401);
        last = Some(Outcome { key: key.clone(), answer, took });
        if !refused {
            break;
        }
    }
    last.ok_or_else(|| CommandError::usage("the account has no key").account(&reading.label))
}

fn request(upstream: &Upstream, key: &Key, model: &str) -> Result<Request<Bytes>, http::Error> {
    let body = serde_json::json!({
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 1,
        "temperature": 0,
    });
    Request::post(upstream.endpoints.llm.path("/v1/chat/completions"))
        .header(AUTHORIZATION, key.authorization())
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(
            USER_AGENT,
            HeaderValue::from_static(concat!("ripcord/", env!("CARGO_PKG_VERSION"))),
        )
        .body(Bytes::from(body.to_string()))
}

async fn ask(
    target: &Target,
    upstream: &Upstream,
    request: Request<Bytes>,
) -> Result<Answer, TransportError> {
    let answer = upstream.transport.send(target, request).await?;
    let (head, body) = answer.into_parts();
    // The head is what matters: a body that breaks off is shown as far as it came.
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: beginning(body).await })
}

async fn beginning(mut body: Body) -> Bytes {
    let mut read = BytesMut::new();
    while read.len() < BODY_LIMIT_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(data.get(..BODY_LIMIT_BYTES - read.len()).unwrap_or(&data));
        }
    }
    read.freeze()
}
