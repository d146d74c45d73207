//! Which cheaper model would make a window last longer.

use super::forecast::CallCost;
use super::outlook::{Outlook, Slice};

/// A model that could serve instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitute {
    /// Its name.
    pub name: String,
    /// What a call of the same size costs with it.
    pub cost: CallCost,
    /// Whether it runs in a trusted execution environment.
    pub is_tee: bool,
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
/// So many slices are compared.
const COMPARED: usize = 6;

/// The substitutes with which more calls would fit, the one that brings most first. `outlook` tells what lies ahead for
/// calls at a cost. What is confidential never goes to a model that is not.
#[must_use]
pub fn stretches(
    cost: CallCost,
    is_tee: bool,
    substitutes: &[Substitute],
    outlook: impl Fn(CallCost) -> Option<Outlook>,
) -> Vec<Stretch> {
    let fitting = |cost| Some(sum(&outlook(cost)?.slices(COMPARED)));
    let Some(now) = fitting(cost).filter(|now| *now > 0) else { return Vec::new() };
    let mut found: Vec<Stretch> = substitutes
        .iter()
        .filter(|substitute| (substitute.is_tee || !is_tee) && substitute.cost.usd < cost.usd)
        .filter(|substitute| substitute.cost.usd.is_some())
        .filter_map(|substitute| {
            let factor_tenths = fitting(substitute.cost)?.saturating_mul(10) / now;
            let name = substitute.name.clone();
            (factor_tenths >= WORTH_IT_TENTHS).then_some(Stretch { name, factor_tenths })
        })
        .collect();
    found.sort_by(|one, other| {
        other.factor_tenths.cmp(&one.factor_tenths).then_with(|| one.name.cmp(&other.name))
    });
    found
}

fn sum(slices: &[Slice]) -> u64 {
    slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.fits))
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{NOON, pro};
    use super::*;
    use crate::quota::SpendingPolicy;
    use crate::units::{MilliUnits, NanoUsd};

    fn cost(cents: i64) -> CallCost {
        CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd::from_cents(cents)) }
    }

    fn substitute(name: &str, cents: i64, is_tee: bool) -> Substitute {
        Substitute { name: name.into(), cost: cost(cents), is_tee }
    }

    #[test]
    fn the_cheaper_one_that_brings_most_comes_first_and_nothing_leaves_its_enclave() {
        let account = pro(0, 8_000_000_000, 0, None);
        let policy = SpendingPolicy::default();
        let outlook = |cost| Outlook::new(&account, &policy, None, cost, NOON);
        let others = [
            substitute("dearer", 9, true),
            substitute("same", 6, true),
            substitute("half", 3, true),
            substitute("third", 2, true),
            substitute("plain", 1, false),
        ];
        let named = |is_tee| -> Vec<(String, u64)> {
            let found = stretches(cost(6), is_tee, &others, outlook);
            found.into_iter().map(|stretch| (stretch.name, stretch.factor_tenths)).collect()
        };
        assert_eq!(named(true), [("third".to_owned(), 30), ("half".to_owned(), 20)]);
        assert_eq!(named(false)[0].0, "plain");
        // The day quota counts calls, whatever they cost.
        let few = pro(4_930_000, 0, 0, None);
        let of_few =
            |cost| Outlook::new(&few, &policy, None, cost, NOON).map(|all| all.at_pace(None));
        assert!(stretches(cost(1), true, &others, of_few).is_empty());
        let unpriced = CallCost { usd: None, ..cost(1) };
        assert!(stretches(unpriced, true, &others, outlook).is_empty());
    }
}
