//! Which models a request's `model` may be served by.
//!
//! It may be one name, a list of names, or the account's own name for a list; and it may say how to choose
//! (`chutes/api.md` 4.3; recordings, D28 and D42).

use std::collections::BTreeMap;

/// An account's own names for models: the name in lower case, and names or ids of chutes.
pub type Aliases = BTreeMap<String, Vec<String>>;

/// Maker and prefix of names that Chutes has renamed.
const OLD_MAKER: (&str, &str) = ("THUDM/", "zai-org/");

/// The members that `text` stands for, in order. `known` tells what a name or an id stands for, and `None` of a name that
/// is not listed; so of a member that nobody lists (a private chute, one that has just come) there is a `None`.
pub fn members<T>(
    text: &str,
    aliases: &Aliases,
    known: impl Fn(&str) -> Option<T>,
) -> Vec<Option<T>> {
    if let Some(exact) = known(text) {
        return vec![Some(exact)];
    }
    let text = text.strip_suffix(":THINKING").unwrap_or(text);
    if let Some(one) = known(text).or_else(|| renamed(text, &known)) {
        return vec![Some(one)];
    }
    without_order(text)
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .flat_map(|name| match aliases.get(&name.to_lowercase()) {
            Some(members) => members.iter().map(|member| known(member)).collect(),
            None => vec![known(name)],
        })
        .collect()
}

/// The text without how its members are to be ordered.
fn without_order(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((before, order))
            if ["latency", "throughput"].iter().any(|known| order.eq_ignore_ascii_case(known)) =>
        {
            before
        }
        _ => text,
    }
}

/// What Chutes serves under a plain older name (`chutes/api.md` 4.2): the confidential twin, or that of the maker's new
/// name. Which names it rewrites is its own fixed list; one that is not on it is a 404 and costs nothing.
fn renamed<T>(text: &str, known: impl Fn(&str) -> Option<T>) -> Option<T> {
    let newer = text.strip_prefix(OLD_MAKER.0).map(|model| format!("{}{model}", OLD_MAKER.1));
    let newer_tee = newer.as_ref().map(|newer| format!("{newer}-TEE"));
    let names = [newer, newer_tee, Some(format!("{text}-TEE"))];
    names.into_iter().flatten().find_map(|name| known(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let aliases = Aliases::from([
            ("mine".to_owned(), vec!["acme/A".to_owned(), "id-b".to_owned()]),
            ("odd".to_owned(), vec!["other/Private".to_owned()]),
        ]);
        let known = |name: &str| match name {
            "acme/A" => Some('a'),
            "acme/B" | "id-b" => Some('b'),
            "acme/C-TEE" => Some('c'),
            "acme/D:latency" => Some('d'),
            "zai-org/E-TEE" => Some('e'),
            _ => None,
        };
        members(text, &aliases, known).into_iter().map(|found| found.unwrap_or('?')).collect()
    }

    #[test]
    fn names_lists_aliases_and_orders() {
        for (text, expected) in [
            ("acme/A", "a"),
            ("id-b", "b"),
            ("acme/A:THINKING", "a"),
            ("acme/A:latency", "a"),
            ("acme/A:LATENCY", "a"),
            ("acme/A:latency:THINKING", "a"),
            (" acme/A , acme/B ", "ab"),
            ("acme/A,", "a"),
            ("acme/B,acme/A,id-b:throughput", "bab"),
            ("mine", "ab"),
            ("MINE:latency", "ab"),
            ("acme/C-TEE,mine", "cab"),
            // An exact name comes before what its text could also mean.
            ("acme/D:latency", "d"),
            // Chutes serves the confidential twin of some names, but not inside a list.
            ("acme/C", "c"),
            ("acme/C:THINKING", "c"),
            ("THUDM/E", "e"),
            ("acme/A,acme/C", "a?"),
            // Nobody knows.
            ("nobody", "?"),
            ("odd", "?"),
            ("acme/a", "?"),
            ("acme/A:fast", "?"),
            ("", ""),
            (",", ""),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
