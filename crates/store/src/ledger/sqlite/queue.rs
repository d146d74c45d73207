//! The bounded queue between those who append and the one writer.
//!
//! The lock is held for a push or a swap, never while anything is written. The writer is woken for the first row, then
//! lets rows gather: a busy gateway wakes it ten times a second, not once a request.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::LONGEST_DELAY;
use crate::ledger::row::Row;
use crate::ledger::{Health, LedgerError, Problem};

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    writer_wake: Condvar,
    flush_wake: Condvar,
    capacity_rows: usize,
    /// With so many rows the writer need not wait for more.
    full_batch_rows: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Row>,
    /// Rows the writer holds. They count against the capacity.
    writing: usize,
    accepted: u64,
    kept: u64,
    lost: u64,
    /// Losses up to this count have been told.
    lost_and_told: u64,
    problem: Option<Problem>,
    /// Rows up to this count are wanted on disk without delay.
    flush_up_to: u64,
    closed: bool,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) enum Work {
    Write(Vec<Row>),
    End,
}

/// What a successful write has to tell.
#[derive(Debug)]
pub(super) struct News {
    /// Whether writes failed before.
    pub(super) problem_ended: bool,
    /// Rows lost for want of room since the last news.
    pub(super) rows_lost: u64,
}

impl Queue {
    pub(super) fn new(capacity_rows: usize) -> Self {
        let capacity_rows = capacity_rows.max(1);
        Self {
            state: Mutex::default(),
            writer_wake: Condvar::new(),
            flush_wake: Condvar::new(),
            capacity_rows,
            full_batch_rows: (capacity_rows / 2).max(1),
        }
    }

    pub(super) fn append(&self, row: Row) {
        let mut state = self.state.lock();
        if state.waiting.len() + state.writing >= self.capacity_rows {
            state.lost += 1;
            return;
        }
        state.waiting.push(row);
        state.accepted += 1;
        let waiting = state.waiting.len();
        drop(state);
        if waiting == 1 || waiting == self.full_batch_rows {
            self.writer_wake.notify_one();
        }
    }

    pub(super) fn flush(&self, patience: Duration) -> Result<(), LedgerError> {
        let mut state = self.state.lock();
        let wanted = state.accepted;
        state.flush_up_to = wanted;
        self.writer_wake.notify_one();
        self.flush_wake.wait_while_for(&mut state, |state| state.kept < wanted, patience);
        if state.kept >= wanted {
            return Ok(());
        }
        Err(LedgerError::NotFlushed {
            rows_queued: wanted - state.kept,
            problem: state.problem.clone(),
        })
    }

    pub(super) fn health(&self) -> Health {
        let state = self.state.lock();
        Health {
            rows_queued: (state.waiting.len() + state.writing) as u64,
            rows_kept: state.kept,
            rows_lost: state.lost,
            problem: state.problem.clone(),
        }
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.writer_wake.notify_one();
    }

    /// Waits for rows, then a little for more of them.
    pub(super) fn take(&self) -> Work {
        let mut state = self.state.lock();
        self.writer_wake.wait_while(&mut state, |state| state.waiting.is_empty() && !state.closed);
        let gathering = |state: &mut State| {
            !state.closed
                && state.flush_up_to <= state.kept
                && state.waiting.len() < self.full_batch_rows
        };
        self.writer_wake.wait_while_for(&mut state, gathering, LONGEST_DELAY);
        if state.waiting.is_empty() {
            return Work::End;
        }
        let rows = std::mem::take(&mut state.waiting);
        state.writing = rows.len();
        Work::Write(rows)
    }

    /// The writer wrote what it took.
    pub(super) fn kept(&self) -> News {
        let mut state = self.state.lock();
        state.kept += state.writing as u64;
        state.writing = 0;
        self.flush_wake.notify_all();
        let rows_lost = state.lost - state.lost_and_told;
        state.lost_and_told = state.lost;
        News { problem_ended: state.problem.take().is_some(), rows_lost }
    }

    /// The writer could not write what it took and still holds it. Says whether that is news.
    pub(super) fn failed(&self, problem: Problem) -> bool {
        let mut state = self.state.lock();
        let is_news = state.problem.as_ref().map(|problem| problem.kind) != Some(problem.kind);
        state.problem = Some(problem);
        is_news
    }

    /// Waits before another try; shorter if someone flushes or closes meanwhile. Says whether the queue is closed.
    pub(super) fn pause(&self, delay: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.closed {
            self.writer_wake.wait_for(&mut state, delay);
        }
        state.closed
    }

    /// The writer gives up on what it holds and on all that waits. Says how many rows that was.
    pub(super) fn give_up(&self) -> u64 {
        let mut state = self.state.lock();
        let rows = (std::mem::take(&mut state.waiting).len() + state.writing) as u64;
        state.writing = 0;
        state.lost += rows;
        rows
    }
}
