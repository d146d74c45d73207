//! What is known of an account beside its figures: its own prices and names for models, and what it has sent lately.

use parking_lot::{Mutex, RwLock};
use ripcord_client::terms::TermsReading;
use ripcord_rules::quota::{AccountPrices, Aliases, Repeats};
use std::sync::Arc;

/// An account's prices and names for models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) prices: AccountPrices,
    /// `None` while they have not been read.
    pub(crate) aliases: Option<Aliases>,
}

/// An account as far as the price of its calls goes.
#[derive(Debug, Default)]
pub(crate) struct Pricing {
    terms: RwLock<Arc<Terms>>,
    pub(crate) repeats: Mutex<Repeats>,
}

impl Pricing {
    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read())
    }

    /// Takes over a reading; what could not be read stays as it was known.
    pub(crate) fn learn(&self, newer: TermsReading) {
        let mut terms = self.terms.write();
        let known = Terms::clone(&terms);
        *terms = Arc::new(Terms {
            prices: known.prices.followed_by(newer.prices),
            aliases: newer.aliases.or(known.aliases),
        });
    }
}
