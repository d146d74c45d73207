//! Calls of others that the dollar figures cannot show yet, by the counter of requests, which is live
//! (`chutes/api.md` 2.3).

use super::super::calendar::four_hour_window;
use crate::time::Wall;
use crate::units::scaled;
use std::collections::VecDeque;
use std::time::Duration;

/// What the counter says of others.
#[derive(Clone, Debug)]
pub(super) struct Others {
    /// Thousandths of requests of own calls that ended, since the beginning.
    own: i64,
    /// Latest readings of the counter, oldest first.
    counts: VecDeque<Count>,
    /// The first one in the four hours of the last one.
    first: Option<Count>,
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    at: Wall,
    /// Thousandths of requests that are not ours: only differences mean anything.
    others: i64,
    /// The last one with this counter, which begins anew every day.
    turns_at: Option<Wall>,
}

/// Readings that are remembered: at one in ten seconds, those of ten minutes.
const REMEMBERED: usize = 64;
/// With fewer requests of others their price says little.
const ENOUGH_REQUESTS: i64 = 5_000;
/// Until then a request of others is taken to cost this share of the cap, in millionths.
const USUAL_MILLIONTHS: u64 = 1_000;
/// Never more than this: what looks dearer is own calls that are not told apart yet.
const DEAREST_MILLIONTHS: u64 = 10_000;

impl Others {
    pub(super) const fn new() -> Self {
        Self { own: 0, counts: VecDeque::new(), first: None }
    }

    /// An own call ended and counts as so many thousandths.
    pub(super) const fn own_call_ended(&mut self, milli_units: i64) {
        self.own = self.own.saturating_add(milli_units);
    }

    /// The counter was read: `own_later` of our own calls ended after that.
    pub(super) fn counted(&mut self, used: i64, own_later: i64, at: Wall, turns_at: Option<Wall>) {
        let own = self.own.saturating_sub(own_later);
        let count = Count { at, others: used.saturating_sub(own), turns_at };
        if self.counts.back().is_some_and(|last| last.turns_at != turns_at || last.at > at) {
            self.counts.clear();
            self.first = None;
        }
        let window = |count: &Count| four_hour_window(count.at);
        if self.first.is_none_or(|first| window(&first) != window(&count)) {
            self.first = Some(count);
        }
        self.counts.push_back(count);
        if self.counts.len() > REMEMBERED {
            self.counts.pop_front();
        }
    }

    /// What others may have used that a dollar figure, certain until a moment, does not show at `now`: the requests
    /// they made since, and as many more as they would have made since the counter was read at that pace, at what their
    /// requests cost so far (`foreign`, in a window with this cap).
    pub(super) fn unseen(&self, certain_until: Wall, now: Wall, foreign: i64, cap: i64) -> i64 {
        let Some(last) = self.counts.back() else { return 0 };
        let Some(base) = self.base(certain_until) else { return 0 };
        let counted = last.others.saturating_sub(base.others).max(0);
        let seconds = |duration: Duration| duration.as_secs();
        let (pace_over, since) = (seconds(last.at.since(base.at)), seconds(now.since(last.at)));
        let more = if pace_over == 0 { 0 } else { scaled(counted, since, pace_over) };
        let requests = u64::try_from(counted.saturating_add(more)).unwrap_or(0);
        scaled(self.price(&base, foreign, cap), requests, 1_000)
    }

    /// The last reading that the dollar figure has certainly taken in, or else the first that is left.
    fn base(&self, certain_until: Wall) -> Option<Count> {
        let taken_in = self.counts.iter().rev().find(|count| count.at <= certain_until);
        taken_in.or_else(|| self.counts.front()).copied()
    }

    /// What a request of others costs.
    fn price(&self, base: &Count, foreign: i64, cap: i64) -> i64 {
        let first = self.first.map_or(base.others, |first| first.others);
        let requests = base.others.saturating_sub(first);
        if requests < ENOUGH_REQUESTS {
            return scaled(cap, USUAL_MILLIONTHS, 1_000_000);
        }
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        scaled(foreign, 1_000, requests).min(scaled(cap, DEAREST_MILLIONTHS, 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: i64 = 8_000_000_000;

    fn at(seconds: u64) -> Wall {
        // Where four hours begin.
        Wall::from_unix_seconds(1_795_176_000).after(Duration::from_secs(seconds))
    }

    fn read(others: &mut Others, seconds: u64, used: i64) {
        others.counted(used, 0, at(seconds), Some(at(40_000)));
    }

    #[test]
    fn own_requests_are_not_those_of_others() {
        let mut others = Others::new();
        read(&mut others, 100, 7_000);
        others.own_call_ended(3_000);
        read(&mut others, 110, 10_000);
        assert_eq!(others.unseen(at(50), at(110), 0, CAP), 0);
        // One that ended after the reading is not in it.
        others.own_call_ended(1_000);
        others.counted(10_000, 1_000, at(120), Some(at(40_000)));
        assert_eq!(others.unseen(at(50), at(120), 0, CAP), 0);
    }

    #[test]
    fn a_burst_shows_in_the_counter_before_it_shows_in_dollars() {
        let mut others = Others::new();
        read(&mut others, 0, 0);
        read(&mut others, 40, 0);
        read(&mut others, 50, 20_000);
        // Twenty requests at a thousandth of the cap; the dollars are those of a minute ago.
        assert_eq!(others.unseen(at(0), at(50), 0, CAP), CAP / 1_000 * 20);
        // Ten seconds later it may be four more.
        assert_eq!(others.unseen(at(0), at(60), 0, CAP), CAP / 1_000 * 24);
        // Once the dollars have it nothing is unseen.
        read(&mut others, 120, 20_000);
        assert_eq!(others.unseen(at(55), at(125), 0, CAP), 0);
    }

    #[test]
    fn what_requests_cost_so_far_they_are_taken_to_cost() {
        let mut others = Others::new();
        read(&mut others, 0, 0);
        read(&mut others, 600, 10_000);
        read(&mut others, 660, 14_000);
        assert_eq!(others.unseen(at(600), at(660), 5_000_000, CAP), 4 * 500_000);
        // Nobody's requests cost a tenth of the cap.
        assert_eq!(others.unseen(at(600), at(660), CAP, CAP), CAP / 100 * 4);
    }

    #[test]
    fn another_day_counts_anew() {
        let mut others = Others::new();
        read(&mut others, 0, 900_000);
        others.counted(2_000, 0, at(50_000), Some(at(90_000)));
        assert_eq!(others.unseen(at(0), at(50_000), 0, CAP), 0);
        // Counters that read 0 for a while are no requests, and no less than none.
        others.counted(0, 0, at(50_010), Some(at(90_000)));
        assert_eq!(others.unseen(at(0), at(50_010), 0, CAP), 0);
    }
}
