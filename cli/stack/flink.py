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
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.stack import flink_rest
from cli.stack.java import java_home
from cli.stack.last_words import cause
from cli.stack.layout import FLINK_JARS, PROJECT, PYTHON_PATH, Child, Home, Ports
from cli.stack.process import START_S, STREAM, argv_of, spawn, wait_until
from nextclick.extras import missing
from streaming.jobs.registry import JOBS, Job

RESOURCE_ID = "taskmanager.resource-id"
"""The setting that names a TaskManager: its `Child.name`, and what is another at each start."""

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


def wait(home: Home, ports: Ports, children: list[Child]) -> None:
    """Wait until every TaskManager among the children is registered."""
    n = sum(child.name.startswith("taskmanager") for child in children)
    logs = [(child, home.log(child.name)) for child in children]
    wait_until(
        lambda: flink_rest.registered(ports) >= n, START_S, f"{n} TaskManagers of Flink", logs
    )


def wait_slots(home: Home, ports: Ports, n: int, children: list[Child]) -> None:
    """Wait until ``n`` slots are free."""
    logs = [(child, home.log(child.name)) for child in children]
    wait_until(lambda: flink_rest.slots(ports) >= n, START_S, f"{n} free slots of Flink", logs)


def has_id(taskmanager: Child, resource_id: str) -> bool:
    """Whether a TaskManager lives and has a resource id, not just the name in it.

    One that has died may have been started again: for some seconds, a JobManager does not know, and
    says that jobs run on the dead one.
    """
    return f"{RESOURCE_ID}={resource_id}" in argv_of(taskmanager)


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


def wait_running(home: Home, ports: Ports, job_id: str, jobmanager: Child | None = None) -> None:
    """Wait until all tasks of a job run; in vain if the JobManager dies, which forgets it."""
    logs = [(jobmanager, home.log(jobmanager.name))] if jobmanager else []
    what = f"the job {job_id} RUNNING (see {home.path('logs')})"
    wait_until(lambda: flink_rest.all_run(ports, job_id), START_S, what, logs)
