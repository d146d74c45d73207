//! Days of an account in seconds: the gateway's own gate, budget, charges and readings in simulated time, before the
//! emulator's arithmetic of who pays.
//!
//! Nothing here has a socket. What stands between them in the program and is not tested here: reading requests and
//! answers, the choice of a key, and rests after failures (`tests/it` has those).

mod load;
mod random;
mod survey;
mod tests;
mod upstream;

use crate::charge::{Bill, Charge, Denied};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config, Limits, RoutingConfig, WatchConfig};
use crate::driver::snapshots;
use crate::pipeline::call::{Call, Route};
use crate::pipeline::itinerary::Link;
use crate::shared::Shared;
use crate::start::Gateway;
use bytes::Bytes;
use chutes_emulator::quota::{Prices, SECOND, Tokens};
use load::{Fate, Foreign, MEAN_OF_MEDIAN, MODELS, OwnCall, Scenario, WINDOW};
use random::Random;
use ripcord_client::endpoints::{Endpoints, PlainHttp};
use ripcord_client::key::Key;
use ripcord_rules::admit::{Candidate, Priority};
use ripcord_rules::quota::{
    AccountSnapshot, BodyDigest, CallShape, Paygo, Readable, SpendingPolicy, WhenUnknown,
};
use ripcord_rules::recover::AttemptLimits;
use ripcord_rules::time::{Mono, Wall};
use ripcord_store::{MemoryCoordination, MemoryLedger};
use ripcord_wire::body::RequestBody;
use ripcord_wire::chat::UsageGlance;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upstream::{Caller, Upstream, Used};

const CLIENTS: usize = 32;
/// Midnight of a day in 2026.
const MIDNIGHT: i64 = 1_795_132_800;
/// The simulation begins so long before its first window.
const BEFORE: Duration = Duration::from_secs(60);

/// What came of it: the windows that were simulated, and the moments before and after.
struct Simulated {
    windows: BTreeMap<i64, Used>,
    /// Those that were simulated from turn to turn.
    whole: std::ops::Range<i64>,
    cap_pico: i64,
    /// In microseconds.
    least_between_readings: i64,
}

struct World {
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    /// Calls that go on without us.
    background: JoinSet<()>,
}

/// Simulates as many windows as the scenario says.
fn simulate(scenario: &Scenario) -> Simulated {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(scenario))
}

async fn run(scenario: &Scenario) -> Simulated {
    let first = MIDNIGHT / 14_400 + scenario.first;
    let begins = Wall::from_unix_seconds(first * 14_400).before(BEFORE);
    let clock = Arc::new(Clock::starting_at(begins));
    let coordination = MemoryCoordination::default();
    let upstream = Arc::new(Upstream::new(Arc::clone(&clock), scenario));
    let mut random = Random::new(scenario.seed);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut gateways = Vec::new();
    for gateway in 0..scenario.gateways {
        let ledger = Arc::new(MemoryLedger::default());
        let config = config(scenario);
        let shared = Gateway::shared(&config, Arc::clone(&clock), ledger, &coordination).unwrap();
        shared.catalogue.learn(list_of_models(), clock.mono()).unwrap();
        shared.apply_budget(0);
        tasks.spawn(Arc::clone(&shared.gate).run(stop.clone()));
        let upstream = Arc::clone(&upstream);
        let of_gateway = (gateway, random.fork());
        tasks.spawn(refresh(Arc::clone(&shared), upstream, of_gateway, stop.clone()));
        gateways.push(shared);
    }
    tasks.spawn(others(Arc::clone(&upstream), scenario.clone(), random.fork()));
    for shared in gateways.iter().cycle().take(CLIENTS) {
        let (shared, upstream) = (Arc::clone(shared), Arc::clone(&upstream));
        let world = World { shared, upstream, background: JoinSet::new() };
        tasks.spawn(client(world, scenario.clone(), random.fork()));
    }
    let all = BEFORE + WINDOW * u32::try_from(scenario.windows).unwrap();
    tokio::time::sleep(all + Duration::from_secs(5)).await;
    Simulated {
        windows: upstream.windows(),
        whole: first..first + scenario.windows,
        cap_pico: upstream.four_hour_cap_pico(),
        least_between_readings: upstream.least_between_readings(),
    }
}

fn config(scenario: &Scenario) -> Config {
    let url = Some("http://127.0.0.1:9");
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        admin_token: None,
        endpoints: Endpoints::from_urls(url, url, None, PlainHttp::LoopbackOnly).unwrap(),
        accounts: vec![AccountConfig {
            label: "account".to_owned(),
            keys: vec![Key::parse(&chutes_emulator::Scenario::key("account", 0)).unwrap().0],
            paygo: Paygo::Never,
            when_unknown: WhenUnknown::Allow,
            spending: SpendingPolicy::default(),
        }],
        limits: Limits::default(),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        quota_refresh_interval: Duration::from_secs(300),
        book: scenario.book,
        watch: WatchConfig::default(),
        routing: RoutingConfig::default(),
    }
}

fn list_of_models() -> Bytes {
    let models: Vec<_> = MODELS
        .iter()
        .map(|(name, prompt, completion)| {
            let pricing = serde_json::json!({ "prompt": prompt, "completion": completion });
            serde_json::json!({ "id": name, "pricing": pricing })
        })
        .collect();
    serde_json::json!({ "object": "list", "data": models }).to_string().into()
}

/// Reads figures as the gateway does. A reading takes a while, and some fail.
async fn refresh(
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    (gateway, random): (usize, Random),
    stop: CancellationToken,
) {
    let interval = Duration::from_secs(300);
    let random = parking_lot::Mutex::new(random);
    let read = |shared: Arc<Shared>, _account: usize| {
        let upstream = Arc::clone(&upstream);
        let (there, back, fails) = {
            let mut random = random.lock();
            (random.between(0.02, 1.0), random.between(0.02, 1.0), random.happens(0.03))
        };
        async move {
            let asked = shared.clock.now().wall;
            tokio::time::sleep(Duration::from_secs_f64(there)).await;
            let figures = upstream.figures(gateway, asked);
            tokio::time::sleep(Duration::from_secs_f64(back)).await;
            let unread = AccountSnapshot::unknown(Readable::Failed, asked);
            Some(if fails { unread } else { figures })
        }
    };
    snapshots::run_with(shared, read, interval, stop).await;
}

/// Whoever else uses the account, in every window.
async fn others(upstream: Arc<Upstream>, scenario: Scenario, mut random: Random) {
    let mut running = JoinSet::new();
    tokio::time::sleep(BEFORE).await;
    for _ in 0..scenario.windows {
        let began = upstream.clock.mono();
        let waited = || upstream.clock.mono().since(began);
        let mut from = Duration::ZERO;
        if scenario.foreign == Foreign::AllAtOnceWhenNearlyFull {
            while upstream.used_permille() < 960 && waited() + BEFORE * 2 < WINDOW {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            from = waited();
        }
        for (at, permille) in scenario.foreign.calls(&mut random) {
            tokio::time::sleep((from + at).saturating_sub(waited())).await;
            let upstream = Arc::clone(&upstream);
            let value = (upstream.four_hour_cap_pico() as f64 * permille / 1_000.0) as i64;
            let takes = random.skewed(6.0, 0.7).min(60.0);
            let body = random.number();
            running.spawn(async move {
                let payer = upstream.check(Caller::Foreign);
                tokio::time::sleep(Duration::from_secs_f64(takes)).await;
                upstream.complete(Caller::Foreign, payer, value, ("other", body));
            });
            while running.try_join_next().is_some() {}
        }
        tokio::time::sleep(WINDOW.saturating_sub(waited())).await;
    }
    while running.join_next().await.is_some() {}
}

/// One of our clients: it calls, thinks, and calls again. Whoever is turned away comes again.
async fn client(mut world: World, scenario: Scenario, mut random: Random) {
    // A third each: callers that say nothing, agents, and batches that wait as long as it takes.
    let patience = match random.below(3) {
        0 => Some(world.shared.limits.interactive_deadline),
        1 => Some(world.shared.limits.agent_deadline),
        _ => None,
    };
    tokio::time::sleep(BEFORE).await;
    let calls_in_window = 1_000.0 / (scenario.median_permille * MEAN_OF_MEDIAN);
    let pause = scenario.fills_in.as_secs_f64() * CLIENTS as f64 / calls_in_window;
    let cap_pico = world.upstream.four_hour_cap_pico();
    let mut call = OwnCall::draw(&mut random, scenario.median_permille, cap_pico);
    loop {
        let was_served = world.serve(call, patience, &mut random).await;
        let again = if was_served {
            // Before the next one; what the call itself took is part of it.
            (random.between(0.0, 2.0) * pause - call.takes.as_secs_f64()).max(0.1)
        } else {
            random.between(20.0, 600.0)
        };
        tokio::time::sleep(Duration::from_secs_f64(again)).await;
        // Now and then the same bytes again: Chutes counts a tenth.
        if !random.happens(0.05) {
            call = OwnCall::draw(&mut random, scenario.median_permille, cap_pico);
        }
    }
}

impl World {
    /// As `pipeline::attempts` does it: a place, a charge, the call, its bill.
    async fn serve(
        &mut self,
        own: OwnCall,
        patience: Option<Duration>,
        random: &mut Random,
    ) -> bool {
        let (now, request) = (self.shared.clock.mono(), Arc::from("simulated"));
        let call = self.call(own, patience.map(|patience| now.after(patience)));
        let link = Link::of_test(&self.shared, &call, BodyDigest(own.body));
        loop {
            let tier = self.shared.accounts[0].tier(&call.spender, self.shared.clock.now().wall);
            let able =
                vec![Candidate { class: call.spender.class(), tier, ..Candidate::default() }];
            let Ok(permit) =
                self.shared.gate.admit(able, call.asker(call.deadline), &request).await
            else {
                return false;
            };
            match Charge::reserve(&self.shared, permit.grant.account, &call, &link) {
                Ok(charge) => {
                    let bill = self.attempt(own, random).await;
                    charge.settle(bill, Some(&call.model));
                    drop(permit);
                    return true;
                }
                Err(Denied::Budget(budget)) => {
                    let account = permit.grant.account;
                    let _stays_away = self.shared.close_for(account, &call, &link, &budget);
                }
                Err(Denied::Share(full, _)) => panic!("nobody here has a share: {full:?}"),
            }
        }
    }

    /// The call on its way through the server, and what we learn of it.
    async fn attempt(&mut self, own: OwnCall, random: &mut Random) -> Bill {
        sleep_between(random, 0.02, 1.0).await;
        let payer = self.upstream.check(Caller::Ripcord);
        let (_, price_in, price_out) = MODELS[own.model];
        let tokens = Tokens {
            prompt: own.prompt_tokens,
            completion: own.completion_tokens,
            ..Tokens::default()
        };
        let value = Prices::per_million(price_in, price_out, price_in).cost(tokens);
        let usage = |completion_tokens| UsageGlance {
            prompt_tokens: Some(own.prompt_tokens),
            completion_tokens: Some(completion_tokens),
            ..UsageGlance::default()
        };
        while self.background.try_join_next().is_some() {}
        let upstream = Arc::clone(&self.upstream);
        let model = MODELS[own.model].0;
        let book = move || upstream.complete(Caller::Ripcord, payer, value, (model, own.body));
        let seen = |share: f64| usage((own.completion_tokens as f64 * share) as u64);
        match own.fate {
            Fate::Whole | Fate::Broken => {
                tokio::time::sleep(own.takes).await;
                book();
                sleep_between(random, 0.02, 0.5).await;
                let counted = Bill::Counted(usage(own.completion_tokens));
                if own.fate == Fate::Whole { counted } else { Bill::Likely }
            }
            Fate::Failed => {
                tokio::time::sleep(own.takes.mul_f64(0.3)).await;
                Bill::Nothing
            }
            Fate::StreamLeft(share) => {
                tokio::time::sleep(own.takes.mul_f64(share)).await;
                Bill::Left(Some(seen(share)))
            }
            Fate::StreamLeftReadOn(share) | Fate::PlainLeft(share) => {
                tokio::time::sleep(own.takes.mul_f64(share)).await;
                self.background.spawn(async move {
                    tokio::time::sleep(own.takes.mul_f64(1.0 - share)).await;
                    book();
                });
                let is_plain = matches!(own.fate, Fate::PlainLeft(_));
                if is_plain { Bill::RunsOn } else { Bill::Left(Some(seen(share))) }
            }
        }
    }

    fn call(&self, own: OwnCall, deadline: Option<Mono>) -> Call {
        let model: Arc<str> = MODELS[own.model].0.into();
        let body = Bytes::from(format!(r#"{{"model":"{model}"}}"#));
        let request = Arc::new(RequestBody::scan(body).unwrap());
        Call {
            route: Route::ChatCompletions,
            requested_model: Arc::clone(&model),
            model,
            request,
            wants_stream: matches!(own.fate, Fate::StreamLeft(_) | Fate::StreamLeftReadOn(_)),
            choices: 1,
            shape: CallShape { body_bytes: own.body_bytes, max_tokens: own.max_tokens, choices: 1 },
            spender: self.shared.bearers.anyone(),
            deadline,
            names_deadline: false,
            arrived: Mono::default(),
            patience: None,
            continuation: ripcord_rules::route::Continuation::Off,
            priority: Priority::Interactive,
            attempts: AttemptLimits::default(),
            waiting: Arc::default(),
            tee_required: false,
            trim: None,
            fallback_off: false,
            beginning: None,
            headers: http::HeaderMap::new(),
        }
    }
}

async fn sleep_between(random: &mut Random, least: f64, most: f64) {
    tokio::time::sleep(Duration::from_secs_f64(random.between(least, most))).await;
}
