//! What the gate learns from attempts: how fast they may start, and how many at once a model bears.

use super::Gate;
use crate::admit::candidate::{Candidate, Grant};
use crate::admit::pace::Allowance;
use crate::time::Mono;

impl Gate {
    /// An attempt was answered.
    pub fn answered(&mut self, now: Mono, grant: &Grant) {
        if let Some(account) = self.accounts.get_mut(grant.account) {
            account.pace.answered(now);
        }
        if let Some(model) = grant.model {
            self.models.answered(now, model, grant.at);
        }
    }

    /// The load balancers refused an attempt.
    pub fn edge_refused(&mut self, now: Mono, grant: &Grant) {
        if let Some(account) = self.accounts.get_mut(grant.account) {
            account.pace.edge_refused(now, grant.at);
        }
    }

    /// An attempt was refused because its model is full.
    pub fn model_refused(&mut self, now: Mono, grant: &Grant) {
        if let Some(model) = grant.model {
            self.models.refused(now, model, grant.at);
        }
    }

    /// Something speaks for these again: whoever waits for one of them need not wait for the moment that was named before.
    pub fn ask_sooner(&mut self, is_it: impl Fn(&Candidate) -> bool) {
        for waiter in self.queue.iter_mut() {
            for one in waiter.candidates.iter_mut().filter(|one| is_it(one)) {
                one.not_before = None;
            }
        }
    }

    /// The service prints how many requests a minute the account may make.
    pub fn hear_printed_pace(&mut self, now: Mono, account: usize, per_minute: u64) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.pace.hear_printed(now, per_minute);
        }
    }

    /// The service says, in its answer to an attempt, what is left.
    pub fn hear_allowances(
        &mut self,
        now: Mono,
        grant: &Grant,
        told: impl IntoIterator<Item = Allowance>,
    ) {
        if let Some(account) = self.accounts.get_mut(grant.account) {
            let unseen = account.granted_after(grant.at);
            account.pace.hear_allowances(now, unseen, told);
            self.has_closed |= account.pace.spent_until(now).is_some();
        }
    }
}
