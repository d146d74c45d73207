"""Every error reaches the program as the exception its author expects, with a code to decide by."""

import http.client
import json

import openai
import pytest

from programs import Gateway

QUICK = "lab/quick-7b"
ASK = [{"role": "user", "content": "hello"}]


def counting_client(gateway, **settings):
    """A client with its usual retries, and a list of the requests that it sent."""
    sent = []
    transport = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    client = openai.OpenAI(base_url=gateway.url, api_key="none", http_client=transport, **settings)
    return client, sent


def post(gateway, body, content_type="application/json", **headers):
    """A request without a client in between."""
    connection = http.client.HTTPConnection(gateway.address, timeout=10)
    connection.request(
        "POST", "/v1/chat/completions", body=body, headers={"content-type": content_type, **headers}
    )
    answer = connection.getresponse()
    error = json.load(answer)["error"]
    connection.close()
    assert answer.headers["cache-control"] == "no-store"
    assert isinstance(error["message"], str)
    return answer.status, error["code"]


def test_unknown_model_is_not_tried_again(gateway, emulator, mark):
    client, sent = counting_client(gateway, max_retries=3)
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="lab/quik-7b", messages=ASK)
    assert caught.value.code == "model_not_found"
    assert QUICK in caught.value.message, "it names the near one"
    assert len(sent) == 1
    assert len(emulator.calls(mark)) <= 1


def test_bad_request_of_upstream(client):
    call = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{not json"}}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=QUICK, messages=[*ASK, {"role": "assistant", "tool_calls": [call]}]
        )
    assert "arguments" in caught.value.message


def test_context_too_long(client, emulator):
    emulator.fail_next(QUICK, "context_too_long")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=QUICK, messages=ASK)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"messages":[]}',
        b'{"model":7,"messages":[]}',
        b'{"model":"lab/quick-7b","model":"lab/slow-7b","messages":[]}',
        b'{"model":"lab/quick-7b","messages":[{"role":"user","content":"\xff"}]}',
    ],
)
def test_a_body_that_is_none(gateway, emulator, mark, body):
    status, _ = post(gateway, body)
    assert status == 400
    assert emulator.calls(mark) == [], "nothing of it goes upstream"


def test_wrong_content_type(gateway, emulator, mark):
    body = json.dumps({"model": QUICK, "messages": ASK})
    assert post(gateway, body, content_type="text/plain")[0] == 415
    assert post(gateway, body, **{"content-encoding": "gzip"})[0] == 415
    assert emulator.calls(mark) == []


def test_a_chutes_key_is_not_for_clients(gateway, emulator):
    (key, *_) = emulator.keys("main")
    with openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model=QUICK, messages=ASK)
    assert caught.value.code == "invalid_api_key"
    assert key not in str(caught.value)


def test_dead_upstream_key(emulator):
    dead = f"cpk_{'0' * 32}.{'1' * 32}.{'a' * 32}"
    gateway = Gateway(emulator, [dead])
    try:
        client, sent = counting_client(gateway, max_retries=3)
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model=QUICK, messages=ASK)
    finally:
        gateway.stop()
    assert caught.value.status_code == 502
    assert caught.value.code == "upstream_auth"
    assert len(sent) == 1
    assert dead not in str(caught.value)
    assert dead not in "".join(gateway.output)


def test_broken_stream_is_an_error_and_no_short_answer(client, emulator):
    emulator.fail_next(QUICK, "cut", after_chunks=5)
    texts = []
    with pytest.raises(openai.APIError):
        # With a seed the rest would not be the rest of the same answer.
        for chunk in client.chat.completions.create(model=QUICK, messages=ASK, stream=True, seed=7):
            texts += [choice.delta.content or "" for choice in chunk.choices]
            assert all(choice.finish_reason is None for choice in chunk.choices)
    assert any(texts)


def test_cold_model(client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="lab/cold-7b", messages=ASK, extra_headers={"x-ripcord-deadline": "1"}
        )
    assert caught.value.status_code == 503
    assert caught.value.code == "model_cold"
