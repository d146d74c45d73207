use ripcord_client::chutes::{ChuteQuery, StatisticsQuery, UsageQuery};
use ripcord_client::error::{Blame, ErrorKind};
use ripcord_rules::cause::Cause;
use ripcord_wire::chutes::{QuotaAmount, Quotas};

use super::*;

const MODEL: &str = "Qwen/Qwen3-32B-TEE";

#[tokio::test]
async fn the_public_lists_are_read_without_a_key() {
    let emulator = emulator().await;
    // A key that may call models is refused on the lists; one without any scope everywhere.
    for index in [1, 2] {
        let chutes = client(&emulator.url()).with_key(key("pro", index));
        let models = in_time(chutes.models()).await.unwrap();
        assert!(models.value.data.iter().any(|model| model.id == MODEL));
        assert!(models.limits.date.is_some());
        let page = in_time(chutes.chutes(&ChuteQuery::default())).await.unwrap().value;
        assert_eq!(page.items.skipped, 0);
        let listed = page.items.iter().find(|chute| chute.name.as_deref() == Some(MODEL)).unwrap();
        let by_name = in_time(chutes.chute(MODEL)).await.unwrap().value;
        let by_id = in_time(chutes.chute(&listed.chute_id)).await.unwrap().value;
        assert_eq!((by_name.chute_id.as_str(), by_id.hot), (listed.chute_id.as_str(), listed.hot));
        assert!(!in_time(chutes.utilization()).await.unwrap().value.is_empty());
        assert!(in_time(chutes.ping()).await.unwrap().value.is_pong());
    }
}

#[tokio::test]
async fn a_key_can_be_tried_without_spending() {
    let emulator = emulator().await;
    let chutes = client(&emulator.url());
    in_time(chutes.clone().with_key(key("pro", 1)).models_with_key()).await.unwrap();
    for dead in [key("pro", 2), key("nobody", 0)] {
        let error = in_time(chutes.clone().with_key(dead).models_with_key()).await.unwrap_err();
        assert_eq!(
            (error.cause(), error.blame(), error.status()),
            (Some(Cause::DeadKey), Blame::You, Some(401))
        );
        assert!(!error.retryable());
    }
    assert_eq!(emulator.control().account("pro").unwrap().day_milli_units, 0);
}

#[tokio::test]
async fn account_figures_are_read_in_every_plan() {
    let emulator = emulator().await;
    let plans = [
        ("paygo", Some(0)),
        ("legacy", Some(200)),
        ("base", Some(300)),
        ("plus", Some(2000)),
        ("pro", Some(5000)),
        ("custom301", Some(301)),
        ("custom2001", Some(2001)),
        ("custom5001", Some(5001)),
        ("other1000", Some(1000)),
        ("norows", Some(200)),
        ("free", None),
        ("invoiced", None),
    ];
    for (account, quota) in plans {
        let chutes = client(&emulator.url()).with_key(key(account, 0));
        let me = in_time(chutes.me()).await.unwrap().value;
        assert_eq!(me.username.as_deref(), Some(account));
        let quotas = in_time(chutes.quotas()).await.unwrap().value;
        let expected = quota.map_or(QuotaAmount::Unlimited, QuotaAmount::PerDay);
        assert_eq!(quotas.wildcard(), Some(expected), "{account}");
        assert_eq!(matches!(quotas, Quotas::NoLimits), quota.is_none(), "{account}");
        let usage = in_time(chutes.quota_usage()).await.unwrap().value;
        assert_eq!(usage.quota, Some(expected), "{account}");
        let subscription = in_time(chutes.subscription_usage()).await.unwrap().value;
        let has_caps = matches!(quota, Some(300 | 301 | 2000 | 2001 | 5000 | 5001));
        assert_eq!(subscription.subscription, Some(has_caps), "{account}");
        in_time(chutes.discounts()).await.unwrap();
        in_time(chutes.price_overrides()).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_may_not_read_the_account_is_not_dead() {
    let emulator = emulator().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 1));
    let error = in_time(chutes.quota_usage()).await.unwrap_err();
    assert!(error.is_forbidden());
    assert_eq!((error.cause(), error.blame()), (Some(Cause::AccountUnreadable), Blame::Account));
    assert!(error.to_string().starts_with("GET /users/me/quota_usage/me at 127.0.0.1:"), "{error}");
    assert!(
        error.to_string().ends_with(" answered 401: Invalid token or user not found"),
        "{error}"
    );
    assert_eq!(
        error.hint(),
        "this key may call models but not read the account; use an admin key to see quota and balance"
    );
    in_time(chutes.chat(chat(MODEL, false))).await.unwrap();
}

#[tokio::test]
async fn a_call_that_needs_a_key_says_so_before_it_goes_out() {
    let emulator = emulator().await;
    let error = in_time(client(&emulator.url()).me()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoKey));
    assert_eq!((error.blame(), error.status()), (Blame::You, None));
    assert!(emulator.control().log().is_empty());
}

#[tokio::test]
async fn an_unknown_chute_is_not_found() {
    let emulator = emulator().await;
    let error = in_time(client(&emulator.url()).chute("no/such")).await.unwrap_err();
    assert_eq!(
        (error.cause(), error.blame(), error.status()),
        (Some(Cause::ModelNotFound), Blame::You, Some(404))
    );
    assert!(!error.to_string().contains("no/such"), "an argument may be anything: {error}");
}

#[tokio::test]
async fn use_and_speeds_of_the_emulator_are_read() {
    let emulator = emulator().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 0));
    let speeds = in_time(chutes.llm_statistics(&StatisticsQuery::default())).await.unwrap().value;
    assert_eq!(speeds.skipped, 0);
    let row = speeds.iter().find(|row| row.name.as_deref() == Some(MODEL)).unwrap();
    assert!(row.average_tps.is_some() && row.average_ttft.is_some());
    let query = StatisticsQuery { chute_id: row.chute_id.clone(), ..StatisticsQuery::default() };
    let chosen = in_time(chutes.llm_statistics(&query)).await.unwrap().value;
    assert!(!chosen.is_empty() && chosen.iter().all(|found| found.chute_id == row.chute_id));

    let page = in_time(chutes.usage(&UsageQuery::default())).await.unwrap().value;
    assert_eq!((page.page, page.items.skipped), (Some(0), 0));
    let small = UsageQuery { limit: Some(7), ..UsageQuery::default() };
    let walked = in_time(chutes.usage_history(&small, 1000)).await.unwrap();
    assert!(walked.is_whole);
    assert_eq!(walked.total.and_then(|total| usize::try_from(total).ok()), Some(walked.rows.len()));
    let moments: Vec<_> =
        walked.rows.iter().map(|row| row.bucket.as_ref().unwrap().unix_micros()).collect();
    assert!(moments.is_sorted_by(|earlier, later| earlier > later), "newest first");
}
