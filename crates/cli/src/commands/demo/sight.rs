//! What can be seen at one moment: the gateway's own report, and the emulator's books.

use std::time::Duration;

use chutes_emulator::{AccountTruth, Control};
use ripcord_rules::units::NanoUsd;
use ripcord_wire::time::parse_timestamp;
use serde::Deserialize;

use super::client::Caller;

/// One moment.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// The gateway's clock, Unix microseconds.
    pub(crate) now_micros: i64,
    pub(crate) in_flight: u64,
    pub(crate) waiting: u64,
    pub(crate) accounts: Vec<AccountSight>,
}

/// One account at that moment.
#[derive(Debug, Clone)]
pub(crate) struct AccountSight {
    pub(crate) label: String,
    pub(crate) plan: Option<String>,
    /// Whether its budget lets requests in.
    pub(crate) is_open: bool,
    /// When it takes requests again, if it does not now.
    pub(crate) opens_at_micros: Option<i64>,
    pub(crate) is_resting: bool,
    pub(crate) slots: usize,
    pub(crate) slots_in_use: usize,
    /// The fullest window, as the gateway last read it.
    pub(crate) read: Option<Gauge>,
    /// The fullest window, as it is.
    pub(crate) gauge: Option<Gauge>,
    pub(crate) truth: AccountTruth,
}

/// How much of a window is used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gauge {
    pub(crate) window: String,
    pub(crate) used_permille: u32,
    pub(crate) resets_in: Option<Duration>,
}

#[derive(Deserialize)]
struct Report {
    now: String,
    requests_in_flight: u64,
    queue: Queue,
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
struct Queue {
    waiting: u64,
}

#[derive(Deserialize)]
struct Account {
    account: String,
    plan: Option<String>,
    slots_in_use: usize,
    slots: usize,
    budget: String,
    opens_at: Option<String>,
    resting_because: Option<String>,
    windows: Vec<Window>,
}

#[derive(Deserialize)]
struct Window {
    window: String,
    cap: Option<f64>,
    used_percent: Option<f64>,
    resets_at: Option<String>,
}

// === impl Sight ===

impl Sight {
    /// Looks. `None` while the gateway does not report or has not read every account's figures yet.
    pub(crate) async fn take(caller: &Caller, control: &Control) -> Option<Self> {
        let report: Report = serde_json::from_slice(&caller.report("/-/status").await?).ok()?;
        let now_micros = parse_timestamp(&report.now)?;
        let truths = control.accounts();
        let accounts = report.accounts.into_iter().map(|account| {
            let truth = truths.iter().find(|truth| truth.name == account.account)?;
            (account.budget != "not_read_yet").then(|| account.beside(truth, now_micros))
        });
        Some(Self {
            now_micros,
            in_flight: report.requests_in_flight,
            waiting: report.queue.waiting,
            accounts: accounts.collect::<Option<Vec<_>>>()?,
        })
    }

    /// The account of this name.
    pub(crate) fn account(&self, label: &str) -> Option<&AccountSight> {
        self.accounts.iter().find(|account| account.label == label)
    }
}

impl Account {
    fn beside(self, truth: &AccountTruth, now_micros: i64) -> AccountSight {
        let fullest =
            |gauges: Vec<Gauge>| gauges.into_iter().max_by_key(|gauge| gauge.used_permille);
        let gauge = |window: &Window, used_permille: u32| Gauge {
            window: window.window.clone(),
            used_permille,
            resets_in: window.resets_at.as_deref().and_then(parse_timestamp).map(|resets| {
                Duration::from_micros(u64::try_from(resets - now_micros).unwrap_or(0))
            }),
        };
        let read = self
            .windows
            .iter()
            .filter_map(|window| Some(gauge(window, (window.used_percent? * 10.0).round() as u32)));
        let real = self.windows.iter().filter_map(|window| {
            let cap = window.cap.filter(|cap| *cap > 0.0)?;
            let used = match window.window.as_str() {
                "day" => truth.day_milli_units as f64 / 1e3,
                "four_hour" => truth.four_hour_nano_usd as f64 / 1e9,
                "month" => truth.month_nano_usd as f64 / 1e9,
                _ => return None,
            };
            Some(gauge(window, (used / cap * 1000.0).round() as u32))
        });
        AccountSight {
            is_open: self.budget != "closed",
            opens_at_micros: self.opens_at.as_deref().and_then(parse_timestamp),
            is_resting: self.resting_because.is_some(),
            slots: self.slots,
            slots_in_use: self.slots_in_use,
            read: fullest(read.collect()),
            gauge: fullest(real.collect()),
            truth: truth.clone(),
            label: self.account,
            plan: self.plan,
        }
    }
}

// === impl AccountSight ===

impl AccountSight {
    /// What is on the balance, by the emulator's books.
    pub(crate) const fn balance(&self) -> NanoUsd {
        NanoUsd(self.truth.balance_nano_usd)
    }

    /// What the balance has paid, by the emulator's books.
    pub(crate) const fn paid(&self) -> NanoUsd {
        NanoUsd(self.truth.paid_nano_usd)
    }

    /// The plan as people call it.
    pub(crate) fn plan_name(&self) -> &str {
        match self.plan.as_deref() {
            Some("pro") => "Pro",
            Some("plus") => "Plus",
            Some("pay_as_you_go") => "paygo",
            Some(other) => other,
            None => "plan unknown",
        }
    }
}

impl Gauge {
    /// `91.4 % of 4 h`.
    pub(crate) fn share(&self) -> String {
        let window = match self.window.as_str() {
            "four_hour" => "4 h",
            other => other,
        };
        format!("{} of {window}", percent(self.used_permille))
    }
}

/// `96.9 %`.
pub(crate) fn percent(permille: u32) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A window's name in a sentence.
pub(crate) fn window_in_words(window: &str) -> &str {
    match window {
        "four_hour" => "four-hour",
        other => other,
    }
}

/// `11:59:37`, in UTC.
pub(crate) fn time_of_day(unix_micros: i64) -> String {
    let seconds = unix_micros.div_euclid(1_000_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `0:07`, `2:13:40`.
pub(crate) fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `0.43 s`, `340 ms`.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(minutes(Duration::from_secs(7)), "0:07");
        assert_eq!(minutes(Duration::from_secs(8_020)), "2:13:40");
        assert_eq!(seconds(Duration::from_millis(340)), "340 ms");
        assert_eq!(seconds(Duration::from_millis(1_260)), "1.3 s");
    }
}
