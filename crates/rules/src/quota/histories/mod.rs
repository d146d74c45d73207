//! What holds in every history of an account: several clients, figures that lag, lie or fail, clocks that differ, moments
//! at the edges of windows, leap days, months of any length, plans that change.
//!
//! * Nothing is lost: the book never shows less than what own calls did take, and what the figures have shown of others.
//! * Nothing is created: it never shows more than was taken, is reserved, or may be missing in lagging figures.
//! * No window has room again before its reset, and none is closed after it for what was before.
//! * Unknown is never zero and never exhausted.

mod server;

use super::account::tests::NOON;
use super::*;
use crate::time::Wall;
use proptest::prelude::*;
use server::{Booking, KINDS, PLUS, PRO, SPECIAL, Server, Trouble, cost};
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Figures lag by at most this, and clocks differ by at most this.
const MOST_LAG: i64 = 60;
const CLOCKS: i64 = 2 * SECOND;
/// Our clock may be behind by that much, and ahead by no more than this: it is learned so that it is never ahead.
const AHEAD: i64 = SECOND;
/// As far back as the book takes figures to lag; with what the clocks may differ and whole seconds take.
const LAG: i64 = 65 * SECOND + 2 * CLOCKS + SECOND;
const COUNTER_LAG: i64 = 4 * CLOCKS + SECOND;
/// So long after a turn a figure may be of the window before.
const JUST_TURNED: i64 = 90 * SECOND + CLOCKS;
/// Own calls are remembered so long.
const REMEMBERED: i64 = 32 * DAY;

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(i64),
    /// To the next edge of a window of this kind, and so many microseconds on.
    ToTheEdge(WindowKind, i64),
    /// Our clock is ahead of the server's by so much from now on.
    Clock(i64),
    Begin {
        is_special: bool,
        units: i64,
        usd: i64,
    },
    /// The call with this number among those under way ends, at this share of what was reserved, in thousandths.
    End(usize, i64),
    /// One that failed.
    Fail(usize),
    Others {
        is_special: bool,
        units: i64,
        usd: i64,
    },
    Read {
        lag_seconds: i64,
        trouble: Trouble,
    },
    Bill,
    Plan(bool),
}

fn edge() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(-1),
        Just(0),
        Just(1),
        Just(-SECOND),
        Just(SECOND),
        Just(3 * SECOND),
        -5 * SECOND..5 * SECOND
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop_oneof![
        Just(1),
        Just(SECOND),
        Just(2 * SECOND),
        Just(59 * SECOND),
        Just(60 * SECOND),
        Just(65 * SECOND),
        Just(66 * SECOND),
        0..20 * SECOND,
        0..600 * SECOND,
        Just(4 * 3_600 * SECOND),
        Just(DAY),
        0..3 * DAY,
    ];
    let kind =
        prop_oneof![Just(WindowKind::Day), Just(WindowKind::FourHour), Just(WindowKind::Month)];
    let trouble = prop_oneof![
        8 => Just(Trouble::Nothing), 1 => Just(Trouble::Failed), 1 => Just(Trouble::Forbidden),
        1 => Just(Trouble::NoCaps), 1 => Just(Trouble::NoRows), 1 => Just(Trouble::NoCounters),
        2 => Just(Trouble::Zeros),
    ];
    let size = || (any::<bool>(), 0_i64..1_500, 0_i64..800);
    prop_oneof![
        4 => pause.prop_map(Step::Pass),
        2 => (kind, edge()).prop_map(|(kind, by)| Step::ToTheEdge(kind, by)),
        1 => prop_oneof![Just(-CLOCKS), Just(AHEAD), -CLOCKS..=AHEAD].prop_map(Step::Clock),
        5 => size().prop_map(|(is_special, units, usd)| Step::Begin { is_special, units, usd }),
        5 => (0_usize..8, 0_i64..=1_000).prop_map(|(call, share)| Step::End(call, share)),
        1 => (0_usize..8).prop_map(Step::Fail),
        2 => size().prop_map(|(is_special, units, usd)| Step::Others { is_special, units, usd }),
        6 => (0..=MOST_LAG, trouble).prop_map(|(lag_seconds, trouble)| Step::Read { lag_seconds, trouble }),
        1 => Just(Step::Bill),
        1 => any::<bool>().prop_map(Step::Plan),
    ]
}

/// Where a history begins: at noon, at the ends of years, months and of a leap day; and the anchor of its month, on a day
/// that not every month has.
fn beginning() -> impl Strategy<Value = (i64, i64)> {
    let noon = NOON.as_unix_seconds();
    let midnights = [
        noon,
        1_798_761_600, // 2027-01-01
        1_803_859_200, // 2027-03-01
        1_835_395_200, // 2028-02-29, a leap day
        1_835_481_600, // 2028-03-01
        951_782_400,   // 2000-02-29
        1_793_404_800, // 2026-10-31
    ];
    (prop::sample::select(midnights.to_vec()), edge(), 0_i64..40, edge()).prop_map(
        |(midnight, by, days_ago, anchor_by)| {
            let now = midnight * SECOND + by;
            (now, (now - days_ago * DAY + anchor_by).min(now))
        },
    )
}

#[derive(Clone, Debug)]
struct History {
    beginning: (i64, i64),
    has_row: bool,
    steps: Vec<Step>,
}

fn history() -> impl Strategy<Value = History> {
    (beginning(), any::<bool>(), prop::collection::vec(step(), 1..80))
        .prop_map(|(beginning, has_row, steps)| History { beginning, has_row, steps })
}

/// What is known to be known of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The window that the last good figure was of, by when it began.
    began: i64,
    /// When it was read, by the server's clock.
    at: i64,
    /// What others had used of it by then.
    others: i64,
    /// It was stamped with a moment of another window: the clocks differ.
    is_odd: bool,
}

struct Run {
    server: Server,
    book: Book,
    /// Our clock is ahead of the server's.
    ahead: i64,
    open: Vec<(Reservation, Step)>,
    seen: BTreeMap<WindowKind, Seen>,
    plan_read: Option<Plan>,
    row_read: bool,
    /// Windows of another plan of which no figure has been read yet.
    unread: Vec<WindowKind>,
    /// Those whose first figure then was a zero, which is taken for the truth.
    anew: BTreeMap<WindowKind, i64>,
}

impl Run {
    fn new(history: &History) -> Self {
        let (now, anchor) = history.beginning;
        let settings = BookSettings { margin_permille: 0, ..BookSettings::default() };
        Self {
            server: Server::new(now, anchor, history.has_row),
            book: Book::new(settings),
            ahead: 0,
            open: Vec::new(),
            seen: BTreeMap::new(),
            plan_read: None,
            row_read: false,
            unread: Vec::new(),
            anew: BTreeMap::new(),
        }
    }

    fn now(&self) -> Wall {
        Wall::from_unix_micros(self.server.now + self.ahead)
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Pass(by) => self.server.now += by,
            Step::ToTheEdge(kind, by) => self.go_to_edge(kind, by),
            Step::Clock(ahead) => self.ahead = ahead,
            Step::Begin { is_special, units, usd } => {
                // The row of a chute has to be known, or nobody can count in it.
                if self.open.len() < 8 && (self.row_read || !(is_special && self.server.has_row)) {
                    let chute = if is_special { SPECIAL } else { "other" };
                    let call = self.book.reserve(Some(chute), cost(units, usd));
                    self.open.push((call, step));
                }
            }
            Step::End(call, share) if call < self.open.len() => self.end(call, share),
            Step::Fail(call) if call < self.open.len() => {
                self.book.cancel(self.open.remove(call).0);
            }
            Step::End(..) | Step::Fail(_) => {}
            Step::Others { is_special, units, usd } => {
                let at = self.server.now;
                self.server.bookings.push(Booking { at, is_own: false, is_special, units, usd });
            }
            Step::Read { lag_seconds, trouble } => self.read(lag_seconds * SECOND, trouble),
            Step::Bill => self.server.bill(),
            Step::Plan(is_plus) => self.server.caps = if is_plus { PLUS } else { PRO },
        }
    }

    fn go_to_edge(&mut self, kind: WindowKind, by: i64) {
        let now = self.server.wall();
        let next = match kind {
            WindowKind::Day | WindowKind::Chute => Some(next_day_reset(now)),
            WindowKind::FourHour => Some(four_hour_window(now).1),
            WindowKind::Month => self.server.month_ends(),
        };
        if let Some(next) = next {
            self.server.now = self.server.now.max(next.as_unix_micros() + by);
        }
    }

    fn end(&mut self, call: usize, share: i64) {
        let (reservation, begun) = self.open.remove(call);
        let Step::Begin { is_special, units, usd } = begun else { return };
        let (units, usd) = (units * share / 1_000, usd * share / 1_000);
        let at = self.server.now;
        self.server.bookings.push(Booking { at, is_own: true, is_special, units, usd });
        self.book.settle(reservation, self.now(), cost(units, usd));
    }

    fn read(&mut self, lag: i64, trouble: Trouble) {
        let reading = self.server.read(self.now(), lag, trouble);
        if reading.readable == Readable::Yes {
            if reading.plan != self.plan_read {
                self.seen.clear();
                if self.plan_read.is_some() {
                    self.unread = KINDS.to_vec();
                }
                self.plan_read = reading.plan;
                self.row_read = false;
            }
            self.row_read |= reading.rows_read;
            let windows = reading.windows.iter();
            let all = windows.chain(reading.chute_windows.iter().map(|(_, window)| window));
            for window in all.filter(|window| window.used.is_some()) {
                self.see(window.kind, trouble);
            }
        }
        self.book.learn(reading);
    }

    /// A figure of this window was read.
    fn see(&mut self, kind: WindowKind, trouble: Trouble) {
        let server = &self.server;
        let (began, at) = (server.began(kind, server.now), server.now);
        let others = if trouble == Trouble::Zeros {
            // A zero is no news of others. It is taken for the truth where nothing was known, or where what was known may be
            // of the window before.
            let seen = self.seen.get(&kind).filter(|seen| seen.began == began);
            let is_sure = |seen: &&Seen| kind == WindowKind::Month || seen.at - began > JUST_TURNED;
            seen.filter(is_sure).map_or(0, |seen| seen.others)
        } else {
            server.booked(kind, began, server.true_until(kind), |booking| !booking.is_own)
        };
        let is_odd = server.began(kind, self.now().as_unix_micros()) != began
            || self.seen.get(&kind).is_some_and(|seen| seen.is_odd && seen.began == began);
        if self.unread.contains(&kind) && trouble == Trouble::Zeros {
            self.anew.insert(kind, at);
        }
        self.unread.retain(|unread| *unread != kind);
        // A zero may be refused, and then the figure before it goes on.
        let at = match self.seen.get(&kind) {
            Some(seen) if trouble == Trouble::Zeros && seen.began == began => seen.at,
            _ => at,
        };
        self.seen.insert(kind, Seen { began, at, others, is_odd });
    }

    fn predicted(&self, kind: WindowKind) -> Option<Window> {
        let predicted = self.book.predicted(self.now(), Margin::None)?;
        let own = predicted.chute_windows.into_iter().map(|(_, window)| window);
        predicted.windows.into_iter().chain(own).find(|window| window.kind == kind)
    }

    fn reserved(&self, kind: WindowKind) -> i64 {
        let begun = self.open.iter().map(|(_, begun)| match *begun {
            Step::Begin { is_special, units, usd } => {
                let call = Booking { at: 0, is_own: true, is_special, units, usd };
                if self.server.counts_in(kind, is_special) { Server::share(kind, &call) } else { 0 }
            }
            _ => 0,
        });
        begun.sum()
    }

    /// What own calls did take of the running window, and what the figures have shown of others.
    fn least(&self, kind: WindowKind) -> i64 {
        let began = self.server.began(kind, self.server.now);
        let seen = self.seen.get(&kind).filter(|seen| seen.began == began);
        // Where the figure says nothing, own calls count as long as they are remembered.
        let remembered = seen.map_or(i64::MIN, |seen| seen.at - REMEMBERED + LAG);
        let anew = self.anew.get(&kind).copied().unwrap_or(i64::MIN);
        let from = began.max(anew).max(remembered);
        let own = self.server.booked(kind, from, self.server.now, |booking| booking.is_own);
        let seen = seen.filter(|seen| !seen.is_odd);
        own + seen.map_or(0, |seen| seen.others)
    }

    /// The most that may be shown: everything, what is under way, and own calls that a lagging figure may have already.
    fn most(&self, kind: WindowKind, seen: Seen) -> i64 {
        let server = &self.server;
        let began = server.began(kind, server.now);
        let lag = match kind {
            WindowKind::FourHour | WindowKind::Month => LAG,
            WindowKind::Day | WindowKind::Chute => COUNTER_LAG,
        };
        let all = server.booked(kind, began, server.now, |_| true);
        let twice = server.booked(kind, seen.at - lag, seen.at, |booking| booking.is_own);
        // Of a month the end alone is known, which does not always tell the day on which it began.
        let unsure_of = if kind == WindowKind::Month { 3 * DAY } else { 3 * CLOCKS };
        let at_the_turn =
            server.booked(kind, began - unsure_of, began - 1, |booking| booking.is_own);
        all + twice + at_the_turn + self.reserved(kind)
    }

    /// Whether the book may still be in the window before: for a moment it cannot be sure.
    fn is_at_the_turn(&self, kind: WindowKind) -> bool {
        self.server.now - self.server.began(kind, self.server.now) <= 2 * CLOCKS + SECOND
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.book.reserved().units.0, self.reserved_units());
        for kind in KINDS {
            self.check_window(kind)?;
        }
        self.check_verdict()
    }

    fn reserved_units(&self) -> i64 {
        self.reserved(WindowKind::Day) + self.reserved(WindowKind::Chute)
    }

    fn check_window(&self, kind: WindowKind) -> Result<(), TestCaseError> {
        let predicted = self.predicted(kind);
        let Some(seen) = self.seen.get(&kind) else {
            let used = predicted.and_then(|window| window.used);
            prop_assert_eq!(used, None, "{} was never read and is known", kind);
            return Ok(());
        };
        let used = predicted.as_ref().and_then(|window| window.used);
        prop_assert!(used.is_some(), "{kind} was read and is not known");
        let used = used.unwrap_or_default();
        let is_remembered = self.server.now - seen.at < REMEMBERED - LAG;
        if is_remembered && !self.is_at_the_turn(kind) {
            let least = self.least(kind);
            prop_assert!(used >= least, "{kind}: {used} shown, at least {least} used");
        }
        let is_of_this_month =
            kind != WindowKind::Month || seen.began == self.server.began(kind, self.server.now);
        if !seen.is_odd && !self.is_at_the_turn(kind) && is_of_this_month {
            let most = self.most(kind, *seen);
            prop_assert!(used <= most, "{kind}: {used} shown, at most {most} possible");
        }
        Ok(())
    }

    /// The verdict on a call to a chute without a row of its own.
    fn check_verdict(&self) -> Result<(), TestCaseError> {
        let policy = SpendingPolicy { margin_permille: 0, ..SpendingPolicy::default() };
        let verdict = self.book.verdict(&policy, Some("other"), self.now(), Margin::None);
        let binding = [WindowKind::Day, WindowKind::FourHour, WindowKind::Month];
        let known: Vec<Window> = binding.iter().filter_map(|kind| self.predicted(*kind)).collect();
        let is_full = |window: &Window| matches!(window.cap, Cap::Limited(cap) if window.used.is_some_and(|used| used >= cap));
        match verdict {
            None => prop_assert!(self.book.snapshot().is_none()),
            Some(Verdict::Yes(_)) => {
                prop_assert!(!known.is_empty() && known.iter().all(|window| window.used.is_some()));
                for kind in binding {
                    let Cap::Limited(cap) = self.cap_read(kind) else { continue };
                    let is_sure = self.server.now - self.seen[&kind].at < REMEMBERED - LAG;
                    let is_kept = !is_sure || self.is_at_the_turn(kind) || self.least(kind) < cap;
                    prop_assert!(is_kept, "{kind} has room again before its reset");
                }
            }
            Some(Verdict::No { turns_at, .. }) => {
                prop_assert!(known.iter().any(is_full), "no window is known to be full");
                prop_assert!(turns_at.is_none_or(
                    |turns| turns > self.now().before(std::time::Duration::from_secs(2))
                ));
            }
            Some(Verdict::Unknown(_)) => prop_assert!(!known.iter().any(is_full)),
        }
        Ok(())
    }

    /// The cap as it was read.
    fn cap_read(&self, kind: WindowKind) -> Cap {
        let snapshot = self.book.snapshot();
        let window =
            snapshot.and_then(|known| known.windows.iter().find(|known| known.kind == kind));
        window.map_or(Cap::Unknown, |window| window.cap)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn in_every_history_nothing_is_lost_created_refilled_or_guessed(history in history()) {
        let mut run = Run::new(&history);
        run.check()?;
        for step in history.steps {
            run.go(step);
            run.check()?;
        }
    }
}
