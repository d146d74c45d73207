//! `/-/budget`: what scripts decide by.

use crate::world::{Answered, MODEL, Plan, World, chat, today};
use chutes_emulator::{AccountSpec, KeyKind, PlanSpec};
use http::StatusCode;
use ripcord_rules::quota::Paygo;
use ripcord_store::{AttemptRow, Cost, Ledger as _, Outcome, Row, ServedBy, Timing, Tokens};
use serde_json::Value;

/// The report, checked against the schema of the reference.
fn report(answered: &Answered) -> Value {
    let report = answered.json();
    check("gateway-budget", &report);
    assert_eq!(answered.header("cache-control"), "no-store");
    report
}

pub(crate) fn check(name: &str, report: &Value) {
    let path = format!("{}/../../docs/reference/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    jsonschema::validate(&schema, report).unwrap_or_else(|problem| panic!("{problem}\n{report}"));
    // What the schema does not know would pass.
    fn known(schema: &Value, root: &Value, report: &Value, path: &str) {
        let Some(object) = report.as_object() else {
            for item in report.as_array().into_iter().flatten() {
                known(&resolved(&schema["items"], root), root, item, path);
            }
            return;
        };
        let Some(properties) = schema["properties"].as_object() else {
            for (name, value) in object {
                let inner = resolved(&schema["additionalProperties"], root);
                known(&inner, root, value, &format!("{path}.{name}"));
            }
            return;
        };
        for (name, value) in object {
            let inner = properties
                .get(name)
                .unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
            known(&resolved(inner, root), root, value, &format!("{path}.{name}"));
        }
    }
    known(&schema, &schema, report, "");
}

fn resolved(schema: &Value, root: &Value) -> Value {
    let of_several =
        schema["anyOf"].as_array().and_then(|all| all.iter().find(|one| one["$ref"].is_string()));
    let schema = of_several.unwrap_or(schema);
    match schema["$ref"].as_str() {
        Some(name) => root["$defs"][name.trim_start_matches("#/$defs/")].clone(),
        None => schema.clone(),
    }
}

fn plan(account: AccountSpec) -> Plan {
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![account];
    plan
}

/// An attempt of the first account that ended at this time of today, `days_ago` days before.
fn attempt(id: &str, days_ago: i64, time: &str, tokens: u64) -> AttemptRow {
    let ended: jiff::Timestamp = format!("{}T{time}Z", today()).parse().unwrap();
    let ended = ended.as_microsecond() - days_ago * 86_400_000_000;
    AttemptRow {
        request_id: id.into(),
        number: 1,
        served_by: ServedBy {
            model: Some(MODEL.into()),
            account: Some("first".into()),
            key: Some("1".into()),
        },
        status: Some(200),
        outcome: Outcome::Completed,
        cause: None,
        tokens: Tokens {
            prompt: Some(tokens),
            completion: Some(tokens),
            cached: Some(0),
            estimated: false,
        },
        cost: Cost { list_price_nano_usd: Some(360_000_000), coverage: None },
        timing: Timing {
            started_at_unix_us: ended - 20_000_000,
            total_us: 20_000_000,
            ..Timing::default()
        },
    }
}

#[tokio::test]
async fn an_account_with_room_says_yes_and_shows_every_window() {
    let spec = AccountSpec::new("first", PlanSpec::Pro).used_units(100.0).used_usd(2.0, 20.0);
    let world = plan(spec.balance_usd(3.0)).start().await;
    let answered = world.get("/-/budget").await;
    assert_eq!(answered.status, StatusCode::OK);
    let report = report(&answered);
    let account = &report["accounts"][0];
    assert_eq!((&report["verdict"], &account["reason"]), (&"yes".into(), &"windows_open".into()));
    assert!(report["ask_again_seconds"].is_null());
    let kinds: Vec<&str> = account["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|window| window["window"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["day", "four_hour", "month"]);
    let four_hour = &account["windows"][1];
    assert_eq!(
        (four_hour["used"].as_f64(), four_hour["cap"].as_f64()),
        (Some(2.0), Some(8.333333333))
    );
    assert_eq!(account["balance_usd"], 3.0);
    // Nothing was watched for five minutes yet: that is not zero.
    assert!(account["burn"]["requests_per_hour"]["five_minutes"].is_null());
    assert_eq!(world.get("/-/budget?gate=1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn own_calls_lead_the_server_s_figure() {
    let mut plan = Plan::new();
    plan.scenario = plan.scenario.lag(chutes_emulator::Lag::default());
    let world = plan.start().await;
    assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
    world.wait_until_idle().await;
    let day = report(&world.get("/-/budget").await)["accounts"][0]["windows"][0].clone();
    assert_eq!(
        (day["server_used"].as_f64(), day["used"].as_f64()),
        (Some(0.0), Some(1.0)),
        "{day}"
    );
    assert_eq!((day["own_since"].as_f64(), day["reserved"].as_f64()), (Some(1.0), Some(0.0)));
    assert_eq!(day["source"], "estimate");
}

#[tokio::test]
async fn a_gate_is_shut_until_the_window_turns() {
    let spec = AccountSpec::new("first", PlanSpec::Pro).used_usd(8.4, 20.0).balance_usd(5.0);
    let world = plan(spec).start().await;
    let open = world.get("/-/budget?account=first&priority=batch").await;
    assert_eq!((open.status, open.header("retry-after")), (StatusCode::OK, ""));
    let report = report(&open);
    let account = &report["accounts"][0];
    assert_eq!((&report["verdict"], &account["window"]), (&"no".into(), &"four_hour".into()));
    assert_eq!(account["reason"], "paygo_not_allowed");
    assert_eq!(account["turns_by_itself"], true);
    assert!(account["turns_at"].as_str().unwrap().contains("T12:00:00"));
    let shut = world.get("/-/budget?gate=1").await;
    assert_eq!(shut.status, StatusCode::SERVICE_UNAVAILABLE);
    // Two hours into the window, and a moment more for clocks that differ.
    let wait: u64 = shut.header("retry-after").parse().unwrap();
    assert!((7_000..=7_202).contains(&wait), "{wait}");
    assert_eq!(shut.json()["ask_again_seconds"], wait);
}

#[tokio::test]
async fn what_nobody_knows_is_unknown_and_shuts_the_gate() {
    let spec = AccountSpec::new("first", PlanSpec::Pro).keys(&[KeyKind::Invoke]);
    let world = plan(spec).start().await;
    let report = report(&world.get("/-/budget?calls=5").await);
    let account = &report["accounts"][0];
    assert_eq!((&report["verdict"], &account["reason"]), (&"unknown".into(), &"forbidden".into()));
    assert_eq!(account["unguarded"], true);
    assert!(report["fits_now"].is_null() && account["fit"]["now"].is_null());
    let shut = world.get("/-/budget?gate=1").await;
    assert_eq!((shut.status.as_u16(), shut.header("retry-after")), (503, "30"));
}

#[tokio::test]
async fn calls_of_a_size_are_counted_over_all_accounts_and_the_windows_ahead() {
    let world = Plan::new().and_second().start().await;
    // A cent a call: 823 fit the 4-hour window of each account but for what is kept for others.
    let size = format!("model={MODEL}&tokens_in=10000&tokens_out=10000");
    let now = report(&world.get(&format!("/-/budget?calls=1646&{size}")).await);
    assert_eq!((&now["verdict"], &now["fits_now"]), (&"yes".into(), &1_646.into()));
    assert!(now["all_fit_by"].is_null());
    let later = report(&world.get(&format!("/-/budget?calls=1647&{size}&gate=0")).await);
    assert_eq!((&later["verdict"], &later["fits_now"]), (&"no".into(), &1_646.into()));
    assert!(later["all_fit_by"].as_str().unwrap().contains("T12:00:00"));
    assert_eq!(later["accounts"][0]["fit"]["short_window"], "four_hour");
    assert_eq!(later["accounts"][0]["fit"]["call_usd"], 0.01);
    let one = report(&world.get(&format!("/-/budget?account=second&calls=1646&{size}")).await);
    assert_eq!((&one["verdict"], one["accounts"].as_array().unwrap().len()), (&"no".into(), 1));
    let shut = world.get(&format!("/-/budget?calls=1647&gate=1&{size}")).await;
    assert_eq!(shut.status, StatusCode::SERVICE_UNAVAILABLE);
    let wait: u64 = shut.header("retry-after").parse().unwrap();
    assert!((7_000..=7_202).contains(&wait), "{wait}");
    // Without a size only request units are counted, and that is said.
    let units = report(&world.get(&format!("/-/budget?calls=9000&model={MODEL}")).await);
    assert_eq!(
        (&units["verdict"], &units["asked"]["call"]["tokens_from"]),
        (&"yes".into(), &"unknown".into())
    );
    let left_out = &units["accounts"][0]["fit"]["uncounted_windows"];
    assert_eq!(*left_out, serde_json::json!(["four_hour", "month"]));
}

#[tokio::test]
async fn after_a_restart_the_ledger_tells_rates_sizes_and_times() {
    let plan = Plan::new();
    for row in [
        attempt("old", 2, "09:00:00", 10_000),
        attempt("hour", 0, "09:30:00", 10_000),
        attempt("just", 0, "09:58:00", 10_000),
    ] {
        plan.ledger.append(Row::Attempt(row));
    }
    let world = plan.start().await;
    let path = format!("/-/budget?model={MODEL}&calls=1000");
    let report = report(&world.get(&path).await);
    let burn = &report["accounts"][0]["burn"];
    let per_hour = |unit: &str, span: &str| burn[unit][span].as_f64().unwrap();
    assert_eq!(per_hour("requests_per_hour", "five_minutes"), 12.0);
    assert_eq!(per_hour("requests_per_hour", "hour"), 2.0);
    assert_eq!(per_hour("usd_per_hour", "hour"), 0.72);
    assert!(per_hour("usd_per_hour", "day") < 0.04);
    assert_eq!(report["asked"]["call"]["tokens_in"], 10_000);
    assert_eq!(report["asked"]["call"]["tokens_from"], "learned");
    assert_eq!(report["asked"]["call"]["learned_from_calls"], 3);
    assert_eq!(report["asked"]["call"]["seconds"], 20.0);
    // 823 now, and 177 from 12:00 on, five at a time, 20 s each: 36 rounds.
    assert_eq!(report["fits_now"], 823);
    assert!(report["ends_at"].as_str().unwrap().contains("T12:12:0"), "{}", report["ends_at"]);
    // $8.33 at $4.32 an hour last two hours, so the window turns just before.
    let hour = &report["accounts"][0]["windows"][1]["runs_out"]["five_minutes"];
    assert_eq!((hour["per_hour"].as_f64(), &hour["before_reset"]), (Some(4.32), &true.into()));
}

#[tokio::test]
async fn pay_as_you_go_is_known_by_its_balance() {
    let mut plan = plan(AccountSpec::new("first", PlanSpec::Paygo).balance_usd(1.0));
    plan.accounts[0].paygo = Paygo::Allow;
    let world = plan.start().await;
    let size = format!("model={MODEL}&tokens_in=10000&tokens_out=10000");
    let report = report(&world.get(&format!("/-/budget?calls=96&{size}")).await);
    assert_eq!((&report["verdict"], &report["fits_now"]), (&"no".into(), &95.into()));
    assert_eq!(report["accounts"][0]["reason"], "balance_pays");
    assert!(report["all_fit_by"].is_null());
    assert_eq!(report["ask_again_seconds"], 300);
}

#[tokio::test]
async fn a_question_that_cannot_be_read_says_how_to_ask() {
    let world = World::start().await;
    for (query, status, told) in [
        ("calls=0", 400, "whole number from 1"),
        ("calls=many", 400, "whole number"),
        ("gate=yes", 400, "1 or 0"),
        ("priority=urgent", 400, "interactive, agent or batch"),
        ("account=nobody", 400, "the accounts are: first"),
        ("modle=x", 400, "these exist: account, model"),
        ("tokens_in=5", 400, "need a `model`"),
        ("model=acme%2FWriter-9-TEE&tokens_in=5", 400, "given together"),
        ("model=acme%2FWriter-9-TEX", 404, "acme/Writer-9-TEE"),
        ("model=%zz", 400, "hex"),
    ] {
        let answered = world.get(&format!("/-/budget?{query}")).await;
        assert_eq!(answered.status.as_u16(), status, "{query}: {}", answered.text());
        assert!(answered.text().contains(told), "{query}: {}", answered.text());
    }
    assert_eq!(world.post("/-/budget", "{}").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_is_kept_for_interactive_work_is_not_there_for_a_batch() {
    let mut plan = plan(AccountSpec::new("first", PlanSpec::Pro).used_units(4_600.0));
    plan.accounts[0].spending.reserve_permille = 100;
    let world = plan.start().await;
    let interactive = report(&world.get("/-/budget?calls=300").await);
    assert_eq!((&interactive["verdict"], &interactive["fits_now"]), (&"yes".into(), &300.into()));
    let batch = report(&world.get("/-/budget?calls=1&priority=batch").await);
    let account = &batch["accounts"][0];
    assert_eq!((&batch["verdict"], &batch["fits_now"]), (&"no".into(), &0.into()));
    assert_eq!(account["reason"], "kept_for_interactive");
    assert_eq!(
        (&account["window"], account["windows"][0]["kept"].as_f64()),
        (&"day".into(), Some(560.0))
    );
    // The same in the report that `ripcord run --pause` follows.
    for (query, budget) in
        [("", "open"), ("?priority=interactive", "open"), ("?priority=batch", "closed")]
    {
        let status = world.get(&format!("/-/status{query}")).await.json();
        assert_eq!(status["accounts"][0]["budget"], budget, "{query}");
        assert_eq!(status["accounts"][0]["opens_at"].is_null(), budget == "open", "{query}");
    }
    assert_eq!(world.get("/-/status?priority=urgent").await.status, StatusCode::BAD_REQUEST);
}
