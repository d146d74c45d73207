//! "May I go on?" in words and as JSON, the same for every command that asks.

use ripcord_rules::quota::{
    AccountSnapshot, Missing, Payer, Paygo, Shortage, SpendingPolicy, Verdict, WindowKind,
};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use crate::exit::Exit;
use crate::printer::moment::{self, Moments};
use crate::settings::spending::percent;

/// Whether an account may go on, and why.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct VerdictReport {
    /// The answer.
    pub(crate) verdict: Answer,
    /// Why: `windows_open`, `balance_pays`, `unlimited`, `paygo_not_allowed`, `window_used_up`,
    /// `balance_too_low`, `daily_bound_reached`, `kept_for_interactive`, or what is not known: `forbidden`, `failed`,
    /// `window_unknown`, `balance_unknown`, `paid_today_unknown`, `plan_unknown`.
    pub(crate) reason: &'static str,
    /// The window that decides, if one does: `day`, `four_hour`, `month`, `chute`.
    pub(crate) window: Option<&'static str>,
    /// When the answer turns by itself, UTC; null if it does not, or nobody knows.
    pub(crate) turns_at: Option<String>,
    /// The same in words.
    pub(crate) explanation: String,
}

/// Yes, no, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Yes,
    No,
    Unknown,
}

// === impl Answer ===

impl Answer {
    /// The exit code it leads to.
    pub(crate) const fn exit(self) -> Exit {
        match self {
            Self::Yes => Exit::Done,
            Self::No => Exit::No,
            Self::Unknown => Exit::Unknown,
        }
    }

    /// The answer over a pool of accounts.
    pub(crate) fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        match Exit::any(answers.into_iter().map(Self::exit)) {
            Exit::Done => Self::Yes,
            Exit::No => Self::No,
            Exit::Usage | Exit::Unknown | Exit::NotStarted | Exit::Child(_) => Self::Unknown,
        }
    }
}

// === impl VerdictReport ===

impl VerdictReport {
    /// Puts a verdict into words.
    pub(crate) fn new(
        verdict: &Verdict,
        account: &AccountSnapshot,
        policy: &SpendingPolicy,
        moments: &Moments,
        now: Wall,
    ) -> Self {
        let balance =
            account.balance.map_or_else(|| "unknown".to_owned(), |money| money.to_string());
        let told = |answer, turns_at: Option<Wall>, explanation| Self {
            verdict: answer,
            reason: verdict.code(),
            window: verdict.window().map(WindowKind::name),
            turns_at: turns_at.map(moment::utc),
            explanation,
        };
        let yes = |explanation| told(Answer::Yes, None, explanation);
        match verdict {
            Verdict::Yes(Payer::Windows) => yes("the windows of the plan have room".to_owned()),
            Verdict::Yes(Payer::Unlimited) => yes("nothing limits this account".to_owned()),
            Verdict::Yes(Payer::Balance) => {
                let used_up = account
                    .windows_at(None, now)
                    .into_iter()
                    .find(|window| {
                        policy.is_used_up(window, account.plan) == Some(true)
                            && window.cap != ripcord_rules::quota::Cap::Limited(0)
                    })
                    .map(|window| format!("the {} is used up and ", window_words(window.kind)));
                yes(format!("{}the balance pays: {balance}", used_up.unwrap_or_default()))
            }
            Verdict::No { shortage, turns_at, by_itself } => {
                let turns = turns_at.map(|turns| {
                    let billed = if *by_itself { "" } else { ", if Chutes bills on time" };
                    format!(
                        "; it turns {}, at {}{billed}",
                        moment::until(turns, now),
                        moments.at(turns, now)
                    )
                });
                let turns_words = turns.unwrap_or_default();
                let explanation = match shortage {
                    Shortage::PaygoNotAllowed(kind) => format!(
                        "the {} is used up{} and the balance may not pay{turns_words}",
                        window_words(*kind),
                        kept_words(account, policy, *kind, now)
                    ),
                    Shortage::WindowUsedUp(kind) => format!(
                        "the {} is used up and the balance ({balance}) is too low to pay{turns_words}",
                        window_words(*kind)
                    ),
                    Shortage::BalanceTooLow => format!(
                        "the balance ({balance}) is below the minimum ({})",
                        policy.min_balance
                    ),
                    Shortage::DailyBoundReached(kind) => format!(
                        "the {} is used up and the balance has paid {}{turns_words}",
                        window_words(*kind),
                        paid_words(account, policy, now)
                    ),
                    Shortage::KeptForInteractive(kind) => format!(
                        "the last {} of the {} is kept for interactive work{turns_words}",
                        percent(policy.reserve_permille),
                        window_words(*kind)
                    ),
                };
                told(Answer::No, *turns_at, explanation)
            }
            Verdict::Unknown(missing) => told(Answer::Unknown, None, unknown_words(*missing)),
        }
    }

    /// The entry of the troubleshooting page about it.
    pub(crate) fn anchor(&self, account: &AccountSnapshot) -> &'static str {
        let has_money = account.balance.is_some_and(|balance| balance.0 > 0);
        match (self.reason, self.window) {
            ("paygo_not_allowed", _) if has_money => "paygo-not-allowed",
            ("balance_too_low", _) => "budget-exhausted",
            ("daily_bound_reached" | "paid_today_unknown", _) => "daily-bound",
            ("kept_for_interactive", _) => "reserve",
            ("paygo_not_allowed" | "window_used_up", Some("day" | "chute")) => "quota-used-up",
            ("paygo_not_allowed" | "window_used_up", _) => "cap-used-up",
            _ => "account-unreadable",
        }
    }

    /// The change that would turn a "no", if there is one.
    pub(crate) fn remedy(
        &self,
        account: &AccountSnapshot,
        policy: &SpendingPolicy,
    ) -> Option<String> {
        match (self.reason, account.balance) {
            ("paygo_not_allowed", Some(balance))
                if balance >= policy.min_balance && balance.0 > 0 =>
            {
                Some(format!(
                    "to let the balance ({balance}) pay: paygo = \"allow\" under [spending]"
                ))
            }
            ("daily_bound_reached", Some(balance)) => Some(format!(
                "to let the balance ({balance}) pay more: a larger `daily_usd`, or paygo = \"allow\", under [spending]"
            )),
            ("kept_for_interactive", _) => {
                Some("to let such work use all of it: reserve = \"0%\" under [spending]".to_owned())
            }
            ("balance_too_low", _) => Some("top up at https://chutes.ai".to_owned()),
            _ => None,
        }
    }
}

fn unknown_words(missing: Missing) -> String {
    match missing {
        Missing::Forbidden => {
            "the key does not open the account, so its quota is unknown".to_owned()
        }
        Missing::Failed => "the account could not be read".to_owned(),
        Missing::Window(kind) => format!("the state of the {} is unknown", window_words(kind)),
        Missing::Balance => "the balance is unknown".to_owned(),
        Missing::PaidToday => {
            "the windows are used up, and what the balance has paid today is unknown".to_owned()
        }
        Missing::Plan => "the plan is unknown".to_owned(),
    }
}

/// What is left of a window that counts as used up: it is kept for others who use the account.
fn kept_words(
    account: &AccountSnapshot,
    policy: &SpendingPolicy,
    kind: WindowKind,
    now: Wall,
) -> String {
    let window = account.windows_at(None, now).into_iter().find(|window| window.kind == kind);
    match window.and_then(|window| window.remaining()) {
        Some(left) if left > 0 => {
            let percent = policy.margin_permille as f64 / 10.0;
            format!(" but for the {percent} % that Ripcord leaves for others")
        }
        _ => String::new(),
    }
}

/// What the balance has paid today, of what it may.
pub(crate) fn paid_words(account: &AccountSnapshot, policy: &SpendingPolicy, now: Wall) -> String {
    let paid = account
        .paid_today_at(now)
        .map_or_else(|| "an unknown sum".to_owned(), |paid| paid.to_string());
    match policy.paygo {
        Paygo::Daily(bound) => format!("{paid} of the {bound} that it may pay a day"),
        Paygo::ByPlan | Paygo::Never | Paygo::Allow => format!("{paid} today"),
    }
}

/// A window's name in a sentence.
pub(crate) const fn window_words(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Day => "day quota",
        WindowKind::FourHour => "4-hour window",
        WindowKind::Month => "month window",
        WindowKind::Chute => "chute's own quota",
    }
}

/// A window's name in a table.
pub(crate) const fn window_label(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Day => "day",
        WindowKind::FourHour => "4 hours",
        WindowKind::Month => "month",
        WindowKind::Chute => "chute",
    }
}
