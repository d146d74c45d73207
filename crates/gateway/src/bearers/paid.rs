//! What the balance pays for a bearer.

use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use std::collections::BTreeMap;

/// What the balance paid, or is about to pay, for a bearer's calls on one day.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaidToday {
    /// By the day, counted from 1970. A clock that was set may bring one back, so the last few are known.
    settled: BTreeMap<i64, NanoUsd>,
    /// For calls under way, at what they are likely to cost.
    open: NanoUsd,
}

// === impl PaidToday ===

impl PaidToday {
    /// What was paid on the day of `now`, what is under way included.
    pub(crate) fn all(&self, now: Wall) -> NanoUsd {
        self.settled.get(&day_of(now)).map_or(self.open, |settled| settled.plus(self.open))
    }

    /// Whether calls are under way that the balance may pay for.
    pub(super) fn has_open(&self) -> bool {
        self.open > NanoUsd::ZERO
    }

    pub(crate) fn reserve(&mut self, likely: NanoUsd) {
        self.open = self.open.plus(likely);
    }

    pub(super) fn settle(&mut self, likely: NanoUsd, cost: NanoUsd, now: Wall) {
        self.open = NanoUsd(self.open.0.saturating_sub(likely.0).max(0));
        let day = day_of(now);
        self.settled.retain(|known, _| known.abs_diff(day) <= 3);
        let settled = self.settled.entry(day).or_default();
        *settled = settled.plus(cost);
    }
}

const fn day_of(now: Wall) -> i64 {
    now.as_unix_seconds().div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Wall = Wall::from_unix_seconds(1_790_510_400);

    #[test]
    fn what_a_key_has_paid_is_of_one_day() {
        let mut paid = PaidToday::default();
        let cents = NanoUsd::from_cents;
        assert_eq!(paid.all(NOON), NanoUsd::ZERO);
        paid.reserve(cents(50));
        assert_eq!(paid.all(NOON), cents(50));
        paid.settle(cents(50), cents(20), NOON);
        paid.reserve(cents(30));
        assert_eq!(paid.all(NOON), cents(50));
        let tomorrow = NOON.after(std::time::Duration::from_secs(43_200));
        assert_eq!(paid.all(tomorrow), cents(30), "what runs over midnight counts on the new day");
        paid.settle(cents(30), cents(30), tomorrow);
        assert_eq!(paid.all(tomorrow), cents(30));
        // The clock was ahead: it is still the day before, on which twenty were paid.
        assert_eq!(paid.all(NOON), cents(20));
        paid.settle(NanoUsd::ZERO, cents(1), NOON);
        assert_eq!((paid.all(NOON), paid.all(tomorrow)), (cents(21), cents(30)));
    }
}
