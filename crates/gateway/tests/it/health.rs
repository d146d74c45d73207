//! What many requests learn from each other: circuits, limits of the first token, and how often the lists are read.

use crate::faults::answers::{detail, whole};
use crate::provider::{Act, Asked, Provider, Script, read_request};
use crate::world::{Answered, MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use chutes_emulator::{Fault, FaultKind};
use parking_lot::Mutex;
use ripcord_rules::recover::CircuitLimits;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Requests at once in a bad minute.
const MANY: usize = 40;

fn broken() -> Script {
    detail("500 Internal Server Error", "exhausted all available targets to no avail")
}

pub(crate) async fn with_deadline(world: &World, body: &Value, seconds: u64) -> Answered {
    let mut request = post("/v1/chat/completions", body.to_string());
    request.headers_mut().insert("x-ripcord-deadline", seconds.into());
    world.send(request).await
}

pub(crate) async fn at_once(
    world: &World,
    count: usize,
    body: &Value,
    deadline: u64,
) -> Vec<Answered> {
    let mut calls: Vec<_> =
        (0..count).map(|_| Box::pin(with_deadline(world, body, deadline))).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|cx| {
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            Poll::Ready(answered) => {
                answers.push(answered);
                false
            }
            Poll::Pending => true,
        });
        if calls.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers
}

#[tokio::test]
async fn a_model_that_keeps_failing_is_left_alone_and_used_again_when_it_works() {
    let works = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&works);
    let mut plan = Plan::new();
    plan.limits.recovery.circuits = CircuitLimits {
        first_pause: Duration::from_millis(400),
        longest_pause: Duration::from_millis(400),
        ..CircuitLimits::default()
    };
    plan.provider = Some(
        Provider::start(move |asked: &Asked| {
            let is_well = asked.model != MODEL || is_up.load(Ordering::SeqCst);
            if is_well { whole(asked) } else { broken() }
        })
        .await,
    );
    let world = plan.start().await;
    for answered in at_once(&world, MANY, &chat(MODEL), 2).await {
        assert_eq!(answered.refusal(), (502, "upstream_failed".to_owned(), "true"));
    }
    // Two attempts for each would be 80: those under way when it opened, and a probe every 400 ms.
    let calls = world.provider.as_ref().unwrap().calls();
    assert!((5..=20).contains(&calls), "{calls}");
    assert_eq!(world.status_report().await["models_failing"][0], MODEL);
    // Others are not touched by it, on the same account.
    assert_eq!(world.chat(&chat(OTHER_MODEL)).await.status, 200);
    works.store(true, Ordering::SeqCst);
    for answered in at_once(&world, MANY, &chat(MODEL), 5).await {
        assert_eq!(answered.status, 200, "{}", answered.text());
    }
    assert_eq!(world.status_report().await["models_failing"].as_array().unwrap().len(), 0);
    world.wait_until_idle().await;
}

#[tokio::test]
async fn a_probe_whose_client_leaves_makes_room_for_the_next() {
    let mut plan = Plan::new();
    plan.limits.first_token = Duration::from_secs(10);
    plan.limits.recovery.circuits = CircuitLimits {
        failures: 1,
        first_pause: Duration::from_millis(50),
        ..CircuitLimits::default()
    };
    plan.provider = Some(
        Provider::start(|asked: &Asked| match asked.number {
            0 => broken(),
            1 => Script::new("nothing", vec![Act::Stall]),
            _ => whole(asked),
        })
        .await,
    );
    let world = plan.start().await;
    // Its second attempt is the probe, which says nothing; the client leaves.
    let body = streamed(MODEL);
    let probe = with_deadline(&world, &body, 20);
    assert!(tokio::time::timeout(Duration::from_millis(800), probe).await.is_err());
    assert_eq!(world.provider.as_ref().unwrap().calls(), 2);
    assert_eq!(with_deadline(&world, &chat(MODEL), 5).await.status, 200);
}

#[tokio::test]
async fn a_model_that_thinks_long_is_given_the_time_that_it_takes() {
    let mut plan = Plan::new();
    plan.limits.first_token = Duration::from_millis(1_000);
    plan.limits.stall = Duration::from_secs(5);
    plan.provider = Some(
        Provider::start(|asked: &Asked| {
            let thinks = if asked.number < 10 { 500 } else { 1_200 };
            whole(asked).after(Act::Pause(Duration::from_millis(thinks)))
        })
        .await,
    );
    let world = plan.start().await;
    for answered in at_once(&world, 10, &streamed(MODEL), 20).await {
        answered.assert_whole_stream();
    }
    // Longer than the limit at the start, and no longer than what was learned since.
    let slow = with_deadline(&world, &streamed(MODEL), 20).await;
    slow.assert_whole_stream();
    assert_eq!(slow.header("x-ripcord-attempts"), "1");
}

#[tokio::test]
async fn the_lists_are_read_while_somebody_asks_and_not_for_each_request() {
    let world = World::start().await;
    let reads = |path: &str| {
        let log = world.control().log();
        log.iter().filter(|entry| entry.path.starts_with(path)).count()
    };
    assert_eq!((reads("/chutes/utilization"), reads("/chutes/?")), (0, 0), "nobody asked");
    for _ in 0..5 {
        assert_eq!(world.chat(&chat(MODEL)).await.status, 200);
    }
    world
        .wait_for("both lists", || async {
            reads("/chutes/utilization") == 1 && reads("/chutes/") == 2
        })
        .await;
    for _ in 0..5 {
        assert_eq!(world.chat(&chat(MODEL)).await.status, 200);
    }
    assert_eq!(reads("/chutes/"), 2);
}

#[tokio::test]
async fn without_a_retry_left_a_failure_is_told_at_once() {
    let mut plan = Plan::new();
    plan.limits.recovery.retries.most = 0;
    plan.limits.recovery.retries.per_second = 0;
    plan.limits.recovery.retries.per_request_permille = 0;
    let world = plan.start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::ServerError).times(1)).unwrap();
    let answered = world.chat(&chat(MODEL)).await;
    assert_eq!(answered.refusal(), (502, "upstream_failed".to_owned(), "true"));
    assert_eq!(world.upstream_calls().len(), 1);
    // Others are not kept from their first attempt.
    assert_eq!(world.chat(&chat(MODEL)).await.status, 200);
}

/// A service that keeps its connections: the requests for answers on each, in order.
async fn blocking_edge(posts: Arc<Mutex<Vec<(usize, usize)>>>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut connections = JoinSet::new();
    connections.spawn(async move {
        let mut inner = JoinSet::new();
        for number in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let posts = Arc::clone(&posts);
            inner.spawn(async move {
                let mut place = 0;
                while let Some((head, _)) = read_request(&mut stream).await {
                    let mut count = 1;
                    if head.starts_with("POST ") {
                        let mut posts = posts.lock();
                        posts.push((number, place));
                        count = posts.len();
                    }
                    place += 1;
                    let answer = match (head.starts_with("POST "), count) {
                        // The second request is blocked, whichever connection it takes.
                        (true, 2) => http("403 Forbidden", "text/html", "<html>Forbidden</html>"),
                        _ => http("200 OK", "application/json", WHOLE),
                    };
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, connections)
}

const WHOLE: &str = r#"{"id":"a","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

fn http(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn an_edge_block_is_tried_again_over_a_connection_of_its_own() {
    let posts = Arc::default();
    let (url, _edge) = blocking_edge(Arc::clone(&posts)).await;
    let mut plan = Plan::new();
    plan.llm_url = Some(url);
    let world = plan.start().await;
    for attempts in ["1", "2"] {
        let answered = world.chat(&chat(MODEL)).await;
        assert_eq!(answered.header("x-ripcord-attempts"), attempts, "{}", answered.text());
    }
    let posts = posts.lock().clone();
    let [_, (blocked_on, place), (answered_on, 0)] = posts[..] else { panic!("{posts:?}") };
    assert!(place > 0 && blocked_on != answered_on, "{posts:?}");
}
