"""The whole stack on one machine, started in the order that its parts need."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from cli.errors import CommandError
from cli.stack import apps, flink, kafka, redis
from cli.stack.layout import Child, Home, Ports
from cli.stack.process import BEHIND, STREAM, find, give_way, kill, stop

LEARNERS = "learners"
STARTED_JOBS = ("sessions", LEARNERS)
"""Jobs that a stack runs from its start, as `streaming.jobs.registry` names them."""

Progress = Callable[[str], None]


class Stack:
    """Kafka, Redis, Flink with its jobs, the session store, a server and the example emitter.

    Parameters
    ----------
    home
        The folder of its data and logs, and of the record of what runs.
    ports
        Where the parts listen.
    bound
        Whether the parts end with this process (demo, tests) or outlive it (``up``).
        A bound stack must be started from the main thread.
    """

    def __init__(self, home: Home, ports: Ports, *, bound: bool) -> None:
        self.home = home
        self.ports = ports
        self.bound = bound
        self.children: list[Child] = []
        self.jobs: dict[str, str] = {}
        self._noting = threading.Lock()

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return f"127.0.0.1:{self.ports.kafka}"

    @property
    def target(self) -> str:
        """Address of the gRPC server."""
        return f"127.0.0.1:{self.ports.grpc}"

    @classmethod
    def running(cls, home: Home) -> Stack | None:
        """Return the stack that runs in a folder, None if none does."""
        state = home.read()
        if state is None or not any(find(child) for child in state[1]):
            return None
        stack = cls(home, state[0], bound=False)
        stack.children = state[1]
        stack.jobs = state[2].get("jobs", {})
        return stack

    @classmethod
    def in_folder(cls, folder: Path) -> Stack:
        """Return the stack that runs in a folder.

        Raises
        ------
        CommandError
            If none does.
        """
        stack = cls.running(Home(folder.absolute()))
        if stack is None:
            raise CommandError(f"no stack runs in {folder}; start one with `nextclick up`")
        return stack

    def start(self, progress: Progress = lambda _: None) -> None:
        """Start everything and wait until the server is SERVING.

        On an error, whatever was started is ended again.
        """
        if Stack.running(self.home):
            raise CommandError(
                f"a stack runs in {self.home.root} already; `nextclick down` ends it"
            )
        self.ports.check()
        self.home.prune_logs()
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise

    def _start(self, progress: Progress) -> None:
        home, ports, bound = self.home, self.ports, self.bound
        progress("Flink, Redis and Kafka start")
        flink.prepare(home, ports)
        jobmanager = self._add(flink.start_jobmanager(home, bound=bound))
        # A TaskManager is one slot with an interpreter lock of its own: one for the sessions job,
        # one for the learners.
        taskmanagers = [
            self._add(flink.start_taskmanager(home, number, bound=bound)) for number in (1, 2)
        ]
        cache = self._add(redis.start(home, ports, bound=bound))
        broker = self._add(kafka.start(home, ports, bound=bound))
        kafka.wait(home, ports, broker)
        redis.wait(home, ports, cache)
        kafka.create_topics(self.kafka)
        give_way(broker, STREAM)  # not before: all other parts wait for its start
        progress("the server and the session store start")
        server = self._add(apps.start_server(home, ports, bound=bound))
        self._add(apps.start_store(home, ports, bound=bound))
        self._add(apps.start_emitter(home, ports, bound=bound))
        flink.wait(home, ports, [jobmanager, *taskmanagers])
        progress("Flink takes the jobs")
        # Each submission is a JVM and an interpreter that mostly load code, so they overlap well.
        with ThreadPoolExecutor(len(STARTED_JOBS)) as pool:
            for _ in pool.map(self.submit, STARTED_JOBS):
                pass
        progress("the server catches up")
        apps.wait_serving(home, ports, server)

    def submit(self, name: str) -> str:
        """Submit a job and wait until it runs; it resumes from its last state if it has one."""
        job, last = flink.job_named(name), self._last_state(name)
        job_id = flink.submit(self.home, job, "--kafka", self.kafka, from_state=last)
        with self._noting:
            self.jobs[name] = job_id
            self._remember()
        flink.wait_running(self.home, self.ports, job_id)
        if name == LEARNERS:
            # When two cores cannot do both, clicks still flow and the learners fall behind.
            give_way(self.child(flink.host_of(self.ports, job_id)), BEHIND)
        return job_id

    def _last_state(self, name: str) -> str:
        """Return the state of the job's last run in this folder, empty if there is none."""
        marker = self.home.path("flink") / f"{name}.job"
        last = marker.read_text() if marker.exists() else ""
        return flink.newest_state(self.home, last) if last else ""

    def stop(self) -> None:
        """End all parts: first those that write on the way out, then all others together."""
        stop((c for c in self.children if c.name in ("server", apps.EMITTER, "store")), grace_s=30)
        stop(self.children)
        self.children = []
        self.home.forget()

    def prune(self) -> None:
        """Delete the data of a stack that is not run again; its logs stay."""
        for folder in ("kafka", "flink", "redis", "server", apps.EMITTER):
            shutil.rmtree(self.home.root / folder, ignore_errors=True)

    def reset(self) -> None:
        """Delete all data and logs of a stack that does not run."""
        shutil.rmtree(self.home.root, ignore_errors=True)

    def child(self, name: str) -> Child:
        """Return a part by its name."""
        return next(child for child in self.children if child.name == name)

    @contextmanager
    def more_taskmanagers(self, n: int = 1) -> Iterator[list[str]]:
        """Start ``n`` more TaskManagers (a slot each) for a while; yields their names."""
        more = [
            self._add(flink.start_taskmanager(self.home, 3 + i, bound=self.bound)) for i in range(n)
        ]
        try:
            flink.wait_slots(self.home, self.ports, n, more)
            yield [child.name for child in more]
        finally:
            for child in more:
                kill(self.child(child.name))  # perhaps one that has replaced it since
            names = [child.name for child in more]
            self.children = [c for c in self.children if c.name not in names]
            self._remember()

    def replace(self, name: str, started: Child) -> None:
        """Record that a part was started again."""
        self.children = [child for child in self.children if child.name != name]
        self._add(started)

    def _add(self, child: Child) -> Child:
        assert not self.bound or threading.current_thread() is threading.main_thread()
        self.children.append(child)
        self._remember()
        return child

    def _remember(self) -> None:
        self.home.write(self.ports, self.children, {"jobs": self.jobs})
        for name, job_id in self.jobs.items():
            (self.home.path("flink") / f"{name}.job").write_text(job_id)
