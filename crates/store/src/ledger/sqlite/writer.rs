//! The one thread that writes the ledger.

use std::time::Duration;

use rusqlite::{Connection, Statement, TransactionBehavior};

use super::problem;
use super::queue::{Queue, Work};
use crate::ledger::row::{AttemptRow, Cost, RequestRow, Row, ServedBy, Timing, Tokens};
use crate::ledger::step::StepRow;

/// After a failed write: the first pause, doubled up to the longest. A flush cuts a pause short.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// When the ledger is closed while writes fail, so many more tries are made.
const TRIES_AFTER_CLOSE: u32 = 3;

const INSERT_REQUEST: &str = "INSERT INTO requests (request_id, client_key, route, requested_model, is_stream, \
     status, outcome, cause, attempt_count, priority, deadline_us, served_model, account, api_key, prompt_tokens, completion_tokens, \
     cached_tokens, tokens_estimated, list_price_nano_usd, coverage, started_at_us, waited_us, first_byte_us, \
     total_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
     ?21, ?22, ?23, ?24) ON CONFLICT DO NOTHING";

const INSERT_ATTEMPT: &str = "INSERT INTO attempts (request_id, number, status, outcome, cause, served_model, \
     account, api_key, prompt_tokens, completion_tokens, cached_tokens, tokens_estimated, list_price_nano_usd, \
     coverage, started_at_us, waited_us, first_byte_us, total_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
     ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) ON CONFLICT DO NOTHING";

const INSERT_STEP: &str = "INSERT INTO steps (request_id, number, after_attempt, kind, subject, target, reason, \
     amount_before, amount_after, at_us, took_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
     ON CONFLICT DO NOTHING";

/// Runs until the queue is closed and empty, or closed and unwritable.
pub(super) fn run(queue: &Queue, mut connection: Connection) {
    while let Work::Write(rows) = queue.take() {
        if !write_until_kept(queue, &mut connection, &rows) {
            let lost = queue.give_up();
            tracing::error!(
                rows = lost,
                "ledger rows lost: they could not be written before the end"
            );
            return;
        }
    }
}

fn write_until_kept(queue: &Queue, connection: &mut Connection, rows: &[Row]) -> bool {
    let mut pause = FIRST_PAUSE;
    let mut tries_after_close = 0;
    loop {
        match write(connection, rows) {
            Ok(()) => {
                let news = queue.kept();
                if news.problem_ended {
                    tracing::info!("the ledger is being written again");
                }
                if news.rows_lost > 0 {
                    tracing::error!(
                        rows = news.rows_lost,
                        "ledger rows lost: too many were waiting"
                    );
                }
                return true;
            }
            Err(error) => {
                let problem = problem(&error);
                let text = problem.to_string();
                if queue.failed(problem) {
                    tracing::warn!(
                        rows = rows.len(),
                        problem = text,
                        "the ledger cannot be written"
                    );
                }
            }
        }
        if queue.pause(pause) {
            tries_after_close += 1;
            if tries_after_close > TRIES_AFTER_CLOSE {
                return false;
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn write(connection: &mut Connection, rows: &[Row]) -> rusqlite::Result<()> {
    // A transaction that began by reading could not wait for another program's write, so it begins as a writer.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert_request = transaction.prepare_cached(INSERT_REQUEST)?;
        let mut insert_attempt = transaction.prepare_cached(INSERT_ATTEMPT)?;
        let mut insert_step = transaction.prepare_cached(INSERT_STEP)?;
        for row in rows {
            match row {
                Row::Request(row) => request(Values::of(&mut insert_request), row)?,
                Row::Attempt(row) => attempt(Values::of(&mut insert_attempt), row)?,
                Row::Step(row) => step(Values::of(&mut insert_step), row)?,
            }
        }
    }
    transaction.commit()
}

fn request(mut values: Values<'_, '_>, row: &RequestRow) -> rusqlite::Result<()> {
    values.push(&*row.request_id)?;
    values.push(row.client_key.as_deref())?;
    values.push(&*row.route)?;
    values.push(row.requested_model.as_deref())?;
    values.push(row.is_stream)?;
    values.push(row.status)?;
    values.push(row.outcome.as_str())?;
    values.push(row.cause.as_deref())?;
    values.push(row.attempt_count)?;
    values.push(row.priority.as_deref())?;
    values.push(row.deadline_us)?;
    values.shared(&row.served_by, row.tokens, row.cost, row.timing)
}

fn attempt(mut values: Values<'_, '_>, row: &AttemptRow) -> rusqlite::Result<()> {
    values.push(&*row.request_id)?;
    values.push(row.number)?;
    values.push(row.status)?;
    values.push(row.outcome.as_str())?;
    values.push(row.cause.as_deref())?;
    values.shared(&row.served_by, row.tokens, row.cost, row.timing)
}

fn step(mut values: Values<'_, '_>, row: &StepRow) -> rusqlite::Result<()> {
    values.push(&*row.request_id)?;
    values.push(row.number)?;
    values.push(row.after_attempt)?;
    values.push(row.kind.as_str())?;
    values.push(row.subject.as_deref())?;
    values.push(row.target.as_deref())?;
    values.push(row.reason.as_deref())?;
    values.push(row.before)?;
    values.push(row.after)?;
    values.push(row.at_unix_us)?;
    values.push(row.took_us)?;
    values.insert()
}

/// Binds one row's values from left to right, then inserts it.
struct Values<'a, 'connection> {
    statement: &'a mut Statement<'connection>,
    bound: usize,
}

impl<'a, 'connection> Values<'a, 'connection> {
    fn of(statement: &'a mut Statement<'connection>) -> Self {
        Self { statement, bound: 0 }
    }

    fn push(&mut self, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.statement.raw_bind_parameter(self.bound, value)
    }

    fn shared(
        mut self,
        served_by: &ServedBy,
        tokens: Tokens,
        cost: Cost,
        timing: Timing,
    ) -> rusqlite::Result<()> {
        self.push(served_by.model.as_deref())?;
        self.push(served_by.account.as_deref())?;
        self.push(served_by.key.as_deref())?;
        self.push(tokens.prompt)?;
        self.push(tokens.completion)?;
        self.push(tokens.cached)?;
        self.push(tokens.estimated)?;
        self.push(cost.list_price_nano_usd)?;
        self.push(cost.coverage.map(crate::Coverage::as_str))?;
        self.push(timing.started_at_unix_us)?;
        self.push(timing.waited_us)?;
        self.push(timing.first_byte_us)?;
        self.push(timing.total_us)?;
        self.insert()
    }

    fn insert(self) -> rusqlite::Result<()> {
        self.statement.raw_execute().map(|_| ())
    }
}
