//! Dead, or only without a scope.

use ripcord_client::chutes::KeyStanding;
use ripcord_client::error::ErrorKind;
use ripcord_rules::cause::Cause;

use super::canned::Canned;
use super::*;

const MODELS: (&str, &str) = ("200 OK", r#"{"object":"list","data":[]}"#);
const QUOTA: (&str, &str) = ("200 OK", r#"{"quota":5000,"used":1.5}"#);
const USER: (&str, &str) = ("200 OK", r#"{"sub":"x","username":"mara"}"#);
const BAD_KEY: (&str, &str) =
    ("401 Unauthorized", r#"{"detail":"Invalid token or user not found"}"#);
const DEAD_TOKEN: (&str, &str) = ("401 Unauthorized", r#"{"detail":"Invalid or expired token"}"#);
const NO_SCOPE: (&str, &str) =
    ("403 Forbidden", r#"{"detail":"Token does not have permission for this resource"}"#);
const DOWN: (&str, &str) = ("503 Service Unavailable", r#"{"detail":"Database connectivity"}"#);

const fn alive(calls_models: bool, reads_account: bool) -> KeyStanding {
    KeyStanding::Alive { calls_models, reads_account }
}

async fn standing(
    key: Key,
    answers: &[(&str, &str)],
) -> (Result<KeyStanding, ripcord_client::error::Error>, usize) {
    let answers =
        answers.iter().map(|(status, body)| (*status, "application/json", *body)).collect();
    let server = Canned::each(answers).await;
    let chutes = client(&server.url()).with_key(key);
    let standing = in_time(chutes.key_standing()).await;
    (standing, server.asked().len())
}

#[tokio::test]
async fn a_key_is_judged_by_models_and_account() {
    for (answers, expected) in [
        ([MODELS, QUOTA], alive(true, true)),
        ([MODELS, BAD_KEY], alive(true, false)),
        ([BAD_KEY, QUOTA], alive(false, true)),
        ([BAD_KEY, BAD_KEY], KeyStanding::Dead),
    ] {
        let (found, calls) = standing(key("pro", 0), &answers).await;
        assert_eq!((found.unwrap(), calls), (expected, 2));
    }
}

#[tokio::test]
async fn a_token_is_shown_to_the_identity_provider_first() {
    let token = || Key::parse(&format!("cak_{}", "aB3d".repeat(16))).unwrap().0;
    // The list of models answers a dead token as if it were none: it is not even asked.
    let (found, calls) = standing(token(), &[DEAD_TOKEN, MODELS]).await;
    assert_eq!((found.unwrap(), calls), (KeyStanding::Dead, 1));
    for (answers, expected) in [
        ([USER, MODELS, QUOTA], alive(true, true)),
        ([USER, NO_SCOPE, QUOTA], alive(false, true)),
        ([NO_SCOPE, MODELS, NO_SCOPE], alive(true, false)),
        ([NO_SCOPE, NO_SCOPE, NO_SCOPE], alive(false, false)),
    ] {
        let (found, calls) = standing(token(), &answers).await;
        assert_eq!((found.unwrap(), calls), (expected, 3));
    }
}

#[tokio::test]
async fn what_could_not_be_found_out_is_an_error() {
    for answers in [&[DOWN][..], &[MODELS, DOWN]] {
        let (found, _) = standing(key("pro", 0), answers).await;
        assert_eq!(found.unwrap_err().cause(), Some(Cause::Transient));
    }
    let error = in_time(client("http://127.0.0.1:1").key_standing()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoKey));
}

#[tokio::test]
async fn the_emulators_keys_are_judged_rightly() {
    let emulator = emulator().await;
    let chutes = client(&emulator.url());
    for (key, expected) in [
        (key("pro", 0), alive(true, true)),
        (key("pro", 1), alive(true, false)),
        (key("nobody", 0), KeyStanding::Dead),
    ] {
        let found = in_time(chutes.clone().with_key(key).key_standing()).await.unwrap();
        assert_eq!(found, expected);
    }
}
