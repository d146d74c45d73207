//! `ripcord serve`: the gateway, until it is told to stop.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use ripcord_gateway::{
    AccountConfig, AdminToken, Config, Gateway, Limits, Notice, StartError, Subscription,
    WatchConfig,
};
use ripcord_rules::quota::{BookSettings, Work};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::accounts::Account;
use crate::args::ServeArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::hooks::{Hooks, Tell};
use crate::ledger;
use crate::printer::text::{Text, Tone};
use crate::settings::document::Problem;
use crate::settings::origin::Origin;
use crate::settings::providers::ProviderSettings;
use crate::slots;
use crate::upstream::{self, Upstream};

/// The one line that `ripcord serve --json` prints, as soon as clients may call.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ServeReport {
    #[schemars(extend("const" = "ripcord/serve/1"))]
    schema: &'static str,
    /// Where it listens, with the port that was taken.
    address: String,
    /// What to set as a client's base URL.
    base_url: String,
    /// Where its state is told.
    status_url: String,
    /// The accounts it uses.
    accounts: Vec<ServedAccount>,
    /// The names that stand for several models, and the models that have others behind them.
    chains: Vec<String>,
    /// The services besides Chutes.
    providers: Vec<ServedProvider>,
    /// Whether callers need a client key (`ripcord keys`); otherwise any text will do.
    wants_client_key: bool,
    /// Whether other machines can reach it; then `/-/status` and its like want the admin token from there.
    beyond_this_machine: bool,
    /// The file in which it keeps what happened.
    ledger: String,
}

/// An account and its keys.
#[derive(Debug, Serialize, JsonSchema)]
struct ServedAccount {
    /// What headers, records and metrics call it.
    account: String,
    /// The beginnings of its keys.
    keys: Vec<String>,
}

/// A service besides Chutes.
#[derive(Debug, Serialize, JsonSchema)]
struct ServedProvider {
    /// What headers, records and metrics call it.
    provider: String,
    /// Its address.
    base_url: String,
    /// `behind` Chutes or `before` it.
    place: &'static str,
}

/// Runs the gateway.
pub(crate) fn run(arguments: &ServeArguments, context: &Context) -> Result<Exit, CommandError> {
    let ledger = Arc::new(ledger::open(&context.settings)?);
    let machine = slots::open("serve", context)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|problem| CommandError::unknown(format!("could not start: {problem}")))?;
    runtime.block_on(async {
        let upstream = Upstream::new(context)?;
        let accounts = upstream.identified(context.roster().usable()?, context).await;
        let config = config(arguments, &accounts, context)?;
        let accounts = introduce(&config);
        let gateway = Gateway::start(config, Arc::clone(&ledger) as _, &machine)
            .await
            .map_err(|error| explain(&error))?;
        // Before anybody can know that it runs, and so stop it.
        let mut signals = Signals::listen()?;
        let hooks = Hooks::start(&context.settings, context.clock, &hook_trouble())?;
        greet(&report(&gateway, accounts, ledger.path(), context), context)?;
        let mut events = gateway.events();
        let mut telling = Box::pin(tell_hooks(&mut events, &hooks));
        tokio::select! {
            () = signals.next() => {}
            () = &mut telling => signals.next().await,
        }
        drop(telling);
        // What is under way is finished, which may take a moment, so say so.
        let talk = |text: &'static str| context.printer.talk(Text::new().plain(text));
        talk("finishing what is under way … (once more to stop at once)");
        let abort = gateway.abort_handle();
        let mut shutdown = pin!(gateway.shutdown());
        tokio::select! {
            () = &mut shutdown => talk("stopped"),
            () = signals.next() => {
                abort.abort();
                shutdown.await;
                talk("stopped; what was under way is cut off");
            }
        }
        hooks.finish().await;
        Ok(Exit::Done)
    })
}

/// Tells the hooks of what changes.
async fn tell_hooks(events: &mut Subscription, hooks: &Hooks) {
    while let Some(notice) = events.next().await {
        match notice {
            Notice::Event(event) => hooks.tell(&event),
            Notice::Missed(missed) => tracing::warn!(missed, "events came too fast for the hooks"),
        }
    }
}

/// Trouble with a hook goes into the log.
fn hook_trouble() -> Tell {
    Arc::new(|text| tracing::warn!(text, "hook"))
}

/// The gateway's configuration from the settings.
fn config(
    arguments: &ServeArguments,
    accounts: &[Account],
    context: &Context,
) -> Result<Config, CommandError> {
    let settings = &context.settings;
    let gateway = &settings.gateway;
    let count = |figure: u64| usize::try_from(figure).unwrap_or(usize::MAX);
    Ok(Config {
        listen: arguments.listen.unwrap_or(gateway.listen.value),
        admin_token: admin_token(context)?,
        endpoints: upstream::endpoints(settings)?,
        accounts: accounts
            .iter()
            .map(|account| AccountConfig {
                label: label(account),
                keys: account.keys.clone(),
                paygo: account.policy.paygo,
                when_unknown: account.when_unknown,
                spending: account.policy_for(Work::Background),
            })
            .collect(),
        limits: Limits {
            slots_per_account: u32::try_from(gateway.slots_per_account.value).unwrap_or(u32::MAX),
            pace: gateway.pace.value,
            queue: count(gateway.queue.value),
            body_bytes: count(gateway.body_mib.value) << 20,
            interactive_deadline: gateway.interactive_deadline.value,
            agent_deadline: gateway.agent_deadline.value,
            first_token: gateway.first_token.value,
            plain_answer: gateway.plain_answer.value,
            stall: gateway.stall.value,
            connect: settings.limits.connect.value,
            heartbeat: gateway.heartbeat.value,
            drain: gateway.drain.value,
            ..Limits::default()
        },
        allowed_hosts: gateway.allowed_hosts.value.clone(),
        allowed_origins: gateway.allowed_origins.value.clone(),
        quota_refresh_interval: settings.chutes.refresh.value,
        book: BookSettings::default(),
        watch: WatchConfig {
            settings: settings.events.watch(),
            models: settings.models.watch.value.clone(),
            models_refresh_interval: settings.chutes.refresh.value,
        },
        routing: settings.routing.config(&settings.chains, &settings.providers).map_err(
            |Problem { place, message, hint }| {
                let error = CommandError::usage(format!("{place}: {message}"));
                hint.into_iter().fold(error, CommandError::hint)
            },
        )?,
    })
}

fn admin_token(context: &Context) -> Result<Option<AdminToken>, CommandError> {
    match &context.settings.admin_token {
        None => Ok(None),
        Some(Ok(token)) => Ok(Some(token.clone())),
        Some(Err(problem)) => {
            let told = CommandError::usage(problem.to_string());
            Err(match &problem.hint {
                Some(hint) => told.hint(hint.clone()),
                None => told,
            })
        }
    }
}

/// What headers, records and metrics call the account: its name, else the beginning of its user id, which stays when
/// keys change, and which `--account` takes too.
pub(crate) fn label(account: &Account) -> String {
    match (&account.name, &account.id) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => id.as_str().chars().take(8).collect(),
        (None, None) => account.label().trim_end_matches('…').to_owned(),
    }
}

fn explain(error: &StartError) -> CommandError {
    let told = CommandError::usage(error.to_string());
    match error {
        StartError::AddressInUse(_) => {
            told.hint("`--listen 127.0.0.1:0` takes a free port and says which")
        }
        StartError::NoClientKeys(_) => told
            .hint("make a key for each client first: ripcord keys add NAME")
            .hint("docs/guide/sharing.md has the whole way"),
        StartError::NoAdminToken(_) => told
            .hint(
                "make one with: openssl rand -hex 32; then set RIPCORD_ADMIN_TOKEN, or write `admin_token = \"file:PATH\"` \
                 below [gateway]",
            )
            .hint("docs/guide/sharing.md has the whole way"),
        _ => told,
    }
}

/// What the accounts are called and which keys they have.
fn introduce(config: &Config) -> Vec<ServedAccount> {
    let served = |account: &AccountConfig| ServedAccount {
        account: account.label.clone(),
        keys: account.keys.iter().map(ToString::to_string).collect(),
    };
    config.accounts.iter().map(served).collect()
}

fn report(
    gateway: &Gateway,
    accounts: Vec<ServedAccount>,
    ledger: &Path,
    context: &Context,
) -> ServeReport {
    let address = gateway.address();
    let provider = |provider: &ProviderSettings| ServedProvider {
        provider: provider.name.value.clone(),
        base_url: provider.base_url.value.to_string(),
        place: provider.place_word(),
    };
    ServeReport {
        schema: "ripcord/serve/1",
        address: address.to_string(),
        base_url: format!("http://{address}/v1"),
        status_url: format!("http://{address}/-/status"),
        accounts,
        chains: context.settings.chains.iter().map(|chain| chain.name.value.clone()).collect(),
        providers: context.settings.providers.iter().map(provider).collect(),
        wants_client_key: gateway.wants_client_key(),
        beyond_this_machine: !address.ip().to_canonical().is_loopback(),
        ledger: ledger.display().to_string(),
    }
}

/// Says where it listens: to a person on stderr, or to a script as one line of JSON on stdout.
fn greet(report: &ServeReport, context: &Context) -> Result<(), CommandError> {
    if context.printer.speaks_json() {
        return context.printer.json_line(report);
    }
    let line = |name: &str, value: String| {
        context.printer.talk(Text::new().dim(format!("  {name:<10}")).plain(value));
    };
    context.printer.talk(
        Text::new()
            .plain("ripcord is listening on ")
            .then(Tone::Strong, format!("http://{}", report.address)),
    );
    let key = if report.wants_client_key {
        "with a client key of `ripcord keys` as the client's API key"
    } else {
        "any text will do as the client's API key"
    };
    line("base URL", format!("{}   ({key})", report.base_url));
    let accounts: Vec<String> = report
        .accounts
        .iter()
        .map(|served| format!("{} ({})", served.account, served.keys.join(", ")))
        .collect();
    line("accounts", accounts.join(", "));
    for served in &report.providers {
        let ServedProvider { provider, base_url, place } = served;
        line("provider", format!("{provider} at {base_url}, {place} Chutes"));
    }
    if !report.chains.is_empty() {
        line("chains", report.chains.join(", "));
    }
    // An address that was set once and forgotten is hard to see otherwise.
    for url in [&context.settings.chutes.api_url, &context.settings.chutes.llm_url] {
        if url.origin != Origin::Default {
            let shown = ripcord_wire::text::clean(&url.value, 200);
            line("Chutes at", format!("{shown}   (from {})", url.origin));
        }
    }
    line("status", report.status_url.clone());
    line("ledger", report.ledger.clone());
    if report.beyond_this_machine {
        context.printer.warn(
            "other machines can reach this gateway, and what they send and get is not encrypted: put a proxy with TLS or a \
             VPN before it where the network is not your own",
        );
    }
    Ok(())
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CommandError::unknown(format!("cannot listen for signals: {error}"))
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
