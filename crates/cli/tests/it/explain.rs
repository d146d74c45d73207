//! Errors: as JSON, and explained.

use std::io::Write as _;
use std::process::Stdio;

use chutes_emulator::{AccountSpec, Fault, FaultKind, PlanSpec, Scenario};

use crate::world::{World, catalogue, pro};

#[test]
fn an_error_is_one_object_under_json() {
    let dead = World::with(pro()).key(&Scenario::key("nobody", 0));
    let outcome = dead.run(&["sanity", "--json"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""));
    let errors = outcome.talk("error");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["account"], "cpk_a952…");
    assert_eq!(errors[0]["cause"], "dead_key");
    assert_eq!(errors[0]["exit_code"], 3);
    assert_eq!(errors[0]["see"], "ripcord doctor --explain key-refused");
    assert!(errors[0]["next"][0].as_str().unwrap().contains("check the key"));
}

#[test]
fn every_way_to_fail_is_an_object_under_json() {
    let room = || World::with(pro());
    let cases: [(World, &[&str], i32, &str); 7] = [
        (room().without("CHUTES_API_KEY"), &["usage"], 2, "no API key is configured"),
        (room().key("cpk_short.key"), &["usage"], 2, "was probably cut when copied"),
        (room().config("[gatewey]\n"), &["usage"], 2, "the configuration has 1 problem"),
        (room(), &["usage", "--no-such-flag"], 2, "unexpected argument '--no-such-flag'"),
        (room(), &["usage", "--account", "carol"], 2, "there is no account `carol`"),
        (room(), &["model-health", "glm-5"], 2, "there is no model `glm-5`"),
        (room().unreachable(), &["models"], 3, "the connection was refused"),
    ];
    for (world, arguments, code, message) in cases {
        let outcome = world.run(&[arguments, &["--json"]].concat());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{}", outcome.seen());
        let errors = outcome.talk("error");
        assert_eq!(errors.len(), 1, "{}", outcome.seen());
        assert!(errors[0]["message"].as_str().unwrap().contains(message), "{}", errors[0]);
        assert_eq!(errors[0]["exit_code"], code);
    }
    let details = room().config("[gatewey]\n").run(&["usage", "--json"]).talk("error");
    let detail = details[0]["details"][0].as_str().unwrap();
    assert!(detail.ends_with("config.toml:1: unknown key `gatewey`; did you mean `gateway`?"));
}

#[test]
fn a_warning_is_an_object_under_json_too() {
    let quoted = format!("'{}'", Scenario::key("alice", 0));
    let outcome = World::with(pro()).key(&quoted).run(&["budget-check", "--json"]);
    outcome.report("budget-check");
    let warnings = outcome.talk("warning");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0]["message"].as_str().unwrap().contains("removed quotation marks"));
}

#[test]
fn an_error_ends_with_where_to_read_more() {
    let capacity = pro().fault(Fault::new(FaultKind::Capacity));
    let outcome = World::with(capacity).run(&["sanity"]);
    assert_eq!(outcome.code, 3);
    assert!(
        outcome.stderr.ends_with("\nmore: ripcord doctor --explain model-full\n"),
        "{}",
        outcome.stderr
    );
    // The same cause by another text.
    let hiccup =
        Fault { text: Some("Already borrowed".into()), ..Fault::new(FaultKind::ServerError) };
    let outcome = World::with(pro().fault(hiccup)).run(&["sanity"]);
    assert!(
        outcome.stderr.ends_with("\nmore: ripcord doctor --explain engine-hiccup\n"),
        "{}",
        outcome.stderr
    );
    let broke = AccountSpec::new("bob", PlanSpec::Paygo);
    let outcome = World::with(broke).run(&["sanity"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.ends_with("\nmore: ripcord doctor --explain budget-exhausted\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn explaining_needs_nothing_that_works() {
    let broken = World::of(catalogue()).config("[gatewey]\n").unreachable();
    insta::assert_snapshot!(
        broken.run(&["doctor", "--explain", "{\"detail\":\"No matching cord found!\"}"]).seen()
    );
    let report = broken.run(&["doctor", "--explain", "402", "--json"]).report("doctor-explain");
    assert_eq!(report["status"], 402);
    assert!(report["entries"].as_array().unwrap().len() >= 6);
    let nothing = broken.run(&["doctor", "--explain", "the cat did it"]);
    assert_eq!(nothing.code, 1);
    assert!(broken.run(&["doctor", "--explain", "the cat did it", "--json"]).report("doctor-explain")["entries"].as_array().unwrap().is_empty());
    let empty = broken.run(&["doctor", "--explain", " "]);
    assert_eq!(empty.code, 2, "{}", empty.seen());
}

#[test]
fn a_text_can_be_piped_in_and_never_drives_the_terminal() {
    let world = World::of(catalogue());
    let mut child = world
        .command(&["doctor", "--json", "--explain", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(
            b"2026 \x1b[2J ERROR upstream: <html><head><title>429 Too Many Requests</title>\n",
        )
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"name\": \"rate-limited\"") && !text.contains('\u{1b}'), "{text}");
}
