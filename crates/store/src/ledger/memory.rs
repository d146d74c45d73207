//! A ledger that lives as long as its process: for tests, and where nothing may be written to a disk.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::client_keys::{
    AddKeyError, ClientKey, ClientKeys, ClientUse, MINUTE_US, MOST_CLIENT_KEYS, Paid,
};
use super::row::{AttemptRow, Coverage, Outcome, RequestRow, RequestStory, Row, Totals};
use super::spent::{self, Spent};
use super::step::StepRow;
use super::{Health, Ledger, LedgerError, stretch_us};

/// Keeps the newest rows, up to a number of them. Older requests make room, with all their attempts and steps, and are counted as
/// lost.
#[derive(Debug)]
pub struct MemoryLedger {
    rows: Mutex<Rows>,
    client_keys: Mutex<BTreeMap<Arc<str>, ClientKey>>,
    capacity_rows: usize,
}

#[derive(Debug, Default)]
struct Rows {
    by_request: HashMap<Arc<str>, Entry>,
    oldest_first: VecDeque<Arc<str>>,
    kept: u64,
    held: usize,
    lost: u64,
}

#[derive(Debug, Default)]
struct Entry {
    request: Option<RequestRow>,
    attempts: BTreeMap<u32, AttemptRow>,
    steps: BTreeMap<u32, StepRow>,
}

impl MemoryLedger {
    /// An empty ledger with room for `capacity_rows` (at least one).
    #[must_use]
    pub fn new(capacity_rows: usize) -> Self {
        Self {
            rows: Mutex::default(),
            client_keys: Mutex::default(),
            capacity_rows: capacity_rows.max(1),
        }
    }
}

impl Default for MemoryLedger {
    /// Room for 100,000 rows, some 50 MB when full.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Ledger for MemoryLedger {
    fn append(&self, row: Row) {
        let mut rows = self.rows.lock();
        rows.insert(row.bounded());
        while rows.held > self.capacity_rows && rows.forget_oldest() {}
    }

    fn flush(&self, _patience: Duration) -> Result<(), LedgerError> {
        Ok(())
    }

    fn health(&self) -> Health {
        let rows = self.rows.lock();
        Health { rows_queued: 0, rows_kept: rows.kept, rows_lost: rows.lost, problem: None }
    }

    fn request(&self, request_id: &str) -> Result<Option<RequestStory>, LedgerError> {
        let rows = self.rows.lock();
        Ok(rows.by_request.get(request_id).map(|entry| RequestStory {
            request: entry.request.clone(),
            attempts: entry.attempts.values().cloned().collect(),
            steps: entry.steps.values().cloned().collect(),
        }))
    }

    fn requests_beginning(&self, prefix: &str, limit: usize) -> Result<Vec<Arc<str>>, LedgerError> {
        let rows = self.rows.lock();
        let mut ids: Vec<Arc<str>> =
            rows.by_request.keys().filter(|id| id.starts_with(prefix)).cloned().collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(limit);
        Ok(ids)
    }

    fn recent_requests(&self, limit: usize) -> Result<Vec<RequestRow>, LedgerError> {
        let mut requests: Vec<RequestRow> = self
            .rows
            .lock()
            .by_request
            .values()
            .filter_map(|entry| entry.request.clone())
            .collect();
        requests.sort_by(|one, other| {
            let times = (other.timing.started_at_unix_us, one.timing.started_at_unix_us);
            times.0.cmp(&times.1).then_with(|| other.request_id.cmp(&one.request_id))
        });
        requests.truncate(limit);
        Ok(requests)
    }

    fn totals_since(&self, since_unix_us: i64) -> Result<Vec<Totals>, LedgerError> {
        let rows = self.rows.lock();
        let attempts = rows
            .by_request
            .values()
            .flat_map(|entry| entry.attempts.values())
            .filter(|attempt| attempt.timing.started_at_unix_us >= since_unix_us);
        Ok(sum_by_account_and_model(attempts))
    }

    fn spent_since(
        &self,
        since_unix_us: i64,
        stretch: Duration,
    ) -> Result<Vec<Spent>, LedgerError> {
        let rows = self.rows.lock();
        let attempts = rows.by_request.values().flat_map(|entry| entry.attempts.values());
        Ok(spent::sum(attempts, since_unix_us, stretch_us(stretch)))
    }

    fn begins_at(&self) -> Result<Option<i64>, LedgerError> {
        let rows = self.rows.lock();
        let attempts = rows.by_request.values().flat_map(|entry| entry.attempts.values());
        Ok(attempts.map(|attempt| attempt.timing.started_at_unix_us).min())
    }
}

impl ClientKeys for MemoryLedger {
    fn client_keys(&self) -> Result<Vec<ClientKey>, LedgerError> {
        Ok(self.client_keys.lock().values().cloned().collect())
    }

    fn add_client_key(&self, key: ClientKey) -> Result<(), AddKeyError> {
        let mut keys = self.client_keys.lock();
        if keys.contains_key(&key.name) {
            return Err(AddKeyError::NameTaken(key.name));
        }
        if keys.len() >= MOST_CLIENT_KEYS {
            return Err(AddKeyError::TooMany);
        }
        keys.insert(Arc::clone(&key.name), key);
        Ok(())
    }

    fn revoke_client_key(&self, name: &str, at_unix_us: i64) -> Result<bool, LedgerError> {
        let mut keys = self.client_keys.lock();
        let valid = keys.get_mut(name).filter(|key| key.revoked_at_unix_us.is_none());
        Ok(valid.map(|key| key.revoked_at_unix_us = Some(at_unix_us)).is_some())
    }

    fn remove_client_key(&self, name: &str) -> Result<bool, LedgerError> {
        let mut keys = self.client_keys.lock();
        let is_revoked = keys.get(name).is_some_and(|key| key.revoked_at_unix_us.is_some());
        if is_revoked {
            keys.remove(name);
        }
        Ok(is_revoked)
    }

    fn paid_since(&self, since_unix_us: i64) -> Result<Vec<Paid>, LedgerError> {
        let rows = self.rows.lock();
        let mut paid: BTreeMap<_, i64> = BTreeMap::new();
        for entry in rows.by_request.values() {
            let client_key = entry.request.as_ref().and_then(|request| request.client_key.clone());
            for attempt in entry.attempts.values() {
                let ended = attempt.paid_at().filter(|&ended| ended >= since_unix_us);
                let price = attempt.cost.list_price_nano_usd.filter(|&price| price > 0);
                if let (Some(ended), Some(price)) = (ended, price) {
                    let account = attempt.served_by.account.clone();
                    let minute = ended / MINUTE_US * MINUTE_US;
                    *paid.entry((minute, account, client_key.clone())).or_default() += price;
                }
            }
        }
        let row = |((from_unix_us, account, client_key), nano_usd)| Paid {
            from_unix_us,
            account,
            client_key,
            nano_usd,
        };
        Ok(paid.into_iter().map(row).collect())
    }

    fn client_use(
        &self,
        day_since_unix_us: i64,
        month_since_unix_us: i64,
    ) -> Result<Vec<ClientUse>, LedgerError> {
        let rows = self.rows.lock();
        let mut used: BTreeMap<Arc<str>, ClientUse> = BTreeMap::new();
        for entry in rows.by_request.values() {
            let Some(request) = &entry.request else { continue };
            let Some(name) = &request.client_key else { continue };
            let began_today = request.timing.started_at_unix_us >= day_since_unix_us;
            let ended = |attempt: &&AttemptRow| {
                attempt.ended_at() >= month_since_unix_us.min(day_since_unix_us)
            };
            let attempts: Vec<&AttemptRow> = entry.attempts.values().filter(ended).collect();
            let counts = began_today && request.attempt_count > 0;
            if attempts.is_empty() && !counts {
                continue;
            }
            let of_key = used.entry(Arc::clone(name)).or_default();
            of_key.client_key = Arc::clone(name);
            of_key.day_requests += u64::from(counts);
            for attempt in attempts {
                let price = attempt.cost.list_price_nano_usd.unwrap_or(0).max(0);
                if attempt.ended_at() >= day_since_unix_us {
                    of_key.day_nano_usd += price;
                }
                if attempt.ended_at() >= month_since_unix_us {
                    of_key.month_nano_usd += price;
                }
            }
        }
        Ok(used.into_values().collect())
    }
}

impl Rows {
    fn insert(&mut self, row: Row) {
        self.kept += 1;
        let request_id = match &row {
            Row::Request(row) => &row.request_id,
            Row::Attempt(row) => &row.request_id,
            Row::Step(row) => &row.request_id,
        };
        if !self.by_request.contains_key(request_id) {
            self.oldest_first.push_back(request_id.clone());
        }
        let entry = self.by_request.entry(request_id.clone()).or_default();
        let rows_before = entry.rows();
        match row {
            Row::Request(row) => {
                entry.request.get_or_insert(row);
            }
            Row::Attempt(row) => {
                entry.attempts.entry(row.number).or_insert(row);
            }
            Row::Step(row) => {
                entry.steps.entry(row.number).or_insert(row);
            }
        }
        self.held += entry.rows() - rows_before;
    }

    /// Whether there was anything to forget. The request seen last stays, however many attempts it has.
    fn forget_oldest(&mut self) -> bool {
        if self.oldest_first.len() < 2 {
            return false;
        }
        let oldest = self.oldest_first.pop_front();
        let Some(entry) = oldest.and_then(|request_id| self.by_request.remove(&request_id)) else {
            return false;
        };
        self.held -= entry.rows();
        self.lost += entry.rows() as u64;
        true
    }
}

impl Entry {
    fn rows(&self) -> usize {
        usize::from(self.request.is_some()) + self.attempts.len() + self.steps.len()
    }
}

fn sum_by_account_and_model<'a>(attempts: impl Iterator<Item = &'a AttemptRow>) -> Vec<Totals> {
    let mut groups: BTreeMap<_, (Totals, HashSet<&str>)> = BTreeMap::new();
    for attempt in attempts {
        let (account, model) = (&attempt.served_by.account, &attempt.served_by.model);
        let (totals, requests) = groups.entry((account, model)).or_insert_with(|| {
            let empty =
                Totals { account: account.clone(), model: model.clone(), ..Totals::default() };
            (empty, HashSet::new())
        });
        requests.insert(&attempt.request_id);
        let price = attempt.cost.list_price_nano_usd;
        totals.requests = requests.len() as u64;
        totals.attempts += 1;
        totals.completed += u64::from(attempt.outcome == Outcome::Completed);
        totals.estimated += u64::from(attempt.tokens.estimated);
        totals.unpriced += u64::from(price.is_none());
        totals.prompt_tokens += attempt.tokens.prompt.unwrap_or(0);
        totals.completion_tokens += attempt.tokens.completion.unwrap_or(0);
        totals.cached_tokens += attempt.tokens.cached.unwrap_or(0);
        totals.list_price_nano_usd += price.unwrap_or(0);
        if attempt.cost.coverage == Some(Coverage::Paid) {
            totals.paid_nano_usd += price.unwrap_or(0);
        }
    }
    groups.into_values().map(|(totals, _)| totals).collect()
}
