//! Who may be asked for a request, and when.

use super::{LONGEST_PAUSE, Link, Pursuit};
use crate::accounts::AccountKey;
use crate::shared::Shared;
use ripcord_rules::admit::{Candidate, Grant};
use ripcord_rules::recover::{Rest, RestBook, Scope};
use ripcord_rules::time::{Mono, Now};
use std::sync::Arc;

impl Pursuit {
    /// When another link could be asked, if one may.
    pub(super) fn elsewhere(&self, failed: &Link, now: Mono) -> Option<Mono> {
        let opens = |one: Candidate| {
            let is_other =
                self.itinerary.link(one.choice).is_some_and(|link| link.key != failed.key);
            let opens = self.shared.gate.opens_at(one.account, one.class, now);
            // Whoever has the time may wait for what nobody can foretell.
            let unknown = || self.deadline.is_none().then(|| now.after(LONGEST_PAUSE));
            let opens = opens.or_else(unknown).filter(|_| is_other)?;
            Some(one.not_before.map_or(opens, |earliest| opens.max(earliest)))
        };
        self.candidates().into_iter().filter_map(opens).min()
    }

    /// Whether every model is known not to answer in time: such a one is not asked.
    pub(super) fn all_rest(&self) -> bool {
        let now = self.shared.clock.mono();
        let rests = self.shared.rests.lock();
        let is_too_long = |rest: Rest| {
            !rest.may_be_waited_for()
                || self.deadline.is_some_and(|deadline| rest.until >= deadline)
        };
        let mut links = self.itinerary.links().iter();
        links.all(|link| {
            let rest = rests.resting(&Scope::Model(link.key.to_string()), now);
            rest.is_some_and(is_too_long)
        })
    }

    /// The accounts that may be asked. Plans go before figures that nobody can see, and those before the balance.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let now = self.shared.clock.now();
        let rests = self.shared.rests.lock();
        let pairs = (0..).zip(self.itinerary.links()).flat_map(|(choice, link)| {
            let accounts = 0..self.shared.accounts.len();
            accounts.map(move |number| (choice, link, number))
        });
        pairs.filter_map(|pair| self.candidate(&rests, pair, now)).collect()
    }

    /// What this account is good for at a link; `None` if nothing.
    fn candidate(
        &self,
        rests: &RestBook,
        (choice, link, number): (u16, &Arc<Link>, usize),
        now: Now,
    ) -> Option<Candidate> {
        let (shared, call) = (&self.shared, &self.call);
        let account = shared.accounts.get(number)?;
        // Whom it does not concern is not looked up: this goes through every account for every link.
        if !Arc::ptr_eq(&account.service, &link.service)
            || self.itinerary.is_too_short(link)
            || !self.attempts.may_use(number, &link.key)
        {
            return None;
        }
        let rest = rests.resting(&Scope::Model(link.key.to_string()), now.mono);
        let of_pair = rests.resting(&Scope::AccountModel(number, link.key.to_string()), now.mono);
        let is_in_time = |rest: Rest| self.deadline.is_none_or(|deadline| rest.until < deadline);
        if rest.is_some_and(|rest| !rest.may_be_waited_for())
            || of_pair.is_some_and(|rest| !(rest.may_be_waited_for() && is_in_time(rest)))
            || account.keys.iter().all(|key| is_resting(rests, key, now.mono))
        {
            return None;
        }
        let rested = rest.map(|rest| rest.until).max(of_pair.map(|rest| rest.until));
        let held = self.attempts.not_before(&link.key, now.mono);
        let left_alone = shared.health.not_before(now.mono, number, &link.key);
        Some(Candidate {
            account: number,
            class: call.spender.class(),
            stage: u8::try_from(choice).unwrap_or(u8::MAX),
            // One that has just failed goes behind its equals, and before any that is dearer.
            tier: account.tier(&call.spender, now.wall).saturating_mul(2)
                + u8::from(self.attempts.has_failed(number, &link.key)),
            choice,
            not_before: rested.max(held).max(left_alone),
            is_preferred: self.itinerary.is_stuck_to(number),
            model: Some(shared.model_number(&link.key)),
        })
    }

    /// Whether what was granted may still be asked: others may have found out meanwhile that it rests.
    pub(super) fn still_stands(&self, link: &Arc<Link>, grant: &Grant) -> bool {
        let now = self.shared.clock.now();
        let rests = self.shared.rests.lock();
        let candidate = self.candidate(&rests, (grant.choice, link, grant.account), now);
        candidate.is_some_and(|one| one.not_before.is_none())
    }
}

/// A key of the account that does not rest.
pub(in crate::pipeline) fn usable_key(shared: &Shared, account: usize) -> Option<&AccountKey> {
    let now = shared.clock.mono();
    let rests = shared.rests.lock();
    shared.accounts[account].keys_in_turn().find(|key| !is_resting(&rests, key, now))
}

fn is_resting(rests: &RestBook, key: &AccountKey, now: Mono) -> bool {
    rests.resting(&Scope::Key(key.number), now).is_some()
}
