//! A ledger in memory that also tells about every row as it is written. Nothing reaches a disk.

use std::sync::Arc;
use std::time::Duration;

use ripcord_store::{
    AddKeyError, ClientKey, ClientKeys, ClientUse, Health, Ledger, LedgerError, MemoryLedger, Paid,
    RequestRow, RequestStory, Row, Spent, Totals,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Keeps rows in memory and passes each on.
#[derive(Debug)]
pub(crate) struct Tap {
    kept: MemoryLedger,
    rows: UnboundedSender<Row>,
}

impl Tap {
    /// A ledger, and its rows as they come.
    pub(crate) fn new() -> (Self, UnboundedReceiver<Row>) {
        let (rows, told) = unbounded_channel();
        (Self { kept: MemoryLedger::default(), rows }, told)
    }
}

impl Ledger for Tap {
    fn append(&self, row: Row) {
        // Nobody listens any more when the demonstration ends.
        let _ = self.rows.send(row.clone());
        self.kept.append(row);
    }

    fn flush(&self, patience: Duration) -> Result<(), LedgerError> {
        self.kept.flush(patience)
    }

    fn health(&self) -> Health {
        self.kept.health()
    }

    fn request(&self, request_id: &str) -> Result<Option<RequestStory>, LedgerError> {
        self.kept.request(request_id)
    }

    fn requests_beginning(&self, prefix: &str, limit: usize) -> Result<Vec<Arc<str>>, LedgerError> {
        self.kept.requests_beginning(prefix, limit)
    }

    fn recent_requests(&self, limit: usize) -> Result<Vec<RequestRow>, LedgerError> {
        self.kept.recent_requests(limit)
    }

    fn totals_since(&self, since_unix_us: i64) -> Result<Vec<Totals>, LedgerError> {
        self.kept.totals_since(since_unix_us)
    }

    fn spent_since(
        &self,
        since_unix_us: i64,
        stretch: Duration,
    ) -> Result<Vec<Spent>, LedgerError> {
        self.kept.spent_since(since_unix_us, stretch)
    }

    fn begins_at(&self) -> Result<Option<i64>, LedgerError> {
        self.kept.begins_at()
    }
}

impl ClientKeys for Tap {
    fn client_keys(&self) -> Result<Vec<ClientKey>, LedgerError> {
        self.kept.client_keys()
    }

    fn add_client_key(&self, key: ClientKey) -> Result<(), AddKeyError> {
        self.kept.add_client_key(key)
    }

    fn revoke_client_key(&self, name: &str, at_unix_us: i64) -> Result<bool, LedgerError> {
        self.kept.revoke_client_key(name, at_unix_us)
    }

    fn remove_client_key(&self, name: &str) -> Result<bool, LedgerError> {
        self.kept.remove_client_key(name)
    }

    fn paid_since(&self, since_unix_us: i64) -> Result<Vec<Paid>, LedgerError> {
        self.kept.paid_since(since_unix_us)
    }

    fn client_use(&self, day_since: i64, month_since: i64) -> Result<Vec<ClientUse>, LedgerError> {
        self.kept.client_use(day_since, month_since)
    }
}
