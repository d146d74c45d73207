//! Which cheaper model would make a window last longer.

use super::outlook::{Outlook, Slice};
use crate::time::Wall;

/// A model that could serve instead.
#[derive(Clone, Debug)]
pub struct Substitute {
    /// Its name.
    pub name: String,
    /// Whether it runs in a trusted execution environment.
    pub is_tee: bool,
    /// What lies ahead, account by account, for calls of the same size to it, each at what the account pays.
    pub outlooks: Vec<Outlook>,
}

/// A substitute with what it would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its name.
    pub name: String,
    /// As many calls fit into the same windows, in tenths: 30 is three times as many.
    pub factor_tenths: u64,
}

/// Less is not worth a switch, in tenths.
const WORTH_IT_TENTHS: u64 = 12;
/// Those up to the horizon are fewer.
const MOST_SLICES: usize = 400;

/// The substitutes with which more calls would fit, the one that brings most first. `asked` is what lies ahead for the model
/// that was asked for, of the same accounts. What is compared is what fits into the windows that open up to `until`, which is
/// when all of the calls fit; without it, all that can be foreseen. What is confidential never goes to a model that is not.
#[must_use]
pub fn stretches(
    asked: &[Outlook],
    until: Option<Wall>,
    is_tee: bool,
    substitutes: &[Substitute],
) -> Vec<Stretch> {
    let now = fitting(asked, until);
    if now == 0 {
        return Vec::new();
    }
    let mut found: Vec<Stretch> = substitutes
        .iter()
        .filter(|substitute| substitute.is_tee || !is_tee)
        .filter_map(|substitute| {
            let factor_tenths = fitting(&substitute.outlooks, until).saturating_mul(10) / now;
            let name = substitute.name.clone();
            (factor_tenths >= WORTH_IT_TENTHS).then_some(Stretch { name, factor_tenths })
        })
        .collect();
    found.sort_by(|one, other| {
        other.factor_tenths.cmp(&one.factor_tenths).then_with(|| one.name.cmp(&other.name))
    });
    found
}

/// The calls that fit into the windows that open up to this moment.
fn fitting(outlooks: &[Outlook], until: Option<Wall>) -> u64 {
    let slices = outlooks.iter().flat_map(|outlook| {
        let within = move |slice: &Slice| until.is_none_or(|until| slice.from <= until);
        outlook.clone().slices(MOST_SLICES).into_iter().take_while(within)
    });
    slices.fold(0, |sum, slice| sum.saturating_add(slice.fits))
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{NOON, pro};
    use super::*;
    use crate::quota::{AccountSnapshot, CallCost, SpendingPolicy};
    use crate::units::{MilliUnits, NanoUsd};

    fn ahead(account: &AccountSnapshot, cents: i64) -> Outlook {
        let cost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(cents)) };
        Outlook::new(account, &SpendingPolicy::default(), None, cost, NOON).unwrap()
    }

    fn substitute(accounts: &[AccountSnapshot], name: &str, cents: i64, tee: bool) -> Substitute {
        let outlooks = accounts.iter().map(|account| ahead(account, cents)).collect();
        Substitute { name: name.into(), is_tee: tee, outlooks }
    }

    #[test]
    fn the_cheaper_one_that_brings_most_comes_first_and_nothing_leaves_its_enclave() {
        let account = pro(0, 8_000_000_000, 0, None);
        let accounts = [account.clone()];
        let substitute = |name, cents, tee| substitute(&accounts, name, cents, tee);
        let others = [
            substitute("dearer", 9, true),
            substitute("same", 6, true),
            substitute("half", 3, true),
            substitute("third", 2, true),
            substitute("plain", 1, false),
        ];
        let named = |is_tee| -> Vec<(String, u64)> {
            let found = stretches(&[ahead(&account, 6)], None, is_tee, &others);
            found.into_iter().map(|stretch| (stretch.name, stretch.factor_tenths)).collect()
        };
        assert_eq!(named(true), [("third".to_owned(), 30), ("half".to_owned(), 20)]);
        assert_eq!(named(false)[0].0, "plain");
    }

    #[test]
    fn where_units_bind_a_cheaper_one_brings_nothing() {
        // The day quota counts calls, whatever they cost; that of the dear one are spread over more windows of a day.
        let few = pro(4_930_000, 0, 0, None);
        let tenths = |tenths: i64| {
            let usd = Some(NanoUsd(tenths * 1_000_000));
            let cost = CallCost { units: MilliUnits::ONE, usd };
            Outlook::new(&few, &SpendingPolicy::default(), None, cost, NOON).unwrap()
        };
        let half = Substitute { name: "half".into(), is_tee: true, outlooks: vec![tenths(1)] };
        let two_days = Some(NOON.after(std::time::Duration::from_secs(2 * 86_400)));
        assert!(stretches(&[tenths(2)], two_days, true, &[half]).is_empty());
        assert!(stretches(&[], None, true, &[]).is_empty());
    }

    #[test]
    fn the_calls_of_all_accounts_are_counted_together() {
        let accounts = [pro(0, 8_000_000_000, 0, None), pro(0, 0, 0, None)];
        let asked = accounts.clone().map(|account| ahead(&account, 6));
        let found = stretches(&asked, None, true, &[substitute(&accounts, "third", 2, true)]);
        assert_eq!(found[0].factor_tenths, 30);
        // On one of the accounts it is no cheaper, by a price of its own.
        let mut dear = substitute(&accounts, "dear here", 2, true);
        dear.outlooks[1] = ahead(&accounts[1], 6);
        let found = stretches(&asked, None, true, &[dear]);
        assert!((12..30).contains(&found[0].factor_tenths), "{found:?}");
    }
}
