//! A ride over the ends of windows: clients use up an account over sockets while others use it, too.
//!
//! The emulator's clock runs as fast as ours: the gateway learns how far it is ahead, not how fast it goes. Once a window
//! is used up the clock is set forward to just before its end.

use crate::world::{MODEL, Plan, World, account};
use bytes::Bytes;
use chutes_emulator::{
    AccountSpec, Coverage, KeyKind, Lag, LogEntry, ModelSpec, PlanSpec, Scenario,
};
use http::header::AUTHORIZATION;
use ripcord_gateway::Limits;
use ripcord_rules::quota::{BookSettings, Paygo};
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const CLIENTS: u64 = 32;
const SECOND: i64 = 1_000_000;
const FOUR_HOURS: i64 = 14_400 * SECOND;

/// What is given.
#[derive(Clone)]
pub(crate) struct Ride {
    pub(crate) plan: PlanSpec,
    pub(crate) seed: u64,
    /// The time of the day at which it begins.
    pub(crate) begins: &'static str,
    /// By which the figures lag.
    pub(crate) lag: Duration,
    /// The gateway takes them to lag by this.
    pub(crate) taken_to_lag: Duration,
    /// Windows that are used up, one after the other.
    pub(crate) windows: i64,
    /// Of the cap of the first window, what was used before the ride, in thousandths.
    pub(crate) used_before_permille: i64,
    /// While a window is used up, others use so much of its cap in so much time, in calls of at most 0.1 %.
    pub(crate) others_permille: u64,
    pub(crate) others_take: Duration,
    /// They make so many calls more after each step of the clock.
    pub(crate) others_after_a_step: u64,
    /// How long an answer takes.
    pub(crate) answer: Duration,
    /// A window is as good as used up when no call was let in for so long, or after the longest time. Then the clock is
    /// set forward.
    pub(crate) settled_after: Duration,
    pub(crate) longest: Duration,
    /// To so long before the end of the window, one after the other.
    pub(crate) steps: Vec<Duration>,
    /// How long the ride goes on in the window after the last one.
    pub(crate) afterwards: Duration,
    pub(crate) read_every: Duration,
}

/// What came of it, by the emulator's truth.
pub(crate) struct Ridden {
    pub(crate) plan: PlanSpec,
    pub(crate) seed: u64,
    pub(crate) windows: Vec<Used>,
    /// The window after them.
    pub(crate) after: Used,
    /// From each turn, by the server's clock, to the first of our calls behind it.
    pub(crate) went_on_after: Vec<Duration>,
    /// The shortest time between the ends of two readings of the account, but for those in which the gateway sees that
    /// the clock was set.
    pub(crate) least_between_readings: Duration,
}

/// What was used of a window, in nano-dollars.
#[derive(Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) cap: i64,
    pub(crate) before: i64,
    pub(crate) own: i64,
    pub(crate) own_calls: u64,
    pub(crate) own_paid: i64,
    pub(crate) others: i64,
    pub(crate) others_paid: i64,
}

struct Riding {
    world: World,
    ride: Ride,
}

impl Ride {
    /// Ends in the window after the last one.
    pub(crate) async fn run(self) -> Ridden {
        let first = self.clone();
        let riding = Arc::new(Riding { world: self.start().await, ride: first });
        let clock_now = || riding.world.control().clock().now_micros();
        let first_window = clock_now().div_euclid(FOUR_HOURS);
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(Arc::clone(&riding).client(number));
        }
        // The gateway learns the time when it starts, too.
        let mut steps = vec![1];
        for number in 0..riding.ride.windows {
            let end = (first_window + number + 1) * FOUR_HOURS;
            let who = 10 * number.unsigned_abs();
            let spread = riding.others(who, riding.ride.others_calls(), riding.ride.others_take);
            tokio::join!(spread, riding.until_used_up());
            for (step, before_the_end) in (1..).zip(&riding.ride.steps) {
                let to = end - i64::try_from(before_the_end.as_micros()).unwrap();
                riding.world.control().clock().set_micros(to);
                steps.push(to);
                let more = riding.ride.others_after_a_step;
                let spread = riding.others(who + step, more, seconds(30).min(*before_the_end));
                tokio::join!(spread, riding.until_used_up_or(end));
            }
            riding.until(end).await;
        }
        tokio::time::sleep(riding.ride.afterwards).await;
        clients.shutdown().await;
        riding.ridden(first_window, &steps)
    }

    async fn start(self) -> World {
        let mut spec = AccountSpec::new("first", self.plan)
            .keys(&[KeyKind::Admin, KeyKind::Invoke])
            .balance_usd(5.0);
        spec.four_hour_used_usd = self.used_before() as f64 / 1e9;
        let mut plan = Plan::new();
        let (drain, pace) = (Duration::from_secs(1), plan.limits.pace);
        plan.limits = Limits { drain, pace, ..Limits::default() };
        plan.accounts = vec![account("first", &[0])];
        plan.accounts[0].paygo = Paygo::Never;
        plan.scenario.starts_at =
            plan.scenario.starts_at.map(|start| format!("{}T{}", &start[..10], self.begins));
        plan.scenario.accounts = vec![spec];
        plan.scenario.models = vec![self.model()];
        plan.scenario.log_entries = 100_000;
        plan.scenario.lag = Lag { cap_figures_seconds: self.lag.as_secs_f64(), ..Lag::none() };
        plan.book = BookSettings { figures_lag: self.taken_to_lag, ..BookSettings::default() };
        plan.read_every = self.read_every;
        plan.start().await
    }

    /// The four-hour cap in nano-dollars.
    fn cap(&self) -> i64 {
        if self.plan == PlanSpec::Pro { 8_333_333_333 } else { 4_166_666_666 }
    }

    fn used_before(&self) -> i64 {
        self.cap() * self.used_before_permille / 1_000
    }

    fn others_calls(&self) -> u64 {
        // Evenly from 0.04 % to 0.1 % of the cap.
        self.others_permille * 10 / 7
    }

    fn model(&self) -> ModelSpec {
        let scale = if self.plan == PlanSpec::Pro { 1.0 } else { 0.5 };
        let first_token_ms = u64::try_from(self.answer.as_millis() / 4).unwrap();
        let mut model = ModelSpec::new(MODEL)
            .price(10.0 * scale, 40.0 * scale, 10.0 * scale)
            .pace(first_token_ms, 20.0 / (self.answer.as_secs_f64() * 0.75));
        model.answer_tokens = 20;
        model
    }

    /// A number from `least` to `most`, the same in every run.
    fn draw(&self, who: u64, number: u64, least: u64, most: u64) -> u64 {
        let mut mixed = self.seed ^ who.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 32);
        for _ in 0..3 {
            mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(17);
        }
        least + (mixed >> 8) % (most - least + 1)
    }
}

/// A body that costs so many millionths of the cap and is unlike any other.
fn body(millionths: u64, name: &str, streams: bool) -> Bytes {
    // At the model's prices a token of the prompt costs 1.2 millionths, and the answer 96 in all.
    let tokens = millionths.saturating_sub(110) * 10 / 12;
    let characters = usize::try_from(tokens * 4).unwrap();
    let text: String = name.chars().chain([' ']).cycle().take(characters).collect();
    let mut body = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": text }],
        "stream": streams,
    });
    if tokens.is_multiple_of(2) {
        body["max_tokens"] = 60.into();
    }
    body.to_string().into()
}

impl Riding {
    /// Calls, and calls again. Whoever is turned away comes again when told, or after three seconds.
    async fn client(self: Arc<Self>, client: u64) {
        let priority = ["interactive", "agent", "batch"][usize::try_from(client % 3).unwrap()];
        for number in 0.. {
            // Mixed sizes, the largest just below 0.5 % of the cap: two windows leave room in the day of a Plus account.
            let most = [1_000, 2_000, 2_500, 4_000, 4_900][usize::try_from(number % 5).unwrap()];
            let millionths = self.ride.draw(client, number, 200, most);
            let streams = number.is_multiple_of(2);
            let bytes = body(millionths, &format!("{client} calls the {number}th time"), streams);
            let mut request = crate::world::post("/v1/chat/completions", bytes);
            request.headers_mut().insert("x-ripcord-priority", priority.parse().unwrap());
            let leaves = self.ride.draw(client, number, 0, 99) < 3;
            if leaves {
                // Somewhere in the middle of its answer, or of its wait.
                let _ = tokio::time::timeout(self.ride.answer / 2, self.world.send(request)).await;
                continue;
            }
            let answered = self.world.send_patiently(request).await;
            if !answered.status.is_success() {
                let told = answered.header("retry-after").parse().unwrap_or(3_u64);
                tokio::time::sleep(Duration::from_secs(told.min(3))).await;
            }
        }
    }

    /// Others make so many calls with another key of the account, at random moments of a time.
    async fn others(self: &Arc<Self>, who: u64, calls: u64, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap();
        let draw = |number, least, most| self.ride.draw(1_000 + who, number, least, most);
        let mut moments: Vec<u64> = (0..calls).map(|call| draw(call, 0, micros)).collect();
        moments.sort_unstable();
        let began = tokio::time::Instant::now();
        let mut running = JoinSet::new();
        for (number, moment) in (0..).zip(moments) {
            tokio::time::sleep_until(began + Duration::from_micros(moment)).await;
            let bytes =
                body(draw(1_000_000 + number, 400, 990), &format!("{who}, {number}"), false);
            let mut request = crate::world::post("/v1/chat/completions", bytes);
            let key = format!("Bearer {}", Scenario::key("first", 1));
            request.headers_mut().insert(AUTHORIZATION, key.parse().unwrap());
            let riding = Arc::clone(self);
            running.spawn(async move { riding.world.send_upstream(request).await.status });
        }
        while running.join_next().await.is_some() {}
    }

    /// Waits until nobody has been let in for a while, though all want to.
    async fn until_used_up(&self) {
        let began = tokio::time::Instant::now();
        let mut last = began;
        while last.elapsed() < self.ride.settled_after && began.elapsed() < self.ride.longest {
            if self.world.gateway().slots_in_use() > 0 {
                last = tokio::time::Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The same, or until a moment of the server's clock.
    async fn until_used_up_or(&self, end: i64) {
        tokio::select! {
            () = self.until_used_up() => {}
            () = self.until(end) => {}
        }
    }

    /// Waits until the server's clock is there.
    async fn until(&self, moment: i64) {
        let left = (moment - self.world.control().clock().now_micros()).max(0);
        tokio::time::sleep(Duration::from_micros(left.unsigned_abs())).await;
    }

    fn ridden(&self, first: i64, steps: &[i64]) -> Ridden {
        let log = self.world.control().log();
        let mut windows: Vec<Used> = (0..=self.ride.windows)
            .map(|_| Used { cap: self.ride.cap(), ..Used::default() })
            .collect();
        windows[0].before = self.ride.used_before();
        let calls = log.iter().filter(|entry| entry.method == "POST");
        for entry in calls.clone() {
            let ended = entry.ended_micros.unwrap_or(entry.started_micros);
            let window = usize::try_from(ended.div_euclid(FOUR_HOURS) - first).unwrap();
            windows[window].add(entry);
        }
        let own = calls.filter(|entry| entry.is_own());
        let turns = (1..=self.ride.windows).map(|number| (first + number) * FOUR_HOURS);
        let went_on_after = turns.filter_map(|turn| {
            let behind = own.clone().map(|entry| entry.started_micros - turn).filter(|&at| at >= 0);
            behind.min().map(|at| Duration::from_micros(at.unsigned_abs()))
        });
        Ridden {
            plan: self.ride.plan,
            seed: self.ride.seed,
            went_on_after: went_on_after.collect(),
            least_between_readings: least_between_readings(&log, steps),
            after: windows.pop().unwrap(),
            windows,
        }
    }
}

/// Whether it came from the gateway: it has the first key of the account.
trait IsOwn {
    fn is_own(&self) -> bool;
}

impl IsOwn for LogEntry {
    fn is_own(&self) -> bool {
        self.key == "first/0"
    }
}

fn least_between_readings(log: &[LogEntry], steps: &[i64]) -> Duration {
    let readings: Vec<i64> = log
        .iter()
        .filter(|entry| entry.path == "/users/me/subscription_usage")
        .map(|entry| entry.started_micros)
        .collect();
    let after_step =
        |earlier: i64, later: i64| steps.iter().any(|step| earlier < *step && *step <= later);
    // Where the clock was set, figures are read again at once, by the right time.
    let is_second_look = |place: usize| {
        let before = place.checked_sub(1).map_or(0, |before| readings[before]);
        after_step(before, readings[place])
    };
    let between = (1..readings.len())
        .filter(|&place| !after_step(readings[place - 1], readings[place]))
        .filter(|&place| !is_second_look(place - 1))
        .map(|place| Duration::from_micros((readings[place] - readings[place - 1]).unsigned_abs()));
    between.min().unwrap_or(Duration::MAX)
}

// === impl Used ===

impl Used {
    fn add(&mut self, entry: &LogEntry) {
        let paid = if entry.coverage == Some(Coverage::Balance) { entry.paid_nano_usd } else { 0 };
        if entry.is_own() {
            self.own += entry.covered_nano_usd;
            self.own_paid += paid;
            self.own_calls += u64::from(entry.milli_units > 0);
        } else {
            self.others += entry.covered_nano_usd;
            self.others_paid += paid;
        }
    }

    /// What we used of the cap less what others did, in ten-thousandths; what was used before counts as ours.
    pub(crate) fn share(&self) -> i64 {
        (self.own + self.before) * 10_000 / (self.cap - self.others)
    }
}

impl fmt::Display for Ridden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: i64, whole: i64| part as f64 * 100.0 / whole as f64;
        for (number, used) in (1..).zip(&self.windows) {
            writeln!(
                f,
                "{:?} {} window {number}: own {:.2} % of the cap in {} calls, others {:.2} % (and paid {:.2} %), used of the cap \
                 less others {:.2} %, paid by own ${:.6}",
                self.plan,
                self.seed,
                percent(used.own, used.cap),
                used.own_calls,
                percent(used.others, used.cap),
                percent(used.others_paid, used.cap),
                used.share() as f64 / 100.0,
                used.own_paid as f64 / 1e9,
            )?;
        }
        write!(
            f,
            "{:?} {}: first own call after a turn {:?}, calls in the window after {}, least between readings {:.1} s",
            self.plan,
            self.seed,
            self.went_on_after,
            self.after.own_calls,
            self.least_between_readings.as_secs_f64(),
        )
    }
}
