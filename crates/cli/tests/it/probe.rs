//! `ripcord probe`: the headers and fields of an answer, on success and on every kind of failure.

use chutes_emulator::{AccountSpec, Fault, FaultKind, ModelSpec, PlanSpec, Scenario, StateSpec};

use crate::world::{Outcome, World, catalogue, pro};

/// What a probe with this fault says.
fn with_fault(kind: FaultKind) -> (Outcome, serde_json::Value) {
    let world = World::with(pro().fault(Fault::new(kind)));
    let report = world.run(&["probe", "--json"]).report("probe");
    (world.run(&["probe"]), report)
}

fn header<'r>(report: &'r serde_json::Value, name: &str) -> Option<&'r serde_json::Value> {
    report["headers"].as_array().unwrap().iter().find(|header| header["name"] == name)
}

fn posts(world: &World) -> usize {
    world.emulator().control().log().iter().filter(|entry| entry.method == "POST").count()
}

#[test]
fn quota_headers_are_a_snapshot_before_the_request() {
    let world = World::with(pro());
    let report = world.run(&["probe", "--json"]).report("probe");
    let value = |name: &str| header(&report, name).unwrap()["value"].clone();
    assert_eq!(value("x-chutes-quota-total"), "5000");
    assert_eq!(value("x-chutes-quota-used"), "1234");
    assert_eq!(value("x-chutes-quota-remaining"), "3765");
    assert_eq!(header(&report, "x-chutes-rl-user").unwrap()["about"], "limits");
    assert_eq!(report["request_units_at_most"], 1);
    assert_eq!(report["clock_ahead_seconds"], 0);
    assert!(
        report["fields"]
            .as_array()
            .unwrap()
            .iter()
            .any(|field| field["name"] == "usage.prompt_tokens")
    );
    assert!(report["failure"].is_null());
    assert_eq!(posts(&world), 1, "one request, no more");
}

#[test]
fn failures_show_what_was_there_and_what_it_means() {
    let (capacity, report) = with_fault(FaultKind::Capacity);
    insta::assert_snapshot!("capacity", capacity.seen());
    assert_eq!(report["failure"]["cause"], "capacity");
    assert_eq!(report["request_units_at_most"], 0);
    let (edge, report) = with_fault(FaultKind::EdgeRateLimit);
    insta::assert_snapshot!("edge_rate_limit", edge.seen());
    assert_eq!(report["failure"]["see"], "ripcord doctor --explain rate-limited");
    let table = [
        (FaultKind::EdgeForbidden, 403, "edge_block", 3),
        (FaultKind::Cold, 503, "cold", 1),
        (FaultKind::Disabled, 503, "disabled", 1),
        (FaultKind::ServerError, 500, "transient", 3),
        (FaultKind::PlainServerError, 500, "transient", 3),
        (FaultKind::ContextTooLong, 400, "context_too_long", 1),
    ];
    for (kind, status, cause, code) in table {
        let (outcome, report) = with_fault(kind);
        assert_eq!(outcome.code, code, "{kind:?}: {}", outcome.seen());
        assert_eq!(report["status"], status, "{kind:?}");
        assert_eq!(report["failure"]["cause"], cause, "{kind:?}");
        assert!(!report["headers"].as_array().unwrap().is_empty(), "{kind:?}");
        let absent = report["absent"].as_array().unwrap();
        assert!(absent.iter().any(|absent| absent["name"] == "retry-after"), "{kind:?}");
    }
}

#[test]
fn a_402_names_the_window_and_its_reset() {
    let spent =
        AccountSpec::new("carol", PlanSpec::Base).anchor("2026-09-14T08:12:45").used_units(300.0);
    // A key that may not read the account, so that nobody knows before.
    let world = World::of(catalogue().account(spent)).key(&Scenario::key("carol", 1));
    let outcome = world.run(&["probe"]);
    insta::assert_snapshot!("quota_used_up", outcome.seen());
    let report = world.run(&["probe", "--json"]).report("probe");
    assert_eq!(report["failure"]["reset_at"], "2026-09-28T00:00:00Z");
    let fields = report["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["name"] == "detail.quota_reset_timestamp"));
}

#[test]
fn no_answer_is_a_report_too() {
    let (outcome, report) = with_fault(FaultKind::ResetBeforeHeaders);
    assert_eq!(outcome.code, 3, "{}", outcome.seen());
    assert!(report["status"].is_null());
    assert_eq!(report["failure"]["cause"], "transient");
    assert!(report["headers"].as_array().unwrap().is_empty());
}

#[test]
fn a_key_that_is_refused_is_told_and_the_next_one_is_used() {
    let dead = World::with(pro()).key(&Scenario::key("nobody", 0));
    let outcome = dead.run(&["probe"]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.stdout.contains("answers 401"), "{}", outcome.seen());
    assert!(outcome.stdout.contains("ripcord doctor --explain key-refused"), "{}", outcome.seen());
}

#[test]
fn a_model_that_does_not_run_is_never_asked() {
    let world = World::with(pro());
    for (model, anchor) in
        [("deepseek-ai/DeepSeek-R1", "model-cold"), ("openai/gpt-oss-20b", "model-off")]
    {
        let outcome = world.run(&["probe", model]);
        assert_eq!(outcome.code, 1);
        assert!(outcome.stderr.contains(&format!("--explain {anchor}")), "{}", outcome.seen());
    }
    assert_eq!(world.run(&["probe", "no-such-model"]).code, 2);
    let named = world.run(&["probe", "zai-org/GLM-5.2-TEE", "--json"]).report("probe");
    assert_eq!(named["model"], "zai-org/GLM-5.2-TEE");
    assert_eq!(posts(&world), 1);
    // The usual model is cold: another one stands in.
    let cold = Scenario::empty()
        .stopped_at(crate::world::NOW)
        .account(pro())
        .model(ModelSpec::new("Qwen/Qwen2.5-72B-Instruct").state(StateSpec::Cold))
        .model(ModelSpec::new("Qwen/Qwen3-32B"));
    let world = World::of(cold).key(&Scenario::key("alice", 0));
    let report = world.run(&["probe", "--json"]).report("probe");
    assert_eq!(report["model"], "Qwen/Qwen3-32B");
    assert_eq!(report["instead_of"], "Qwen/Qwen2.5-72B-Instruct");
}

#[test]
fn headers_and_fields_never_drive_the_terminal() {
    let hostile = "evil\u{1b}[2J\u{202e}name";
    let scenario = catalogue().model(ModelSpec::new(hostile)).account(pro());
    let outcome = World::of(scenario).key(&Scenario::key("alice", 0)).run(&["probe", hostile]);
    assert!(!outcome.seen().contains(['\u{1b}', '\u{202e}']), "{}", outcome.seen());
}

/// A server that gives every request the same answer, and closes.
fn always(answer: Vec<u8>) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut read = Vec::new();
            let mut piece = [0; 1024];
            // The whole request: closing before it is read would reset the connection.
            while !is_whole(&read) {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => read.extend_from_slice(&piece[..count]),
                }
            }
            // Whoever asked may be gone.
            let _ = stream.write_all(&answer);
        }
    });
    url
}

/// Whether a request with its body has come.
fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

#[test]
fn an_answer_of_something_in_between_is_explained_and_cleaned() {
    let key = Scenario::key("alice", 0);
    let body = format!("<html><head><title>Slow down \u{1b}[2J {key}</title></head></html>");
    let mut answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nserver: cloudflare\r\nretry-after: 90\r\nx-ratelimit-limit-requests: 60\r\n\
         x-ratelimit-remaining-requests: 0\r\nx-echo: Bearer {key}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\nx-odd: a",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(b"\x9b31m");
    answer.extend_from_slice("x".repeat(2_000).as_bytes());
    answer.extend_from_slice(format!("\r\n\r\n{body}").as_bytes());
    let world = World::with(pro()).variable("CHUTES_LLM_URL", &always(answer));
    let outcome = world.run(&["probe"]);
    assert_eq!(outcome.code, 1, "{}", outcome.seen());
    let seen = outcome.seen();
    assert!(!seen.contains(['\u{1b}', '\u{9b}']), "{seen}");
    let report = world.run(&["probe", "--json"]).report("probe");
    let secret = key.rsplit('.').next().unwrap();
    assert!(!seen.contains(secret) && !report.to_string().contains(secret), "{seen}");
    assert_eq!(report["failure"]["cause"], "edge_rate_limit");
    let meaning =
        |name: &str| header(&report, name).unwrap()["meaning"].as_str().unwrap().to_owned();
    assert!(meaning("retry-after").starts_with("come back in 1 min 30 s, at 11:14"));
    assert!(meaning("x-ratelimit-remaining-requests").contains("something in between"));
    assert!(meaning("server").contains("Cloudflare"));
    let odd = header(&report, "x-odd").unwrap()["value"].as_str().unwrap().chars().count();
    assert!(odd <= 200, "{odd}");
    let absent = report["absent"].as_array().unwrap();
    assert!(absent.iter().all(|absent| absent["name"] == "x-chutes-quota-*"), "{absent:?}");
}
