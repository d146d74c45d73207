//! Calls that are no completions: embeddings, counting tokens, pictures.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    base64, calls::LogTicket, checks::Admitted, engine, inference::Outcome, quota::Tokens,
    reply::Reply,
};

/// A second of the machine, in pico-dollars: what a call costs that is charged by time.
const SECOND_PICO: i64 = 497_222_222;
/// The start and the end of a JPEG file, with nothing between them.
const PICTURE: [u8; 4] = [0xff, 0xd8, 0xff, 0xd9];

/// `/tokenize` and `/detokenize`.
pub(crate) fn tokens(
    admitted: Admitted,
    headers: Vec<(&'static str, String)>,
    ticket: LogTicket,
) -> Outcome {
    let Admitted { mut call, model, body, .. } = admitted;
    let value = if let Some(tokens) = body.get("tokens").and_then(Value::as_array) {
        let words: Vec<String> = tokens.iter().map(|token| format!("w{token}")).collect();
        json!({ "prompt": words.join(" ") })
    } else {
        let count = engine::prompt_length(&body);
        let tokens: Vec<u64> = (1..=count).collect();
        json!({
            "count": count,
            "max_model_len": model.context_length,
            "tokens": tokens,
            "token_strs": null,
        })
    };
    call.book(Tokens { flat_pico: SECOND_PICO, ..Tokens::default() }, ticket.reference());
    drop(call);
    let mut reply = Reply::json(&value);
    reply.headers = headers;
    Outcome::Reply(reply, ticket)
}

/// `/generate` of a model for pictures.
pub(crate) fn picture(
    admitted: Admitted,
    headers: Vec<(&'static str, String)>,
    ticket: LogTicket,
) -> Outcome {
    let Admitted { mut call, .. } = admitted;
    call.book(Tokens { flat_pico: SECOND_PICO, ..Tokens::default() }, ticket.reference());
    drop(call);
    let mut reply = Reply::new(StatusCode::OK, "image/jpeg", PICTURE.to_vec());
    reply.headers = headers;
    Outcome::Reply(reply, ticket)
}

/// `/v1/embeddings`.
pub(crate) fn embeddings(
    admitted: Admitted,
    headers: Vec<(&'static str, String)>,
    ticket: LogTicket,
) -> Outcome {
    const DIMENSIONS: usize = 32;
    let Admitted { mut call, model, body, .. } = admitted;
    let inputs: Vec<String> = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts
            .iter()
            .map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    let as_base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let asked = body.get("dimensions").and_then(Value::as_u64);
    let dimensions =
        asked.and_then(|n| usize::try_from(n).ok()).unwrap_or(DIMENSIONS).clamp(1, 8192);
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = engine::embedding(text, dimensions);
            let embedding = if as_base64 { json!(base64_floats(&vector)) } else { json!(vector) };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    let estimate = || inputs.iter().map(|text| engine::estimate(text)).sum();
    let prompt = model.prompt_tokens.unwrap_or_else(estimate);
    let tokens = Tokens { prompt, ..Tokens::default() };
    call.book(tokens, ticket.reference());
    drop(call);
    let mut reply = Reply::json(&json!({
        "object": "list",
        "data": data,
        "model": model.name,
        "usage": { "prompt_tokens": prompt, "completion_tokens": 0, "total_tokens": prompt },
    }));
    reply.headers = headers;
    Outcome::Reply(reply, ticket)
}

/// Little-endian 32-bit floats in base64, as the official clients ask for them.
fn base64_floats(values: &[f64]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
    base64::encode(&bytes)
}
