//! Every recorded failure of the server's own code has the cause that it should have.
//!
//! The recordings are not part of this repository: `RIPCORD_RECORDINGS` names their directory.

use std::fs;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue};
use ripcord_client::classify::{FailedAnswer, answer, stream_error};
use ripcord_rules::cause::{Cause, Endpoint, Phase, classify};
use ripcord_rules::quota::WindowKind;
use ripcord_rules::time::Wall;
use ripcord_wire::sse::{DONE, Event, EventReader};
use serde_json::Value;

const NOW: Wall = Wall::from_unix_seconds(1_795_170_600);
const DAY: Cause = Cause::WindowUsedUp(Some(WindowKind::Day));

struct Recording {
    name: String,
    path: String,
    status: u16,
    failure_of: Box<dyn Fn(Endpoint) -> Cause>,
    body: String,
    is_head: bool,
    is_inference: bool,
}

fn recordings() -> Option<Vec<Recording>> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let directory = std::env::var_os("RIPCORD_RECORDINGS").map(PathBuf::from);
    let Some(directory) = directory else {
        println!("skipped: RIPCORD_RECORDINGS is not set");
        return None;
    };
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(!files.is_empty(), "no recordings there");
    Some(
        files
            .iter()
            .filter_map(|file| {
                recording(&serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
            })
            .collect(),
    )
}

fn recording(json: &Value) -> Option<Recording> {
    let response = &json["response"];
    let status = u16::try_from(response["status"].as_u64()?).unwrap();
    let mut headers = HeaderMap::new();
    for header in response["headers"].as_array().into_iter().flatten() {
        let name = HeaderName::from_bytes(header[0].as_str()?.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(header[1].as_str()?).unwrap());
    }
    let body = match &response["body"] {
        Value::String(body) => body.clone(),
        _ => response["chunks"]
            .as_array()
            .map(|chunks| chunks.iter().filter_map(|chunk| chunk[1].as_str()).collect())
            .unwrap_or_default(),
    };
    let path = json["request"]["path"].as_str()?.to_owned();
    let shown = body.clone();
    Some(Recording {
        name: format!("{:03}-{}", json["n"].as_u64()?, json["name"].as_str()?),
        is_head: json["request"]["method"] == "HEAD",
        is_inference: path.contains("/v1/") && !path.contains("/v1/models") || path == "/generate",
        path,
        status,
        failure_of: Box::new(move |endpoint| {
            let failed =
                FailedAnswer { endpoint, status, headers: &headers, body: body.as_bytes() };
            classify(&answer(failed, NOW))
        }),
        body: shown,
    })
}

/// The causes by pattern of the recordings' names, first match first; `*` stands for anything.
const BY_NAME: [(&str, Cause); 35] = [
    ("*llm-auth-*", Cause::DeadKey),
    ("*-auth-scope-*", Cause::DeadKey),
    ("*inf-exhausted*", DAY),
    // An account without a row in the server's balance view.
    ("*inf-plan-brandnew", Cause::Transient),
    ("*inf-plan-*", DAY),
    ("*inf-perchute-own-exh", DAY),
    ("*inf-cold-broke", DAY),
    ("*infer-after-topup", DAY),
    ("*up-trace-402", DAY),
    ("*M-errhdr-402", DAY),
    ("*inf-cap-*", Cause::WindowUsedUp(None)),
    ("*M-cap-*", Cause::WindowUsedUp(None)),
    ("*inf-tee-q200", Cause::NotEntitled),
    ("*rt-fo-teegate", Cause::NotEntitled),
    ("*inf-tee-only-*", Cause::BadRequest),
    ("*M-errhdr-426", Cause::BadRequest),
    ("*rt-fo-teeonly", Cause::BadRequest),
    ("*inf-disabled*", Cause::Disabled),
    ("*inf-cold*", Cause::Cold),
    ("*up-trace-cold", Cause::Cold),
    ("*rt-cold-latency", Cause::Cold),
    ("*del-nousage-next", Cause::Cold),
    ("*del-426-next", Cause::Cold),
    ("*del-426-stream", Cause::Cold),
    ("*s400v*", Cause::ContextTooLong),
    ("*s400s*", Cause::ContextTooLong),
    ("*up-*-s429*", Cause::Capacity),
    ("*inf-badjson*", Cause::BadRequest),
    ("*inf-img-*", Cause::BadRequest),
    ("*inf-toolargs", Cause::BadRequest),
    ("*M-regex", Cause::BadRequest),
    ("*M-pattern-*", Cause::BadRequest),
    ("*inf-unknown", Cause::ModelNotFound),
    ("*rt-list-all*", Cause::ModelNotFound),
    ("*inf-private", Cause::ModelNotFound),
];

/// What a status may mean at all. An answer whose name says nothing has to stay within it.
fn allowed(recording: &Recording) -> &'static [Cause] {
    match recording.status {
        400 => &[Cause::BadRequest, Cause::ContextTooLong],
        401 => &[Cause::DeadKey],
        402 => &[DAY, Cause::WindowUsedUp(None), Cause::NotEntitled],
        403 => &[Cause::NotEntitled],
        404 => &[Cause::ModelNotFound, Cause::BadRequest],
        405 | 409 | 422 => &[Cause::BadRequest],
        426 => &[Cause::BadRequest],
        // The platform-wide limit of attestations has a text of its own.
        429 if recording.path.contains("/evidence") => &[Cause::Transient],
        429 => &[Cause::Capacity, Cause::FreeModelLimit],
        500 => &[Cause::Transient],
        503 if recording.body == "Service Unavailable" => &[Cause::Transient],
        503 => &[Cause::Cold, Cause::Disabled],
        _ => &[],
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches(rest, &tail[at..]))
        }),
    }
}

#[test]
fn every_recorded_failure_has_its_cause() {
    let Some(recordings) = recordings() else { return };
    let mut used = [0; BY_NAME.len()];
    let mut checked = 0;
    for recording in recordings.iter().filter(|recording| recording.status >= 400) {
        let cause = (recording.failure_of)(Endpoint::Inference);
        // The answer to HEAD has no body to tell the application by.
        if recording.is_head {
            assert!(
                matches!(
                    cause,
                    Cause::BadRequest | Cause::Transient | Cause::EdgeBlock | Cause::Unreachable
                ),
                "{}: {cause:?}",
                recording.name
            );
            continue;
        }
        assert!(
            allowed(recording).contains(&cause),
            "{} ({}): {cause:?}",
            recording.name,
            recording.status
        );
        let by_name = BY_NAME.iter().position(|(pattern, _)| matches(pattern, &recording.name));
        if let Some(index) = by_name.filter(|_| recording.is_inference) {
            used[index] += 1;
            assert_eq!(cause, BY_NAME[index].1, "{}: {}", recording.name, recording.body);
        }
        // On an account endpoint a refused key says nothing about model calls.
        if matches!(recording.status, 401 | 403) {
            let on_account = (recording.failure_of)(Endpoint::Account);
            assert_eq!(on_account, Cause::AccountUnreadable, "{}", recording.name);
        }
        checked += 1;
    }
    println!("{checked} recorded failures");
    for (index, count) in used.iter().enumerate() {
        assert!(*count > 0, "no recording is called {}", BY_NAME[index].0);
    }
}

#[test]
fn every_recorded_stream_that_broke_is_seen_to_be_broken() {
    let Some(recordings) = recordings() else { return };
    let mut checked = 0;
    for recording in recordings
        .iter()
        .filter(|recording| recording.status == 200 && recording.body.contains("\"error\""))
    {
        let mut errors = Vec::new();
        let mut reader = EventReader::new(1 << 20);
        let mut collect = |event: Event<'_>| match event {
            Event::Data(data) | Event::Stray(data) if data != DONE => {
                let json: Result<Value, _> = serde_json::from_slice(data);
                if json.is_ok_and(|json| json.get("error").is_some_and(|error| !error.is_null())) {
                    errors.push(data.to_vec());
                }
            }
            _ => {}
        };
        reader.feed(recording.body.as_bytes(), &mut collect).unwrap();
        reader.finish(&mut collect).unwrap();
        for error in errors {
            let text = String::from_utf8_lossy(&error);
            let late = classify(&stream_error(Endpoint::Inference, &error, Phase::Stream, NOW));
            assert_eq!(late, Cause::BrokenStream, "{}: {text}", recording.name);
            let early =
                classify(&stream_error(Endpoint::Inference, &error, Phase::FirstEvent, NOW));
            let expected =
                if text.contains("infra_overload") { Cause::Capacity } else { Cause::Transient };
            assert_eq!(early, expected, "{}: {text}", recording.name);
            checked += 1;
        }
    }
    println!("{checked} recorded stream errors");
    assert!(checked > 0);
}
