//! How long the first useful event of a stream may take: learned for each model, for prompts of about the same size.
//!
//! A model that usually begins within two seconds and is silent for sixty will not answer; one that thinks for a minute
//! over a long prompt will. The limit is a multiple of the slow end of what was seen. An attempt that was given up at its
//! limit counts as one that took so long, so a limit that turns out too short grows by itself.

use std::collections::HashMap;
use std::time::Duration;

/// The bounds of what is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstTokenLimits {
    /// As long as too little was seen.
    pub start: Duration,
    /// Never less.
    pub shortest: Duration,
    /// Never more.
    pub longest: Duration,
}

/// What was seen of each model.
#[derive(Clone, Debug)]
pub struct FirstTokens {
    limits: FirstTokenLimits,
    models: HashMap<String, Model>,
    /// Counts what was seen, so that the model that was seen longest ago is known.
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Model {
    by_size: [Recent; SIZES.len() + 1],
    seen_at: u64,
}

/// The newest times, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Recent {
    milliseconds: Vec<u32>,
    next: usize,
}

/// Upper bounds of the sizes of prompts that are told apart, in bytes of the request body.
const SIZES: [u64; 3] = [16 << 10, 128 << 10, 1 << 20];
/// How many times are kept.
const KEPT: usize = 32;
/// With fewer, nothing is known.
const ENOUGH: usize = 8;
/// The limit is so many times the slow end.
const PATIENCE: u32 = 3;
/// Names come from outside: so many models are kept, those that were seen last.
const MANY_MODELS: usize = 256;

impl Default for FirstTokenLimits {
    fn default() -> Self {
        Self::from_start(Duration::from_secs(60))
    }
}

impl FirstTokenLimits {
    /// The product's bounds around a start that a user may have set: what was set beyond them moves them.
    #[must_use]
    pub fn from_start(start: Duration) -> Self {
        Self {
            start,
            shortest: Duration::from_secs(10).min(start),
            longest: Duration::from_secs(180).max(start),
        }
    }
}

// === impl FirstTokens ===

impl FirstTokens {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(limits: FirstTokenLimits) -> Self {
        Self { limits, models: HashMap::new(), clock: 0 }
    }

    /// How long the first useful event may take, for a request body of this size.
    #[must_use]
    pub fn limit(&self, model: &str, body_bytes: u64) -> Duration {
        let FirstTokenLimits { start, shortest, longest } = self.limits;
        let Some(model) = self.models.get(model) else { return start };
        let size = size_of(body_bytes);
        let learned = |recent: &Recent| {
            recent.slow_end().map(|slow| slow.saturating_mul(PATIENCE).clamp(shortest, longest))
        };
        if let Some(limit) = learned(&model.by_size[size]) {
            return limit;
        }
        // Larger ones do not begin sooner than smaller ones.
        let smaller = model.by_size[..size].iter().filter_map(learned).max();
        smaller.map_or(start, |limit| limit.max(start))
    }

    /// The first useful event came after `took`.
    pub fn came(&mut self, model: &str, body_bytes: u64, took: Duration) {
        self.add(model, body_bytes, took);
    }

    /// Nothing had come after `waited`. Whoever waited for less than the limit learned nothing.
    pub fn did_not_come(&mut self, model: &str, body_bytes: u64, waited: Duration) {
        if waited >= self.limit(model, body_bytes) {
            self.add(model, body_bytes, waited);
        }
    }

    fn add(&mut self, name: &str, body_bytes: u64, took: Duration) {
        self.clock += 1;
        let seen_at = self.clock;
        if !self.models.contains_key(name) {
            self.make_room();
            self.models.insert(name.to_owned(), Model::default());
        }
        if let Some(model) = self.models.get_mut(name) {
            model.seen_at = seen_at;
            model.by_size[size_of(body_bytes)].add(took);
        }
    }

    fn make_room(&mut self) {
        if self.models.len() < MANY_MODELS {
            return;
        }
        let oldest = self.models.iter().min_by_key(|(_, model)| model.seen_at);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            self.models.remove(&oldest);
        }
    }
}

impl Recent {
    fn add(&mut self, took: Duration) {
        let milliseconds = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        if self.milliseconds.len() < KEPT {
            self.milliseconds.push(milliseconds);
        } else {
            self.milliseconds[self.next] = milliseconds;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// The second slowest: a single outlier says little.
    fn slow_end(&self) -> Option<Duration> {
        if self.milliseconds.len() < ENOUGH {
            return None;
        }
        let mut sorted = self.milliseconds.clone();
        sorted.sort_unstable();
        let slow = sorted[sorted.len() - 2];
        Some(Duration::from_millis(u64::from(slow)))
    }
}

fn size_of(body_bytes: u64) -> usize {
    SIZES.iter().take_while(|&&bound| body_bytes > bound).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(times: &[u64]) -> FirstTokens {
        let mut tokens = FirstTokens::new(FirstTokenLimits::default());
        times.iter().for_each(|&seconds| tokens.came("m", 100, SECOND * seconds as u32));
        tokens
    }

    #[test]
    fn nothing_is_known_of_what_was_hardly_seen() {
        assert_eq!(seen(&[1; 7]).limit("m", 100), SECOND * 60);
        assert_eq!(seen(&[1; 8]).limit("other", 100), SECOND * 60);
    }

    #[test]
    fn the_limit_follows_the_slow_end_within_its_bounds() {
        assert_eq!(seen(&[1; 8]).limit("m", 100), SECOND * 10);
        assert_eq!(seen(&[1, 1, 1, 1, 1, 1, 8, 8]).limit("m", 100), SECOND * 24);
        assert_eq!(seen(&[1, 1, 1, 1, 1, 1, 1, 50]).limit("m", 100), SECOND * 10, "an outlier");
        assert_eq!(seen(&[90; 8]).limit("m", 100), SECOND * 180);
        // What was long ago is forgotten.
        let changed: Vec<u64> = [[50; KEPT], [5; KEPT]].concat();
        assert_eq!(seen(&changed).limit("m", 100), SECOND * 15);
    }

    #[test]
    fn a_limit_that_is_too_short_grows() {
        let mut tokens = seen(&[1; 32]);
        for (limit, _) in [(10, ()), (30, ()), (90, ()), (180, ())] {
            assert_eq!(tokens.limit("m", 100), SECOND * limit);
            (0..2).for_each(|_| tokens.did_not_come("m", 100, SECOND * limit));
        }
        // Whose own deadline came first has learned nothing.
        let mut tokens = seen(&[1; 32]);
        (0..9).for_each(|_| tokens.did_not_come("m", 100, SECOND * 9));
        assert_eq!(tokens.limit("m", 100), SECOND * 10);
    }

    #[test]
    fn a_long_prompt_may_take_longer_than_a_short_one() {
        let mut tokens = seen(&[1; 8]);
        assert_eq!(tokens.limit("m", 1 << 20), SECOND * 60, "nothing is known of long ones");
        (0..8).for_each(|_| tokens.came("m", 200 << 10, SECOND * 30));
        assert_eq!(tokens.limit("m", 1 << 20), SECOND * 90);
        assert_eq!(tokens.limit("m", 2 << 20), SECOND * 90, "it is at least as slow");
        assert_eq!(tokens.limit("m", 100), SECOND * 10);
    }

    #[test]
    fn what_a_user_sets_beyond_the_bounds_moves_them() {
        let short = FirstTokenLimits::from_start(SECOND * 2);
        assert_eq!((short.shortest, short.longest), (SECOND * 2, SECOND * 180));
        let long = FirstTokenLimits::from_start(SECOND * 300);
        assert_eq!((long.shortest, long.longest), (SECOND * 10, SECOND * 300));
    }

    #[test]
    fn the_models_seen_last_are_kept() {
        let mut tokens = seen(&[1; 8]);
        for number in 0..1_000 {
            tokens.came(&format!("made-up-{number}"), 100, SECOND);
            if number % 100 == 0 {
                tokens.came("m", 100, SECOND);
            }
        }
        assert_eq!(tokens.models.len(), MANY_MODELS);
        assert_eq!(tokens.limit("m", 100), SECOND * 10);
    }

    proptest! {
        #[test]
        fn a_limit_keeps_its_bounds(
            times in prop::collection::vec((any::<bool>(), 0_u64..400, 0_u64..4_000_000), 0..100),
            start in 1_u64..400,
        ) {
            let limits = FirstTokenLimits::from_start(SECOND * start as u32);
            let mut tokens = FirstTokens::new(limits);
            for (came, seconds, bytes) in times {
                let took = SECOND * seconds as u32;
                if came { tokens.came("m", bytes, took) } else { tokens.did_not_come("m", bytes, took) }
                let limit = tokens.limit("m", bytes);
                prop_assert!((limits.shortest..=limits.longest).contains(&limit));
            }
        }
    }
}
