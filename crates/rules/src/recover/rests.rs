//! Who rests, and until when.

use crate::cause::{Cause, Failure, Says, classify};
use crate::quota::{four_hour_window, next_day_reset};
use crate::time::{Mono, Now};
use std::collections::HashMap;
use std::time::Duration;

/// What a rest covers. Accounts and keys are numbered by their owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every account: the load balancers in front of Chutes.
    Edge,
    /// One account, with all its keys.
    Account(usize),
    /// One key.
    Key(usize),
    /// One model, for everybody.
    Model(String),
    /// One model for one account.
    AccountModel(usize, String),
}

/// The longest rest: bans grow up to a day (`chutes/api.md` 5.4).
pub const LONGEST_REST: Duration = Duration::from_secs(86_400);
/// An edge 429 is forgotten this long after its rest; and a second account's within this rests the whole edge.
pub const EDGE_MEMORY: Duration = Duration::from_secs(120);
/// The longest rest of a cold model: recorded is that it comes back after 90 s to 330 s.
pub const LONGEST_COLD_REST: Duration = Duration::from_secs(300);
/// The longest rest of a disabled model.
pub const LONGEST_DISABLED_REST: Duration = Duration::from_secs(3_600);
/// The first quarantine of a dead key; it doubles, and never becomes for good.
pub const KEY_QUARANTINE: Duration = Duration::from_secs(120);
/// The longest quarantine of a dead key.
pub const LONGEST_KEY_QUARANTINE: Duration = Duration::from_secs(3_600);
/// How long an account is not asked again for a model that its plan does not cover.
pub const NOT_ENTITLED_REST: Duration = Duration::from_secs(900);
/// How long an account without credit is not asked again: somebody may top it up, and nothing says when.
pub const NO_CREDIT_REST: Duration = Duration::from_secs(900);
/// The first rest after a provider's rate limit that does not say how long it lasts; it doubles with repetition.
pub const RATE_LIMIT_REST: Duration = Duration::from_secs(10);
/// The longest of those. One that the provider asks for may be longer.
pub const LONGEST_RATE_LIMIT_REST: Duration = Duration::from_secs(600);

/// The shortest rest that an edge 429 may ask for; asking for less (`Retry-After: 0`) is no answer.
pub const SHORTEST_EDGE_REST: Duration = Duration::from_secs(1);
/// From this many rests on, those that are over and forgotten are cleared out.
const MANY_RESTS: usize = 1_024;

/// The first rests; each doubles with repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestLimits {
    /// After an edge 429 without `Retry-After`.
    pub edge: Duration,
    /// Of a cold model: it does not come back sooner (`chutes/api.md` 7.2, recorded: 90 s).
    pub cold: Duration,
    /// Of a disabled model (recorded: 200 s).
    pub disabled: Duration,
}

/// A rest in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// When what brought it about was last seen.
    pub since: Mono,
    /// Its end.
    pub until: Mono,
    /// What brought it about.
    pub cause: Cause,
    /// How many of the kind came before it, each soon after the one before.
    pub repeated: u32,
}

/// Who rests, and until when.
#[derive(Debug, Default)]
pub struct RestBook {
    limits: RestLimits,
    rests: HashMap<Scope, Rest>,
    last_edge_limit: Option<(usize, Mono)>,
}

/// One attempt as the book needs it.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// The account.
    pub account: usize,
    /// The key.
    pub key: usize,
    /// The model that was asked for upstream.
    pub model: &'a str,
}

impl Default for RestLimits {
    fn default() -> Self {
        Self {
            edge: Duration::from_secs(90),
            cold: Duration::from_secs(60),
            disabled: Duration::from_secs(300),
        }
    }
}

// === impl Rest ===

impl Rest {
    /// Whether waiting for its end may help: a cold model wakes up, one that is switched off does not within a request,
    /// and a plan does not begin to cover a model.
    #[must_use]
    pub const fn may_be_waited_for(&self) -> bool {
        !matches!(self.cause, Cause::Disabled | Cause::NotEntitled | Cause::FreeModelLimit)
    }
}

// === impl RestBook ===

impl RestBook {
    /// A book in which nobody rests.
    #[must_use]
    pub fn new(limits: RestLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The rest of `scope`, if it rests.
    #[must_use]
    pub fn resting(&self, scope: &Scope, now: Mono) -> Option<Rest> {
        self.rests.get(scope).copied().filter(|rest| rest.until > now)
    }

    /// Every rest in force, in no order.
    pub fn in_force(&self, now: Mono) -> impl Iterator<Item = (&Scope, Rest)> {
        self.rests
            .iter()
            .map(|(scope, rest)| (scope, *rest))
            .filter(move |(_, rest)| rest.until > now)
    }

    /// Lets `scope` rest until a moment that is known from elsewhere.
    pub fn rest_until(&mut self, scope: Scope, cause: Cause, now: Mono, until: Mono) {
        self.rest(scope, cause, now, until, 0);
    }

    /// A model was listed as up, as of `seen`: if it was cold before, it rests no longer than the first time. The list is
    /// ahead of the model (recordings: cold to hot 90 s), so it rests as long as that. Whether that is sooner.
    pub fn model_is_up(&mut self, model: &str, seen: Mono) -> bool {
        let Some(rest) = self.rests.get_mut(&Scope::Model(model.to_owned())) else { return false };
        let until = rest.since.after(self.limits.cold);
        let is_sooner = rest.cause == Cause::Cold && rest.since < seen && until < rest.until;
        if is_sooner {
            rest.until = until;
        }
        is_sooner
    }

    /// The models that rest.
    pub fn models_resting(&self, now: Mono) -> impl Iterator<Item = &str> {
        self.in_force(now).filter_map(|(scope, _)| match scope {
            Scope::Model(model) => Some(model.as_str()),
            _ => None,
        })
    }

    /// Ends a rest: something was seen to work. Whether there was one.
    pub fn forgive(&mut self, scope: &Scope) -> bool {
        self.rests.remove(scope).is_some()
    }

    /// Writes down what rests after a failed attempt, and returns the rest that is in force for it.
    pub fn record(
        &mut self,
        now: Now,
        tried: Tried<'_>,
        failure: &Failure,
    ) -> Option<(Scope, Rest)> {
        self.clear_out(now.mono);
        let after = |duration| now.mono.after(duration);
        let cause = classify(failure);
        let (scope, until, repeated) = match cause {
            Cause::EdgeRateLimit => {
                return Some(self.record_edge_limit(now.mono, tried.account, failure));
            }
            Cause::WindowUsedUp(kind) => {
                // The body names the reset of the day window; the cap does not say which window it was, and the
                // nearest turn is the soonest that it can be over. The next snapshot knows better.
                let turns = failure.reset_at.unwrap_or_else(|| match kind {
                    Some(crate::quota::WindowKind::Day) => next_day_reset(now.wall),
                    _ => four_hour_window(now.wall).1,
                });
                (Scope::Account(tried.account), after(turns.since(now.wall).min(LONGEST_REST)), 0)
            }
            Cause::RateLimited => {
                return Some(self.record_rate_limit(now.mono, tried, failure));
            }
            Cause::OutOfCredit => {
                let rest = failure.retry_after.unwrap_or_default().max(NO_CREDIT_REST);
                (Scope::Account(tried.account), after(rest.min(LONGEST_REST)), 0)
            }
            Cause::NotEntitled => (
                Scope::AccountModel(tried.account, tried.model.to_owned()),
                after(NOT_ENTITLED_REST),
                0,
            ),
            Cause::FreeModelLimit => {
                let midnight = next_day_reset(now.wall).since(now.wall);
                (Scope::AccountModel(tried.account, tried.model.to_owned()), after(midnight), 0)
            }
            Cause::Cold => {
                let limits = (self.limits.cold, LONGEST_COLD_REST);
                return Some(self.record_model(now.mono, tried.model, cause, failure, limits));
            }
            Cause::Disabled => {
                let limits = (self.limits.disabled, LONGEST_DISABLED_REST);
                return Some(self.record_model(now.mono, tried.model, cause, failure, limits));
            }
            Cause::DeadKey => {
                let scope = Scope::Key(tried.key);
                let repeated = self.rests.get(&scope).map_or(0, |rest| rest.repeated + 1);
                let quarantine = doubled(KEY_QUARANTINE, repeated).min(LONGEST_KEY_QUARANTINE);
                (scope, after(quarantine), repeated)
            }
            Cause::Capacity
            | Cause::ModelNotFound
            | Cause::AccountUnreadable
            | Cause::EdgeBlock
            | Cause::ContextTooLong
            | Cause::ContentFilter
            | Cause::BadRequest
            | Cause::Transient
            | Cause::Silent
            | Cause::BrokenStream
            | Cause::Unreachable => return None,
        };
        Some((scope.clone(), self.rest(scope, cause, now.mono, until, repeated)))
    }

    fn record_model(
        &mut self,
        now: Mono,
        model: &str,
        cause: Cause,
        failure: &Failure,
        (first, longest): (Duration, Duration),
    ) -> (Scope, Rest) {
        let scope = Scope::Model(model.to_owned());
        let repeated = self.repeated(&scope, now);
        let guess = doubled(first, repeated).min(longest.max(first));
        let until = now.after(asked(failure).unwrap_or_default().max(guess));
        (scope.clone(), self.rest(scope, cause, now, until, repeated))
    }

    fn record_edge_limit(&mut self, now: Mono, account: usize, failure: &Failure) -> (Scope, Rest) {
        let second_account = self
            .last_edge_limit
            .is_some_and(|(other, at)| other != account && now.since(at) <= EDGE_MEMORY);
        self.last_edge_limit = Some((account, now));
        let scope = if second_account { Scope::Edge } else { Scope::Account(account) };
        let repeated = self.repeated(&scope, now);
        let duration = asked(failure).unwrap_or_else(|| doubled(self.limits.edge, repeated));
        let until = now.after(duration);
        (scope.clone(), self.rest(scope, Cause::EdgeRateLimit, now, until, repeated))
    }

    /// A provider's limit is its own: it says nothing of the edge of Chutes, and often it is one of a single model.
    fn record_rate_limit(
        &mut self,
        now: Mono,
        tried: Tried<'_>,
        failure: &Failure,
    ) -> (Scope, Rest) {
        let scope = if failure.says == Says::ModelRateLimit {
            Scope::AccountModel(tried.account, tried.model.to_owned())
        } else {
            Scope::Account(tried.account)
        };
        let repeated = self.repeated(&scope, now);
        let guess = || doubled(RATE_LIMIT_REST, repeated).min(LONGEST_RATE_LIMIT_REST);
        // A few milliseconds are an answer here: a bucket that fills all the time.
        let moment = failure.retry_after.filter(|wait| !wait.is_zero());
        let asked = asked(failure).or(moment.map(|_| SHORTEST_EDGE_REST));
        let until = now.after(asked.unwrap_or_else(guess));
        (scope.clone(), self.rest(scope, Cause::RateLimited, now, until, repeated))
    }

    /// How often in a row this is. Refusals that were already on their way when a rest began are the same one, not a
    /// repetition.
    fn repeated(&self, scope: &Scope, now: Mono) -> u32 {
        match self.rests.get(scope) {
            Some(rest) if rest.until > now => rest.repeated,
            Some(rest) if now.since(rest.until) <= EDGE_MEMORY => rest.repeated + 1,
            _ => 0,
        }
    }

    /// A shorter rest never shortens a longer one in force, and does not take its cause over.
    fn rest(
        &mut self,
        scope: Scope,
        cause: Cause,
        since: Mono,
        until: Mono,
        repeated: u32,
    ) -> Rest {
        let newer = Rest { since, until, cause, repeated };
        let entry = self.rests.entry(scope).or_insert(newer);
        if until >= entry.until {
            *entry = newer;
        } else {
            entry.since = since;
        }
        *entry
    }

    /// Names come from outside, so the book must not grow with them.
    fn clear_out(&mut self, now: Mono) {
        if self.rests.len() >= MANY_RESTS {
            self.rests.retain(|scope, rest| {
                // A key's repetitions are remembered: there are as many keys as are configured.
                matches!(scope, Scope::Key(_)) || now.since(rest.until) <= EDGE_MEMORY
            });
        }
    }
}

/// The rest that the answer asks for, if it asks for one.
fn asked(failure: &Failure) -> Option<Duration> {
    let asked = failure.retry_after.filter(|&asked| asked >= SHORTEST_EDGE_REST)?;
    Some(asked.min(LONGEST_REST))
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times.min(20))).min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Origin, Says};
    use crate::recover::samples::{at, edge_limit, failure, seconds};
    use proptest::prelude::*;

    const FIRST: Tried<'static> = Tried { account: 0, key: 0, model: "m" };
    const SECOND: Tried<'static> = Tried { account: 1, key: 1, model: "m" };

    #[test]
    fn an_edge_limit_rests_the_account_longer_each_time() {
        let mut book = RestBook::default();
        let until = |book: &mut RestBook, second| {
            let (scope, rest) = book.record(at(second), FIRST, &edge_limit()).unwrap();
            (scope, rest.until)
        };
        assert_eq!(until(&mut book, 0), (Scope::Account(0), seconds(90)));
        // One that was under way already is the same ban.
        assert_eq!(until(&mut book, 1).1, seconds(91));
        assert_eq!(until(&mut book, 100).1, seconds(280));
        assert_eq!(until(&mut book, 300).1, seconds(660));
        // Two quiet minutes after the rest, it is forgotten.
        assert_eq!(until(&mut book, 660 + 121).1, seconds(781 + 90));
    }

    #[test]
    fn a_second_account_rests_the_whole_edge() {
        let mut book = RestBook::default();
        book.record(at(0), FIRST, &edge_limit());
        assert_eq!(book.record(at(120), SECOND, &edge_limit()).unwrap().0, Scope::Edge);
        let mut book = RestBook::default();
        book.record(at(0), FIRST, &edge_limit());
        assert_eq!(book.record(at(121), SECOND, &edge_limit()).unwrap().0, Scope::Account(1));
    }

    #[test]
    fn a_providers_limit_rests_what_it_is_about_and_never_the_edge() {
        let mut book = RestBook::default();
        let limit = failure(429, Origin::Application, Says::RateLimit);
        let of = |wait_ms| Failure {
            retry_after: Some(Duration::from_millis(wait_ms)),
            ..limit.clone()
        };
        let (scope, rest) = book.record(at(0), FIRST, &of(30_000)).unwrap();
        assert_eq!((scope, rest.until), (Scope::Account(0), seconds(30)));
        assert_eq!(book.record(at(1), SECOND, &of(20)).unwrap().1.until, seconds(2));
        assert!(book.resting(&Scope::Edge, seconds(1)).is_none());
        // Without a word on how long: ever longer, but not for a day.
        let mut silent = RestBook::default();
        let mut second = 0;
        let mut rests = Vec::new();
        for _ in 0..9 {
            let rest = silent.record(at(second), FIRST, &limit).unwrap().1;
            rests.push(rest.until.since(seconds(second)).as_secs());
            second = rest.until.as_micros() / 1_000_000 + 1;
        }
        assert_eq!(rests, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        // Only the model that it names.
        let of_model = failure(429, Origin::Application, Says::ModelRateLimit);
        let (scope, _) = silent.record(at(0), SECOND, &of_model).unwrap();
        assert_eq!(scope, Scope::AccountModel(1, "m".to_owned()));
    }

    #[test]
    fn an_account_without_credit_is_asked_again_some_time() {
        let mut book = RestBook::default();
        let broke = failure(402, Origin::Application, Says::OutOfCredit);
        let (scope, rest) = book.record(at(0), FIRST, &broke).unwrap();
        assert_eq!((scope, rest.until), (Scope::Account(0), Mono::default().after(NO_CREDIT_REST)));
    }

    #[test]
    fn retry_after_is_kept_and_a_shorter_one_never_shortens() {
        let mut book = RestBook::default();
        let asks = |wait| Failure { retry_after: Some(Duration::from_secs(wait)), ..edge_limit() };
        assert_eq!(book.record(at(0), FIRST, &asks(600)).unwrap().1.until, seconds(600));
        assert_eq!(book.record(at(1), FIRST, &asks(5)).unwrap().1.until, seconds(600));
        // Asking for no time at all is no answer.
        let mut hammered = RestBook::default();
        assert_eq!(hammered.record(at(0), FIRST, &asks(0)).unwrap().1.until, seconds(90));
        assert_eq!(
            book.record(at(2), FIRST, &asks(10_000_000)).unwrap().1.until,
            seconds(2).after(LONGEST_REST)
        );
    }

    #[test]
    fn a_used_up_window_rests_until_it_turns() {
        let mut book = RestBook::default();
        let cap = failure(402, Origin::Application, Says::SubscriptionCap);
        assert_eq!(book.record(at(0), FIRST, &cap).unwrap().1.until, seconds(4 * 3_600));
        let day = Failure {
            reset_at: Some(at(43_200).wall),
            ..failure(402, Origin::Application, Says::DayQuotaUsedUp)
        };
        let (scope, rest) = book.record(at(0), SECOND, &day).unwrap();
        assert_eq!((scope, rest.until), (Scope::Account(1), seconds(43_200)));
    }

    #[test]
    fn a_dead_key_is_never_disabled_for_good() {
        let mut book = RestBook::default();
        let dead = failure(401, Origin::Application, Says::Nothing);
        let mut now = 0;
        for expected in [120, 240, 480, 960, 1_920, 3_600, 3_600] {
            let until = book.record(at(now), FIRST, &dead).unwrap().1.until;
            assert_eq!(until.since(seconds(now)), Duration::from_secs(expected));
            now += expected;
        }
        book.forgive(&Scope::Key(0));
        assert_eq!(book.resting(&Scope::Key(0), seconds(now - 1)), None);
    }

    #[test]
    fn capacity_is_no_rest_of_an_account_and_a_cold_model_is_one_of_the_model() {
        let mut book = RestBook::default();
        assert_eq!(
            book.record(at(0), FIRST, &failure(429, Origin::Application, Says::Capacity)),
            None
        );
        let cold = book
            .record(at(0), FIRST, &failure(503, Origin::Application, Says::NoInstances))
            .unwrap();
        assert_eq!((&cold.0, cold.1.until), (&Scope::Model("m".into()), seconds(60)));
        let rest = book.resting(&cold.0, seconds(59)).unwrap();
        assert_eq!((rest.until, rest.cause), (seconds(60), Cause::Cold));
        assert_eq!(book.resting(&cold.0, seconds(60)), None);
    }

    #[test]
    fn the_book_does_not_grow_with_names_from_outside() {
        let mut book = RestBook::default();
        let cold = failure(503, Origin::Application, Says::NoInstances);
        for number in 0..5_000_u64 {
            let model = format!("m{number}");
            book.record(at(number), Tried { model: &model, ..FIRST }, &cold);
        }
        assert!(book.rests.len() <= MANY_RESTS, "{}", book.rests.len());
    }

    #[test]
    fn a_longer_rest_keeps_its_cause() {
        let mut book = RestBook::default();
        let long = Failure { retry_after: Some(Duration::from_secs(30_000)), ..edge_limit() };
        book.record(at(0), FIRST, &long);
        let cap = failure(402, Origin::Application, Says::SubscriptionCap);
        let (_, rest) = book.record(at(1), FIRST, &cap).unwrap();
        assert_eq!((rest.cause, rest.until), (Cause::EdgeRateLimit, seconds(30_000)));
    }

    #[test]
    fn a_cold_model_rests_longer_each_time_and_wakes_when_it_is_listed_as_up() {
        let cold = failure(503, Origin::Application, Says::NoInstances);
        let mut book = RestBook::default();
        let until = |book: &mut RestBook, now| {
            book.record(at(now), FIRST, &cold).unwrap().1.until.since(seconds(0)).as_secs()
        };
        assert_eq!(until(&mut book, 0), 60);
        assert_eq!(until(&mut book, 60), 60 + 120);
        assert_eq!(until(&mut book, 180), 180 + 240);
        assert_eq!(until(&mut book, 420), 420 + 300);
        assert!(!book.model_is_up("m", seconds(420)), "the list is not newer");
        assert!(book.model_is_up("m", seconds(421)) && !book.model_is_up("other", seconds(421)));
        assert_eq!(book.models_resting(seconds(479)).count(), 1);
        assert_eq!(book.models_resting(seconds(480)).count(), 0);
        // The list was wrong.
        assert_eq!(until(&mut book, 481), 481 + 300);
        book.forgive(&Scope::Model("m".to_owned()));
        assert_eq!(until(&mut book, 490), 550);
    }

    #[test]
    fn a_disabled_model_is_not_waited_for() {
        let mut book = RestBook::default();
        let off = failure(503, Origin::Application, Says::ModelDisabled);
        let rest = book.record(at(0), FIRST, &off).unwrap().1;
        assert_eq!((rest.until, rest.may_be_waited_for()), (seconds(300), false));
        assert!(!book.model_is_up("m", seconds(10)), "calls know better than lists");
    }

    fn any_failure() -> impl Strategy<Value = Failure> {
        let kinds = vec![
            edge_limit(),
            failure(503, Origin::Application, Says::NoInstances),
            failure(503, Origin::Application, Says::ModelDisabled),
            failure(402, Origin::Application, Says::SubscriptionCap),
            failure(402, Origin::Application, Says::NotCoveredByPlan),
            failure(401, Origin::Application, Says::Nothing),
        ];
        let asked = prop::option::of((0_u64..200_000).prop_map(Duration::from_secs));
        (prop::sample::select(kinds), asked)
            .prop_map(|(failure, retry_after)| Failure { retry_after, ..failure })
    }

    proptest! {
        /// No failure ever shortens a rest in force, and none lasts longer than a day.
        #[test]
        fn a_rest_is_never_shortened(
            steps in prop::collection::vec((any_failure(), any::<bool>(), 0_u64..400), 1..100),
        ) {
            let mut book = RestBook::default();
            let mut now = 0;
            for (failure, second, pause) in steps {
                now += pause;
                let before: HashMap<Scope, Rest> =
                    book.in_force(seconds(now)).map(|(scope, rest)| (scope.clone(), rest)).collect();
                book.record(at(now), if second { SECOND } else { FIRST }, &failure);
                for (scope, rest) in before {
                    let after = book.resting(&scope, seconds(now));
                    prop_assert!(after.is_some_and(|after| after.until >= rest.until));
                }
                let latest = seconds(now).after(LONGEST_REST);
                prop_assert!(book.in_force(seconds(now)).all(|(_, rest)| rest.until <= latest));
            }
        }
    }
}
