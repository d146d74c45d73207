//! How large a call is likely to be, before it is sent: from the calls to the same model before it.

use std::collections::HashMap;
use std::sync::Arc;

/// Tokens of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSize {
    /// Of the prompt.
    pub prompt_tokens: u64,
    /// Of the answer.
    pub completion_tokens: u64,
}

/// What is known of a call before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallShape {
    /// The size of the request's body.
    pub body_bytes: u64,
    /// The client's own limit for one answer.
    pub max_tokens: Option<u64>,
    /// How many answers are asked for.
    pub choices: u64,
}

/// What was learned of each model.
#[derive(Clone, Debug, Default)]
pub struct SizeBook {
    models: HashMap<Arc<str>, Learned>,
}

#[derive(Clone, Debug, Default)]
struct Learned {
    /// Of recent calls; both are halved together, so that old ones fade.
    body_bytes: u64,
    prompt_tokens: u64,
    /// Lengths of recent answers, in a ring.
    answers: Vec<u64>,
    next: usize,
    /// Of these, the 95th percentile, worked out anew now and then.
    long_answer: Option<u64>,
}

/// Models that are remembered: more than Chutes has.
const MODELS: usize = 4_096;
/// Recent answers of a model that are remembered.
const ANSWERS: usize = 128;
/// So many answers later the percentile is worked out anew.
const LOOKED_AT_EVERY: usize = 8;
/// With fewer answers their percentile says little.
const ENOUGH_ANSWERS: usize = 20;
/// A token has at least about this many bytes in most languages and tokenizers, JSON around it included.
const LEAST_BYTES_PER_TOKEN: u64 = 3;
/// An answer of a model that nothing is known of, and of which the client does not say how long it may be.
const UNKNOWN_ANSWER: u64 = 2_048;
/// From here on what was learned of prompts is halved.
const FADES_AT_TOKENS: u64 = 2_000_000;

// === impl SizeBook ===

impl SizeBook {
    /// The likely size: the prompt by the model's usual bytes per token, the answer by the 95th percentile of its recent
    /// ones, at most what the client allows.
    #[must_use]
    pub fn expect(&self, model: &str, shape: CallShape) -> CallSize {
        let learned = self.models.get(model);
        let prompt_tokens = learned
            .and_then(|learned| learned.tokens_of(shape.body_bytes))
            .unwrap_or(shape.body_bytes / LEAST_BYTES_PER_TOKEN + 1);
        let usual = learned.and_then(|learned| learned.long_answer);
        let one = match (usual, shape.max_tokens) {
            (Some(usual), Some(most)) => usual.min(most),
            (usual, most) => usual.or(most).unwrap_or(UNKNOWN_ANSWER),
        };
        let completion_tokens = one.saturating_mul(shape.choices.max(1));
        CallSize { prompt_tokens, completion_tokens }
    }

    /// Learns from a call that ended, as the server counted it.
    pub fn learn(&mut self, model: &str, shape: CallShape, size: CallSize) {
        if !self.models.contains_key(model) {
            if self.models.len() >= MODELS {
                return;
            }
            self.models.insert(model.into(), Learned::default());
        }
        if let Some(learned) = self.models.get_mut(model) {
            learned.learn(shape, size);
        }
    }
}

// === impl Learned ===

impl Learned {
    fn learn(&mut self, shape: CallShape, size: CallSize) {
        if size.prompt_tokens > 0 {
            self.body_bytes = self.body_bytes.saturating_add(shape.body_bytes);
            self.prompt_tokens = self.prompt_tokens.saturating_add(size.prompt_tokens);
        }
        if self.prompt_tokens > FADES_AT_TOKENS {
            self.body_bytes /= 2;
            self.prompt_tokens /= 2;
        }
        let one = size.completion_tokens / shape.choices.max(1);
        if self.answers.len() < ANSWERS {
            self.answers.push(one);
        } else {
            self.answers[self.next] = one;
        }
        self.next = (self.next + 1) % ANSWERS;
        if self.long_answer.is_none() || self.next.is_multiple_of(LOOKED_AT_EVERY) {
            self.long_answer = self.percentile();
        }
    }

    /// Rounded up, and a little more: one conversation is not like the other.
    fn tokens_of(&self, body_bytes: u64) -> Option<u64> {
        if self.body_bytes == 0 || self.prompt_tokens == 0 {
            return None;
        }
        let tokens =
            u128::from(body_bytes) * u128::from(self.prompt_tokens) / u128::from(self.body_bytes);
        let tokens = u64::try_from(tokens).unwrap_or(u64::MAX);
        Some(tokens.saturating_add(tokens / 10).saturating_add(1))
    }

    fn percentile(&self) -> Option<u64> {
        if self.answers.len() < ENOUGH_ANSWERS {
            return None;
        }
        let mut sorted = self.answers.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 95 / 100).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(body_bytes: u64, max_tokens: Option<u64>) -> CallShape {
        CallShape { body_bytes, max_tokens, choices: 1 }
    }

    fn size(prompt_tokens: u64, completion_tokens: u64) -> CallSize {
        CallSize { prompt_tokens, completion_tokens }
    }

    #[test]
    fn without_experience_it_is_careful() {
        let book = SizeBook::default();
        assert_eq!(book.expect("a", shape(3_000, None)), size(1_001, 2_048));
        assert_eq!(book.expect("a", shape(3_000, Some(50))), size(1_001, 50));
        let three = CallShape { choices: 3, ..shape(3_000, Some(50)) };
        assert_eq!(book.expect("a", three), size(1_001, 150));
    }

    #[test]
    fn experience_tells_bytes_per_token_and_the_length_of_answers() {
        let mut book = SizeBook::default();
        for answer in 1..=100 {
            book.learn("a", shape(4_000, None), size(1_000, answer));
        }
        // Of the first 96: it is not worked out anew with each.
        assert_eq!(book.expect("a", shape(8_000, None)), size(2_201, 92));
        assert_eq!(book.expect("a", shape(8_000, Some(10))), size(2_201, 10));
        assert_eq!(book.expect("a", shape(8_000, Some(9_000))), size(2_201, 92));
        assert_eq!(book.expect("b", shape(3_000, None)).completion_tokens, 2_048);
    }

    #[test]
    fn what_was_usual_long_ago_fades() {
        let mut book = SizeBook::default();
        for _ in 0..200 {
            book.learn("a", shape(40_000, None), size(20_000, 10));
        }
        for _ in 0..2_000 {
            book.learn("a", shape(40_000, None), size(10_000, 500));
        }
        let expected = book.expect("a", shape(40_000, None));
        assert!(expected.prompt_tokens < 11_500, "{expected:?}");
        assert_eq!(expected.completion_tokens, 500);
    }

    #[test]
    fn names_from_outside_do_not_fill_the_memory() {
        let mut book = SizeBook::default();
        for number in 0..10_000 {
            book.learn(&number.to_string(), shape(10, None), size(1, 1));
        }
        assert_eq!(book.models.len(), MODELS);
    }
}
