//! How many retries one service gets from all requests together: a bad minute must not become a storm.
//!
//! Requests earn retries, and so does time, up to a bound. A retry that has not been earned yet is promised for the
//! moment at which it will be, so that those who wait come one after another and not all at once; one that would be
//! promised for too late is refused.

use crate::time::Mono;
use std::time::Duration;

/// How retries are earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudgetLimits {
    /// Retries that a request earns by its first attempt, in thousandths.
    pub per_request_permille: u64,
    /// Retries that a second earns, so that the only request of an hour may be tried again, too.
    pub per_second: u64,
    /// The most that are saved up.
    pub most: u64,
    /// The longest that a retry is promised ahead.
    pub longest_wait: Duration,
}

/// Retries that may be made at one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    limits: RetryBudgetLimits,
    /// In millionths of a retry, so that a microsecond earns a whole number. Below zero: promised.
    saved: i128,
    as_of: Mono,
}

/// Millionths of a retry.
const RETRY: i128 = 1_000_000;

impl Default for RetryBudgetLimits {
    fn default() -> Self {
        Self {
            per_request_permille: 500,
            per_second: 2,
            most: 50,
            longest_wait: Duration::from_secs(10),
        }
    }
}

// === impl RetryBudget ===

impl RetryBudget {
    /// A budget with everything saved up that may be.
    #[must_use]
    pub fn new(limits: RetryBudgetLimits, now: Mono) -> Self {
        Self { limits, saved: i128::from(limits.most) * RETRY, as_of: now }
    }

    /// A request made its first attempt here.
    pub fn earn(&mut self, now: Mono) {
        self.settle(now);
        self.add(i128::from(self.limits.per_request_permille) * (RETRY / 1_000));
    }

    /// Takes a retry, and says from when on it may be made; `None` if that is too late, and then nothing is taken.
    pub fn take(&mut self, now: Mono, deadline: Option<Mono>) -> Option<Mono> {
        self.settle(now);
        let missing = RETRY - self.saved;
        let at = if missing <= 0 { now } else { now.after(self.earned_in(missing)?) };
        let is_late = at.since(now) > self.limits.longest_wait
            || deadline.is_some_and(|deadline| at >= deadline && at > now);
        if is_late {
            return None;
        }
        self.saved -= RETRY;
        Some(at)
    }

    /// A retry that was taken is not made.
    pub fn give_back(&mut self, now: Mono) {
        self.settle(now);
        self.add(RETRY);
    }

    fn settle(&mut self, now: Mono) {
        let elapsed = now.since(self.as_of);
        self.as_of = self.as_of.max(now);
        let micros = i128::try_from(elapsed.as_micros()).unwrap_or(i128::MAX);
        self.add(micros.saturating_mul(i128::from(self.limits.per_second)));
    }

    fn add(&mut self, earned: i128) {
        self.saved = self.saved.saturating_add(earned).min(i128::from(self.limits.most) * RETRY);
    }

    /// How long it takes until time alone has earned this; `None` if it earns nothing.
    fn earned_in(&self, missing: i128) -> Option<Duration> {
        let per_micro = i128::from(self.limits.per_second);
        if per_micro == 0 {
            return None;
        }
        let micros = (missing + per_micro - 1) / per_micro;
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recover::samples::seconds;
    use proptest::prelude::*;

    const LIMITS: RetryBudgetLimits = RetryBudgetLimits {
        per_request_permille: 500,
        per_second: 2,
        most: 3,
        longest_wait: Duration::from_secs(2),
    };

    #[test]
    fn what_is_saved_goes_at_once_and_the_rest_one_after_another() {
        let mut budget = RetryBudget::new(LIMITS, seconds(0));
        let mut take = |now| budget.take(seconds(now), None);
        assert_eq!([take(0), take(0), take(0)], [Some(seconds(0)); 3]);
        let half = |halves: u64| Some(Mono::from_micros(halves * 500_000));
        assert_eq!([take(0), take(0), take(0), take(0)], [half(1), half(2), half(3), half(4)]);
        assert_eq!(take(0), None, "nobody waits longer than that");
        assert_eq!(take(1), half(5), "what was refused was not taken");
    }

    #[test]
    fn two_requests_earn_one_retry() {
        let limits = RetryBudgetLimits { per_second: 0, ..LIMITS };
        let mut budget = RetryBudget::new(limits, seconds(0));
        for _ in 0..3 {
            budget.take(seconds(0), None).unwrap();
        }
        budget.earn(seconds(0));
        assert_eq!(budget.take(seconds(9), None), None);
        budget.earn(seconds(9));
        assert_eq!(budget.take(seconds(9), None), Some(seconds(9)));
    }

    #[test]
    fn a_retry_that_comes_too_late_is_not_promised() {
        let mut budget = RetryBudget::new(RetryBudgetLimits { most: 0, ..LIMITS }, seconds(0));
        assert_eq!(budget.take(seconds(0), Some(Mono::from_micros(500_000))), None);
        assert!(budget.take(seconds(0), Some(seconds(1))).is_some());
        budget.give_back(seconds(0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Request,
        Retry,
        GiveBack,
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Request),
            4 => Just(Step::Retry),
            1 => Just(Step::GiveBack),
            1 => (0_u64..3_000_000).prop_map(Step::Advance),
        ]
    }

    proptest! {
        /// Whatever comes, retries stay within what was saved, what requests earned and what time earned.
        #[test]
        fn retries_are_bounded(steps in prop::collection::vec(step(), 1..300)) {
            let mut budget = RetryBudget::new(LIMITS, seconds(0));
            let (mut now, mut requests) = (0_u64, 0_u64);
            let mut promised: Vec<u64> = Vec::new();
            for step in steps {
                match step {
                    Step::Request => { requests += 1; budget.earn(Mono::from_micros(now)); }
                    Step::Retry => {
                        if let Some(at) = budget.take(Mono::from_micros(now), None) {
                            prop_assert!(at >= Mono::from_micros(now));
                            prop_assert!(at <= Mono::from_micros(now).after(LIMITS.longest_wait));
                            promised.push(at.as_micros());
                        }
                    }
                    Step::GiveBack => {
                        // The newest promise that has not been made use of.
                        if promised.last().is_some_and(|&at| at > now) {
                            promised.pop();
                            budget.give_back(Mono::from_micros(now));
                        }
                    }
                    Step::Advance(micros) => now += micros,
                }
                // A retry may be made up to `longest_wait` ahead, so everything promised counts by then.
                let until = now + 2_000_000;
                let most = 3_000_000 + requests * 500_000 + until * 2;
                prop_assert!(promised.len() as u64 * 1_000_000 <= most);
            }
        }
    }
}
