//! A client that leaves, at every moment of a request: the upstream hears of it within a second, and nothing is left.

use super::answers::{breaks, silence, whole};
use super::case::Row;
use crate::provider::{Act, Asked, End, Provider, Script};
use crate::world::{MODEL, Plan, World, chat, post, streamed};
use http_body_util::BodyExt as _;
use ripcord_store::{Ledger as _, Outcome};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it may take until the upstream knows.
const PROMPT: Duration = Duration::from_secs(1);

/// A moment of a request.
#[derive(Clone, Copy)]
struct Moment {
    situation: &'static str,
    streams: bool,
    director: fn(&Asked) -> Script,
    /// Whether part of the answer is read before.
    reads: bool,
    heartbeat: Duration,
}

const NEVER: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(50);

fn stalls(asked: &Asked) -> Script {
    breaks("half an answer", asked, &[Act::Stall])
}

/// An answer that never ends: a word every few milliseconds.
fn goes_on(asked: &Asked) -> Script {
    let mut script = breaks("words without end", asked, &[]);
    let more = b"16\r\ndata: {\"choices\":[]}\n\n\r\n".to_vec();
    let pause = Act::Pause(Duration::from_millis(5));
    script.acts.extend((0..2_000).flat_map(|_| [Act::Send(more.clone()), pause.clone()]));
    script
}

const MOMENTS: [Moment; 6] = [
    Moment {
        situation: "client gone before headers",
        streams: false,
        director: |_| silence(),
        reads: false,
        heartbeat: NEVER,
    },
    Moment {
        situation: "client gone before headers",
        streams: true,
        director: |_| silence(),
        reads: false,
        heartbeat: NEVER,
    },
    Moment {
        situation: "client gone from a stream that was opened before there was an answer",
        streams: true,
        director: |_| silence(),
        reads: true,
        heartbeat: SOON,
    },
    Moment {
        situation: "client gone mid-stream, in a pause",
        streams: true,
        director: stalls,
        reads: true,
        heartbeat: NEVER,
    },
    Moment {
        situation: "client gone mid-stream, while words come",
        streams: true,
        director: goes_on,
        reads: true,
        heartbeat: NEVER,
    },
    Moment {
        situation: "client gone while a plain answer arrives",
        streams: false,
        director: stalls,
        reads: false,
        heartbeat: NEVER,
    },
];

async fn world(moment: &Moment, slots: u32) -> Arc<World> {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = slots;
    plan.limits.plain_answer = NEVER;
    plan.limits.first_token = NEVER;
    plan.limits.stall = NEVER;
    plan.limits.heartbeat = moment.heartbeat;
    plan.provider = Some(Provider::start(moment.director).await);
    Arc::new(plan.start().await)
}

/// A client that does what the moment says and then waits to be aborted.
fn client(world: &Arc<World>, moment: Moment) -> tokio::task::JoinHandle<()> {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let body = if moment.streams { streamed(MODEL) } else { chat(MODEL) };
        let mut response = world.open(post("/v1/chat/completions", body.to_string())).await;
        if moment.reads {
            assert!(response.body_mut().frame().await.unwrap().is_ok());
        }
        std::future::pending::<()>().await;
        drop(response);
    })
}

async fn leaves_in(moment: Moment) {
    let world = world(&moment, 5).await;
    let provider = || world.provider.as_ref().unwrap();
    let leaver = client(&world, moment);
    world.wait_for("the call is under way", || async { provider().calls() == 1 }).await;
    // Whatever the client reads first has come by now.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let left_at = Instant::now();
    leaver.abort();
    assert!(leaver.await.unwrap_err().is_cancelled(), "{}: it was there", moment.situation);
    world.wait_until_idle().await;
    let seen = provider().seen();
    assert_eq!(seen.len(), 1, "{}: nobody asks again for who has left", moment.situation);
    let (end, at) = seen[0].ended.unwrap();
    assert_eq!(end, End::ClientLeft, "{}", moment.situation);
    let took = at.saturating_duration_since(left_at);
    assert!(took < PROMPT, "{}: the upstream heard of it after {took:?}", moment.situation);
    world.wait_for("the record", || async { !recent(&world).is_empty() }).await;
    assert_eq!(recent(&world), [Outcome::Cancelled], "{}", moment.situation);
}

fn recent(world: &World) -> Vec<Outcome> {
    let rows = world.ledger.recent_requests(10).unwrap();
    rows.iter().map(|request| request.outcome).collect()
}

#[tokio::test]
async fn the_upstream_hears_of_it_within_a_second() {
    for moment in MOMENTS {
        leaves_in(moment).await;
    }
}

#[tokio::test]
async fn who_leaves_the_queue_is_never_heard_of() {
    for streams in [false, true] {
        let holds = Moment { streams: true, reads: true, ..MOMENTS[3] };
        let world = world(&holds, 1).await;
        let holder = client(&world, holds);
        let provider = || world.provider.as_ref().unwrap();
        world.wait_for("the slot is taken", || async { provider().calls() == 1 }).await;
        let waiter = client(&world, Moment { streams, reads: false, ..holds });
        world.wait_for("one waits", || async { world.gateway().queued() == 1 }).await;
        waiter.abort();
        world.wait_for("nobody waits", || async { world.gateway().queued() == 0 }).await;
        holder.abort();
        world.wait_until_idle().await;
        assert_eq!(provider().calls(), 1);
    }
}

/// Nobody asks again for a client that left while its request waited to be tried again.
#[tokio::test]
async fn who_leaves_between_two_attempts_is_not_asked_for_again() {
    let limited = |asked: &Asked| match asked.number {
        0 => super::refused::asks_for_a_second(),
        _ => whole(asked),
    };
    for streams in [false, true] {
        let moment = Moment { streams, reads: false, director: limited, ..MOMENTS[0] };
        let world = world(&moment, 5).await;
        let provider = || world.provider.as_ref().unwrap();
        let leaver = client(&world, moment);
        world.wait_for("the refusal", || async { provider().calls() == 1 }).await;
        world.wait_for("its end", || async { world.gateway().slots_in_use() == 0 }).await;
        leaver.abort();
        world.wait_until_idle().await;
        assert_eq!(provider().calls(), 1);
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let nothing = "nothing";
    let queued = [false, true].map(|streams| Row {
        situation: "client gone while queued".to_owned(),
        streams,
        client: "–".to_owned(),
        upstream: nothing.to_owned(),
    });
    let moments = MOMENTS.iter().map(|moment| Row {
        situation: moment.situation.to_owned(),
        streams: moment.streams,
        client: "–".to_owned(),
        upstream: "the end of the connection within a second, and nothing after it".to_owned(),
    });
    queued.into_iter().chain(moments).collect()
}
