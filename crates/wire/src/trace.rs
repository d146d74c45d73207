//! Trace mode (api.md 4.6; recordings 502 to 507): the events of a call that was sent with `X-Chutes-Trace: true`.
//!
//! Such a call is answered as a stream with status 200 once it was dispatched, whatever came of it; before that, errors
//! keep their status (recordings, D40). The messages name miners: they are no text for users.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ErrorBody;
use crate::time::Timestamp;
use crate::tolerant;

/// One event of a traced call.
#[derive(Clone, PartialEq)]
pub enum TraceEvent {
    /// A step of the server.
    Step(TraceStep),
    /// A line of the answer's own stream, as the engine sent it, with its line end.
    Line(String),
    /// The answer in one piece.
    Whole {
        /// What it is.
        content_type: Option<String>,
        /// The answer.
        json: Value,
    },
    /// The call failed.
    Failed(ErrorBody),
}

/// A step that the server took for a call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceStep {
    /// When (UTC).
    #[serde(deserialize_with = "tolerant::object")]
    pub timestamp: Option<Timestamp>,
    /// The call.
    #[serde(deserialize_with = "tolerant::text")]
    pub invocation_id: Option<String>,
    /// The try of it.
    #[serde(deserialize_with = "tolerant::text")]
    pub child_id: Option<String>,
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// The function of the chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub function: Option<String>,
    /// What was done.
    #[serde(deserialize_with = "tolerant::text")]
    pub message: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TraceEvent {
    /// Reads the data of an event; `None` for what is no event of a trace.
    ///
    /// ```
    /// use ripcord_wire::trace::TraceEvent;
    ///
    /// let event = TraceEvent::read(br#"{"trace":{"message":"identified 1 available targets"}}"#);
    /// assert!(matches!(event, Some(TraceEvent::Step(step)) if step.message.is_some()));
    /// assert_eq!(TraceEvent::read(b"[DONE]"), None);
    /// ```
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(data).ok()?;
        let object = value.as_object()?;
        if object.get("error").is_some_and(|error| !error.is_null()) {
            return Some(Self::Failed(ErrorBody::of_json(&value)));
        }
        if let Some(step) = object.get("trace") {
            return TraceStep::deserialize(step).ok().map(Self::Step);
        }
        match object.get("result")? {
            Value::String(line) => Some(Self::Line(line.clone())),
            Value::Object(whole) => Some(Self::Whole {
                content_type: whole.get("content_type").and_then(Value::as_str).map(str::to_owned),
                json: whole.get("json").cloned().unwrap_or_default(),
            }),
            _ => None,
        }
    }
}

/// Tells the sizes of an answer, not its text.
impl fmt::Debug for TraceEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => formatter.debug_tuple("Step").field(step).finish(),
            Self::Line(line) => write!(formatter, "Line({} bytes)", line.len()),
            Self::Whole { content_type, .. } => formatter
                .debug_struct("Whole")
                .field("content_type", content_type)
                .finish_non_exhaustive(),
            Self::Failed(error) => formatter.debug_tuple("Failed").field(error).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TraceEvent;

    #[test]
    fn every_kind_of_event() {
        let line = TraceEvent::read(br#"{"result":"data: {\"secret\":1}\n"}"#).unwrap();
        assert_eq!(line, TraceEvent::Line("data: {\"secret\":1}\n".to_owned()));
        assert_eq!(format!("{line:?}"), "Line(19 bytes)");
        let whole = TraceEvent::read(
            br#"{"result":{"content_type":"application/json","json":{"id":"secret"}}}"#,
        )
        .unwrap();
        assert!(matches!(&whole, TraceEvent::Whole { json, .. } if json["id"] == "secret"));
        assert!(!format!("{whole:?}").contains("secret"));
        let failed = TraceEvent::read(br#"{"error":"infra_overload","detail":"full"}"#).unwrap();
        let TraceEvent::Failed(error) = failed else { panic!("{failed:?}") };
        assert_eq!(
            (error.code.as_deref(), error.message.as_str()),
            (Some("infra_overload"), "full")
        );
        for odd in ["{}", "[]", r#"{"result":7}"#, r#"{"trace":7}"#, "nonsense"] {
            assert_eq!(TraceEvent::read(odd.as_bytes()), None, "{odd}");
        }
    }
}
