//! Lists in which one bad item does not lose the others.

use std::ops::Deref;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::text;

/// A list and what of it could not be read.
///
/// It reads as the slice of its good items. Items that could not be read are left out, counted,
/// and the first of them is explained, so that a caller can say "3 of 200 were unreadable: …"
/// instead of failing or silently showing less. A value that is no list at all, or null, reads as
/// an empty one with that explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Items<T> {
    /// The good items, in order.
    pub items: Vec<T>,
    /// How many were left out.
    pub skipped: usize,
    /// What was wrong with the first of those.
    pub first_problem: Option<String>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { items: Vec::new(), skipped: 0, first_problem: None }
    }
}

impl<T> From<Vec<T>> for Items<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, skipped: 0, first_problem: None }
    }
}

impl<T> Deref for Items<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> IntoIterator for Items<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Items<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// Reads the items of a list.
    pub(crate) fn from_list(list: Vec<Value>) -> Self {
        let mut read = Self { items: Vec::with_capacity(list.len()), ..Self::default() };
        for (index, item) in list.into_iter().enumerate() {
            match serde_json::from_value(item) {
                Ok(item) => read.items.push(item),
                Err(problem) => {
                    read.skipped += 1;
                    read.first_problem.get_or_insert_with(|| {
                        text::clean(&format!("item {index}: {problem}"), 200)
                    });
                }
            }
        }
        read
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Array(list) => Self::from_list(list),
            Value::Null => Self::default(),
            _ => {
                Self { first_problem: Some("not a list".to_owned()), skipped: 1, ..Self::default() }
            }
        })
    }
}

impl<T: Serialize> Serialize for Items<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::Items;

    #[test]
    fn a_bad_item_is_counted_and_explained() {
        let items: Items<u8> = serde_json::from_str("[1, \"x\", 2, null]").unwrap();
        assert_eq!(&items[..], [1, 2]);
        assert_eq!(items.skipped, 2);
        assert!(items.first_problem.unwrap().starts_with("item 1: invalid type"));
    }

    #[test]
    fn no_list_is_an_empty_list_that_says_so() {
        let items: Items<u8> = serde_json::from_str("null").unwrap();
        assert_eq!((items.len(), items.skipped), (0, 0));
        let items: Items<u8> = serde_json::from_str("{}").unwrap();
        assert_eq!(items.first_problem.as_deref(), Some("not a list"));
    }
}
