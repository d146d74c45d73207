//! The attempts of one request: asks the gate for a slot, makes an attempt, and decides after each failure. It is a
//! value, so that it can go on after an answer that broke, within the same limits.

mod candidates;
mod telling;
mod waits;

pub(super) use candidates::usable_key;

use super::attempt::{self, Arrived, Failed, Order};
use super::call::Call;
use super::itinerary::{Itinerary, Link};
use super::refuse;
use super::refuse::several::{Refusals, Weight};
use crate::charge::{Bill, Charge, Denied};
use crate::config::Trim;
use crate::driver::gate::{Lesson, Permit};
use crate::refusal::Refusal;
use crate::shared::{Apart, Shared};
use crate::story::Story;
use ripcord_rules::admit::{Candidate, Grant};
use ripcord_rules::cause::{Cause, classify, is_recognised};
use ripcord_rules::continuation;
use ripcord_rules::recover::{Attempts, Next, Scope, Tried, Trimming};
use ripcord_rules::route::Continuation;
use ripcord_rules::route::Stuck;
use ripcord_rules::time::Mono;
use ripcord_store::ServedBy;
use ripcord_wire::body::RequestBody;
use ripcord_wire::trim::{Cut, Share};
use std::sync::Arc;
use std::time::Duration;

/// A request on its way through the links that may serve it.
pub(crate) struct Pursuit {
    shared: Arc<Shared>,
    call: Arc<Call>,
    itinerary: Itinerary,
    attempts: Attempts,
    /// Until the first byte of the next answer.
    deadline: Option<Mono>,
    /// Accounts without room for this request, though others find some there.
    apart: Vec<Apart>,
    /// What the failed attempts came to, for each link.
    refusals: Refusals,
    /// How much may be left out of the request, when it is, and what was.
    share: Option<Share>,
    trimming: Trimming,
    cut: Option<Cut>,
    /// Where the last failed attempt was made, and what it means.
    last_failure: Option<(usize, Arc<Link>, Cause)>,
}

/// An answer, the slot it holds, and whether anybody knows what is left on its account.
pub(crate) struct Granted {
    pub(crate) arrived: Arrived,
    pub(crate) permit: Permit,
    pub(crate) link: Arc<Link>,
    pub(crate) unguarded: bool,
    /// What of the request was not sent.
    pub(crate) cut: Option<Cut>,
}

/// The longest time for which a client is kept waiting in the middle of an answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What came of a slot.
enum Tryout {
    Answered(Granted),
    /// It may go on: the next attempt waits for its own turn.
    GoesOn,
    Ends(Refusal),
}

impl Pursuit {
    pub(crate) fn new(shared: &Arc<Shared>, call: Arc<Call>) -> Self {
        let itinerary = Itinerary::plan(shared, &call);
        let share = match call.trim.unwrap_or(itinerary.trim) {
            Trim::Off => None,
            Trim::Share(share) => Some(share),
        };
        Self {
            shared: Arc::clone(shared),
            itinerary,
            attempts: Attempts::new(call.attempts, call.deadline),
            deadline: call.deadline,
            call,
            apart: Vec::new(),
            refusals: Refusals::default(),
            share,
            trimming: Trimming::new(share.is_some()),
            cut: None,
            last_failure: None,
        }
    }

    /// Goes on for the rest of an answer that broke: with other requests, at the same link unless another one may, and
    /// with as much time as for the beginning.
    pub(crate) fn goes_on(
        &mut self,
        link: &Link,
        request_for: impl Fn(&Link) -> Arc<RequestBody>,
    ) -> Result<(), Refusal> {
        if self.call.continuation == Continuation::SameModel {
            self.itinerary.keep(|one| one.key == link.key);
        }
        self.itinerary.replace_requests(request_for);
        let now = self.shared.clock.mono();
        self.deadline =
            Some(now.after(self.call.patience.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)));
        self.refusals = Refusals::default();
        self.last_failure = None;
        // Of a request with the beginning of its answer nothing may be left out.
        self.trimming = Trimming::new(false);
        self.take_retry(link, Cause::BrokenStream, now);
        let mut pairs = self.itinerary.pairs(&self.shared);
        if self.attempts.go_on_until(self.deadline)
            && pairs.any(|(link, account)| self.attempts.may_use(account, &link.key))
        {
            return Ok(());
        }
        Err(Refusal::upstream_failed("the attempts of this request are used up"))
    }

    /// The link of the last attempt, if that was refused for the beginning of an answer in its request. It does not
    /// count: what it asked for is asked again without.
    pub(crate) fn refused_prefill(&mut self) -> Option<Arc<Link>> {
        let (account, link, cause) = self.last_failure.take()?;
        if !continuation::refuses_prefill(cause) {
            return None;
        }
        self.attempts.take_back(account, &link.key);
        Some(link)
    }

    /// Makes attempts until one is answered, or until none is left that may be made. Called again, it goes on within the
    /// limits of the request: attempts made before count.
    pub(crate) async fn next_answer(&mut self, story: &mut Story) -> Result<Granted, Refusal> {
        let outcome = self.try_all(story).await;
        if outcome.is_err() {
            self.tell_left_out(story);
        }
        outcome
    }

    async fn try_all(&mut self, story: &mut Story) -> Result<Granted, Refusal> {
        if let Some(refusal) = refuse::left_out(&self.call, &self.itinerary) {
            return Err(refusal);
        }
        loop {
            if self.all_rest() {
                return Err(self.refused(None));
            }
            let Some(permit) = self.admitted(story).await? else { continue };
            match self.attempt(permit, story).await {
                Tryout::Answered(granted) => return Ok(granted),
                Tryout::GoesOn => {}
                Tryout::Ends(refusal) => return Err(refusal),
            }
        }
    }

    /// Waits for a slot. `None`: things have changed, look again.
    async fn admitted(&mut self, story: &mut Story) -> Result<Option<Permit>, Refusal> {
        let mut able = self.candidates();
        let now = self.shared.clock.mono();
        self.shared.health.asked(now);
        self.apart.retain(|one| one.until > now);
        let has_some = !able.is_empty();
        able.retain(|one| {
            let key = self.itinerary.link(one.choice).map(|link| &link.key);
            let is_it = |other: &Apart| other.account == one.account && Some(&other.link) == key;
            !self.apart.iter().any(is_it)
        });
        if able.is_empty() {
            if has_some {
                self.wait_for_room(story).await?;
                return Ok(None);
            }
            return Err(self.refused(None));
        }
        let waits_for = self.waits_for(&able, now);
        self.call.waiting.begins(waits_for);
        let asker = self.call.asker(self.deadline);
        let slot = self.shared.gate.admit(able, asker, &story.request_id);
        let admitted = self.while_in_force(slot).await;
        self.call.waiting.ends();
        story.waited(waits_for, self.shared.clock.mono().since(now));
        admitted?.map(Some).map_err(|why| self.refused(Some(why)))
    }

    async fn attempt(&mut self, mut permit: Permit, story: &mut Story) -> Tryout {
        let shared = Arc::clone(&self.shared);
        let taken = permit.grant.account;
        let Some(link) = self.itinerary.link(permit.grant.choice).map(Arc::clone) else {
            return Tryout::GoesOn;
        };
        let account = &shared.accounts[taken];
        if !self.still_stands(&link, &permit.grant) {
            return Tryout::GoesOn;
        }
        // A circuit may have opened meanwhile, or somebody else makes its probe.
        let Ok(passing) = shared.health.pass(&shared.clock, taken, &link.key) else {
            return Tryout::GoesOn;
        };
        let charge = match Charge::reserve(&shared, taken, &self.call, &link) {
            Ok(charge) => charge,
            Err(Denied::Budget(budget)) => {
                let stays_away = shared.close_for(taken, &self.call, &link, &budget);
                drop(permit);
                self.apart.extend(stays_away);
                return Tryout::GoesOn;
            }
            Err(Denied::Share(full, likely)) => {
                let choice = permit.grant.choice;
                drop((passing, permit));
                if full.is_too_small() {
                    return self.is_too_dear(choice, &link, &full, likely);
                }
                return self.wait_for_share(&full, likely, story).await;
            }
        };
        // The last one may have been set aside meanwhile; then the account is no candidate any more.
        let Some(key) = usable_key(&shared, taken) else {
            charge.settle(Bill::Nothing, None);
            return Tryout::GoesOn;
        };
        let unguarded = charge.is_unguarded();
        if story.attempts() == 0 {
            shared.health.earn_retries(&link.service.label, shared.clock.mono());
        }
        let is_fresh = self.attempts.wants_fresh_connection();
        permit.begin();
        self.attempts.begin(taken, &link.key);
        let served_by = ServedBy {
            model: Some(Arc::clone(&link.key)),
            account: Some(Arc::clone(&account.label)),
            key: Some(Arc::clone(&key.label)),
        };
        self.tell_choice(&link, story);
        story.begin_attempt(served_by, charge);
        let order = Order {
            call: &self.call,
            link: &link,
            key,
            permit: &permit,
            deadline: self.deadline,
            is_fresh,
        };
        let failed = match attempt::make(&shared, order, story).await {
            Ok(arrived) => {
                self.heard(passing.works(), &permit.grant);
                permit.learn(Lesson::Answered);
                shared.answered(taken, key, &link.key);
                self.remember_who(taken, &link);
                let cut = self.cut;
                return Tryout::Answered(Granted { arrived, permit, link, unguarded, cut });
            }
            Err(failed) => failed.without(key),
        };
        let cause = self.failed(&failed, &link, taken, story);
        self.heard(passing.failed(&failed.failure), &permit.grant);
        let tried = Tried { account: taken, key: key.number, model: &link.key };
        shared.record_failure(tried, &failed.failure);
        match cause {
            Cause::Capacity => permit.learn(Lesson::ModelFull),
            Cause::EdgeRateLimit | Cause::RateLimited => permit.learn(Lesson::TooFast),
            _ => {}
        }
        self.decide(permit, &link, (failed, cause), story)
    }

    /// Writes down that an attempt failed; what that means.
    fn failed(
        &mut self,
        failed: &Failed,
        link: &Arc<Link>,
        account: usize,
        story: &mut Story,
    ) -> Cause {
        let cause = classify(&failed.failure);
        self.last_failure = Some((account, Arc::clone(link), cause));
        if cause == Cause::ContextTooLong {
            self.itinerary.was_too_short(link);
        }
        if !is_recognised(&failed.failure) {
            self.shared.metrics.unknown_cause(&link.service.label, failed.failure.status);
        }
        story.attempt_failed(&failed.failure, cause.name());
        self.tell_left_out(story);
        // Not the upstream's words: they may repeat the prompt.
        tracing::debug!(
            request = %story.request_id,
            service = %link.service.label,
            kind = ?link.kind,
            cause = cause.name(),
            "attempt failed"
        );
        cause
    }

    /// What follows from a failed attempt.
    fn decide(
        &mut self,
        permit: Permit,
        link: &Arc<Link>,
        (failed, cause): (Failed, Cause),
        story: &mut Story,
    ) -> Tryout {
        let shared = Arc::clone(&self.shared);
        let Grant { account: taken, choice, .. } = permit.grant;
        let now = shared.clock.mono();
        let elsewhere = self.elsewhere(link, now);
        let pair = (taken, &*link.key);
        let jitter = jitter_permille();
        let next = self.attempts.failed(now, pair, &failed.failure, elsewhere, jitter);
        let refusal = refuse::after(&shared, &self.call, link, taken, cause, failed);
        let weight = refuse::weight(&self.itinerary, link, cause);
        let because = refuse::in_few_words(cause);
        self.refusals.add(usize::from(choice), &link.key, because, weight, refusal);
        // The slot is not held while waiting.
        drop(permit);
        // What is too long does not fit by waiting either: only less of it is another request.
        let may_go_on = next != Next::GiveUp || cause == Cause::ContextTooLong;
        let goes_elsewhere = elsewhere.is_some_and(|opens| opens <= now);
        let trimmed =
            self.trimming.is_due(cause, goes_elsewhere) && may_go_on && self.trim(cause, story);
        match next {
            Next::GiveUp if trimmed => {}
            // It is asked again without the beginning of the answer, before anybody else is waited for.
            Next::GiveUp
                if !link.sends(&self.call.request) && continuation::refuses_prefill(cause) =>
            {
                return Tryout::Ends(self.refused(None));
            }
            // Only a stand-in does not take it: others may.
            Next::GiveUp
                if weight == Weight::StandIn
                    && self.attempts.made() < self.call.attempts.attempts =>
            {
                self.attempts.leave(&link.key, cause);
            }
            Next::GiveUp => return Tryout::Ends(self.refused(None)),
            Next::Retry { .. } => self.take_retry(link, cause, now),
        }
        // There is no point in waiting for an attempt that nobody may make.
        if self.candidates().is_empty() {
            return Tryout::Ends(self.refused(None));
        }
        Tryout::GoesOn
    }

    /// Who waited for a probe may go if it closed the circuit.
    fn heard(&self, closes: bool, probe: &Grant) {
        if closes {
            let waited_for_it =
                |one: &Candidate| one.account == probe.account || one.model == probe.model;
            self.shared.gate.ask_sooner(waited_for_it);
        }
    }

    /// Sends less from here on, if anything can go.
    fn trim(&mut self, cause: Cause, story: &mut Story) -> bool {
        let Some((call, cut)) = self.share.and_then(|share| self.call.trimmed(share)) else {
            return false;
        };
        self.call = Arc::new(call);
        self.itinerary.replace_request(&self.call.request);
        self.attempts.was_trimmed();
        self.cut = Some(cut);
        story.trimmed(&cut, cause.name());
        true
    }

    /// A retry is taken from those of the service that failed. If there is none for now, its links are asked later; if
    /// there is none at all, others may still serve the request.
    fn take_retry(&mut self, failed: &Link, cause: Cause, now: Mono) {
        let at = self.shared.health.take_retry(&failed.service.label, cause, now, self.deadline);
        for link in self.itinerary.links() {
            if Arc::ptr_eq(&link.service, &failed.service) {
                match at {
                    Some(at) => self.attempts.hold(&link.key, at),
                    None => self.attempts.leave(&link.key, cause),
                }
            }
        }
    }

    /// The prompt's prefix is cached where it was answered.
    fn remember_who(&self, account: usize, link: &Link) {
        if let Some(beginning) = self.call.beginning.filter(|_| self.itinerary.policy.stickiness) {
            let stuck = Stuck { link: Arc::clone(&link.key), account };
            let now = self.shared.clock.mono();
            self.shared.stickiness.lock().served(beginning, stuck, now);
        }
    }

    /// Why nobody takes the request; after an attempt, what that came to.
    fn refused(&mut self, why: Option<crate::driver::gate::NotAdmitted>) -> Refusal {
        let refusals = std::mem::take(&mut self.refusals);
        refuse::told(&self.shared, &self.call, &self.itinerary, refusals, why)
    }
}

fn jitter_permille() -> u64 {
    getrandom::u32().map_or(500, |random| u64::from(random) % 1_000)
}
