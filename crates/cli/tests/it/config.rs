//! `ripcord config`: what is configured and by whom, whether it is right, and how clients are set up.

use std::process::{Command, Stdio};

use chutes_emulator::Scenario;

use crate::world::{World, catalogue, pro};

fn alice() -> String {
    Scenario::key("alice", 0)
}

/// A file with an account, values of its own, and others from the environment.
fn configured() -> World {
    let file = format!(
        "[spending]\nmin_balance = 2\n\n[models]\nwatch = [\"zai-org/GLM-5.2-TEE\"]\n\n[gateway]\nlisten = \"127.0.0.1:9001\"\n\
         allowed_origins = [\"https://chat.example\"]\n\n[[accounts]]\nname = \"work\"\nkeys = [\"{}\", \"cpk_cut\"]\npaygo = \"allow\"\n",
        alice()
    );
    let world = World::of(catalogue().account(pro())).config(&file);
    private(&world);
    world
        .key(&Scenario::key("alice", 1))
        .variable("CHUTES_MIN_BALANCE", "0.5")
        .variable("CHUTES_API_URL", "https://me:secret@api.chutes.ai")
        .variable("XDG_STATE_HOME", "/state")
        .without("CHUTES_LLM_URL")
}

fn private(world: &World) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = world.home().join(".config/ripcord/config.toml");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn show_tells_every_value_with_its_origin_and_no_secret() {
    let world = configured();
    let outcome = world.run(&["config", "show", "--color", "never"]);
    insta::assert_snapshot!("config-show", outcome.seen());
    let json = world.run(&["config", "show", "--json"]);
    let report = json.report("config-show");
    let listen = report["settings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|setting| setting["key"] == "gateway.listen")
        .unwrap();
    assert_eq!(listen["origin"]["line"], 8, "{listen}");
    assert_eq!(report["accounts"][0]["keys"][0]["key"], format!("{}…", &alice()[..8]));
    for shown in [outcome.seen(), json.seen()] {
        assert!(!shown.contains(&alice()[8..40]) && !shown.contains("secret"), "{shown}");
    }
}

#[test]
fn show_without_a_file_says_where_it_would_be() {
    let world = World::of(catalogue());
    let shown = world.run(&["config", "show"]).stdout;
    assert!(
        shown.starts_with("file  none; it would be HOME/.config/ripcord/config.toml\n"),
        "{shown}"
    );
}

#[test]
fn check_names_everything_that_is_wrong_with_its_line() {
    let broken = "listne = \"x\"\napi_key = \"cpk_canary\"\n[spending]\nmin_balanse = 1\npaygo = \"sometimes\"\nslots_per_account = 3\n\n\
                  [gateway]\nlisten = \"0.0.0.0:8790\"\nallowed_origins = [\"https://chat.example/\"]\n\n[gatewey]\nqueue = 1\n\n\
                  [[accounts]]\nname = \"work\"\nkeys = [\"cpk_0123.short\"]\n\n[[accounts]]\nname = \"spare\"\n";
    let world = World::of(catalogue()).config(broken).variable("CHUTES_MIN_BALANCE", "lots");
    private(&world);
    let outcome = world.run(&["config", "check"]);
    insta::assert_snapshot!("config-check", outcome.seen());
    let json = world.run(&["config", "check", "--json"]);
    assert_eq!(json.code, 2);
    let report = json.report("config-check");
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"][0]["line"], 1, "{report}");
    assert!(!json.seen().contains("canary"));
}

#[test]
fn check_reads_broken_toml_and_files_that_are_not_there() {
    let world = World::of(catalogue()).config("[spending\nmin_balance = 1\n");
    let outcome = world.run(&["config", "check"]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(outcome.stdout.contains("config.toml:1\n"), "{}", outcome.seen());
    let outcome = world.run(&["config", "check", "--config", "/no/such/file.toml"]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(outcome.stdout.contains("/no/such/file.toml"), "{}", outcome.seen());
    let wrong = World::of(catalogue()).variable("CHUTES_LLM_URL", "https://chutes.ai/v1");
    let outcome = wrong.run(&["config", "check"]);
    assert_eq!(outcome.code, 2, "{}", outcome.seen());
    assert!(outcome.stdout.contains("web site"), "{}", outcome.seen());
}

#[test]
fn check_is_content_with_what_is_right() {
    let fine = World::of(catalogue()).config("[spending]\nmin_balance = 1\n");
    insta::assert_snapshot!(fine.run(&["config", "check"]).seen(), @r"
    exit 0
    --- stdout
    ✓ HOME/.config/ripcord/config.toml is right
    ");
    assert_eq!(fine.run(&["config", "check", "--json"]).report("config-check")["ok"], true);
    let quoted = World::of(catalogue()).key(&format!("\"{}\"", alice()));
    insta::assert_snapshot!(quoted.run(&["config", "check"]).seen(), @r"
    exit 0
    --- stdout
    ! CHUTES_API_KEY: removed quotation marks around the key

    ✓ no file; the defaults and the environment are right
    ");
}

#[test]
fn clients_are_listed_and_found_in_every_spelling() {
    let world = configured();
    insta::assert_snapshot!("config-client", world.run(&["config", "client"]).seen());
    let report = world.run(&["config", "client", "--json"]).report("config-client");
    for client in report["clients"].as_array().unwrap() {
        let name = client["name"].as_str().unwrap();
        for direct in [&[][..], &["--direct"]] {
            let arguments = [&["config", "client", name], direct].concat();
            let outcome = world.run(&arguments);
            if name == "codex" && !direct.is_empty() {
                assert_eq!(outcome.code, 2, "{}", outcome.seen());
                continue;
            }
            assert_eq!(outcome.code, 0, "{name}: {}", outcome.seen());
            let base = if direct.is_empty() {
                "http://127.0.0.1:9001/v1"
            } else {
                "https://llm.chutes.ai/v1"
            };
            assert!(outcome.stdout.contains(base), "{name}: {}", outcome.stdout);
            assert!(outcome.stdout.contains("zai-org/GLM-5.2-TEE"), "{name}: {}", outcome.stdout);
            let json = world.run(&[&arguments[..], &["--json"]].concat());
            let recipe = &json.report("config-client")["recipe"];
            assert_eq!(recipe["base_url"], base);
        }
    }
    let unknown = world.run(&["config", "client", "opncode"]);
    insta::assert_snapshot!(unknown.seen(), @r"
    exit 2
    --- stderr
    error: there is no recipe for `opncode`
    hint: did you mean `opencode`?
    ");
    insta::assert_snapshot!(
        "config-client-janitor",
        world.run(&["config", "client", "JanitorAI"]).seen()
    );
}

/// The recipe, pasted into a shell as a user would.
#[test]
fn the_recipe_for_curl_works() {
    let world = World::of(catalogue().account(pro())).key(&alice()).without("RIPCORD_TEST_NOW");
    let server = crate::serve::Server::start(&world);
    let world = world.config(&format!("[gateway]\nlisten = \"{}\"\n", server.address()));
    let json = world.run(&["config", "client", "curl", "--json", "--model", "zai-org/GLM-5.2-TEE"]);
    let report = json.report("config-client");
    let command = report["recipe"]["steps"][0]["text"].as_str().unwrap();
    let ran = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().unwrap();
    if ran.status.code() == Some(127) {
        // No curl here: the same bytes are sent by the tests of the gateway.
        return;
    }
    let answer: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(answer["object"], "chat.completion", "{answer}");
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}
