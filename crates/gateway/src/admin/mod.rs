//! Routes for those who run the gateway.

pub(crate) mod models;
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
