//! What goes on over many requests: an upstream that flaps, and what a fail-over costs whom.

use super::answers::{detail, openai_error, whole};
use super::case::Row;
use crate::provider::{Asked, Provider, Script};
use crate::world::{MODEL, Plan, World, chat, streamed};
use chutes_emulator::{AccountSpec, Fault, FaultKind, PlanSpec};
use ripcord_store::Outcome;
use std::time::Duration;

/// Requests while the account flaps; by default a minute of them, one a second.
const REQUESTS: usize = 60;
/// It is down for five requests, then up for five.
const PHASE: usize = 5;

fn flaps(asked: &Asked) -> Script {
    if asked.who == "first" && asked.number_of_pair % (2 * PHASE) < PHASE {
        return detail("503 Service Unavailable", "Database connectivity problems");
    }
    whole(asked)
}

async fn flapping() -> World {
    let mut plan = Plan::new().and_second();
    plan.limits.first_token = Duration::from_secs(10);
    plan.limits.stall = Duration::from_secs(10);
    plan.provider = Some(Provider::start(flaps).await);
    plan.start().await
}

#[tokio::test]
async fn an_upstream_that_flaps_is_not_seen_by_the_clients() {
    for streams in [false, true] {
        let world = flapping().await;
        assert_all_whole(&world, streams).await;
    }
}

#[tokio::test]
async fn a_provider_that_flaps_is_not_seen_by_the_clients() {
    let flaps = |asked: &Asked| {
        if asked.who == "other" && asked.number_of_pair % (2 * PHASE) < PHASE {
            let message = "The server had an error while processing your request";
            return openai_error(
                "500 Internal Server Error",
                "server_error",
                "server_error",
                message,
            );
        }
        whole(asked)
    };
    for streams in [false, true] {
        let mut plan = Plan::new();
        let provider = Provider::start(flaps).await;
        plan.routing = super::elsewhere::before(&provider.url);
        plan.provider = Some(provider);
        let world = plan.start().await;
        assert_all_whole(&world, streams).await;
    }
}

async fn assert_all_whole(world: &World, streams: bool) {
    for _ in 0..REQUESTS / 2 {
        let body = if streams { streamed(MODEL) } else { chat(MODEL) };
        let answered = world.chat(&body).await;
        let got = super::client::Client::of(&answered, streams);
        assert_eq!(got, super::client::Client::Whole, "{}", answered.text());
    }
    let calls = world.provider.as_ref().unwrap().calls();
    assert!(calls <= REQUESTS / 2 + MOST_MORE, "{calls} attempts for {} requests", REQUESTS / 2);
    world.wait_until_idle().await;
}

/// A bad minute is no storm: few requests pay for it with a second attempt.
const MOST_MORE: usize = REQUESTS / 4;

#[tokio::test]
async fn a_fail_over_is_paid_once_and_by_who_answered() {
    for streams in [false, true] {
        let mut plan = Plan::new();
        plan.scenario = plan.scenario.account(AccountSpec::new("second", PlanSpec::Pro));
        plan.accounts.push(crate::world::account("second", &[0]));
        let world = plan.start().await;
        let fault = Fault::new(FaultKind::EdgeRateLimit);
        world.control().add_account_fault("first", fault).unwrap();
        let body = if streams { streamed(MODEL) } else { chat(MODEL) };
        let answered = world.chat(&body).await;
        assert_eq!(answered.header("x-ripcord-account"), "second", "{}", answered.text());
        let story = world.story(&answered).await;
        let rows: Vec<_> = story
            .attempts
            .iter()
            .map(|attempt| (attempt.served_by.account.as_deref().unwrap(), attempt.outcome))
            .collect();
        assert_eq!(rows, [("first", Outcome::Failed), ("second", Outcome::Completed)]);
        let [failed, served] = &story.attempts[..] else { panic!("two attempts") };
        let request = story.request.unwrap();
        assert_eq!((request.tokens.prompt, request.tokens.completion), (Some(10), Some(12)));
        assert_eq!(request.tokens, served.tokens, "the tokens of one answer");
        let price = |cost: ripcord_store::Cost| cost.list_price_nano_usd;
        assert_eq!(price(request.cost), price(served.cost), "the price of one answer");
        assert_eq!(failed.cost.list_price_nano_usd.unwrap_or(0), 0, "a refusal costs nothing");
        let truth = |name: &str| world.control().account(name).unwrap();
        assert_eq!(truth("first").covered_nano_usd, 0);
        let served_usd = Some(truth("second").covered_nano_usd);
        assert_eq!(served.cost.list_price_nano_usd, served_usd, "as the emulator counts");
        assert_eq!((truth("first").milli_units_ever, truth("second").milli_units_ever), (0, 1_000));
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let row = |situation: &str, client: &str, upstream: &str| {
        [false, true].map(|streams| Row {
            situation: situation.to_owned(),
            streams,
            client: client.to_owned(),
            upstream: upstream.to_owned(),
        })
    };
    let flapping = row(
        "an account that flaps for a minute, another that does not",
        "the whole answer, each of 30 times",
        "45 requests at most",
    );
    let provider = row(
        "a provider before Chutes that flaps for a minute",
        "the whole answer, each of 30 times",
        "45 requests at most",
    );
    let accounting = row(
        "accounting after a fail-over",
        "the whole answer; the ledger has both attempts, and tokens and price of one answer",
        "first: 429 page, counts nothing; second: 200, counts one unit and the price",
    );
    flapping.into_iter().chain(provider).chain(accounting).collect()
}
