//! Slots that the programs of a machine share: who holds them, and a command that runs while one is held.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use chutes_emulator::{AccountSpec, PlanSpec, Scenario};

use crate::terminal::Terminal;
use crate::world::{World, catalogue, pro};

/// `ripcord acquire` around a shell that says when it runs, and ends when its input does.
struct Holding {
    ripcord: Child,
    input: Option<ChildStdin>,
    said: BufReader<std::process::ChildStdout>,
}

impl Holding {
    fn start(world: &World, arguments: &[&str], script: &str) -> Self {
        let arguments = [&["acquire"], arguments, &["--", "sh", "-c", script]].concat();
        let mut ripcord = piped(world.command(&arguments));
        let input = ripcord.stdin.take();
        let said = BufReader::new(ripcord.stdout.take().unwrap());
        Self { ripcord, input, said }
    }

    /// The next line that the command says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Lets the command end; its exit code.
    fn end(mut self) -> i32 {
        drop(self.input.take());
        self.ripcord.wait().unwrap().code().unwrap()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // The command ends with its input.
        drop(self.input.take());
        let _ = self.ripcord.kill();
        let _ = self.ripcord.wait();
    }
}

/// Sends it to `ripcord` alone.
fn signal(name: &str, holding: &Holding) {
    let pid = holding.ripcord.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

fn piped(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Says on which account it is, and waits for the end of its input.
const SAY_AND_WAIT: &str = "echo $RIPCORD_ACCOUNT; cat > /dev/null";

fn of_alice(text: &str) -> World {
    World::with(pro()).config(text)
}

fn one_slot() -> World {
    of_alice("[gateway]\nslots_per_account = 1\n")
}

/// `work` and `home`, with one slot each.
fn two_accounts() -> World {
    let scenario = catalogue().account(pro()).account(AccountSpec::new("bob", PlanSpec::Plus));
    let keys = [Scenario::key("alice", 0), Scenario::key("bob", 0)].map(|key| format!("\"{key}\""));
    let text = format!(
        "[gateway]\nslots_per_account = 1\n[[accounts]]\nname = \"work\"\nkeys = [{}]\n[[accounts]]\nname = \"home\"\nkeys = [{}]\n",
        keys[0], keys[1]
    );
    let world = World::of(scenario).config(&text);
    {
        use std::os::unix::fs::PermissionsExt as _;
        let path = world.home().join(".config/ripcord/config.toml");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    world
}

/// Without the number of the process, which is as wide as it likes.
fn pid_hidden(seen: &str, pid: u32) -> String {
    let seen = seen.replace(&pid.to_string(), "PID");
    let squeezed = seen.lines().map(|line| line.split("  ").filter(|cell| !cell.is_empty()));
    squeezed.map(|cells| cells.map(str::trim).collect::<Vec<_>>().join("  ") + "\n").collect()
}

#[test]
fn the_command_runs_with_a_slot_which_everybody_sees() {
    let world = World::with(pro());
    let mut holding = Holding::start(&world, &[], SAY_AND_WAIT);
    assert_eq!(holding.line().len(), 8, "the account by the beginning of its id");
    let report = world.run(&["slots", "--json"]).report("slots");
    let account = &report["accounts"][0];
    assert_eq!((&account["slots"], &account["held"]), (&5.into(), &1.into()));
    assert_eq!(account["holders"][0]["pid"], holding.ripcord.id());
    assert_eq!(account["holders"][0]["purpose"], "acquire");
    let seen = pid_hidden(&world.run(&["slots"]).seen(), holding.ripcord.id());
    assert_eq!(holding.end(), 0);
    insta::assert_snapshot!(seen);
    let free = world.run(&["slots"]);
    insta::assert_snapshot!(free.seen());
}

#[test]
fn the_exit_code_is_the_command_s() {
    let world = World::with(pro());
    let code = |command: &[&str]| world.run(&[&["acquire", "--"], command].concat());
    assert_eq!(code(&["sh", "-c", "exit 7"]).code, 7);
    assert_eq!(code(&["sh", "-c", "kill -TERM $$"]).code, 128 + 15);
    insta::assert_snapshot!(code(&["no-such-command"]).seen());
    insta::assert_snapshot!(code(&["/etc/passwd"]).seen());
    // Flags after the command are the command's, with or without the dashes.
    assert_eq!(world.run(&["acquire", "echo", "--timeout"]).stdout, "--timeout\n");
    assert_eq!(world.run(&["slots", "--json"]).report("slots")["accounts"][0]["held"], 0);
}

#[test]
fn wrong_usage_is_told() {
    let world = World::with(pro());
    assert_eq!(world.run(&["acquire"]).code, 2);
    insta::assert_snapshot!(world.run(&["acquire", "--account", "bob", "--", "true"]).seen());
    let nobody = World::of(catalogue());
    insta::assert_snapshot!(nobody.run(&["acquire", "--", "true"]).seen());
    insta::assert_snapshot!(nobody.run(&["slots"]).seen());
    let homeless = World::with(pro()).without("HOME");
    insta::assert_snapshot!(homeless.run(&["slots"]).seen());
}

#[test]
fn whoever_finds_no_slot_waits_says_so_and_is_not_started_too_late() {
    let world = one_slot();
    let mut first = Holding::start(&world, &[], SAY_AND_WAIT);
    first.line();
    let late = world.run(&["acquire", "--timeout", "2", "--", "echo", "started"]);
    insta::assert_snapshot!(pid_hidden(&late.seen(), first.ripcord.id()));
    let mut second = Holding::start(&world, &[], SAY_AND_WAIT);
    // It stands in line, which can be seen, and starts when the first one ends.
    while !world.run(&["slots", "--json"]).report("slots")["accounts"][0]["awaited"]
        .as_bool()
        .unwrap()
    {}
    let mut waiting = String::new();
    assert_eq!(first.end(), 0);
    assert_eq!(second.line().len(), 8);
    let told = second.ripcord.stderr.take().unwrap();
    assert_eq!(second.end(), 0);
    BufReader::new(told).read_to_string(&mut waiting).unwrap();
    assert!(waiting.is_empty() || waiting.contains("waiting for a slot"), "{waiting}");
}

#[test]
fn of_several_accounts_the_one_with_a_free_slot_serves() {
    let world = two_accounts();
    let mut holding = [&[][..], &[]].map(|flags| Holding::start(&world, flags, SAY_AND_WAIT));
    let mut served: Vec<String> = holding.iter_mut().map(Holding::line).collect();
    served.sort();
    assert_eq!(served, ["home", "work"]);
    let full = world.run(&["acquire", "--account", "home", "--timeout", "0", "--", "true"]);
    assert_eq!(full.code, 75, "{}", full.seen());
    for one in holding {
        assert_eq!(one.end(), 0);
    }
}

#[test]
fn a_signal_reaches_the_command() {
    let world = World::with(pro());
    let script =
        "trap 'echo told; exit 9' TERM; echo ready; while :; do read line || sleep 0.01; done";
    let mut holding = Holding::start(&world, &[], script);
    assert_eq!(holding.line(), "ready");
    signal("-TERM", &holding);
    assert_eq!(holding.line(), "told");
    assert_eq!(holding.end(), 9);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_was_ignored_stays_ignored() {
    let world = World::with(pro());
    let script = "kill -HUP $PPID; kill -HUP $$; kill -INT $$; echo lives";
    let plain = world.command(&["acquire", "--", "sh", "-c", script]);
    let mut ignoring = Command::new("sh");
    ignoring.env_clear().args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]);
    ignoring.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        ignoring.env(name, value.unwrap());
    }
    let output = ignoring.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "lives\n");
    assert!(output.status.success(), "{}", output.status);
}

#[test]
fn what_is_typed_reaches_the_command_once_wherever_its_input_and_output_go() {
    let world = World::with(pro());
    // What it sends back to `ripcord` comes after whatever else `ripcord` would have passed on.
    let script = "n=0; trap 'n=$((n+1)); kill -USR1 $PPID' INT; \
        trap 'echo told $n times; exit 0' USR1; echo ready; while :; do sleep 0.01; done";
    let world = world.variable("SCRIPT", script);
    let line = "exec \"$RIPCORD\" acquire -- sh -c \"$SCRIPT\" < /dev/null 2> /dev/null";
    let Some(mut terminal) = Terminal::start(&world, line) else { return };
    terminal.wait_for("ready");
    terminal.send("\x03");
    terminal.wait_for("told 1 times");
    assert_eq!(terminal.ended().code, 0);
}

#[test]
fn a_program_that_is_stopped_while_it_waits_holds_up_nobody() {
    let world = one_slot();
    let mut first = Holding::start(&world, &[], SAY_AND_WAIT);
    first.line();
    let mut stopped = Holding::start(&world, &[], SAY_AND_WAIT);
    while !world.run(&["slots", "--json"]).report("slots")["accounts"][0]["awaited"]
        .as_bool()
        .unwrap()
    {}
    signal("-STOP", &stopped);
    assert_eq!(first.end(), 0);
    let passes = world.run(&["acquire", "--timeout", "60", "--", "echo", "passes"]);
    assert_eq!(passes.stdout, "passes\n", "{}", passes.seen());
    // It goes on as if nothing had been.
    signal("-CONT", &stopped);
    assert_eq!(stopped.line().len(), 8);
    assert_eq!(stopped.end(), 0);
}

#[test]
fn an_account_whose_slots_cannot_be_used_is_left_out() {
    let world = two_accounts();
    let report = world.run(&["slots", "--json"]).report("slots");
    let line = |account: usize| {
        let tag = report["accounts"][account]["tag"].as_str().unwrap();
        world.home().join(".local/state/ripcord/slots").join(tag).join("line")
    };
    let break_line = |account: usize| {
        std::fs::remove_file(line(account)).unwrap();
        std::fs::create_dir(line(account)).unwrap();
    };
    break_line(0);
    let serves = world.run(&["acquire", "--", "sh", "-c", "echo $RIPCORD_ACCOUNT"]);
    assert_eq!((serves.code, &*serves.stdout), (0, "home\n"), "{}", serves.seen());
    assert!(serves.stderr.contains("going on without work: "), "{}", serves.seen());
    break_line(1);
    let none = world.run(&["acquire", "--", "echo", "started"]);
    assert_eq!((none.code, &*none.stdout), (2, ""), "{}", none.seen());
}

#[test]
fn a_program_that_is_killed_gives_its_slot_back_at_once() {
    let world = one_slot();
    for _ in 0..5 {
        let mut holding = Holding::start(&world, &["--timeout", "0"], SAY_AND_WAIT);
        assert_eq!(holding.line().len(), 8, "the slot is free");
        holding.ripcord.kill().unwrap();
        holding.ripcord.wait().unwrap();
        let free = world.run(&["acquire", "--timeout", "0", "--", "echo", "free"]);
        assert_eq!(free.stdout, "free\n", "{}", free.seen());
    }
}

#[test]
fn sanity_waits_for_a_slot_too() {
    let world = one_slot();
    let mut holding = Holding::start(&world, &[], SAY_AND_WAIT);
    holding.line();
    let mut sanity = piped(world.command(&["sanity"]));
    while !world.run(&["slots", "--json"]).report("slots")["accounts"][0]["awaited"]
        .as_bool()
        .unwrap()
    {}
    assert!(sanity.try_wait().unwrap().is_none(), "nothing was sent yet");
    assert_eq!(holding.end(), 0);
    assert!(sanity.wait().unwrap().success());
}

#[test]
fn slots_of_accounts_that_are_not_configured_are_shown_too() {
    let world = World::with(pro());
    assert_eq!(world.run(&["acquire", "--", "true"]).code, 0);
    let world = world.without("CHUTES_API_KEY");
    let report = world.run(&["slots", "--json"]).report("slots");
    assert!(report["accounts"][0]["account"].is_null());
    insta::assert_snapshot!(world.run(&["slots"]).seen());
}
