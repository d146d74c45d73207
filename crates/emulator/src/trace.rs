//! Trace mode: every line of an answer wrapped, between lines that tell which instances were tried.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    clock,
    connection::ConnectionControl,
    ids,
    inference::Outcome,
    instances::Course,
    log::Ended,
    render::{Identity, Kind},
    reply::Reply,
    stream::{Step, StepBody},
};

const MINER: &str = "uid=1 hotkey=5Minerxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx \
                     coldkey=5MinerCxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// What the trace of one call tells.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) invocation_id: String,
    pub(crate) chute_id: String,
    pub(crate) function: &'static str,
    pub(crate) model: String,
    pub(crate) course: Course,
    pub(crate) now: i64,
}

impl Trace {
    fn line(&self, child: Option<usize>, message: &str) -> String {
        let mut trace = json!({
            "timestamp": clock::iso_naive(self.now),
            "invocation_id": self.invocation_id,
            "chute_id": self.chute_id,
            "function": self.function,
            "message": message,
        });
        if let Some(child) = child {
            trace["child_id"] = json!(ids::uuid("try", &format!("{}/{child}", self.invocation_id)));
        }
        format!("data: {}\n\n", json!({ "trace": trace }))
    }

    fn target(&self, at: usize) -> String {
        let instance = self.course.attempts.get(at).map_or(0, |attempt| attempt.instance);
        let id = ids::uuid("instance", &format!("{}/{instance}", self.model));
        format!("target={id} {MINER}")
    }

    fn before(&self) -> Bytes {
        let found = format!("identified {} available targets", self.course.available);
        let mut text = self.line(None, &found);
        for (at, attempt) in self.course.attempts.iter().enumerate() {
            let target = self.target(at);
            text.push_str(&self.line(Some(at), &format!("attempting to query {target}")));
            if let Some(error) = attempt.error {
                let error = format!("error encountered while querying {target}: exc={error}");
                text.push_str(&self.line(Some(at), &error));
            }
        }
        Bytes::from(text)
    }

    fn after(&self) -> Option<Bytes> {
        let at = self.course.attempts.iter().position(|attempt| attempt.error.is_none())?;
        let done =
            format!("successfully called function='{}' on {}", self.function, self.target(at));
        Some(Bytes::from(self.line(Some(at), &done)))
    }

    /// The answer as trace mode sends it: always 200, always a stream.
    pub(crate) fn wrap(&self, outcome: Outcome, connection: &Arc<ConnectionControl>) -> Outcome {
        match outcome {
            Outcome::Steps { reply, mut body, streamed: true } => {
                body.wrap(self.before(), self.after());
                Outcome::Steps { reply, body, streamed: true }
            }
            Outcome::Reply(reply, ticket) if !reply.from_edge && !reply.closes => {
                let mut steps = vec![Step::Raw(self.before()), Step::Raw(self.result(&reply))];
                if reply.status == StatusCode::OK {
                    steps.extend(self.after().map(Step::Raw));
                }
                steps.push(Step::End(Ended::Complete));
                let mut stream =
                    Reply::new(StatusCode::OK, "text/event-stream; charset=utf-8", Bytes::new());
                stream.headers = reply.headers;
                if stream.headers.is_empty() {
                    stream = stream.header("x-chutes-invocationid", self.invocation_id.clone());
                }
                let stream = stream
                    .header("cache-control", "no-cache, no-transform".to_owned())
                    .header("x-accel-buffering", "no".to_owned());
                let body =
                    StepBody::new(steps, Identity::none(), Arc::clone(connection), None, ticket);
                Outcome::Steps { reply: stream, body: Box::new(body), streamed: true }
            }
            other => other,
        }
    }

    fn result(&self, reply: &Reply) -> Bytes {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let value = if reply.status == StatusCode::OK {
            json!({ "result": { "content_type": reply.content_type, "json": body } })
        } else {
            let detail = &body["detail"];
            match reply.status {
                StatusCode::TOO_MANY_REQUESTS => {
                    json!({ "error": "infra_overload", "detail": detail })
                }
                StatusCode::BAD_REQUEST => json!({ "error": "bad_request", "detail": detail }),
                _ => json!({ "error": detail }),
            }
        };
        Bytes::from(format!("data: {value}\n\n"))
    }
}

/// One wrapped line.
pub(crate) fn wrapped(line: &Bytes) -> Bytes {
    let value = json!({ "result": String::from_utf8_lossy(line) });
    Bytes::from(format!("data: {value}\n\n"))
}

/// The name of the function that serves a call.
pub(crate) fn function(kind: Kind, stream: bool) -> &'static str {
    match (kind, stream) {
        (Kind::Chat, false) => "chat",
        (Kind::Chat, true) => "chat_stream",
        (Kind::Text, false) => "completion",
        (Kind::Text, true) => "completion_stream",
    }
}
