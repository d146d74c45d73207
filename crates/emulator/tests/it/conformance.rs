//! Replays recorded requests of the real server and compares status, content type, how the
//! connection went on, and the shape of the body.
//!
//! Runs when `RIPCORD_RECORDINGS` names the folder; says so when it does not. Deliberate
//! differences are listed here by record number and explained in `DIFFERENCES.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chutes_emulator::{Emulator, Scenario};
use serde_json::Value;

use crate::{
    raw::{RawAnswer, RawConnection, RawEnd},
    recorded::{credential, header, prepare, scenario},
};

/// Record numbers that deliberately differ, with the heading of `DIFFERENCES.md` that says why.
const DELIBERATE: &[(&str, &[(u32, u32)])] = &[
    (
        "older snapshot",
        &[
            (109, 113),
            (117, 119),
            (214, 214),
            (271, 272),
            (314, 314),
            (329, 329),
            (332, 332),
            (399, 399),
        ],
    ),
    ("pages", &[(258, 259)]),
    ("one port", &[(278, 278)]),
    ("parsers", &[(348, 349), (508, 512), (516, 516)]),
    ("no media", &[(361, 361)]),
    ("ten minutes long", &[(221, 221)]),
    (
        "seed of the recordings",
        &[(76, 76), (236, 236), (334, 334), (337, 337), (339, 339), (379, 379)],
    ),
    ("outages", &[(916, 916), (924, 924), (927, 928), (931, 932), (934, 936), (938, 939)]),
];

/// Keys that the recorded snapshot does not have yet, that depend on the seed of the recordings, or
/// that the emulator leaves out: see "keys" in `DIFFERENCES.md`.
const FREE_KEYS: &[&str] = &[
    ".effective_date",
    ".disabled",
    ".execution_backend",
    ".lock_modules",
    ".bounty",
    ".compute_multiplier_factors.",
    "input_schema",
    "output_schema",
    ".per_step",
    ".scopes[]",
    // Null until the first check of a new instance.
    ".last_verified_at",
];

#[tokio::test]
async fn recorded_requests_get_recorded_answers() {
    let Some(folder) = folder() else {
        println!("skipped: RIPCORD_RECORDINGS is not set");
        return;
    };
    let records = read(Path::new(&folder));
    let ids = recorded_ids(&records);
    let mut compared = 0;
    let mut left_out_needlessly = Vec::new();
    let mut failures = Vec::new();
    for (number, record) in &records {
        let left_out = DELIBERATE
            .iter()
            .any(|(_, ranges)| ranges.iter().any(|(low, high)| (low..=high).contains(&number)));
        if left_out {
            // That one takes ten minutes.
            if *number != 221 && compare(record, &ids).await.is_ok() {
                left_out_needlessly.push(*number);
            }
            continue;
        }
        compared += 1;
        if let Err(difference) = compare(record, &ids).await {
            failures.push(format!("{number} {}: {difference}", record["name"]));
        }
    }
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n"));
    assert!(compared > 250, "only {compared} records compared");
    println!("{compared} records compared; alike all the same: {left_out_needlessly:?}");
}

#[expect(clippy::disallowed_methods, reason = "where the recordings lie is the machine's matter")]
fn folder() -> Option<String> {
    std::env::var("RIPCORD_RECORDINGS").ok()
}

fn read(folder: &Path) -> BTreeMap<u32, Value> {
    let mut records = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            records.insert(u32::try_from(record["n"].as_u64().unwrap()).unwrap(), record);
        }
    }
    records
}

/// Recorded chute and user ids with the emulator's own in their place.
fn recorded_ids(records: &BTreeMap<u32, Value>) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for record in records.values() {
        let body = record["response"]["body"].as_str().unwrap_or_default();
        let Ok(body) = serde_json::from_str::<Value>(body) else { continue };
        let items = body["items"].as_array().into_iter().flatten().chain(std::iter::once(&body));
        for item in items {
            if let (Some(id), Some(name)) = (item["chute_id"].as_str(), item["name"].as_str()) {
                ids.insert(id.to_owned(), Scenario::chute_id(name));
            }
        }
        // The caller's own id, from any answer that names it.
        let caller = header(&record["request"]["headers"], "authorization").unwrap_or_default();
        let caller = caller.split("cpk_<").nth(1).and_then(|rest| rest.split(['>', ':']).next());
        let id = body["user_id"].as_str().or_else(|| body[0]["user_id"].as_str());
        let id = id.filter(|_| {
            body["username"].is_string() || body.is_array() || body["api_key_id"].is_string()
        });
        if let (Some(id), Some(name)) = (id, caller) {
            ids.insert(id.to_owned(), Scenario::user_id(name));
        }
    }
    ids
}

async fn compare(record: &Value, ids: &BTreeMap<String, String>) -> Result<(), String> {
    let emulator = Emulator::start(scenario(record)).await.unwrap();
    prepare(record, &emulator).await;
    let (request, expected) = (&record["request"], &record["response"]);
    let translate = |text: &str| {
        ids.iter().fold(text.to_owned(), |text, (id, own)| text.replace(id.as_str(), own))
    };
    let mut headers = Vec::new();
    for pair in request["headers"].as_array().unwrap() {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        if name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        let value = credential(value).ok_or("a credential the emulator does not know")?;
        headers.push((name.to_owned(), value));
    }
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let method = request["method"].as_str().unwrap();
    let body = translate(request["body"].as_str().unwrap_or_default());
    let path = translate(request["path"].as_str().unwrap());
    let path = credential(&path).ok_or("a credential the emulator does not know")?;
    let mut connection = RawConnection::open(emulator.port()).await;
    connection.send(method, &path, &headers, body.as_bytes()).await;
    let answer = connection.answer(method == "HEAD").await.map_err(|end| format!("{end:?}"))?;
    let text = answer.text();
    if u64::from(answer.status) != expected["status"].as_u64().unwrap() {
        return Err(format!("status {} not {}: {text:.200}", answer.status, expected["status"]));
    }
    let wanted = header(&expected["headers"], "content-type");
    if answer.header("content-type") != wanted.as_deref() {
        return Err(format!("content type {:?} not {wanted:?}", answer.header("content-type")));
    }
    headers_alike(&expected["headers"], &answer)?;
    let closes = expected["after"].as_str() == Some("server closed");
    if closes && method != "HEAD" && connection.end().await != RawEnd::Closed {
        return Err("the connection stays open".to_owned());
    }
    if method == "HEAD" {
        return Ok(());
    }
    if expected["body"].is_null() {
        // A picture.
        return Ok(());
    }
    bodies(expected["body"].as_str().unwrap_or_default(), &text)
}

/// The headers a client reads: all of the service's own, and how a stream may be cached. Nothing
/// ever says when to come back. The older snapshot has no quota headers.
fn headers_alike(expected: &Value, answer: &RawAnswer) -> Result<(), String> {
    if answer.header("retry-after").is_some() {
        return Err("there is a retry-after".to_owned());
    }
    let is_newer = header(expected, "x-chutes-rl-user").is_some();
    let names = [
        "x-chutes-invocationid",
        "x-chutes-quota-total",
        "x-chutes-quota-used",
        "x-chutes-quota-remaining",
        "x-chutes-rl-user",
        "x-chutes-rl-chute",
        "x-chutes-invoice-billing",
        "cache-control",
        "x-accel-buffering",
        "allow",
        "content-disposition",
    ];
    for name in names {
        let (wanted, found) = (header(expected, name), answer.header(name));
        let newer_only = name.starts_with("x-chutes-quota")
            || name.starts_with("x-chutes-rl")
            || matches!(name, "x-chutes-invoice-billing" | "cache-control" | "x-accel-buffering");
        if newer_only && !is_newer && answer.status == 200 {
            continue;
        }
        // Counters depend on what came before.
        let by_value = !matches!(
            name,
            "x-chutes-invocationid" | "x-chutes-quota-used" | "x-chutes-quota-remaining"
        );
        if wanted.is_some() != found.is_some() || (by_value && wanted.as_deref() != found) {
            return Err(format!("{name}: {found:?} not {wanted:?}"));
        }
    }
    Ok(())
}

fn bodies(expected: &str, found: &str) -> Result<(), String> {
    if expected.starts_with("invocation_id,") {
        // What the rows tell is each service's own.
        let first = |text: &str| text.split("\r\n").next().map(str::to_owned);
        return if first(expected) == first(found) { Ok(()) } else { Err(found.to_owned()) };
    }
    if expected.contains("data: ") {
        let last = |text: &str| {
            let line = text.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
            if line.starts_with("data: {") { "event".to_owned() } else { line.to_owned() }
        };
        if last(expected) != last(found) {
            return Err(format!("ends with {:?} not {:?}", last(found), last(expected)));
        }
        let keys = |text: &str| {
            let mut keys = BTreeSet::new();
            for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                if let Ok(event) = serde_json::from_str::<Value>(data) {
                    shape(&event, "", &mut keys);
                }
            }
            keys
        };
        return same(&keys(expected), &keys(found));
    }
    let (Ok(wanted), Ok(found)) =
        (serde_json::from_str::<Value>(expected), serde_json::from_str::<Value>(found))
    else {
        return if expected == found { Ok(()) } else { Err(format!("{found:?} not {expected:?}")) };
    };
    if let Some(detail) = wanted.get("detail").filter(|detail| !detail.is_array()) {
        let (wanted, found) = (normal(detail), normal(&found["detail"]));
        return if wanted == found { Ok(()) } else { Err(format!("{found} not {wanted}")) };
    }
    let (mut wanted_keys, mut found_keys) = (BTreeSet::new(), BTreeSet::new());
    shape(&wanted, "", &mut wanted_keys);
    shape(&found, "", &mut found_keys);
    same(&wanted_keys, &found_keys)
}

fn same(wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> Result<(), String> {
    let odd: Vec<String> = wanted
        .symmetric_difference(found)
        .filter(|key| !FREE_KEYS.iter().any(|free| key.contains(free)))
        .map(|key| format!("{}{key}", if wanted.contains(key) { '-' } else { '+' }))
        .collect();
    if odd.is_empty() { Ok(()) } else { Err(odd.join(" ")) }
}

/// The paths of every key, with the type of what they hold; list items fall together.
fn shape(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                // Ids as keys are data.
                let name = if name.len() == 36 { "<id>" } else { name };
                shape(field, &format!("{path}.{name}"), keys);
            }
            keys.insert(format!("{path}:object"));
        }
        Value::Array(items) => {
            items.iter().for_each(|item| shape(item, &format!("{path}[]"), keys))
        }
        Value::Null => {}
        Value::Number(_) => drop(keys.insert(format!("{path}:number"))),
        Value::String(_) => drop(keys.insert(format!("{path}:string"))),
        Value::Bool(_) => drop(keys.insert(format!("{path}:bool"))),
    }
}

/// A detail with every UUID the same.
fn normal(detail: &Value) -> String {
    let text = detail.to_string();
    let mut normal = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let uuid = rest.get(..36).filter(|id| {
            id.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
        });
        match uuid {
            Some(id) => {
                normal.push_str("<id>");
                rest = &rest[id.len()..];
            }
            None => {
                normal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    normal
}
