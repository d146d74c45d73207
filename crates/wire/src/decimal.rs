//! Money and usage as sent: decimal text, not yet a number.

use std::fmt;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Number, Value};

/// A decimal number in the shortest text that names it, such as `8.333333333333332`, `7e-7` or
/// `-0.059`.
///
/// Money and quota are counted in integers elsewhere, and turning a float into one would round
/// twice. The text is what an exact conversion starts from. Numbers sent as JSON strings are read
/// as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal(String);

impl Decimal {
    /// Takes a text that is a finite decimal number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let finite = digits && text.parse::<f64>().is_ok_and(f64::is_finite);
        finite.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest float, for showing and comparing roughly.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        // Checked when it was made.
        self.0.parse().unwrap_or(0.0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::String(text) => {
                Self::parse(&text).ok_or_else(|| D::Error::custom("not a decimal number"))
            }
            _ => Err(D::Error::custom("not a number")),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<Number>() {
            Ok(number) => number.serialize(serializer),
            Err(_) => serializer.serialize_f64(self.to_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn keeps_the_text_of_numbers() {
        for text in ["8.333333333333332", "7e-7", "-0.059", "5000", "0.30000000000000004", "0.0"] {
            let decimal: Decimal = serde_json::from_str(text).unwrap();
            assert_eq!(decimal.as_str(), text);
            assert_eq!(serde_json::to_string(&decimal).unwrap(), text);
        }
        let text: Decimal = serde_json::from_str("\"12.50\"").unwrap();
        assert_eq!(text.as_str(), "12.50");
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["\"inf\"", "\"NaN\"", "\"\"", "true", "null", "[1]", "\"1,5\""] {
            assert!(serde_json::from_str::<Decimal>(text).is_err(), "{text}");
        }
    }
}
