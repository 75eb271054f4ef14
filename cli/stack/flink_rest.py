"""What the REST API of a Flink says of its jobs, and what it is told to do with them."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cli.errors import CommandError
from cli.stack.last_words import cause
from cli.stack.layout import Ports
from cli.stack.process import START_S, wait_until
from streaming.jobs.registry import REFUSED

Where = Ports | str
"""A Flink: that of a stack, by its ports, or any, by the ``HOST:PORT`` of its REST API."""

ENDED = ("CANCELED", "FINISHED", "FAILED")
"""States of jobs that do not run any more."""

REST_S = 10
"""For an answer of the REST API, on busy cores too; what is down refuses at once."""

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Flink is a neighbour, to which its own client goes directly, too: no proxy for the way out."""

SAVEPOINT_S = 600.0
"""For a savepoint, which has the whole state."""


def rest(where: Where, path: str) -> Any:
    """Return the answer of the REST API, None if there is none."""
    try:
        with DIRECT.open(_url(where, path), timeout=REST_S) as r:
            return json.load(r)
    except (OSError, ValueError, HTTPException):
        return None


def _url(where: Where, path: str) -> str:
    address = where if isinstance(where, str) else f"127.0.0.1:{where.flink}"
    return f"http://{address}/{path}"


def registered(ports: Ports) -> int:
    """Return the number of TaskManagers that the JobManager knows."""
    overview = rest(ports, "overview")
    return int(overview["taskmanagers"]) if overview else 0


def slots(ports: Ports) -> int:
    """Return the number of free slots."""
    overview = rest(ports, "overview")
    return int(overview["slots-available"]) if overview else 0


def jobs(where: Where) -> list[dict[str, Any]]:
    """Return the jobs: ``jid``, ``name``, ``state``."""
    return known_jobs(where) or []


def known_jobs(where: Where) -> list[dict[str, Any]] | None:
    """Return the jobs as `jobs` does, None if no JobManager answers."""
    overview = rest(where, "jobs/overview")
    is_flinks = isinstance(overview, dict) and "jobs" in overview
    return list(overview["jobs"]) if is_flinks else None


def tenant_and_job(name: str) -> tuple[str, str]:
    """Return whose a job is, and which one, by its name in Flink.

    >>> tenant_and_job("shop.sessions"), tenant_and_job("sessions")
    (('shop', 'sessions'), ('', 'sessions'))
    """
    tenant, _, job = name.rpartition(".")
    return tenant, job


def runs_of(name: str, known: list[dict[str, Any]]) -> list[str]:
    """Return the ids of a job's runs that have not ended, of those that `jobs` returns.

    ``name`` is the job's name in Flink, which begins with its tenant.
    """
    return [job["jid"] for job in known if job["name"] == name and job["state"] not in ENDED]


def host_of(ports: Ports, job_id: str) -> str:
    """Return the resource id of the TaskManager that a job's tasks run on, empty if none does."""
    job = rest(ports, f"jobs/{job_id}")
    if not job:
        return ""
    vertex = rest(ports, f"jobs/{job_id}/vertices/{job['vertices'][0]['id']}")
    host = vertex["subtasks"][0].get("taskmanager-id") if vertex else None
    return str(host or "")


def failures(where: Where, job_id: str, since_ms: float = 0) -> list[str]:
    """Return the causes of a job's failures since a time, the last first; each has restarted it."""
    known = rest(where, f"jobs/{job_id}/exceptions?maxExceptions=100") or {}
    entries = known.get("exceptionHistory", {}).get("entries", [])
    return [cause(e["stacktrace"]) for e in entries if e["timestamp"] >= since_ms]


def restarts(ports: Ports, job_id: str) -> int:
    """Return how often Flink has restarted a run of a job; 0 where it does not say."""
    known = rest(ports, f"jobs/{job_id}/metrics?get=numRestarts") or []
    return sum(int(metric["value"]) for metric in known if metric["id"] == "numRestarts")


def refused(ports: Ports, job_id: str, operator: str) -> int:
    """Return how many records the task of an operator has passed over since the run last started.

    0 where Flink does not say; it asks the TaskManagers every 10 s.
    """
    job, name = rest(ports, f"jobs/{job_id}") or {"vertices": []}, f"{operator}.{REFUSED}"
    of_all = "subtasks/metrics?get="
    known = [
        metric
        for vertex in job["vertices"]
        if operator in vertex["name"]
        for metric in rest(ports, f"jobs/{job_id}/vertices/{vertex['id']}/{of_all}{name}") or []
    ]
    return sum(int(metric["sum"]) for metric in known if metric["id"] == name)


def cancel(where: Where, job_id: str) -> None:
    """End a job and wait until it has ended."""
    url = _url(where, f"jobs/{job_id}?mode=cancel")
    DIRECT.open(urllib.request.Request(url, method="PATCH"), timeout=REST_S).close()

    def cancelled() -> bool:
        job = rest(where, f"jobs/{job_id}")
        return bool(job) and job["state"] == "CANCELED"

    wait_until(cancelled, START_S, f"the end of the job {job_id}")


def save(ports: Ports, job_id: str, folder: Path) -> Path:
    """Save the state of a job, which runs on, in a form that every state backend can read.

    Returns
    -------
    Path
        The savepoint, in the folder. It may be moved: it names no other files.

    Raises
    ------
    CommandError
        If Flink cannot save the state.
    """
    order = {"target-directory": folder.as_uri(), "cancel-job": False, "formatType": "CANONICAL"}
    return _path(_saved(ports, job_id, "savepoints", order))


def stop_with_savepoint(ports: Ports, job_id: str, folder: Path) -> Path:
    """End a job of a stack with a savepoint in a folder, and return the savepoint."""
    return _path(stop_to(ports, job_id, folder.as_uri()))


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path))


def stop_to(where: Where, job_id: str, folder: str) -> str:
    """End a job with a savepoint that every state backend can read, and return its URI.

    Parameters
    ----------
    where
        The Flink.
    job_id
        The job's run.
    folder
        URI of the folder that the savepoint is written into, as the cluster reaches it.

    Raises
    ------
    CommandError
        If Flink cannot save the state; then the job runs on.
    """
    order = {"targetDirectory": folder, "drain": False, "formatType": "CANONICAL"}
    return _saved(where, job_id, "stop", order)


def _saved(where: Where, job_id: str, how: str, order: dict[str, Any]) -> str:
    """Order a savepoint, and return its URI once it is there."""
    saving: dict[str, Any] = {}

    def saved() -> bool:
        nonlocal saving
        saving = rest(where, f"jobs/{job_id}/savepoints/{trigger}") or {}
        return bool(saving) and saving["status"]["id"] == "COMPLETED"

    request = urllib.request.Request(
        _url(where, f"jobs/{job_id}/{how}"),
        json.dumps(order).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with DIRECT.open(request, timeout=REST_S) as r:
            trigger = json.load(r)["request-id"]
    except OSError as e:
        raise CommandError(
            f"Flink does not save the state of the job {job_id}: {e}; it runs on"
        ) from e
    wait_until(saved, SAVEPOINT_S, f"the savepoint of the job {job_id}")
    if "location" not in saving["operation"]:
        why = saving["operation"].get("failure-cause", {}).get("stack-trace", "")
        raise CommandError(
            f"the state of the job {job_id} could not be saved: {cause(why)}; it runs on, and "
            "Flink's web interface has its exceptions"
        )
    return str(saving["operation"]["location"])


def all_run(where: Where, job_id: str) -> bool:
    """Whether all tasks of a job run."""
    job = rest(where, f"jobs/{job_id}")
    return bool(job) and all(vertex["status"] == "RUNNING" for vertex in job["vertices"])
