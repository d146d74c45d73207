//! The platform's public figures, none of which needs a key.

use ripcord_client::chutes::{PageQuery, StatisticsQuery};
use ripcord_wire::time::Day;

use super::canned::Canned;
use super::*;

/// Asks a server that answers everything with `body`, with a key that must not be sent.
async fn asked<T, Asked>(body: &str, ask: impl FnOnce(Chutes) -> Asked, line: &str) -> T
where
    Asked: Future<Output = Result<T, ripcord_client::error::Error>>,
{
    let server = Canned::json(body).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let answer = in_time(ask(chutes)).await.unwrap();
    assert_eq!(server.last_line(), line);
    assert!(!server.asked()[0].to_ascii_lowercase().contains("authorization"), "{line}");
    answer
}

#[tokio::test]
async fn money_is_read() {
    let page = r#"{"total":3,"page":0,"limit":1,"items":[{"payment_id":"p","usd_amount":1.25}]}"#;
    let query = PageQuery { limit: Some(1), ..PageQuery::default() };
    let payments =
        asked(page, async |chutes| chutes.payments(query).await, "GET /payments?limit=1").await;
    assert_eq!(payments.value.items[0].usd_amount.as_ref().unwrap().as_str(), "1.25");

    let sums = asked(
        r#"{"today":0.0,"this_month":1.5,"total":9.75}"#,
        async |chutes| chutes.tao_payments().await,
        "GET /payments/summary/tao",
    )
    .await;
    assert_eq!(sums.value.total.unwrap().as_str(), "9.75");

    let days = asked(
        r#"[{"date":"2026-11-20","total_revenue":12.5}]"#,
        async |chutes| chutes.daily_revenue(Some(7)).await,
        "GET /daily_revenue_summary?days=7",
    )
    .await;
    assert_eq!(days.value.len(), 1);

    let prices =
        asked(r#"{"tao":230.5}"#, async |chutes| chutes.currency_prices().await, "GET /fmv").await;
    assert_eq!(prices.value.tao().unwrap().as_str(), "230.5");

    let pricing = asked(
        r#"{"tao_usd":230.5,"gpu_price_estimates":{"h100":{"usd":{"hour":1.79}}}}"#,
        async |chutes| chutes.pricing().await,
        "GET /pricing",
    )
    .await;
    assert!(pricing.value.gpu_price_estimates.contains_key("h100"));
}

#[tokio::test]
async fn growth_bounties_and_use_are_read() {
    let growth = asked(
        r#"[{"date":"2026-11-20","daily_count":3,"cumulative_count":1000}]"#,
        async |chutes| chutes.user_growth().await,
        "GET /users/growth",
    )
    .await;
    assert_eq!(growth.value[0].cumulative_count, Some(1000));

    let bounties = asked(
        r#"[{"chute_id":"x","bounty_amount":2044,"seconds_elapsed":648,"time_remaining":85752,"created_at":1795173576.0}]"#,
        async |chutes| chutes.bounties().await,
        "GET /bounties/",
    )
    .await;
    assert_eq!(bounties.value[0].bounty_amount, Some(2044));

    let usage = asked(
        r#"[{"chute_id":"x","date":"2026-11-20","usd_amount":0.5,"invocation_count":10}]"#,
        async |chutes| chutes.platform_usage().await,
        "GET /invocations/usage",
    )
    .await;
    assert_eq!(usage.value[0].invocation_count, Some(10));

    let query = StatisticsQuery { last_day: Day::new(2026, 11, 19), ..StatisticsQuery::default() };
    let diffusion = asked(
        r#"[{"chute_id":"x","date":"2026-11-20","total_steps":25},{"chute_id":"x","date":"2026-11-19","average_sps":2.5}]"#,
        async |chutes| chutes.diffusion_statistics(&query).await,
        "GET /invocations/stats/diffusion?end_date=2026-11-19",
    )
    .await;
    assert_eq!((diffusion.value.len(), diffusion.value[0].average_sps), (1, Some(2.5)));
}

#[tokio::test]
async fn views_for_operators_are_kept_as_json() {
    let body = r#"[{"chute_id":"x","boost":1.5,"new":{"deep":true}}]"#;
    let views = [
        asked(body, async |chutes| chutes.boosted_chutes().await, "GET /chutes/boosted").await,
        asked(body, async |chutes| chutes.affine_chutes().await, "GET /chutes/affine_available")
            .await,
        asked(body, async |chutes| chutes.rolling_updates().await, "GET /chutes/rolling_updates")
            .await,
        asked(body, async |chutes| chutes.gpu_counts().await, "GET /chutes/gpu_count_history")
            .await,
        asked(
            body,
            async |chutes| chutes.miner_means("x/y").await,
            "GET /chutes/miner_means/x%2Fy.json",
        )
        .await,
    ];
    for view in views {
        assert_eq!(view.value[0]["new"]["deep"], true);
    }
}

#[tokio::test]
async fn an_error_with_a_200_passes_for_no_figure() {
    let server = Canned::json(r#"{"detail":"closed"}"#).await;
    let chutes = client(&server.url());
    let said = [
        in_time(chutes.pricing()).await.err(),
        in_time(chutes.currency_prices()).await.err(),
        in_time(chutes.tao_payments()).await.err(),
        in_time(chutes.payments(PageQuery::default())).await.err(),
        in_time(chutes.bounties()).await.err(),
        in_time(chutes.gpu_counts()).await.err(),
        in_time(chutes.oauth_discovery()).await.err(),
    ];
    for error in said {
        let error = error.unwrap();
        assert!(error.to_string().ends_with(" answered 200: closed"), "{error}");
    }
}
