//! Errors: as JSON, and explained.

use std::io::Write as _;
use std::process::Stdio;

use chutes_emulator::{AccountSpec, Fault, FaultKind, FaultScope, PlanSpec, Scenario};

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

/// The anchors of what `doctor --explain` finds.
fn explained(text: &str) -> Vec<String> {
    let outcome = World::with(pro()).unreachable().run(&["doctor", "--explain", text, "--json"]);
    let report = outcome.report("doctor-explain");
    let entries = report["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_part_of_a_text_and_a_coloured_text_are_found() {
    assert_eq!(explained("Quota exceeded"), ["quota-used-up"]);
    assert_eq!(explained("TEE models require an active subscription"), ["plan-tee"]);
    assert_eq!(explained("logprobs"), ["logprobs-dropped"]);
    let coloured = "\u{1b}[31mTEE models require\u{1b}[0m an active \u{1b}[1msubscription or positive balance.";
    assert_eq!(explained(coloured), ["plan-tee"]);
    assert!(explained("zzz none of it").is_empty());
}

/// A client says it of a cold model, and Chutes of a failure of its own.
#[test]
fn a_text_of_two_speakers_is_explained_for_both() {
    let both = explained("Service Unavailable");
    assert!(both.contains(&"server-error".to_owned()), "{both:?}");
    assert!(both.contains(&"model-cold".to_owned()), "{both:?}");
}

#[test]
fn what_makes_no_report_is_refused_under_json() {
    for command in [&["completions", "bash"][..], &["man"], &["demo"]] {
        let outcome = World::with(pro()).run(&[command, &["--json"]].concat());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{}", outcome.seen());
        let message = outcome.talk("error")[0]["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with("which is no JSON"), "{message}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_help_that_could_not_be_written_is_no_success() {
    for flag in ["--help", "--version"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = World::with(pro()).command(&[flag]).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("error: could not write"), "{told}");
    }
}

/// Ninety seconds of a clock that runs sixty times as fast.
#[test]
fn one_call_has_a_deadline_of_its_own() {
    let fault = Fault::new(FaultKind::Silent).on(FaultScope::Inference);
    let mut scenario = catalogue().account(pro().fault(fault));
    scenario.clock_speed = 60.0;
    let world = World::of(scenario)
        .key(&Scenario::key("alice", 0))
        .variable("RIPCORD_TEST_NOW", "2026-09-27T11:13:00Z/run60");
    for command in ["sanity", "probe"] {
        let outcome = world.run(&[command, "zai-org/GLM-5.2-TEE"]);
        assert_eq!(outcome.code, 3, "{}", outcome.seen());
        assert!(outcome.stderr.contains("no whole answer within 90 s"), "{}", outcome.seen());
    }
}

/// A web page with 200 in place of a model's answer: the page is named, and the call may have cost something.
#[test]
fn a_page_in_place_of_an_answer() {
    let page = "<html><title>Sign in to the hotel</title></html>";
    let portal = server("200 OK\r\ncontent-type: text/html", page);
    let world = World::with(pro()).variable("CHUTES_LLM_URL", &portal);
    let sanity = world.run(&["sanity", "zai-org/GLM-5.2-TEE"]);
    assert_eq!(sanity.code, 3, "{}", sanity.seen());
    assert!(sanity.stderr.contains("with a web page"), "{}", sanity.seen());
    assert!(sanity.stderr.contains("--explain web-page"), "{}", sanity.seen());
    let probe = world.run(&["probe", "zai-org/GLM-5.2-TEE", "--json"]).report("probe");
    assert_eq!(probe["status"], 200);
    assert_eq!(probe["request_units_at_most"], 1);
}

/// A list is Ripcord's own question: nobody is told to check theirs.
#[test]
fn a_list_that_is_refused_is_not_put_down_to_the_user() {
    let odd = server("400 Bad Request\r\ncontent-type: application/json", r#"{"detail":"no"}"#);
    let outcome = World::with(pro()).variable("CHUTES_LLM_URL", &odd).run(&["models"]);
    assert_eq!(outcome.code, 3, "{}", outcome.seen());
    assert!(outcome.stderr.contains("look for a newer Ripcord"), "{}", outcome.seen());
    assert!(!outcome.stderr.contains("what was asked for"), "{}", outcome.seen());
}

/// Answers everything with this. It ends with the test's process.
fn server(head: &'static str, body: &'static str) -> String {
    use std::io::Read as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // One read takes the whole of these small requests.
            let _ = stream.read(&mut [0; 16 * 1024]);
            let _ = write!(
                stream,
                "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}
