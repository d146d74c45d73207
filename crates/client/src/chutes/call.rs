//! One call: building the request, holding it to its limits, reading the answer.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION,
    USER_AGENT,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use ripcord_rules::cause::{Endpoint, Phase};
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::text;
use serde::de::DeserializeOwned;

use super::shape::Recognised;
use super::{ChatStream, Chutes, Reply};
use crate::classify;
use crate::clock;
use crate::error::{Call, Error, ErrorKind, Unreadable};
use crate::key::Key;
use crate::transport::{
    Body, Target, TransportError, TransportErrorKind, TransportLimits, TransportPhase,
};

/// What of a failed answer is read. More says nothing more.
const ERROR_BODY_LIMIT_BYTES: usize = 64 * 1024;
/// How many characters of an unreadable answer an error shows.
pub(super) const EXCERPT_CHARS: usize = 40;
const AGENT: &str = concat!("ripcord/", env!("CARGO_PKG_VERSION"));

/// A call before it is made.
pub(super) struct Plan<'a> {
    pub(super) method: Method,
    pub(super) target: &'a Target,
    /// The path as errors show it.
    pub(super) template: &'static str,
    /// The path to send, where it differs.
    pub(super) path: Option<String>,
    pub(super) body: Bytes,
    pub(super) needs_key: bool,
    pub(super) endpoint: Endpoint,
    pub(super) limits: TransportLimits,
    pub(super) deadline: Option<Duration>,
    pub(super) limit_bytes: usize,
}

impl Plan<'_> {
    pub(super) fn with_path(mut self, path: String) -> Self {
        self.path = Some(path);
        self
    }

    pub(super) fn with_key(mut self) -> Self {
        self.needs_key = true;
        self
    }

    fn call(&self) -> Call {
        let method = if self.method == Method::POST { "POST" } else { "GET" };
        Call {
            method,
            path: self.template,
            peer: self.target.base().authority().into(),
            endpoint: self.endpoint,
        }
    }
}

impl Chutes {
    /// Makes a call and reads its answer as JSON.
    pub(super) async fn read<T: DeserializeOwned + Recognised>(
        &self,
        plan: Plan<'_>,
    ) -> Result<Reply<T>, Error> {
        let call = plan.call();
        let (deadline, limit_bytes) = (plan.deadline, plan.limit_bytes);
        let whole = async {
            let answer = self.send(plan, &call).await?;
            let (head, body) = answer.into_parts();
            let bytes = read_body(body, limit_bytes, &call).await?;
            let value = parse(&bytes, &call, &head.headers, self.key())?;
            Ok(Reply { value, limits: classify::limits(&head.headers) })
        };
        // Boxed: the future of a call is large, and callers join several.
        within(deadline, &call, Box::pin(whole)).await
    }

    /// Makes a call and hands over its answer as a stream.
    pub(super) async fn open_stream(&self, plan: Plan<'_>) -> Result<ChatStream, Error> {
        let call = plan.call();
        let answer = Box::pin(self.send(plan, &call)).await?;
        Ok(ChatStream::new(
            answer,
            call,
            self.key().cloned(),
            self.settings.stream_line_limit_bytes,
        ))
    }

    /// Sends the request. Only an answer that says it succeeded comes back.
    async fn send(&self, plan: Plan<'_>, call: &Call) -> Result<Response<Body>, Error> {
        let limits = plan.limits;
        let target = plan.target;
        let request = self.request(plan, call)?;
        let sent = self.transport.send_with(target, request, limits).await;
        let answer = sent.map_err(|error| Error::new(call.clone(), ErrorKind::Transport(error)))?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(self.refused(answer, call).await)
        }
    }

    fn request(&self, plan: Plan<'_>, call: &Call) -> Result<Request<Bytes>, Error> {
        let path = plan.path.as_deref().unwrap_or(plan.template);
        let invalid = |error: http::Error| {
            let kind = TransportErrorKind::InvalidRequest;
            let error =
                TransportError::new(TransportPhase::Send, kind, &call.peer).with_source(error);
            Error::new(call.clone(), ErrorKind::Transport(error))
        };
        let mut request = Request::builder()
            .method(plan.method)
            .uri(plan.target.base().path(path))
            .header(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(USER_AGENT, HeaderValue::from_static(AGENT));
        if !plan.body.is_empty() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if plan.needs_key {
            let key = self.key().ok_or_else(|| Error::new(call.clone(), ErrorKind::NoKey))?;
            request = request.header(AUTHORIZATION, key.authorization());
        }
        request.body(plan.body).map_err(invalid)
    }

    async fn refused(&self, answer: Response<Body>, call: &Call) -> Error {
        let (head, body) = answer.into_parts();
        let status = head.status.as_u16();
        if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED {
            return Error::new(
                call.clone(),
                ErrorKind::Redirected { status, to_host: redirect_host(&head.headers) },
            );
        }
        let bytes = match beginning(body, ERROR_BODY_LIMIT_BYTES).await {
            Ok(bytes) => bytes,
            // The status is known; why there is no more than that matters less.
            Err(_) => Bytes::new(),
        };
        let bytes = without_key(&bytes, self.key());
        let read = ErrorBody::read(status, classify::content_type(&head.headers), &bytes);
        let limits = classify::limits(&head.headers);
        let failure = classify::answer_read(call.endpoint, status, &read, &limits, clock::wall());
        let kind = match read.shape {
            ErrorShape::Html => ErrorKind::WebPage { status, summary: read.message, failure },
            // Not in the form of an error: it may repeat anything, so a glimpse has to do.
            ErrorShape::Text | ErrorShape::OtherJson => {
                let message = text::clean(&read.message, 2 * EXCERPT_CHARS);
                ErrorKind::Answered { status, message, failure }
            }
            _ => ErrorKind::Answered { status, message: read.message, failure },
        };
        Error::new(call.clone(), kind)
    }
}

async fn within<T>(
    deadline: Option<Duration>,
    call: &Call,
    whole: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(after) = deadline else { return whole.await };
    let timed = tokio::time::timeout(after, whole).await;
    timed.unwrap_or_else(|_| Err(Error::new(call.clone(), ErrorKind::Deadline { after })))
}

async fn read_body(mut body: Body, limit_bytes: usize, call: &Call) -> Result<Bytes, Error> {
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
async fn beginning(mut body: Body, limit_bytes: usize) -> Result<Bytes, TransportError> {
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
fn redirect_host(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    uri.host().map(|host| text::clean(host, 100))
}

fn parse<T: DeserializeOwned + Recognised>(
    bytes: &Bytes,
    call: &Call,
    headers: &HeaderMap,
    key: Option<&Key>,
) -> Result<T, Error> {
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let kind = ErrorKind::Unreadable { fault: Unreadable::Compressed, excerpt: String::new() };
        return Err(Error::new(call.clone(), kind));
    }
    let problem = match serde_json::from_slice::<T>(bytes) {
        Ok(value) if value.is_recognised() => return Ok(value),
        Ok(_) => return Err(Error::new(call.clone(), error_in_200(bytes, call, headers, key))),
        Err(problem) => problem,
    };
    let shown = without_key(bytes, key);
    let page = ErrorBody::read(200, classify::content_type(headers), &shown);
    if page.shape == ErrorShape::Html {
        let mut failure = classify::answer_read(
            call.endpoint,
            200,
            &page,
            &classify::limits(headers),
            clock::wall(),
        );
        failure.phase = Phase::Head;
        return Err(Error::new(
            call.clone(),
            ErrorKind::WebPage { status: 200, summary: page.message, failure },
        ));
    }
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

/// JSON that is not this endpoint's answer: an error with the wrong status, or another shape.
fn error_in_200(bytes: &Bytes, call: &Call, headers: &HeaderMap, key: Option<&Key>) -> ErrorKind {
    let shown = without_key(bytes, key);
    let read = ErrorBody::read(200, classify::content_type(headers), &shown);
    match read.shape {
        ErrorShape::OtherJson | ErrorShape::Text | ErrorShape::Html | ErrorShape::Empty => {
            ErrorKind::Unreadable { fault: Unreadable::OtherShape, excerpt: excerpt(&shown, 1, 1) }
        }
        _ => {
            let mut failure = classify::stream_error(&shown, Phase::FirstEvent);
            failure.endpoint = call.endpoint;
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

/// The bytes without the key they may repeat, whole or in the parts it is made of.
pub(super) fn without_key<'a>(bytes: &'a [u8], key: Option<&Key>) -> Cow<'a, [u8]> {
    let Some(key) = key else { return Cow::Borrowed(bytes) };
    let mut cleaned = Cow::Borrowed(bytes);
    let whole = key.expose();
    for secret in std::iter::once(whole).chain(whole.split('.').filter(|part| part.len() >= 16)) {
        let mut from = 0;
        while let Some(at) = find(&cleaned, secret.as_bytes(), from) {
            let end = at + secret.len();
            if let Some(place) = cleaned.to_mut().get_mut(at..end) {
                place.fill(b'*');
            }
            from = end;
        }
    }
    cleaned
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    rest.windows(needle.len()).position(|window| window == needle).map(|at| from + at)
}
