//! Streams that are framed or cut in odd ways: nothing is said twice, and half of an event never reaches the client.

use super::{Told, before, begun, event, script, stream_of, text_event};
use crate::provider::{Act, STREAM_HEAD, Script};
use crate::world::{MODEL, post, streamed};
use http_body_util::BodyExt as _;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_error_inside_of_an_event_takes_the_event_with_it() {
    for line_end in ["\n", "\r\n", "\r"] {
        let (world, _) = before(
            |_| {},
            move |asked| match begun(asked) {
                // The second event lacks its blank line.
                None => {
                    let half = text_event("first", " two").replace("\n\n", "\n");
                    let error = "{\"error\":\"infra_overload\"}\n\n";
                    let all = text_event("first", "one") + &half + error;
                    script(&[&all.replace('\n', line_end)])
                }
                Some(_) => script(&[&stream_of("second", " two three", 4)]),
            },
        )
        .await;
        let answered = world.chat(&streamed(MODEL)).await;
        Told::of(&answered).assert_one_answer("one two three");
    }
}

#[tokio::test]
async fn a_rest_that_is_begun_twice_at_once_is_said_once() {
    for (said, repeats) in [(" two three", " two"), (" two", " two three"), (" two three", "")] {
        let (world, bodies) = before(
            |_| {},
            move |asked| match (asked.number, begun(asked).as_deref()) {
                (_, None) => script(&[&text_event("first", "Count: one")]),
                // The server begins the rest again, on another instance, within the first bytes.
                (1, Some(_)) => {
                    let role = event("third", &json!({ "role": "assistant", "content": "" }), None);
                    let at_once =
                        text_event("second", said) + &role + &text_event("third", repeats);
                    let rest = stream_of("third", &" two three four"[repeats.len()..], 3);
                    script(&[&at_once, &rest])
                }
                (_, Some(begun)) => {
                    let rest = "Count: one two three four".strip_prefix(begun).unwrap();
                    script(&[&stream_of("fourth", rest, 3)])
                }
            },
        )
        .await;
        let answered = world.chat(&streamed(MODEL)).await;
        let told = Told::of(&answered);
        if told.error.is_some() {
            told.assert_broken("Count: one two three four");
        } else {
            told.assert_one_answer("Count: one two three four");
        }
        assert!(bodies.lock().len() <= 4);
    }
}

#[tokio::test]
async fn all_prompts_of_a_list_have_to_be_answered() {
    let said = |index: u64, text: &str, finish: Option<&str>| {
        let chunk = json!({ "id": "cmpl", "choices":
            [{ "index": index, "text": text, "finish_reason": finish }] });
        format!("data: {chunk}\n\n")
    };
    let (world, _) = before(
        |_| {},
        move |asked| {
            if !asked.streams {
                let one = json!({ "id": "cmpl", "choices":
                    [{ "index": 0, "text": "a", "finish_reason": "stop" }] });
                return Script::whole(
                    "one",
                    "200 OK\r\ncontent-type: application/json",
                    &one.to_string(),
                );
            }
            script(&[&said(0, "a", None), &said(0, "", Some("stop")), "data: [DONE]\n\n"])
        },
    )
    .await;
    for prompt in [json!(["one", "two"]), json!([[1, 2], [3]])] {
        let mut body = json!({ "model": MODEL, "prompt": prompt, "stream": true, "max_tokens": 9 });
        let told = Told::of(&world.post("/v1/completions", body.to_string()).await);
        assert!(told.error.is_some() && !told.is_done, "{told:?}");
        body["stream"] = false.into();
        let answered = world.post("/v1/completions", body.to_string()).await;
        assert!(answered.status.is_server_error(), "{}", answered.text());
    }
    // One prompt in a list, or as tokens, is one.
    for prompt in [json!(["one"]), json!([1, 2, 3]), json!([[1, 2]]), json!("one")] {
        let body = json!({ "model": MODEL, "prompt": prompt, "stream": true, "max_tokens": 9 });
        let told = Told::of(&world.post("/v1/completions", body.to_string()).await);
        assert!(told.is_done && told.error.is_none(), "{told:?}");
    }
}

#[tokio::test]
async fn whatever_its_lines_end_with_every_byte_is_passed_on() {
    for line_end in ["\n", "\r\n", "\r"] {
        let all = ": hello\n\n: again\n\nevent: message\nid: 7\n".to_owned()
            + &stream_of("answer", "The whole answer, 日本 👩‍🚀.", 3);
        let all = format!("\u{feff}{}", all.replace('\n', line_end));
        for size in [1, 7, 64, all.len()] {
            let sent = all.clone();
            let (world, _) = before(
                |_| {},
                move |_| {
                    let pieces = sent.as_bytes().chunks(size).map(<[u8]>::to_vec).map(Act::Send);
                    let head = Act::Send(STREAM_HEAD.as_bytes().to_vec());
                    Script::new("pieces", [head].into_iter().chain(pieces).collect())
                },
            )
            .await;
            let answered = world.chat(&streamed(MODEL)).await;
            let text = answered.text();
            assert_eq!(text, all, "{line_end:?} in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_behind_a_comment_hides_nothing() {
    let text = "The whole answer.";
    let (world, _) = before(
        |plan| plan.limits.heartbeat = Duration::from_millis(20),
        move |_| {
            let all =
                format!("\u{feff}{}{}", text_event("answer", text), stream_of("answer", "", 1));
            let head = Act::Send(STREAM_HEAD.as_bytes().to_vec());
            let late = Act::Pause(Duration::from_millis(50));
            Script::new("late", vec![late, head, Act::Send(all.into_bytes())])
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    assert!(answered.text().starts_with(": "), "opened early: {}", answered.text());
    Told::of(&answered).assert_one_answer(text);
}

#[tokio::test]
async fn no_event_waits_for_the_second_half_of_its_last_line_end() {
    let (world, _) = before(
        |_| {},
        |_| {
            let events = [text_event("first", "one"), text_event("first", " two")].concat();
            let events = Act::Send(events.replace('\n', "\r\n").into_bytes());
            Script::new(
                "held",
                vec![Act::Send(STREAM_HEAD.as_bytes().to_vec()), events, Act::Stall],
            )
        },
    )
    .await;
    let mut response = world.open(post("/v1/chat/completions", streamed(MODEL).to_string())).await;
    let mut text = String::new();
    while text.matches("content").count() < 2 {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(text.ends_with("\r\n\r\n"), "{text:?}");
    drop(response);
    world.wait_until_idle().await;
}

#[tokio::test]
async fn an_event_that_is_named_an_error_does_not_reach_the_client() {
    let (world, _) = before(
        |_| {},
        |asked| match begun(asked) {
            None => {
                let error = "event: error\ndata: {\"message\":\"overloaded\"}\n\n";
                script(&[&text_event("first", "one"), error])
            }
            Some(_) => script(&[&stream_of("second", " two", 4)]),
        },
    )
    .await;
    let answered = world.chat(&streamed(MODEL)).await;
    assert!(!answered.text().contains("overloaded"), "{}", answered.text());
    Told::of(&answered).assert_one_answer("one two");
}
