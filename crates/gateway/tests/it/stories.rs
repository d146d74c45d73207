//! What the ledger tells of a request afterwards: waits, switches, what was cut from it. And trimming itself.

use crate::world::{MODEL, OTHER_MODEL, Plan, World, chat, post, streamed};
use bytes::Bytes;
use chutes_emulator::{Fault, FaultKind};
use http::{HeaderValue, Request, StatusCode};
use ripcord_gateway::{ChainConfig, RoutingConfig, Share, Trim};
use ripcord_rules::route::RoutePolicy;
use ripcord_store::{RequestStory, StepKind, StepRow};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const SECRET: &str = "the number of the vault is 4711";

/// Six turns of a conversation, so that about a third can go.
fn long_chat() -> Value {
    long_chat_to(MODEL)
}

fn long_chat_to(model: &str) -> Value {
    let mut messages = vec![json!({"role": "system", "content": "be brief"})];
    for turn in 0..6 {
        messages.push(
            json!({"role": "user", "content": format!("{turn} {SECRET} {}", "x".repeat(200))}),
        );
        messages.push(json!({"role": "assistant", "content": "noted"}));
    }
    messages.push(json!({"role": "user", "content": "And now?"}));
    json!({"model": model, "messages": messages, "max_tokens": 300})
}

fn with_header(body: &Value, name: &'static str, value: &str) -> Request<Bytes> {
    let mut request = post("/v1/chat/completions", body.to_string());
    request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    request
}

fn steps_of(story: &RequestStory, kind: StepKind) -> Vec<&StepRow> {
    story.steps.iter().filter(|step| step.kind == kind).collect()
}

fn assert_silent_about_prompts(story: &RequestStory) {
    let told = format!("{story:?}");
    assert!(!told.contains("4711") && !told.contains("cpk_"), "{told}");
}

#[tokio::test]
async fn a_plain_request_has_no_steps() {
    let world = World::start().await;
    let story = world.story(&world.chat(&chat(MODEL)).await).await;
    assert_eq!(story.steps, []);
    assert_eq!(story.attempts.len(), 1);
    let told = story.request.unwrap();
    assert_eq!(
        (told.priority.as_deref(), told.deadline_us),
        (Some("interactive"), Some(120_000_000))
    );
    let batch = world.send(with_header(&chat(MODEL), "x-ripcord-priority", "batch")).await;
    let told = world.story(&batch).await.request.unwrap();
    assert_eq!((told.priority.as_deref(), told.deadline_us), (Some("batch"), None));
}

#[tokio::test]
async fn a_wait_between_attempts_is_told_with_its_reason() {
    let world = World::start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Capacity).times(1)).unwrap();
    let answered = world.chat(&long_chat()).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let story = world.story(&answered).await;
    let [first, second] = &story.attempts[..] else { panic!("{story:?}") };
    assert_eq!(first.cause.as_deref(), Some("capacity"));
    // With no luck in the draw it goes on at once, and there is no wait to tell of.
    for wait in steps_of(&story, StepKind::Waited) {
        assert_eq!((wait.after_attempt, wait.reason.as_deref()), (1, Some("backoff")));
        assert_eq!(wait.took_us, second.timing.waited_us);
    }
    assert_eq!(
        story.request.as_ref().unwrap().timing.waited_us,
        first.timing.waited_us + second.timing.waited_us
    );
    assert_silent_about_prompts(&story);
}

#[tokio::test]
async fn a_wait_for_a_slot_is_told_also_where_nothing_came_of_it() {
    let mut plan = Plan::new();
    plan.limits.slots_per_account = 1;
    plan.limits.interactive_deadline = std::time::Duration::from_millis(300);
    let world = plan.start().await;
    let silent = Fault::new(FaultKind::Silent).times(1).delay_ms(600);
    world.control().add_model_fault(MODEL, silent).unwrap();
    let mut holds = with_header(&chat(MODEL), "x-ripcord-deadline", "10");
    holds.headers_mut().insert("x-ripcord-priority", HeaderValue::from_static("batch"));
    let held = async { world.send(holds).await };
    let waits = async {
        world.wait_for("a slot taken", || async { world.gateway().slots_in_use() == 1 }).await;
        world.chat(&chat(MODEL)).await
    };
    let (_, refused) = tokio::join!(held, waits);
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
    let story = world.story(&refused).await;
    let waits = steps_of(&story, StepKind::Waited);
    assert_eq!((story.attempts.len(), waits.len()), (0, 1), "{story:?}");
    assert_eq!((waits[0].after_attempt, waits[0].reason.as_deref()), (0, Some("slot")));
    assert!(waits[0].took_us >= 100_000, "{waits:?}");
}

#[tokio::test]
async fn a_context_that_is_too_long_is_trimmed_where_the_caller_allows_it() {
    for wants_stream in [false, true] {
        let world = World::start().await;
        world
            .control()
            .add_model_fault(MODEL, Fault::new(FaultKind::ContextTooLong).times(1))
            .unwrap();
        let mut body = long_chat();
        body["stream"] = json!(wants_stream);
        let answered = world.send(with_header(&body, "x-ripcord-trim", "40%")).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        if wants_stream {
            answered.assert_whole_stream();
        }
        let marked = answered.header("x-ripcord-trimmed");
        assert!(marked == "40%; max_tokens=300->293; messages=14->6", "{marked}");
        // What was sent is what is left, and nothing else.
        let calls = world.upstream_calls();
        assert_eq!(calls.len(), 2);
        let whole = body.to_string();
        assert_eq!(calls[0].body_bytes, whole.len());
        let trimmed = ripcord_wire::trim::trim(&whole.into(), Share::percent(40).unwrap()).unwrap();
        let digest: String =
            Sha256::digest(&trimmed.body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(calls[1].body_sha256.as_deref(), Some(digest.as_str()));
        let story = world.story(&answered).await;
        let cut: Vec<_> = steps_of(&story, StepKind::Trimmed)
            .iter()
            .map(|step| {
                (
                    step.subject.as_deref().unwrap(),
                    step.reason.as_deref().unwrap(),
                    step.before.unwrap() > step.after.unwrap(),
                )
            })
            .collect();
        let why = "context_too_long";
        assert_eq!(cut, [("max_tokens", why, true), ("messages", why, true), ("bytes", why, true)]);
        assert_silent_about_prompts(&story);
        let metrics = world.get("/metrics").await;
        assert!(
            metrics.text().contains("ripcord_trims_total{cause=\"context_too_long\"} 1"),
            "{}",
            metrics.text()
        );
    }
}

#[tokio::test]
async fn nothing_is_trimmed_unasked_and_nothing_twice() {
    let world = World::start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::ContextTooLong)).unwrap();
    // (header, upstream calls)
    for (header, calls) in [(None, 1), (Some("off"), 1), (Some("30%"), 2)] {
        let before = world.upstream_calls().len();
        let answered = match header {
            None => world.chat(&long_chat()).await,
            Some(header) => world.send(with_header(&long_chat(), "x-ripcord-trim", header)).await,
        };
        assert_eq!(answered.refusal(), (400, "context_length_exceeded".to_owned(), "false"));
        assert_eq!(world.upstream_calls().len() - before, calls, "{header:?}");
    }
    // One turn cannot be cut: never the same request again.
    let answered = world.send(with_header(&chat(MODEL), "x-ripcord-trim", "50%")).await;
    assert_eq!(answered.refusal().0, 400);
    assert_eq!(world.story(&answered).await.attempts.len(), 1);
    for wrong in ["", "on", "80%", "0.3"] {
        let answered = world.send(with_header(&chat(MODEL), "x-ripcord-trim", wrong)).await;
        assert_eq!(answered.refusal(), (400, "invalid_header".to_owned(), "false"), "{wrong}");
    }
}

#[tokio::test]
async fn a_model_that_is_full_again_gets_less_to_read_where_the_settings_say_so() {
    let mut plan = Plan::new();
    plan.routing = RoutingConfig { trim: Trim::Share(Share::LEAST), ..RoutingConfig::default() };
    // So that the head is sent before there is an answer, if the backoff is not very short.
    plan.limits.heartbeat = std::time::Duration::from_millis(20);
    let world = plan.start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Capacity).times(2)).unwrap();
    let mut body = long_chat();
    body["stream"] = json!(true);
    let answered = world.chat(&body).await;
    answered.assert_whole_stream();
    // What the head could not say any more, the last comment says.
    let marked = match answered.header("x-ripcord-trimmed") {
        "" => answered.text().split_once(" x-ripcord-trimmed=").unwrap().1,
        marked => marked,
    };
    assert!(marked.starts_with('3'), "{marked}");
    let sizes: Vec<usize> = world.upstream_calls().iter().map(|call| call.body_bytes).collect();
    assert_eq!(sizes[0], sizes[1], "once with all of it");
    assert!(sizes[2] * 10 <= sizes[0] * 7, "{sizes:?}");
    let story = world.story(&answered).await;
    let cut = steps_of(&story, StepKind::Trimmed);
    assert_eq!((cut[0].after_attempt, cut[0].reason.as_deref()), (2, Some("capacity")));
    // A request that is not full keeps all of it, and a header says no.
    let whole = world.chat(&streamed(MODEL)).await;
    assert_eq!(whole.header("x-ripcord-trimmed"), "");
}

fn with_chain() -> Plan {
    let mut plan = Plan::new();
    let chain = ChainConfig {
        name: "coder".to_owned(),
        models: vec![MODEL.to_owned(), OTHER_MODEL.to_owned()],
        policy: RoutePolicy { allow_plain: true, ..RoutePolicy::default() },
        trim: Trim::Off,
    };
    plan.routing = RoutingConfig { chains: vec![chain], ..RoutingConfig::default() };
    plan
}

#[tokio::test]
async fn a_switch_is_told_and_counted_and_so_is_what_was_left_out() {
    let world = with_chain().start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Capacity)).unwrap();
    let answered = world.chat(&chat("coder")).await;
    assert_eq!(answered.header("x-ripcord-model"), OTHER_MODEL, "{}", answered.text());
    let story = world.story(&answered).await;
    let [switch] = steps_of(&story, StepKind::Switched)[..] else { panic!("{story:?}") };
    assert_eq!(
        (switch.subject.as_deref(), switch.target.as_deref()),
        (Some(MODEL), Some(OTHER_MODEL))
    );
    assert_eq!((switch.reason.as_deref(), switch.after_attempt), (Some("capacity"), 1));
    let metrics = world.get("/metrics").await;
    let counted = "ripcord_switches_total{of=\"model\",cause=\"capacity\"} 1";
    assert!(metrics.text().contains(counted), "{}", metrics.text());

    let mut alone = with_header(&chat("coder"), "x-ripcord-fallback", "off");
    alone.headers_mut().insert("x-ripcord-deadline", HeaderValue::from_static("1"));
    let refused = world.send(alone).await;
    assert!(!refused.status.is_success(), "{}", refused.text());
    let story = world.story(&refused).await;
    let left_out = steps_of(&story, StepKind::LeftOut);
    assert_eq!(left_out.len(), 1, "{story:?}");
    assert_eq!(left_out[0].subject.as_deref(), Some(OTHER_MODEL));
    assert_eq!(left_out[0].reason.as_deref(), Some("fallback_off"));
}

#[tokio::test]
async fn a_model_that_is_passed_over_before_it_fails_is_named() {
    let world = with_chain().start().await;
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Cold)).unwrap();
    let first = world.story(&world.chat(&chat("coder")).await).await;
    assert_eq!(first.attempts.len(), 2, "{first:?}");
    let second = world.story(&world.chat(&long_chat_to("coder")).await).await;
    assert_eq!(second.attempts.len(), 1, "{second:?}");
    let [chosen] = steps_of(&second, StepKind::Chosen)[..] else { panic!("{second:?}") };
    assert_eq!(
        (chosen.subject.as_deref(), chosen.target.as_deref()),
        (Some(OTHER_MODEL), Some(MODEL))
    );
    assert_eq!((chosen.reason.as_deref(), chosen.after_attempt), (Some("cold"), 0));
}
