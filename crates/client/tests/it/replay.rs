//! Recorded answers of the server's own code, given to the client as if they came now: what succeeded there is read,
//! what failed there is an error with that status.
//!
//! The recordings are not part of this repository: `RIPCORD_RECORDINGS` names their directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ripcord_client::chutes::{
    Chutes, ExportHour, ExportKind, Nonce, PageQuery, RecentQuery, StatisticsQuery, UsageQuery,
};
use ripcord_client::error::{Error, ErrorKind};
use ripcord_wire::chutes::{NewApiKey, NewModelAlias};
use ripcord_wire::time::Day;
use serde_json::Value;

use crate::endpoints::canned::Canned;
use crate::endpoints::{client, in_time, key};

/// Makes the call that a recorded request was; `None` for requests that this client never makes.
async fn call(
    chutes: &Chutes,
    method: &str,
    path: &str,
) -> Option<(&'static str, Result<(), Error>)> {
    let nonce = Nonce::from_bytes([0xab; 32]);
    let hour = ExportHour::new(Day::new(2026, 11, 20)?, 0)?;
    let body = r#"{"model":"m"}"#;
    Some(match (method, path) {
        ("GET", "/users/me") => ("me", chutes.me().await.map(drop)),
        ("GET", "/users/me/quotas") => ("quotas", chutes.quotas().await.map(drop)),
        ("GET", "/users/me/subscription_usage") => {
            ("subscription_usage", chutes.subscription_usage().await.map(drop))
        }
        ("GET", "/users/me/discounts") => ("discounts", chutes.discounts().await.map(drop)),
        ("GET", "/users/me/price_overrides") => {
            ("price_overrides", chutes.price_overrides().await.map(drop))
        }
        ("GET", "/users/me/usage") => {
            ("usage", chutes.usage(&UsageQuery::default()).await.map(drop))
        }
        ("GET", "/users/name_check") => ("name_check", chutes.name_check("x").await.map(drop)),
        ("GET", "/api_keys/") => {
            ("api_keys", chutes.api_keys(PageQuery::default()).await.map(drop))
        }
        ("POST", "/api_keys/") => {
            ("create_api_key", chutes.create_api_key(&NewApiKey::admin("x")).await.map(drop))
        }
        ("GET", "/model_aliases/") => ("model_aliases", chutes.model_aliases().await.map(drop)),
        ("POST", "/model_aliases/") => {
            let alias = NewModelAlias { alias: "x".to_owned(), chute_ids: Vec::new() };
            ("put_model_alias", chutes.put_model_alias(&alias).await.map(drop))
        }
        ("GET", "/v1/models") => ("models", chutes.models().await.map(drop)),
        ("GET", "/chutes/") => ("chutes", chutes.chutes(&Default::default()).await.map(drop)),
        ("GET", "/chutes/utilization") => ("utilization", chutes.utilization().await.map(drop)),
        ("GET", "/invocations/usage") => {
            ("platform_usage", chutes.platform_usage().await.map(drop))
        }
        ("GET", "/invocations/stats/llm") => {
            ("llm_statistics", chutes.llm_statistics(&StatisticsQuery::default()).await.map(drop))
        }
        ("GET", "/invocations/stats/diffusion") => {
            let query = StatisticsQuery::default();
            ("diffusion_statistics", chutes.diffusion_statistics(&query).await.map(drop))
        }
        ("GET", "/invocations/exports/recent") => {
            let query = RecentQuery::default();
            ("recent_invocations", chutes.recent_invocations(&query).await.map(drop))
        }
        ("GET", "/bounties/") => ("bounties", chutes.bounties().await.map(drop)),
        ("GET", "/pricing") => ("pricing", chutes.pricing().await.map(drop)),
        ("GET", "/ping") => ("ping", chutes.ping().await.map(drop)),
        ("GET", "/.well-known/openid-configuration") => {
            ("oauth_discovery", chutes.oauth_discovery().await.map(drop))
        }
        ("POST", "/tokenize") => ("tokenize", chutes.tokenize(body).await.map(drop)),
        ("GET", _) if path.starts_with("/users/me/quota_usage/") => {
            ("quota_usage", chutes.quota_usage().await.map(drop))
        }
        ("GET", _) if path.starts_with("/api_keys/") => {
            ("api_key", chutes.api_key("x").await.map(drop))
        }
        ("DELETE", _) if path.starts_with("/api_keys/") => {
            ("delete_api_key", chutes.delete_api_key("x").await.map(drop))
        }
        ("DELETE", _) if path.starts_with("/model_aliases/") => {
            ("delete_model_alias", chutes.delete_model_alias("x").await.map(drop))
        }
        ("GET", _) if path.starts_with("/invocations/exports/") => {
            ("export", chutes.invocation_export(hour, ExportKind::default()).await.map(drop))
        }
        ("GET", _) if path.starts_with("/chutes/warmup/") => {
            ("warm_up", chutes.quick_warm_up_raising_a_bounty("x").await.map(drop))
        }
        ("GET", _) if path.starts_with("/instances/") && path.ends_with("/evidence") => {
            ("instance_evidence", chutes.instance_evidence("x", &nonce).await.map(drop))
        }
        ("GET", _) if path.starts_with("/chutes/") && path.ends_with("/evidence") => {
            ("evidence", chutes.evidence("x", &nonce).await.map(drop))
        }
        ("GET", _) if path.starts_with("/e2e/instances/") => {
            ("key_exchange", chutes.key_exchange("x").await.map(drop))
        }
        ("GET", _) if path.starts_with("/chutes/") => ("chute", chutes.chute("x").await.map(drop)),
        _ => return None,
    })
}

#[tokio::test]
async fn recorded_answers_are_read_by_the_calls_they_belong_to() {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let directory = std::env::var_os("RIPCORD_RECORDINGS").map(PathBuf::from);
    let Some(directory) = directory else {
        println!("skipped: RIPCORD_RECORDINGS is not set");
        return;
    };
    let mut replayed: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let json: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let response = &json["response"];
        let (Some(status), Some(body)) = (response["status"].as_u64(), response["body"].as_str())
        else {
            continue;
        };
        let headers = response["headers"].as_array().into_iter().flatten();
        let kind = headers
            .filter(|header| header[0].as_str().is_some_and(|name| name == "content-type"))
            .find_map(|header| header[1].as_str())
            .unwrap_or("text/plain");
        // What was cut off when it was recorded cannot be given whole.
        if kind.starts_with("application/json") && serde_json::from_str::<Value>(body).is_err() {
            continue;
        }
        let method = json["request"]["method"].as_str().unwrap();
        let path = json["request"]["path"].as_str().unwrap().split('?').next().unwrap();
        let server = Canned::answering(&format!("{status} Recorded"), kind, body).await;
        let chutes = client(&server.url()).with_key(key("pro", 0));
        let Some((name, outcome)) = in_time(Box::pin(call(&chutes, method, path))).await else {
            continue;
        };
        let counts = replayed.entry(name).or_default();
        match outcome {
            Ok(()) => {
                assert!(status < 300, "{}: {name} read {status}", file.display());
                counts.0 += 1;
            }
            Err(error) => {
                assert_eq!(
                    error.status().map(u64::from),
                    Some(status),
                    "{}: {error}",
                    file.display()
                );
                assert!(status >= 300, "{}: {error:?}", file.display());
                assert!(matches!(error.kind(), ErrorKind::Answered { .. }), "{error:?}");
                counts.1 += 1;
            }
        }
    }
    println!("read and refused: {replayed:#?}");
    for name in ["usage", "create_api_key", "put_model_alias", "evidence", "warm_up", "tokenize"] {
        assert!(replayed.get(name).is_some_and(|counts| counts.0 > 0), "no {name}");
    }
}
