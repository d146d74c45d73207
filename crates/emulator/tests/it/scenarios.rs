//! Scenario files, made-up catalogues, and that two runs are alike.

use std::collections::BTreeSet;

use chutes_emulator::{
    AccountSpec, Catalogue, Emulator, Fault, FaultKind, ModelSpec, PlanSpec, PriceOverride,
    Running, Scenario, StateSpec, TokenSpec, TryOutcome, UsageHistory, UsageRowSpec,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::raw::{CHAT, RawConnection, chat, get};

const EXAMPLE: &str = include_str!("../../scenarios/example.toml");
const PAGE: &str = include_str!("../../SCENARIOS.md");

fn keys(value: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_key_and_word_of_a_scenario_is_on_the_page() {
    let fault = Fault {
        count: Some(1),
        seconds: Some(1.0),
        begins_after_seconds: Some(1.0),
        probability: Some(1.0),
        after_chunks: Some(1),
        after_bytes: Some(1),
        delay_ms: Some(1),
        text: Some(String::new()),
        ..Fault::instances(&[TryOutcome::Ok])
    };
    let row = UsageRowSpec {
        at: String::new(),
        model: String::new(),
        count: 0,
        input_tokens: 0,
        output_tokens: 0,
        amount_usd: 0.0,
    };
    let price = PriceOverride {
        model: String::new(),
        per_million_in: 0.0,
        per_million_out: 0.0,
        cache_discount: 0.0,
    };
    let mut all = keys(&Scenario::empty());
    all.extend(keys(&chutes_emulator::Lag::none()));
    all.extend(keys(&AccountSpec::default()));
    all.extend(keys(&ModelSpec::default()));
    all.extend(keys(&fault));
    all.extend(keys(&row));
    all.extend(keys(&price));
    all.extend(keys(&UsageHistory::default()));
    all.extend(keys(&TokenSpec::default()));
    all.extend(keys(&Catalogue::default()));
    let is_there = |key: &String| {
        [format!("`{key}`"), format!("[{key}]"), format!("[[{key}]]")]
            .iter()
            .any(|form| PAGE.contains(form.as_str()))
    };
    let missing: Vec<&String> = all.iter().filter(|key| !is_there(key)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

#[tokio::test]
async fn the_example_runs() {
    let scenario = Scenario::from_toml(EXAMPLE).unwrap();
    let emulator = Emulator::start(scenario).await.unwrap();
    let models = get(emulator.port(), "/v1/models", None).await.json();
    assert!(models["data"].as_array().unwrap().len() > 40);
    let key = Scenario::key("alice", 1);
    let answer =
        crate::raw::post(emulator.port(), CHAT, &key, &chat("quick", "hi", false)).await.json();
    assert_eq!(answer["model"], "openai/gpt-oss-20b");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let said = |text: &str| Scenario::from_toml(text).unwrap_err().to_string();
    let wrong = said("[[accounts]]\nname = \"a\"\nbalanc_usd = 1.0\n");
    assert!(wrong.contains("did you mean `balance_usd`?"), "{wrong}");
    assert!(wrong.contains("line 3"), "{wrong}");
    let wrong = said("[[accounts]]\nname = \"a\"\nplan = \"proo\"\n");
    assert!(wrong.contains("did you mean `pro`?"), "{wrong}");
    let far = said("xyzzyqwerty = 1\n");
    assert!(!far.contains("did you mean"), "{far}");
}

#[tokio::test]
async fn a_made_up_catalogue_of_thousands_lists_quickly_and_is_mixed() {
    let scenario = Scenario::empty().stopped_at("2026-11-20T11:00:00").generated(5000);
    let emulator = Emulator::start(scenario).await.unwrap();
    let chutes = get(emulator.port(), "/chutes/?include_public=true&limit=5000", None).await.json();
    let items = chutes["items"].as_array().unwrap();
    assert_eq!(items.len(), 5000);
    let hot = items.iter().filter(|item| item["hot"] == true).count();
    assert!((2500..4000).contains(&hot), "{hot} hot");
    let tee = items.iter().filter(|item| item["tee"] == true).count();
    assert!((800..900).contains(&tee), "{tee} confidential");
    let names: BTreeSet<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(names.len(), 5000, "every name once");
    assert!(items.iter().any(|item| item["disabled"] == true));

    let few = Catalogue { generated: 10, ..Catalogue::default() }.models(1);
    let many = Catalogue { generated: 1000, ..Catalogue::default() }.models(1);
    assert_eq!(few[..], many[..10]);
    assert_ne!(few[0], Catalogue { generated: 1, ..Catalogue::default() }.models(2)[0]);
}

/// A list of requests that meets chance in every form.
async fn answers(emulator: &Running) -> Vec<String> {
    let key = format!("Bearer {}", Scenario::key("pro", 0));
    let headers = [("authorization", key.as_str())];
    let mut texts = Vec::new();
    let mut ask = async |method: &str, path: &str, body: &Value| {
        let mut connection = RawConnection::open(emulator.port()).await;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        connection.send(method, path, &headers, body.as_bytes()).await;
        let answer = connection.answer(false).await.unwrap();
        texts.push(format!("{} {:?} {}", answer.status, answer.headers, answer.text()));
    };
    for round in 0..12 {
        for model in ["acme/Busy", "acme/Chancy", "acme/Busy,acme/Chancy:latency"] {
            let body = chat(model, &format!("round {round}"), round % 2 == 0);
            ask("POST", CHAT, &body).await;
        }
    }
    let key = json!({"name": "made", "admin": false});
    ask("POST", "/api_keys/", &key).await;
    for path in [
        "/users/me",
        "/users/me/usage?per_chute=true&limit=1000",
        "/users/me/subscription_usage",
        "/users/me/quota_usage/me",
        "/v1/models",
        "/chutes/?limit=100",
        "/chutes/utilization",
        "/invocations/stats/llm",
        "/invocations/usage",
        "/api_keys/",
        "/bounties/",
    ] {
        ask("GET", path, &Value::Null).await;
    }
    let path = format!("/e2e/instances/{}", Scenario::chute_id("acme/Chancy"));
    ask("GET", &path, &Value::Null).await;
    texts
}

fn chancy(seed: u64) -> Scenario {
    let fault = |kind| Fault::new(kind).with_probability(0.3);
    Scenario { seed, ..Scenario::empty() }
        .stopped_at("2026-11-20T11:00:00")
        .generated(30)
        .account(AccountSpec::new("pro", PlanSpec::Pro).used_for_hours(24))
        .model(ModelSpec::new("acme/Busy").state(StateSpec::Busy))
        .model(
            ModelSpec::new("acme/Chancy")
                .fault(fault(FaultKind::ServerError))
                .fault(Fault::instances(&[TryOutcome::Failed]).with_probability(0.2))
                .fault(fault(FaultKind::BareJsonError)),
        )
}

#[tokio::test]
async fn one_seed_and_one_list_of_requests_give_the_same_bytes() {
    let first = answers(&Emulator::start(chancy(5)).await.unwrap()).await;
    let second = answers(&Emulator::start(chancy(5)).await.unwrap()).await;
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one, other);
    }
    let other = answers(&Emulator::start(chancy(6)).await.unwrap()).await;
    assert_ne!(first, other, "another seed, other answers");
}
