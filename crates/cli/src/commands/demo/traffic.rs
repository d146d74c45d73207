//! The clients, and a director who makes things go wrong. Neither says anything: what they bring about is seen from
//! outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chutes_emulator::{Control, Fault, FaultKind};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::{Answer, Call, Caller, Kind};
use super::scenario::{
    CODING_MODEL, COLD_MODEL, EMBEDDING_MODEL, FRAGILE_MODEL, MISSPELT_MODEL, POPULAR_MODEL,
    SMALL_MODEL, Script, TALKATIVE_MODEL,
};

/// Calls of the burst: more than the slots of all accounts have room for.
pub(crate) const BURST: usize = 16;
/// Calls sent when the popular model is full.
const RUSH: usize = 5;
/// Events after which a client hangs up.
const LEAVES_AFTER_EVENTS: usize = 30;
/// Events after which a connection is cut.
const CUT_AFTER_EVENTS: usize = 25;

/// A client that calls until told to stop.
struct Habit {
    client: &'static str,
    models: &'static [&'static str],
    kind: Kind,
    /// Before its first call.
    begins_after: Duration,
    /// From one call to the next: at least this long, and longer if the answer takes longer.
    every: Duration,
}

const fn habit(
    client: &'static str,
    models: &'static [&'static str],
    kind: Kind,
    begins_after_ms: u64,
    every_ms: u64,
) -> Habit {
    Habit {
        client,
        models,
        kind,
        begins_after: Duration::from_millis(begins_after_ms),
        every: Duration::from_millis(every_ms),
    }
}

/// The pace of the two agents decides how fast the first account's window fills.
const HABITS: [Habit; 8] = [
    habit("agent 1", &[CODING_MODEL], Kind::Streamed, 0, 2_500),
    habit("agent 2", &[CODING_MODEL], Kind::Streamed, 1_200, 2_500),
    habit("chat 1", &[POPULAR_MODEL, SMALL_MODEL], Kind::Streamed, 100, 2_100),
    habit("chat 2", &[SMALL_MODEL, POPULAR_MODEL], Kind::Streamed, 600, 1_700),
    habit("chat 3", &[FRAGILE_MODEL, POPULAR_MODEL], Kind::Streamed, 900, 2_600),
    habit("batch 1", &[SMALL_MODEL, POPULAR_MODEL], Kind::Plain, 200, 1_000),
    habit("batch 2", &[POPULAR_MODEL, SMALL_MODEL], Kind::Plain, 700, 1_300),
    habit("search", &[EMBEDDING_MODEL], Kind::Embedding, 400, 900),
];

/// What every client has at hand.
pub(crate) struct Desk {
    pub(crate) caller: Caller,
    pub(crate) control: Control,
    pub(crate) answers: UnboundedSender<Answer>,
    pub(crate) numbers: AtomicU64,
}

// === impl Desk ===

impl Desk {
    async fn call(&self, client: &'static str, model: &'static str, kind: Kind, in_burst: bool) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let call = Call { client, model, kind, number, in_burst };
        let answer = self.caller.call(call).await;
        // Nobody asks any more when the demonstration ends.
        let _ = self.answers.send(answer);
    }

    fn fault(&self, model: &str, fault: Fault) {
        if let Err(problem) = self.control.add_model_fault(model, fault) {
            tracing::warn!(%problem, "demonstration");
        }
    }
}

/// Starts everybody. The clients end with the call they are in once `stop` turns true; dropping the set ends them at
/// once.
pub(crate) fn start(desk: &Arc<Desk>, script: Script, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut everybody = JoinSet::new();
    for habit in &HABITS {
        everybody.spawn(work(Arc::clone(desk), habit, stop.clone()));
    }
    everybody.spawn(direct(Arc::clone(desk), script));
    everybody
}

async fn work(desk: Arc<Desk>, habit: &Habit, stop: watch::Receiver<bool>) {
    tokio::time::sleep(habit.begins_after).await;
    for model in habit.models.iter().cycle() {
        if *stop.borrow() {
            return;
        }
        let call = desk.call(habit.client, model, habit.kind, false);
        tokio::join!(call, tokio::time::sleep(habit.every));
    }
}

/// Each cue at its share of the traffic, in thousandths.
async fn direct(desk: Arc<Desk>, script: Script) {
    let mut calls = JoinSet::new();
    let mut reached = Duration::ZERO;
    for (permille, cue) in CUES {
        let at = script.share(permille);
        tokio::time::sleep(at.saturating_sub(reached)).await;
        reached = at;
        cue(&desk, script, &mut calls);
    }
    while calls.join_next().await.is_some() {}
}

type Cue = fn(&Arc<Desk>, Script, &mut JoinSet<()>);

const CUES: [(u32, Cue); 6] = [
    (90, misspell),
    (170, hang_up),
    (410, ask_a_cold_model),
    (500, fill_the_popular_model),
    (650, cut_a_stream),
    (740, send_a_burst),
];

fn misspell(desk: &Arc<Desk>, _: Script, calls: &mut JoinSet<()>) {
    send(desk, calls, 1, ("notebook", MISSPELT_MODEL, Kind::Plain, false));
}

fn hang_up(desk: &Arc<Desk>, _: Script, calls: &mut JoinSet<()>) {
    send(desk, calls, 1, ("chat 4", TALKATIVE_MODEL, Kind::Left(LEAVES_AFTER_EVENTS), false));
}

/// Twice, one after the other.
fn ask_a_cold_model(desk: &Arc<Desk>, _: Script, calls: &mut JoinSet<()>) {
    let desk = Arc::clone(desk);
    calls.spawn(async move {
        for _ in 0..2 {
            desk.call("notebook", COLD_MODEL, Kind::Streamed, false).await;
        }
    });
}

fn fill_the_popular_model(desk: &Arc<Desk>, script: Script, calls: &mut JoinSet<()>) {
    let fault = Fault::new(FaultKind::Capacity).for_seconds(script.full_for().as_secs_f64());
    desk.fault(POPULAR_MODEL, fault);
    send(desk, calls, RUSH, ("chat 4", POPULAR_MODEL, Kind::Streamed, false));
}

fn cut_a_stream(desk: &Arc<Desk>, _: Script, calls: &mut JoinSet<()>) {
    let fault = Fault::new(FaultKind::Cut).times(1).after_chunks(CUT_AFTER_EVENTS);
    desk.fault(FRAGILE_MODEL, fault);
    send(desk, calls, 1, ("agent 3", FRAGILE_MODEL, Kind::Streamed, false));
}

fn send_a_burst(desk: &Arc<Desk>, _: Script, calls: &mut JoinSet<()>) {
    send(desk, calls, BURST, ("batch 3", SMALL_MODEL, Kind::Plain, true));
}

fn send(
    desk: &Arc<Desk>,
    calls: &mut JoinSet<()>,
    count: usize,
    (client, model, kind, in_burst): (&'static str, &'static str, Kind, bool),
) {
    for _ in 0..count {
        let desk = Arc::clone(desk);
        calls.spawn(async move { desk.call(client, model, kind, in_burst).await });
    }
}
