//! What a body has to be, and what is refused in it, before a model sees it.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use crate::reply::Reply;

/// The most pictures of one request.
const MOST_PICTURES: usize = 8;

/// The JSON object of a body, or the server's complaint about it.
pub(crate) fn read_body(body: &Bytes) -> Result<Map<String, Value>, Reply> {
    let invalid = |text: String| {
        Reply::detail(StatusCode::BAD_REQUEST, &format!("Invalid request JSON: {text}"))
    };
    if let Err(error) = std::str::from_utf8(body) {
        let at = error.valid_up_to();
        let byte = body.get(at).copied().unwrap_or_default();
        return Err(invalid(format!(
            "'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: invalid start byte"
        )));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Reply::plain_500()),
        Err(error) => {
            // Python counts columns from one and names the place where a value should begin.
            let line_start = body
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .nth(error.line().saturating_sub(2))
                .map_or(0, |(at, _)| if error.line() > 1 { at + 1 } else { 0 });
            let column = error.column() + usize::from(error.is_eof());
            let column = column.max(1);
            let at = line_start + column - 1;
            Err(invalid(format!(
                "Expecting value: line {} column {column} (char {at})",
                error.line().max(1)
            )))
        }
    }
}

/// Output by regular expression is refused, before the model is looked up.
pub(crate) fn check_regex(body: &Map<String, Value>) -> Result<(), Reply> {
    let nested = body.get("structured_outputs").and_then(|outputs| outputs.get("regex"));
    if nested.is_some() || ["regex", "guided_regex"].iter().any(|name| body.contains_key(*name)) {
        return Err(Reply::detail(
            StatusCode::BAD_REQUEST,
            "Regex-based structured output is temporarily disabled.",
        ));
    }
    let schema = body.get("response_format").and_then(|f| f.pointer("/json_schema/schema"));
    if schema.is_some_and(has_pattern) {
        return Err(Reply::detail(
            StatusCode::BAD_REQUEST,
            "Regex-based structured output (JSON schema 'pattern' fields) is temporarily disabled.",
        ));
    }
    Ok(())
}

/// The server's search: it takes a property named `pattern` for the keyword, and does not look into
/// the schemas of properties.
fn has_pattern(schema: &Value) -> bool {
    schema.get("pattern").is_some()
        || schema.pointer("/properties/pattern").is_some()
        || schema.get("items").is_some_and(has_pattern)
}

/// The guardrails on messages.
pub(crate) fn check_messages(body: &Map<String, Value>) -> Result<(), Reply> {
    let bad = |text: &str| Err(Reply::detail(StatusCode::BAD_REQUEST, text));
    let Some(messages) = body.get("messages").and_then(Value::as_array) else { return Ok(()) };
    check_pictures(messages)?;
    for message in messages {
        if let Some(parts) = message.get("content").and_then(Value::as_array) {
            for part in parts {
                match part {
                    Value::Number(_) => return Err(Reply::plain_500()),
                    Value::String(text) if text.contains("file_url") => {
                        return bad("File content not currently supported");
                    }
                    Value::Object(part) if part.contains_key("file_url") => {
                        return bad("File content not currently supported");
                    }
                    _ => {}
                }
            }
        }
        for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
            if arguments.is_some_and(|text| serde_json::from_str::<Value>(text).is_err()) {
                return bad("Invalid tool_calls.function.arguments value, expected JSON");
            }
        }
    }
    Ok(())
}

/// The addresses of pictures. None is fetched here, so one that would be is taken.
fn check_pictures(messages: &[Value]) -> Result<(), Reply> {
    let bad = |text: &str| Err(Reply::detail(StatusCode::BAD_REQUEST, text));
    let parts = messages.iter().filter_map(|m| m.get("content")?.as_array()).flatten();
    let urls: Vec<&str> = parts
        .filter_map(|part| part.get("image_url"))
        .filter_map(|image| image.get("url").unwrap_or(image).as_str())
        .collect();
    if urls.len() > MOST_PICTURES {
        return bad(&format!("Exceeded maximum image URLs per request: {}", urls.len()));
    }
    for url in urls {
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "https" | "data" => {}
            "http" => return bad("Only HTTPS URLs are supported for images. Got scheme: http"),
            other => {
                return bad(&format!(
                    "Only HTTP(s) URLs are supported for images: {other} is not supported"
                ));
            }
        }
    }
    Ok(())
}
