"""Paths and ports: the project's own files, and the folder of a running stack."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path

from cli.errors import CommandError

PROJECT = Path(__file__).resolve().parents[2]
PYTHON_PATH = f"{PROJECT}{os.pathsep}{PROJECT / 'proto'}"
"""Lets our own processes import the project, installed or not."""

SAMPLE = PROJECT / "cli" / "sample"
"""Clicks that come with the project: ``train``, ``valid`` and ``test.txt.gz``."""

FLINK_JARS = PROJECT / "streaming" / "java" / "target" / "flink-lib"
KAFKA_JARS = PROJECT / "streaming" / "java" / "target" / "kafka-lib"
STATE_FILE = "stack.json"
LOCK_FILE, EDIT_FILE = "stack.lock", "stack.json.lock"
MADE = ("flink", "kafka", "logs", "scratch", "follower")
"""Folders of a stack in which its start changes or deletes files."""

IMPORTS = "imports"
"""Folder of the records that say how far each import is."""

MARKS = (LOCK_FILE, "kafka/data/meta.properties")
"""Files by one of which a stack's folder is known; the version before made the second only."""

MAX_LOG_BYTES = 20_000_000
"""A longer log is begun anew (`Home.rotate_logs`)."""
FREE_RANGE = (15_000, 32_000)

FLINK_METRICS_PORTS = 8
"""Ports for the reporters of Flink's processes, of which each takes the first that is free."""

OPTIONAL_PORTS = ("store_http", "flink_metrics")
"""Those that may be 0: the part does without."""


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
    flink_metrics: int = 0
    """The first of `FLINK_METRICS_PORTS` for Prometheus. Off unless it is asked for: Flink's
    reporter listens on all interfaces."""

    @classmethod
    def free(cls, workers: int = 1, *, flink_metrics: bool = False) -> Ports:
        """Return ports that nobody listens on, reserved for this process until it ends.

        Another process that draws free ports does not get them, even before anything listens.
        They lie below the range of outgoing connections: one of those could take a port before
        the part that is to listen there has started. The ports that follow the HTTP port, for
        further workers, and those of Flink's metrics are free as well.
        """
        wanted = {"http": workers, "flink_metrics": FLINK_METRICS_PORTS if flink_metrics else 0}
        ports: dict[str, int] = {}
        taken: set[int] = set()
        candidates = iter(random.sample(range(*FREE_RANGE), 1_000))
        for name in (f.name for f in fields(cls)):
            row = range(wanted.get(name, 1))
            if not row:
                continue
            first = next(p for p in candidates if all(_free(p + i, taken) for i in row))
            ports[name] = first
            taken.update(first + i for i in row)
        _reserved.update(taken)
        return cls(**ports)

    def check(self) -> None:
        """Raise `CommandError` for a port that is taken, given twice, or missing."""
        given: dict[int, str] = {}
        for name, port in asdict(self).items():
            option = "--" + name.replace("_", "-") + "-port"
            if not port:
                if name in OPTIONAL_PORTS:
                    continue
                raise CommandError(f"the stack needs a port here; choose one with {option}")
            if port in given:
                raise CommandError(
                    f"port {port} is given twice, for {given[port]} and {name.replace('_', ' ')}; "
                    f"choose another with {option}"
                )
            given[port] = name.replace("_", " ")
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
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
    """A process of the stack.

    Parameters
    ----------
    name, pid
        The part that it is, and its process.
    created
        When it was created, in seconds since 1970, by the clock of that time.
    started
        What tells it from a later process with its pid, whatever becomes of the clock
        (`process.start_of`); empty in a record of the version before.
    """

    name: str
    pid: int
    created: float
    started: str = ""


@dataclass
class Running:
    """The record of a stack.

    Parameters
    ----------
    ports
        Where its parts listen.
    children
        Its processes.
    jobs
        The jobs that shall run, by their names in Flink (``shop.sessions`` for a tenant), with the
        id of their last run; empty before the first one.
    ending
        Whether it is being ended: then nothing is started again.
    tenant
        Whose clicks it serves: the prefix of its topics, Redis keys, jobs and consumer groups.
    """

    ports: Ports
    children: list[Child] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    ending: bool = False
    tenant: str = ""

    def put(self, child: Child) -> None:
        """Add a process, in the place of the one before with its name."""
        self.children = put(self.children, child)


def put(children: list[Child], child: Child) -> list[Child]:
    """Return the children with one more, in the place of the one before with its name."""
    names = [c.name for c in children]
    at = names.index(child.name) if child.name in names else len(names)
    return [*children[:at], child, *children[at + 1 :]]


class Home:
    """The folder of a stack: data, logs, and the file that records what runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def take(self) -> None:
        """Mark the folder as a stack's, whose files a start may change or delete.

        Raises
        ------
        CommandError
            If it has folders that a stack makes, and no stack has made them.
        """
        taken = [name for name in MADE if (self.root / name).exists()]
        if taken and not any((self.root / mark).exists() for mark in MARKS):
            raise CommandError(
                f"{self.root} has a folder {taken[0]!r} that `nextclick up` has not made, and "
                "would change: choose another --home"
            )
        (self.path() / LOCK_FILE).touch()

    def path(self, *parts: str) -> Path:
        """Return a folder below the root; it is created if it does not exist."""
        folder = self.root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def scratch(self, name: str) -> Path:
        """Return an empty folder for a process's working files.

        A process that is killed leaves them behind: its next start deletes them.
        """
        shutil.rmtree(self.root / "scratch" / name, ignore_errors=True)
        return self.path("scratch", name)

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.path("logs") / f"{name}.log"

    def rotate_logs(self) -> None:
        """Begin long logs anew, whoever writes to them; `NAME.log.1` has what there was.

        All append to their open file, so they go on at its new end. What is written in the moment
        between copy and cut is lost.
        """
        for file in self.path("logs").glob("*.log"):
            if file.stat().st_size <= MAX_LOG_BYTES:
                continue
            before = file.with_name(f"{file.name}.1")
            try:
                shutil.copyfile(file, before)
            except OSError:  # a full disk, of all things
                before.unlink(missing_ok=True)
            os.truncate(file, 0)

    def lock(self, *, wait: bool = False) -> int | None:
        """Take the sole right to start and watch parts in this folder.

        The kernel gives it back when the returned file is closed by the last process that has
        it open, so also when that is killed.

        Parameters
        ----------
        wait
            Whether to wait until nobody has it.

        Returns
        -------
        int | None
            The open file; None if another process has the right.
        """
        file = os.open(self.path() / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(file)
            return None
        return file

    @contextmanager
    def edit(self, ports: Ports, tenant: str = "") -> Iterator[Running]:
        """Change the record of what runs; other processes' changes wait.

        Parameters
        ----------
        ports, tenant
            The stack's, for a new record.
        """
        with (self.path() / EDIT_FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            running = self.read() or Running(ports, tenant=tenant)
            yield running
            temporary = self.root / f"{STATE_FILE}.{os.getpid()}"
            temporary.write_text(json.dumps(asdict(running), indent=2))
            temporary.replace(self.root / STATE_FILE)

    def read(self) -> Running | None:
        """Return what runs, as recorded; None without a record, or with one that is torn.

        Raises
        ------
        CommandError
            If another version has written it, in a way that this one does not read.
        """
        path = self.root / STATE_FILE
        try:
            state = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        known = {field.name for field in fields(Ports)}  # other versions have other ports
        try:
            ports = Ports(**{name: p for name, p in state["ports"].items() if name in known})
            children = [Child(**child) for child in state["children"]]
            jobs, ending = state.get("jobs", {}), state.get("ending", False)
            return Running(ports, children, jobs, ending, state.get("tenant", ""))
        except (KeyError, TypeError, AttributeError) as e:
            raise CommandError(
                f"{path} was written by another version of nextclick: end that stack with "
                "`nextclick down` of its version; if none runs, delete the file"
            ) from e

    def forget(self) -> None:
        """Delete the record of what runs."""
        (self.root / STATE_FILE).unlink(missing_ok=True)
