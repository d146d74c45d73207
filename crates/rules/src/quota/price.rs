//! What tokens cost an account: the list price, unless the account has prices or discounts of its own.
//!
//! Chutes takes the account's price for the chute, else its price for `*`, else the list price, from which the account's
//! discount goes off (`chutes/api.md` 5.6). A price of its own is not discounted again (recordings, "user override + discount").
//! The list has a chute's own discount in it already (recording 206). The same price counts in the windows and on the
//! balance. Where something is not known, the dearer of what is known counts.

use super::size::CallSize;
use crate::units::{NanoUsd, Rounding, scaled};

/// Dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ModelPrices {
    /// Of the prompt.
    pub prompt: NanoUsd,
    /// Of the answer.
    pub completion: NanoUsd,
    /// Of the prompt, where it was found in a cache.
    pub cached: NanoUsd,
}

/// A share of a price, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u32);

/// A price of the account's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceOverride {
    /// Of this chute; of every one that has none of its own if `None`.
    pub chute_id: Option<String>,
    /// For a million tokens of the prompt, if it is set.
    pub prompt: Option<NanoUsd>,
    /// For a million tokens of the answer, if it is set.
    pub completion: Option<NanoUsd>,
    /// What goes off the prompt's price where it was found in a cache.
    pub cache_discount: Option<Share>,
    /// There are rules that come before these prices, and nobody knows what they say.
    pub has_rules: bool,
}

/// A discount of the account's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceDiscount {
    /// On this chute; on every one that has none of its own if `None`.
    pub chute_id: Option<String>,
    /// What goes off.
    pub off: Share,
}

/// What an account pays otherwise than the list says; usually nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccountPrices {
    /// Its own prices; `None` if they have not been read.
    pub overrides: Option<Vec<PriceOverride>>,
    /// Its discounts; `None` if they have not been read.
    pub discounts: Option<Vec<PriceDiscount>>,
}

/// A discounted price may be rounded to this by the server, which is what the recorded one did.
const CENT: i64 = 10_000_000;

const BILLION: u64 = 1_000_000_000;

// === impl ModelPrices ===

impl ModelPrices {
    /// More than any model cost in 2026: for who knows nothing.
    pub const DEARER_THAN_ANY: Self = Self {
        prompt: NanoUsd::from_cents(500),
        completion: NanoUsd::from_cents(2_000),
        cached: NanoUsd::from_cents(500),
    };

    /// What a call of this size costs if `cached_tokens` of its prompt were found in a cache, rounded up.
    #[must_use]
    pub fn cost(self, size: CallSize, cached_tokens: u64) -> NanoUsd {
        let cached = cached_tokens.min(size.prompt_tokens);
        NanoUsd::for_tokens(self.prompt, size.prompt_tokens - cached)
            .plus(NanoUsd::for_tokens(self.cached, cached))
            .plus(NanoUsd::for_tokens(self.completion, size.completion_tokens))
    }

    /// The dearer of both in each part.
    #[must_use]
    pub fn dearer(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.max(other.prompt),
            completion: self.completion.max(other.completion),
            cached: self.cached.max(other.cached),
        }
    }

    fn less(self, off: Share) -> Self {
        let prompt = discounted(self.prompt, off);
        // The server takes the cache's share off the price that it has discounted.
        let cached = match (self.prompt.0, self.cached.0) {
            (listed, cached) if listed > 0 && cached >= 0 => {
                NanoUsd(scaled(prompt.0, cached.unsigned_abs(), listed.unsigned_abs()))
            }
            _ => self.cached,
        };
        Self { prompt, completion: discounted(self.completion, off), cached }
    }
}

/// What is left of a price, rounded up to a cent, but never more than the price.
fn discounted(price: NanoUsd, off: Share) -> NanoUsd {
    let left = off.left_of(price).0;
    NanoUsd(left.saturating_add(CENT - 1).div_euclid(CENT).saturating_mul(CENT).min(price.0))
}

// === impl Share ===

impl Share {
    /// Reads a decimal from 0 to 1, rounded down. `None` for everything else.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        let billionths = NanoUsd::from_decimal(text, Rounding::Down)?.0;
        let billionths = u32::try_from(billionths).ok()?;
        (u64::from(billionths) <= BILLION).then_some(Self(billionths))
    }

    /// What is left of an amount when this share has gone off, rounded up.
    fn left_of(self, amount: NanoUsd) -> NanoUsd {
        NanoUsd(scaled(amount.0, BILLION - u64::from(self.0), BILLION))
    }
}

// === impl AccountPrices ===

impl AccountPrices {
    /// What the account pays for a model of this chute and this list price. `None` if nobody knows: unknown is not free.
    #[must_use]
    pub fn of(&self, chute_id: Option<&str>, listed: Option<ModelPrices>) -> Option<ModelPrices> {
        // Nothing goes off where a price of its own might stand instead.
        let Some(overrides) = &self.overrides else { return listed };
        if let Some(own) = chosen(overrides, chute_id, |own| own.chute_id.as_deref()) {
            return own.prices(listed);
        }
        let discounts = self.discounts.as_deref().unwrap_or_default();
        let discount = chosen(discounts, chute_id, |own| own.chute_id.as_deref());
        let listed = listed?;
        Some(discount.map_or(listed, |own| listed.less(own.off)))
    }

    /// The dearest of its own prices: a chute that nobody lists may have one.
    #[must_use]
    pub fn dearest_override(&self) -> Option<ModelPrices> {
        let overrides = self.overrides.as_deref().unwrap_or_default();
        overrides.iter().filter_map(|own| own.prices(None)).reduce(ModelPrices::dearer)
    }

    /// How many prices and discounts of its own it has; `None` if they have not all been read.
    #[must_use]
    pub fn own_count(&self) -> Option<usize> {
        Some(self.overrides.as_ref()?.len() + self.discounts.as_ref()?.len())
    }

    /// What is known after `newer` was read: what could not be read stays.
    #[must_use]
    pub fn followed_by(self, newer: Self) -> Self {
        Self {
            overrides: newer.overrides.or(self.overrides),
            discounts: newer.discounts.or(self.discounts),
        }
    }
}

/// The row of the chute, else the one of every chute.
fn chosen<'a, T>(
    rows: &'a [T],
    chute_id: Option<&str>,
    row_of: impl Fn(&T) -> Option<&str>,
) -> Option<&'a T> {
    let own = rows.iter().find(|row| chute_id.is_some() && row_of(row) == chute_id);
    own.or_else(|| rows.iter().find(|row| row_of(row).is_none()))
}

impl PriceOverride {
    /// What it says, and where it does not say it what the list says.
    fn prices(&self, listed: Option<ModelPrices>) -> Option<ModelPrices> {
        let (Some(prompt), Some(completion)) = (self.prompt, self.completion) else {
            // Priced by the request or the step: a call of a language model is not.
            return listed;
        };
        let cached = self.cache_discount.map_or(prompt, |off| off.left_of(prompt));
        let own = ModelPrices { prompt, completion, cached };
        // What the rules say is not known: not that it is less than the list.
        match (self.has_rules, listed) {
            (false, _) => Some(own),
            (true, Some(listed)) => Some(own.dearer(listed)),
            (true, None) => Some(own.dearer(ModelPrices::DEARER_THAN_ANY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prices(prompt: i64, completion: i64, cached: i64) -> ModelPrices {
        ModelPrices {
            prompt: NanoUsd(prompt),
            completion: NanoUsd(completion),
            cached: NanoUsd(cached),
        }
    }

    fn own(
        chute: Option<&str>,
        prompt: i64,
        completion: i64,
        cache_discount: &str,
    ) -> PriceOverride {
        PriceOverride {
            chute_id: chute.map(str::to_owned),
            prompt: Some(NanoUsd(prompt)),
            completion: Some(NanoUsd(completion)),
            cache_discount: Share::from_decimal(cache_discount),
            has_rules: false,
        }
    }

    fn off(chute: Option<&str>, share: &str) -> PriceDiscount {
        PriceDiscount {
            chute_id: chute.map(str::to_owned),
            off: Share::from_decimal(share).unwrap(),
        }
    }

    fn size(prompt_tokens: u64, completion_tokens: u64) -> CallSize {
        CallSize { prompt_tokens, completion_tokens }
    }

    const LISTED: ModelPrices = ModelPrices {
        prompt: NanoUsd(20_000_000),
        completion: NanoUsd(100_000_000),
        cached: NanoUsd(10_000_000),
    };

    #[test]
    fn an_account_without_terms_pays_the_list_price() {
        let nothing = AccountPrices::default();
        assert_eq!(nothing.of(Some("hot"), Some(LISTED)), Some(LISTED));
        assert_eq!(nothing.of(Some("hot"), None), None, "unknown is not free");
        // Recordings: 12 tokens in, 4 of them cached, 5 out are 7e-7 dollars.
        assert_eq!(LISTED.cost(size(12, 5), 4), NanoUsd(700));
        assert_eq!(
            LISTED.cost(size(12, 5), 400),
            NanoUsd(620),
            "no more than the prompt is cached"
        );
    }

    #[test]
    fn its_own_price_comes_first_and_is_not_discounted_again() {
        // Recorded: 0.1 / 0.4 with a cache discount of 0.9, and a discount of 0.1 on everything.
        let account = AccountPrices {
            overrides: Some(vec![own(Some("hot"), 100_000_000, 400_000_000, "0.9")]),
            discounts: Some(vec![off(None, "0.1")]),
        };
        let hot = account.of(Some("hot"), Some(LISTED)).unwrap();
        assert_eq!(hot.cost(size(12, 5), 4), NanoUsd(2_840));
        // Recorded on another chute: prices are rounded to a cent, so 0.018 is 0.02 again.
        let standard = account.of(Some("standard"), Some(LISTED)).unwrap();
        assert_eq!(standard.cost(size(12, 5), 4), NanoUsd(650));
        // A chute that is not known may still have the price for all.
        let all = AccountPrices { overrides: Some(vec![own(None, 7, 9, "0")]), ..account };
        assert_eq!(all.of(None, None), Some(prices(7, 9, 7)));
        assert_eq!(all.of(Some("hot"), Some(LISTED)), Some(prices(7, 9, 7)));
    }

    #[test]
    fn the_row_of_a_chute_comes_before_the_one_of_all() {
        let account = AccountPrices {
            overrides: Some(vec![own(None, 1, 2, "0"), own(Some("hot"), 3, 4, "0")]),
            discounts: Some(vec![off(None, "1"), off(Some("other"), "0.5")]),
        };
        assert_eq!(account.of(Some("hot"), Some(LISTED)), Some(prices(3, 4, 3)));
        assert_eq!(account.of(Some("other"), Some(LISTED)), Some(prices(1, 2, 1)));
        let discounts = AccountPrices { overrides: Some(Vec::new()), ..account };
        let half = discounts.of(Some("other"), Some(LISTED));
        assert_eq!(half, Some(prices(10_000_000, 50_000_000, 5_000_000)));
        assert_eq!(discounts.of(Some("hot"), Some(LISTED)), Some(prices(0, 0, 0)));
    }

    #[test]
    fn what_was_not_read_is_not_nothing() {
        let discounts = AccountPrices { overrides: None, discounts: Some(vec![off(None, "0.5")]) };
        assert_eq!(
            discounts.of(Some("hot"), Some(LISTED)),
            Some(LISTED),
            "a price of its own may be dearer"
        );
        let both =
            discounts.followed_by(AccountPrices { overrides: Some(Vec::new()), discounts: None });
        assert!(both.of(Some("hot"), Some(LISTED)).unwrap().prompt < LISTED.prompt);
        assert_eq!(both.clone().followed_by(AccountPrices::default()), both);
        let gone = AccountPrices { overrides: None, discounts: Some(Vec::new()) };
        assert_eq!(both.followed_by(gone).of(Some("hot"), Some(LISTED)), Some(LISTED));
    }

    #[test]
    fn what_is_not_understood_makes_nothing_cheaper() {
        let mut odd = own(Some("hot"), 1, 2, "0");
        odd.has_rules = true;
        let account = AccountPrices { overrides: Some(vec![odd]), discounts: None };
        assert_eq!(account.of(Some("hot"), Some(LISTED)), Some(LISTED));
        assert_eq!(account.of(Some("hot"), None), Some(ModelPrices::DEARER_THAN_ANY));
        let mut by_request = own(Some("hot"), 1, 2, "0");
        by_request.prompt = None;
        let account = AccountPrices { overrides: Some(vec![by_request]), discounts: None };
        assert_eq!(account.of(Some("hot"), Some(LISTED)), Some(LISTED));
        for text in ["-0.1", "1.1", "", "half", "5"] {
            assert_eq!(Share::from_decimal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_discount_never_makes_dearer_nor_cheaper_than_it_says(
            prompt in 0_i64..20_000_000_000, completion in 0_i64..20_000_000_000,
            cached_share in 0_i64..=1_000, billionths in 0_u32..=1_000_000_000,
        ) {
            let cached = prompt / 1_000 * cached_share;
            let listed = prices(prompt, completion, cached);
            let account = AccountPrices {
                overrides: Some(Vec::new()),
                discounts: Some(vec![PriceDiscount { chute_id: None, off: Share(billionths) }]),
            };
            let paid = account.of(Some("any"), Some(listed)).unwrap();
            for (paid, listed) in [
                (paid.prompt, listed.prompt),
                (paid.completion, listed.completion),
                (paid.cached, listed.cached),
            ] {
                prop_assert!(paid <= listed);
                let exact = i128::from(listed.0) * i128::from(1_000_000_000 - billionths);
                prop_assert!(i128::from(paid.0) * 1_000_000_000 >= exact);
            }
        }
    }
}
