//! How much of its share the bearer of a client key has used.

use crate::quota::{calendar_month, next_day_reset};
use crate::time::{Mono, Now, Wall};
use crate::units::NanoUsd;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The share of one client key. What is `None` is not bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClientLimits {
    /// At list price, from 00:00 to 00:00 UTC, whoever pays.
    pub daily_usd: Option<NanoUsd>,
    /// The same for a calendar month, UTC.
    pub monthly_usd: Option<NanoUsd>,
    /// Requests from 00:00 to 00:00 UTC. One that is refused before anything was sent does not count.
    pub daily_requests: Option<u64>,
    /// Requests in any 60 seconds.
    pub requests_per_minute: Option<u32>,
    /// Requests at once, those that wait for a slot included.
    pub concurrent_requests: Option<u32>,
}

/// What has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Used {
    /// At list price since 00:00 UTC.
    pub today_usd: NanoUsd,
    /// At list price since the month began.
    pub month_usd: NanoUsd,
    /// Requests since 00:00 UTC.
    pub today_requests: u64,
}

/// One of the bounds of [`ClientLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// US dollars a day.
    DailyUsd(NanoUsd),
    /// US dollars a month.
    MonthlyUsd(NanoUsd),
    /// Requests a day.
    DailyRequests(u64),
    /// Requests in any minute.
    Pace(u32),
    /// Requests at once.
    Concurrent(u32),
}

/// Why a request does not go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Which bound is reached.
    pub bound: Bound,
    /// Of a bound in dollars, what is left of it beside what calls under way are likely to cost.
    pub left: NanoUsd,
    /// When there will be room, as far as the calendar says; `None` if a new day or month does not help either.
    pub turns_at: Option<Wall>,
    /// After how long there will be room at this pace.
    pub wait: Option<Duration>,
    /// Calls under way may cost less than is reserved for them, and then there is room.
    pub may_settle: bool,
}

/// One request under way; hand it back to [`ClientMeter::end`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Entry {
    day: i64,
}

/// What one bearer uses, counted before it is used.
#[derive(Clone, Debug, Default)]
pub struct ClientMeter {
    /// A clock that was set may bring a day back, so the last few are known, counted from 1970.
    days: BTreeMap<i64, Day>,
    /// By the second in which the month began.
    months: BTreeMap<i64, NanoUsd>,
    /// For calls under way, at what they are likely to cost.
    reserved: NanoUsd,
    under_way: u32,
    /// When requests of the last minute came, the oldest first. At most as many as the pace allows.
    recent: VecDeque<Mono>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Day {
    usd: NanoUsd,
    requests: u64,
}

const MINUTE: Duration = Duration::from_secs(60);
/// Days that are remembered before and after the one that is settled.
const KNOWN_DAYS: u64 = 3;
/// The same for months, in seconds.
const KNOWN_MONTHS_SECONDS: u64 = 40 * 86_400;

// === impl ClientLimits ===

impl ClientLimits {
    /// Whether dollars are bounded, so that what a call costs has to be known.
    #[must_use]
    pub const fn counts_dollars(&self) -> bool {
        self.daily_usd.is_some() || self.monthly_usd.is_some()
    }
}

// === impl Full ===

impl Full {
    /// Whether something is left, though not as much as the call may cost, and nothing under way will free more: one that
    /// costs less may go.
    #[must_use]
    pub fn is_too_small(&self) -> bool {
        self.left > NanoUsd::ZERO && !self.may_settle
    }

    const fn of(bound: Bound) -> Self {
        Self { bound, left: NanoUsd::ZERO, turns_at: None, wait: None, may_settle: false }
    }
}

// === impl ClientMeter ===

impl ClientMeter {
    /// What was used before this program began.
    pub fn remember(&mut self, before: Used, now: Wall) {
        let day = self.day(now);
        day.usd = day.usd.plus(before.today_usd);
        day.requests = day.requests.saturating_add(before.today_requests);
        let month = self.month(now);
        *month = month.plus(before.month_usd);
    }

    /// Lets a request in and counts it, or says what stands against it. What is refused does not count.
    ///
    /// # Errors
    /// When one of the bounds is reached.
    pub fn begin(&mut self, limits: &ClientLimits, now: Now) -> Result<Entry, Full> {
        if let Some(most) = limits.concurrent_requests.filter(|&most| self.under_way >= most) {
            return Err(Full::of(Bound::Concurrent(most)));
        }
        let used = self.used(now.wall);
        let most = limits.daily_requests;
        if let Some(most) = most.filter(|&most| used.today_requests >= most) {
            let turns_at = Some(next_day_reset(now.wall));
            return Err(Full { turns_at, ..Full::of(Bound::DailyRequests(most)) });
        }
        // What nothing is left of need not wait for a slot first.
        self.room(limits, NanoUsd::ZERO, now.wall)?;
        if let Some(most) = limits.requests_per_minute {
            self.keep_pace(most, now.mono)?;
        }
        self.under_way += 1;
        let day = day_of(now.wall);
        let today = self.day(now.wall);
        today.requests = today.requests.saturating_add(1);
        Ok(Entry { day })
    }

    /// A request is over; `was_sent` says whether anything was sent upstream for it.
    pub fn end(&mut self, entry: Entry, was_sent: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(day) = self.days.get_mut(&entry.day).filter(|_| !was_sent) {
            day.requests = day.requests.saturating_sub(1);
        }
    }

    /// Counts a call that is about to be sent at what it is likely to cost, if there is room for it.
    ///
    /// # Errors
    /// When one of the bounds in dollars leaves no room.
    pub fn reserve(
        &mut self,
        limits: &ClientLimits,
        likely: NanoUsd,
        now: Wall,
    ) -> Result<(), Full> {
        self.room(limits, likely, now)?;
        self.reserved = self.reserved.plus(likely);
        Ok(())
    }

    /// Whether [`Self::reserve`] would find room.
    #[must_use]
    pub fn has_room(&self, limits: &ClientLimits, likely: NanoUsd, now: Wall) -> bool {
        self.room(limits, likely, now).is_ok()
    }

    /// A call that was counted at `likely` ended, and did cost this. It counts on the day and in the month in which it
    /// ended.
    pub fn settle(&mut self, likely: NanoUsd, cost: NanoUsd, now: Wall) {
        self.reserved = NanoUsd(self.reserved.0.saturating_sub(likely.0).max(0));
        let day = self.day(now);
        day.usd = day.usd.plus(cost);
        let month = self.month(now);
        *month = month.plus(cost);
    }

    /// What was used on the day and in the month of `now`, without what is under way.
    #[must_use]
    pub fn used(&self, now: Wall) -> Used {
        let day = self.days.get(&day_of(now)).copied().unwrap_or_default();
        let month = self.months.get(&month_of(now)).copied().unwrap_or_default();
        Used { today_usd: day.usd, month_usd: month, today_requests: day.requests }
    }

    /// Requests under way.
    #[must_use]
    pub const fn under_way(&self) -> u32 {
        self.under_way
    }

    /// What calls under way are likely to cost.
    #[must_use]
    pub const fn reserved(&self) -> NanoUsd {
        self.reserved
    }

    /// Whether a call that is likely to cost this still goes. One that may cost nothing goes as long as anything is left.
    fn room(&self, limits: &ClientLimits, likely: NanoUsd, now: Wall) -> Result<(), Full> {
        let used = self.used(now);
        let month_ends = || calendar_month(now).map(|(_, end)| end);
        let day = limits.daily_usd.map(|bound| {
            (bound, used.today_usd, Bound::DailyUsd(bound), Some(next_day_reset(now)))
        });
        let month = limits
            .monthly_usd
            .map(|bound| (bound, used.month_usd, Bound::MonthlyUsd(bound), month_ends()));
        // The month first: where both are used up, tomorrow does not help.
        for (bound, used, which, turns_at) in month.into_iter().chain(day) {
            let fits = |counted: NanoUsd| counted < bound && counted.plus(likely) <= bound;
            if fits(used.plus(self.reserved)) || (likely == NanoUsd::ZERO && used < bound) {
                continue;
            }
            return Err(Full {
                left: NanoUsd(bound.0.saturating_sub(used.0).max(0)),
                // What does not fit into a whole day fits into no day.
                turns_at: turns_at.filter(|_| likely <= bound),
                may_settle: self.reserved > NanoUsd::ZERO && fits(used),
                ..Full::of(which)
            });
        }
        Ok(())
    }

    /// Counts a request in the last minute, or says when there is room for it.
    fn keep_pace(&mut self, most: u32, now: Mono) -> Result<(), Full> {
        while self.recent.front().is_some_and(|&came| now.since(came) >= MINUTE) {
            self.recent.pop_front();
        }
        let most_kept = usize::try_from(most).unwrap_or(usize::MAX);
        if let Some(over) = self.recent.len().checked_sub(most_kept) {
            // The one that has to leave; none where nobody may come at all.
            let leaves = self.recent.get(over).map_or(now, |came| *came);
            let wait = Some(MINUTE.saturating_sub(now.since(leaves)));
            return Err(Full { wait, ..Full::of(Bound::Pace(most)) });
        }
        self.recent.push_back(now);
        Ok(())
    }

    fn day(&mut self, now: Wall) -> &mut Day {
        let day = day_of(now);
        self.days.retain(|known, _| known.abs_diff(day) <= KNOWN_DAYS);
        self.days.entry(day).or_default()
    }

    fn month(&mut self, now: Wall) -> &mut NanoUsd {
        let month = month_of(now);
        self.months.retain(|known, _| known.abs_diff(month) <= KNOWN_MONTHS_SECONDS);
        self.months.entry(month).or_default()
    }
}

const fn day_of(now: Wall) -> i64 {
    now.as_unix_seconds().div_euclid(86_400)
}

/// The second in which its month began; outside of every calendar all months are one.
fn month_of(now: Wall) -> i64 {
    calendar_month(now).map_or(0, |(began, _)| began.as_unix_seconds())
}

#[cfg(test)]
mod tests;
