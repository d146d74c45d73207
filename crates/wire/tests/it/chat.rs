//! Whole answers of the inference endpoints.

use ripcord_wire::chat::{ChatCompletion, ChatCompletionChunk, ChatRequest, Message};
use ripcord_wire::completions::Completion;
use ripcord_wire::embeddings::{EmbeddingList, Vector};
use serde_json::json;

use crate::payloads::{json, read};

#[test]
fn a_chat_answer_and_its_unknown_fields() {
    let answer: ChatCompletion = read("chat_completion.json");
    let choice = &answer.choices[0];
    assert_eq!(choice.message.text().as_deref(), Some("Forty-two."));
    assert_eq!(
        (choice.finish_reason.as_deref(), choice.message.tool_calls.is_none()),
        (Some("stop"), true)
    );
    assert_eq!(choice.extra["matched_stop"], 2);
    let usage = answer.usage.as_ref().unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens()),
        (Some(11), Some(4), None)
    );
    let written = serde_json::to_value(&answer).unwrap();
    assert_eq!(written["chutes_verification"], json("chat_completion.json")["chutes_verification"]);
    assert!(!format!("{answer:?}").contains("Forty"));
}

#[test]
fn the_first_chunk() {
    let chunk: ChatCompletionChunk =
        serde_json::from_value(json("sse_first_chunk.json")["data"].take()).unwrap();
    assert_eq!(chunk.choices[0].delta.role.as_deref(), Some("assistant"));
    assert_eq!((chunk.usage, chunk.choices[0].finish_reason.as_deref()), (None, None));
}

#[test]
fn a_text_answer_and_embeddings() {
    let answer: Completion = read("completion.json");
    assert_eq!(answer.choices[0].text.as_deref(), Some(" upon a time"));
    assert_eq!(answer.usage.unwrap().cached_tokens(), Some(1));
    let list: EmbeddingList = read("embeddings.json");
    assert_eq!(list.data[0].embedding, Some(Vector::Numbers(vec![0.5, -0.25])));
    assert!(matches!(list.data[1].embedding, Some(Vector::Base64(_))));
}

#[test]
fn nulls_and_odd_types_lose_nothing_else() {
    let answer: ChatCompletion = serde_json::from_value(json!({
        "id": 7, "model": null, "created": "soon", "usage": {"prompt_tokens": "12", "completion_tokens": 3.0},
        "choices": [null, {"message": null}, {"message": {"content": [{"type": "text", "text": "a"}, {"type": "image_url"}]},
            "finish_reason": null}]
    }))
    .unwrap();
    assert_eq!((answer.id.as_deref(), answer.created), (Some("7"), None));
    assert_eq!((answer.choices.len(), answer.choices.skipped), (2, 1));
    assert_eq!(answer.choices[1].message.text().as_deref(), Some("a"));
    let usage = answer.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(12), Some(3)));
}

#[test]
fn a_request_names_no_nulls() {
    let request = ChatRequest {
        model: "m".to_owned(),
        messages: vec![Message::new("user", "secret")],
        max_tokens: Some(5),
        ..ChatRequest::default()
    };
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"model": "m", "messages": [{"role": "user", "content": "secret"}], "max_tokens": 5})
    );
    assert!(!format!("{request:?}").contains("secret"));
}
