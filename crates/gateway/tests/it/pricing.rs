//! What is predicted of an account's windows is what Chutes counts.

use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use chutes_emulator::{
    AccountSpec, Ended, Fault, FaultKind, KeyKind, ModelSpec, PlanSpec, PriceOverride,
};
use http_body_util::BodyExt as _;
use ripcord_rules::quota::{BookSettings, Paygo};
use ripcord_store::{AttemptRow, Coverage, Ledger as _, Outcome};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const THIRD_MODEL: &str = "acme/Poet-1";

/// A world in which figures are read once and no room is kept for others, so that only own calls are ahead of them.
async fn start(account: AccountSpec) -> World {
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![account];
    plan.scenario.models = vec![
        ModelSpec { cached_share: 0.5, ..model(MODEL) },
        model(OTHER_MODEL).price(0.1, 0.4, 0.1),
        model(THIRD_MODEL).price(2.0, 9.0, 0.5),
    ];
    plan.book = BookSettings { margin_permille: 0, ..BookSettings::default() };
    plan.limits.plain_answer = Duration::from_secs(60);
    begin(plan).await
}

fn model(name: &str) -> ModelSpec {
    ModelSpec::new(name).price(0.2, 0.8, 0.1).pace(0, 0.0).tokens(1_000, 50)
}

/// Also waits for the account's own prices and names, where its key may read them.
async fn begin(plan: Plan) -> World {
    let may_read = plan.scenario.accounts[0].keys[0] == KeyKind::Admin;
    let world = plan.start().await;
    let read = || async { !may_read || !world.account().await["own_names"].is_null() };
    world.wait_for("own prices and names", read).await;
    world
}

fn pro() -> AccountSpec {
    AccountSpec::new("first", PlanSpec::Pro)
}

impl World {
    async fn account(&self) -> Value {
        self.status_report().await["accounts"][0].clone()
    }

    /// What the gateway takes to be used and what is: thousandths of units today, nano-dollars of the 4 hours and of the
    /// month.
    async fn predicted_and_counted(&self) -> [[i64; 3]; 2] {
        let windows = self.account().await["windows"].clone();
        let used = |index: usize, scale: f64| {
            (windows[index]["used_at_most"].as_f64().unwrap() * scale).round() as i64
        };
        let truth = self.control().account("first").unwrap();
        [
            [used(0, 1e3), used(1, 1e9), used(2, 1e9)],
            [truth.day_milli_units, truth.four_hour_nano_usd, truth.month_nano_usd],
        ]
    }

    async fn assert_predicted(&self, what: &str) {
        let [predicted, counted] = self.predicted_and_counted().await;
        assert_eq!(predicted, counted, "{what}: predicted, counted");
    }

    async fn attempt_of(&self, answered: &Answered) -> AttemptRow {
        self.story(answered).await.attempts.pop().unwrap()
    }

    async fn last_attempt(&self) -> AttemptRow {
        let written = || async { !self.ledger.recent_requests(1).unwrap().is_empty() };
        self.wait_for("the record", written).await;
        let id = self.ledger.recent_requests(1).unwrap()[0].request_id.to_string();
        self.story_of(&id).await.attempts.pop().unwrap()
    }
}

#[tokio::test]
async fn at_list_prices_with_the_cached_part_and_each_model_its_own() {
    let world = start(pro().used_usd(1.0, 20.0).used_units(12.5)).await;
    for model in [MODEL, OTHER_MODEL, THIRD_MODEL] {
        for body in [chat(model), streamed(model)] {
            world.chat(&body).await;
            world.wait_until_idle().await;
            world.assert_predicted(model).await;
        }
    }
}

#[tokio::test]
async fn at_prices_and_discounts_of_its_own() {
    let mut account = pro();
    account.discounts.insert("*".to_owned(), 0.1);
    account.discounts.insert(OTHER_MODEL.to_owned(), 0.5);
    account.price_overrides.push(PriceOverride {
        model: MODEL.to_owned(),
        per_million_in: 3.0,
        per_million_out: 7.0,
        cache_discount: 0.9,
    });
    let world = start(account).await;
    assert_eq!(world.account().await["own_prices"], 3);
    let mut prices = Vec::new();
    for model in [MODEL, OTHER_MODEL, THIRD_MODEL] {
        let answered = world.chat(&chat(model)).await;
        world.assert_predicted(model).await;
        prices.push(world.attempt_of(&answered).await.cost.list_price_nano_usd);
    }
    let expected = [500 * 3_000 + 500 * 300 + 50 * 7_000, 50_000 + 10_000, 1_800_000 + 50 * 8_100];
    assert_eq!(prices, expected.map(Some));
}

#[tokio::test]
async fn the_balance_pays_its_own_prices_and_the_record_says_so() {
    let mut account = AccountSpec::new("first", PlanSpec::Paygo).balance_usd(5.0);
    account.discounts.insert("*".to_owned(), 0.1);
    let world = start(account).await;
    // Twice: what the balance pays is not cheaper the second time.
    for _ in 0..2 {
        let answered = world.chat(&chat(THIRD_MODEL)).await;
        let cost = world.attempt_of(&answered).await.cost;
        assert_eq!(
            (cost.list_price_nano_usd, cost.coverage),
            (Some(2_205_000), Some(Coverage::Paid))
        );
    }
    let truth = world.control().account("first").unwrap();
    assert_eq!(truth.paid_nano_usd, 2 * 2_205_000);
    let metrics = world.get("/metrics").await;
    let line = r#"ripcord_price_nano_usd_total{account="first",coverage="paid",tokens="reported"} 4410000"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

#[tokio::test]
async fn repeats_count_a_tenth_as_chutes_counts_them() {
    let world = start(pro()).await;
    let other_body =
        json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Else." }] });
    for call in 1..=20 {
        world.chat(&chat(MODEL)).await;
        world.assert_predicted(&format!("call {call}")).await;
        if call % 6 == 0 {
            // The same prompt to another model, and other bytes to this one.
            world.chat(&chat(OTHER_MODEL)).await;
            world.chat(&other_body).await;
            world.assert_predicted(&format!("others after call {call}")).await;
        }
    }
    let units = 1_000 + 14 * 100 + 5 * 1_000 + 2 * (1_000 + 200);
    assert_eq!(world.control().account("first").unwrap().day_milli_units, units);
}

#[tokio::test]
async fn where_it_is_not_sure_that_a_call_is_a_repeat_it_counts_in_full() {
    let world = Arc::new(start(pro()).await);
    world
        .control()
        .add_model_fault(MODEL, Fault::new(FaultKind::PlainServerError).times(1))
        .unwrap();
    world.chat(&chat(MODEL)).await;
    world.assert_predicted("the first try failed, so the second is no repeat").await;
    // At once: whichever is booked first is the first, and that cannot be known.
    let mut plan = Plan::new();
    plan.book.margin_permille = 0;
    plan.scenario.models[0].first_token_ms = 100;
    let world = Arc::new(begin(plan).await);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let world = Arc::clone(&world);
        clients.spawn(async move { world.chat(&chat(MODEL)).await.status });
    }
    while clients.join_next().await.is_some() {}
    world.wait_until_idle().await;
    let [predicted, counted] = world.predicted_and_counted().await;
    assert_eq!((predicted[0], counted[0]), (3_000, 1_200));
}

#[tokio::test]
async fn lists_aliases_and_suffixes_cost_what_who_served_costs() {
    let mut account = pro();
    account.aliases.insert("mine".to_owned(), vec![THIRD_MODEL.to_owned(), MODEL.to_owned()]);
    let world = start(account).await;
    assert_eq!(world.account().await["own_names"], 1);
    let list = format!("{OTHER_MODEL}, {THIRD_MODEL}");
    for (model, price) in [
        (format!("{THIRD_MODEL}:latency"), 2_450_000),
        (format!("{OTHER_MODEL}:THINKING"), 120_000),
        (list.clone(), 120_000),
        ("Mine".to_owned(), 2_450_000),
        (format!("{OTHER_MODEL},mine"), 120_000),
    ] {
        for body in [chat(&model), streamed(&model)] {
            let answered = world.chat(&body).await;
            assert_eq!(answered.status, 200, "{model}: {}", answered.text());
            world.wait_until_idle().await;
            let attempt = world.attempt_of(&answered).await;
            assert_eq!(attempt.cost.list_price_nano_usd, Some(price), "{model}");
            world.assert_predicted(&model).await;
        }
    }
    // Another member serves when the first does not, and the same bytes to it are no repeat.
    world.control().add_model_fault(OTHER_MODEL, Fault::new(FaultKind::Capacity)).unwrap();
    let answered = world.chat(&chat(&list)).await;
    assert_eq!(world.attempt_of(&answered).await.cost.list_price_nano_usd, Some(2_450_000));
    world.assert_predicted("another member").await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_dear_before_and_costs_what_the_answer_says() {
    // This key may not read the account.
    let mut account = pro().keys(&[KeyKind::Invoke]);
    account.aliases.insert("mine".to_owned(), vec![OTHER_MODEL.to_owned()]);
    let mut plan = Plan::new();
    plan.scenario.accounts = vec![account];
    plan.scenario.models[1] = model(OTHER_MODEL).price(0.1, 0.4, 0.1);
    let world = plan.start().await;
    let answered = world.chat(&chat("mine")).await;
    assert_eq!(world.attempt_of(&answered).await.cost.list_price_nano_usd, Some(120_000));
}

/// Leaves a call in the middle, when upstream has begun.
async fn leave(world: &Arc<World>, body: Value) {
    let client = {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let mut response = world.open(post("/v1/chat/completions", body.to_string())).await;
            let _ = response.body_mut().frame().await;
            std::future::pending::<()>().await;
        })
    };
    let began = || async { world.upstream_calls().len() == 1 };
    world.wait_for("the call is under way", began).await;
    if body_is_stream(world) {
        let first = || async { world.metrics_say("ripcord_first_byte_seconds_count 1").await };
        world.wait_for("the first event", first).await;
    }
    client.abort();
    let _ = client.await;
    let left = || async { world.upstream_calls()[0].ended.is_some() };
    world.wait_for("the upstream call ends", left).await;
}

fn body_is_stream(world: &World) -> bool {
    world.upstream_calls()[0].stream
}

impl World {
    async fn metrics_say(&self, line: &str) -> bool {
        self.get("/metrics").await.text().contains(line)
    }
}

#[tokio::test]
async fn a_stream_that_is_left_costs_nothing_and_its_record_says_so() {
    let world = Arc::new(start(pro()).await);
    let stall = Fault::new(FaultKind::Stall).after_chunks(4);
    world.control().add_model_fault(MODEL, stall).unwrap();
    leave(&world, streamed(MODEL)).await;
    let attempt = world.last_attempt().await;
    assert_eq!(attempt.outcome, Outcome::Cancelled);
    assert_eq!((attempt.cost.list_price_nano_usd, attempt.cost.coverage), (Some(0), None));
    let [predicted, counted] = world.predicted_and_counted().await;
    assert_eq!(counted, [0, 0, 0]);
    assert!(predicted[1] > 0, "until the figures tell: something between may have read on");
}

#[tokio::test]
async fn a_plain_call_that_is_left_counts_in_full_and_is_marked_as_an_estimate() {
    let mut plan = Plan::new();
    plan.limits.plain_answer = Duration::from_secs(60);
    plan.scenario.models[0] = ModelSpec { first_token_ms: 300, ..model(MODEL) };
    let world = Arc::new(begin(plan).await);
    leave(&world, chat(MODEL)).await;
    assert_eq!(world.upstream_calls()[0].ended, Some(Ended::ClientLeft));
    let attempt = world.last_attempt().await;
    assert_eq!((attempt.outcome, attempt.tokens.estimated), (Outcome::Cancelled, true));
    assert_eq!(attempt.cost.coverage, Some(Coverage::Covered));
    assert!(attempt.tokens.prompt.is_some() && attempt.cost.list_price_nano_usd > Some(0));
    let counted = || async { world.control().account("first").unwrap().day_milli_units == 1_000 };
    world.wait_for("Chutes counts it", counted).await;
    assert!(world.predicted_and_counted().await[0][0] >= 1_000);
    let estimated = r#"coverage="covered",tokens="estimated"}"#;
    assert!(world.metrics_say(estimated).await);
}

#[tokio::test]
async fn a_stream_that_breaks_counts_what_it_said_marked_as_an_estimate() {
    let world = start(pro()).await;
    let cut = Fault::new(FaultKind::Cut).after_chunks(8);
    world.control().add_model_fault(MODEL, cut).unwrap();
    let answered = world.chat(&streamed(MODEL)).await;
    answered.assert_broken_stream();
    let attempt = world.attempt_of(&answered).await;
    assert_eq!((attempt.outcome, attempt.tokens.estimated), (Outcome::Broken, true));
    assert!(attempt.cost.list_price_nano_usd > Some(0));
    let [predicted, counted] = world.predicted_and_counted().await;
    assert!(predicted.iter().zip(counted).all(|(predicted, counted)| *predicted >= counted));
}

#[tokio::test]
async fn whoever_allows_paygo_pays_the_price_of_the_account_that_serves() {
    let mut plan = Plan::new().and_second();
    for (account, discount) in plan.scenario.accounts.iter_mut().zip([0.5, 0.0]) {
        *account = AccountSpec { plan: PlanSpec::Paygo, ..account.clone() }.balance_usd(5.0);
        if discount > 0.0 {
            account.discounts.insert("*".to_owned(), discount);
        }
    }
    plan.accounts.iter_mut().for_each(|account| account.paygo = Paygo::Allow);
    plan.scenario.models[0] = model(MODEL);
    let world = plan.start().await;
    let known = || async {
        let report = world.status_report().await;
        (0..2).all(|account| !report["accounts"][account]["own_names"].is_null())
    };
    world.wait_for("own prices of both", known).await;
    world.chat(&chat(MODEL)).await;
    world.chat(&chat(MODEL)).await;
    for name in ["first", "second"] {
        let paid = world.control().account(name).unwrap().paid_nano_usd;
        let recorded: i64 = world
            .ledger
            .recent_requests(10)
            .unwrap()
            .iter()
            .filter(|row| row.served_by.account.as_deref() == Some(name))
            .filter_map(|row| row.cost.list_price_nano_usd)
            .sum();
        assert_eq!(paid, recorded, "{name}");
    }
}
