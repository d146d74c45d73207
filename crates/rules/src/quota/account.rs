//! What an account may still do, as far as it is known.
//!
//! Chutes covers a call while every window has room, and otherwise charges it to the balance, silently, as long
//! as that is positive (`chutes/api.md` 5.3). So "may I go on?" has two halves: is there room, and if not, is
//! the balance allowed to pay.

use super::plan::Plan;
use super::window::{Cap, Window, WindowKind};
use crate::time::Wall;
use crate::units::{NanoUsd, scaled};

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
    /// Whether the quota rows were read: then a chute without an own window has none.
    pub rows_read: bool,
    /// Whether the dollar caps were read: then a cap that is not there does not bind.
    pub caps_read: bool,
    /// Whether the account endpoints could be read.
    pub readable: Readable,
    /// When this was true.
    pub as_of: Wall,
}

/// Whether the balance may pay when a window is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Paygo {
    /// As the plan suggests: a subscription never, every other account yes.
    #[default]
    ByPlan,
    /// Never.
    Never,
    /// Down to the minimum balance.
    Allow,
}

/// What to do while an account's figures are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenUnknown {
    /// Go on, marked "unguarded", unless the owner wrote `paygo = "never"`.
    #[default]
    Allow,
    /// Refuse.
    Refuse,
}

/// What is kept free of a window unless somebody says otherwise, in thousandths: decision 6 has the reasons.
pub const MARGIN_PERMILLE: u64 = 12;

/// What may be spent on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendingPolicy {
    /// Whether the balance may pay.
    pub paygo: Paygo,
    /// The balance is not drawn below this.
    pub min_balance: NanoUsd,
    /// What is kept free of each window where the balance may not pay, in thousandths of its cap: others may use the
    /// account, and the figures lag.
    pub margin_permille: u64,
    /// The balance has to be above the minimum even where a window would pay.
    pub require_balance: bool,
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

// === impl SpendingPolicy ===

impl Default for SpendingPolicy {
    fn default() -> Self {
        Self {
            paygo: Paygo::ByPlan,
            min_balance: NanoUsd::from_cents(5),
            margin_permille: MARGIN_PERMILLE,
            require_balance: false,
        }
    }
}

impl SpendingPolicy {
    /// Whether the balance may pay on an account of this plan. `None` if that hangs on an unknown plan.
    #[must_use]
    pub fn allows_paygo(&self, plan: Option<Plan>) -> Option<bool> {
        match self.paygo {
            Paygo::Allow => Some(true),
            Paygo::Never => Some(false),
            Paygo::ByPlan => plan.map(|plan| !plan.is_subscription()),
        }
    }

    /// Whether `window` counts as used up on an account of this plan; `None` if not known.
    #[must_use]
    pub fn is_used_up(&self, window: &Window, plan: Option<Plan>) -> Option<bool> {
        match window.cap {
            Cap::Uncapped => Some(false),
            Cap::Unknown => None,
            Cap::Limited(cap) => {
                window.used.map(|used| used >= cap.saturating_sub(self.kept(cap, plan)))
            }
        }
    }

    /// What is kept free of a window with this cap, in its unit.
    #[must_use]
    pub fn kept(&self, cap: i64, plan: Option<Plan>) -> i64 {
        if self.allows_paygo(plan) == Some(false) {
            scaled(cap, self.margin_permille, 1_000)
        } else {
            0
        }
    }
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

    /// The window of that kind as it stands at `now`.
    #[must_use]
    pub fn window(&self, kind: WindowKind, now: Wall) -> Option<Window> {
        self.windows.iter().find(|window| window.kind == kind).map(|window| window.at(now))
    }
}

/// Whether the next call on this account may go, to `chute_id` if given.
#[must_use]
pub fn may_spend(
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
    let used_up: Vec<&Window> = windows
        .iter()
        .filter(|window| policy.is_used_up(window, account.plan) == Some(true))
        .collect();
    // A month whose reset lies in the past has not been billed yet: nobody knows when it turns.
    let turn_of = |window: &Window| window.resets_at.filter(|&turns| turns > now);
    let last = used_up
        .iter()
        .copied()
        .max_by_key(|window| turn_of(window).map_or(i64::MAX, Wall::as_unix_micros));
    let Some(blocking) = last else {
        let unknown =
            windows.iter().find(|window| policy.is_used_up(window, account.plan).is_none());
        return match unknown {
            Some(window) => Verdict::Unknown(Missing::Window(window.kind)),
            None if policy.require_balance => {
                let low = Shortage::BalanceTooLow;
                by_balance(
                    account,
                    policy,
                    Verdict::No { shortage: low, turns_at: None, by_itself: true },
                )
            }
            None => Verdict::Yes(Payer::Windows),
        };
    };
    let by_itself = used_up.iter().all(|window| window.kind != WindowKind::Month);
    let includes_nothing = used_up.iter().any(|window| window.cap == Cap::Limited(0));
    let turns_at = turn_of(blocking).filter(|_| !includes_nothing);
    match policy.allows_paygo(account.plan) {
        None => Verdict::Unknown(Missing::Plan),
        Some(false) => {
            Verdict::No { shortage: Shortage::PaygoNotAllowed(blocking.kind), turns_at, by_itself }
        }
        Some(true) => {
            let shortage = if includes_nothing {
                Shortage::BalanceTooLow
            } else {
                Shortage::WindowUsedUp(blocking.kind)
            };
            by_balance(account, policy, Verdict::No { shortage, turns_at, by_itself })
        }
    }
}

fn by_balance(account: &AccountSnapshot, policy: &SpendingPolicy, otherwise: Verdict) -> Verdict {
    match account.balance {
        None => Verdict::Unknown(Missing::Balance),
        // Chutes refuses at zero, whatever minimum is set here.
        Some(balance) if balance < policy.min_balance || balance <= NanoUsd::ZERO => otherwise,
        Some(_) => Verdict::Yes(Payer::Balance),
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
