//! Keys grouped by the account they belong to: quota, caps and balance are counted per account, not per key.

use ripcord_client::key::{AccountId, Key};
use ripcord_rules::quota::{AccountPrices, SpendingPolicy, WhenUnknown, Work};

use crate::error::CommandError;
use crate::settings::Settings;
use crate::settings::environment::variables;
use crate::settings::keys::RawKey;
use crate::settings::origin::{Origin, Sourced};

/// One Chutes user as far as the configuration tells, before anything was asked.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The name the configuration gives it.
    pub(crate) name: Option<String>,
    /// The user that its keys name; `None` for tokens of another form.
    pub(crate) id: Option<AccountId>,
    /// Its keys, in the order in which they were found.
    pub(crate) keys: Vec<Key>,
    /// What may be spent on it by whoever types a command: interactive work, which need not leave the reserve alone.
    pub(crate) policy: SpendingPolicy,
    /// What of each window is kept for interactive work, in thousandths.
    pub(crate) reserve_permille: u64,
    /// What the gateway does while its figures are not known.
    pub(crate) when_unknown: WhenUnknown,
    /// What it pays otherwise than the list says; `None` until somebody who needs it has asked.
    pub(crate) prices: Option<AccountPrices>,
}

/// All accounts, and what was noticed while their keys were read.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    /// The accounts with at least one usable key.
    pub(crate) accounts: Vec<Account>,
    /// Keys that had to be repaired.
    pub(crate) repairs: Vec<String>,
    /// Keys that cannot be used, each with where it stands.
    pub(crate) unusable: Vec<String>,
}

// === impl Account ===

impl Account {
    /// What the account is called before its user name is known.
    pub(crate) fn label(&self) -> String {
        match (&self.name, self.keys.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(key)) => key.to_string(),
            (None, None) => "account".to_owned(),
        }
    }

    /// What may be spent on it for work of this kind.
    pub(crate) fn policy_for(&self, work: Work) -> SpendingPolicy {
        SpendingPolicy { reserve_permille: self.reserve_permille, ..self.policy }.for_work(work)
    }

    /// Whether `--account wanted` means this one, by name, or by the beginning of a key or of its
    /// user id, eight characters at least.
    pub(crate) fn is_called(&self, wanted: &str) -> bool {
        let wanted = wanted.trim().trim_end_matches('…');
        let by_key =
            wanted.len() >= 8 && self.keys.iter().any(|key| key.expose().starts_with(wanted));
        let by_id =
            wanted.len() >= 8 && self.id.as_ref().is_some_and(|id| id.as_str().starts_with(wanted));
        by_key || by_id || self.name.as_deref() == Some(wanted)
    }

    /// Takes over the keys of what turned out to be the same Chutes user, and says so.
    pub(crate) fn absorb(&mut self, other: Self) -> String {
        let told = one_user(&self.label(), &other.label());
        for key in other.keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        self.name = self.name.take().or(other.name);
        self.id = self.id.take().or(other.id);
        told
    }
}

/// What is said of two accounts that are one: the first one's name and spending rule count.
pub(crate) fn one_user(first: &str, second: &str) -> String {
    format!(
        "the accounts `{first}` and `{second}` are one Chutes user and share its quota; `{first}` is used for both"
    )
}

// === impl Roster ===

impl Roster {
    /// Groups every key that is configured.
    pub(crate) fn gather(settings: &Settings) -> Self {
        let mut roster = Self { accounts: Vec::new(), repairs: Vec::new(), unusable: Vec::new() };
        for entry in &settings.accounts {
            let policy = SpendingPolicy {
                paygo: chosen(entry.paygo.as_ref(), &settings.spending.paygo),
                min_balance: chosen(entry.min_balance.as_ref(), &settings.spending.min_balance),
                reserve_permille: chosen(entry.reserve.as_ref(), &settings.spending.reserve),
                ..SpendingPolicy::default()
            };
            let when_unknown = chosen(entry.when_unknown.as_ref(), &settings.spending.when_unknown);
            for raw in &entry.keys {
                roster.add(raw, Some(&entry.name.value), policy, when_unknown);
            }
            if entry.keys.is_empty() {
                roster.unusable.push(format!("the account `{}` has no key", entry.name.value));
            }
        }
        roster.add_unnamed(settings, &settings.environment_keys);
        roster
    }

    /// Groups keys that stand nowhere in the configuration.
    pub(crate) fn of_keys(settings: &Settings, keys: &[RawKey]) -> Self {
        let mut roster = Self { accounts: Vec::new(), repairs: Vec::new(), unusable: Vec::new() };
        roster.add_unnamed(settings, keys);
        roster
    }

    fn add_unnamed(&mut self, settings: &Settings, keys: &[RawKey]) {
        let policy = SpendingPolicy {
            paygo: settings.spending.paygo.value,
            min_balance: settings.spending.min_balance.value,
            reserve_permille: settings.spending.reserve.value,
            ..SpendingPolicy::default()
        };
        for raw in keys {
            self.add(raw, None, policy, settings.spending.when_unknown.value);
        }
    }

    /// The accounts to work with. Without any, the error says what is missing or wrong.
    pub(crate) fn usable(&self) -> Result<&[Account], CommandError> {
        if !self.accounts.is_empty() {
            return Ok(&self.accounts);
        }
        if self.unusable.is_empty() {
            return Err(CommandError::usage("no API key is configured")
                .hint("create a key at https://chutes.ai/app/api, then: ripcord init")
                .hint(format!("for this shell only: export {}=cpk_…", variables::CHUTES_API_KEY))
                .hint("without a key these work: ripcord status, models, model-health, recommend")
                .see("key-missing"));
        }
        Err(CommandError::usage(self.unusable.join("\n"))
            .hint("`ripcord doctor` checks every key and says what to fix")
            .see("key-form"))
    }

    fn add(
        &mut self,
        raw: &RawKey,
        name: Option<&str>,
        policy: SpendingPolicy,
        when_unknown: WhenUnknown,
    ) {
        let place = place_of(&raw.origin);
        let (key, repairs) = match Key::parse(raw.expose()) {
            Ok(read) => read,
            Err(problem) => {
                self.unusable.push(format!("{place}: {problem}"));
                return;
            }
        };
        self.repairs.extend(repairs.iter().map(|repair| format!("{place}: {repair}")));
        let id = key.account_id();
        let home = self.accounts.iter_mut().find(|account| match (&account.id, &id) {
            (Some(known), Some(new)) => known == new,
            // A token that names nobody is an account of its own, unless the configuration groups it.
            _ => account.keys.contains(&key) || (name.is_some() && account.name.as_deref() == name),
        });
        match home {
            Some(account) => {
                if !account.keys.contains(&key) {
                    account.keys.push(key);
                }
                if let (Some(first), Some(second)) = (account.name.as_deref(), name)
                    && first != second
                {
                    let text = format!("{place}: {}", one_user(first, second));
                    if !self.repairs.contains(&text) {
                        self.repairs.push(text);
                    }
                }
            }
            None => self.accounts.push(Account {
                name: name.map(str::to_owned),
                id,
                keys: vec![key],
                policy: policy.for_work(Work::Interactive),
                reserve_permille: policy.reserve_permille,
                when_unknown,
                prices: None,
            }),
        }
    }
}

fn chosen<T: Copy>(own: Option<&Sourced<T>>, general: &Sourced<T>) -> T {
    own.unwrap_or(general).value
}

fn place_of(origin: &Origin) -> String {
    match origin {
        Origin::Environment(name) => format!("the key in {name}"),
        other => format!("the key at {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use ripcord_rules::quota::Paygo;

    use super::*;
    use crate::args::GlobalArguments;

    fn key(user: &str, secret: &str) -> String {
        format!("cpk_{}.{}.{}", "0a".repeat(16), user.repeat(16), secret.repeat(16))
    }

    fn gather(file: &str, pairs: &[(&str, String)]) -> Roster {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let mut environment: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        environment.insert("RIPCORD_CONFIG".into(), path.display().to_string());
        Roster::gather(&Settings::load(&GlobalArguments::default(), &environment).unwrap())
    }

    #[test]
    fn keys_of_one_user_are_one_account() {
        let keys = [key("aa", "s1"), key("bb", "s2"), key("aa", "s3")].join(",");
        let roster = gather("", &[("CHUTES_API_KEY", keys)]);
        let counts: Vec<_> = roster.accounts.iter().map(|account| account.keys.len()).collect();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn an_environment_key_joins_the_account_that_the_file_names() {
        let file = "[[accounts]]\nname = \"work\"\nkey_env = [\"WORK\"]\npaygo = \"allow\"\n";
        let roster =
            gather(file, &[("WORK", key("aa", "s1")), ("CHUTES_API_KEY", key("aa", "s2"))]);
        assert_eq!(roster.accounts.len(), 1);
        assert_eq!(roster.accounts[0].label(), "work");
        assert_eq!(roster.accounts[0].keys.len(), 2);
        assert_eq!(roster.accounts[0].policy.paygo, Paygo::Allow);
    }

    #[test]
    fn a_malformed_key_leaves_the_others_in_use_and_is_never_repeated() {
        let roster =
            gather("", &[("CHUTES_API_KEY", format!("cpk_short.key,{}", key("aa", "s1")))]);
        assert_eq!(roster.accounts.len(), 1);
        assert_eq!(roster.unusable.len(), 1);
        assert!(!roster.unusable[0].contains("short"));
    }
}
