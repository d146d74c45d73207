use super::*;
use ripcord_rules::quota::{AccountPrices, CallSize, PriceOverride};

fn catalogue() -> Catalogue {
    let catalogue = Catalogue::default();
    let list = br#"{"object":"list","data":[
        {"id":"acme/Writer-9-TEE","pricing":{"prompt":0.2,"completion":0.8,"input_cache_read":0.1},"x":1},
        {"id":"acme/Writer-9","chute_id":"c9","pricing":{"prompt":0.1,"completion":0.4}},
        {"id":"other/Unpriced"}]}"#;
    catalogue.learn(Bytes::from_static(list), Mono::default()).unwrap();
    catalogue
}

const MILLION: CallSize = CallSize { prompt_tokens: 1_000_000, completion_tokens: 1_000_000 };

fn quoted(model: &str, terms: &Terms) -> NanoUsd {
    catalogue().quote(model, terms).dearest.cost(MILLION, 0)
}

#[test]
fn what_has_no_price_counts_as_the_dearest() {
    let price = |model| quoted(model, &Terms::default());
    let (cheap, dear) = (NanoUsd(500_000_000), NanoUsd(1_000_000_000));
    for cheaper in ["acme/Writer-9", "acme/Writer-9:latency", "c9", "acme/Writer-9:THINKING"] {
        assert_eq!(price(cheaper), cheap, "{cheaper}");
    }
    assert_eq!(price("acme/Writer-9, acme/Writer-9-TEE:throughput"), dear);
    for unlisted in ["my-alias", "other/Unpriced", "acme/Writer-9,my-alias", ""] {
        assert_eq!(price(unlisted), dear, "{unlisted}");
    }
    let unread = Catalogue::default().quote("acme/Writer-9", &Terms::default());
    assert_eq!(unread.dearest, ModelPrices::DEARER_THAN_ANY);
}

#[test]
fn a_price_below_zero_is_none() {
    let catalogue = Catalogue::default();
    let list = br#"{"object":"list","data":[
        {"id":"acme/Writer-9","pricing":{"prompt":0.1,"completion":0.4,"input_cache_read":-0.1}},
        {"id":"odd/Prompt","pricing":{"prompt":-1,"completion":0.4}},
        {"id":"odd/Answer","pricing":{"prompt":0.1,"completion":-1}}]}"#;
    catalogue.learn(Bytes::from_static(list), Mono::default()).unwrap();
    for model in ["acme/Writer-9", "odd/Prompt", "odd/Answer"] {
        let quote = catalogue.quote(model, &Terms::default());
        assert_eq!(quote.dearest.cost(MILLION, 0), NanoUsd(500_000_000), "{model}");
        assert_eq!(quote.dearest.cost(MILLION, 1_000_000), NanoUsd(500_000_000), "{model}");
    }
}

#[test]
fn an_alias_that_is_known_costs_what_its_members_cost() {
    let aliases = [("mine", vec!["c9"]), ("odd", vec!["c9", "gone"])];
    let aliases = aliases.map(|(alias, members)| {
        (alias.to_owned(), members.into_iter().map(str::to_owned).collect())
    });
    let terms = Terms { aliases: Some(Aliases::from(aliases)), ..Terms::default() };
    assert_eq!(quoted("Mine:latency", &terms), NanoUsd(500_000_000));
    assert_eq!(quoted("odd", &terms), NanoUsd(1_000_000_000));
}

#[test]
fn the_account_s_own_price_counts_also_for_what_is_not_listed() {
    let own = PriceOverride {
        chute_id: Some("c9".to_owned()),
        prompt: Some(NanoUsd::from_cents(300)),
        completion: Some(NanoUsd::from_cents(100)),
        cache_discount: None,
        has_rules: false,
    };
    let prices = AccountPrices { overrides: Some(vec![own]), discounts: None };
    let terms = Terms { prices, ..Terms::default() };
    assert_eq!(quoted("acme/Writer-9", &terms), NanoUsd::from_cents(400));
    assert_eq!(quoted("acme/Writer-9-TEE", &terms), NanoUsd::from_cents(100));
    assert_eq!(quoted("my-alias", &terms), NanoUsd::from_cents(400));
}

#[test]
fn who_served_is_who_alone_could_or_whom_the_answer_names() {
    let catalogue = catalogue();
    let served = |model: &str, answered: Option<&str>| {
        let quote = catalogue.quote(model, &Terms::default());
        quote.served_by(answered).map(|member| member.name.to_string())
    };
    let (nine, tee) = ("acme/Writer-9", "acme/Writer-9-TEE");
    assert_eq!(served(nine, Some("whatever")).as_deref(), Some(nine));
    let list = format!("{tee},{nine}");
    assert_eq!(served(&list, Some(nine)).as_deref(), Some(nine));
    for unknown in [None, Some("whatever"), Some("other/Unpriced")] {
        assert_eq!(served(&list, unknown), None);
    }
    assert_eq!(served("my-alias", Some(nine)), None, "that is for another quote");
}

#[test]
fn names_wrong_in_case_or_nearly_right_are_found() {
    let near = |name| catalogue().near(name, std::iter::empty());
    assert_eq!(near("ACME/writer-9")[0], "acme/Writer-9");
    assert_eq!(near("Writer-9-TEE")[0], "acme/Writer-9-TEE");
    assert!(near("gpt-4o").is_empty());
}

#[test]
fn a_model_is_passed_on_as_it_came() {
    let listing = catalogue().listing().unwrap();
    let model = listing.model("acme/Writer-9-TEE").unwrap();
    assert!(std::str::from_utf8(&model).unwrap().ends_with(r#""x":1}"#));
    assert!(listing.model("acme/writer-9-tee").is_none());
}

#[test]
fn what_is_no_list_does_not_replace_one() {
    let catalogue = catalogue();
    for bad in ["<html>", "{}", r#"{"data":[]}"#, ""] {
        assert!(catalogue.learn(Bytes::from(bad), Mono::default()).is_none(), "{bad}");
    }
    assert_eq!(catalogue.listing().unwrap().count(), 3);
}
