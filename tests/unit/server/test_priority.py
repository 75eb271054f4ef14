"""Answers come first where the system allows it, and heavy work aside never does."""

import os
import threading

import pytest

from server.priority import come_first, give_way


def allowed():
    """Whether this process may have real-time priority."""
    try:
        with come_first(True):
            return os.sched_getscheduler(0) == os.SCHED_RR
    finally:
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def policy_of(start):
    """Return the policy of a thread that ``start`` starts with what it is given."""
    seen = []
    thread = start(lambda: seen.append(os.sched_getscheduler(0)))
    thread.join()
    return seen[0]


def started(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.skipif(not allowed(), reason="no right to real-time priority")
def test_what_is_started_meanwhile_keeps_the_priority():
    """grpc's own threads must have it too: a message goes through two of them."""

    def first(work):
        with come_first(True):
            return started(work)

    assert policy_of(first) == os.SCHED_RR
    assert policy_of(started) == os.SCHED_OTHER


def test_nobody_has_it_unasked():
    """A container with the right must not change what its host runs first by itself."""
    with come_first(False):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_without_the_right_all_stays_as_it_was(monkeypatch):
    """Most containers have none, and serve."""

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("server.priority.os.sched_setscheduler", refused)
    with come_first(True):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_build_gives_way():
    """Seconds of work at real-time priority would have a core to itself."""
    seen = []

    def work():
        with come_first(True):
            give_way(10)
            tid = threading.get_native_id()
            seen.append((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, tid)))

    started(work).join()
    assert seen == [(os.SCHED_OTHER, 10)]
