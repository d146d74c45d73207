//! One call: building the request, holding it to its limits, reading the answer.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use ripcord_rules::cause::Endpoint;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::secret::Secret;
use ripcord_wire::text;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{EXCERPT_CHARS, beginning, check_text, parse, read_body, redirect_host};
use super::secrets::Secrets;
use super::shape::Recognised;
use super::{Chutes, Reply};
use crate::classify;
use crate::clock;
use crate::error::{Call, Error, ErrorKind};
use crate::transport::{
    Body, Target, TransportError, TransportErrorKind, TransportLimits, TransportPhase,
};

/// What of a failed answer is read. More says nothing more.
const ERROR_BODY_LIMIT_BYTES: usize = 64 * 1024;
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
    /// What the body is.
    pub(super) content_type: &'static str,
    /// What is wanted.
    pub(super) accept: &'static str,
    pub(super) needs_key: bool,
    pub(super) endpoint: Endpoint,
    pub(super) limits: TransportLimits,
    pub(super) deadline: Option<Duration>,
    pub(super) limit_bytes: usize,
    /// What of the body no error may repeat.
    pub(super) secrets: Vec<Secret>,
}

/// JSON, or a stream of it.
pub(super) const JSON: &str = "application/json";
pub(super) const JSON_OR_EVENTS: &str = "application/json, text/event-stream";

impl Plan<'_> {
    pub(super) fn with_path(mut self, path: String) -> Self {
        self.path = Some(path);
        self
    }

    /// With a value as the body. The values of this crate all have a JSON form.
    pub(super) fn posting(mut self, value: &impl Serialize) -> Self {
        self.method = Method::POST;
        self.body = serde_json::to_vec(value).unwrap_or_default().into();
        self
    }

    pub(super) fn deleting(mut self) -> Self {
        self.method = Method::DELETE;
        self
    }

    pub(super) fn with_key(mut self) -> Self {
        self.needs_key = true;
        self
    }

    pub(super) fn call(&self) -> Call {
        let method = match self.method {
            Method::POST => "POST",
            Method::DELETE => "DELETE",
            _ => "GET",
        };
        Call {
            method,
            path: self.template,
            peer: self.target.base().authority().into(),
            endpoint: self.endpoint,
            is_callers: self.path.is_some() || !self.body.is_empty(),
        }
    }
}

/// What of an answer that says it succeeded is known when its head is there.
pub(super) struct Opened {
    pub(super) answer: Response<Body>,
    pub(super) call: Call,
    pub(super) secrets: Secrets,
}

impl Chutes {
    /// Makes a call and reads its answer as JSON.
    ///
    /// Boxed: the future of a call is large, and callers join several.
    pub(super) fn read<'a, T: DeserializeOwned + Recognised>(
        &'a self,
        plan: Plan<'a>,
    ) -> Pin<Box<impl Future<Output = Result<Reply<T>, Error>> + use<'a, T>>> {
        let limit_bytes = plan.limit_bytes;
        Box::pin(self.within(plan, async move |opened| {
            let Opened { answer, call, secrets } = opened;
            let (head, body) = answer.into_parts();
            let bytes = read_body(body, limit_bytes, &call).await?;
            let value = parse(&bytes, &call, &head.headers, &secrets)?;
            Ok(Reply { value, limits: classify::limits(&head.headers) })
        }))
    }

    /// Makes a call whose answer is text of its own form.
    pub(super) async fn read_text(&self, plan: Plan<'_>) -> Result<Reply<Bytes>, Error> {
        let limit_bytes = plan.limit_bytes;
        self.within(plan, async move |opened| {
            let Opened { answer, call, secrets } = opened;
            let (head, body) = answer.into_parts();
            let value = read_body(body, limit_bytes, &call).await?;
            check_text(&value, &call, &head.headers, &secrets)?;
            Ok(Reply { value, limits: classify::limits(&head.headers) })
        })
        .await
    }

    /// Makes a call of whose answer only the status matters.
    pub(super) async fn settle(&self, plan: Plan<'_>) -> Result<Reply<()>, Error> {
        self.within(plan, async |opened| {
            Ok(Reply { value: (), limits: classify::limits(opened.answer.headers()) })
        })
        .await
    }

    /// Makes a call and hands over its answer, to be read as it comes.
    pub(super) async fn open(&self, plan: Plan<'_>) -> Result<Opened, Error> {
        let call = plan.call();
        let secrets = Secrets::of(self.key(), &plan.secrets);
        let answer = Box::pin(self.send(plan, &call, &secrets)).await?;
        Ok(Opened { answer, call, secrets })
    }

    pub(super) async fn within<T>(
        &self,
        plan: Plan<'_>,
        read: impl AsyncFnOnce(Opened) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (call, deadline) = (plan.call(), plan.deadline);
        let whole = async { read(self.open(plan).await?).await };
        let Some(after) = deadline else { return whole.await };
        let timed = tokio::time::timeout(after, whole).await;
        timed.unwrap_or_else(|_| Err(Error::new(call, ErrorKind::Deadline { after })))
    }

    /// Sends the request. Only an answer that says it succeeded comes back.
    async fn send(
        &self,
        plan: Plan<'_>,
        call: &Call,
        secrets: &Secrets,
    ) -> Result<Response<Body>, Error> {
        let limits = plan.limits;
        let target = plan.target;
        let request = self.request(plan, call)?;
        let again = (request.method() == Method::GET).then(|| request.clone());
        let sent = match (self.transport.send_with(target, request, limits).await, again) {
            (Err(error), Some(request)) if error.is_of_a_connection_gone_stale() => {
                self.transport.send_with(target, request, limits).await
            }
            (sent, _) => sent,
        };
        let answer = sent.map_err(|error| Error::new(call.clone(), ErrorKind::Transport(error)))?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(refused(answer, call, secrets).await)
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
            .header(ACCEPT, HeaderValue::from_static(plan.accept))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(USER_AGENT, HeaderValue::from_static(AGENT));
        if !plan.body.is_empty() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(plan.content_type));
        }
        if plan.needs_key {
            let key = self.key().ok_or_else(|| Error::new(call.clone(), ErrorKind::NoKey))?;
            request = request.header(AUTHORIZATION, key.authorization());
        }
        request.body(plan.body).map_err(invalid)
    }
}

async fn refused(answer: Response<Body>, call: &Call, secrets: &Secrets) -> Error {
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
    let bytes = secrets.hide(&bytes);
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
