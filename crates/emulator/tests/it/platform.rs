//! The platform's figures, and usage by the hour.

use chutes_emulator::{
    AccountSpec, Emulator, ModelChange, ModelSpec, PlanSpec, Scenario, StateSpec, UsageHistory,
};
use serde_json::Value;

use crate::raw::{CHAT, RawConnection, chat, get, post};

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

#[tokio::test]
async fn evidence_wants_a_nonce_and_is_limited_for_all() {
    let emulator = Emulator::start(
        scenario()
            .model(ModelSpec::new("acme/Safe-TEE"))
            .account(AccountSpec::new("pro", PlanSpec::Pro)),
    )
    .await
    .unwrap();
    let port = emulator.port();
    let nonce = "ab".repeat(32);
    let evidence = async |name: &str, query: &str| {
        get(port, &format!("/chutes/{name}/evidence{query}"), None).await
    };
    let good = evidence("acme/Safe-TEE", &format!("?nonce={nonce}")).await.json();
    assert_eq!(good["evidence"].as_array().unwrap().len(), 2);
    assert_eq!(good["failed_instance_ids"], serde_json::json!([]));
    assert_eq!(evidence("acme/Safe-TEE", "").await.status, 422);
    assert_eq!(evidence("acme/Safe-TEE", "?nonce=").await.detail(), "Nonce is required");
    let text = "Nonce must be exactly 64 hex characters (32 bytes), got 2";
    assert_eq!(evidence("acme/Safe-TEE", "?nonce=ab").await.detail(), text);
    let text = "Nonce must be a valid hexadecimal string";
    assert_eq!(
        evidence("acme/Safe-TEE", &format!("?nonce={}", "x".repeat(64))).await.detail(),
        text
    );
    assert_eq!(evidence("nope", &format!("?nonce={nonce}")).await.detail(), "Chute not found");
    assert_eq!(evidence("acme/Told", &format!("?nonce={nonce}")).await.status, 400);
    for _ in 0..53 {
        evidence("acme/Safe-TEE", "").await;
    }
    assert_eq!(evidence("acme/Safe-TEE", "").await.status, 429, "invalid calls count, too");
    emulator.control().advance(std::time::Duration::from_secs(60));
    assert_eq!(evidence("acme/Safe-TEE", "").await.status, 422);

    let key = Scenario::key("pro", 1);
    let path = format!("/e2e/instances/{}", Scenario::chute_id("acme/Safe-TEE"));
    let directory = get(port, &path, Some(&key)).await.json();
    assert_eq!(directory["instances"][0]["nonces"].as_array().unwrap().len(), 10);
    assert_eq!(directory["instances"][0]["e2e_pubkey"].as_str().unwrap().len(), 1580);
    let cold = format!("/e2e/instances/{}", Scenario::chute_id("acme/Cold"));
    let text = "No active instances found for this chute";
    assert_eq!(get(port, &cold, Some(&key)).await.detail(), text);
    assert_eq!(get(port, "/e2e/instances/nope", Some(&key)).await.detail(), "Chute not found");
}

#[tokio::test]
async fn warming_up_costs_balance_raises_a_bounty_and_can_succeed() {
    let mut cold = ModelSpec::new("acme/Warming").state(StateSpec::Cold);
    cold.warms_up_after_seconds = Some(120.0);
    let scenario = scenario()
        .model(cold)
        .account(AccountSpec::new("poor", PlanSpec::Pro))
        .account(AccountSpec::new("rich", PlanSpec::Paygo).balance_usd(5.0));
    let emulator =
        Emulator::start(Scenario { lag: chutes_emulator::Lag::none(), ..scenario }).await.unwrap();
    let port = emulator.port();
    let warm = async |name: &str, account: &str| {
        let path = format!("/chutes/warmup/{name}?quick=true");
        get(port, &path, Some(&Scenario::key(account, 0))).await
    };
    assert_eq!(warm("acme/Warming", "poor").await.status, 402);
    let state = warm("ACME/warming", "rich").await.json();
    assert_eq!((&state["status"], &state["instance_count"]), (&"cold".into(), &0.into()));
    let bounties = get(port, "/bounties/", None).await.json();
    assert!(bounties[0]["bounty_amount"].as_u64() > Some(0));
    let log = emulator.control().log();
    assert!(log.iter().any(|e| e.side_effect.as_deref() == Some("bounty raised for acme/Warming")));
    // The stream of one that stays cold says so at once, and goes on for ten minutes.
    let mut waiting = RawConnection::open(port).await;
    let bearer = format!("Bearer {}", Scenario::key("rich", 0));
    let headers = [("authorization", bearer.as_str())];
    waiting.send("GET", "/chutes/warmup/acme/Warming", &headers, b"").await;
    waiting.text("data: {\"status\": \"cold\", \"log\": \"waiting for instances").await;
    drop(waiting);
    emulator.control().advance(std::time::Duration::from_secs(121));
    assert_eq!(warm("acme/Warming", "rich").await.json()["status"], "hot");
    let stream = get(port, "/chutes/warmup/acme/Warming", Some(&Scenario::key("rich", 0))).await;
    let line = "data: {\"status\": \"hot\", \"log\": \"chute is hot, 2 instances available\"}\n\n";
    assert_eq!(stream.text(), line);
}

#[tokio::test]
async fn the_odds_and_ends_have_their_shapes() {
    let emulator =
        Emulator::start(scenario().account(AccountSpec::new("pro", PlanSpec::Pro))).await.unwrap();
    let port = emulator.port();
    let key = Scenario::key("pro", 1);
    post(port, CHAT, &key, &chat("acme/Told", "hi", false)).await;
    let recent = get(port, "/invocations/exports/recent?limit=5", None).await;
    assert_eq!(recent.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(recent.text().lines().count(), 2);
    emulator.control().advance(std::time::Duration::from_secs(3600));
    let hour = get(port, "/invocations/exports/2026/11/20/11.csv", None).await;
    assert_eq!(hour.text().lines().count(), 2);
    assert_eq!(get(port, "/invocations/exports/2026/11/20/12.csv", None).await.status, 404);
    assert_eq!(get(port, "/invocations/exports/2026/11/20/a.csv", None).await.status, 400);
    assert_eq!(get(port, "/invocations/exports/2026/13/1/00.csv", None).await.status, 500);
    let taken = get(port, "/invocations/usage", None).await.json();
    assert_eq!(taken.as_array().unwrap().len(), 11 * 4);
    let code = get(port, &format!("/chutes/code/{}", Scenario::chute_id("acme/Told")), None).await;
    assert!(code.header("content-type").unwrap().starts_with("text/plain"));
    let named = get(port, "/users/name_check?username=pro", None).await.json();
    assert_eq!(named, serde_json::json!({"valid": true, "available": false}));
    let growth = get(port, "/users/growth", None).await.json();
    assert_eq!((growth.as_array().unwrap().len(), &growth[0]["daily_count"]), (7, &120.into()));
}
