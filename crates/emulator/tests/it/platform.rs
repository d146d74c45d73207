//! The platform's figures, and usage by the hour.

use chutes_emulator::{
    AccountSpec, Emulator, ModelChange, ModelSpec, PlanSpec, Scenario, StateSpec, UsageHistory,
};
use serde_json::Value;

use crate::raw::{CHAT, chat, get, post};

const NOW: &str = "2026-11-20T11:30:00";

fn scenario() -> Scenario {
    Scenario { seed: 7, ..Scenario::empty() }
        .stopped_at(NOW)
        .model(ModelSpec::new("acme/Told").measured(0.25, 88.0).load(0.93, 0.31))
        .model(ModelSpec::new("acme/Paced").pace(400, 50.0))
        .model(ModelSpec::new("acme/Drawn"))
        .model(ModelSpec::new("acme/Cold").state(StateSpec::Cold))
}

#[tokio::test]
async fn every_model_has_a_speed_told_or_drawn() {
    let emulator = Emulator::start(scenario()).await.unwrap();
    let rows = get(emulator.port(), "/invocations/stats/llm", None).await.json();
    let of = |name: &str| -> Vec<Value> {
        rows.as_array().unwrap().iter().filter(|row| row["name"] == name).cloned().collect()
    };
    let today = |name: &str| of(name).into_iter().find(|row| row["date"] == "2026-11-20");
    let told = today("acme/Told").unwrap();
    assert_eq!(
        (told["average_ttft"].as_f64(), told["average_tps"].as_f64()),
        (Some(0.25), Some(88.0))
    );
    let paced = today("acme/Paced").unwrap();
    assert_eq!(
        (paced["average_ttft"].as_f64(), paced["average_tps"].as_f64()),
        (Some(0.4), Some(50.0))
    );
    let drawn = today("acme/Drawn").unwrap();
    assert!((0.15..=3.0).contains(&drawn["average_ttft"].as_f64().unwrap()), "{drawn}");
    assert!((15.0..=180.0).contains(&drawn["average_tps"].as_f64().unwrap()), "{drawn}");
    assert!(drawn["total_output_tokens"].as_u64() < drawn["total_input_tokens"].as_u64());
    assert_eq!(today("acme/Cold"), None, "a cold model served nobody today");
    assert_eq!(of("acme/Cold").len(), 1);
    assert_eq!(of("acme/Cold")[0]["date"], "2026-11-19");

    let path = format!("/invocations/stats/llm?chute_id={}", Scenario::chute_id("acme/Told"));
    assert_eq!(get(emulator.port(), &path, None).await.json().as_array().unwrap().len(), 2);
    let again = Emulator::start(scenario()).await.unwrap();
    assert_eq!(get(again.port(), "/invocations/stats/llm", None).await.json(), rows);
    let other = Emulator::start(Scenario { seed: 8, ..scenario() }).await.unwrap();
    assert_ne!(get(other.port(), "/invocations/stats/llm", None).await.json(), rows);
}

#[tokio::test]
async fn load_is_what_the_scenario_says_and_can_change() {
    let emulator = Emulator::start(scenario()).await.unwrap();
    let row = async |name: &str| {
        let rows = get(emulator.port(), "/chutes/utilization", None).await.json();
        rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert_eq!(row("acme/Told").await["utilization_current"], 0.93);
    assert_eq!(row("acme/Told").await["rate_limit_ratio_5m"], 0.31);
    let change = ModelChange {
        utilization: Some(0.1),
        rate_limit_ratio: Some(0.0),
        instances: Some(5),
        ..ModelChange::default()
    };
    emulator.control().change_model("acme/Told", change).unwrap();
    assert_eq!(row("acme/Told").await["utilization_1h"], 0.1);
    assert_eq!(row("acme/Told").await["active_instance_count"], 5);
    assert_eq!(row("acme/Cold").await["utilization_5m"], Value::Null);
}

#[tokio::test]
async fn usage_holds_the_drawn_hours_and_the_calls_made_here() {
    let history = UsageHistory { hours: 48, ..UsageHistory::default() };
    let account = |name: &str, plan| AccountSpec {
        usage_history: Some(history.clone()),
        ..AccountSpec::new(name, plan).balance_usd(9.0)
    };
    let scenario = scenario()
        .account(account("pro", PlanSpec::Pro))
        .account(account("paygo", PlanSpec::Paygo));
    let emulator = Emulator::start(scenario).await.unwrap();
    let usage = async |name: &str, query: &str| {
        let path = format!("/users/me/usage{query}");
        get(emulator.port(), &path, Some(&Scenario::key(name, 0))).await.json()
    };
    let before = usage("pro", "?limit=100").await;
    let hours = before["total"].as_u64().unwrap();
    assert!((20..=48).contains(&hours), "{hours} hours");
    assert!(before["items"].as_array().unwrap().iter().all(|row| row["amount"] == 0.0));
    let paid = usage("paygo", "?limit=100").await;
    assert!(paid["items"].as_array().unwrap().iter().all(|row| row["amount"].as_f64() > Some(0.0)));

    let key = Scenario::key("pro", 1);
    let call = post(emulator.port(), CHAT, &key, &chat("acme/Told", "hi", false)).await;
    assert_eq!(call.status, 200);
    let after = usage("pro", "?limit=1").await;
    assert_eq!(after["total"].as_u64(), Some(hours + 1));
    assert_eq!(after["items"][0]["bucket"], "2026-11-20T11:00:00");
    assert_eq!(after["items"][0]["count"], 1);
    assert_eq!(after["items"][0].get("chute_id"), None);

    let by_model = usage("pro", "?per_chute=true&limit=1000").await;
    assert!(by_model["total"].as_u64() > Some(hours + 1), "several models in an hour");
    assert_eq!(by_model["items"][0]["chute_id"], Scenario::chute_id("acme/Told"));
    let second = usage("pro", "?limit=5&page=1").await;
    assert_eq!(second["items"][0], usage("pro", "?limit=6").await["items"][5]);
    let today = usage("pro", "?start_date=2026-11-20&limit=100").await;
    assert!(today["total"].as_u64() < Some(13));
    for query in
        ["?page=-1", "?start_date=2026-11-20T08:00:00Z", "?end_date=2026-11-20T08:00:00%2B00:00"]
    {
        let path = format!("/users/me/usage{query}");
        let answer = get(emulator.port(), &path, Some(&Scenario::key("pro", 0))).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (500, "Internal Server Error"),
            "{query}"
        );
    }
}
