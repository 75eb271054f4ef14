"""Background load: real clicks of the sample at a steady rate, in a process of its own.

`live_clicks` runs it as ``python -m cli.bench.load KAFKA RATE SECONDS``.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from cli.stack.layout import PYTHON_PATH, SAMPLE
from cli.stack.process import spawn, stop
from cli.stack.stack import Stack
from evaluation.datasets import Session, clicks_in_order, load_sessions
from nextclick import Event, encode_event
from nextclick.topics import EVENTS, PRODUCER_CONFIG

STEP_S = 0.01


@contextmanager
def live_clicks(stack: Stack, rate: float) -> Iterator[None]:
    """Send this many clicks a second of the sample meanwhile."""
    argv = [sys.executable, "-m", "cli.bench.load", stack.kafka, str(rate), "inf"]
    env = {"PYTHONPATH": PYTHON_PATH}
    load = spawn("load", argv, stack.home.log("load"), env, bound=True)
    try:
        yield
    finally:
        stop([load])


def clicks(sessions: list[Session]) -> Iterator[tuple[str, str]]:
    """Yield (session id, item) of the sessions forever, each round under new session ids."""
    order = clicks_in_order(sessions)
    for turn in itertools.count():
        for s, p in order:
            yield f"load{turn}-{sessions[s].session_id}", sessions[s].items[p]


def run(kafka: str, rate: float, seconds: float) -> int:
    """Produce ``rate`` clicks a second for ``seconds``; returns how many."""
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": kafka, "linger.ms": 1})
    endless = clicks(load_sessions(SAMPLE / "train.txt.gz"))
    started = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - started) < seconds:
        while sent < rate * elapsed:
            session_id, item = next(endless)
            event = Event("view", item, int(time.time() * 1000), session_id=session_id)
            producer.produce(EVENTS, encode_event(event), session_id)
            sent += 1
        producer.poll(STEP_S)
    producer.flush(30)
    return sent


if __name__ == "__main__":
    run(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
