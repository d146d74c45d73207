//! Who goes, and on which account.

use super::{Gate, Waiter, Wake, Waking};
use crate::admit::candidate::{Candidate, Grant};
use crate::admit::queue::{Priority, Ticket};
use crate::time::Mono;

impl Gate {
    pub(super) fn is_open(&self, one: &Candidate, now: Mono) -> bool {
        self.takes_at(one, now) == Some(now)
            && one.model.is_none_or(|model| self.models.has_room(model, now))
    }

    /// The open candidates of the first stage that has any; those of all stages if the waiter need not keep to it.
    pub(super) fn eligible<'a>(
        &'a self,
        now: Mono,
        waiter: &'a Waiter,
    ) -> impl Iterator<Item = &'a Candidate> {
        let open = move || waiter.candidates.iter().filter(move |one| self.is_open(one, now));
        let first = open().map(|one| one.stage).min();
        open().filter(move |one| waiter.goes_on || Some(one.stage) == first)
    }

    /// The best candidate with a free slot: of the earliest stage, then of the lowest tier, then the preferred one, then
    /// the least busy, the first of equals.
    fn choose(&self, now: Mono, waiter: &Waiter) -> Option<Grant> {
        self.eligible(now, waiter)
            .filter(|one| self.accounts[one.account].is_free(now))
            .min_by_key(|one| {
                let busy = self.accounts[one.account].in_use();
                (one.stage, one.tier, !one.is_preferred, busy)
            })
            .map(|one| one.grant(now))
    }

    fn take(&mut self, now: Mono, priority: Priority, grant: &Grant) {
        self.accounts[grant.account].take(now, priority);
        if let Some(model) = grant.model {
            self.models.take(now, model);
        }
    }

    /// Takes a slot on the best account that really has one, unless somebody in the queue could use one of these accounts.
    pub(super) fn take_unless_wanted(
        &mut self,
        now: Mono,
        waiter: &Waiter,
        claim: &mut impl FnMut(usize) -> bool,
    ) -> Option<Grant> {
        self.choose(now, waiter)?;
        let asked = |account| waiter.candidates.iter().any(|one| one.account == account);
        let is_wanted = self.may_grant(now, asked)
            && self.queue.iter().any(|(_, other)| {
                other.shares_account(&waiter.candidates) && self.choose(now, other).is_some()
            });
        while let (false, Some(grant)) = (is_wanted, self.choose(now, waiter)) {
            if claim(grant.account) {
                self.take(now, waiter.asker.priority, &grant);
                return Some(grant);
            }
            self.accounts[grant.account].is_short = true;
        }
        None
    }

    /// Grants what can be granted in one walk along the queue; whether there was anything.
    pub(super) fn grant_in_turn(
        &mut self,
        now: Mono,
        claim: &mut impl FnMut(usize) -> bool,
        wakes: &mut Vec<Wake>,
    ) -> bool {
        let before = wakes.len();
        let mut walk = self.queue.walk();
        let mut stayed: Option<Ticket> = None;
        while self.may_grant(now, |_| true)
            && let Some(ticket) = walk.next(&self.queue)
        {
            // Many want the same: what is so for one is so for all.
            if stayed.is_some_and(|other| self.want_the_same(other, ticket)) {
                continue;
            }
            while let Some(waiter) = self.queue.get(ticket)
                && let Some(grant) = self.choose(now, waiter)
            {
                let (goes, grant) =
                    self.passed_over(now, ticket, grant.account).unwrap_or((ticket, grant));
                if !claim(grant.account) {
                    self.accounts[grant.account].is_short = true;
                    continue;
                }
                self.take(now, goes.priority(), &grant);
                if let Some(waiter) = self.queue.serve(goes) {
                    self.forget(&waiter);
                }
                wakes.push(Wake { ticket: goes, waking: Waking::Granted(grant) });
                if goes == ticket {
                    walk.went();
                }
            }
            stayed = self.queue.get(ticket).map(|_| ticket);
        }
        wakes.len() > before
    }

    fn want_the_same(&self, one: Ticket, other: Ticket) -> bool {
        let (one, other) = (self.queue.get(one), self.queue.get(other));
        one.zip(other).is_some_and(|(one, other)| {
            one.goes_on == other.goes_on && one.candidates == other.candidates
        })
    }

    /// Whether somebody in the queue might go, on one of these accounts, as far as can be told without asking everybody.
    fn may_grant(&self, now: Mono, of: impl Fn(usize) -> bool) -> bool {
        self.wanted.keys().any(|&(account, class)| {
            let state = &self.accounts[account];
            of(account) && state.is_free(now) && state.opens_at(class, now) == Some(now)
        })
    }

    /// Less urgent work that goes before this ticket, since it was passed over often enough on the account.
    fn passed_over(&self, now: Mono, ticket: Ticket, account: usize) -> Option<(Ticket, Grant)> {
        let less_urgent = Priority::ALL.iter().rev().filter(|&&one| one > ticket.priority());
        let owed = less_urgent.filter(|&&one| self.accounts[account].owes(one));
        owed.flat_map(|priority| {
            let mut walk = self.queue.walk_of(std::slice::from_ref(priority));
            std::iter::from_fn(move || walk.next(&self.queue))
        })
        .find_map(|ticket| {
            let grant = self.choose(now, self.queue.get(ticket)?)?;
            (grant.account == account).then_some((ticket, grant))
        })
    }
}
