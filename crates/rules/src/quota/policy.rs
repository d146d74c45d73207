//! What may be spent on an account, and for whom.
//!
//! An account has a policy; whoever bears a client key of the gateway may have one of its own, which can only narrow the
//! account's. Work that is not interactive leaves the last of each window alone where a reserve is set.

use super::plan::Plan;
use super::window::{Cap, Window};
use crate::units::{NanoUsd, scaled};

/// Whether the balance may pay when a window is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Paygo {
    /// As the plan suggests: a subscription never, every other account yes.
    #[default]
    ByPlan,
    /// Never.
    Never,
    /// Down to the minimum balance.
    Allow,
    /// Down to the minimum balance, and at most so much from 00:00 to 00:00 UTC.
    Daily(NanoUsd),
}

/// What to do while an account's figures are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum WhenUnknown {
    /// Go on, marked "unguarded", unless the owner wrote `paygo = "never"`.
    #[default]
    Allow,
    /// Refuse.
    Refuse,
}

/// For whom a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub enum Work {
    /// Somebody waits for it, and it may use what is kept for that.
    #[default]
    Interactive,
    /// Agents and batches.
    Background,
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
    /// What is kept free of each window where the balance may not pay whatever comes, in thousandths of its cap: others
    /// may use the account, and the figures lag.
    pub margin_permille: u64,
    /// What is kept of each window for interactive work, in thousandths of its cap. Other work goes on at the reset; the
    /// balance does not pay for it meanwhile.
    pub reserve_permille: u64,
    /// The balance has to be above the minimum even where a window would pay.
    pub require_balance: bool,
}

/// What a client key of the gateway may do, within the policy of each account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientPolicy {
    /// Whether the balance may pay for its calls; by default as on the account. A daily amount is counted for this key
    /// alone.
    pub paygo: Paygo,
    /// Whether its interactive requests may use what is kept for interactive work.
    pub may_use_reserve: bool,
    /// The balance is not drawn below this for its calls; `None` for the account's minimum alone.
    pub min_balance: Option<NanoUsd>,
    /// What to do while an account's figures are not known; by default as on the account.
    pub when_unknown: WhenUnknown,
}

// === impl SpendingPolicy ===

impl Default for SpendingPolicy {
    fn default() -> Self {
        Self {
            paygo: Paygo::ByPlan,
            min_balance: NanoUsd::from_cents(5),
            margin_permille: MARGIN_PERMILLE,
            reserve_permille: 0,
            require_balance: false,
        }
    }
}

impl SpendingPolicy {
    /// Whether the balance may pay on an account of this plan, be it only so much a day. `None` if that hangs on an
    /// unknown plan.
    #[must_use]
    pub fn allows_paygo(&self, plan: Option<Plan>) -> Option<bool> {
        match self.paygo {
            Paygo::Allow | Paygo::Daily(_) => Some(true),
            Paygo::Never => Some(false),
            Paygo::ByPlan => plan.map(|plan| !plan.is_subscription()),
        }
    }

    /// Whether it matters who pays: the balance may not, or only so much a day.
    #[must_use]
    pub fn bounds_paygo(&self, plan: Option<Plan>) -> bool {
        matches!(self.paygo, Paygo::Daily(_)) || self.allows_paygo(plan) != Some(true)
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

    /// What is kept free of a window with this cap, in its unit: for others who use the account, and for interactive
    /// work.
    #[must_use]
    pub fn kept(&self, cap: i64, plan: Option<Plan>) -> i64 {
        let margin = if self.bounds_paygo(plan) { self.margin_permille } else { 0 };
        scaled(cap, margin.saturating_add(self.reserve_permille).min(1_000), 1_000)
    }

    /// The policy for work of this kind: what is interactive need not leave the reserve alone.
    #[must_use]
    pub const fn for_work(self, work: Work) -> Self {
        match work {
            Work::Interactive => Self { reserve_permille: 0, ..self },
            Work::Background => self,
        }
    }

    /// The policy for whoever bears a client key: of each rule the stricter one. An amount a day is not part of it, see
    /// [`ClientPolicy::daily_bound`].
    #[must_use]
    pub fn narrowed_by(self, client: &ClientPolicy) -> Self {
        let never = client.paygo == Paygo::Never;
        Self {
            paygo: if never { Paygo::Never } else { self.paygo },
            min_balance: client
                .min_balance
                .map_or(self.min_balance, |own| own.max(self.min_balance)),
            ..self
        }
    }
}

// === impl ClientPolicy ===

impl Default for ClientPolicy {
    /// What the account allows, and no more.
    fn default() -> Self {
        Self {
            paygo: Paygo::ByPlan,
            may_use_reserve: true,
            min_balance: None,
            when_unknown: WhenUnknown::Allow,
        }
    }
}

impl ClientPolicy {
    /// What the balance may pay for this key's calls a day, if that is bounded.
    #[must_use]
    pub const fn daily_bound(&self) -> Option<NanoUsd> {
        match self.paygo {
            Paygo::Daily(bound) => Some(bound),
            Paygo::ByPlan | Paygo::Never | Paygo::Allow => None,
        }
    }

    /// What a request of this priority counts as.
    #[must_use]
    pub const fn work(&self, asked: Work) -> Work {
        if self.may_use_reserve { asked } else { Work::Background }
    }
}

#[cfg(test)]
mod tests;
