"""The parts of a stack: how each is started, and which of them end with another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from cli.stack import apps, flink, kafka, redis
from cli.stack.layout import PYTHON_PATH, Child, Home, Ports
from cli.stack.process import spawn

SUPERVISOR, STANDBY = "supervisor", "standby"
"""Names of the processes that watch over the others (`cli.stack.supervisor`)."""

TASKMANAGERS = ("taskmanager-1", "taskmanager-2")
"""A TaskManager is one slot with an interpreter lock of its own: one for the sessions job, one for
the learners."""


class Part(NamedTuple):
    """A process of the stack.

    Parameters
    ----------
    start
        Starts it.
    ends_with_it
        Parts that are ended and started again when this one has died.
    """

    start: Callable[[], Child]
    ends_with_it: tuple[str, ...] = ()


def parts_of(home: Home, ports: Ports, *, bound: bool, tenant: str = "") -> dict[str, Part]:
    """Return the parts by name, in the order of their start."""
    ours: dict[str, Any] = {"home": home, "ports": ports, "bound": bound, "tenant": tenant}
    return {
        # The tasks of a dead JobManager belong to no job any more, and their priorities would
        # stay with processes that the next run of the jobs may share out differently.
        "jobmanager": Part(partial(flink.start_jobmanager, home, bound=bound), TASKMANAGERS),
        **{
            name: Part(partial(flink.start_taskmanager, home, number, bound=bound))
            for number, name in enumerate(TASKMANAGERS, 1)
        },
        "redis": Part(partial(redis.start, home, ports, bound=bound)),
        "kafka": Part(partial(kafka.start, home, ports, bound=bound)),
        "server": Part(partial(apps.start_server, **ours)),
        "store": Part(partial(apps.start_store, **ours)),
        apps.EMITTER: Part(partial(apps.start_emitter, **ours)),
    }


def start_standby(home: Home) -> Child:
    """Start the process that waits to become the supervisor."""
    argv = [sys.executable, "-m", "cli.stack.standby", str(home.root)]
    return spawn(STANDBY, argv, home.log(SUPERVISOR), {"PYTHONPATH": PYTHON_PATH}, bound=False)
