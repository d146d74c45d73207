//! `ripcord watch`: what it tells, of what it is silent, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use chutes_emulator::{Fault, FaultKind, Scenario, StateSpec};
use serde_json::Value;

use crate::serve::Server;
use crate::situations::situations;
use crate::terminal::Terminal;
use crate::world::{World, catalogue, checked_report, pro};

/// A watch under way, ended by its own id when dropped.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watch {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command(&[&["watch"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next event.
    fn event(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended");
        checked_report("event", &line)
    }

    fn interrupt(&self) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; the exit code and what it said on stderr.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut talk = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
        (self.child.wait().unwrap().code(), talk)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Thirty seconds before the 4-hour window turns, with that window used up and clocks that run.
fn before_the_turn() -> World {
    let mut scenario: Scenario = catalogue().account(pro().used_usd(8.4, 50.4));
    scenario.starts_at = Some("2026-09-27T11:59:30Z".to_owned());
    scenario.clock_speed = 20.0;
    World::of(scenario)
        .key(&Scenario::key("alice", 0))
        .variable("RIPCORD_TEST_NOW", "2026-09-27T11:59:30Z/run20")
}

fn told(event: &Value) -> (&str, &str) {
    let about = event["window"].as_str().or_else(|| event["model"].as_str());
    (event["kind"].as_str().unwrap(), about.unwrap_or_default())
}

#[test]
fn each_situation_at_first_sight() {
    let codes = [0, 0, 0, 0, 0, 0, 3, 3];
    let mut seen = String::new();
    for ((situation, world), code) in situations().into_iter().zip(codes) {
        let world = world();
        let outcome = world.run(&["watch", "--once"]);
        assert_eq!(outcome.code, code, "{situation}:\n{}", outcome.seen());
        outcome.stdout.lines().for_each(|line| drop(checked_report("event", line)));
        seen.push_str(&format!("=== {situation}\n{}\n", outcome.seen()));
        let as_json = world.run(&["watch", "--once", "--json"]);
        assert_eq!((as_json.code, &as_json.stdout), (code, &outcome.stdout), "{situation}");
        as_json.talk("error");
    }
    insta::assert_snapshot!("watch", seen);
}

#[test]
fn a_key_that_is_dead_is_told_and_a_narrow_one_is_not() {
    let dead = World::with(pro()).key(&format!(
        "cpk_{}.{}.{}",
        "a".repeat(32),
        "b".repeat(32),
        "c".repeat(32)
    ));
    let outcome = dead.run(&["watch", "--once"]);
    assert_eq!(outcome.code, 3, "{}", outcome.seen());
    let event = checked_report("event", &outcome.stdout);
    assert_eq!((&event["kind"], &event["key"]), (&"key_dead".into(), &"1".into()));
    assert!(!outcome.stdout.contains(&"a".repeat(9)) && !outcome.stdout.contains(&"b".repeat(9)));
}

#[test]
fn it_tells_of_a_window_that_turns_and_ends_politely() {
    let world = before_the_turn();
    let mut watch = Watch::start(&world, &[]);
    let exhausted = watch.event();
    assert_eq!(told(&exhausted), ("exhausted", "four_hour"));
    assert_eq!(exhausted["resets_at"], "2026-09-27T12:00:00Z");
    let reset = watch.event();
    assert_eq!(told(&reset), ("reset", "four_hour"));
    assert!(reset["at"].as_str() >= Some("2026-09-27T12:00:02Z"), "{reset}");
    watch.interrupt();
    assert_eq!(watch.ended(), (Some(0), String::new()));
}

#[test]
fn it_asks_sparingly() {
    let world = before_the_turn();
    let mut watch = Watch::start(&world, &["--interval", "10"]);
    watch.event();
    watch.event();
    watch.interrupt();
    watch.ended();
    let log = world.emulator().control().log();
    let mut looks =
        log.iter().filter(|entry| entry.path == "/users/me").map(|entry| entry.started_micros);
    let mut last = looks.next().unwrap();
    let mut more = 0;
    for look in looks {
        more += 1;
        assert!(look - last >= 9_900_000, "{} s after the one before", (look - last) / 1_000_000);
        last = look;
    }
    assert!(more > 0);
}

#[test]
fn the_network_may_fail_and_is_told_of_once() {
    let world = before_the_turn();
    let mut watch = Watch::start(&world, &["--interval", "10"]);
    watch.event();
    let fault = Fault::new(FaultKind::EdgeForbidden).for_seconds(60.0);
    world.emulator().control().add_account_fault("alice", fault).unwrap();
    assert_eq!(told(&watch.event()), ("reset", "four_hour"), "the calendar needs no network");
    watch.interrupt();
    let (code, talk) = watch.ended();
    assert_eq!(code, Some(0), "{talk}");
    assert!(talk.matches("error:").count() <= 1, "{talk}");
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let world = before_the_turn();
    let mut watch = Watch::start(&world, &[]);
    watch.event();
    let Watch { child, lines } = &mut watch;
    // Nothing need happen for it to be noticed.
    drop(std::mem::replace(lines, BufReader::new(dummy())));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    assert_eq!(talk, "");
}

/// The output of a program that says nothing.
fn dummy() -> ChildStdout {
    let mut child = std::process::Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}

#[test]
fn models_need_no_key_and_their_names_are_checked() {
    let world = World::of(catalogue());
    let outcome = world.run(&[
        "watch",
        "--once",
        "--model",
        "deepseek-ai/DeepSeek-R1",
        "--model",
        "chutes/openai/gpt-oss-20b",
        "--model",
        "zai-org/GLM-5.2-TEE",
    ]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    let events: Vec<Value> =
        outcome.stdout.lines().map(|line| checked_report("event", line)).collect();
    let states: Vec<_> =
        events.iter().map(|event| (told(event), event["state"].as_str().unwrap())).collect();
    assert_eq!(
        states,
        [
            (("saturated", "deepseek-ai/DeepSeek-R1"), "cold"),
            (("saturated", "openai/gpt-oss-20b"), "down")
        ]
    );
    assert!(outcome.stderr.contains("only models are watched"), "{}", outcome.seen());
    let wrong = world.run(&["watch", "--once", "--model", "zai-org/glm-5.2"]);
    assert_eq!(wrong.code, 2, "{}", wrong.seen());
    assert!(wrong.stderr.contains("GLM-5.2-TEE"), "{}", wrong.seen());
    let nothing = world.run(&["watch"]);
    assert_eq!(nothing.code, 2, "{}", nothing.seen());
    let down = World::of(catalogue()).unreachable().run(&["watch", "--once", "--model", "a/b"]);
    assert_eq!((down.code, down.stdout.as_str()), (3, ""), "{}", down.seen());
}

#[test]
fn a_model_that_is_configured_is_watched_as_it_changes() {
    let mut scenario = catalogue();
    scenario.starts_at = Some("2026-09-27T11:13:00Z".to_owned());
    scenario.clock_speed = 200.0;
    let world = World::of(scenario)
        .config("[models]\nwatch = [\"zai-org/GLM-5.2-TEE\"]\n")
        .variable("RIPCORD_TEST_NOW", "2026-09-27T11:13:00Z/run200");
    let control = world.emulator().control();
    control.set_model_state("zai-org/GLM-5.2-TEE", StateSpec::Cold).unwrap();
    let mut watch = Watch::start(&world, &["--interval", "30"]);
    assert_eq!(told(&watch.event()), ("saturated", "zai-org/GLM-5.2-TEE"));
    control.set_model_state("zai-org/GLM-5.2-TEE", StateSpec::Hot).unwrap();
    assert_eq!(told(&watch.event()), ("recovered", "zai-org/GLM-5.2-TEE"));
}

#[test]
fn it_follows_a_gateway() {
    let world = World::with(pro().used_usd(8.4, 50.4)).without("RIPCORD_TEST_NOW");
    let nobody = world.run(&["watch", "--gateway"]);
    assert_eq!(nobody.code, 3, "{}", nobody.seen());
    assert!(nobody.stderr.contains("ripcord serve"), "{}", nobody.seen());
    let server = Server::start(&world);
    let world = world.config(&format!("[gateway]\nlisten = \"{}\"\n", server.address()));
    let mut watch = Watch::start(&world, &["--gateway"]);
    assert_eq!(told(&watch.event()), ("exhausted", "four_hour"));
    watch.interrupt();
    assert_eq!(watch.ended(), (Some(0), String::new()));
}

#[test]
fn a_person_gets_sentences() {
    let world = World::with(pro().used_usd(8.4, 85.0));
    let Some(terminal) = Terminal::start(&world, "$RIPCORD --tz UTC watch --once") else { return };
    let outcome = terminal.ended();
    assert_eq!(outcome.code, 0, "{}", outcome.stdout);
    let plain = ripcord_wire::text::clean(&outcome.stdout, 1_000);
    assert!(plain.contains("11:13 UTC ✗"), "{plain}");
    assert!(
        plain.contains(
            "the 4-hour window is used up: $8.40 of $8.33; resets in 47 min, at 12:00 UTC"
        ),
        "{plain}"
    );
    assert!(plain.contains("$15.00 of $100.00 left in the month window"), "{plain}");
}

#[test]
fn wrong_words_are_told() {
    let world = World::with(pro());
    for (arguments, said) in [
        (&["watch", "--interval", "9"][..], "from 10 to 86400"),
        (&["watch", "--once", "--gateway"], "cannot be used with"),
        (&["watch", "--hooks", "--once"], "there is no hook"),
        (&["watch", "--once", "--account", "nobody"], "there is no account `nobody`"),
    ] {
        let outcome = world.run(arguments);
        assert_eq!(outcome.code, 2, "{}", outcome.seen());
        assert!(outcome.stderr.contains(said), "{}", outcome.seen());
    }
}
