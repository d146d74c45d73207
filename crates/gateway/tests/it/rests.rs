//! What rests is waited for where that helps, by everybody, and asked again by a few.

use crate::faults::answers::{detail, openai_error, whole};
use crate::health::{at_once, with_deadline};
use crate::provider::{Act, Asked, Provider, Script};
use crate::world::{MODEL, OTHER_MODEL, Plan, chat};
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_client::key::Key;
use ripcord_gateway::{ChainConfig, ProviderConfig, RoutingConfig, Trim};
use ripcord_rules::route::{Place, RoutePolicy};
use std::time::{Duration, Instant};

fn cold() -> Script {
    detail("503 Service Unavailable", "No instances available (yet) for chute_id='c1'")
}

#[tokio::test]
async fn many_who_wait_for_a_cold_model_do_not_all_ask_it() {
    let mut plan = Plan::new();
    plan.limits.recovery.rests.cold = Duration::from_millis(400);
    plan.provider = Some(Provider::start(|_: &Asked| cold()).await);
    let world = plan.start().await;
    for answered in at_once(&world, 40, &chat(MODEL), 2).await {
        assert_eq!(answered.refusal(), (503, "model_cold".to_owned(), "true"));
    }
    // Five slots: those on their way when it was found to be cold, and as many after each of two rests.
    let calls = world.provider.as_ref().unwrap().calls();
    assert!((10..=20).contains(&calls), "{calls}");
    world.wait_until_idle().await;
}

#[tokio::test]
async fn another_model_of_the_chain_that_rests_for_a_moment_is_waited_for() {
    let mut plan = Plan::new();
    plan.limits.recovery.rests.cold = Duration::from_millis(1_200);
    plan.provider = Some(
        Provider::start(|asked: &Asked| match (&*asked.model, asked.number_of_pair) {
            (OTHER_MODEL, _) => {
                detail("503 Service Unavailable", "This chute is currently disabled.")
            }
            (_, 0) => cold(),
            _ => whole(asked),
        })
        .await,
    );
    let models = vec![OTHER_MODEL.to_owned(), MODEL.to_owned()];
    let policy = RoutePolicy::default();
    let chain = ChainConfig { name: OTHER_MODEL.to_owned(), models, policy, trim: Trim::Off };
    plan.routing = RoutingConfig { chains: vec![chain], ..RoutingConfig::default() };
    let world = plan.start().await;
    assert_eq!(with_deadline(&world, &chat(MODEL), 1).await.status, 503);
    let answered = with_deadline(&world, &chat(OTHER_MODEL), 20).await;
    assert_eq!(answered.status, 200, "{}", answered.text());
    assert_eq!(answered.header("x-ripcord-model"), MODEL);
}

/// A provider's own model, and what it says to the first request for it.
async fn limited(deadline: u64) -> (u16, usize, Duration) {
    let spare = Provider::start(|asked: &Asked| {
        let Script { mut acts, name } = openai_error(
            "429 Too Many Requests\r\nretry-after: 1",
            "requests",
            "rate_limit_exceeded",
            "Rate limit reached for model poet",
        );
        if asked.number > 0 { whole(asked) } else { Script::new(name, std::mem::take(&mut acts)) }
    })
    .await;
    let mut plan = Plan::new();
    plan.routing.providers = vec![ProviderConfig {
        name: "spare".to_owned(),
        base_url: BaseUrl::parse(Service::Provider, &spare.url, PlainHttp::LoopbackOnly).unwrap(),
        key: Some(Key::of_provider("key-of-spare").unwrap()),
        place: Place::Behind,
        models: Vec::new(),
        tee: false,
        slots: None,
        prices: Vec::new(),
        daily_usd: None,
        include_usage: false,
        prefill: false,
    }];
    let world = plan.start().await;
    let answered = with_deadline(&world, &chat("spare:poet"), deadline).await;
    let seen: Vec<Instant> = spare.seen().iter().map(|seen| seen.at).collect();
    let gap = seen.last().zip(seen.first()).map(|(last, first)| last.duration_since(*first));
    (answered.status.as_u16(), seen.len(), gap.unwrap_or_default())
}

#[tokio::test]
async fn a_limit_of_one_model_at_a_provider_is_waited_out() {
    let (status, calls, gap) = limited(20).await;
    assert_eq!((status, calls), (200, 2));
    assert!(gap >= Duration::from_secs(1), "{gap:?}");
    // Not where it ends too late.
    let (status, calls, _) = limited(1).await;
    assert_eq!((status, calls), (429, 1));
}

#[tokio::test]
async fn who_waits_for_a_model_that_answers_somebody_else_meanwhile_goes_at_once() {
    let mut plan = Plan::new();
    plan.provider = Some(
        Provider::start(|asked: &Asked| match asked.number {
            0 => whole(asked).after(Act::Pause(Duration::from_millis(500))),
            1 => cold(),
            _ => whole(asked),
        })
        .await,
    );
    let world = plan.start().await;
    let body = chat(MODEL);
    let slow = with_deadline(&world, &body, 100);
    let waits = async {
        world
            .wait_for("the first", || async { world.provider.as_ref().unwrap().calls() == 1 })
            .await;
        // It rests for a minute.
        with_deadline(&world, &body, 100).await
    };
    let both = async { tokio::join!(slow, waits) };
    let (first, second) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(world.provider.as_ref().unwrap().calls(), 3);
}
