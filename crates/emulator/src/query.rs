//! Query strings, percent encoding, and the validation's 422s.

use http::StatusCode;
use serde_json::json;

use crate::reply::Reply;

/// A count that is not negative.
pub(crate) fn as_usize(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// A query string's pairs.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn new(query: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        };
        Self(query.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.as_str(), "true" | "1" | "True" | "yes"))
    }

    /// A whole number, or the validation's 422.
    pub(crate) fn integer(&self, name: &str, default: i64) -> Result<i64, Reply> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| {
            let detail = json!([{
                "type": "int_parsing",
                "loc": ["query", name],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "input": text,
            }]);
            Reply::detail_value(StatusCode::UNPROCESSABLE_ENTITY, &detail)
        })
    }

    /// A whole number within bounds, or the validation's 422.
    pub(crate) fn bounded(
        &self,
        name: &str,
        default: i64,
        (low, high): (i64, i64),
    ) -> Result<i64, Reply> {
        let value = self.integer(name, default)?;
        let (kind, text, bound, key) = if value < low {
            ("greater_than_equal", "greater than or equal to", low, "ge")
        } else if value > high {
            ("less_than_equal", "less than or equal to", high, "le")
        } else {
            return Ok(value);
        };
        let detail = json!([{
            "type": kind,
            "loc": ["query", name],
            "msg": format!("Input should be {text} {bound}"),
            "input": value.to_string(),
            "ctx": { key: bound },
        }]);
        Err(Reply::detail_value(StatusCode::UNPROCESSABLE_ENTITY, &detail))
    }
}

/// Undoes percent encoding; what is not valid stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(decoded) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
