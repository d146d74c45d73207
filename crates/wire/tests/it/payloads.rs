//! Reads the files under `tests/fixtures`. Their shapes are those of the real service, their
//! values are invented.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The bytes of a file.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// A file as JSON.
pub(crate) fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// A file as a type.
pub(crate) fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// A member of a file as a type.
pub(crate) fn member<T: DeserializeOwned>(name: &str, key: &str) -> T {
    serde_json::from_value(json(name)[key].take()).unwrap()
}
