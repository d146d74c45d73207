//! Routes for those who run the gateway.

pub(crate) mod budget;
mod clients;
pub(crate) mod events;
pub(crate) mod figures;
pub(crate) mod models;
mod query;
pub(crate) mod quota_stats;
pub(crate) mod status;

use crate::body::AnswerBody;
use crate::metrics::AccountLabel;
use crate::router::json;
use crate::shared::Shared;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

/// Listening, and the ledger takes rows. Not whether there is budget: a load balancer cannot mend that.
pub(crate) fn ready(shared: &Shared) -> Response<AnswerBody> {
    match shared.ledger.health().problem {
        None => json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ready\"}")),
        Some(problem) => {
            let body =
                serde_json::json!({ "status": "not_ready", "problem": problem.kind.to_string() });
            json(StatusCode::SERVICE_UNAVAILABLE, body.to_string().into())
        }
    }
}

/// For whoever opens the address in a browser.
pub(crate) fn welcome(shared: &Shared, headers: &http::HeaderMap) -> Response<AnswerBody> {
    let host =
        headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let key = if shared.bearers.wants_key() {
        "the API key is a client key of this gateway"
    } else {
        "any text will do as the API key"
    };
    let text = format!(
        "This is Ripcord, a gateway to Chutes.ai.\n\n\
         Base URL for OpenAI clients:  http://{host}/v1   ({key})\n\
         What it knows and does:       http://{host}/-/status\n"
    );
    let mut response = Response::new(AnswerBody::from(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// For Prometheus.
pub(crate) fn metrics(shared: &Shared) -> Response<AnswerBody> {
    let metrics = &shared.metrics;
    metrics.requests_queued.set(i64::try_from(shared.gate.queued()).unwrap_or(i64::MAX));
    metrics
        .ledger_rows_lost
        .set(i64::try_from(shared.ledger.health().rows_lost).unwrap_or(i64::MAX));
    for (index, account) in shared.accounts.iter().enumerate() {
        let label = AccountLabel { account: account.label.to_string() };
        metrics
            .account_slots_in_use
            .get_or_create(&label)
            .set(i64::from(shared.gate.in_use(index)));
    }
    let mut response = Response::new(AnswerBody::from(Bytes::from(metrics.text())));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}
