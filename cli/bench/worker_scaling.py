"""How answers a second grow with the number of workers, and memory: part of `bench serving`."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from cli.bench import native
from cli.stack.layout import PYTHON_PATH, Child, Ports
from cli.stack.process import START_S, running, spawn, stop, wait_until
from cli.stack.stack import Stack
from settings.base import variables

CONNECTIONS = 4
MEGABYTE = 1 << 20


def worker_scaling(
    stack: Stack, program: Path, method: str, requests: Path, counts: Sequence[int], seconds: float
) -> list[dict[str, Any]]:
    """Return answers a second over `CONNECTIONS` connections, and MB, by number of workers."""
    return [measure(stack, program, method, requests, count, seconds) for count in counts]


def measure(
    stack: Stack, program: Path, method: str, requests: Path, count: int, seconds: float
) -> dict[str, Any]:
    """Return the figures of ``count`` workers that follow the stack's log."""
    ports = Ports.free(count)
    data = stack.home.path("serving") / f"workers-{count}"
    argv = [sys.executable, "-m", "cli", "serve", "--workers", str(count)]
    argv += ["--grpc-port", str(ports.grpc), "--http-port", str(ports.http)]
    argv += ["--redis", f"redis://127.0.0.1:{stack.ports.redis}/0"]
    argv += ["--data-dir", str(data)]
    log = stack.home.log("workers")
    env = {"PYTHONPATH": PYTHON_PATH, **variables(stack.kafka_settings)}
    child = spawn("workers", argv, log, env, bound=True)
    try:
        for number in range(count):
            port = ports.http + number
            wait_until(lambda p=port: healthy(p), START_S, "the workers SERVING", [(child, log)])  # type: ignore[misc]
        target = f"127.0.0.1:{ports.grpc}"
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            loads = list(
                pool.map(
                    lambda _: native.run(program, target, method, requests, seconds),
                    range(CONNECTIONS),
                )
            )
        memory = [p.memory_info().rss for p in servers(child, count)]
    finally:
        stop([child], grace_s=60)
    return {
        "workers": count,
        "answers_per_s": sum(len(load.us) for load in loads) / seconds,
        "memory_mb": sum(memory) / len(memory) / MEGABYTE,
    }


def healthy(http_port: int) -> bool:
    """Whether a worker's health check says that it serves."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/healthz", timeout=2):
            return True
    except OSError:
        return False


def servers(child: Child, count: int) -> list[psutil.Process]:
    """Return the processes that answer: a single worker is the command itself."""
    process = running(child)
    return [process] if count == 1 else process.children()
