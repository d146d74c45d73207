//! One account's state, read in every plan, with every key, and with endpoints that fail.

use chutes_emulator::{
    AccountSpec, Emulator, Fault, FaultKind, FaultScope, KeyKind, ModelSpec, PlanSpec, Scenario,
};
use ripcord_client::snapshot::{
    AccountReading, Question, group_by_account, read_account, read_account_with,
};
use ripcord_rules::quota::{
    Cap, Paygo, Plan, Readable, SpendingPolicy, Verdict, WindowKind, may_spend,
};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use tokio::io::AsyncWriteExt as _;

use crate::endpoints::{client, emulator, in_time, key};
use crate::server::{RawServer, read_request};

/// 2026-11-20T10:30:00Z.
const NOW: Wall = Wall::from_unix_seconds(1_795_170_600);

fn now() -> Wall {
    NOW
}

async fn read(url: &str, account: &str, index: usize) -> AccountReading {
    in_time(read_account(&client(url).with_key(key(account, index)), &now)).await
}

#[tokio::test]
async fn every_plan_is_recognised_with_its_windows() {
    let emulator = emulator().await;
    let day = &[WindowKind::Day][..];
    let all = &[WindowKind::Day, WindowKind::FourHour, WindowKind::Month][..];
    for (account, plan, windows) in [
        ("paygo", Plan::PayAsYouGo, day),
        ("legacy", Plan::Legacy, day),
        ("base", Plan::Base, all),
        ("plus", Plan::Plus, all),
        ("pro", Plan::Pro, all),
        ("custom301", Plan::CustomBase, all),
        ("custom2001", Plan::CustomPlus, all),
        ("custom5001", Plan::CustomPro, all),
        ("other1000", Plan::Other(1000), day),
        ("norows", Plan::Legacy, day),
        ("free", Plan::Unlimited, &[]),
        ("invoiced", Plan::Unlimited, &[]),
    ] {
        let reading = read(&emulator.url(), account, 0).await;
        assert!(reading.problems.is_empty(), "{account}: {:?}", reading.problems);
        assert_eq!(reading.username.as_deref(), Some(account));
        assert_eq!(reading.account.unwrap().as_str(), Scenario::user_id(account));
        let snapshot = reading.snapshot;
        assert_eq!((snapshot.plan, snapshot.readable), (Some(plan), Readable::Yes), "{account}");
        let kinds: Vec<WindowKind> = snapshot.windows.iter().map(|window| window.kind).collect();
        assert_eq!(kinds, windows, "{account}");
        for window in &snapshot.windows {
            let limit = match window.kind {
                WindowKind::Day => plan.day_quota().map(|units| units.0),
                WindowKind::FourHour => plan.four_hour_cap().map(|usd| usd.0),
                _ => plan.month_cap().map(|usd| usd.0),
            };
            assert_eq!(
                window.cap,
                limit.map_or(Cap::Uncapped, Cap::Limited),
                "{account} {}",
                window.kind
            );
            assert!(
                window.resets_at.is_some() || window.cap == Cap::Uncapped,
                "{account} {}",
                window.kind
            );
        }
        assert!(snapshot.balance.is_some(), "{account}");
    }
}

#[tokio::test]
async fn figures_arrive_as_exact_integers() {
    let model = "acme/Own-Quota";
    let account = AccountSpec::new("alice", PlanSpec::Pro)
        .balance_usd(-0.059)
        .used_units(1234.3)
        .used_usd(2.5, 42.0)
        .anchor("2026-11-03T08:12:45")
        .chute_quota(model, 3);
    let scenario = Scenario::empty()
        .account(account)
        .model(ModelSpec::new(model))
        .stopped_at("2026-11-20T10:30:00");
    let emulator = Emulator::start(scenario).await.unwrap();
    let reading = read(&emulator.url(), "alice", 0).await;
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    assert_eq!(reading.clock_offset_micros, Some(0));
    let snapshot = reading.snapshot;
    assert_eq!(snapshot.balance, Some(NanoUsd(-59_000_000)));
    let used = |kind| snapshot.window(kind, NOW).unwrap().used;
    assert_eq!(used(WindowKind::Day), Some(1_234_300));
    assert_eq!(used(WindowKind::FourHour), Some(2_500_000_000));
    assert_eq!(used(WindowKind::Month), Some(42_000_000_000));
    let month = snapshot.window(WindowKind::Month, NOW).unwrap();
    assert_eq!(
        month.resets_at,
        Some(Wall::from_unix_seconds(1_796_285_565)),
        "2026-12-03T08:12:45Z"
    );
    let [(chute, window)] = snapshot.chute_windows.as_slice() else {
        panic!("{:?}", snapshot.chute_windows)
    };
    assert_eq!(chute, &Scenario::chute_id(model));
    assert_eq!((window.used, window.cap), (Some(0), Cap::Limited(3_000)));
}

#[tokio::test]
async fn a_key_that_may_not_read_leaves_the_quota_unknown() {
    let emulator = emulator().await;
    let reading = read(&emulator.url(), "pro", 1).await;
    assert_eq!(reading.snapshot.readable, Readable::Forbidden);
    assert_eq!((reading.snapshot.plan, reading.snapshot.balance), (None, None));
    assert_eq!(
        reading.account.unwrap().as_str(),
        Scenario::user_id("pro"),
        "the key itself names it"
    );
    assert_eq!(reading.problems.len(), 4);
    assert!(reading.problems.iter().all(|(_, error)| error.is_forbidden()));
}

#[tokio::test]
async fn the_key_that_may_read_speaks_for_its_account() {
    let emulator = emulator().await;
    let keys = [key("pro", 2), key("plus", 0), key("pro", 1), key("pro", 0), key("pro", 1)];
    let groups = group_by_account(keys);
    assert_eq!(groups.iter().map(|group| group.keys.len()).collect::<Vec<_>>(), [3, 1]);
    let chutes = client(&emulator.url());
    let reading = in_time(read_account_with(&chutes, &groups[0], &now)).await;
    assert_eq!(
        (reading.snapshot.plan, reading.snapshot.readable),
        (Some(Plan::Pro), Readable::Yes)
    );
    let tokens = ["0123456789abcdef-one", "0123456789abcdef-two"]
        .map(|text| ripcord_client::key::Key::parse(text).unwrap().0);
    assert_eq!(group_by_account(tokens).len(), 2, "who owns a token is not known");
}

#[tokio::test]
async fn a_service_that_fails_is_not_a_key_that_may_not() {
    let account = AccountSpec::new("alice", PlanSpec::Pro)
        .keys(&[KeyKind::Admin])
        .fault(Fault::new(FaultKind::PlainServerError).on(FaultScope::Management));
    let emulator = Emulator::start(Scenario::empty().account(account)).await.unwrap();
    let reading = read(&emulator.url(), "alice", 0).await;
    assert_eq!(reading.snapshot.readable, Readable::Failed, "{:?}", reading.problems);
    assert_eq!(reading.problems.len(), 4);
}

/// Answers each path with its body; `None` with a plain 500.
async fn partly(answers: &'static [(&'static str, &'static str)]) -> RawServer {
    RawServer::start(move |mut stream, _| async move {
        while let Some(request) = read_request(&mut stream).await {
            let path = request.split(' ').nth(1).unwrap();
            let body = answers.iter().find(|(known, _)| *known == path).map(|(_, body)| *body);
            let (status, body) =
                body.map_or(("500 x", "Internal Server Error"), |body| ("200 OK", body));
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

const QUOTAS: (&str, &str) = (
    "/users/me/quotas",
    r#"[{"chute_id":"*","quota":5000,"effective_date":"2026-11-03T08:12:45"}]"#,
);
const USAGE: (&str, &str) = ("/users/me/quota_usage/me", r#"{"quota":5000,"used":12.5}"#);

#[tokio::test]
async fn one_endpoint_that_fails_leaves_the_others() {
    let no_caps = partly(&[QUOTAS, USAGE]).await;
    let reading = read(&no_caps.url(), "pro", 0).await;
    let failed: Vec<Question> = reading.problems.iter().map(|(question, _)| *question).collect();
    assert_eq!(failed, [Question::Me, Question::SubscriptionUsage]);
    assert_eq!(
        (reading.snapshot.plan, reading.snapshot.readable),
        (Some(Plan::Pro), Readable::Yes)
    );
    assert_eq!(reading.snapshot.window(WindowKind::Day, NOW).unwrap().used, Some(12_500));
    // The caps are there and not known: nobody may take that for room.
    assert_eq!(reading.snapshot.window(WindowKind::FourHour, NOW).unwrap().used, None);
    let policy = SpendingPolicy { paygo: Paygo::Never, ..SpendingPolicy::default() };
    assert!(matches!(may_spend(&reading.snapshot, &policy, None, NOW), Verdict::Unknown(_)));

    let no_rows =
        partly(&[USAGE, ("/users/me/subscription_usage", r#"{"subscription": false}"#)]).await;
    let reading = read(&no_rows.url(), "pro", 0).await;
    assert_eq!((reading.snapshot.plan, reading.snapshot.windows.len()), (Some(Plan::Pro), 1));

    let only_me = partly(&[(
        "/users/me",
        r#"{"username":"alice","balance":7.351,"permissions_bitmask":16}"#,
    )])
    .await;
    let reading = read(&only_me.url(), "pro", 0).await;
    assert_eq!(reading.snapshot.plan, Some(Plan::Unlimited), "the role says so");
    assert_eq!(reading.snapshot.balance, Some(NanoUsd(7_351_000_000)));
}
