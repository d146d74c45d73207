//! `skills/ops-chutes`: the script before the emulator in every shell that is here, and the triggers of its page.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chutes_emulator::Scenario;

use crate::world::{Outcome, World, pro};

const SHELLS: [&str; 4] = ["sh", "dash", "bash", "busybox"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../skills/ops-chutes")
}

/// The script under every shell of this machine; `sh` is always among them.
fn shells() -> impl Iterator<Item = Vec<&'static str>> {
    let is_here = |shell: &&str| {
        ["/bin", "/usr/bin"].iter().any(|place| Path::new(place).join(shell).exists())
    };
    SHELLS.into_iter().filter(is_here).map(|shell| match shell {
        "bash" => vec!["bash", "--posix"],
        "busybox" => vec!["busybox", "sh"],
        shell => vec![shell],
    })
}

/// Runs the script with the world's environment.
fn run(world: &World, shell: &[&str], script: &Path, arguments: &[&str]) -> Outcome {
    let environment = world.command(&[]);
    let variables = environment.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(script)
        .args(arguments)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn with_program(world: World) -> World {
    world.variable("RIPCORD_BIN", env!("CARGO_BIN_EXE_ripcord"))
}

#[test]
fn every_command_works_in_every_shell() {
    let world = with_program(World::with(pro()));
    let script = directory().join("run.sh");
    let cases: [(&[&str], i32, &str); 18] = [
        (&["status"], 0, "deepseek-ai/DeepSeek-R1"),
        (&["usage"], 0, "alice · Pro"),
        (&["usage", "--chute-id", "none-of-its-own"], 0, "alice · Pro"),
        (&["models", "--query", "glm"], 0, "zai-org/GLM-5.2-TEE"),
        (&["models", "--owner", "sglang", "--modality", "image", "--feature", "tools"], 0, "Kimi"),
        (&["model-health", "zai-org/GLM-5.2-TEE"], 0, "hot"),
        (&["model-health", "deepseek-ai/DeepSeek-R1"], 1, "cold"),
        (&["recommend", "deepseek-ai/DeepSeek-R1", "--skip-ping"], 0, "DeepSeek-R1-TEE"),
        (&["sanity"], 0, "answers"),
        (&["budget-check"], 0, "go on"),
        (&["can-complete", "10"], 0, "10 calls fit now"),
        (&["can-complete", "99999"], 1, "99 999 calls fit now"),
        (&["wait-for-reset"], 0, ""),
        (&["slots"], 0, ""),
        (&["release"], 0, ""),
        (
            &["acquire", "--", "sh", "-c", "echo \"held for $RIPCORD_ACCOUNT: $1\"", "_", "a  b"],
            0,
            "held for ",
        ),
        (&["doctor"], 0, "everything is as it should be"),
        (&["doctor", "--explain", "no such  thing"], 1, "no entry fits"),
    ];
    for shell in shells() {
        for (arguments, code, shown) in cases {
            let outcome = run(&world, &shell, &script, arguments);
            assert_eq!(outcome.code, code, "{shell:?} {arguments:?}\n{}", outcome.seen());
            assert!(outcome.stdout.contains(shown), "{shell:?} {arguments:?}\n{}", outcome.seen());
        }
        let quoted = run(&world, &shell, &script, &["acquire", "--", "echo", "a  b", "*"]);
        assert_eq!(quoted.stdout, "a  b *\n", "arguments arrive as they were");
    }
}

#[test]
fn json_has_the_keys_of_the_older_script_and_the_whole_report() {
    let world = with_program(World::with(pro()));
    let script = directory().join("run.sh");
    for shell in shells() {
        let usage = run(&world, &shell, &script, &["usage", "--json"]).report("usage");
        assert_eq!(usage["used"], 1234.3);
        assert_eq!(usage["quota"], 5000.0);
        assert_eq!(usage["remaining"], 3765.7);
        assert_eq!(usage["balance"], 0.0);
        assert_eq!(usage["reset_in_seconds"], 46_020);
        assert_eq!(usage["reset_at_utc"], "2026-09-28T00:00:00Z");
        let arguments = ["recommend", "--json", "deepseek-ai/DeepSeek-R1", "--skip-ping"];
        let recommend = run(&world, &shell, &script, &arguments).report("recommend");
        assert_eq!(recommend["current"], "deepseek-ai/DeepSeek-R1");
        assert_eq!(recommend["action"], "switch");
        assert_eq!(recommend["switch_to"], recommend["recommended"]);
        assert_eq!(recommend["reason"], recommend["why"]);
    }
    let own = pro().chute_quota("zai-org/GLM-5.2-TEE", 40);
    let world = with_program(World::with(own));
    let health =
        world.run(&["model-health", "zai-org/GLM-5.2-TEE", "--json"]).report("model-health");
    let id = health["chute_id"].as_str().unwrap();
    let usage =
        run(&world, &["sh"], &script, &["usage", "--chute-id", id, "--json"]).report("usage");
    assert_eq!(usage["quota"], 40.0, "the chute's own quota, as the older script had it");
}

#[test]
fn failures_keep_their_exit_codes_and_stdout_empty_or_whole() {
    let script = directory().join("run.sh");
    let down = with_program(World::with(pro())).unreachable();
    let outcome = run(&down, &["sh"], &script, &["usage", "--json"]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.report("usage")["used"].is_null(), "unknown is not zero: {}", outcome.stdout);
    let keyless = with_program(World::with(pro())).without("CHUTES_API_KEY");
    let outcome = run(&keyless, &["sh"], &script, &["usage", "--json"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert_eq!(outcome.talk("error").len(), 1);
    let spent = with_program(World::with(pro().used_usd(8.4, 50.4)));
    assert_eq!(run(&spent, &["sh"], &script, &["budget-check"]).code, 1);
    // Waits a day at most, as the older script did: 0 says not at all.
    assert_eq!(run(&spent, &["sh"], &script, &["wait-for-reset", "--timeout=0"]).code, 1);
    assert_eq!(run(&spent, &["sh"], &script, &["no-such-command"]).code, 2);
    assert_eq!(run(&spent, &["sh"], &script, &[]).code, 2);
    let help = run(&spent, &["sh"], &script, &["--help"]);
    assert!(help.code == 0 && help.stdout.starts_with("usage: run.sh"), "{}", help.seen());
}

#[test]
fn the_program_is_found_beside_the_script_or_missed_with_a_clear_message() {
    let world = World::with(pro()).key(&Scenario::key("alice", 0));
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("run.sh");
    std::fs::copy(directory().join("run.sh"), &script).unwrap();
    for shell in shells() {
        let missing = run(&world, &shell, &script, &["usage"]);
        assert_eq!((missing.code, missing.stdout.as_str()), (127, ""), "{}", missing.seen());
        assert!(missing.stderr.contains("ripcord is not installed"), "{}", missing.stderr);
    }
    let wrong = world.variable("RIPCORD_BIN", "/nowhere/ripcord");
    let outcome = run(&wrong, &["sh"], &script, &["usage"]);
    assert_eq!(outcome.code, 127);
    assert!(outcome.stderr.contains("`/nowhere/ripcord`"), "{}", outcome.stderr);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ripcord"), place.path().join("ripcord"))
        .unwrap();
    assert_eq!(run(&wrong.without("RIPCORD_BIN"), &["sh"], &script, &["budget-check"]).code, 0);
}

#[test]
fn the_page_has_its_triggers_and_names_commands_that_exist() {
    let page = std::fs::read_to_string(directory().join("SKILL.md")).unwrap();
    let front = page.strip_prefix("---\n").unwrap().split("\n---\n").next().unwrap();
    assert!(front.starts_with("name: ops-chutes\ndescription: "), "{front}");
    let body = page.split("\n---\n").nth(1).unwrap();
    let triggers = [
        "check chutes",
        "chutes usage",
        "chutes budget",
        "chutes status",
        "chutes models",
        "list chutes models",
        "what models are on chutes",
        "chutes model list",
        "is model X ready?",
        "wait for chutes reset",
        "can I run X calls?",
        "check chutes health",
        "chutes api check",
    ];
    let description = front.split_whitespace().collect::<Vec<_>>().join(" ");
    for trigger in triggers {
        let quoted = format!("\"{trigger}\"");
        assert!(description.contains(&quoted), "{trigger} is not in the description");
        let row = body.lines().find(|line| line.starts_with("| \"") && line.contains(&quoted));
        assert!(row.is_some_and(|row| row.contains("`./run.sh ")), "{trigger} maps to nothing");
    }
    let help = World::with(pro()).run(&["--help"]).stdout;
    for command in body.split("`./run.sh ").skip(1) {
        let name = command.split([' ', '`']).next().unwrap();
        assert!(help.contains(&format!("\n  {name} ")), "ripcord has no `{name}`");
    }
}
