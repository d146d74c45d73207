//! What is read back from the file.

use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::ledger::row::{
    AttemptRow, Cost, Coverage, Outcome, RequestRow, RequestStory, ServedBy, Timing, Tokens, Totals,
};
use crate::ledger::step::{StepKind, StepRow};

const REQUEST_BY_ID: &str = "SELECT * FROM requests WHERE request_id = ?1";

const ATTEMPTS_OF_REQUEST: &str = "SELECT * FROM attempts WHERE request_id = ?1 ORDER BY number";

const STEPS_OF_REQUEST: &str = "SELECT * FROM steps WHERE request_id = ?1 ORDER BY number";

const REQUESTS_BEGINNING: &str = "SELECT request_id FROM requests WHERE request_id >= ?1 AND request_id < ?2 \
     UNION SELECT request_id FROM attempts WHERE request_id >= ?1 AND request_id < ?2 \
     UNION SELECT request_id FROM steps WHERE request_id >= ?1 AND request_id < ?2 \
     ORDER BY request_id DESC LIMIT ?3";

const RECENT_REQUESTS: &str =
    "SELECT * FROM requests ORDER BY started_at_us DESC, request_id DESC LIMIT ?1";

const TOTALS_SINCE: &str = "SELECT account, served_model, \
     COUNT(DISTINCT request_id) AS requests, \
     COUNT(*) AS attempts, \
     SUM(outcome = 'completed') AS completed, \
     SUM(tokens_estimated) AS estimated, \
     SUM(list_price_nano_usd IS NULL) AS unpriced, \
     COALESCE(SUM(prompt_tokens), 0) AS prompt_tokens, \
     COALESCE(SUM(completion_tokens), 0) AS completion_tokens, \
     COALESCE(SUM(cached_tokens), 0) AS cached_tokens, \
     COALESCE(SUM(list_price_nano_usd), 0) AS list_price_nano_usd, \
     COALESCE(SUM(list_price_nano_usd) FILTER (WHERE coverage = 'paid'), 0) AS paid_nano_usd \
     FROM attempts WHERE started_at_us >= ?1 \
     GROUP BY account, served_model ORDER BY account, served_model";

pub(super) fn request(
    connection: &Connection,
    request_id: &str,
) -> rusqlite::Result<Option<RequestStory>> {
    // One transaction, so that all selects see the same moment.
    let moment = connection.unchecked_transaction()?;
    let request =
        moment.prepare_cached(REQUEST_BY_ID)?.query_row([request_id], request_row).optional()?;
    let attempts = moment
        .prepare_cached(ATTEMPTS_OF_REQUEST)?
        .query_map([request_id], attempt_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let steps = moment
        .prepare_cached(STEPS_OF_REQUEST)?
        .query_map([request_id], step_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let is_known = request.is_some() || !attempts.is_empty() || !steps.is_empty();
    Ok(is_known.then_some(RequestStory { request, attempts, steps }))
}

pub(super) fn requests_beginning(
    connection: &Connection,
    prefix: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Arc<str>>> {
    // Nothing that begins so stands after this: texts are ordered by their bytes.
    let beyond = format!("{prefix}{}", char::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(REQUESTS_BEGINNING)?
        .query_map(params![prefix, beyond, limit], |row| row.get(0))?
        .collect()
}

pub(super) fn recent_requests(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<RequestRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection.prepare_cached(RECENT_REQUESTS)?.query_map([limit], request_row)?.collect()
}

pub(super) fn totals_since(
    connection: &Connection,
    since_unix_us: i64,
) -> rusqlite::Result<Vec<Totals>> {
    connection
        .prepare_cached(TOTALS_SINCE)?
        .query_map([since_unix_us], |row| {
            Ok(Totals {
                account: row.get("account")?,
                model: row.get("served_model")?,
                requests: row.get("requests")?,
                attempts: row.get("attempts")?,
                completed: row.get("completed")?,
                estimated: row.get("estimated")?,
                unpriced: row.get("unpriced")?,
                prompt_tokens: row.get("prompt_tokens")?,
                completion_tokens: row.get("completion_tokens")?,
                cached_tokens: row.get("cached_tokens")?,
                list_price_nano_usd: row.get("list_price_nano_usd")?,
                paid_nano_usd: row.get("paid_nano_usd")?,
            })
        })?
        .collect()
}

fn request_row(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    Ok(RequestRow {
        request_id: row.get("request_id")?,
        client_key: row.get("client_key")?,
        route: row.get("route")?,
        requested_model: row.get("requested_model")?,
        served_by: served_by(row)?,
        is_stream: row.get("is_stream")?,
        priority: row.get("priority")?,
        deadline_us: row.get("deadline_us")?,
        status: row.get("status")?,
        outcome: row.get("outcome")?,
        cause: row.get("cause")?,
        attempt_count: row.get("attempt_count")?,
        tokens: tokens(row)?,
        cost: cost(row)?,
        timing: timing(row)?,
    })
}

fn attempt_row(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        request_id: row.get("request_id")?,
        number: row.get("number")?,
        served_by: served_by(row)?,
        status: row.get("status")?,
        outcome: row.get("outcome")?,
        cause: row.get("cause")?,
        tokens: tokens(row)?,
        cost: cost(row)?,
        timing: timing(row)?,
    })
}

fn step_row(row: &Row<'_>) -> rusqlite::Result<StepRow> {
    Ok(StepRow {
        request_id: row.get("request_id")?,
        number: row.get("number")?,
        after_attempt: row.get("after_attempt")?,
        kind: row.get("kind")?,
        subject: row.get("subject")?,
        target: row.get("target")?,
        reason: row.get("reason")?,
        before: row.get("amount_before")?,
        after: row.get("amount_after")?,
        at_unix_us: row.get("at_us")?,
        took_us: row.get("took_us")?,
    })
}

fn served_by(row: &Row<'_>) -> rusqlite::Result<ServedBy> {
    let (model, account, key): (_, _, Option<Arc<str>>) =
        (row.get("served_model")?, row.get("account")?, row.get("api_key")?);
    Ok(ServedBy { model, account, key })
}

fn tokens(row: &Row<'_>) -> rusqlite::Result<Tokens> {
    Ok(Tokens {
        prompt: row.get("prompt_tokens")?,
        completion: row.get("completion_tokens")?,
        cached: row.get("cached_tokens")?,
        estimated: row.get("tokens_estimated")?,
    })
}

fn cost(row: &Row<'_>) -> rusqlite::Result<Cost> {
    Ok(Cost {
        list_price_nano_usd: row.get("list_price_nano_usd")?,
        coverage: row.get("coverage")?,
    })
}

fn timing(row: &Row<'_>) -> rusqlite::Result<Timing> {
    Ok(Timing {
        started_at_unix_us: row.get("started_at_us")?,
        waited_us: row.get("waited_us")?,
        first_byte_us: row.get("first_byte_us")?,
        total_us: row.get("total_us")?,
    })
}

impl FromSql for Outcome {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for StepKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for Coverage {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Self::ALL
            .into_iter()
            .find(|coverage| coverage.as_str() == text)
            .ok_or(FromSqlError::InvalidType)
    }
}
