//! What a request waits for besides a slot.

use super::{Link, Pursuit, Tryout};
use crate::pipeline::refuse;
use crate::pipeline::refuse::several::Weight;
use crate::refusal::Refusal;
use crate::shared::Apart;
use crate::story::{Story, WaitedFor};
use ripcord_rules::admit::Candidate;
use ripcord_rules::cause::Cause;
use ripcord_rules::clients::Full;
use ripcord_rules::recover::Scope;
use ripcord_rules::time::Mono;
use ripcord_rules::units::NanoUsd;
use std::cmp::Reverse;

impl Pursuit {
    /// What keeps the request waiting: said to a client whose stream is open already.
    pub(super) fn waits_for(&self, able: &[Candidate], now: Mono) -> WaitedFor {
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

    /// Every account that could serve the call has no room for this one: waits until one of them may, or says why not.
    pub(super) async fn wait_for_room(&mut self, story: &mut Story) -> Result<(), Refusal> {
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
    pub(super) async fn wait_for_share(
        &self,
        full: &Full,
        likely: NanoUsd,
        story: &mut Story,
    ) -> Tryout {
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
    pub(super) fn is_too_dear(
        &mut self,
        choice: u16,
        link: &Link,
        full: &Full,
        likely: NanoUsd,
    ) -> Tryout {
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
    pub(super) async fn while_in_force<T>(
        &self,
        waits: impl Future<Output = T>,
    ) -> Result<T, Refusal> {
        let now = || self.shared.clock.now().wall;
        self.call.spender.bearer.while_in_force(now, waits).await
    }
}

/// When an account may have room again; the end of time where nobody knows.
fn turn_of(apart: &Apart) -> u64 {
    apart.turns.map_or(u64::MAX, Mono::as_micros)
}
