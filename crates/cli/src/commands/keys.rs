//! `ripcord keys`: who may call the gateway, and what each may use.

mod report;
mod words;

use std::time::Duration;

use report::KeyReport;
use ripcord_rules::clients::Used;
use ripcord_rules::quota::{Paygo, calendar_month, next_day_reset};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{
    AddKeyError, ClientKey, ClientKeys as _, ClientPaygo, ClientPriority, ClientRules, ClientShare,
    LedgerError, SqliteLedger,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{
    KeyName, KeysAddArguments, KeysArguments, KeysCommand, Priority, Unknown, YesNo,
};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ledger;
use crate::printer::Page;
use crate::printer::text::{Text, Tone};

/// What `ripcord keys list --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeysReport {
    #[schemars(extend("const" = "ripcord/keys/1"))]
    schema: &'static str,
    /// Whether the gateway asks for a key: as soon as there is one, revoked ones included.
    required: bool,
    /// The keys, by name.
    keys: Vec<KeyReport>,
}

/// What `ripcord keys add --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyAddedReport {
    #[schemars(extend("const" = "ripcord/key-added/1"))]
    schema: &'static str,
    /// The key itself. It is shown this once and kept nowhere.
    secret: String,
    /// What it may do.
    key: KeyReport,
}

/// What `ripcord keys revoke --json` and `ripcord keys remove --json` print.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyChangedReport {
    #[schemars(extend("const" = "ripcord/key-changed/1"))]
    schema: &'static str,
    /// Its name.
    name: String,
    /// What was done: `revoked`, `removed`.
    done: &'static str,
    /// How many keys are in force now.
    in_force: usize,
    /// Whether the gateway still asks for a key.
    required: bool,
}

/// Does what is asked. Nothing is asked of Chutes.
pub(crate) fn run(arguments: &KeysArguments, context: &Context) -> Result<Exit, CommandError> {
    match &arguments.command {
        KeysCommand::Add(arguments) => add(arguments, context),
        KeysCommand::List => list(context),
        KeysCommand::Revoke(KeyName { name }) => revoke(name, context),
        KeysCommand::Remove(KeyName { name }) => remove(name, context),
    }
}

fn add(arguments: &KeysAddArguments, context: &Context) -> Result<Exit, CommandError> {
    let ledger = ledger::open(&context.settings)?;
    let secret = ripcord_gateway::new_client_key().map_err(|problem| {
        CommandError::unknown(format!("the system gave no random numbers: {problem}"))
    })?;
    let now = context.now();
    let expires_at = arguments.expires.map(|expiry| expiry.moment(now));
    if expires_at.is_some_and(|end| end <= now) {
        return Err(CommandError::usage("the key would have expired before it is made")
            .hint("`--expires 30d` ends it in 30 days"));
    }
    let key = ClientKey {
        expires_at_unix_us: expires_at.map(Wall::as_unix_micros),
        ..ClientKey::new(&arguments.name, &secret, rules(arguments), now.as_unix_micros())
    };
    let is_first = read(&ledger)?.is_empty();
    ledger.add_client_key(key.clone()).map_err(|error| not_added(&error))?;
    let report = KeyAddedReport {
        schema: "ripcord/key-added/1",
        key: KeyReport::of(&key, &Usage::default(), now),
        secret,
    };
    let page = || {
        let mut page = Page::new();
        page.line(Text::new().plain(report.secret.as_str()));
        page
    };
    context.printer.answer(&report, page)?;
    if context.printer.is_json() {
        return Ok(Exit::Done);
    }
    let talk = |text: String| context.printer.talk(Text::new().dim(text));
    talk(format!(
        "client key `{}`: {}. It is shown this once; set it as the API key of the client.",
        key.name,
        words::all(&key, None, context).join("; ")
    ));
    talk("A key can only narrow what the account's own rules allow.".to_owned());
    if is_first {
        talk(
            "From now on the gateway asks everybody for a key, a running one within seconds."
                .to_owned(),
        );
    }
    Ok(Exit::Done)
}

fn rules(arguments: &KeysAddArguments) -> ClientRules {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    ClientRules {
        paygo: match arguments.paygo {
            None | Some(Paygo::ByPlan) => ClientPaygo::AsAccount,
            Some(Paygo::Never) => ClientPaygo::Never,
            Some(Paygo::Allow) => ClientPaygo::Allow,
            Some(Paygo::Daily(NanoUsd(amount))) => ClientPaygo::Daily(amount),
        },
        may_use_reserve: arguments.reserve == YesNo::Yes,
        min_balance_nano_usd: arguments.min_balance.map(|amount| amount.0),
        refuses_unknown: arguments.when_unknown == Unknown::Refuse,
        share: ClientShare {
            daily_nano_usd: arguments.daily_usd.map(|amount| amount.0),
            monthly_nano_usd: arguments.monthly_usd.map(|amount| amount.0),
            daily_requests: arguments.daily_requests,
            requests_per_minute: arguments.requests_per_minute.map(count),
            concurrent_requests: arguments.concurrent.map(count),
        },
        models: arguments.models.clone(),
        highest_priority: match arguments.highest_priority {
            Priority::Interactive => ClientPriority::Interactive,
            Priority::Agent => ClientPriority::Agent,
            Priority::Batch => ClientPriority::Batch,
        },
    }
}

fn list(context: &Context) -> Result<Exit, CommandError> {
    // To look is no reason to make a ledger.
    let now = context.now();
    let known = if ledger::path(&context.settings)?.exists() {
        let ledger = ledger::open(&context.settings)?;
        let usage = Usages::read(&ledger, now).map_err(unreadable)?;
        read(&ledger)?.into_iter().map(|key| (usage.of(&key), key)).collect()
    } else {
        Vec::new()
    };
    let report = KeysReport {
        schema: "ripcord/keys/1",
        required: !known.is_empty(),
        keys: known.iter().map(|(usage, key)| KeyReport::of(key, usage, now)).collect(),
    };
    context.printer.answer(&report, || page(&known, context))?;
    Ok(Exit::Done)
}

fn revoke(name: &str, context: &Context) -> Result<Exit, CommandError> {
    let ledger = ledger::open(&context.settings)?;
    let now = context.now().as_unix_micros();
    if !ledger.revoke_client_key(name, now).map_err(unreadable)? {
        let known = read(&ledger)?;
        return Err(match known.iter().find(|key| &*key.name == name) {
            Some(_) => CommandError::usage(format!("the client key `{name}` is revoked already"))
                .hint("`ripcord keys remove` forgets it"),
            None => nobody(name, &known),
        });
    }
    changed(&ledger, name, "revoked", context)
}

fn remove(name: &str, context: &Context) -> Result<Exit, CommandError> {
    let ledger = ledger::open(&context.settings)?;
    if !ledger.remove_client_key(name).map_err(unreadable)? {
        let known = read(&ledger)?;
        return Err(match known.iter().find(|key| &*key.name == name) {
            Some(_) => CommandError::usage(format!("the client key `{name}` is not revoked"))
                .hint(format!("first: ripcord keys revoke {name}")),
            None => nobody(name, &known),
        });
    }
    changed(&ledger, name, "removed", context)
}

fn changed(
    ledger: &SqliteLedger,
    name: &str,
    done: &'static str,
    context: &Context,
) -> Result<Exit, CommandError> {
    let left = read(ledger)?;
    let now = context.now().as_unix_micros();
    let in_force = left.iter().filter(|key| key.is_in_force(now)).count();
    let report = KeyChangedReport {
        schema: "ripcord/key-changed/1",
        name: name.to_owned(),
        done,
        in_force,
        required: !left.is_empty(),
    };
    context.printer.answer(&report, || {
        let mut page = Page::new();
        page.line(Text::new().plain(format!("client key `{name}` is {done}")));
        let consequence = match (in_force, left.is_empty()) {
            (0, true) => {
                "No key is left: every program of this machine may call the gateway again."
            }
            (0, false) => {
                "No key is in force: nobody may call the gateway. `ripcord keys add` makes one; with every revoked key \
                 removed it asks for none."
            }
            _ => return page,
        };
        page.paragraph(2, Text::toned(Tone::Warn, "! ").plain(consequence));
        page
    })?;
    Ok(Exit::Done)
}

fn read(ledger: &SqliteLedger) -> Result<Vec<ClientKey>, CommandError> {
    ledger.client_keys().map_err(unreadable)
}

fn unreadable(error: LedgerError) -> CommandError {
    CommandError::unknown(error.to_string())
}

fn not_added(error: &AddKeyError) -> CommandError {
    match error {
        AddKeyError::NameTaken(name) => CommandError::usage(error.to_string()).hint(format!(
            "take another name, or: ripcord keys revoke {name}, then: ripcord keys remove {name}"
        )),
        AddKeyError::TooMany => CommandError::usage(error.to_string())
            .hint("`ripcord keys remove` forgets one that was revoked"),
        AddKeyError::Ledger(_) => CommandError::unknown(error.to_string()),
    }
}

fn nobody(name: &str, known: &[ClientKey]) -> CommandError {
    let names = known.iter().map(|key| &*key.name);
    let told = CommandError::usage(format!("there is no client key `{name}`"));
    match crate::settings::document::nearest(name, names) {
        Some(near) => told.hint(format!("did you mean `{near}`?")),
        None => told.hint("`ripcord keys list` shows which there are"),
    }
}

fn page(known: &[(Usage, ClientKey)], context: &Context) -> Page {
    let mut page = Page::new();
    if known.is_empty() {
        page.line(Text::new().plain(
            "There are no client keys: every program of this machine may call the gateway.",
        ));
        page.line(Text::new().dim("ripcord keys add NAME makes one"));
        return page;
    }
    let at =
        |micros: i64| context.printer.moments.at(Wall::from_unix_micros(micros), context.now());
    let now = context.now();
    for (usage, key) in known {
        let ends = key.expires_at_unix_us.map(|end| (end, end <= now.as_unix_micros()));
        let ended = match (key.revoked_at_unix_us, ends) {
            (Some(revoked), _) => Some(format!("revoked {}", at(revoked))),
            (None, Some((end, true))) => Some(format!("expired {}", at(end))),
            (None, _) => None,
        };
        if let Some(ended) = ended {
            page.line(Text::new().dim(format!("{} · {ended}", key.name)));
            continue;
        }
        let made = format!(" · made {}", at(key.created_at_unix_us));
        page.line(Text::toned(Tone::Strong, &*key.name).dim(made));
        for line in words::all(key, Some(usage), context) {
            page.paragraph_under(2, 2, Text::new().plain(line));
        }
    }
    page
}

/// What a key has used, as the ledger has it.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    /// What the balance paid, or may have paid, since 00:00 UTC.
    paid_today: NanoUsd,
    share: Used,
}

/// What all of them have used.
struct Usages {
    paid: Vec<ripcord_store::Paid>,
    used: Vec<ripcord_store::ClientUse>,
}

impl Usages {
    fn read(ledger: &SqliteLedger, now: Wall) -> Result<Self, LedgerError> {
        let day = next_day_reset(now).before(Duration::from_secs(86_400));
        let month = calendar_month(now).map_or(day, |(began, _)| began);
        Ok(Self {
            paid: ledger.paid_since(day.as_unix_micros())?,
            used: ledger.client_use(day.as_unix_micros(), month.as_unix_micros())?,
        })
    }

    fn of(&self, key: &ClientKey) -> Usage {
        let paid = self.paid.iter().filter(|paid| paid.client_key.as_ref() == Some(&key.name));
        let used = self.used.iter().find(|used| used.client_key == key.name);
        Usage {
            paid_today: paid.fold(NanoUsd::ZERO, |all, paid| all.plus(NanoUsd(paid.nano_usd))),
            share: used.map_or_else(Used::default, |used| Used {
                today_usd: NanoUsd(used.day_nano_usd),
                month_usd: NanoUsd(used.month_nano_usd),
                today_requests: used.day_requests,
            }),
        }
    }
}
