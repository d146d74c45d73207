use ripcord_client::error::{Blame, ErrorKind};
use ripcord_rules::cause::Cause;

use super::canned::Canned;
use super::*;

const EVENTS: &str = "text/event-stream; charset=utf-8";
const COLD: &str = "data: {\"status\": \"cold\", \"log\": \"waiting for instances ...\"}\n\n";
const HOT: &str =
    "data: {\"status\": \"hot\", \"log\": \"chute is hot, 1 instances available\"}\n\n";

#[tokio::test]
async fn a_warm_up_tells_how_it_goes() {
    let server = Canned::answering("200 OK", EVENTS, &[COLD, COLD, HOT].concat()).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let mut stream = in_time(chutes.warm_up_raising_a_bounty("Qwen/Qwen3-32B")).await.unwrap();
    assert_eq!(server.last_line(), "GET /chutes/warmup/Qwen/Qwen3-32B");
    let mut said = Vec::new();
    while let Some(event) = in_time(stream.next()).await {
        said.push(event.unwrap().status.unwrap());
    }
    assert_eq!(said, ["cold", "cold", "hot"]);
    assert!(in_time(stream.next()).await.is_none());
}

#[tokio::test]
async fn what_is_no_event_ends_it_with_an_error() {
    for odd in ["data: {\"error\":\"boom\"}\n\n", "data: nonsense\n\n", "{\"error\":\"boom\"}"] {
        let server = Canned::answering("200 OK", EVENTS, &format!("{COLD}{odd}")).await;
        let chutes = client(&server.url()).with_key(key("pro", 0));
        let mut stream = in_time(chutes.warm_up_raising_a_bounty("x")).await.unwrap();
        assert!(in_time(stream.next()).await.unwrap().is_ok());
        let error = in_time(stream.next()).await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BrokenStream { .. }), "{error:?}");
        assert!(in_time(stream.next()).await.is_none());
    }
}

#[tokio::test]
async fn the_quick_way_is_read_in_both_its_forms() {
    let json = r#"{"chute_id":"x","status":"cold","instance_count":0,"bounty":640,"instances":[]}"#;
    let server = Canned::json(json).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let quick = in_time(chutes.quick_warm_up_raising_a_bounty("x")).await.unwrap().value;
    assert_eq!(server.last_line(), "GET /chutes/warmup/x?quick=true");
    assert_eq!((quick.status.as_deref(), quick.instance_count), (Some("cold"), Some(0)));
    // A server that does not know it answers with events.
    let server = Canned::answering("200 OK", EVENTS, HOT).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let quick = in_time(chutes.quick_warm_up_raising_a_bounty("x")).await.unwrap().value;
    assert_eq!((quick.status.as_deref(), quick.instance_count), (Some("hot"), None));
}

#[tokio::test]
async fn without_balance_it_says_what_is_missing() {
    let body =
        r#"{"detail":"Account balance is $0.0, please top-up with fiat or send tao to 5pro"}"#;
    let server = Canned::answering("402 Payment Required", "application/json", body).await;
    let chutes = client(&server.url()).with_key(key("pro", 0));
    let error = in_time(chutes.warm_up_raising_a_bounty("x")).await.unwrap_err();
    assert_eq!((error.cause(), error.blame()), (Some(Cause::WindowUsedUp(None)), Blame::Account));
    assert_eq!(
        error.hint(),
        "a warm-up needs a balance above 0, which a subscription does not replace"
    );
}
