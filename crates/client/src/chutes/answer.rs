//! Reading an answer: as much of it as is wanted, and an error that says what is wrong with it.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderValue, LOCATION};
use http::{HeaderMap, Uri};
use http_body_util::BodyExt as _;
use ripcord_rules::cause::Phase;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::text;
use serde::de::DeserializeOwned;

use super::secrets::Secrets;
use super::shape::Recognised;
use crate::classify;
use crate::clock;
use crate::error::{Call, Error, ErrorKind, Unreadable};
use crate::transport::{Body, TransportError};

/// How many characters of an unreadable answer an error shows.
pub(super) const EXCERPT_CHARS: usize = 40;

pub(super) async fn read_body(
    mut body: Body,
    limit_bytes: usize,
    call: &Call,
) -> Result<Bytes, Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::new(call.clone(), ErrorKind::Transport(error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit_bytes {
            return Err(Error::new(call.clone(), ErrorKind::TooLarge { limit_bytes }));
        }
        // Most answers come in one piece, which is not copied.
        if read.is_empty() && http_body::Body::is_end_stream(&body) {
            return Ok(data);
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// As much of a body as is asked for; what is behind it is left.
pub(super) async fn beginning(mut body: Body, limit_bytes: usize) -> Result<Bytes, TransportError> {
    let mut read = BytesMut::new();
    while read.len() < limit_bytes
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(data.get(..limit_bytes - read.len()).unwrap_or(&data));
        }
    }
    Ok(read.freeze())
}

/// The host of a redirect, never its path or query: they may repeat what was sent.
pub(super) fn redirect_host(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    uri.host().map(|host| text::clean(host, 100))
}

/// An answer that is JSON.
pub(super) fn parse<T: DeserializeOwned + Recognised>(
    bytes: &Bytes,
    call: &Call,
    headers: &HeaderMap,
    secrets: &Secrets,
) -> Result<T, Error> {
    refuse_compressed(call, headers)?;
    let problem = match serde_json::from_slice::<T>(bytes) {
        Ok(value) if value.is_recognised() => return Ok(value),
        Ok(_) => return Err(Error::new(call.clone(), error_in_200(bytes, call, headers, secrets))),
        Err(problem) => problem,
    };
    let shown = secrets.hide(bytes);
    refuse_page(&shown, call, headers)?;
    let fault = match problem.classify() {
        serde_json::error::Category::Eof => Unreadable::EndsEarly,
        serde_json::error::Category::Data => Unreadable::OtherShape,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            Unreadable::NotJson { line: problem.line(), column: problem.column() }
        }
    };
    // A wrong key cannot move the place: it is masked by as many characters.
    let excerpt = excerpt(&shown, problem.line(), problem.column());
    Err(Error::new(call.clone(), ErrorKind::Unreadable { fault, excerpt }))
}

/// An answer that is text of its own form.
pub(super) fn check_text(
    bytes: &[u8],
    call: &Call,
    headers: &HeaderMap,
    secrets: &Secrets,
) -> Result<(), Error> {
    refuse_compressed(call, headers)?;
    refuse_page(&secrets.hide(bytes), call, headers)
}

fn refuse_compressed(call: &Call, headers: &HeaderMap) -> Result<(), Error> {
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let kind = ErrorKind::Unreadable { fault: Unreadable::Compressed, excerpt: String::new() };
        return Err(Error::new(call.clone(), kind));
    }
    Ok(())
}

/// A page with a 200 is the answer of something in between.
pub(super) fn refuse_page(shown: &[u8], call: &Call, headers: &HeaderMap) -> Result<(), Error> {
    let page = ErrorBody::read(200, classify::content_type(headers), shown);
    if page.shape != ErrorShape::Html {
        return Ok(());
    }
    let limits = classify::limits(headers);
    let failure = classify::answer_read(call.endpoint, 200, &page, &limits, clock::wall());
    let kind = ErrorKind::WebPage { status: 200, summary: page.message, failure };
    Err(Error::new(call.clone(), kind))
}

/// JSON that is not this endpoint's answer: an error with the wrong status, or another shape.
fn error_in_200(bytes: &Bytes, call: &Call, headers: &HeaderMap, secrets: &Secrets) -> ErrorKind {
    let shown = secrets.hide(bytes);
    let read = ErrorBody::read(200, classify::content_type(headers), &shown);
    match read.shape {
        ErrorShape::OtherJson | ErrorShape::Text | ErrorShape::Html | ErrorShape::Empty => {
            ErrorKind::Unreadable { fault: Unreadable::OtherShape, excerpt: excerpt(&shown, 1, 1) }
        }
        _ => {
            let failure =
                classify::stream_error(call.endpoint, &shown, Phase::FirstEvent, clock::wall());
            ErrorKind::Answered { status: 200, message: read.message, failure }
        }
    }
}

/// A few cleaned characters from before and behind a place.
fn excerpt(bytes: &[u8], line: usize, column: usize) -> String {
    let line_start: usize = bytes
        .split(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(|line| line.len() + 1)
        .sum();
    let at = line_start.saturating_add(column.saturating_sub(1)).min(bytes.len());
    let from = at.saturating_sub(EXCERPT_CHARS / 2);
    let around = bytes.get(from..bytes.len().min(at + EXCERPT_CHARS / 2)).unwrap_or_default();
    text::clean_bytes(around, EXCERPT_CHARS)
}
