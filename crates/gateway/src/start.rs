//! Starting and stopping.

use crate::accounts::Account;
use crate::accounts::service::Services;
use crate::admin::models;
use crate::bearers::Bearers;
use crate::callers::Callers;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::{Config, provider_tag, slot_tag};
use crate::driver::gate::GateDriver;
use crate::driver::{client_keys, snapshots, terms, utilization};
use crate::events::{self, Begin, Events, Subscription};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::routing::Routing;
use crate::server;
use crate::shared::{FIGURES_LAG, Shared};
use parking_lot::Mutex;
use ripcord_client::transport::{Transport, TransportError, TransportSettings};
use ripcord_rules::admit::AccountLimits;
use ripcord_rules::quota::{BurnSpan, CallCost};
use ripcord_rules::recover::RestBook;
use ripcord_rules::time::Wall;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use ripcord_store::{Coordination, CoordinationError, Ledger, LedgerError, Spent};
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nobody to serve a request.
    #[error(
        "no account is configured; set CHUTES_API_KEY or add [[accounts]] to the configuration"
    )]
    NoAccount,
    /// An account without a key.
    #[error("account `{0}` has no key")]
    NoKey(String),
    /// Others could reach it, and it has no client keys.
    #[error(
        "will not listen on {0}: without client keys anyone who can reach it could spend your quota"
    )]
    NoClientKeys(SocketAddr),
    /// Others could reach it, and it has no admin token.
    #[error(
        "will not listen on {0} without an admin token, which opens what is only for those who run the gateway"
    )]
    NoAdminToken(SocketAddr),
    /// The port is taken.
    #[error(
        "{0} is in use by another program, perhaps another `ripcord serve`; choose another port with --listen"
    )]
    AddressInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// An upstream address cannot be used.
    #[error("cannot use the address of Chutes: {0}")]
    Target(#[from] TransportError),
    /// Who may call is not known.
    #[error("client keys: {0}")]
    ClientKeys(#[from] LedgerError),
    /// Slots cannot be shared with the other programs of the machine.
    #[error("slots of the machine: {0}")]
    Slots(#[from] CoordinationError),
}

/// A running gateway. [`Gateway::shutdown`] drains it; dropping it stops it at once.
pub struct Gateway {
    address: SocketAddr,
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    shared: Arc<Shared>,
}

/// Cuts the drain of a [`Gateway`] short.
#[derive(Clone, Debug)]
pub struct AbortHandle(CancellationToken);

impl AbortHandle {
    /// Ends at once whatever is under way; [`Gateway::shutdown`] then only writes the ledger out.
    pub fn abort(&self) {
        self.0.cancel();
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Listens, and serves in the background. What it does goes into the ledger; slots are shared with whoever else uses
    /// the same coordination.
    ///
    /// # Errors
    /// When the configuration or the machine does not allow it; see [`StartError`].
    pub async fn start(
        config: Config,
        ledger: Arc<dyn Ledger>,
        coordination: &dyn Coordination,
    ) -> Result<Self, StartError> {
        if config.accounts.is_empty() {
            return Err(StartError::NoAccount);
        }
        if let Some(account) = config.accounts.iter().find(|account| account.keys.is_empty()) {
            return Err(StartError::NoKey(account.label.clone()));
        }
        let is_reachable = config.is_reachable();
        if is_reachable && config.admin_token.is_none() {
            return Err(StartError::NoAdminToken(config.listen));
        }
        if is_reachable && ledger.client_keys()?.is_empty() {
            return Err(StartError::NoClientKeys(config.listen));
        }
        let listener = listen(config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|error| StartError::Listen { address: config.listen, error })?;
        let clock = Arc::new(Clock::start());
        let shared = Self::shared(&config, clock, ledger, coordination)?;
        client_keys::begin(&shared)?;
        remember(&shared).await;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        (0..shared.accounts.len()).for_each(|account| shared.apply_budget(account));
        tasks.spawn(snapshots::run(
            Arc::clone(&shared),
            config.endpoints.clone(),
            config.quota_refresh_interval,
            stop.clone(),
        ));
        tasks.spawn(terms::run(Arc::clone(&shared), config.endpoints.clone(), stop.clone()));
        tasks.spawn(client_keys::run(Arc::clone(&shared), stop.clone()));
        tasks.spawn(read_catalogue(Arc::clone(&shared), stop.clone()));
        tasks.spawn(utilization::run(
            Arc::clone(&shared),
            config.endpoints.clone(),
            config.watch.clone(),
            stop.clone(),
        ));
        tasks.spawn(events::run(Arc::clone(&shared), stop.clone()));
        let callers = Arc::new(callers(&config));
        let abort = CancellationToken::new();
        // Those who wait in the queue during the drain still have deadlines, and accounts still open.
        let drained = CancellationToken::new();
        tasks.spawn(Arc::clone(&shared.gate).run(drained.clone()));
        let serving =
            server::run(listener, Arc::clone(&shared), callers, stop.clone(), abort.clone());
        tasks.spawn(async move {
            let _ended = drained.drop_guard();
            serving.await;
        });
        tasks.close();
        Ok(Self { address, stop, abort, tasks, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether callers need a client key.
    #[must_use]
    pub fn wants_client_key(&self) -> bool {
        self.shared.bearers.wants_key()
    }

    /// Requests waiting for a slot.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.gate.queued()
    }

    /// Attempts under way on all accounts.
    #[must_use]
    pub fn slots_in_use(&self) -> u32 {
        (0..self.shared.accounts.len()).map(|account| self.shared.gate.in_use(account)).sum()
    }

    /// What changes, from the start of the gateway on as far as it is kept, until the gateway stops.
    #[must_use]
    pub fn events(&self) -> Subscription {
        self.shared.events.subscribe(Begin::Kept)
    }

    /// For cutting [`Self::shutdown`] short.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.abort.clone())
    }

    /// Takes no new requests, waits for those under way (at most the drain limit), and writes the ledger out. What is
    /// still under way at the drain limit is told so and ends. Dropping the future ends everything at once.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        let ledger = Arc::clone(&self.shared.ledger);
        let patience = Duration::from_secs(if self.abort.is_cancelled() { 1 } else { 5 });
        let flushed = tokio::task::spawn_blocking(move || ledger.flush(patience)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "at shutdown");
        }
    }

    pub(crate) fn shared(
        config: &Config,
        clock: Arc<Clock>,
        ledger: Arc<dyn Ledger>,
        coordination: &dyn Coordination,
    ) -> Result<Arc<Shared>, StartError> {
        let transport = Transport::new(TransportSettings::default());
        let limits = |slots| AccountLimits { slots, pace: config.limits.pace };
        let of_chutes = config.accounts.iter().map(|account| {
            let limits = limits(config.limits.slots_per_account);
            Ok((limits, coordination.slots(&slot_tag(&account.keys), limits.slots)?))
        });
        let of_providers = config.routing.providers.iter().map(|provider| {
            let limits = limits(provider.slots.unwrap_or(config.limits.slots_per_account));
            Ok((limits, coordination.slots(&provider_tag(provider), limits.slots)?))
        });
        let slots = of_chutes.chain(of_providers).collect::<Result<Vec<_>, StartError>>()?;
        let services = Services::new(&transport, &config.endpoints, &config.routing.providers)?;
        let accounts = Account::all(&services, config, trusted_for(config.quota_refresh_interval));
        Ok(Arc::new(Shared {
            gate: GateDriver::new(Arc::clone(&clock), config.limits.queue, slots),
            services,
            routing: Routing::new(&config.routing),
            stickiness: Mutex::default(),
            transport,
            closing: CancellationToken::new(),
            under_way: Arc::default(),
            clock,
            limits: config.limits,
            accounts,
            bearers: Bearers::new(config.is_reachable()),
            rests: Mutex::new(RestBook::new(config.limits.recovery.rests)),
            health: Health::new(
                config.limits.recovery,
                config.limits.first_token,
                (!config.watch.models.is_empty()).then_some(config.watch.models_refresh_interval),
            ),
            catalogue: Catalogue::default(),
            sizes: Mutex::default(),
            body_hasher: RandomState::new(),
            ledger,
            metrics: Metrics::new(),
            events: Events::new(config.watch.settings),
            listeners: Arc::new(Semaphore::new(crate::admin::events::LISTENERS)),
            stale: Notify::new(),
            stale_accounts: Mutex::default(),
        }))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abort.cancel();
    }
}

/// Three readings may fail before figures are no longer believed; the server's own lag is a minute.
fn trusted_for(refresh_interval: Duration) -> Duration {
    refresh_interval * 3 + FIGURES_LAG
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            StartError::AddressInUse(address)
        } else {
            StartError::Listen { address, error }
        }
    })
}

/// Own calls of the last day, from before this gateway began, count in the burn rates. Before anything is served, so that
/// none counts twice.
async fn remember(shared: &Arc<Shared>) {
    const STRETCH: Duration = Duration::from_secs(10);
    let now = shared.clock.now().wall;
    let since = now.before(BurnSpan::Day.length() + STRETCH);
    let ledger = Arc::clone(&shared.ledger);
    let read = tokio::task::spawn_blocking(move || {
        Ok::<_, LedgerError>((
            ledger.spent_since(since.as_unix_micros(), STRETCH)?,
            ledger.begins_at()?,
        ))
    });
    let (spent, begins_at) = match read.await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            tracing::warn!(%error, "burn rates begin with this run");
            (Vec::new(), None)
        }
        Err(_) => (Vec::new(), None),
    };
    for account in &shared.accounts {
        let own = spent.iter().filter(|spent| spent.account.as_deref() == Some(&*account.label));
        let calls: Vec<(Wall, CallCost)> = own.map(cost_of).collect();
        account.remember(&calls, begins_at.map(Wall::from_unix_micros));
    }
}

fn cost_of(spent: &Spent) -> (Wall, CallCost) {
    let units = i64::try_from(spent.attempts).unwrap_or(i64::MAX);
    let usd = (spent.unpriced == 0).then_some(NanoUsd(spent.list_price_nano_usd));
    (
        Wall::from_unix_micros(spent.from_unix_us),
        CallCost { units: MilliUnits::from_units(units), usd },
    )
}

/// Prices and names are wanted before somebody asks for the list.
async fn read_catalogue(shared: Arc<Shared>, stop: CancellationToken) {
    let read = async {
        loop {
            let pause = match models::refresh(&shared).await {
                Ok(_) => crate::catalogue::CATALOGUE_FRESH,
                Err(message) => {
                    tracing::debug!(message, "list of models");
                    Duration::from_secs(30)
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = read => {}
    }
}

fn callers(config: &Config) -> Callers {
    let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
    let listen = match config.listen {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    Callers {
        hosts: own
            .into_iter()
            .chain([listen])
            .chain(config.allowed_hosts.iter().cloned())
            .collect(),
        origins: config.allowed_origins.clone(),
        is_reachable: config.is_reachable(),
        admin_token: config.admin_token.clone(),
    }
}
