"""One emulator and one gateway before it, for the whole suite."""

import openai
import pytest

from programs import Emulator, Gateway


@pytest.fixture(scope="session")
def emulator():
    program = Emulator()
    yield program
    program.stop()


@pytest.fixture(scope="session")
def gateway(emulator):
    program = Gateway(emulator, emulator.keys("main"))
    yield program
    program.stop()


@pytest.fixture
def client(gateway):
    """A client as its makers ship it, but without retries: a test sees the first answer."""
    with openai.OpenAI(base_url=gateway.url, api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def mark(emulator):
    """The number of this test's first call in the emulator's log."""
    return emulator.mark()
