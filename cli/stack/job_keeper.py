"""Keeps the jobs of a stack running: a JobManager that was started again knows none of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cli.errors import CommandError
from cli.sentences import sentence_of
from cli.stack import flink_rest, job_state
from cli.stack.backoff import Backoff
from cli.stack.process import BEHIND, give_way
from cli.stack.stack import Stack, is_learners

log = logging.getLogger("nextclick.supervisor")


class Plan(NamedTuple):
    """What is to be done about a job.

    Parameters
    ----------
    submit
        Whether to submit it.
    job_id
        The run that counts; empty if there is none.
    cancel
        Ids of further runs, which must not be.
    """

    submit: bool
    job_id: str
    cancel: tuple[str, ...] = ()


def plan(name: str, job_id: str, known: list[dict[str, Any]]) -> Plan | None:
    """Return what is to be done about a job that shall run; None if somebody has ended it.

    Parameters
    ----------
    name
        The job's name in Flink.
    job_id
        The recorded run, empty if there is none.
    known
        The jobs that the JobManager knows, as `flink_rest.jobs` returns them.
    """
    active = flink_rest.runs_of(name, known)
    if job_id in active:
        return Plan(False, job_id, tuple(other for other in active if other != job_id))
    if any(j["jid"] == job_id and j["state"] in ("CANCELED", "FINISHED") for j in known):
        return None
    if active:  # who submitted it was killed before it could be recorded
        return Plan(False, active[0], tuple(active[1:]))
    return Plan(True, "")


class JobKeeper:
    """Submits the jobs that shall run and do not, from their newest state.

    Parameters
    ----------
    stack
        The running stack.
    clock
        Returns monotonic seconds.
    """

    def __init__(self, stack: Stack, clock: Callable[[], float] = time.monotonic) -> None:
        self._stack = stack
        self._clock = clock
        self._submissions: dict[str, threading.Thread] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._due: dict[str, float] = {}
        self._behind: set[int] = set()

    def look(self) -> None:
        """Compare the jobs that run with those that shall; submit what is missing."""
        stack = self._stack
        known, running = flink_rest.known_jobs(stack.ports), stack.home.read()
        if known is None or running is None or running.ending:
            return
        for name, job_id in running.jobs.items():
            job_state.note(stack.home, name)
            submission = self._submissions.get(name)
            if submission is not None and submission.is_alive():
                continue
            todo = plan(name, job_id, known)
            if todo is None:
                log.warning("the job %s was ended; it is not started again", name)
                stack.forget_job(name, job_id)
            elif todo.submit:
                self._submit(name)
            else:
                stack.remember_job(name, todo.job_id)
                for other in todo.cancel:
                    log.warning("the job %s runs twice: %s is cancelled", name, other)
                    flink_rest.cancel(stack.ports, other)
        for name, job_id in running.jobs.items():
            if job_id and is_learners(name):
                self._put_behind(job_id)

    def _submit(self, name: str) -> None:
        if self._clock() < self._due.get(name, 0.0):
            return
        # Each submission takes seconds, and they overlap well.
        thread = threading.Thread(target=self._try, args=(name,), daemon=True)
        self._submissions[name] = thread
        thread.start()

    def _try(self, name: str) -> None:
        started = self._clock()
        try:
            job_id = self._stack.submit(name)
            log.warning("the job %s was submitted again: %s", name, job_id)
        except (CommandError, OSError, SystemExit) as e:  # the last: settings that were changed
            log.warning("the job %s: %s", name, sentence_of(e) or e)
        pause = self._backoffs.setdefault(name, Backoff()).after(self._clock() - started)
        self._due[name] = self._clock() + pause

    def _put_behind(self, job_id: str) -> None:
        """Lower the priority of a TaskManager that has taken over learners."""
        host = self._stack.host_of(job_id)
        if host is not None and host.pid not in self._behind:
            give_way(host, BEHIND)
            self._behind.add(host.pid)
