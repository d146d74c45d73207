//! What serves a request when the model that it names does not: siblings, chains, virtual models, providers. Each case
//! says what the client got and whom the gateway asked.

use crate::provider::{Act, Asked, Provider, STREAM_HEAD, Script};
use crate::world::{Answered, Plan, World, chat, post, streamed};
use chutes_emulator::{Fault, FaultKind, ModelSpec, StateSpec};
use http::StatusCode;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_gateway::{ChainConfig, ProviderConfig, Trim};
use ripcord_rules::admit::PaceRule;
use ripcord_rules::quota::ModelPrices;
use ripcord_rules::route::{Continuation, Place, RoutePolicy};
use ripcord_rules::units::NanoUsd;
use ripcord_store::Coverage;
use serde_json::{Value, json};

const PLAIN: &str = "acme/Poet-4";
const CHEAP: &str = "acme/Poet-4-FP8";
const TEE: &str = "acme/Poet-4-TEE";
const LARGE: &str = "acme/Sage-7";

fn plan() -> Plan {
    let mut plan = Plan::new();
    let model =
        |name: &str, price: f64| ModelSpec::new(name).price(price, price * 4.0, price).pace(0, 0.0);
    let tee = ModelSpec { tee: true, context_length: 4_096, ..model(TEE, 0.3) };
    let large = ModelSpec { context_length: 1_000_000, ..model(LARGE, 1.0) };
    plan.scenario = plan
        .scenario
        .model(ModelSpec { context_length: 4_096, ..model(PLAIN, 0.2) })
        .model(ModelSpec { context_length: 4_096, ..model(CHEAP, 0.1) })
        .model(tee)
        .model(large);
    plan
}

fn chain(name: &str, models: &[&str]) -> ChainConfig {
    ChainConfig {
        name: name.to_owned(),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        policy: RoutePolicy::default(),
        trim: Trim::Off,
    }
}

fn provider(at: &Provider, place: Place) -> ProviderConfig {
    let price = NanoUsd::from_cents(100);
    ProviderConfig {
        name: "spare".to_owned(),
        base_url: BaseUrl::parse(
            Service::Provider,
            &format!("{}/api/v1", at.url),
            PlainHttp::LoopbackOnly,
        )
        .unwrap(),
        key: Some(Key::of_provider("key-of-spare").unwrap()),
        place,
        models: vec![(PLAIN.to_owned(), "poet".to_owned())],
        tee: false,
        slots: None,
        prices: vec![(
            "poet".to_owned(),
            ModelPrices { prompt: price, completion: price, cached: price },
        )],
        daily_usd: None,
        include_usage: true,
        prefill: false,
    }
}

/// A whole answer of a provider; a stream ends with totals, which only some clients ask for.
fn answers(asked: &Asked) -> Script {
    let usage =
        json!({ "prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000 });
    let message = |key: &str| json!([{ "index": 0, key: { "role": "assistant", "content": "spare words" }, "finish_reason": "stop" }]);
    if !asked.streams {
        let body = json!({ "id": "p", "model": asked.model, "choices": message("message"), "usage": usage });
        return Script::whole(
            "answer",
            "200 OK\r\ncontent-type: application/json",
            &body.to_string(),
        );
    }
    assert_eq!(asked.body["stream_options"], json!({ "include_usage": true }));
    let event = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "p", "model": asked.model, "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let stream = format!(
        "{STREAM_HEAD}{}{}data: [DONE]\n\n",
        event(message("delta"), Value::Null),
        event(json!([]), usage)
    );
    Script::new("stream", vec![Act::Send(stream.into_bytes())])
}

/// The models that Chutes was asked for, in order.
fn asked(world: &World) -> Vec<String> {
    let calls = world.upstream_calls();
    calls.into_iter().map(|entry| entry.model.unwrap_or_default()).collect()
}

fn served_by(answered: &Answered) -> &str {
    answered.header("x-ripcord-model")
}

async fn steered(world: &World, model: &str, header: &'static str, value: &str) -> Answered {
    let mut request = post("/v1/chat/completions", chat(model).to_string());
    request.headers_mut().insert(header, value.parse().unwrap());
    world.send(request).await
}

#[tokio::test]
async fn a_full_model_s_sibling_serves_at_once() {
    for stream in [false, true] {
        let world = plan().start().await;
        world.control().add_model_fault(PLAIN, Fault::new(FaultKind::Capacity)).unwrap();
        let body = if stream { streamed(PLAIN) } else { chat(PLAIN) };
        let answered = world.chat(&body).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        assert_eq!(served_by(&answered), CHEAP);
        assert_eq!(answered.header("x-ripcord-attempts"), "2");
        assert_eq!(asked(&world), [PLAIN, CHEAP]);
        // What was learned keeps the next one from asking the full model first.
        assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), CHEAP);
        assert_eq!(asked(&world), [PLAIN, CHEAP, CHEAP]);
        world.wait_until_idle().await;
    }
}

#[tokio::test]
async fn nothing_goes_from_a_confidential_model_to_a_plain_one() {
    let mut plan = plan();
    plan.routing.chains = vec![chain(TEE, &[LARGE])];
    plan.limits.interactive_deadline = std::time::Duration::from_millis(300);
    let world = plan.start().await;
    world.control().add_model_fault(TEE, Fault::new(FaultKind::Disabled)).unwrap();
    let refused = world.chat(&chat(TEE)).await;
    assert_eq!(refused.refusal(), (503, "model_down".to_owned(), "true"));
    assert_eq!(asked(&world), [TEE]);
    // From a plain one to it is fine, and whoever requires it gets it.
    let world = self::plan().start().await;
    let answered = steered(&world, PLAIN, "x-ripcord-tee", "required").await;
    assert_eq!((answered.status, served_by(&answered)), (StatusCode::OK, TEE));
    assert_eq!(asked(&world), [TEE]);
}

#[tokio::test]
async fn a_chain_may_say_that_less_privacy_is_enough() {
    let mut plan = plan();
    let policy = RoutePolicy { allow_plain: true, ..RoutePolicy::default() };
    plan.routing.chains = vec![ChainConfig { policy, ..chain(TEE, &[LARGE]) }];
    let world = plan.start().await;
    world.control().add_model_fault(TEE, Fault::new(FaultKind::Disabled)).unwrap();
    assert_eq!(served_by(&world.chat(&chat(TEE)).await), CHEAP);
    let required = steered(&world, TEE, "x-ripcord-tee", "required").await;
    assert_eq!(required.refusal().0, 503, "the header beats the chain");
}

#[tokio::test]
async fn a_virtual_model_is_served_by_the_first_that_can_and_stands_in_the_list() {
    let mut plan = plan();
    plan.routing.chains = vec![chain("poet", &[PLAIN, LARGE])];
    plan.routing.policy.siblings = false;
    plan.routing.chains[0].policy.siblings = false;
    let world = plan.start().await;
    assert_eq!(served_by(&world.chat(&chat("poet")).await), PLAIN);
    world.control().add_model_fault(PLAIN, Fault::new(FaultKind::Disabled)).unwrap();
    let answered = world.chat(&chat("poet")).await;
    assert_eq!(served_by(&answered), LARGE);
    assert_eq!(asked(&world), [PLAIN, PLAIN, LARGE]);
    let story = world.story(&answered).await;
    assert_eq!(story.request.unwrap().requested_model.as_deref(), Some("poet"));
    let list = world.get("/v1/models").await.json();
    let models = list["data"].as_array().unwrap();
    let entry = models.iter().find(|model| model["id"] == "poet").unwrap();
    assert_eq!(
        (entry["object"].as_str(), entry["models"][1].as_str()),
        (Some("model"), Some(LARGE))
    );
    assert_eq!(world.get("/v1/models/poet").await.json(), *entry);
    assert!(models.iter().any(|model| model["id"] == PLAIN));
}

#[tokio::test]
async fn who_mistypes_a_virtual_model_or_one_of_a_provider_is_told_what_was_meant() {
    let spare = Provider::start(|_| {
        let body = r#"{"error":{"message":"no such model","code":"model_not_found"}}"#;
        Script::whole("no model", "404 Not Found\r\ncontent-type: application/json", body)
    })
    .await;
    let mut plan = plan();
    plan.routing.chains = vec![chain("poet-chain", &[PLAIN])];
    plan.routing.providers = vec![provider(&spare, Place::Behind)];
    let world = plan.start().await;
    let answered = world.chat(&chat("poet-chian")).await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND, "{}", answered.text());
    assert!(answered.text().contains("did you mean `poet-chain`"), "{}", answered.text());
    let answered = world.chat(&chat("spare:nobody")).await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND, "{}", answered.text());
    assert!(
        answered.text().contains("provider `spare` has no model `nobody`"),
        "{}",
        answered.text()
    );
}

#[tokio::test]
async fn a_caller_may_forbid_every_fallback() {
    let mut plan = plan();
    plan.routing.chains = vec![chain(PLAIN, &[LARGE])];
    let world = plan.start().await;
    world.control().add_model_fault(PLAIN, Fault::new(FaultKind::Disabled)).unwrap();
    let refused = steered(&world, PLAIN, "x-ripcord-fallback", "off").await;
    assert_eq!(refused.refusal(), (503, "model_down".to_owned(), "true"));
    assert_eq!(asked(&world), [PLAIN]);
    let wrong = steered(&world, PLAIN, "x-ripcord-fallback", "on").await;
    assert_eq!(wrong.refusal(), (400, "invalid_header".to_owned(), "false"));
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_a_model_with_more_room_and_to_no_other() {
    let mut plan = plan();
    plan.routing.chains = vec![chain(PLAIN, &[CHEAP, LARGE])];
    let world = plan.start().await;
    world.control().add_model_fault(PLAIN, Fault::new(FaultKind::ContextTooLong)).unwrap();
    let answered = world.chat(&chat(PLAIN)).await;
    assert_eq!((answered.status, served_by(&answered)), (StatusCode::OK, LARGE));
    assert_eq!(asked(&world), [PLAIN, LARGE], "the variants have no more room");
}

#[tokio::test]
async fn a_provider_behind_chutes_serves_what_chutes_cannot() {
    for stream in [false, true] {
        let spare = Provider::start(answers).await;
        let mut plan = plan();
        plan.routing.policy.siblings = false;
        plan.routing.providers = vec![provider(&spare, Place::Behind)];
        let world = plan.start().await;
        assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), PLAIN);
        assert_eq!(spare.calls(), 0);
        world.control().add_model_fault(PLAIN, Fault::new(FaultKind::Disabled)).unwrap();
        let body = if stream { streamed(PLAIN) } else { chat(PLAIN) };
        let answered = world.chat(&body).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        assert_eq!(
            (served_by(&answered), answered.header("x-ripcord-account")),
            ("spare:poet", "spare")
        );
        let seen = spare.seen();
        assert_eq!(
            (seen.len(), seen[0].who.as_str(), seen[0].model.as_str()),
            (1, "spare", "poet")
        );
        if stream {
            answered.assert_whole_stream();
            assert!(!answered.text().contains("total_tokens"), "nobody asked for totals");
        }
        let story = world.story(&answered).await;
        let request = story.request.unwrap();
        assert_eq!(request.served_by.model.as_deref(), Some("spare:poet"));
        assert_eq!(request.cost.list_price_nano_usd, Some(2_000_000), "2,000 tokens at its price");
        // The fault lasts, and is known.
        assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), "spare:poet");
        world.wait_until_idle().await;
    }
}

/// The refused attempt cost nothing, and what the other one cost nobody knows: together that is not nothing.
#[tokio::test]
async fn what_a_provider_without_prices_costs_is_unknown_also_after_a_refusal() {
    let spare = Provider::start(answers).await;
    let mut plan = plan();
    plan.routing.policy.siblings = false;
    plan.routing.providers = vec![provider(&spare, Place::Behind)];
    plan.routing.providers[0].prices.clear();
    plan.routing.providers[0].daily_usd = None;
    let world = plan.start().await;
    world.control().add_model_fault(PLAIN, Fault::new(FaultKind::Disabled)).unwrap();
    let answered = world.chat(&chat(PLAIN)).await;
    assert_eq!(served_by(&answered), "spare:poet", "{}", answered.text());
    let story = world.story(&answered).await;
    let prices: Vec<_> =
        story.attempts.iter().map(|attempt| attempt.cost.list_price_nano_usd).collect();
    assert_eq!(prices, [Some(0), None]);
    assert_eq!(story.request.unwrap().cost.list_price_nano_usd, None);
}

#[tokio::test]
async fn a_provider_before_chutes_is_asked_first_and_chutes_when_it_fails() {
    let spare = Provider::start(|asked| match asked.number {
        0 => answers(asked),
        _ => Script::whole(
            "error",
            "503 Service Unavailable\r\ncontent-type: application/json",
            "{}",
        ),
    })
    .await;
    let mut plan = plan();
    plan.routing.policy.siblings = false;
    plan.routing.providers = vec![provider(&spare, Place::Before)];
    let world = plan.start().await;
    assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), "spare:poet");
    assert!(asked(&world).is_empty());
    let answered = world.chat(&chat(PLAIN)).await;
    assert_eq!((answered.status, served_by(&answered)), (StatusCode::OK, PLAIN));
    assert_eq!(asked(&world), [PLAIN]);
    let named = world.chat(&chat("spare:other")).await;
    assert_ne!(named.status, StatusCode::OK, "it may be named itself");
    assert_eq!(spare.seen().last().unwrap().model, "other");
}

#[tokio::test]
async fn a_provider_costs_no_more_a_day_than_it_may() {
    let spare = Provider::start(answers).await;
    let mut plan = plan();
    plan.routing.policy.siblings = false;
    let daily_usd = Some(NanoUsd(3_000_000));
    plan.routing.providers = vec![ProviderConfig { daily_usd, ..provider(&spare, Place::Before) }];
    let world = plan.start().await;
    let small = json!({ "model": PLAIN, "max_tokens": 1_000, "messages": chat(PLAIN)["messages"] });
    let mut served = Vec::new();
    for _ in 0..4 {
        let answered = world.chat(&small).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        served.push(served_by(&answered).to_owned());
    }
    assert_eq!(served, ["spare:poet", PLAIN, PLAIN, PLAIN]);
    let named =
        json!({ "model": "spare:poet", "max_tokens": 1_000, "messages": chat(PLAIN)["messages"] });
    let refused = world.chat(&named).await;
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned(), "false"));
    assert!(refused.text().contains("[[providers]]"), "{}", refused.text());
    // What has no price would pass any bound, also where a client knows its name.
    let unpriced = world.chat(&chat("spare:anything-dear")).await;
    assert_eq!(unpriced.refusal(), (403, "not_allowed".to_owned(), "false"));
    assert!(unpriced.text().contains("nobody knows what"), "{}", unpriced.text());
    assert_eq!(spare.calls(), 1);
    let budget = &world.status_report().await["accounts"][1];
    assert_eq!(
        (budget["account"].as_str(), budget["service"].as_str()),
        (Some("spare"), Some("spare"))
    );
}

#[tokio::test]
async fn a_conversation_stays_where_its_beginning_was_served() {
    let mut plan = plan().and_second();
    plan.scenario = plan.scenario.model(ModelSpec::new("acme/Slow").pace(60_000, 0.0));
    let world = plan.start().await;
    let turn = |count: usize| {
        let mut messages = vec![json!({ "role": "user", "content": "Once upon a time" })];
        for number in 0..count {
            messages.push(json!({ "role": "assistant", "content": format!("part {number}") }));
            messages.push(json!({ "role": "user", "content": "go on" }));
        }
        json!({ "model": PLAIN, "messages": messages })
    };
    let account = |answered: Answered| answered.header("x-ripcord-account").to_owned();
    // One account is busy with something else when it begins, so the other serves it.
    let slow = chat("acme/Slow");
    let mut busy = Box::pin(world.chat(&slow));
    let begun = async {
        world.wait_for("the slow call", || async { world.gateway().slots_in_use() == 1 }).await;
        account(world.chat(&turn(0)).await)
    };
    let first = tokio::select! {
        first = begun => first,
        _ = &mut busy => panic!("the slow call is slow"),
    };
    drop(busy);
    // At Chutes a plain call that is left runs on.
    world.wait_for("its slot", || async { world.gateway().slots_in_use() == 0 }).await;
    let other = account(world.chat(&chat(PLAIN)).await);
    assert_ne!(other, first, "whoever begins anew goes to the first account");
    for count in 1..6 {
        assert_eq!(account(world.chat(&turn(count)).await), first);
    }
}

#[tokio::test]
async fn a_cold_model_is_not_asked_while_its_sibling_is_up() {
    let mut plan = plan();
    for model in &mut plan.scenario.models {
        if model.name == PLAIN {
            model.state = StateSpec::Cold;
        }
    }
    let world = plan.start().await;
    // The first request asks for the lists; from the second on they are known.
    world
        .wait_for("the list to be read", || async {
            served_by(&world.chat(&chat(PLAIN)).await) == CHEAP
        })
        .await;
    let before = asked(&world).iter().filter(|model| **model == PLAIN).count();
    assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), CHEAP);
    let after = asked(&world).iter().filter(|model| **model == PLAIN).count();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_provider_that_says_what_is_left_is_not_asked_for_more() {
    let spare = Provider::start(|asked| {
        let body = json!({ "id": "p", "model": asked.model, "choices": [{ "index": 0, "message": { "role": "assistant", "content": "spare words" }, "finish_reason": "stop" }] });
        let left = 1_usize.saturating_sub(asked.number);
        let head = format!(
            "200 OK\r\ncontent-type: application/json\r\nx-ratelimit-remaining-requests: {left}\r\nx-ratelimit-reset-requests: 90s"
        );
        Script::whole("answer", &head, &body.to_string())
    })
    .await;
    let mut plan = plan();
    plan.limits.pace = PaceRule::Adaptive;
    plan.routing.policy.siblings = false;
    plan.routing.providers = vec![provider(&spare, Place::Before)];
    let world = plan.start().await;
    for _ in 0..2 {
        assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), "spare:poet");
    }
    // Nothing is left there for a minute and a half, so it is not even asked.
    assert_eq!(served_by(&world.chat(&chat(PLAIN)).await), PLAIN);
    assert_eq!((spare.calls(), asked(&world)), (2, vec![PLAIN.to_owned()]));
    let status = world.status_report().await;
    assert!(!status["accounts"][1]["opens_at"].is_null(), "{}", status["accounts"][1]);
    // Whoever may go nowhere else is told when it opens, if that is too late.
    let mut only = post("/v1/chat/completions", chat("spare:poet").to_string());
    only.headers_mut().insert("x-ripcord-deadline", "5".parse().unwrap());
    let refused = world.send(only).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((60..=90).contains(&wait), "{wait}");
    assert_eq!(spare.calls(), 2);
}

#[tokio::test]
async fn who_paid_for_a_request_is_known_after_a_fail_over_and_what_was_not_sent_costs_nothing() {
    let spare = Provider::start(answers).await;
    let mut plan = plan();
    plan.routing.policy.siblings = false;
    plan.routing.providers = vec![provider(&spare, Place::Behind)];
    // Nobody listens there.
    plan.llm_url = Some("http://127.0.0.1:9".to_owned());
    let world = plan.start().await;
    let answered = world.chat(&chat(PLAIN)).await;
    assert_eq!((answered.status, served_by(&answered)), (StatusCode::OK, "spare:poet"));
    let story = world.story(&answered).await;
    let (last, failed) = story.attempts.split_last().unwrap();
    assert!(!failed.is_empty());
    for attempt in failed {
        assert_eq!(attempt.cost.list_price_nano_usd, Some(0), "{attempt:?}");
        assert!(!attempt.tokens.estimated && attempt.tokens.prompt.is_none(), "{attempt:?}");
    }
    assert_eq!(last.cost.coverage, Some(Coverage::Paid));
    let request = story.request.unwrap();
    assert_eq!(request.cost, last.cost);
    assert_eq!(request.tokens, last.tokens);
}

#[tokio::test]
async fn a_provider_that_repeats_its_key_does_not_tell_clients() {
    let spare = Provider::start(|asked| {
        if asked.streams {
            let first = json!({ "id": "p", "model": "poet", "choices": [{ "index": 0, "delta": { "content": "spare" } }] });
            let error = json!({ "error": { "message": "key-of-spare may not do that" } });
            let stream = format!("{STREAM_HEAD}data: {first}\n\ndata: {error}\n\n");
            return Script::new("tells later", vec![Act::Send(stream.into_bytes())]);
        }
        let error = json!({ "error": {
            "message": "key-of-spare may not do that", "type": "invalid_request_error", "code": "of:key-of-spare",
        } });
        let status = if asked.number == 1 { "400 Bad Request" } else { "500 Internal Server Error" };
        let head = format!("{status}\r\ncontent-type: application/json");
        Script::whole("tells", &head, &error.to_string())
    })
    .await;
    let mut plan = plan();
    plan.routing.policy.continuation = Continuation::Off;
    plan.routing.providers = vec![provider(&spare, Place::Behind)];
    let world = plan.start().await;
    let broken = world.chat(&streamed("spare:poet")).await;
    broken.assert_broken_stream();
    assert!(broken.text().contains("… may not do that"), "{}", broken.text());
    for status in [400, 502] {
        let refused = world.chat(&chat("spare:poet")).await;
        assert_eq!(refused.status.as_u16(), status, "{}", refused.text());
        assert!(refused.text().contains("may not do that"), "{}", refused.text());
        assert!(!refused.text().contains("key-of-spare"), "{}", refused.text());
    }
}
