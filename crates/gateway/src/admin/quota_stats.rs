//! `/v1/quota-stats`: the accounts in the shape that the quota viewer of LLM-API-Key-Proxy reads.
//!
//! A credential there is an account here: its keys share its windows, so they are one. No key is in it, only labels.
//! Token counts follow that tool: `prompt_tokens` are those that did not come from a cache.
//! Known differences stand in `docs/concepts/quota-viewer.md`.

mod gather;
mod refresh;
mod shape;

pub(crate) use self::refresh::refresh;
pub use self::shape::QuotaStats;

use super::query;
use crate::body::AnswerBody;
use crate::refusal::Refusal;
use crate::router::json;
use crate::shared::Shared;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use std::sync::Arc;

/// The only provider so far.
const CHUTES: &str = "chutes";

/// Answers `GET /v1/quota-stats`, of one provider if the query names it. Asks nobody.
pub(crate) async fn show(
    shared: &Arc<Shared>,
    query: Option<&str>,
) -> Result<Response<AnswerBody>, Refusal> {
    let parameters = query::read(query, &["provider"])?;
    let provider = parameters.first().map(|(_, value)| value.as_str());
    let stats = gather::stats(shared, provider, "cache").await;
    Ok(response(&stats))
}

fn response(stats: &QuotaStats) -> Response<AnswerBody> {
    // Plain values always serialise.
    let body = serde_json::to_vec(stats).unwrap_or_default();
    let mut response = json(StatusCode::OK, body.into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
