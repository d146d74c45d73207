//! What may serve a request, and what came of it.

use super::account::Class;
use super::model_slots::ModelNumber;
use crate::time::Mono;

/// An account that may serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Which.
    pub account: usize,
    /// As what the request counts there.
    pub class: Class,
    /// Accounts of a later stage are taken only while none of an earlier one is open, or if the wait there is not likely to
    /// fit the deadline. A full account is open: the request queues for it and does not go on to another model or service.
    /// One whose model has no room is not: it would be refused.
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
    /// When.
    pub at: Mono,
}

// === impl Candidate ===

impl Candidate {
    pub(super) const fn grant(&self, at: Mono) -> Grant {
        Grant { account: self.account, choice: self.choice, model: self.model, at }
    }
}
