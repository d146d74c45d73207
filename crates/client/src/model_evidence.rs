//! What the public lists say of one model, as the evidence that [`ripcord_rules::model_state`] decides on.

use std::time::Duration;

use ripcord_rules::model_state::{Listing, ModelEvidence};
use ripcord_rules::time::Wall;
use ripcord_wire::chutes::{Chute, Utilization};

/// The evidence of a chute and of its row of load, both read at `now`. Without a chute, `listed` says whether the list was
/// read whole, so that the model is gone and not merely unseen.
#[must_use]
pub fn model_evidence(
    chute: Option<&Chute>,
    load: Option<&Utilization>,
    listed: bool,
    now: Wall,
) -> ModelEvidence {
    let listing = match chute {
        Some(chute) => Listing::Present {
            hot: chute.hot.unwrap_or(chute.ready_instances() > 0),
            disabled: chute.disabled == Some(true),
        },
        None if listed => Listing::Absent,
        None => Listing::Unknown,
    };
    let sampled = load.and_then(|load| load.timestamp.as_ref()?.unix_micros());
    let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    ModelEvidence {
        listing,
        listing_age: (listing != Listing::Unknown).then_some(Duration::ZERO),
        active_instances: load.and_then(|load| count(load.active_instance_count)),
        utilization_permille: load.and_then(|load| permille(load.utilization_current)),
        refused_permille: load.and_then(|load| permille(load.rate_limit_ratio_5m)),
        utilization_age: sampled.map(|micros| now.since(Wall::from_unix_micros(micros))),
        own: None,
    }
}

/// A share from 0 to 1 in thousandths; what is no share is not known.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to lie between 0 and 1000"
)]
fn permille(share: Option<f64>) -> Option<u64> {
    share.filter(|share| (0.0..=1.0).contains(share)).map(|share| (share * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_none_is_not_known() {
        assert_eq!(permille(Some(0.97)), Some(970));
        for odd in [None, Some(-0.1), Some(1.1), Some(f64::NAN)] {
            assert_eq!(permille(odd), None, "{odd:?}");
        }
    }
}
