//! Hours that stand out.
//!
//! What is usual is told by the median of the hours that were used at all, and by the median distance from it, which a
//! few wild hours do not move as they move an average. An hour stands out if it is far above that on every count: by
//! distances, by a multiple, and by enough to care.

/// From when on an hour stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpikeRule {
    /// With fewer hours of use nothing is usual.
    pub least_hours: usize,
    /// So many median distances above the median (six are about four standard deviations of a normal spread).
    pub distances: i64,
    /// At least so many times the median, for use that is the same every hour.
    pub times_median: i64,
}

/// The rule in force.
pub const SPIKE_RULE: SpikeRule = SpikeRule { least_hours: 12, distances: 6, times_median: 3 };

/// What is usual, and what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Hours of use.
    pub hours: usize,
    /// Half of them used no more than this.
    pub median: i64,
    /// Half of them lie no further from the median than this.
    pub distance: i64,
    /// An hour above this stands out.
    pub threshold: i64,
}

/// What is usual among these amounts, one of each hour of use, in any order; an hour below `floor` never stands out.
/// `None` if there are too few.
#[must_use]
pub fn usual(amounts: &[i64], floor: i64, rule: SpikeRule) -> Option<Usual> {
    if amounts.len() < rule.least_hours.max(1) {
        return None;
    }
    let median = median(amounts.to_vec())?;
    let distance =
        self::median(amounts.iter().map(|amount| amount.saturating_sub(median).saturating_abs()))?;
    let far = median.saturating_add(distance.saturating_mul(rule.distances));
    let threshold = far.max(median.saturating_mul(rule.times_median)).max(floor);
    Some(Usual { hours: amounts.len(), median, distance, threshold })
}

/// The lower of the two in the middle, so that it is one of the amounts.
fn median(amounts: impl IntoIterator<Item = i64>) -> Option<i64> {
    let mut amounts: Vec<i64> = amounts.into_iter().collect();
    let middle = amounts.len().checked_sub(1)? / 2;
    let (_, median, _) = amounts.select_nth_unstable(middle);
    Some(*median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(amounts: &[i64], floor: i64) -> Option<Usual> {
        usual(amounts, floor, SPIKE_RULE)
    }

    #[test]
    fn few_hours_have_no_usual() {
        assert_eq!(of(&[5; 11], 0), None);
        assert!(of(&[5; 12], 0).is_some());
        assert_eq!(usual(&[], 0, SpikeRule { least_hours: 0, ..SPIKE_RULE }), None);
    }

    #[test]
    fn a_few_wild_hours_do_not_move_what_is_usual() {
        let mut amounts = vec![40, 42, 38, 45, 41, 39, 40, 44, 36, 40, 43, 40];
        let calm = of(&amounts, 0).unwrap();
        assert_eq!((calm.median, calm.distance, calm.threshold), (40, 1, 120));
        amounts.extend([4_000, 9_000]);
        assert_eq!(of(&amounts, 0).unwrap().median, 40);
    }

    #[test]
    fn each_of_the_three_bounds_can_decide() {
        let wide: Vec<i64> = (0..13).map(|number| number * 10).collect();
        assert_eq!(of(&wide, 0).unwrap().threshold, 60 + 6 * 30, "distances");
        assert_eq!(of(&[10; 12], 0).unwrap().threshold, 30, "the multiple");
        assert_eq!(of(&[10; 12], 50).unwrap().threshold, 50, "the floor");
    }

    proptest! {
        #[test]
        fn never_do_half_of_the_hours_stand_out(
            amounts in proptest::collection::vec(0_i64..i64::MAX, 12..80)
        ) {
            let usual = of(&amounts, 0).unwrap();
            let outstanding = amounts.iter().filter(|amount| **amount > usual.threshold).count();
            prop_assert!(outstanding * 2 <= amounts.len());
            prop_assert!(usual.threshold >= usual.median);
        }
    }
}
