//! `ripcord keys`: who may call the gateway, and what each may spend.

use ripcord_rules::quota::Paygo;
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{
    AddKeyError, ClientKey, ClientKeys as _, ClientPaygo, ClientRules, LedgerError, SqliteLedger,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{KeyName, KeysAddArguments, KeysArguments, KeysCommand, Unknown, YesNo};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
use crate::{figures, ledger};

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

/// One client key, never the key itself.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyReport {
    /// Its name.
    name: String,
    /// Whether it is in force.
    in_force: bool,
    /// Whether the balance may pay for its calls: `as_account`, `never`, `allow`, `daily`. Never more than the account allows.
    paygo: &'static str,
    /// With `daily`: how many US dollars from 00:00 to 00:00 UTC.
    paygo_daily_usd: Option<f64>,
    /// What the balance paid, or may have paid, for its calls since 00:00 UTC, in US dollars, as the ledger has it.
    paid_today_usd: f64,
    /// Whether its interactive requests may use what is kept for interactive work.
    may_use_reserve: bool,
    /// The balance is not drawn below this for its calls, in US dollars; null for the account's own minimum.
    min_balance_usd: Option<f64>,
    /// What it does with an account whose figures are not known: `allow`, `refuse`.
    when_unknown: &'static str,
    /// When it was made, UTC.
    created_at: String,
    /// When it was revoked, UTC; null if it was not.
    revoked_at: Option<String>,
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
    let key = ClientKey {
        name: arguments.name.as_str().into(),
        digest: ClientKey::digest(&secret),
        rules: ClientRules {
            paygo: match arguments.paygo {
                None | Some(Paygo::ByPlan) => ClientPaygo::AsAccount,
                Some(Paygo::Never) => ClientPaygo::Never,
                Some(Paygo::Allow) => ClientPaygo::Allow,
                Some(Paygo::Daily(NanoUsd(amount))) => ClientPaygo::Daily(amount),
            },
            may_use_reserve: arguments.reserve == YesNo::Yes,
            min_balance_nano_usd: arguments.min_balance.map(|amount| amount.0),
            refuses_unknown: arguments.when_unknown == Unknown::Refuse,
            ..ClientRules::default()
        },
        created_at_unix_us: context.now().as_unix_micros(),
        expires_at_unix_us: None,
        revoked_at_unix_us: None,
    };
    let is_first = read(&ledger)?.is_empty();
    ledger.add_client_key(key.clone()).map_err(|error| not_added(&error))?;
    let report = KeyAddedReport {
        schema: "ripcord/key-added/1",
        key: KeyReport::of(&key, NanoUsd::ZERO),
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
        rules_in_words(&key.rules, None)
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

fn list(context: &Context) -> Result<Exit, CommandError> {
    // To look is no reason to make a ledger.
    let known = if ledger::path(&context.settings)?.exists() {
        let ledger = ledger::open(&context.settings)?;
        let midnight = ripcord_rules::quota::next_day_reset(context.now())
            .before(std::time::Duration::from_secs(86_400));
        let paid = ledger.paid_since(midnight.as_unix_micros()).map_err(unreadable)?;
        let paid_for = |key: &ClientKey| {
            let own = paid.iter().filter(|paid| paid.client_key.as_ref() == Some(&key.name));
            own.fold(NanoUsd::ZERO, |all, paid| all.plus(NanoUsd(paid.nano_usd)))
        };
        read(&ledger)?.into_iter().map(|key| (paid_for(&key), key)).collect()
    } else {
        Vec::new()
    };
    let report = KeysReport {
        schema: "ripcord/keys/1",
        required: !known.is_empty(),
        keys: known.iter().map(|(paid, key)| KeyReport::of(key, *paid)).collect(),
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
            Some(_) => CommandError::usage(format!("the client key `{name}` is in force"))
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
    let in_force = left.iter().filter(|key| key.revoked_at_unix_us.is_none()).count();
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

fn page(known: &[(NanoUsd, ClientKey)], context: &Context) -> Page {
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
    for (paid, key) in known {
        let line = match key.revoked_at_unix_us {
            None => Text::toned(Tone::Strong, &*key.name)
                .dim(format!(" · made {}", at(key.created_at_unix_us))),
            Some(revoked) => {
                page.line(Text::new().dim(format!("{} · revoked {}", key.name, at(revoked))));
                continue;
            }
        };
        page.line(line);
        page.paragraph_under(2, 2, Text::new().plain(rules_in_words(&key.rules, Some(*paid))));
    }
    page
}

/// Who pays, and what else holds.
fn rules_apart(rules: &ClientRules, paid: Option<NanoUsd>) -> (String, String) {
    let pays = match (rules.paygo, paid) {
        (ClientPaygo::AsAccount | ClientPaygo::Allow, _) => "as the account allows".to_owned(),
        (ClientPaygo::Never, _) => "never".to_owned(),
        (ClientPaygo::Daily(bound), None) => format!("up to {} a day", NanoUsd(bound)),
        (ClientPaygo::Daily(bound), Some(paid)) => {
            format!("up to {} a day, {paid} today", NanoUsd(bound))
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
    (pays, also.join(", "))
}

fn rules_in_words(rules: &ClientRules, paid: Option<NanoUsd>) -> String {
    let (pays, also) = rules_apart(rules, paid);
    let pays = match rules.paygo {
        ClientPaygo::Never => "the balance never pays for it".to_owned(),
        _ => format!("the balance pays {pays}"),
    };
    if also.is_empty() { pays } else { format!("{pays}; {also}") }
}

// === impl KeyReport ===

impl KeyReport {
    fn of(key: &ClientKey, paid: NanoUsd) -> Self {
        let utc = |micros| moment::utc(Wall::from_unix_micros(micros));
        let (paygo, daily) = match key.rules.paygo {
            ClientPaygo::AsAccount => ("as_account", None),
            ClientPaygo::Never => ("never", None),
            ClientPaygo::Allow => ("allow", None),
            ClientPaygo::Daily(bound) => ("daily", Some(figures::usd(NanoUsd(bound)))),
        };
        Self {
            name: key.name.to_string(),
            in_force: key.revoked_at_unix_us.is_none(),
            paygo,
            paygo_daily_usd: daily,
            paid_today_usd: figures::usd(paid),
            may_use_reserve: key.rules.may_use_reserve,
            min_balance_usd: key.rules.min_balance_nano_usd.map(|usd| figures::usd(NanoUsd(usd))),
            when_unknown: if key.rules.refuses_unknown { "refuse" } else { "allow" },
            created_at: utc(key.created_at_unix_us),
            revoked_at: key.revoked_at_unix_us.map(utc),
        }
    }
}
