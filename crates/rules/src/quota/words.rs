//! The names of verdicts in JSON: lower case, stable.

use super::account::{Missing, Payer, Shortage, Verdict};
use super::window::WindowKind;

// === impl Verdict ===

impl Verdict {
    /// Why it is so, in one word.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Yes(Payer::Windows) => "windows_open",
            Self::Yes(Payer::Balance) => "balance_pays",
            Self::Yes(Payer::Unlimited) => "unlimited",
            Self::No { shortage, .. } => shortage.code(),
            Self::Unknown(missing) => missing.code(),
        }
    }

    /// The window that decides, if one does.
    #[must_use]
    pub const fn window(&self) -> Option<WindowKind> {
        match self {
            Self::Yes(_) => None,
            Self::No { shortage, .. } => shortage.window(),
            Self::Unknown(Missing::Window(kind)) => Some(*kind),
            Self::Unknown(_) => None,
        }
    }
}

// === impl Shortage ===

impl Shortage {
    const fn code(self) -> &'static str {
        match self {
            Self::PaygoNotAllowed(_) => "paygo_not_allowed",
            Self::WindowUsedUp(_) => "window_used_up",
            Self::BalanceTooLow => "balance_too_low",
            Self::DailyBoundReached(_) => "daily_bound_reached",
            Self::KeptForInteractive(_) => "kept_for_interactive",
        }
    }

    const fn window(self) -> Option<WindowKind> {
        match self {
            Self::PaygoNotAllowed(kind)
            | Self::WindowUsedUp(kind)
            | Self::DailyBoundReached(kind)
            | Self::KeptForInteractive(kind) => Some(kind),
            Self::BalanceTooLow => None,
        }
    }
}

// === impl Missing ===

impl Missing {
    const fn code(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Failed => "failed",
            Self::Window(_) => "window_unknown",
            Self::Balance => "balance_unknown",
            Self::PaidToday => "paid_today_unknown",
            Self::Plan => "plan_unknown",
        }
    }
}
