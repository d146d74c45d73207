//! `ripcord init`: on a fresh machine and on one that is set up, with keys of every kind, with and without a terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chutes_emulator::{AccountSpec, Fault, FaultKind, FaultScope, PlanSpec, Scenario};

use crate::terminal::Terminal;
use crate::world::{Outcome, World, catalogue, pro};

fn alice(number: usize) -> String {
    Scenario::key("alice", number)
}

fn fresh() -> World {
    let bob = AccountSpec::new("bob", PlanSpec::Paygo).balance_usd(7.35);
    World::of(catalogue().account(pro()).account(bob))
}

fn file(world: &World) -> PathBuf {
    world.home().join(".config/ripcord/config.toml")
}

fn held(world: &World) -> String {
    std::fs::read_to_string(file(world)).unwrap_or_default()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_that_is_piped_in_is_tested_and_written_for_its_owner_alone() {
    let world = fresh();
    let outcome = world.run_with_input(&["init"], &format!("{}\n", alice(0)));
    insta::assert_snapshot!("init", outcome.seen());
    assert_eq!(mode(&file(&world)), 0o600);
    assert_eq!(mode(file(&world).parent().unwrap()), 0o700);
    assert!(!outcome.seen().contains(&alice(0)[8..40]), "{}", outcome.seen());
    insta::assert_snapshot!("init-file", held(&world).replace(&alice(0), "KEY"));
    let left: Vec<_> = std::fs::read_dir(file(&world).parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(world.run(&["budget-check"]).stderr, "", "and it works");
    assert_eq!(world.run(&["config", "check"]).code, 0);
}

#[test]
fn json_says_what_became_of_every_key() {
    let world = fresh();
    let keys = format!("{},\"{}\"\n{}\n", alice(0), alice(1), Scenario::key("bob", 0));
    let outcome = world.run_with_input(&["init", "--json", "--yes"], &keys);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    let report = outcome.report("init");
    assert_eq!(report["written"], true);
    let accounts = report["accounts"].as_array().unwrap();
    let names: Vec<_> =
        accounts.iter().map(|account| account["account"].as_str().unwrap()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(accounts[0]["keys"].as_array().unwrap().len(), 2, "two keys of one account");
    assert_eq!(accounts[0]["plan"]["code"], "pro");
    assert_eq!(
        world.run(&["usage", "--json"]).report("usage")["accounts"][0]["keys"][1],
        format!("{}…", &alice(1)[..8])
    );
}

#[test]
fn keys_come_from_a_file_or_from_the_environment() {
    let world = fresh();
    let keys = world.home().join("keys.txt");
    std::fs::write(&keys, format!("# mine\n{}\n", alice(0))).unwrap();
    let keys = keys.display().to_string();
    let outcome = world.run(&["init", "--key-file", &keys, "--name", "work"]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert!(held(&world).contains("name = \"work\""), "{}", held(&world));
    let world = fresh().key(&alice(0));
    assert_eq!(world.run(&["init"]).code, 0);
    assert!(held(&world).contains(&alice(0)));
    let world = fresh();
    assert_eq!(world.run_with_input(&["init", "--key-file", "-"], &alice(0)).code, 0);
    assert_eq!(fresh().run(&["init", "--key-file", "/no/such/file"]).code, 2);
}

#[test]
fn a_configuration_keeps_what_it_has() {
    let before = format!(
        "# my settings\n[spending]\npaygo = \"never\"   # never!\n\n[[accounts]]\nname = \"mine\"\nkeys = [\"{}\"]\n# the end\n",
        alice(0)
    );
    let world = fresh().config(&before);
    std::fs::set_permissions(file(&world), std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = world.run_with_input(&["init"], &Scenario::key("bob", 0));
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert!(held(&world).starts_with(&before), "{}", held(&world));
    assert_eq!(mode(&file(&world)), 0o600);
    // Another key of an account that is there goes to it; one that is there is not written again.
    let outcome = world.run_with_input(&["init"], &alice(1));
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert_eq!(held(&world).matches("[[accounts]]").count(), 2, "{}", held(&world));
    let settled = held(&world);
    let again = world.run_with_input(&["init", "--json"], &alice(1));
    assert_eq!(again.code, 0, "{}", again.seen());
    let report = again.report("init");
    assert_eq!(report["written"], false);
    assert_eq!(report["accounts"][0]["account"], "mine");
    assert_eq!(report["accounts"][0]["keys"][0]["outcome"], "already_there");
    assert_eq!(held(&world), settled);
    // Also where nothing is written, what holds keys becomes its owner's alone.
    std::fs::set_permissions(file(&world), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(world.run_with_input(&["init"], &alice(1)).code, 0);
    assert_eq!(mode(&file(&world)), 0o600);
}

#[test]
fn an_account_has_a_name_that_can_be_read() {
    let world = fresh();
    for name in ["", "  ", "\u{1b}[0m"] {
        let outcome = world.run_with_input(&["init", "--name", name], &alice(0));
        assert_eq!(outcome.code, 2, "{name:?}: {}", outcome.seen());
        assert!(!file(&world).exists());
    }
}

#[test]
fn starting_anew_has_to_be_meant() {
    let world = fresh().config("# precious\n");
    let outcome = world.run_with_input(&["init", "--replace"], &alice(0));
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert_eq!(held(&world), "# precious\n");
    let outcome = world.run_with_input(&["init", "--replace", "--force"], &alice(0));
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert!(!held(&world).contains("precious"), "{}", held(&world));
}

#[test]
fn a_dead_key_is_not_written_unless_one_insists() {
    let dead = Scenario::key("nobody", 0);
    let world = fresh();
    let outcome = world.run_with_input(&["init"], &dead);
    insta::assert_snapshot!("init-dead-key", outcome.seen());
    assert!(!file(&world).exists());
    let both = world.run_with_input(&["init"], &format!("{dead},{}", alice(0)));
    assert_eq!(both.code, 3, "{}", both.seen());
    assert!(held(&world).contains(&alice(0)) && !held(&world).contains(&dead));
    let insisted = world.run_with_input(&["init", "--force"], &dead);
    assert_eq!(insisted.code, 0, "{}", insisted.seen());
    assert!(held(&world).contains(&dead));
}

#[test]
fn a_key_that_may_not_read_the_account_is_written_with_what_that_means() {
    let world = fresh();
    let outcome = world.run_with_input(&["init"], &alice(1));
    insta::assert_snapshot!("init-invoke-key", outcome.seen());
    assert!(held(&world).contains(&alice(1)));
}

#[test]
fn an_account_that_was_not_read_this_time_is_not_put_down_to_the_key() {
    let unread = fresh().variable("CHUTES_API_URL", "http://127.0.0.1:1");
    // Several endpoints are asked at once; whichever is hit, the others answer.
    let fault = Fault { count: Some(1), ..Fault::new(FaultKind::ServerError) };
    let partly = World::of(catalogue().account(pro().fault(fault.on(FaultScope::Management))));
    for (world, what, why) in [
        (unread, "! the account", "GET /users/me at 127.0.0.1:1: "),
        (partly, "! part of the account", "answered 500"),
    ] {
        let outcome = world.run_with_input(&["init"], &alice(0));
        assert_eq!(outcome.code, 0, "{}", outcome.seen());
        assert!(!outcome.stdout.contains("admin key"), "{}", outcome.seen());
        let said = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in [what, why, "try `ripcord usage` later"] {
            assert!(said.contains(text), "{text}: {}", outcome.seen());
        }
    }
}

#[test]
fn a_key_that_is_no_key_is_never_sent_or_repeated() {
    let world = fresh();
    let outcome = world.run_with_input(&["init"], "cpk_CANARY.short");
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(
        !outcome.seen().contains("CANARY") && outcome.stderr.contains("102 characters"),
        "{}",
        outcome.seen()
    );
    assert!(!file(&world).exists());
    assert!(world.emulator().control().log().is_empty());
    let none = world.run(&["init"]);
    insta::assert_snapshot!("init-no-key", none.seen());
}

#[test]
fn without_an_answer_nothing_is_written() {
    let world = fresh().unreachable();
    let outcome = world.run_with_input(&["init"], &alice(0));
    assert_eq!(outcome.code, 3, "{}", outcome.seen());
    assert!(outcome.stderr.contains("could not be tested"), "{}", outcome.seen());
    assert!(!file(&world).exists());
    let insisted = world.run_with_input(&["init", "--force"], &alice(0));
    assert_eq!(insisted.code, 0, "{}", insisted.seen());
    assert!(held(&world).contains("name = \"main\""), "{}", held(&world));
}

#[test]
fn what_cannot_be_written_is_said_and_leaves_nothing() {
    let world = fresh();
    // Nobody may create anything there, whoever runs the test.
    let outcome =
        world.run_with_input(&["init", "--config", "/proc/ripcord/config.toml"], &alice(0));
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(outcome.stderr.contains("could not create /proc/ripcord"), "{}", outcome.seen());
    assert!(outcome.stderr.contains("--config"), "{}", outcome.seen());
    let broken = fresh().config("[spending\n");
    let outcome = broken.run_with_input(&["init"], &alice(0));
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert_eq!(held(&broken), "[spending\n");
    let elsewhere = world.home().join("new/ripcord.toml");
    let outcome =
        world.run_with_input(&["init", "--config", &elsewhere.display().to_string()], &alice(0));
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert_eq!(mode(&elsewhere), 0o600);
}

#[test]
fn runs_at_the_same_time_lose_no_account() {
    let names = ["ann", "ben", "cleo", "dan"];
    let scenario = names.into_iter().fold(catalogue(), |scenario, name| {
        scenario.account(AccountSpec::new(name, PlanSpec::Paygo).balance_usd(5.0))
    });
    let world = World::of(scenario);
    let codes: Vec<(i32, String)> = std::thread::scope(|scope| {
        let run = |name| {
            let world = &world;
            scope.spawn(move || {
                let outcome = world.run_with_input(&["init"], &Scenario::key(name, 0));
                (outcome.code, outcome.seen())
            })
        };
        let runs = names.map(run);
        runs.map(|run| run.join().unwrap()).into()
    });
    for (code, seen) in codes {
        assert_eq!(code, 0, "{seen}");
    }
    for name in names {
        assert!(held(&world).contains(&Scenario::key(name, 0)), "{name}: {}", held(&world));
    }
    assert_eq!(world.run(&["config", "check"]).code, 0);
    let left: Vec<_> = std::fs::read_dir(file(&world).parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_link_to_a_file_that_is_not_there_yet_is_followed() {
    let world = fresh().config("");
    std::fs::remove_file(file(&world)).unwrap();
    let real = world.home().join("dotfiles/ripcord.toml");
    std::os::unix::fs::symlink(&real, file(&world)).unwrap();
    let outcome = world.run_with_input(&["init"], &alice(0));
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
    assert!(std::fs::read_to_string(&real).unwrap().contains(&alice(0)));
    assert!(std::fs::symlink_metadata(file(&world)).unwrap().is_symlink());
}

#[test]
fn on_a_terminal_the_key_is_not_shown() {
    let world = fresh();
    let Some(mut terminal) = Terminal::start(&world, "\"$RIPCORD\" init") else { return };
    terminal.wait_for("Chutes API key: ");
    terminal.send("cpk_nonsense\r");
    terminal.wait_for("probably cut");
    terminal.wait_for("Chutes API key: ");
    terminal.send(&format!("{}\r", alice(0)));
    let outcome = terminal.ended();
    assert_eq!(outcome.code, 0, "{}", outcome.stdout);
    for secret in ["nonsense", &alice(0)[8..]] {
        assert!(!outcome.stdout.contains(secret), "{}", outcome.stdout);
    }
    assert!(held(&world).contains(&alice(0)));
}

#[test]
fn a_key_that_is_pasted_where_a_yes_is_asked_for_is_not_shown_either() {
    let world = fresh();
    let Some(mut terminal) = Terminal::start(&world, "\"$RIPCORD\" init") else { return };
    terminal.wait_for("Chutes API key: ");
    terminal.send(&format!("{}\r", Scenario::key("nobody", 0)));
    terminal.wait_for("[y/N] ");
    terminal.send(&format!("{}\r", alice(0)));
    let outcome = terminal.ended();
    assert_eq!(outcome.code, 3, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("[y/N] no"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains(&alice(0)[8..]), "{}", outcome.stdout);
}

/// What the terminal shows once `leave` has made the run end at this question, with its settings at the end.
fn left_at(question: &str, leave: impl FnOnce(&mut Terminal, &World)) -> Option<Outcome> {
    let world = fresh();
    // The shell that looks afterwards is interrupted too, and goes on.
    let line = "trap : INT; sh -c 'echo $$ >\"$HOME/pid\"; exec \"$RIPCORD\" init'; echo \"code $?\"; stty -a";
    let mut terminal = Terminal::start(&world, line)?;
    terminal.wait_for("Chutes API key: ");
    if question != "Chutes API key: " {
        terminal.send(&format!("{}\r", Scenario::key("nobody", 0)));
        terminal.wait_for(question);
    }
    leave(&mut terminal, &world);
    terminal.wait_for("code ");
    let outcome = terminal.ended();
    assert!(outcome.stdout.contains("left; nothing was written"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("code 1"), "{}", outcome.stdout);
    for flag in ["-echo ", "-icanon", "-isig"] {
        assert!(!outcome.stdout.contains(flag), "{}", outcome.stdout);
    }
    assert!(!file(&world).exists());
    Some(outcome)
}

#[test]
fn a_signal_puts_the_terminal_back() {
    for signal in ["-TERM", "-HUP", "-INT"] {
        for question in ["Chutes API key: ", "[y/N] "] {
            left_at(question, |_, world| {
                let process = std::fs::read_to_string(world.home().join("pid")).unwrap();
                let sent = Command::new("kill").args([signal, process.trim()]).status().unwrap();
                assert!(sent.success());
            });
        }
    }
}

#[test]
fn leaving_ends_the_same_way_at_every_question() {
    for question in ["Chutes API key: ", "[y/N] "] {
        let Some(outcome) = left_at(question, |terminal, _| terminal.send("\x03")) else { return };
        let last = outcome.stdout.lines().find(|line| line.contains("left; ")).unwrap();
        assert!(!last.contains(question), "on a line of its own: {}", outcome.stdout);
    }
}

#[test]
fn a_dead_key_is_asked_about() {
    let dead = Scenario::key("nobody", 0);
    for (answer, written) in [("\r", false), ("y\r", true)] {
        let world = fresh();
        let Some(mut terminal) = Terminal::start(&world, "\"$RIPCORD\" init") else { return };
        terminal.wait_for("Chutes API key: ");
        terminal.send(&format!("{dead}\r"));
        terminal.wait_for("Write it all the same? [y/N] ");
        terminal.send(answer);
        let outcome = terminal.ended();
        assert_eq!(outcome.code, if written { 0 } else { 3 }, "{}", outcome.stdout);
        assert_eq!(file(&world).exists(), written);
    }
}
