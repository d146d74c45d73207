//! Prices, discounts and names of an account's own.

use chutes_emulator::{AccountSpec, KeyKind, ModelSpec, PlanSpec, PriceOverride};
use ripcord_client::terms::read_terms;
use ripcord_rules::quota::{AccountPrices, ModelPrices};
use ripcord_rules::units::NanoUsd;

use super::canned::Canned;
use super::*;

fn cents(prompt: i64, completion: i64, cached: i64) -> ModelPrices {
    ModelPrices {
        prompt: NanoUsd::from_cents(prompt),
        completion: NanoUsd::from_cents(completion),
        cached: NanoUsd::from_cents(cached),
    }
}

#[tokio::test]
async fn what_an_account_has_agreed_and_what_a_key_may_not_read() {
    let mut account =
        AccountSpec::new("special", PlanSpec::Pro).keys(&[KeyKind::Admin, KeyKind::Invoke]);
    account.discounts.insert("*".to_owned(), 0.1);
    account.price_overrides.push(PriceOverride {
        model: "acme/Hot".to_owned(),
        per_million_in: 1.0,
        per_million_out: 4.0,
        cache_discount: 0.9,
    });
    account.aliases.insert("Mine".to_owned(), vec!["acme/Hot".to_owned(), "acme/Other".to_owned()]);
    let scenario = Scenario::empty()
        .account(account)
        .account(AccountSpec::new("plain", PlanSpec::Pro))
        .model(ModelSpec::new("acme/Hot"))
        .model(ModelSpec::new("acme/Other"));
    let emulator = Emulator::start(scenario).await.unwrap();
    let read = async |account, index| {
        in_time(read_terms(&client(&emulator.url()).with_key(key(account, index)))).await
    };
    let terms = read("special", 0).await;
    assert!(terms.problems.is_empty(), "{:?}", terms.problems);
    let hot = terms.prices.overrides.as_ref().unwrap()[0].chute_id.clone();
    let listed = Some(cents(20, 80, 10));
    assert_eq!(terms.prices.of(hot.as_deref(), listed), Some(cents(100, 400, 10)));
    assert_eq!(terms.prices.of(Some("other"), listed), Some(cents(18, 72, 9)));
    let aliases = terms.aliases.unwrap();
    assert_eq!(aliases["mine"], ["acme/Hot", "acme/Other"]);
    // Nothing of its own is the normal case, and is known.
    let plain = read("plain", 0).await;
    let nothing = AccountPrices { overrides: Some(Vec::new()), discounts: Some(Vec::new()) };
    assert_eq!((plain.prices, plain.aliases.map(|aliases| aliases.len())), (nothing, Some(0)));
    let unread = read("plain", 1).await;
    assert_eq!((unread.prices, unread.aliases), (AccountPrices::default(), None));
    assert_eq!(unread.problems.len(), 3);
}

#[tokio::test]
async fn a_row_that_is_not_understood_leaves_the_whole_list_unknown() {
    for bad in [
        "{}",
        r#"[{"chute_id":"a","per_million_in":0.1,"per_million_out":0.4},7]"#,
        r#"[{"per_million_in":0.1,"per_million_out":0.4,"discount":0.1}]"#,
        r#"[{"chute_id":"a","per_million_in":-0.1,"per_million_out":0.4,"discount":1.5}]"#,
    ] {
        let server = Canned::json(bad).await;
        let chutes = client(&server.url()).with_key(key("pro", 0));
        let terms = in_time(read_terms(&chutes)).await;
        assert_eq!((terms.prices, terms.aliases), (AccountPrices::default(), None), "{bad}");
    }
}
