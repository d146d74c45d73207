//! The part of an address after the `?`.

use crate::refusal::Refusal;
use http::StatusCode;
use ripcord_rules::admit::Priority;

/// The longest query that is read.
const LONGEST: usize = 4_096;

/// What the parameter `priority` says.
pub(super) fn priority(text: Option<&str>) -> Result<Priority, Refusal> {
    let Some(text) = text else { return Ok(Priority::default()) };
    Priority::read(text).ok_or_else(|| wrong("`priority` takes interactive, agent or batch"))
}

/// The parameters, each at most once and each of these names.
pub(super) fn read(
    query: Option<&str>,
    known: &[&'static str],
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let query = query.unwrap_or_default();
    if query.len() > LONGEST {
        return Err(wrong("the query is too long"));
    }
    let mut read: Vec<(&'static str, String)> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decoded(name)?;
        let Some(name) = known.iter().find(|known| **known == name) else {
            let name = ripcord_wire::text::clean(&name, 40);
            return Err(wrong(&format!(
                "there is no parameter `{name}`; these exist: {}",
                known.join(", ")
            )));
        };
        if read.iter().any(|(given, _)| given == name) {
            return Err(wrong(&format!("`{name}` is given twice")));
        }
        read.push((name, decoded(value)?));
    }
    Ok(read)
}

/// A whole number inside these bounds.
pub(super) fn number(name: &str, text: &str, least: u64, most: u64) -> Result<u64, Refusal> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(&format!("`{name}` takes a whole number from {least} to {most}")))
}

/// A query that cannot be answered as it is.
pub(super) fn wrong(message: &str) -> Refusal {
    Refusal::of_request(StatusCode::BAD_REQUEST, "invalid_request", message)
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let high = digit(rest.next());
                let low = digit(rest.next());
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(wrong("a `%` in the query is not followed by two hex digits"));
                };
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong("the query is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_once_and_values_decoded() {
        let known = ["model", "calls"];
        let read =
            |query| read(Some(query), &known).map_err(|refusal| refusal.message().to_owned());
        assert_eq!(
            read("model=acme%2FWriter+9&calls=5&").unwrap(),
            [("model", "acme/Writer 9".to_owned()), ("calls", "5".to_owned())]
        );
        assert!(read("modle=x").unwrap_err().contains("these exist: model, calls"));
        assert!(read("calls=1&calls=2").unwrap_err().contains("twice"));
        for bad in ["model=%", "model=%f", "model=%zz", "model=%ff"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"a".repeat(5_000)).is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(number("calls", "7", 1, 9).unwrap(), 7);
        for bad in ["0", "10", "-1", "1.5", "", "seven"] {
            assert!(number("calls", bad, 1, 9).is_err(), "{bad}");
        }
    }
}
