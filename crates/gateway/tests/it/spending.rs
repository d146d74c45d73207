//! Who may spend what: bounds for a day, what is kept for interactive work, and client keys.

use crate::world::{Answered, MODEL, Plan, World, account, chat, post};
use chutes_emulator::{AccountSpec, KeyKind, ModelSpec, PlanSpec};
use http::StatusCode;
use ripcord_rules::quota::{Paygo, WhenUnknown};
use ripcord_rules::units::NanoUsd;
use ripcord_store::{
    ClientKey, ClientKeys as _, ClientPaygo, ClientRules, Coverage, Ledger as _, MemoryLedger,
};
use std::sync::Arc;
use tokio::task::JoinSet;

/// The balance would pay for every call, which is $0.004.
fn used_up() -> Plan {
    let mut plan = Plan::new();
    plan.scenario.accounts =
        vec![AccountSpec::new("first", PlanSpec::Pro).used_usd(8.4, 20.0).balance_usd(5.0)];
    plan.scenario.models[0] =
        ModelSpec::new(MODEL).price(1.0, 4.0, 1.0).tokens(10, 1_000).pace(0, 0.0);
    plan
}

fn daily(cents: i64) -> Paygo {
    Paygo::Daily(NanoUsd::from_cents(cents))
}

/// Asks with headers, for at most a thousand tokens.
async fn ask(world: &World, headers: &[(&'static str, &str)]) -> Answered {
    let mut body = chat(MODEL);
    body["max_tokens"] = 1_000.into();
    let mut request = post("/v1/chat/completions", body.to_string());
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    world.send(request).await
}

async fn ask_as(world: &World, key: &str) -> Answered {
    ask(world, &[("authorization", &format!("Bearer {key}"))]).await
}

fn paid(world: &World) -> i64 {
    world.control().account("first").unwrap().paid_nano_usd
}

#[tokio::test]
async fn the_balance_pays_up_to_the_bound_of_the_day_and_then_says_when_it_goes_on() {
    let mut plan = used_up();
    plan.accounts[0].paygo = daily(2);
    let world = plan.start().await;
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(ask(&world, &[]).await);
    }
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == StatusCode::OK);
    assert!((3..=5).contains(&served.len()), "{} served", served.len());
    assert!((1..=20_000_000).contains(&paid(&world)), "{}", paid(&world));
    let refused = refused[0];
    assert_eq!(refused.refusal(), (402, "budget_exhausted".to_owned(), "false"));
    assert!(refused.text().contains("daily_usd"), "{}", refused.text());
    assert!(refused.json()["error"]["reset_at"].is_string(), "{}", refused.text());
    let story = world.story(served[0]).await;
    assert_eq!(story.attempts[0].cost.coverage, Some(Coverage::Paid));
}

#[tokio::test]
async fn many_at_once_do_not_pass_the_bound() {
    let mut plan = used_up();
    plan.accounts[0].paygo = daily(5);
    plan.scenario.models[0].first_token_ms = 30;
    let world = Arc::new(plan.start().await);
    let mut clients = JoinSet::new();
    for _ in 0..40 {
        let world = Arc::clone(&world);
        clients.spawn(async move { ask(&world, &[("x-ripcord-deadline", "4")]).await.status });
    }
    let statuses = clients.join_all().await;
    let served = statuses.iter().filter(|status| **status == StatusCode::OK).count();
    assert!((8..=12).contains(&served), "{served}: {statuses:?}");
    assert!((30_000_000..=50_000_000).contains(&paid(&world)), "{}", paid(&world));
}

#[tokio::test]
async fn what_the_account_paid_before_counts_towards_the_bound() {
    let mut plan = used_up();
    plan.accounts[0].paygo = daily(50);
    let spec = &mut plan.scenario.accounts[0];
    let today = plan.scenario.starts_at.clone().unwrap();
    let row = |hour: &str, amount_usd| chutes_emulator::UsageRowSpec {
        at: format!("{}T{hour}:00:00", &today[..10]),
        model: MODEL.to_owned(),
        amount_usd,
        count: 1,
        input_tokens: 0,
        output_tokens: 0,
    };
    spec.usage_rows = vec![row("03", 0.3), row("09", 0.25)];
    let world = plan.start().await;
    let refused = ask(&world, &[]).await;
    assert_eq!(refused.refusal().1, "budget_exhausted", "{}", refused.text());
    assert_eq!(paid(&world), 0);
}

#[tokio::test]
async fn an_account_that_cannot_be_read_pays_at_most_its_bound_for_own_calls() {
    let mut plan = used_up();
    plan.scenario.accounts[0] = AccountSpec::new("first", PlanSpec::Pro).keys(&[KeyKind::Invoke]);
    plan.accounts[0].paygo = daily(2);
    let world = plan.start().await;
    let mut served = 0;
    let refused = loop {
        let answer = ask(&world, &[]).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        assert_eq!(answer.header("x-ripcord-unguarded"), "true");
        served += 1;
        assert!(served < 10, "no bound");
    };
    assert!(served >= 3, "{served}");
    assert_eq!(refused.refusal().1, "budget_exhausted", "{}", refused.text());
}

#[tokio::test]
async fn the_last_of_a_window_is_for_interactive_work() {
    let mut plan = Plan::new();
    plan.scenario.accounts =
        vec![AccountSpec::new("first", PlanSpec::Pro).used_usd(7.7, 20.0).balance_usd(5.0)];
    plan.accounts[0].spending.reserve_permille = 100;
    let world = Arc::new(plan.start().await);
    for priority in ["agent", "batch"] {
        let headers = [("x-ripcord-priority", priority), ("x-ripcord-deadline", "1")];
        let refused = ask(&world, &headers).await;
        assert_eq!(
            (refused.status.as_u16(), refused.refusal().1.as_str()),
            (429, "window_exhausted")
        );
        assert!(refused.text().contains("kept for interactive work"), "{}", refused.text());
        assert_eq!(refused.json()["error"]["window"], "four_hour");
        assert!(refused.json()["error"]["reset_at"].is_string());
    }
    // A batch waits for the reset, and nobody waits behind it.
    let waiting = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { ask(&world, &[("x-ripcord-priority", "batch")]).await })
    };
    world.wait_for("the batch in the queue", || async { world.gateway().queued() == 1 }).await;
    assert_eq!(ask(&world, &[]).await.status, StatusCode::OK);
    assert_eq!(ask(&world, &[("x-ripcord-priority", "interactive")]).await.status, StatusCode::OK);
    assert_eq!(world.gateway().queued(), 1);
    waiting.abort();
    assert_eq!(paid(&world), 0);
}

/// A key of the gateway: `rip_` and its name.
fn key(name: &str, paygo: ClientPaygo) -> ClientKey {
    let rules = ClientRules { paygo, ..ClientRules::default() };
    ClientKey::new(name, &format!("rip_{name}"), rules, 0)
}

fn ledger_with(keys: impl IntoIterator<Item = ClientKey>) -> Arc<MemoryLedger> {
    let ledger = Arc::new(MemoryLedger::default());
    keys.into_iter().for_each(|key| ledger.add_client_key(key).unwrap());
    ledger
}

#[tokio::test]
async fn with_a_client_key_one_is_asked_for_and_its_name_is_recorded() {
    let mut plan = Plan::new();
    plan.ledger = ledger_with([key("laptop", ClientPaygo::AsAccount)]);
    let world = plan.start().await;
    for headers in [&[][..], &[("authorization", "Bearer rip_wrong")], &[("x-api-key", "any")]] {
        let refused = ask(&world, headers).await;
        assert_eq!(refused.refusal(), (401, "invalid_api_key".to_owned(), "false"));
    }
    assert_eq!(world.get("/v1/models").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get("/-/status").await.status, StatusCode::OK);
    assert!(world.upstream_calls().is_empty());
    let answered = ask(&world, &[("x-api-key", "rip_laptop")]).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let story = world.story(&answered).await;
    assert_eq!(story.request.unwrap().client_key.as_deref(), Some("laptop"));
}

#[tokio::test]
async fn a_key_counts_and_is_revoked_while_the_gateway_runs() {
    let world = Plan::new().start().await;
    assert_eq!(ask(&world, &[]).await.status, StatusCode::OK, "nobody needs one yet");
    world.ledger.add_client_key(key("new", ClientPaygo::AsAccount)).unwrap();
    let status = |key: &'static str| {
        let world = &world;
        async move { ask_as(world, key).await.status }
    };
    world
        .wait_for("the key in force", || async {
            status("anything").await == StatusCode::UNAUTHORIZED
        })
        .await;
    assert_eq!(status("rip_new").await, StatusCode::OK);
    assert!(world.ledger.revoke_client_key("new", 1).unwrap());
    world
        .wait_for("the key out of force", || async {
            status("rip_new").await == StatusCode::UNAUTHORIZED
        })
        .await;
    // With the last key gone the gateway is not open to everybody.
    assert_eq!(ask(&world, &[]).await.status, StatusCode::UNAUTHORIZED);
    assert!(world.ledger.remove_client_key("new").unwrap());
    world
        .wait_for("open again", || async { ask(&world, &[]).await.status == StatusCode::OK })
        .await;
}

#[tokio::test]
async fn of_key_and_account_the_stricter_wins_and_one_does_not_stop_the_other() {
    let mut plan = used_up();
    plan.accounts[0].paygo = Paygo::Allow;
    let keys = [key("never", ClientPaygo::Never), key("allow", ClientPaygo::Allow)];
    plan.ledger = ledger_with(keys);
    let world = plan.start().await;
    for _ in 0..2 {
        let refused = ask_as(&world, "rip_never").await;
        assert_eq!(refused.refusal().1, "paygo_not_allowed", "{}", refused.text());
        assert_eq!(ask_as(&world, "rip_allow").await.status, StatusCode::OK);
    }
    assert_eq!(world.upstream_calls().len(), 2);

    let mut plan = used_up();
    plan.accounts[0].paygo = Paygo::Never;
    plan.ledger =
        ledger_with([key("allow", ClientPaygo::Allow), key("day", ClientPaygo::Daily(1))]);
    let world = plan.start().await;
    for name in ["rip_allow", "rip_day"] {
        assert_eq!(ask_as(&world, name).await.refusal().1, "paygo_not_allowed");
    }
    assert_eq!(paid(&world), 0);
}

#[tokio::test]
async fn a_key_pays_at_most_its_bound_a_day_also_after_a_restart() {
    let mut plan = used_up();
    plan.accounts[0].paygo = Paygo::Allow;
    let ledger = ledger_with([
        key("bounded", ClientPaygo::Daily(NanoUsd::from_cents(2).0)),
        key("other", ClientPaygo::Daily(NanoUsd::from_cents(2).0)),
    ]);
    plan.ledger = Arc::clone(&ledger);
    let world = plan.start().await;
    let mut served = 0;
    while ask_as(&world, "rip_bounded").await.status == StatusCode::OK {
        served += 1;
        assert!(served < 10, "no bound");
    }
    assert!(served >= 3, "{served}");
    assert!(paid(&world) <= 20_000_000);
    assert_eq!(ask_as(&world, "rip_other").await.status, StatusCode::OK, "each has its own");
    world.wait_until_idle().await;
    drop(world);

    let mut plan = used_up();
    plan.accounts[0].paygo = Paygo::Allow;
    plan.ledger = ledger;
    let world = plan.start().await;
    let refused = ask_as(&world, "rip_bounded").await;
    assert_eq!(refused.refusal().1, "budget_exhausted", "{}", refused.text());
    assert!(refused.text().contains("client key"), "{}", refused.text());
    assert_eq!(ask_as(&world, "rip_other").await.status, StatusCode::OK);
    assert!(world.ledger.recent_requests(1).unwrap()[0].client_key.is_some());
}

#[tokio::test]
async fn a_key_may_be_kept_from_the_reserve_and_from_what_nobody_can_see() {
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![AccountSpec::new("first", PlanSpec::Pro).used_usd(7.7, 20.0)];
    plan.accounts[0].spending.reserve_permille = 100;
    let mut script = key("script", ClientPaygo::AsAccount);
    script.rules.may_use_reserve = false;
    plan.ledger = ledger_with([script, key("person", ClientPaygo::AsAccount)]);
    let world = plan.start().await;
    let headers = [("authorization", "Bearer rip_script"), ("x-ripcord-priority", "interactive")];
    let refused = ask(&world, &headers).await;
    assert!(refused.text().contains("kept for interactive work"), "{}", refused.text());
    assert_eq!(ask_as(&world, "rip_person").await.status, StatusCode::OK);

    let mut plan = Plan::new();
    plan.scenario.accounts =
        vec![AccountSpec::new("first", PlanSpec::Pro).keys(&[KeyKind::Invoke])];
    plan.accounts = vec![account("first", &[0])];
    plan.accounts[0].when_unknown = WhenUnknown::Allow;
    let mut careful = key("careful", ClientPaygo::AsAccount);
    careful.rules.refuses_unknown = true;
    plan.ledger = ledger_with([careful, key("bold", ClientPaygo::AsAccount)]);
    let world = plan.start().await;
    assert_eq!(ask_as(&world, "rip_careful").await.refusal().1, "paygo_not_allowed");
    assert_eq!(ask_as(&world, "rip_bold").await.header("x-ripcord-unguarded"), "true");
}
