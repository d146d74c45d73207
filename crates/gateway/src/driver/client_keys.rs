//! Keeps the client keys as the ledger has them: one that is added or revoked counts within a second or two.

use crate::bearers::KnownKey;
use crate::shared::Shared;
use ripcord_rules::quota::{ClientPolicy, Paygo, WhenUnknown};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{ClientKey, ClientPaygo, LedgerError, Paid};
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
    learn(shared, &shared.ledger.client_keys()?, &by_key(&paid));
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
    }
}

fn look(shared: &Shared) -> Result<(), LedgerError> {
    let keys = shared.ledger.client_keys()?;
    let is_new =
        |key: &ClientKey| key.revoked_at_unix_us.is_none() && !shared.bearers.knows(&key.digest);
    let has_new = keys.iter().any(is_new);
    let paid = if has_new { by_key(&paid_today(shared)?) } else { HashMap::new() };
    learn(shared, &keys, &paid);
    Ok(())
}

fn learn(shared: &Shared, keys: &[ClientKey], paid: &HashMap<Arc<str>, NanoUsd>) {
    let known: Vec<KnownKey> = keys.iter().map(known).collect();
    let paid_for = |name: &str| paid.get(name).copied().unwrap_or_default();
    let before = shared.bearers.spenders();
    if shared.bearers.learn(&known, paid_for, shared.clock.now().wall) {
        shared.bearers_changed(&before);
        let valid = known.iter().filter(|key| !key.is_revoked).count();
        tracing::info!(valid, revoked = known.len() - valid, "client keys");
    }
}

fn paid_today(shared: &Shared) -> Result<Vec<Paid>, LedgerError> {
    let now = shared.clock.now().wall;
    let midnight = ripcord_rules::quota::next_day_reset(now).before(Duration::from_secs(86_400));
    shared.ledger.paid_since(midnight.as_unix_micros())
}

fn by_key(paid: &[Paid]) -> HashMap<Arc<str>, NanoUsd> {
    let mut sums: HashMap<Arc<str>, NanoUsd> = HashMap::new();
    for row in paid {
        if let Some(name) = &row.client_key {
            let sum = sums.entry(Arc::clone(name)).or_default();
            *sum = sum.plus(NanoUsd(row.nano_usd));
        }
    }
    sums
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
        is_revoked: key.revoked_at_unix_us.is_some(),
    }
}
