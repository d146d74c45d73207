//! The attempts of one request: asks the gate for a slot, makes an attempt, and decides after each failure. It is a
//! value, so that it can go on after an answer that broke, within the same limits.

use super::attempt::{self, Arrived, Order};
use super::call::Call;
use super::itinerary::{Itinerary, Link};
use super::refuse::{self, several::Refusals};
use crate::accounts::AccountKey;
use crate::charge::{Bill, Charge, Denied};
use crate::config::Trim;
use crate::driver::gate::Permit;
use crate::refusal::Refusal;
use crate::shared::{Apart, Shared};
use crate::story::{Story, WaitedFor};
use ripcord_rules::admit::Candidate;
use ripcord_rules::cause::{Cause, classify, is_recognised};
use ripcord_rules::clients::Full;
use ripcord_rules::continuation;
use ripcord_rules::recover::{Attempts, Next, RestBook, Scope, Tried, Trimming};
use ripcord_rules::route::Continuation;
use ripcord_rules::time::Mono;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{Outcome, ServedBy};
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
    /// Links, by their keys, that are not asked sooner.
    pauses: Vec<(Arc<str>, Mono)>,
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
        let share = match call.trim.unwrap_or(shared.routing.trim) {
            Trim::Off => None,
            Trim::Share(share) => Some(share),
        };
        Self {
            shared: Arc::clone(shared),
            itinerary: Itinerary::plan(shared, &call),
            attempts: Attempts::new(call.attempts, call.deadline),
            deadline: call.deadline,
            call,
            apart: Vec::new(),
            pauses: Vec::new(),
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
        loop {
            if let Some(refusal) = self.all_rest() {
                return Err(self.refusals.take().unwrap_or(refusal));
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
        self.apart.retain(|one| one.until > now);
        let has_some = !able.is_empty();
        able.retain(|one| !self.apart.iter().any(|other| other.account == one.account));
        if able.is_empty() {
            if has_some {
                self.wait_for_room(story).await?;
                return Ok(None);
            }
            return Err(self.refused(None));
        }
        // Where nobody may be asked yet, no slot is what it waits for.
        let waits_for = match able.iter().all(|one| one.not_before.is_some()) {
            true => WaitedFor::Backoff,
            false => WaitedFor::Slot,
        };
        let slot = self.shared.gate.admit(able, self.deadline);
        let admitted = self.while_in_force(slot).await;
        story.waited(waits_for, self.shared.clock.mono().since(now));
        admitted?.map(Some).map_err(|why| self.refused(Some(why)))
    }

    async fn attempt(&mut self, permit: Permit, story: &mut Story) -> Tryout {
        let shared = Arc::clone(&self.shared);
        let Some(link) = self.itinerary.link(permit.choice).map(Arc::clone) else {
            return Tryout::GoesOn;
        };
        let account = &shared.accounts[permit.account];
        let charge = match Charge::reserve(&shared, permit.account, &self.call, &link) {
            Ok(charge) => charge,
            Err(Denied::Budget(budget)) => {
                let stays_away = shared.close_for(permit.account, &self.call, &link, &budget);
                drop(permit);
                self.apart.extend(stays_away);
                return Tryout::GoesOn;
            }
            Err(Denied::Share(full, likely)) => {
                drop(permit);
                return self.wait_for_share(&full, likely, story).await;
            }
        };
        // The last one may have been set aside meanwhile; then the account is no candidate any more.
        let Some(key) = usable_key(&shared, permit.account) else {
            charge.settle(Bill::Nothing, None);
            return Tryout::GoesOn;
        };
        let unguarded = charge.is_unguarded();
        self.attempts.begin(permit.account, &link.key);
        let served_by = ServedBy {
            model: Some(Arc::clone(&link.key)),
            account: Some(Arc::clone(&account.label)),
            key: Some(Arc::clone(&key.label)),
        };
        story.begin_attempt(served_by, charge);
        let order = Order { call: &self.call, link: &link, key, deadline: self.deadline };
        let failed = match attempt::make(&shared, order, story).await {
            Ok(arrived) => {
                shared.answered(permit.account, key, &link.key);
                let cut = self.cut;
                return Tryout::Answered(Granted { arrived, permit, link, unguarded, cut });
            }
            Err(failed) => failed,
        };
        let cause = classify(&failed.failure);
        self.last_failure = Some((permit.account, Arc::clone(&link), cause));
        if !is_recognised(&failed.failure) {
            shared.metrics.unknown_cause(&link.service.label, failed.failure.status);
        }
        story.end_attempt(Outcome::Failed, Some(cause.name()));
        // Not the upstream's words: they may repeat the prompt.
        tracing::debug!(
            request = %story.request_id,
            service = %link.service.label,
            kind = link.kind.name(),
            cause = cause.name(),
            "attempt failed"
        );
        let tried = Tried { account: permit.account, key: key.number, model: &link.key };
        shared.record_failure(tried, &failed.failure);
        let next = self.attempts.failed(
            shared.clock.mono(),
            (permit.account, &link.key),
            &failed.failure,
            false,
            jitter_permille(),
        );
        let refusal = refuse::after(&shared, &self.call, &link, permit.account, cause, failed);
        self.refusals.add(
            usize::from(permit.choice),
            &link.key,
            refuse::in_few_words(cause),
            refuse::weight(&link, cause),
            refusal,
        );
        // The slot is not held while waiting.
        drop(permit);
        // What is too long does not fit by waiting either: only less of it is another request.
        let may_go_on = next != Next::GiveUp || cause == Cause::ContextTooLong;
        let trimmed = self.trimming.is_due(cause, self.is_open_elsewhere(&link))
            && may_go_on
            && self.trim(cause, story);
        match next {
            Next::GiveUp if trimmed => {}
            Next::GiveUp => return Tryout::Ends(self.refused(None)),
            Next::Retry { at } => self.pause(&link.key, at),
        }
        // There is no point in waiting for an attempt that nobody may make.
        if self.candidates().is_empty() {
            return Tryout::Ends(self.refused(None));
        }
        Tryout::GoesOn
    }

    /// Whether another link may be asked now.
    fn is_open_elsewhere(&self, link: &Link) -> bool {
        let is_other = |candidate: &Candidate| {
            let other = self.itinerary.link(candidate.choice);
            other.is_some_and(|other| other.key != link.key) && candidate.not_before.is_none()
        };
        self.candidates().iter().any(is_other)
    }

    /// Sends less from here on, if anything can go.
    fn trim(&mut self, cause: Cause, story: &mut Story) -> bool {
        let Some((call, cut)) = self.share.and_then(|share| self.call.trimmed(share)) else {
            return false;
        };
        self.call = Arc::new(call);
        self.itinerary.replace_request(&self.call.request);
        self.cut = Some(cut);
        story.trimmed(&cut, cause.name());
        true
    }

    /// The link is not asked before this moment.
    fn pause(&mut self, key: &Arc<str>, until: Mono) {
        self.pauses.retain(|(other, _)| other != key);
        self.pauses.push((Arc::clone(key), until));
    }

    /// Why nobody takes the request; after an attempt, what that came to.
    fn refused(&mut self, why: Option<crate::driver::gate::NotAdmitted>) -> Refusal {
        self.refusals
            .take()
            .unwrap_or_else(|| refuse::nobody(&self.shared, &self.call, &self.itinerary, why))
    }

    /// Models that are known not to answer are not asked: what to say if that is all of them.
    fn all_rest(&self) -> Option<Refusal> {
        let now = self.shared.clock.mono();
        let rests = self.shared.rests.lock();
        let rest = |link: &Arc<Link>| {
            Some((Arc::clone(link), rests.resting(&Scope::Model(link.key.to_string()), now)?))
        };
        let resting: Option<Vec<_>> = self.itinerary.links().iter().map(rest).collect();
        let (link, rest) = resting?.into_iter().min_by_key(|(_, rest)| rest.until)?;
        Some(refuse::resting_model(&link, rest, now))
    }

    /// The accounts that may be asked. Plans go before figures that nobody can see, and those before the balance.
    fn candidates(&self) -> Vec<Candidate> {
        let (shared, call) = (&self.shared, &self.call);
        let now = shared.clock.now();
        let rests = shared.rests.lock();
        let mut able = Vec::new();
        for (choice, link) in (0..).zip(self.itinerary.links()) {
            if rests.resting(&Scope::Model(link.key.to_string()), now.mono).is_some() {
                continue;
            }
            let pause = self.pauses.iter().find(|(key, _)| *key == link.key);
            for (number, account) in shared.accounts.iter().enumerate() {
                let pair = Scope::AccountModel(number, link.key.to_string());
                if !Arc::ptr_eq(&account.service, &link.service)
                    || !self.attempts.may_use(number, &link.key)
                    || account.keys.iter().all(|key| is_resting(&rests, key, now.mono))
                    || rests.resting(&pair, now.mono).is_some()
                {
                    continue;
                }
                able.push(Candidate {
                    account: number,
                    class: call.spender.class(),
                    stage: u8::try_from(choice).unwrap_or(u8::MAX),
                    tier: account.tier(&call.spender, now.wall),
                    choice,
                    not_before: pause.map(|(_, until)| *until).filter(|until| *until > now.mono),
                    is_preferred: false,
                    model: None,
                });
            }
        }
        able
    }

    /// Every account that could serve the call has no room for this one: waits until one of them may, or says why not.
    async fn wait_for_room(&self, story: &mut Story) -> Result<(), Refusal> {
        let (shared, call) = (&self.shared, &self.call);
        let now = shared.clock.mono();
        let known = |one: &&Apart| one.turns.map_or(u64::MAX, Mono::as_micros);
        let Some(first) = self.apart.iter().min_by_key(known) else { return Ok(()) };
        let is_in_time = |deadline: Mono| first.turns.is_some_and(|turns| turns < deadline);
        if !self.deadline.is_none_or(is_in_time) {
            return Err(refuse::of_verdict(shared, call, first.account, &first.verdict));
        }
        let until = self.apart.iter().map(|one| one.until).min().unwrap_or(now);
        let waited = tokio::time::sleep_until(shared.clock.instant(until));
        let waited = self.while_in_force(waited).await;
        story.waited(WaitedFor::Room, shared.clock.mono().since(now));
        waited
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
            Ok(false) => Tryout::Ends(Refusal::of_share(bearer, full, likely, now.wall)),
            Err(refusal) => Tryout::Ends(refusal),
        }
    }

    /// Waits for something unless the bearer's key is revoked or expires meanwhile.
    async fn while_in_force<T>(&self, waits: impl Future<Output = T>) -> Result<T, Refusal> {
        let now = || self.shared.clock.now().wall;
        self.call.spender.bearer.while_in_force(now, waits).await
    }
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
