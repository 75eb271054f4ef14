"""Bootstraps a stack with a history, and waits until each part has caught up with the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

from cli.live.history import send_history
from cli.live.ledger import Ledger
from cli.stack import apps
from cli.stack.layout import Child
from cli.stack.process import wait_until
from cli.stack.stack import Stack
from evaluation.datasets import Session

PREFIX = "train-"
"""Put before the session ids of a history, so that no live session has one of them."""

QUIET_S = 60.0
"""When no event has got an outcome, or no answer a score, for so long, what is missing is lost."""


def bootstrap(stack: Stack, history: list[Session], n: int, ledger: Ledger, bar: Progress) -> int:
    """Send a history through the stream and wait until server and learners have learned it.

    Parameters
    ----------
    stack
        Of a running server.
    history
        Sessions; their ids get `PREFIX`.
    n
        Clicks to send, the last ones of the history.
    ledger
        Counts what becomes of them.
    bar
        Shows how far each part is.

    Returns
    -------
    int
        Clicks sent.
    """
    produced = bar.add_task("history to Kafka", total=n, note="")
    sent = send_history(
        stack.kafka_settings,
        history,
        prefix=PREFIX,
        last=n,
        tick=lambda done: bar.advance(produced, done),
    )
    applied = bar.add_task("sessions by Flink", total=n, note="")
    ledger.wait(sent, QUIET_S, lambda done: bar.update(applied, completed=done))
    learned = bar.add_task("learned by vectors and ranker", total=n, note="")
    wait_applied(stack, ledger)
    wait_learned(stack, lambda clicks: bar.update(learned, completed=clicks))
    return sent


def wait_applied(stack: Stack, ledger: Ledger) -> None:
    """Wait until the server has applied every record that the ledger has read."""

    def applied() -> bool:
        ledger.read(0)
        return int(apps.server_status(stack.ports).get("position", -1)) >= ledger.position

    wait_until(applied, 120, "the server applies the log", _with_logs(stack))


def wait_learned(stack: Stack, tick: Callable[[int], None]) -> None:
    """Wait until the learners have applied all that server and example emitter have seen.

    ``tick`` is called with the clicks that are learned so far.
    """

    def learned() -> bool:
        server, emitter = apps.server_status(stack.ports), apps.emitter_status(stack.ports)
        learners = server.get("learners", {}).items()
        applied = {name: s["applied"] + s["repetitions"] for name, s in learners}
        tick(min(applied.get("vectors", 0), emitter.get("clicks", 0)))
        return bool(
            emitter.get("position", -1) >= server.get("position", 0) > 0
            and applied.get("vectors", 0) >= server["clicks"]
            and applied.get("ranker", 0) >= emitter["emitted"]
        )

    wait_until(learned, 600, "the learners have caught up", _with_logs(stack))


def wait_scored(stack: Stack, cases: int) -> dict[str, Any]:
    """Return the server's status as soon as the score job has scored every answer.

    An impression may have been dropped: returns as well when `QUIET_S` have brought no further
    scores.
    """
    last, since = 0, time.monotonic()
    while True:
        status = apps.server_status(stack.ports)
        board = status.get("scoreboard", {}).values()
        scored = sum(score["cases"] - score["shadow_cases"] for score in board)
        if scored != last:
            last, since = scored, time.monotonic()
        if scored >= cases or time.monotonic() - since > QUIET_S:
            return status
        time.sleep(0.1)


def _with_logs(stack: Stack) -> list[tuple[Child, Path]]:
    """Return all parts with their logs: waiting is in vain once one has died."""
    return [(child, stack.home.log(child.name)) for child in stack.children]
