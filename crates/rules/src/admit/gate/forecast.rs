//! Who is likely to go when.

use super::{Gate, Waiter};
use crate::admit::candidate::Candidate;
use crate::admit::estimate::turn_of;
use crate::admit::queue::{Asker, Priority, Ticket};
use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where somebody stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many of those that could use the same accounts are likely to go before.
    pub ahead: usize,
    /// How long the wait is likely to be from now on, if that can be told.
    pub wait: Option<Duration>,
    /// Since when it waits.
    pub since: Mono,
}

/// How long somebody is likely to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    pub(super) wait: Duration,
    /// Whether enough was seen to refuse somebody by it.
    pub(super) is_sure: bool,
}

impl Gate {
    /// Where somebody stands in the queue; `None` if it is not there any more.
    #[must_use]
    pub fn place(&self, ticket: Ticket, now: Mono) -> Option<Place> {
        let waiter = self.queue.get(ticket)?;
        let forecast = self.forecast(now, waiter, Some(ticket));
        Some(Place {
            ahead: self.ahead(waiter, Some(ticket)),
            wait: forecast.map(|forecast| forecast.wait),
            since: waiter.since,
        })
    }

    /// Since when somebody waits; `None` if it does not any more.
    #[must_use]
    pub fn waits_since(&self, ticket: Ticket) -> Option<Mono> {
        self.queue.get(ticket).map(|waiter| waiter.since)
    }

    /// How long somebody who stands there, or who would come last, is likely to wait from now on. `None` if too little is
    /// known.
    pub(super) fn forecast(
        &self,
        now: Mono,
        waiter: &Waiter,
        ticket: Option<Ticket>,
    ) -> Option<Forecast> {
        let open = waiter.candidates.iter().filter(|one| self.is_open(one, now));
        let first = open.map(|one| one.stage).min();
        let in_reach =
            |one: &Candidate| waiter.goes_on || first.is_none_or(|first| one.stage == first);
        let mut supplies = Vec::new();
        let mut accounts = Vec::new();
        for one in waiter.candidates.iter().filter(|one| in_reach(one)) {
            let Some(opens_at) = self.takes_at(one, now) else { continue };
            if accounts.contains(&one.account) {
                continue;
            }
            accounts.push(one.account);
            let model = one.model.and_then(|model| self.models.slots(model, now));
            supplies.push(self.accounts[one.account].supply(now, opens_at, model)?);
        }
        let turn = turn_of(self.ahead(waiter, ticket), &supplies)?;
        let is_sure = supplies.iter().all(|supply| supply.is_sure);
        Some(Forecast { wait: turn.since(now), is_sure })
    }

    /// How many are likely to go before a waiter that stands there, or that would come last: more urgent ones, those of the
    /// same client that came before, and as many of each other client as have their turn meanwhile.
    fn ahead(&self, waiter: &Waiter, ticket: Option<Ticket>) -> usize {
        let Asker { priority, client, came, .. } = waiter.asker;
        let competes = |one: &(Ticket, &Waiter)| one.1.shares_account(&waiter.candidates);
        let urgent = Priority::ALL.into_iter().filter(|&one| one < priority);
        let urgent = urgent.map(|one| self.queue.of_priority(one).filter(competes).count());
        let mut of_clients: BTreeMap<u32, usize> = BTreeMap::new();
        for (other, _) in self.queue.of_priority(priority).filter(competes) {
            let goes_first = || ticket.map_or(other.came() <= came, |ticket| other < ticket);
            if other.client() != client || goes_first() {
                *of_clients.entry(other.client()).or_default() += 1;
            }
        }
        let own = of_clients.remove(&client).unwrap_or(0);
        let others = of_clients.values().map(|&count| count.min(own + 1));
        urgent.chain(others).sum::<usize>() + own
    }
}
