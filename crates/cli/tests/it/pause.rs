//! `ripcord run --pause` over real processes. One second here is many at Chutes.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chutes_emulator::{AccountChange, Scenario};
use parking_lot::Mutex;

use crate::terminal::Terminal;
use crate::world::{World, catalogue, pro};

const SPEED: u32 = 40;
/// Longer than anything here takes, also where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// An hour and a minute before the 4-hour window turns, nearly used up.
fn nearly_used_up() -> World {
    let mut scenario = catalogue().account(pro().used_usd(8.2, 50.0));
    scenario.starts_at = Some("2026-09-27T10:59:00Z".to_owned());
    scenario.clock_speed = f64::from(SPEED);
    World::of(scenario)
        .key(&Scenario::key("alice", 0))
        .variable("RIPCORD_TEST_NOW", &format!("2026-09-27T10:59:00Z/run{SPEED}"))
        // No gateway answers there.
        .config("[gateway]\nlisten = \"127.0.0.1:1\"\n[chutes]\nrefresh_seconds = 30\n")
}

fn use_up(world: &World) {
    let change = AccountChange { four_hour_used_usd: Some(8.4), ..AccountChange::default() };
    world.emulator().control().change_account("alice", change).unwrap();
}

/// There is budget again, as after a turn.
fn give_back(world: &World) {
    let change = AccountChange { four_hour_used_usd: Some(1.0), ..AccountChange::default() };
    world.emulator().control().change_account("alice", change).unwrap();
}

/// `ripcord run --pause` around a shell whose first line says its number, which is that of its group.
struct Paused {
    ripcord: Child,
    group: String,
    said: BufReader<std::process::ChildStdout>,
}

impl Paused {
    fn start(world: &World, flags: &[&str], script: &str) -> Self {
        let script = format!("echo $$; {script}");
        let arguments = [&["run"], flags, &["--", "sh", "-c", &script]].concat();
        let mut command = world.command(&arguments);
        let mut ripcord = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(ripcord.stdout.take().unwrap());
        let mut group = String::new();
        said.read_line(&mut group).unwrap();
        Self { ripcord, group: group.trim().to_owned(), said }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The states of all processes of the group, `T` for those that are stopped.
    fn states(&self) -> Vec<char> {
        states(&self.group)
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&[char]) -> bool) {
        let seen = std::cell::RefCell::default();
        let holds = || {
            *seen.borrow_mut() = self.states();
            holds(&seen.borrow())
        };
        assert!(is_so_in_time(holds), "not {what}: {:?}", seen.borrow());
    }

    fn wait_until_stopped(&self) {
        self.wait_until("stopped", stands_still);
    }

    fn wait_until_running(&self) {
        self.wait_until("running", |states| !states.contains(&'T'));
    }

    /// It ends by itself; its code and what was said about it.
    fn ended(mut self) -> (Option<i32>, String) {
        use std::io::Read as _;
        let mut told = String::new();
        self.ripcord.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.ripcord.wait().unwrap().code(), told)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = self.ripcord.kill();
        let _ = self.ripcord.wait();
        // A test that failed leaves nothing behind.
        let _ = signal("-KILL", &format!("-{}", self.group));
    }
}

/// Whether they are stopped. A shell that was about to start a program (`vfork`) is `D` until that program goes on.
fn stands_still(states: &[char]) -> bool {
    states.contains(&'T') && states.iter().all(|state| ['T', 'D'].contains(state))
}

fn states(group: &str) -> Vec<char> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let state = |process: std::fs::DirEntry| {
        let status = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
        // The guard's own is none of the command's.
        if line.contains("__guard") {
            return None;
        }
        let mut fields = status.rsplit_once(')')?.1.split_whitespace();
        let (state, own) = (fields.next()?, fields.nth(1)?);
        (own == group && state != "Z").then(|| state.chars().next()).flatten()
    };
    processes.filter_map(state).collect()
}

#[expect(clippy::disallowed_methods, reason = "other processes change by themselves")]
fn is_so_in_time(holds: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() >= PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    assert!(is_so_in_time(holds), "not {what}");
}

/// Sends it by name to a process, or to a group if there is a minus before the number.
fn signal(name: &str, to: &str) -> bool {
    Command::new("kill").args([name, "--", to]).stderr(Stdio::null()).status().unwrap().success()
}

/// As long as a wrong pause would need to show itself: seconds at Chutes, and until what the account says was looked at and
/// acted upon, which is so when it is looked at again.
fn some_time_passes(world: &World) {
    let control = world.emulator().control().clone();
    let began = control.clock().now_micros();
    let looks = || {
        let log = control.log();
        log.iter().filter(|one| one.path == "/users/me" && one.started_micros > began).count()
    };
    wait_until("later", || control.clock().now_micros() - began > 45_000_000 && looks() >= 2);
}

#[test]
fn a_program_that_forks_stands_still_whole_and_goes_on_whole() {
    let world = nearly_used_up();
    let forks = "for n in 1 2; do (while :; do sleep 0.01; done) & done; trap 'exit 9' TERM; while :; do wait; done";
    let paused = Paused::start(&world, &["--pause"], forks);
    paused.wait_until("forked", |states| states.len() >= 3);
    use_up(&world);
    paused.wait_until_stopped();
    some_time_passes(&world);
    assert!(stands_still(&paused.states()), "{:?}", paused.states());
    give_back(&world);
    paused.wait_until_running();
    assert!(paused.states().len() >= 3);
    assert!(signal("-TERM", &paused.ripcord.id().to_string()));
    let group = paused.group.clone();
    let (code, told) = paused.ended();
    assert_eq!(code, Some(9), "{told}");
    wait_until("gone", || states(&group).is_empty());
    let stopped = "ripcord: the budget is used up; the command is stopped, and goes on in ";
    assert!(told.starts_with(stopped), "{told}");
    assert!(told.contains("\nripcord: there is budget again; the command goes on\n"), "{told}");
}

/// The window turns by the calendar; nobody has to be asked for that.
#[test]
fn it_goes_on_when_the_window_turns() {
    let world = nearly_used_up();
    let mut paused = Paused::start(
        &world,
        &["--pause"],
        "while [ ! -e \"$HOME/go\" ]; do sleep 0.01; done; echo on; exit 3",
    );
    use_up(&world);
    paused.wait_until_stopped();
    std::fs::write(world.home().join("go"), "").unwrap();
    world.emulator().control().clock().set_micros(1_790_510_399_000_000);
    assert_eq!(paused.line(), "on");
    assert_eq!(paused.ended().0, Some(3));
}

#[test]
fn no_exit_code_is_lost() {
    let world = nearly_used_up();
    // While it is stopped; what it started goes on.
    let paused = Paused::start(&world, &["--pause"], "sleep 60 & while :; do sleep 0.01; done");
    use_up(&world);
    paused.wait_until_stopped();
    assert!(signal("-KILL", &paused.group));
    paused.wait_until_running();
    assert!(!paused.states().is_empty());
    assert!(signal("-KILL", &format!("-{}", paused.group)));
    assert_eq!(paused.ended().0, Some(128 + 9));
    // Just before.
    give_back(&world);
    for code in 0..3 {
        let paused = Paused::start(&world, &["--pause"], &format!("sleep 0.0{code}; exit {code}"));
        use_up(&world);
        assert_eq!(paused.ended().0, Some(code));
        give_back(&world);
    }
    let missing = world.run(&["run", "--pause", "--", "no-such-command"]);
    assert_eq!(missing.code, 127, "{}", missing.seen());
}

#[test]
fn what_somebody_else_stopped_is_left_to_them() {
    let world = nearly_used_up();
    let paused =
        Paused::start(&world, &["--pause"], "trap 'exit 9' TERM; while :; do sleep 0.01; done");
    assert!(signal("-STOP", &paused.group));
    paused.wait_until("stopped", |states| states.contains(&'T'));
    use_up(&world);
    some_time_passes(&world);
    give_back(&world);
    some_time_passes(&world);
    assert!(paused.states().contains(&'T'), "nobody let it go on");
    assert!(signal("-CONT", &paused.group));
    paused.wait_until_running();
    assert!(signal("-TERM", &paused.ripcord.id().to_string()));
    let (code, told) = paused.ended();
    assert_eq!(code, Some(9), "{told}");
    assert!(!told.contains("ripcord:"), "{told}");
}

#[test]
fn what_somebody_lets_go_on_is_not_stopped_again_until_there_was_budget() {
    let world = nearly_used_up();
    let paused =
        Paused::start(&world, &["--pause"], "trap 'exit 9' TERM; while :; do sleep 0.01; done");
    use_up(&world);
    paused.wait_until_stopped();
    assert!(signal("-CONT", &format!("-{}", paused.group)));
    some_time_passes(&world);
    assert!(!paused.states().contains(&'T'), "{:?}", paused.states());
    give_back(&world);
    some_time_passes(&world);
    use_up(&world);
    paused.wait_until_stopped();
    // Who stands still hears no signal, so it goes on to hear this one.
    assert!(signal("-TERM", &paused.ripcord.id().to_string()));
    let (code, told) = paused.ended();
    assert_eq!(code, Some(9), "{told}");
    assert!(told.contains("somebody let the command go on"), "{told}");
}

#[test]
fn nothing_stays_stopped_when_ripcord_is_killed() {
    let world = nearly_used_up();
    let forks = "(while :; do sleep 0.01; done) & while :; do sleep 0.01; done";
    let mut paused = Paused::start(&world, &["--pause"], forks);
    use_up(&world);
    paused.wait_until_stopped();
    paused.ripcord.kill().unwrap();
    paused.ripcord.wait().unwrap();
    paused.wait_until_running();
    assert!(paused.states().len() >= 2, "it goes on: {:?}", paused.states());
}

/// Whoever ends the guard, too, finds another one.
#[test]
fn nothing_stays_stopped_when_the_guard_is_killed_before_ripcord() {
    let world = nearly_used_up();
    let forks = "(while :; do sleep 0.01; done) & while :; do sleep 0.01; done";
    let mut paused = Paused::start(&world, &["--pause"], forks);
    use_up(&world);
    paused.wait_until_stopped();
    let guard = guard_of(&paused.ripcord).expect("a guard");
    assert!(signal("-KILL", &guard));
    wait_until("guarded again", || {
        guard_of(&paused.ripcord)
            .is_some_and(|other| other != guard && !children(&other).is_empty())
    });
    paused.wait_until_stopped();
    paused.ripcord.kill().unwrap();
    paused.ripcord.wait().unwrap();
    paused.wait_until_running();
    assert!(paused.states().len() >= 2, "it goes on: {:?}", paused.states());
}

/// The number of the guard, which is a child of `ripcord`.
fn guard_of(ripcord: &Child) -> Option<String> {
    children(&ripcord.id().to_string()).into_iter().find(|child| {
        let line = std::fs::read_to_string(format!("/proc/{child}/cmdline"));
        line.is_ok_and(|line| line.contains("__guard"))
    })
}

fn children(of: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let child = |process: std::fs::DirEntry| {
        let status = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        (parent == of).then(|| process.file_name().into_string().ok()).flatten()
    };
    processes.filter_map(child).collect()
}

#[test]
fn a_program_that_checkpoints_is_told_and_its_code_is_ours() {
    let world = nearly_used_up();
    let script = "trap 'echo saved; exit 7' USR1; while :; do sleep 0.01; done";
    let mut paused = Paused::start(&world, &["--pause=signal:USR1"], script);
    use_up(&world);
    assert_eq!(paused.line(), "saved");
    let (code, told) = paused.ended();
    assert_eq!(code, Some(7), "{told}");
    // What stands behind it is the shell's, about what it had started.
    let told_to_end = "ripcord: the budget is used up; the command is told to end\n";
    assert!(told.starts_with(told_to_end), "{told}");
    let wrong = world.run(&["run", "--pause=signal:KILL", "--", "true"]);
    assert_eq!(wrong.code, 2, "{}", wrong.seen());
    assert!(wrong.stderr.contains("signal:TERM"), "{}", wrong.seen());
}

/// The terminal belongs to the command while it runs, and to `ripcord` while it is stopped.
#[test]
fn a_terminal_stays_usable() {
    let world = nearly_used_up();
    let script = "trap 'echo caught; exit 4' INT; echo ready; read line; echo \"got $line\"; while :; do sleep 0.01; done";
    let world = world.variable("SCRIPT", script);
    let line = "trap : INT; \"$RIPCORD\" run --pause -- sh -c \"$SCRIPT\"; echo code $?; read after; echo \"after $after\"";
    let Some(mut terminal) = Terminal::start(&world, line) else { return };
    terminal.wait_for("ready");
    terminal.send("hello\n");
    terminal.wait_for("got hello");
    use_up(&world);
    terminal.wait_for("the command is stopped");
    terminal.send("\x03");
    terminal.wait_for("caught");
    terminal.wait_for("code 4");
    // The shell around it can read again.
    terminal.send("here\n");
    terminal.wait_for("after here");
    terminal.ended();
}

#[test]
fn a_shell_stops_it_and_lets_it_go_on_as_any_job() {
    let world = nearly_used_up();
    let script = "echo ready; while read line; do echo \"got $line\"; done";
    let world = world.variable("SCRIPT", script).variable("PS1", "$ ");
    let line = "exec bash --norc --noprofile -i";
    let Some(mut terminal) = Terminal::start(&world, line) else { return };
    terminal.send("\"$RIPCORD\" run --pause -- sh -c \"$SCRIPT\"\n");
    terminal.wait_for("ready");
    terminal.send("\x1a");
    terminal.wait_for("Stopped");
    terminal.send("echo shell $((40 + 2))\n");
    terminal.wait_for("shell 42");
    terminal.send("fg\n");
    terminal.wait_for("SCRIPT");
    terminal.send("hello\n");
    terminal.wait_for("got hello");
    // Also while it stands still.
    use_up(&world);
    terminal.wait_for("the command is stopped");
    terminal.send("\x1a");
    terminal.wait_for("Stopped");
    give_back(&world);
    terminal.send("fg\n");
    terminal.wait_for("there is budget again");
    terminal.send("again\n");
    terminal.wait_for("got again");
    terminal.send("\x03");
    // What is typed before the shell has the terminal again is thrown away with it.
    terminal.wait_for("$ ");
    terminal.send("echo code $?\n");
    terminal.wait_for("code 130");
    terminal.send("exit\n");
    terminal.ended();
}

/// As much of a gateway as is asked for the budget and for calls under way.
struct Gateway {
    port: u16,
    told: Arc<Mutex<Told>>,
}

/// What it says.
struct Told {
    account: String,
    budget: &'static str,
    /// Whether calls that came are under way.
    is_calling: bool,
    callers: Vec<u16>,
}

impl Gateway {
    fn start(account: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Told {
            account: account.to_owned(),
            budget: "open",
            is_calling: true,
            callers: Vec::new(),
        }));
        let shared = Arc::clone(&told);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                held.extend(Self::answer(stream, &shared));
            }
        });
        Self { port, told }
    }

    /// Answers a question, and keeps a call.
    fn answer(mut stream: TcpStream, told: &Mutex<Told>) -> Option<TcpStream> {
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let mut told = told.lock();
        if !line.starts_with("GET /-/status?priority=batch ") {
            told.callers.push(stream.peer_addr().unwrap().port());
            return Some(stream);
        }
        let ports = if told.is_calling { told.callers.clone() } else { Vec::new() };
        let report = serde_json::json!({
            "accounts": [{ "account": told.account, "budget": told.budget, "windows": [{ "used_percent": 99.0 }] }],
            "calling_ports": ports,
        });
        let report = report.to_string();
        let length = report.len();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all((head + &report).as_bytes()).unwrap();
        None
    }
}

/// A program with a call under way through the gateway of this machine.
fn calling(world: World) -> (World, Gateway, Paused) {
    let account = world.run(&["run", "--", "sh", "-c", "echo $RIPCORD_ACCOUNT"]).stdout;
    let gateway = Gateway::start(account.trim());
    let world = world.config(&format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", gateway.port));
    let call = format!(
        "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{}; echo POST >&3; echo called; while :; do sleep 0.01; done'",
        gateway.port
    );
    let mut paused = Paused::start(&world, &["--pause"], &call);
    assert_eq!(paused.line(), "called");
    wait_until("called", || !gateway.told.lock().callers.is_empty());
    (world, gateway, paused)
}

/// The gateway of this machine says how the budget stands, and a call through it may end before the program is stopped.
#[test]
fn a_call_under_way_through_the_gateway_may_end() {
    let speed = 10;
    let mut scenario = catalogue().account(pro());
    scenario.clock_speed = f64::from(speed);
    let world = World::of(scenario).key(&Scenario::key("alice", 0));
    let world = world.variable("RIPCORD_TEST_NOW", &format!("{}/run{speed}", crate::world::NOW));
    let (world, gateway, paused) = calling(world);
    gateway.told.lock().budget = "closed";
    let clock = world.emulator().control().clone();
    let closed = clock.clock().now_micros();
    wait_until("some seconds later", || clock.clock().now_micros() - closed > 12_000_000);
    assert!(!paused.states().contains(&'T'), "its call is under way");
    gateway.told.lock().is_calling = false;
    paused.wait_until_stopped();
    gateway.told.lock().budget = "open";
    paused.wait_until_running();
    // Somebody else's calls keep nobody running.
    let mut others = gateway.told.lock();
    (others.budget, others.is_calling, others.callers) = ("closed", true, vec![1]);
    drop(others);
    paused.wait_until_stopped();
    assert!(signal("-TERM", &paused.ripcord.id().to_string()));
    let (code, told) = paused.ended();
    assert_eq!(code, Some(128 + 15), "{told}");
}

#[test]
fn a_call_that_does_not_end_is_not_waited_for() {
    let world = nearly_used_up();
    let (world, gateway, paused) = calling(world);
    let clock = world.emulator().control().clone();
    let closed = clock.clock().now_micros();
    gateway.told.lock().budget = "closed";
    paused.wait_until_stopped();
    let grace = clock.clock().now_micros() - closed;
    assert!(grace >= 30_000_000, "after {grace} µs");
}
