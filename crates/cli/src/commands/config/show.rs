//! `ripcord config show`: every value with its origin.

use ripcord_client::key::Key;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use std::collections::BTreeMap;

use super::OriginReport;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::Page;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::settings::hooks::HookSettings;
use crate::settings::keys::RawKey;
use crate::settings::listing::{usd, when_unknown_word};
use crate::settings::origin::{Origin, Sourced};
use crate::settings::providers::ProviderSettings;
use crate::settings::routing::ChainSettings;
use crate::settings::spending::{paygo_value, reserve_value};
use crate::settings::{AccountSettings, Settings};

/// What `ripcord config show --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConfigShowReport {
    #[schemars(extend("const" = "ripcord/config-show/1"))]
    schema: &'static str,
    /// The file that was read; null if there is none.
    file: Option<String>,
    /// Where the file is looked for; null if nothing says where.
    file_place: Option<String>,
    /// Every setting, in the order of the documentation.
    settings: Vec<SettingReport>,
    /// The accounts that the file names.
    accounts: Vec<AccountReport>,
    /// Names that stand for several models.
    chains: Vec<ChainReport>,
    /// Services besides Chutes.
    providers: Vec<ProviderReport>,
    /// Who is told of events.
    hooks: Vec<HookReport>,
    /// Keys of the environment, which belong to whatever account they name.
    environment_keys: Vec<KeyReport>,
}

/// One setting.
#[derive(Debug, Serialize, JsonSchema)]
struct SettingReport {
    /// Its name, such as `gateway.listen`.
    key: String,
    /// Its value: text, number, list, or null; a daily bound of `paygo` is an object with `daily_usd`.
    value: Value,
    /// Where the value comes from.
    origin: OriginReport,
    #[serde(skip)]
    shown_origin: String,
}

/// One account of the file.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountReport {
    /// Its name.
    name: String,
    /// Its keys.
    keys: Vec<KeyReport>,
    /// What it sets for itself.
    settings: Vec<SettingReport>,
}

/// One chain.
#[derive(Debug, Serialize, JsonSchema)]
struct ChainReport {
    /// Its name.
    name: String,
    /// Its models, best first.
    models: Vec<String>,
    /// What it sets for itself.
    settings: Vec<SettingReport>,
    /// Where it stands.
    origin: OriginReport,
    #[serde(skip)]
    shown_origin: String,
}

/// One provider, without its key.
#[derive(Debug, Serialize, JsonSchema)]
struct ProviderReport {
    /// Its name.
    name: String,
    /// Its address.
    base_url: String,
    /// `behind` Chutes or `before` it.
    place: &'static str,
    /// Chutes' names and its own for the same models.
    models: BTreeMap<String, String>,
    /// The models whose prices are known, by its own names.
    priced: Vec<String>,
    /// What it may cost a day, in US dollars; null for no bound.
    daily_usd: Option<Value>,
    /// How many requests it gets at once; null for as many as an account of Chutes.
    slots: Option<u32>,
    /// Whether it counts as a trusted execution environment.
    tee: bool,
    /// Whether its streams tell what was used only if they are asked to.
    include_usage: bool,
    /// Whether it goes on with the beginning of an answer.
    prefill: bool,
    /// Whether it has a key that can be read; null for a service without one.
    has_key: Option<bool>,
    /// Why it cannot be used; null if it can.
    problem: Option<String>,
    /// Where it stands.
    origin: OriginReport,
    #[serde(skip)]
    shown_origin: String,
}

/// One hook, without what may be a secret.
#[derive(Debug, Serialize, JsonSchema)]
struct HookReport {
    /// Its name.
    name: String,
    /// The events that it is told: `low`, `exhausted`, `reset`, `saturated`, `recovered`, `key_dead`; empty for all.
    on: Vec<&'static str>,
    /// Only of these accounts; empty for all, so also below.
    accounts: Vec<String>,
    /// Only of these windows.
    windows: Vec<&'static str>,
    /// Only of these models.
    models: Vec<String>,
    /// What it does: `command`, `post`.
    action: &'static str,
    /// The program without its arguments, or the address up to its host; null if it is not known.
    target: Option<String>,
    /// Whether what it posts is signed.
    signed: bool,
    /// Why it cannot be run; empty if it can.
    problems: Vec<String>,
    /// Where it stands.
    origin: OriginReport,
    #[serde(skip)]
    shown_origin: String,
}

/// One key, never whole.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyReport {
    /// Its beginning; null if it cannot be read.
    key: Option<String>,
    /// Why it cannot be read; null if it can.
    problem: Option<String>,
    /// Where it stands.
    origin: OriginReport,
    #[serde(skip)]
    shown_origin: String,
}

// === impl SettingReport ===

impl SettingReport {
    fn new(key: String, value: Value, origin: &Origin, file: Option<&str>) -> Self {
        Self { key, value, origin: origin.into(), shown_origin: shown(origin, file) }
    }
}

// === impl KeyReport ===

impl KeyReport {
    fn new(raw: &RawKey, file: Option<&str>) -> Self {
        let (key, problem) = match Key::parse(raw.expose()) {
            Ok((key, _)) => (Some(key.to_string()), None),
            Err(problem) => (None, Some(problem.to_string())),
        };
        let origin = &raw.origin;
        Self { key, problem, origin: origin.into(), shown_origin: shown(origin, file) }
    }
}

// === impl ChainReport ===

impl ChainReport {
    fn new(chain: &ChainSettings, file: Option<&str>) -> Self {
        let own = chain.own().into_iter();
        Self {
            name: chain.name.value.clone(),
            models: chain.models.value.clone(),
            settings: own
                .map(|own| SettingReport::new(own.key, own.value, &own.origin, file))
                .collect(),
            origin: (&chain.models.origin).into(),
            shown_origin: shown(&chain.models.origin, file),
        }
    }

    fn rows(&self) -> Table {
        let mut rows = table();
        add(&mut rows, "models", self.models.join(", ").into(), &self.origin, &self.shown_origin);
        for own in &self.settings {
            add(&mut rows, &own.key, words(&own.value), &own.origin, &own.shown_origin);
        }
        rows
    }
}

// === impl ProviderReport ===

impl ProviderReport {
    fn new(provider: &ProviderSettings, file: Option<&str>) -> Self {
        Self {
            name: provider.name.value.clone(),
            base_url: provider.base_url.value.to_string(),
            place: provider.place_word(),
            models: provider.models.iter().cloned().collect(),
            priced: provider.prices.iter().map(|(model, _)| model.clone()).collect(),
            daily_usd: provider.daily_usd.map(usd),
            slots: provider.slots,
            tee: provider.tee,
            include_usage: provider.include_usage,
            prefill: provider.prefill,
            has_key: provider.key.as_ref().map(Result::is_ok),
            problem: provider.problem().map(|problem| problem.message.clone()),
            origin: (&provider.name.origin).into(),
            shown_origin: shown(&provider.name.origin, file),
        }
    }

    fn rows(&self) -> Table {
        let mut rows = table();
        let mut row =
            |name: &str, value: Text| add(&mut rows, name, value, &self.origin, &self.shown_origin);
        row("base_url", self.base_url.as_str().into());
        row("place", self.place.into());
        let models = self.models.iter().map(|(chutes, own)| format!("{chutes} = {own}"));
        row("models", models.collect::<Vec<_>>().join(", ").into());
        if self.has_key != Some(false) {
            row("key", if self.has_key.is_some() { "set, not shown" } else { "none" }.into());
        }
        if !self.priced.is_empty() {
            row("prices", format!("of {}", self.priced.join(", ")).into());
        }
        if let Some(bound) = &self.daily_usd {
            row("daily_usd", words(bound));
        }
        if let Some(slots) = self.slots {
            row("slots", slots.to_string().into());
        }
        for (name, flag) in
            [("tee", self.tee), ("include_usage", self.include_usage), ("prefill", self.prefill)]
        {
            row(name, if flag { "true" } else { "false" }.into());
        }
        if let Some(problem) = &self.problem {
            row("problem", Text::toned(Tone::Bad, problem.as_str()));
        }
        rows
    }
}

// === impl HookReport ===

impl HookReport {
    fn new(hook: &HookSettings, file: Option<&str>) -> Self {
        let (action, target) = hook.shown();
        let filter = &hook.filter;
        Self {
            name: hook.name.value.clone(),
            on: filter.on.iter().map(|kind| kind.name()).collect(),
            accounts: filter.accounts.clone(),
            windows: filter.windows.iter().map(|window| window.name()).collect(),
            models: filter.models.clone(),
            action,
            target,
            signed: hook.is_signed(),
            problems: hook.problems().iter().map(|problem| problem.message.clone()).collect(),
            origin: (&hook.name.origin).into(),
            shown_origin: shown(&hook.name.origin, file),
        }
    }
}

/// Shows what is configured. Nothing is asked of Chutes.
pub(crate) fn run(context: &Context) -> Result<Exit, CommandError> {
    let report = report(&context.settings);
    context.printer.answer(&report, || page(&report))?;
    Ok(Exit::Done)
}

fn report(settings: &Settings) -> ConfigShowReport {
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let listed = settings.listing().into_iter();
    let file = path(&settings.file);
    let of_file = file.as_deref();
    let keys = |keys: &[RawKey]| keys.iter().map(|key| KeyReport::new(key, of_file)).collect();
    ConfigShowReport {
        schema: "ripcord/config-show/1",
        file_place: path(&settings.file_place),
        settings: listed
            .map(|listed| SettingReport::new(listed.key, listed.value, &listed.origin, of_file))
            .collect(),
        accounts: settings.accounts.iter().map(|entry| account(entry, of_file)).collect(),
        chains: settings.chains.iter().map(|chain| ChainReport::new(chain, of_file)).collect(),
        providers: settings
            .providers
            .iter()
            .map(|provider| ProviderReport::new(provider, of_file))
            .collect(),
        hooks: settings.hooks.iter().map(|hook| HookReport::new(hook, of_file)).collect(),
        environment_keys: keys(&settings.environment_keys),
        file,
    }
}

/// Where a value comes from, in words: the file is named once, at the top.
fn shown(origin: &Origin, file: Option<&str>) -> String {
    match origin {
        Origin::File { path, line } if Some(path.as_str()) == file => format!("line {line}"),
        other => other.to_string(),
    }
}

fn account(account: &AccountSettings, file: Option<&str>) -> AccountReport {
    fn own<T>(
        sourced: Option<&Sourced<T>>,
        value: impl FnOnce(&T) -> Value,
    ) -> Option<(Value, &Origin)> {
        sourced.map(|sourced| (value(&sourced.value), &sourced.origin))
    }
    let own = [
        ("paygo", own(account.paygo.as_ref(), |paygo| paygo_value(*paygo))),
        ("min_balance", own(account.min_balance.as_ref(), |amount| usd(*amount))),
        ("reserve", own(account.reserve.as_ref(), |kept| reserve_value(*kept))),
        (
            "when_unknown",
            own(account.when_unknown.as_ref(), |choice| when_unknown_word(*choice).into()),
        ),
    ];
    let own = own.into_iter().filter_map(|(key, own)| own.map(|own| (key, own)));
    AccountReport {
        name: account.name.value.clone(),
        keys: account.keys.iter().map(|key| KeyReport::new(key, file)).collect(),
        settings: own
            .map(|(key, (value, origin))| SettingReport::new(key.to_owned(), value, origin, file))
            .collect(),
    }
}

fn words(value: &Value) -> Text {
    match value {
        Value::Null => Text::new().dim("none"),
        Value::Array(items) if items.is_empty() => Text::new().dim("none"),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(", ").into()
        }
        Value::String(text) => text.as_str().into(),
        // As the file would hold it.
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key} = {value}"));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", ")).into()
        }
        other => other.to_string().into(),
    }
}

fn table() -> Table {
    // A list that does not fit is cut, with its beginning in sight; `--json` and a pipe have all of it.
    Table::new(2, vec![Column::left(""), Column::left("").shrinks_to(24), Column::left("")])
}

fn add(table: &mut Table, name: &str, value: Text, origin: &OriginReport, shown: &str) {
    // What was chosen strikes the eye, what is as it comes stands back.
    let origin = if origin.kind == "default" {
        Text::new().dim(shown)
    } else {
        Text::toned(Tone::Accent, shown)
    };
    table.row(vec![Text::new().plain(name), value, origin]);
}

fn add_keys(table: &mut Table, keys: &[KeyReport]) {
    for key in keys {
        let shown = match (&key.key, &key.problem) {
            (Some(key), _) => Text::new().plain(key.as_str()),
            (None, Some(problem)) => Text::toned(Tone::Bad, problem.as_str()),
            (None, None) => Text::new(),
        };
        add(table, "key", shown, &key.origin, &key.shown_origin);
    }
}

fn hook_rows(hook: &HookReport) -> Table {
    let mut rows = table();
    let mut row = |name: &str, value: Text| {
        add(&mut rows, name, value, &hook.origin, &hook.shown_origin);
    };
    let target = hook.target.as_deref().unwrap_or("unknown");
    let signed = if hook.signed { ", signed" } else { "" };
    row(hook.action, Text::new().plain(format!("{target}{signed}")));
    row("on", if hook.on.is_empty() { "everything".into() } else { hook.on.join(", ").into() });
    let windows: Vec<String> = hook.windows.iter().map(|&window| window.to_owned()).collect();
    for (name, only) in [("account", &hook.accounts), ("window", &windows), ("model", &hook.models)]
    {
        if !only.is_empty() {
            row(name, only.join(", ").into());
        }
    }
    for problem in &hook.problems {
        row("problem", Text::toned(Tone::Bad, problem.as_str()));
    }
    rows
}

fn page(report: &ConfigShowReport) -> Page {
    let mut page = Page::new();
    page.line(match (&report.file, &report.file_place) {
        (Some(file), _) => Text::new().dim("file  ").then(Tone::Strong, file.as_str()),
        (None, Some(place)) => {
            Text::new().dim("file  ").plain("none").dim(format!("; it would be {place}"))
        }
        (None, None) => Text::new().dim("file  ").plain("none"),
    });
    let mut section = "";
    let mut rows = table();
    for setting in &report.settings {
        let (of, name) = setting.key.rsplit_once('.').unwrap_or(("", &setting.key));
        if of != section {
            if !section.is_empty() {
                page.table(std::mem::replace(&mut rows, table()));
            }
            page.gap().line(Text::toned(Tone::Strong, format!("[{of}]")));
            section = of;
        }
        add(&mut rows, name, words(&setting.value), &setting.origin, &setting.shown_origin);
    }
    page.table(rows);
    for account in &report.accounts {
        let mut rows = table();
        add_keys(&mut rows, &account.keys);
        for setting in &account.settings {
            let value = words(&setting.value);
            add(&mut rows, &setting.key, value, &setting.origin, &setting.shown_origin);
        }
        page.gap()
            .line(Text::toned(Tone::Strong, "[[accounts]]").plain(format!(" {}", account.name)))
            .table(rows);
    }
    for chain in &report.chains {
        page.gap()
            .line(Text::toned(Tone::Strong, "[[chains]]").plain(format!(" {}", chain.name)))
            .table(chain.rows());
    }
    for provider in &report.providers {
        page.gap()
            .line(Text::toned(Tone::Strong, "[[providers]]").plain(format!(" {}", provider.name)))
            .table(provider.rows());
    }
    for hook in &report.hooks {
        page.gap()
            .line(Text::toned(Tone::Strong, "[[hooks]]").plain(format!(" {}", hook.name)))
            .table(hook_rows(hook));
    }
    if !report.environment_keys.is_empty() {
        let mut rows = table();
        add_keys(&mut rows, &report.environment_keys);
        page.gap().line(Text::toned(Tone::Strong, "keys of the environment")).table(rows);
    }
    page
}
