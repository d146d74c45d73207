//! The guards that account for a request: its entry in the log, and the call it makes.

use std::{sync::Arc, time::Instant};

use crate::{
    accounts::{Coverage, nano},
    clock,
    faults::FaultKind,
    log::{Ended, LogEntry},
    quota::Tokens,
    world::{State, World},
};

/// A request in the log; ends as `client_left` unless told otherwise.
#[derive(Debug)]
pub(crate) struct LogTicket {
    world: Arc<World>,
    id: u64,
    generation: u64,
    began: Instant,
    ended: bool,
}

impl LogTicket {
    pub(crate) fn open(world: &Arc<World>, entry: LogEntry) -> Self {
        let mut state = world.state();
        let (id, generation) = (state.log.push(entry), state.generation);
        drop(state);
        Self {
            world: Arc::clone(world),
            id,
            generation,
            began: clock::real_instant(),
            ended: false,
        }
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Changes the entry, if it is still there.
    pub(crate) fn note(&self, change: impl FnOnce(&mut LogEntry)) {
        let mut state = self.world.state();
        if state.generation == self.generation
            && let Some(entry) = state.log.get_mut(self.id)
        {
            change(entry);
        }
    }

    pub(crate) fn reference(&self) -> TicketReference {
        TicketReference { id: self.id, generation: self.generation }
    }

    /// Closes the entry.
    pub(crate) fn end(&mut self, ended: Ended) {
        if self.ended {
            return;
        }
        self.ended = true;
        let now = self.world.now();
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.note(|entry| {
            entry.ended = Some(ended);
            entry.ended_micros = Some(now);
            entry.took_micros = Some(took);
        });
    }
}

impl Drop for LogTicket {
    fn drop(&mut self) {
        self.end(Ended::ClientLeft);
    }
}

/// Which entry of the log a call belongs to, for who books it after the client has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TicketReference {
    id: u64,
    generation: u64,
}

/// A call of a model by an account. Dropped without [`CallGuard::book`] it costs nothing.
#[derive(Debug)]
pub(crate) struct CallGuard {
    world: Arc<World>,
    generation: u64,
    account: usize,
    model: usize,
    coverage: Coverage,
    body_sha256: String,
    booked: bool,
}

impl CallGuard {
    /// Counts the call as running; with the state locked, as a part of admission.
    pub(crate) fn begin(
        world: &Arc<World>,
        state: &mut State,
        (account, model): (usize, usize),
        coverage: Coverage,
        body_sha256: &str,
    ) -> Self {
        let running = &mut state.accounts[account];
        running.in_flight += 1;
        running.max_in_flight = running.max_in_flight.max(running.in_flight);
        let running = &mut state.models[model];
        running.in_flight += 1;
        running.max_in_flight = running.max_in_flight.max(running.in_flight);
        Self {
            world: Arc::clone(world),
            generation: state.generation,
            account,
            model,
            coverage,
            body_sha256: body_sha256.to_owned(),
            booked: false,
        }
    }

    /// Books the call as a success at this moment, once.
    pub(crate) fn book(&mut self, tokens: Tokens, ticket: TicketReference) {
        if self.booked {
            return;
        }
        self.booked = true;
        let now = self.world.now();
        let mut state = self.world.state();
        if state.generation != self.generation {
            return;
        }
        let lag = self.world.scenario.lag;
        let State { accounts, models, .. } = &mut *state;
        let model = &mut models[self.model];
        model.served += 1;
        let charge = accounts[self.account].settle(
            &model.spec,
            &self.coverage,
            &self.body_sha256,
            tokens,
            now,
            lag,
        );
        if let Some(entry) = state.log.get_mut(ticket.id)
            && ticket.generation == self.generation
        {
            entry.milli_units = charge.milli_units;
            entry.covered_nano_usd = nano(charge.covered_pico);
            entry.paid_nano_usd = nano(charge.cost_pico);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut state = self.world.state();
        if state.generation == self.generation {
            let account = &mut state.accounts[self.account];
            account.in_flight = account.in_flight.saturating_sub(1);
            let model = &mut state.models[self.model];
            model.in_flight = model.in_flight.saturating_sub(1);
        }
    }
}

/// A request as far as the log is concerned.
pub(crate) fn log_entry(started_micros: i64, method: &str, path: &str) -> LogEntry {
    LogEntry {
        id: 0,
        started_micros,
        ended_micros: None,
        took_micros: None,
        key: "none".to_owned(),
        account: None,
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body_sha256: None,
        body_bytes: 0,
        model: None,
        stream: false,
        status: None,
        ended: None,
        fault: None::<FaultKind>,
        side_effect: None,
        coverage: None,
        milli_units: 0,
        covered_nano_usd: 0,
        paid_nano_usd: 0,
        account_in_flight: 0,
        model_in_flight: 0,
    }
}
