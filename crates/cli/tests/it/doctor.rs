//! Every check of `ripcord doctor`, each with something to find.

use chutes_emulator::{
    AccountSpec, Fault, FaultKind, FaultScope, ModelSpec, PlanSpec, Scenario, Template,
};

use crate::world::{World, catalogue, pro};

/// What was found in an area, other than that all is well.
fn found(world: &World, code: i32, area: &str) -> Vec<(String, String, String)> {
    let outcome = world.run(&["doctor", "--json"]);
    assert_eq!(outcome.code, code, "{}", world.run(&["doctor"]).seen());
    let report = outcome.report("doctor");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let wanted = findings.filter(|finding| finding["area"] == area && finding["result"] != "ok");
    let found: Vec<_> = wanted
        .map(|finding| {
            let see = text(&finding["see"]).replace("ripcord doctor --explain ", "");
            (text(&finding["result"]), text(&finding["text"]), see)
        })
        .collect();
    for (_, _, anchor) in &found {
        let explained = world.run(&["doctor", "--explain", anchor]);
        assert!(anchor.is_empty() || explained.code == 0, "`{anchor}` leads nowhere");
    }
    found
}

/// The one thing that was found.
fn only(world: &World, code: i32, area: &str) -> (String, String, String) {
    let found = found(world, code, area);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn watching(world: World, model: &str) -> World {
    world.config(&format!("[models]\nwatch = [\"{model}\"]\n"))
}

#[test]
fn with_all_keys_dead_it_says_nothing_else_of_the_account() {
    let dead = World::with(pro()).key(&Scenario::key("nobody", 0));
    insta::assert_snapshot!(dead.run(&["doctor"]).seen());
    let seen = dead.run(&["doctor"]).stdout;
    assert!(!seen.contains("unguarded") && !seen.contains("admin key"), "{seen}");
}

#[test]
fn one_dead_key_of_two_accounts() {
    let keys = format!("{},{}", Scenario::key("nobody", 0), Scenario::key("alice", 0));
    let world = World::with(pro()).key(&keys);
    let (result, text, see) = only(&world, 1, "keys");
    assert_eq!((result.as_str(), see.as_str()), ("problem", "key-refused"));
    assert!(text.contains("cpk_a952… is refused"), "{text}");
    let seen = world.run(&["doctor"]).stdout;
    assert!(seen.contains("alice: Pro; the windows of the plan have room"), "{seen}");
}

#[test]
fn a_key_that_may_not_read_the_account_and_an_account_that_fails() {
    let world = World::of(catalogue().account(pro())).key(&Scenario::key("alice", 1));
    let (result, text, see) = only(&world, 0, "accounts");
    assert_eq!((result.as_str(), see.as_str()), ("warning", "account-unreadable"));
    assert!(text.contains("unguarded"), "{text}");
    let fault = Fault::new(FaultKind::PlainServerError).on(FaultScope::Management);
    let (result, text, see) = only(&World::with(pro().fault(fault)), 3, "accounts");
    assert_eq!((result.as_str(), see.as_str()), ("unknown", "server-error"), "{text}");
}

#[test]
fn the_edge_refuses() {
    let fault = Fault::new(FaultKind::EdgeForbidden).on(FaultScope::All);
    let (result, text, see) = only(&World::with(pro().fault(fault)), 1, "keys");
    assert_eq!((result.as_str(), see.as_str()), ("problem", "edge-block"));
    assert!(text.contains("the load balancers of Chutes refuse this connection"), "{text}");
}

#[test]
fn nothing_can_be_reached() {
    let down = World::with(pro()).unreachable();
    let network = found(&down, 3, "network");
    assert_eq!(network.len(), 2);
    assert!(network.iter().all(|(result, _, see)| result == "unknown" && see == "unreachable"));
    // One sentence for all keys and accounts, not one for each.
    let (_, text, _) = only(&down, 3, "accounts");
    assert!(text.contains("were not tried"), "{text}");
    assert!(found(&down, 3, "keys").is_empty());
}

#[test]
fn addresses() {
    let world = World::with(pro());
    let api_host = world.variable("CHUTES_LLM_URL", "https://api.chutes.ai/v1");
    let (result, text, see) = only(&api_host, 1, "addresses");
    assert_eq!((result.as_str(), see.as_str()), ("problem", "wrong-host"));
    assert!(
        text.contains("the management API; use https://llm.chutes.ai (from CHUTES_LLM_URL)"),
        "{text}"
    );
    let llm_host = World::with(pro()).variable("CHUTES_API_URL", "https://llm.chutes.ai");
    assert_eq!(only(&llm_host, 1, "addresses").2, "wrong-host");
    let world = World::with(pro());
    let doubled = format!("{}/v1/v1", world.emulator().url());
    let (result, text, see) = only(&world.variable("CHUTES_LLM_URL", &doubled), 0, "addresses");
    assert_eq!((result.as_str(), see.as_str()), ("warning", "doubled-v1"), "{text}");
}

#[test]
fn the_clock() {
    for (now, code, result, side) in [
        ("2026-09-27T11:13:30Z", 0, "warning", "29 s ahead of"),
        ("2026-09-27T11:11:00Z", 1, "problem", "behind"),
    ] {
        let world = World::with(pro()).variable("RIPCORD_TEST_NOW", now);
        let (found, text, see) = only(&world, code, "clock");
        assert_eq!((found.as_str(), see.as_str()), (result, "clock"));
        assert!(text.contains(side), "{text}");
    }
}

#[test]
fn keys_with_quotes_spaces_and_a_header() {
    let key = Scenario::key("alice", 0);
    let quoted = World::with(pro()).key(&format!("\"{key}\""));
    let (result, text, see) = only(&quoted, 0, "keys");
    assert_eq!((result.as_str(), see.as_str()), ("warning", "key-form"));
    assert!(text.contains("removed quotation marks"), "{text}");
    let (first, rest) = key.split_at(20);
    let spaced = World::with(pro()).key(&format!("{first} {rest}"));
    assert!(only(&spaced, 0, "keys").1.contains("white space inside"), "{key}");
    let headed = found(&World::with(pro()).key(&format!("X-API-Key: {key}")), 0, "keys");
    assert_eq!(headed.len(), 3, "{headed:?}");
    assert_eq!(headed[2].2, "header-habit");
    assert_eq!(only(&World::with(pro()).key("cpk_short"), 1, "keys").2, "key-form");
    assert_eq!(only(&World::with(pro()).without("CHUTES_API_KEY"), 1, "keys").2, "key-missing");
}

#[test]
fn the_state_and_the_exact_name_of_configured_models() {
    let table = [
        ("zai-org/GLM-5.2-TEE", 0, None),
        ("chutes/zai-org/GLM-5.2-TEE", 0, None),
        ("deepseek-ai/DeepSeek-R1", 0, Some(("warning", "is cold", "model-cold"))),
        ("openai/gpt-oss-20b", 0, Some(("warning", "is down", "model-off"))),
        ("zai-org/glm-5.2-tee", 1, Some(("problem", "upper and lower case", "model-not-found"))),
        (
            "zai-org/GLM-5.2",
            0,
            Some(("warning", "perhaps to `zai-org/GLM-5.2-TEE`", "other-model-name")),
        ),
        (
            "THUDM/GLM-5.2",
            0,
            Some(("warning", "perhaps to `zai-org/GLM-5.2-TEE`", "other-model-name")),
        ),
        ("acme/nothing-like-it", 1, Some(("problem", "there is no model", "model-not-found"))),
    ];
    for (model, code, expected) in table {
        let found = found(&watching(World::with(pro()), model), code, "models");
        let Some((result, part, anchor)) = expected else {
            assert!(found.is_empty(), "{model}: {found:?}");
            continue;
        };
        assert_eq!(found.len(), 1, "{model}: {found:?}");
        assert_eq!((found[0].0.as_str(), found[0].2.as_str()), (result, anchor), "{model}");
        assert!(found[0].1.contains(part), "{model}: {}", found[0].1);
    }
    // The model of `sanity` counts where somebody wrote it.
    let sanity = World::with(pro()).config("[models]\nsanity = \"acme/nothing-like-it\"\n");
    assert_eq!(only(&sanity, 1, "models").2, "model-not-found");
}

#[test]
fn who_may_call_a_tee_model() {
    let legacy = |balance| AccountSpec::new("bob", PlanSpec::Legacy).balance_usd(balance);
    let tee = "zai-org/GLM-5.2-TEE";
    let alone = watching(World::with(legacy(0.0)), tee);
    let (result, text, see) = only(&alone, 1, "models");
    assert_eq!((result.as_str(), see.as_str()), ("problem", "plan-tee"));
    assert!(text.contains("the Legacy plan of bob"), "{text}");
    assert!(found(&watching(World::with(legacy(0.5)), tee), 0, "models").is_empty());
    assert!(
        found(&watching(World::with(legacy(0.0)), "Qwen/Qwen2.5-72B-Instruct"), 0, "models")
            .is_empty()
    );
    // Another account may: it works, and deserves a look.
    let both = World::of(catalogue().account(legacy(0.0)).account(pro()));
    let keys = format!("{},{}", Scenario::key("bob", 0), Scenario::key("alice", 0));
    assert_eq!(only(&watching(both.key(&keys), tee), 0, "models").0, "warning");
    // A plain name that becomes a TEE model is refused just the same.
    let plain = found(&watching(World::with(legacy(0.0)), "zai-org/GLM-5.2"), 1, "models");
    assert_eq!(plain.len(), 2, "{plain:?}");
}

#[test]
fn private_models_and_other_kinds() {
    let private =
        ModelSpec { private_to: Some("alice".into()), ..ModelSpec::new("alice/own-model") };
    let embedding =
        ModelSpec { template: Template::Embedding, ..ModelSpec::new("Qwen/Qwen3-Embedding-8B") };
    let bob = AccountSpec::new("bob", PlanSpec::Paygo).balance_usd(1.0);
    let world = |keys: &[(&str, usize)]| {
        let scenario = catalogue().account(pro()).account(bob.clone());
        let scenario = scenario.model(private.clone()).model(embedding.clone());
        let keys: Vec<String> =
            keys.iter().map(|(name, index)| Scenario::key(name, *index)).collect();
        World::of(scenario).key(&keys.join(","))
    };
    let own = watching(world(&[("alice", 0)]), "alice/own-model");
    assert!(found(&own, 0, "models").is_empty());
    assert!(own.run(&["doctor"]).stdout.contains("is a private model of alice"));
    let shared = watching(world(&[("alice", 0), ("bob", 0)]), "alice/own-model");
    let (result, text, _) = only(&shared, 0, "models");
    assert!(result == "warning" && text.contains("every other account gets a 404"), "{text}");
    let others = watching(world(&[("bob", 0)]), "alice/own-model");
    assert_eq!(only(&others, 1, "models").0, "problem");
    let (result, text, see) =
        only(&watching(world(&[("alice", 0)]), "Qwen/Qwen3-Embedding-8B"), 0, "models");
    assert_eq!((result.as_str(), see.as_str()), ("warning", "no-cord"));
    assert!(text.contains("is an embedding model"), "{text}");
}
