//! Whole answers: JSON details, plain texts and the edge's HTML pages, with their exact bodies.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

/// `application/json`.
pub(crate) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer that is known as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Close the connection behind it without saying so.
    pub(crate) closes: bool,
    /// Not from the application: no `via` of its own, an HTML page.
    pub(crate) from_edge: bool,
    /// What the request changed at the service, for the log.
    pub(crate) side_effect: Option<String>,
}

impl Reply {
    pub(crate) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            headers: Vec::new(),
            closes: false,
            from_edge: false,
            side_effect: None,
        }
    }

    /// Notes what the request changed at the service.
    pub(crate) fn side_effect(mut self, what: String) -> Self {
        self.side_effect = Some(what);
        self
    }

    /// 200 with a JSON body.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::json_status(StatusCode::OK, value)
    }

    pub(crate) fn json_status(status: StatusCode, value: &impl Serialize) -> Self {
        Self::new(status, JSON, serde_json::to_vec(value).unwrap_or_default())
    }

    /// An error of the application: `{"detail": text}`.
    pub(crate) fn detail(status: StatusCode, text: &str) -> Self {
        Self::json_status(status, &json!({ "detail": text }))
    }

    /// An error of the application whose detail is no text.
    pub(crate) fn detail_value(status: StatusCode, detail: &Value) -> Self {
        Self::json_status(status, &json!({ "detail": detail }))
    }

    /// The unhandled exception: plain text, and the connection closes behind it.
    pub(crate) fn plain_500() -> Self {
        Self {
            closes: true,
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "Internal Server Error")
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn unauthorized(text: &str) -> Self {
        Self::detail(StatusCode::UNAUTHORIZED, text)
    }

    pub(crate) fn not_found(text: &str) -> Self {
        Self::detail(StatusCode::NOT_FOUND, text)
    }

    pub(crate) fn no_chute() -> Self {
        Self::not_found("No matching chute found!")
    }

    pub(crate) fn no_cord() -> Self {
        Self::not_found("No matching cord found!")
    }

    pub(crate) fn capacity() -> Self {
        Self::detail(
            StatusCode::TOO_MANY_REQUESTS,
            "Infrastructure is at maximum capacity, try again later",
        )
    }

    pub(crate) fn cold(chute_id: &str) -> Self {
        Self::detail(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("No instances available (yet) for chute_id='{chute_id}'"),
        )
    }

    pub(crate) fn disabled() -> Self {
        Self::detail(StatusCode::SERVICE_UNAVAILABLE, "This chute is currently disabled.")
    }

    pub(crate) fn server_error(text: &str) -> Self {
        Self::detail(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// The engine's complaint about a prompt that is too long; a text that is an object stands in
    /// place of the whole inner object.
    pub(crate) fn long_prompt(text: Option<&str>) -> Self {
        match text {
            Some(object) if object.starts_with('{') => Self::detail(
                StatusCode::BAD_REQUEST,
                &format!("Invalid request: Invalid request: {object}"),
            ),
            text => Self::engine_400(text.unwrap_or(
                "This model's maximum context length is 32768 tokens. However, you requested 40000 \
                 tokens (39000 in the messages, 1000 in the completion). Please reduce the length \
                 of the messages or completion.",
            )),
        }
    }

    /// The engine's complaint, nested as the server nests it: JSON in a text in JSON.
    fn engine_400(message: &str) -> Self {
        let message = Value::String(message.to_owned());
        let text = format!(
            "Invalid request: Invalid request: {{\"detail\": {{\"error\": {{\"message\": {message}, \
             \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}}}}}}"
        );
        Self::detail(StatusCode::BAD_REQUEST, &text)
    }

    /// The load balancer's own 429.
    pub(crate) fn edge_429() -> Self {
        let page = "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n\
                    <center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n\
                    </body>\r\n</html>\r\n";
        Self {
            from_edge: true,
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "text/html", page.as_bytes().to_vec())
        }
        .header("server", "nginx".to_owned())
    }

    /// The Google edge's 403.
    pub(crate) fn edge_403() -> Self {
        let page = "<!doctype html><meta charset=\"utf-8\"><meta name=viewport \
                    content=\"width=device-width, initial-scale=1\"><title>403</title>403 Forbidden";
        Self {
            from_edge: true,
            ..Self::new(StatusCode::FORBIDDEN, "text/html; charset=UTF-8", page.as_bytes().to_vec())
        }
        .header("document-policy", "include-js-call-stacks-in-crash-reports".to_owned())
        .header("via", "1.1 google".to_owned())
        .header("alt-svc", "clear".to_owned())
    }
}
