//! One function per layer. Each writes over what it knows and returns what is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ripcord_rules::admit::PaceRule;
use ripcord_rules::quota::WhenUnknown;
use toml::de::DeTable;

use super::document::{Problem, Section, SourceFile, Value, nearest, read};
use super::environment::{Environment, VARIABLES, variables};
use super::hooks::{doubled_hooks, read_hook};
use super::keys::{self, RawKey};
use super::origin::{Origin, Sourced};
use super::providers::{provider_problems, read_provider};
use super::routing::{chain_problems, read_chain};
use super::{
    AccountSettings, DEFAULT_FILE, GatewaySettings, MissingFile, Settings, named, small_file,
    spending,
};
use crate::args::{ColorChoice, GlobalArguments};

const WHEN_UNKNOWN: &[(&str, WhenUnknown)] =
    &[("allow", WhenUnknown::Allow), ("refuse", WhenUnknown::Refuse)];
const COLOR: &[(&str, ColorChoice)] =
    &[("auto", ColorChoice::Auto), ("always", ColorChoice::Always), ("never", ColorChoice::Never)];
/// The server's figures lag by a minute; polling in bursts has got keys revoked.
const LEAST_REFRESH_SECONDS: u64 = 30;
const MOST_REFRESH_SECONDS: u64 = 86_400;

/// The embedded file.
pub(super) fn read_defaults(settings: &mut Settings) -> Vec<Problem> {
    let source = SourceFile { label: "config/default.toml", text: DEFAULT_FILE, embedded: true };
    read_document(settings, source, None)
}

/// The user's file, if there is one.
pub(super) fn read_user_file(
    settings: &mut Settings,
    arguments: &GlobalArguments,
    environment: &dyn Environment,
    missing: MissingFile,
) -> Vec<Problem> {
    let told = arguments
        .config
        .clone()
        .or_else(|| environment.get(variables::RIPCORD_CONFIG).map(PathBuf::from));
    let Some(path) = told.clone().or_else(|| usual_path(environment)) else { return Vec::new() };
    settings.file_place = Some(path.clone());
    let label = path.display().to_string();
    let may_be_missing = told.is_none() || missing == MissingFile::IsFine;
    let text = match small_file::read(&path) {
        Ok(text) => text,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound && may_be_missing => {
            return Vec::new();
        }
        Err(problem) => {
            let message = format!("could not be read: {problem}");
            return vec![Problem { place: label, message, hint: None }];
        }
    };
    let source = SourceFile { label: &label, text: &text, embedded: false };
    let mut problems = read_document(settings, source, Some(environment));
    let literal_keys = settings
        .accounts
        .iter()
        .flat_map(|account| &account.keys)
        .any(|key| matches!(&key.origin, Origin::File { path, .. } if *path == label));
    check_permissions(&path, literal_keys, settings, &mut problems);
    settings.file = Some(path);
    problems
}

fn usual_path(environment: &dyn Environment) -> Option<PathBuf> {
    usual_directory(environment, variables::XDG_CONFIG_HOME, ".config")
        .map(|directory| directory.join("config.toml"))
}

/// `ripcord/` below an XDG base directory, or below its usual place in the home directory.
fn usual_directory(environment: &dyn Environment, variable: &str, usual: &str) -> Option<PathBuf> {
    let base = environment
        .get(variable)
        .filter(|path| Path::new(path).is_absolute())
        .map(PathBuf::from)
        .or_else(|| environment.get(variables::HOME).map(|home| Path::new(&home).join(usual)))?;
    Some(base.join("ripcord"))
}

/// A file that others can write can be made to send keys elsewhere; one that others can read gives them away.
#[cfg(unix)]
fn check_permissions(
    path: &Path,
    holds_keys: bool,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode();
    let place = path.display().to_string();
    if mode & 0o002 != 0 {
        problems.push(Problem {
            message: "everybody on this machine can write this file, and so redirect your keys"
                .into(),
            hint: Some(format!("chmod 600 {place}")),
            place,
        });
    } else if holds_keys && mode & 0o044 != 0 {
        settings
            .warnings
            .push(format!("{place} holds keys and others can read it; chmod 600 {place}"));
    }
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: bool, _: &mut Settings, _: &mut Vec<Problem>) {}

/// Reads one file over the settings. Keys named by the file need the environment, which the embedded file, that
/// names none, is read without.
fn read_document(
    settings: &mut Settings,
    source: SourceFile<'_>,
    environment: Option<&dyn Environment>,
) -> Vec<Problem> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    let mut problems: Vec<Problem> =
        errors.iter().map(|error| source.syntax_problem(error)).collect();
    let mut root = Section::root(source, table.get_ref());
    read_sections(settings, &mut root);
    if let Some(environment) = environment {
        let mut accounts = Vec::new();
        let warnings = &mut settings.warnings;
        root.tables("accounts", |section, origin| {
            accounts.extend(read_account(section, origin, environment, warnings));
        });
        let mut hooks = Vec::new();
        root.tables("hooks", |section, origin| {
            hooks.extend(read_hook(section, &origin, environment));
        });
        problems.extend(doubled_hooks(&hooks));
        settings.hooks = hooks;
        problems.extend(doubled_names(&accounts));
        let mut providers = Vec::new();
        root.tables("providers", |section, origin| {
            providers.extend(read_provider(section, &origin, environment));
        });
        let accounts_by_name = accounts.iter().map(|account| &account.name);
        problems.extend(provider_problems(&providers, accounts_by_name));
        let mut chains = Vec::new();
        root.tables("chains", |section, origin| chains.extend(read_chain(section, &origin)));
        problems.extend(chain_problems(&chains, &providers));
        settings.providers = providers;
        settings.chains = chains;
        settings.accounts = accounts;
    }
    problems.extend(root.finish());
    problems
}

fn read_sections(settings: &mut Settings, root: &mut Section<'_>) {
    root.table("chutes", |section| {
        section.read("api_url", &mut settings.chutes.api_url, read::text);
        section.read("llm_url", &mut settings.chutes.llm_url, read::text);
        section.read("refresh_seconds", &mut settings.chutes.refresh, |value| {
            read::whole(LEAST_REFRESH_SECONDS, MOST_REFRESH_SECONDS, "seconds")(value)
                .map(Duration::from_secs)
        });
    });
    root.table("spending", |section| {
        section.read("paygo", &mut settings.spending.paygo, spending::paygo);
        section.read("min_balance", &mut settings.spending.min_balance, read::usd);
        section.read("reserve", &mut settings.spending.reserve, spending::reserve);
        section.read("when_unknown", &mut settings.spending.when_unknown, read::word(WHEN_UNKNOWN));
    });
    root.table("models", |section| {
        section.read("watch", &mut settings.models.watch, read::texts);
        section.read("sanity", &mut settings.models.sanity, read::text);
    });
    root.table("recommend", |section| settings.recommend.read(section));
    root.table("limits", |section| {
        let limits = &mut settings.limits;
        section.read("connect_seconds", &mut limits.connect, seconds(1, 300));
        section.read("first_byte_seconds", &mut limits.first_byte, seconds(1, 3600));
        section.read("idle_seconds", &mut limits.idle, seconds(1, 3600));
    });
    root.table("gateway", |section| read_gateway(&mut settings.gateway, section));
    root.table("routing", |section| settings.routing.read(section));
    root.table("events", |section| settings.events.read(section));
    root.table("output", |section| {
        section.read("time_zone", &mut settings.output.time_zone, |value| {
            let name = read::text(value)?;
            crate::printer::moment::Moments::in_zone(&name).map(|_| name)
        });
        section.read("color", &mut settings.output.color, read::word(COLOR));
    });
}

fn read_gateway(gateway: &mut GatewaySettings, section: &mut Section<'_>) {
    section.read("listen", &mut gateway.listen, |value| {
        let text = read::text(value)?;
        text.parse()
            .map_err(|_| "expected an address with a port, such as 127.0.0.1:8790".to_owned())
    });
    section.read("admin_token", &mut gateway.admin_token, |value| {
        named::place_of_token(read::optional_text(value)?)
    });
    section.read("state_directory", &mut gateway.state_directory, |value| {
        Ok(read::optional_text(value)?.map(PathBuf::from))
    });
    section.read(
        "slots_per_account",
        &mut gateway.slots_per_account,
        read::whole(1, 1_000, "slots"),
    );
    section.read("pace", &mut gateway.pace, pace);
    section.read("queue", &mut gateway.queue, read::whole(0, 1_000_000, "places"));
    section.read(
        "interactive_deadline_seconds",
        &mut gateway.interactive_deadline,
        seconds(1, 86_400),
    );
    section.read("agent_deadline_seconds", &mut gateway.agent_deadline, seconds(1, 86_400));
    section.read("first_token_seconds", &mut gateway.first_token, seconds(1, 3_600));
    section.read("plain_answer_seconds", &mut gateway.plain_answer, seconds(1, 86_400));
    section.read("stall_seconds", &mut gateway.stall, seconds(1, 3_600));
    section.read("heartbeat_seconds", &mut gateway.heartbeat, seconds(1, 3_600));
    section.read("drain_seconds", &mut gateway.drain, seconds(0, 3_600));
    section.read("body_mib", &mut gateway.body_mib, read::whole(1, 512, "MiB"));
    section.read("allowed_hosts", &mut gateway.allowed_hosts, read::texts);
    section.read("allowed_origins", &mut gateway.allowed_origins, read::origins);
}

/// How fast attempts may start: a word, or a number of them a minute.
fn pace(value: &Value<'_>) -> Result<PaceRule, String> {
    match value {
        Value::String(word) if word == "adaptive" => Ok(PaceRule::Adaptive),
        Value::String(word) if word == "off" => Ok(PaceRule::Off),
        Value::Integer(_) => {
            let number = read::whole(1, 1_000_000, "attempts a minute")(value)?;
            Ok(PaceRule::PerMinute(u32::try_from(number).unwrap_or(u32::MAX)))
        }
        _ => Err("expected \"adaptive\", \"off\" or a number of attempts a minute".to_owned()),
    }
}

fn seconds(least: u64, most: u64) -> impl FnOnce(&Value<'_>) -> Result<Duration, String> {
    move |value| read::whole(least, most, "seconds")(value).map(Duration::from_secs)
}

fn read_account(
    section: &mut Section<'_>,
    origin: Origin,
    environment: &dyn Environment,
    warnings: &mut Vec<String>,
) -> Option<AccountSettings> {
    let name = section.read_new("name", read::text);
    let mut keys = Vec::new();
    if let Some(literal) = section.read_new("keys", read::texts) {
        let written = literal.value.into_iter();
        keys.extend(written.map(|text| RawKey::new(text, literal.origin.clone())));
    }
    if let Some(named) = section.read_new("key_env", read::texts) {
        for variable in named.value {
            let text = environment.get(&variable).unwrap_or_default();
            let found = keys::split(&text, &Origin::Environment(variable.clone()));
            if environment.unreadable().contains(&variable) {
                let message = format!("the value of the variable `{variable}` is not UTF-8");
                section.problem(&named.origin, message, None);
            } else if found.is_empty() {
                warnings.push(format!("{}: the variable `{variable}` is not set", named.origin));
            }
            keys.extend(found);
        }
    }
    if let Some(files) = section.read_new("key_file", read::texts) {
        for file in files.value {
            match read_key_file(&file, environment, warnings) {
                Ok(found) => keys.extend(found),
                Err(message) => section.problem(&files.origin, message, None),
            }
        }
    }
    let paygo = section.read_new("paygo", spending::paygo);
    let min_balance = section.read_new("min_balance", read::usd);
    let reserve = section.read_new("reserve", spending::reserve);
    let when_unknown = section.read_new("when_unknown", read::word(WHEN_UNKNOWN));
    let Some(name) = name else {
        section.problem(
            &origin,
            "an account needs a name".to_owned(),
            Some("add name = \"…\" below [[accounts]]".to_owned()),
        );
        return None;
    };
    Some(AccountSettings { name, keys, paygo, min_balance, reserve, when_unknown })
}

fn read_key_file(
    file: &str,
    environment: &dyn Environment,
    warnings: &mut Vec<String>,
) -> Result<Vec<RawKey>, String> {
    let path = match (file.strip_prefix("~/"), environment.get(variables::HOME)) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(file),
    };
    let text = small_file::read(&path)
        .map_err(|problem| format!("could not read the key file {}: {problem}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let open =
            std::fs::metadata(&path).is_ok_and(|data| data.permissions().mode() & 0o044 != 0);
        if open {
            warnings
                .push(format!("others can read the key file {0}; chmod 600 {0}", path.display()));
        }
    }
    let found = keys::split(&text, &Origin::File { path: path.display().to_string(), line: 1 });
    if found.is_empty() {
        return Err(format!("the key file {} holds no key", path.display()));
    }
    Ok(found)
}

fn doubled_names(accounts: &[AccountSettings]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, account) in accounts.iter().enumerate() {
        let first = accounts[..index].iter().find(|other| other.name.value == account.name.value);
        if let Some(first) = first {
            problems.push(Problem {
                place: account.name.origin.to_string(),
                message: format!("the account `{}` is named twice", account.name.value),
                hint: Some(format!("the first is at {}", first.name.origin)),
            });
        }
    }
    problems
}

/// Environment variables.
pub(super) fn read_environment(
    settings: &mut Settings,
    environment: &dyn Environment,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (found, warnings) = keys::of_environment(environment);
    settings.environment_keys = found;
    settings.warnings.extend(warnings);
    // Values often arrive with the quotes of an env file.
    let get = |name: &str| {
        let text = environment.get(name)?;
        let text = text.trim().trim_matches(['"', '\'']).trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let mut refuse = |name: &str, message: String| {
        problems.push(Problem { place: name.to_owned(), message, hint: None });
    };
    for (name, target) in [
        (variables::CHUTES_API_URL, &mut settings.chutes.api_url),
        (variables::CHUTES_LLM_URL, &mut settings.chutes.llm_url),
    ] {
        if let Some(text) = get(name) {
            *target = Sourced::new(text, Origin::Environment(name.to_owned()));
        }
    }
    let name = variables::CHUTES_MIN_BALANCE;
    if let Some(text) = get(name) {
        match read::usd_text(&text) {
            Ok(amount) => {
                settings.spending.min_balance =
                    Sourced::new(amount, Origin::Environment(name.to_owned()));
            }
            Err(message) => refuse(name, message),
        }
    }
    let name = variables::CHUTES_QUOTA_REFRESH_INTERVAL;
    if let Some(text) = get(name) {
        let range = LEAST_REFRESH_SECONDS..=MOST_REFRESH_SECONDS;
        match text.parse::<u64>().ok().filter(|seconds| range.contains(seconds)) {
            Some(seconds) => {
                settings.chutes.refresh = Sourced::new(
                    Duration::from_secs(seconds),
                    Origin::Environment(name.to_owned()),
                );
            }
            None => refuse(
                name,
                format!("must be from {LEAST_REFRESH_SECONDS} to {MOST_REFRESH_SECONDS} seconds"),
            ),
        }
    }
    if settings.gateway.state_directory.value.is_none()
        && let Some(found) = usual_directory(environment, variables::XDG_STATE_HOME, ".local/state")
    {
        settings.gateway.state_directory.value = Some(found);
    }
    if get(variables::RIPCORD_ADMIN_TOKEN).is_some() {
        let name = variables::RIPCORD_ADMIN_TOKEN;
        let place = Some(format!("env:{name}"));
        settings.gateway.admin_token = Sourced::new(place, Origin::Environment(name.to_owned()));
    }
    let (secret, warning) = named::admin_token(&settings.gateway.admin_token, environment);
    settings.admin_token = secret;
    settings.warnings.extend(warning);
    settings.warnings.extend(misspelt_variables(environment));
    problems.extend(unreadable_variables(environment));
    problems
}

/// Variables whose value is no text. Passing over one would send a key to another host than the one that was meant.
fn unreadable_variables(environment: &dyn Environment) -> Vec<Problem> {
    let ours = |name: &String| {
        ["CHUTES_", "RIPCORD_", "XDG_"].iter().any(|start| name.starts_with(start))
            || name == variables::HOME
    };
    let mut names: Vec<String> = environment.unreadable().into_iter().filter(ours).collect();
    names.sort();
    let told = |name| Problem {
        place: name,
        message: "its value is not UTF-8".to_owned(),
        hint: Some("set it anew, or unset it".to_owned()),
    };
    names.into_iter().map(told).collect()
}

/// Variables that look like ours but are not read: a typo there would otherwise pass in silence.
fn misspelt_variables(environment: &dyn Environment) -> Vec<String> {
    let known =
        VARIABLES.iter().map(|variable| variable.name).filter(|name| name.starts_with("CHUTES_"));
    let known: Vec<&str> = known.filter(|name| !name.contains(' ')).collect();
    let mut warnings: Vec<String> = environment
        .names()
        .into_iter()
        .filter(|name| name.starts_with("CHUTES_") && !known.contains(&name.as_str()))
        .filter(|name| !name.starts_with(variables::CHUTES_API_KEY_NUMBERED))
        .filter_map(|name| {
            let close = nearest(&name, known.iter().copied())
                .filter(|close| strsim::damerau_levenshtein(&name, close) <= 2)?;
            Some(format!("`{name}` is not read; did you mean `{close}`?"))
        })
        .collect();
    warnings.sort();
    warnings
}

/// Flags.
pub(super) fn read_flags(settings: &mut Settings, arguments: &GlobalArguments) {
    if let Some(zone) = &arguments.tz {
        settings.output.time_zone = Sourced::new(zone.clone(), Origin::Flag("--tz"));
    }
    if let Some(color) = arguments.color {
        settings.output.color = Sourced::new(color, Origin::Flag("--color"));
    }
}
