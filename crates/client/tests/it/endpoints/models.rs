//! Completions, tokens, and the lists' other parameters.

use ripcord_client::chutes::ChuteQuery;
use ripcord_client::error::ErrorKind;

use super::canned::Canned;
use super::*;

const CHUNK: &str = r#"{"id":"c1","object":"text_completion","choices":[{"index":0,"text":"Hel","finish_reason":null}]}"#;
const LAST: &str = r#"{"id":"c1","choices":[{"index":0,"text":"lo","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

#[tokio::test]
async fn a_text_is_completed_in_one_piece_and_in_many() {
    let server = Canned::json(LAST).await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    let body = r#"{"model":"m","prompt":"hi"}"#;
    let whole = in_time(chutes.completion(body)).await.unwrap().value;
    assert_eq!(whole.choices[0].text.as_deref(), Some("lo"));
    let asked = server.asked();
    assert!(asked[0].starts_with("POST /v1/completions HTTP/1.1") && asked[0].ends_with(body));

    let events = format!("data: {CHUNK}\n\ndata: {LAST}\n\ndata: [DONE]\n\n");
    let server = Canned::answering("200 OK", "text/event-stream", &events).await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    let mut stream = in_time(chutes.completion_stream(body)).await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = in_time(stream.next()).await {
        text.extend(chunk.unwrap().choices.iter().filter_map(|choice| choice.text.clone()));
    }
    assert_eq!(text, "Hello");

    // Half a text never looks whole, nor does one that begins again.
    let again = CHUNK.replace("c1", "c2");
    for events in [format!("data: {CHUNK}\n\n"), format!("data: {CHUNK}\n\ndata: {again}\n\n")] {
        let server = Canned::answering("200 OK", "text/event-stream", &events).await;
        let chutes = client(&server.url()).with_key(key("pro", 1));
        let mut stream = in_time(chutes.completion_stream(body)).await.unwrap();
        assert!(in_time(stream.next()).await.unwrap().is_ok());
        let error = in_time(stream.next()).await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BrokenStream { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn tokens_there_and_back() {
    let server =
        Canned::json(r#"{"count":3,"max_model_len":40960,"tokens":[1,2,3],"token_strs":null}"#)
            .await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    let read = in_time(chutes.tokenize(r#"{"model":"m","prompt":"x"}"#)).await.unwrap().value;
    assert_eq!(
        (read.count, read.tokens, server.last_line().as_str()),
        (Some(3), vec![1, 2, 3], "POST /tokenize")
    );

    let server = Canned::json(r#"{"prompt":"x"}"#).await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    let text = in_time(chutes.detokenize(r#"{"model":"m","tokens":[1]}"#)).await.unwrap().value;
    assert_eq!(
        (text.prompt.as_deref(), server.last_line().as_str()),
        (Some("x"), "POST /detokenize")
    );
}

#[tokio::test]
async fn lists_can_be_narrowed() {
    let server = Canned::json(r#"{"object":"list","data":[]}"#).await;
    let chutes = client(&server.url()).with_key(key("pro", 1));
    in_time(chutes.openrouter_models()).await.unwrap();
    assert_eq!(server.last_line(), "GET /v1/models?or=true");
    assert!(!server.asked()[0].contains("authorization"));

    let server = Canned::json(r#"{"total":0,"page":0,"limit":5,"items":[],"cord_refs":{}}"#).await;
    let query = ChuteQuery {
        slug: Some("chutes-a".to_owned()),
        offset: Some(10),
        limit: None,
        include_schemas: true,
        ..ChuteQuery::default()
    };
    in_time(client(&server.url()).chutes(&query)).await.unwrap();
    assert_eq!(
        server.last_line(),
        "GET /chutes/?include_public=true&template=vllm&slug=chutes-a&offset=10&include_schemas=true"
    );
}
