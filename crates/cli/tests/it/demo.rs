//! The demonstration, seen from outside: it needs nothing, and what it says adds up.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The binary with a home that holds nothing but a configuration that cannot be used, and no other variable.
fn demo(home: &Path, arguments: &[&str]) -> Command {
    let directory = home.join(".config/ripcord");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), "[[[ this is no TOML").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripcord"));
    command
        .env_clear()
        .env("HOME", home)
        .arg("demo")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The text with every run of spaces and line ends as one space: where lines break does not matter.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The whole number that stands before `words`.
fn number_before(text: &str, words: &str) -> u64 {
    let before = text.split(words).next().filter(|before| before.len() < text.len());
    let number = before.and_then(|before| before.split_whitespace().last());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no number before `{words}`: {text}"))
}

/// The columns of the line of an account in the summary.
fn columns<'a>(text: &'a str, account: &str) -> Vec<&'a str> {
    let line = text.lines().rev().find(|line| line.trim_start().starts_with(account)).unwrap();
    line.split_whitespace().collect()
}

/// The address that the demonstration names.
fn address(text: &str) -> &str {
    let from = text.find("http://").unwrap() + "http://".len();
    text[from..].split('/').next().unwrap()
}

#[test]
fn the_story_is_whole_and_its_sums_agree() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path(), &["--seconds", "8", "--once", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{said}");
    assert!(!said.contains('\u{1b}'), "a pipe gets text only: {said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let told = flowing(&said);
    for moment in [
        "has the first answer",
        "404 model_not_found: there is no model `zai-org/glm-5.2-tee`; did you mean `zai-org/GLM-5.2-TEE`",
        "The call at Chutes ends too and costs nothing",
        "The rest is left for others, so Ripcord sends nothing more there, though its balance is $5.00",
        "twice: 503 model_cold, retry after 60 s. Chutes itself was asked once",
        "is full: Chutes answers 429",
        "has room again",
        "Ripcord had the model go on from there: one whole answer",
        "16 calls at once: 16 answered",
        "four-hour window of alice has turned",
        "alice works again. In between it had 0 calls",
        "Its balance: $5.00 before, $5.00 now",
    ] {
        assert!(told.contains(moment), "`{moment}` is missing: {said}");
    }
    the_sums_agree(&said);
    assert!(TcpStream::connect(address(&said)).is_err(), "nobody listens any more");
    let written: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert_eq!(written.len(), 1, "nothing but the configuration is in the home: {written:?}");
}

fn the_sums_agree(said: &str) {
    let summary = flowing(said.split("what came of").nth(1).unwrap());
    let requests = summary.split("requests ").nth(1).unwrap();
    let all: u64 = requests.split(':').next().unwrap().parse().unwrap();
    let whole = number_before(requests, " whole answer");
    let errors = number_before(requests, " honest error");
    let left = number_before(requests, " hang-up");
    assert_eq!(number_before(requests, " cut short"), 0, "{said}");
    assert_eq!(whole + errors + left, all, "{said}");
    assert_eq!(left, 1, "{said}");
    let codes = requests.split("errors ").nth(1).unwrap().split(" retries").next().unwrap();
    let counted: u64 = codes
        .split(" · ")
        .map(|code| code.split(' ').next_back().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, errors, "{said}");
    let mut calls = 0;
    for account in ["alice", "bob", "carol"] {
        let columns = columns(said, account);
        calls += columns[1].parse::<u64>().unwrap();
        let at_once: u64 = columns[6].parse().unwrap();
        assert!((1..=5).contains(&at_once), "{said}");
    }
    // The service counts what it answered in full; nothing else was.
    assert_eq!(calls, whole, "{said}");
    let alice = columns(said, "alice");
    assert_eq!(alice[3..6], ["$0.00", "$5.00", "$5.00"], "{said}");
}

/// Kills a demonstration that a failing test leaves behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_stays_up_until_it_is_told_to_stop_and_works_beside_a_taken_port() {
    // Whether this or something else holds the usual port, the demonstration has to move.
    let _taken = TcpListener::bind("127.0.0.1:8790");
    let home = tempfile::tempdir().unwrap();
    let mut running = Running(demo(home.path(), &["--seconds", "5"]).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said = String::new();
    for line in lines.by_ref() {
        said.push_str(&line);
        said.push('\n');
        if line.contains("Ctrl-C ends it") {
            break;
        }
    }
    assert!(said.contains("port 8790 is taken"), "{said}");
    assert!(said.contains("client = OpenAI(base_url=\"http://127.0.0.1:"), "{said}");
    assert!(said.contains("ripcord config client"), "{said}");
    assert!(TcpStream::connect(address(&said)).is_ok(), "it is still there");
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let mut problems = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut problems).unwrap();
    assert_eq!(problems, "");
    assert!(TcpStream::connect(address(&said)).is_err(), "nobody listens any more");
}

#[test]
fn an_address_that_was_asked_for_is_not_replaced() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path(), &["--once", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(problem.contains("is in use by another program"), "{problem}");
    for refused in [&["--seconds", "4"][..], &["--seconds", "3601"], &["--listen", "here"]] {
        assert_eq!(demo(home.path(), refused).status().unwrap().code(), Some(2), "{refused:?}");
    }
}
