"""A Flink cluster from the pip package: one JobManager, TaskManagers of one slot each.

In thread mode all slots of a TaskManager share one interpreter lock, so a second slot would make
both slower: more work means more TaskManagers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cli.errors import CommandError
from cli.stack.java import java_home
from cli.stack.last_words import cause
from cli.stack.layout import FLINK_JARS, PROJECT, PYTHON_PATH, Child, Home, Ports
from cli.stack.process import START_S, STREAM, argv_of, spawn, wait_until
from nextclick.extras import missing
from streaming.jobs.registry import JOBS, REFUSED, Job

Where = Ports | str
"""A Flink: that of a stack, by its ports, or any, by the ``HOST:PORT`` of its REST API."""

RESOURCE_ID = "taskmanager.resource-id"
"""The setting that names a TaskManager: its `Child.name`, and what is another at each start."""

ENDED = ("CANCELED", "FINISHED", "FAILED")
"""States of jobs that do not run any more."""

REST_S = 10
"""For an answer of the REST API, on busy cores too; what is down refuses at once."""

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Flink is a neighbour, to which its own client goes directly, too: no proxy for the way out."""

SAVEPOINT_S = 600.0
"""For a savepoint, which has the whole state."""

QUIET_LOGGERS = """
# The Kafka sink registers the same metric again at every checkpoint, with a warning.
logger.nextclick.name = org.apache.flink.metrics.MetricGroup
logger.nextclick.level = ERROR
"""


def flink_home() -> Path:
    """Return the folder of Flink, which is PyFlink's.

    Raises
    ------
    CommandError
        If it is not installed.
    """
    pyflink = find_spec("pyflink")
    if pyflink is None:
        raise CommandError(missing("jobs"))
    return Path(str(pyflink.origin)).parent


def prepare(home: Home, settings: dict[str, Any]) -> None:
    """Write the settings of a cluster, or of a client, and link the jars."""
    if not any(FLINK_JARS.glob("nextclick-flink-*.jar")):
        raise CommandError(f"the jobs' jars are not in {FLINK_JARS}; run `make setup`")
    # Flink reads YAML, and JSON is valid YAML.
    conf = home.path("flink", "conf")
    (conf / "config.yaml").write_text(json.dumps(settings))
    for file in (flink_home() / "conf").glob("log4j*.properties"):
        (conf / file.name).write_text(file.read_text() + QUIET_LOGGERS)
    lib = home.path("flink", "lib")
    for link in lib.iterdir():
        link.unlink()
    # flink-python is in opt, but a second job on the same TaskManager needs it in lib.
    flinks = flink_home()
    jars = [*(flinks / "lib").glob("*.jar"), *(flinks / "opt").glob("flink-python*.jar")]
    for jar in [*jars, *FLINK_JARS.glob("*.jar")]:
        (lib / jar.name).symlink_to(jar)


def environment(home: Home) -> dict[str, str]:
    """Return the environment of the scripts: this Python, these jars, these settings."""
    scripts = Path(sys.executable).parent
    return {
        "JAVA_HOME": str(java_home()),
        "FLINK_HOME": str(flink_home()),
        "FLINK_CONF_DIR": str(home.path("flink", "conf")),
        "FLINK_LOG_DIR": str(home.path("logs")),
        "FLINK_PID_DIR": str(home.path("flink")),
        "FLINK_LIB_DIR": str(home.path("flink", "lib")),
        "VIRTUAL_ENV": str(scripts.parent),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": PYTHON_PATH,
        # One thread for each numerical library that the JVM's interpreter loads.
        "OMP_NUM_THREADS": "1",
    }


def start_jobmanager(home: Home, *, bound: bool) -> Child:
    """Start the JobManager."""
    return _start(home, "jobmanager", "jobmanager.sh", bound=bound)


def start_taskmanager(home: Home, number: int, *, bound: bool) -> Child:
    """Start TaskManager ``number``; each start has a resource id of its own.

    Two TaskManagers with the same id would keep evicting each other from the cluster.
    """
    name = f"taskmanager-{number}"
    resource_id = f"{RESOURCE_ID}={name}-{os.urandom(3).hex()}"
    return _start(home, name, "taskmanager.sh", resource_id, bound=bound)


def _start(home: Home, name: str, script: str, *settings: str, bound: bool) -> Child:
    """Start a process of the cluster; its working files, RocksDB's too, are in its own folder."""
    scratch = home.scratch(name)
    argv = [str(flink_home() / "bin" / script), "start-foreground"]
    for setting in (f"io.tmp.dirs={scratch}", *settings):
        argv += ["-D", setting]
    env = environment(home)
    env |= {"JVM_ARGS": f"-Djava.io.tmpdir={scratch}", "TMPDIR": str(scratch)}
    return spawn(name, argv, home.log(name), env, bound=bound, niceness=STREAM)


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


def wait(home: Home, ports: Ports, children: list[Child]) -> None:
    """Wait until every TaskManager among the children is registered."""
    n = sum(child.name.startswith("taskmanager") for child in children)
    logs = [(child, home.log(child.name)) for child in children]
    wait_until(lambda: registered(ports) >= n, START_S, f"{n} TaskManagers of Flink", logs)


def wait_slots(home: Home, ports: Ports, n: int, children: list[Child]) -> None:
    """Wait until ``n`` slots are free."""
    logs = [(child, home.log(child.name)) for child in children]
    wait_until(lambda: slots(ports) >= n, START_S, f"{n} free slots of Flink", logs)


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


def has_id(taskmanager: Child, resource_id: str) -> bool:
    """Whether a TaskManager lives and has a resource id, not just the name in it.

    One that has died may have been started again: for some seconds, a JobManager does not know, and
    says that jobs run on the dead one.
    """
    return f"{RESOURCE_ID}={resource_id}" in argv_of(taskmanager)


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


def job_named(name: str) -> Job:
    """Return the declaration of a job.

    Raises
    ------
    CommandError
        For a name that is no job's.
    """
    if name not in JOBS:
        raise CommandError(f"there is no job {name!r}; jobs are: {', '.join(sorted(JOBS))}")
    return JOBS[name]


def submit(
    home: Home,
    job: Job,
    *args: str,
    from_state: str = "",
    states: tuple[Path, Path] | None = None,
    python: str = sys.executable,
    env: Mapping[str, str] | None = None,
) -> str:
    """Submit a job to the cluster that the settings in a folder name.

    Parameters
    ----------
    home
        Folder of the running stack, or of a client (`prepare`).
    job
        Its declaration.
    args
        Further arguments of its module.
    from_state
        URI of the checkpoint to resume from, empty for none.
    states
        Folders of its checkpoints and savepoints; None: those of the settings.
    python
        The interpreter of the TaskManagers.
    env
        Settings of the job, in the place of those of this process.

    Returns
    -------
    str
        The job's id.

    Raises
    ------
    CommandError
        If Flink does not accept it.
    """
    script = PROJECT.joinpath(*job.module.split(".")).with_suffix(".py")
    argv = [str(flink_home() / "bin" / "flink"), "run", "-d"]
    if from_state:
        argv += ["-s", from_state]
    if states is not None:
        argv += [f"-Dexecution.checkpointing.dir={states[0].as_uri()}"]
        argv += [f"-Dexecution.checkpointing.savepoint-dir={states[1].as_uri()}"]
    argv += ["-py", str(script), "-pyexec", python, "-pyclientexec", sys.executable]
    argv += [job.name, *args]
    variables = {**os.environ, **environment(home), **(env or {})}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=variables, timeout=START_S, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise CommandError(f"Flink has not accepted the job {job.name} in {START_S:.0f} s") from e
    match = re.search(r"JobID ([0-9a-f]{32})", done.stdout + done.stderr)
    if done.returncode or not match:
        log = home.log(f"submission-{job.name}")
        log.write_text(done.stdout + done.stderr)
        raise CommandError(
            f"Flink has not accepted the job {job.name}: {cause(log.read_text())}; all that it "
            f"said is in {log}"
        )
    return match[1]


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


def wait_running(home: Home, ports: Ports, job_id: str, jobmanager: Child | None = None) -> None:
    """Wait until all tasks of a job run; in vain if the JobManager dies, which forgets it."""
    logs = [(jobmanager, home.log(jobmanager.name))] if jobmanager else []
    what = f"the job {job_id} RUNNING (see {home.path('logs')})"
    wait_until(lambda: all_run(ports, job_id), START_S, what, logs)


def all_run(where: Where, job_id: str) -> bool:
    """Whether all tasks of a job run."""
    job = rest(where, f"jobs/{job_id}")
    return bool(job) and all(vertex["status"] == "RUNNING" for vertex in job["vertices"])
