//! Field readers for `serde` that turn what they cannot read into nothing.
//!
//! Chutes' answers change between versions, differ by role, and put a word into a number's place
//! (`"quota": "unlimited"`). A status page that fails because one field of one row is odd helps
//! nobody, so each field stands for itself: null, missing and misshapen all read as absent. What
//! must not be mixed up (zero and unknown) stays apart, because absent is `None`, never 0.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Any type: `None` for null and for what the type refuses.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(if value.is_null() { None } else { serde_json::from_value(value).ok() })
}

/// Any type with a default, which also stands for null and for what the type refuses.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(object(deserializer)?.unwrap_or_default())
}

/// A map without the values that the type refuses.
pub(crate) fn map<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let Value::Object(members) = Value::deserialize(deserializer)? else {
        return Ok(BTreeMap::new());
    };
    let good = members.into_iter().filter_map(|(key, value)| {
        let value = serde_json::from_value(value).ok()?;
        Some((key, value))
    });
    Ok(good.collect())
}

/// Text; a number or boolean becomes its text.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A list of texts, without those that are none.
pub(crate) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(list) => Some(
            list.into_iter()
                .filter_map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
        ),
        // A single one without its list.
        Value::String(text) => Some(vec![text]),
        _ => None,
    })
}

/// A whole number; `8.0` and `"8"` are 8, fractions are cut towards zero.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(as_whole(&Value::deserialize(deserializer)?))
}

/// A number, also as text.
pub(crate) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let number: Option<f64> = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(number.filter(|number| number.is_finite()))
}

/// A truth value, also as 0 and 1 or as text.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => Some(flag),
        Value::Number(number) if number.as_u64() == Some(0) => Some(false),
        Value::Number(number) if number.as_u64() == Some(1) => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    })
}

/// [`whole`] for a value at hand.
pub(crate) fn as_whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            // Beyond 2^53 a float is no count any more.
            (float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
