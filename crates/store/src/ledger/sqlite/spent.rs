//! What was spent when, asked of the file.

use rusqlite::{Connection, params};

use crate::ledger::spent::{LATEST_START_US, Spent};

/// Attempts take minutes at the most; one that began a day before is not looked for, so that the index helps.
const LONGEST_ATTEMPT_US: i64 = 86_400_000_000;

const SPENT_SINCE: &str = "SELECT \
     (ended_at_us - ((ended_at_us % ?2) + ?2) % ?2) AS from_us, account, served_model, \
     COUNT(*) AS attempts, \
     SUM(outcome = 'completed') AS completed, \
     SUM(list_price_nano_usd IS NULL) AS unpriced, \
     COALESCE(SUM(list_price_nano_usd), 0) AS list_price_nano_usd, \
     SUM(is_measured) AS measured, \
     COALESCE(SUM(prompt_tokens) FILTER (WHERE is_measured), 0) AS prompt_tokens, \
     COALESCE(SUM(cached_tokens) FILTER (WHERE is_measured), 0) AS cached_tokens, \
     COALESCE(SUM(completion_tokens) FILTER (WHERE is_measured), 0) AS completion_tokens, \
     COALESCE(SUM(total_us) FILTER (WHERE is_measured), 0) AS total_us \
     FROM (SELECT *, started_at_us + total_us AS ended_at_us, \
           (outcome = 'completed' AND NOT tokens_estimated \
            AND prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL) AS is_measured \
           FROM attempts WHERE started_at_us BETWEEN ?3 AND ?4) \
     WHERE ended_at_us >= ?1 AND (list_price_nano_usd IS NOT NULL OR outcome IN ('completed', 'broken')) \
     GROUP BY from_us, account, served_model ORDER BY from_us, account, served_model";

const BEGINS_AT: &str = "SELECT MIN(started_at_us) FROM attempts";

pub(super) fn spent_since(
    connection: &Connection,
    since_unix_us: i64,
    stretch_us: i64,
) -> rusqlite::Result<Vec<Spent>> {
    let began = since_unix_us.saturating_sub(LONGEST_ATTEMPT_US).max(-LATEST_START_US);
    connection
        .prepare_cached(SPENT_SINCE)?
        .query_map(params![since_unix_us, stretch_us, began, LATEST_START_US], |row| {
            Ok(Spent {
                from_unix_us: row.get("from_us")?,
                account: row.get("account")?,
                model: row.get("served_model")?,
                attempts: row.get("attempts")?,
                completed: row.get("completed")?,
                unpriced: row.get("unpriced")?,
                list_price_nano_usd: row.get("list_price_nano_usd")?,
                measured: row.get("measured")?,
                prompt_tokens: row.get("prompt_tokens")?,
                cached_tokens: row.get("cached_tokens")?,
                completion_tokens: row.get("completion_tokens")?,
                total_us: row.get("total_us")?,
            })
        })?
        .collect()
}

pub(super) fn begins_at(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(BEGINS_AT)?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked often, or over long spans, must not read the whole ledger.
    #[test]
    fn sums_over_time_use_the_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../../../../../migrations/sqlite/0001_ledger.sql"))
            .unwrap();
        for (query, parameters) in [(SPENT_SINCE, 4), (BEGINS_AT, 0)] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(vec![0; parameters]), |row| row.get("detail"))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            assert!(steps.iter().any(|step| step.contains("attempts_started")), "{steps:?}");
        }
    }
}
