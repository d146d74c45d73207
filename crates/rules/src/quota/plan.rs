//! The plans, recognised solely by the number in an account's `*` quota row (`chutes/api.md` 6.1).

use crate::units::{MilliUnits, NanoUsd};

/// What an account pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Quota 0: nothing included, every call is charged to the balance. Not "unlimited".
    PayAsYouGo,
    /// Quota 200: the "early access" of 2025, no caps, no TEE models without balance.
    Legacy,
    /// Quota 300, $3 a month.
    Base,
    /// Quota 2000, $10 a month. Also called "Standard".
    Plus,
    /// Quota 5000, $20 a month.
    Pro,
    /// Quota 301: the Base 4-hour cap, no monthly cap.
    CustomBase,
    /// Quota 2001: the Plus 4-hour cap, no monthly cap.
    CustomPlus,
    /// Quota 5001: the Pro 4-hour cap, no monthly cap.
    CustomPro,
    /// A role without quota and balance checks (free account, invoiced).
    Unlimited,
    /// Another number: a day window in force, no subscription.
    Other(u64),
}

// === impl Plan ===

impl Plan {
    /// The plan that the number in the `*` row stands for.
    #[must_use]
    pub const fn from_wildcard_quota(requests_per_day: u64) -> Self {
        match requests_per_day {
            0 => Self::PayAsYouGo,
            200 => Self::Legacy,
            300 => Self::Base,
            2_000 => Self::Plus,
            5_000 => Self::Pro,
            301 => Self::CustomBase,
            2_001 => Self::CustomPlus,
            5_001 => Self::CustomPro,
            other => Self::Other(other),
        }
    }

    /// The plan of that name, as people type it. "Standard" is Plus.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "paygo" | "payg" | "pay-as-you-go" => Self::PayAsYouGo,
            "legacy" | "early access" => Self::Legacy,
            "base" => Self::Base,
            "plus" | "standard" => Self::Plus,
            "pro" => Self::Pro,
            _ => return None,
        })
    }

    /// The name shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PayAsYouGo => "Pay-as-you-go",
            Self::Legacy => "Legacy",
            Self::Base => "Base",
            Self::Plus => "Plus",
            Self::Pro => "Pro",
            Self::CustomBase => "Custom Base",
            Self::CustomPlus => "Custom Plus",
            Self::CustomPro => "Custom Pro",
            Self::Unlimited => "Unlimited",
            Self::Other(_) => "Day quota",
        }
    }

    /// The name in JSON: lower case, underscores, stable.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PayAsYouGo => "pay_as_you_go",
            Self::Legacy => "legacy",
            Self::Base => "base",
            Self::Plus => "plus",
            Self::Pro => "pro",
            Self::CustomBase => "custom_base",
            Self::CustomPlus => "custom_plus",
            Self::CustomPro => "custom_pro",
            Self::Unlimited => "unlimited",
            Self::Other(_) => "other",
        }
    }

    /// Whether the plan is a subscription, one that never slides into pay-as-you-go unless its owner says so.
    #[must_use]
    pub const fn is_subscription(self) -> bool {
        self.monthly_price().is_some()
    }

    /// The list price of a month; `None` where there is no subscription.
    #[must_use]
    pub const fn monthly_price(self) -> Option<NanoUsd> {
        match self {
            Self::Base | Self::CustomBase => Some(NanoUsd::from_cents(300)),
            Self::Plus | Self::CustomPlus => Some(NanoUsd::from_cents(1_000)),
            Self::Pro | Self::CustomPro => Some(NanoUsd::from_cents(2_000)),
            Self::PayAsYouGo | Self::Legacy | Self::Unlimited | Self::Other(_) => None,
        }
    }

    /// Request units a day; `None` where nothing limits them.
    #[must_use]
    pub const fn day_quota(self) -> Option<MilliUnits> {
        let units = match self {
            Self::PayAsYouGo => 0,
            Self::Legacy => 200,
            Self::Base => 300,
            Self::Plus => 2_000,
            Self::Pro => 5_000,
            Self::CustomBase => 301,
            Self::CustomPlus => 2_001,
            Self::CustomPro => 5_001,
            Self::Unlimited => return None,
            Self::Other(units) => units,
        };
        // Beyond what fits, the row is nonsense or means "no limit" in effect; the sum saturates.
        Some(MilliUnits::from_units(if units > i64::MAX as u64 { i64::MAX } else { units as i64 }))
    }

    /// Dollars at list price in each 4-hour window: price / 180 x 75.
    #[must_use]
    pub const fn four_hour_cap(self) -> Option<NanoUsd> {
        match self.monthly_price() {
            Some(NanoUsd(price)) => Some(NanoUsd(price * 75 / 180)),
            None => None,
        }
    }

    /// Dollars at list price in each month: 5 x price; `None` for custom plans and without a subscription.
    #[must_use]
    pub const fn month_cap(self) -> Option<NanoUsd> {
        match self {
            Self::Base | Self::Plus | Self::Pro => match self.monthly_price() {
                Some(NanoUsd(price)) => Some(NanoUsd(price * 5)),
                None => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_plans() {
        // (quota, price in cents, month cap in cents, 4-hour cap in nano-dollars), chutes/api.md 6.1.
        let table = [
            (0, None, None, None),
            (200, None, None, None),
            (300, Some(300), Some(1_500), Some(1_250_000_000)),
            (2_000, Some(1_000), Some(5_000), Some(4_166_666_666)),
            (5_000, Some(2_000), Some(10_000), Some(8_333_333_333)),
            (301, Some(300), None, Some(1_250_000_000)),
            (2_001, Some(1_000), None, Some(4_166_666_666)),
            (5_001, Some(2_000), None, Some(8_333_333_333)),
            (1_000, None, None, None),
        ];
        for (quota, price, month, four_hour) in table {
            let plan = Plan::from_wildcard_quota(quota);
            assert_eq!(plan.monthly_price(), price.map(NanoUsd::from_cents), "{quota}");
            assert_eq!(plan.month_cap(), month.map(NanoUsd::from_cents), "{quota}");
            assert_eq!(plan.four_hour_cap(), four_hour.map(NanoUsd), "{quota}");
            assert_eq!(plan.day_quota(), Some(MilliUnits::from_units(quota as i64)), "{quota}");
            assert_eq!(plan.is_subscription(), price.is_some(), "{quota}");
        }
    }

    #[test]
    fn an_absurd_quota_saturates() {
        assert_eq!(Plan::Other(u64::MAX).day_quota(), Some(MilliUnits(i64::MAX)));
    }

    #[test]
    fn standard_is_plus() {
        assert_eq!(Plan::from_name(" Standard "), Some(Plan::Plus));
        assert_eq!(Plan::from_name("gold"), None);
    }
}
