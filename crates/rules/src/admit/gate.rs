//! Slots per account, one first-come queue before them.
//!
//! The queue lives in this machine and wakes one waiter at a time: a notifier outside would either lose wake-ups
//! or lose the order. Whoever drives it calls [`Gate::tick`] after every change and at [`Gate::next_deadline`],
//! and delivers the [`Wake`]s.

use crate::quota::Work;
use crate::time::Mono;
use std::collections::{BTreeMap, VecDeque};

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Bounds of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// Attempts under way at once on each account.
    pub slots_per_account: u32,
    /// Places in the queue. The last tenth is for interactive work: what waits for a reset must not shut out what could go.
    pub queue: usize,
}

/// Requests for which an account's budget is open or closed together: those of one policy with one right to what is kept
/// for interactive work. There are a few in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Class {
    /// Whose policy holds for them, by a number that whoever drives the gate gives out.
    pub bearer: u32,
    /// Whether they may use what is kept for interactive work.
    pub work: Work,
}

/// A model at a service, by a number that whoever drives the gate gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelNumber(pub u32);

/// An account that may serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Which.
    pub account: usize,
    /// As what the request counts there.
    pub class: Class,
    /// Accounts of a later stage are taken only while none of an earlier one is open. A full one is open: the request
    /// queues for it and does not go on to another model or service.
    pub stage: u8,
    /// A lower tier goes first as long as it has a free slot; within one, the preferred account, then the least busy.
    pub tier: u8,
    /// What whoever asked chose with it. Comes back with the grant.
    pub choice: u16,
    /// It takes this request no sooner.
    pub not_before: Option<Mono>,
    /// Goes before others of its tier.
    pub is_preferred: bool,
    /// The model that it would be asked for.
    pub model: Option<ModelNumber>,
}

/// A slot that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Grant {
    /// On which account.
    pub account: usize,
    /// What of the candidate whoever asked chose with it.
    pub choice: u16,
    /// For which model.
    pub model: Option<ModelNumber>,
}

/// Why an account takes no new attempt, each reason on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closure {
    /// It rests.
    Rest,
    /// Its budget does not allow more to requests of this class.
    Budget(Class),
}

/// The answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Go, on this account. Give the slot back with [`Gate::release`].
    Granted(Grant),
    /// Wait for a [`Wake`].
    Queued(Ticket),
    /// Do not wait.
    Refused(Refused),
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Every place in the queue is taken.
    QueueFull,
    /// None of the accounts opens before the deadline; when the first one does, if that is known.
    ClosedPastDeadline(Option<Mono>),
    /// No account was named.
    NoAccount,
}

/// What a waiter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waking {
    /// Go, on this account.
    Granted(Grant),
    /// The deadline passed.
    Expired,
    /// None of the accounts opens before the deadline any more; when the first one does, if that is known.
    Closed(Option<Mono>),
}

/// One waiter's news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Whose.
    pub ticket: Ticket,
    /// What.
    pub waking: Waking,
}

/// The end of a closure: a moment, or an end that nobody knows.
type Closed = Option<Option<Mono>>;

#[derive(Clone, Debug, Default)]
struct Account {
    in_use: u32,
    /// As many are in use as there are: others hold the rest of its slots. Until [`Gate::slots_may_be_free`], or an offer
    /// while nobody waits for it.
    is_short: bool,
    rest: Closed,
    /// The classes for which its budget is closed.
    budget: BTreeMap<Class, Option<Mono>>,
}

#[derive(Clone, Debug)]
struct Waiter {
    ticket: Ticket,
    candidates: Vec<Candidate>,
    deadline: Option<Mono>,
}

/// The machine: see the module's documentation.
#[derive(Clone, Debug)]
pub struct Gate {
    limits: GateLimits,
    accounts: Vec<Account>,
    waiting: VecDeque<Waiter>,
    next_ticket: u64,
}

// === impl Account ===

impl Account {
    fn close(&mut self, closure: Closure, until: Option<Mono>) {
        match closure {
            Closure::Rest => self.rest = Some(until),
            Closure::Budget(class) => {
                self.budget.insert(class, until);
            }
        }
    }

    fn open(&mut self, closure: Closure) {
        match closure {
            Closure::Rest => self.rest = None,
            Closure::Budget(class) => {
                self.budget.remove(&class);
            }
        }
    }

    /// When every closure has ended for requests of this class: now, later, or `None` if that is not known.
    fn opens_at(&self, class: Class, now: Mono) -> Option<Mono> {
        let budget = self.budget.get(&class).copied();
        let mut closures = [self.rest, budget].into_iter().flatten();
        closures.try_fold(now, |latest, end| end.map(|end| latest.max(end)))
    }
}

// === impl Candidate ===

impl Candidate {
    const fn grant(&self) -> Grant {
        Grant { account: self.account, choice: self.choice, model: self.model }
    }
}

// === impl Gate ===

impl Gate {
    /// A gate before `accounts` accounts, all open.
    #[must_use]
    pub fn new(limits: GateLimits, accounts: usize) -> Self {
        Self {
            limits,
            accounts: vec![Account::default(); accounts],
            waiting: VecDeque::new(),
            next_ticket: 0,
        }
    }

    /// Asks for a slot on one of the candidates. Whoever came before and can use the same slot goes first.
    ///
    /// Slots may be shared with others, so a grant is confirmed first: `claim` says whether there really is a slot on the
    /// account. If not, the account counts as full until [`Self::slots_may_be_free`], or until the next offer if nobody
    /// here waits for it.
    pub fn offer(
        &mut self,
        now: Mono,
        candidates: Vec<Candidate>,
        deadline: Option<Mono>,
        claim: impl FnMut(usize) -> bool,
    ) -> Offer {
        let known: Vec<Candidate> = candidates
            .into_iter()
            .filter(|candidate| candidate.account < self.accounts.len())
            .collect();
        if known.is_empty() {
            return Offer::Refused(Refused::NoAccount);
        }
        if let Err(first) = self.opens_in_time(now, &known, deadline) {
            return Offer::Refused(Refused::ClosedPastDeadline(first));
        }
        self.ask_anew(&known);
        let taken_first = self.waiting.iter().any(|waiter| {
            waiter
                .candidates
                .iter()
                .any(|one| known.iter().any(|other| one.account == other.account))
                && self.choose(now, &waiter.candidates).is_some()
        });
        if !taken_first && let Some(grant) = self.take(now, &known, claim) {
            return Offer::Granted(grant);
        }
        if self.waiting.len() >= self.places_for(&known) {
            return Offer::Refused(Refused::QueueFull);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.push_back(Waiter { ticket, candidates: known, deadline });
        Offer::Queued(ticket)
    }

    /// Gives a slot back.
    pub fn release(&mut self, account: usize) {
        if let Some(account) = self.accounts.get_mut(account) {
            debug_assert!(account.in_use > 0, "a slot is given back once");
            account.in_use = account.in_use.saturating_sub(1);
        }
    }

    /// Leaves the queue. False if the ticket was not in it any more: its [`Wake`] is on its way.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiter| waiter.ticket != ticket);
        self.waiting.len() < before
    }

    /// Closes an account for one reason until a moment, or until it is opened (`None`). The newest word of the
    /// same reason counts.
    pub fn close(&mut self, account: usize, closure: Closure, until: Option<Mono>) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.close(closure, until);
        }
    }

    /// Ends one reason.
    pub fn open(&mut self, account: usize, closure: Closure) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.open(closure);
        }
    }

    /// Slots that others held may be free again, or are kept for us now: grants are claimed anew at the next tick.
    pub fn slots_may_be_free(&mut self, account: usize) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.is_short = false;
        }
    }

    /// Whether others hold slots of the account that somebody here wanted.
    #[must_use]
    pub fn is_short(&self, account: usize) -> bool {
        self.accounts.get(account).is_some_and(|account| account.is_short)
    }

    /// Whether somebody in the queue could use a slot on the account if it had one now.
    #[must_use]
    pub fn is_wanted(&self, account: usize, now: Mono) -> bool {
        self.accounts.get(account).is_some_and(|state| {
            let awaits = |one: &Candidate| one.account == account && self.is_open(one, now);
            state.in_use < self.limits.slots_per_account
                && self.waiting.iter().any(|waiter| waiter.candidates.iter().any(awaits))
        })
    }

    /// Grants what can be granted and ends what waited too long, in the order in which they came. Grants are claimed as
    /// in [`Self::offer`].
    #[must_use]
    pub fn tick(&mut self, now: Mono, mut claim: impl FnMut(usize) -> bool) -> Vec<Wake> {
        let mut wakes = Vec::new();
        let mut still_waiting = VecDeque::with_capacity(self.waiting.len());
        while let Some(waiter) = self.waiting.pop_front() {
            if waiter.deadline.is_some_and(|deadline| now >= deadline) {
                wakes.push(Wake { ticket: waiter.ticket, waking: Waking::Expired });
            } else if let Some(grant) = self.take(now, &waiter.candidates, &mut claim) {
                wakes.push(Wake { ticket: waiter.ticket, waking: Waking::Granted(grant) });
            } else if let Err(first) = self.opens_in_time(now, &waiter.candidates, waiter.deadline)
            {
                wakes.push(Wake { ticket: waiter.ticket, waking: Waking::Closed(first) });
            } else {
                still_waiting.push_back(waiter);
            }
        }
        self.waiting = still_waiting;
        wakes
    }

    /// When [`Self::tick`] has something to do if nothing else happens. After a tick at `now`, always later than
    /// `now`.
    #[must_use]
    pub fn next_deadline(&self, now: Mono) -> Option<Mono> {
        let deadlines = self.waiting.iter().filter_map(|waiter| waiter.deadline);
        let openings = self
            .waiting
            .iter()
            .flat_map(|waiter| &waiter.candidates)
            .filter_map(|one| self.takes_at(one, now))
            .filter(|&opens| opens > now);
        deadlines.chain(openings).min()
    }

    /// Attempts under way on an account.
    #[must_use]
    pub fn in_use(&self, account: usize) -> u32 {
        self.accounts.get(account).map_or(0, |account| account.in_use)
    }

    /// Requests in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// When the account takes attempts for requests of this class again: `Some(now)` if it does, `None` if nobody knows.
    #[must_use]
    pub fn opens_at(&self, account: usize, class: Class, now: Mono) -> Option<Mono> {
        self.accounts.get(account).and_then(|account| account.opens_at(class, now))
    }

    /// The places that a request of this class may find taken.
    fn places_for(&self, candidates: &[Candidate]) -> usize {
        let kept = if candidates.iter().any(|one| one.class.work == Work::Interactive) {
            0
        } else {
            self.limits.queue / 10
        };
        self.limits.queue - kept
    }

    /// Forgets that others held the slots of accounts for which nobody waits: nobody asks again in their stead, and a
    /// newcomer would be refused, or go to a dearer account, for what was true once.
    fn ask_anew(&mut self, candidates: &[Candidate]) {
        for one in candidates {
            let is_awaited = self.is_awaited(one.account);
            self.accounts[one.account].is_short &= is_awaited;
        }
    }

    /// Whether somebody in the queue names the account.
    fn is_awaited(&self, account: usize) -> bool {
        let names = |waiter: &Waiter| waiter.candidates.iter().any(|one| one.account == account);
        self.waiting.iter().any(names)
    }

    /// Whether one of the accounts opens before the deadline; if not, when the first one does.
    fn opens_in_time(
        &self,
        now: Mono,
        candidates: &[Candidate],
        deadline: Option<Mono>,
    ) -> Result<(), Option<Mono>> {
        // Someone without a deadline waits even for an end that nobody knows.
        let Some(deadline) = deadline else { return Ok(()) };
        let first = candidates.iter().filter_map(|one| self.takes_at(one, now)).min();
        if first.is_some_and(|opens| opens < deadline) { Ok(()) } else { Err(first) }
    }

    /// When the candidate's account takes the request: `Some(now)` if it does, `None` if nobody knows.
    fn takes_at(&self, one: &Candidate, now: Mono) -> Option<Mono> {
        let opens = self.accounts[one.account].opens_at(one.class, now)?;
        Some(one.not_before.map_or(opens, |earliest| opens.max(earliest)))
    }

    fn is_open(&self, one: &Candidate, now: Mono) -> bool {
        self.takes_at(one, now) == Some(now)
    }

    /// Takes a slot on the best account that really has one.
    fn take(
        &mut self,
        now: Mono,
        candidates: &[Candidate],
        mut claim: impl FnMut(usize) -> bool,
    ) -> Option<Grant> {
        loop {
            let grant = self.choose(now, candidates)?;
            let account = &mut self.accounts[grant.account];
            if claim(grant.account) {
                account.in_use += 1;
                return Some(grant);
            }
            account.is_short = true;
        }
    }

    /// Of the earliest stage with an open account, the account of the lowest tier with a free slot; of several, the
    /// preferred one, then the least busy, the first of equals.
    fn choose(&self, now: Mono, candidates: &[Candidate]) -> Option<Grant> {
        let open = || candidates.iter().filter(|one| self.is_open(one, now));
        let stage = open().map(|one| one.stage).min()?;
        let free = |one: &&Candidate| {
            let account = &self.accounts[one.account];
            one.stage == stage
                && !account.is_short
                && account.in_use < self.limits.slots_per_account
        };
        open()
            .filter(free)
            .min_by_key(|one| (one.tier, !one.is_preferred, self.accounts[one.account].in_use))
            .map(Candidate::grant)
    }
}

#[cfg(test)]
mod tests;
