//! The attempts of one request: asks the gate for a slot, makes an attempt, and decides after each failure. It is a
//! value, so that it can go on after an answer that broke, within the same limits.

mod telling;

use super::attempt::{self, Arrived, Order};
use super::call::Call;
use super::itinerary::{Itinerary, Link};
use super::refuse;
use super::refuse::several::{Refusals, Weight};
use crate::accounts::AccountKey;
use crate::charge::{Bill, Charge, Denied};
use crate::config::Trim;
use crate::driver::gate::{Lesson, Permit};
use crate::refusal::Refusal;
use crate::shared::{Apart, Shared};
use crate::story::{Story, WaitedFor};
use ripcord_rules::admit::{Candidate, Grant};
use ripcord_rules::cause::{Cause, classify, is_recognised};
use ripcord_rules::clients::Full;
use ripcord_rules::continuation;
use ripcord_rules::recover::{Attempts, Next, Rest, RestBook, Scope, Tried, Trimming};
use ripcord_rules::route::Continuation;
use ripcord_rules::route::Stuck;
use ripcord_rules::time::{Mono, Now};
use ripcord_rules::units::NanoUsd;
use ripcord_store::ServedBy;
use ripcord_wire::body::RequestBody;
use ripcord_wire::trim::{Cut, Share};
use std::cmp::Reverse;
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
        let cause = classify(&failed.failure);
        self.last_failure = Some((taken, Arc::clone(&link), cause));
        if !is_recognised(&failed.failure) {
            shared.metrics.unknown_cause(&link.service.label, failed.failure.status);
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
        let tried = Tried { account: taken, key: key.number, model: &link.key };
        self.heard(passing.failed(&failed.failure), &permit.grant);
        shared.record_failure(tried, &failed.failure);
        match cause {
            Cause::Capacity => permit.learn(Lesson::ModelFull),
            Cause::EdgeRateLimit | Cause::RateLimited => permit.learn(Lesson::TooFast),
            Cause::ContextTooLong => self.itinerary.was_too_short(&link),
            _ => {}
        }
        let now = shared.clock.mono();
        let elsewhere = self.elsewhere(&link, now);
        let pair = (taken, &*link.key);
        let jitter = jitter_permille();
        let next = self.attempts.failed(now, pair, &failed.failure, elsewhere, jitter);
        let refusal = refuse::after(&shared, &self.call, &link, taken, cause, failed);
        let weight = refuse::weight(&self.itinerary, &link, cause);
        let because = refuse::in_few_words(cause);
        self.refusals.add(usize::from(permit.grant.choice), &link.key, because, weight, refusal);
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
            Next::Retry { .. } => self.take_retry(&link, cause, now),
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

    /// When another link could be asked, if one may.
    fn elsewhere(&self, failed: &Link, now: Mono) -> Option<Mono> {
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

    /// What keeps the request waiting: said to a client whose stream is open already.
    fn waits_for(&self, able: &[Candidate], now: Mono) -> WaitedFor {
        let mut at_once = able.iter().filter(|one| one.not_before.is_none()).peekable();
        if at_once.peek().is_some() {
            let gate = &self.shared.gate;
            let is_open = |one: &Candidate| gate.opens_at(one.account, one.class, now) == Some(now);
            return if at_once.any(is_open) { WaitedFor::Slot } else { WaitedFor::Account };
        }
        let rests = self.shared.rests.lock();
        let is_cold = |one: &Candidate| {
            let link = self.itinerary.link(one.choice)?;
            rests.resting(&Scope::Model(link.key.to_string()), now)
        };
        match able.iter().any(|one| is_cold(one).is_some()) {
            true => WaitedFor::Warming,
            false => WaitedFor::Backoff,
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

    /// Whether every model is known not to answer in time: such a one is not asked.
    fn all_rest(&self) -> bool {
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
    fn candidates(&self) -> Vec<Candidate> {
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
        let rest = rests.resting(&Scope::Model(link.key.to_string()), now.mono);
        let of_pair = rests.resting(&Scope::AccountModel(number, link.key.to_string()), now.mono);
        let is_in_time = |rest: Rest| self.deadline.is_none_or(|deadline| rest.until < deadline);
        if !Arc::ptr_eq(&account.service, &link.service)
            || self.itinerary.is_too_short(link)
            || rest.is_some_and(|rest| !rest.may_be_waited_for())
            || of_pair.is_some_and(|rest| !(rest.may_be_waited_for() && is_in_time(rest)))
            || !self.attempts.may_use(number, &link.key)
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
    fn still_stands(&self, link: &Arc<Link>, grant: &Grant) -> bool {
        let now = self.shared.clock.now();
        let rests = self.shared.rests.lock();
        let candidate = self.candidate(&rests, (grant.choice, link, grant.account), now);
        candidate.is_some_and(|one| one.not_before.is_none())
    }

    /// Every account that could serve the call has no room for this one: waits until one of them may, or says why not.
    async fn wait_for_room(&mut self, story: &mut Story) -> Result<(), Refusal> {
        let shared = &self.shared;
        let now = shared.clock.mono();
        let Some(first) = self.apart.iter().min_by_key(|one| turn_of(one)) else { return Ok(()) };
        let is_in_time = |deadline: Mono| first.turns.is_some_and(|turns| turns < deadline);
        if !self.deadline.is_none_or(is_in_time) {
            return Err(self.no_room());
        }
        let until = self.apart.iter().map(|one| one.until).min().unwrap_or(now);
        let waited = tokio::time::sleep_until(shared.clock.instant(until));
        let waited = self.while_in_force(waited).await;
        story.waited(WaitedFor::Room, shared.clock.mono().since(now));
        waited
    }

    /// What to say where no account has room for the call in time; for each link, of the account that has some first.
    fn no_room(&mut self) -> Refusal {
        self.apart.sort_by_key(|one| Reverse(turn_of(one)));
        for one in &self.apart {
            let mut links = self.itinerary.links().iter();
            if let Some(choice) = links.position(|link| link.key == one.link) {
                let refusal =
                    refuse::of_verdict(&self.shared, &self.call, one.account, &one.verdict);
                let because = refuse::in_few_words(Cause::WindowUsedUp(None));
                self.refusals.add(choice, &one.link, because, Weight::Link, refusal);
            }
        }
        self.refused(None)
    }

    /// The bearer's share has no room for the call: waits for others of the bearer that may cost less than they might
    /// have, or says that it is used up.
    async fn wait_for_share(&self, full: &Full, likely: NanoUsd, story: &mut Story) -> Tryout {
        let shared = &self.shared;
        let bearer = &self.call.spender.bearer;
        let now = shared.clock.now();
        let freed = async {
            if full.may_settle {
                bearer.room_for(likely, now.wall).await;
            }
            full.may_settle
        };
        let until_deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(shared.clock.instant(deadline)).await,
                None => std::future::pending().await,
            }
        };
        let in_time = self.while_in_force(async {
            tokio::select! {
                has_room = freed => has_room,
                () = until_deadline => false,
            }
        });
        let waited = in_time.await;
        story.waited(WaitedFor::Share, shared.clock.mono().since(now.mono));
        match waited {
            Ok(true) => Tryout::GoesOn,
            Ok(false) if full.may_settle => Tryout::Ends(Refusal::share_is_taken(bearer)),
            Ok(false) => Tryout::Ends(Refusal::of_share(bearer, full, likely, now.wall)),
            Err(refusal) => Tryout::Ends(refusal),
        }
    }

    /// What is left of the bearer's share is not enough for this link. Another one may cost less.
    fn is_too_dear(&mut self, choice: u16, link: &Link, full: &Full, likely: NanoUsd) -> Tryout {
        let now = self.shared.clock.now().wall;
        let refusal = Refusal::of_share(&self.call.spender.bearer, full, likely, now);
        let because = "more than is left of the key's budget";
        self.refusals.add(usize::from(choice), &link.key, because, Weight::Link, refusal);
        self.attempts.leave(&link.key, Cause::OutOfCredit);
        if self.candidates().is_empty() {
            return Tryout::Ends(self.refused(None));
        }
        Tryout::GoesOn
    }

    /// Waits for something unless the bearer's key is revoked or expires meanwhile.
    async fn while_in_force<T>(&self, waits: impl Future<Output = T>) -> Result<T, Refusal> {
        let now = || self.shared.clock.now().wall;
        self.call.spender.bearer.while_in_force(now, waits).await
    }
}

/// When an account may have room again; the end of time where nobody knows.
fn turn_of(apart: &Apart) -> u64 {
    apart.turns.map_or(u64::MAX, Mono::as_micros)
}

/// A key of the account that does not rest.
pub(super) fn usable_key(shared: &Shared, account: usize) -> Option<&AccountKey> {
    let now = shared.clock.mono();
    let rests = shared.rests.lock();
    shared.accounts[account].keys_in_turn().find(|key| !is_resting(&rests, key, now))
}

fn is_resting(rests: &RestBook, key: &AccountKey, now: Mono) -> bool {
    rests.resting(&Scope::Key(key.number), now).is_some()
}

fn jitter_permille() -> u64 {
    getrandom::u32().map_or(500, |random| u64::from(random) % 1_000)
}
