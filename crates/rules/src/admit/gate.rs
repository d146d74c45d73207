//! Slots per account, one first-come queue before them.
//!
//! The queue lives in this machine and wakes one waiter at a time: a notifier outside would either lose wake-ups
//! or lose the order. Whoever drives it calls [`Gate::tick`] after every change and at [`Gate::next_deadline`],
//! and delivers the [`Wake`]s.

use crate::time::Mono;
use std::collections::VecDeque;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Bounds of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// Attempts under way at once on each account.
    pub slots_per_account: u32,
    /// Places in the queue.
    pub queue: usize,
}

/// An account that may serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub account: usize,
    /// A lower tier goes first as long as it has a free slot; within one, the least busy account.
    pub tier: u8,
}

/// Why an account takes no new attempt, each reason on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closure {
    /// It rests.
    Rest,
    /// Its budget does not allow more.
    Budget,
}

/// The answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Go, on this account. Give the slot back with [`Gate::release`].
    Granted(usize),
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
    Granted(usize),
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
    budget: Closed,
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
    const fn closed(&mut self, closure: Closure) -> &mut Closed {
        match closure {
            Closure::Rest => &mut self.rest,
            Closure::Budget => &mut self.budget,
        }
    }

    fn closures(&self) -> impl Iterator<Item = Option<Mono>> {
        [self.rest, self.budget].into_iter().flatten()
    }

    /// When every closure has ended: now, later, or `None` if that is not known.
    fn opens_at(&self, now: Mono) -> Option<Mono> {
        self.closures().try_fold(now, |latest, end| end.map(|end| latest.max(end)))
    }

    fn is_open(&self, now: Mono) -> bool {
        self.opens_at(now) == Some(now)
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
        if !taken_first && let Some(account) = self.take(now, &known, claim) {
            return Offer::Granted(account);
        }
        if self.waiting.len() >= self.limits.queue {
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
            *account.closed(closure) = Some(until);
        }
    }

    /// Ends one reason.
    pub fn open(&mut self, account: usize, closure: Closure) {
        if let Some(account) = self.accounts.get_mut(account) {
            *account.closed(closure) = None;
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
            state.is_open(now)
                && state.in_use < self.limits.slots_per_account
                && self.is_awaited(account)
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
            } else if let Some(account) = self.take(now, &waiter.candidates, &mut claim) {
                wakes.push(Wake { ticket: waiter.ticket, waking: Waking::Granted(account) });
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
            .filter_map(|one| self.accounts[one.account].opens_at(now))
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

    /// When the account takes attempts again: `Some(now)` if it does, `None` if nobody knows.
    #[must_use]
    pub fn opens_at(&self, account: usize, now: Mono) -> Option<Mono> {
        self.accounts.get(account).and_then(|account| account.opens_at(now))
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
        let first =
            candidates.iter().filter_map(|one| self.accounts[one.account].opens_at(now)).min();
        if first.is_some_and(|opens| opens < deadline) { Ok(()) } else { Err(first) }
    }

    /// Takes a slot on the best account that really has one.
    fn take(
        &mut self,
        now: Mono,
        candidates: &[Candidate],
        mut claim: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        loop {
            let index = self.choose(now, candidates)?;
            let account = &mut self.accounts[index];
            if claim(index) {
                account.in_use += 1;
                return Some(index);
            }
            account.is_short = true;
        }
    }

    /// The open account of the lowest tier with a free slot; of several, the least busy, the first of equals.
    fn choose(&self, now: Mono, candidates: &[Candidate]) -> Option<usize> {
        let free = |one: &&Candidate| {
            let account = &self.accounts[one.account];
            account.is_open(now)
                && !account.is_short
                && account.in_use < self.limits.slots_per_account
        };
        candidates
            .iter()
            .filter(free)
            .min_by_key(|one| (one.tier, self.accounts[one.account].in_use))
            .map(|one| one.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const LIMITS: GateLimits = GateLimits { slots_per_account: 1, queue: 3 };

    fn at(micros: u64) -> Mono {
        Mono::from_micros(micros)
    }

    fn all(accounts: &[usize]) -> Vec<Candidate> {
        accounts.iter().map(|&account| Candidate { account, tier: 0 }).collect()
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

    #[test]
    fn first_come_first_served() {
        let mut gate = Gate::new(LIMITS, 1);
        assert_eq!(gate.offer(at(0), all(&[0]), None, always), Offer::Granted(0));
        let second = queued(gate.offer(at(1), all(&[0]), None, always));
        let third = queued(gate.offer(at(2), all(&[0]), None, always));
        gate.release(0);
        // Before the tick a newcomer does not slip in.
        let fourth = queued(gate.offer(at(3), all(&[0]), None, always));
        assert_eq!(gate.tick(at(3), always), [Wake { ticket: second, waking: Waking::Granted(0) }]);
        gate.release(0);
        assert_eq!(gate.tick(at(4), always), [Wake { ticket: third, waking: Waking::Granted(0) }]);
        assert!(gate.cancel(fourth) && !gate.cancel(third));
    }

    #[test]
    fn a_waiter_for_one_account_does_not_hold_up_another() {
        let mut gate = Gate::new(LIMITS, 2);
        gate.offer(at(0), all(&[0]), None, always);
        queued(gate.offer(at(0), all(&[0]), None, always));
        assert_eq!(gate.offer(at(0), all(&[0, 1]), None, always), Offer::Granted(1));
    }

    #[test]
    fn work_spreads_over_accounts() {
        let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 2);
        let grants: Vec<Offer> =
            (0..5).map(|_| gate.offer(at(0), all(&[0, 1]), None, always)).collect();
        assert_eq!(
            grants,
            [
                Offer::Granted(0),
                Offer::Granted(1),
                Offer::Granted(0),
                Offer::Granted(1),
                Offer::Refused(Refused::QueueFull)
            ]
        );
    }

    #[test]
    fn a_lower_tier_goes_first_while_it_has_slots() {
        let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 2);
        let wants = || vec![Candidate { account: 0, tier: 1 }, Candidate { account: 1, tier: 0 }];
        let grants: Vec<Offer> = (0..3).map(|_| gate.offer(at(0), wants(), None, always)).collect();
        assert_eq!(grants, [Offer::Granted(1), Offer::Granted(1), Offer::Granted(0)]);
    }

    #[test]
    fn a_wait_that_cannot_fit_is_refused_at_once() {
        let mut gate = Gate::new(LIMITS, 2);
        gate.close(0, Closure::Rest, Some(at(100)));
        gate.close(0, Closure::Budget, Some(at(50)));
        gate.close(1, Closure::Budget, None);
        let refused = Offer::Refused(Refused::ClosedPastDeadline(Some(at(100))));
        assert_eq!(gate.offer(at(0), all(&[0, 1]), Some(at(100)), always), refused);
        let ticket = queued(gate.offer(at(0), all(&[0, 1]), Some(at(101)), always));
        assert_eq!(gate.next_deadline(at(0)), Some(at(100)));
        assert_eq!(gate.tick(at(99), always), []);
        assert_eq!(gate.tick(at(100), always), [Wake { ticket, waking: Waking::Granted(0) }]);
        assert_eq!(gate.offer(at(100), all(&[]), None, always), Offer::Refused(Refused::NoAccount));
        assert_eq!(
            gate.offer(at(100), all(&[9]), None, always),
            Offer::Refused(Refused::NoAccount)
        );
    }

    #[test]
    fn a_wait_that_fits_no_more_ends_at_once() {
        let mut gate = Gate::new(LIMITS, 1);
        gate.offer(at(0), all(&[0]), None, always);
        let hurried = queued(gate.offer(at(0), all(&[0]), Some(at(100)), always));
        let patient = queued(gate.offer(at(0), all(&[0]), None, always));
        gate.close(0, Closure::Budget, None);
        assert_eq!(
            gate.tick(at(1), always),
            [Wake { ticket: hurried, waking: Waking::Closed(None) }]
        );
        assert_eq!(gate.queued(), 1);
        assert!(gate.cancel(patient));
    }

    #[test]
    fn whoever_waited_too_long_is_told_on_time() {
        let mut gate = Gate::new(LIMITS, 1);
        gate.offer(at(0), all(&[0]), None, always);
        let ticket = queued(gate.offer(at(0), all(&[0]), Some(at(10)), always));
        assert_eq!(gate.next_deadline(at(0)), Some(at(10)));
        gate.release(0);
        // Even a free slot does not revive it: the client has been promised an answer by now.
        assert_eq!(gate.tick(at(10), always), [Wake { ticket, waking: Waking::Expired }]);
        assert_eq!(gate.next_deadline(at(10)), None);
    }

    #[test]
    fn a_slot_that_others_hold_is_waited_for() {
        let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 3 }, 2);
        // The first account has one slot left, the second none.
        let mut left = [1, 0];
        let mut claim = |account: usize| {
            let has_one = left[account] > 0;
            left[account] -= i32::from(has_one);
            has_one
        };
        assert_eq!(gate.offer(at(0), all(&[1, 0]), None, &mut claim), Offer::Granted(0));
        let ticket = queued(gate.offer(at(0), all(&[1, 0]), None, &mut claim));
        assert!(gate.is_wanted(1, at(0)) && gate.is_wanted(0, at(0)));
        // As long as it is short, it does not even ask.
        assert_eq!(gate.tick(at(1), |_| unreachable!()), []);
        gate.slots_may_be_free(1);
        assert_eq!(gate.tick(at(2), always), [Wake { ticket, waking: Waking::Granted(1) }]);
        assert!(!gate.is_wanted(1, at(2)));
    }

    #[test]
    fn without_a_queue_every_newcomer_asks_for_itself() {
        let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 1);
        let full = Offer::Refused(Refused::QueueFull);
        assert_eq!(gate.offer(at(0), all(&[0]), None, |_| false), full);
        assert_eq!(gate.offer(at(1), all(&[0]), None, |_| false), full);
        assert_eq!(gate.offer(at(2), all(&[0]), None, always), Offer::Granted(0));
    }

    #[test]
    fn a_slot_that_others_held_once_does_not_send_later_calls_to_a_dearer_account() {
        let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 3 }, 2);
        let wants = || vec![Candidate { account: 0, tier: 0 }, Candidate { account: 1, tier: 1 }];
        assert_eq!(gate.offer(at(0), wants(), None, |account| account == 1), Offer::Granted(1));
        assert!(gate.is_short(0));
        assert_eq!(gate.offer(at(1), wants(), None, always), Offer::Granted(0));
        // Where somebody waits for the account already, the newcomer does not ask past it.
        let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 3 }, 2);
        queued(gate.offer(at(0), all(&[0]), None, |_| false));
        let offer = gate.offer(at(1), wants(), None, |account| {
            assert_eq!(account, 1);
            true
        });
        assert_eq!(offer, Offer::Granted(1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Offer(Vec<usize>, Option<u64>),
        Release,
        Cancel,
        Close(usize, u64),
        Advance(u64),
        /// Another program takes a free slot of the account, or gives all its own back.
        Elsewhere(usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Small limits and boundary times on purpose: that is where such machines break.
        prop_oneof![
            4 => (prop::collection::vec(0_usize..3, 1..3), prop::option::of(prop_oneof![Just(0_u64), Just(1), Just(2), Just(60)]))
                .prop_map(|(accounts, deadline)| Step::Offer(accounts, deadline)),
            3 => Just(Step::Release),
            1 => Just(Step::Cancel),
            1 => (0_usize..3, prop_oneof![Just(0_u64), Just(1), Just(59), Just(60)]).prop_map(|(account, time)| Step::Close(account, time)),
            2 => prop_oneof![Just(0_u64), Just(1), Just(59), Just(60), Just(61)].prop_map(Step::Advance),
            2 => (0_usize..3, any::<bool>()).prop_map(|(account, takes)| Step::Elsewhere(account, takes)),
        ]
    }

    proptest! {
        #[test]
        fn no_slot_is_lost_or_given_twice(steps in prop::collection::vec(step(), 1..120)) {
            let limits = GateLimits { slots_per_account: 2, queue: 4 };
            let mut gate = Gate::new(limits, 3);
            let mut now = 0;
            let mut held: Vec<usize> = Vec::new();
            let mut waiting: HashMap<Ticket, ()> = HashMap::new();
            let mut elsewhere = [0_usize; 3];
            for step in steps {
                let mut free: Vec<usize> = (0..3).map(|account| 2 - elsewhere[account] - gate.in_use(account) as usize).collect();
                let mut claim = |account: usize| free[account].checked_sub(1).map(|left| free[account] = left).is_some();
                match step {
                    Step::Offer(accounts, deadline) => match gate.offer(at(now), all(&accounts), deadline.map(|wait| at(now + wait)), &mut claim) {
                        Offer::Granted(account) => { prop_assert!(accounts.contains(&account)); held.push(account); }
                        Offer::Queued(ticket) => { waiting.insert(ticket, ()); }
                        Offer::Refused(_) => {}
                    },
                    Step::Release => if let Some(account) = held.pop() { gate.release(account); },
                    Step::Cancel => if let Some(ticket) = waiting.keys().next().copied() {
                        prop_assert!(gate.cancel(ticket));
                        waiting.remove(&ticket);
                    },
                    Step::Close(account, time) => gate.close(account, Closure::Rest, Some(at(now + time))),
                    Step::Advance(time) => now += time,
                    Step::Elsewhere(account, true) => elsewhere[account] += usize::from(free[account] > 0),
                    Step::Elsewhere(account, false) => { elsewhere[account] = 0; gate.slots_may_be_free(account); }
                }
                let mut free: Vec<usize> = (0..3).map(|account| 2 - elsewhere[account] - gate.in_use(account) as usize).collect();
                let mut claim = |account: usize| free[account].checked_sub(1).map(|left| free[account] = left).is_some();
                for wake in gate.tick(at(now), &mut claim) {
                    prop_assert!(waiting.remove(&wake.ticket).is_some(), "told once");
                    if let Waking::Granted(account) = wake.waking { held.push(account); }
                }
                prop_assert_eq!(gate.queued(), waiting.len());
                for (account, elsewhere) in elsewhere.into_iter().enumerate() {
                    let mine = held.iter().filter(|&&index| index == account).count();
                    prop_assert_eq!(gate.in_use(account) as usize, mine);
                    prop_assert!(mine + elsewhere <= 2);
                }
                if let Some(next) = gate.next_deadline(at(now)) { prop_assert!(next > at(now)); }
            }
        }
    }
}
