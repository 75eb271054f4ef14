"""The plan of attempts, without a server."""

from __future__ import annotations

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


def test_pauses_are_spread() -> None:
    """If it failed, all clients would come back in the same instant after an outage."""
    assert len({Attempts(1_000, 1).pause() for _ in range(20)}) > 10


def test_no_pause_runs_over_the_deadline() -> None:
    """If it failed, a call would wait for an attempt that it has no time for."""
    assert Attempts(timeout_s=0.0, retries=3).pause() is None
    assert Attempts(timeout_s=0.0, retries=3).timeout() > 0
