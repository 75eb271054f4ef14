"""Paths and ports: the project's own files, and the folder of a running stack."""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import tempfile
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from cli.errors import CommandError

PROJECT = Path(__file__).resolve().parents[2]
PYTHON_PATH = f"{PROJECT}{os.pathsep}{PROJECT / 'proto'}"
"""Lets our own processes import the project, installed or not."""

SAMPLE = PROJECT / "cli" / "sample"
"""Clicks that come with the project: ``train``, ``valid`` and ``test.txt.gz``."""

FLINK_JARS = PROJECT / "streaming" / "java" / "target" / "flink-lib"
KAFKA_JARS = PROJECT / "streaming" / "java" / "target" / "kafka-lib"
STATE_FILE = "stack.json"
MAX_LOG_BYTES = 20_000_000
FREE_RANGE = (15_000, 32_000)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a stack, all on the loopback interface."""

    grpc: int = 50051
    http: int = 8080
    kafka: int = 9092
    redis: int = 6379
    flink: int = 8081
    kafka_controller: int = 9093
    flink_rpc: int = 6123
    store_http: int = 8082
    emitter_http: int = 8083

    @classmethod
    def free(cls, workers: int = 1) -> Ports:
        """Return ports that nobody listens on, reserved for this process until it ends.

        Another process that draws free ports does not get them, even before anything listens.
        They lie below the range of outgoing connections: one of those could take a port before
        the part that is to listen there has started. The ports that follow the HTTP port, for
        further workers, are free as well.
        """
        ports: dict[str, int] = {}
        taken: set[int] = set()
        candidates = iter(random.sample(range(*FREE_RANGE), 1_000))
        for name in (f.name for f in fields(cls)):
            wanted = range(workers if name == "http" else 1)
            first = next(p for p in candidates if all(_free(p + i, taken) for i in wanted))
            ports[name] = first
            taken.update(first + i for i in wanted)
        _reserved.update(taken)
        return cls(**ports)

    def check(self) -> None:
        """Raise `CommandError` for a port that is taken."""
        for name, port in asdict(self).items():
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    option = "--" + name.replace("_", "-") + "-port"
                    raise CommandError(
                        f"port {port} ({name.replace('_', ' ')}) is taken; "
                        f"end the program that listens there or choose another with {option}"
                    ) from None


_reserved: set[int] = set()
"""Ports that this process has drawn."""


@cache
def _reservations() -> int:
    """Return the open file in which a lock on byte n reserves port n, for all processes."""
    path = Path(tempfile.gettempdir(), f"nextclick-ports-{os.getuid()}.lock")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _free(port: int, taken: set[int]) -> bool:
    """Whether nobody listens on a port or has reserved it; reserves it."""
    if port in taken or port in _reserved:
        return False
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Child:
    """A process of the stack; its time of creation tells it from a later one with its pid."""

    name: str
    pid: int
    created: float


class Home:
    """The folder of a stack: data, logs, and the file that records what runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, *parts: str) -> Path:
        """Return a folder below the root; it is created if it does not exist."""
        folder = self.root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.path("logs") / f"{name}.log"

    def prune_logs(self) -> None:
        """Delete logs larger than `MAX_LOG_BYTES`; only while nothing runs."""
        for file in self.path("logs").iterdir():
            if file.stat().st_size > MAX_LOG_BYTES:
                file.unlink()

    def write(self, ports: Ports, children: list[Child], extra: dict[str, Any]) -> None:
        """Record what runs, atomically."""
        state = {
            "ports": asdict(ports),
            "children": [asdict(child) for child in children],
            **extra,
        }
        temporary = self.path() / f"{STATE_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(state, indent=2))
        temporary.replace(self.root / STATE_FILE)

    def read(self) -> tuple[Ports, list[Child], dict[str, Any]] | None:
        """Return what `write` recorded last, None if it recorded nothing."""
        try:
            state = json.loads((self.root / STATE_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None
        known = {field.name for field in fields(Ports)}  # other versions have other ports
        ports = Ports(**{name: p for name, p in state.pop("ports").items() if name in known})
        children = [Child(**child) for child in state.pop("children")]
        return ports, children, state

    def forget(self) -> None:
        """Delete the record of what runs."""
        (self.root / STATE_FILE).unlink(missing_ok=True)
