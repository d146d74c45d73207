//! What single commands can do beyond the situations that all are tried in.

use chutes_emulator::{ModelSpec, Scenario};
use ripcord_store::{
    AttemptRow, Cost, Ledger as _, Outcome, Row, ServedBy, SqliteLedger, Timing, Tokens,
};

use crate::world::{World, catalogue, pro};

fn names(world: &World, arguments: &[&str]) -> Vec<String> {
    let outcome = world.run(&[&["models", "--json"], arguments].concat());
    let report = outcome.report("models");
    let models = report["models"].as_array().unwrap().iter();
    models.map(|model| model["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn models_are_filtered_and_sorted() {
    let world = World::with(pro());
    assert_eq!(
        names(&world, &["--query", "deepseek"]),
        ["deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-R1-TEE"]
    );
    assert_eq!(names(&world, &["--modality", "image"]), ["moonshotai/Kimi-K2.5-TEE"]);
    assert_eq!(
        names(&world, &["--max-price", "0.5"]),
        ["Qwen/Qwen2.5-72B-Instruct", "openai/gpt-oss-20b"]
    );
    assert_eq!(names(&world, &["--tee", "--sort", "price"])[0], "deepseek-ai/DeepSeek-R1-TEE");
    assert_eq!(names(&world, &["--sort", "state"]).last().unwrap(), "openai/gpt-oss-20b");
    assert_eq!(names(&world, &["--owner", "sglang"]).len(), 6);
    assert!(names(&world, &["--owner", "vllm"]).is_empty(), "known, and served by nobody here");
    assert_eq!(names(&world, &["--feature", "json,schema", "--feature", "tools"]).len(), 6);
    assert_eq!(names(&world, &["--feature", "vision"]), ["moonshotai/Kimi-K2.5-TEE"]);
    for wrong in [["--feature", "telepathy"], ["--modality", "smell"], ["--owner", "vlm"]] {
        assert_eq!(world.run(&[&["models"][..], &wrong].concat()).code, 2);
    }
    insta::assert_snapshot!(world.run(&["models", "--feature", "reasonning"]).seen(), @r"
    exit 2
    --- stderr
    error: --feature `reasonning` is not known
    hint: did you mean `reasoning`?
    hint: known are: json_mode, reasoning, structured_outputs, tools
    ");
    assert!(
        world.run(&["models", "--query", "nothing-like-it"]).stdout.contains("no model passes")
    );
}

#[test]
fn wide_terminals_get_more_columns() {
    let world = World::with(pro()).variable("COLUMNS", "140");
    insta::assert_snapshot!(world.run(&["models"]).seen(), @r"
    exit 0
    --- stdout
    model                        state     in   out  cached  context       features                 quant  why
    Qwen/Qwen2.5-72B-Instruct    ● hot   0.10  0.40    0.05     131k       json tools schema        fp8    30 % busy, 2 instances
    zai-org/GLM-5.2-TEE          ● hot   0.95  3.15   0.475     131k  tee  json tools schema        fp8    30 % busy, 2 instances
    moonshotai/Kimi-K2.5-TEE     ◐ busy  0.50  2.80    0.25     131k  tee  json tools schema image  fp8    50 % refused, 97 % busy, 2 instances
    deepseek-ai/DeepSeek-R1      ○ cold  0.30  1.20    0.15     131k       json tools schema        fp8    no instance is running
    deepseek-ai/DeepSeek-R1-TEE  ● hot   0.30  1.20    0.15     131k  tee  json tools schema        fp8    30 % busy, 2 instances
    openai/gpt-oss-20b           ✗ down  0.02  0.10    0.01     131k       json tools schema        fp8    switched off by its operator

    6 models. Prices in US dollars per million tokens.
    ");
    insta::assert_snapshot!(world.run(&["usage"]).seen(), @r"
    exit 0
    --- stdout
    alice · Pro, $20.00 a month · cpk_7eec…                                         from Chutes, 0 s old

                                                   used       of    left          resets  at UTC
      day      ▕███████░░░░░░░░░░░░░░░░░░░░░░░▏  1234.3     5000  3765.7  in 12 h 47 min  28 Sep 00:00
      4 hours  ▕█████████░░░░░░░░░░░░░░░░░░░░░▏   $2.50    $8.33   $5.83       in 47 min  12:00
      month    ▕█████████████░░░░░░░░░░░░░░░░░▏  $42.00  $100.00  $58.00    in 16 d 20 h  14 Oct 08:12

      balance $0.00 · not spent: a subscription never slides into pay-as-you-go
      ✓ go on: the windows of the plan have room
        At the pace so far nothing runs out before it resets.
    ");
}

#[test]
fn without_unicode_everything_is_drawn_in_ascii() {
    let world = World::with(pro()).variable("LC_ALL", "C");
    let recommend = ["recommend", "deepseek-ai/DeepSeek-R1"];
    for command in [&["usage"][..], &["status"], &["models"], &["doctor"], &recommend] {
        let outcome = world.run(command);
        assert!(outcome.stdout.is_ascii(), "{}", outcome.stdout);
    }
    insta::assert_snapshot!(world.run(&["usage"]).seen(), @r"
    exit 0
    --- stdout
    alice - Pro, $20.00 a month - cpk_7eec~                     from Chutes, 0 s old

                             used       of    left          resets  at UTC
      day      [##......]  1234.3     5000  3765.7  in 12 h 47 min  28 Sep 00:00
      4 hours  [##......]   $2.50    $8.33   $5.83       in 47 min  12:00
      month    [###.....]  $42.00  $100.00  $58.00    in 16 d 20 h  14 Oct 08:12

      balance $0.00 - not spent: a subscription never slides into pay-as-you-go
      + go on: the windows of the plan have room
        At the pace so far nothing runs out before it resets.
    ");
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let capped = World::with(pro().used_usd(8.4, 42.0).balance_usd(5.0));
    for width in ["40", "60", "72", "80", "100", "140"] {
        let world = World::with(pro()).variable("COLUMNS", width);
        let recommend = ["recommend", "deepseek-ai/DeepSeek-R1"];
        let mut pages: Vec<String> =
            [&["usage"][..], &["status", "--all"], &["models"], &recommend]
                .map(|command| world.run(command).stdout)
                .to_vec();
        pages.push(
            capped
                .command(&["usage"])
                .env("COLUMNS", width)
                .output()
                .map(|output| String::from_utf8(output.stdout).unwrap())
                .unwrap(),
        );
        let most: usize = width.parse().unwrap();
        for page in pages {
            for line in page.lines() {
                assert!(line.chars().count() <= most, "{width}: {line}");
            }
        }
    }
}

#[test]
fn a_pipe_gets_no_colours_unless_asked() {
    let world = World::with(pro());
    assert!(!world.run(&["usage"]).stdout.contains('\u{1b}'));
    assert!(world.run(&["usage", "--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn alone_it_shows_usage_and_the_next_step() {
    let room = World::with(pro()).run(&[]);
    assert_eq!(room.code, 0);
    assert!(
        room.stdout.ends_with("Next: ripcord status  which models are up\n"),
        "{}",
        room.stdout
    );
    let spent = World::with(pro().used_usd(8.4, 50.0)).run(&[]);
    assert!(spent.stdout.contains("Next: ripcord wait-for-reset"), "{}", spent.stdout);
}

#[test]
fn watched_models_come_first_and_unknown_names_are_told() {
    let world = World::with(pro()).config(
        "[models]\nwatch = [\"zai-org/GLM-5.2-TEE\", \"deepseek-ai/DeepSeek-R1\", \"qwen/qwen2.5-72b-instruct\"]\n",
    );
    insta::assert_snapshot!(world.run(&["status"]).seen(), @r"
    exit 0
    --- stdout
    ● Chutes answers (ping 0 ms)
      6 models: 3 hot, 1 busy, 1 cold, 1 down
      12.5 % of calls refused for capacity in the last 5 min, figures 0 s old

    Your models
      ● hot   zai-org/GLM-5.2-TEE        30 % busy, 2 instances
      ○ cold  deepseek-ai/DeepSeek-R1    no instance is running
      ✗ down  qwen/qwen2.5-72b-instruct  did you mean Qwen/Qwen2.5-72B-Instruct?

    ◐ busy: running, but full or refusing calls (1)
      moonshotai/Kimi-K2.5-TEE  50 % refused  97 % busy  2 instances

    ✗ down: switched off by its operator (1)
      openai/gpt-oss-20b
    ");
    insta::assert_snapshot!(world.run(&["status", "--mine"]).seen(), @r"
    exit 0
    --- stdout
    ● Chutes answers (ping 0 ms)
      6 models: 3 hot, 1 busy, 1 cold, 1 down
      12.5 % of calls refused for capacity in the last 5 min, figures 0 s old

    Your models
      ● hot   zai-org/GLM-5.2-TEE        30 % busy, 2 instances
      ○ cold  deepseek-ai/DeepSeek-R1    no instance is running
      ✗ down  qwen/qwen2.5-72b-instruct  did you mean Qwen/Qwen2.5-72B-Instruct?
    ");
    let narrow = world.command(&["status", "--mine"]).env("COLUMNS", "60").output().unwrap();
    let narrow = String::from_utf8(narrow.stdout).unwrap();
    assert!(narrow.contains("qwen/qwen2.5-72b-instruct did you mean"), "{narrow}");
    assert!(narrow.contains("Qwen/Qwen2.5-72B-Instruct?"), "no reason is cut: {narrow}");
    let asked = world.run(&["status", "openai/gpt-oss-20b", "--json"]).report("status");
    assert_eq!(asked["mine"][0]["state"], "down");
    assert_eq!(asked["mine"].as_array().unwrap().len(), 1, "the watched ones were not asked for");
    assert!(asked["others"].as_array().unwrap().is_empty());
    assert_eq!(world.run(&["status", "openai/gpt-oss"]).code, 2);
    let all = world.run(&["status", "--all", "--json"]).report("status");
    assert_eq!(all["others"].as_array().unwrap().len(), 4);
    let doctor = world.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{}", doctor.seen());
    assert!(doctor.stdout.contains("write `Qwen/Qwen2.5-72B-Instruct` at"), "{}", doctor.stdout);
}

#[test]
fn spending_rules_come_from_the_configuration() {
    let rich = || World::with(pro().used_usd(8.4, 50.0).balance_usd(5.0));
    assert_eq!(rich().run(&["budget-check"]).code, 1);
    let allowed = rich().config("[spending]\npaygo = \"allow\"\n");
    insta::assert_snapshot!(allowed.run(&["budget-check"]).seen(), @r"
    exit 0
    --- stdout
    alice
      ✓ go on: the 4-hour window is used up and the balance pays: $5.00
    ");
    assert_eq!(
        rich()
            .config("[spending]\npaygo = \"allow\"\nmin_balance = 6\n")
            .run(&["budget-check"])
            .code,
        1
    );
    let by_variable =
        rich().config("[spending]\npaygo = \"allow\"\n").variable("CHUTES_MIN_BALANCE", "6");
    assert_eq!(by_variable.run(&["budget-check"]).code, 1);
    let open = World::with(pro());
    assert_eq!(open.run(&["budget-check"]).code, 0);
    assert_eq!(open.run(&["budget-check", "--require-balance"]).code, 1);
}

#[test]
fn sanity_stands_in_for_a_missing_default_only() {
    let scenario = Scenario::empty()
        .stopped_at(crate::world::NOW)
        .account(pro())
        .model(ModelSpec::new("Qwen/Qwen3-32B").tokens(24, 20));
    let world = World::of(scenario).key(&Scenario::key("alice", 0));
    let outcome = world.run(&["sanity", "--json"]);
    let report = outcome.report("sanity");
    assert_eq!(report["model"], "Qwen/Qwen3-32B");
    assert_eq!(report["instead_of"], "Qwen/Qwen2.5-72B-Instruct");
    assert_eq!(outcome.stderr, "");
    let page = world.run(&["sanity"]).stdout;
    let told = "\n  asked instead of Qwen/Qwen2.5-72B-Instruct, which the catalogue lacks\n";
    assert!(page.contains(told), "{page}");
    assert_eq!(world.run(&["sanity", "Qwen/Qwen2.5-72B-Instruct"]).code, 2);
    let control = world.emulator().control();
    let calls = control.log().iter().filter(|entry| entry.method == "POST").count();
    assert_eq!(calls, 2, "what is refused is not sent");
}

#[test]
fn health_is_read_from_lists_and_never_probed() {
    let world = World::of(catalogue().account(pro())).key(&Scenario::key("alice", 0));
    let states = [
        ("zai-org/GLM-5.2-TEE", "hot", 0),
        ("moonshotai/Kimi-K2.5-TEE", "busy", 0),
        ("deepseek-ai/DeepSeek-R1", "cold", 1),
        ("openai/gpt-oss-20b", "down", 1),
    ];
    for (model, state, code) in states {
        let outcome = world.run(&["model-health", model, "--json"]);
        assert_eq!(outcome.code, code, "{}", outcome.seen());
        assert_eq!(outcome.report("model-health")["state"], state);
    }
    let probes = world
        .emulator()
        .control()
        .log()
        .into_iter()
        .filter(|entry| entry.method != "GET" || entry.path.contains("warmup"));
    assert_eq!(probes.count(), 0);
}

#[test]
fn what_the_gateway_leaves_for_others_is_no_room_here_either() {
    // $8.27 of $8.33: the gateway would answer 402, so no command may say "go on".
    let world = World::with(pro().used_usd(8.27, 42.0).balance_usd(5.0));
    let verdict = world.run(&["budget-check"]);
    assert_eq!(verdict.code, 1, "{}", verdict.seen());
    assert!(verdict.stdout.contains("but for the 1.2 % that Ripcord leaves"), "{}", verdict.seen());
    let model = ["--model", "zai-org/GLM-5.2-TEE", "--tokens-in", "10", "--tokens-out", "10"];
    assert_eq!(world.run(&[&["can-complete", "40"][..], &model].concat()).code, 1);
    assert_eq!(world.run(&["wait-for-reset", "--timeout", "0"]).code, 1);
    assert_eq!(world.run(&["sanity"]).code, 1);
    // As the lines happen to break.
    let usage = world.run(&["usage"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(usage.contains("that Ripcord leaves for others"), "{usage}");
    // Where the balance may pay, all of the window can be used.
    let allowed = world.config("[spending]\npaygo = \"allow\"\n");
    assert_eq!(allowed.run(&["budget-check"]).code, 0);
}

#[test]
fn counts_are_per_account_and_pooled() {
    let scenario = catalogue().account(pro().used_units(4930.0)).account(
        chutes_emulator::AccountSpec::new("carol", chutes_emulator::PlanSpec::Base)
            .used_units(276.0),
    );
    let world = World::of(scenario).key(&format!(
        "{},{}",
        Scenario::key("alice", 0),
        Scenario::key("carol", 0)
    ));
    assert_eq!(world.run(&["can-complete", "30"]).code, 0);
    let report = world.run(&["can-complete", "31", "--json"]);
    assert_eq!(report.code, 1);
    let report = report.report("can-complete");
    assert_eq!(report["fits_now"], 30);
    assert_eq!(report["rest_fits_by"], "2026-09-28T00:00:00Z");
}

#[test]
fn a_token_counts_on_the_account_that_it_turns_out_to_be_of() {
    let alice = pro().used_units(4930.0).token(&["profile", "account:read", "chutes:invoke"]);
    let world = World::of(catalogue().account(alice)).key(&format!(
        "{},{}",
        Scenario::oauth_token("alice", 0),
        Scenario::key("alice", 0)
    ));
    let outcome = world.run(&["usage", "--json"]);
    let report = outcome.report("usage");
    let accounts = report["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 1, "{report:#}");
    assert_eq!(accounts[0]["keys"].as_array().unwrap().len(), 2);
    assert!(
        outcome.stderr.contains("are one Chutes user and share its quota"),
        "{}",
        outcome.stderr
    );
    // Ten units are left once, not twice.
    assert_eq!(world.run(&["can-complete", "11"]).code, 1);
    let listed = world.run(&["serve", "--listen", "203.0.113.1:0"]);
    assert!(listed.stderr.contains("are one Chutes user"), "{}", listed.stderr);
}

#[test]
fn an_own_quota_of_a_chute_is_shown() {
    let model = "zai-org/GLM-5.2-TEE";
    let world = World::with(pro().chute_quota(model, 10));
    let id = Scenario::chute_id(model);
    let report = world.run(&["usage", "--chute-id", &id, "--json"]).report("usage");
    let windows = report["accounts"][0]["windows"].as_array().unwrap();
    let own = windows.iter().find(|window| window["window"] == "chute").unwrap();
    assert_eq!(own["chute_id"], id);
    assert_eq!(own["cap"], 10.0);
    assert!(world.run(&["usage", "--chute-id", "other"]).stdout.contains("no quota of its own"));
}

#[test]
fn use_beside_the_gateway_is_told() {
    let world = World::with(pro().used_units(1234.3));
    let elsewhere = || {
        let report = world.run(&["usage", "--json"]).report("usage");
        report["accounts"][0]["elsewhere_requests"].clone()
    };
    assert_eq!(elsewhere(), serde_json::Value::Null, "without a ledger nobody can tell");
    let path = world.home().join(".local/state/ripcord/ledger.sqlite");
    let ledger = SqliteLedger::open(&path).unwrap();
    let account: String = Scenario::user_id("alice").chars().take(8).collect();
    for number in 0..34 {
        ledger.append(Row::Attempt(AttemptRow {
            request_id: format!("request-{number}").into(),
            number: 1,
            served_by: ServedBy { account: Some(account.as_str().into()), ..ServedBy::default() },
            status: Some(200),
            outcome: Outcome::Completed,
            cause: None,
            tokens: Tokens::default(),
            cost: Cost::default(),
            timing: Timing {
                started_at_unix_us: world.emulator().control().clock().now_micros(),
                ..Timing::default()
            },
        }));
    }
    ledger.flush(std::time::Duration::from_secs(5)).unwrap();
    assert_eq!(elsewhere(), 1200.3);
    let shown = world.run(&["usage"]).stdout;
    assert!(shown.contains("At least 1200.3 of today's request units did not go"), "{shown}");
}

/// The list of chutes is longer than one page of it; what was not looked up is never down.
#[test]
fn every_page_of_a_long_catalogue_is_read() {
    let world = World::of(catalogue().generated(1_300));
    let report = world.run(&["status", "--json"]).report("status");
    assert!(report["platform"]["models"].as_u64().unwrap() > 1_300, "{}", report["platform"]);
    let gone = report["others"].as_array().unwrap().iter();
    let gone = gone.filter(|model| model["why"] == "not in the catalogue").count();
    assert_eq!(gone, 0, "{}", report["platform"]);
    let log = world.emulator().control().log();
    let pages = log.iter().filter(|entry| entry.path.starts_with("/chutes/?")).count();
    assert_eq!(pages, 2);
}

#[test]
fn what_fits_beyond_the_horizon_is_told() {
    let outcome = World::with(pro()).run(&["can-complete", "99999999"]);
    assert_eq!(outcome.code, 1, "{}", outcome.seen());
    assert!(outcome.stdout.contains("no later than 62 days ahead"), "{}", outcome.seen());
    let near = World::with(pro()).run(&["can-complete", "6000"]);
    assert!(!near.stdout.contains("62 days"), "{}", near.seen());
}

/// Code and commands to copy stay whole; all else fits.
#[test]
fn on_a_narrow_terminal_lines_wrap() {
    let commands: [(&[&str], &str); 3] = [
        (&["config", "client"], "80"),
        (&["model-health", "deepseek-ai/DeepSeek-R1"], "40"),
        (&["wait-for-reset", "--next", "--timeout", "0"], "40"),
    ];
    for (arguments, columns) in commands {
        let world = World::with(pro()).variable("COLUMNS", columns);
        let outcome = world.run(arguments);
        let widest = outcome.stdout.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns.parse().unwrap(), "{widest}\n{}", outcome.seen());
    }
}
