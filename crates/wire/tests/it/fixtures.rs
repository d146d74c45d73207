//! What each payload file means.

use ripcord_wire::chutes::{
    ApiKey, Chute, ChutePage, Discount, EvidenceList, KeyExchange, LlmStatsList, Me, ModelAlias,
    Page, Ping, PlatformPricing, PlatformUsage, PriceOverride, QuotaAmount, QuotaUsage, Quotas,
    ROLE_FREE_ACCOUNT, ROLE_INVOICE_BILLING, SubscriptionUsage, UsagePage, UtilizationList,
};
use ripcord_wire::decimal::Decimal;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::items::Items;
use ripcord_wire::limits::{ChutesQuota, LimitHeaders, Rate, RetryAfter};
use ripcord_wire::models::ModelList;
use ripcord_wire::time::{Timestamp, parse_timestamp};
use serde_json::Value;

use crate::payloads::{json, member, read};

fn text(decimal: Option<&Decimal>) -> Option<&str> {
    decimal.map(Decimal::as_str)
}

fn micros(moment: Option<&Timestamp>) -> Option<i64> {
    moment.and_then(Timestamp::unix_micros)
}

/// The error of an exchange, and its headers.
fn error(exchange: &Value) -> (ErrorBody, LimitHeaders) {
    let headers: Vec<(&str, &[u8])> = exchange["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap().as_bytes()))
        .collect();
    let kind = exchange["headers"]["content-type"].as_str();
    let status = exchange["status"].as_u64().unwrap() as u16;
    let body = match &exchange["body"] {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    (ErrorBody::read(status, kind, body.as_bytes()), LimitHeaders::read(headers))
}

#[test]
fn errors() {
    use ErrorShape as S;
    for (name, shape, message) in [
        (
            "error_400_engine_nested",
            S::NestedText,
            "Requested 9000 tokens, but the context is 8192 tokens long",
        ),
        ("error_401_bad_key", S::DetailText, "Invalid token or user not found"),
        (
            "error_402_subscription_cap",
            S::DetailText,
            "Subscription usage cap exceeded. Please add balance to continue.",
        ),
        ("error_403_nonce", S::DetailText, "Invalid, expired, or already-used nonce"),
        ("error_403_edge", S::Html, "403 Forbidden"),
        (
            "error_422_validation",
            S::DetailList,
            "body.name: String should have at most 24 characters; body.scopes.0.object_type: Field required",
        ),
        (
            "error_429_capacity",
            S::DetailText,
            "Infrastructure is at maximum capacity, try again later",
        ),
        ("error_429_edge", S::Html, "429 Too Many Requests"),
        (
            "error_429_instance_capacity",
            S::DetailText,
            "Instance is at maximum capacity, try again later",
        ),
        ("error_500_exhausted", S::DetailText, "exhausted all available targets to no avail"),
        ("error_500_plain", S::Text, "Internal Server Error"),
        (
            "error_503_no_instances",
            S::DetailText,
            "No instances available (yet) for chute_id='11111111-2222-4333-8444-555555555555'",
        ),
    ] {
        let (body, _) = error(&json(&format!("{name}.json")));
        assert_eq!((body.shape, body.message.as_str()), (shape, message), "{name}");
    }
    let (nested, _) = error(&json("error_400_engine_nested.json"));
    assert_eq!((nested.kind.as_deref(), nested.inner_status), (Some("BadRequestError"), Some(400)));
    let (_, edge) = error(&json("error_429_edge.json"));
    assert_eq!(edge.retry_after, Some(RetryAfter::After(std::time::Duration::from_secs(45))));
}

#[test]
fn quota_errors_with_and_without_reset() {
    let both = json("error_402_quota.json");
    let (without, _) = error(&both[0]);
    let (with, _) = error(&both[1]);
    assert_eq!((without.shape, without.reset_at), (ErrorShape::DetailObject, None));
    assert!(without.message.starts_with("Quota exceeded and account balance is $0.0,"));
    assert_eq!(with.reset_at, parse_timestamp("2027-03-02T00:00:00Z"));
    assert!(with.message.contains("$-0.21"));
}

#[test]
fn headers_of_a_success() {
    let headers = json("headers_200.json");
    let headers = headers.as_object().unwrap().iter();
    let read = LimitHeaders::read(
        headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap().as_bytes())),
    );
    let quota = ChutesQuota { total: Some(2000), used: Some(311), remaining: Some(1688) };
    assert_eq!((read.chutes_quota, read.rl_user), (Some(quota), Some(Rate::PerMinute(60))));
    assert_eq!(read.date, parse_timestamp("2027-03-02T10:20:30Z"));
    assert!(read.retry_after.is_none() && read.windows.is_empty() && read.invocation_id.is_some());
}

#[test]
fn me() {
    let me: Me = read("users_me.json");
    assert_eq!(me.username.as_deref(), Some("example-user"));
    assert_eq!(text(me.balance.as_ref()), Some("-0.0375"));
    assert_eq!(me.has_role(ROLE_FREE_ACCOUNT), Some(true));
    assert_eq!(me.has_role(ROLE_INVOICE_BILLING), Some(false));
    assert_eq!(micros(me.created_at.as_ref()), parse_timestamp("2026-12-24T18:00:00"));
    assert_eq!(me.extra["new_field"]["a"], 1);
    assert_eq!(
        serde_json::from_str::<Me>(r#"{"balance":"lots","username":7}"#).unwrap().balance,
        None
    );
}

#[test]
fn quotas_in_every_shape() {
    let rows: Quotas = read("quotas_rows.json");
    assert_eq!(rows.wildcard(), Some(QuotaAmount::PerDay(2000)));
    assert_eq!(
        rows.own_quotas().map(|(_, quota)| quota).collect::<Vec<_>>(),
        [QuotaAmount::PerDay(25)]
    );
    let row = rows.wildcard_row().unwrap();
    assert_eq!(micros(row.effective_date.as_ref()), parse_timestamp("2027-02-11T06:07:08Z"));
    let Quotas::Rows(items) = &rows else { panic!("not rows") };
    assert_eq!((items.len(), items.skipped), (2, 1));
    assert!(items.first_problem.as_ref().unwrap().contains("chute_id"));

    let short: Quotas = read("quotas_rows_short.json");
    assert_eq!(short.wildcard(), Some(QuotaAmount::PerDay(300)));
    let role: Quotas = read("quotas_role.json");
    assert_eq!((&role, role.wildcard()), (&Quotas::NoLimits, Some(QuotaAmount::Unlimited)));
    let defaults: Quotas = read("quotas_defaults.json");
    assert_eq!(
        (defaults.wildcard(), defaults.own_quotas().count()),
        (Some(QuotaAmount::PerDay(200)), 0)
    );
    for body in ["[]", "{\"*\":1,\"x\":null}"] {
        assert!(serde_json::from_str::<Quotas>(body).is_ok(), "{body}");
    }
    for body in ["null", "7", r#"{"detail":"no"}"#] {
        assert!(serde_json::from_str::<Quotas>(body).is_err(), "{body}");
    }
}

#[test]
fn quota_usage() {
    let expected = [
        ("pro", QuotaAmount::PerDay(5000), "871.4"),
        ("plus_whole", QuotaAmount::PerDay(2000), "44"),
        ("paygo", QuotaAmount::PerDay(0), "0.0"),
        ("legacy_used_up", QuotaAmount::PerDay(200), "200.0"),
        ("custom", QuotaAmount::PerDay(2001), "0.30000000000000004"),
        ("role", QuotaAmount::Unlimited, "0"),
    ];
    for (name, quota, used) in expected {
        let usage: QuotaUsage = member("quota_usage.json", name);
        assert_eq!((usage.quota, text(usage.used.as_ref())), (Some(quota), Some(used)), "{name}");
    }
}

#[test]
fn subscription_without_one() {
    let none: SubscriptionUsage = read("subscription_none.json");
    assert_eq!((none.subscription, none.monthly, none.four_hour), (Some(false), None, None));
}

#[test]
fn subscription_with_both_caps() {
    let plus: SubscriptionUsage = read("subscription_plus.json");
    assert_eq!((plus.subscription, plus.custom), (Some(true), Some(false)));
    assert_eq!(text(plus.monthly_price.as_ref()), Some("10"));
    let (four_hour, monthly) = (plus.four_hour.unwrap(), plus.monthly.unwrap());
    assert_eq!(text(four_hour.usage.as_ref()), Some("7e-7"));
    assert_eq!(text(four_hour.cap.as_ref()), Some("4.166666666666667"));
    assert_eq!(micros(four_hour.reset_at.as_ref()), parse_timestamp("2027-03-02T12:00:00Z"));
    assert_eq!(text(monthly.remaining.as_ref()), Some("0.0"));
    assert_eq!(micros(monthly.reset_at.as_ref()), parse_timestamp("2027-03-11T06:07:08.5Z"));
    assert_eq!(micros(plus.anchor_date.as_ref()), parse_timestamp("2027-02-11T06:07:08.5Z"));
}

#[test]
fn subscription_of_other_kinds() {
    let custom: SubscriptionUsage = read("subscription_custom.json");
    let monthly = custom.monthly.unwrap();
    assert_eq!((custom.custom, monthly.uncapped, monthly.cap), (Some(true), Some(true), None));
    assert_eq!(custom.effective_date, None);
    let first: SubscriptionUsage = read("subscription_first_version.json");
    assert_eq!((first.custom, first.anchor_date), (None, None));
    let four_hour = first.four_hour.unwrap();
    assert_eq!((four_hour.reset_at, text(four_hour.remaining.as_ref())), (None, Some("1.0")));
}

#[test]
fn models_with_full_partial_and_no_figures() {
    let list: ModelList = read("models.json");
    assert_eq!((list.data.len(), list.data.skipped), (3, 2));
    let [full, partial, external] = &list.data[..] else { panic!("three models") };
    assert_eq!(full.root.as_deref(), Some("example/Alpha-8B-FP8"));
    assert_eq!(text(full.prompt_price()), Some("0.07"));
    assert_eq!(text(full.cache_read_price()), Some("0.035"));
    assert!(full.has_feature("tools") && full.confidential_compute == Some(true));
    assert_eq!(full.context_tokens(), Some(65536));
    assert_eq!((partial.chute_id.as_ref(), text(partial.completion_price())), (None, Some("0.44")));
    assert_eq!(partial.max_output_length, None);
    assert_eq!((external.prompt_price(), external.context_tokens()), (None, None));
    assert_eq!(external.owned_by.as_deref(), Some("chutes"));
    assert!(full.extra.contains_key("parent"));
}

#[test]
fn chutes_alone_and_in_a_page() {
    let chute: Chute = read("chute.json");
    assert_eq!((chute.hot, chute.disabled, chute.tee), (Some(true), Some(false), Some(true)));
    assert_eq!(
        (chute.concurrency, chute.instances.len(), chute.ready_instances()),
        (Some(24), 2, 1)
    );
    let price = chute.current_estimated_price.unwrap();
    assert_eq!(text(price.per_million_tokens.unwrap().output.unwrap().usd.as_ref()), Some("0.28"));
    assert_eq!(text(price.usd.unwrap().hour.as_ref()), Some("3.58"));
    assert_eq!(chute.cords[0].public_api_path.as_deref(), Some("/v1/chat/completions"));

    let page: ChutePage = read("chute_page.json");
    assert_eq!((page.total, page.items.len(), page.items.skipped), (Some(3), 2, 1));
    assert!(page.items[0].cords.is_empty() && page.cord_refs.unwrap().is_object());
    let old = &page.items[1];
    assert_eq!((old.hot, old.disabled, old.ready_instances()), (Some(false), None, 0));
}

#[test]
fn utilization_with_figures_and_nulls() {
    let rows: UtilizationList = read("utilization.json");
    assert_eq!((rows.len(), rows.skipped), (2, 1));
    assert_eq!(
        (rows[0].utilization_current, rows[0].rate_limit_ratio_5m),
        (Some(0.66), Some(0.125))
    );
    assert_eq!((rows[0].active_instance_count, rows[0].target_count), (Some(3), Some(5)));
    assert_eq!(micros(rows[0].timestamp.as_ref()), parse_timestamp("2027-03-02T10:15:00Z"));
    assert_eq!((rows[1].utilization_current, rows[1].scalable), (None, None));
}

#[test]
fn statistics() {
    let stats: LlmStatsList = read("invocation_stats_llm.json");
    assert_eq!((stats[0].average_tps, stats[1].average_tps), (Some(41.5), None));
    assert_eq!(stats[1].total_requests, Some(31));
    let usage: Items<PlatformUsage> = member("platform.json", "platform_usage");
    assert_eq!(text(usage[0].usd_amount.as_ref()), Some("1.25"));
}

#[test]
fn account_pages_and_lists() {
    let page: UsagePage = read("usage_page.json");
    assert_eq!((page.total, page.items.len()), (Some(40), 2));
    assert_eq!(text(page.items[1].amount.as_ref()), Some("0.026000000000000002"));
    assert_eq!((page.items[1].input_tokens, page.items[0].input_tokens), (None, Some(34567)));
    let discounts: Items<Discount> = member("account_lists.json", "discounts");
    assert_eq!(text(discounts[0].discount.as_ref()), Some("0.25"));
    let overrides: Items<PriceOverride> = member("account_lists.json", "price_overrides");
    assert_eq!(
        (text(overrides[0].per_million_out.as_ref()), &overrides[0].per_step),
        (Some("0.2"), &None)
    );
    let aliases: Items<ModelAlias> = member("account_lists.json", "model_aliases");
    assert_eq!(
        (aliases[0].alias.as_deref(), aliases[0].chute_ids.as_ref().map(Vec::len)),
        (Some("work"), Some(2))
    );
    let keys: Page<ApiKey> = read("api_keys.json");
    assert_eq!(keys.items[0].scopes[0].object_type.as_deref(), Some("chutes"));
    let made = r#"{"name":"a","secret_key":"cpk_secret"}"#;
    assert!(!format!("{:?}", serde_json::from_str::<ApiKey>(made).unwrap()).contains("secret"));
}

#[test]
fn platform() {
    assert!(member::<Ping>("platform.json", "ping").is_pong());
    let pricing: PlatformPricing = member("platform.json", "pricing");
    assert_eq!(text(pricing.tao_usd.as_ref()), Some("228.75"));
    let gpu = &pricing.gpu_price_estimates["h100"];
    assert_eq!(gpu.usd.as_ref().and_then(|usd| text(usd.hour.as_ref())), Some("1.79"));
    let evidence: EvidenceList = member("platform.json", "evidence");
    assert_eq!((evidence.evidence.len(), evidence.failed_instance_ids.unwrap().len()), (1, 1));
    let exchange: KeyExchange = member("platform.json", "key_exchange");
    assert_eq!((exchange.nonce_expires_in, exchange.instances.len()), (Some(60), 1));
}
