//! `[events]` and `[[hooks]]`: what is worth a word, and who is told.

use std::time::Duration;

use ripcord_rules::events::{EventKind, LowMarks, WatchSettings};
use ripcord_rules::quota::WindowKind;
use serde_json::json;

use super::document::{Problem, Section, Value, read};
use super::environment::Environment;
use super::listing::{Listed, listed};
use super::named::{NamedProblem, text_behind};
use super::origin::{Origin, Sourced};
use crate::hooks::address::HookAddress;
use crate::hooks::sign::HookSecret;

/// `[events]`: when a change is worth a word.
#[derive(Debug, Clone)]
pub(crate) struct EventSettings {
    low_day: Sourced<u64>,
    low_four_hour: Sourced<u64>,
    low_month: Sourced<u64>,
    low_chute: Sourced<u64>,
}

/// One `[[hooks]]` entry.
#[derive(Debug, Clone)]
pub(crate) struct HookSettings {
    pub(crate) name: Sourced<String>,
    pub(crate) filter: HookFilter,
    pub(crate) action: HookAction,
    pub(crate) timeout: Duration,
}

/// Which events a hook is told. An empty list lets everything through.
#[derive(Debug, Clone, Default)]
pub(crate) struct HookFilter {
    pub(crate) on: Vec<EventKind>,
    pub(crate) accounts: Vec<String>,
    pub(crate) windows: Vec<WindowKind>,
    pub(crate) models: Vec<String>,
}

/// What a hook does.
#[derive(Debug, Clone)]
pub(crate) enum HookAction {
    /// Runs this program, without a shell.
    Command(Vec<String>),
    /// Posts to this address.
    Post {
        /// Where to, or why that is not known.
        address: Result<HookAddress, NamedProblem>,
        /// What to sign with, or why that is not known; `None` to send unsigned.
        secret: Option<Result<HookSecret, NamedProblem>>,
    },
}

/// The keys of an entry, for suggestions.
pub(super) const HOOK_KEYS: [&str; 9] =
    ["name", "on", "account", "window", "model", "command", "url", "secret", "timeout_seconds"];

/// As the standard advises (15 to 30 s).
const USUAL_TIMEOUT: Duration = Duration::from_secs(20);

// === impl EventSettings ===

impl EventSettings {
    /// Settings that a layer has to write over.
    pub(super) fn unset(unset: impl Fn() -> Sourced<u64>) -> Self {
        Self { low_day: unset(), low_four_hour: unset(), low_month: unset(), low_chute: unset() }
    }

    /// For the watcher.
    pub(crate) fn watch(&self) -> WatchSettings {
        let permille = |percent: &Sourced<u64>| percent.value.saturating_mul(10);
        let low = LowMarks {
            day: permille(&self.low_day),
            four_hour: permille(&self.low_four_hour),
            month: permille(&self.low_month),
            chute: permille(&self.low_chute),
        };
        WatchSettings { low, ..WatchSettings::default() }
    }

    pub(super) fn listing(&self) -> Vec<Listed> {
        self.named()
            .map(|(name, percent)| {
                listed(format!("events.low_percent.{name}"), percent, |percent| json!(percent))
            })
            .into()
    }

    pub(super) fn read(&mut self, section: &mut Section<'_>) {
        section.table("low_percent", |section| {
            let percent = || read::whole(0, 99, "percent");
            section.read("day", &mut self.low_day, percent());
            section.read("four_hour", &mut self.low_four_hour, percent());
            section.read("month", &mut self.low_month, percent());
            section.read("chute", &mut self.low_chute, percent());
        });
    }

    const fn named(&self) -> [(&'static str, &Sourced<u64>); 4] {
        [
            ("day", &self.low_day),
            ("four_hour", &self.low_four_hour),
            ("month", &self.low_month),
            ("chute", &self.low_chute),
        ]
    }
}

// === impl HookSettings ===

impl HookSettings {
    /// What keeps the hook from being run.
    pub(crate) fn problems(&self) -> Vec<&NamedProblem> {
        match &self.action {
            HookAction::Command(_) => Vec::new(),
            HookAction::Post { address, secret } => {
                let secret = secret.as_ref().and_then(|secret| secret.as_ref().err());
                address.as_ref().err().into_iter().chain(secret).collect()
            }
        }
    }

    /// What it does and to whom, without what may be a secret: arguments of a program, what stands behind a host.
    pub(crate) fn shown(&self) -> (&'static str, Option<String>) {
        match &self.action {
            HookAction::Command(words) => {
                let arguments = if words.len() > 1 { " …" } else { "" };
                let program = words.first().map(|program| format!("{program}{arguments}"));
                ("command", program)
            }
            HookAction::Post { address, .. } => {
                ("post", address.as_ref().ok().map(ToString::to_string))
            }
        }
    }

    /// Whether what it posts is signed.
    pub(crate) const fn is_signed(&self) -> bool {
        matches!(self.action, HookAction::Post { secret: Some(Ok(_)), .. })
    }
}

/// Reads one entry; `None` where it has no name or nothing to do.
pub(super) fn read_hook(
    section: &mut Section<'_>,
    origin: &Origin,
    environment: &dyn Environment,
) -> Option<HookSettings> {
    let name = section.read_new("name", read::text);
    let texts = |section: &mut Section<'_>, key| {
        section.read_new(key, text_or_texts).map(|read| read.value).unwrap_or_default()
    };
    let on = section.read_new("on", |value| each(value, kind_of_name));
    let windows = section.read_new("window", |value| each(value, window_of_name));
    let filter = HookFilter {
        on: on.map(|on| on.value).unwrap_or_default(),
        accounts: texts(section, "account"),
        windows: windows.map(|windows| windows.value).unwrap_or_default(),
        models: texts(section, "model"),
    };
    let command = section.read_new("command", words);
    let url = section.read_new("url", read::text);
    let secret = section.read_new("secret", read::text);
    let timeout = section.read_new("timeout_seconds", |value| {
        read::whole(1, 300, "seconds")(value).map(Duration::from_secs)
    });
    let action = match (command, url) {
        (Some(command), None) => {
            if let Some(secret) = &secret {
                let message = "a command gets no signature, so it needs no `secret`".to_owned();
                section.problem(&secret.origin, message, None);
            }
            Some(HookAction::Command(command.value))
        }
        (None, Some(url)) => Some(HookAction::Post {
            address: address(&url, environment),
            secret: secret.map(|secret| self::secret(&secret, environment)),
        }),
        (both, _) => {
            let which = if both.is_some() { "both" } else { "neither" };
            section.problem(
                origin,
                format!("a hook has a `command` or a `url`, and this one has {which}"),
                None,
            );
            None
        }
    };
    let Some(name) = name else {
        let hint = Some("add name = \"…\" below [[hooks]]".to_owned());
        section.problem(origin, "a hook needs a name".to_owned(), hint);
        return None;
    };
    let timeout = timeout.map_or(USUAL_TIMEOUT, |timeout| timeout.value);
    Some(HookSettings { name, filter, action: action?, timeout })
}

/// Names that stand twice.
pub(super) fn doubled_hooks(hooks: &[HookSettings]) -> Vec<Problem> {
    let doubled = hooks.iter().enumerate().filter_map(|(index, hook)| {
        let first = hooks[..index].iter().find(|other| other.name.value == hook.name.value)?;
        Some(Problem {
            place: hook.name.origin.to_string(),
            message: format!("the hook `{}` is named twice", hook.name.value),
            hint: Some(format!("the first is at {}", first.name.origin)),
        })
    });
    doubled.collect()
}

fn address(
    url: &Sourced<String>,
    environment: &dyn Environment,
) -> Result<HookAddress, NamedProblem> {
    let text = text_behind(url, environment)?.unwrap_or_else(|| url.value.clone());
    HookAddress::parse(&text).map_err(|message| NamedProblem {
        place: url.origin.clone(),
        message: format!("`url`: {message}"),
        hint: None,
    })
}

fn secret(
    secret: &Sourced<String>,
    environment: &dyn Environment,
) -> Result<HookSecret, NamedProblem> {
    let problem = |message: String, hint: &str| NamedProblem {
        place: secret.origin.clone(),
        message: format!("`secret`: {message}"),
        hint: Some(hint.to_owned()),
    };
    let Some(text) = text_behind(secret, environment)? else {
        return Err(problem(
            "a secret does not stand in this file".to_owned(),
            "write \"env:NAME\" or \"file:PATH\"",
        ));
    };
    HookSecret::parse(&text).map_err(|message| {
        problem(message, "make one with: echo \"whsec_$(openssl rand -base64 32)\"")
    })
}

/// A list of texts, or one.
fn text_or_texts(value: &Value<'_>) -> Result<Vec<String>, String> {
    match value {
        Value::Array(_) => read::texts(value),
        one => read::text(one).map(|text| vec![text]),
    }
}

fn each<T>(value: &Value<'_>, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text_or_texts(value)?.iter().map(|text| read(text)).collect()
}

fn kind_of_name(name: &str) -> Result<EventKind, String> {
    EventKind::from_name(name).ok_or_else(|| {
        format!("expected one or more of {}", EventKind::ALL.map(EventKind::name).join(", "))
    })
}

fn window_of_name(name: &str) -> Result<WindowKind, String> {
    WindowKind::from_name(name)
        .ok_or_else(|| "expected one or more of day, four_hour, month, chute".to_owned())
}

/// A program and its arguments, which may be empty; the program may not.
fn words(value: &Value<'_>) -> Result<Vec<String>, String> {
    let list =
        "expected a list: the program and its arguments, such as [\"logger\", \"-t\", \"ripcord\"]";
    let Value::Array(items) = value else { return Err(list.to_owned()) };
    let words: Option<Vec<String>> = items
        .iter()
        .map(|item| match item.get_ref() {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        })
        .collect();
    words
        .filter(|words| words.first().is_some_and(|program| !program.trim().is_empty()))
        .ok_or_else(|| list.to_owned())
}
