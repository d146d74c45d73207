//! Hooks: programs and addresses that are told of events, and those that fail, hang or lead astray.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use chutes_emulator::Scenario;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::pause::wait_until;
use crate::serve::Server;
use crate::world::{World, checked_report, pro};

/// 24 bytes in base64, as the standard has a secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One request as a receiver got it.
#[derive(Debug)]
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let value = self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        value.unwrap_or_default()
    }
}

/// A receiver that answers with these, one after the other, and then no more.
struct Receiver {
    address: String,
    received: mpsc::Receiver<Received>,
}

impl Receiver {
    fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                let Some(request) = read(&stream) else { return };
                let _ = sender.send(request);
                if answer == "hang" {
                    // Until the other side has had enough.
                    let _ = (&stream).read(&mut [0]);
                    continue;
                }
                if let Some(status) = answer.strip_suffix(" and hang") {
                    let begun = format!("HTTP/1.1 {status}\r\ncontent-length: 9\r\n\r\nwell");
                    let _ = (&stream).write_all(begun.as_bytes());
                    let _ = (&stream).read(&mut [0]);
                    continue;
                }
                let _ = (&stream).write_all(
                    format!(
                        "HTTP/1.1 {answer}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwell"
                    )
                    .as_bytes(),
                );
            }
        });
        Self { address, received }
    }

    fn next(&self) -> Received {
        self.received.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut request = Received { head, body: String::new() };
    let mut body = vec![0; request.header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

/// HMAC-SHA256 and base64 by hand, from RFC 2104 and RFC 4648.
fn signature(key: &[u8], text: &str) -> String {
    let padded = |with: u8| -> Vec<u8> {
        (0..64).map(|place| key.get(place).copied().unwrap_or(0) ^ with).collect()
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for part in outer.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, place| {
            bits << 8 | u32::from(part.get(place).copied().unwrap_or(0))
        });
        for place in 0..4 {
            let letter = char::from(letters[(bits >> (18 - 6 * place)) as usize & 63]);
            encoded.push(if place <= part.len() { letter } else { '=' });
        }
    }
    format!("v1,{encoded}")
}

fn key_of_secret() -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = SECRET.strip_prefix("whsec_").unwrap().as_bytes();
    text.chunks(4)
        .flat_map(|part| {
            let value =
                |letter: &u8| letters.iter().position(|known| known == letter).unwrap() as u32;
            let bits = part.iter().fold(0, |bits, letter| bits << 6 | value(letter));
            [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]
        })
        .collect()
}

/// An account whose 4-hour window is used up, and these hooks.
fn world(hooks: &str) -> World {
    World::with(pro().used_usd(8.4, 50.4)).config(hooks).variable("HOOK_SECRET", SECRET)
}

fn posting_to(address: &str) -> String {
    format!(
        "[[hooks]]\nname = \"chat\"\nurl = \"http://{address}/hook/SECRETPATH\"\nsecret = \"env:HOOK_SECRET\"\n\
         timeout_seconds = 1\n"
    )
}

#[test]
fn the_gateway_posts_until_it_is_taken_and_signs_each_try() {
    let receiver = Receiver::answering(&["500 Oops", "503 Busy\r\nretry-after: 7", "204 Fine"]);
    // Time runs fast for the pauses between the tries.
    let world = world(&posting_to(&receiver.address))
        .variable("RIPCORD_TEST_NOW", "2026-09-27T11:13:00Z/run200");
    let server = Server::start(&world);
    let tries = [receiver.next(), receiver.next(), receiver.next()];
    server.signal("TERM");
    let (code, talk) = server.ended();
    assert_eq!(code, Some(0), "{talk}");
    let event = checked_report("event", &tries[0].body);
    assert_eq!((&event["kind"], &event["window"]), (&"exhausted".into(), &"four_hour".into()));
    let mut moments = Vec::new();
    for request in &tries {
        assert!(request.head.starts_with("POST /hook/SECRETPATH HTTP/1.1\r\n"), "{request:?}");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.body, tries[0].body);
        assert_eq!(request.header("webhook-id"), event["id"].as_str().unwrap());
        let moment = request.header("webhook-timestamp");
        let signed = format!("{}.{moment}.{}", request.header("webhook-id"), request.body);
        assert_eq!(request.header("webhook-signature"), signature(&key_of_secret(), &signed));
        moments.push(moment.parse::<i64>().unwrap());
    }
    assert!(moments[1] - moments[0] >= 5 && moments[2] - moments[1] >= 20, "{moments:?}");
    // Told once, and without what is secret.
    assert_eq!(talk.matches("it is tried again").count(), 1, "{talk}");
    let key = Scenario::key("alice", 0);
    for secret in [&SECRET[6..], "SECRETPATH", &key[4..36], &key[37..69], &key[70..]] {
        assert!(!talk.contains(secret) && !tries[0].body.contains(secret), "{talk}");
    }
}

#[test]
fn an_address_that_is_gone_is_left_alone() {
    let receiver = Receiver::answering(&["410 Gone", "200 Fine"]);
    let world = World::with(pro().used_usd(8.4, 90.0))
        .config(
            &posting_to(&receiver.address)
                .replace("[[hooks]]\n", "[[hooks]]\non = [\"exhausted\"]\n"),
        )
        .variable("HOOK_SECRET", SECRET);
    let outcome = world.run(&["watch", "--once", "--hooks"]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert!(outcome.stderr.contains("410 Gone; nothing more is sent to it"), "{}", outcome.seen());
    receiver.next();
    assert!(receiver.received.try_recv().is_err());
}

#[test]
fn one_test_event_says_what_came_back() {
    let trial = |answer: &str| {
        let receiver = Receiver::answering(&[answer]);
        let world = world(&posting_to(&receiver.address));
        let outcome = world.run(&["watch", "--test-hook", "chat", "--json"]);
        let report = outcome.report("hook-test");
        let request = receiver.next();
        let event: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!((&event["kind"], &event), (&"test".into(), &report["event"]));
        (
            outcome.code,
            report["answer"].as_str().unwrap().to_owned(),
            report["said"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(trial("200 OK"), (0, "it answered 200 OK".into(), "well".into()));
    assert_eq!(trial("404 Not Found").0, 1);
    assert_eq!(trial("hang"), (1, "no answer within 1 s".into(), String::new()));
    // The status decides, whatever comes behind it, or never does.
    assert_eq!(trial("200 OK and hang"), (0, "it answered 200 OK".into(), "well".into()));
    let elsewhere = Receiver::answering(&["200 OK"]);
    let (code, answer, _) =
        trial(&format!("307 Elsewhere\r\nlocation: http://{}/", elsewhere.address));
    assert_eq!(
        (code, answer.as_str()),
        (1, "it answered 307 Temporary Redirect; redirects are not followed")
    );
    assert!(elsewhere.received.try_recv().is_err(), "a redirect was followed");
}

#[test]
fn a_program_gets_the_event_and_only_where_hooks_are_asked_for() {
    let told = "[[hooks]]\nname = \"file\"\non = \"exhausted\"\n\
                command = [\"sh\", \"-c\", \"cat >> \\\"$HOME/told\\\"; echo \\\"$RIPCORD_EVENT_TEXT\\\" >> \\\"$HOME/text\\\"\"]\n";
    let world = world(told);
    let path = world.home().join("told");
    assert_eq!(world.run(&["watch", "--once"]).code, 0);
    assert!(!path.exists(), "hooks are run where they are asked for");
    let outcome = world.run(&["watch", "--once", "--hooks"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}", outcome.seen());
    assert_eq!(std::fs::read_to_string(path).unwrap(), outcome.stdout);
    let text = std::fs::read_to_string(world.home().join("text")).unwrap();
    assert!(text.contains("the 4-hour window is used up"), "{text}");
}

#[test]
fn programs_that_fail_are_told_and_leave_nothing_behind() {
    let hooks = "[[hooks]]\nname = \"hangs\"\ntimeout_seconds = 1\n\
                 command = [\"sh\", \"-c\", \"sleep 600 & echo $! > \\\"$HOME/child\\\"; echo begun; wait\"]\n\
                 [[hooks]]\nname = \"missing\"\ncommand = [\"no-such-program\", \"SECRETWORD\"]\n\
                 [[hooks]]\nname = \"fails\"\ncommand = [\"sh\", \"-c\", \"printf 'bad\\\\033[2J' >&2; exit 3\"]\n\
                 [[hooks]]\nname = \"chatty\"\ncommand = [\"sh\", \"-c\", \"head -c 300000 /dev/zero\"]\n\
                 [[hooks]]\nname = \"deaf\"\ncommand = [\"true\"]\n";
    let world = world(hooks);
    let trial = |name: &str| {
        let outcome = world.run(&["watch", "--test-hook", name]);
        (outcome.code, outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let (code, seen) = trial("hangs");
    assert_eq!(code, 1, "{seen}");
    assert!(
        seen.contains("still running after 1 s and was ended") && seen.contains("begun"),
        "{seen}"
    );
    let child = std::fs::read_to_string(world.home().join("child")).unwrap();
    // Who is killed dies when the system gets to it.
    wait_until("ended what it started", || is_gone(child.trim()));
    let (code, seen) = trial("missing");
    assert!(code == 1 && seen.contains("there is no program `no-such-program`"), "{seen}");
    let (code, seen) = trial("fails");
    assert!(
        code == 1 && seen.contains("exit code 3") && seen.ends_with("it said: bad"),
        "{seen:?}"
    );
    assert_eq!(trial("chatty").0, 0);
    assert_eq!(trial("deaf").0, 0);
    let unknown = world.run(&["watch", "--test-hook", "mising"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean `missing`?"), "{}", unknown.seen());
}

/// Gone, or dead and not yet fetched by whoever inherited it.
fn is_gone(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn what_is_wrong_with_hooks_is_told_with_its_place() {
    let hooks = "[[hooks]]\nname = \"a\"\non = [\"lowest\"]\ncommand = [\"true\"]\nurl = \"https://example.com\"\n\n\
                 [[hooks]]\nname = \"a\"\nurl = \"http://example.com/SECRETPATH\"\n\n\
                 [[hooks]]\nurl = \"https://example.com\"\n\n\
                 [[hooks]]\nname = \"b\"\ncommand = \"notify-send hi\"\n\n\
                 [[hooks]]\nname = \"c\"\nurl = \"env:NO_SUCH_VARIABLE\"\nsecret = \"hunter2\"\nwindow = \"week\"\n\n\
                 [[hooks]]\nname = \"d\"\nurl = \"https://example.com\"\nsecret = \"env:BAD_SECRET\"\ncomand = [\"x\"]\n\n\
                 [[hooks]]\nname = \"e\"\ncommand = [\"true\"]\nsecret = \"env:HOOK_SECRET\"\ntimeout_seconds = 0\n";
    let world = world(hooks).variable("BAD_SECRET", "hunter2hunter2");
    let outcome = world.run(&["config", "check"]);
    assert_eq!(outcome.code, 2);
    assert!(
        !outcome.seen().contains("hunter2") && !outcome.seen().contains("SECRETPATH"),
        "{}",
        outcome.seen()
    );
    insta::assert_snapshot!("config-check-hooks", outcome.seen());
}

#[test]
fn a_secret_that_is_not_there_stops_only_what_needs_it() {
    let world = world(&posting_to("127.0.0.1:9")).without("HOOK_SECRET");
    assert_eq!(world.run(&["usage"]).code, 0);
    let outcome = world.run(&["watch", "--once", "--hooks"]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(outcome.stderr.contains("the variable `HOOK_SECRET` is not set"), "{}", outcome.seen());
    assert_eq!(world.run(&["serve", "--listen", "127.0.0.1:0"]).code, 2);
    let check = world.run(&["config", "check", "--json"]);
    assert_eq!(check.code, 2);
    assert_eq!(check.report("config-check")["problems"].as_array().unwrap().len(), 1);
}

#[test]
fn show_has_the_hooks_without_what_is_secret() {
    let world = world(&posting_to("127.0.0.1:9"));
    for flags in [&["config", "show"][..], &["config", "show", "--json"]] {
        let outcome = world.run(flags);
        let seen = outcome.seen();
        assert!(seen.contains("http://127.0.0.1:9/…") && seen.contains("signed"), "{seen}");
        assert!(!seen.contains("SECRETPATH") && !seen.contains(&SECRET[6..]), "{seen}");
        if flags.len() > 2 {
            outcome.report("config-show");
        }
    }
}
