//! An answer that breaks off goes on, or ends in an honest error: what the client reads, and what is asked upstream for it.

mod odd;

use crate::provider::{Act, Asked, CHUNKED_HEAD, Provider, STREAM_HEAD, Script, http_chunk, whole};
use crate::world::{Answered, BREAKS, MODEL, Plan, World, post, streamed};
use chutes_emulator::{Fault, FaultKind, Prefill};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use ripcord_client::endpoints::{BaseUrl, PlainHttp, Service};
use ripcord_gateway::ProviderConfig;
use ripcord_rules::route::{Continuation, Place};
use ripcord_store::Outcome;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const TEXT: &str =
    "The harbour light turns slowly, and every boat keeps \"its\" own lamp: 日本 👩‍🚀.";

/// What a client reads of a stream.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: String,
    ids: Vec<String>,
    roles: usize,
    ends: Vec<String>,
    usage: Option<Value>,
    is_done: bool,
    error: Option<String>,
}

impl Told {
    fn of(answered: &Answered) -> Self {
        let mut told = Self::default();
        for data in answered.events() {
            if data == "[DONE]" {
                told.is_done = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(&data).unwrap();
            if let Some(code) = chunk["error"]["code"].as_str() {
                told.error = Some(code.to_owned());
                continue;
            }
            let id = chunk["id"].as_str().unwrap_or_default().to_owned();
            if !told.ids.contains(&id) {
                told.ids.push(id);
            }
            let choice = &chunk["choices"][0];
            told.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            told.text.push_str(choice["text"].as_str().unwrap_or_default());
            told.roles += usize::from(choice["delta"]["role"].is_string());
            told.ends.extend(choice["finish_reason"].as_str().map(str::to_owned));
            told.usage = Some(chunk["usage"].clone()).filter(Value::is_object).or(told.usage);
        }
        told
    }

    /// One answer: all of the text once, one id, one role, one end.
    #[track_caller]
    fn assert_one_answer(&self, text: &str) {
        let is_one = self.text == text
            && self.ids.len() == 1
            && self.roles <= 1
            && self.ends == ["stop"]
            && self.is_done
            && self.error.is_none();
        assert!(is_one, "{self:?}");
    }

    /// A beginning, an error, and nothing that looks like an end.
    #[track_caller]
    fn assert_broken(&self, text: &str) {
        let is_broken = text.starts_with(&self.text)
            && self.error.as_deref() == Some("stream_broken")
            && self.ends.is_empty()
            && !self.is_done;
        assert!(is_broken, "{self:?}");
    }
}

fn event(id: &str, delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({ "id": id, "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [choice] });
    format!("data: {chunk}\n\n")
}

fn text_event(id: &str, text: &str) -> String {
    event(id, &json!({ "content": text }), None)
}

fn usage_event(id: &str, prompt: usize, completion: usize) -> String {
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion });
    let chunk = json!({ "id": id, "choices": [], "usage": usage });
    format!("data: {chunk}\n\n")
}

/// A stream that says this in pieces of some characters.
fn stream_of(id: &str, text: &str, characters: usize) -> String {
    let mut stream = event(id, &json!({ "role": "assistant", "content": "" }), None);
    let characters_of: Vec<char> = text.chars().collect();
    for piece in characters_of.chunks(characters) {
        stream.push_str(&text_event(id, &piece.iter().collect::<String>()));
    }
    stream.push_str(&event(id, &json!({}), Some("stop")));
    stream.push_str(&usage_event(id, 10, text.len()));
    stream + "data: [DONE]\n\n"
}

fn script(events: &[&str]) -> Script {
    let sent = events.iter().map(|event| Act::Send(http_chunk(event)));
    let head = Act::Send(CHUNKED_HEAD.as_bytes().to_vec());
    Script::new("script", [head].into_iter().chain(sent).collect())
}

/// What the upstream was asked, in order.
type Bodies = Arc<Mutex<Vec<Value>>>;

async fn before(
    change: impl FnOnce(&mut Plan),
    director: impl Fn(&Asked) -> Script + Send + Sync + 'static,
) -> (World, Bodies) {
    let bodies = Bodies::default();
    let seen = Arc::clone(&bodies);
    let mut plan = Plan::new();
    let provider = Provider::start(move |asked| {
        seen.lock().push(asked.body.clone());
        director(asked)
    });
    plan.provider = Some(provider.await);
    change(&mut plan);
    (plan.start().await, bodies)
}

fn begun(asked: &Asked) -> Option<String> {
    if asked.body["continue_final_message"] != true {
        return None;
    }
    let last = asked.body["messages"].as_array()?.last()?;
    Some(last["content"].as_str()?.to_owned())
}

/// The whole text, or what is left of it.
fn goes_on(asked: &Asked) -> Script {
    let begun = begun(asked).unwrap_or_default();
    let rest = TEXT.strip_prefix(begun.as_str()).unwrap();
    script(&[&stream_of(&format!("answer-{}", asked.number), rest, 3)])
}

fn numbered(count: u64) -> String {
    (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// A model that counts to 12.
fn counting() -> Plan {
    let mut plan = Plan::new();
    for model in &mut plan.scenario.models {
        *model = model.clone().numbered().tokens(10, 12);
    }
    plan
}

#[tokio::test]
async fn it_goes_on_wherever_and_however_it_breaks() {
    let text = numbered(12);
    for kind in BREAKS {
        let mut plan = counting();
        plan.limits.stall = Duration::from_millis(40);
        let world = plan.start().await;
        for after in 2..=12 {
            let fault = Fault::new(kind).times(1).after_chunks(after);
            world.control().add_model_fault(MODEL, fault).unwrap();
            let mut body = streamed(MODEL);
            body["messages"][0]["content"] = format!("Count, {kind:?} {after}.").into();
            let calls = world.upstream_calls().len();
            let answered = world.chat(&body).await;
            Told::of(&answered).assert_one_answer(&text);
            // One that begins again by itself is not asked again.
            let more = if kind == FaultKind::Restart { 1 } else { 2 };
            assert_eq!(world.upstream_calls().len() - calls, more, "{kind:?} after {after}");
            let story = world.story(&answered).await;
            assert_eq!(story.request.unwrap().outcome, Outcome::Completed);
            assert_eq!(story.attempts.len(), more);
            if more == 2 {
                assert_eq!(story.attempts[0].outcome, Outcome::Broken, "{kind:?}");
            }
        }
        world.wait_until_idle().await;
    }
}

#[tokio::test]
async fn it_goes_on_wherever_its_bytes_end() {
    let all = stream_of("answer-0", TEXT, 5);
    let bytes = all.len() - "data: [DONE]\n\n".len();
    let cut = move |asked: &Asked, at: usize| {
        let mut acts = vec![Act::Send(STREAM_HEAD.as_bytes().to_vec())];
        let all = stream_of(&format!("answer-{}", asked.number), TEXT, 5);
        acts.push(Act::Send(all.as_bytes()[..at].to_vec()));
        Script::new("cut", acts)
    };
    let step = 23;
    let (world, bodies) = before(
        |_| {},
        move |asked| match begun(asked) {
            Some(_) => goes_on(asked),
            None => {
                let at = asked.body["user"].as_str().unwrap().parse().unwrap();
                cut(asked, at)
            }
        },
    )
    .await;
    let first_text = all.find("\"content\":\"The").unwrap();
    let first_text = first_text + all[first_text..].find("\n\n").unwrap() + 2;
    for at in (first_text..bytes).step_by(step) {
        let mut body = streamed(MODEL);
        body["user"] = at.to_string().into();
        let answered = world.chat(&body).await;
        let told = Told::of(&answered);
        assert_eq!(told.text, TEXT, "cut at byte {at}: {}", answered.text());
        assert_eq!((told.ids.len(), told.roles, &told.error), (1, 1, &None), "{at}");
        assert_eq!(told.ends, ["stop"], "{at}");
    }
    assert!(bodies.lock().iter().any(|body| body["continue_final_message"] == true));
}

#[tokio::test]
async fn the_request_for_the_rest_is_the_same_but_for_what_was_said() {
    let (world, bodies) = before(
        |_| {},
        |asked| match begun(asked) {
            None => script(&[
                &event("first", &json!({ "role": "assistant", "content": "" }), None),
                &text_event("first", "The harbour"),
                &text_event("first", " light \n"),
            ]),
            Some(_) => script(&[
                &event("second", &json!({ "role": "assistant", "content": "" }), None),
                &text_event("second", " "),
                &text_event("second", "\nturns."),
                &event("second", &json!({}), Some("stop")),
                &usage_event("second", 20, 3),
                "data: [DONE]\n\n",
            ]),
        },
    )
    .await;
    let mut body = streamed(MODEL);
    body["max_tokens"] = 100.into();
    body["temperature"] = json!(0.25);
    let answered = world.chat(&body).await;
    Told::of(&answered).assert_one_answer("The harbour light \nturns.");
    let asked = bodies.lock().clone();
    assert_eq!(asked[0], body);
    let mut expected = body.clone();
    let begun = json!({ "role": "assistant", "content": "The harbour light" });
    expected["messages"].as_array_mut().unwrap().push(begun);
    expected["continue_final_message"] = true.into();
    expected["add_generation_prompt"] = false.into();
    expected["max_tokens"] = 98.into();
    assert_eq!(asked[1], expected);
    // Of one answer to the client; of both attempts in the record.
    let usage = Told::of(&answered).usage.unwrap();
    assert_eq!(usage, json!({ "prompt_tokens": 18, "completion_tokens": 5, "total_tokens": 23 }));
    let story = world.story(&answered).await;
    let tokens: Vec<_> = story.attempts.iter().map(|attempt| attempt.tokens.prompt).collect();
    assert_eq!((tokens.len(), tokens[1]), (2, Some(20)));
    assert!(story.request.unwrap().tokens.prompt > Some(20));
}

#[tokio::test]
async fn what_cannot_begin_in_the_middle_is_not_continued() {
    for (member, value) in [
        ("n", json!(2)),
        ("seed", json!(1)),
        ("stop", json!(["never"])),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(2)),
        ("response_format", json!({ "type": "json_object" })),
        ("guided_regex", json!("a*")),
        ("min_tokens", json!(3)),
        ("echo", json!(true)),
        ("modalities", json!(["text", "audio"])),
    ] {
        let (world, bodies) = before(
            |_| {},
            |asked| {
                let all = stream_of("first", TEXT, 4);
                let part = &all[..all.find("boat").unwrap_or(all.len() / 2)];
                let end = part.rfind("data: ").unwrap();
                script(&[&part[..end], &format!("data: {{\"broken\":{}", asked.number)])
            },
        )
        .await;
        let mut body = streamed(MODEL);
        body[member] = value;
        let answered = world.chat(&body).await;
        Told::of(&answered).assert_broken(TEXT);
        assert_eq!(bodies.lock().len(), 1, "{member}");
        assert!(answered.text().contains("not continued"), "{}", answered.text());
        let story = world.story(&answered).await.request.unwrap();
        assert_eq!(story.outcome, Outcome::Broken);
    }
}

#[tokio::test]
async fn neither_is_a_thought_nor_a_call_of_a_tool() {
    let thought = json!({ "reasoning_content": "Let me see." });
    let call =
        json!({ "tool_calls": [{ "index": 0, "id": "call_1", "function": { "name": "look" } }] });
    let said = json!({ "content": "I will look." });
    let aloud = json!({ "content": "<think>Let me see." });
    for deltas in
        [vec![thought.clone()], vec![said.clone(), call], vec![aloud], vec![said, thought]]
    {
        let events: Vec<String> = deltas.iter().map(|delta| event("first", delta, None)).collect();
        let (world, bodies) =
            before(|_| {}, move |_| script(&events.iter().map(String::as_str).collect::<Vec<_>>()))
                .await;
        let answered = world.chat(&streamed(MODEL)).await;
        assert_eq!(Told::of(&answered).error.as_deref(), Some("stream_broken"), "{deltas:?}");
        assert_eq!(bodies.lock().len(), 1, "{deltas:?}");
    }
}

#[tokio::test]
async fn a_finished_thought_goes_with_the_beginning() {
    let (world, bodies) = before(
        |_| {},
        |asked| match begun(asked) {
            None => script(&[
                &event("first", &json!({ "reasoning_content": "Hm" }), None),
                &event("first", &json!({ "reasoning_content": "." }), None),
                &text_event("first", "It is"),
            ]),
            Some(_) => script(&[
                &text_event("second", " here."),
                &event("second", &json!({}), Some("stop")),
                "data: [DONE]\n\n",
            ]),
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_one_answer("It is here.");
    let last = bodies.lock()[1]["messages"][1].clone();
    assert_eq!(
        last,
        json!({ "role": "assistant", "content": "It is", "reasoning_content": "Hm." })
    );
    assert_eq!(answered.text().matches("\"reasoning_content\":\"").count(), 2);
}

#[tokio::test]
async fn a_model_that_thinks_again_does_not_go_on() {
    let (world, bodies) = before(
        |_| {},
        |asked| match begun(asked) {
            None => script(&[
                &event("first", &json!({ "reasoning_content": "Hm." }), None),
                &text_event("first", "It is"),
            ]),
            Some(_) => script(&[
                &event("second", &json!({ "reasoning_content": " here." }), None),
                &text_event("second", " Or there."),
                &event("second", &json!({}), Some("stop")),
                "data: [DONE]\n\n",
            ]),
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_broken("It is");
    assert_eq!(bodies.lock().len(), 2);
}

#[tokio::test]
async fn an_engine_that_takes_no_beginning_is_asked_again_from_the_start() {
    let text = numbered(12);
    for (prefill, calls) in [(Prefill::Refuses, 3), (Prefill::BeginsAgain, 2)] {
        let mut plan = counting();
        plan.scenario.models[0].prefill = prefill;
        let world = plan.start().await;
        let fault = Fault::new(FaultKind::Cut).times(1).after_chunks(10);
        world.control().add_model_fault(MODEL, fault).unwrap();
        let answered = world.chat(&streamed(MODEL)).await;
        Told::of(&answered).assert_one_answer(&text);
        assert_eq!(world.upstream_calls().len(), calls, "{prefill:?}");
        world.wait_until_idle().await;
    }
}

#[tokio::test]
async fn another_answer_is_not_glued_to_the_beginning() {
    let (world, bodies) = before(
        |_| {},
        |asked| match (asked.number, begun(asked)) {
            (0, _) => script(&[&text_event("first", "The harbour light")]),
            (_, Some(_)) => {
                let body = r#"{"error":{"message":"no prefill","code":400}}"#;
                Script::whole("no", "400 Bad Request\r\ncontent-type: application/json", body)
            }
            (_, None) => script(&[
                &text_event("second", "The harbour lamp turns."),
                &event("second", &json!({}), Some("stop")),
                "data: [DONE]\n\n",
            ]),
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_broken("The harbour light");
    assert_eq!(Told::of(&answered).text, "The harbour light");
    assert_eq!(bodies.lock().len(), 3);
    world.wait_until_idle().await;
}

#[tokio::test]
async fn it_may_break_more_than_once_and_not_without_end() {
    let text = numbered(12);
    let mut plan = counting().and_second();
    plan.limits.stall = Duration::from_millis(60);
    let world = plan.start().await;
    let break_off = |times: u32| {
        let fault = Fault::new(FaultKind::Reset).times(times).after_chunks(4);
        world.control().add_model_fault(MODEL, fault).unwrap();
    };
    break_off(3);
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_one_answer(&text);
    assert_eq!(world.upstream_calls().len(), 4, "four attempts, of which two on each account");
    break_off(9);
    let mut body = streamed(MODEL);
    body["messages"][0]["content"] = "Once more.".into();
    let answered = world.chat(&body).await;
    Told::of(&answered).assert_broken(&text);
    assert_eq!(world.upstream_calls().len(), 8);
    world.wait_until_idle().await;
    assert_eq!(world.story(&answered).await.attempts.len(), 4);
}

#[tokio::test]
async fn a_text_completion_goes_on_with_a_longer_prompt() {
    let (world, bodies) = before(
        |_| {},
        |asked| {
            let said = |text: &str, finish: Option<&str>| {
                let chunk = json!({ "id": format!("cmpl-{}", asked.number), "choices":
                    [{ "index": 0, "text": text, "finish_reason": finish }] });
                format!("data: {chunk}\n\n")
            };
            match asked.number {
                0 => script(&[&said("upon ", None), &said("a time ", None)]),
                _ => script(&[
                    &said(" there was.", None),
                    &said("", Some("stop")),
                    "data: [DONE]\n\n",
                ]),
            }
        },
    )
    .await;
    let body = json!({ "model": MODEL, "prompt": "Once ", "stream": true, "max_tokens": 50 });
    let answered = world.post("/v1/completions", body.to_string()).await;
    Told::of(&answered).assert_one_answer("upon a time there was.");
    let asked = bodies.lock()[1].clone();
    assert_eq!((&asked["prompt"], &asked["max_tokens"]), (&json!("Once upon a time"), &json!(48)));
}

#[tokio::test]
async fn the_client_hears_that_somebody_is_at_it_and_may_leave() {
    let mut plan = counting();
    plan.limits.heartbeat = Duration::from_millis(30);
    plan.limits.first_token = Duration::from_secs(30);
    let world = plan.start().await;
    let first = Fault::new(FaultKind::Cut).times(1).after_chunks(4);
    world.control().add_model_fault(MODEL, first).unwrap();
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent).times(1)).unwrap();
    let mut response = world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await;
    let id = response.headers()["x-ripcord-request-id"].to_str().unwrap().to_owned();
    let mut text = String::new();
    while text.matches(": ripcord is waiting for the model\n\n").count() < 2 {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    assert_eq!(world.upstream_calls().len(), 2);
    drop(response);
    world.wait_until_idle().await;
    let story = world.story_of(&id).await;
    assert_eq!(story.request.unwrap().outcome, Outcome::Cancelled);
    let outcomes: Vec<_> = story.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Outcome::Broken, Outcome::Cancelled]);
}

#[tokio::test]
async fn it_is_not_waited_for_without_end() {
    let mut plan = counting();
    plan.limits.first_token = Duration::from_secs(30);
    let world = plan.start().await;
    let first = Fault::new(FaultKind::Cut).times(1).after_chunks(4);
    world.control().add_model_fault(MODEL, first).unwrap();
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
    let mut request = post("/v1/chat/completions", streamed(MODEL).to_string());
    request.headers_mut().insert("x-ripcord-deadline", 1.into());
    let asked = std::time::Instant::now();
    let answered = world.send(request).await;
    assert!(asked.elapsed() < Duration::from_secs(5));
    Told::of(&answered).assert_broken(&numbered(12));
    world.wait_until_idle().await;
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_in_the_middle_of_it() {
    let mut plan = counting();
    plan.limits.first_token = Duration::from_secs(30);
    plan.limits.drain = Duration::from_millis(50);
    let mut world = plan.start().await;
    let first = Fault::new(FaultKind::Cut).times(1).after_chunks(4);
    world.control().add_model_fault(MODEL, first).unwrap();
    world.control().add_model_fault(MODEL, Fault::new(FaultKind::Silent)).unwrap();
    let response = world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await;
    world.wait_for("the rest is asked for", || async { world.upstream_calls().len() == 2 }).await;
    let gateway = world.gateway.take().unwrap();
    let (body, ()) = tokio::join!(response.into_body().collect(), gateway.shutdown());
    let bytes = body.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&bytes).contains("shutting_down"));
}

#[tokio::test]
async fn a_beginning_that_comes_again_with_other_words_is_followed_by_the_rest_of_the_first() {
    let (world, bodies) = before(
        |_| {},
        |asked| match begun(asked) {
            None => script(&[
                &text_event("first", "The harbour"),
                &text_event("again", "The harbor light"),
                &event("again", &json!({}), Some("stop")),
                "data: [DONE]\n\n",
            ]),
            Some(_) => goes_on(asked),
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_one_answer(TEXT);
    assert_eq!(bodies.lock().len(), 2);
    // Without any way to go on, it is an error.
    let mut body = streamed(MODEL);
    body["seed"] = 1.into();
    Told::of(&world.chat(&body).await).assert_broken("The harbour");
}

#[tokio::test]
async fn an_answer_that_is_refused_in_the_middle_is_not_asked_for_again() {
    let error = r#"{"error":{"message":"the content was filtered","code":"content_filter"}}"#;
    let events = [text_event("first", "The harbour"), format!("data: {error}\n\n")];
    let (world, bodies) =
        before(|_| {}, move |_| script(&events.iter().map(String::as_str).collect::<Vec<_>>()))
            .await;
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_broken("The harbour");
    assert_eq!(bodies.lock().len(), 1, "{}", answered.text());
}

#[tokio::test]
async fn a_document_is_no_rest() {
    let document =
        r#"{"id":"x","choices":[{"index":0,"message":{"content":"more"},"finish_reason":"stop"}]}"#;
    let answer = whole("200 OK\r\ncontent-type: application/json", document);
    let (world, _) = before(
        |_| {},
        move |asked| match asked.number {
            0 => script(&[&text_event("first", "The harbour")]),
            _ => Script::new("document", vec![Act::Send(answer.clone())]),
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    Told::of(&answered).assert_broken("The harbour");
    world.wait_until_idle().await;
}

/// Chutes, and a provider behind it that counts or says something else.
async fn with_provider(provider: &Provider, policy: Continuation, include_usage: bool) -> World {
    let mut plan = counting();
    let base_url = format!("{}/v1", provider.url);
    plan.routing.providers = vec![ProviderConfig {
        name: "other".to_owned(),
        base_url: BaseUrl::parse(Service::Provider, &base_url, PlainHttp::LoopbackOnly).unwrap(),
        key: None,
        place: Place::Behind,
        models: vec![(MODEL.to_owned(), "their-writer".to_owned())],
        tee: true,
        slots: None,
        prices: Vec::new(),
        daily_usd: None,
        include_usage,
        prefill: false,
    }];
    plan.routing.policy.continuation = policy;
    plan.limits.interactive_deadline = Duration::from_secs(5);
    plan.start().await
}

fn counts(asked: &Asked) -> Script {
    let all = stream_of("theirs", &numbered(12), 4);
    Script { name: asked.model.clone(), ..script(&[&all]) }
}

#[tokio::test]
async fn another_model_goes_on_only_where_that_is_allowed() {
    for (policy, calls) in [(Continuation::AnyModel, 1), (Continuation::SameModel, 0)] {
        let provider = Provider::start(counts).await;
        let world = with_provider(&provider, policy, false).await;
        let cut = Fault::new(FaultKind::Cut).times(1).after_chunks(6);
        world.control().add_model_fault(MODEL, cut).unwrap();
        world.control().add_model_fault(MODEL, Fault::new(FaultKind::Disabled)).unwrap();
        let answered = world.chat(&streamed(MODEL)).await;
        let told = Told::of(&answered);
        match policy {
            Continuation::AnyModel => told.assert_one_answer(&numbered(12)),
            _ => told.assert_broken(&numbered(12)),
        }
        assert_eq!(provider.calls(), calls, "{policy:?}");
        let models: Vec<String> = provider.seen().into_iter().map(|seen| seen.model).collect();
        assert!(models.iter().all(|model| model == "their-writer"), "{models:?}");
    }
}

#[tokio::test]
async fn switched_off_it_is_an_error() {
    let mut plan = counting();
    plan.routing.policy.continuation = Continuation::Off;
    let world = plan.start().await;
    for fault in [FaultKind::Cut, FaultKind::Restart] {
        let fault = Fault::new(fault).times(1).after_chunks(6);
        world.control().add_model_fault(MODEL, fault).unwrap();
        Told::of(&world.chat(&streamed(MODEL)).await).assert_broken(&numbered(12));
    }
    assert_eq!(world.upstream_calls().len(), 2);
}

#[tokio::test]
async fn figures_that_only_the_gateway_asked_for_do_not_reach_the_client() {
    for in_pieces in [false, true] {
        let provider = Provider::start(move |_| {
            let all = stream_of("theirs", &numbered(12), 4);
            if !in_pieces {
                return script(&[&all]);
            }
            let pieces: Vec<Vec<u8>> = all.as_bytes().chunks(37).map(<[u8]>::to_vec).collect();
            Script::pieces("pieces", &pieces).after(Act::Send(STREAM_HEAD.as_bytes().to_vec()))
        })
        .await;
        let world = with_provider(&provider, Continuation::SameModel, true).await;
        world.control().add_model_fault(MODEL, Fault::new(FaultKind::Disabled)).unwrap();
        let answered = world.chat(&streamed(MODEL)).await;
        let told = Told::of(&answered);
        told.assert_one_answer(&numbered(12));
        assert_eq!(told.usage, None, "{}", answered.text());
        let request = world.story(&answered).await.request.unwrap();
        assert_eq!(request.tokens.prompt, Some(10), "they are in the record");
        let mut asks = streamed(MODEL);
        asks["stream_options"] = json!({ "include_usage": true });
        let told = Told::of(&world.chat(&asks).await);
        told.assert_one_answer(&numbered(12));
        assert!(told.usage.is_some());
    }
}
