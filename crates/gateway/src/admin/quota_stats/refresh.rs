//! `POST /v1/quota-stats`: the viewer's "reload" and "force refresh".

use super::shape::RefreshResult;
use super::{CHUTES, gather, response};
use crate::accounts::Account;
use crate::admin::query::wrong;
use crate::body::AnswerBody;
use crate::refusal::Refusal;
use crate::shared::Shared;
use http::Response;
use ripcord_rules::quota::{LEAST_PAUSE, Readable};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// A reading may have to wait until the one before it is old enough, and takes a while itself. The viewer waits a minute.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked whether the reading is done.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    credential: Option<String>,
}

/// Answers `POST /v1/quota-stats`. `reload` asks nobody; `force_refresh` has the accounts read, never twice in 10 s.
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    body: &[u8],
) -> Result<Response<AnswerBody>, Refusal> {
    // An array would pass for an object without names.
    let asked = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"));
    let asked: Option<Asked> = asked.and_then(|body| serde_json::from_slice(body).ok());
    let asked = asked.ok_or_else(|| wrong("send a JSON object with `action` and `scope`"))?;
    let is_forced = match asked.action.as_deref() {
        None | Some("reload") => false,
        Some("force_refresh") => true,
        Some(_) => return Err(wrong("`action` takes reload or force_refresh")),
    };
    let scope = match asked.scope.as_deref() {
        None | Some("all") => "all",
        Some("provider") => "provider",
        Some("credential") => "credential",
        Some(_) => return Err(wrong("`scope` takes all, provider or credential")),
    };
    let provider = asked.provider.as_deref().filter(|name| !name.is_empty());
    if scope != "all" && provider.is_none() {
        return Err(wrong("`provider` is needed with this `scope`"));
    }
    if scope == "credential" && asked.credential.is_none() {
        return Err(wrong("`credential` is needed with this `scope`"));
    }
    let is_ours = provider.is_none_or(|name| name == CHUTES);
    let credential = asked.credential.as_deref().filter(|_| scope == "credential");
    let wanted: Vec<usize> = (0..shared.at_chutes().len())
        .filter(|_| is_ours)
        .filter(|&index| credential.is_none_or(|name| *name == *shared.accounts[index].label))
        .collect();
    let began = shared.clock.mono();
    let errors = if is_forced { read(shared, &wanted).await } else { Vec::new() };
    let took = shared.clock.mono().since(began);
    let failed = errors.len();
    let refreshed = if is_forced { wanted.len() - failed } else { 0 };
    let message = if is_forced {
        "Asked Chutes for the figures of these accounts; of those read in the last 10 s they are fresh as they are"
    } else {
        "Nothing was asked of Chutes: the figures are kept in memory and refreshed in the background"
    };
    let mut stats = gather::stats(shared, provider, "refreshed").await;
    stats.refresh_result = Some(RefreshResult {
        action: if is_forced { "force_refresh" } else { "reload" },
        scope,
        provider: provider.map(|name| ripcord_wire::text::clean(name, 60)),
        credential: asked.credential.as_deref().map(|name| ripcord_wire::text::clean(name, 60)),
        success: failed == 0,
        message: message.to_owned(),
        credentials_refreshed: refreshed,
        success_count: refreshed,
        failed_count: failed,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        errors,
    });
    Ok(response(&stats))
}

/// Has these accounts read, those apart that were just now; what failed, a line each.
async fn read(shared: &Arc<Shared>, wanted: &[usize]) -> Vec<String> {
    let now = shared.clock.now().wall;
    let is_fresh = |account: &Account| {
        account.snapshot().is_some_and(|read| {
            read.readable == Readable::Yes && now.since(read.as_of) < LEAST_PAUSE
        })
    };
    let accounts = wanted.iter().map(|&index| (index, &shared.accounts[index]));
    let stale: Vec<(usize, u64)> = accounts
        .filter(|(_, account)| !is_fresh(account))
        .map(|(index, account)| (index, account.readings()))
        .collect();
    for (index, _) in &stale {
        shared.refresh_soon(*index);
    }
    let is_read = |(index, before): &(usize, u64)| shared.accounts[*index].readings() > *before;
    let all_read = async {
        while !stale.iter().all(is_read) {
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(PATIENCE, all_read) => {}
        () = shared.closing.cancelled() => {}
    }
    let failed = stale.iter().filter_map(|pair| {
        let account = &shared.accounts[pair.0];
        let problem = if !is_read(pair) {
            "it was not read in time"
        } else {
            match account.snapshot().map(|read| (read.readable, read.as_of)) {
                Some((Readable::Yes, as_of)) if as_of >= now => return None,
                Some((Readable::Forbidden, _)) => "the key may not read the account",
                _ => "the account could not be read",
            }
        };
        Some(format!("{}: {problem}", account.label))
    });
    failed.collect()
}
