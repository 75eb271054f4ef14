"""Real-time priority for the threads that answers wait for, where the system allows it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("nextclick.server")

LOWEST_REALTIME = 1


@contextmanager
def come_first(wanted: bool) -> Iterator[None]:
    """Run the block at real-time priority; threads that it starts keep that priority.

    An answer takes a tenth of a millisecond and a slice of the log a quarter, but where other
    processes keep all cores busy, either may be preempted for milliseconds: at 500 clicks a second
    on two cores, the p99 of answers was 3 to 6 ms without real-time priority and 1.5 ms with it.
    Needs permission (root, CAP_SYS_NICE, a limit on `rtprio`); without it, nothing changes.
    """
    first = wanted and _take_realtime()
    try:
        yield
    finally:
        if first:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def without_priority() -> Iterator[None]:
    """Run the block without real-time priority; threads that it starts have none either.

    For librdkafka's idempotent producers: while a batch is on its way and others of its partition
    are due, their thread polls without a pause. With a broker that answered every 450 ms it took
    half a core, and at real-time priority it held up that broker itself.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    if policy == os.SCHED_OTHER:
        yield
        return
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)


def _take_realtime() -> bool:
    """Give this thread real-time priority; return False if the system does not allow it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(LOWEST_REALTIME))
    except OSError as e:
        log.info("no real-time priority: %s", e.strerror)
        return False
    return True


def give_way(niceness: int) -> None:
    """Take real-time priority from the calling thread, and raise its niceness to this, 0..19.

    It stays where it is in a process that was started with a higher one: only root may lower it.
    """
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    thread = threading.get_native_id()
    if os.getpriority(os.PRIO_PROCESS, thread) < niceness:
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
