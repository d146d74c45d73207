//! The error a client of the gateway gets: OpenAI's shape, with Ripcord's `code`, `window` and
//! `reset_at`.

use serde::Serialize;

use crate::{sse, text, time};

/// The longest message sent, in characters.
const MAX_MESSAGE_CHARS: usize = 2000;

/// An error answer. Its text is cleaned of control characters and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    message: String,
    kind: String,
    code: Option<String>,
    param: Option<String>,
    window: Option<String>,
    reset_at: Option<i64>,
    retry_after_seconds: Option<u64>,
}

/// The JSON of an error, as OpenAI's clients read it.
#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl ErrorReply {
    /// An error with the `type` that OpenAI uses for this status.
    #[must_use]
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            message: text::clean(message, MAX_MESSAGE_CHARS),
            kind: type_for_status(status).to_owned(),
            code: Some(code.to_owned()),
            param: None,
            window: None,
            reset_at: None,
            retry_after_seconds: None,
        }
    }

    /// Sets another message.
    #[must_use]
    pub fn with_message(mut self, message: &str) -> Self {
        self.message = text::clean(message, MAX_MESSAGE_CHARS);
        self
    }

    /// Sets another `type`, for instance one that the upstream sent.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Sets or clears `code`, for instance to pass the upstream's on.
    #[must_use]
    pub fn with_code(mut self, code: Option<String>) -> Self {
        self.code = code;
        self
    }

    /// Names the parameter to blame.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Names the window that is used up: `day`, `four_hour`, `month`, `chute`.
    #[must_use]
    pub fn with_window(mut self, window: impl Into<String>) -> Self {
        self.window = Some(window.into());
        self
    }

    /// Says when it may work again (Unix microseconds).
    #[must_use]
    pub fn with_reset_at(mut self, unix_micros: i64) -> Self {
        self.reset_at = Some(unix_micros);
        self
    }

    /// Says how long to wait, for an answer that has no headers to say it in.
    #[must_use]
    pub const fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The body of the answer.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let envelope = Envelope {
            error: Inner {
                message: &self.message,
                r#type: &self.kind,
                param: self.param.as_deref(),
                code: self.code.as_deref(),
                window: self.window.as_deref(),
                reset_at: self.reset_at.map(time::format_timestamp),
                retry_after: self.retry_after_seconds,
            },
        };
        // Plain strings always serialise; the fallback only keeps this free of a panic.
        serde_json::to_vec(&envelope).unwrap_or_else(|_| b"{\"error\":{}}".to_vec())
    }

    /// Appends the error as an event of a stream that already began.
    pub fn write_event(&self, out: &mut Vec<u8>) {
        sse::write_data(out, &self.to_json());
    }
}

/// The `type` that OpenAI's API gives to errors of this status.
#[must_use]
pub fn type_for_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_shape_with_our_fields_only_where_known() {
        let plain = ErrorReply::new(404, "model_not_found", "no model `x`\u{7}");
        assert_eq!(
            String::from_utf8(plain.to_json()).unwrap(),
            r#"{"error":{"message":"no model `x`","type":"not_found_error","param":null,"code":"model_not_found"}}"#
        );
        let full = ErrorReply::new(429, "window_exhausted", "used up")
            .with_param("model")
            .with_window("four_hour")
            .with_reset_at(1_790_510_400_000_000)
            .with_retry_after(7);
        let mut event = Vec::new();
        full.write_event(&mut event);
        assert_eq!(
            String::from_utf8(event).unwrap(),
            "data: {\"error\":{\"message\":\"used up\",\"type\":\"rate_limit_error\",\"param\":\"model\",\
             \"code\":\"window_exhausted\",\"window\":\"four_hour\",\"reset_at\":\"2026-09-27T12:00:00Z\",\"retry_after\":7}}\n\n"
        );
    }
}
