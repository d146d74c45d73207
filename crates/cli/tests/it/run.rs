//! `ripcord run`: waits for budget, then runs a command.

use chutes_emulator::{AccountSpec, Fault, FaultKind, FaultScope, Lag, PlanSpec, Scenario};

use crate::world::{World, catalogue, pro};

/// One second here is this many at Chutes, and on this machine's clock.
const SPEED: u32 = 10;
const NOON_MICROS: i64 = 1_790_510_400_000_000; // 2026-09-27T12:00:00Z

/// Fifteen seconds before the 4-hour window turns, with that window used up and figures that lag; this machine's clock says
/// something else.
fn before_the_turn(machine: &str) -> World {
    let mut scenario = catalogue().account(pro().used_usd(8.4, 50.4)).lag(Lag::default());
    scenario.starts_at = Some("2026-09-27T11:59:45Z".to_owned());
    scenario.clock_speed = f64::from(SPEED);
    World::of(scenario)
        .key(&Scenario::key("alice", 0))
        .variable("RIPCORD_TEST_NOW", &format!("{machine}/run{SPEED}"))
}

/// When the account was read, in seconds of the server.
fn looks(world: &World) -> Vec<f64> {
    let log = world.emulator().control().log();
    let looks = log.iter().filter(|entry| entry.path == "/users/me");
    looks.map(|entry| (entry.started_micros - NOON_MICROS) as f64 / 1e6).collect()
}

/// Seconds since noon by the server's clock.
fn since_noon(world: &World) -> f64 {
    (world.emulator().control().clock().now_micros() - NOON_MICROS) as f64 / 1e6
}

fn assert_sparing(world: &World) {
    let looks = looks(world);
    let gaps = looks.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.clone().all(|gap| gap >= 10.0), "{looks:?}");
}

#[test]
fn the_command_is_run_and_its_code_is_ours() {
    let world = World::with(pro());
    let code = |command: &[&str]| world.run(&[&["run", "--"], command].concat());
    let said = code(&["sh", "-c", "echo \"$RIPCORD_ACCOUNT\"; exit 7"]);
    assert_eq!((said.code, said.stdout.trim().len()), (7, 8), "{}", said.seen());
    assert_eq!(said.stderr, "");
    assert_eq!(code(&["sh", "-c", "kill -TERM $$"]).code, 128 + 15);
    assert_eq!(code(&["no-such-command"]).code, 127);
    assert_eq!(code(&["/etc/passwd"]).code, 126);
    // Flags after the command are the command's.
    assert_eq!(world.run(&["run", "echo", "--timeout"]).stdout, "--timeout\n");
}

#[test]
fn in_each_situation_it_runs_or_says_why_not() {
    let capped = || pro().used_usd(8.4, 50.4);
    let paygo = |balance| AccountSpec::new("bob", PlanSpec::Paygo).balance_usd(balance);
    let no_scope = World::of(catalogue().account(pro())).key(&Scenario::key("alice", 1));
    let dead = World::of(catalogue().account(pro())).key(&Scenario::key("nobody", 0));
    let mut seen = String::new();
    for (situation, world, code) in [
        ("Pro with room", World::with(pro()), 0),
        ("4-hour cap spent, 5 dollars", World::with(capped().balance_usd(5.0)), 75),
        ("pay-as-you-go with balance", World::with(paygo(7.35)), 0),
        ("pay-as-you-go without balance", World::with(paygo(0.0)), 75),
        ("a key without account scope", no_scope, 75),
        ("a dead key", dead, 75),
        ("no key", World::of(catalogue()), 2),
        ("API down", World::with(pro()).unreachable(), 75),
    ] {
        let outcome = world.run(&["run", "--timeout", "0", "--", "echo", "ran"]);
        assert_eq!(outcome.code, code, "{situation}: {}", outcome.seen());
        seen += &format!("=== {situation}\n{}\n", outcome.seen());
        let told = world.run(&["run", "--timeout", "0", "--json", "--", "echo", "ran"]);
        assert_eq!(told.code, code, "{situation}: {}", told.seen());
        assert_eq!(told.talk("error").len(), usize::from(code != 0), "{}", told.seen());
    }
    insta::assert_snapshot!("run", seen);
}

#[test]
fn what_never_fits_is_told_at_once() {
    let world = World::with(pro());
    let priced = ["--model", "zai-org/GLM-5.2-TEE", "--tokens-in", "2000", "--tokens-out", "500"];
    let needs = |flags: &[&str], count: &str| {
        let start = ["run", "--timeout", "0", "--needs", count];
        world.run(&[&start, flags, &["--", "echo", "ran"]].concat())
    };
    assert_eq!(needs(&[], "3000").stdout, "ran\n");
    let mut seen = needs(&[], "5001").seen();
    assert_eq!(needs(&priced, "100").stdout, "ran\n");
    seen += &needs(&priced, "3000").seen();
    let usd =
        |dollars| world.run(&["run", "--timeout", "0", "--usd", dollars, "--", "echo", "ran"]);
    assert_eq!(usd("5.50").stdout, "ran\n");
    seen += &usd("9").seen();
    // It would fit into the next window.
    seen += &usd("6").seen();
    let paygo = World::with(AccountSpec::new("bob", PlanSpec::Paygo).balance_usd(7.35));
    seen += &paygo.run(&["run", "--needs", "5", "--", "echo", "ran"]).seen();
    // There is room for some, but for so much neither the windows nor the balance have enough.
    let bounded = World::with(pro()).config("[spending]\npaygo = { daily_usd = 2 }\n");
    seen += &bounded.run(&["run", "--timeout", "0", "--usd", "50", "--", "echo", "ran"]).seen();
    insta::assert_snapshot!(seen);
}

/// `run` is for batches, so what is kept for interactive work is not for it unless it says so.
#[test]
fn the_reserve_is_for_interactive_work() {
    let world = World::with(pro().used_usd(7.9, 50.0)).config("[spending]\nreserve = \"10%\"\n");
    let run = |flags: &[&str]| {
        world.run(&[&["run", "--timeout", "0"], flags, &["--", "echo", "ran"]].concat())
    };
    for flags in [&[][..], &["--priority", "batch"], &["--priority", "agent"], &["--usd", "0.10"]] {
        let outcome = run(flags);
        assert_eq!((outcome.code, &*outcome.stdout), (75, ""), "{flags:?}: {}", outcome.seen());
    }
    let interactive = run(&["--priority", "interactive"]);
    assert_eq!((interactive.code, &*interactive.stdout), (0, "ran\n"), "{}", interactive.seen());
}

#[test]
fn a_condition_decides_and_is_explained() {
    let world = World::with(pro());
    let when =
        |condition| world.run(&["run", "--timeout", "0", "--when", condition, "--", "echo", "ran"]);
    // A Sunday, 11:13 UTC; 3,766 of 5,000 units remain, $5.83 of $8.33, no balance.
    for holds in
        ["day>75%", "day>3000 and before=12:00", "four_hour>=$5", "weekday=sun", "not balance>$1"]
    {
        assert_eq!(when(holds).stdout, "ran\n", "{holds}: {}", when(holds).seen());
    }
    let mut seen = String::new();
    for not in ["day>80%", "after=16:00", "weekday=mon-fri and day>10%", "balance>$1"] {
        let outcome = when(not);
        assert_eq!((outcome.code, &*outcome.stdout), (75, ""), "{not}: {}", outcome.seen());
        seen += &outcome.seen();
    }
    for wrong in ["day>", "before=9:00 and after=17:00", "day>20% und day<5"] {
        let outcome = when(wrong);
        assert_eq!(outcome.code, 2, "{wrong}: {}", outcome.seen());
        seen += &outcome.seen();
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn the_local_time_is_that_of_the_zone() {
    let world = World::with(pro());
    let arguments = ["run", "--timeout", "0", "--when", "after=13:00", "--", "echo", "ran"];
    assert_eq!(world.run(&arguments).code, 75);
    let mut plain = std::process::Command::new(env!("CARGO_BIN_EXE_ripcord"));
    plain.env_clear().args(["--tz", "Europe/Berlin"]).args(arguments);
    for (name, value) in world.command(&[]).get_envs() {
        plain.env(name, value.unwrap());
    }
    assert_eq!(plain.output().unwrap().stdout, b"ran\n", "13:13 in Berlin");
}

/// However wrong this machine's clock is, and though the server shows the old figures for a minute: at the turn by the server's
/// clock it goes on, and before it asks sparingly.
#[test]
fn it_goes_on_promptly_when_the_window_turns_at_the_server() {
    for machine in ["2026-09-27T11:59:45Z", "2026-09-27T11:59:20Z", "2026-09-27T12:00:20Z"] {
        for arguments in [&["run", "--", "true"][..], &["wait-for-reset"]] {
            let world = before_the_turn(machine);
            let outcome = world.run(arguments);
            let late = since_noon(&world);
            assert_eq!(outcome.code, 0, "{}", outcome.seen());
            // A second and a half of this machine, which others use too.
            assert!((0.0..15.0).contains(&late), "{machine}: {late} s after the turn");
            assert_sparing(&world);
        }
    }
}

#[test]
fn the_next_turn_of_the_calendar_is_that_of_the_server_s_clock() {
    for (machine, window) in
        [("2026-09-27T11:59:20Z", "four_hour"), ("2026-09-27T12:00:20Z", "four_hour")]
    {
        let world = before_the_turn(machine);
        let outcome = world.run(&["wait-for-reset", "--next", window]);
        assert_eq!(outcome.code, 0, "{}", outcome.seen());
        let late = since_noon(&world);
        assert!((0.0..15.0).contains(&late), "{machine}: {late} s after the turn");
    }
}

/// What cannot be read any more is told, and waited on; the calendar still turns.
#[test]
fn a_failing_network_does_not_end_a_wait() {
    let world = before_the_turn("2026-09-27T11:59:45Z");
    // The first look succeeds, the one at the turn fails.
    let mut fault = Fault::new(FaultKind::ServerError);
    (fault.on, fault.begins_after_seconds) = (FaultScope::Management, Some(14.0));
    world.emulator().control().add_account_fault("alice", fault).unwrap();
    let outcome = world.run(&["run", "--", "true"]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert!(outcome.stderr.contains("; waiting on\n"), "{}", outcome.seen());
    assert!(since_noon(&world) >= 0.0);
    assert_sparing(&world);
}

#[test]
fn a_slot_is_held_while_the_command_runs() {
    let world = World::with(pro());
    let script = "\"$RIPCORD\" slots --json";
    let world = world.variable("RIPCORD", env!("CARGO_BIN_EXE_ripcord"));
    let inside = world.run(&["run", "--slot", "--", "sh", "-c", script]).report("slots");
    assert_eq!(inside["accounts"][0]["held"], 1, "{inside}");
    assert_eq!(inside["accounts"][0]["holders"][0]["purpose"], "run");
    let without = world.run(&["run", "--", "sh", "-c", script]).report("slots");
    assert_eq!(without["accounts"][0]["held"], 0, "{without}");
}

#[test]
fn no_slot_in_time_is_told() {
    let world = World::with(pro()).config("[gateway]\nslots_per_account = 1\n");
    let world = world.variable("RIPCORD", env!("CARGO_BIN_EXE_ripcord"));
    let script = "\"$RIPCORD\" run --slot --timeout 0 -- echo ran; echo $?";
    let late = world.run(&["run", "--slot", "--", "sh", "-c", script]);
    assert_eq!(late.stdout, "75\n", "{}", late.seen());
    assert!(late.stderr.contains("no slot came free within 0 s"), "{}", late.seen());
}

/// Of two accounts the one with budget is told to the command.
#[test]
fn any_account_with_budget_will_do() {
    let scenario = catalogue()
        .account(pro().used_usd(8.4, 50.4))
        .account(AccountSpec::new("bob", PlanSpec::Plus));
    let keys = format!("{},{}", Scenario::key("alice", 0), Scenario::key("bob", 0));
    let world = World::of(scenario).key(&keys);
    let outcome = world.run(&["run", "--timeout", "0", "--", "sh", "-c", "echo $RIPCORD_ACCOUNT"]);
    let bob = world.run(&["run", "--account", "bob", "--", "sh", "-c", "echo $RIPCORD_ACCOUNT"]);
    assert_eq!((outcome.code, &outcome.stdout), (0, &bob.stdout), "{}", outcome.seen());
    let alice = world.run(&["run", "--account", "alice", "--timeout", "0", "--", "echo", "ran"]);
    assert_eq!(alice.code, 75, "{}", alice.seen());
    let slot = world.run(&["run", "--slot", "--", "sh", "-c", "echo $RIPCORD_ACCOUNT"]);
    assert_eq!(slot.stdout, bob.stdout, "{}", slot.seen());
}

#[test]
fn a_wait_says_once_what_for() {
    let world = before_the_turn("2026-09-27T11:59:45Z");
    let outcome = world.run(&["run", "--when", "day>20%", "--timeout", "5", "--", "true"]);
    assert_eq!(outcome.code, 75, "{}", outcome.seen());
    let said: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(said.len(), 3, "{}", outcome.seen());
    let awaited =
        "waiting until 12:00 UTC: the 4-hour window is in the way, and `day>20%` has to hold, in ";
    assert!(said[0].starts_with(awaited), "{}", outcome.seen());
    assert_eq!(said[1], "error: there was no budget within 5 s");
}
