//! What the payload files of the platform's figures, of keys and of OAuth mean.

use ripcord_wire::chutes::{
    Bounty, CreatedApiKey, CurrencyPrices, DailyRevenue, DeletedApiKey, DiffusionStats, LoginNonce,
    NameCheck, NewApiKey, NewModelAlias, Page, Payment, QuickWarmup, TaoPayments, UserGrowth,
};
use ripcord_wire::csv::Table;
use ripcord_wire::items::Items;
use ripcord_wire::oauth::{Discovery, Introspection, Revocation, TokenAnswer, UserInfo};
use ripcord_wire::secret::Secret;
use ripcord_wire::time::parse_timestamp;
use ripcord_wire::tokens::{Detokenized, Tokenized};

use crate::payloads::{bytes, member};

#[test]
fn payments_and_revenue() {
    let page: Page<Payment> = member("money.json", "payments");
    assert_eq!((page.total, page.items.len(), page.items.skipped), (Some(41), 2, 0));
    let paid = &page.items[0];
    assert_eq!(paid.usd_amount.as_ref().map(|usd| usd.as_str()), Some("571.875"));
    assert_eq!((paid.rao_amount, paid.refunded), (Some(2_500_000_000), None));
    assert_eq!(page.items[1].refunded, Some(true));
    let sums: TaoPayments = member("money.json", "tao_payments");
    assert_eq!(sums.total.unwrap().as_str(), "98765.4321");
    let days: Items<DailyRevenue> = member("money.json", "daily_revenue");
    assert_eq!(days[0].total_revenue.as_ref().map(|usd| usd.as_str()), Some("173.82"));
    assert_eq!(days[0].sponsored_inference.as_ref().map(|usd| usd.as_str()), Some("0.25"));
    let prices: CurrencyPrices = member("money.json", "fmv");
    assert_eq!(prices.tao().map(|usd| usd.as_str()), Some("228.75"));
    assert_eq!(prices.prices.len(), 1, "a currency without a price is none");
}

#[test]
fn growth_bounties_and_the_rest() {
    let growth: Items<UserGrowth> = member("money.json", "growth");
    assert_eq!((growth[0].daily_count, growth[0].cumulative_count), (Some(9), Some(12345)));
    let bounties: Items<Bounty> = member("money.json", "bounties");
    assert_eq!(
        (bounties[0].bounty_amount, bounties[0].created_at),
        (Some(640), Some(1_803_900_000.25))
    );
    let diffusion: Items<DiffusionStats> = member("money.json", "diffusion");
    assert_eq!((diffusion[0].total_steps, diffusion[0].average_sps), (Some(1250), Some(17.25)));
    let name: NameCheck = member("money.json", "name_check");
    assert_eq!((name.valid, name.available), (Some(true), Some(false)));
    let nonce: LoginNonce = member("money.json", "login_nonce");
    assert_eq!((nonce.nonce.as_deref(), nonce.expires_in), (Some("0b0b0b0b"), Some(300)));
    let warmup: QuickWarmup = member("money.json", "quick_warmup");
    assert_eq!((warmup.status.as_deref(), warmup.bounty), (Some("hot"), None));
    assert_eq!(warmup.instances[0].gpu_model_name.as_deref(), Some("h100"));
}

#[test]
fn a_new_key_is_told_once_and_never_shown() {
    let created: CreatedApiKey = member("oauth.json", "created_key");
    assert_eq!(created.key.name.as_deref(), Some("laptop"));
    assert_eq!(created.key.scopes.len(), 1);
    assert_eq!(created.secret_key.as_ref().map(Secret::expose), Some("cpk_canarySecret"));
    assert!(!format!("{created:?}").contains("canary"));
    let deleted: DeletedApiKey = member("oauth.json", "deleted_key");
    assert_eq!(deleted.deleted, Some(true));
    let json = |value: serde_json::Result<String>| value.unwrap();
    assert_eq!(
        json(serde_json::to_string(&NewApiKey::for_models("gateway"))),
        r#"{"name":"gateway","admin":false,"scopes":[{"object_type":"chutes","action":"invoke"}]}"#
    );
    assert_eq!(
        json(serde_json::to_string(&NewApiKey::admin("status"))),
        r#"{"name":"status","admin":true}"#
    );
    let alias =
        NewModelAlias { alias: "work".to_owned(), chute_ids: vec!["example/Alpha".to_owned()] };
    assert_eq!(
        json(serde_json::to_string(&alias)),
        r#"{"alias":"work","chute_ids":["example/Alpha"]}"#
    );
}

#[test]
fn oauth_answers() {
    let discovery: Discovery = member("oauth.json", "discovery");
    assert_eq!(discovery.token_endpoint.as_deref(), Some("https://issuer.example/idp/token"));
    assert!(discovery.scopes_supported.unwrap().contains(&"quota".to_owned()));
    assert!(discovery.extra.contains_key("subject_types_supported"));

    let token: TokenAnswer = member("oauth.json", "token");
    assert_eq!(token.access_token.as_ref().map(Secret::expose), Some("cak_canaryAccess"));
    assert_eq!(token.refresh_token.as_ref().map(Secret::expose), Some("crt_canaryRefresh"));
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["profile", "chutes:invoke"]);
    assert!(!format!("{token:?}").contains("canary"));
    let first: TokenAnswer = member("oauth.json", "token_first_version");
    assert_eq!((first.refresh_token.as_ref(), first.scopes().count()), (None, 0));

    let user: UserInfo = member("oauth.json", "userinfo");
    assert_eq!(user.created_at.unwrap().unix_micros(), parse_timestamp("2027-01-01T00:00:00Z"));
    let active: Introspection = member("oauth.json", "introspection");
    assert_eq!((active.active, active.exp), (Some(true), Some(1_803_903_600)));
    assert_eq!(active.scopes().count(), 2);
    let inactive: Introspection = member("oauth.json", "inactive");
    assert_eq!((inactive.active, inactive.exp), (Some(false), None));
    let revoked: Revocation = member("oauth.json", "revocation");
    assert_eq!(revoked.revoked, Some(true));
}

#[test]
fn tokens_are_counted_and_not_shown() {
    let tokenized: Tokenized = member("tokens.json", "tokenized");
    assert_eq!((tokenized.count, tokenized.tokens.len()), (Some(3), 3));
    assert!(!format!("{tokenized:?}").contains("22"));
    let text: Detokenized = member("tokens.json", "detokenized");
    assert_eq!(text.prompt.as_deref(), Some("three words here"));
    assert!(!format!("{text:?}").contains("words"));
}

#[test]
fn an_export() {
    let text = String::from_utf8(bytes("recent_export.csv")).unwrap();
    let table = Table::read(&text);
    assert_eq!((table.columns().len(), table.len()), (14, 2));
    let rows: Vec<_> = table.rows().collect();
    assert_eq!(rows[0].get("metrics"), Some("{'it': 20, 'ot': 4, 'ttft': None}"));
    assert_eq!(rows[0].get("error_message"), None);
    assert_eq!(rows[1].get("error_message"), Some("it said \"no\", twice"));
    assert_eq!(rows[1].cells.len(), 14);
    let started = rows[0].get("started_at").and_then(parse_timestamp);
    assert_eq!(started, parse_timestamp("2027-03-01T08:00:00.125Z"));
}
