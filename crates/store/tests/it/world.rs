//! Rows to write and a place to write them.

#![expect(clippy::unwrap_used, reason = "a test world that cannot be built is a failed test")]

use std::path::PathBuf;
use std::sync::Arc;

use ripcord_store::{
    AttemptRow, Cost, Coverage, Outcome, RequestRow, Row, ServedBy, SqliteLedger, StepKind,
    StepRow, Timing, Tokens,
};
use tempfile::TempDir;

/// A directory of its own with the path of a ledger in it that does not exist yet.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state").join("ledger.sqlite");
        Self { directory, path }
    }

    pub(crate) fn open(&self) -> SqliteLedger {
        SqliteLedger::open(&self.path).unwrap()
    }
}

pub(crate) fn label(text: &str) -> Option<Arc<str>> {
    Some(text.into())
}

/// A request with every field set.
pub(crate) fn request(request_id: &str, started_at_unix_us: i64) -> RequestRow {
    RequestRow {
        request_id: request_id.into(),
        client_key: label("laptop"),
        route: "chat/completions".into(),
        requested_model: label("lab/example-7b"),
        served_by: ServedBy {
            model: label("lab/example-7b-TEE"),
            account: label("main"),
            key: label("first"),
        },
        is_stream: true,
        priority: label("batch"),
        deadline_us: Some(120_000_000),
        status: Some(200),
        outcome: Outcome::Completed,
        cause: label("capacity"),
        attempt_count: 2,
        tokens: Tokens {
            prompt: Some(1200),
            completion: Some(80),
            cached: Some(1024),
            estimated: true,
        },
        cost: Cost { list_price_nano_usd: Some(91_250), coverage: Some(Coverage::Paid) },
        timing: Timing {
            started_at_unix_us,
            waited_us: 1_500,
            first_byte_us: Some(240_000),
            total_us: 1_900_000,
        },
    }
}

/// An attempt with every field set.
pub(crate) fn attempt(request_id: &str, number: u32, started_at_unix_us: i64) -> AttemptRow {
    let request = request(request_id, started_at_unix_us);
    AttemptRow {
        request_id: request.request_id,
        number,
        served_by: request.served_by,
        status: Some(429),
        outcome: Outcome::Failed,
        cause: label("capacity"),
        tokens: Tokens { prompt: Some(10), completion: Some(2), cached: Some(4), estimated: false },
        cost: Cost { list_price_nano_usd: Some(1_000), coverage: Some(Coverage::Covered) },
        timing: request.timing,
    }
}

/// A step with every field set.
pub(crate) fn step(request_id: &str, number: u32, kind: StepKind) -> StepRow {
    StepRow {
        request_id: request_id.into(),
        number,
        after_attempt: 1,
        kind,
        subject: label("lab/example-7b-TEE"),
        target: label("lab/example-7b"),
        reason: label("capacity"),
        before: Some(4_096),
        after: Some(2_048),
        at_unix_us: 1_015,
        took_us: 900,
    }
}

pub(crate) fn append_all(ledger: &dyn ripcord_store::Ledger, rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        ledger.append(row);
    }
}
