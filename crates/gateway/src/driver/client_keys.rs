//! Keeps the client keys as the ledger has them: one that is added, revoked or expires counts within a second or two.

use crate::bearers::{KnownKey, Rights, UsedBefore};
use crate::shared::Shared;
use ripcord_rules::clients::{ClientLimits, ModelPatterns, Used};
use ripcord_rules::quota::{ClientPolicy, Paygo, WhenUnknown, calendar_month};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{ClientKey, ClientPaygo, ClientRules, LedgerError, Paid};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the ledger is asked: a few rows of one table.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the ledger says at the start: the keys, and what the balance paid today for them and on each account.
pub(crate) fn begin(shared: &Shared) -> Result<(), LedgerError> {
    let paid = paid_today(shared)?;
    let labelled = paid.iter().filter_map(|paid| Some((paid.account.as_deref()?, paid)));
    for (label, paid) in labelled {
        // A label that is configured no more is nobody's.
        if let Some(account) = shared.accounts.iter().find(|account| &*account.label == label) {
            account
                .remember_paid(Wall::from_unix_micros(paid.from_unix_us), NanoUsd(paid.nano_usd));
        }
    }
    learn(shared, &shared.ledger.client_keys()?, &used_before(shared, &paid)?);
    Ok(())
}

/// Looks again and again until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut has_failed = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let asked = Arc::clone(&shared);
        let looked = tokio::task::spawn_blocking(move || look(&asked)).await;
        let failed = matches!(looked, Ok(Err(_)));
        if let (Ok(Err(error)), false) = (looked, has_failed) {
            // Those that are known stay in force.
            tracing::warn!(%error, "client keys");
        }
        has_failed = failed;
        if failed {
            expire(&shared);
        }
    }
}

fn look(shared: &Shared) -> Result<(), LedgerError> {
    let keys = shared.ledger.client_keys()?;
    let now = shared.clock.now().wall.as_unix_micros();
    let is_new = |key: &ClientKey| key.is_in_force(now) && !shared.bearers.knows(&key.digest);
    let before = if keys.iter().any(is_new) {
        used_before(shared, &paid_today(shared)?)?
    } else {
        HashMap::new()
    };
    learn(shared, &keys, &before);
    Ok(())
}

fn learn(shared: &Shared, keys: &[ClientKey], before: &HashMap<Arc<str>, UsedBefore>) {
    let known: Vec<KnownKey> = keys.iter().map(known).collect();
    let used = |name: &str| before.get(name).copied().unwrap_or_default();
    let spenders = shared.bearers.spenders();
    if shared.bearers.learn(&known, used, shared.clock.now().wall) {
        shared.bearers_changed(&spenders);
        let in_force = shared.bearers.with_keys().len();
        tracing::info!(in_force, ended = known.len() - in_force, "client keys");
    }
}

/// Keys end in time, also while the ledger cannot be read.
fn expire(shared: &Shared) {
    let spenders = shared.bearers.spenders();
    if shared.bearers.expire(shared.clock.now().wall) {
        shared.bearers_changed(&spenders);
    }
}

fn paid_today(shared: &Shared) -> Result<Vec<Paid>, LedgerError> {
    shared.ledger.paid_since(day_began(shared.clock.now().wall).as_unix_micros())
}

fn day_began(now: Wall) -> Wall {
    ripcord_rules::quota::next_day_reset(now).before(Duration::from_secs(86_400))
}

/// What each key has used today and this month.
fn used_before(
    shared: &Shared,
    paid: &[Paid],
) -> Result<HashMap<Arc<str>, UsedBefore>, LedgerError> {
    let mut before: HashMap<Arc<str>, UsedBefore> = HashMap::new();
    for row in paid {
        if let Some(name) = &row.client_key {
            let of_key = before.entry(Arc::clone(name)).or_default();
            of_key.paid = of_key.paid.plus(NanoUsd(row.nano_usd));
        }
    }
    let now = shared.clock.now().wall;
    let day = day_began(now);
    let month = calendar_month(now).map_or(day, |(began, _)| began);
    for used in shared.ledger.client_use(day.as_unix_micros(), month.as_unix_micros())? {
        before.entry(used.client_key).or_default().share = Used {
            today_usd: NanoUsd(used.day_nano_usd),
            month_usd: NanoUsd(used.month_nano_usd),
            today_requests: used.day_requests,
        };
    }
    Ok(before)
}

fn known(key: &ClientKey) -> KnownKey {
    let rules = &key.rules;
    KnownKey {
        name: Arc::clone(&key.name),
        digest: key.digest,
        policy: ClientPolicy {
            paygo: match rules.paygo {
                ClientPaygo::AsAccount => Paygo::ByPlan,
                ClientPaygo::Never => Paygo::Never,
                ClientPaygo::Allow => Paygo::Allow,
                ClientPaygo::Daily(nano_usd) => Paygo::Daily(NanoUsd(nano_usd)),
            },
            may_use_reserve: rules.may_use_reserve,
            min_balance: rules.min_balance_nano_usd.map(NanoUsd),
            when_unknown: if rules.refuses_unknown {
                WhenUnknown::Refuse
            } else {
                WhenUnknown::Allow
            },
        },
        rights: rights(rules, key.expires_at_unix_us),
        is_revoked: key.revoked_at_unix_us.is_some(),
    }
}

fn rights(rules: &ClientRules, expires_at_unix_us: Option<i64>) -> Rights {
    let share = rules.share;
    Rights {
        limits: ClientLimits {
            daily_usd: share.daily_nano_usd.map(NanoUsd),
            monthly_usd: share.monthly_nano_usd.map(NanoUsd),
            daily_requests: share.daily_requests,
            requests_per_minute: share.requests_per_minute,
            concurrent_requests: share.concurrent_requests,
        },
        // What somebody else wrote there and nobody can read allows nothing.
        models: ModelPatterns::read(rules.models.iter().map(String::as_str))
            .unwrap_or_else(|_| ModelPatterns::none()),
        highest_priority: rules.highest_priority,
        expires_at: expires_at_unix_us.map(Wall::from_unix_micros),
    }
}
