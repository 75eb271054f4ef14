"""Background load: clicks at a steady rate, real or a robot's, in a process of its own.

`live_clicks` runs it as ``python -m cli.bench.load KAFKA RATE KIND CLICKS``.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from cli.stack.layout import PYTHON_PATH, SAMPLE, Child
from cli.stack.process import spawn, stop
from cli.stack.stack import Stack
from connections.kafka import client_config
from evaluation.datasets import Session, clicks_in_order, load_sessions
from nextclick import Event, encode_event
from nextclick.topics import EVENTS, PRODUCER_CONFIG
from settings.base import Settings, variables
from settings.load import load

STEP_S = 0.01

ROBOT_CLICKS = 20
"""Clicks in a session of a robot; each is on another item that nobody has."""


@contextmanager
def live_clicks(
    stack: Stack, rate: float, kind: str = "real", most: int = sys.maxsize
) -> Iterator[Child]:
    """Send this many clicks a second of a `KINDS` meanwhile; the process ends after ``most``."""
    argv = [sys.executable, "-m", "cli.bench.load", str(rate), kind, str(most)]
    env = {"PYTHONPATH": PYTHON_PATH, **variables(stack.kafka_settings)}
    sender = spawn(f"load-{kind}", argv, stack.home.log(f"load-{kind}"), env, bound=True)
    try:
        yield sender
    finally:
        stop([sender])


def clicks(sessions: list[Session]) -> Iterator[tuple[str, str]]:
    """Yield (session id, item) of the sessions forever, each round under new session ids."""
    order = clicks_in_order(sessions)
    for turn in itertools.count():
        for s, p in order:
            yield f"load{turn}-{sessions[s].session_id}", sessions[s].items[p]


def sampled() -> Iterator[tuple[str, str]]:
    """Yield (session id, item) of the sample's clicks forever."""
    return clicks(load_sessions(SAMPLE / "train.txt.gz"))


def invented() -> Iterator[tuple[str, str]]:
    """Yield (session id, item) of a robot that invents an id for each click."""
    for n in itertools.count():
        yield f"robot{n // ROBOT_CLICKS}", f"invented{n}"


KINDS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {"real": sampled, "robot": invented}


def run(rate: float, endless: Iterator[tuple[str, str]], most: int) -> None:
    """Produce ``rate`` clicks a second until there are ``most``, or the process is ended."""
    producer = Producer({**client_config(load(Settings)), **PRODUCER_CONFIG, "linger.ms": 5})
    started = time.monotonic()
    sent = 0
    while sent < most:
        while sent < min(rate * (time.monotonic() - started), most):
            session_id, item = next(endless)
            event = Event("view", item, int(time.time() * 1000), session_id=session_id)
            try:
                producer.produce(EVENTS, encode_event(event), session_id)
            except BufferError:  # the queue is full: let it drain
                break
            sent += 1
        producer.poll(0)
        time.sleep(STEP_S)
    producer.flush()


if __name__ == "__main__":
    run(float(sys.argv[1]), KINDS[sys.argv[2]](), int(sys.argv[3]))
