//! What the ledger adds to usage, budget-check and can-complete: rates, others, usual sizes.

use std::time::Duration;

use chutes_emulator::{AccountSpec, PlanSpec, PriceOverride, Scenario};
use ripcord_store::{
    AttemptRow, Cost, Ledger as _, Outcome, Row, ServedBy, SqliteLedger, Timing, Tokens,
};

use crate::world::{World, catalogue, pro};

const MODEL: &str = "zai-org/GLM-5.2-TEE";
const MINUTE: i64 = 60_000_000;

/// Attempts of the account that ended so many and a half minutes ago, each of a cent, 4,000 tokens in and 400 out, in 12 s.
fn with_calls(world: World, minutes_ago: impl IntoIterator<Item = i64>) -> World {
    let path = world.home().join(".local/state/ripcord/ledger.sqlite");
    let ledger = SqliteLedger::open(&path).unwrap();
    let account: String = Scenario::user_id("alice").chars().take(8).collect();
    let now = world.emulator().control().clock().now_micros();
    for (number, ago) in (0..).zip(minutes_ago) {
        ledger.append(Row::Attempt(AttemptRow {
            request_id: format!("request-{number}").into(),
            number: 1,
            served_by: ServedBy {
                account: Some(account.as_str().into()),
                model: Some(MODEL.into()),
                key: None,
            },
            status: Some(200),
            outcome: Outcome::Completed,
            cause: None,
            tokens: Tokens {
                prompt: Some(4_000),
                completion: Some(400),
                cached: Some(0),
                estimated: false,
            },
            cost: Cost { list_price_nano_usd: Some(10_000_000), coverage: None },
            timing: Timing {
                started_at_unix_us: now - ago * MINUTE - MINUTE / 2 - 12_000_000,
                total_us: 12_000_000,
                ..Timing::default()
            },
        }));
    }
    ledger.flush(Duration::from_secs(5)).unwrap();
    world
}

/// 120 calls in the last hour, two a minute, and one long ago.
fn busy(account: AccountSpec) -> World {
    with_calls(World::with(account), (0..60).flat_map(|minute| [minute, minute]).chain([3_000]))
}

#[test]
fn usage_shows_rates_and_when_each_window_runs_out() {
    let world = busy(pro().used_units(4_900.0));
    insta::assert_snapshot!(world.run(&["usage"]).stdout);
    let report = world.run(&["usage", "--json"]).report("usage");
    let account = &report["accounts"][0];
    assert_eq!(account["burn"]["requests_per_hour"]["hour"], 120.0);
    assert_eq!(account["burn"]["requests_per_hour"]["five_minutes"], 120.0);
    assert_eq!(account["burn"]["usd_per_hour"]["hour"], 1.2);
    assert!(account["burn"]["usd_per_hour"]["day"].as_f64().unwrap() < 0.06);
    let day = &account["windows"][0]["runs_out"]["hour"];
    assert_eq!(day["before_reset"], true, "{account}");
    // All but 120 of the day's units are someone else's, who goes on, too.
    assert!(day["per_hour"].as_f64().unwrap() > 500.0, "{day}");
    assert_eq!(account["elsewhere"][0]["is_known_in_full"], true);
    assert_eq!(account["elsewhere_requests"], 4_780.0);
}

#[test]
fn without_a_ledger_no_rate_is_known_and_that_is_not_zero() {
    let report = World::with(pro()).run(&["usage", "--json"]).report("usage");
    let burn = &report["accounts"][0]["burn"];
    assert!(burn["requests_per_hour"]["hour"].is_null() && burn["watched_since"].is_null());
    // A ledger that begins half an hour ago knows nothing of the hour.
    let world = with_calls(World::with(pro()), [30, 2]);
    let report = world.run(&["usage", "--json"]).report("usage");
    let burn = &report["accounts"][0]["burn"]["requests_per_hour"];
    assert_eq!(burn["five_minutes"], 12.0);
    assert!(burn["hour"].is_null() && burn["day"].is_null());
}

#[test]
fn budget_check_says_which_window_runs_out_first() {
    let world = busy(pro().used_units(4_900.0));
    let outcome = world.run(&["budget-check"]);
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.stdout.contains("At the rate of the last 1 h the day quota runs out"),
        "{}",
        outcome.stdout
    );
    let report = world.run(&["budget-check", "--json"]).report("budget-check");
    let account = &report["accounts"][0];
    assert_eq!(
        (&account["runs_out"]["window"], &account["runs_out"]["by_rate_of"]),
        (&"day".into(), &"hour".into())
    );
    assert!(account["turns_in_seconds"].is_null());
    let shut = World::with(pro().used_units(5_000.0)).run(&["budget-check", "--json"]);
    let report = shut.report("budget-check");
    assert_eq!(
        (shut.code, report["accounts"][0]["turns_in_seconds"].as_u64().unwrap() / 3_600),
        (1, 12)
    );
}

#[test]
fn can_complete_learns_sizes_and_times_and_shows_the_windows_ahead() {
    let world = busy(pro());
    let arguments = ["can-complete", "3000", "--model", MODEL, "--windows", "4"];
    let outcome = world.run(&arguments);
    assert_eq!(outcome.code, 1);
    insta::assert_snapshot!(outcome.stdout);
    let report = world.run(&[&arguments[..], &["--json"]].concat()).report("can-complete");
    let call = &report["call"];
    assert_eq!(
        (&call["tokens_from"], &call["learned_from_calls"]),
        (&"learned".into(), &121.into())
    );
    assert_eq!((&call["tokens_in"], &call["seconds"]), (&4_000.into(), &12.0.into()));
    let windows = report["accounts"][0]["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 4);
    let placed: u64 = windows.iter().map(|window| window["fits"].as_u64().unwrap()).sum();
    assert!(placed >= 3_000 && report["ends_at"].is_string(), "{report}");
    // What is typed counts more than what was learned.
    let typed = world.run(&[
        "can-complete",
        "1",
        "--model",
        MODEL,
        "--tokens-in",
        "1",
        "--tokens-out",
        "1",
        "--json",
    ]);
    assert_eq!(typed.report("can-complete")["call"]["tokens_from"], "given");
}

#[test]
fn a_cheaper_model_that_would_do_is_named_and_none_outside_of_an_enclave() {
    let size = ["--tokens-in", "4000", "--tokens-out", "1000"];
    let watching = || {
        World::with(pro()).config(
            "[models]\nwatch = [\"Qwen/Qwen2.5-72B-Instruct\", \"deepseek-ai/DeepSeek-R1-TEE\"]\n",
        )
    };
    let cheaper = |model: &str| {
        let arguments = [&["can-complete", "100000", "--model", model, "--json"][..], &size[..]];
        let report = watching().run(&arguments.concat()).report("can-complete");
        report["cheaper"].as_array().unwrap().clone()
    };
    // $0.00695 a call against $0.0024.
    let confidential = cheaper(MODEL);
    assert_eq!(confidential.len(), 1, "{confidential:?}");
    assert_eq!(confidential[0]["model"], "deepseek-ai/DeepSeek-R1-TEE");
    // The day quota counts calls, so it is less than three times.
    let times = confidential[0]["times"].as_f64().unwrap();
    assert!((1.2..2.9).contains(&times), "{times}");
    let plain = cheaper("deepseek-ai/DeepSeek-R1");
    assert_eq!(plain[0]["model"], "Qwen/Qwen2.5-72B-Instruct");
    let arguments = [&["can-complete", "100000", "--model", MODEL][..], &size[..]];
    let shown = watching().run(&arguments.concat()).stdout;
    assert!(
        shown.contains("Of calls to deepseek-ai/DeepSeek-R1-TEE, which is cheaper,"),
        "{shown}"
    );
}

#[test]
fn the_windows_ahead_of_several_accounts_and_of_none_that_can_be_read() {
    let scenario = catalogue().account(pro()).account(AccountSpec::new("bob", PlanSpec::Base));
    let keys = [Scenario::key("alice", 0), Scenario::key("bob", 0)].join(",");
    let world = World::of(scenario).key(&keys);
    let shown = world.run(&["can-complete", "6000", "--windows", "2", "--tz", "UTC"]);
    assert!(shown.stdout.contains("alice\n") && shown.stdout.contains("bob\n"), "{}", shown.stdout);
    let nobody = World::with(pro()).unreachable().run(&["can-complete", "5", "--windows", "2"]);
    assert_eq!(nobody.code, 3);
    for wrong in ["0", "101", "many"] {
        assert_eq!(world.run(&["can-complete", "5", "--windows", wrong]).code, 2, "{wrong}");
    }
}

/// What a call costs and how many of 100,000 fit now, with what was said.
fn priced(world: &World) -> (f64, u64, String) {
    let size = ["--tokens-in", "4000", "--tokens-out", "1000"];
    let arguments = [&["can-complete", "100000", "--model", MODEL][..], &size[..]].concat();
    let json = world.run(&[&arguments[..], &["--json"]].concat());
    let account = json.report("can-complete")["accounts"][0].clone();
    assert_eq!(json.report("can-complete")["call"]["usd"], 0.00695);
    let usd = account["call_usd"].as_f64().unwrap();
    let said = world.run(&arguments);
    (usd, account["fits_now"].as_u64().unwrap(), said.stdout + &said.stderr)
}

#[test]
fn calls_are_counted_at_the_prices_of_the_account() {
    let (usd, listed, said) = priced(&World::with(pro()));
    assert!((usd - 0.00695).abs() < 1e-9 && !said.contains("of its own"), "{usd} {said}");
    let mut discounted = pro();
    discounted.discounts.insert("*".into(), 0.2);
    let (usd, fits, said) = priced(&World::with(discounted));
    // 0.76 and 2.52 for a million.
    assert!((usd - 0.00556).abs() < 1e-9, "{usd}");
    assert_eq!((usd * fits as f64 / (0.00695 * listed as f64) * 100.0).round(), 100.0);
    assert!(said.contains("alice pays $0.00556: it has a price of its own."), "{said}");
    let mut overridden = pro();
    let (per_million_in, per_million_out) = (10.0, 30.0);
    let model = MODEL.to_owned();
    overridden.price_overrides.push(PriceOverride {
        model,
        per_million_in,
        per_million_out,
        cache_discount: 0.5,
    });
    let world = World::with(overridden);
    let (usd, fits, _) = priced(&world);
    assert!((usd - 0.07).abs() < 1e-9 && fits < listed / 9, "{usd} {fits}");
    // `run` counts the same: at the list price so many would fit.
    let count = (fits + 1).to_string();
    let size = ["--model", MODEL, "--tokens-in", "4000", "--tokens-out", "1000"];
    let start = |count: &str| {
        let command = ["--timeout", "0", "--", "true"];
        world.run(&[&["run", "--needs", count][..], &size, &command].concat())
    };
    assert_eq!(start(&fits.to_string()).code, 0);
    assert_eq!(start(&count).code, 75);
}

#[test]
fn where_the_prices_of_an_account_cannot_be_read_the_list_price_counts_and_that_is_said() {
    // Nobody understands such a price.
    let mut odd = pro();
    odd.price_overrides.push(PriceOverride {
        model: MODEL.to_owned(),
        per_million_in: -1.0,
        per_million_out: 1.0,
        cache_discount: 0.5,
    });
    let world = World::with(odd);
    let (usd, _, said) = priced(&world);
    assert!((usd - 0.00695).abs() < 1e-9, "{usd}");
    assert!(said.contains("the list price is used"), "{said}");
    let plain = world.run(&["can-complete", "5"]);
    assert!(plain.stderr.is_empty(), "no price is needed: {}", plain.stderr);
}

#[test]
fn a_cheaper_model_is_named_for_several_accounts_too() {
    let scenario = catalogue().account(pro()).account(AccountSpec::new("bob", PlanSpec::Base));
    let keys = [Scenario::key("alice", 0), Scenario::key("bob", 0)].join(",");
    let world = World::of(scenario)
        .key(&keys)
        .config("[models]\nwatch = [\"deepseek-ai/DeepSeek-R1-TEE\"]\n");
    let size = ["--tokens-in", "4000", "--tokens-out", "1000"];
    let arguments = [&["can-complete", "100000", "--model", MODEL, "--json"][..], &size[..]];
    let report = world.run(&arguments.concat()).report("can-complete");
    assert_eq!(report["cheaper"][0]["model"], "deepseek-ai/DeepSeek-R1-TEE", "{report}");
}
