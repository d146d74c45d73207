//! `ripcord demo`: an emulated Chutes, the gateway before it and some clients, in one process. Needs no key, no network
//! and no configuration, and writes nothing.
//!
//! | file | holds |
//! |---|---|
//! | `demo/scenario.rs` | accounts, models, and when what is to happen |
//! | `demo/traffic.rs` | the clients, and who makes things go wrong |
//! | `demo/client.rs` | one call over HTTP and what the client could tell of it |
//! | `demo/tap.rs` | the ledger, whose rows are watched |
//! | `demo/sight.rs` | the gateway's report beside the emulator's books, at one moment |
//! | `demo/story.rs`, `demo/crowd.rs` | what was seen, in words |
//! | `demo/panel.rs` | the screen |
//! | `demo/summary.rs` | what it came to, and how to try it |

mod client;
mod crowd;
mod panel;
mod scenario;
mod sight;
mod story;
mod summary;
mod tap;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chutes_emulator::{Control, Emulator, Running};
use ripcord_client::endpoints::{BaseUrl, Endpoints, PlainHttp, Service};
use ripcord_client::transport::{Transport, TransportSettings};
use ripcord_gateway::{Config, Gateway, Limits, RoutingConfig, StartError, WatchConfig};
use ripcord_rules::admit::PaceRule;
use ripcord_rules::quota::BookSettings;
use ripcord_store::{MemoryCoordination, Row};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use crate::args::DemoArguments;
use crate::clock::{Clock, Stopwatch};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::number::counted;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, Printer};
use crate::settings::environment::{Environment as _, ProcessEnvironment, variables};
use client::{Answer, Caller};
use panel::{Pace, Screen};
use scenario::Script;
use sight::Sight;
use story::Story;
use tap::Tap;
use traffic::Desk;

/// Where it listens unless told otherwise.
const USUAL_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);
/// From one look to the next.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// The traffic goes on this long beyond its time if something has not happened yet, on a machine that is slow.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what is under way when the traffic ends; a retry may wait for some seconds.
const LAST_CALLS: Duration = Duration::from_secs(30);

/// Runs the demonstration.
pub(crate) fn run(arguments: &DemoArguments, printer: &Printer) -> Result<Exit, CommandError> {
    let script = Script::new(arguments.seconds);
    let emulator = Emulator::start_on_thread(script.scenario()?).map_err(could_not)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(could_not)?;
    runtime.block_on(perform(arguments, script, &emulator, printer))
}

async fn perform(
    arguments: &DemoArguments,
    script: Script,
    emulator: &Running,
    printer: &Printer,
) -> Result<Exit, CommandError> {
    let mut signals = Signals::listen()?;
    let (tap, rows) = Tap::new();
    let (gateway, moved) = open(arguments.listen, emulator, Arc::new(tap)).await?;
    let (answers, heard) = unbounded_channel();
    let caller = caller(gateway.address())?;
    let desk = Arc::new(Desk {
        caller: caller.clone(),
        control: emulator.control(),
        answers,
        numbers: AtomicU64::new(0),
    });
    let mut stage = Stage {
        screen: Screen::new(printer, is_live(printer)),
        story: Story::default(),
        pace: Pace::default(),
        caller,
        control: emulator.control(),
        rows,
        heard,
        watch: Clock::System.stopwatch(),
        guests: false,
    };
    stage.introduce(gateway.address(), moved, script).await?;
    let outcome = tokio::select! {
        outcome = stage.play(&desk, script) => outcome.map(|()| true),
        () = signals.told() => Ok(false),
    };
    let played = outcome?;
    stage.conclude().await?;
    if played && !arguments.once {
        stage.say(&summary::invitation(gateway.address()))?;
        tokio::select! {
            outcome = stage.stay() => outcome?,
            () = signals.told() => {}
        }
    }
    drop(stage);
    if gateway.slots_in_use() > 0 {
        printer
            .talk(Text::new().plain("finishing what is under way … (once more to stop at once)"));
    }
    // Whoever asks twice does not want to wait for the calls under way.
    tokio::select! {
        () = gateway.shutdown() => {}
        () = signals.told() => {}
    }
    Ok(Exit::Done)
}

/// The gateway on the usual port or, if that is taken, on another; and whether it had to move.
async fn open(
    listen: Option<SocketAddr>,
    emulator: &Running,
    ledger: Arc<Tap>,
) -> Result<(Gateway, bool), CommandError> {
    let url = emulator.url();
    let endpoints = Endpoints::from_urls(Some(&url), Some(&url), None, PlainHttp::LoopbackOnly)
        .map_err(could_not)?;
    let config = Config {
        listen: listen.unwrap_or(USUAL_ADDRESS),
        admin_token: None,
        endpoints,
        accounts: scenario::accounts()?,
        limits: Limits {
            drain: Duration::from_secs(5),
            // Here a minute has room for what takes hours.
            pace: PaceRule::Off,
            ..Limits::default()
        },
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        quota_refresh_interval: scenario::FIGURES_EVERY,
        book: BookSettings { figures_lag: scenario::FIGURES_LAG, ..BookSettings::default() },
        watch: WatchConfig::default(),
        routing: RoutingConfig::default(),
    };
    // Nothing of it is real, so it takes no slot of the machine.
    let slots = MemoryCoordination::default();
    match Gateway::start(config.clone(), Arc::clone(&ledger) as _, &slots).await {
        Ok(gateway) => Ok((gateway, false)),
        Err(StartError::AddressInUse(_)) if listen.is_none() => {
            let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let config = Config { listen: anywhere, ..config };
            let gateway = Gateway::start(config, ledger as _, &slots).await.map_err(could_not)?;
            Ok((gateway, true))
        }
        Err(error) => Err(CommandError::usage(error.to_string())),
    }
}

fn caller(gateway: SocketAddr) -> Result<Caller, CommandError> {
    let transport = Transport::new(TransportSettings::default());
    let base = BaseUrl::parse(Service::Llm, &format!("http://{gateway}"), PlainHttp::LoopbackOnly)
        .map_err(could_not)?;
    let target = transport.target(&base).map_err(could_not)?;
    Ok(Caller::new(transport, target))
}

/// Whether somebody looks, at a terminal that can move its cursor.
fn is_live(printer: &Printer) -> bool {
    let dumb = ProcessEnvironment.get(variables::TERM).is_none_or(|term| term == "dumb");
    printer.device().terminal && !dumb
}

fn could_not(problem: impl std::fmt::Display) -> CommandError {
    CommandError::unknown(format!("could not start: {problem}"))
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

// === impl Signals ===

impl Signals {
    fn listen() -> Result<Self, CommandError> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(could_not)?,
            terminate: signal(SignalKind::terminate()).map_err(could_not)?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Everything that is watched, and the screen on which it is shown.
struct Stage<'a> {
    screen: Screen<'a>,
    story: Story,
    pace: Pace,
    caller: Caller,
    control: Control,
    rows: UnboundedReceiver<Row>,
    heard: UnboundedReceiver<Answer>,
    watch: Stopwatch,
    /// Whether requests that nobody here made are told about.
    guests: bool,
}

// === impl Stage ===

impl Stage<'_> {
    /// Who is there, once the gateway knows it.
    async fn introduce(
        &mut self,
        address: SocketAddr,
        moved: bool,
        script: Script,
    ) -> Result<(), CommandError> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let sight = loop {
            if let Some(sight) = Sight::take(&self.caller, &self.control).await {
                break sight;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOKS_EVERY / 5) => {}
                () = &mut patience => {
                    return Err(CommandError::unknown("the gateway does not read its accounts"));
                }
            }
        };
        let mut page = Page::new();
        page.line(
            Text::toned(Tone::Strong, "ripcord demo")
                .plain(": an emulated Chutes, the gateway before it, and some clients."),
        );
        page.line(Text::new().dim("No key, no network, nothing is written.")).gap();
        let fact = |page: &mut Page, title: &str, text: Text| {
            let title = Text::new().dim(format!("  {title}")).padded_right(12);
            page.line(title.append(text));
        };
        let base = format!("http://{address}/v1");
        fact(&mut page, "gateway", Text::toned(Tone::Strong, base));
        if moved {
            let taken = format!("port {} is taken, so this is another", USUAL_ADDRESS.port());
            fact(&mut page, "", Text::new().dim(taken));
        }
        for (place, account) in sight.accounts.iter().enumerate() {
            let keys = counted(account.truth.keys.len() as u64, "key", "keys");
            let mut text = Text::toned(Tone::Strong, account.label.as_str()).plain(format!(
                " ({}, {keys}, balance {})",
                account.plan_name(),
                account.balance()
            ));
            if let Some(gauge) = &account.gauge {
                text = text.plain(format!(": {} used", gauge.share()));
            }
            fact(&mut page, if place == 0 { "accounts" } else { "" }, text);
        }
        let length =
            Text::from(format!("{} s; only what matters gets a line", script.length().as_secs()));
        fact(&mut page, "traffic", length);
        page.gap();
        self.watch = Clock::System.stopwatch();
        self.say(&page)?;
        self.story.sight(Duration::ZERO, sight);
        Ok(())
    }

    /// The traffic, until its time is over and every call has ended.
    async fn play(&mut self, desk: &Arc<Desk>, script: Script) -> Result<(), CommandError> {
        let (stop, stopped) = watch::channel(false);
        let mut everybody = traffic::start(desk, script, &stopped);
        self.until(|stage| {
            let over = stage.watch.elapsed().saturating_sub(script.length());
            !over.is_zero() && (stage.story.is_complete() || over >= PATIENCE)
        })
        .await?;
        let _ = stop.send(true);
        let ended = self.watch.elapsed();
        self.until(|stage| {
            while everybody.try_join_next().is_some() {}
            everybody.is_empty() || stage.watch.elapsed() >= ended + LAST_CALLS
        })
        .await
    }

    /// Looks on until `done`.
    async fn until(&mut self, mut done: impl FnMut(&Self) -> bool) -> Result<(), CommandError> {
        let mut ticks = tokio::time::interval(LOOKS_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await?;
            if done(self) {
                return Ok(());
            }
        }
    }

    /// Takes in everything that is new, and shows it.
    async fn look(&mut self) -> Result<(), CommandError> {
        let sight = Sight::take(&self.caller, &self.control).await;
        let at = self.watch.elapsed();
        while let Ok(answer) = self.heard.try_recv() {
            self.story.answer(at, answer);
        }
        while let Ok(row) = self.rows.try_recv() {
            if let Row::Request(request) = &row {
                self.pace.ended(at);
                if self.guests {
                    self.story.visitor(at, request);
                }
            }
            self.story.row(at, row);
        }
        if let Some(sight) = sight {
            self.story.sight(at, sight);
        }
        self.story.check(at, &self.control);
        self.say(&Page::new())
    }

    /// What stays on the screen, after the lines that the story has.
    fn say(&mut self, page: &Page) -> Result<(), CommandError> {
        let at = self.watch.elapsed();
        let lines = panel::story(self.story.take_lines(), self.screen.width());
        let panel = match self.story.now() {
            Some(now) => panel::panel(now, self.story.first(), &mut self.pace, at),
            None => Vec::new(),
        };
        self.screen.show(&[&lines, page], &panel)
    }

    /// What it came to.
    async fn conclude(&mut self) -> Result<(), CommandError> {
        self.look().await?;
        let took = self.watch.elapsed();
        self.guests = true;
        let Some(now) = self.story.now() else { return Ok(()) };
        let page = summary::summary(&self.story, now, took, self.screen.width());
        self.say(&page)
    }

    /// Shows what others do, for as long as they like.
    async fn stay(&mut self) -> Result<(), CommandError> {
        self.until(|_| false).await
    }
}
