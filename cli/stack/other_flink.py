"""Jobs on a Flink that is not ours: looked at first, then submitted to, by its REST address.

What a job depends on is given with it (`flink_settings.job_settings`), since the cluster's own
settings are for other jobs. Jars that the cluster lacks are sent, and Python packages if told.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from cli.errors import CommandError
from cli.stack import flink, flink_rest, job_packages
from cli.stack.flink_settings import client_settings
from cli.stack.layout import FLINK_JARS, Home
from cli.stack.process import REASON_LINES, START_S, tail, wait_until
from nextclick.topics import topic

ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}")
NO_STATE = re.compile(r"Cannot find (checkpoint or savepoint|meta data) file")

FAILURES = 3
"""So many of a job are no hiccup of a cluster whose parts are just starting."""


class Packages(StrEnum):
    """Where the TaskManagers have the jobs' Python packages from."""

    IMAGE = "image"
    SEND = "send"


INTERPRETERS = {Packages.IMAGE: "/opt/nextclick/.venv/bin/python", Packages.SEND: "python3"}
"""The TaskManagers' interpreter: that of the image of the jobs, or whichever they find."""


class Submission(NamedTuple):
    """A job for another Flink.

    Parameters
    ----------
    job, tenant, kafka
        Which job, for whom, and the brokers as the cluster reaches them.
    states
        URI of the folder of checkpoints and savepoints, which all of the cluster reaches.
    from_state
        URI of the savepoint or checkpoint to resume from; empty: from nothing.
    packages
        Where the Python packages come from.
    python
        The TaskManagers' interpreter; empty: as `INTERPRETERS` has it.
    """

    job: str
    tenant: str
    kafka: str
    states: str
    from_state: str
    packages: Packages
    python: str


def jobs_of(address: str) -> list[dict[str, Any]]:
    """Return the jobs of a Flink, as `flink_rest.jobs` does.

    Raises
    ------
    CommandError
        If no Flink answers there.
    """
    if not ADDRESS.fullmatch(address):
        raise CommandError(f"--flink is {address!r}; give HOST:PORT of a JobManager's REST API")
    known = flink_rest.known_jobs(address)
    if known is None:
        raise _no_answer(address)
    return known


def _no_answer(address: str) -> CommandError:
    return CommandError(
        f"no Flink answers at {address}: --flink takes HOST:PORT of its REST API, by default port "
        "8081 of the JobManager"
    )


def check(address: str) -> None:
    """Look at a Flink that answers before a job is sent to it.

    Raises
    ------
    CommandError
        If it is of another version, has no free slot, or lacks the jar of PyFlink; and if it does
        not answer any more.
    """
    overview = flink_rest.rest(address, "overview")
    if not overview:
        raise _no_answer(address)
    theirs, ours = overview["flink-version"], version("apache-flink")
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        raise CommandError(
            f"the Flink at {address} is of version {theirs}, these jobs are for {ours}; give the "
            "address of one of that version"
        )
    if not overview["slots-available"] and not _starts_taskmanagers(address):
        raise CommandError(
            f"the Flink at {address} has no free slot, of {overview['slots-total']}; start one "
            "more TaskManager, of one slot, or end a job"
        )
    if not any(jar.startswith("flink-python") for jar in jars_of(address)):
        raise CommandError(
            f"the Flink at {address} has no flink-python-{ours}.jar in its lib, without which a "
            "TaskManager cannot run a second job in thread mode; copy it there from opt, and start "
            "the cluster again"
        )


def _starts_taskmanagers(address: str) -> bool:
    """Whether the JobManager starts TaskManagers when a job needs them."""
    settings = flink_rest.rest(address, "jobmanager/config") or []
    return any(setting["key"] == "kubernetes.cluster-id" for setting in settings)


def jars_of(address: str) -> set[str]:
    """Return the names of the jars that a cluster has."""
    environment = flink_rest.rest(address, "jobmanager/environment") or {}
    return {Path(entry).name for entry in environment.get("classpath", ())}


def submit(address: str, submission: Submission) -> str:
    """Submit a job to another Flink and wait until it runs; return its id.

    Raises
    ------
    CommandError
        If Flink does not accept it, its state is not there, or it fails again and again.
    """
    check(address)
    name = topic(submission.job, submission.tenant)
    python = submission.python or INTERPRETERS[submission.packages]
    states = submission.states.rstrip("/")
    places = (f"{states}/checkpoints/{name}", savepoints(states, name))
    folder = Path(tempfile.mkdtemp(prefix="nextclick-submission-"))
    home, archive = Home(folder), folder / "nextclick-packages.zip"
    job = flink.job_named(submission.job)
    try:
        flink.prepare(home, client_settings(address, *places, python=python))
        args = ["--kafka", submission.kafka]
        if submission.tenant:
            args += ["--tenant", submission.tenant]
        there = jars_of(address)
        for jar in sorted(FLINK_JARS.glob("*.jar")):
            if jar.name not in there:
                args += ["--jar", jar.as_uri()]
        if submission.packages is Packages.SEND:
            job_packages.write(archive)
            args += ["--packages", str(archive)]
        job_id = flink.submit(home, job, *args, from_state=submission.from_state, python=python)
    except CommandError as e:
        if NO_STATE.search(tail(home.log(f"submission-{job.name}"), REASON_LINES)):
            raise CommandError(
                f"the Flink at {address} finds no savepoint at {submission.from_state}; --from "
                "takes the URI that `nextclick jobs stop` has printed, as that Flink reaches it"
            ) from e
        raise
    finally:
        shutil.rmtree(folder / "flink", ignore_errors=True)
        archive.unlink(missing_ok=True)
    shutil.rmtree(folder)  # only of a failure, the log is kept
    left = f"the job {name} is on {address}, until `nextclick jobs stop` ends it there"

    def runs() -> bool:
        failures = flink_rest.failures(address, job_id)
        if len(failures) >= FAILURES:
            raise CommandError(f"{left}, but fails again and again: {failures[0]}")
        return flink_rest.all_run(address, job_id)

    wait_until(runs, START_S, f"{left}; all of its tasks RUNNING")
    return job_id


def savepoints(states: str, name: str) -> str:
    """Return the URI of the folder of a job's savepoints, by the job's name in Flink."""
    return f"{states.rstrip('/')}/savepoints/{name}"
