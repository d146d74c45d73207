//! Plan and windows from whichever answers came.

use ripcord_rules::quota::{
    Cap, Plan, Source, Unit, Window, WindowKind, four_hour_window, month_window, next_day_reset,
};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{MilliUnits, NanoUsd, Rounding};
use ripcord_wire::chutes::{CapWindow, QuotaAmount, QuotaUsage, Quotas, SubscriptionUsage};
use ripcord_wire::decimal::Decimal;
use ripcord_wire::time::Timestamp;

/// 2026-03-01: no billing month starts before the caps did (api.md 2.4).
const FIRST_ANCHOR: Wall = Wall::from_unix_seconds(1_772_323_200);

/// What was read. Absent is unknown.
pub(super) struct Facts<'a> {
    pub(super) quotas: Option<&'a Quotas>,
    pub(super) usage: Option<&'a QuotaUsage>,
    pub(super) subscription: Option<&'a SubscriptionUsage>,
    pub(super) has_unlimited_role: bool,
    pub(super) as_of: Wall,
}

impl Facts<'_> {
    /// The number in the `*` row decides; the counter repeats it; a subscription's price names the rest.
    pub(super) fn plan(&self) -> Option<Plan> {
        if self.has_unlimited_role {
            return Some(Plan::Unlimited);
        }
        let from_rows = self.quotas.and_then(Quotas::wildcard);
        let quota = from_rows.or_else(|| self.usage?.quota);
        match quota {
            Some(QuotaAmount::Unlimited) => Some(Plan::Unlimited),
            Some(QuotaAmount::PerDay(units)) => Some(Plan::from_wildcard_quota(units)),
            None => self.plan_by_price(),
        }
    }

    fn plan_by_price(&self) -> Option<Plan> {
        let subscription = self.subscription?;
        let price = usd(subscription.monthly_price.as_ref(), Rounding::Down)?;
        let custom = subscription.custom == Some(true);
        [Plan::Base, Plan::Plus, Plan::Pro, Plan::CustomBase, Plan::CustomPlus, Plan::CustomPro]
            .into_iter()
            .find(|plan| {
                plan.monthly_price() == Some(price) && plan.month_cap().is_none() == custom
            })
    }

    pub(super) fn windows(&self, plan: Option<Plan>) -> Vec<Window> {
        let Some(plan) = plan.filter(|plan| *plan != Plan::Unlimited) else { return Vec::new() };
        let mut windows = vec![self.day(plan)];
        let has_caps = match self.subscription.and_then(|subscription| subscription.subscription) {
            Some(has_caps) => has_caps,
            // Not read: the caps are there and unknown, unless the plan has none.
            None => plan.is_subscription(),
        };
        if has_caps {
            windows.push(self.four_hour(plan));
            windows.push(self.month(plan));
        }
        windows
    }

    fn day(&self, plan: Plan) -> Window {
        let per_day = |quota: Option<QuotaAmount>| match quota {
            Some(QuotaAmount::PerDay(units)) => {
                i64::try_from(units).ok().map(MilliUnits::from_units)
            }
            Some(QuotaAmount::Unlimited) | None => None,
        };
        // A new quota takes up to a minute to count; until then the lower one is the one in force, or the safe one.
        let told = [
            per_day(self.quotas.and_then(Quotas::wildcard)),
            per_day(self.usage.and_then(|usage| usage.quota)),
        ];
        let cap = told.into_iter().flatten().min().or_else(|| plan.day_quota());
        Window {
            kind: WindowKind::Day,
            unit: Unit::Requests,
            used: self.usage.and_then(used_units),
            cap: cap.map_or(Cap::Unknown, |MilliUnits(cap)| Cap::Limited(cap)),
            resets_at: Some(next_day_reset(self.as_of)),
            as_of: self.as_of,
            source: Source::Server,
        }
    }

    fn four_hour(&self, plan: Plan) -> Window {
        let told = self.subscription.and_then(|subscription| subscription.four_hour.as_ref());
        let computed = Some(four_hour_window(self.as_of).1);
        self.capped(WindowKind::FourHour, told, plan.four_hour_cap(), computed)
    }

    fn month(&self, plan: Plan) -> Window {
        let told = self.subscription.and_then(|subscription| subscription.monthly.as_ref());
        let mut window = self.capped(WindowKind::Month, told, plan.month_cap(), self.month_end());
        if told.is_none() && plan.is_subscription() && plan.month_cap().is_none() {
            window.cap = Cap::Uncapped;
        }
        window
    }

    fn month_end(&self) -> Option<Wall> {
        let by_subscription = self.subscription.and_then(|subscription| {
            anchor([
                subscription.anchor_date.as_ref(),
                subscription.effective_date.as_ref(),
                subscription.updated_at.as_ref(),
            ])
        });
        let by_row = || {
            let row = self.quotas.and_then(Quotas::wildcard_row)?;
            anchor([row.effective_date.as_ref(), row.updated_at.as_ref(), None])
        };
        month_window(by_subscription.or_else(by_row)?).map(|(_, end)| end)
    }

    fn capped(
        &self,
        kind: WindowKind,
        told: Option<&CapWindow>,
        of_plan: Option<NanoUsd>,
        computed: Option<Wall>,
    ) -> Window {
        let cap = match told {
            Some(window) if window.uncapped == Some(true) => Cap::Uncapped,
            _ => told
                .and_then(|window| usd(window.cap.as_ref(), Rounding::Down))
                .or(of_plan)
                .map_or(Cap::Unknown, |NanoUsd(cap)| Cap::Limited(cap)),
        };
        let resets_at = told.and_then(|window| wall(window.reset_at.as_ref()));
        Window {
            kind,
            unit: Unit::Usd,
            used: told
                .and_then(|window| usd(window.usage.as_ref(), Rounding::Up))
                .map(|NanoUsd(used)| used),
            cap,
            // Older servers do not say it. For the month it may lie in the past, until billing moves the anchor.
            resets_at: resets_at.or(computed),
            as_of: self.as_of,
            source: if told.is_some() { Source::Server } else { Source::Estimate },
        }
    }
}

/// The window of a chute with a quota of its own.
pub(super) fn chute_window(quota: QuotaAmount, usage: Option<&QuotaUsage>, as_of: Wall) -> Window {
    Window {
        kind: WindowKind::Chute,
        unit: Unit::Requests,
        used: usage.and_then(used_units),
        cap: match quota {
            QuotaAmount::Unlimited => Cap::Uncapped,
            QuotaAmount::PerDay(units) => i64::try_from(units)
                .map_or(Cap::Unknown, |units| Cap::Limited(MilliUnits::from_units(units).0)),
        },
        resets_at: Some(next_day_reset(as_of)),
        as_of,
        source: Source::Server,
    }
}

fn used_units(usage: &QuotaUsage) -> Option<i64> {
    let used = usage.used.as_ref()?;
    MilliUnits::from_decimal(used.as_str(), Rounding::Up).map(|MilliUnits(used)| used)
}

fn usd(amount: Option<&Decimal>, rounding: Rounding) -> Option<NanoUsd> {
    NanoUsd::from_decimal(amount?.as_str(), rounding)
}

fn wall(moment: Option<&Timestamp>) -> Option<Wall> {
    moment?.unix_micros().map(Wall::from_unix_micros)
}

fn anchor(candidates: [Option<&Timestamp>; 3]) -> Option<Wall> {
    candidates.into_iter().find_map(wall).map(|anchor| anchor.max(FIRST_ANCHOR))
}

#[cfg(test)]
mod tests;
