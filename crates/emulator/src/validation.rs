//! The validation's 422s, in the framework's shape, and the reading of JSON and form bodies.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{inference::Incoming, query::percent_decode, reply::Reply};

/// A 422 with one complaint.
pub(crate) fn unprocessable(complaint: &Value) -> Reply {
    Reply::detail_value(StatusCode::UNPROCESSABLE_ENTITY, &json!([complaint]))
}

/// Something that has to be there is not.
pub(crate) fn missing(place: &Value, input: &Value) -> Reply {
    unprocessable(&json!({
        "type": "missing", "loc": place, "msg": "Field required", "input": input,
    }))
}

/// A rule of the application's own was broken.
pub(crate) fn value_error(field: &str, text: &str, input: &Value) -> Reply {
    unprocessable(&json!({
        "type": "value_error",
        "loc": ["body", field],
        "msg": format!("Value error, {text}"),
        "input": input,
        "ctx": { "error": {} },
    }))
}

/// A field of another type than it should be.
pub(crate) fn wrong_type(field: &str, kind: &str, msg: &str, input: &Value) -> Reply {
    unprocessable(&json!({ "type": kind, "loc": ["body", field], "msg": msg, "input": input }))
}

/// The body as JSON; broken JSON is refused before anybody asks for a key.
pub(crate) fn read_json(incoming: &Incoming) -> Result<Value, Reply> {
    if incoming.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&incoming.body).map_err(|error| {
        let in_object = incoming.body.starts_with(b"{") && incoming.body.get(1) != Some(&b'"');
        let text = if in_object {
            "Expecting property name enclosed in double quotes"
        } else {
            "Expecting value"
        };
        unprocessable(&json!({
            "type": "json_invalid",
            "loc": ["body", error.column()],
            "msg": "JSON decode error",
            "input": {},
            "ctx": { "error": text },
        }))
    })
}

/// The fields of a body that has to be an object.
pub(crate) fn object(body: &Value) -> Result<&Map<String, Value>, Reply> {
    match body {
        Value::Object(fields) => Ok(fields),
        Value::Null => Err(missing(&json!(["body"]), &Value::Null)),
        other => Err(unprocessable(&json!({
            "type": "model_attributes_type",
            "loc": ["body"],
            "msg": "Input should be a valid dictionary or object to extract fields from",
            "input": other,
        }))),
    }
}

/// A text that has to be there.
pub(crate) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Reply> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => {
            Err(wrong_type(name, "string_type", "Input should be a valid string", other))
        }
        None => Err(missing(&json!(["body", name]), &json!(fields))),
    }
}

/// The fields of a form, percent encoded as addresses are.
pub(crate) fn form(incoming: &Incoming) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&incoming.body).replace('+', " ");
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (percent_decode(name), percent_decode(value)))
        .collect()
}
