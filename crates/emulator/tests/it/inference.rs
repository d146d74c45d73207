//! Inference: order of checks, exact refusals, answers and streams.

use chutes_emulator::{AccountSpec, Coverage, Emulator, Ended, ModelSpec, PlanSpec, Scenario};
use serde_json::{Value, json};

use crate::raw::{CHAT, RawConnection, call, chat, post};

const MODEL: &str = "deepseek-ai/DeepSeek-V3-Plain";

#[tokio::test]
async fn refusals_carry_the_recorded_texts() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = format!("Bearer {}", Scenario::key("pro", 0));
    let cold =
        format!("No instances available (yet) for chute_id='{}'", Scenario::chute_id("acme/Cold"));
    let with = |extra: Value| {
        let mut body = chat(MODEL, "hi", false);
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body.to_string()
    };
    let table: Vec<(&str, String, u16, &str)> = vec![
        (CHAT, chat("no/such", "hi", false).to_string(), 404, "model not found: no/such"),
        (CHAT, chat("pro/private", "hi", false).to_string(), 404, "model not found: pro/private"),
        (CHAT, json!({"messages": []}).to_string(), 404, "No matching chute found!"),
        (CHAT, chat("", "hi", false).to_string(), 404, "No matching chute found!"),
        (CHAT, chat("acme/Cold", "hi", false).to_string(), 503, &cold),
        (CHAT, chat("acme/Cold", "hi", true).to_string(), 503, &cold),
        (
            CHAT,
            chat("acme/Disabled", "hi", false).to_string(),
            503,
            "This chute is currently disabled.",
        ),
        (
            CHAT,
            chat("acme/Full", "hi", false).to_string(),
            429,
            "Infrastructure is at maximum capacity, try again later",
        ),
        (CHAT, with(json!({"stream": null})), 404, "No matching cord found!"),
        (CHAT, with(json!({"stream": "true"})), 404, "No matching cord found!"),
        ("/v1/responses", with(json!({})), 404, "No matching cord found!"),
        ("/v1/messages", with(json!({})), 404, "No matching cord found!"),
        ("/v1/embeddings", with(json!({})), 404, "No matching cord found!"),
        ("/v1/chat/completions/", with(json!({})), 404, "No matching cord found!"),
        ("/v1/chat/completions?stream=false", with(json!({})), 404, "No matching cord found!"),
        (
            CHAT,
            "hello".to_owned(),
            400,
            "Invalid request JSON: Expecting value: line 1 column 1 (char 0)",
        ),
        (
            CHAT,
            String::new(),
            400,
            "Invalid request JSON: Expecting value: line 1 column 1 (char 0)",
        ),
        (
            CHAT,
            "{\"model\":".to_owned(),
            400,
            "Invalid request JSON: Expecting value: line 1 column 10 (char 9)",
        ),
        (CHAT, with(json!({"model": null})), 500, "plain"),
        (CHAT, with(json!({"model": ["a"]})), 500, "plain"),
        (CHAT, "[1]".to_owned(), 500, "plain"),
        (CHAT, with(json!({"stream": true, "stream_options": null})), 500, "plain"),
    ];
    for (path, body, status, detail) in table {
        let answer =
            call(emulator.port(), "POST", path, &[("authorization", &key)], body.as_bytes())
                .await
                .unwrap();
        assert_eq!(answer.status, status, "{path} {body}");
        if detail == "plain" {
            assert_eq!(answer.text(), "Internal Server Error", "{body}");
        } else {
            assert_eq!(answer.detail(), detail, "{path} {body}");
        }
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("x-chutes")), "{body}");
    }
    let pro = emulator.control().account("pro").unwrap();
    assert_eq!((pro.day_milli_units, pro.in_flight), (0, 0));
}

#[tokio::test]
async fn an_account_problem_hides_a_cold_model_but_not_a_disabled_or_unknown_one() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let status = async |model: &str, extra: &[(&str, &str)]| {
        let key = format!("Bearer {}", Scenario::key("paygo", 0));
        let mut headers = vec![("authorization", key.as_str())];
        headers.extend(extra);
        let body = chat(model, "hi", false).to_string();
        call(emulator.port(), "POST", CHAT, &headers, body.as_bytes()).await.unwrap().status
    };
    assert_eq!(status("acme/Cold", &[]).await, 402);
    assert_eq!(status("acme/Disabled", &[]).await, 503);
    assert_eq!(status("no/such", &[]).await, 404);
    assert_eq!(status(MODEL, &[("x-tee-only", "true")]).await, 426);
    assert_eq!(status(MODEL, &[("x-tee-only", "1")]).await, 402);
    let none = call(emulator.port(), "POST", CHAT, &[], b"{bad").await.unwrap();
    assert_eq!((none.status, none.detail().as_str()), (401, "Authentication required."));
}

#[tokio::test]
async fn the_host_decides_where_the_path_does_not() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = format!("Bearer {}", Scenario::key("pro", 0));
    let body = chat(MODEL, "hi", false).to_string();
    let embed = json!({"model": "Qwen/Qwen3-Embedding-8B", "input": "x"}).to_string();
    let table = [
        ("api.chutes.ai", CHAT, &body, 404, "No matching chute found!"),
        ("llm.chutes.ai", CHAT, &body, 200, ""),
        ("LLM.localhost:8000", CHAT, &body, 200, ""),
        ("llm.chutes.ai", "/", &body, 404, "No matching cord found!"),
        (
            "llm.chutes.ai",
            "/v1/embeddings",
            &embed,
            404,
            "model not found: Qwen/Qwen3-Embedding-8B",
        ),
        ("embed.chutes.ai", "/v1/embeddings", &embed, 200, ""),
        ("embed.chutes.ai", CHAT, &body, 404, "model not found: deepseek-ai/DeepSeek-V3-Plain"),
        ("127.0.0.1", "/v1/embeddings", &embed, 200, ""),
    ];
    for (host, path, body, status, detail) in table {
        let headers = [("host", host), ("authorization", key.as_str())];
        let answer = call(emulator.port(), "POST", path, &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{host}{path}");
        if status != 200 {
            assert_eq!(answer.detail(), detail, "{host}{path}");
        }
    }
}

#[tokio::test]
async fn a_plain_answer_has_the_recorded_shape() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = Scenario::key("pro", 1);
    let answer = post(emulator.port(), CHAT, &key, &chat(MODEL, "hi", false)).await;
    let body = answer.json();
    assert_eq!(body["model"], MODEL);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["matched_stop"], 2);
    assert_eq!(body["usage"]["total_tokens"], 17);
    assert_eq!(answer.header("x-chutes-quota-total"), Some("5000"));
    assert_eq!(answer.header("x-chutes-quota-remaining"), Some("5000"));
    assert_eq!(answer.header("x-chutes-rl-user"), Some("60"));
    assert_eq!(answer.header("x-chutes-invocationid").unwrap().len(), 36);
    let again = post(emulator.port(), CHAT, &key, &chat(MODEL, "hi", false)).await.json();
    assert_eq!(again["choices"][0]["message"], body["choices"][0]["message"]);
    assert_ne!(again["id"], body["id"]);
    let by_id = chat(&Scenario::chute_id(MODEL), "hi", false);
    assert_eq!(post(emulator.port(), CHAT, &key, &by_id).await.json()["model"], MODEL);
    let text = json!({"model": MODEL, "prompt": "hi"});
    let text = post(emulator.port(), "/v1/completions", &key, &text).await.json();
    assert_eq!(text["object"], "text_completion");
    assert!(text["choices"][0]["text"].is_string());
}

#[tokio::test]
async fn a_stream_sends_every_line_in_its_own_chunk() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let answer =
        post(emulator.port(), CHAT, &Scenario::key("pro", 1), &chat(MODEL, "hi", true)).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-transform"));
    // Role, five words, end, usage and [DONE], each a line and a blank line.
    assert_eq!(answer.chunks.len(), 18);
    assert!(answer.chunks.iter().step_by(2).all(|line| line.starts_with(b"data: ")));
    assert!(answer.chunks.iter().skip(1).step_by(2).all(|line| line == b"\n"));
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let events = answer.events();
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(events[6]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[7]["choices"], json!([]));
    assert_eq!(events[7]["usage"]["completion_tokens"], 5);
    let plain = chat(MODEL, "hi", false);
    let plain = post(emulator.port(), CHAT, &Scenario::key("pro", 1), &plain).await.json();
    assert_eq!(plain["choices"][0]["message"]["content"], answer.streamed_text());
}

#[tokio::test]
async fn running_totals_are_optional() {
    let scenario = Scenario { running_usage: true, ..Scenario::every_plan() };
    let emulator = Emulator::start(scenario).await.unwrap();
    let answer =
        post(emulator.port(), CHAT, &Scenario::key("pro", 1), &chat(MODEL, "hi", true)).await;
    let totals: Vec<Value> =
        answer.events().iter().map(|event| event["usage"]["completion_tokens"].clone()).collect();
    assert_eq!(
        totals,
        [json!(null), json!(1), json!(2), json!(3), json!(4), json!(5), json!(null), json!(5)]
    );
}

#[tokio::test]
async fn limits_stops_and_counts_are_honoured() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = Scenario::key("pro", 1);
    let ask = async |extra: Value| {
        let mut body = chat("acme/Slow", "hi", false);
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        post(emulator.port(), CHAT, &key, &body).await.json()
    };
    let whole = ask(json!({})).await;
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(whole["usage"]["completion_tokens"], 24);
    for name in ["max_tokens", "max_completion_tokens"] {
        let short = ask(json!({ name: 3 })).await;
        assert_eq!(short["choices"][0]["finish_reason"], "length");
        assert_eq!(short["usage"]["completion_tokens"], 3);
    }
    let third = text.split(' ').nth(3).unwrap();
    let stopped = ask(json!({"stop": [third]})).await;
    assert_eq!(stopped["choices"][0]["matched_stop"], third);
    let kept = stopped["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with(kept) && !kept.contains(third));
    let three = ask(json!({"n": 3})).await;
    assert_eq!(three["choices"].as_array().unwrap().len(), 3);
    assert_eq!(three["usage"]["completion_tokens"], 72);
}

#[tokio::test]
async fn tools_are_called_when_asked_for_or_spoken_of() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = Scenario::key("pro", 1);
    let ask = |text: &str, choice: Value, stream: bool| {
        let mut body = chat(MODEL, text, stream);
        body["tools"] = json!([{ "type": "function", "function": {
            "name": "get_weather",
            "parameters": { "type": "object", "required": ["city"], "properties": {
                "city": { "type": "string" },
                "unit": { "type": "string", "enum": ["celsius", "kelvin"] },
                "days": { "type": "integer", "minimum": 1, "maximum": 3 },
            }},
        }}]);
        body["tool_choice"] = choice;
        body
    };
    let port = emulator.port();
    let called = post(port, CHAT, &key, &ask("The weather in Paris?", json!("auto"), false)).await;
    let choice = &called.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "get_weather");
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments["unit"], "celsius");
    assert!(arguments["city"].is_string());
    assert!((1..=3).contains(&arguments["days"].as_i64().unwrap()));

    let text = post(port, CHAT, &key, &ask("Good day", json!("auto"), false)).await.json();
    assert_eq!(text["choices"][0]["message"]["tool_calls"], Value::Null);
    let forced = post(port, CHAT, &key, &ask("Good day", json!("required"), false)).await.json();
    assert_eq!(forced["choices"][0]["finish_reason"], "tool_calls");
    let none = post(port, CHAT, &key, &ask("The weather?", json!("none"), false)).await.json();
    assert_eq!(none["choices"][0]["finish_reason"], "stop");

    let streamed = post(port, CHAT, &key, &ask("The weather?", json!("auto"), true)).await;
    let pieces: String = streamed
        .events()
        .iter()
        .filter_map(|event| {
            event
                .pointer("/choices/0/delta/tool_calls/0/function/arguments")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(serde_json::from_str::<Value>(&pieces).unwrap(), arguments);
}

#[tokio::test]
async fn a_schema_gets_an_instance() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let mut body = chat(MODEL, "hi", false);
    body["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": {
        "type": "object",
        "$defs": { "step": { "type": "object", "properties": { "text": { "type": "string", "minLength": 9 } } } },
        "properties": {
            "steps": { "type": "array", "minItems": 2, "items": { "$ref": "#/$defs/step" } },
            "kind": { "const": "plan" },
            "note": { "anyOf": [{ "type": "null" }, { "type": "string" }] },
            "score": { "type": "number", "minimum": 0.5 },
        },
    }}});
    let answer = post(emulator.port(), CHAT, &Scenario::key("pro", 1), &body).await.json();
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    let value: Value = serde_json::from_str(content).unwrap();
    assert_eq!(value["steps"].as_array().unwrap().len(), 2);
    assert!(value["steps"][0]["text"].as_str().unwrap().len() >= 9);
    assert_eq!((&value["kind"], &value["note"]), (&json!("plan"), &Value::Null));
    assert_eq!(value["score"], 0.5);
    body["response_format"] = json!({ "type": "json_object" });
    let answer = post(emulator.port(), CHAT, &Scenario::key("pro", 1), &body).await.json();
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(content).unwrap().is_object());
}

#[tokio::test]
async fn embeddings_come_as_numbers_or_base64() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = Scenario::key("pro", 1);
    let mut body =
        json!({"model": "Qwen/Qwen3-Embedding-8B", "input": ["a", "b"], "dimensions": 3});
    let plain = post(emulator.port(), "/v1/embeddings", &key, &body).await.json();
    assert_eq!(plain["data"].as_array().unwrap().len(), 2);
    assert_eq!(plain["data"][0]["embedding"].as_array().unwrap().len(), 3);
    body["encoding_format"] = json!("base64");
    let coded = post(emulator.port(), "/v1/embeddings", &key, &body).await.json();
    assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn a_stream_that_the_client_leaves_costs_nothing() {
    let model = ModelSpec { answer_tokens: 1000, ..ModelSpec::new("acme/Long").pace(0, 500.0) };
    let emulator = Emulator::start(Scenario::every_plan().model(model)).await.unwrap();
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat("acme/Long", "hi", true).to_string();
    connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
    connection.events(5).await;
    assert_eq!(emulator.control().account("pro").unwrap().in_flight, 1);
    drop(connection);
    let entry = ended(&emulator, 1).await;
    assert_eq!(entry.ended, Some(Ended::ClientLeft));
    assert_eq!(entry.status, Some(200));
    let pro = emulator.control().account("pro").unwrap();
    assert_eq!((pro.day_milli_units, pro.covered_nano_usd, pro.in_flight), (0, 0, 0));
}

#[tokio::test]
async fn a_plain_call_that_the_client_leaves_runs_on_and_counts() {
    let scenario = Scenario::every_plan().model(ModelSpec::new("acme/Late").pace(40, 0.0));
    let emulator = Emulator::start(scenario).await.unwrap();
    let bearer = format!("Bearer {}", Scenario::key("pro", 0));
    let mut connection = RawConnection::open(emulator.port()).await;
    let body = chat("acme/Late", "hi", false).to_string();
    connection.send("POST", CHAT, &[("authorization", &bearer)], body.as_bytes()).await;
    while emulator.control().account("pro").unwrap().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    drop(connection);
    while emulator.control().account("pro").unwrap().in_flight > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let entry = ended(&emulator, 1).await;
    assert_eq!(entry.ended, Some(Ended::ClientLeft));
    assert_eq!(entry.milli_units, 1000);
    assert_eq!(entry.coverage, Some(Coverage::Subscription { row: "*".to_owned() }));
    assert_eq!(emulator.control().account("pro").unwrap().day_milli_units, 1000);
}

/// The last entry of the log, once so many requests have ended.
pub(crate) async fn ended(
    emulator: &chutes_emulator::Running,
    count: usize,
) -> chutes_emulator::LogEntry {
    loop {
        let log = emulator.control().log();
        if log.iter().filter(|entry| entry.ended.is_some()).count() >= count {
            return log.last().unwrap().clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn headers_can_be_switched_off_and_cached_tokens_are_cheaper() {
    let model = ModelSpec {
        cached_share: 0.5,
        ..ModelSpec::new("acme/Cached").price(0.1, 0.4, 0.05).tokens(1000, 10)
    };
    let scenario = Scenario {
        quota_headers: false,
        ..Scenario::every_plan()
            .model(model)
            .account(AccountSpec::new("payer", PlanSpec::Paygo).balance_usd(1.0))
    };
    let emulator = Emulator::start(scenario).await.unwrap();
    let key = Scenario::key("payer", 0);
    let answer = post(emulator.port(), CHAT, &key, &chat("acme/Cached", "hi", false)).await;
    assert_eq!(answer.header("x-chutes-quota-total"), None);
    assert!(answer.header("x-chutes-invocationid").is_some());
    assert_eq!(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"], 500);
    // 500 x 100 + 500 x 50 + 10 x 400 nano-dollars.
    assert_eq!(emulator.control().account("payer").unwrap().paid_nano_usd, 79_000);
}

#[tokio::test]
async fn lists_fail_over_and_a_list_of_cold_models_is_unknown() {
    let emulator = Emulator::start(Scenario::every_plan()).await.unwrap();
    let key = Scenario::key("pro", 0);
    let ask =
        async |model: &str| post(emulator.port(), CHAT, &key, &chat(model, "hi", false)).await;
    let full_first = ask(&format!("acme/Full, acme/Cold,{MODEL}")).await;
    assert_eq!((full_first.status, &full_first.json()["model"]), (200, &json!(MODEL)));
    let cold = ask("acme/Cold,acme/Cold").await;
    assert_eq!(
        (cold.status, cold.detail().as_str()),
        (404, "model not found: acme/Cold,acme/Cold")
    );
    let all_fail = ask("acme/Disabled,acme/Full").await;
    assert_eq!(all_fail.detail(), "This chute is currently disabled.");
    assert_eq!(ask(&format!("{MODEL}:latency:THINKING")).await.status, 200);
    assert_eq!(ask("Qwen/Qwen3-32B").await.json()["model"], "Qwen/Qwen3-32B-TEE");
    let pro = emulator.control().account("pro").unwrap();
    assert_eq!((pro.day_milli_units, pro.in_flight), (3000, 0));
}
