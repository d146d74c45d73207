//! Accounts that have a quota row of their own for one model.

use crate::world::{MODEL, OTHER_MODEL, Plan, chat, post};
use chutes_emulator::{AccountSpec, PlanSpec, StateSpec};
use ripcord_rules::quota::Paygo;
use ripcord_store::{ClientKey, ClientKeys as _, ClientPaygo, ClientRules, MemoryLedger};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_list_whose_first_member_has_a_row_of_its_own_does_not_carry_the_day_over() {
    let mut plan = Plan::new();
    // 40 requests are left of the day, before what is kept for others.
    plan.scenario.accounts = vec![
        AccountSpec::new("first", PlanSpec::Pro)
            .used_units(4_900.0)
            .balance_usd(5.0)
            .chute_quota(MODEL, 3_000),
    ];
    plan.scenario.models[0].state = StateSpec::Cold;
    let world = Arc::new(plan.start().await);
    let mut clients = JoinSet::new();
    for number in 0..120 {
        let world = Arc::clone(&world);
        let mut body = chat(&format!("{MODEL},{OTHER_MODEL}"));
        body["seed"] = number.into();
        clients.spawn(async move {
            let mut request = post("/v1/chat/completions", body.to_string());
            request.headers_mut().insert("x-ripcord-deadline", "2".parse().unwrap());
            world.send(request).await.status.as_u16()
        });
    }
    let statuses = clients.join_all().await;
    let truth = world.control().account("first").unwrap();
    assert_eq!(truth.paid_nano_usd, 0, "{truth:?}");
    let answered = statuses.iter().filter(|status| **status == 200).count();
    // How many of them in their two seconds hangs on the machine; never more than there is room for.
    assert!((1..=40).contains(&answered), "{statuses:?}");
}

#[tokio::test]
async fn what_only_one_model_may_not_do_is_said_at_once() {
    let mut plan = Plan::new();
    plan.scenario.accounts =
        vec![AccountSpec::new("first", PlanSpec::Pro).balance_usd(5.0).chute_quota(MODEL, 0)];
    plan.accounts[0].paygo = Paygo::Allow;
    let rules = ClientRules { paygo: ClientPaygo::Daily(0), ..ClientRules::default() };
    let ledger = MemoryLedger::default();
    ledger.add_client_key(ClientKey::new("key", "rip_key", rules, 0)).unwrap();
    plan.ledger = Arc::new(ledger);
    let world = plan.start().await;
    let ask = |model: &str| {
        let mut request = post("/v1/chat/completions", chat(model).to_string());
        request.headers_mut().insert("authorization", "Bearer rip_key".parse().unwrap());
        tokio::time::timeout(Duration::from_secs(5), world.send(request))
    };
    // The plan pays for the other one.
    assert_eq!(ask(OTHER_MODEL).await.unwrap().status, 200);
    let refused = ask(MODEL).await.expect("an answer at once");
    assert_eq!(refused.refusal().1, "budget_exhausted", "{}", refused.text());
    assert_eq!(world.control().account("first").unwrap().paid_nano_usd, 0);
}
