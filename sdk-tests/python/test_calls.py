"""Calls that are left, that take too long, and that come all at once."""

import asyncio

import openai
import pytest

from programs import eventually

SLOW = "lab/slow-7b"
STEADY = "lab/steady-7b"
ASK = [{"role": "user", "content": "hello"}]

# Much shorter than the minute that the slow model takes for its answer.
LEFT_SECONDS = 1


def async_client(gateway, **settings):
    return openai.AsyncOpenAI(base_url=gateway.url, api_key="none", **settings)


def left_calls(emulator, mark, count):
    """The calls since a mark, once all of them are over because the client left."""

    def all_left():
        calls = emulator.calls(mark)
        return calls if [call["ended"] for call in calls] == ["client_left"] * count else None

    return eventually(all_left, LEFT_SECONDS)


def test_leaving_a_stream_ends_the_call_upstream(client, emulator, mark):
    stream = client.chat.completions.create(model=SLOW, messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    (call,) = left_calls(emulator, mark, 1)
    assert call["stream"]


def test_leaving_a_plain_call_ends_it_upstream(gateway, emulator, mark):
    async def leave():
        async with async_client(gateway, max_retries=0) as client:
            call = asyncio.create_task(client.chat.completions.create(model=SLOW, messages=ASK))
            await asyncio.to_thread(eventually, lambda: emulator.calls(mark), 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(leave())
    (call,) = left_calls(emulator, mark, 1)
    assert not call["stream"]


def test_a_client_that_times_out_and_tries_again_is_not_multiplied(gateway, emulator, mark):
    with openai.OpenAI(base_url=gateway.url, api_key="none", max_retries=2, timeout=0.5) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model=SLOW, messages=ASK)
    left_calls(emulator, mark, 3)


def test_an_account_serves_five_calls_at_once_and_the_others_wait(gateway, emulator):
    emulator.reset()

    async def all_at_once():
        async with async_client(gateway, max_retries=0, timeout=60) as client:
            calls = [client.chat.completions.create(model=STEADY, messages=ASK) for _ in range(20)]
            return await asyncio.gather(*calls)

    answers = asyncio.run(all_at_once())
    assert len({answer.id for answer in answers}) == 20
    calls = emulator.calls()
    assert len(calls) == 20
    assert max(call["account_in_flight"] for call in calls) == 5


def test_streams_share_the_slots_too(gateway, emulator):
    emulator.reset()

    async def text_of(client):
        stream = await client.chat.completions.create(model=STEADY, messages=ASK, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def all_at_once():
        async with async_client(gateway, max_retries=0, timeout=60) as client:
            return await asyncio.gather(*(text_of(client) for _ in range(20)))

    (text,) = set(asyncio.run(all_at_once()))
    assert text.endswith(".")
    assert max(call["account_in_flight"] for call in emulator.calls()) == 5
