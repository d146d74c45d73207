//! Other models and other services: a sibling, what a chain names, a provider before Chutes or behind it. Who may stand in
//! does, at once; who must not never does.

use super::answers::{breaks, detail, openai_error, page, silence, whole};
use super::case::Case;
use super::client::{Client, refused_for};
use super::upstream::{Step, Upstream, at_once, paused};
use crate::provider::{Act, Asked, Script};
use crate::world::{OTHER_MODEL, Plan};
use chutes_emulator::{ModelSpec, StateSpec};
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_gateway::{ChainConfig, ProviderConfig, RoutingConfig, Trim};
use ripcord_rules::route::{Continuation, Place, RoutePolicy};
use std::time::Duration;

/// A plain model, and its confidential sibling.
const PLAIN: &str = "acme/Writer-9";
const TEE: &str = crate::world::MODEL;

fn ask_plain(body: &mut serde_json::Value) {
    body["model"] = PLAIN.into();
}

fn with_plain(plan: &mut Plan) {
    let model = ModelSpec::new(PLAIN).price(0.2, 0.8, 0.1).numbered();
    plan.scenario.models.push(model.tokens(100, super::answers::WORDS as u64));
}

/// The asked model by what a failing one says, any other by its answer.
fn unless_plain(asked: &Asked, says: impl Fn() -> Script) -> Script {
    match &*asked.model {
        PLAIN => says(),
        TEE => whole(asked).named("whole answer of the sibling"),
        _ => whole(asked).named("whole answer of the next in the chain"),
    }
}

fn unless_tee(asked: &Asked, says: impl Fn() -> Script) -> Script {
    if asked.model == TEE { says() } else { whole(asked).named("whole answer of a plain model") }
}

fn capacity() -> Script {
    detail("429 Too Many Requests", "Infrastructure is at maximum capacity, try again later")
        .named("429 capacity")
}

fn cold() -> Script {
    detail("503 Service Unavailable", "No instances available (yet) for chute_id='x'")
        .named("503 cold")
}

fn disabled() -> Script {
    detail("503 Service Unavailable", "This chute is currently disabled.").named("503 disabled")
}

fn exhausted() -> Script {
    detail("500 Internal Server Error", "exhausted all available targets to no avail")
}

fn too_long() -> Script {
    let text = "Invalid request: Invalid request: {\"object\":\"error\",\"message\":\"This model's maximum context length \
                is 32768 tokens. However, you requested 40000 tokens.\"}";
    detail("400 Bad Request", text).named("400 context too long")
}

fn cap_exceeded() -> Script {
    let text = "Subscription usage cap exceeded. Please add balance to continue.";
    detail("402 Payment Required", text).named("402 cap")
}

fn chain(of: &str, models: &[&str], policy: RoutePolicy) -> RoutingConfig {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    let chain = ChainConfig { name: of.to_owned(), models, policy, trim: Trim::Off };
    RoutingConfig { chains: vec![chain], ..RoutingConfig::default() }
}

/// The service `other`, which calls both models as its own.
fn service(url: &str, place: Place) -> ProviderConfig {
    ProviderConfig {
        name: "other".to_owned(),
        base_url: BaseUrl::parse(Service::Provider, url, PlainHttp::LoopbackOnly).unwrap(),
        key: Some(Key::of_provider("key-of-other").unwrap()),
        place,
        models: [PLAIN, TEE, OTHER_MODEL]
            .map(|name| (name.to_owned(), format!("their/{}", &name[5..])))
            .to_vec(),
        tee: false,
        slots: None,
        prices: Vec::new(),
        daily_usd: None,
        include_usage: false,
        prefill: false,
    }
}

fn behind(url: &str) -> RoutingConfig {
    let providers = vec![service(&format!("{url}/v1"), Place::Behind)];
    let policy = RoutePolicy { siblings: false, ..RoutePolicy::default() };
    RoutingConfig { providers, policy, ..RoutingConfig::default() }
}

pub(crate) fn before(url: &str) -> RoutingConfig {
    let providers = vec![service(&format!("{url}/v1"), Place::Before)];
    let policy = RoutePolicy { siblings: false, ..RoutePolicy::default() };
    RoutingConfig { providers, policy, ..RoutingConfig::default() }
}

fn any_model() -> RoutePolicy {
    let continuation = Continuation::AnyModel;
    RoutePolicy { siblings: false, continuation, ..RoutePolicy::default() }
}

/// Chutes by what it says, the other service by its answer.
fn unless_chutes(asked: &Asked, says: impl Fn() -> Script) -> Script {
    if asked.who == "other" { whole(asked) } else { says() }
}

/// The other service by what it says, Chutes by its answer.
fn unless_other(asked: &Asked, says: impl Fn() -> Script) -> Script {
    if asked.who == "other" { says() } else { whole(asked) }
}

fn case(situation: &'static str) -> Case {
    Case::new(situation).plan(with_plain).body(ask_plain)
}

fn then_the_sibling(fault: &'static str) -> [Step; 2] {
    [at_once("first", fault), at_once("first", "whole answer of the sibling")]
}

fn then_the_other(fault: &'static str) -> [Step; 2] {
    [at_once("first", fault), at_once("other", "whole answer")]
}

fn then_chutes(fault: &'static str) -> [Step; 2] {
    [at_once("other", fault), at_once("first", "whole answer")]
}

cases! {
    a_full_model_and_its_sibling = case("429 capacity for ever, a sibling is up")
        .plays(|asked| unless_plain(asked, capacity))
        .both(Client::Whole, &then_the_sibling("429 capacity"));

    a_cold_model_and_its_sibling = case("cold for ever, a sibling is up")
        .plays(|asked| unless_plain(asked, cold))
        .both(Client::Whole, &then_the_sibling("503 cold"));

    a_disabled_model_and_its_sibling = case("disabled, a sibling is up")
        .plays(|asked| unless_plain(asked, disabled))
        .both(Client::Whole, &then_the_sibling("503 disabled"));

    /// What the list of models says of it is enough.
    a_model_listed_as_cold = case("listed as cold, a sibling is up")
        .plan(|plan| plan.scenario.models[2].state = StateSpec::Cold)
        .knows_the_lists()
        .both(Client::Whole, &[at_once("first", "200")])
        .also(|outcome| assert_eq!(outcome.answered.header("x-ripcord-model"), TEE));

    /// From inside of a trusted execution environment nothing goes outside.
    a_confidential_model_stays_confidential = Case::new("429 capacity for ever of a TEE model, a plain sibling is up, deadline 2 s")
        .plan(with_plain)
        .plays(|asked| unless_tee(asked, capacity))
        .header("x-ripcord-deadline", "2")
        .expects(false, refused_for(503, "no_capacity", true, 30..=300), Upstream::Times(1..=12, "first", "429 capacity"))
        .expects(true, refused_for(503, "no_capacity", true, 30..=300), Upstream::Times(1..=12, "first", "429 capacity"));

    a_confidential_model_that_may_be_left = Case::new("429 capacity for ever of a TEE model, its chain has a plain one and `allow_plain = true`")
        .plan(with_plain)
        .routes(|_| chain(TEE, &[TEE, OTHER_MODEL], RoutePolicy { allow_plain: true, siblings: false, ..RoutePolicy::default() }))
        .plays(|asked| unless_tee(asked, capacity))
        .both(Client::Whole, &[at_once("first", "429 capacity"), at_once("first", "whole answer of a plain model")]);

    who_wants_no_fallback_gets_none = case("429 capacity for ever, a sibling is up, `x-ripcord-fallback: off`, deadline 2 s")
        .plays(|asked| unless_plain(asked, capacity))
        .header("x-ripcord-fallback", "off")
        .header("x-ripcord-deadline", "2")
        .expects(false, refused_for(503, "no_capacity", true, 30..=300), Upstream::Times(1..=12, "first", "429 capacity"))
        .expects(true, refused_for(503, "no_capacity", true, 30..=300), Upstream::Times(1..=12, "first", "429 capacity"));

    a_chain = case("429 capacity for ever, the next in the chain is up")
        .routes(|_| chain(PLAIN, &[PLAIN, OTHER_MODEL], RoutePolicy { siblings: false, ..RoutePolicy::default() }))
        .plays(|asked| unless_plain(asked, capacity))
        .both(Client::Whole, &[at_once("first", "429 capacity"), at_once("first", "whole answer of the next in the chain")]);

    a_prompt_that_fits_elsewhere = case("context too long, the next in the chain takes more")
        .plan(|plan| plan.scenario.models[2].context_length = 32_768)
        .routes(|_| chain(PLAIN, &[PLAIN, OTHER_MODEL], RoutePolicy { siblings: false, ..RoutePolicy::default() }))
        .plays(|asked| unless_plain(asked, too_long))
        .both(Client::Whole, &[at_once("first", "400 context too long"), at_once("first", "whole answer of the next in the chain")]);

    a_window_and_a_provider_behind = case("402 cap on the only account, a provider behind Chutes")
        .routes(behind)
        .plays(|asked| unless_chutes(asked, cap_exceeded))
        .both(Client::Whole, &then_the_other("402 cap"));

    an_edge_limit_and_a_provider_behind = case("edge 429 page on the only account, a provider behind Chutes")
        .routes(behind)
        .plays(|asked| unless_chutes(asked, || page("429 page", "429 Too Many Requests")))
        .both(Client::Whole, &then_the_other("429 page"));

    a_full_model_and_a_provider_behind = case("429 capacity for ever, a provider behind Chutes")
        .routes(behind)
        .plays(|asked| unless_chutes(asked, capacity))
        .both(Client::Whole, &then_the_other("429 capacity"));

    a_failing_chutes_and_a_provider_behind = case("500 for ever, a provider behind Chutes")
        .routes(behind)
        .plays(|asked| unless_chutes(asked, exhausted))
        .both(Client::Whole, &[at_once("first", "500"), paused("other", "whole answer")]);

    a_silent_chutes_and_a_provider_behind = case("no answer at all, a provider behind Chutes")
        .plan(|plan| {
            plan.limits.first_token = Duration::from_millis(700);
            plan.limits.plain_answer = Duration::from_millis(700);
        })
        .routes(behind)
        .plays(|asked| unless_chutes(asked, silence))
        .both(Client::Whole, &[at_once("first", "nothing"), paused("other", "whole answer")]);

    a_provider_in_front_that_is_overloaded = case("a provider before Chutes says 529")
        .routes(before)
        .plays(|asked| unless_other(asked, || openai_error(
            "529 Overloaded", "overloaded_error", "overloaded", "Overloaded",
        )))
        .both(Client::Whole, &then_chutes("529 `overloaded`"));

    a_provider_in_front_that_limits = case("a provider before Chutes says 429 with `Retry-After: 5`")
        .routes(before)
        .plays(|asked| unless_other(asked, || openai_error(
            "429 Too Many Requests\r\nretry-after: 5", "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests",
        )))
        .both(Client::Whole, &then_chutes("429 `rate_limit_exceeded`"));

    a_provider_in_front_without_money = case("a provider before Chutes says 429 `insufficient_quota`")
        .routes(before)
        .plays(|asked| unless_other(asked, || openai_error(
            "429 Too Many Requests", "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.",
        )))
        .both(Client::Whole, &then_chutes("429 `insufficient_quota`"));

    a_provider_in_front_with_a_dead_key = case("a provider before Chutes says 401")
        .routes(before)
        .plays(|asked| unless_other(asked, || openai_error(
            "401 Unauthorized", "invalid_request_error", "invalid_api_key", "Incorrect API key provided",
        )))
        .both(Client::Whole, &then_chutes("401 `invalid_api_key`"));

    /// Any model may go on, as the chain says. The next one takes no prefill, so it answers from the start, and its answer
    /// begins with what was sent.
    a_fallback_that_refuses_prefill = case("cut mid-answer, `continuation = \"any_model\"`, and the next in the chain refuses prefill")
        .routes(|_| chain(PLAIN, &[PLAIN, OTHER_MODEL], any_model()))
        .plays(|asked| match (&*asked.model, asked.number) {
            (PLAIN, 0) => breaks("cut mid-answer", asked, &[Act::Reset]),
            (PLAIN, _) => cold(),
            _ => super::broken::no_prefill(asked, whole),
        })
        .stream(
            Client::Whole,
            &[
                at_once("first", "cut mid-answer"),
                paused("first", "503 cold"),
                paused("first", "400 prefill refused"),
                paused("first", "whole answer"),
            ],
        );

    a_fallback_that_is_not_asked_for_prefill = case("cut mid-answer, `continuation = \"any_model\"`, and a provider behind Chutes")
        .routes(|url| RoutingConfig { policy: any_model(), ..behind(url) })
        .plays(|asked| match (&*asked.who, asked.number) {
            ("first", 0) => breaks("cut mid-answer", asked, &[Act::Reset]),
            ("first", _) => cold(),
            _ => whole(asked),
        })
        .stream(
            Client::Whole,
            &[
                at_once("first", "cut mid-answer"),
                paused("first", "503 cold"),
                paused("other", "whole answer"),
            ],
        );
}
