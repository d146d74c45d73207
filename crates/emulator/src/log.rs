//! The request log: a bounded ring of what came in and how it ended. Keys appear as labels only.

use std::collections::VecDeque;

use serde::Serialize;

use crate::{accounts::Coverage, faults::FaultKind};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The answer went out whole, whatever its status.
    Complete,
    /// The client left before the end.
    ClientLeft,
    /// The emulator ended the connection inside the answer.
    Cut,
    /// The emulator reset the connection.
    Reset,
    /// The stream ended properly but short, as a fault asked.
    Broken,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogEntry {
    /// Number since the start or the last reset.
    pub id: u64,
    /// When it came, in emulated Unix microseconds.
    pub started_micros: i64,
    /// When it ended, in emulated Unix microseconds.
    pub ended_micros: Option<i64>,
    /// How long it took, in real microseconds.
    pub took_micros: Option<u64>,
    /// Account name and key number, such as `pro/0`; `none` or `unknown` otherwise.
    pub key: String,
    /// The account, if known.
    pub account: Option<String>,
    /// The verb.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// All headers but `authorization`.
    pub headers: Vec<(String, String)>,
    /// SHA-256 of the raw body.
    pub body_sha256: Option<String>,
    /// Length of the raw body.
    pub body_bytes: usize,
    /// The `model` of the request.
    pub model: Option<String>,
    /// Whether the request asked for a stream.
    pub stream: bool,
    /// Status of the answer.
    pub status: Option<u16>,
    /// How it ended; absent while it runs.
    pub ended: Option<Ended>,
    /// The fault that hit it.
    pub fault: Option<FaultKind>,
    /// What the request changed at the service: a bounty raised, a key made or deleted.
    pub side_effect: Option<String>,
    /// Who paid.
    pub coverage: Option<Coverage>,
    /// Request units counted, in thousandths.
    pub milli_units: i64,
    /// Counted against the caps, in nano-dollars.
    pub covered_nano_usd: i64,
    /// Charged to the balance, in nano-dollars.
    pub paid_nano_usd: i64,
    /// Calls of the same account running when this one started, itself included.
    pub account_in_flight: u32,
    /// Calls of the same model running when this one started, itself included.
    pub model_in_flight: u32,
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<LogEntry>,
    next_id: u64,
    capacity: usize,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), next_id: 0, capacity: capacity.max(1) }
    }

    /// Adds an entry and gives its number.
    pub(crate) fn push(&mut self, mut entry: LogEntry) -> u64 {
        entry.id = self.next_id;
        self.next_id += 1;
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
        }
        let id = entry.id;
        self.entries.push_back(entry);
        id
    }

    /// The entry, unless the ring has dropped it.
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut LogEntry> {
        let first = self.entries.front()?.id;
        self.entries.get_mut(usize::try_from(id.checked_sub(first)?).ok()?)
    }

    pub(crate) fn entries(&self) -> Vec<LogEntry> {
        self.entries.iter().cloned().collect()
    }
}
