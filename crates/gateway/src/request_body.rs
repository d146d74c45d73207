//! Reads a request's body whole, within bounds: the model's name is in it, and a retry needs it again.

use crate::refusal::Refusal;
use crate::shared::Shared;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::sync::Arc;

/// A share of the memory for buffered bodies. Given back when dropped.
pub(crate) struct Buffered {
    shared: Arc<Shared>,
    bytes: i64,
}

/// Reads the body, or says why not.
pub(crate) async fn read(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<(Bytes, Buffered), Refusal> {
    check_type(headers)?;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > shared.limits.body_bytes) {
        return Err(too_large(shared.limits.body_bytes));
    }
    let in_time =
        tokio::time::timeout(shared.limits.body_total_timeout, receive(shared, announced, body));
    tokio::select! {
        biased;
        received = in_time => received.unwrap_or_else(|_| Err(too_slow())),
        () = shared.closing.cancelled() => Err(Refusal::shutting_down()),
    }
}

async fn receive(
    shared: &Arc<Shared>,
    announced: Option<usize>,
    mut body: Incoming,
) -> Result<(Bytes, Buffered), Refusal> {
    let limit = shared.limits.body_bytes;
    // What is announced costs nothing: memory is taken for what has arrived.
    let mut buffered = Buffered { shared: Arc::clone(shared), bytes: 0 };
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    loop {
        let frame = match tokio::time::timeout(shared.limits.body_timeout, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) => {
                let message = "the request body broke off before its end";
                return Err(Refusal::of_request(
                    StatusCode::BAD_REQUEST,
                    "incomplete_body",
                    message,
                ));
            }
            Err(_) => return Err(too_slow()),
        };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limit {
            return Err(too_large(limit));
        }
        // Small bodies come in one piece and are never copied.
        if length == data.len() {
            buffered.reach(length)?;
            first = Some(data);
            continue;
        }
        let one = first.take().unwrap_or_default();
        if rest.capacity() < length {
            let capacity = grown(rest.capacity(), length, announced.unwrap_or(limit));
            buffered.reach(capacity)?;
            rest.reserve(capacity - rest.len());
        }
        rest.extend_from_slice(&one);
        rest.extend_from_slice(&data);
    }
    Ok((first.unwrap_or_else(|| rest.freeze()), buffered))
}

/// The next size of a buffer: doubled, so that little is copied, but not beyond what can still come.
fn grown(capacity: usize, needed: usize, most: usize) -> usize {
    capacity.saturating_mul(2).min(most).max(needed)
}

fn too_slow() -> Refusal {
    let message = "the request body did not arrive in time";
    Refusal::of_request(StatusCode::REQUEST_TIMEOUT, "slow_body", message)
}

fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |code, message: &str| {
        Err(Refusal::of_request(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message))
    };
    // Every value has to be right: upstream might look at another one.
    let mut kinds = headers.get_all(CONTENT_TYPE).iter().peekable();
    // A page of another site may send anything but this without asking first.
    if kinds.peek().is_none() || !kinds.all(is_json) {
        return unsupported("unsupported_content_type", "send `Content-Type: application/json`");
    }
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if !encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return unsupported("unsupported_encoding", "send the body without compression");
    }
    Ok(())
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or("").split(';').next().unwrap_or("");
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the request body is larger than {} MiB", limit >> 20);
    Refusal::of_request(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &message)
}

impl Buffered {
    /// Takes so much in all, if it has not yet.
    fn reach(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = i64::try_from(bytes).unwrap_or(i64::MAX) - self.bytes;
        if more <= 0 {
            return Ok(());
        }
        let limit = i64::try_from(self.shared.limits.buffered_bytes).unwrap_or(i64::MAX);
        let before = self.shared.metrics.buffered_bytes.inc_by(more);
        self.bytes += more;
        if before + more > limit {
            let message = "the gateway holds too many request bodies at the moment; try again soon";
            return Err(Refusal::busy(message));
        }
        Ok(())
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.shared.metrics.buffered_bytes.dec_by(self.bytes);
    }
}
