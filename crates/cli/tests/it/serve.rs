//! `ripcord serve` as a process: started, used, told to stop, and refused where it cannot run.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use chutes_emulator::ModelSpec;

use crate::world::{World, catalogue, pro};

const MODEL: &str = "acme/Slow-1";
/// Its answers take longer than a test may.
const SLOWEST: &str = "acme/Slow-2";

/// A running gateway, stopped by its own id when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    talk: Option<std::thread::JoinHandle<String>>,
}

impl Server {
    pub(crate) fn start(world: &World) -> Self {
        Self::listening(world, "127.0.0.1:0")
    }

    pub(crate) fn listening(world: &World, address: &str) -> Self {
        let mut child = world
            .command(&["serve", "--listen", address])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut talk = String::new();
        let address = loop {
            let before = talk.len();
            assert!(stderr.read_line(&mut talk).unwrap() > 0, "it ended early: {talk}");
            if let Some((_, url)) = talk[before..].split_once("listening on http://") {
                break url.trim().to_owned();
            }
        };
        let talk = std::thread::spawn(move || {
            stderr.read_to_string(&mut talk).unwrap();
            talk
        });
        Self { child, address, talk: Some(talk) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn post(&self, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; the exit code and everything it said.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.talk.take().unwrap().join().unwrap())
    }
}

/// Whatever becomes of a test, its gateway does not outlive it.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn world() -> World {
    let model = ModelSpec::new(MODEL).price(0.1, 0.4, 0.1).pace(0, 100.0).tokens(10, 40);
    let slowest = ModelSpec::new(SLOWEST).price(0.1, 0.4, 0.1).pace(0, 5.0).tokens(10, 4_000);
    let scenario = catalogue().model(model).model(slowest).account(pro());
    World::of(scenario).key(&chutes_emulator::Scenario::key("alice", 0)).without("RIPCORD_TEST_NOW")
}

#[test]
fn it_serves_says_nothing_secret_and_finishes_what_is_under_way() {
    let canary = "CANARYPROMPT";
    let world = world().variable("RUST_LOG", "trace");
    let server = Server::start(&world);
    let body = format!(
        r#"{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"{canary}"}}]}}"#
    );
    let mut stream = server.post(&body);
    let mut first = [0; 64];
    let read = stream.read(&mut first).unwrap();
    assert!(first[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    server.signal("TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "the answer was finished: {rest}");
    let (code, talk) = server.ended();
    assert_eq!(code, Some(0), "{talk}");
    let key = chutes_emulator::Scenario::key("alice", 0);
    for secret in [canary, key.as_str(), &key[4..36], &key[70..]] {
        assert!(!talk.contains(secret), "{talk}");
    }
    let ledger = world.home().join(".local/state/ripcord/ledger.sqlite");
    let kept = std::fs::read(&ledger).unwrap();
    let holds = |text: &str| kept.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(MODEL), "the row was written before the end");
    assert!(!holds(canary) && !holds(&key[4..36]));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&ledger).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_script_gets_one_line_of_json_with_the_address() {
    let world = world();
    let mut child = world
        .command(&["serve", "--json", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let report = crate::world::checked_report("serve", &line);
    let address = report["address"].as_str().unwrap();
    assert!(TcpStream::connect(address).is_ok(), "{line}");
    assert_eq!(report["base_url"], format!("http://{address}/v1"));
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-s", "TERM", &id]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let world = world();
    let server = Server::start(&world);
    let mut stream =
        server.post(&format!(r#"{{"model":"{SLOWEST}","stream":true,"messages":[]}}"#));
    let mut first = [0; 64];
    assert!(stream.read(&mut first).unwrap() > 0);
    server.signal("INT");
    // It drains as soon as it takes no connections any more.
    while TcpStream::connect(&server.address).is_ok() {
        std::thread::yield_now();
    }
    server.signal("TERM");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
    let (code, talk) = server.ended();
    assert_eq!(code, Some(0), "{talk}");
    assert!(talk.contains("cut off"), "{talk}");
}

#[test]
fn a_second_gateway_shares_the_ledger_and_the_same_port_is_refused() {
    let world = world();
    let server = Server::start(&world);
    let outcome = world.run(&["serve", "--listen", &server.address]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(
        outcome.stderr.contains("in use") && outcome.stderr.contains("--listen"),
        "{}",
        outcome.stderr
    );
    let second = Server::start(&world);
    for server in [second, server] {
        server.signal("INT");
        assert_eq!(server.ended().0, Some(0));
    }
}

#[test]
fn what_it_cannot_run_with_is_said_at_once() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let file = world();
    std::fs::write(file.home().join("file"), "").unwrap();
    let below_a_file = file.home().join("file").display().to_string();
    let cases = [
        (world(), vec!["serve", "--listen", &taken], "in use"),
        (world(), vec!["serve", "--listen", "0.0.0.0:0"], "admin token"),
        (world().without("CHUTES_API_KEY"), vec!["serve"], "no API key is configured"),
        (
            file.variable("XDG_STATE_HOME", &below_a_file),
            vec!["serve", "--listen", "127.0.0.1:0"],
            "ledger",
        ),
    ];
    for (world, arguments, expected) in cases {
        let outcome = world.run(&arguments);
        assert_eq!(outcome.code, 2, "{}", outcome.seen());
        assert!(outcome.stderr.contains(expected), "{}", outcome.seen());
    }
}

#[test]
fn its_slots_are_those_of_the_whole_machine() {
    let world = world().config("[gateway]\nslots_per_account = 2\n");
    let server = Server::start(&world);
    let hold = |script: &str| {
        let mut command = world.command(&["acquire", "--", "sh", "-c", script]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        child
    };
    let slots = || world.run(&["slots", "--json"]).report("slots")["accounts"][0].clone();
    let wait_until = |what: &str, is_so: &dyn Fn() -> bool| {
        let mut looks = 0;
        while !is_so() {
            looks += 1;
            assert!(looks < 500, "{what}: {}", slots());
        }
    };
    // Another program has one slot, so of two requests one waits.
    let mut other = hold("echo held; cat > /dev/null");
    let body = format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"Hi"}}]}}"#);
    let mut answers = [server.post(&body), server.post(&body)];
    wait_until("one serves, one waits", &|| slots()["held"] == 2 && slots()["awaited"] == true);
    let most = |world: &World| world.emulator().control().account("alice").unwrap().max_in_flight;
    assert!(most(&world) <= 1, "one at Chutes beside the other program's slot");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    for answer in &mut answers {
        let mut text = String::new();
        answer.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
    wait_until("all are back", &|| slots()["held"] == 0 && slots()["awaited"] == false);
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}
