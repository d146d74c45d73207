//! The client keys in the file.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::ledger::client_keys::{
    ClientKey, ClientPaygo, ClientPriority, ClientRules, ClientShare, ClientUse, MINUTE_US, Paid,
};

/// Attempts take minutes at the most; one that began a day before is not looked for, so that the index helps.
const LONGEST_ATTEMPT_US: i64 = 86_400_000_000;

const PAID_SINCE: &str = "SELECT (ended_at_us / ?2) * ?2 AS from_us, account, client_key, \
     SUM(list_price_nano_usd) AS nano_usd \
     FROM (SELECT attempts.*, attempts.started_at_us + attempts.total_us AS ended_at_us, requests.client_key \
           FROM attempts LEFT JOIN requests USING (request_id) WHERE attempts.started_at_us >= ?3) \
     WHERE ended_at_us >= ?1 AND list_price_nano_usd > 0 AND (coverage IS NULL OR coverage = 'paid') \
     GROUP BY from_us, account, client_key ORDER BY from_us, account, client_key";

/// ?1 and ?2: when the day and the month began, ?3 the earlier of both, ?4 a while before that.
const USED: &str = "SELECT client_key, SUM(day_nano_usd) AS day_nano_usd, SUM(month_nano_usd) AS month_nano_usd, \
     SUM(day_requests) AS day_requests FROM ( \
       SELECT requests.client_key, 0 AS day_requests, \
         CASE WHEN attempts.started_at_us + attempts.total_us >= ?1 THEN MAX(attempts.list_price_nano_usd, 0) ELSE 0 END \
           AS day_nano_usd, \
         CASE WHEN attempts.started_at_us + attempts.total_us >= ?2 THEN MAX(attempts.list_price_nano_usd, 0) ELSE 0 END \
           AS month_nano_usd \
       FROM attempts JOIN requests USING (request_id) \
       WHERE attempts.started_at_us >= ?4 AND attempts.started_at_us + attempts.total_us >= ?3 \
       UNION ALL \
       SELECT client_key, 1, 0, 0 FROM requests WHERE started_at_us >= ?1 AND attempt_count > 0) \
     WHERE client_key IS NOT NULL GROUP BY client_key ORDER BY client_key";

pub(super) enum Added {
    Yes,
    NameTaken,
    TooMany,
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<ClientKey>> {
    connection
        .prepare_cached("SELECT * FROM client_keys ORDER BY name")?
        .query_map([], client_key)?
        .collect()
}

pub(super) fn add(
    connection: &mut Connection,
    key: &ClientKey,
    most: usize,
) -> rusqlite::Result<Added> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = transaction
        .query_row("SELECT 1 FROM client_keys WHERE name = ?1", [&*key.name], |_| Ok(()))
        .optional()?;
    if known.is_some() {
        return Ok(Added::NameTaken);
    }
    let count: usize =
        transaction.query_row("SELECT COUNT(*) FROM client_keys", [], |row| row.get(0))?;
    if count >= most {
        return Ok(Added::TooMany);
    }
    let (paygo, daily) = match key.rules.paygo {
        ClientPaygo::AsAccount => ("as_account", None),
        ClientPaygo::Never => ("never", None),
        ClientPaygo::Allow => ("allow", None),
        ClientPaygo::Daily(nano_usd) => ("daily", Some(nano_usd)),
    };
    let share = &key.rules.share;
    transaction.execute(
        "INSERT INTO client_keys (name, digest, paygo, daily_nano_usd, may_use_reserve, min_balance_nano_usd, \
         refuses_unknown, created_at_us, revoked_at_us, budget_daily_nano_usd, budget_monthly_nano_usd, daily_requests, \
         requests_per_minute, concurrent_requests, models, highest_priority, expires_at_us) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            &*key.name,
            key.digest,
            paygo,
            daily,
            key.rules.may_use_reserve,
            key.rules.min_balance_nano_usd,
            key.rules.refuses_unknown,
            key.created_at_unix_us,
            key.revoked_at_unix_us,
            share.daily_nano_usd,
            share.monthly_nano_usd,
            share.daily_requests.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            share.requests_per_minute,
            share.concurrent_requests,
            (!key.rules.models.is_empty()).then(|| key.rules.models.join("\n")),
            key.rules.highest_priority.as_str(),
            key.expires_at_unix_us,
        ],
    )?;
    transaction.commit()?;
    Ok(Added::Yes)
}

pub(super) fn revoke(
    connection: &Connection,
    name: &str,
    at_unix_us: i64,
) -> rusqlite::Result<bool> {
    let statement =
        "UPDATE client_keys SET revoked_at_us = ?2 WHERE name = ?1 AND revoked_at_us IS NULL";
    Ok(connection.execute(statement, params![name, at_unix_us])? > 0)
}

pub(super) fn remove(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let statement = "DELETE FROM client_keys WHERE name = ?1 AND revoked_at_us IS NOT NULL";
    Ok(connection.execute(statement, [name])? > 0)
}

pub(super) fn paid_since(connection: &Connection, since: i64) -> rusqlite::Result<Vec<Paid>> {
    let began = since.saturating_sub(LONGEST_ATTEMPT_US);
    connection
        .prepare_cached(PAID_SINCE)?
        .query_map([since, MINUTE_US, began], |row| {
            Ok(Paid {
                from_unix_us: row.get("from_us")?,
                account: row.get("account")?,
                client_key: row.get("client_key")?,
                nano_usd: row.get("nano_usd")?,
            })
        })?
        .collect()
}

pub(super) fn used(
    connection: &Connection,
    day_since: i64,
    month_since: i64,
) -> rusqlite::Result<Vec<ClientUse>> {
    let since = day_since.min(month_since);
    let began = since.saturating_sub(LONGEST_ATTEMPT_US);
    connection
        .prepare_cached(USED)?
        .query_map([day_since, month_since, since, began], |row| {
            Ok(ClientUse {
                client_key: row.get("client_key")?,
                day_nano_usd: row.get::<_, Option<i64>>("day_nano_usd")?.unwrap_or(0),
                month_nano_usd: row.get::<_, Option<i64>>("month_nano_usd")?.unwrap_or(0),
                day_requests: row.get("day_requests")?,
            })
        })?
        .collect()
}

fn client_key(row: &Row<'_>) -> rusqlite::Result<ClientKey> {
    let paygo: String = row.get("paygo")?;
    let daily: Option<i64> = row.get("daily_nano_usd")?;
    let paygo = match (paygo.as_str(), daily) {
        ("as_account", _) => ClientPaygo::AsAccount,
        ("allow", _) => ClientPaygo::Allow,
        ("daily", Some(nano_usd)) => ClientPaygo::Daily(nano_usd),
        // A word that somebody else wrote allows nothing.
        _ => ClientPaygo::Never,
    };
    let models: Option<String> = row.get("models")?;
    let priority: String = row.get("highest_priority")?;
    Ok(ClientKey {
        name: row.get("name")?,
        digest: row.get("digest")?,
        rules: ClientRules {
            paygo,
            may_use_reserve: row.get("may_use_reserve")?,
            min_balance_nano_usd: row.get("min_balance_nano_usd")?,
            refuses_unknown: row.get("refuses_unknown")?,
            share: ClientShare {
                daily_nano_usd: row.get("budget_daily_nano_usd")?,
                monthly_nano_usd: row.get("budget_monthly_nano_usd")?,
                daily_requests: row.get("daily_requests")?,
                requests_per_minute: row.get("requests_per_minute")?,
                concurrent_requests: row.get("concurrent_requests")?,
            },
            models: models
                .map_or_else(Vec::new, |models| models.lines().map(str::to_owned).collect()),
            // A word that somebody else wrote is the lowest.
            highest_priority: ClientPriority::ALL
                .into_iter()
                .find(|known| known.as_str() == priority)
                .unwrap_or(ClientPriority::Batch),
        },
        created_at_unix_us: row.get("created_at_us")?,
        expires_at_unix_us: row.get("expires_at_us")?,
        revoked_at_unix_us: row.get("revoked_at_us")?,
    })
}
