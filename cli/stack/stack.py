"""The whole stack on one machine, started in the order that its parts need."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from cli.errors import CommandError
from cli.stack import (
    apps,
    flink,
    flink_rest,
    job_state,
    kafka,
    redis,
    secured_kafka,
    topics,
    watch_record,
)
from cli.stack.flink_settings import cluster_settings
from cli.stack.layout import EDIT_FILE, LOCK_FILE, Child, Home, Ports, put
from cli.stack.parts import STANDBY, SUPERVISOR, TASKMANAGERS, Part, parts_of, start_standby
from cli.stack.process import BEHIND, STREAM, child_of, find, give_way, go, kill, stop
from cli.stack.standby import supervisor_of
from nextclick.topics import topic
from settings.base import Settings, variables
from settings.jobs import JobSettings
from settings.kafka import KafkaSettings
from settings.load import load
from settings.redis import RedisSettings

LEARNERS = "learners"
STARTED_JOBS = ("sessions", LEARNERS)
"""Jobs that a stack runs from its start, as `streaming.jobs.registry` names them."""

Progress = Callable[[str], None]


def is_learners(name: str) -> bool:
    """Whether a job, by its name in Flink, is that of the learners, whatever its tenant."""
    return flink_rest.tenant_and_job(name)[1] == LEARNERS


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
    tenant
        Whose clicks it serves; empty: its topics and keys have no prefix.
    say
        Told what people should know: that a job starts from nothing.
    """

    def __init__(
        self,
        home: Home,
        ports: Ports,
        *,
        bound: bool,
        tenant: str = "",
        say: Progress = lambda _: None,
    ) -> None:
        self.home = home
        self.ports = ports
        self.bound = bound
        self.tenant = tenant
        self.say = say
        self.children: list[Child] = []
        self.jobs: dict[str, str] = {}
        self._lock: int | None = None

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return f"127.0.0.1:{self.ports.kafka}"

    @property
    def kafka_settings(self) -> KafkaSettings:
        """How commands reach Kafka."""
        return kafka.settings_of(self.home, self.ports)

    @property
    def redis_settings(self) -> RedisSettings:
        """How commands reach Redis."""
        return redis.settings_of(self.home, self.ports)

    @property
    def target(self) -> str:
        """Address of the gRPC server."""
        return f"127.0.0.1:{self.ports.grpc}"

    @property
    def _started_jobs(self) -> list[str]:
        """Names, in Flink, of the jobs that run from the start."""
        return [topic(name, self.tenant) for name in STARTED_JOBS]

    @classmethod
    def running(cls, home: Home) -> Stack | None:
        """Return the stack that runs in a folder, None if none does."""
        running = home.read()
        if running is None or not any(find(child) for child in running.children):
            return None
        stack = cls(home, running.ports, bound=False, tenant=running.tenant)
        stack.children, stack.jobs = running.children, running.jobs
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

    def tenant_or(self, given: str | None) -> str:
        """Return the tenant that a command is for: this stack's, unless another one is given."""
        return self.tenant if given is None else load(Settings, tenant=given).tenant

    def claim(self) -> int:
        """Take the sole right to start parts in the folder; return its open lock.

        Raises
        ------
        CommandError
            If another process has it.
        """
        if self._lock is None:
            self._lock = self.home.lock()
        if self._lock is None:
            raise CommandError(
                f"a stack runs in {self.home.root} already, or is being started; "
                "`nextclick down` ends it"
            )
        return self._lock

    def start(self, progress: Progress = lambda _: None, *, from_nothing: bool = False) -> None:
        """Start everything and wait until the server is SERVING.

        Parts that outlived their supervisor are adopted. On an error, whatever was started is
        ended again.

        Parameters
        ----------
        progress
            Told what happens.
        from_nothing
            Start the jobs without the states that they have.
        """
        self.claim()
        adopted: list[Child] = []
        try:
            found = Stack.running(self.home)
            if found is None:
                self.home.forget()
                self.ports.check()
                self.home.rotate_logs()
            else:
                adopted = self._adopt(found)
            self._start(progress, from_nothing)
        except BaseException:
            if adopted:
                stop(child for child in self.children if child not in adopted)
            elif self.children:
                self.stop()
            self.release()
            raise

    def release(self) -> None:
        """Give the right to start parts in the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def supervise(self) -> list[str]:
        """Return the command of the supervisor, which this process is to become.

        It keeps the lock of the folder. Its standby has been started: any part may die from now on.
        """
        lock = self.claim()
        self.replace(SUPERVISOR, child_of(SUPERVISOR, os.getpid()))
        self.replace(STANDBY, start_standby(self.home))
        return supervisor_of(self.home, lock)

    def _adopt(self, found: Stack) -> list[Child]:
        """Take over the parts that a stack without a supervisor has left, and return them."""
        if self.bound or (found.ports, found.tenant) != (self.ports, self.tenant):
            raise CommandError(
                f"parts of a stack run in {self.home.root} without a supervisor"
                + ("" if self.bound else ", on other ports than these or for another tenant")
                + "; `nextclick down` ends them"
            )
        alive = {child.name: child for child in found.children if find(child)}
        for name, part in self._parts(bound=False).items():
            for other in () if name in alive else part.ends_with_it:
                if other in alive:
                    kill(alive.pop(other))
        self.children, self.jobs = list(alive.values()), found.jobs
        with self.home.edit(self.ports, self.tenant) as running:
            running.children, running.ending = self.children, False
        return self.children

    def _start(self, progress: Progress, from_nothing: bool) -> None:
        home, ports = self.home, self.ports
        progress("Flink, Redis and Kafka start")
        watch_record.forget(home)
        if self.find_child("jobmanager") is None:
            flink.prepare(home, cluster_settings(home, ports))
        for name in self._started_jobs:
            self.remember_job(name, self.jobs.get(name, ""))
        flinks = [self._started(name) for name in ("jobmanager", *TASKMANAGERS)]
        cache, broker = self._started("redis"), self._started("kafka")
        kafka.wait(home, ports, broker)
        redis.wait(home, ports, cache)
        if secured_kafka.is_secured(home):
            owner = kafka.settings_of(home, ports, secured_kafka.BROKER)
            secured_kafka.grant(kafka.admin_client(owner), self.tenant)
        topics.create(kafka.admin_client(self.kafka_settings), self.tenant)
        give_way(broker, STREAM)  # not before: all other parts wait for its start
        progress("the server and the session store start")
        server = self._started("server")
        self._started("store")
        self._started(apps.EMITTER)
        flink.wait(home, ports, flinks)
        progress("Flink takes the jobs")
        self._submit_missing(from_nothing)
        progress("the server catches up")
        apps.wait_serving(home, ports, server)

    def _started(self, name: str) -> Child:
        """Return a part that runs; it is started if it does not."""
        child = self.find_child(name)
        if child is None:
            child = self._add(self._parts(bound=self.bound)[name].start())
        return child

    def _parts(self, *, bound: bool) -> dict[str, Part]:
        return parts_of(self.home, self.ports, bound=bound, tenant=self.tenant)

    def _submit_missing(self, from_nothing: bool) -> None:
        """Submit the jobs that do not run.

        One may run that is not recorded: who submitted it was killed just then.
        """
        known = flink_rest.jobs(self.ports)
        missing: list[str] = []
        for name in self._started_jobs:
            runs = flink_rest.runs_of(name, known)
            if not runs:
                missing.append(name)
            elif self.jobs[name] not in runs:
                self.remember_job(name, runs[0])
        # Each submission is a JVM and an interpreter that mostly load code, so they overlap well.
        with ThreadPoolExecutor(len(STARTED_JOBS)) as pool:
            for _ in pool.map(lambda name: self.submit(name, from_nothing=from_nothing), missing):
                pass

    def submit(self, name: str, *, from_nothing: bool = False) -> str:
        """Submit a job and wait until it runs.

        Parameters
        ----------
        name
            The job, by its name in Flink: with its tenant.
        from_nothing
            Whether it starts without a state; otherwise it resumes from its newest one.

        Raises
        ------
        CommandError
            If its state is gone or of the other state backend, or it does not start.
        """
        tenant, job_name = flink_rest.tenant_and_job(name)
        home, job, backend = self.home, flink.job_named(job_name), load(JobSettings).state_backend
        last = job_state.to_resume(home, name, backend, from_nothing=from_nothing)
        if not last:
            why = "as told" if from_nothing else "it has no state yet"
            self.say(f"the job {name} starts from nothing, at the beginning of the log: {why}")
        job_state.prune(home, name)
        states = (job_state.checkpoints(home, name, backend), job_state.savepoints(home, name))
        args = ["--kafka", self.kafka, *(["--tenant", tenant] if tenant else [])]
        env = variables(kafka.settings_of(home, self.ports, "jobs"))
        job_id = flink.submit(home, job, *args, from_state=last, states=states, env=env)
        self.remember_job(name, job_id)
        flink.wait_running(home, self.ports, job_id, self.find_child("jobmanager"))
        host = self.host_of(job_id)
        if is_learners(name) and host is not None:
            # When two cores cannot do both, clicks still flow and the learners fall behind.
            give_way(host, BEHIND)
        return job_id

    def remember_job(self, name: str, job_id: str) -> None:
        """Record the run of a job that shall run."""
        if self.jobs.get(name) != job_id:
            self.jobs = {**self.jobs, name: job_id}
            with self.home.edit(self.ports, self.tenant) as running:
                running.jobs[name] = job_id

    def forget_job(self, name: str, job_id: str) -> None:
        """Record that a job shall not run any more, unless it has another run meanwhile."""
        with self.home.edit(self.ports, self.tenant) as running:
            if running.jobs.get(name) == job_id:
                del running.jobs[name]
            self.jobs = running.jobs

    def stop(self) -> None:
        """End all parts: first who would start them again, then those that write on the way out."""
        self._end_supervision()
        for name in self.jobs:
            job_state.note(self.home, name)
        stop((c for c in self.children if c.name in ("server", apps.EMITTER, "store")), grace_s=30)
        stop(self.children)
        self.children = []
        self.home.forget()
        watch_record.forget(self.home)

    def _end_supervision(self) -> None:
        with self.home.edit(self.ports, self.tenant) as running:
            running.ending = True
        while watchers := [
            c for c in self._recorded() if c.name in (SUPERVISOR, STANDBY) and find(c) is not None
        ]:
            stop(watchers)
        self.children = self._recorded() or self.children

    def _recorded(self) -> list[Child]:
        running = self.home.read()
        return running.children if running else []

    def prune(self) -> None:
        """Delete the data of a stack that is not run again; its logs stay."""
        for folder in ("kafka", "flink", "redis", "server", apps.EMITTER, "secrets"):
            shutil.rmtree(self.home.root / folder, ignore_errors=True)

    def reset(self, *, keep: str) -> None:
        """Delete all data and logs of a stack that does not run, but for a file."""
        for path in self.home.root.iterdir():
            if path.name in (keep, LOCK_FILE, EDIT_FILE):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()

    def child(self, name: str) -> Child:
        """Return a part by its name."""
        return next(child for child in self.children if child.name == name)

    def find_child(self, name: str) -> Child | None:
        """Return a part by its name, None if there is none of that name."""
        return next((child for child in self.children if child.name == name), None)

    def host_of(self, job_id: str) -> Child | None:
        """Return the TaskManager that a job's tasks run on, None if none does."""
        resource_id = flink_rest.host_of(self.ports, job_id)
        host = self.find_child(resource_id.rpartition("-")[0])
        return host if host is not None and flink.has_id(host, resource_id) else None

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
            with self.home.edit(self.ports, self.tenant) as running:
                running.children = [c for c in running.children if c.name not in names]

    def replace(self, name: str, started: Child) -> None:
        """Record that a part was started again."""
        assert started.name == name
        self._add(started)

    def _add(self, child: Child) -> Child:
        assert not self.bound or threading.current_thread() is threading.main_thread()
        try:
            with self.home.edit(self.ports, self.tenant) as running:
                running.put(child)
        except BaseException:
            kill(child)  # nobody would know of it
            raise
        self.children = put(self.children, child)
        go(child)
        return child
