//! One account before which requests wait: what closes it, who holds its slots, and who was passed over for them.

use super::estimate::{HoldTime, Supply};
use super::pace::{Pace, PaceRule};
use super::queue::Priority;
use crate::quota::Work;
use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests for which an account's budget is open or closed together: those of one policy with one right to what is kept
/// for interactive work. There are a few in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Class {
    /// Whose policy holds for them, by a number that whoever drives the gate gives out.
    pub bearer: u32,
    /// Whether they may use what is kept for interactive work.
    pub work: Work,
}

/// Why an account takes no new attempt, each reason on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closure {
    /// It rests.
    Rest,
    /// Its budget does not allow more to requests of this class.
    Budget(Class),
}

/// Bounds of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Attempts under way at once.
    pub slots: u32,
    /// How fast they may start.
    pub pace: PaceRule,
}

/// The end of a closure: a moment, or an end that nobody knows.
type Closed = Option<Option<Mono>>;

#[derive(Clone, Debug)]
pub(super) struct Account {
    slots: u32,
    /// When the attempts under way were granted.
    granted: Vec<Mono>,
    /// As many are in use as there are: others hold the rest of its slots. Until it is asked anew.
    pub(super) is_short: bool,
    rest: Closed,
    /// The classes for which its budget is closed.
    budget: BTreeMap<Class, Option<Mono>>,
    pub(super) pace: Pace,
    hold_time: HoldTime,
    /// By priority: grants to others since the last one.
    passed_over: [u8; Priority::ALL.len()],
}

/// Less urgent work is sure of one grant in so many, as long as it waits for the account.
const ONE_IN: u8 = 10;

// === impl Class ===

impl Class {
    pub(super) const FIRST: Self = Self { bearer: 0, work: Work::Interactive };
    pub(super) const LAST: Self = Self { bearer: u32::MAX, work: Work::Background };
}

// === impl Account ===

impl Account {
    pub(super) fn new(limits: AccountLimits) -> Self {
        Self {
            slots: limits.slots,
            granted: Vec::new(),
            is_short: false,
            rest: None,
            budget: BTreeMap::new(),
            pace: Pace::new(limits.pace),
            hold_time: HoldTime::default(),
            passed_over: [0; Priority::ALL.len()],
        }
    }

    /// Whether that is news.
    pub(super) fn close(&mut self, closure: Closure, until: Option<Mono>) -> bool {
        let before = match closure {
            Closure::Rest => self.rest.replace(until),
            Closure::Budget(class) => self.budget.insert(class, until),
        };
        before != Some(until)
    }

    pub(super) fn open(&mut self, closure: Closure) {
        match closure {
            Closure::Rest => self.rest = None,
            Closure::Budget(class) => {
                self.budget.remove(&class);
            }
        }
    }

    /// When every closure has ended for requests of this class: now, later, or `None` if that is not known. What the
    /// service says is spent closes it, too.
    pub(super) fn opens_at(&self, class: Class, now: Mono) -> Option<Mono> {
        let budget = self.budget.get(&class).copied();
        let spent = self.pace.spent_until(now).map(Some);
        let mut closures = [self.rest, budget, spent].into_iter().flatten();
        closures.try_fold(now, |latest, end| end.map(|end| latest.max(end)))
    }

    pub(super) fn in_use(&self) -> u32 {
        u32::try_from(self.granted.len()).unwrap_or(u32::MAX)
    }

    /// Whether not all of its slots are in use here.
    pub(super) fn has_slot(&self) -> bool {
        self.in_use() < self.slots
    }

    /// Whether an attempt could start, as far as slots and pace go.
    pub(super) fn is_free(&self, now: Mono) -> bool {
        self.has_slot() && !self.is_short && self.pace.is_ready(now)
    }

    pub(super) const fn slots(&self) -> u32 {
        self.slots
    }

    pub(super) fn take(&mut self, now: Mono, priority: Priority) {
        self.granted.push(now);
        self.pace.start(now);
        for (passed, other) in self.passed_over.iter_mut().zip(Priority::ALL) {
            *passed = if other == priority { 0 } else { passed.saturating_add(1).min(ONE_IN) };
        }
    }

    /// Gives back a slot that was granted then. Whether there was one.
    pub(super) fn give_back(&mut self, granted: Mono) -> bool {
        let place = self.granted.iter().position(|&other| other == granted);
        place.map(|place| self.granted.swap_remove(place)).is_some()
    }

    /// A slot was held so long.
    pub(super) fn learn_hold_time(&mut self, held: Duration) {
        self.hold_time.add(held);
    }

    /// Whether the next grant should go to work of this priority though more urgent work waits.
    pub(super) const fn owes(&self, priority: Priority) -> bool {
        self.passed_over[priority as usize] + 1 >= ONE_IN
    }

    /// Attempts under way that were granted later.
    pub(super) fn granted_after(&self, granted: Mono) -> u64 {
        let later = self.granted.iter().filter(|&&other| other > granted).count();
        u64::try_from(later).unwrap_or(u64::MAX)
    }

    /// What it has to offer if it opens then, and if the model bears so many attempts at once. `None` if too little is known.
    pub(super) fn supply(&self, now: Mono, opens_at: Mono, model: Option<u32>) -> Option<Supply> {
        let slots = model.map_or(self.slots, |bears| self.slots.min(bears)).max(1);
        // Whoever waits for nothing but the pace waits at least so long, however long slots are held.
        let waits_for_pace = self.has_slot() && !self.pace.is_ready(now);
        let turnover = match self.hold_time.mean() {
            Some(mean) => mean / slots,
            None if waits_for_pace => Duration::ZERO,
            None => return None,
        };
        let interval = self.pace.interval().map_or(turnover, |pace| pace.max(turnover));
        let first_back =
            if self.has_slot() { now } else { self.hold_time.first_back(&self.granted, now) };
        let first_free = first_back.max(self.pace.ready_at(now));
        let is_sure = self.hold_time.is_well_known() || waits_for_pace;
        Some(Supply { opens_at, first_free, interval, is_sure })
    }
}
