//! Many clients, five accounts and thirty models, of which something is wrong all the time: nobody is lied to, nobody waits
//! past its deadline, and no account has more calls than slots.

use super::dice::Dice;
use super::slots::{self, Crowding};
use super::verdict::Verdict;
use super::with_accounts;
use crate::world::{Answered, Plan, World, post};
use chutes_emulator::{Fault, FaultKind, LogEntry, ModelSpec};
use http_body_util::BodyExt as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const ACCOUNTS: usize = 5;
const MODELS: usize = 30;
const CLIENTS: usize = 32;
const SLOTS: u32 = 5;
/// The last models are slow at times, and only streamed from: a plain call that is left goes on upstream, as at Chutes, and
/// the emulator would count it.
const PATIENT_MODELS: usize = 6;

/// Faults come anywhere in an answer, behind its end included.
const LAST_CHUNK: u64 = 30;

/// A load.
struct Load {
    lasts: Duration,
    /// For the end of a call upstream to be noticed.
    grace: Duration,
    seed: u64,
}

/// As in the suite.
#[tokio::test]
async fn nobody_is_lied_to() {
    let load = Load { lasts: Duration::from_secs(2), grace: Duration::from_millis(500), seed: 1 };
    let outcome = run(&load).await;
    println!("{}", outcome.summary());
    outcome.assert_kept();
}

/// As in `cargo xtask soak faults`.
#[ignore = "takes ten minutes: cargo xtask soak faults"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_minutes() {
    let load = Load { lasts: Duration::from_secs(600), grace: Duration::from_millis(100), seed: 7 };
    let outcome = run(&load).await;
    println!("{}", outcome.summary());
    outcome.assert_kept();
}

/// What came of it all.
#[derive(Default)]
struct Tally {
    verdicts: BTreeMap<String, u64>,
    wrong: Vec<String>,
    /// Attempts of the answers that came whole, and how often so many.
    attempts: BTreeMap<u64, u64>,
    /// The longest time by which a first byte came after its deadline.
    latest: Duration,
    slowest: Duration,
}

/// What came of a load.
struct Outcome<'a> {
    tally: Tally,
    crowding: Crowding,
    load: &'a Load,
    log: Vec<LogEntry>,
}

/// For a plain answer.
const PLAIN_ANSWER: Duration = Duration::from_secs(3);

/// A scheduler on a busy machine may be late by this much.
const SCHEDULING: Duration = Duration::from_secs(1);

async fn run(load: &Load) -> Outcome<'_> {
    let world = Arc::new(world(load).await);
    let over = CancellationToken::new();
    let watch = tokio::spawn(slots::watch(Arc::clone(&world), SLOTS, over.clone()));
    let breaker = tokio::spawn(break_things(Arc::clone(&world), load.seed, over.clone()));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS as u64 {
        let seed = load.seed * 1_000 + number;
        clients.spawn(client(Arc::clone(&world), seed, load.lasts));
    }
    let mut tally = Tally::default();
    while let Some(one) = clients.join_next().await {
        tally.add(one.unwrap());
    }
    over.cancel();
    breaker.await.unwrap();
    let crowding = watch.await.unwrap();
    world.wait_until_idle().await;
    Outcome { tally, crowding, load, log: world.upstream_calls() }
}

async fn world(load: &Load) -> World {
    let mut plan = Plan::new();
    with_accounts(&mut plan, ACCOUNTS);
    plan.limits.slots_per_account = SLOTS;
    plan.limits.first_token = Duration::from_secs(2);
    plan.limits.plain_answer = PLAIN_ANSWER;
    plan.limits.stall = Duration::from_secs(1);
    plan.scenario.seed = load.seed;
    // Without a printed number there is no pace until an edge refuses.
    plan.scenario.quota_headers = false;
    plan.scenario.log_entries = 100_000;
    plan.scenario.models = (0..MODELS)
        .map(|number| {
            let words = words(number);
            // Families of three: a confidential one, a plain one, and one by itself.
            ModelSpec::new(&name(number)).numbered().tokens(50, words).pace(10, 1_000.0)
        })
        .collect();
    plan.start().await
}

fn name(number: usize) -> String {
    format!("acme/Counter-{}B{}", number / 2, if number.is_multiple_of(2) { "-TEE" } else { "" })
}

const fn words(number: usize) -> u64 {
    // A family counts equally far, so that one may answer for the other.
    10 + (number as u64 / 2) * 3
}

/// Asks, one request after the other, until the time is over.
async fn client(world: Arc<World>, seed: u64, lasts: Duration) -> Tally {
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    let until = Instant::now() + lasts;
    while Instant::now() < until {
        let number = usize::try_from(dice.between(0, MODELS as u64 - 1)).unwrap();
        let streams = number >= MODELS - PATIENT_MODELS || dice.percent(60);
        let deadline = Duration::from_secs(dice.between(4, 20));
        let body = json!({
            "model": name(number),
            "messages": [{ "role": "user", "content": format!("Count, {}.", dice.throw()) }],
            "stream": streams,
        });
        let mut request = post("/v1/chat/completions", body.to_string());
        request.headers_mut().insert("x-ripcord-deadline", deadline.as_secs().into());
        let asked_at = Instant::now();
        let (answered, first_byte) = ask(&world, request, asked_at).await;
        tally.latest = tally.latest.max(first_byte.saturating_sub(deadline));
        tally.slowest = tally.slowest.max(asked_at.elapsed());
        let verdict = Verdict::of(&answered, streams, words(number));
        tally.count(verdict, &answered);
    }
    tally
}

/// The answer, and when its first part came that is more than a comment.
async fn ask(
    world: &World,
    request: http::Request<bytes::Bytes>,
    asked_at: Instant,
) -> (Answered, Duration) {
    let response = world.open_patiently(request).await;
    let (head, mut body) = response.into_parts();
    let mut first = None;
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.unwrap().into_data() else { continue };
        if !data.starts_with(b": ") {
            first.get_or_insert_with(|| asked_at.elapsed());
        }
        bytes.extend_from_slice(&data);
    }
    let first = first.unwrap_or_else(|| asked_at.elapsed());
    (Answered { status: head.status, headers: head.headers, body: bytes.into() }, first)
}

/// Something new goes wrong, several times a second.
async fn break_things(world: Arc<World>, seed: u64, over: CancellationToken) {
    let mut dice = Dice(seed);
    let mut last_edge = Instant::now();
    while !over.is_cancelled() {
        let number = usize::try_from(dice.between(0, MODELS as u64 - 1)).unwrap();
        let fault = fault(&mut dice, number);
        // Something wrong with most models, and not everything with all of them.
        let waiting = world.control().model(&name(number)).unwrap().faults.len();
        if waiting < 2 {
            world.control().add_model_fault(&name(number), fault).unwrap();
        }
        // Two accounts within two minutes would rest them all.
        if last_edge.elapsed() > Duration::from_secs(240) {
            last_edge = Instant::now();
            let fault = Fault::new(FaultKind::EdgeRateLimit).times(1);
            let name = dice.one_of(&super::NAMES[..ACCOUNTS]);
            world.control().add_account_fault(name, fault).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(dice.between(5, 60))).await;
    }
}

fn fault(dice: &mut Dice, number: usize) -> Fault {
    use FaultKind as K;
    const OFTEN: [FaultKind; 18] = [
        K::Capacity,
        K::ServerError,
        K::NoInfrastructure,
        K::PlainServerError,
        K::Silent,
        K::ResetBeforeHeaders,
        K::Stall,
        K::Cut,
        K::Cut,
        K::Reset,
        K::BareJsonError,
        K::ErrorFirstEvent,
        K::ErrorMidStream,
        K::EmptyStream,
        K::MissingDone,
        K::EndsEarly,
        K::MalformedEvent,
        K::Restart,
    ];
    const SELDOM: [FaultKind; 5] = [
        K::EdgeForbidden,
        K::ContextTooLong,
        K::ContentFilter,
        K::SlowFirstToken,
        K::SlowFirstToken,
    ];
    let kind = match dice.between(0, 999) {
        // These rest a model for a minute and more.
        0 => K::Disabled,
        1..=4 => K::Cold,
        5..=99 => dice.one_of(&SELDOM),
        _ => dice.one_of(&OFTEN),
    };
    let is_patient = number >= MODELS - PATIENT_MODELS;
    let kind = if kind == K::SlowFirstToken && !is_patient { K::Restart } else { kind };
    let fault = Fault::new(kind)
        .after_chunks(usize::try_from(dice.between(0, LAST_CHUNK)).unwrap())
        .delay_ms(dice.between(20, 2_500));
    let is_long = matches!(kind, K::Disabled | K::Cold);
    if is_long || dice.percent(80) {
        fault.times(u32::try_from(dice.between(1, 3)).unwrap())
    } else {
        fault.for_seconds(dice.between(1, 20) as f64 / 10.0)
    }
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, verdict: Verdict, answered: &Answered) {
        let name = match verdict {
            Verdict::Whole => "whole".to_owned(),
            Verdict::Filtered => "filtered".to_owned(),
            Verdict::Broken => "broken, and told so".to_owned(),
            Verdict::Refused(code) => format!("refused: {code}"),
            Verdict::Wrong(what) => {
                self.wrong.push(what);
                "WRONG".to_owned()
            }
        };
        if name == "whole" {
            let told = answered.header("x-ripcord-attempts").parse().ok();
            // A stream that was opened early tells it at its end.
            let late = || {
                answered
                    .text()
                    .split("x-ripcord-attempts=")
                    .nth(1)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            };
            *self.attempts.entry(told.or_else(late).unwrap_or(0)).or_default() += 1;
        }
        *self.verdicts.entry(name).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        for (name, count) in other.verdicts {
            *self.verdicts.entry(name).or_default() += count;
        }
        for (attempts, count) in other.attempts {
            *self.attempts.entry(attempts).or_default() += count;
        }
        self.wrong.extend(other.wrong);
        self.latest = self.latest.max(other.latest);
        self.slowest = self.slowest.max(other.slowest);
    }
}

// === impl Outcome ===

impl Outcome<'_> {
    fn assert_kept(&self) {
        let Self { tally, crowding, load, .. } = self;
        assert_eq!(tally.wrong, Vec::<String>::new());
        assert!(tally.verdicts.get("whole").is_some_and(|whole| *whole > 0));
        assert!(tally.latest <= SCHEDULING, "a first byte {:?} past its deadline", tally.latest);
        assert!(crowding.longest_above <= load.grace, "above its slots: {crowding:?}");
    }

    /// The figures, for people.
    fn summary(&self) -> String {
        let Self { tally, crowding, load, log } = self;
        let requests: u64 = tally.verdicts.values().sum();
        let mut lines = vec![format!(
            "{requests} requests of {CLIENTS} clients in {} s, {ACCOUNTS} accounts, {MODELS} models",
            load.lasts.as_secs()
        )];
        lines.extend(tally.verdicts.iter().map(|(name, count)| {
            format!("  {count:>7}  {:>5.1} %  {name}", *count as f64 * 100.0 / requests as f64)
        }));
        let whole: u64 = tally.attempts.values().sum();
        let attempts: u64 = tally.attempts.iter().map(|(attempts, count)| attempts * count).sum();
        lines.push(format!(
            "attempts per answered request: {:.3}, so many requests had so many: {:?}",
            attempts as f64 / whole as f64,
            tally.attempts
        ));
        let faulty = log.iter().filter(|call| call.fault.is_some()).count();
        lines.push(format!("calls upstream (the last {}): {faulty} with a fault", log.len()));
        lines.push(format!(
            "the slowest request took {:?}; latest first byte past a deadline: {:?}",
            tally.slowest, tally.latest
        ));
        lines.push(format!(
            "most calls of an account at once, by the emulator's count: {} of {SLOTS}; longest above: {:?}",
            crowding.most, crowding.longest_above
        ));
        lines.join("\n")
    }
}
