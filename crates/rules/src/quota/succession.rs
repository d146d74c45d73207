//! What a new reading of an account says about an older one.
//!
//! A reading may fail in part, and the server's counters read 0.0 when its store is down (recordings, "Redis
//! down"). Neither is a reason to believe that a window has room again.

use super::account::{AccountSnapshot, Readable};
use super::calendar::{four_hour_window, next_day_reset};
use super::window::{Cap, Window, WindowKind};

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
        let windows = merge(&self.windows, newer.windows, |window| window.kind);
        let chute_windows =
            merge(&self.chute_windows, newer.chute_windows, |(chute, _)| chute.clone());
        Self {
            plan: newer.plan.or(self.plan),
            windows,
            chute_windows,
            balance: newer.balance.or(self.balance),
            readable: Readable::Yes,
            as_of: newer.as_of,
        }
    }

    /// When the oldest figure that binds was true.
    #[must_use]
    pub fn oldest_figure(&self) -> crate::time::Wall {
        self.windows.iter().map(|window| window.as_of).min().unwrap_or(self.as_of)
    }
}

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

fn merge<T: HasWindow, K: PartialEq>(older: &[T], newer: Vec<T>, name: impl Fn(&T) -> K) -> Vec<T> {
    let mut merged: Vec<T> = newer
        .into_iter()
        .map(|new| match older.iter().find(|old| name(old) == name(&new)) {
            Some(old) if !is_believable(old.window(), new.window()) => old.clone(),
            _ => new,
        })
        .collect();
    let left_out: Vec<T> = older
        .iter()
        .filter(|old| !merged.iter().any(|new| name(new) == name(old)))
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
    !(fell_to_nothing && new.cap == old.cap && is_same_window(old, new))
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
    use crate::time::Wall;
    use std::time::Duration;

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
        let merged = pro(1_000, 2_000, 3_000, None).followed_by(partial);
        assert_eq!(used(&merged), [Some(5_000), Some(2_000), Some(3_000)]);
        assert_eq!(merged.windows[1].as_of, NOON);
        assert_eq!(merged.oldest_figure(), NOON);
        for readable in [Readable::Forbidden, Readable::Failed] {
            let unread = AccountSnapshot::unknown(readable, NOON);
            assert_eq!(pro(1, 2, 3, None).followed_by(unread.clone()), pro(1, 2, 3, None));
            assert_eq!(unread.followed_by(pro(1, 2, 3, None)), pro(1, 2, 3, None));
        }
    }

    #[test]
    fn a_sudden_zero_inside_a_window_is_no_reset() {
        let merged = pro(4_990_000, 8_000_000_000, 90_000_000_000, None)
            .followed_by(later(pro(0, 0, 0, None), 60));
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
    fn another_plan_begins_anew() {
        let mut plus = later(pro(0, 0, 0, None), 60);
        plus.plan = Some(Plan::Plus);
        let merged = pro(4_990_000, 8_000_000_000, 0, None).followed_by(plus.clone());
        assert_eq!(merged, plus);
    }
}
