//! A request could go several ways, and all are closed: what opens first is told, with the others beside it. And where one
//! of them is open, there is no refusal.

use crate::provider::{Provider, Script};
use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use chutes_emulator::{AccountSpec, Fault, FaultKind, KeyKind, PlanSpec};
use http::StatusCode;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_gateway::{ProviderConfig, RoutingConfig};
use ripcord_rules::route::Place;
use serde_json::Value;

/// A service behind Chutes that has both models of the tests under a name of its own.
fn config(name: &str, provider: &Provider) -> ProviderConfig {
    let address = format!("{}/api/v1", provider.url);
    ProviderConfig {
        name: name.to_owned(),
        base_url: BaseUrl::parse(Service::Provider, &address, PlainHttp::LoopbackOnly).unwrap(),
        key: Some(Key::of_provider("sk-of-a-provider-0123456789").unwrap()),
        place: Place::Behind,
        models: [MODEL, OTHER_MODEL]
            .map(|model| (model.to_owned(), "their/model".to_owned()))
            .into(),
        tee: false,
        slots: None,
        prices: Vec::new(),
        daily_usd: None,
        include_usage: false,
        prefill: false,
    }
}

fn answers(head: &'static str, body: &'static str) -> Script {
    Script::whole("answers", head, body)
}

const WHOLE: &str = r#"{"id":"a","object":"chat.completion","model":"their/model","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const OK: &str = "200 OK\r\ncontent-type: application/json";
const BAD: &str = "400 Bad Request\r\ncontent-type: application/json";

struct Behind {
    world: World,
    providers: Vec<Provider>,
}

impl Behind {
    /// These providers, in this order, with what they say to everything.
    async fn start(mut plan: Plan, says: &[(&'static str, &'static str)]) -> Self {
        let mut providers = Vec::new();
        for &(head, body) in says {
            providers.push(Provider::start(move |_| answers(head, body)).await);
        }
        let names = ["alpha", "beta"];
        plan.routing = RoutingConfig {
            providers: names
                .into_iter()
                .zip(&providers)
                .map(|(name, one)| config(name, one))
                .collect(),
            ..RoutingConfig::default()
        };
        Self { world: plan.start().await, providers }
    }

    /// With a fault of the model at Chutes.
    async fn with_fault(kind: FaultKind, says: &[(&'static str, &'static str)]) -> Self {
        let behind = Self::start(Plan::new(), says).await;
        behind.world.control().add_model_fault(OTHER_MODEL, Fault::new(kind)).unwrap();
        behind
    }

    async fn asked_for(&self, model: &str) -> Answered {
        let mut request = post("/v1/chat/completions", chat(model).to_string());
        request.headers_mut().insert("x-ripcord-deadline", 1.into());
        self.world.send(request).await
    }

    async fn asked(&self) -> Answered {
        self.asked_for(OTHER_MODEL).await
    }

    fn calls(&self) -> Vec<usize> {
        self.providers.iter().map(Provider::calls).collect()
    }
}

fn retry_after(answered: &Answered) -> u64 {
    answered.header("retry-after").parse().unwrap_or(0)
}

fn message(answered: &Answered) -> String {
    answered.json()["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_open_way_is_taken() {
    for kind in [FaultKind::Capacity, FaultKind::Cold, FaultKind::Disabled, FaultKind::ServerError]
    {
        let behind = Behind::with_fault(kind, &[(OK, WHOLE)]).await;
        let answered = behind.asked().await;
        assert_eq!(answered.status, StatusCode::OK, "{kind:?}: {}", answered.text());
        assert_eq!(answered.header("x-ripcord-model"), "alpha:their/model", "{kind:?}");
    }
}

#[tokio::test]
async fn an_error_in_the_first_event_of_a_provider_is_read_in_its_dialect() {
    let events = "200 OK\r\ncontent-type: text/event-stream";
    let full = "data: {\"error\":{\"code\":429,\"message\":\"their/model is temporarily rate-limited upstream\"}}\n\n";
    let whole = "data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello.\"}}]}\n\n\
                 data: {\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let behind = Behind::with_fault(FaultKind::Cold, &[(events, full), (events, whole)]).await;
    let answered = behind.world.chat(&streamed(OTHER_MODEL)).await;
    answered.assert_whole_stream();
    assert_eq!(answered.header("x-ripcord-model"), "beta:their/model");
    let story = behind.world.story(&answered).await;
    let causes: Vec<_> = story.attempts.iter().map(|attempt| attempt.cause.as_deref()).collect();
    assert_eq!(causes, [Some("cold"), Some("capacity"), None]);
}

#[tokio::test]
async fn what_does_not_open_by_itself_stands_behind_what_does() {
    let broke = r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#;
    let head = "402 Payment Required\r\ncontent-type: application/json";
    let behind = Behind::with_fault(FaultKind::Capacity, &[(head, broke)]).await;
    for _ in 0..2 {
        let answered = behind.asked().await;
        assert_eq!(answered.refusal(), (503, "no_capacity".to_owned(), "true"));
        assert_eq!(retry_after(&answered), 30);
        let also = "(not by others either: `alpha:their/model`: no credit left)";
        assert!(message(&answered).ends_with(also), "{}", message(&answered));
    }
    assert_eq!(behind.calls(), [1], "an account without credit rests");
}

#[tokio::test]
async fn the_soonest_moment_at_which_something_opens_is_told() {
    let limited = r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;
    let head = "429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 7";
    let behind = Behind::with_fault(FaultKind::Cold, &[(head, limited)]).await;
    let answered = behind.asked().await;
    assert_eq!(answered.refusal(), (429, "deadline".to_owned(), "true"), "{}", answered.text());
    assert!((5..=7).contains(&retry_after(&answered)), "{}", retry_after(&answered));
    assert!(message(&answered).contains("`acme/Sketch-2`: not running"), "{}", message(&answered));
    // The second request asks nobody, and is told the same.
    let again = behind.asked().await;
    assert_eq!(again.refusal(), (429, "deadline".to_owned(), "true"), "{}", again.text());
    assert!((1..=7).contains(&retry_after(&again)) && message(&again).contains("not running"));
    assert_eq!(behind.calls(), [1]);
}

#[tokio::test]
async fn a_wrong_request_is_told_at_once_and_nobody_else_is_asked() {
    let mut plan = Plan::new();
    let refused = r#"{"detail":"Invalid tool_calls.function.arguments value, expected JSON"}"#;
    plan.provider = Some(Provider::start(move |_| answers(BAD, refused)).await);
    let behind = Behind::start(plan, &[(OK, WHOLE)]).await;
    let answered = behind.asked().await;
    assert_eq!(answered.refusal(), (400, "bad_request".to_owned(), "false"));
    assert_eq!(message(&answered), "Invalid tool_calls.function.arguments value, expected JSON");
    assert_eq!(behind.calls(), [0]);
}

#[tokio::test]
async fn what_a_stand_in_does_not_take_another_may() {
    let refused = r#"{"error":{"message":"Unsupported parameter: 'min_p'","type":"invalid_request_error","code":"unsupported_parameter"}}"#;
    let behind = Behind::with_fault(FaultKind::Disabled, &[(BAD, refused), (OK, WHOLE)]).await;
    let answered = behind.asked().await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(answered.header("x-ripcord-model"), "beta:their/model");
    // With nobody behind it, the model that was asked for speaks.
    let behind = Behind::with_fault(FaultKind::Disabled, &[(BAD, refused)]).await;
    let answered = behind.asked().await;
    assert_eq!(answered.refusal(), (503, "model_down".to_owned(), "true"), "{}", answered.text());
    assert!(message(&answered).contains("`alpha:their/model`: does not take the request"));
}

#[tokio::test]
async fn a_prompt_that_fits_nowhere_is_too_long() {
    let long = r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum","code":"context_length_exceeded"}}"#;
    let behind = Behind::with_fault(FaultKind::ContextTooLong, &[(BAD, long)]).await;
    let answered = behind.asked().await;
    let expected = (400, "context_length_exceeded".to_owned(), "false");
    assert_eq!(answered.refusal(), expected, "{}", answered.text());
    assert_eq!(behind.calls(), [1], "a larger one was tried");
}

#[tokio::test]
async fn a_window_that_turns_is_told_with_its_time() {
    let mut plan = Plan::new();
    plan.scenario.accounts =
        vec![AccountSpec::new("first", PlanSpec::Pro).used_usd(9.0, 20.0).keys(&[KeyKind::Admin])];
    let head = "401 Unauthorized\r\ncontent-type: application/json";
    let dead = r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let behind = Behind::start(plan, &[(head, dead)]).await;
    let answered = behind.asked().await;
    let error: Value = answered.json()["error"].clone();
    assert_eq!(answered.refusal(), (429, "window_exhausted".to_owned(), "false"), "{error}");
    assert_eq!(error["window"], "four_hour");
    assert!((7_000..=7_260).contains(&retry_after(&answered)), "{}", retry_after(&answered));
    assert!(message(&answered).contains("`alpha:their/model`: no key is accepted"), "{error}");
}

#[tokio::test]
async fn who_may_not_serve_is_named() {
    let behind = Behind::start(Plan::new(), &[(OK, WHOLE)]).await;
    behind.world.control().add_model_fault(MODEL, Fault::new(FaultKind::Cold)).unwrap();
    let answered = behind.asked_for(MODEL).await;
    assert_eq!(answered.refusal(), (503, "model_cold".to_owned(), "true"), "{}", answered.text());
    let also = "`alpha:their/model`: it is not known to run in a trusted execution environment";
    assert!(message(&answered).contains(also), "{}", message(&answered));
    assert_eq!(behind.calls(), [0]);
}

#[tokio::test]
async fn a_provider_that_was_asked_for_speaks_for_itself() {
    let gone = r#"{"error":{"message":"The model `their/model` does not exist","code":"model_not_found"}}"#;
    let head = "404 Not Found\r\ncontent-type: application/json";
    let behind = Behind::start(Plan::new(), &[(head, gone)]).await;
    let answered = behind.asked_for("alpha:their/model").await;
    assert_eq!(answered.refusal(), (404, "model_not_found".to_owned(), "false"));
    assert_eq!(message(&answered), "provider `alpha` has no model `their/model`");
    let odd = r#"{"error":{"message":"temperature is above 2","type":"invalid_request_error"}}"#;
    let behind = Behind::start(Plan::new(), &[(BAD, odd)]).await;
    let answered = behind.asked_for("alpha:their/model").await;
    assert_eq!(answered.refusal(), (400, "bad_request".to_owned(), "false"));
    assert_eq!(message(&answered), "provider `alpha`: temperature is above 2");
    // What a provider sends that nobody knows is counted under its name.
    let behind =
        Behind::start(Plan::new(), &[("418 Teapot\r\ncontent-type: application/json", odd)]).await;
    behind.asked_for("alpha:their/model").await;
    let metrics = behind.world.get("/metrics").await;
    let counted = r#"ripcord_unknown_causes_total{service="alpha",status="418"} 1"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}
