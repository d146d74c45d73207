//! `/-/status`: what the gateway knows and does, as JSON. Never a key, never a prompt.

use super::clients::ClientStatus;
use super::figures::{decimal, format_time, source_word, unit_word, usd};
use super::query;
use crate::accounts::Account;
use crate::accounts::budget::Budget;
use crate::bearers::Spender;
use crate::refusal::Refusal;
use crate::shared::Shared;
use bytes::Bytes;
use ripcord_rules::quota::{Aliases, Cap, Plan, Readable, Window};
use ripcord_rules::recover::Scope;
use ripcord_rules::time::Mono;
use serde::Serialize;

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    uptime_seconds: u64,
    now: String,
    server_clock_ahead_seconds: i64,
    requests_in_flight: i64,
    /// The ports that the requests under way come from, so that a program of this machine can be told by its sockets.
    calling_ports: Vec<u16>,
    queue: Queue,
    accounts: Vec<AccountStatus<'a>>,
    /// Whether callers need a client key.
    wants_client_key: bool,
    clients: Vec<ClientStatus>,
    models_resting: Vec<Resting>,
    /// Models that keep failing: only one request at a time tries them, until one works.
    models_failing: Vec<String>,
    models_listed: Option<usize>,
    ledger: LedgerStatus,
}

#[derive(Serialize)]
struct Queue {
    waiting: usize,
    places: usize,
    interactive: usize,
    agent: usize,
    batch: usize,
    /// Those that came first, or the one that was asked for.
    requests: Vec<QueuedRequest>,
}

#[derive(Serialize)]
struct QueuedRequest {
    request: String,
    priority: &'static str,
    /// How many are likely to go before.
    ahead: usize,
    waited_seconds: f64,
    /// How long it is likely to go on waiting; null while too little is known.
    likely_wait_seconds: Option<f64>,
}

/// The most requests in the queue that are shown.
const SHOWN: usize = 100;

#[derive(Serialize)]
struct AccountStatus<'a> {
    account: &'a str,
    /// `chutes`, or the provider.
    service: &'a str,
    plan: Option<&'static str>,
    /// `read`, `forbidden` (the key may not), `failed`, `not_read_yet`; `none` of a provider, which has no such figures.
    figures: &'static str,
    as_of: Option<String>,
    slots_in_use: u32,
    /// Those that any program of this machine holds, this one included.
    slots_held_on_machine: Option<usize>,
    slots: u32,
    /// Requests in the queue that it could serve.
    waiting: usize,
    /// Attempts that it may start in a minute; null while there is no bound.
    pace_per_minute: Option<f64>,
    /// `open`, `unguarded` (open, though nobody knows what is left), `not_read_yet`, `settling` (closed until it is known
    /// what calls under way cost), `closed`.
    budget: &'static str,
    /// When it takes requests again; null if it does now, or if nobody knows.
    opens_at: Option<String>,
    /// Why it rests.
    resting_because: Option<&'static str>,
    keys: Vec<KeyStatus<'a>>,
    windows: Vec<WindowStatus>,
    balance_usd: Option<f64>,
    /// Its own prices and discounts; null while they have not been read, and then the list prices count.
    own_prices: Option<usize>,
    /// Its own names for models; null likewise.
    own_names: Option<usize>,
}

#[derive(Serialize)]
struct KeyStatus<'a> {
    key: &'a str,
    /// `ok` or `quarantined`.
    state: &'static str,
    until: Option<String>,
}

#[derive(Serialize)]
struct WindowStatus {
    window: &'static str,
    unit: &'static str,
    used: Option<f64>,
    cap: Option<f64>,
    uncapped: bool,
    used_percent: Option<f64>,
    resets_at: Option<String>,
    as_of: String,
    source: &'static str,
    /// The most that may be used by now: own calls that the figure may lack and room for others included. What the next
    /// call is decided by.
    used_at_most: Option<f64>,
    /// What others use of it; null while fewer than two figures of it were read.
    others: Option<OthersStatus>,
}

#[derive(Serialize)]
struct OthersStatus {
    /// At most this much, since the first figure of the window that was read.
    used: f64,
    since: String,
    until: String,
}

#[derive(Serialize)]
struct Resting {
    model: String,
    because: &'static str,
    until: String,
}

#[derive(Serialize)]
struct LedgerStatus {
    rows_queued: u64,
    rows_kept: u64,
    rows_lost: u64,
    problem: Option<String>,
}

/// The report as JSON, for work of the priority that the query names.
pub(crate) fn report(shared: &Shared, query: Option<&str>) -> Result<Bytes, Refusal> {
    let parameters = query::read(query, &["priority", "request"])?;
    let parameter =
        |name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let priority = query::priority(parameter("priority"))?;
    let now = shared.clock.now();
    let wall_of = |mono: Mono| format_time(now.wall.after(mono.since(now.mono)));
    let rests = shared.rests.lock();
    let anyone = Spender::new(shared.bearers.anyone().bearer, priority.work());
    let models_resting = rests
        .in_force(now.mono)
        .filter_map(|(scope, rest)| match scope {
            Scope::Model(model) => Some(Resting {
                model: model.clone(),
                because: rest.cause.name(),
                until: wall_of(rest.until),
            }),
            Scope::Edge | Scope::Account(_) | Scope::Key(_) | Scope::AccountModel(..) => None,
        })
        .collect();
    let accounts = shared.accounts.iter().enumerate().map(|(index, account)| {
        let snapshot = account.snapshot();
        let terms = account.pricing.terms();
        let ahead = account.predicted(now.wall).map(|ahead| ahead.windows).unwrap_or_default();
        let standing = account.standing(&anyone, None, now.wall);
        let windows = snapshot
            .as_ref()
            .map(|snapshot| snapshot.windows_at(None, now.wall))
            .unwrap_or_default();
        AccountStatus {
            account: &account.label,
            service: &account.service.label,
            plan: snapshot.as_ref().and_then(|snapshot| snapshot.plan).map(Plan::code),
            figures: match snapshot.as_ref().map(|snapshot| snapshot.readable) {
                None if !account.service.is_chutes() => "none",
                None => "not_read_yet",
                Some(Readable::Yes) => "read",
                Some(Readable::Forbidden) => "forbidden",
                Some(Readable::Failed) => "failed",
            },
            as_of: snapshot.as_ref().map(|snapshot| format_time(snapshot.as_of)),
            slots_in_use: shared.gate.in_use(index),
            slots_held_on_machine: shared.gate.held_on_machine(index),
            slots: shared.gate.slots(index),
            waiting: shared.gate.queued_for(index),
            pace_per_minute: shared
                .gate
                .pace_per_thousand_minutes(index)
                .map(|pace| pace as f64 / 1_000.0),
            budget: match (standing.budget, standing.may_settle) {
                (Budget::Open(_), _) => "open",
                (Budget::Unguarded, _) => "unguarded",
                (Budget::NotReadYet, _) => "not_read_yet",
                (Budget::Closed(_) | Budget::TooDear(_), true) => "settling",
                (Budget::Closed(_) | Budget::TooDear(_), false) => "closed",
            },
            opens_at: shared
                .gate
                .opens_at(index, anyone.class(), now.mono)
                .filter(|&opens| opens > now.mono)
                .map(wall_of),
            resting_because: account.resting(now.mono).map(|rest| rest.cause.name()),
            keys: account
                .keys
                .iter()
                .map(|key| {
                    let until =
                        rests.resting(&Scope::Key(key.number), now.mono).map(|rest| rest.until);
                    KeyStatus {
                        key: &key.label,
                        state: if until.is_some() { "quarantined" } else { "ok" },
                        until: until.map(wall_of),
                    }
                })
                .collect(),
            windows: windows
                .iter()
                .map(|window| WindowStatus::of(window, account, &ahead))
                .collect(),
            balance_usd: snapshot.and_then(|snapshot| snapshot.balance).map(usd),
            own_prices: terms.prices.own_count(),
            own_names: terms.aliases.as_ref().map(Aliases::len),
        }
    });
    let bearers = shared.bearers.with_keys();
    let clients = bearers.iter().map(|bearer| ClientStatus::of(bearer, now.wall));
    let health = shared.ledger.health();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: now.mono.as_micros() / 1_000_000,
        now: format_time(now.wall),
        server_clock_ahead_seconds: shared.clock.server_ahead_seconds(),
        requests_in_flight: shared.metrics.requests_in_flight.get(),
        calling_ports: shared.under_way.ports(),
        queue: Queue::of(shared, parameter("request"), now.mono),
        accounts: accounts.collect(),
        wants_client_key: shared.bearers.wants_key(),
        clients: clients.collect(),
        models_resting,
        models_failing: shared.health.failing_models(),
        models_listed: shared.catalogue.listing().map(|listing| listing.count()),
        ledger: LedgerStatus {
            rows_queued: health.rows_queued,
            rows_kept: health.rows_kept,
            rows_lost: health.rows_lost,
            problem: health.problem.map(|problem| problem.kind.to_string()),
        },
    };
    // Plain values always serialise.
    Ok(serde_json::to_vec_pretty(&status).unwrap_or_default().into())
}

impl Queue {
    fn of(shared: &Shared, request: Option<&str>, now: Mono) -> Self {
        let [interactive, agent, batch] = shared.gate.queued_by_priority();
        let requests = shared.gate.queue(SHOWN, request).into_iter().map(|queued| QueuedRequest {
            request: queued.request.to_string(),
            priority: queued.priority.name(),
            ahead: queued.stands.ahead,
            waited_seconds: now.since(queued.stands.since).as_secs_f64(),
            likely_wait_seconds: queued.stands.wait.map(|wait| wait.as_secs_f64()),
        });
        Self {
            waiting: interactive + agent + batch,
            places: shared.limits.queue,
            interactive,
            agent,
            batch,
            requests: requests.collect(),
        }
    }
}

impl WindowStatus {
    fn of(window: &Window, account: &Account, ahead: &[Window]) -> Self {
        let ahead = ahead.iter().find(|ahead| ahead.kind == window.kind);
        let others = account.foreign(window.kind).map(|others| OthersStatus {
            used: decimal(window.unit, others.used),
            since: format_time(others.since),
            until: format_time(others.until),
        });
        Self {
            used_at_most: ahead.and_then(|ahead| Some(decimal(window.unit, ahead.used?))),
            others,
            window: window.kind.name(),
            unit: unit_word(window.unit),
            used: window.used.map(|used| decimal(window.unit, used)),
            cap: match window.cap {
                Cap::Limited(cap) => Some(decimal(window.unit, cap)),
                Cap::Uncapped | Cap::Unknown => None,
            },
            uncapped: window.cap == Cap::Uncapped,
            used_percent: window.used_permille().map(|permille| permille as f64 / 10.0),
            resets_at: window.resets_at.map(format_time),
            as_of: format_time(window.as_of),
            source: source_word(window.source),
        }
    }
}
