//! What an account has agreed with Chutes or set up for itself, beside its plan: prices, discounts, names for models.
//!
//! Usually none of it. Every endpoint may fail by itself; what it would have told is then unknown, not nothing.

use ripcord_rules::quota::{AccountPrices, Aliases, PriceDiscount, PriceOverride, Share};
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_wire::chutes;
use ripcord_wire::decimal::Decimal;
use ripcord_wire::items::Items;

use crate::chutes::{Chutes, Reply};
use crate::error::Error;

/// What could be read.
#[derive(Debug, Default)]
pub struct TermsReading {
    /// Prices and discounts.
    pub prices: AccountPrices,
    /// The account's own names for models; `None` if they could not be read.
    pub aliases: Option<Aliases>,
    /// What could not be read, and why.
    pub problems: Vec<Error>,
}

/// So many rows of one kind are taken over; with more of them nothing is known.
const MOST_ROWS: usize = 4_096;
/// In the list that stands for every chute.
const EVERY_CHUTE: &str = "*";

/// Reads an account's prices, discounts and aliases (`chutes/api.md` 2.5, 3.6) with the client's key. Never fails: see
/// [`TermsReading::problems`].
pub async fn read_terms(chutes: &Chutes) -> TermsReading {
    let mut reading = TermsReading::default();
    // One after the other: there is no hurry, and other reads of the account may be under way.
    reading.prices.overrides = reading.rows(chutes.price_overrides().await, price_override);
    reading.prices.discounts = reading.rows(chutes.discounts().await, discount);
    let aliases = reading.rows(chutes.model_aliases().await, |alias| {
        Some((alias.alias?.to_lowercase(), alias.chute_ids?))
    });
    reading.aliases = aliases.map(|aliases| aliases.into_iter().collect());
    reading
}

// === impl TermsReading ===

impl TermsReading {
    /// All rows, or nothing: one that is not understood might be the one that matters.
    fn rows<T, R>(
        &mut self,
        reply: Result<Reply<Items<T>>, Error>,
        read: impl Fn(T) -> Option<R>,
    ) -> Option<Vec<R>> {
        let items = match reply {
            Ok(reply) => reply.value,
            Err(error) => {
                self.problems.push(error);
                return None;
            }
        };
        if items.skipped > 0 || items.len() > MOST_ROWS {
            return None;
        }
        items.into_iter().map(read).collect()
    }
}

fn price_override(row: chutes::PriceOverride) -> Option<PriceOverride> {
    Some(PriceOverride {
        chute_id: chute_of(row.chute_id?),
        prompt: price(row.per_million_in.as_ref())?,
        completion: price(row.per_million_out.as_ref())?,
        // Without a discount that can be read a cached token costs as much as another.
        cache_discount: row.cache_discount.and_then(|off| Share::from_decimal(off.as_str())),
        has_rules: row.pricing_rules.is_some(),
    })
}

fn discount(row: chutes::Discount) -> Option<PriceDiscount> {
    let off = Share::from_decimal(row.discount?.as_str())?;
    Some(PriceDiscount { chute_id: chute_of(row.chute_id?), off })
}

fn chute_of(chute_id: String) -> Option<String> {
    (chute_id != EVERY_CHUTE).then_some(chute_id)
}

/// A price that is not set is none; one that cannot be read makes the row unknown.
#[expect(clippy::option_option, reason = "not set and not readable are two things")]
fn price(decimal: Option<&Decimal>) -> Option<Option<NanoUsd>> {
    let Some(decimal) = decimal else { return Some(None) };
    let price = NanoUsd::from_decimal(decimal.as_str(), Rounding::Up)?;
    (price >= NanoUsd::ZERO).then_some(Some(price))
}
