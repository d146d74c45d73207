//! `ripcord recommend`: stay, switch, or which for what.

use chutes_emulator::{ModelSpec, Scenario, StateSpec};
use ripcord_store::{
    Cost, Ledger as _, Outcome, RequestRow, Row, ServedBy, SqliteLedger, Timing, Tokens,
};
use serde_json::Value;

use crate::world::{NOW, World, catalogue, pro};

fn world(models: impl IntoIterator<Item = ModelSpec>) -> World {
    let empty = Scenario::empty().stopped_at(NOW).account(pro());
    World::of(models.into_iter().fold(empty, Scenario::model))
}

fn loaded(name: &str, busy: f64, refused: f64) -> ModelSpec {
    let mut model = ModelSpec::new(name);
    (model.utilization, model.rate_limit_ratio) = (Some(busy), Some(refused));
    (model.average_ttft_seconds, model.average_tokens_per_second) = (Some(1.25), Some(61.0));
    model
}

/// Advice, recommended model, exit code.
fn advice(world: &World, arguments: &[&str]) -> (String, Value, i32) {
    let outcome = world.run(&[&["recommend", "--json"], arguments].concat());
    let report = outcome.report("recommend");
    (report["advice"].as_str().unwrap().to_owned(), report["recommended"].clone(), outcome.code)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect()
}

#[test]
fn a_model_with_room_is_stayed_with_and_every_figure_is_told() {
    let world = world([
        loaded("zai-org/GLM-5.2-TEE", 0.31, 0.0).price(0.95, 3.15, 0.475),
        loaded("zai-org/GLM-5.1-TEE", 0.02, 0.0),
    ]);
    insta::assert_snapshot!(world.run(&["recommend", "chutes/zai-org/GLM-5.2-TEE"]).seen(), @r"
    exit 0
    --- stdout
    ✓ stay with zai-org/GLM-5.2-TEE
      it is hot, 31 % busy, 0 % refused in the last 5 min

       model                state  busy  refused  $ in  $ out  1st token  tok/s
    ›  zai-org/GLM-5.2-TEE  ● hot  31 %      0 %  0.95   3.15      1.2 s     61  tee
       zai-org/GLM-5.1-TEE  ● hot   2 %      0 %  0.10   0.40      1.2 s     61  tee

    Only models in a TEE, since the one you use is in one; --allow-plain lifts that.
    Load 0 s old; speed: everybody's average of 2026-09-27; $ per million tokens.
    ");
    let report = world.run(&["recommend", "zai-org/GLM-5.2-TEE", "--json"]).report("recommend");
    let own = report["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .find(|candidate| candidate["in_use"] == true)
        .unwrap();
    insta::assert_json_snapshot!(own, @r#"
    {
      "context_tokens": 131072,
      "favourite": null,
      "grade": "steady",
      "in_use": true,
      "kinship": "itself",
      "load": {
        "age_seconds": 0,
        "busy_percent": 31.0,
        "refused_percent": 0.0,
        "source": "server"
      },
      "name": "zai-org/GLM-5.2-TEE",
      "points": {
        "preference": 1000,
        "price": 400,
        "room": 896,
        "speed": 582,
        "total": 841
      },
      "price": {
        "source": "server",
        "usd_per_million_in": 0.95,
        "usd_per_million_mixed": 1.5,
        "usd_per_million_out": 3.15
      },
      "rank": 1,
      "reasons": [
        "it has room",
        "the model in use"
      ],
      "speed": {
        "calls": null,
        "day": "2026-09-27",
        "first_token_seconds": 1.25,
        "source": "server",
        "tokens_per_second": 61.0
      },
      "state": "hot",
      "tee": true,
      "why": "31 % busy, 2 instances"
    }
    "#);
}

#[test]
fn one_that_refuses_is_left_for_a_variant_that_does_not() {
    let busy = |name| loaded(name, 0.97, 0.42).state(StateSpec::Busy);
    let world = world([
        busy("zai-org/GLM-5.2-TEE"),
        loaded("zai-org/GLM-5.1-TEE", 0.31, 0.0),
        loaded("zai-org/GLM-5.2", 0.0, 0.0),
        loaded("zai-org/GLM-5-Air-TEE", 0.0, 0.0),
    ]);
    insta::assert_snapshot!(world.run(&["recommend", "zai-org/GLM-5.2-TEE"]).seen(), @r"
    exit 0
    --- stdout
    → switch to zai-org/GLM-5.1-TEE
      zai-org/GLM-5.2-TEE refused 42 % of calls in the last 5 min;
      zai-org/GLM-5.1-TEE, another release of it, is hot, 31 % busy, 0 % refused in
      the last 5 min

       model                state   busy  refused  $ in  $ out  1st token  tok/s
       zai-org/GLM-5.1-TEE  ● hot   31 %      0 %  0.10   0.40      1.2 s     61
    ›  zai-org/GLM-5.2-TEE  ◐ busy  97 %     42 %  0.10   0.40      1.2 s     61

    Left out, not in a TEE: zai-org/GLM-5.2.
    Only models in a TEE, since the one you use is in one; --allow-plain lifts that.
    Load 0 s old; speed: everybody's average of 2026-09-27; $ per million tokens.
    ");
    let (_, recommended, _) = advice(&world, &["zai-org/GLM-5.2-TEE", "--allow-plain"]);
    assert_eq!(recommended, "zai-org/GLM-5.2", "asked for, a plain one may replace it");
    assert_eq!(advice(&world, &["zai-org/GLM-5.2"]).0, "stay");
}

#[test]
fn a_plain_model_never_replaces_a_confidential_one() {
    let cold = ModelSpec::new("zai-org/GLM-5.2-TEE").state(StateSpec::Cold);
    let world = world([cold, loaded("zai-org/GLM-5.2", 0.1, 0.0)]);
    insta::assert_snapshot!(world.run(&["recommend", "zai-org/GLM-5.2-TEE"]).seen(), @r"
    exit 1
    --- stdout
    ✗ nothing to recommend
      zai-org/GLM-5.2-TEE has no instance running, and no variant in a TEE answers
      at the moment

       model                state   busy  refused  $ in  $ out  1st token  tok/s
    ›  zai-org/GLM-5.2-TEE  ○ cold     –        –  0.10   0.40      0.3 s    106

    Left out, not in a TEE: zai-org/GLM-5.2.
    Only models in a TEE, since the one you use is in one; --allow-plain lifts that.
    Load 0 s old; speed: everybody's average of 2026-09-26; $ per million tokens.
    hint: other models, too: ripcord recommend zai-org/GLM-5.2-TEE --for coding, or
    for another purpose
    ");
    // A user who watches such models only is one, too.
    let watching = world.config("[models]\nwatch = [\"zai-org/GLM-5.2-TEE\"]\n");
    assert_eq!(advice(&watching, &["--for", "coding"]).0, "none");
    assert_eq!(
        advice(&watching, &["--for", "coding", "--allow-plain"]),
        ("use".to_owned(), "zai-org/GLM-5.2".into(), 0)
    );
    assert_eq!(advice(&watching, &["--for", "coding", "--tee"]).2, 1);
}

#[test]
fn purposes_have_needs_and_favourites() {
    let world = World::of(catalogue().account(pro()));
    insta::assert_snapshot!(world.run(&["recommend", "--for", "coding"]).seen(), @r"
    exit 0
    --- stdout
    ✓ use zai-org/GLM-5.2-TEE for coding
      it is hot, 30 % busy, 0 % refused in the last 5 min; first of 2 models that
      fit

      model                     state   busy  refused  $ in  $ out  1st token  tok/s
      zai-org/GLM-5.2-TEE       ● hot   30 %      0 %  0.95   3.15      0.4 s    114
      moonshotai/Kimi-K2.5-TEE  ◐ busy  97 %     50 %  0.50   2.80      0.9 s    153

    Load 0 s old; speed: everybody's average of 2026-09-27; $ per million tokens.
    ");
    let cases = [
        ("privacy", "zai-org/GLM-5.2-TEE"),
        ("budget", "Qwen/Qwen2.5-72B-Instruct"),
        ("creative", "zai-org/GLM-5.2-TEE"),
        ("roleplay", "zai-org/GLM-5.2-TEE"),
    ];
    for (purpose, name) in cases {
        let found = advice(&world, &["--for", purpose]);
        assert_eq!(found, ("use".to_owned(), name.into(), 0), "{purpose}");
    }
    // No model of this catalogue says that it can reason.
    assert_eq!(advice(&world, &["--for", "reasoning"]), ("none".to_owned(), Value::Null, 1));
    let report = world.run(&["recommend", "--for", "reasoning", "--json"]).report("recommend");
    assert_eq!(report["left_out"][0]["reason"], "lacks_feature");
}

#[test]
fn the_configuration_says_what_a_purpose_looks_for() {
    let world = |text: &str| {
        World::of(catalogue().account(pro())).config(&format!("[recommend.roleplay]\n{text}\n"))
    };
    let first = |world: &World| advice(world, &["--for", "roleplay"]).1;
    assert_eq!(
        first(&world("prefer = [\"qwen2.5*instruct\", \"GLM\"]")),
        "Qwen/Qwen2.5-72B-Instruct"
    );
    assert_eq!(
        first(&world("others = true\nweigh = \"price\"\nmax_price = 1")),
        "Qwen/Qwen2.5-72B-Instruct"
    );
    let nothing = world("prefer = [\"gpt-9\"]").run(&["recommend", "--for", "roleplay"]);
    insta::assert_snapshot!(nothing.seen(), @r"
    exit 1
    --- stdout
    ✗ nothing to recommend for roleplay
      no model of the catalogue is of the kind that is looked for
    hint: `prefer` under [recommend.roleplay] in the configuration says what is
    looked for
    ");
    let wrong = world("weigh = \"looks\"\ntee = 1").run(&["recommend", "--for", "roleplay"]);
    insta::assert_snapshot!(wrong.seen(), @r#"
    exit 2
    --- stderr
    HOME/.config/ripcord/config.toml:2: `recommend.roleplay.weigh`: expected one of "preference", "price", "speed"
    HOME/.config/ripcord/config.toml:3: `recommend.roleplay.tee`: expected true or false, found a whole number
    error: the configuration has 2 problems
    hint: every key with its default and meaning: docs/reference/configuration.md
    more: ripcord doctor --explain configuration
    "#);
}

#[test]
fn with_a_model_and_a_purpose_the_favourites_are_looked_at_too() {
    let world = World::of(catalogue().account(pro()));
    let found = advice(&world, &["openai/gpt-oss-20b", "--for", "coding"]);
    assert_eq!(found, ("switch".to_owned(), "zai-org/GLM-5.2-TEE".into(), 0));
    assert_eq!(advice(&world, &["openai/gpt-oss-20b"]), ("none".to_owned(), Value::Null, 1));
    // Hot, but nobody's favourite for it.
    let outcome = world.run(&["recommend", "Qwen/Qwen2.5-72B-Instruct", "--for", "coding"]);
    assert!(outcome.stdout.contains("Qwen2.5-72B-Instruct is none of the favourites; zai-org/"));
    let outcome = world.run(&["recommend", "Qwen/Qwen2.5-72B-Instruct", "--tee"]);
    assert_eq!(outcome.code, 1);
    let wrapped = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        wrapped.contains("is not in a TEE, and the catalogue has no variant in a TEE"),
        "{}",
        outcome.stdout
    );
    assert!(wrapped.contains("recommend Qwen/Qwen2.5-72B-Instruct --tee --for"), "{wrapped}");
}

#[test]
fn the_model_in_use_is_shown_wherever_it_stands() {
    let many = (1..=14).map(|number| loaded(&format!("lab/GLM-4.{number}"), 0.1, 0.0));
    let world = world(many.chain([ModelSpec::new("lab/GLM-4.0").state(StateSpec::Cold)]));
    let shown = world.run(&["recommend", "lab/GLM-4.0"]).stdout;
    assert!(shown.contains("›  lab/GLM-4.0 ") && shown.contains("… and 4 more"), "{shown}");
}

#[test]
fn without_the_lists_of_states_nobody_knows() {
    let world = world([ModelSpec::new("zai-org/GLM-5.2"), ModelSpec::new("zai-org/GLM-5.1")])
        .variable("CHUTES_API_URL", "http://127.0.0.1:1");
    insta::assert_snapshot!(world.run(&["recommend", "zai-org/GLM-5.2"]).seen(), @r"
    exit 3
    --- stdout
    ? unknown
      the state of zai-org/GLM-5.2 could not be read

       model            state      busy  refused  $ in  $ out  1st token  tok/s
    ›  zai-org/GLM-5.2  ? unknown     ?        ?  0.10   0.40          ?      ?
       zai-org/GLM-5.1  ? unknown     ?        ?  0.10   0.40          ?      ?
    --- stderr
    error: GET /chutes/ at 127.0.0.1:1: the connection was refused
    hint: nothing listens there; check host and port
    more: ripcord doctor --explain unreachable
    ");
    assert_eq!(advice(&world, &["zai-org/GLM-5.2"]), ("unknown".to_owned(), Value::Null, 3));
    assert_eq!(world.run(&["recommend", "zai-org/GLM-9"]).code, 3, "it may be in the other list");
}

#[test]
fn own_calls_tell_the_speed_before_everybodys() {
    let world = world([loaded("zai-org/GLM-5.2", 0.1, 0.0)]);
    let path = world.home().join(".local/state/ripcord/ledger.sqlite");
    let ledger = SqliteLedger::open(&path).unwrap();
    let now = world.emulator().control().clock().now_micros();
    for number in 0..5 {
        ledger.append(Row::Request(RequestRow {
            request_id: format!("request-{number}").into(),
            client_key: None,
            route: "chat/completions".into(),
            requested_model: None,
            served_by: ServedBy { model: Some("zai-org/GLM-5.2".into()), ..ServedBy::default() },
            is_stream: true,
            priority: None,
            deadline_us: None,
            status: Some(200),
            outcome: Outcome::Completed,
            cause: None,
            attempt_count: 1,
            tokens: Tokens { completion: Some(100), ..Tokens::default() },
            cost: Cost::default(),
            timing: Timing {
                started_at_unix_us: now - 60_000_000,
                waited_us: 250_000,
                first_byte_us: Some(750_000),
                total_us: 2_750_000,
            },
        }));
    }
    ledger.flush(std::time::Duration::from_secs(5)).unwrap();
    let report = world.run(&["recommend", "zai-org/GLM-5.2", "--json"]).report("recommend");
    let speed = &report["candidates"][0]["speed"];
    assert_eq!((&speed["source"], &speed["calls"]), (&"ledger".into(), &5.into()));
    assert_eq!(speed["first_token_seconds"], 0.5);
    assert_eq!(speed["tokens_per_second"], 50.0);
    assert!(world.run(&["recommend", "zai-org/GLM-5.2"]).stdout.contains("your own calls of 24 h"));
}

#[test]
fn wrong_names_and_words_are_told() {
    let world = World::of(catalogue().account(pro()));
    insta::assert_snapshot!(world.run(&["recommend", "zai-org/glm-5.2-tee"]).seen(), @r"
    exit 2
    --- stderr
    error: there is no model `zai-org/glm-5.2-tee`
    hint: did you mean `zai-org/GLM-5.2-TEE`? Names are exact, upper and lower case too
    more: ripcord doctor --explain model-not-found
    ");
    insta::assert_snapshot!(world.run(&["recommend"]).seen(), @r"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <MODEL|--for <PURPOSE>>

    Usage: ripcord recommend <MODEL|--for <PURPOSE>>

    For more information, try '--help'.
    ");
    assert_eq!(world.run(&["recommend", "--for", "codeing"]).code, 2);
}

#[test]
fn a_chute_of_somebody_else_is_never_recommended() {
    let mut foreign = ModelSpec::new("zai-org/GLM-5.2-FP8");
    foreign.private_to = Some("alice".to_owned());
    let cold = ModelSpec::new("zai-org/GLM-5.2").state(StateSpec::Cold);
    let world = world([cold, foreign]);
    let report = world.run(&["recommend", "zai-org/GLM-5.2", "--json"]).report("recommend");
    assert_eq!(names(&report["candidates"]), ["zai-org/GLM-5.2"]);
}
