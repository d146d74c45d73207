//! Every setting by its name in the file, for `ripcord config show`.

use std::time::Duration;

use ripcord_rules::admit::PaceRule;
use ripcord_rules::quota::WhenUnknown;
use ripcord_rules::units::NanoUsd;
use serde_json::{Value, json};

use super::Settings;
use super::origin::{Origin, Sourced};
use super::spending::{paygo_value, reserve_value};
use crate::args::ColorChoice;

/// One setting.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its name, such as `gateway.listen`.
    pub(crate) key: String,
    /// Its value as the file would hold it.
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

// === impl Settings ===

impl Settings {
    /// Every setting outside the accounts, in the order of the file.
    pub(crate) fn listing(&self) -> Vec<Listed> {
        let (chutes, spending) = (&self.chutes, &self.spending);
        let mut list = vec![
            listed("chutes.api_url", &chutes.api_url, |url| json!(without_login(url))),
            listed("chutes.llm_url", &chutes.llm_url, |url| json!(without_login(url))),
            seconds("chutes.refresh_seconds", &chutes.refresh),
            listed("spending.paygo", &spending.paygo, |paygo| paygo_value(*paygo)),
            listed("spending.min_balance", &spending.min_balance, |amount| usd(*amount)),
            listed("spending.reserve", &spending.reserve, |kept| reserve_value(*kept)),
            listed("spending.when_unknown", &spending.when_unknown, |choice| {
                json!(when_unknown_word(*choice))
            }),
            listed("models.watch", &self.models.watch, |names| json!(names)),
            listed("models.sanity", &self.models.sanity, |name| json!(name)),
            seconds("limits.connect_seconds", &self.limits.connect),
            seconds("limits.first_byte_seconds", &self.limits.first_byte),
            seconds("limits.idle_seconds", &self.limits.idle),
        ];
        list.extend(self.recommend.listing());
        list.extend(self.gateway_listing());
        list.extend(self.routing.listing());
        list.extend(self.events.listing());
        list.extend([
            listed("output.time_zone", &self.output.time_zone, |zone| json!(zone)),
            listed("output.color", &self.output.color, |choice| json!(color_word(*choice))),
        ]);
        list
    }

    fn gateway_listing(&self) -> Vec<Listed> {
        let gateway = &self.gateway;
        vec![
            listed("gateway.listen", &gateway.listen, |address| json!(address.to_string())),
            listed("gateway.admin_token", &gateway.admin_token, |place| json!(place)),
            listed("gateway.state_directory", &gateway.state_directory, |path| {
                json!(path.as_ref().map(|path| path.display().to_string()))
            }),
            listed("gateway.slots_per_account", &gateway.slots_per_account, |count| json!(count)),
            listed("gateway.pace", &gateway.pace, |pace| match pace {
                PaceRule::Off => json!("off"),
                PaceRule::Adaptive => json!("adaptive"),
                PaceRule::PerMinute(number) => json!(number),
            }),
            listed("gateway.queue", &gateway.queue, |count| json!(count)),
            seconds("gateway.interactive_deadline_seconds", &gateway.interactive_deadline),
            seconds("gateway.agent_deadline_seconds", &gateway.agent_deadline),
            seconds("gateway.first_token_seconds", &gateway.first_token),
            seconds("gateway.plain_answer_seconds", &gateway.plain_answer),
            seconds("gateway.stall_seconds", &gateway.stall),
            seconds("gateway.heartbeat_seconds", &gateway.heartbeat),
            seconds("gateway.drain_seconds", &gateway.drain),
            listed("gateway.body_mib", &gateway.body_mib, |count| json!(count)),
            listed("gateway.allowed_hosts", &gateway.allowed_hosts, |names| json!(names)),
            listed("gateway.allowed_origins", &gateway.allowed_origins, |names| json!(names)),
        ]
    }
}

pub(super) fn listed<T>(
    key: impl Into<String>,
    sourced: &Sourced<T>,
    value: impl FnOnce(&T) -> Value,
) -> Listed {
    Listed { key: key.into(), value: value(&sourced.value), origin: sourced.origin.clone() }
}

fn seconds(key: &'static str, sourced: &Sourced<Duration>) -> Listed {
    listed(key, sourced, |duration| json!(duration.as_secs()))
}

/// US dollars as the file would hold them.
pub(crate) fn usd(amount: NanoUsd) -> Value {
    json!(crate::figures::usd(amount))
}

/// The words of the configuration for what is done while figures are not known.
pub(crate) const fn when_unknown_word(choice: WhenUnknown) -> &'static str {
    match choice {
        WhenUnknown::Allow => "allow",
        WhenUnknown::Refuse => "refuse",
    }
}

const fn color_word(choice: ColorChoice) -> &'static str {
    match choice {
        ColorChoice::Auto => "auto",
        ColorChoice::Always => "always",
        ColorChoice::Never => "never",
    }
}

/// An address may carry a name and a password, which are nobody's business.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(host_ends);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::args::GlobalArguments;
    use crate::settings::vocabulary;

    #[test]
    fn nothing_that_the_file_may_hold_is_left_out() {
        let environment: HashMap<String, String> = HashMap::new();
        let settings = Settings::load(&GlobalArguments::default(), &environment).unwrap();
        let mut listed: Vec<String> =
            settings.listing().into_iter().map(|listed| listed.key).collect();
        let mut known: Vec<String> = vocabulary::keys()
            .into_iter()
            .map(|(_, key)| key)
            .filter(|key| {
                let entries = ["accounts.", "hooks.", "chains.", "providers."];
                !entries.iter().any(|entry| key.starts_with(entry))
            })
            .collect();
        listed.sort();
        known.sort();
        assert_eq!(listed, known, "add the new setting to `listing`");
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(without_login("https://me:secret@host/v1"), "https://…@host/v1");
        assert_eq!(without_login("https://host/v1?a=b@c"), "https://host/v1?a=b@c");
    }
}
