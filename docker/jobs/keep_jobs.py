"""Keeps jobs running on a JobManager, which knows none of them once it was started again.

    python docker/jobs/keep_jobs.py sessions learners

Whichever does not run is submitted from its newest state, as `nextclick up` does. One that somebody
cancels stays away until this is started again. With ``--check``, it only says whether all run; with
``--from-nothing``, it only has their next runs begin without a state.
"""

from __future__ import annotations

import argparse
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cli.errors import CommandError
from cli.stack import flink_rest, job_state
from cli.stack.job_keeper import plan
from cli.stack.layout import PROJECT, Home
from nextclick.topics import topic
from settings.jobs import JobSettings
from settings.load import load
from settings.server import ServerSettings
from streaming.jobs.registry import JOBS

log = logging.getLogger("nextclick.jobs")

LOOK_S = 5.0

HOME = Home(Path("/var/lib/nextclick/flink"))
"""The states of the jobs, which JobManager and TaskManagers have at the same place."""


def submission(name: str, flink: str, settings: JobSettings) -> list[str]:
    """Return the command that submits a job, from its newest state.

    The learners have vectors of as many items as the servers have rows for.

    Raises
    ------
    CommandError
        If its state is gone, or of the other state backend.
    """
    full, backend = topic(name, settings.tenant), settings.state_backend
    state = job_state.to_resume(HOME, full, backend)
    job_state.prune(HOME, full)
    places = {
        "execution.checkpointing.dir": job_state.checkpoints(HOME, full, backend).as_uri(),
        "execution.checkpointing.savepoint-dir": job_state.savepoints(HOME, full).as_uri(),
    }
    return [
        *("flink", "run", "--detached", "--jobmanager", flink),
        *(["--fromSavepoint", state] if state else []),
        *(f"-D{key}={value}" for key, value in places.items()),
        *("--python", str(PROJECT.joinpath(*JOBS[name].module.split(".")).with_suffix(".py"))),
        *(name, "--kafka", settings.kafka),
        *(["--tenant", settings.tenant] if settings.tenant else []),
        *(["--max-items", str(load(ServerSettings).max_items)] if is_learner(name) else []),
    ]


def is_learner(name: str) -> bool:
    """Whether a job is one of those whose arguments are the learners'."""
    return JOBS[name].module == JOBS["learners"].module


def look(names: Sequence[str], flink: str, settings: JobSettings, runs: dict[str, str]) -> None:
    """Submit those jobs that do not run; one that cannot be submitted keeps no other from it.

    Parameters
    ----------
    names, flink, settings
        The jobs, the address of the REST API, and the settings of the jobs.
    runs
        The last run of each job that is known; it is kept up to date.
    """
    known = flink_rest.known_jobs(flink)
    if known is None:  # it is away, or ends as it answers
        log.warning("%s does not answer; again in %.0f s", flink, LOOK_S)
        return
    for name in names:
        todo = plan(topic(name, settings.tenant), runs.get(name, ""), known)
        if todo is None:
            continue
        runs[name] = todo.job_id
        if todo.submit:
            log.info("submitting the job %s", name)
            try:
                subprocess.run(submission(name, flink, settings), check=True)
            except (CommandError, subprocess.CalledProcessError) as e:
                log.warning("the job %s: %s; again in %.0f s", name, e, LOOK_S)


def main() -> None:
    """Look after the jobs until SIGTERM."""
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="+", choices=sorted(JOBS), help="the jobs that shall run")
    parser.add_argument("--flink", default="jobmanager:8081", help="REST API of the JobManager")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="exit with 1 unless all run")
    only.add_argument(
        "--from-nothing", action="store_true", help="pass over the states that the jobs have"
    )
    args = parser.parse_args()
    settings = load(JobSettings)
    if args.check:
        running = {job["name"] for job in flink_rest.jobs(args.flink) if job["state"] == "RUNNING"}
        sys.exit(0 if {topic(name, settings.tenant) for name in args.jobs} <= running else 1)
    if args.from_nothing:
        for name in args.jobs:
            full = topic(name, settings.tenant)
            job_state.to_resume(HOME, full, settings.state_backend, from_nothing=True)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runs: dict[str, str] = {}
    while True:
        look(args.jobs, args.flink, settings, runs)
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
