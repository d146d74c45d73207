//! Calls that may go to one of several chutes: the members of a list, or a name that is not listed. Until it is known who
//! served one, it counts in every row that it may count in.

use super::{Book, Chute, Reservation};
use crate::quota::forecast::CallCost;
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A call that is counted and not booked yet, in each row that it may count in. The first one has its dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held(Vec<Reservation>);

// === impl Book ===

impl Book {
    /// The rows of requests that a call to one of these chutes may count in: their own ones, and `None` for the one of all
    /// that have none.
    #[must_use]
    pub fn rows_of(&self, chutes: &[Option<&str>]) -> BTreeSet<Option<Arc<str>>> {
        let rows: BTreeSet<Chute> = chutes.iter().map(|chute| self.own_row(*chute)).collect();
        if rows.is_empty() { BTreeSet::from([None]) } else { rows }
    }

    /// Counts a call that is about to start to one of these chutes, at what it is likely to cost. `may_be_paid`: the
    /// balance is expected to pay for it, or might.
    pub fn hold(&mut self, chutes: &[Option<&str>], cost: CallCost, may_be_paid: bool) -> Held {
        let rows = self.rows_of(chutes).into_iter().enumerate();
        let held = rows.map(|(place, row)| {
            let cost = CallCost { usd: dollars_at(place, cost), ..cost };
            if may_be_paid && place == 0 {
                self.reserve_paid(row.as_deref(), cost)
            } else {
                self.reserve(row.as_deref(), cost)
            }
        });
        Held(held.collect())
    }

    /// Counts a call that ended, at what it did cost, in the row of the chute that served it, or in all that it may count
    /// in if that is not known.
    pub fn settle_held(&mut self, held: &Held, served: Option<&str>, ended: Wall, cost: CallCost) {
        let served = served.map(|chute| self.own_row(Some(chute)));
        let row_of = |book: &Self, one| book.open.get(one).map(|(row, _)| row.clone());
        let served =
            served.filter(|row| held.0.iter().any(|one| row_of(self, one).as_ref() == Some(row)));
        for (place, one) in held.0.iter().enumerate() {
            let is_it = served.is_none() || row_of(self, one) == served;
            let units = if is_it { cost.units } else { MilliUnits(0) };
            match (is_it, place) {
                (false, 1..) => self.cancel(*one),
                _ => self.settle(*one, ended, CallCost { units, usd: dollars_at(place, cost) }),
            }
        }
    }

    /// Counts a call that cost nothing no more.
    pub fn release(&mut self, held: &Held) {
        held.0.iter().for_each(|one| self.cancel(*one));
    }
}

/// Dollars count once, whatever row the request counts in.
const fn dollars_at(place: usize, cost: CallCost) -> Option<NanoUsd> {
    if place == 0 { cost.usd } else { Some(NanoUsd::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::super::{BookSettings, Margin};
    use super::*;
    use crate::quota::WindowKind;
    use crate::quota::account::tests::{NOON, pro, window};

    const COST: CallCost = CallCost { units: MilliUnits::ONE, usd: Some(NanoUsd(500)) };

    /// A while after a window began.
    const AT: Wall = Wall::from_unix_seconds(NOON.as_unix_seconds() + 600);

    fn book() -> Book {
        let mut account = pro(0, 0, 0, None);
        account.chute_windows.push(("own".into(), window(WindowKind::Chute, 0, 3_000_000)));
        let mut book = Book::new(BookSettings::default());
        book.learn(account);
        book
    }

    /// Units of the day, units of the own row, and nano-dollars.
    fn used(book: &Book) -> [i64; 3] {
        let predicted = book.predicted(AT, Margin::None).unwrap();
        let of = |kind| predicted.window(kind, AT).unwrap().used.unwrap();
        let own = predicted.chute_windows[0].1.used.unwrap();
        [of(WindowKind::Day), own, of(WindowKind::FourHour)]
    }

    #[test]
    fn a_call_counts_in_every_row_it_may_count_in_until_it_is_known_who_served_it() {
        for (served, expected) in [
            (Some("own"), [0, 1_000, 500]),
            (Some("other"), [1_000, 0, 500]),
            (None, [1_000, 1_000, 500]),
        ] {
            let mut book = book();
            let held = book.hold(&[Some("own"), Some("other"), None], COST, false);
            assert_eq!(used(&book), [1_000, 1_000, 500]);
            book.settle_held(&held, served, AT, COST);
            assert_eq!(used(&book), expected, "{served:?}");
            assert!(!book.has_open());
        }
        let mut book = book();
        let held = book.hold(&[Some("own"), None], COST, true);
        book.release(&held);
        assert_eq!((used(&book), book.has_open(), book.has_open_paid()), ([0; 3], false, false));
    }

    #[test]
    fn what_the_balance_may_have_paid_counts_once_whoever_served() {
        for served in [Some("own"), Some("other"), None] {
            let mut book = book();
            let held = book.hold(&[Some("own"), Some("other")], COST, true);
            assert_eq!(book.own_paid_today(AT), NanoUsd(500));
            book.settle_held(&held, served, AT, COST);
            assert_eq!((book.own_paid_today(AT), book.has_open_paid()), (NanoUsd(500), false));
        }
    }

    #[test]
    fn who_serves_may_have_no_row_that_was_thought_of() {
        let mut book = book();
        let held = book.hold(&[Some("own")], COST, false);
        book.settle_held(&held, Some("other"), AT, COST);
        assert_eq!(used(&book), [0, 1_000, 500]);
    }
}
