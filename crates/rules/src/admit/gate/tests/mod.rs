use super::*;
use crate::admit::pace::PaceRule;
use crate::quota::Work;
use std::ops::{Deref, DerefMut};

mod basics;
mod closures;
mod fairness;
mod histories;
mod limits;
mod waits;

const ALL: Class = Class { bearer: 0, work: Work::Interactive };
const BATCH: Class = Class { bearer: 0, work: Work::Background };

fn at(micros: u64) -> Mono {
    Mono::from_micros(micros)
}

/// A gate, and the slots that it gave, so that a test can give them back by account. What it says is told without the time
/// of the grant.
struct Yard {
    gate: Gate,
    held: Vec<Grant>,
    now: Mono,
}

impl Yard {
    fn new(slots: u32, places: usize, accounts: usize) -> Self {
        let limits = AccountLimits { slots, pace: PaceRule::Adaptive };
        let gate = Gate::new(places, std::iter::repeat_n(limits, accounts));
        Self { gate, held: Vec::new(), now: Mono::default() }
    }

    fn offer(
        &mut self,
        now: Mono,
        candidates: Vec<Candidate>,
        deadline: Option<Mono>,
        claim: impl FnMut(usize) -> bool,
    ) -> Offer {
        self.ask(now, candidates, Asker { deadline, ..Asker::default() }, claim)
    }

    fn ask(
        &mut self,
        now: Mono,
        candidates: Vec<Candidate>,
        asker: Asker,
        claim: impl FnMut(usize) -> bool,
    ) -> Offer {
        self.now = now;
        match self.gate.offer(now, candidates, asker, claim) {
            Offer::Granted(grant) => Offer::Granted(self.hold(grant)),
            other => other,
        }
    }

    fn tick(&mut self, now: Mono, claim: impl FnMut(usize) -> bool) -> Vec<Wake> {
        self.now = now;
        let wakes = self.gate.tick(now, claim);
        let told = wakes.into_iter().map(|wake| match wake.waking {
            Waking::Granted(grant) => Wake { waking: Waking::Granted(self.hold(grant)), ..wake },
            _ => wake,
        });
        told.collect()
    }

    fn hold(&mut self, grant: Grant) -> Grant {
        assert_eq!(grant.at, self.now);
        self.held.push(grant);
        Grant { at: Mono::default(), ..grant }
    }

    /// Gives back the slot of the account that was taken first.
    fn release(&mut self, account: usize) {
        let place = self.held.iter().position(|grant| grant.account == account).unwrap();
        let grant = self.held.remove(place);
        self.gate.release(self.now, &grant);
    }

    /// The grant of the account that was given last, as the gate knows it.
    fn last(&self, account: usize) -> Grant {
        *self.held.iter().rfind(|grant| grant.account == account).unwrap()
    }
}

impl Deref for Yard {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.gate
    }
}

impl DerefMut for Yard {
    fn deref_mut(&mut self) -> &mut Gate {
        &mut self.gate
    }
}

fn all(accounts: &[usize]) -> Vec<Candidate> {
    accounts
        .iter()
        .map(|&account| Candidate { account, class: ALL, ..Candidate::default() })
        .collect()
}

fn on(account: usize) -> Grant {
    Grant { account, ..Grant::default() }
}

/// Slots that nobody else uses.
fn always(_: usize) -> bool {
    true
}

fn queued(offer: Offer) -> Ticket {
    match offer {
        Offer::Queued(ticket) => ticket,
        other => panic!("expected a place in the queue, got {other:?}"),
    }
}

fn granted(ticket: Ticket, account: usize) -> Wake {
    Wake { ticket, waking: Waking::Granted(on(account)) }
}
