//! What an account may still do, as far as it is known.
//!
//! Chutes covers a call while every window has room, and otherwise charges it to the balance, silently, as long
//! as that is positive (`chutes/api.md` 5.3). So "may I go on?" has two halves: is there room, and if not, is
//! the balance allowed to pay.

use super::calendar::next_day_reset;
use super::plan::Plan;
use super::policy::{Paygo, SpendingPolicy, Work};
use super::window::{Cap, Window, WindowKind};
use crate::time::Wall;
use crate::units::NanoUsd;

/// Whether the account endpoints could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// They answered.
    Yes,
    /// The key may not read them (401 there alone, `chutes/api.md` 1.4). It may still call models.
    Forbidden,
    /// They did not answer this time.
    Failed,
}

/// An account's plan, windows and balance at one moment. What is not known is absent, never zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// The plan; `None` if not known.
    pub plan: Option<Plan>,
    /// The windows that bind every call: `day`, `four_hour`, `month`.
    pub windows: Vec<Window>,
    /// Own windows of single chutes, by chute id. Such a row stands in for `day` on that chute.
    pub chute_windows: Vec<(String, Window)>,
    /// Pay-as-you-go money; `None` if not known.
    pub balance: Option<NanoUsd>,
    /// When the balance was true.
    pub balance_as_of: Wall,
    /// What the balance has paid since 00:00 UTC; `None` if not known. Read only where a policy bounds it.
    pub paid_today: Option<NanoUsd>,
    /// When that was true.
    pub paid_as_of: Wall,
    /// Whether the quota rows were read: then a chute without an own window has none.
    pub rows_read: bool,
    /// Whether the dollar caps were read: then a cap that is not there does not bind.
    pub caps_read: bool,
    /// Whether the account endpoints could be read.
    pub readable: Readable,
    /// When this was true.
    pub as_of: Wall,
}

/// Who would pay for the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The windows of the plan.
    Windows,
    /// The balance.
    Balance,
    /// Nobody counts: an account without limits.
    Unlimited,
}

/// Why an account may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// This window is used up and the policy does not let the balance pay.
    PaygoNotAllowed(WindowKind),
    /// This window is used up and the balance is too low to pay.
    WindowUsedUp(WindowKind),
    /// The balance would pay, and is too low.
    BalanceTooLow,
    /// This window is used up, and the balance has paid as much today as it may.
    DailyBoundReached(WindowKind),
    /// What is left of this window is kept for interactive work.
    KeptForInteractive(WindowKind),
}

/// Why it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The key may not read the account.
    Forbidden,
    /// The account endpoints did not answer.
    Failed,
    /// A figure of this window.
    Window(WindowKind),
    /// The balance.
    Balance,
    /// What the balance has paid today.
    PaidToday,
    /// The plan.
    Plan,
}

/// An answer to "may the next call go?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, and who pays.
    Yes(Payer),
    /// No.
    No {
        /// Why.
        shortage: Shortage,
        /// When the last of the used-up windows turns, as far as is known.
        turns_at: Option<Wall>,
        /// Whether it does so by the calendar alone. The month does not: it waits for billing, whatever its date
        /// says, so whoever must not spend has to look again.
        by_itself: bool,
    },
    /// It is not known.
    Unknown(Missing),
}

// === impl AccountSnapshot ===

impl AccountSnapshot {
    /// A snapshot that knows nothing, because of `readable`.
    #[must_use]
    pub const fn unknown(readable: Readable, as_of: Wall) -> Self {
        Self {
            plan: None,
            windows: Vec::new(),
            chute_windows: Vec::new(),
            balance: None,
            balance_as_of: as_of,
            paid_today: None,
            paid_as_of: as_of,
            rows_read: false,
            caps_read: false,
            readable,
            as_of,
        }
    }

    /// The windows that bind a call to `chute_id` (any chute without an own row if `None`), as they stand at
    /// `now`.
    #[must_use]
    pub fn windows_at(&self, chute_id: Option<&str>, now: Wall) -> Vec<Window> {
        let own = chute_id
            .and_then(|wanted| self.chute_windows.iter().find(|(chute, _)| chute == wanted))
            .map(|(_, window)| window);
        let account_wide =
            self.windows.iter().filter(|window| own.is_none() || window.kind != WindowKind::Day);
        own.into_iter().chain(account_wide).map(|window| window.at(now)).collect()
    }

    /// What the balance has paid on the day of `now`: nothing yet where the figure is of a day before.
    #[must_use]
    pub fn paid_today_at(&self, now: Wall) -> Option<NanoUsd> {
        let has_turned = now >= next_day_reset(self.paid_as_of);
        self.paid_today.map(|paid| if has_turned { NanoUsd::ZERO } else { paid })
    }

    /// The window of that kind as it stands at `now`.
    #[must_use]
    pub fn window(&self, kind: WindowKind, now: Wall) -> Option<Window> {
        self.windows.iter().find(|window| window.kind == kind).map(|window| window.at(now))
    }
}

/// Whether the next call on this account may go, to `chute_id` if given. Whoever may use the reserve asks with a policy
/// [`for_work`](SpendingPolicy::for_work) that is interactive.
#[must_use]
pub fn may_spend(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    chute_id: Option<&str>,
    now: Wall,
) -> Verdict {
    let interactive = may_spend_all(account, &policy.for_work(Work::Interactive), chute_id, now);
    if policy.reserve_permille == 0 {
        return interactive;
    }
    // A window that includes nothing has nothing to keep.
    let reserved = account.windows_at(chute_id, now).into_iter().filter(|window| {
        window.cap != Cap::Limited(0) && policy.is_used_up(window, account.plan) == Some(true)
    });
    let Some(reserve) = Blocked::of(&reserved.collect::<Vec<_>>(), now) else { return interactive };
    match interactive {
        Verdict::Yes(Payer::Unlimited) => interactive,
        Verdict::No { shortage, turns_at, by_itself } => Verdict::No {
            shortage,
            turns_at: turns_at.zip(reserve.turns_at).map(|(one, other)| one.max(other)),
            by_itself: by_itself && reserve.by_itself,
        },
        // Nor does the balance pay for such work: it goes on with the window.
        Verdict::Yes(_) | Verdict::Unknown(_) => Verdict::No {
            shortage: Shortage::KeptForInteractive(reserve.kind),
            turns_at: reserve.turns_at,
            by_itself: reserve.by_itself,
        },
    }
}

fn may_spend_all(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    chute_id: Option<&str>,
    now: Wall,
) -> Verdict {
    if account.plan == Some(Plan::Unlimited) {
        return Verdict::Yes(Payer::Unlimited);
    }
    match account.readable {
        Readable::Yes => {}
        Readable::Forbidden => return Verdict::Unknown(Missing::Forbidden),
        Readable::Failed => return Verdict::Unknown(Missing::Failed),
    }
    let windows = account.windows_at(chute_id, now);
    if windows.is_empty() {
        return Verdict::Unknown(Missing::Plan);
    }
    // What is known to be used up decides, whatever else is unknown: all of it has to turn first.
    let used_up = windows
        .iter()
        .filter(|window| policy.is_used_up(window, account.plan) == Some(true))
        .cloned();
    let Some(blocked) = Blocked::of(&used_up.collect::<Vec<_>>(), now) else {
        let unknown =
            windows.iter().find(|window| policy.is_used_up(window, account.plan).is_none());
        return match unknown {
            Some(window) => Verdict::Unknown(Missing::Window(window.kind)),
            None if policy.require_balance => {
                let shortage = Shortage::BalanceTooLow;
                let low = Verdict::No { shortage, turns_at: None, by_itself: true };
                by_balance(account, policy, low).unwrap_or(Verdict::Yes(Payer::Windows))
            }
            None => Verdict::Yes(Payer::Windows),
        };
    };
    match policy.allows_paygo(account.plan) {
        None => Verdict::Unknown(Missing::Plan),
        Some(false) => blocked.because(Shortage::PaygoNotAllowed(blocked.kind)),
        Some(true) => {
            let shortage = if blocked.includes_nothing {
                Shortage::BalanceTooLow
            } else {
                Shortage::WindowUsedUp(blocked.kind)
            };
            let pays = Verdict::Yes(Payer::Balance);
            by_balance(account, policy, blocked.because(shortage))
                .unwrap_or_else(|| by_day(account, policy, &blocked, now).unwrap_or(pays))
        }
    }
}

/// Why the balance does not pay, if it does not.
fn by_balance(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    otherwise: Verdict,
) -> Option<Verdict> {
    match account.balance {
        None => Some(Verdict::Unknown(Missing::Balance)),
        // Chutes refuses at zero, whatever minimum is set here.
        Some(balance) if balance < policy.min_balance || balance <= NanoUsd::ZERO => {
            Some(otherwise)
        }
        Some(_) => None,
    }
}

/// Why the balance does not pay any more today, if it does not.
fn by_day(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    blocked: &Blocked,
    now: Wall,
) -> Option<Verdict> {
    let Paygo::Daily(bound) = policy.paygo else { return None };
    match account.paid_today_at(now) {
        None => Some(Verdict::Unknown(Missing::PaidToday)),
        Some(paid) if paid >= bound => Some(Verdict::No {
            shortage: Shortage::DailyBoundReached(blocked.kind),
            turns_at: Some(blocked.or_the_next_day(now)),
            by_itself: true,
        }),
        Some(_) => None,
    }
}

/// Windows that are used up.
struct Blocked {
    /// The one that turns last.
    kind: WindowKind,
    turns_at: Option<Wall>,
    by_itself: bool,
    includes_nothing: bool,
}

// === impl Blocked ===

impl Blocked {
    /// `None` if there are none.
    fn of(used_up: &[Window], now: Wall) -> Option<Self> {
        // A month whose reset lies in the past has not been billed yet: nobody knows when it turns.
        let turn_of = |window: &Window| window.resets_at.filter(|&turns| turns > now);
        let last = used_up
            .iter()
            .max_by_key(|window| turn_of(window).map_or(i64::MAX, Wall::as_unix_micros))?;
        let includes_nothing = used_up.iter().any(|window| window.cap == Cap::Limited(0));
        Some(Self {
            kind: last.kind,
            turns_at: turn_of(last).filter(|_| !includes_nothing),
            by_itself: used_up.iter().all(|window| window.kind != WindowKind::Month),
            includes_nothing,
        })
    }

    const fn because(&self, shortage: Shortage) -> Verdict {
        Verdict::No { shortage, turns_at: self.turns_at, by_itself: self.by_itself }
    }

    /// When they turn, or else the day, with which the balance may pay again.
    fn or_the_next_day(&self, now: Wall) -> Wall {
        let midnight = next_day_reset(now);
        let turns = self.turns_at.filter(|_| self.by_itself);
        turns.map_or(midnight, |turns| turns.min(midnight))
    }
}

// === impl Verdict ===

impl Verdict {
    /// The verdict for a bearer for whom the balance may pay only so much a day, on top of what the account's policy
    /// says. `paid` is what it has paid for the bearer today, `cost` what the next call is likely to add.
    #[must_use]
    pub fn within(self, bound: NanoUsd, paid: NanoUsd, cost: NanoUsd, now: Wall) -> Self {
        let is_over = paid >= bound || paid.plus(cost) > bound;
        if self != Self::Yes(Payer::Balance) || !is_over {
            return self;
        }
        Self::No {
            shortage: Shortage::DailyBoundReached(WindowKind::Day),
            turns_at: Some(next_day_reset(now)),
            by_itself: true,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::quota::{Source, Unit};

    pub(crate) const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z

    pub(crate) fn window(kind: WindowKind, used: i64, cap: i64) -> Window {
        let unit = match kind {
            WindowKind::Day | WindowKind::Chute => Unit::Requests,
            WindowKind::FourHour | WindowKind::Month => Unit::Usd,
        };
        Window {
            kind,
            unit,
            used: Some(used),
            cap: Cap::Limited(cap),
            resets_at: Some(Wall::from_unix_seconds(NOON.as_unix_seconds() + 10 * 86_400)),
            as_of: NOON,
            source: Source::Server,
        }
    }

    pub(crate) fn pro(
        day: i64,
        four_hour: i64,
        month: i64,
        balance: Option<NanoUsd>,
    ) -> AccountSnapshot {
        AccountSnapshot {
            plan: Some(Plan::Pro),
            windows: vec![
                window(WindowKind::Day, day, 5_000_000),
                window(WindowKind::FourHour, four_hour, 8_333_333_333),
                window(WindowKind::Month, month, 100_000_000_000),
            ],
            chute_windows: Vec::new(),
            balance,
            balance_as_of: NOON,
            paid_today: None,
            paid_as_of: NOON,
            rows_read: true,
            caps_read: true,
            readable: Readable::Yes,
            as_of: NOON,
        }
    }

    fn verdict(account: &AccountSnapshot, policy: SpendingPolicy) -> Verdict {
        may_spend(account, &policy, None, NOON)
    }

    fn hours(hours: u64) -> Option<Wall> {
        Some(NOON.after(std::time::Duration::from_secs(hours * 3_600)))
    }

    #[test]
    fn a_subscriber_with_an_empty_balance_and_open_windows_is_fine() {
        let account = pro(1_234_300, 1, 1, Some(NanoUsd(-59_000_000)));
        assert_eq!(verdict(&account, SpendingPolicy::default()), Verdict::Yes(Payer::Windows));
        let strict = SpendingPolicy { require_balance: true, ..SpendingPolicy::default() };
        assert_eq!(
            verdict(&account, strict),
            Verdict::No { shortage: Shortage::BalanceTooLow, turns_at: None, by_itself: true }
        );
    }

    #[test]
    fn a_subscription_never_slides_into_paygo_by_itself() {
        let account = pro(0, 9_000_000_000, 1, Some(NanoUsd::from_cents(500)));
        assert_eq!(
            verdict(&account, SpendingPolicy::default()),
            Verdict::No {
                shortage: Shortage::PaygoNotAllowed(WindowKind::FourHour),
                turns_at: hours(4),
                by_itself: true
            }
        );
        let allow = SpendingPolicy { paygo: Paygo::Allow, ..SpendingPolicy::default() };
        assert_eq!(verdict(&account, allow), Verdict::Yes(Payer::Balance));
        let broke = pro(0, 9_000_000_000, 1, Some(NanoUsd::ZERO));
        assert_eq!(
            verdict(&broke, allow),
            Verdict::No {
                shortage: Shortage::WindowUsedUp(WindowKind::FourHour),
                turns_at: hours(4),
                by_itself: true,
            }
        );
    }

    #[test]
    fn every_used_up_window_has_to_turn() {
        let account = pro(5_000_000, 9_000_000_000, 1, None);
        assert_eq!(
            verdict(&account, SpendingPolicy::default()),
            Verdict::No {
                shortage: Shortage::PaygoNotAllowed(WindowKind::Day),
                turns_at: hours(12),
                by_itself: true
            }
        );
    }

    #[test]
    fn a_month_that_should_have_turned_gives_no_date() {
        let mut account = pro(0, 0, 100_000_000_000, None);
        account.windows[2].resets_at = Some(NOON);
        assert_eq!(
            verdict(&account, SpendingPolicy::default()),
            Verdict::No {
                shortage: Shortage::PaygoNotAllowed(WindowKind::Month),
                turns_at: None,
                by_itself: false
            }
        );
        // Not even when another window would turn soon.
        account.windows[1].used = Some(9_000_000_000);
        assert!(matches!(
            verdict(&account, SpendingPolicy::default()),
            Verdict::No { turns_at: None, .. }
        ));
    }

    #[test]
    fn pay_as_you_go_spends_down_to_the_minimum() {
        let mut account = pro(0, 0, 0, Some(NanoUsd::from_cents(5)));
        account.plan = Some(Plan::PayAsYouGo);
        account.windows = vec![window(WindowKind::Day, 0, 0)];
        assert_eq!(verdict(&account, SpendingPolicy::default()), Verdict::Yes(Payer::Balance));
        account.balance = Some(NanoUsd::from_cents(4));
        let low =
            Verdict::No { shortage: Shortage::BalanceTooLow, turns_at: None, by_itself: true };
        assert_eq!(verdict(&account, SpendingPolicy::default()), low);
        let no_minimum = SpendingPolicy { min_balance: NanoUsd::ZERO, ..SpendingPolicy::default() };
        account.balance = Some(NanoUsd::ZERO);
        assert_eq!(verdict(&account, no_minimum), low, "Chutes refuses at zero");
        account.balance = None;
        assert_eq!(verdict(&account, no_minimum), Verdict::Unknown(Missing::Balance));
    }

    #[test]
    fn another_quota_number_pays_with_its_day_first() {
        let mut account = pro(0, 0, 0, Some(NanoUsd::from_cents(500)));
        account.plan = Some(Plan::Other(1_000));
        account.windows = vec![window(WindowKind::Day, 999_000, 1_000_000)];
        assert_eq!(verdict(&account, SpendingPolicy::default()), Verdict::Yes(Payer::Windows));
        account.windows = vec![window(WindowKind::Day, 1_000_000, 1_000_000)];
        assert_eq!(verdict(&account, SpendingPolicy::default()), Verdict::Yes(Payer::Balance));
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        let account = AccountSnapshot::unknown(Readable::Forbidden, NOON);
        assert_eq!(
            verdict(&account, SpendingPolicy::default()),
            Verdict::Unknown(Missing::Forbidden)
        );
        let mut partial = pro(0, 0, 0, None);
        partial.windows[1].used = None;
        assert_eq!(
            verdict(&partial, SpendingPolicy::default()),
            Verdict::Unknown(Missing::Window(WindowKind::FourHour))
        );
        // A used-up window decides even so.
        partial.windows[0].used = Some(5_000_000);
        assert!(matches!(verdict(&partial, SpendingPolicy::default()), Verdict::No { .. }));
    }

    #[test]
    fn where_the_balance_may_not_pay_the_last_of_a_window_is_kept() {
        let policy = SpendingPolicy::default();
        assert_eq!(verdict(&pro(4_939_999, 0, 0, None), policy), Verdict::Yes(Payer::Windows));
        assert!(matches!(verdict(&pro(4_940_000, 0, 0, None), policy), Verdict::No { .. }));
        let allow = SpendingPolicy { paygo: Paygo::Allow, ..policy };
        assert_eq!(verdict(&pro(4_999_999, 0, 0, None), allow), Verdict::Yes(Payer::Windows));
        let exact = SpendingPolicy { margin_permille: 0, ..policy };
        assert_eq!(verdict(&pro(4_999_999, 0, 0, None), exact), Verdict::Yes(Payer::Windows));
    }

    #[test]
    fn a_chute_with_an_own_row_does_not_count_on_the_day() {
        let mut account = pro(5_000_000, 0, 0, None);
        account.chute_windows.push(("abc".into(), window(WindowKind::Chute, 0, 3_000)));
        let policy = SpendingPolicy::default();
        assert_eq!(may_spend(&account, &policy, Some("abc"), NOON), Verdict::Yes(Payer::Windows));
        assert!(matches!(may_spend(&account, &policy, Some("other"), NOON), Verdict::No { .. }));
    }
}
