"""Fixtures of the tests of a running server."""

import threading

import pytest

from tests.unit.server.transport.served import Served


@pytest.fixture
def served():
    served = Served()
    yield served
    served.close()


@pytest.fixture
def silence():
    """Make the messages of a client that sends none until the test ends."""
    end = threading.Event()

    def messages():
        end.wait()
        yield from ()

    yield messages
    end.set()
