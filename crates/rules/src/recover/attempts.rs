//! The attempts of one request.

use crate::cause::{Cause, Failure, Phase, Says, classify};
use crate::time::Mono;
use std::time::Duration;

/// A request that was refused for so many keys and accounts gives up; nobody has that many, so something else is wrong.
const MANY_SET_ASIDE: u32 = 32;
/// How often a model is waited for that is full or cold, for each attempt that the limits allow.
const WAITS_PER_ATTEMPT: u32 = 3;
/// The first wait for a full model is anywhere below this; then twice as long each time.
const CAPACITY_BACKOFF: Duration = Duration::from_secs(2);
/// The first wait after a failure that passes.
const TRANSIENT_BACKOFF: Duration = Duration::from_millis(250);
/// No wait is longer, unless the answer asks for it.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How often a request may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Attempts in all.
    pub attempts: u32,
    /// Attempts on one account and model.
    pub attempts_per_pair: u32,
    /// Retries after the whole request had been sent and nothing useful came back: it may have been billed.
    pub retries_after_send: u32,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self { attempts: 4, attempts_per_pair: 2, retries_after_send: 1 }
    }
}

impl AttemptLimits {
    /// What is left for a caller that has already tried again by itself: its tries and ours share one budget.
    #[must_use]
    pub fn after_callers_retries(self, retries: u32) -> Self {
        Self {
            attempts: self.attempts.saturating_sub(retries).max(1),
            attempts_per_pair: self.attempts_per_pair.saturating_sub(retries).max(1),
            retries_after_send: self.retries_after_send.saturating_sub(retries),
        }
    }

    /// For a stream: one that is left costs nothing (recordings, D43), so one more may be left.
    #[must_use]
    pub fn for_stream(self) -> Self {
        let more = u32::from(self.retries_after_send > 0);
        Self { retries_after_send: self.retries_after_send + more, ..self }
    }
}

/// The attempts of one request so far. A link is one model at one service, by the name that the caller gives it.
#[derive(Clone, Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    deadline: Option<Mono>,
    made: u32,
    after_send: u32,
    /// How often a key or an account was refused at the door, and is set aside by its rest.
    set_aside: u32,
    /// How often a model was full or cold.
    waits: u32,
    wants_fresh_connection: bool,
    pairs: Vec<Pair>,
    links: Vec<Link>,
}

#[derive(Clone, Debug)]
struct Pair {
    account: usize,
    link: Box<str>,
    made: u32,
    /// This request does not go there any more.
    is_out: bool,
}

#[derive(Clone, Debug)]
struct Link {
    name: Box<str>,
    /// Why this request does not go there any more.
    out: Option<Cause>,
    /// Not sooner.
    not_before: Mono,
    full: u32,
    edge_blocks: u32,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again, not before `at`: where [`Attempts::may_use`] allows it, and no link sooner than
    /// [`Attempts::not_before`].
    Retry {
        /// The earliest moment.
        at: Mono,
    },
    /// Tell the caller.
    GiveUp,
}

/// What a cause asks for.
enum Step {
    /// Another try at once: something that rests now, or another link, makes the difference.
    Again,
    /// This link not before a while.
    Wait(Duration),
    /// This link not any more.
    Leave,
    /// Nothing helps.
    End,
}

// === impl Attempts ===

impl Attempts {
    /// A request that has not been tried.
    #[must_use]
    pub const fn new(limits: AttemptLimits, deadline: Option<Mono>) -> Self {
        Self {
            limits,
            deadline,
            made: 0,
            after_send: 0,
            set_aside: 0,
            waits: 0,
            wants_fresh_connection: false,
            pairs: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Attempts made, without those that were refused at the door and cost nothing.
    #[must_use]
    pub const fn made(&self) -> u32 {
        self.made
    }

    /// Whether this account may be tried (once more) for this link.
    #[must_use]
    pub fn may_use(&self, account: usize, link: &str) -> bool {
        let pair = self.pairs.iter().find(|pair| pair.account == account && *pair.link == *link);
        pair.is_none_or(|pair| !pair.is_out && pair.made < self.limits.attempts_per_pair)
            && self.link(link).is_none_or(|link| link.out.is_none())
    }

    /// The link is asked no sooner; `None` if it may be asked at once.
    #[must_use]
    pub fn not_before(&self, link: &str, now: Mono) -> Option<Mono> {
        self.link(link).map(|link| link.not_before).filter(|&moment| moment > now)
    }

    /// Whether this account has failed for this link, so that others of its kind go first.
    #[must_use]
    pub fn has_failed(&self, account: usize, link: &str) -> bool {
        let is_it = |pair: &Pair| pair.account == account && *pair.link == *link;
        self.pairs.iter().any(|pair| is_it(pair) && pair.made > 0)
    }

    /// Whether the next attempt should not use a connection that was used before.
    #[must_use]
    pub const fn wants_fresh_connection(&self) -> bool {
        self.wants_fresh_connection
    }

    /// How often the link was full.
    #[must_use]
    pub fn times_full(&self, link: &str) -> u32 {
        self.link(link).map_or(0, |link| link.full)
    }

    /// Counts an attempt that begins.
    pub fn begin(&mut self, account: usize, link: &str) {
        self.made = self.made.saturating_add(1);
        let pair = self.pair_mut(account, link);
        pair.made = pair.made.saturating_add(1);
    }

    /// The request is a shorter one from here on: links that it did not fit may be asked again.
    pub fn was_trimmed(&mut self) {
        for link in &mut self.links {
            if link.out == Some(Cause::ContextTooLong) {
                link.out = None;
            }
        }
    }

    /// Goes on for the rest of an answer, until another moment; whether an attempt is left for it.
    pub fn go_on_until(&mut self, deadline: Option<Mono>) -> bool {
        self.deadline = deadline;
        self.made < self.limits.attempts
    }

    /// Does not go to a link any more.
    pub fn leave(&mut self, link: &str, cause: Cause) {
        self.link_mut(link).out = Some(cause);
    }

    /// Keeps a link from being asked before `moment`.
    pub fn hold(&mut self, link: &str, moment: Mono) {
        let link = self.link_mut(link);
        link.not_before = link.not_before.max(moment);
    }

    /// What to do after an attempt on `account` for `link` failed. `elsewhere`: when another link could be asked, if any.
    /// `jitter_permille` is a random number below 1000.
    pub fn failed(
        &mut self,
        now: Mono,
        (account, link): (usize, &str),
        failure: &Failure,
        elsewhere: Option<Mono>,
        jitter_permille: u64,
    ) -> Next {
        let cause = classify(failure);
        self.wants_fresh_connection =
            cause == Cause::EdgeBlock || (cause == Cause::Transient && failure.phase < Phase::Head);
        let goes_elsewhere = elsewhere.is_some_and(|opens| opens <= now);
        let step = self.step(cause, (account, link), failure, goes_elsewhere, jitter_permille);
        if self.made >= self.limits.attempts {
            return Next::GiveUp;
        }
        let at = match step {
            Step::End => return Next::GiveUp,
            Step::Again => now,
            Step::Wait(wait) => {
                // An attempt that is asked to wait waits at least that long.
                let wait = wait.max(failure.retry_after.unwrap_or_default());
                self.hold(link, now.after(wait));
                self.first_held().into_iter().chain(elsewhere).min().unwrap_or(now).max(now)
            }
            Step::Leave => {
                self.leave(link, cause);
                match self.first_held().into_iter().chain(elsewhere).min() {
                    Some(first) => first.max(now),
                    None => return Next::GiveUp,
                }
            }
        };
        let is_late = at > now && self.deadline.is_some_and(|deadline| at >= deadline);
        if is_late { Next::GiveUp } else { Next::Retry { at } }
    }

    /// Counts what is to be counted, and says what helps.
    fn step(
        &mut self,
        cause: Cause,
        (account, link): (usize, &str),
        failure: &Failure,
        goes_elsewhere: bool,
        jitter_permille: u64,
    ) -> Step {
        match cause {
            // The account rests, and the queue knows until when: another one goes on at once.
            Cause::EdgeRateLimit | Cause::RateLimited => Step::Again,
            // Set aside for longer than a request lasts, one key or account after the other. It costs nothing, so it takes
            // no attempt away from those that can work.
            Cause::WindowUsedUp(_) | Cause::OutOfCredit | Cause::DeadKey => {
                self.take_back(account, link);
                self.set_aside()
            }
            Cause::NotEntitled | Cause::FreeModelLimit => {
                self.take_back(account, link);
                self.pair_mut(account, link).is_out = true;
                self.set_aside()
            }
            // Once more over another connection, then somebody else.
            Cause::EdgeBlock => {
                let link = self.link_mut(link);
                link.edge_blocks += 1;
                if link.edge_blocks > 1 { Step::Leave } else { Step::Again }
            }
            // Refused at the door: it costs nothing and says nothing of the account. Another model is asked at once;
            // otherwise waiting is all that helps, so it goes on as long as the deadline lets it, ever more slowly.
            Cause::Capacity => {
                self.take_back(account, link);
                let state = self.link_mut(link);
                state.full = state.full.saturating_add(1);
                let full = state.full;
                self.waited_for(Step::Wait(backoff(CAPACITY_BACKOFF, full, jitter_permille)))
            }
            // The model rests, and the queue knows until when.
            Cause::Cold => {
                self.take_back(account, link);
                self.waited_for(Step::Again)
            }
            Cause::Transient | Cause::Silent => {
                if matches!(failure.phase, Phase::AwaitHead | Phase::FirstEvent) {
                    self.after_send += 1;
                    if self.after_send > self.limits.retries_after_send {
                        return Step::End;
                    }
                }
                // The model is as good as full, though it was tried: another one comes first where one may be asked.
                if failure.says == Says::TargetsExhausted && goes_elsewhere {
                    return Step::Wait(CAPACITY_BACKOFF);
                }
                Step::Wait(backoff(TRANSIENT_BACKOFF, self.made, jitter_permille))
            }
            // What has gone out is known: whoever asks wants the rest of it.
            Cause::BrokenStream => Step::Again,
            // Another model may serve it, or another service.
            Cause::Disabled | Cause::ModelNotFound | Cause::ContextTooLong | Cause::Unreachable => {
                Step::Leave
            }
            Cause::AccountUnreadable | Cause::ContentFilter | Cause::BadRequest => Step::End,
        }
    }

    fn set_aside(&mut self) -> Step {
        self.set_aside += 1;
        if self.set_aside > MANY_SET_ASIDE { Step::End } else { Step::Again }
    }

    fn waited_for(&mut self, step: Step) -> Step {
        self.waits += 1;
        let most = self.limits.attempts.saturating_mul(WAITS_PER_ATTEMPT);
        if self.waits >= most { Step::End } else { step }
    }

    /// An attempt that does not count: it was refused at the door and says nothing of what would serve.
    pub fn take_back(&mut self, account: usize, link: &str) {
        self.made = self.made.saturating_sub(1);
        let pair = self.pair_mut(account, link);
        pair.made = pair.made.saturating_sub(1);
    }

    /// When the first link that waits may be asked.
    fn first_held(&self) -> Option<Mono> {
        let waits = self.links.iter().filter(|link| link.out.is_none());
        waits.map(|link| link.not_before).min()
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| *link.name == *name)
    }

    fn link_mut(&mut self, name: &str) -> &mut Link {
        let place = self.links.iter().position(|link| *link.name == *name).unwrap_or_else(|| {
            let not_before = Mono::default();
            self.links.push(Link {
                name: name.into(),
                out: None,
                not_before,
                full: 0,
                edge_blocks: 0,
            });
            self.links.len() - 1
        });
        &mut self.links[place]
    }

    fn pair_mut(&mut self, account: usize, link: &str) -> &mut Pair {
        let is_it = |pair: &Pair| pair.account == account && *pair.link == *link;
        let place = self.pairs.iter().position(is_it).unwrap_or_else(|| {
            self.pairs.push(Pair { account, link: link.into(), made: 0, is_out: false });
            self.pairs.len() - 1
        });
        &mut self.pairs[place]
    }
}

/// Full jitter: anywhere between nothing and `first` x 2^(`times` - 1).
fn backoff(first: Duration, times: u32, jitter_permille: u64) -> Duration {
    let ceiling = first
        .saturating_mul(2_u32.saturating_pow(times.saturating_sub(1).min(16)))
        .min(LONGEST_BACKOFF);
    let micros = ceiling.as_micros() * u128::from(jitter_permille.min(1_000)) / 1_000;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
