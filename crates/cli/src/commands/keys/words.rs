//! What a client key may do, in words.

use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{ClientKey, ClientPaygo, ClientPriority, ClientRules, ClientShare};

use super::Usage;
use crate::context::Context;
use crate::printer::number;

/// A line for who pays, one for the shares, one for the rest; what does not hold is not mentioned.
pub(super) fn all(key: &ClientKey, usage: Option<&Usage>, context: &Context) -> Vec<String> {
    let lines = [
        who_pays(&key.rules, usage.map(|usage| usage.paid_today)),
        share(&key.rules.share, usage),
        what_else(key, context),
    ];
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

fn who_pays(rules: &ClientRules, paid: Option<NanoUsd>) -> String {
    let pays = match (rules.paygo, paid) {
        (ClientPaygo::Never, _) => "the balance never pays for it".to_owned(),
        (ClientPaygo::AsAccount | ClientPaygo::Allow, _) => {
            "the balance pays as the account allows".to_owned()
        }
        (ClientPaygo::Daily(bound), None) => {
            format!("the balance pays up to {} a day", NanoUsd(bound))
        }
        (ClientPaygo::Daily(bound), Some(paid)) => {
            format!("the balance pays up to {} a day, {paid} today", NanoUsd(bound))
        }
    };
    let mut also = Vec::new();
    if let Some(amount) = rules.min_balance_nano_usd {
        also.push(format!("down to {}", NanoUsd(amount)));
    }
    if !rules.may_use_reserve {
        also.push("leaves the reserve alone".to_owned());
    }
    if rules.refuses_unknown {
        also.push("no account that cannot be read".to_owned());
    }
    if also.is_empty() { pays } else { format!("{pays}; {}", also.join(", ")) }
}

fn share(share: &ClientShare, usage: Option<&Usage>) -> String {
    let used = usage.map(|usage| usage.share);
    let so_far = |text: String| if usage.is_some() { format!(" ({text})") } else { String::new() };
    let used = used.unwrap_or_default();
    let mut parts = Vec::new();
    if let Some(bound) = share.daily_nano_usd {
        parts.push(format!(
            "{} a day{}",
            NanoUsd(bound),
            so_far(format!("{} today", used.today_usd))
        ));
    }
    if let Some(bound) = share.monthly_nano_usd {
        let month = so_far(format!("{} this month", used.month_usd));
        parts.push(format!("{} a month{month}", NanoUsd(bound)));
    }
    if let Some(most) = share.daily_requests {
        let today = so_far(format!("{} today", used.today_requests));
        parts.push(format!("{}{today}", number::counted(most, "request a day", "requests a day")));
    }
    if let Some(most) = share.requests_per_minute {
        parts.push(number::counted(u64::from(most), "request a minute", "requests a minute"));
    }
    if let Some(most) = share.concurrent_requests {
        parts.push(format!("{most} at once"));
    }
    if parts.is_empty() { String::new() } else { format!("at most {}", parts.join(", ")) }
}

fn what_else(key: &ClientKey, context: &Context) -> String {
    let mut parts = Vec::new();
    if !key.rules.models.is_empty() {
        parts.push(format!("models {}", key.rules.models.join(", ")));
    }
    match key.rules.highest_priority {
        ClientPriority::Interactive => {}
        ClientPriority::Agent => parts.push("priority agent at the most".to_owned()),
        ClientPriority::Batch => parts.push("always a batch".to_owned()),
    }
    if let Some(end) = key.expires_at_unix_us {
        let end = context.printer.moments.at(Wall::from_unix_micros(end), context.now());
        parts.push(format!("expires {end}"));
    }
    parts.join("; ")
}
