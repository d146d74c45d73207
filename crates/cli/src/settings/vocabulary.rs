//! Every key that a configuration file may have, for suggestions.

use toml::de::{DeTable, DeValue};

use super::DEFAULT_FILE;
use super::hooks::HOOK_KEYS;
use super::providers::PROVIDER_KEYS;
use super::routing::CHAIN_KEYS;

/// The keys of an `[[accounts]]` entry, which the embedded file has as a comment only.
pub(super) const ACCOUNT_KEYS: [&str; 8] =
    ["name", "key_env", "key_file", "keys", "paygo", "min_balance", "reserve", "when_unknown"];

/// The last part of every key, and the whole of it.
pub(super) fn keys() -> Vec<(String, String)> {
    let (table, _) = DeTable::parse_recoverable(DEFAULT_FILE);
    let mut keys = Vec::new();
    gather(table.get_ref(), "", &mut keys);
    // Those of accounts last: `paygo` is rather meant for all.
    keys.extend(HOOK_KEYS.map(|key| (key.to_owned(), format!("hooks.{key}"))));
    keys.extend(CHAIN_KEYS.map(|key| (key.to_owned(), format!("chains.{key}"))));
    keys.extend(PROVIDER_KEYS.map(|key| (key.to_owned(), format!("providers.{key}"))));
    keys.extend(ACCOUNT_KEYS.map(|key| (key.to_owned(), format!("accounts.{key}"))));
    keys
}

fn gather(table: &DeTable<'_>, path: &str, keys: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = key.get_ref();
        let dotted = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match value.get_ref() {
            DeValue::Table(entries) => gather(entries, &dotted, keys),
            _ => keys.push((key.to_string(), dotted)),
        }
    }
}

/// Whether the name of a setting says that its value is an API key.
pub(super) fn means_a_key(name: &str) -> bool {
    let name = name.to_lowercase().replace(['_', '-'], "");
    let name = name.strip_prefix("chutes").unwrap_or(&name);
    ["key", "keys", "apikey", "apikeys", "token", "apitoken", "cpk"].contains(&name)
}
