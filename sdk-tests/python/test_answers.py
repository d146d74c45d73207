"""What a client asks for arrives: plain, streamed, with tools, as JSON; models and embeddings."""

import json

import openai
import pytest
from pydantic import BaseModel

QUICK = "lab/quick-7b"
WEATHER = {
    "type": "function",
    "function": {
        "name": "read_weather",
        "description": "The weather of a town.",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["town", "days"],
        },
    },
}


def ask(text):
    return [{"role": "user", "content": text}]


def test_plain(client, emulator, mark):
    answer = client.chat.completions.create(model=QUICK, messages=ask("plain"))
    choice = answer.choices[0]
    assert answer.model == QUICK
    assert choice.message.role == "assistant"
    assert choice.message.content.endswith(".")
    assert choice.finish_reason == "stop"
    assert answer.usage.completion_tokens == 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 24
    (call,) = emulator.calls(mark)
    assert call["status"] == 200
    assert call["ended"] == "complete"


def test_streamed_is_the_plain_answer_in_parts(client):
    plain = client.chat.completions.create(model=QUICK, messages=ask("in parts"))
    chunks = list(
        client.chat.completions.create(
            model=QUICK,
            messages=ask("in parts"),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len([text for text in texts if text]) > 10
    assert "".join(texts) == plain.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "stop"
    assert reasons.count(None) == len(reasons) - 1
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == plain.usage.prompt_tokens


@pytest.mark.parametrize("kind", ["cut", "reset", "bare_json_error", "ends_early", "malformed_event", "restart"])
def test_a_stream_that_breaks_upstream_is_one_answer(client, emulator, mark, kind):
    plain = client.chat.completions.create(model=QUICK, messages=ask(f"goes on after {kind}"))
    emulator.fail_next(QUICK, kind, after_chunks=9)
    with client.chat.completions.stream(
        model=QUICK, messages=ask(f"goes on after {kind}"), stream_options={"include_usage": True}
    ) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == plain.choices[0].message.content
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == plain.usage.completion_tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1
    roles = [chunk.choices[0].delta.role for chunk in chunks if chunk.choices]
    assert len([role for role in roles if role]) == 1
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert len([reason for reason in reasons if reason]) == 1
    assert len(emulator.calls(mark)) == (2 if kind == "restart" else 3)


def test_the_answer_says_who_served_it(client):
    answer = client.chat.completions.with_raw_response.create(model=QUICK, messages=ask("headers"))
    assert answer.headers["x-ripcord-request-id"]
    assert answer.headers["x-ripcord-model"] == QUICK
    assert answer.headers["x-ripcord-attempts"] == "1"
    assert answer.headers["x-ripcord-account"]
    assert answer.parse().choices


def test_text_completion(client):
    answer = client.completions.create(model=QUICK, prompt="once upon", max_tokens=5)
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


def test_tool_call_and_the_turn_after_it(client):
    messages = ask("what weather is it?")
    first = client.chat.completions.create(
        model=QUICK, messages=messages, tools=[WEATHER], tool_choice="required"
    ).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert call.function.name == "read_weather"
    assert set(json.loads(call.function.arguments)) == {"town", "days"}

    messages += [
        first.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sky": "clear"})},
    ]
    second = client.chat.completions.create(model=QUICK, messages=messages, tools=[WEATHER]).choices[0]
    assert second.finish_reason == "stop"
    assert second.message.content


def test_tool_call_streamed(client):
    with client.chat.completions.stream(
        model=QUICK, messages=ask("what weather is it?"), tools=[WEATHER], tool_choice="required"
    ) as stream:
        pieces = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
        choice = stream.get_final_completion().choices[0]
    assert len(pieces) > 1
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "read_weather"
    assert set(json.loads(call.function.arguments)) == {"town", "days"}


class Harbour(BaseModel):
    name: str
    lamps: int
    boats: list[str]


def test_json_schema(client):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "lamps": {"type": "integer", "minimum": 3}},
        "required": ["name", "lamps"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=QUICK,
        messages=ask("describe a harbour"),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "harbour", "strict": True, "schema": schema},
        },
    )
    harbour = json.loads(answer.choices[0].message.content)
    assert set(harbour) == {"name", "lamps"}
    assert harbour["lamps"] >= 3


def test_parse_helper(client):
    answer = client.chat.completions.parse(
        model=QUICK, messages=ask("describe a harbour"), response_format=Harbour
    )
    assert isinstance(answer.choices[0].message.parsed, Harbour)


def test_parse_helper_streamed(client):
    with client.chat.completions.stream(
        model=QUICK, messages=ask("describe a harbour"), response_format=Harbour
    ) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    assert isinstance(answer.choices[0].message.parsed, Harbour)


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert QUICK in names
    assert client.models.retrieve(QUICK).id == QUICK
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("lab/no-such-model")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(client, encoding):
    # Without a word about it, the client asks for base64 and decodes it itself.
    asked = {} if encoding is None else {"encoding_format": encoding}
    answer = client.embeddings.create(model="lab/embedder", input=["one", "two"], **asked)
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.data[0].embedding != answer.data[1].embedding
    if encoding != "base64":
        assert all(len(item.embedding) == 32 for item in answer.data)
    assert answer.usage.prompt_tokens > 0
