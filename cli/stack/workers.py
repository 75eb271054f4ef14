"""Several server processes on one port, each with all models: `nextclick serve --workers`.

They share only the port: the kernel gives each new connection to one of them. When one dies, its
clients reconnect to the others, and it is replaced; the new one listens as soon as it has caught
up. Each takes as much memory as a single server.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.stack.backoff import Backoff
from cli.stack.process import dying_with_parent

log = logging.getLogger("nextclick.workers")

LOOK_S = 0.2
GRACE_S = 60.0


@dataclass
class Worker:
    """One of the processes, and when to start it again."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)
    due: float = 0.0


class Workers:
    """Runs ``n`` servers until it is stopped.

    Parameters
    ----------
    n
        Processes.
    env
        Their environment; worker i has HTTP port ``http_port + i`` and a data folder of its own.
    http_port
        HTTP port of the first; 0: no worker has one.
    data_dir
        Folder of their snapshots.
    """

    def __init__(self, n: int, env: Mapping[str, str], http_port: int, data_dir: Path) -> None:
        self._env = dict(env)
        self._http_port = http_port
        self._data_dir = data_dir
        self._workers = [Worker(number) for number in range(n)]
        self._stop = threading.Event()

    def run(self) -> None:
        """Keep them running until SIGTERM or SIGINT; then let each of them drain and end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            while not self._stop.is_set():
                for worker in self._workers:
                    self._look(worker, time.monotonic())
                self._stop.wait(LOOK_S)
        finally:
            self._end()

    def _look(self, worker: Worker, now: float) -> None:
        """Start a worker that is due; notice one that has died."""
        if worker.process is None:
            if now >= worker.due:
                worker.process, worker.started = self._start(worker.number), now
            return
        code = worker.process.poll()
        if code is None:
            return
        pause = worker.backoff.after(now - worker.started)
        log.warning(
            "worker %d has ended (%d); another starts in %.1f s", worker.number, code, pause
        )
        worker.process, worker.due = None, now + pause

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        env = self._env | {
            "NEXTCLICK_SHARE_PORT": "true",
            "NEXTCLICK_HTTP_PORT": str(self._http_port + number if self._http_port else 0),
            "NEXTCLICK_DATA_DIR": str(self._data_dir / f"worker-{number}"),
        }
        argv = dying_with_parent([sys.executable, "-m", "server"])
        return subprocess.Popen(
            argv,
            env=env,
            # In a session of their own: Ctrl-C is for this process, which lets them drain. If it
            # is killed, they end, too: nobody would look after them, and the port stays taken.
            start_new_session=True,
        )

    def _end(self) -> None:
        running = [w.process for w in self._workers if w.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_S
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
