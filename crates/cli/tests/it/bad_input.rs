//! Bad input: each a clear error, and nothing lost.

use chutes_emulator::{AccountSpec, Fault, FaultKind, FaultScope, PlanSpec, Scenario};

use crate::world::{World, catalogue, pro};

fn alice() -> String {
    Scenario::key("alice", 0)
}

#[test]
fn without_a_key() {
    let world = World::with(pro()).without("CHUTES_API_KEY");
    let outcome = world.run(&["usage"]);
    insta::assert_snapshot!(outcome.seen(), @r"
    exit 2
    --- stderr
    error: no API key is configured
    hint: create a key at https://chutes.ai/app/api, then: ripcord init
    hint: for this shell only: export CHUTES_API_KEY=cpk_…
    hint: without a key these work: ripcord status, models, model-health, recommend
    more: ripcord doctor --explain key-missing
    ");
    assert_eq!(world.run(&["models"]).code, 0, "the catalogue needs no key");
}

#[test]
fn a_key_with_quotes_and_spaces_is_repaired_with_a_warning() {
    let world = World::with(pro()).key(&format!(" \"{}\" ", alice()));
    let outcome = world.run(&["budget-check"]);
    insta::assert_snapshot!(outcome.seen(), @r"
    exit 0
    --- stdout
    alice
      ✓ go on: the windows of the plan have room
    --- stderr
    warning: the key in CHUTES_API_KEY: removed white space around the key
    warning: the key in CHUTES_API_KEY: removed quotation marks around the key
    ");
    let list = World::with(pro()).key(&format!("{}, {},\n", alice(), Scenario::key("alice", 1)));
    assert_eq!(list.run(&["budget-check"]).stderr, "", "a list is written with blanks");
    let spaced = World::with(pro()).key(&format!("{} {}", alice(), Scenario::key("alice", 1)));
    let outcome = spaced.run(&["budget-check"]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(outcome.stderr.contains("separate them by commas"), "{}", outcome.seen());
}

#[test]
fn a_key_of_the_wrong_form_is_never_repeated() {
    let world = World::with(pro()).key("cpk_0123456789abcdef.short");
    let outcome = world.run(&["usage"]);
    insta::assert_snapshot!(outcome.seen(), @r"
    exit 2
    --- stderr
    error: the key in CHUTES_API_KEY: a Chutes key has 102 characters and this one has 26; it was probably cut when copied
    hint: `ripcord doctor` checks every key and says what to fix
    more: ripcord doctor --explain key-form
    ");
    insta::assert_snapshot!(world.run(&["doctor"]).seen(), @r"
    exit 1
    --- stdout
    configuration
      ✓ no file; the defaults hold

    keys
      ✗ the key in CHUTES_API_KEY: a Chutes key has 102 characters and this one has
        26; it was probably cut when copied
        → copy the key again from https://chutes.ai/app/api
        more: ripcord doctor --explain key-form

    addresses
      ✓ management at http://127.0.0.1:PORT, inference at http://127.0.0.1:PORT

    network
      ✓ the management API answers in 0 ms
      ✓ the inference API lists 6 models

    clock
      ✓ this machine and Chutes agree on the time

    ✗ 1 thing has to be fixed
    ");
}

#[test]
fn a_dead_key() {
    let dead = Scenario::key("nobody", 0);
    let world = World::with(pro()).key(&dead);
    insta::assert_snapshot!(world.run(&["usage"]).seen(), @r"
    exit 3
    --- stdout
    cpk_a952… · plan unknown
      balance unknown
      ? unknown: the key does not open the account, so its quota is unknown
    --- stderr
    error: cpk_a952…: the key is refused: it is dead, or has no useful scope
    hint: create a new key at https://chutes.ai/app/api
    more: ripcord doctor --explain key-refused
    ");
    let doctor = world.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{}", doctor.seen());
    assert!(doctor.stdout.contains("is refused"), "{}", doctor.stdout);
    insta::assert_snapshot!(world.run(&["sanity"]).seen(), @r"
    exit 3
    --- stderr
    error: cpk_a952…: POST /v1/chat/completions at 127.0.0.1:PORT answered 401: Invalid token or user not found
    hint: check the key: Chutes does not know it, or it lacks the scope for this
    more: ripcord doctor --explain key-refused
    ");
}

#[test]
fn one_dead_key_stops_no_other_account() {
    let keys = format!("{},{}", Scenario::key("nobody", 0), alice());
    let world = World::with(pro()).key(&keys);
    let usage = world.run(&["usage"]);
    assert_eq!(usage.code, 3);
    assert!(usage.stdout.contains("alice · Pro"), "{}", usage.seen());
    assert_eq!(world.run(&["budget-check"]).code, 0, "one account that can is enough");
    assert_eq!(world.run(&["usage", "--account", "alice"]).code, 0);
    insta::assert_snapshot!(world.run(&["usage", "--account", "carol"]).seen(), @r"
    exit 2
    --- stderr
    error: there is no account `carol`
    hint: the accounts are: cpk_a952…, alice
    ");
}

#[test]
fn what_is_no_file_is_not_read_for_ever() {
    let world = World::of(catalogue());
    for file in ["/dev/zero", "/"] {
        let outcome = world.run(&["usage", "--config", file]);
        assert_eq!(outcome.code, 2, "{}", outcome.seen());
        assert!(outcome.stderr.contains("could not be read: it is "), "{}", outcome.seen());
        let outcome = world.run(&["init", "--key-file", file]);
        assert_eq!(outcome.code, 2, "{}", outcome.seen());
        assert!(outcome.stderr.contains("--key-file -"), "{}", outcome.seen());
    }
    let pipe = world.home().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let outcome = world.run(&["usage", "--config", &pipe.display().to_string()]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    // What a shell hands over is no regular file either, and ends.
    let key = Scenario::key("alice", 0);
    let world = World::of(catalogue().account(pro()));
    let outcome = world.run_with_input(&["init", "--key-file", "/dev/stdin"], &key);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
}

#[test]
fn a_proxy_that_answers_html() {
    let fault = Fault::new(FaultKind::EdgeForbidden).on(FaultScope::All);
    let world = World::with(pro().fault(fault));
    insta::assert_snapshot!(world.run(&["usage"]).seen(), @r"
    exit 3
    --- stdout
    cpk_7eec… · plan unknown
      balance unknown
      ? unknown: the account could not be read
    --- stderr
    error: cpk_7eec…: GET /users/me at 127.0.0.1:PORT answered 403 with a web page: 403 Forbidden
    hint: something in front of the API refused the connection, not the key: Google's load balancer, a proxy or a captive portal; try again, then from another network
    more: ripcord doctor --explain edge-block
    ");
}

#[test]
fn addresses_are_repaired_or_refused_with_what_to_write() {
    let world = World::with(pro());
    let doubled = format!("{}/v1/v1", world.emulator().url());
    let world = world.variable("CHUTES_LLM_URL", &doubled);
    let doctor = world.run(&["doctor"]);
    assert_eq!(doctor.code, 0, "{}", doctor.seen());
    assert!(doctor.stdout.contains("/v1 twice"), "{}", doctor.stdout);
    assert_eq!(world.run(&["sanity"]).code, 0);
    let world = world.variable("CHUTES_LLM_URL", "https://chutes.ai/v1");
    insta::assert_snapshot!(world.run(&["sanity"]).seen(), @r"
    exit 2
    --- stderr
    error: the inference address is that of the web site, not the API; use https://llm.chutes.ai (from CHUTES_LLM_URL)
    hint: write https://llm.chutes.ai
    more: ripcord doctor --explain wrong-host
    ");
}

#[test]
fn a_model_name_wrong_in_case() {
    let world = World::with(pro());
    insta::assert_snapshot!(world.run(&["model-health", "chutes/zai-org/glm-5.2-tee"]).seen(), @r"
    exit 2
    --- stderr
    error: there is no model `zai-org/glm-5.2-tee`
    hint: did you mean `zai-org/GLM-5.2-TEE`? Names are exact, upper and lower case too
    more: ripcord doctor --explain model-not-found
    ");
    insta::assert_snapshot!(world.run(&["sanity", "GLM-5.2"]).seen(), @r"
    exit 2
    --- stderr
    error: there is no model `GLM-5.2`
    hint: did you mean `zai-org/GLM-5.2-TEE`?
    more: ripcord doctor --explain model-not-found
    ");
    assert_eq!(world.run(&["model-health", "chutes/zai-org/GLM-5.2-TEE"]).code, 0);
}

#[test]
fn every_problem_of_the_configuration_at_once() {
    let world = World::with(pro())
        .config("[spending]\nmin_balanse = 1\npaygo = \"sometimes\"\n\n[gatewey]\nlisten = \"x\"\n\n[[accounts]]\nname = \"work\"\nkey_file = [\"~/none\"]\n")
        .variable("CHUTES_QUOTA_REFRESH_INTERVAL", "5");
    insta::assert_snapshot!(world.run(&["usage"]).seen(), @r#"
    exit 2
    --- stderr
    HOME/.config/ripcord/config.toml:2: unknown key `spending.min_balanse`; did you mean `spending.min_balance`?
    HOME/.config/ripcord/config.toml:3: `spending.paygo`: expected "by_plan", "never", "allow" or { daily_usd = 2.0 } with an amount above 0
    HOME/.config/ripcord/config.toml:5: unknown key `gatewey`; did you mean `gateway`?
    HOME/.config/ripcord/config.toml:10: could not read the key file HOME/none: No such file or directory (os error 2)
    CHUTES_QUOTA_REFRESH_INTERVAL: must be from 30 to 86400 seconds
    error: the configuration has 5 problems
    hint: every key with its default and meaning: docs/reference/configuration.md
    more: ripcord doctor --explain configuration
    "#);
}

#[test]
fn a_file_that_holds_keys_and_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = format!("[[accounts]]\nname = \"work\"\nkeys = [\"{}\"]\n", alice());
    let world = World::with(pro()).without("CHUTES_API_KEY").config(&file);
    let path = world.home().join(".config/ripcord/config.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    insta::assert_snapshot!(world.run(&["budget-check"]).seen(), @r"
    exit 0
    --- stdout
    work
      ✓ go on: the windows of the plan have room
    --- stderr
    warning: HOME/.config/ripcord/config.toml holds keys and others can read it; chmod 600 HOME/.config/ripcord/config.toml
    ");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.run(&["budget-check"]).stderr, "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(world.run(&["budget-check"]).code, 2);
}

#[test]
fn wrong_usage_is_2() {
    let world = World::with(pro());
    for arguments in [
        &["no-such-command"][..],
        &["can-complete"],
        &["can-complete", "0"],
        &["usage", "--tz", "Mars"],
    ] {
        let outcome = world.run(arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}");
        assert!(outcome.stderr.ends_with('\n'), "{arguments:?}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains('\u{fffd}'), "{arguments:?}: {}", outcome.stderr);
    }
    assert!(world.run(&["no-such-command"]).stderr.contains("\n\nUsage: "));
    assert_eq!(world.run(&["--help"]).code, 0);
    assert_eq!(world.run(&["models", "--max-price", "cheap"]).code, 2);
}

#[test]
fn a_broken_pipe_is_success() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_ripcord"))
        .env_clear()
        .args(["--help"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_key_is_never_shown_whole() {
    let secret = "CANARY0000000000000000000000TEST";
    let canary = format!("cpk_{}.{}.{secret}", "0a".repeat(16), "0b".repeat(16));
    let file = format!("[[accounts]]\nname = \"canary\"\nkeys = [\"{canary}\"]\n");
    let broken = Fault::new(FaultKind::EdgeForbidden).on(FaultScope::All);
    let worlds = [
        World::with(pro()),
        World::with(pro()).key(&format!("'{canary}'")),
        World::with(pro()).without("CHUTES_API_KEY").config(&file),
        World::with(pro()).key(&canary).unreachable(),
        World::with(pro().fault(broken)).key(&format!("{},{canary}", alice())),
        // Where it must not stand: the address, a malformed key, a misspelt setting.
        World::with(pro()).key(&canary).variable("CHUTES_LLM_URL", &format!("https://{canary}@llm.chutes.ai")),
        World::with(pro()).key(&format!("{canary}.more")),
        World::with(pro()).config(&format!("api_key = \"{canary}\"\n[spending]\npaygo = \"{canary}\"\n[output]\ntime_zone = \"{canary}\"\n")),
    ];
    let commands: [&[&str]; 14] = [
        &[],
        &["usage"],
        &["status"],
        &["models"],
        &["model-health", "Qwen/Qwen2.5-72B-Instruct"],
        &["sanity"],
        &["probe"],
        &["budget-check"],
        &["can-complete", "10"],
        &["wait-for-reset", "--timeout", "0"],
        &["doctor"],
        &["usage", "--account", &canary],
        &["model-health", &canary],
        &["usage", &canary],
    ];
    for world in worlds {
        let world = world.variable("RUST_LOG", "trace");
        for command in commands {
            for json in [&[][..], &["--json"]] {
                let outcome = world.run(&[command, json].concat());
                assert!(!outcome.seen().contains(secret), "{command:?}\n{}", outcome.seen());
                assert!(
                    !outcome.seen().contains(&"0b".repeat(16)),
                    "{command:?}\n{}",
                    outcome.seen()
                );
            }
        }
    }
}

#[test]
fn text_from_elsewhere_never_drives_the_terminal() {
    let hostile = "acme/\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}nasty\nrow";
    let scenario =
        crate::world::catalogue().model(chutes_emulator::ModelSpec::new(hostile)).account(pro());
    let world = World::of(scenario).key(&alice());
    let commands: [&[&str]; 5] = [
        &["models"],
        &["status", "--all"],
        &["models", "--color", "never", "--query", "nasty"],
        &["model-health", hostile],
        &["can-complete", "1", "--model", hostile],
    ];
    for command in commands {
        for json in [&[][..], &["--json"]] {
            let outcome = world.run(&[command, json].concat());
            let shown = outcome.seen();
            let obeyed = |character: char| {
                character != '\n' && (character.is_control() || character == '\u{202e}')
            };
            assert!(!shown.contains(obeyed), "{command:?} {json:?}: {shown:?}");
            if !json.is_empty() && command[0] == "models" {
                let report = outcome.report("models");
                assert!(report.to_string().contains("nasty"), "its meaning is the same");
            }
        }
    }
}

#[test]
fn accounts_on_every_plan_are_read() {
    let plans = [
        ("legacy", PlanSpec::Legacy),
        ("custom", PlanSpec::CustomPro),
        ("free", PlanSpec::Free),
        ("norows", PlanSpec::NoRows),
    ];
    let mut scenario = catalogue();
    let mut keys = Vec::new();
    for (name, plan) in plans {
        scenario = scenario.account(AccountSpec::new(name, plan).anchor("2026-09-14T08:12:45"));
        keys.push(Scenario::key(name, 0));
    }
    let world = World::of(scenario).key(&keys.join(","));
    let outcome = world.run(&["usage"]);
    insta::assert_snapshot!(outcome.seen(), @r"
    exit 0
    --- stdout
    legacy · Legacy · cpk_2ac3…                                 from Chutes, 0 s old

                       used   of  left          resets  at UTC
      day  ▕░░░░░░░░▏     0  200   200  in 12 h 47 min  28 Sep 00:00

      balance $0.00 · pays when a window is used up
      ✓ go on: the windows of the plan have room

    custom · Custom Pro, $20.00 a month · cpk_7baf…             from Chutes, 0 s old

                              used      of   left          resets  at UTC
      day      ▕░░░░░░░░▏        0    5001   5001  in 12 h 47 min  28 Sep 00:00
      4 hours  ▕░░░░░░░░▏    $0.00   $8.33  $8.33       in 47 min  12:00
      month    ▕········▏  unknown  no cap           in 16 d 20 h  14 Oct 08:12

      balance $0.00 · not spent: a subscription never slides into pay-as-you-go
      ✓ go on: the windows of the plan have room

    free · Unlimited · cpk_880c…
      balance $0.00
      ✓ go on: nothing limits this account

    norows · Legacy · cpk_e0dd…                                 from Chutes, 0 s old

                       used   of  left          resets  at UTC
      day  ▕░░░░░░░░▏     0  200   200  in 12 h 47 min  28 Sep 00:00

      balance $0.00 · pays when a window is used up
      ✓ go on: the windows of the plan have room
    ");
    world.run(&["usage", "--json"]).report("usage");
}

/// Passed over in silence, the key would go to the real host.
#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let strange = OsStr::from_bytes(b"http://\xff");
    let world = World::with(pro());
    for name in ["CHUTES_API_URL", "RIPCORD_CONFIG", "CHUTES_API_KEY_2"] {
        let output = world.command(&["usage"]).env(name, strange).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("{name}: its value is not UTF-8")), "{told}");
    }
    let account = "[[accounts]]\nname = \"work\"\nkey_env = [\"WORK_KEY\"]\n";
    let world = World::with(pro()).config(account);
    let output = world.command(&["usage"]).env("WORK_KEY", strange).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn an_unknown_zone_of_the_machine_is_told() {
    let told = |zone: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ripcord"));
        let output = command.env_clear().env("TZ", zone).arg("usage").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(
        told("Bogus/Zone").contains("`TZ` names no time zone that is known here"),
        "{}",
        told("Bogus/Zone")
    );
    assert!(!told("UTC").contains("`TZ`"), "{}", told("UTC"));
}

#[test]
fn a_user_name_of_any_length_is_shortened() {
    let long = "h".repeat(3_000);
    let world = World::with(AccountSpec::new(&long, PlanSpec::Pro));
    for command in [&["usage"][..], &["budget-check"]] {
        let outcome = world.run(command);
        assert_eq!(outcome.code, 0, "{}", outcome.seen());
        assert!(!outcome.stdout.contains(&"h".repeat(61)), "{}", outcome.seen());
    }
}

#[test]
fn a_host_that_is_out_of_reach_is_not_put_down_to_the_models() {
    // The model that is configured is in none of the lists that can be read.
    let world = World::with(pro())
        .config("[models]\nsanity = \"acme/Gone\"\n")
        .variable("CHUTES_LLM_URL", "http://127.0.0.1:1/v1");
    for command in ["sanity", "probe"] {
        let outcome = world.run(&[command]);
        assert_eq!(outcome.code, 3, "{}", outcome.seen());
        assert!(outcome.seen().contains("refused"), "{}", outcome.seen());
        assert!(!outcome.seen().contains("no model is hot"), "{}", outcome.seen());
    }
}
