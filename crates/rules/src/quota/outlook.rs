//! The windows ahead, one after the other: how many calls of a size fit into each.

use super::account::{AccountSnapshot, Payer, Verdict, may_spend};
use super::calendar::{four_hour_window, month_window, next_day_reset};
use super::forecast::CallCost;
use super::plan::Plan;
use super::policy::{Paygo, SpendingPolicy};
use super::window::{Cap, Unit, Window, WindowKind};
use crate::time::Wall;
use crate::units::NanoUsd;
use std::time::Duration;

/// How far ahead is looked, in days.
pub const HORIZON_DAYS: u64 = 62;

/// What holds calls up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// A window.
    Window(WindowKind),
    /// The balance, or what may be spent of it in a day.
    Balance,
    /// The calls that may be under way at once.
    Slots,
}

/// The time between two turns of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// From here,
    pub from: Wall,
    /// until the next turn that changes something; `None` if none is known.
    pub until: Option<Wall>,
    /// So many calls fit, if everything that fitted before was used; [`u64::MAX`] if nothing limits them.
    pub fits: u64,
    /// Of these, the balance would pay for so many.
    pub paid: u64,
    /// What the next one would meet.
    pub short: Option<Limit>,
    /// Whether it rests on a month that turns when Chutes bills, which may be later than its date.
    pub waits_for_billing: bool,
}

/// How fast a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Calls under way at once.
    pub slots: u32,
    /// How long one takes.
    pub call: Duration,
}

/// The slices from now on, each filled before the next one begins. Ends at the horizon.
#[derive(Clone, Debug)]
pub struct Outlook {
    meters: Vec<Meter>,
    purse: Purse,
    pace: Option<Pace>,
    moment: Wall,
    horizon: Wall,
    waits_for_billing: bool,
    has_ended: bool,
}

/// A limited window as the forecast steps through it.
#[derive(Clone, Copy, Debug)]
struct Meter {
    kind: WindowKind,
    cap: i64,
    left: i64,
    per_call: i64,
    turns_at: Option<Wall>,
}

/// What the balance may pay.
#[derive(Clone, Copy, Debug)]
struct Purse {
    /// All that may be spent of it.
    spendable: i64,
    per_call: Option<i64>,
    /// Where there is a bound for each day.
    daily: Option<Allowance>,
}

/// What the balance may pay in a day.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    bound: i64,
    /// Of today's.
    left: i64,
    turns_at: Wall,
}

// === impl Outlook ===

impl Outlook {
    /// Looks ahead for calls at `cost`, to `chute_id` if given; `None` if not even the present is known.
    #[must_use]
    pub fn new(
        account: &AccountSnapshot,
        policy: &SpendingPolicy,
        chute_id: Option<&str>,
        cost: CallCost,
        now: Wall,
    ) -> Option<Self> {
        let verdict = may_spend(account, policy, chute_id, now);
        let meters = match verdict {
            Verdict::Unknown(_) => return None,
            Verdict::Yes(Payer::Unlimited) => Vec::new(),
            Verdict::Yes(_) | Verdict::No { .. } => {
                let windows = account.windows_at(chute_id, now);
                let meter = |window| Meter::new(window, cost, policy, account.plan, now);
                windows.iter().filter_map(meter).collect()
            }
        };
        Some(Self {
            meters,
            purse: Purse::new(account, policy, cost, now),
            pace: None,
            moment: now,
            horizon: now.after(Duration::from_secs(HORIZON_DAYS * 86_400)),
            waits_for_billing: false,
            has_ended: false,
        })
    }

    /// With no more calls in each slice than so many at once can do.
    #[must_use]
    pub const fn at_pace(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    /// The next `count` slices, those into which nothing fits taken together.
    #[must_use]
    pub fn slices(self, count: usize) -> Vec<Slice> {
        let mut slices: Vec<Slice> = Vec::new();
        for slice in self {
            let is_full = slices.len() >= count;
            match slices.last_mut() {
                Some(last) if last.fits == 0 && slice.fits == 0 && last.short == slice.short => {
                    last.until = slice.until;
                }
                _ if is_full => break,
                _ => slices.push(slice),
            }
        }
        slices
    }

    /// The next turn of a window that is counted.
    fn next_turn(&self) -> Option<Wall> {
        let turns = self.meters.iter().filter_map(|meter| meter.turns_at);
        turns.chain(self.purse.turns_at()).min()
    }

    fn turn(&mut self, moment: Wall) {
        for meter in &mut self.meters {
            let turns = meter.turns_at == Some(moment);
            self.waits_for_billing |= turns && meter.kind == WindowKind::Month;
            meter.roll(moment);
        }
        self.purse.roll(moment);
        self.moment = moment;
    }
}

impl Iterator for Outlook {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        if self.has_ended {
            return None;
        }
        let until = self.next_turn();
        let shortest = self.meters.iter().min_by_key(|meter| meter.calls_left());
        let covered = shortest.map_or(u64::MAX, Meter::calls_left);
        let by_balance = self.purse.calls_left();
        let by_windows = shortest.map(|meter| Limit::Window(meter.kind));
        let all = covered.saturating_add(by_balance);
        let possible = match (self.pace, until) {
            (Some(pace), Some(until)) => pace.calls_within(until.since(self.moment)),
            _ => u64::MAX,
        };
        let fits = all.min(possible);
        let paid = fits.saturating_sub(covered);
        let from_windows = fits.min(covered);
        self.meters.iter_mut().for_each(|meter| meter.take(from_windows));
        self.purse.take(paid);
        let only_balance = self.meters.iter().all(|meter| meter.cap == 0);
        let slice = Slice {
            from: self.moment,
            until,
            fits,
            paid,
            short: if fits < all {
                Some(Limit::Slots)
            } else if only_balance && !self.meters.is_empty() {
                Some(Limit::Balance)
            } else {
                by_windows
            },
            waits_for_billing: self.waits_for_billing,
        };
        match until.filter(|&turn| turn <= self.horizon) {
            Some(turn) => self.turn(turn),
            None => self.has_ended = true,
        }
        Some(slice)
    }
}

// === impl Pace ===

impl Pace {
    /// Calls that end within `time`.
    #[must_use]
    pub fn calls_within(self, time: Duration) -> u64 {
        let room = time.as_micros().saturating_mul(u128::from(self.slots));
        u64::try_from(room / self.call.as_micros().max(1)).unwrap_or(u64::MAX)
    }

    /// Calls that end within `time`, if as many as there are slots begin and end together.
    #[must_use]
    pub fn rounds_within(self, time: Duration) -> u64 {
        let rounds = time.as_micros() / self.call.as_micros().max(1);
        let calls = rounds.saturating_mul(u128::from(self.slots));
        u64::try_from(calls).unwrap_or(u64::MAX)
    }

    /// How long `calls` take.
    #[must_use]
    pub fn time_for(self, calls: u64) -> Duration {
        let rounds = calls.div_ceil(u64::from(self.slots.max(1)));
        let micros = u128::from(rounds).saturating_mul(self.call.as_micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

// === impl Purse ===

impl Purse {
    fn new(account: &AccountSnapshot, policy: &SpendingPolicy, cost: CallCost, now: Wall) -> Self {
        // Work that leaves a reserve alone goes on with the window, not with the balance.
        let waits = policy.reserve_permille > 0
            && account.windows.iter().any(|window| window.cap != Cap::Limited(0));
        let paid_today = account.paid_today_at(now);
        let daily = match policy.paygo {
            Paygo::Daily(NanoUsd(bound)) => paid_today.map(|NanoUsd(paid)| Allowance {
                bound,
                left: bound.saturating_sub(paid).max(0),
                turns_at: next_day_reset(now),
            }),
            Paygo::ByPlan | Paygo::Never | Paygo::Allow => None,
        };
        let is_known = daily.is_some() || !matches!(policy.paygo, Paygo::Daily(_));
        let allowed = policy.allows_paygo(account.plan) == Some(true) && !waits && is_known;
        let spendable = match account.balance {
            Some(NanoUsd(balance)) if allowed => {
                balance.saturating_sub(policy.min_balance.0.max(0)).max(0)
            }
            _ => 0,
        };
        Self { spendable, per_call: cost.usd.map(|usd| usd.0), daily }
    }

    fn calls_left(&self) -> u64 {
        let today = self.daily.map_or(i64::MAX, |daily| daily.left).min(self.spendable);
        match self.per_call {
            None => 0,
            Some(_) if today <= 0 => 0,
            Some(price) if price <= 0 => u64::MAX,
            Some(price) => u64::try_from(today / price).unwrap_or(0),
        }
    }

    /// When more of it may be spent.
    fn turns_at(&self) -> Option<Wall> {
        let pays_for_one = self.per_call.is_some_and(|price| self.spendable >= price.max(1));
        self.daily.filter(|_| pays_for_one).map(|daily| daily.turns_at)
    }

    fn roll(&mut self, moment: Wall) {
        if let Some(daily) = &mut self.daily
            && daily.turns_at <= moment
        {
            *daily = Allowance { left: daily.bound, turns_at: next_day_reset(moment), ..*daily };
        }
    }

    fn take(&mut self, calls: u64) {
        let price = self.per_call.unwrap_or(0);
        self.spendable = less(self.spendable, price, calls);
        if let Some(daily) = &mut self.daily {
            daily.left = less(daily.left, price, calls);
        }
    }
}

// === impl Meter ===

impl Meter {
    /// `None` where the window does not limit a call of that cost, or cannot be counted.
    fn new(
        window: &Window,
        cost: CallCost,
        policy: &SpendingPolicy,
        plan: Option<Plan>,
        now: Wall,
    ) -> Option<Self> {
        let (Cap::Limited(cap), Some(left)) = (window.cap, window.remaining()) else { return None };
        let kept = policy.kept(cap, plan);
        let (cap, left) = (cap.saturating_sub(kept), left.saturating_sub(kept).max(0));
        let per_call = match window.unit {
            Unit::Requests => cost.units.0,
            Unit::Usd => match cost.usd {
                Some(usd) => usd.0,
                // Nothing fits into a window that is used up, whatever it would cost.
                None if left == 0 => 1,
                None => return None,
            },
        };
        (per_call > 0).then_some(Self {
            kind: window.kind,
            cap,
            left,
            per_call,
            // A month that is overdue turns when Chutes bills, and nobody knows when that is.
            turns_at: window.resets_at.filter(|&turns| turns > now),
        })
    }

    fn calls_left(&self) -> u64 {
        // A call is covered while any room is left when it starts (chutes/api.md 5.3), but a plan that leans on
        // that overshoot is no plan.
        u64::try_from(self.left / self.per_call).unwrap_or(0)
    }

    fn take(&mut self, calls: u64) {
        self.left = less(self.left, self.per_call, calls);
    }

    fn roll(&mut self, moment: Wall) {
        if self.turns_at != Some(moment) {
            return;
        }
        self.left = self.cap;
        self.turns_at = match self.kind {
            WindowKind::Day | WindowKind::Chute => Some(next_day_reset(moment)),
            WindowKind::FourHour => Some(four_hour_window(moment).1),
            WindowKind::Month => month_window(moment).map(|(_, end)| end),
        };
    }
}

fn less(amount: i64, per_call: i64, calls: u64) -> i64 {
    let taken = i128::from(per_call).saturating_mul(i128::from(calls));
    amount.saturating_sub(i64::try_from(taken).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
