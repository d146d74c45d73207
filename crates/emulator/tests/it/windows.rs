//! Windows at their edges, who pays, repeats, and lag: the arithmetic that tests rely on.

use chutes_emulator::{AccountChange, AccountSpec, Emulator, Lag, PlanSpec, Running, Scenario};
use serde_json::Value;
use std::time::Duration;

use crate::raw::{CHAT, RawAnswer, RawConnection, chat, get, post};

const MODEL: &str = "Qwen/Qwen3-32B-TEE";
/// One call of [`MODEL`]: 1000 in at 0.1 and 500 out at 0.4 dollars a million.
const CALL_NANO_USD: i64 = 300_000;

async fn one(emulator: &Running, account: &str, text: &str) -> RawAnswer {
    post(emulator.port(), CHAT, &Scenario::key(account, 0), &chat(MODEL, text, false)).await
}

async fn used(emulator: &Running, account: &str) -> f64 {
    let key = Scenario::key(account, 0);
    let body = get(emulator.port(), "/users/me/quota_usage/me", Some(&key)).await.json();
    body["used"].as_f64().unwrap()
}

async fn windows(emulator: &Running, account: &str) -> Value {
    let key = Scenario::key(account, 0);
    get(emulator.port(), "/users/me/subscription_usage", Some(&key)).await.json()
}

#[tokio::test]
async fn twenty_identical_requests_count_as_recorded() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let mut counters = Vec::new();
    for _ in 0..20 {
        one(&emulator, "pro", "the same bytes").await;
        counters.push(used(&emulator, "pro").await.to_string());
    }
    assert_eq!(
        counters.join(" "),
        "1 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 2 2.1 2.2 2.3 2.4 3.4 4.4 5.4 6.4 7.4"
    );
}

#[tokio::test]
async fn a_repeat_needs_the_same_bytes_user_and_model_within_fifteen_minutes() {
    let emulator =
        Emulator::start(Scenario::every_plan().stopped_at("2026-11-20T10:00:00")).await.unwrap();
    let units = |name: &str| emulator.control().account(name).unwrap().day_milli_units;
    one(&emulator, "pro", "a").await;
    one(&emulator, "plus", "a").await;
    assert_eq!((units("pro"), units("plus")), (1000, 1000));
    let key = Scenario::key("pro", 0);
    post(emulator.port(), CHAT, &key, &chat("acme/Slow", "a", false)).await;
    assert_eq!(units("pro"), 2000);
    emulator.control().advance(Duration::from_secs(899));
    one(&emulator, "pro", "a").await;
    assert_eq!(units("pro"), 2100);
    // The window slides with every repeat.
    emulator.control().advance(Duration::from_secs(899));
    one(&emulator, "pro", "a").await;
    assert_eq!(units("pro"), 2200);
    emulator.control().advance(Duration::from_secs(900));
    one(&emulator, "pro", "a").await;
    assert_eq!(units("pro"), 3200);
}

#[tokio::test]
async fn a_repeat_costs_a_tenth_of_the_caps() {
    let emulator =
        Emulator::start(Scenario::every_plan().stopped_at("2026-11-20T10:00:00")).await.unwrap();
    let cap = || emulator.control().account("pro").unwrap().four_hour_nano_usd;
    one(&emulator, "pro", "a").await;
    assert_eq!(cap(), CALL_NANO_USD);
    one(&emulator, "pro", "a").await;
    assert_eq!(cap(), CALL_NANO_USD + CALL_NANO_USD / 10);
}

#[tokio::test]
async fn the_day_ends_at_midnight_utc() {
    let scenario = Scenario::every_plan()
        .stopped_at("2026-11-20T23:59:59")
        .account(AccountSpec::new("full", PlanSpec::Base).used_units(300.0));
    let emulator = Emulator::start(scenario).await.unwrap();
    let refused = one(&emulator, "full", "a").await;
    assert_eq!(refused.status, 402);
    let detail = &refused.json()["detail"];
    assert_eq!(detail["quota_reset_timestamp"], "2026-11-21T00:00:00+00:00");
    assert!(detail["message"].as_str().unwrap().starts_with(
        "Quota exceeded and account balance is $0.0, please pay with fiat or send tao to 5fullPay"
    ));
    emulator.control().advance(Duration::from_secs(1));
    assert_eq!(used(&emulator, "full").await, 0.0);
    let answer = one(&emulator, "full", "a").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("date"), Some("Sat, 21 Nov 2026 00:00:00 GMT"));
    assert_eq!(answer.header("x-chutes-quota-used"), Some("0"));
}

#[tokio::test]
async fn the_last_fraction_of_a_quota_still_passes() {
    let scenario = Scenario::every_plan()
        .account(AccountSpec::new("nearly", PlanSpec::Base).used_units(299.9))
        .account(AccountSpec::new("over", PlanSpec::Base).used_units(300.9));
    let emulator = Emulator::start(scenario).await.unwrap();
    assert_eq!(one(&emulator, "nearly", "a").await.status, 200);
    assert_eq!(used(&emulator, "nearly").await, 300.9);
    assert_eq!(one(&emulator, "over", "a").await.status, 402);
}

#[tokio::test]
async fn four_hour_buckets_are_fixed_and_a_call_books_where_it_ends() {
    let scenario = Scenario::every_plan()
        .stopped_at("2026-11-20T11:59:59")
        .account(AccountSpec::new("capped", PlanSpec::Base).used_usd(1.25, 2.0))
        .account(AccountSpec::new("spender", PlanSpec::Base).used_usd(1.0, 2.0));
    let emulator = Emulator::start(scenario).await.unwrap();
    let refused = one(&emulator, "capped", "a").await;
    assert_eq!(refused.status, 402);
    assert_eq!(
        refused.detail(),
        "Subscription usage cap exceeded. Please add balance to continue."
    );
    // A stream that is running over the edge counts behind it.
    let key = format!("Bearer {}", Scenario::key("spender", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat("acme/Slow", "a", true).to_string();
    connection.send("POST", CHAT, &[("authorization", &key)], body.as_bytes()).await;
    connection.events(1).await;
    emulator.control().advance(Duration::from_secs(1));
    assert_eq!(connection.answer(false).await.unwrap().status, 200);
    let spender = emulator.control().account("spender").unwrap();
    assert!(spender.four_hour_nano_usd > 0 && spender.four_hour_nano_usd < 1_000_000);
    assert!(spender.month_nano_usd > 2_000_000_000);
    assert_eq!(one(&emulator, "capped", "b").await.status, 200);
    let body = windows(&emulator, "capped").await;
    assert_eq!(body["four_hour"]["reset_at"], "2026-11-20T16:00:00+00:00");
    assert_eq!(body["four_hour"]["usage"], 0.0003);
}

#[tokio::test]
async fn the_month_is_anchored_clamped_and_does_not_roll_by_itself() {
    let scenario = Scenario::every_plan()
        .stopped_at("2026-11-20T11:00:00")
        .account(
            AccountSpec::new("old", PlanSpec::Plus)
                .anchor("2026-01-31T23:00:00")
                .used_usd(0.0, 50.0),
        )
        .account(AccountSpec::new("custom", PlanSpec::CustomPlus).used_usd(0.0, 500.0));
    let emulator = Emulator::start(scenario).await.unwrap();
    let body = windows(&emulator, "old").await;
    assert_eq!(body["monthly"]["reset_at"], "2026-02-28T23:00:00+00:00");
    assert_eq!(body["effective_date"], "2026-01-31T23:00:00");
    assert_eq!(one(&emulator, "old", "a").await.status, 402);
    assert_eq!(one(&emulator, "custom", "a").await.status, 200);
    let change = AccountChange {
        anchor: Some("2026-11-20T10:00:00".to_owned()),
        ..AccountChange::default()
    };
    emulator.control().change_account("old", change).unwrap();
    let body = windows(&emulator, "old").await;
    assert_eq!(body["monthly"]["reset_at"], "2026-12-20T10:00:00+00:00");
    assert_eq!(body["monthly"]["usage"], 0.0);
    assert_eq!(one(&emulator, "old", "a").await.status, 200);
}

#[tokio::test]
async fn with_balance_the_slide_to_pay_as_you_go_is_silent() {
    let scenario = Scenario::every_plan()
        .account(AccountSpec::new("over", PlanSpec::Base).used_units(300.0).balance_usd(0.0005))
        .account(AccountSpec::new("capped", PlanSpec::Base).used_usd(1.3, 2.0).balance_usd(1.0));
    let emulator = Emulator::start(scenario).await.unwrap();
    let within = one(&emulator, "pro", "a").await;
    for text in ["a", "b"] {
        let paid = one(&emulator, "over", text).await;
        assert_eq!(paid.status, 200);
        let names = |answer: &RawAnswer| -> Vec<String> {
            answer.headers.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&paid), names(&within));
        assert_eq!(paid.header("x-chutes-quota-used"), Some("300"));
        assert_eq!(paid.header("x-chutes-quota-remaining"), Some("0"));
    }
    let over = emulator.control().account("over").unwrap();
    assert_eq!(over.paid_nano_usd, 2 * CALL_NANO_USD);
    assert_eq!(over.day_milli_units, 300_000);
    assert_eq!(over.balance_nano_usd, -100_000);
    let refused = one(&emulator, "over", "c").await;
    assert_eq!(refused.status, 402);
    assert!(refused.text().contains("account balance is $-0.0001,"));
    assert_eq!(one(&emulator, "capped", "a").await.status, 200);
    assert_eq!(emulator.control().account("capped").unwrap().paid_nano_usd, CALL_NANO_USD);
}

#[tokio::test]
async fn a_repeat_is_no_cheaper_from_the_balance() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    one(&emulator, "paygo-rich", "a").await;
    one(&emulator, "paygo-rich", "a").await;
    let account = emulator.control().account("paygo-rich").unwrap();
    assert_eq!((account.paid_nano_usd, account.day_milli_units), (2 * CALL_NANO_USD, 0));
}

#[tokio::test]
async fn each_plan_is_let_in_or_refused_as_recorded() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let plain = "deepseek-ai/DeepSeek-V3-Plain";
    let table = [
        ("paygo", MODEL, 402),
        ("paygo-rich", MODEL, 200),
        ("legacy", plain, 200),
        ("legacy", MODEL, 402),
        ("norows", plain, 200),
        ("norows", MODEL, 402),
        ("other1000", MODEL, 200),
        ("free", MODEL, 200),
        ("invoiced", MODEL, 200),
        ("custom301", MODEL, 200),
    ];
    for (name, model, status) in table {
        let answer =
            post(emulator.port(), CHAT, &Scenario::key(name, 0), &chat(model, "a", false)).await;
        assert_eq!(answer.status, status, "{name} {model}");
        match name {
            "free" => assert_eq!(answer.header("x-chutes-quota-total"), None),
            "invoiced" => assert_eq!(answer.header("x-chutes-invoice-billing"), Some("true")),
            "legacy" if status == 402 => assert_eq!(
                answer.detail(),
                "TEE models require an active subscription or positive balance."
            ),
            "paygo" => assert!(answer.json()["detail"].get("quota_reset_timestamp").is_none()),
            _ => {}
        }
        assert_eq!(answer.header("retry-after"), None);
    }
}

#[tokio::test]
async fn free_models_end_after_a_hundred_calls_a_day() {
    let mut account = AccountSpec::new("hundred", PlanSpec::Base);
    account.free_calls = 99;
    let emulator = Emulator::start(Scenario::every_plan().account(account)).await.unwrap();
    let key = Scenario::key("hundred", 0);
    let call = async || post(emulator.port(), CHAT, &key, &chat("acme/Free-100", "a", false)).await;
    let last = call().await;
    assert_eq!((last.status, last.header("x-chutes-quota-total")), (200, None));
    let refused = call().await;
    assert_eq!(refused.status, 429);
    assert!(refused.detail().starts_with("Free models limit reached for today"));
    assert_eq!(emulator.control().account("hundred").unwrap().day_milli_units, 0);
}

#[tokio::test]
async fn a_chute_with_a_quota_of_its_own_has_its_own_counter() {
    let plain = "deepseek-ai/DeepSeek-V3-Plain";
    let scenario = Scenario::every_plan()
        .account(AccountSpec::new("own", PlanSpec::Base).chute_quota(plain, 1));
    let emulator = Emulator::start(scenario).await.unwrap();
    let key = Scenario::key("own", 0);
    let call = async |model: &str, text: &str| {
        post(emulator.port(), CHAT, &key, &chat(model, text, false)).await
    };
    let first = call(plain, "a").await;
    assert_eq!(first.header("x-chutes-quota-total"), Some("1"));
    assert_eq!(call(plain, "b").await.status, 402);
    assert_eq!(call(MODEL, "a").await.status, 200);
    assert_eq!(used(&emulator, "own").await, 1.0);
}

#[tokio::test]
async fn parallel_calls_overshoot_a_quota() {
    let scenario =
        Scenario::every_plan().account(AccountSpec::new("edge", PlanSpec::Base).used_units(299.0));
    let emulator = Emulator::start(scenario).await.unwrap();
    let bearer = format!("Bearer {}", Scenario::key("edge", 0));
    let mut connections = Vec::new();
    for at in 0..12 {
        let mut connection = RawConnection::open(emulator.port()).await;
        let body = chat("acme/Slow", &at.to_string(), true).to_string();
        connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
        connections.push(connection);
    }
    for mut connection in connections {
        assert_eq!(connection.answer(false).await.unwrap().status, 200);
    }
    let edge = emulator.control().account("edge").unwrap();
    assert_eq!(edge.day_milli_units, 311_000);
    assert_eq!((edge.in_flight, edge.max_in_flight), (0, 12));
}

#[tokio::test]
async fn inference_believes_an_old_balance_until_the_lag_is_over() {
    let lag = Lag { balance_seconds: 60.0, ..Lag::none() };
    let emulator =
        Emulator::start(Scenario::every_plan().lag(lag).stopped_at("2026-11-20T10:00:00"))
            .await
            .unwrap();
    assert_eq!(one(&emulator, "paygo", "a").await.status, 402);
    emulator.control().set_balance_usd("paygo", 5.0).unwrap();
    let key = Scenario::key("paygo", 0);
    let me = get(emulator.port(), "/users/me", Some(&key)).await.json();
    assert_eq!(me["balance"], 5.0);
    emulator.control().advance(Duration::from_secs(59));
    assert_eq!(one(&emulator, "paygo", "a").await.status, 402);
    emulator.control().advance(Duration::from_secs(1));
    assert_eq!(one(&emulator, "paygo", "a").await.status, 200);
}

#[tokio::test]
async fn cap_figures_lag_behind_the_truth() {
    let lag = Lag { cap_figures_seconds: 60.0, ..Lag::none() };
    let emulator =
        Emulator::start(Scenario::every_plan().lag(lag).stopped_at("2026-11-20T10:00:00"))
            .await
            .unwrap();
    one(&emulator, "pro", "a").await;
    assert_eq!(windows(&emulator, "pro").await["four_hour"]["usage"], 0.0);
    assert_eq!(emulator.control().account("pro").unwrap().four_hour_nano_usd, CALL_NANO_USD);
    emulator.control().advance(Duration::from_secs(60));
    assert_eq!(windows(&emulator, "pro").await["four_hour"]["usage"], 0.0003);
}

#[tokio::test]
async fn a_changed_quota_shows_after_the_lag() {
    let lag = Lag { quota_seconds: 60.0, ..Lag::none() };
    let emulator =
        Emulator::start(Scenario::every_plan().lag(lag).stopped_at("2026-11-20T10:00:00"))
            .await
            .unwrap();
    assert_eq!(one(&emulator, "paygo", "a").await.status, 402);
    let change = AccountChange { quota: Some(5000), ..AccountChange::default() };
    emulator.control().change_account("paygo", change).unwrap();
    assert_eq!(one(&emulator, "paygo", "a").await.status, 402);
    emulator.control().advance(Duration::from_secs(60));
    assert_eq!(one(&emulator, "paygo", "a").await.status, 200);
}
