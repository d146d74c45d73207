//! `ripcord explain`: the story of one request, from rows that a gateway wrote, at every width; and of a real one.

use std::io::Read as _;
use std::path::PathBuf;

use chutes_emulator::{Fault, FaultKind};
use ripcord_store::{
    AttemptRow, Cost, Coverage, Ledger as _, Outcome, RequestRow, Row, ServedBy, SqliteLedger,
    StepKind, StepRow, Timing, Tokens,
};

use crate::serve::Server;
use crate::world::{Outcome as Seen, World, pro};

/// 11:12:48, twelve seconds before the tests take place.
const BEGAN_US: i64 = 1_790_507_568_000_000;
const SECOND_US: u64 = 1_000_000;

fn ledger_path(world: &World) -> PathBuf {
    world.home().join(".local/state/ripcord/ledger.sqlite")
}

fn served_by(model: &str, account: &str) -> ServedBy {
    ServedBy { model: Some(model.into()), account: Some(account.into()), key: Some("1".into()) }
}

fn request(id: &str) -> RequestRow {
    RequestRow {
        request_id: id.into(),
        client_key: Some("laptop".into()),
        route: "chat/completions".into(),
        requested_model: Some("zai-org/GLM-5.2".into()),
        served_by: served_by("zai-org/GLM-5.2-TEE", "home"),
        is_stream: true,
        priority: Some("interactive".into()),
        deadline_us: Some(120 * SECOND_US),
        status: Some(200),
        outcome: Outcome::Completed,
        cause: None,
        attempt_count: 3,
        tokens: Tokens {
            prompt: Some(14_200),
            completion: Some(812),
            cached: Some(9_216),
            estimated: false,
        },
        cost: Cost { list_price_nano_usd: Some(12_345_678), coverage: Some(Coverage::Covered) },
        timing: Timing {
            started_at_unix_us: BEGAN_US,
            waited_us: 4_300_000,
            first_byte_us: Some(5_700_000),
            total_us: 11_900_000,
        },
    }
}

fn attempt(id: &str, number: u32, began_ms: i64, model: &str, account: &str) -> AttemptRow {
    AttemptRow {
        request_id: id.into(),
        number,
        served_by: served_by(model, account),
        status: Some(429),
        outcome: Outcome::Failed,
        cause: Some("capacity".into()),
        tokens: Tokens::default(),
        cost: Cost::default(),
        timing: Timing {
            started_at_unix_us: BEGAN_US + began_ms * 1_000,
            waited_us: 0,
            first_byte_us: Some(180_000),
            total_us: 200_000,
        },
    }
}

fn step(
    id: &str,
    number: u32,
    after_attempt: u32,
    at_ms: i64,
    kind: StepKind,
    reason: &str,
) -> StepRow {
    StepRow {
        request_id: id.into(),
        number,
        after_attempt,
        kind,
        subject: None,
        target: None,
        reason: Some(reason.into()),
        before: None,
        after: None,
        at_unix_us: BEGAN_US + at_ms * 1_000,
        took_us: 0,
    }
}

/// A request to which everything happened.
fn eventful(id: &str) -> Vec<Row> {
    let waited = |number, after_attempt, at_ms, took_us, reason| StepRow {
        took_us,
        ..step(id, number, after_attempt, at_ms, StepKind::Waited, reason)
    };
    let cut = |number, what: &str, before, after| StepRow {
        subject: Some(what.into()),
        before: Some(before),
        after: Some(after),
        ..step(id, number, 2, 3_900, StepKind::Trimmed, "capacity")
    };
    let answered = AttemptRow {
        status: Some(200),
        outcome: Outcome::Completed,
        cause: None,
        tokens: Tokens {
            prompt: Some(14_200),
            completion: Some(812),
            cached: Some(9_216),
            estimated: false,
        },
        cost: Cost { list_price_nano_usd: Some(12_345_678), coverage: Some(Coverage::Covered) },
        timing: Timing {
            started_at_unix_us: BEGAN_US + 4_800_000,
            waited_us: 900_000,
            first_byte_us: Some(700_000),
            total_us: 7_100_000,
        },
        ..attempt(id, 3, 4_800, "zai-org/GLM-5.2-TEE", "home")
    };
    let left_out = StepRow {
        subject: Some("deepseek-ai/DeepSeek-R1".into()),
        ..step(id, 1, 0, 0, StepKind::LeftOut, "less_private")
    };
    let switched = StepRow {
        subject: Some("zai-org/GLM-5.2".into()),
        target: Some("zai-org/GLM-5.2-TEE".into()),
        ..step(id, 4, 1, 3_400, StepKind::Switched, "capacity")
    };
    vec![
        Row::Request(request(id)),
        Row::Attempt(attempt(id, 1, 3_100, "zai-org/GLM-5.2", "work")),
        Row::Attempt(attempt(id, 2, 3_500, "zai-org/GLM-5.2-TEE", "work")),
        Row::Attempt(answered),
        Row::Step(left_out),
        Row::Step(waited(2, 0, 3_100, 3_100_000, "slot")),
        Row::Step(switched),
        Row::Step(cut(5, "max_tokens", 8_192, 4_096)),
        Row::Step(cut(6, "messages", 41, 17)),
        Row::Step(cut(7, "bytes", 81_920, 40_111)),
        Row::Step(waited(8, 2, 4_800, 900_000, "backoff")),
    ]
}

/// A world in which these rows were written.
fn world_with(rows: impl IntoIterator<Item = Row>) -> World {
    let world = World::with(pro());
    let ledger = SqliteLedger::open(&ledger_path(&world)).unwrap();
    rows.into_iter().for_each(|row| ledger.append(row));
    drop(ledger);
    world
}

fn refused(id: &str) -> Vec<Row> {
    let told = RequestRow {
        outcome: Outcome::Refused,
        status: Some(429),
        cause: Some("deadline".into()),
        attempt_count: 0,
        served_by: ServedBy::default(),
        tokens: Tokens::default(),
        cost: Cost::default(),
        timing: Timing {
            started_at_unix_us: BEGAN_US - 60_000_000,
            waited_us: 120 * SECOND_US,
            first_byte_us: None,
            total_us: 120 * SECOND_US + 4_000,
        },
        ..request(id)
    };
    let waited = StepRow {
        took_us: 120 * SECOND_US,
        at_unix_us: BEGAN_US + 60_000_000,
        ..step(id, 1, 0, 0, StepKind::Waited, "slot")
    };
    vec![Row::Request(told), Row::Step(waited)]
}

#[test]
fn the_story_of_a_request_at_every_width() {
    let mut seen = String::new();
    for columns in ["40", "80", "140"] {
        let world = world_with(eventful("req_01a")).variable("COLUMNS", columns);
        let outcome = world.run(&["explain", "req_01a"]);
        assert_eq!(outcome.code, 0, "{}", outcome.seen());
        let widest = outcome.stdout.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= columns.parse::<usize>().unwrap(), "{columns}: {}", outcome.stdout);
        seen.push_str(&format!("=== {columns} columns\n{}\n", outcome.seen()));
    }
    insta::assert_snapshot!("explain-widths", seen);
}

#[test]
fn one_that_was_refused_broke_or_has_not_ended() {
    let mut rows = refused("req_02refused");
    let broken = RequestRow {
        outcome: Outcome::Broken,
        cause: Some("broken_stream".into()),
        attempt_count: 1,
        ..request("req_03broken")
    };
    let broke = AttemptRow {
        outcome: Outcome::Broken,
        status: Some(200),
        cause: Some("broken_stream".into()),
        tokens: Tokens { prompt: Some(12), completion: Some(3), cached: None, estimated: true },
        ..attempt("req_03broken", 1, 0, "zai-org/GLM-5.2", "work")
    };
    let chosen = StepRow {
        subject: Some("zai-org/GLM-5.2".into()),
        target: Some("zai-org/GLM-5.1".into()),
        ..step("req_03broken", 1, 0, 0, StepKind::Chosen, "busy")
    };
    let continued = StepRow {
        subject: Some("prefill".into()),
        before: Some(1_234),
        after: Some(1_234),
        ..step("req_03broken", 2, 1, 300, StepKind::Continued, "broken_stream")
    };
    rows.extend([
        Row::Request(broken),
        Row::Attempt(broke),
        Row::Step(chosen),
        Row::Step(continued),
    ]);
    let left = RequestRow {
        outcome: Outcome::Cancelled,
        status: None,
        attempt_count: 0,
        ..request("req_04left")
    };
    rows.push(Row::Request(left));
    rows.push(Row::Attempt(attempt("req_05under_way", 1, 0, "zai-org/GLM-5.2", "work")));
    let world = world_with(rows);
    let mut seen = String::new();
    for id in ["req_02refused", "req_03broken", "req_04left", "req_05under_way"] {
        seen.push_str(&world.run(&["explain", id]).seen());
    }
    insta::assert_snapshot!("explain-endings", seen);
    let report = world.run(&["explain", "req_02", "--json"]).report("explain");
    assert_eq!(report["requests"][0]["see"], "ripcord doctor --explain no-answer");
    let report = world.run(&["explain", "05under", "--json"]).report("explain");
    let story = &report["requests"][0];
    assert_eq!((&story["ended"], &story["outcome"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(story["attempts"][0]["cause"], "capacity");
}

#[test]
fn the_same_as_json() {
    let world = world_with(eventful("req_01a"));
    let outcome = world.run(&["explain", "req_01a", "--json"]);
    let report = outcome.report("explain");
    let story = &report["requests"][0];
    assert_eq!(story["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(story["attempts"][2]["waited_seconds"], 0.9);
    assert_eq!(
        (&story["priority"], &story["deadline_seconds"]),
        (&"interactive".into(), &120.0.into())
    );
    assert_eq!(story["cost"]["coverage"], "covered");
    let steps = story["steps"].as_array().unwrap();
    let kinds: Vec<_> = steps.iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["left_out", "waited", "switched", "trimmed", "trimmed", "trimmed", "waited"]
    );
    assert_eq!((&steps[4]["before"], &steps[4]["after"]), (&41.into(), &17.into()));
    assert_eq!(steps[1]["text"], "waited 3.1 s for a free slot");
}

#[test]
fn a_request_is_found_by_the_beginning_of_its_id_or_as_the_newest() {
    let rows =
        eventful("req_01aaa").into_iter().chain(refused("req_01aab")).chain(refused("req_02"));
    let world = world_with(rows);
    let id_of = |outcome: Seen| {
        outcome.report("explain")["requests"][0]["request_id"].as_str().unwrap().to_owned()
    };
    for (asked, found) in [
        ("req_01aaa", "req_01aaa"),
        ("01aab", "req_01aab"),
        ("x-ripcord-request-id: req_02", "req_02"),
        ("req_0", ""),
    ] {
        let outcome = world.run(&["explain", asked, "--json"]);
        match found {
            "" => assert_eq!(
                (outcome.code, outcome.talk("error").len()),
                (2, 1),
                "{}",
                outcome.seen()
            ),
            found => assert_eq!(id_of(outcome), found, "{asked}"),
        }
    }
    let ambiguous = world.run(&["explain", "req_01"]).seen();
    assert_eq!(id_of(world.run(&["explain", "--last", "--json"])), "req_01aaa");
    let three = world.run(&["explain", "--last", "3", "--json"]).report("explain");
    assert_eq!(three["requests"].as_array().unwrap().len(), 3);
    let mut seen = format!("{ambiguous}\n");
    let ids = ["req_019a2b3c4d5e00112233445566778899", "req_019a2b3c4d5f00112233445566778899"];
    let rows = eventful(ids[0]).into_iter().chain(refused(ids[1]));
    let mut world = world_with(rows);
    for columns in ["40", "60", "80", "140"] {
        world = world.variable("COLUMNS", columns);
        let list = world.run(&["explain"]);
        let widest = list.stdout.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= columns.parse().unwrap(), "{}", list.seen());
        assert!(ids.iter().all(|id| list.stdout.contains(id)), "{}", list.seen());
        seen.push_str(&format!("=== {columns} columns\n{}", list.stdout));
    }
    insta::assert_snapshot!("explain-finding", seen);
}

#[test]
fn what_is_not_there_is_told_with_what_to_do() {
    let world = World::with(pro());
    let mut seen =
        [world.run(&["explain"]).seen(), world.run(&["explain", "req_1"]).seen()].join("\n");
    assert!(!ledger_path(&world).exists(), "to look makes no ledger");
    let world = world_with(refused("req_02"));
    for asked in ["req_1", "what went wrong?"] {
        seen.push_str(&format!("\n{}", world.run(&["explain", asked]).seen()));
    }
    insta::assert_snapshot!("explain-not-found", seen);
    for wrong in
        [&["explain", ""][..], &["explain", "--last", "0"], &["explain", "req_02", "--last"]]
    {
        assert_eq!(world.run(wrong).code, 2, "{wrong:?}");
    }
    let key = chutes_emulator::Scenario::key("alice", 0);
    let outcome = world.run(&["explain", &key]);
    assert!(!outcome.seen().contains(&key), "{}", outcome.seen());
    std::fs::write(ledger_path(&world), "no database").unwrap();
    let outcome = world.run(&["explain", "req_1"]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
}

#[test]
fn names_from_outside_never_drive_the_terminal() {
    let mut rows = eventful("req_01a");
    let hostile = "acme/\u{1b}[2J\u{9b}31m\u{202e}row\n";
    if let Row::Request(told) = &mut rows[0] {
        told.requested_model = Some(hostile.into());
        told.client_key = Some(hostile.into());
        told.served_by.model = Some(hostile.into());
    }
    rows.push(Row::Step(StepRow {
        subject: Some(hostile.into()),
        ..step("req_01a", 9, 3, 5_000, StepKind::LeftOut, hostile)
    }));
    let world = world_with(rows);
    for arguments in [&["explain", "req_01a"][..], &["explain"], &["explain", "req_01a", "--json"]]
    {
        let outcome = world.run(arguments);
        assert!(outcome.stdout.contains("row"), "{}", outcome.seen());
        for character in ['\u{1b}', '\u{9b}', '\u{202e}'] {
            assert!(!outcome.stdout.contains(character), "{}", outcome.seen());
        }
    }
}

/// Through a real gateway, while it runs, and a moment after the answer.
#[test]
fn a_real_request_is_explained_while_the_gateway_runs() {
    let world = World::with(pro());
    let model = "Qwen/Qwen2.5-72B-Instruct";
    world
        .emulator()
        .control()
        .add_model_fault(model, Fault::new(FaultKind::ServerError).times(1))
        .unwrap();
    let server = Server::start(&world);
    let body = format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"the number is 4711"}}]}}"#
    );
    let mut answer = String::new();
    server.post(&body).read_to_string(&mut answer).unwrap();
    let id =
        answer.lines().find_map(|line| line.strip_prefix("x-ripcord-request-id: ")).unwrap().trim();
    let outcome = world.run(&["explain", id]);
    assert_eq!(outcome.code, 0, "{}\n{answer}", outcome.seen());
    assert!(outcome.stdout.contains("✓ answered after"), "{}", outcome.seen());
    assert!(outcome.stdout.contains("✗ 500, it failed in a way that passes"), "{}", outcome.seen());
    assert!(!outcome.stdout.contains("4711"), "{}", outcome.seen());
    let report = world.run(&["explain", id, "--json"]).report("explain");
    assert_eq!(report["requests"][0]["attempts"].as_array().unwrap().len(), 2);
    // A stream that breaks and goes on is one request with two attempts, which say how.
    let cut = Fault::new(FaultKind::Cut).times(1).after_chunks(4);
    world.emulator().control().add_model_fault(model, cut).unwrap();
    let mut stream = String::new();
    let body = body.replace("}]", "}],\"stream\":true");
    server.post(&body).read_to_string(&mut stream).unwrap();
    let explained = world.run(&["explain", "--last"]);
    assert!(stream.contains("[DONE]"), "{stream}");
    assert!(explained.stdout.contains("went on after "), "{}", explained.seen());
    assert!(!explained.stdout.contains("4711"), "{}", explained.seen());
    drop(server);
    assert_eq!(world.run(&["explain", id]).code, 0);
}
