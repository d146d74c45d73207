//! Slots per account, one queue before them.
//!
//! The queue lives in this machine and wakes one waiter at a time: a notifier outside would either lose wake-ups
//! or lose the order. Whoever drives it calls [`Gate::tick`] after every change and at [`Gate::next_deadline`],
//! and delivers the [`Wake`]s.

use super::account::{Account, AccountLimits, Class, Closure};
use super::candidate::{Candidate, Grant};
use super::model_slots::ModelSlots;
use super::queue::{Asker, Priority, Queue, Ticket};
use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

mod forecast;
mod lessons;
mod turns;
use forecast::Forecast;
pub use forecast::Place;

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
    /// Every place in the queue is taken; and how long the wait would be behind them, if that can be told.
    QueueFull(Option<Duration>),
    /// None of the accounts opens before the deadline; when the first one does, if that is known.
    ClosedPastDeadline(Option<Mono>),
    /// The wait is likely to be this long, and that is far longer than the deadline allows.
    TooLong(Duration),
    /// No account was named.
    NoAccount,
}

/// What a waiter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waking {
    /// Go, on this account.
    Granted(Grant),
    /// The deadline passed; and how long the wait would have gone on, if that can be told.
    Expired(Option<Duration>),
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

#[derive(Clone, Debug)]
struct Waiter {
    candidates: Vec<Candidate>,
    asker: Asker,
    since: Mono,
    /// The wait for the first stage that is open is not likely to fit the deadline, so the others may serve as well.
    goes_on: bool,
}

/// The machine: see the module's documentation.
#[derive(Clone, Debug)]
pub struct Gate {
    places: usize,
    accounts: Vec<Account>,
    models: ModelSlots,
    queue: Queue<Waiter>,
    /// How often an account is named for each class by those who wait.
    wanted: BTreeMap<(usize, Class), usize>,
    /// Something was closed since the last tick, so somebody's wait may have no end in time.
    has_closed: bool,
}

/// Nobody is refused for an estimate that is not this many times as long as the time that is left: a slot may be about to
/// come free.
const HOPELESS: u32 = 2;
/// A wait for an earlier stage is not looked at more often than this.
const SHORTEST_REVIEW: Duration = Duration::from_secs(1);

// === impl Waiter ===

impl Waiter {
    fn has_stages(&self) -> bool {
        let first = self.candidates.first().map(|one| one.stage);
        self.candidates.iter().any(|one| Some(one.stage) != first)
    }

    fn is_expired(&self, now: Mono) -> bool {
        self.asker.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn has_time_for(&self, now: Mono, wait: Duration) -> bool {
        self.asker.deadline.is_none_or(|deadline| now.after(wait) < deadline)
    }

    /// Whether it competes for one of the same accounts.
    fn shares_account(&self, candidates: &[Candidate]) -> bool {
        let names = |account| candidates.iter().any(|one| one.account == account);
        self.candidates.iter().any(|one| names(one.account))
    }

    /// When to look at it again, whatever happens.
    fn timers(&self, now: Mono) -> Vec<Mono> {
        let opens = self.candidates.iter().filter_map(|one| one.not_before);
        let mut timers: Vec<Mono> = opens.filter(|&moment| moment > now).collect();
        timers.sort_unstable();
        timers.dedup();
        timers.extend(self.asker.deadline);
        timers.extend(self.next_review(now));
        timers
    }

    /// When to ask again whether the wait fits: after half of what is left.
    fn next_review(&self, now: Mono) -> Option<Mono> {
        let left = self.asker.deadline?.since(now);
        (!self.goes_on && self.has_stages() && left / 2 >= SHORTEST_REVIEW)
            .then(|| now.after(left / 2))
    }
}

// === impl Gate ===

impl Gate {
    /// A gate before these accounts, all open, with so many places in the queue. The last tenth of them is for interactive
    /// work, and the one before it not for batch work: what has time must not shut out what has none.
    #[must_use]
    pub fn new(places: usize, accounts: impl IntoIterator<Item = AccountLimits>) -> Self {
        Self {
            places,
            accounts: accounts.into_iter().map(Account::new).collect(),
            models: ModelSlots::default(),
            queue: Queue::default(),
            wanted: BTreeMap::new(),
            has_closed: false,
        }
    }

    /// Asks for a slot on one of the candidates. Whoever waits already and can use the same slot goes first.
    ///
    /// Slots may be shared with others, so a grant is confirmed first: `claim` says whether there really is a slot on the
    /// account. If not, the account counts as full until [`Self::slots_may_be_free`], or until the next offer if nobody
    /// here waits for it.
    pub fn offer(
        &mut self,
        now: Mono,
        candidates: Vec<Candidate>,
        asker: Asker,
        mut claim: impl FnMut(usize) -> bool,
    ) -> Offer {
        let known = candidates.into_iter().filter(|one| one.account < self.accounts.len());
        let mut waiter = Waiter { candidates: known.collect(), asker, since: now, goes_on: false };
        if waiter.candidates.is_empty() {
            return Offer::Refused(Refused::NoAccount);
        }
        if let Err(first) = self.opens_in_time(now, &waiter) {
            return Offer::Refused(Refused::ClosedPastDeadline(first));
        }
        self.ask_anew(&waiter.candidates);
        if let Some(grant) = self.take_unless_wanted(now, &waiter, &mut claim) {
            return Offer::Granted(grant);
        }
        let mut forecast = self.forecast(now, &waiter, None);
        if waiter.has_stages()
            && forecast.is_some_and(|likely| !waiter.has_time_for(now, likely.wait))
        {
            waiter.goes_on = true;
            if let Some(grant) = self.take_unless_wanted(now, &waiter, &mut claim) {
                return Offer::Granted(grant);
            }
            forecast = self.forecast(now, &waiter, None);
        }
        if let Some(Forecast { wait, is_sure: true }) = forecast
            && !waiter.has_time_for(now, wait / HOPELESS)
        {
            return Offer::Refused(Refused::TooLong(wait));
        }
        if self.queue.len() >= self.places_for(asker.priority) {
            return Offer::Refused(Refused::QueueFull(forecast.map(|likely| likely.wait)));
        }
        Offer::Queued(self.join(now, waiter))
    }

    /// Gives a slot back.
    pub fn release(&mut self, now: Mono, grant: &Grant) {
        if self.give_back(grant) {
            self.accounts[grant.account].learn_hold_time(now.since(grant.at));
        }
    }

    /// Gives a slot back on which no attempt was made: it says nothing about how long attempts take, and the pace does not
    /// count it.
    pub fn release_unused(&mut self, grant: &Grant) {
        if self.give_back(grant) {
            self.accounts[grant.account].pace.take_back();
        }
    }

    /// Leaves the queue. False if the ticket was not in it any more: its [`Wake`] is on its way.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let waiter = self.queue.remove(ticket);
        waiter.is_some_and(|waiter| {
            self.forget(&waiter);
            true
        })
    }

    /// Closes an account for one reason until a moment, or until it is opened (`None`). The newest word of the
    /// same reason counts.
    pub fn close(&mut self, account: usize, closure: Closure, until: Option<Mono>) {
        if let Some(account) = self.accounts.get_mut(account) {
            self.has_closed |= account.close(closure, until);
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

    /// Whether somebody in the queue would go if others gave a slot of the account back now.
    #[must_use]
    pub fn is_wanted(&self, account: usize, now: Mono) -> bool {
        self.accounts.get(account).is_some_and(|state| {
            let uses = |waiter: &Waiter| {
                self.eligible(now, waiter).any(|candidate| candidate.account == account)
            };
            state.has_slot()
                && state.pace.is_ready(now)
                && self.queue.iter().any(|(_, waiter)| uses(waiter))
        })
    }

    /// Grants what can be granted, and ends what waited too long. Grants are claimed as in [`Self::offer`].
    #[must_use]
    pub fn tick(&mut self, now: Mono, mut claim: impl FnMut(usize) -> bool) -> Vec<Wake> {
        let mut wakes = Vec::new();
        self.look_at_those_due(now, &mut wakes);
        // A grant may take the last of what kept others from going on to a later stage.
        while self.grant_in_turn(now, &mut claim, &mut wakes) {}
        if std::mem::take(&mut self.has_closed) {
            self.end_waits_past_deadlines(now, &mut wakes);
        }
        self.notice_what_the_pace_holds_up(now);
        wakes
    }

    /// When [`Self::tick`] has something to do if nothing else happens. After a tick at `now`, always later than
    /// `now`.
    #[must_use]
    pub fn next_deadline(&self, now: Mono) -> Option<Mono> {
        let openings = self.wanted.keys().filter_map(|&(account, class)| {
            let account = &self.accounts[account];
            match account.opens_at(class, now) {
                Some(opens) if opens > now => Some(opens),
                Some(_) if account.has_slot() => Some(account.pace.ready_at(now)),
                _ => None,
            }
        });
        let forgotten = if self.queue.is_empty() { None } else { self.models.next_forgotten(now) };
        openings
            .chain(self.queue.next_timer())
            .chain(forgotten)
            .filter(|&moment| moment > now)
            .min()
    }

    /// Attempts under way on an account.
    #[must_use]
    pub fn in_use(&self, account: usize) -> u32 {
        self.accounts.get(account).map_or(0, Account::in_use)
    }

    /// Attempts that an account bears at once.
    #[must_use]
    pub fn slots(&self, account: usize) -> u32 {
        self.accounts.get(account).map_or(0, Account::slots)
    }

    /// Requests in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Requests of one priority in the queue.
    #[must_use]
    pub fn queued_of(&self, priority: Priority) -> usize {
        self.queue.of_priority(priority).count()
    }

    /// Requests in the queue that name the account.
    #[must_use]
    pub fn queued_for(&self, account: usize) -> usize {
        let names = |waiter: &Waiter| waiter.candidates.iter().any(|one| one.account == account);
        self.queue.iter().filter(|(_, waiter)| names(waiter)).count()
    }

    /// When the account takes attempts for requests of this class again: `Some(now)` if it does, `None` if nobody knows.
    #[must_use]
    pub fn opens_at(&self, account: usize, class: Class, now: Mono) -> Option<Mono> {
        self.accounts.get(account).and_then(|account| account.opens_at(class, now))
    }

    /// Attempts that the account may start in a thousand minutes, if there is a bound.
    #[must_use]
    pub fn pace_per_thousand_minutes(&self, account: usize) -> Option<u64> {
        self.accounts.get(account)?.pace.per_thousand_minutes()
    }

    /// The places that a request of this priority may find taken.
    const fn places_for(&self, priority: Priority) -> usize {
        let kept = match priority {
            Priority::Interactive => 0,
            Priority::Agent => self.places / 10,
            Priority::Batch => self.places / 5,
        };
        self.places - kept
    }

    fn join(&mut self, now: Mono, waiter: Waiter) -> Ticket {
        for one in &waiter.candidates {
            *self.wanted.entry((one.account, one.class)).or_default() += 1;
        }
        self.queue.push(waiter.asker, waiter.timers(now), waiter)
    }

    /// Somebody is not in the queue any more.
    fn forget(&mut self, waiter: &Waiter) {
        for one in &waiter.candidates {
            let key = (one.account, one.class);
            if let Some(count) = self.wanted.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(&key);
                }
            }
        }
    }

    fn give_back(&mut self, grant: &Grant) -> bool {
        let account = self.accounts.get_mut(grant.account);
        let was_granted = account.is_some_and(|account| account.give_back(grant.at));
        debug_assert!(was_granted, "a slot is given back once");
        if let (true, Some(model)) = (was_granted, grant.model) {
            self.models.give_back(model);
        }
        was_granted
    }

    /// Forgets that others held the slots of accounts for which nobody waits: nobody asks again in their stead, and a
    /// newcomer would be refused, or go to a dearer account, for what was true once.
    fn ask_anew(&mut self, candidates: &[Candidate]) {
        for one in candidates {
            let anyone = (one.account, Class::FIRST)..=(one.account, Class::LAST);
            let is_awaited = self.wanted.range(anyone).next().is_some();
            self.accounts[one.account].is_short &= is_awaited;
        }
    }

    /// Whether one of the accounts opens before the deadline; if not, when the first one does.
    fn opens_in_time(&self, now: Mono, waiter: &Waiter) -> Result<(), Option<Mono>> {
        // Someone without a deadline waits even for an end that nobody knows.
        let Some(deadline) = waiter.asker.deadline else { return Ok(()) };
        let first = waiter.candidates.iter().filter_map(|one| self.takes_at(one, now)).min();
        if first.is_some_and(|opens| opens < deadline) { Ok(()) } else { Err(first) }
    }

    /// When the candidate's account takes the request: `Some(now)` if it does, `None` if nobody knows.
    fn takes_at(&self, one: &Candidate, now: Mono) -> Option<Mono> {
        let opens = self.accounts[one.account].opens_at(one.class, now)?;
        Some(one.not_before.map_or(opens, |earliest| opens.max(earliest)))
    }

    /// Ends the waits of those whose deadline has come, and lets those go on to other stages whose wait does not fit.
    fn look_at_those_due(&mut self, now: Mono, wakes: &mut Vec<Wake>) {
        for ticket in self.queue.due(now) {
            let Some(waiter) = self.queue.get(ticket) else { continue };
            let forecast = || self.forecast(now, waiter, Some(ticket));
            if waiter.is_expired(now) {
                let wait = forecast().map(|likely| likely.wait);
                self.cancel(ticket);
                wakes.push(Wake { ticket, waking: Waking::Expired(wait) });
            } else if !waiter.goes_on && waiter.has_stages() {
                // A wait that nobody can foretell has taken half of the time already.
                let fits = forecast().is_some_and(|likely| waiter.has_time_for(now, likely.wait));
                let next = waiter.next_review(now).filter(|_| fits);
                if let Some(waiter) = self.queue.get_mut(ticket) {
                    waiter.goes_on = !fits;
                }
                self.queue.look_again(ticket, next);
            }
        }
    }

    fn end_waits_past_deadlines(&mut self, now: Mono, wakes: &mut Vec<Wake>) {
        let ends = |(ticket, waiter): (Ticket, &Waiter)| {
            let first = self.opens_in_time(now, waiter).err()?;
            Some(Wake { ticket, waking: Waking::Closed(first) })
        };
        let ended: Vec<Wake> = self.queue.iter().filter_map(ends).collect();
        for wake in ended {
            self.cancel(wake.ticket);
            wakes.push(wake);
        }
    }

    fn notice_what_the_pace_holds_up(&mut self, now: Mono) {
        for &(account, class) in self.wanted.keys() {
            let account = &mut self.accounts[account];
            let is_held_up = account.has_slot() && !account.is_short && !account.pace.is_ready(now);
            if is_held_up && account.opens_at(class, now) == Some(now) {
                account.pace.holds_up();
            }
        }
    }
}

#[cfg(test)]
mod tests;
