//! When which account's figures are read.
//!
//! Each in its turn, a few at once, none twice within seconds: sooner near the end of a window, after a 402 and after a
//! window has turned. The account that has waited longest goes first, so one that fails or hangs keeps no other from being
//! read.

use super::calendar::four_hour_window;
use crate::time::{Mono, Wall};
use std::time::Duration;

/// Accounts read at once.
pub const READ_AT_ONCE: usize = 5;
/// The least time between two readings of one account, whatever asks for them.
pub const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// After a window turns the server may show the old figures for a minute.
const AFTER_TURN: Duration = Duration::from_secs(5);
/// After a reading that failed, in whole or in part.
const RETRY: Duration = Duration::from_secs(30);
/// While own calls go into a window of which little is left, or while the figures may be of the window before.
const EACH_FIGURE_COUNTS: Duration = Duration::from_secs(15);
/// While an account waits for room: what a 402 told and what the figures show differ by a minute.
const WAITING: Duration = Duration::from_secs(70);

/// What is known of an account right after it was read, or could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Readiness {
    /// It could not be read, or a figure that binds is older than the interval.
    pub is_old: bool,
    /// It rests because a window is used up.
    pub waits_for_room: bool,
    /// Each figure decides how much more may go.
    pub each_figure_counts: bool,
    /// The time until the next of its windows turns, if one does.
    pub turns_in: Option<Duration>,
}

/// The turns of all accounts. They are told apart by number.
#[derive(Clone, Debug)]
pub struct Refresh {
    accounts: Vec<Turn>,
    /// Nobody whose figures are known is read again before this.
    not_before: Mono,
    running: usize,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    began: Option<Mono>,
    due: Mono,
    is_running: bool,
    /// Somebody wants it read; while it is being read, once more afterwards: that reading may have begun too early.
    is_wanted: bool,
}

/// How long, right after a window turned, no figures are read: the server's clock may not be there yet, and the window
/// before would seem to be the new one, and full.
#[must_use]
pub fn until_surely_turned(now: Wall) -> Duration {
    AFTER_TURN.saturating_sub(now.since(four_hour_window(now).0))
}

// === impl Readiness ===

impl Readiness {
    /// How long until the account is read again, by the owner's interval.
    #[must_use]
    pub fn pause(self, interval: Duration) -> Duration {
        let regular = if self.is_old {
            interval.min(RETRY)
        } else if self.waits_for_room {
            interval.min(WAITING)
        } else if self.each_figure_counts {
            interval.min(EACH_FIGURE_COUNTS)
        } else {
            interval
        };
        let after_turn = self.turns_in.map(|turn| turn.saturating_add(AFTER_TURN));
        after_turn.map_or(regular, |turn| turn.min(regular)).max(LEAST_PAUSE)
    }
}

// === impl Refresh ===

impl Refresh {
    /// So many accounts, all of them due.
    #[must_use]
    pub fn new(accounts: usize, now: Mono) -> Self {
        let turn = Turn { began: None, due: now, is_running: false, is_wanted: false };
        Self { accounts: vec![turn; accounts], not_before: now, running: 0 }
    }

    /// Somebody wants this account read out of turn.
    pub fn want(&mut self, account: usize) {
        if let Some(turn) = self.accounts.get_mut(account) {
            turn.is_wanted = true;
        }
    }

    /// Reads none whose figures are known for so long.
    pub fn put_off(&mut self, now: Mono, by: Duration) {
        self.not_before = self.not_before.max(now.after(by));
    }

    /// The account that is to be read now, if one is; call it until there is none.
    pub fn begin(&mut self, now: Mono) -> Option<usize> {
        if self.running >= READ_AT_ONCE {
            return None;
        }
        let due = self.waiting().filter(|(_, due)| *due <= now);
        let (account, _) = due.min_by_key(|(_, due)| *due)?;
        let turn = self.accounts.get_mut(account)?;
        *turn = Turn { began: Some(now), due: now, is_running: true, is_wanted: false };
        self.running += 1;
        Some(account)
    }

    /// A reading has ended, well or not; the account is due again after this pause.
    pub fn end(&mut self, account: usize, now: Mono, pause: Duration) {
        let Some(turn) = self.accounts.get_mut(account).filter(|turn| turn.is_running) else {
            return;
        };
        turn.is_running = false;
        turn.due = now.after(pause.max(LEAST_PAUSE));
        self.running -= 1;
    }

    /// When to call [`Self::begin`] again, if nothing else happens before.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        let has_place = self.running < READ_AT_ONCE;
        self.waiting().map(|(_, due)| due).min().filter(|_| has_place)
    }

    fn waiting(&self) -> impl Iterator<Item = (usize, Mono)> {
        let turns = self.accounts.iter().enumerate().filter(|(_, turn)| !turn.is_running);
        turns.map(|(account, turn)| (account, turn.earliest(self.not_before)))
    }
}

impl Turn {
    fn earliest(&self, not_before: Mono) -> Mono {
        let Some(began) = self.began else { return self.due };
        let wanted = if self.is_wanted { began.after(LEAST_PAUSE) } else { self.due };
        self.due.min(wanted).max(not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn pause(change: impl FnOnce(&mut Readiness)) -> Duration {
        let mut readiness = Readiness::default();
        change(&mut readiness);
        readiness.pause(INTERVAL)
    }

    #[test]
    fn the_interval_and_what_makes_it_shorter() {
        assert_eq!(pause(|_| {}), INTERVAL);
        assert_eq!(pause(|account| account.is_old = true), seconds(30));
        assert_eq!(pause(|account| account.waits_for_room = true), seconds(70));
        assert_eq!(pause(|account| account.each_figure_counts = true), seconds(15));
        let turning = |turns_in| pause(|account| account.turns_in = Some(seconds(turns_in)));
        assert_eq!(turning(100), seconds(105), "a moment after the turn");
        assert_eq!(turning(1_000), INTERVAL);
        assert_eq!(turning(1), LEAST_PAUSE, "but never in a burst");
        let own_interval = Readiness { is_old: true, ..Readiness::default() };
        assert_eq!(own_interval.pause(seconds(20)), seconds(20));
        assert_eq!(own_interval.pause(seconds(1)), LEAST_PAUSE);
    }

    #[test]
    fn nobody_is_read_in_the_moment_of_a_turn() {
        let turn = Wall::from_unix_seconds(1_795_176_000);
        assert_eq!(until_surely_turned(turn.before(seconds(1))), seconds(0));
        assert_eq!(until_surely_turned(turn), seconds(5));
        assert_eq!(until_surely_turned(turn.after(seconds(4))), seconds(1));
        assert_eq!(until_surely_turned(turn.after(seconds(9))), seconds(0));
        let mut refresh = Refresh::new(2, at(0));
        assert_eq!(refresh.begin(at(0)), Some(0));
        refresh.end(0, at(1), LEAST_PAUSE);
        refresh.put_off(at(10), seconds(5));
        assert_eq!(refresh.begin(at(11)), Some(1), "its figures are not known yet");
        refresh.put_off(at(12), seconds(0));
        assert_eq!((refresh.begin(at(14)), refresh.next()), (None, Some(at(15))));
        assert_eq!(refresh.begin(at(15)), Some(0));
    }

    #[test]
    fn five_at_once_and_whoever_has_waited_longest_first() {
        let mut refresh = Refresh::new(7, at(0));
        let first: Vec<usize> = std::iter::from_fn(|| refresh.begin(at(0))).collect();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        assert_eq!(refresh.next(), None, "no place is free");
        refresh.end(2, at(1), seconds(10));
        assert_eq!(refresh.begin(at(1)), Some(5));
        assert_eq!(refresh.begin(at(1)), None);
        // Those that hang keep their places, and only theirs.
        refresh.end(5, at(20), seconds(300));
        assert_eq!(refresh.begin(at(20)), Some(6), "it has waited longer than account 2");
        refresh.end(6, at(21), seconds(300));
        assert_eq!(refresh.begin(at(21)), Some(2));
    }

    #[test]
    fn whoever_is_wanted_is_read_soon_and_not_twice_in_a_moment() {
        let mut refresh = Refresh::new(1, at(0));
        assert_eq!(refresh.begin(at(0)), Some(0));
        // Asked for while it is being read: that reading may have begun too early.
        refresh.want(0);
        refresh.end(0, at(2), INTERVAL);
        assert_eq!(refresh.next(), Some(at(10)));
        assert_eq!(refresh.begin(at(9)), None);
        assert_eq!(refresh.begin(at(10)), Some(0));
        refresh.end(0, at(11), INTERVAL);
        assert_eq!(refresh.next(), Some(at(311)), "once is enough");
        refresh.want(0);
        assert_eq!(refresh.begin(at(100)), Some(0));
        refresh.want(7);
        refresh.end(7, at(100), INTERVAL);
    }

    proptest! {
        /// Accounts whose readings take their time, some for ever, and somebody who wants them all the time.
        #[test]
        fn never_more_than_five_never_in_bursts_and_nobody_is_forgotten(
            takes in prop::collection::vec(prop_oneof![Just(0_u64), 1_u64..40, Just(u64::MAX)], 1..24),
            wanted in prop::collection::vec((0_u64..900, 0_usize..24), 0..60),
            pauses in prop::collection::vec(0_u64..400, 1..40),
        ) {
            // More than four that hang for ever would be all places; a client gives up before.
            let mut hanging = 0;
            let takes: Vec<u64> = takes.into_iter().map(|takes| {
                hanging += u32::from(takes == u64::MAX);
                if takes == u64::MAX && hanging > 4 { 40 } else { takes }
            }).collect();
            let mut refresh = Refresh::new(takes.len(), at(0));
            let mut running: Vec<(u64, usize)> = Vec::new();
            let mut began: Vec<Option<u64>> = vec![None; takes.len()];
            let mut pause = pauses.iter().cycle();
            for now in 0..1_200_u64 {
                for (_, account) in wanted.iter().filter(|(when, _)| *when == now) {
                    refresh.want(*account);
                }
                running.retain(|&(ends, account)| {
                    if ends <= now {
                        refresh.end(account, at(now), seconds(*pause.next().unwrap()));
                    }
                    ends > now
                });
                while let Some(account) = refresh.begin(at(now)) {
                    prop_assert!(began[account].is_none_or(|before| now - before >= 10));
                    prop_assert!(running.iter().all(|(_, busy)| *busy != account));
                    began[account] = Some(now);
                    running.push((now.saturating_add(takes[account]), account));
                    prop_assert!(running.len() <= READ_AT_ONCE);
                }
                if let Some(next) = refresh.next() {
                    prop_assert!(next > at(now), "it was due and was not read");
                }
            }
            // With one place left for all of them, each taking up to 40 s and pausing up to 400 s.
            for (account, began) in began.iter().enumerate() {
                let is_hanging = running.iter().any(|(ends, busy)| *busy == account && *ends == u64::MAX);
                prop_assert!(is_hanging || began.is_some(), "{account} was never read");
            }
        }
    }
}
