//! The management side: who may read what, and the shapes of the answers.

use chutes_emulator::{AccountSpec, Emulator, PlanSpec, PriceOverride, Scenario};

use crate::raw::{CHAT, RawConnection, RawEnd, call, chat, get, post};

const HOT: &str = "deepseek-ai/DeepSeek-V3-Plain";

#[tokio::test]
async fn keys_are_told_apart_by_form_and_scope() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = Scenario::key("pro", 0);
    let unknown = Scenario::key("nobody", 0);
    let wrong_user = format!("{}.{}", &key[..36], &unknown[37..]);
    let cases: Vec<(Option<String>, u16, &str)> = vec![
        (None, 401, "Can't find a user with that api key in our db :("),
        (Some(String::new()), 401, "Can't find a user with that api key in our db :("),
        (Some(format!("Bearer {key}")), 200, ""),
        (Some(key.clone()), 200, ""),
        (Some(format!("Basic {key}")), 200, ""),
        (Some(format!("Bearer  {key}")), 200, ""),
        (Some(format!("Bearer\t{key}")), 401, "Missing or invalid authorization header(s)"),
        (Some("Bearer".into()), 401, "Missing or invalid authorization header(s)"),
        (Some("Bearer cpk_abc".into()), 401, "Missing or invalid authorization header(s)"),
        (Some("sk-abc".into()), 401, "Missing or invalid authorization header(s)"),
        (Some("Bearer sk-abcdef".into()), 401, "Invalid token."),
        (Some(format!("Bearer {unknown}")), 401, "Invalid token or user not found"),
        (Some(format!("Bearer {wrong_user}")), 401, "Invalid token or user not found"),
        (
            Some("Bearer cak_abc.def".into()),
            401,
            "Can't find a user with that api key in our db :(",
        ),
        (
            Some(format!("Bearer {}", Scenario::key("pro", 1))),
            401,
            "Invalid token or user not found",
        ),
    ];
    for (header, status, detail) in cases {
        let headers: Vec<(&str, &str)> =
            header.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = call(emulator.port(), "GET", "/users/me", &headers, b"").await.unwrap();
        assert_eq!(answer.status, status, "{header:?}");
        if status == 401 {
            assert_eq!(answer.detail(), detail, "{header:?}");
        }
    }
    let elsewhere = call(emulator.port(), "GET", "/users/me", &[("x-api-key", &key)], b"").await;
    assert_eq!(elsewhere.unwrap().status, 401);
}

#[tokio::test]
async fn lists_open_to_nobody_and_to_admins_but_not_to_invoke_keys() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let port = emulator.port();
    let keys = [
        None,
        Some(Scenario::key("pro", 0)),
        Some(Scenario::key("pro", 1)),
        Some(Scenario::key("pro", 2)),
    ];
    let table = [
        ("/v1/models", [200, 200, 200, 401]),
        ("/chutes/", [200, 200, 401, 401]),
        ("/chutes/Qwen/Qwen3-32B-TEE", [200, 200, 401, 401]),
        ("/chutes/utilization", [200, 200, 200, 200]),
        ("/invocations/stats/llm", [200, 200, 200, 200]),
        ("/pricing", [200, 200, 200, 200]),
        ("/ping", [200, 200, 200, 200]),
        ("/users/me", [401, 200, 401, 401]),
        ("/users/me/quotas", [401, 200, 401, 401]),
        ("/api_keys/", [401, 200, 401, 401]),
        ("/nothing/here", [401, 404, 401, 401]),
    ];
    for (path, statuses) in table {
        for (key, status) in keys.iter().zip(statuses) {
            let answer = get(port, path, key.as_deref()).await;
            assert_eq!(answer.status, status, "{path} {:?}", answer.text());
        }
    }
}

#[tokio::test]
async fn quotas_have_three_shapes_and_usage_reads_the_shared_counter() {
    let scenario = Scenario::every_plan().account(
        AccountSpec::new("perchute", PlanSpec::Pro).quota(5).chute_quota(HOT, 3).used_units(2.5),
    );
    let emulator = Emulator::start(scenario).await.unwrap();
    let port = emulator.port();
    let quotas = async |name: &str| {
        get(port, "/users/me/quotas", Some(&Scenario::key(name, 0))).await.json()
    };
    assert_eq!(quotas("pro").await[0]["quota"], 5000);
    assert_eq!(quotas("pro").await[0]["chute_id"], "*");
    assert_eq!(quotas("norows").await, serde_json::json!({"*": 200}));
    assert_eq!(quotas("free").await, serde_json::json!({}));
    assert_eq!(quotas("invoiced").await, serde_json::json!({}));
    assert_eq!(quotas("perchute").await.as_array().unwrap().len(), 2);
    assert_eq!(quotas("paygo").await[0]["is_default"], true);

    let usage = async |name: &str, id: &str| {
        let path = format!("/users/me/quota_usage/{id}");
        get(port, &path, Some(&Scenario::key(name, 0))).await.json()
    };
    assert_eq!(usage("perchute", "me").await, serde_json::json!({"quota": 5, "used": 2.5}));
    assert_eq!(usage("perchute", "*").await, serde_json::json!({"quota": 5, "used": 0.0}));
    assert_eq!(usage("perchute", "%2A").await, serde_json::json!({"quota": 5, "used": 0.0}));
    assert_eq!(
        usage("perchute", &Scenario::chute_id(HOT)).await,
        serde_json::json!({"quota": 3, "used": 0.0})
    );
    assert_eq!(usage("free", "me").await, serde_json::json!({"quota": "unlimited", "used": 0}));
    assert!(
        get(port, "/users/me/quota_usage/me", Some(&Scenario::key("pro", 0)))
            .await
            .text()
            .contains("\"used\":0.0")
    );
    for path in ["/users/me/quota_usage", "/users/me/quota_usage/", "/users/me/quota_usage/a/b"] {
        assert_eq!(get(port, path, Some(&Scenario::key("pro", 0))).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn subscription_usage_knows_each_plan() {
    let emulator =
        Emulator::start(Scenario::every_plan().stopped_at("2026-11-20T11:17:48")).await.unwrap();
    let table = [
        ("paygo", None),
        ("legacy", None),
        ("other1000", None),
        ("free", None),
        ("norows", None),
        ("base", Some((3.0, 1.25, Some(15.0)))),
        ("plus", Some((10.0, 4.166666666666666, Some(50.0)))),
        ("pro", Some((20.0, 8.333333333333332, Some(100.0)))),
        ("custom301", Some((3.0, 1.25, None))),
        ("custom2001", Some((10.0, 4.166666666666666, None))),
        ("custom5001", Some((20.0, 8.333333333333332, None))),
    ];
    for (name, expected) in table {
        let key = Scenario::key(name, 0);
        let body = get(emulator.port(), "/users/me/subscription_usage", Some(&key)).await.json();
        let Some((price, four_hour, month)) = expected else {
            assert_eq!(body, serde_json::json!({"subscription": false}), "{name}");
            continue;
        };
        assert_eq!(body["monthly_price"], price, "{name}");
        assert_eq!(body["four_hour"]["cap"], four_hour, "{name}");
        assert_eq!(body["four_hour"]["reset_at"], "2026-11-20T12:00:00+00:00");
        match month {
            Some(cap) => {
                assert_eq!(body["monthly"]["cap"], cap);
                assert_eq!(body["monthly"]["reset_at"], "2026-12-03T08:12:45.123456+00:00");
            }
            None => assert_eq!(body["monthly"], serde_json::json!({"uncapped": true})),
        }
        assert_eq!(body["custom"], month.is_none(), "{name}");
    }
}

#[tokio::test]
async fn usage_pages_by_hour_and_by_chute() {
    let emulator =
        Emulator::start(Scenario::every_plan().stopped_at("2026-11-20T11:30:00")).await.unwrap();
    let (port, key) = (emulator.port(), Scenario::key("paygo-rich", 0));
    post(port, CHAT, &key, &chat(HOT, "one", false)).await;
    post(port, CHAT, &key, &chat("Qwen/Qwen3-32B-TEE", "one", false)).await;
    emulator.control().set_time("2026-11-20T12:30:00").unwrap();
    post(port, CHAT, &key, &chat(HOT, "two", false)).await;
    let all = get(port, "/users/me/usage", Some(&key)).await.json();
    assert_eq!(all["total"], 2);
    assert_eq!(all["items"][0]["bucket"], "2026-11-20T12:00:00");
    assert_eq!(all["items"][0]["amount"], 0.74e-6);
    let each = get(port, "/users/me/usage?per_chute=true", Some(&key)).await.json();
    assert_eq!(each["total"], 3);
    assert_eq!(each["items"][0]["chute_id"], Scenario::chute_id(HOT));
    let page = get(port, "/users/me/usage?limit=1&page=1", Some(&key)).await.json();
    assert_eq!(page["items"][0]["bucket"], "2026-11-20T11:00:00");
    assert_eq!(page["items"][0]["count"], 2);
    let late = get(port, "/users/me/usage?start_date=2026-11-20T12:00:00", Some(&key)).await;
    assert_eq!(late.json()["total"], 1);
    let wrong = get(port, "/users/me/usage?limit=x", Some(&key)).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.json()["detail"][0]["type"], "int_parsing");
    assert_eq!(get(port, "/users/me/usage?start_date=yesterday", Some(&key)).await.status, 422);
    assert_eq!(get(port, "/users/them/usage", Some(&key)).await.status, 403);
}

#[tokio::test]
async fn an_unhandled_error_is_plain_text_and_ends_the_connection_unannounced() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let path = "/users/me/usage?start_date=2026-11-20T08:00:00Z";
    connection.send("GET", path, &[("authorization", &bearer)], b"").await;
    let answer = connection.answer(false).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("connection"), None);
    assert_eq!(connection.end().await, RawEnd::Closed);
    // Any other answer keeps the connection.
    let mut connection = RawConnection::open(emulator.port()).await;
    for _ in 0..2 {
        connection.send("GET", "/users/me", &[("authorization", &bearer)], b"").await;
        assert_eq!(connection.answer(false).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn discounts_and_overrides_are_listed_and_charged() {
    let mut account = AccountSpec::new("haggler", PlanSpec::Paygo).balance_usd(1.0);
    account.discounts.insert("*".into(), 0.1);
    account.price_overrides.push(PriceOverride {
        model: "Qwen/Qwen3-32B-TEE".into(),
        per_million_in: 1.0,
        per_million_out: 2.0,
        cache_discount: 0.9,
    });
    let emulator = Emulator::start(Scenario::every_plan().account(account)).await.unwrap();
    let (port, key) = (emulator.port(), Scenario::key("haggler", 0));
    let discounts = get(port, "/users/me/discounts", Some(&key)).await.json();
    assert_eq!(discounts[0]["discount"], 0.1);
    let overrides = get(port, "/users/me/price_overrides", Some(&key)).await.json();
    assert_eq!(overrides[0]["cache_discount"], 0.9);
    // 12 in at 0.02 and 5 out at 0.1 dollars a million, less a tenth: 666 nano-dollars.
    post(port, CHAT, &key, &chat(HOT, "a", false)).await;
    assert_eq!(emulator.control().account("haggler").unwrap().paid_nano_usd, 666);
    // The account's own price has no further discount: 1000 x 1 + 500 x 2 micro-dollars.
    post(port, CHAT, &key, &chat("Qwen/Qwen3-32B-TEE", "a", false)).await;
    assert_eq!(emulator.control().account("haggler").unwrap().paid_nano_usd, 2_000_666);
}

#[tokio::test]
async fn lists_filter_and_show_states() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let port = emulator.port();
    let all = get(port, "/chutes/?include_public=true&template=vllm&limit=1000", None).await.json();
    let find = |name: &str| {
        all["items"].as_array().unwrap().iter().find(|item| item["name"] == name).cloned()
    };
    assert_eq!(find("acme/Cold").unwrap()["hot"], false);
    assert_eq!(find("acme/Disabled").unwrap()["disabled"], true);
    assert_eq!(find("Qwen/Qwen3-32B-TEE").unwrap()["hot"], true);
    assert!(find("pro/Private").is_none());
    assert!(find("Qwen/Qwen3-Embedding-8B").is_none());
    let one = get(port, "/chutes/?limit=1&page=1", None).await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    assert_eq!(one["items"][0]["name"], HOT);
    assert_eq!(get(port, "/chutes/?name=QWEN3-32", None).await.json()["total"], 1);
    assert_eq!(get(port, "/chutes/?template=foo", None).await.json()["total"], 0);
    assert_eq!(get(port, "/chutes/?page=1&offset=5", None).await.status, 400);
    assert_eq!(get(port, "/chutes/?limit=5001", None).await.status, 422);
    let private = format!("/chutes/{}", Scenario::chute_id("pro/Private"));
    assert_eq!(get(port, &private, None).await.status, 404);
    assert_eq!(get(port, &private, Some(&Scenario::key("pro", 0))).await.status, 200);
    assert_eq!(get(port, "/chutes/Qwen%2FQwen3-32B-TEE", None).await.status, 200);
    assert_eq!(get(port, "/chutes/qwen/qwen3-32b-tee", None).await.status, 404);
    let models = get(port, "/v1/models", None).await.json();
    assert_eq!(models["data"][0]["pricing"]["prompt"], 0.1);
    assert_eq!(models["data"][0]["confidential_compute"], true);
    let rows = get(port, "/chutes/utilization", None).await.json();
    let private = rows.as_array().unwrap().iter().filter(|row| row["name"] == "[private chute]");
    assert_eq!(private.count(), 1);
}
