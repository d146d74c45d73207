//! Clients that leave at any moment, on every route, while everything fails at random: afterwards nothing of them is left.

use super::dice::Dice;
use super::with_accounts;
use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use bytes::Bytes;
use chutes_emulator::{Fault, FaultKind, ModelSpec, Template};
use http::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const EMBEDDER: &str = "acme/Vectors-1";
const FRESH: &str = "acme/Fresh-3";
const AT_ONCE: usize = 64;
const SLOTS: u32 = 5;
const ACCOUNTS: usize = 3;

/// What a model may do, each to three of a hundred calls.
const FAULTS: [FaultKind; 19] = [
    FaultKind::Capacity,
    FaultKind::EdgeForbidden,
    FaultKind::ServerError,
    FaultKind::NoInfrastructure,
    FaultKind::PlainServerError,
    FaultKind::ContextTooLong,
    FaultKind::ContentFilter,
    FaultKind::SlowFirstToken,
    FaultKind::Silent,
    FaultKind::ResetBeforeHeaders,
    FaultKind::Stall,
    FaultKind::Cut,
    FaultKind::Reset,
    FaultKind::BareJsonError,
    FaultKind::ErrorFirstEvent,
    FaultKind::ErrorMidStream,
    FaultKind::EmptyStream,
    FaultKind::MalformedEvent,
    FaultKind::Restart,
];

/// As in the suite.
#[tokio::test]
async fn who_leaves_leaves_nothing_behind() {
    println!("{}", leave(600).await);
}

/// As in `cargo xtask soak aborts`.
#[ignore = "takes minutes: cargo xtask soak aborts"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand() {
    println!("{}", leave(10_000).await);
}

/// What became of the clients.
#[derive(Default)]
struct Tally {
    left: AtomicU64,
    stayed: parking_lot::Mutex<BTreeMap<u16, u64>>,
}

/// Runs so many clients, and says what became of them.
async fn leave(count: u64) -> String {
    let mut world = Arc::new(world().await);
    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for number in 0..count {
        if clients.len() >= AT_ONCE {
            clients.join_next().await.unwrap().unwrap();
        }
        clients.spawn(client(Arc::clone(&world), number, Arc::clone(&tally)));
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    nothing_is_left(&world).await;
    every_slot_serves(&world).await;
    no_connection_is_left(Arc::get_mut(&mut world).unwrap()).await;
    let calls = world.upstream_calls();
    let left = calls.iter().filter(|call| call.ended == Some(chutes_emulator::Ended::ClientLeft));
    format!(
        "{count} requests, {AT_ONCE} at once; {} left, the others got {:?}\n\
         upstream calls: {}, left before their end: {}, with a fault: {}\n\
         afterwards: no slot in use, nobody queued, nothing reserved, no call upstream, every slot serves, and with the gateway \
         its connections went",
        tally.left.load(Ordering::Relaxed),
        tally.stayed.lock(),
        calls.len(),
        left.count(),
        calls.iter().filter(|call| call.fault.is_some()).count(),
    )
}

async fn world() -> World {
    let mut plan = Plan::new();
    with_accounts(&mut plan, ACCOUNTS);
    plan.limits.slots_per_account = SLOTS;
    plan.limits.first_token = Duration::from_millis(300);
    plan.limits.plain_answer = Duration::from_millis(500);
    plan.limits.stall = Duration::from_millis(200);
    plan.limits.heartbeat = Duration::from_millis(40);
    plan.scenario.log_entries = 200_000;
    let embedder = ModelSpec { template: Template::Embedding, ..ModelSpec::new(EMBEDDER) };
    plan.scenario.models.push(embedder);
    // Without a printed number there is no pace until an edge refuses.
    plan.scenario.quota_headers = false;
    let mut dice = Dice(3);
    for model in &mut plan.scenario.models {
        (model.first_token_ms, model.tokens_per_second) = (4, 1_500.0);
        for kind in FAULTS {
            let fault = Fault::new(kind).with_probability(0.03);
            let chunks = usize::try_from(dice.between(0, 8)).unwrap();
            let delay_ms = dice.between(5, 700);
            model.faults.push(fault.after_chunks(chunks).delay_ms(delay_ms));
        }
    }
    // Only one of them: a second within two minutes would rest them all, and nobody would be served any more.
    let limited = Fault::new(FaultKind::EdgeRateLimit).with_probability(0.01);
    plan.scenario.accounts[ACCOUNTS - 1].faults.push(limited);
    // Nothing is learned of it before the end.
    plan.scenario.models.push(ModelSpec::new(FRESH).pace(300, 0.0));
    plan.start().await
}

async fn client(world: Arc<World>, number: u64, tally: Arc<Tally>) {
    let mut dice = Dice(number);
    let request = request(&mut dice);
    // Most leave within the time that an answer takes, some stay to its end.
    let patience = match dice.between(0, 9) {
        0 => Duration::from_secs(5),
        1 => Duration::from_millis(dice.between(50, 600)),
        _ => Duration::from_micros(dice.between(0, 200_000)),
    };
    match tokio::time::timeout(patience, world.send(request)).await {
        Ok(answered) => *tally.stayed.lock().entry(answered.status.as_u16()).or_default() += 1,
        Err(_) => {
            tally.left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Any request of any route.
fn request(dice: &mut Dice) -> Request<Bytes> {
    let model = dice.one_of(&[MODEL, OTHER_MODEL]);
    let get = |path: &str| Request::get(path).body(Bytes::new()).unwrap();
    let (path, body): (&str, Value) = match dice.between(0, 99) {
        0..=39 => ("/v1/chat/completions", streamed(model)),
        40..=64 => ("/v1/chat/completions", chat(model)),
        65..=72 => ("/v1/completions", json!({ "model": model, "prompt": "Say", "stream": true })),
        73..=78 => ("/v1/completions", json!({ "model": model, "prompt": "Say" })),
        79..=86 => ("/v1/embeddings", json!({ "model": EMBEDDER, "input": ["one", "two"] })),
        87..=89 => return get("/v1/models"),
        90..=92 => return get("/-/status"),
        93..=94 => return get("/-/budget"),
        95..=96 => return get("/v1/quota-stats"),
        97 => return get("/-/events"),
        98 => return get("/metrics"),
        _ => return get("/v1/nothing"),
    };
    let mut request = post(path, body.to_string());
    let priority = dice.one_of(&["interactive", "agent", "batch"]);
    request.headers_mut().insert("x-ripcord-priority", priority.parse().unwrap());
    request.headers_mut().insert("x-ripcord-deadline", dice.between(1, 4).into());
    request
}

/// Slots, queue places, reservations, upstream calls: given back, and the emulator agrees.
async fn nothing_is_left(world: &World) {
    world.wait_until_idle().await;
    let all_ended = || async {
        let models = world.control().models().iter().all(|model| model.in_flight == 0);
        models && world.upstream_calls().iter().all(|call| call.ended.is_some())
    };
    world.wait_for("every call upstream has ended", all_ended).await;
    let ports = || async { world.status_report().await["calling_ports"] == json!([]) };
    world.wait_for("nobody calls", ports).await;
    let budget = world.get("/-/budget").await.json();
    let windows = budget["accounts"].as_array().unwrap().iter();
    let reserved: Vec<&Value> = windows
        .flat_map(|account| account["windows"].as_array().unwrap())
        .map(|window| &window["reserved"])
        .collect();
    assert!(!reserved.is_empty() && reserved.iter().all(|amount| **amount == 0.0), "{reserved:?}");
}

/// The pool's connections go with the gateway. One that is left belongs to a call that nobody ended.
async fn no_connection_is_left(world: &mut World) {
    world.gateway.take().unwrap().shutdown().await;
    let port = world.emulator.port();
    world.wait_for("no connection to the emulator", || async { connections_to(port) == 0 }).await;
}

/// How many connections of this machine lead to the port.
fn connections_to(port: u16) -> usize {
    // Other systems than Linux show nothing.
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let established = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 3 && fields[2].ends_with(&format!(":{port:04X}")) && fields[3] == "01"
    };
    table.lines().filter(established).count()
}

/// Rounds of answers until a model that was full has all slots again.
const ROUNDS_TO_ALL_SLOTS: usize = 40;

/// As many as there are slots are served at once.
async fn every_slot_serves(world: &Arc<World>) {
    let resting = world.status_report().await["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|account| !account["resting_because"].is_null())
        .count();
    let slots = (ACCOUNTS - resting) * SLOTS as usize;
    let mut most = None;
    // A model that was full is given more again only round by round.
    for _ in 0..ROUNDS_TO_ALL_SLOTS {
        let before = world.upstream_calls().len();
        let mut clients: JoinSet<Answered> = JoinSet::new();
        for _ in 0..slots {
            let world = Arc::clone(world);
            clients.spawn(async move { world.chat(&streamed(FRESH)).await });
        }
        while let Some(answered) = clients.join_next().await {
            answered.unwrap().assert_whole_stream();
        }
        let calls = world.upstream_calls();
        most = calls[before..].iter().map(|call| call.model_in_flight).max();
        if most == u32::try_from(slots).ok() {
            return;
        }
    }
    assert_eq!(most, u32::try_from(slots).ok(), "all slots at once");
}
