//! What a new reading of an account says about an older one.
//!
//! A reading may fail in part, and the server's counters read 0.0 when its store is down (recordings, "Redis
//! down"). Neither is a reason to believe that a window has room again.

use super::account::{AccountSnapshot, Readable};
use super::calendar::{four_hour_window, next_day_reset};
use super::window::{Cap, Window, WindowKind};
use crate::time::Wall;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

// === impl AccountSnapshot ===

impl AccountSnapshot {
    /// What is known after `newer` was read: the newer figure where there is one that can be believed, else the
    /// older one with its age.
    #[must_use]
    pub fn followed_by(&self, newer: Self) -> Self {
        if newer.readable != Readable::Yes {
            // One that could not be read tells nothing about one that could.
            return if self.readable == Readable::Yes { self.clone() } else { newer };
        }
        if newer.plan != self.plan && newer.plan.is_some() {
            return newer;
        }
        // What is missing because it could not be read stays; what is missing although it was read is gone.
        let rows_read = newer.rows_read;
        let caps_read = newer.caps_read;
        let windows = merge(
            &self.windows,
            newer.windows,
            |window| window.kind,
            |old| match old.kind {
                WindowKind::Day | WindowKind::Chute => !rows_read,
                WindowKind::FourHour | WindowKind::Month => !caps_read,
            },
        );
        let chute_windows = merge(
            &self.chute_windows,
            newer.chute_windows,
            |(chute, _)| chute.clone(),
            |_| !rows_read,
        );
        let (balance, balance_as_of) = match newer.balance {
            Some(balance) => (Some(balance), newer.balance_as_of),
            None => (self.balance, self.balance_as_of),
        };
        let (paid_today, paid_as_of) = match newer.paid_today {
            Some(paid) => (Some(paid), newer.paid_as_of),
            None => (self.paid_today, self.paid_as_of),
        };
        Self {
            plan: newer.plan.or(self.plan),
            windows,
            chute_windows,
            balance,
            balance_as_of,
            paid_today,
            paid_as_of,
            rows_read,
            caps_read,
            readable: Readable::Yes,
            as_of: newer.as_of,
        }
    }

    /// Whether a window that seems nearly used up was read so soon after it began that the figure may still be that of the
    /// window before. It closes the account all the same, and is worth another look soon.
    #[must_use]
    pub fn may_show_the_window_before(&self) -> bool {
        let mut windows =
            self.windows.iter().chain(self.chute_windows.iter().map(|(_, window)| window));
        windows.any(|window| {
            window.used_permille() >= Some(NEARLY_USED_UP_PERMILLE) && is_from_before(window)
        })
    }

    /// When the oldest figure that binds was true, that of the chute included if one is named.
    #[must_use]
    pub fn oldest_figure(&self, chute_id: Option<&str>) -> Wall {
        let own = self.chute_windows.iter().filter(|(chute, _)| chute_id == Some(chute));
        let windows = self.windows.iter().chain(own.map(|(_, window)| window));
        windows.map(|window| window.as_of).min().unwrap_or(self.as_of)
    }
}

/// The server may show the figures of the window before for as long after a turn (recordings: 60 s).
pub const OLD_FIGURES_AFTER_TURN: Duration = Duration::from_secs(90);

/// Own calls alone do not get there so soon after a turn.
const NEARLY_USED_UP_PERMILLE: u64 = 800;

/// Something that has a window in it.
trait HasWindow: Clone {
    fn window(&self) -> &Window;
}

impl HasWindow for Window {
    fn window(&self) -> &Window {
        self
    }
}

impl HasWindow for (String, Window) {
    fn window(&self) -> &Window {
        &self.1
    }
}

fn merge<T: HasWindow, K: PartialEq>(
    older: &[T],
    newer: Vec<T>,
    name: impl Fn(&T) -> K,
    stays: impl Fn(&Window) -> bool,
) -> Vec<T> {
    let mut merged: Vec<T> = newer
        .into_iter()
        .map(|new| match older.iter().find(|old| name(old) == name(&new)) {
            Some(old) if !is_believable(old.window(), new.window()) => old.clone(),
            _ => new,
        })
        .collect();
    let left_out: Vec<T> = older
        .iter()
        .filter(|old| stays(old.window()) && !merged.iter().any(|new| name(new) == name(old)))
        .cloned()
        .collect();
    merged.extend(left_out);
    merged
}

/// Whether the newer figure replaces the older one.
fn is_believable(old: &Window, new: &Window) -> bool {
    let says_something = new.used.is_some() && new.cap != Cap::Unknown;
    let said_something = old.used.is_some() && old.cap != Cap::Unknown;
    if !says_something {
        return !said_something;
    }
    let fell_to_nothing = new.used == Some(0) && old.used > Some(0);
    !(fell_to_nothing && new.cap == old.cap && is_same_window(old, new) && !is_from_before(old))
}

/// Whether a figure was read so soon after its window began that it may be of the window before.
pub(super) fn is_from_before(old: &Window) -> bool {
    let began = match old.kind {
        WindowKind::Day | WindowKind::Chute => next_day_reset(old.as_of).before(DAY),
        WindowKind::FourHour => four_hour_window(old.as_of).0,
        WindowKind::Month => return false,
    };
    old.as_of.since(began) <= OLD_FIGURES_AFTER_TURN
}

/// Whether two figures are of one and the same window, by the calendar or, for the month, by its reset.
fn is_same_window(old: &Window, new: &Window) -> bool {
    match old.kind {
        WindowKind::Day | WindowKind::Chute => {
            next_day_reset(old.as_of) == next_day_reset(new.as_of)
        }
        WindowKind::FourHour => four_hour_window(old.as_of) == four_hour_window(new.as_of),
        WindowKind::Month => old.resets_at.is_some() && old.resets_at == new.resets_at,
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::{NOON, pro};
    use super::*;
    use crate::quota::Plan;

    fn later(mut account: AccountSnapshot, seconds: u64) -> AccountSnapshot {
        account.as_of = NOON.after(Duration::from_secs(seconds));
        account.windows.iter_mut().for_each(|window| window.as_of = account.as_of);
        account
    }

    fn used(account: &AccountSnapshot) -> Vec<Option<i64>> {
        account.windows.iter().map(|window| window.used).collect()
    }

    #[test]
    fn newer_figures_replace_older_ones() {
        let merged =
            pro(1_000, 2_000, 3_000, None).followed_by(later(pro(5_000, 1_500, 4_000, None), 60));
        assert_eq!(used(&merged), [Some(5_000), Some(1_500), Some(4_000)]);
    }

    #[test]
    fn what_could_not_be_read_this_time_stays_with_its_age() {
        let mut partial = later(pro(5_000, 0, 0, None), 60);
        partial.windows[1].used = None;
        partial.windows.truncate(2);
        partial.caps_read = false;
        let merged = pro(1_000, 2_000, 3_000, None).followed_by(partial);
        assert_eq!(used(&merged), [Some(5_000), Some(2_000), Some(3_000)]);
        assert_eq!(merged.windows[1].as_of, NOON);
        assert_eq!(merged.oldest_figure(None), NOON);
        for readable in [Readable::Forbidden, Readable::Failed] {
            let unread = AccountSnapshot::unknown(readable, NOON);
            assert_eq!(pro(1, 2, 3, None).followed_by(unread.clone()), pro(1, 2, 3, None));
            assert_eq!(unread.followed_by(pro(1, 2, 3, None)), pro(1, 2, 3, None));
        }
    }

    #[test]
    fn a_sudden_zero_inside_a_window_is_no_reset() {
        let merged = later(pro(4_990_000, 8_000_000_000, 90_000_000_000, None), 600)
            .followed_by(later(pro(0, 0, 0, None), 660));
        assert_eq!(used(&merged), [Some(4_990_000), Some(8_000_000_000), Some(90_000_000_000)]);
        // After the turn it is one.
        let turned = pro(4_990_000, 8_000_000_000, 0, None)
            .followed_by(later(pro(0, 0, 0, None), 4 * 3_600));
        assert_eq!(used(&turned), [Some(4_990_000), Some(0), Some(0)]);
        // And so is a month whose reset has moved on.
        let mut billed = later(pro(0, 0, 0, None), 60);
        billed.windows[2].resets_at =
            Some(Wall::from_unix_seconds(NOON.as_unix_seconds() + 40 * 86_400));
        let merged = pro(0, 0, 90_000_000_000, None).followed_by(billed);
        assert_eq!(merged.windows[2].used, Some(0));
    }

    #[test]
    fn a_full_figure_from_just_after_a_turn_does_not_shut_the_new_window() {
        // The server showed the old window's figure for a moment. NOON is where a 4-hour window begins.
        let old_figure = later(pro(0, 8_330_000_000, 0, None), 1);
        assert!(old_figure.may_show_the_window_before());
        let merged = old_figure.followed_by(later(pro(0, 0, 0, None), 31));
        assert_eq!(merged.windows[1].used, Some(0));
        assert!(!merged.may_show_the_window_before());
        assert!(!later(pro(0, 8_330_000_000, 0, None), 91).may_show_the_window_before());
    }

    #[test]
    fn what_is_gone_leaves_and_what_was_not_read_stays() {
        let mut with_row = pro(0, 0, 0, None);
        with_row.chute_windows.push(("abc".into(), with_row.windows[0].clone()));
        let gone = with_row.followed_by(later(pro(0, 0, 0, None), 60));
        assert!(gone.chute_windows.is_empty());
        let mut unread = later(pro(0, 0, 0, None), 60);
        unread.rows_read = false;
        assert_eq!(with_row.followed_by(unread).chute_windows.len(), 1);
        // A subscription that has ended takes its caps along.
        let mut ended = later(pro(0, 0, 0, None), 60);
        ended.windows.truncate(1);
        assert_eq!(with_row.followed_by(ended).windows.len(), 1);
    }

    #[test]
    fn a_balance_keeps_its_age() {
        use crate::units::NanoUsd;
        let known = pro(0, 0, 0, Some(NanoUsd::from_cents(500)));
        let mut newer = later(pro(0, 0, 0, None), 60);
        newer.balance_as_of = newer.as_of;
        let merged = known.followed_by(newer);
        assert_eq!((merged.balance, merged.balance_as_of), (Some(NanoUsd::from_cents(500)), NOON));
    }

    #[test]
    fn another_plan_begins_anew() {
        let mut plus = later(pro(0, 0, 0, None), 60);
        plus.plan = Some(Plan::Plus);
        let merged = pro(4_990_000, 8_000_000_000, 0, None).followed_by(plus.clone());
        assert_eq!(merged, plus);
    }
}
