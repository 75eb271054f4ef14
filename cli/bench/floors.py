"""Floors: bare servers that the product is compared with, and what must rest meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cli.stack.apps import EMITTER
from cli.stack.layout import PYTHON_PATH, Child, Ports
from cli.stack.process import START_S, find, spawn, stop, wait_until
from cli.stack.stack import Stack

BESIDE = ("taskmanager-1", "taskmanager-2", "jobmanager", EMITTER, "store")
"""Parts that are paused while the server is measured alone; Kafka and Redis keep running."""


@contextmanager
def bare_server(stack: Stack, module: str, answer: bytes) -> Iterator[tuple[str, Child]]:
    """Run ``python -m MODULE PORT ANSWER``, which answers everything with the bytes of a file.

    Yields its address and its process.
    """
    file = stack.home.path("floors") / module.rpartition(".")[2]
    file.write_bytes(answer)
    port = Ports.free().grpc
    argv = [sys.executable, "-m", module, str(port), str(file)]
    log = stack.home.log("floor")
    child = spawn("floor", argv, log, {"PYTHONPATH": PYTHON_PATH}, bound=True)
    try:
        wait_until(lambda: _listens(child), START_S, "the floor", [(child, log)])
        yield f"127.0.0.1:{port}", child
    finally:
        stop([child])


def _listens(child: Child) -> bool:
    """Whether a process listens on a port."""
    process = find(child)
    return process is not None and any(c.status == "LISTEN" for c in process.net_connections())
