"""Real Kafka, Flink, Redis, store and server on free ports, one stack for the whole run."""

from __future__ import annotations

import pytest

from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The whole stack, SERVING; started when the first test asks for it."""
    stack = Stack(Home(tmp_path_factory.mktemp("stack")), Ports.free(), bound=True)
    stack.start()
    yield stack
    stack.stop()
