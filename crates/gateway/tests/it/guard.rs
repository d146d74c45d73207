//! Money is not spent that was not allowed to be.

use crate::world::{MODEL, OTHER_MODEL, Plan, World, chat};
use chutes_emulator::{
    AccountSpec, Fault, FaultKind, FaultScope, KeyKind, Lag, ModelSpec, PlanSpec,
};
use http::StatusCode;
use ripcord_rules::quota::Paygo;
use std::collections::BTreeMap;
use std::sync::Arc;

fn plan(account: AccountSpec) -> Plan {
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![account];
    plan
}

#[tokio::test]
async fn a_subscription_stops_before_the_end_of_a_window_and_names_the_one_line_change() {
    let account = AccountSpec::new("first", PlanSpec::Pro).used_usd(8.25, 20.0).balance_usd(5.0);
    let world = plan(account).start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(
        answered.refusal(),
        (402, "paygo_not_allowed".to_owned(), "false"),
        "{}",
        answered.text()
    );
    assert!(answered.text().contains(r#"paygo = \"allow\""#), "{}", answered.text());
    assert_eq!(answered.json()["error"]["window"], "four_hour");
    assert!(answered.json()["error"]["reset_at"].is_string());
    assert!(world.upstream_calls().is_empty());
    assert_eq!(world.control().account("first").unwrap().paid_nano_usd, 0);
}

#[tokio::test]
async fn without_money_the_same_is_a_429_until_the_reset() {
    let account = AccountSpec::new("first", PlanSpec::Pro).used_units(5_000.0);
    let world = plan(account).start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!((answered.refusal().0, answered.refusal().1.as_str()), (429, "window_exhausted"));
    assert_eq!(answered.json()["error"]["window"], "day");
    let wait: u64 = answered.header("retry-after").parse().unwrap();
    assert!(wait <= 86_400, "{wait}");
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn whoever_allows_paygo_gets_it() {
    let account = AccountSpec::new("first", PlanSpec::Pro).used_usd(9.0, 20.0).balance_usd(5.0);
    let mut plan = plan(account);
    plan.accounts[0].paygo = Paygo::Allow;
    let world = plan.start().await;
    assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
    assert!(world.control().account("first").unwrap().paid_nano_usd > 0);
}

#[tokio::test]
async fn pay_as_you_go_works_down_to_the_minimum() {
    let account = AccountSpec::new("first", PlanSpec::Paygo).balance_usd(1.0);
    assert_eq!(plan(account).start().await.chat(&chat(MODEL)).await.status, StatusCode::OK);
    let account = AccountSpec::new("first", PlanSpec::Paygo).balance_usd(0.04);
    let world = plan(account).start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(
        answered.refusal(),
        (402, "budget_exhausted".to_owned(), "false"),
        "{}",
        answered.text()
    );
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_used_and_marked_unless_its_owner_wrote_never() {
    let account = || AccountSpec::new("first", PlanSpec::Pro).keys(&[KeyKind::Invoke]);
    let world = plan(account()).start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(answered.header("x-ripcord-unguarded"), "true");
    assert_eq!(world.status_report().await["accounts"][0]["budget"], "unguarded");
    let mut never = plan(account());
    never.accounts[0].paygo = Paygo::Never;
    let world = never.start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(
        answered.refusal(),
        (402, "paygo_not_allowed".to_owned(), "false"),
        "{}",
        answered.text()
    );
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_for_an_account_whose_figures_are_still_being_read() {
    let mut plan = plan(
        AccountSpec::new("first", PlanSpec::Pro)
            .fault(Fault::new(FaultKind::Silent).on(FaultScope::Management)),
    );
    plan.accounts[0].paygo = Paygo::Never;
    plan.waits_for_figures = false;
    let world = plan.start().await;
    let mut request = crate::world::post("/v1/chat/completions", chat(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", "1".parse().unwrap());
    let answered = world.send(request).await;
    assert_eq!(answered.refusal(), (429, "deadline".to_owned(), "true"), "{}", answered.text());
    assert!(answered.text().contains("have not been read yet"));
    assert!(world.upstream_calls().is_empty());
}

#[tokio::test]
async fn a_month_that_is_used_up_does_not_open_by_the_calendar() {
    let account = AccountSpec::new("first", PlanSpec::Pro).used_usd(0.0, 99.0).balance_usd(5.0);
    let world = plan(account).start().await;
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(
        (answered.refusal().0, answered.json()["error"]["window"].as_str()),
        (402, Some("month"))
    );
    let first = world.status_report().await["accounts"][0].clone();
    assert_eq!(
        (&first["budget"], first["opens_at"].is_null()),
        (&"closed".into(), true),
        "only billing opens it"
    );
}

#[tokio::test]
async fn the_margin_is_for_subscriptions_that_could_be_charged() {
    // Nothing can be charged where the balance may pay anyway: the last requests of the day can be used.
    let account = AccountSpec::new("first", PlanSpec::Legacy).used_units(199.0);
    let mut plan = plan(account);
    plan.scenario.models[0].tee = false;
    let world = plan.start().await;
    assert_eq!(world.chat(&chat(MODEL)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn plans_are_used_before_balances() {
    let mut plan = Plan::new().and_second();
    plan.scenario.accounts[0] = AccountSpec::new("first", PlanSpec::Paygo).balance_usd(5.0);
    let world = plan.start().await;
    for _ in 0..4 {
        assert_eq!(world.chat(&chat(MODEL)).await.header("x-ripcord-account"), "second");
    }
    assert_eq!(world.control().account("first").unwrap().paid_nano_usd, 0);
}

#[tokio::test]
async fn an_account_that_is_used_up_leaves_the_work_to_the_next() {
    let mut plan = Plan::new().and_second();
    plan.scenario.accounts[0] = AccountSpec::new("first", PlanSpec::Pro).used_usd(8.4, 20.0);
    let world = plan.start().await;
    for _ in 0..3 {
        assert_eq!(world.chat(&chat(MODEL)).await.header("x-ripcord-account"), "second");
    }
    assert!(world.upstream_calls().iter().all(|call| call.account.as_deref() == Some("second")));
}

/// Near the end of a window: a call is 0.3 % of the cap, the figures lag by a minute, and there is money that must not be
/// touched.
fn near_the_end() -> Plan {
    let mut account = AccountSpec::new("first", PlanSpec::Pro).used_usd(8.0, 20.0).balance_usd(5.0);
    account.aliases.insert("mine".to_owned(), vec![MODEL.to_owned()]);
    let mut plan = plan(account);
    plan.scenario.lag = Lag { cap_figures_seconds: 60.0, ..plan.scenario.lag };
    let model = &mut plan.scenario.models[0];
    *model = ModelSpec::new(MODEL).price(1.0, 4.0, 1.0).tokens(21_000, 1_000).pace(5, 1e6);
    plan
}

/// 32 clients at once; how many got which status.
async fn crowd(world: World, model: &str, max_tokens: u64, deadline: &str) -> BTreeMap<u16, usize> {
    let world = Arc::new(world);
    let mut body = chat(model);
    body["max_tokens"] = max_tokens.into();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (world, body) = (Arc::clone(&world), body.to_string());
        let mut request = crate::world::post("/v1/chat/completions", body);
        request.headers_mut().insert("x-ripcord-deadline", deadline.parse().unwrap());
        clients.spawn(async move { world.send(request).await });
    }
    let mut tally = BTreeMap::new();
    while let Some(answered) = clients.join_next().await {
        let answered = answered.unwrap();
        if answered.status == StatusCode::TOO_MANY_REQUESTS {
            // They may come again soon: it is only not known yet what the others cost.
            assert_eq!(answered.refusal().1, "deadline", "{}", answered.text());
            assert!(answered.header("retry-after").parse::<u64>().unwrap() <= 15);
        }
        *tally.entry(answered.status.as_u16()).or_insert(0) += 1;
    }
    let truth = world.control().account("first").unwrap();
    assert_eq!(truth.paid_nano_usd, 0, "{model}: {truth:?}");
    tally
}

#[tokio::test]
async fn many_clients_at_the_end_of_a_window_do_not_carry_it_over() {
    // Whatever the model is called: a name without a price is not free.
    let list = format!("{MODEL},{OTHER_MODEL}");
    let suffixed = format!("{MODEL}:latency");
    for model in [MODEL, list.as_str(), suffixed.as_str(), "mine"] {
        let tally = crowd(near_the_end().start().await, model, 1_000, "2").await;
        let answered = tally.get(&200).copied().unwrap_or(0);
        assert!((1..14).contains(&answered), "{model}: {tally:?}");
        assert_eq!(answered + tally.get(&429).copied().unwrap_or(0), 32, "{model}: {tally:?}");
    }
}

#[tokio::test]
async fn calls_that_turn_out_cheap_make_room_for_those_who_wait() {
    let mut plan = near_the_end();
    // They ask for up to 40 000 tokens and get 10.
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(1.0, 4.0, 1.0).tokens(10, 10).pace(20, 1e6);
    let tally = crowd(plan.start().await, MODEL, 40_000, "20").await;
    assert_eq!(tally, BTreeMap::from([(200, 32)]));
}
