//! Client keys with a share: dollars, requests, pace, how many at once, which models, how urgent, until when.

use crate::world::{MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use bytes::Bytes;
use chutes_emulator::{AccountSpec, Emulator, Fault, FaultKind, ModelSpec, PlanSpec, Scenario};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_gateway::ProviderConfig;
use ripcord_rules::route::Place;
use ripcord_store::{
    ClientKey, ClientKeys as _, ClientPaygo, ClientPriority, ClientRules, ClientShare, Ledger as _,
    MemoryLedger,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const CENT: i64 = 10_000_000;

fn key(name: &str, rules: ClientRules) -> ClientKey {
    ClientKey::new(name, &format!("rip_{name}"), rules, 0)
}

fn with_share(share: ClientShare) -> ClientRules {
    ClientRules { share, ..ClientRules::default() }
}

fn ledger_with(keys: impl IntoIterator<Item = ClientKey>) -> Arc<MemoryLedger> {
    let ledger = Arc::new(MemoryLedger::default());
    keys.into_iter().for_each(|key| ledger.add_client_key(key).unwrap());
    ledger
}

fn plan_with(keys: impl IntoIterator<Item = ClientKey>) -> Plan {
    Plan { ledger: ledger_with(keys), ..Plan::new() }
}

fn asked_by(name: &str, body: &Value) -> Request<Bytes> {
    let mut request = post("/v1/chat/completions", body.to_string());
    let bearer = format!("Bearer rip_{name}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}

fn wall_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// What `/-/status` says of the only client key.
async fn client(world: &World) -> Value {
    world.status_report().await["clients"][0].clone()
}

#[tokio::test]
async fn a_budget_is_reserved_before_and_settled_after() {
    // Ten tokens in and twelve out at 0.2 and 0.8 dollars a million: 11.6 millionths of a dollar a call.
    let share = ClientShare { daily_nano_usd: Some(CENT), ..ClientShare::default() };
    let world = plan_with([key("app", with_share(share))]).start().await;
    let answered = world.send(asked_by("app", &chat(MODEL))).await;
    assert_eq!(answered.status, StatusCode::OK);
    let told = client(&world).await;
    assert_eq!((&told["client_key"], &told["requests_today"]), (&"app".into(), &1.into()));
    let used = told["used_today_usd"].as_f64().unwrap();
    assert!(used > 0.0 && used < 0.001, "{told}");
    assert_eq!(told["used_this_month_usd"], told["used_today_usd"]);
    assert_eq!(told["reserved_usd"], 0.0);
    // A call that may cost more than is left is refused with what to do about it.
    let mut large = chat(MODEL);
    large["max_tokens"] = 1_000_000.into();
    let refused = world.send(asked_by("app", &large)).await;
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned(), "false"));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("$0.01 a day") && message.contains("max_tokens"), "{message}");
    assert_eq!(world.upstream_calls().len(), 1);
    world.wait_until_idle().await;
    assert_eq!(client(&world).await["requests_today"], 1, "what was not sent does not count");
}

#[tokio::test]
async fn a_budget_that_is_used_up_says_when_it_is_new() {
    let share = ClientShare { daily_nano_usd: Some(1_000), ..ClientShare::default() };
    let ledger = ledger_with([key("app", with_share(share))]);
    let plan = Plan { ledger: Arc::clone(&ledger), ..Plan::new() };
    let mut small = chat(MODEL);
    small["max_tokens"] = 1.into();
    small["messages"][0]["content"] = "x".into();
    // The server says more than was asked for, so the first call uses up what there is.
    let mut world = plan.start().await;
    let mut refused = None;
    for _ in 0..5 {
        let answered = world.send(asked_by("app", &small)).await;
        if answered.status != StatusCode::OK {
            refused = Some(answered);
            break;
        }
    }
    let refused = refused.expect("a thousandth of a millionth of a dollar is soon spent");
    assert_eq!(refused.refusal().0, 402);
    let error = &refused.json()["error"];
    assert_eq!((&error["code"], &error["window"]), (&"budget_exhausted".into(), &"day".into()));
    world.gateway.take().unwrap().shutdown().await;
}

#[tokio::test]
async fn what_was_used_before_a_restart_still_counts() {
    let share = ClientShare {
        daily_requests: Some(2),
        monthly_nano_usd: Some(100 * CENT),
        ..ClientShare::default()
    };
    let ledger = ledger_with([key("app", with_share(share))]);
    let start = || Plan { ledger: Arc::clone(&ledger), ..Plan::new() }.start();
    let mut first = start().await;
    let answered = first.send(asked_by("app", &chat(MODEL))).await;
    assert_eq!(answered.status, StatusCode::OK);
    first.story(&answered).await;
    let before = client(&first).await;
    first.gateway.take().unwrap().shutdown().await;
    let second = start().await;
    let after = client(&second).await;
    assert_eq!(before["requests_today"], after["requests_today"]);
    assert_eq!(before["used_this_month_usd"], after["used_this_month_usd"]);
    assert_eq!(second.send(asked_by("app", &chat(MODEL))).await.status, StatusCode::OK);
    let refused = second.send(asked_by("app", &chat(MODEL))).await;
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned(), "false"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(refused.json()["error"]["reset_at"].as_str().unwrap().contains("T00:00:00"));
}

#[tokio::test]
async fn a_call_waits_while_others_of_its_key_may_leave_room() {
    let mut plan = Plan::new();
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(0.2, 0.8, 0.1).pace(150, 0.0).tokens(10, 12);
    // Room for one call at what it may cost (a million tokens at 0.8 dollars), not for two at once.
    let share = ClientShare { daily_nano_usd: Some(100 * CENT), ..ClientShare::default() };
    plan.ledger = ledger_with([key("app", with_share(share))]);
    let world = plan.start().await;
    let mut large = chat(MODEL);
    large["max_tokens"] = 1_000_000.into();
    let (one, other) =
        tokio::join!(world.send(asked_by("app", &large)), world.send(asked_by("app", &large)),);
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    // One after the other: the gateway has five slots.
    let calls = world.upstream_calls();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.account_in_flight == 1), "{calls:?}");
    world.wait_until_idle().await;
    assert_eq!(client(&world).await["reserved_usd"], 0.0);
}

#[tokio::test]
async fn a_pace_is_kept_and_says_when_to_come_back() {
    let share = ClientShare { requests_per_minute: Some(2), ..ClientShare::default() };
    let world = plan_with([key("app", with_share(share))]).start().await;
    for _ in 0..2 {
        assert_eq!(world.send(asked_by("app", &chat(MODEL))).await.status, StatusCode::OK);
    }
    let refused = world.send(asked_by("app", &chat(MODEL))).await;
    assert_eq!(refused.refusal(), (429, "rate_limit_exceeded".to_owned(), "true"));
    let wait = refused.header("retry-after").parse::<u64>().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.header("cache-control"), "no-store");
    let story = world.story(&refused).await;
    let row = story.request.unwrap();
    assert_eq!((row.client_key.as_deref(), row.attempt_count), (Some("app"), 0));
    assert_eq!(world.upstream_calls().len(), 2);
}

#[tokio::test]
async fn so_many_at_once_until_an_answer_is_over() {
    let mut plan = Plan::new();
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(0.2, 0.8, 0.1).pace(0, 5.0).tokens(10, 40);
    let share = ClientShare { concurrent_requests: Some(1), ..ClientShare::default() };
    plan.ledger =
        ledger_with([key("app", with_share(share)), key("other", ClientRules::default())]);
    let world = plan.start().await;
    // A stream that has begun and is not over.
    let mut stream = world.open(asked_by("app", &streamed(MODEL))).await.into_body();
    stream.frame().await.unwrap().unwrap();
    let refused = world.send(asked_by("app", &chat(OTHER_MODEL))).await;
    assert_eq!(refused.refusal(), (429, "rate_limit_exceeded".to_owned(), "true"));
    assert_eq!(world.send(asked_by("other", &chat(OTHER_MODEL))).await.status, StatusCode::OK);
    // A client that leaves gives its place back.
    drop(stream);
    world
        .wait_for("the place given back", || async {
            client(&world).await["requests_under_way"] == 0
        })
        .await;
    assert_eq!(world.send(asked_by("app", &chat(OTHER_MODEL))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_its_models_whatever_they_are_called() {
    let mut rules = ClientRules { models: vec!["*/writer-*".to_owned()], ..ClientRules::default() };
    let narrow = key("narrow", rules.clone());
    rules.models = vec!["private/Named".to_owned()];
    let world = plan_with([narrow, key("named", rules)]).start().await;
    assert_eq!(world.send(asked_by("narrow", &chat(MODEL))).await.status, StatusCode::OK);
    // A plain older name stands for its twin.
    let old_name = MODEL.strip_suffix("-TEE").unwrap();
    for allowed in [format!("chutes/{MODEL}"), format!("{MODEL}:THINKING"), old_name.to_owned()] {
        let answered = world.send(asked_by("narrow", &chat(&allowed))).await;
        assert_ne!(answered.status, StatusCode::FORBIDDEN, "{allowed}");
    }
    let sent = world.upstream_calls().len();
    for forbidden in [
        OTHER_MODEL.to_owned(),
        format!("{MODEL},{OTHER_MODEL}:latency"),
        format!("{OTHER_MODEL}:THINKING"),
        // Nobody knows what it stands for, though it looks like what is allowed.
        "mine/writer-x".to_owned(),
    ] {
        let refused = world.send(asked_by("narrow", &chat(&forbidden))).await;
        assert_eq!(refused.refusal(), (403, "not_allowed".to_owned(), "false"), "{forbidden}");
        let error = &refused.json()["error"];
        assert_eq!(error["param"], "model");
        assert!(error["message"].as_str().unwrap().contains("`*/writer-*`"), "{error}");
    }
    assert_eq!(world.upstream_calls().len(), sent);
    // Word for word, it is what whoever made the key meant.
    let unknown = world.send(asked_by("named", &chat("private/Named"))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(world.send(asked_by("named", &chat(MODEL))).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_bearer_is_shown_its_models_only() {
    let rules = ClientRules { models: vec!["acme/Sketch*".to_owned()], ..ClientRules::default() };
    let keys = [key("narrow", rules), key("wide", ClientRules::default())];
    let world = plan_with(keys).start().await;
    let ask = async |name: &str, path: &str| {
        let bearer = format!("Bearer rip_{name}");
        let request = Request::get(path).header("authorization", bearer).body(Bytes::new());
        world.send(request.unwrap()).await
    };
    let listed = async |name: &str| -> Vec<String> {
        let list = ask(name, "/v1/models").await.json();
        assert_eq!(list["object"], "list");
        let ids = list["data"].as_array().unwrap().iter();
        ids.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("narrow").await, [OTHER_MODEL]);
    assert_eq!(listed("wide").await.len(), 2);
    assert_eq!(ask("narrow", &format!("/v1/models/{OTHER_MODEL}")).await.status, StatusCode::OK);
    let hidden = ask("narrow", &format!("/v1/models/{MODEL}")).await;
    assert_eq!(hidden.refusal(), (403, "not_allowed".to_owned(), "false"));
}

#[tokio::test]
async fn no_request_is_more_urgent_than_its_key() {
    let mut plan = Plan::new();
    plan.limits.interactive_deadline = Duration::from_millis(300);
    plan.limits.slots_per_account = 1;
    let rules = ClientRules { highest_priority: ClientPriority::Batch, ..ClientRules::default() };
    plan.ledger = ledger_with([key("bot", rules), key("app", ClientRules::default())]);
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(0.2, 0.8, 0.1).pace(0, 20.0).tokens(10, 40);
    let world = plan.start().await;
    let mut stream = world.open(asked_by("app", &streamed(MODEL))).await.into_body();
    stream.frame().await.unwrap().unwrap();
    // Both say that somebody waits for them. One would be out of time; the other is a batch, which waits.
    let urgent = |name: &str| {
        let mut request = asked_by(name, &chat(OTHER_MODEL));
        request.headers_mut().insert("x-ripcord-priority", "interactive".parse().unwrap());
        request
    };
    let (refused, served) = tokio::join!(world.send(urgent("app")), async {
        let bot = world.send_patiently(urgent("bot"));
        let (answered, ()) = tokio::join!(bot, async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            while world.gateway().queued() > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            drop(stream);
        });
        answered
    });
    assert_eq!(refused.refusal().1, "deadline");
    assert_eq!(served.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_waits_with_a_key_that_ends_is_told_at_once() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(0.2, 0.8, 0.1).pace(0, 5.0).tokens(10, 400);
    let mut brief = key("brief", ClientRules::default());
    brief.expires_at_unix_us = None;
    plan.ledger = ledger_with([brief, key("holder", ClientRules::default())]);
    let world = plan.start().await;
    let mut stream = world.open(asked_by("holder", &streamed(MODEL))).await.into_body();
    stream.frame().await.unwrap().unwrap();
    let (refused, ()) = tokio::join!(world.send(asked_by("brief", &chat(OTHER_MODEL))), async {
        world.wait_for("somebody waits", || async { world.gateway().queued() == 1 }).await;
        world.ledger.revoke_client_key("brief", wall_now()).unwrap();
    });
    assert_eq!(refused.refusal(), (401, "invalid_api_key".to_owned(), "false"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("revoked"));
    // The slot is still held: nobody waited for it.
    assert_eq!(world.gateway().slots_in_use(), 1);
    let again = world.send(asked_by("brief", &chat(OTHER_MODEL))).await;
    assert!(again.json()["error"]["message"].as_str().unwrap().contains("revoked"));
    // What runs goes on.
    assert!(stream.frame().await.is_some());
}

#[tokio::test]
async fn a_stream_that_waits_is_told_in_an_event_when_its_key_ends() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.heartbeat = Duration::from_millis(30);
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(0.2, 0.8, 0.1).pace(0, 5.0).tokens(10, 400);
    plan.ledger =
        ledger_with([key("brief", ClientRules::default()), key("holder", ClientRules::default())]);
    let world = plan.start().await;
    let mut stream = world.open(asked_by("holder", &streamed(MODEL))).await.into_body();
    stream.frame().await.unwrap().unwrap();
    // It is answered before it has a slot, so that nothing between takes it for dead.
    let mut waiting = world.open(asked_by("brief", &streamed(OTHER_MODEL))).await.into_body();
    waiting.frame().await.unwrap().unwrap();
    world.ledger.revoke_client_key("brief", wall_now()).unwrap();
    let rest = waiting.collect().await.unwrap().to_bytes();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("invalid_api_key") && rest.contains("revoked"), "{rest}");
    assert!(!rest.contains("[DONE]"), "{rest}");
    assert_eq!(world.gateway().slots_in_use(), 1);
}

#[tokio::test]
async fn a_key_that_has_expired_is_refused_as_such() {
    let mut expired = key("old", ClientRules::default());
    expired.expires_at_unix_us = Some(1);
    let world = plan_with([expired, key("new", ClientRules::default())]).start().await;
    let refused = world.send(asked_by("old", &chat(MODEL))).await;
    assert_eq!(refused.refusal(), (401, "invalid_api_key".to_owned(), "false"));
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(text.contains("expired") && !text.contains("rip_old"), "{text}");
    assert_eq!(world.send(asked_by("new", &chat(MODEL))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn failed_attempts_of_a_request_count_in_its_budget_and_once_in_its_requests() {
    let mut plan = Plan::new();
    let share = ClientShare { daily_requests: Some(1), ..ClientShare::default() };
    plan.ledger = ledger_with([key("app", with_share(share))]);
    let world = plan.start().await;
    let once = Fault::new(FaultKind::ErrorFirstEvent).times(1);
    world.control().add_model_fault(MODEL, once).unwrap();
    let answered = world.send(asked_by("app", &streamed(MODEL))).await;
    answered.assert_whole_stream();
    assert_eq!(world.upstream_calls().len(), 2);
    world.wait_until_idle().await;
    // An error inside of a 200 is counted by Chutes, too.
    let story = world.story(&answered).await;
    let both: i64 = story.attempts.iter().filter_map(|one| one.cost.list_price_nano_usd).sum();
    assert!(story.attempts[0].cost.list_price_nano_usd > Some(0));
    let used = client(&world).await["used_today_usd"].as_f64().unwrap();
    assert!((used * 1e9 - both as f64).abs() < 1.5, "{used} of {both}");
    assert_eq!(client(&world).await["requests_today"], 1);
    assert_eq!(world.send(asked_by("app", &chat(MODEL))).await.refusal().0, 402);
    world.ledger.flush(Duration::from_secs(1)).unwrap();
}

#[tokio::test]
async fn a_provider_serves_only_keys_that_may_use_it_and_whose_budget_it_can_count_in() {
    let prefixed = |models: &[&str]| ClientRules {
        models: models.iter().map(|&model| model.to_owned()).collect(),
        ..ClientRules::default()
    };
    let budget = ClientShare { monthly_nano_usd: Some(100 * CENT), ..ClientShare::default() };
    let their_name = "their/Writer";
    let scenario = Scenario::empty()
        .account(AccountSpec::new("elsewhere", PlanSpec::Pro))
        .model(ModelSpec::new(their_name).pace(0, 0.0));
    let elsewhere = Emulator::start(scenario).await.unwrap();
    let base_url = format!("{}/v1", elsewhere.url());
    let mut plan = plan_with([
        key("free", ClientRules::default()),
        key("counted", with_share(budget)),
        key(
            "daily",
            ClientRules { paygo: ClientPaygo::Daily(100 * CENT), ..ClientRules::default() },
        ),
        key("narrow", prefixed(&["acme/*"])),
        key("named", prefixed(&["acme/*", "other:their/*"])),
    ]);
    plan.routing.providers = vec![ProviderConfig {
        name: "other".to_owned(),
        base_url: BaseUrl::parse(Service::Provider, &base_url, PlainHttp::LoopbackOnly).unwrap(),
        key: Some(Key::parse(&Scenario::key("elsewhere", 0)).unwrap().0),
        place: Place::Behind,
        models: vec![(MODEL.to_owned(), their_name.to_owned())],
        tee: true,
        slots: None,
        prices: Vec::new(),
        daily_usd: None,
        include_usage: false,
        prefill: false,
    }];
    let world = plan.start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Disabled)).unwrap();
    for (name, status) in
        [("free", 200), ("counted", 503), ("daily", 503), ("narrow", 503), ("named", 200)]
    {
        let answered = world.send(asked_by(name, &chat(MODEL))).await;
        assert_eq!(answered.status.as_u16(), status, "{name}: {}", answered.text());
    }
}

#[tokio::test]
async fn what_is_left_of_a_budget_may_be_enough_for_a_cheaper_variant() {
    let [dear, cheap] = ["acme/Scribe-2", "acme/Scribe-2-FP8"];
    let share = ClientShare { daily_nano_usd: Some(CENT), ..ClientShare::default() };
    let mut plan = plan_with([key("app", with_share(share))]);
    let model = |name: &str, price: f64| ModelSpec::new(name).price(price, price, price);
    plan.scenario =
        plan.scenario.model(model(dear, 2.0).pace(0, 0.0)).model(model(cheap, 0.2).pace(0, 0.0));
    let world = plan.start().await;
    // At most 2 cents, or 0.2.
    let mut body = chat(dear);
    body["max_tokens"] = 10_000.into();
    let answered = world.send(asked_by("app", &body)).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(answered.header("x-ripcord-model"), cheap);
    assert_eq!(answered.header("x-ripcord-attempts"), "1");
    // Too much for either, or no other is wanted.
    body["max_tokens"] = 200_000.into();
    let refused = world.send(asked_by("app", &body)).await;
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned(), "false"));
    body["max_tokens"] = 10_000.into();
    let mut alone = asked_by("app", &body);
    alone.headers_mut().insert("x-ripcord-fallback", "off".parse().unwrap());
    assert_eq!(world.send(alone).await.refusal().0, 402);
    assert_eq!(world.upstream_calls().len(), 1);
    world.wait_until_idle().await;
    assert_eq!(client(&world).await["reserved_usd"], 0.0);
}

#[tokio::test]
async fn many_answers_in_one_call_are_reserved_for() {
    let share = ClientShare { daily_nano_usd: Some(CENT), ..ClientShare::default() };
    let world = plan_with([key("app", with_share(share))]).start().await;
    // A thousand tokens at 0.8 dollars a million, a hundred times: eight cents.
    let many = vec!["a word"; 100];
    for more in [json!({ "prompt": many }), json!({ "prompt": "a word", "best_of": 100 })] {
        let mut body = json!({ "model": MODEL, "max_tokens": 1_000 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut request = asked_by("app", &body);
        *request.uri_mut() = "/v1/completions".parse().unwrap();
        let refused = world.send(request).await;
        assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned(), "false"), "{body}");
    }
    assert_eq!(world.upstream_calls().len(), 0);
}
