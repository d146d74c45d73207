//! What tokens were worth at list price, as far as it is known.

use crate::quota::ModelPrices;
use crate::units::NanoUsd;

/// An amount that is known to lie between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UsdSpan {
    /// Not less than this.
    pub least: NanoUsd,
    /// Not more than this.
    pub most: NanoUsd,
}

// === impl UsdSpan ===

impl UsdSpan {
    /// Nothing.
    pub const ZERO: Self = Self::exactly(NanoUsd::ZERO);

    /// An amount that is known.
    #[must_use]
    pub const fn exactly(amount: NanoUsd) -> Self {
        Self { least: amount, most: amount }
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { least: self.least.plus(other.least), most: self.most.plus(other.most) }
    }

    /// The same, knowing that it was not less than this: what was charged was worth that.
    #[must_use]
    pub fn at_least(self, amount: NanoUsd) -> Self {
        Self { least: self.least.max(amount), most: self.most.max(amount) }
    }

    /// What lies so many hundredths of the way from the least to the most.
    #[must_use]
    pub fn at(self, percent: i64) -> NanoUsd {
        let width = i128::from(self.most.0) - i128::from(self.least.0);
        let part = width * i128::from(percent.clamp(0, 100)) / 100;
        NanoUsd(self.least.0.saturating_add(i64::try_from(part).unwrap_or(i64::MAX)))
    }

    /// Whether both ends are the same.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.least == self.most
    }
}

/// What these tokens cost at these prices, whether their prompts came from a cache or not.
#[must_use]
pub fn worth(prompt_tokens: u64, completion_tokens: u64, prices: ModelPrices) -> UsdSpan {
    let completion = NanoUsd::for_tokens(prices.completion, completion_tokens);
    let full = NanoUsd::for_tokens(prices.prompt, prompt_tokens);
    let cached = NanoUsd::for_tokens(prices.cached, prompt_tokens);
    UsdSpan { least: cached.min(full).plus(completion), most: cached.max(full).plus(completion) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_worth_a_span_where_caches_are_cheaper() {
        let prices = ModelPrices {
            prompt: NanoUsd::from_cents(100),
            cached: NanoUsd::from_cents(50),
            completion: NanoUsd::from_cents(400),
        };
        let span = worth(1_000_000, 500_000, prices);
        assert_eq!((span.least, span.most), (NanoUsd::from_cents(250), NanoUsd::from_cents(300)));
        assert_eq!(span.at(0), span.least);
        assert_eq!(span.at(50), NanoUsd::from_cents(275));
        assert_eq!(span.at(100), span.most);
        let no_cache = worth(1_000_000, 500_000, ModelPrices { cached: prices.prompt, ..prices });
        assert!(no_cache.is_exact());
    }

    #[test]
    fn what_was_charged_was_worth_that() {
        let span = UsdSpan { least: NanoUsd(10), most: NanoUsd(20) };
        assert_eq!(span.at_least(NanoUsd(15)), UsdSpan { least: NanoUsd(15), most: NanoUsd(20) });
        assert_eq!(span.at_least(NanoUsd(25)), UsdSpan::exactly(NanoUsd(25)));
    }

    #[test]
    fn the_ends_of_the_numbers_saturate() {
        let widest = UsdSpan { least: NanoUsd(i64::MIN), most: NanoUsd(i64::MAX) };
        assert_eq!(widest.at(100).0, -1, "the width does not fit, and nothing panics");
        assert_eq!(widest.plus(widest).most, NanoUsd(i64::MAX));
    }
}
