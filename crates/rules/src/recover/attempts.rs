//! The attempts of one request.

use crate::cause::{Cause, Failure, Phase, classify};
use crate::time::Mono;
use std::time::Duration;

/// A request that has met so many dead keys gives up; nobody has that many, so something else is wrong.
const MANY_DEAD_KEYS: u32 = 32;

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
}

/// The attempts of one request so far.
#[derive(Clone, Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    deadline: Option<Mono>,
    made: u32,
    after_send: u32,
    edge_blocks: u32,
    dead_keys: u32,
    /// How often the model was full.
    full: u32,
    /// By account and link, as the caller names them.
    per_pair: Vec<(usize, Box<str>, u32)>,
    excluded: Vec<usize>,
}

/// How often a full model is asked, for each attempt that the limits allow.
const FULL_PER_ATTEMPT: u32 = 3;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again, not before `at`, on an account that [`Attempts::may_use`] allows.
    Retry {
        /// The earliest moment.
        at: Mono,
    },
    /// Tell the caller.
    GiveUp,
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
            edge_blocks: 0,
            dead_keys: 0,
            full: 0,
            per_pair: Vec::new(),
            excluded: Vec::new(),
        }
    }

    /// Attempts made.
    #[must_use]
    pub const fn made(&self) -> u32 {
        self.made
    }

    /// Whether this account may be tried (once more) for this link.
    #[must_use]
    pub fn may_use(&self, account: usize, link: &str) -> bool {
        let pair = self.per_pair.iter().find(|(tried, of, _)| *tried == account && **of == *link);
        let made = pair.map_or(0, |(_, _, made)| *made);
        made < self.limits.attempts_per_pair && !self.excluded.contains(&account)
    }

    /// Counts an attempt that begins.
    pub fn begin(&mut self, account: usize, link: &str) {
        self.made += 1;
        match self.made_on(account, link) {
            Some(made) => *made += 1,
            None => self.per_pair.push((account, link.into(), 1)),
        }
    }

    /// Goes on for the rest of an answer, until another moment; whether an attempt is left for it.
    pub fn go_on_until(&mut self, deadline: Option<Mono>) -> bool {
        self.deadline = deadline;
        self.made < self.limits.attempts
    }

    /// An attempt that does not count: it was refused at the door and says nothing of what would serve.
    pub fn take_back(&mut self, account: usize, link: &str) {
        self.made = self.made.saturating_sub(1);
        if let Some(made) = self.made_on(account, link) {
            *made = made.saturating_sub(1);
        }
    }

    fn made_on(&mut self, account: usize, link: &str) -> Option<&mut u32> {
        let is_it =
            |(tried, of, _): &&mut (usize, Box<str>, u32)| *tried == account && **of == *link;
        self.per_pair.iter_mut().find(is_it).map(|(_, _, made)| made)
    }

    /// What to do after an attempt on `account` for `link` failed. `elsewhere`: another link could be asked now.
    /// `jitter_permille` is a random number below 1000.
    pub fn failed(
        &mut self,
        now: Mono,
        (account, link): (usize, &str),
        failure: &Failure,
        _elsewhere: bool,
        jitter_permille: u64,
    ) -> Next {
        let cause = classify(failure);
        let is_free = matches!(cause, Cause::DeadKey | Cause::Capacity);
        if self.made >= self.limits.attempts && !is_free {
            return Next::GiveUp;
        }
        let wait = match cause {
            Cause::WindowUsedUp(_)
            | Cause::NotEntitled
            | Cause::FreeModelLimit
            | Cause::RateLimited
            | Cause::OutOfCredit
            | Cause::EdgeRateLimit => {
                self.excluded.push(account);
                Duration::ZERO
            }
            // The next attempt takes another key, of this account or of another. Each key is refused once and then set
            // aside, so this ends by itself and takes no attempt away from those that can work.
            Cause::DeadKey => {
                self.dead_keys += 1;
                if self.dead_keys > MANY_DEAD_KEYS {
                    return Next::GiveUp;
                }
                self.take_back(account, link);
                return Next::Retry { at: now };
            }
            Cause::EdgeBlock => {
                self.edge_blocks += 1;
                if self.edge_blocks > 1 {
                    return Next::GiveUp;
                }
                Duration::ZERO
            }
            // Refused at the door: it costs nothing and says nothing of the account, so it takes no attempt away. Waiting
            // is all that helps, so it goes on as long as the deadline lets it, ever more slowly.
            Cause::Capacity => {
                self.full += 1;
                if self.full >= self.limits.attempts.saturating_mul(FULL_PER_ATTEMPT) {
                    return Next::GiveUp;
                }
                self.take_back(account, link);
                backoff(Duration::from_secs(2), 2, self.full, jitter_permille)
            }
            Cause::Transient | Cause::Silent => {
                if matches!(failure.phase, Phase::AwaitHead | Phase::FirstEvent) {
                    self.after_send += 1;
                    if self.after_send > self.limits.retries_after_send {
                        return Next::GiveUp;
                    }
                }
                backoff(Duration::from_millis(250), 2, self.made, jitter_permille)
            }
            Cause::Cold
            | Cause::Disabled
            | Cause::ModelNotFound
            | Cause::AccountUnreadable
            | Cause::ContextTooLong
            | Cause::ContentFilter
            | Cause::BadRequest
            | Cause::BrokenStream
            | Cause::Unreachable => return Next::GiveUp,
        };
        // An attempt that is asked to wait waits at least that long.
        let at = now.after(
            wait.max(failure.retry_after.filter(|_| wait > Duration::ZERO).unwrap_or_default()),
        );
        if self.deadline.is_some_and(|deadline| at >= deadline) {
            Next::GiveUp
        } else {
            Next::Retry { at }
        }
    }
}

/// Full jitter: anywhere between nothing and `first` x `factor`^(`made` - 1), at most 30 s.
fn backoff(first: Duration, factor: u32, made: u32, jitter_permille: u64) -> Duration {
    let ceiling = first
        .saturating_mul(factor.saturating_pow(made.saturating_sub(1).min(16)))
        .min(Duration::from_secs(30));
    let micros = ceiling.as_micros() * u128::from(jitter_permille.min(1_000)) / 1_000;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Origin, Says};
    use crate::recover::samples::{edge_limit, failure, seconds};

    #[test]
    fn an_account_problem_goes_to_another_account_and_never_back() {
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        attempts.begin(0, "m");
        let next = attempts.failed(seconds(0), (0, "m"), &edge_limit(), false, 999);
        assert_eq!(next, Next::Retry { at: seconds(0) });
        assert!(!attempts.may_use(0, "m") && attempts.may_use(1, "m"));
    }

    #[test]
    fn a_full_model_is_waited_for_and_a_bad_request_is_not_repeated() {
        let mut attempts = Attempts::new(AttemptLimits::default(), Some(seconds(10)));
        let full = failure(429, Origin::Application, Says::Capacity);
        attempts.begin(0, "m");
        assert_eq!(
            attempts.failed(seconds(0), (0, "m"), &full, false, 500),
            Next::Retry { at: seconds(1) }
        );
        attempts.begin(0, "m");
        assert_eq!(
            attempts.failed(seconds(1), (0, "m"), &full, false, 500),
            Next::Retry { at: seconds(3) }
        );
        assert!(attempts.may_use(0, "m"), "one account is enough: others would not help");
        // Past the deadline there is no point.
        attempts.begin(0, "m");
        assert_eq!(attempts.failed(seconds(9), (0, "m"), &full, false, 500), Next::GiveUp);
        // Without one it ends all the same, and what went wrong meanwhile counts as ever.
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        for _ in 0..11 {
            attempts.begin(0, "m");
            assert!(matches!(
                attempts.failed(seconds(0), (0, "m"), &full, false, 999),
                Next::Retry { .. }
            ));
        }
        attempts.begin(0, "m");
        assert_eq!(attempts.failed(seconds(0), (0, "m"), &full, false, 999), Next::GiveUp);
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        attempts.begin(0, "m");
        assert_eq!(
            attempts.failed(
                seconds(0),
                (0, "m"),
                &failure(400, Origin::Application, Says::Nothing),
                false,
                0
            ),
            Next::GiveUp
        );
    }

    #[test]
    fn what_may_have_been_billed_is_repeated_once() {
        let lost = Failure {
            phase: Phase::AwaitHead,
            status: None,
            ..failure(0, Origin::Transport, Says::Nothing)
        };
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        attempts.begin(0, "m");
        assert!(matches!(
            attempts.failed(seconds(0), (0, "m"), &lost, false, 0),
            Next::Retry { .. }
        ));
        attempts.begin(1, "m");
        assert_eq!(attempts.failed(seconds(0), (1, "m"), &lost, false, 0), Next::GiveUp);
        // What was never sent is repeated while attempts are left.
        let unsent = Failure { phase: Phase::Connect, ..lost };
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        for account in 0..3 {
            attempts.begin(account, "m");
            assert!(matches!(
                attempts.failed(seconds(0), (account, "m"), &unsent, false, 0),
                Next::Retry { .. }
            ));
        }
        attempts.begin(3, "m");
        assert_eq!(attempts.failed(seconds(0), (3, "m"), &unsent, false, 0), Next::GiveUp);
    }

    #[test]
    fn a_broken_answer_may_have_been_billed_too() {
        let cut = Failure {
            phase: Phase::FirstEvent,
            status: Some(200),
            ..failure(200, Origin::Application, Says::Nothing)
        };
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        attempts.begin(0, "m");
        assert!(matches!(
            attempts.failed(seconds(0), (0, "m"), &cut, false, 0),
            Next::Retry { .. }
        ));
        attempts.begin(1, "m");
        assert_eq!(attempts.failed(seconds(0), (1, "m"), &cut, false, 0), Next::GiveUp);
    }

    #[test]
    fn a_callers_retries_and_ours_do_not_multiply() {
        let limits = AttemptLimits::default();
        let left = limits.after_callers_retries(1);
        assert_eq!((left.attempts, left.attempts_per_pair, left.retries_after_send), (3, 1, 0));
        assert_eq!(limits.after_callers_retries(9).attempts, 1);
    }

    #[test]
    fn dead_keys_take_no_attempt_away() {
        let dead = failure(401, Origin::Application, Says::Nothing);
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        for _ in 0..9 {
            attempts.begin(0, "m");
            assert_eq!(
                attempts.failed(seconds(0), (0, "m"), &dead, false, 0),
                Next::Retry { at: seconds(0) }
            );
        }
        assert!(attempts.may_use(0, "m"));
    }

    #[test]
    fn an_edge_block_is_tried_once_more() {
        let block = failure(403, Origin::Edge, Says::Nothing);
        let mut attempts = Attempts::new(AttemptLimits::default(), None);
        attempts.begin(0, "m");
        assert_eq!(
            attempts.failed(seconds(0), (0, "m"), &block, false, 0),
            Next::Retry { at: seconds(0) }
        );
        attempts.begin(0, "m");
        assert_eq!(attempts.failed(seconds(0), (0, "m"), &block, false, 0), Next::GiveUp);
    }
}
