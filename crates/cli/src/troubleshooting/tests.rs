//! Page and code cannot drift apart: what the page says of a text is what the classifier makes of it, what the program
//! says stands in its source, and every link leads somewhere.

use std::path::{Path, PathBuf};

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use ripcord_client::classify::{FailedAnswer, answer, stream_error};
use ripcord_rules::cause::{Endpoint, Failure, Phase, classify};
use ripcord_rules::time::Wall;

use super::*;

fn sightings() -> Vec<(&'static str, Sighting)> {
    let of = |entry: Entry| {
        let anchor = entry.anchor;
        entry.sightings.into_iter().map(move |seen| (anchor, seen))
    };
    entries().into_iter().flat_map(of).collect()
}

fn found(asked: &str) -> Vec<&'static str> {
    match find(asked) {
        Found::Entries(entries) | Found::Status(_, entries) => {
            entries.iter().map(|entry| entry.anchor).collect()
        }
        Found::Nothing => Vec::new(),
    }
}

/// The source of every crate, without what only lays it out.
fn sources(below: &str) -> String {
    fn gather(directory: &Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(below);
    gather(&root, &mut text);
    let text = text.replace("\\\n", "").replace(['`', '\\'], "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_is_read_whole() {
    let entries = entries();
    assert!(entries.len() >= 45, "{}", entries.len());
    for entry in &entries {
        assert!(!entry.sightings.is_empty(), "{}: nothing to see", entry.anchor);
        assert!(!entry.paragraphs.is_empty(), "{}: no explanation", entry.anchor);
        assert!(!entry.next.is_empty(), "{}: no next step", entry.anchor);
        assert!(!entry.title.is_empty() && !entry.title.contains('<'), "{}", entry.anchor);
        let twice = entries.iter().filter(|other| other.anchor == entry.anchor).count();
        assert_eq!(twice, 1, "{} stands twice", entry.anchor);
    }
    let rows = PAGE.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(sightings().len(), rows, "a row that is not read");
}

#[test]
fn every_link_of_the_page_leads_to_an_entry() {
    let anchors: Vec<_> = entries().iter().map(|entry| entry.anchor).collect();
    let links = PAGE.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links {
        assert!(anchors.contains(&link), "#{link}");
    }
    let named = PAGE.split("--explain ").skip(1).filter_map(|rest| rest.split('`').next());
    for name in named.filter(|name| name.contains('-') && !name.starts_with(['"', '-'])) {
        assert!(anchors.contains(&name), "{name}");
    }
}

/// The answer that a row describes, as it comes over the wire.
fn as_failure(seen: &Sighting) -> Option<Failure> {
    // Whatever stands in for `…`: a number, since the engines' texts have numbers there.
    let text = seen.text.replace('…', "32768");
    let json = |value: serde_json::Value| (Some("application/json"), value.to_string());
    let (endpoint, (content_type, body)) = match seen.speaker {
        "Chutes" => (Endpoint::Inference, json(serde_json::json!({ "detail": text }))),
        "Chutes, account" => (Endpoint::Account, json(serde_json::json!({ "detail": text }))),
        "Chutes, lists" => (Endpoint::Public, json(serde_json::json!({ "detail": text }))),
        "Chutes, list of problems" => {
            let item = serde_json::json!({ "loc": ["query", "limit"], "msg": text, "type": "x" });
            (Endpoint::Inference, json(serde_json::json!({ "detail": [item] })))
        }
        "Chutes, plain text" => (Endpoint::Inference, (Some("text/plain"), text)),
        "engine" => {
            let inner = serde_json::json!({
                "detail": { "error": { "message": text, "type": "BadRequestError", "param": null, "code": 400 } }
            });
            let outer = format!("Invalid request: Invalid request: {inner}");
            (Endpoint::Inference, json(serde_json::json!({ "detail": outer })))
        }
        "provider" => {
            let error =
                serde_json::json!({ "error": { "message": text, "type": "x", "param": null } });
            (Endpoint::Provider, json(error))
        }
        "edge, web page" => {
            let page = format!(
                "<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
            );
            (Endpoint::Inference, (Some("text/html"), page))
        }
        "edge, web page as sent" => (Endpoint::Inference, (Some("text/html; charset=UTF-8"), text)),
        "Chutes, in the stream" => {
            let line = serde_json::json!({ "error": text }).to_string();
            let now = Wall::from_unix_seconds(0);
            return Some(stream_error(Endpoint::Inference, line.as_bytes(), Phase::Stream, now));
        }
        _ => return None,
    };
    let mut headers = HeaderMap::new();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    let status = seen.status.unwrap();
    let failed = FailedAnswer { endpoint, status, headers: &headers, body: body.as_bytes() };
    Some(answer(failed, Wall::from_unix_seconds(0)))
}

#[test]
fn every_text_of_chutes_is_taken_for_what_the_page_says() {
    let mut seen_causes = Vec::new();
    for (anchor, seen) in sightings() {
        let Some(failure) = as_failure(&seen) else { continue };
        let cause = classify(&failure);
        assert_eq!(Some(cause.name()), seen.means, "{anchor}: {}", seen.text);
        assert!(!seen.text.is_empty());
        seen_causes.push(cause.name());
        let answered = anchor_of_answer(cause, &seen.text.replace('…', "32768"));
        let same_text =
            sightings().into_iter().any(|(other, row)| other == answered && row.text == seen.text);
        assert!(same_text || answered == anchor, "{}: {answered} instead of {anchor}", seen.text);
    }
    assert!(seen_causes.len() > 60, "{}", seen_causes.len());
    for (_, seen) in sightings() {
        let speaker = seen.speaker;
        let known = ["Ripcord", "Ripcord, command", "Chutes, answer", "a habit"].contains(&speaker)
            || seen.is_of_client()
            || as_failure(&seen).is_some();
        assert!(known, "nobody checks rows of `{speaker}`");
    }
}

#[test]
fn every_cause_has_an_entry() {
    let anchors: Vec<_> = entries().iter().map(|entry| entry.anchor).collect();
    let windows =
        [None, Some(WindowKind::Day), Some(WindowKind::FourHour), Some(WindowKind::Month)];
    let mut causes: Vec<Cause> = windows.map(Cause::WindowUsedUp).to_vec();
    causes.extend([
        Cause::Capacity,
        Cause::EdgeRateLimit,
        Cause::RateLimited,
        Cause::OutOfCredit,
        Cause::NotEntitled,
        Cause::FreeModelLimit,
        Cause::Cold,
        Cause::Disabled,
        Cause::ModelNotFound,
        Cause::DeadKey,
        Cause::AccountUnreadable,
        Cause::EdgeBlock,
        Cause::ContextTooLong,
        Cause::ContentFilter,
        Cause::BadRequest,
        Cause::Transient,
        Cause::Silent,
        Cause::BrokenStream,
        Cause::Unreachable,
    ]);
    for cause in causes {
        assert!(anchors.contains(&anchor_of(cause)), "{cause:?}");
        assert!(!found(cause.name()).is_empty(), "nothing explains `{}`", cause.name());
    }
}

#[test]
fn every_text_that_the_client_recognises_is_on_the_page() {
    // `("the text, or how it begins", Says::…)`, wherever the client keeps them.
    let source = sources("client/src");
    let mut recognised = 0;
    for (at, _) in source.match_indices(", Says::") {
        let before = source[..at].trim_end();
        let Some(text) = before.strip_suffix('"').and_then(|text| text.rsplit('"').next()) else {
            continue;
        };
        recognised += 1;
        let explained = sightings().iter().any(|(_, seen)| seen.text.contains(text));
        assert!(explained, "the page does not explain `{text}`");
    }
    assert!(recognised >= 15, "the texts have moved: {recognised}");
}

#[test]
fn every_code_of_the_gateway_is_on_the_page() {
    let source = sources("gateway/src") + &sources("wire/src/body");
    let page: Vec<_> = sightings().iter().filter_map(|(_, seen)| seen.means).collect();
    let errors = include_str!("../../../../docs/ERRORS.md");
    let rows =
        errors.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 6);
    let documented = rows.flat_map(|row| row.split('|').nth(3).unwrap_or_default().split('`'));
    let documented: Vec<&str> = documented
        .filter(|code| code.contains('_') || *code == "deadline" || *code == "busy")
        .collect();
    assert!(documented.len() >= 20, "{documented:?}");
    for code in &documented {
        assert!(page.contains(code), "the page does not explain `{code}`");
    }
    // Whatever the gateway refuses with a code of its own is in the table.
    let answers = source.split("StatusCode::").skip(1);
    let named = answers.filter_map(|rest| {
        let (status, rest) = rest.split_once(", \"")?;
        let is_status = status.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        is_status.then(|| rest.split('"').next()).flatten()
    });
    let named: Vec<&str> = named.collect();
    assert!(named.len() >= 20, "{named:?}");
    for code in named {
        assert!(errors.contains(&format!("`{code}`")), "docs/ERRORS.md does not list `{code}`");
    }
    // And what the page calls a code of the gateway is one.
    for (anchor, seen) in sightings().iter().filter(|(_, seen)| seen.speaker == "Ripcord") {
        let code = seen.means.unwrap_or_default();
        let written = source.contains(&format!("\"{code}\""));
        assert!(written, "{anchor}: the gateway has no code `{code}`");
    }
}

#[test]
fn what_ripcord_is_said_to_say_stands_in_its_source() {
    let source = sources("");
    let mut missing = Vec::new();
    for (anchor, seen) in sightings() {
        if !seen.speaker.starts_with("Ripcord") {
            continue;
        }
        let text = seen.text.replace('`', "");
        let parts = text.split(['…', ';', '(', ')']).map(str::trim);
        let longest = parts.max_by_key(|part| part.len()).unwrap();
        if !source.contains(longest) {
            missing.push(format!("{anchor}: nothing says `{longest}`"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_link_in_the_source_leads_to_an_entry() {
    let source = sources("cli/src");
    let quoted =
        |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
    // Only a name that is written there; put together, so that this line is none.
    let call = format!(".see({}", '"');
    let of_calls =
        source.split(&call).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    // Functions that choose one: `anchor`, `anchor_of`, `anchor_of_transport` …
    let functions = source.split("fn anchor").skip(1);
    let bodies = functions.filter_map(|rest| rest.split(" fn ").next());
    let of_functions =
        bodies.flat_map(quoted).filter(|text| text.contains('-') && !text.contains(' '));
    let anchors: Vec<_> = entries().iter().map(|entry| entry.anchor).collect();
    let links: Vec<String> = of_calls.chain(of_functions).collect();
    assert!(links.len() >= 50, "{}", links.len());
    for link in links {
        assert!(anchors.contains(&link.as_str()), "#{link}");
    }
}

#[test]
fn a_pasted_text_finds_its_entry() {
    let table = [
        ("Infrastructure is at maximum capacity, try again later", "model-full"),
        (r#"{"detail":"Infrastructure is at maximum capacity, try again later"}"#, "model-full"),
        (
            "openai.RateLimitError: Error code: 429 - {'detail': 'Infrastructure is at maximum capacity, try again later'}",
            "model-full",
        ),
        (
            "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>",
            "rate-limited",
        ),
        (
            "<!doctype html><meta charset=\"utf-8\"><meta name=viewport content=\"width=device-width, initial-scale=1\"><title>403</title>403 Forbidden",
            "edge-block",
        ),
        (
            r#"{"detail":{"message":"Quota exceeded and account balance is $0.0, please pay with fiat or send tao to 5Gx","quota_reset_timestamp":"2026-09-28T00:00:00+00:00"}}"#,
            "quota-used-up",
        ),
        (
            r#"{"detail":"Invalid request: Invalid request: {\"detail\":{\"error\":{\"message\":\"Already borrowed\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}}"}"#,
            "engine-hiccup",
        ),
        (
            r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"window_exhausted"}}"#,
            "window-exhausted",
        ),
        ("404: no matching CORD   found!", "no-cord"),
        (
            "AI_APICallError: No instances available (yet) for chute_id='0df3133d-c477'",
            "model-cold",
        ),
        ("model-full", "model-full"),
        ("#model-full", "model-full"),
        ("edge_block", "edge-block"),
        (
            "error: alice: POST /v1/chat/completions at llm.chutes.ai:443: the connection was refused",
            "unreachable",
        ),
    ];
    for (asked, anchor) in table {
        assert_eq!(found(asked), [anchor], "{asked}");
    }
    // The text of a refused key is the same everywhere.
    assert_eq!(found("Invalid token or user not found"), ["key-refused", "account-unreadable"]);
}

#[test]
fn a_status_alone_finds_all_that_comes_with_it() {
    for asked in
        ["402", "402 status code (no body)", "HTTP 402", "AI_APICallError: Payment Required"]
    {
        let Found::Status(402, entries) = find(asked) else {
            panic!("{asked}: {:?}", found(asked))
        };
        assert!(entries.len() >= 6, "{asked}");
    }
    let Found::Status(404, _) = find("APICallError [AI_APICallError]: Not Found") else { panic!() };
    assert_eq!(find("418"), Found::Nothing);
    assert_eq!(find("my cat sat on the keyboard"), Found::Nothing);
    assert_eq!(find(""), Found::Nothing);
}

/// The recordings are not part of this repository: `RIPCORD_RECORDINGS` names their directory.
#[test]
fn every_recorded_failure_is_explained() {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let Some(directory) = std::env::var_os("RIPCORD_RECORDINGS") else {
        println!("skipped: RIPCORD_RECORDINGS is not set");
        return;
    };
    let mut explained = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let record: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let answer = &record["response"];
        let body = match &answer["body"] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let failed = answer["status"].as_u64().is_some_and(|status| status >= 400);
        if !failed || body.is_empty() || body == "null" {
            continue;
        }
        assert!(!found(&body).is_empty(), "{}: {body}", path.display());
        explained += 1;
    }
    assert!(explained > 200, "{explained}");
}
