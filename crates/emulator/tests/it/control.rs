//! Control over HTTP, the log, and scenarios from files.

use chutes_emulator::{Emulator, FaultKind, Scenario, StateSpec};
use serde_json::json;

use crate::raw::{CHAT, call, chat, get, post};

const MODEL: &str = "Qwen/Qwen3-32B-TEE";

#[tokio::test]
async fn everything_can_be_steered_over_http() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let port = emulator.port();
    let set = async |path: &str, body: serde_json::Value| {
        call(port, "POST", path, &[], body.to_string().as_bytes()).await.unwrap()
    };
    let clock =
        set("/__emulator/clock", json!({"now": "2026-11-20T23:59:59", "speed": 0.0})).await.json();
    assert_eq!(clock["now"], "2026-11-20T23:59:59+00:00");
    let clock = set("/__emulator/clock", json!({"advance_seconds": 1})).await.json();
    assert_eq!(clock["now"], "2026-11-21T00:00:00+00:00");
    assert_eq!(
        get(port, "/ping", None).await.header("date"),
        Some("Sat, 21 Nov 2026 00:00:00 GMT")
    );
    let account =
        set("/__emulator/accounts/paygo", json!({"balance_usd": 2.5, "used_units": 3})).await;
    assert_eq!(account.json()["balance_nano_usd"], 2_500_000_000_i64);
    let path = format!("/__emulator/models/{MODEL}");
    let fault =
        json!({"faults": [{"kind": "capacity", "count": 1}], "state": "busy", "busy_share": 0.0});
    let model = set(&path, fault).await.json();
    assert_eq!(
        (&model["state"], &model["faults"][0]["kind"]),
        (&json!("busy"), &json!("capacity"))
    );
    let key = Scenario::key("paygo", 0);
    assert_eq!(post(port, CHAT, &key, &chat(MODEL, "a", false)).await.status, 429);
    assert_eq!(post(port, CHAT, &key, &chat(MODEL, "a", false)).await.status, 200);
    assert_eq!(set(&path, json!({"colour": "red"})).await.status, 400);
    assert_eq!(set("/__emulator/models/no/such", json!({})).await.status, 404);
    assert_eq!(get(port, &path, None).await.json()["served"], 1);
    assert_eq!(get(port, "/__emulator/accounts", None).await.json().as_array().unwrap().len(), 13);
    let before = emulator.control().clock().now_micros();
    emulator.control().advance(std::time::Duration::from_secs(86_400));
    assert_eq!(set("/__emulator/reset", json!({})).await.status, 200);
    let after = emulator.control().clock().now_micros();
    assert!(after - before < 43_200_000_000, "the clock too is as at the start");
    assert_eq!(emulator.control().log().len(), 0);
    assert_eq!(emulator.control().account("paygo").unwrap().balance_nano_usd, 0);
    assert_eq!(emulator.control().model(MODEL).unwrap().state, StateSpec::Hot);
}

#[tokio::test]
async fn the_log_holds_what_came_but_no_key() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let port = emulator.port();
    let key = Scenario::key("pro", 1);
    emulator
        .control()
        .add_model_fault(MODEL, chutes_emulator::Fault::new(FaultKind::MissingDone))
        .unwrap();
    let bearer = format!("Bearer {key}");
    let body = chat(MODEL, "a", true).to_string();
    let headers = [("authorization", bearer.as_str()), ("x-trace-me", "yes")];
    call(port, "POST", CHAT, &headers, body.as_bytes()).await.unwrap();
    get(port, "/users/me?x=1", Some("cpk_wrong")).await;
    get(port, "/ping", None).await;
    let log = get(port, "/__emulator/log", None).await;
    assert!(!log.text().contains("cpk_"));
    let log = log.json();
    assert_eq!(log[0]["key"], "pro/1");
    assert_eq!(log[0]["model"], MODEL);
    assert_eq!(log[0]["fault"], "missing_done");
    assert_eq!(log[0]["milli_units"], 1000);
    assert_eq!(log[0]["account_in_flight"], 1);
    assert_eq!(log[0]["body_sha256"].as_str().unwrap().len(), 64);
    assert!(log[0]["headers"].as_array().unwrap().contains(&json!(["x-trace-me", "yes"])));
    assert_eq!((&log[1]["key"], &log[1]["path"]), (&json!("unknown"), &json!("/users/me?x=1")));
    assert_eq!((&log[2]["key"], &log[2]["status"]), (&json!("none"), &json!(200)));
}

#[tokio::test]
async fn the_log_is_bounded() {
    let scenario = Scenario { log_entries: 3, ..Scenario::every_plan() };
    let emulator = Emulator::start(scenario).await.unwrap();
    for _ in 0..5 {
        get(emulator.port(), "/ping", None).await;
    }
    let ids: Vec<u64> = emulator.control().log().iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [2, 3, 4]);
}

#[tokio::test]
async fn a_deleted_key_is_an_unknown_one() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let change = chutes_emulator::AccountChange { delete_key: Some(1), ..Default::default() };
    emulator.control().change_account("pro", change).unwrap();
    let answer =
        post(emulator.port(), CHAT, &Scenario::key("pro", 1), &chat(MODEL, "a", false)).await;
    assert_eq!((answer.status, answer.detail().as_str()), (401, "Invalid token or user not found"));
}

#[tokio::test]
async fn a_scenario_file_is_read_and_checked() {
    let text = r#"
        starts_at = "2026-11-20T10:00:00"
        clock_speed = 0.0
        [lag]
        balance_seconds = 0
        [[accounts]]
        name = "alpha"
        plan = "plus"
        used_units = 1999.5
        keys = ["admin", "invoke", "no_scope"]
        chute_quotas = { "a/b" = 3 }
        faults = [{ kind = "edge_rate_limit", count = 1 }]
        [[models]]
        name = "a/b"
        state = "cold"
        [[models]]
        name = "c/d-TEE"
        tee = true
        faults = [{ kind = "capacity", seconds = 10.0 }]
    "#;
    let emulator = Emulator::start(Scenario::from_toml(text).unwrap()).await.unwrap();
    let alpha = emulator.control().account("alpha").unwrap();
    assert_eq!((alpha.day_milli_units, alpha.keys.len()), (1_999_500, 3));
    let status = async || {
        let key = Scenario::key("alpha", 0);
        post(emulator.port(), CHAT, &key, &chat("c/d-TEE", "a", false)).await.status
    };
    assert_eq!((status().await, status().await), (429, 429));
    emulator.control().advance(std::time::Duration::from_secs(10));
    assert_eq!(status().await, 200);
    let unknown = Scenario::from_toml("[[accounts]]\nname = 'a'\ncolour = 'red'\n").unwrap_err();
    assert!(unknown.to_string().contains("unknown field `colour`"), "{unknown}");
    let twice =
        Scenario::from_toml("[[models]]\nname = 'a'\n[[models]]\nname = 'a'\n").unwrap_err();
    assert_eq!(twice.to_string(), "scenario: model name `a` is empty or taken");
    assert!(Scenario::from_toml("starts_at = 'noon'").is_err());
}

#[tokio::test]
async fn the_demonstration_has_every_state_and_two_plans() {
    let emulator = Emulator::start(Scenario::demo()).await.unwrap();
    let states: Vec<StateSpec> = emulator.control().models().iter().map(|m| m.state).collect();
    assert!(states.len() >= 12);
    assert!(states.contains(&StateSpec::Cold) && states.contains(&StateSpec::Busy));
    let key = Scenario::key("pro", 0);
    let usage = get(emulator.port(), "/users/me/quota_usage/me", Some(&key)).await.json();
    assert_eq!(usage, json!({"quota": 5000, "used": 1234.3}));
}

#[test]
fn a_thread_of_its_own_serves_callers_without_a_runtime() {
    let emulator = Emulator::start_on_thread(Scenario::every_plan()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(get(emulator.port(), "/ping", None));
    assert_eq!(answer.json(), json!({"message": "pong"}));
    let port = emulator.port();
    drop(emulator);
    assert!(runtime.block_on(tokio::net::TcpStream::connect(("127.0.0.1", port))).is_err());
}
