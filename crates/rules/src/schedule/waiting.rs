//! What somebody waits for, until when, and when to look again.

use std::time::Duration;

use super::demand::{Demand, Fitting, fits};
use super::expression::{Expression, Standing};
use crate::quota::{
    AccountSnapshot, LEAST_PAUSE, OLD_FIGURES_AFTER_TURN, Readable, SpendingPolicy, Window,
    WindowKind, four_hour_window, next_day_reset,
};
use crate::time::Wall;

/// The server's clock is known to be at least there; this is for what is computed here and there.
const AFTER_THE_TURN: Duration = Duration::from_millis(200);
/// How long after a failed look the next one.
const AFTER_A_FAILURE: Duration = Duration::from_secs(30);
/// From this share on the end of a window is near, in thousandths.
const NEAR_PERMILLE: u64 = 950;
/// Four-hour windows until everything that turns by itself has turned.
const SEGMENTS: usize = 8 * 6;

/// What is waited for.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// What has to hold beside that the work fits.
    pub condition: Option<&'a Expression>,
    /// By how many seconds local time is ahead of UTC at a moment.
    pub zone: &'a dyn Fn(Wall) -> i32,
}

/// What stands between several accounts and the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// This one of the accounts can take it.
    Open(usize),
    /// This window is in the way, and as far as is known nothing is from then on.
    Turn(WindowKind, Wall),
    /// There is room, but the condition does not hold; by itself it will then, if ever.
    Condition(Option<Wall>),
    /// A billing month that is overdue: it will help, but nobody knows when.
    Sometime,
    /// The accounts could not be read.
    Unreadable,
    /// What a call costs has to be told, since the balance pays.
    NeedsPrice,
    /// It fits into no window of any account.
    Never {
        /// How many calls, or billionths of a dollar, would fit at most.
        most: u64,
        /// The window that is too small.
        window: Option<WindowKind>,
    },
    /// Nothing turns by itself.
    Nothing,
}

/// What stands between these accounts and the work at `now`. What has to fit is told for each, since prices differ.
#[must_use]
pub fn ahead<'s>(
    accounts: impl IntoIterator<Item = (&'s AccountSnapshot, &'s SpendingPolicy, &'s Demand)>,
    waiting: Waiting<'_>,
    now: Wall,
) -> Ahead {
    let mut best = Ahead::Nothing;
    for (index, (account, policy, demand)) in accounts.into_iter().enumerate() {
        let own = match waiting.on(account, policy, demand, now) {
            Ahead::Open(_) => Ahead::Open(index),
            other => other,
        };
        if own.rank() < best.rank() || own.comes_before(best) {
            best = own;
        }
    }
    best
}

// === impl Ahead ===

impl Ahead {
    /// The better the smaller.
    const fn rank(self) -> u8 {
        match self {
            Self::Open(_) => 0,
            Self::Turn(..) | Self::Condition(Some(_)) => 1,
            Self::Condition(None) => 2,
            Self::Sometime => 3,
            Self::Unreadable => 4,
            Self::NeedsPrice => 5,
            Self::Never { .. } => 6,
            Self::Nothing => 7,
        }
    }

    /// When that would be over, where it is known.
    #[must_use]
    pub const fn moment(self) -> Option<Wall> {
        match self {
            Self::Turn(_, moment) => Some(moment),
            Self::Condition(moment) => moment,
            _ => None,
        }
    }

    fn comes_before(self, other: Self) -> bool {
        match (self.moment(), other.moment()) {
            (Some(own), Some(other)) => own < other,
            _ => match (self, other) {
                (Self::Never { most, .. }, Self::Never { most: other, .. }) => most > other,
                _ => false,
            },
        }
    }

    /// When to look at the accounts again, if that was done at `now`; `None` where no look can change anything.
    #[must_use]
    pub fn next_look(self, now: Wall, refresh: Duration) -> Option<Wall> {
        let refreshed = now.after(refresh);
        let wake = match self {
            Self::Open(_) | Self::Never { .. } | Self::NeedsPrice | Self::Nothing => return None,
            Self::Turn(_, moment) | Self::Condition(Some(moment)) => {
                moment.after(AFTER_THE_TURN).min(refreshed)
            }
            Self::Condition(None) | Self::Sometime => refreshed,
            Self::Unreadable => now.after(AFTER_A_FAILURE),
        };
        Some(wake.max(now.after(LEAST_PAUSE)))
    }
}

// === impl Waiting ===

impl Waiting<'_> {
    fn on(
        self,
        account: &AccountSnapshot,
        policy: &SpendingPolicy,
        demand: &Demand,
        now: Wall,
    ) -> Ahead {
        let fitting = fits(account, policy, demand, now);
        match fitting {
            Fitting::Unknown(_) => return Ahead::Unreadable,
            Fitting::NeedsPrice => return Ahead::NeedsPrice,
            Fitting::NeedsMoney => return Ahead::Nothing,
            Fitting::Never { most, window } => return Ahead::Never { most, window },
            Fitting::Fits if self.holds(account, now) => return Ahead::Open(0),
            Fitting::Fits | Fitting::NotYet(_) => {}
        }
        let opens = self.opens_at(account, policy, demand, now);
        match fitting {
            Fitting::NotYet(WindowKind::Month) if opens.is_none() => {
                let billed =
                    account.window(WindowKind::Month, now).and_then(|month| month.resets_at);
                match billed.filter(|billed| *billed > now) {
                    Some(billed) => Ahead::Turn(WindowKind::Month, billed),
                    None => Ahead::Sometime,
                }
            }
            Fitting::NotYet(kind) => match (opens, self.condition) {
                (Some(opens), _) => Ahead::Turn(kind, opens),
                (None, Some(_)) => Ahead::Condition(None),
                (None, None) => Ahead::Nothing,
            },
            _ => Ahead::Condition(opens),
        }
    }

    /// The first moment from `now` on at which it would fit and hold, if nothing is used meanwhile. What fits changes only when
    /// a window turns, and those turn every four hours.
    fn opens_at(
        self,
        account: &AccountSnapshot,
        policy: &SpendingPolicy,
        demand: &Demand,
        now: Wall,
    ) -> Option<Wall> {
        let mut start = now;
        for _ in 0..SEGMENTS {
            let end = four_hour_window(start).1;
            if fits(account, policy, demand, start) == Fitting::Fits
                && let Some(moment) = self.holds_between(account, start, end)
            {
                return Some(moment);
            }
            start = end;
        }
        None
    }

    fn holds_between(self, account: &AccountSnapshot, start: Wall, end: Wall) -> Option<Wall> {
        if self.condition.is_none() {
            return Some(start);
        }
        let minute = start.as_unix_seconds().div_euclid(60);
        let minutes =
            (minute + 1..).map(|minute| Wall::from_unix_seconds(minute.saturating_mul(60)));
        std::iter::once(start)
            .chain(minutes)
            .take_while(|moment| *moment < end)
            .find(|moment| self.holds(account, *moment))
    }

    fn holds(self, account: &AccountSnapshot, now: Wall) -> bool {
        self.condition.is_none_or(|condition| {
            condition.standing(account, now, (self.zone)(now)) == Standing::Holds
        })
    }
}

/// What is known after `newer` was read. As [`AccountSnapshot::followed_by`], and besides: a figure that was read soon after
/// its window began and is no smaller than that of the window before it is still the old one, which says nothing about the
/// new window.
#[must_use]
pub fn believed(older: &AccountSnapshot, newer: AccountSnapshot) -> AccountSnapshot {
    let mut newer = newer;
    if older.readable == Readable::Yes && newer.readable == Readable::Yes {
        for new in &mut newer.windows {
            let old = older.windows.iter().find(|old| old.kind == new.kind);
            if let Some(old) = old.filter(|old| is_still_the_old_one(old, new)) {
                *new = old.clone();
            }
        }
        for (chute, new) in &mut newer.chute_windows {
            let old = older.chute_windows.iter().find(|(known, _)| known == chute);
            if let Some((_, old)) = old.filter(|(_, old)| is_still_the_old_one(old, new)) {
                *new = old.clone();
            }
        }
    }
    older.followed_by(newer)
}

/// The account with its figures so many microseconds younger: it was read by a clock that was so much behind.
#[must_use]
pub fn restamped(account: &AccountSnapshot, by_micros: i64) -> AccountSnapshot {
    let moved =
        |moment: Wall| Wall::from_unix_micros(moment.as_unix_micros().saturating_add(by_micros));
    let mut account = account.clone();
    account.as_of = moved(account.as_of);
    account.balance_as_of = moved(account.balance_as_of);
    let chutes = account.chute_windows.iter_mut().map(|(_, window)| window);
    for window in account.windows.iter_mut().chain(chutes) {
        window.as_of = moved(window.as_of);
    }
    account
}

fn is_still_the_old_one(old: &Window, new: &Window) -> bool {
    let began = match new.kind {
        WindowKind::Day | WindowKind::Chute => {
            next_day_reset(new.as_of).before(Duration::from_secs(86_400))
        }
        WindowKind::FourHour => four_hour_window(new.as_of).0,
        WindowKind::Month => return false,
    };
    let is_soon = old.as_of < began && new.as_of.since(began) < OLD_FIGURES_AFTER_TURN;
    is_soon
        && new.cap == old.cap
        && new.used.is_some()
        && new.used >= old.used
        && old.used > Some(0)
}

/// Whether a window of the account, less what the policy keeps free, is so nearly used up that its figures want watching.
#[must_use]
pub fn near_the_end(account: &AccountSnapshot, policy: &SpendingPolicy, now: Wall) -> bool {
    let near = NEAR_PERMILLE.saturating_sub(policy.reserve_permille);
    let windows = account.windows_at(None, now);
    windows.iter().any(|window| window.used_permille() >= Some(near))
}

#[cfg(test)]
mod tests {
    use super::super::demand::tests::{NOON, exact, pro};
    use super::*;

    const REFRESH: Duration = Duration::from_secs(300);
    const FULL: i64 = 8_400_000_000;

    fn minutes(minutes: u64) -> Wall {
        NOON.after(Duration::from_secs(60 * minutes))
    }

    fn of(account: &AccountSnapshot, condition: Option<&str>, now: Wall) -> Ahead {
        let condition = condition.map(|text| text.parse::<Expression>().unwrap());
        let waiting = Waiting { condition: condition.as_ref(), zone: &|_| 7_200 };
        ahead([(account, &exact(), &Demand::OneCall)], waiting, now)
    }

    #[test]
    fn a_window_that_is_used_up_is_waited_for() {
        let account = pro(0, FULL, 0);
        let turn = Ahead::Turn(WindowKind::FourHour, minutes(240));
        assert_eq!(of(&account, None, NOON), turn);
        assert_eq!(of(&account, None, minutes(240)), Ahead::Open(0), "by the calendar alone");
        let day_too = pro(5_000_000, FULL, 0);
        assert_eq!(of(&day_too, None, NOON), Ahead::Turn(WindowKind::Day, minutes(720)));
        let month = pro(0, 0, 100_000_000_000);
        assert_eq!(of(&month, None, NOON), Ahead::Turn(WindowKind::Month, minutes(14_400)));
        assert_eq!(of(&month, None, minutes(14_400)), Ahead::Sometime);
    }

    #[test]
    fn a_condition_opens_by_the_clock_or_with_a_window() {
        let account = pro(4_500_000, 0, 0);
        // Noon UTC is 14:00 here.
        assert_eq!(of(&account, Some("after=16:30"), NOON), Ahead::Condition(Some(minutes(150))));
        assert_eq!(of(&account, Some("day>20%"), NOON), Ahead::Condition(Some(minutes(720))));
        assert_eq!(
            of(&account, Some("day>20% and after=09:00"), NOON),
            Ahead::Condition(Some(minutes(19 * 60)))
        );
        assert_eq!(of(&account, Some("day<20%"), NOON), Ahead::Open(0));
        assert_eq!(of(&account, Some("balance>$1"), NOON), Ahead::Condition(None), "unknown");
    }

    #[test]
    fn the_soonest_account_counts() {
        let (later, sooner) = (pro(5_000_000, 0, 0), pro(0, FULL, 0));
        let unread = AccountSnapshot::unknown(Readable::Failed, NOON);
        let waiting = Waiting { condition: None, zone: &|_| 0 };
        let policy = exact();
        let all = |accounts: &[&AccountSnapshot]| {
            ahead(
                accounts.iter().map(|account| (*account, &policy, &Demand::OneCall)),
                waiting,
                NOON,
            )
        };
        let turn = Ahead::Turn(WindowKind::FourHour, minutes(240));
        assert_eq!(all(&[&later, &unread, &sooner]), turn);
        assert_eq!(all(&[&later, &pro(0, 0, 0)]), Ahead::Open(1));
        assert_eq!(all(&[&unread]), Ahead::Unreadable);
        assert_eq!(all(&[]), Ahead::Nothing);
    }

    #[test]
    fn the_end_is_near_where_the_reserve_begins() {
        let reserve = SpendingPolicy { reserve_permille: 200, ..exact() };
        for (used_usd_permille, whole, reserved) in
            [(740, false, false), (760, false, true), (960, true, true)]
        {
            let account = pro(0, FULL / 1_000 * used_usd_permille, 0);
            assert_eq!(near_the_end(&account, &exact(), NOON), whole, "{used_usd_permille}");
            assert_eq!(near_the_end(&account, &reserve, NOON), reserved, "{used_usd_permille}");
        }
    }

    #[test]
    fn looks_are_prompt_at_a_turn_and_never_close_together() {
        let turn = |seconds| Ahead::Turn(WindowKind::Day, NOON.after(Duration::from_secs(seconds)));
        let look = |ahead: Ahead| ahead.next_look(NOON, REFRESH).map(|next| next.since(NOON));
        assert_eq!(look(turn(60)), Some(Duration::from_millis(60_200)));
        assert_eq!(look(turn(4_000)), Some(REFRESH));
        assert_eq!(look(turn(3)), Some(LEAST_PAUSE));
        assert_eq!(look(Ahead::Sometime), Some(REFRESH));
        assert_eq!(look(Ahead::Unreadable), Some(Duration::from_secs(30)));
        assert_eq!(look(Ahead::Nothing), None);
    }

    #[test]
    fn a_figure_of_the_window_before_says_nothing_about_the_new_one() {
        let mut old = pro(100, FULL, 0);
        let before = NOON.before(Duration::from_secs(20));
        old.windows.iter_mut().for_each(|window| window.as_of = before);
        old.as_of = before;
        let mut stale = pro(100, FULL, 0);
        let after = NOON.after(Duration::from_secs(5));
        stale.windows.iter_mut().for_each(|window| window.as_of = after);
        assert_eq!(of(&stale, None, after), Ahead::Turn(WindowKind::FourHour, minutes(240)));
        assert_eq!(of(&believed(&old, stale.clone()), None, after), Ahead::Open(0));
        // What was read later, or fell, is of the new window.
        let mut used_again = stale.clone();
        let later = NOON.after(Duration::from_secs(100));
        used_again.windows.iter_mut().for_each(|window| window.as_of = later);
        assert_ne!(of(&believed(&old, used_again), None, later), Ahead::Open(0));
        let mut fell = stale;
        fell.windows[1].used = Some(FULL - 1);
        assert_eq!(believed(&old, fell).windows[1].used, Some(FULL - 1));
    }
}
