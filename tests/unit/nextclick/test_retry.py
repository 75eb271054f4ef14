"""The plan of attempts, without a server."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from nextclick import AsyncClient, Client
from nextclick.channel import CHANNEL_OPTIONS
from nextclick.retry import FIRST_BACKOFF_S, MAX_BACKOFF_S, Attempts


def test_pauses_grow_and_end_with_the_retries() -> None:
    """If it failed, clients would hammer a server that starts, or never give up."""
    attempts = Attempts(timeout_s=1_000, retries=8)
    pauses = [attempts.pause() for _ in range(9)]
    assert pauses[8] is None
    ceiling = FIRST_BACKOFF_S
    for pause in pauses[:8]:
        assert pause is not None
        assert ceiling / 2 <= pause <= ceiling
        ceiling = min(2 * ceiling, MAX_BACKOFF_S)


@pytest.mark.parametrize("client_type", [Client, AsyncClient])
def test_attempts_go_on_longer_than_a_connection_takes(client_type: Any) -> None:
    """If it failed, the first call to a server that is back on a busy machine would fail."""
    retries = inspect.signature(client_type).parameters["retries"].default
    shortest_s = sum(min(FIRST_BACKOFF_S * 2**n, MAX_BACKOFF_S) for n in range(retries)) / 2
    options = dict(CHANNEL_OPTIONS)
    assert shortest_s > 5 * options["grpc.max_reconnect_backoff_ms"] / 1_000


def test_pauses_are_spread() -> None:
    """If it failed, all clients would come back in the same instant after an outage."""
    assert len({Attempts(1_000, 1).pause() for _ in range(20)}) > 10


def test_no_pause_runs_over_the_deadline() -> None:
    """If it failed, a call would wait for an attempt that it has no time for."""
    assert Attempts(timeout_s=0.0, retries=3).pause() is None
    assert Attempts(timeout_s=0.0, retries=3).timeout() > 0
