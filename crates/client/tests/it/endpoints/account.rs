//! Use by the hour, and the small account endpoints.

use ripcord_client::chutes::{UsageHistory, UsageQuery};
use ripcord_client::error::Blame;
use ripcord_rules::cause::Cause;
use ripcord_rules::time::Wall;

use super::canned::Canned;
use super::*;

/// A page of hours of 20 November 2026, newest first.
fn page(total: usize, limit: usize, hours: &[usize]) -> String {
    let rows: Vec<String> = hours
        .iter()
        .map(|hour| {
            format!(r#"{{"bucket":"2026-11-20T{hour:02}:00:00","amount":0.5,"count":{hour}}}"#)
        })
        .collect();
    format!(r#"{{"total":{total},"page":0,"limit":{limit},"items":[{}]}}"#, rows.join(","))
}

fn hours(history: &UsageHistory) -> Vec<i64> {
    history.rows.iter().filter_map(|row| row.count).collect()
}

async fn walk(
    pages: &[String],
    query: &UsageQuery,
    max_rows: usize,
) -> (UsageHistory, Vec<String>) {
    let answers = pages.iter().map(|page| ("200 OK", "application/json", page.as_str())).collect();
    let server = Canned::each(answers).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let history = in_time(chutes.usage_history(query, max_rows)).await.unwrap();
    let asked = server.asked();
    let lines = asked.iter().filter_map(|request| request.lines().next());
    (history, lines.map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).collect())
}

#[tokio::test]
async fn every_parameter_of_usage_is_sent_and_moments_are_naive() {
    let server = Canned::json(&page(40, 5, &[11, 10])).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let query = UsageQuery {
        page: Some(1),
        limit: Some(5),
        per_chute: true,
        chute_id: Some("60ab09ea".to_owned()),
        from: Some(Wall::from_unix_seconds(1_795_132_800)),
        until: Some(Wall::from_unix_micros(1_795_176_000_999_999)),
    };
    let usage = in_time(chutes.usage(&query)).await.unwrap().value;
    assert_eq!((usage.total, usage.items.len()), (Some(40), 2));
    assert_eq!(
        server.last_line(),
        "GET /users/me/usage?page=1&limit=5&per_chute=true&chute_id=60ab09ea&start_date=2026-11-20T00%3A00%3A00&end_date=2026-11-20T12%3A00%3A00"
    );
    in_time(chutes.usage(&UsageQuery::default())).await.unwrap();
    assert_eq!(server.last_line(), "GET /users/me/usage");
}

#[tokio::test]
async fn a_walk_takes_every_hour_once() {
    let limit = UsageQuery { limit: Some(3), ..UsageQuery::default() };
    // An hour began between the pages: the rows moved by one.
    let pages = [page(7, 3, &[7, 6, 5]), page(8, 3, &[5, 4, 3]), page(8, 3, &[2, 1])];
    let (history, asked) = walk(&pages, &limit, 100).await;
    assert_eq!(hours(&history), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!((history.is_whole, history.total), (true, Some(8)));
    assert_eq!(asked[2], "GET /users/me/usage?page=2&limit=3");

    // A last page that is just full is followed by an empty one.
    let (history, asked) = walk(&[page(3, 3, &[3, 2, 1]), page(3, 3, &[])], &limit, 100).await;
    assert_eq!((hours(&history).len(), history.is_whole, asked.len()), (3, true, 2));

    let (history, _) = walk(&[page(0, 3, &[])], &limit, 100).await;
    assert!(history.rows.is_empty() && history.is_whole);
}

#[tokio::test]
async fn a_walk_ends_whatever_the_server_does() {
    let limit = UsageQuery { limit: Some(2), ..UsageQuery::default() };
    // The bound.
    let pages = [page(9, 2, &[9, 8]), page(9, 2, &[7, 6]), page(9, 2, &[5, 4])];
    let (history, asked) = walk(&pages, &limit, 3).await;
    assert_eq!((hours(&history), history.is_whole), (vec![9, 8, 7], false));
    assert_eq!(asked.len(), 2);
    // The same page for ever.
    let (history, asked) = walk(&[page(9, 2, &[9, 8])], &limit, 1000).await;
    assert_eq!((hours(&history), asked.len()), (vec![9, 8], 2));
    // Fewer rows to a page than were asked for.
    let pages = [page(3, 2, &[3, 2]), page(3, 2, &[1])];
    let (history, asked) = walk(&pages, &UsageQuery::default(), 1000).await;
    assert_eq!((hours(&history), history.is_whole), (vec![3, 2, 1], true));
    assert_eq!(asked[0], "GET /users/me/usage?page=0&limit=500");
}

#[tokio::test]
async fn a_walk_that_fails_says_so() {
    let first = page(9, 2, &[9, 8]);
    let server = Canned::each(vec![
        ("200 OK", "application/json", first.as_str()),
        ("500 Internal Server Error", "text/plain", "Internal Server Error"),
    ])
    .await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let query = UsageQuery { limit: Some(2), ..UsageQuery::default() };
    let error = in_time(chutes.usage_history(&query, 100)).await.unwrap_err();
    assert_eq!((error.cause(), error.blame()), (Some(Cause::Transient), Blame::Chutes));
}

#[tokio::test]
async fn names_nonces_and_shares() {
    let server = Canned::json(r#"{"valid":true,"available":false}"#).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let name = in_time(chutes.name_check("a b&c")).await.unwrap().value;
    assert_eq!((name.valid, name.available), (Some(true), Some(false)));
    assert_eq!(server.last_line(), "GET /users/name_check?username=a%20b%26c");
    assert!(!server.asked()[0].contains("authorization"));

    let server = Canned::json(r#"{"nonce":"abc","expires_in":300}"#).await;
    let nonce = in_time(client(&server.url()).login_nonce()).await.unwrap().value;
    assert_eq!((nonce.nonce.as_deref(), nonce.expires_in), (Some("abc"), Some(300)));

    let server = Canned::json(r#"[{"chute_id":"x"}]"#).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let shares = in_time(chutes.shares()).await.unwrap().value;
    assert_eq!(shares[0]["chute_id"], "x");
    let server = Canned::json(r#"{"detail":"not for you"}"#).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let error = in_time(chutes.shares()).await.unwrap_err();
    assert!(error.to_string().ends_with(" answered 200: not for you"), "{error}");
}
