//! `/v1/quota-stats`, read field by field as the quota viewer of LLM-API-Key-Proxy reads it.

use crate::budget::check;
use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat};
use chutes_emulator::{AccountSpec, KeyKind, PlanSpec, Scenario};
use http::StatusCode;
use serde_json::{Value, json};

fn stats(answered: &Answered) -> Value {
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let stats = answered.json();
    check("gateway-quota-stats", &stats);
    stats
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn number_or_null(value: &Value) {
    assert!(value.is_null() || value.is_number(), "{value}");
}

/// What the viewer's overview reads, with the arithmetic it does.
fn read_overview(stats: &Value) {
    number(&stats["timestamp"]);
    for name in ["summary", "global_summary"] {
        let summary = &stats[name];
        for field in ["total_credentials", "total_requests"] {
            number(&summary[field]);
        }
        let tokens = &summary["tokens"];
        assert!(number(&tokens["input_cached"]) + number(&tokens["input_uncached"]) >= 0.0);
        number(&tokens["output"]);
        number_or_null(&summary["approx_total_cost"]);
    }
    for provider in stats["providers"].as_object().unwrap().values() {
        for field in ["credential_count", "active_count", "exhausted_count", "total_requests"] {
            number(&provider[field]);
        }
        for source in [provider, &provider["global"]] {
            number(&source["total_requests"]);
            for field in ["input_cached", "input_uncached", "input_cache_pct", "output"] {
                number(&source["tokens"][field]);
            }
            number_or_null(&source["approx_cost"]);
        }
        for group in provider["quota_groups"].as_object().unwrap().values() {
            let tiers = group["tiers"].as_object().unwrap();
            for field in ["exhausted_count", "total_count"] {
                number(&group["fair_cycle_summary"][field]);
            }
            for window in group["windows"].as_object().unwrap().values() {
                let (used, left) =
                    (number(&window["total_used"]), number(&window["total_remaining"]));
                assert!(used >= 0.0 && left <= number(&window["total_max"]));
                number_or_null(&window["remaining_pct"]);
                for (tier, available) in window["tier_availability"].as_object().unwrap() {
                    number(&tiers[tier]["priority"]);
                    assert!(number(&available["available"]) <= number(&available["total"]));
                    assert!(!tier.is_empty(), "its first letter is shown");
                }
            }
        }
    }
}

/// What the viewer's page of a provider reads.
fn read_details(stats: &Value) {
    for credential in stats["providers"]["chutes"]["credentials"].as_array().unwrap() {
        assert!(credential["identifier"].is_string() && credential["email"].is_string());
        assert!(credential["tier"].is_string() || credential["tier"].is_null());
        let status = credential["status"].as_str().unwrap();
        assert!(["active", "cooldown", "exhausted", "mixed"].contains(&status), "{status}");
        for cooldown in credential["cooldowns"].as_object().unwrap().values() {
            number(&cooldown["remaining_seconds"]);
            assert!(cooldown["reason"].is_string() && cooldown["source"].is_string());
        }
        for totals in [&credential["totals"], &credential["global"]] {
            read_totals(totals);
        }
        for usage in credential["model_usage"].as_object().unwrap().values() {
            read_totals(&usage["totals"]);
        }
        for group in credential["group_usage"].as_object().unwrap().values() {
            assert_eq!(group["models"], json!(["chutes/_quota"]));
            assert_eq!(group["fair_cycle_exhausted"], false);
            assert!(group["custom_cap"].is_null());
            number_or_null(&group["cooldown_remaining"]);
            for window in group["windows"].as_object().unwrap().values() {
                let used = number(&window["request_count"]);
                // It divides by the limit, and shows what is left.
                if let Some(limit) = window["limit"].as_f64() {
                    assert!(limit > 0.0 && number(&window["remaining"]) <= limit && used >= 0.0);
                }
                number_or_null(&window["reset_at"]);
                assert!(window["max_recorded_requests"].is_null());
            }
        }
    }
}

fn read_totals(totals: &Value) {
    for field in ["request_count", "prompt_tokens", "prompt_tokens_cache_read", "output_tokens"] {
        number(&totals[field]);
    }
    number(&totals["approx_cost"]);
    number_or_null(&totals["last_used_at"]);
}

#[tokio::test]
async fn every_field_that_the_viewer_reads_is_there() {
    let mut plan = Plan::new().and_second();
    plan.scenario.accounts[1] =
        AccountSpec::new("second", PlanSpec::Base).used_units(100.0).used_usd(0.5, 3.0);
    let world = plan.start().await;
    for model in [MODEL, MODEL, OTHER_MODEL] {
        assert_eq!(world.chat(&chat(model)).await.status, StatusCode::OK);
    }
    world.wait_until_idle().await;
    let answered = world.get("/v1/quota-stats").await;
    let stats = stats(&answered);
    read_overview(&stats);
    read_details(&stats);
    assert_eq!(stats["data_source"], "cache");
    assert!(stats.get("refresh_result").is_none());
    let chutes = &stats["providers"]["chutes"];
    assert_eq!((&chutes["credential_count"], &chutes["total_requests"]), (&2.into(), &3.into()));
    assert!(number(&chutes["tokens"]["output"]) > 0.0 && number(&chutes["approx_cost"]) > 0.0);
    let daily = &chutes["quota_groups"]["chutes_global"]["windows"]["daily"];
    let sums = (number(&daily["total_max"]), number(&daily["total_used"]));
    assert_eq!(sums, (5_300.0, 102.1), "the second body is a repeat");
    assert_eq!(number(&daily["remaining_pct"]), 98.1);
    assert_eq!(daily["tier_availability"]["pro"], json!({"total": 1, "available": 1}));
    assert_eq!(chutes["quota_groups"]["chutes_4h_usd"]["windows"]["4h"]["total_max"], 9.58);
    let labels: Vec<&str> = chutes["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|credential| credential["identifier"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["first", "second"]);
    for key in [Scenario::key("first", 0), Scenario::key("second", 0)] {
        assert!(!answered.text().contains(&key));
    }
}

#[tokio::test]
async fn what_is_not_known_is_left_out_and_what_is_used_up_says_so() {
    let mut plan = Plan::new().and_second();
    plan.scenario.accounts = vec![
        AccountSpec::new("first", PlanSpec::Pro).keys(&[KeyKind::Invoke]),
        AccountSpec::new("second", PlanSpec::Base).used_units(300.0),
    ];
    let world = plan.start().await;
    let stats = stats(&world.get("/v1/quota-stats?provider=chutes").await);
    read_overview(&stats);
    read_details(&stats);
    let credentials = &stats["providers"]["chutes"]["credentials"];
    assert_eq!(
        (&credentials[0]["status"], &credentials[0]["tier"]),
        (&"active".into(), &Value::Null)
    );
    assert_eq!(credentials[0]["group_usage"], json!({}));
    assert_eq!(
        (&credentials[1]["status"], &credentials[1]["tier"]),
        (&"exhausted".into(), &"base".into())
    );
    let day = &credentials[1]["group_usage"]["chutes_global"];
    assert_eq!(day["windows"]["daily"]["remaining"], 0.0);
    assert!(number(&day["cooldown_remaining"]) > 0.0);
    let nobody = world.get("/v1/quota-stats?provider=openai").await.json();
    assert_eq!(nobody["providers"], json!({}));
}

fn readings(world: &World) -> usize {
    world.control().log().iter().filter(|entry| entry.path == "/users/me").count()
}

#[tokio::test]
async fn a_refresh_reads_the_accounts_but_never_twice_in_ten_seconds() {
    let world = World::start().await;
    let before = readings(&world);
    let post = |body: Value| world.post("/v1/quota-stats", body.to_string());
    let reload = stats(&post(json!({"action": "reload", "scope": "all"})).await);
    let result = &reload["refresh_result"];
    assert_eq!((&result["action"], &result["success"]), (&"reload".into(), &true.into()));
    assert!(result["duration_ms"].is_u64() && reload["data_source"] == "refreshed");
    for body in [
        json!({"action": "force_refresh", "scope": "all"}),
        json!({"action": "force_refresh", "scope": "provider", "provider": "chutes"}),
        json!({"action": "force_refresh", "scope": "credential", "provider": "chutes", "credential": "first"}),
    ] {
        let forced = stats(&post(body).await);
        read_overview(&forced);
        let result = &forced["refresh_result"];
        assert_eq!((&result["credentials_refreshed"], &result["errors"]), (&1.into(), &json!([])));
    }
    assert_eq!(readings(&world), before, "the figures are younger than ten seconds");
    let other = stats(
        &post(json!({"action": "force_refresh", "scope": "provider", "provider": "openai"})).await,
    );
    assert_eq!(other["refresh_result"]["credentials_refreshed"], 0);
}

#[tokio::test]
async fn a_refresh_that_cannot_be_read_says_what_is_wrong() {
    let world = World::start().await;
    for (body, told) in [
        ("[]", "JSON object"),
        ("{\"action\":\"delete\"}", "reload or force_refresh"),
        ("{\"scope\":\"world\"}", "all, provider or credential"),
        ("{\"scope\":\"provider\"}", "`provider` is needed"),
        ("{\"scope\":\"credential\",\"provider\":\"chutes\"}", "`credential` is needed"),
    ] {
        let answered = world.post("/v1/quota-stats", body.to_owned()).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answered.text().contains(told), "{}", answered.text());
    }
    let plain = http::Request::post("/v1/quota-stats").body("{}".into()).unwrap();
    assert_eq!(world.send(plain).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
