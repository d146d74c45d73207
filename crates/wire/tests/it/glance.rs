//! The glance at a stream event.

use proptest::prelude::*;
use ripcord_wire::chat::{ChatCompletionChunk, ChunkGlance};

fn glance(data: &str) -> ChunkGlance<'_> {
    ChunkGlance::read(data.as_bytes()).unwrap_or_else(|| panic!("no object: {data}"))
}

#[test]
fn a_role_content_reasoning_and_tools_are_told_apart() {
    let of = |delta: &str| {
        let data = format!(r#"{{"choices":[{{"index":3,"delta":{delta}}}]}}"#);
        let glance = glance(&data);
        let choice = glance.choices().next().unwrap();
        assert_eq!(choice.index, 3);
        (choice.has_role, choice.has_content, choice.has_reasoning, choice.has_tool_call)
    };
    assert_eq!(
        of(r#"{"role":"assistant","content":"","tool_calls":null}"#),
        (true, false, false, false)
    );
    assert_eq!(of(r#"{"content":" "}"#), (false, true, false, false));
    assert_eq!(of(r#"{"content":null,"reasoning_content":"x"}"#), (false, false, true, false));
    assert_eq!(of(r#"{"reasoning":"x","reasoning_content":null}"#), (false, false, true, false));
    assert_eq!(of(r#"{"tool_calls":[{"index":0}]}"#), (false, false, false, true));
    assert_eq!(of(r#"{"tool_calls":[]}"#), (false, false, false, false));
    assert_eq!(of("null"), (false, false, false, false));
}

#[test]
fn text_completions_and_whole_answers_are_understood() {
    assert!(glance(r#"{"choices":[{"index":0,"text":"x"}]}"#).is_useful());
    let whole = glance(
        r#"{"id":"a\/b","choices":[{"message":{"role":"assistant","content":"a\nb"},"finish_reason":"stop"}]}"#,
    );
    assert_eq!((whole.id.as_deref(), whole.finish_reason()), (Some("a/b"), Some("stop")));
    assert_eq!(whole.choices().next().unwrap().content_text().as_deref(), Some("a\nb"));
    assert!(!format!("{whole:?}").contains("a\\\\nb"));
}

#[test]
fn usage_errors_and_several_choices() {
    let last = glance(
        r#"{"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":4.0,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":null}}"#,
    );
    assert!(last.is_only_usage());
    let usage = last.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(21), Some(4)));
    assert_eq!((usage.cached_tokens, usage.reasoning_tokens), (Some(8), None));
    assert_eq!(glance(r#"{"usage":null,"error":null}"#), ChunkGlance::default());
    assert_eq!(glance(r#"{"error":{"code":500}}"#).error, Some(r#"{"code":500}"#));
    for failed in [
        r#"{"object":"error","message":"m"}"#,
        r#"{"type":"error","message":"m"}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"abort"}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
        r#"{"choices":[{"error":{"message":"m"}}]}"#,
    ] {
        assert!(glance(failed).error.is_some(), "{failed}");
    }
    for fine in [
        r#"{"object":"chat.completion.chunk","choices":[{"finish_reason":"length","error":null}]}"#,
        r#"{"object":"list","choices":[{"delta":{"content":"error"},"finish_reason":null}]}"#,
    ] {
        assert_eq!(glance(fine).error, None, "{fine}");
    }
    let two = glance(
        r#"{"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"delta":{"content":"x"}}]}"#,
    );
    assert_eq!(two.choices().map(|choice| choice.index).collect::<Vec<_>>(), [0, 1]);
    assert!(two.is_useful() && two.finish_reason() == Some("stop"));
}

#[test]
fn misshapen_members_are_absent() {
    let odd = glance(r#"{"id":7,"model":[],"choices":{"a":1},"usage":[1]}"#);
    assert_eq!(odd, ChunkGlance::default());
    let odd = glance(r#"{"choices":[1,null,{"index":-1,"delta":[],"finish_reason":0}]}"#);
    assert_eq!((odd.choices().count(), odd.finish_reason()), (1, None));
    for data in ["", "[DONE]", "[]", "{", "{}x", "\"a\""] {
        assert_eq!(ChunkGlance::read(data.as_bytes()), None, "{data}");
    }
    assert_eq!(ChunkGlance::read(b"{\"a\":\"\xff\"}"), None);
}

proptest! {
    /// The glance sees what the whole type sees.
    #[test]
    fn agrees_with_the_whole_type(
        id in any::<String>(), content in proptest::option::of(any::<String>()), tokens in any::<u32>(),
        reason in proptest::option::of("[a-z\"\\\\]{1,8}"),
    ) {
        let data = serde_json::json!({
            "id": id, "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}],
            "usage": {"prompt_tokens": tokens},
        })
        .to_string();
        let whole: ChatCompletionChunk = serde_json::from_str(&data).unwrap();
        let glance = glance(&data);
        prop_assert_eq!(glance.id.as_deref(), whole.id.as_deref());
        prop_assert_eq!(glance.finish_reason(), whole.choices[0].finish_reason.as_deref());
        let text = whole.choices[0].delta.text();
        prop_assert_eq!(glance.is_useful(), text.as_ref().is_some_and(|text| !text.is_empty()));
        let content = glance.choices().next().and_then(|choice| choice.content_text().map(String::from));
        prop_assert_eq!(content, text);
        prop_assert_eq!(glance.usage.and_then(|usage| usage.prompt_tokens), Some(u64::from(tokens)));
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = ChunkGlance::read(&bytes);
    }
}
