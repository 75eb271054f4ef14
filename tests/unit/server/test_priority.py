"""Answers come first where the system allows it, and heavy work aside never does."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from server.kafka.acked_producer import AckedProducer
from server.kafka.impressions import Impressions
from server.priority import come_first, give_way, without_priority
from settings.server import ServerSettings
from tests.integration.conftest import eventually


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


@pytest.mark.skipif(not allowed(), reason="no right to real-time priority")
@pytest.mark.parametrize("make", [AckedProducer, Impressions])
def test_threads_of_producers_have_no_priority(make):
    """They poll without a pause while a broker is slow, and would keep a core from it."""
    before = set(os.listdir("/proc/self/task"))
    with come_first(True):
        producer = make(ServerSettings(kafka="127.0.0.1:1"))
        assert os.sched_getscheduler(0) == os.SCHED_RR

    def policies():
        found = {True: set(), False: set()}
        for tid in set(os.listdir("/proc/self/task")) - before:
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                name = Path("/proc/self/task", tid, "comm").read_text()
                found[name.startswith("rdk:")].add(os.sched_getscheduler(int(tid)))
        return found

    # A thread of librdkafka has no name before it has run for the first time.
    wanted = {True: {os.SCHED_OTHER}, False: {os.SCHED_RR}}
    eventually(policies, lambda found: found == wanted, "no priority for librdkafka's threads only")
    producer.close()


def test_nothing_changes_for_those_that_have_no_priority():
    """A server without the right makes its producers, too."""
    with without_priority():
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


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


def test_a_niceness_is_never_lowered(monkeypatch):
    """Only root may: the thread that builds the index ended, of a server that was started so."""
    had, given = {"nice": 15}, []
    monkeypatch.setattr("server.priority.os.getpriority", lambda *_: had["nice"])
    monkeypatch.setattr("server.priority.os.setpriority", lambda *args: given.append(args[2]))
    started(lambda: give_way(10)).join()
    assert given == []
    had["nice"] = 5
    started(lambda: give_way(10)).join()
    assert given == [10]
