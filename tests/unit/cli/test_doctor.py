"""``nextclick doctor``: each thing that can be wrong is found, and comes with what to do."""

import socket
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import redis
from confluent_kafka import KafkaError, KafkaException
from redis.connection import ConnectionPool
from redis.exceptions import MovedError

from cli import doctor
from cli.stack import apps, checkup
from cli.stack.checkup import GIB, Finding, State
from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack
from connections.masters import Masters
from nextclick.topics import EVENTS, SESSIONS
from settings.kafka import KafkaSettings
from tests.unit.cli.kafka_of_topics import Broker


def ports(**changed):
    free = Ports.free()
    return Ports(**{**{name: getattr(free, name) for name in free.__dataclass_fields__}, **changed})


def found(broker, tenant=""):
    return {
        f.check: f for f in checkup.of_topics(broker, KafkaSettings(kafka="broker:9092"), tenant)
    }


@pytest.mark.parametrize("tenant", ["", "shop"])
def test_topics_as_declared_are_fine(tenant):
    """A warning about what is right would teach people to pass over warnings."""
    findings = found(Broker(tenant), tenant)
    assert {f.state for f in findings.values()} == {State.OK}


def test_a_topic_that_is_missing_or_differs_is_named():
    """With another clean-up policy, a month of sessions is gone; nothing else says so."""
    broker = Broker()
    del broker.topics[EVENTS]
    finding = found(broker)["topics"]
    assert (finding.state, finding.found) == (State.FAULT, f"not there: {EVENTS}")
    broker = Broker()
    broker.add_partition(SESSIONS)
    broker.settings[SESSIONS]["cleanup.policy"] = "delete"
    finding = found(broker)["topics"]
    assert finding.state == State.WARNING
    assert "sessions: partitions is 5, not 4" in finding.found
    assert "sessions: cleanup.policy is delete, not compact" in finding.found


@pytest.mark.parametrize(
    "error", [KafkaException(KafkaError(KafkaError._TRANSPORT)), TimeoutError()]
)
def test_a_kafka_that_is_away_is_named_with_the_setting(error):
    """The address is most often what is wrong."""
    broker = Broker()

    def away(timeout):
        raise error

    broker.list_topics = away
    finding = found(broker)["Kafka"]
    assert finding.state == State.FAULT
    assert "broker:9092" in finding.found
    assert "NEXTCLICK_KAFKA" in finding.to_do


@pytest.mark.parametrize(
    ("broker", "said"),
    [(100.5, "within"), (102.5, "within"), (160.0, "58 s behind"), (40.0, "60 s ahead of")],
)
def test_clocks_that_differ_are_told_by_how_much(broker, said):
    """Then events are refused as of the future, and every figure of delay is wrong."""
    finding = checkup.clocks(100.0, broker, 102.0)
    assert finding.found.startswith(said)
    assert bool(finding.to_do) == (said != "within")


class Redis:
    def __init__(self, error=None, **settings):
        self.error, self.settings = error, settings

    def execute_command(self, *_):
        if self.error:
            raise self.error

    def config_get(self, pattern):
        return {name.replace("_", "-"): value for name, value in self.settings.items()}


@pytest.mark.parametrize(
    ("most", "policy", "state"),
    [
        ("0", "noeviction", State.OK),
        ("1000", "volatile-ttl", State.OK),
        ("1000", "noeviction", State.WARNING),
        ("1000", "allkeys-lru", State.WARNING),
    ],
)
def test_an_eviction_policy_that_loses_sessions_is_named(most, policy, state):
    """The store refills Redis from the log whenever its position was evicted."""
    finding = checkup.of_master(Redis(maxmemory=most, maxmemory_policy=policy), "cache", "")
    assert finding.state == state
    assert ("volatile-ttl" in finding.to_do) == (state is not State.OK)


def test_a_redis_that_is_away_is_a_fault():
    """Answers go on without it, marked as degraded, and nobody knows why."""
    finding = checkup.of_master(Redis(redis.ConnectionError("refused")), "cache", "")
    assert finding.state == State.FAULT
    assert "NEXTCLICK_REDIS" in finding.to_do


def test_each_master_of_a_cluster_is_looked_at(monkeypatch):
    """One of them that evicts, or is away, is a part of the visitors."""
    masters = Masters("a", ConnectionPool())
    masters.clients = {
        "a": Redis(MovedError("1 b:6379"), maxmemory="0", maxmemory_policy="noeviction"),
        "b": Redis(redis.exceptions.NoPermissionError("NOPERM")),
    }
    of_a, of_b = checkup.of_redis(masters, "")
    assert of_a.state == State.OK
    assert (of_b.state, of_b.found) == (State.FAULT, "b does not answer: NOPERM")

    def away():
        raise redis.ConnectionError("nobody")

    monkeypatch.setattr(masters, "refresh", away)
    [finding] = checkup.of_redis(masters, "")
    assert finding.state == State.FAULT


def test_memory_disk_and_ports_are_those_that_the_settings_need(tmp_path, monkeypatch):
    """A limit that is too large ends with the kernel's choice of a victim, days later."""
    assert checkup.of_memory([GIB, GIB], 4 * GIB, 8 * GIB).state == State.OK
    short = checkup.of_memory([4 * GIB, 4 * GIB], 4 * GIB, 8 * GIB)
    assert short.state == State.WARNING
    assert "NEXTCLICK_MAX_ITEMS" in short.to_do
    for free, state in ((20, State.OK), (5, State.WARNING), (0.5, State.FAULT)):
        usage = SimpleNamespace(free=int(free * GIB))
        monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert checkup.of_disk(tmp_path / "new" / "folder").state == state
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = checkup.of_ports(ports(redis=taken.getsockname()[1]))
    assert finding.state == State.FAULT
    assert "--redis-port" in finding.to_do
    assert checkup.of_ports(ports()).state == State.OK


def test_a_right_that_is_missing_is_a_warning(monkeypatch):
    """Answers are slower beside busy neighbours; everything works."""

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(checkup.os, "sched_setscheduler", refused)
    finding = checkup.of_realtime(wanted=True)
    assert (finding.state, finding.found) == (State.WARNING, "refused: Operation not permitted")
    assert checkup.of_realtime(wanted=False).state == State.OK


def test_a_machine_without_a_stack_is_checked_without_services(tmp_path, monkeypatch):
    """Before the first `up` there is no Kafka to ask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "replica_bytes", lambda *_, **__: [GIB])
    checks = [finding.check for finding in doctor.examine(Home(tmp_path))]
    assert checks == ["versions", "ports", "disk", "memory", "real-time right"]


@pytest.mark.parametrize(
    ("theirs", "state"), [(version("nextclick"), State.OK), ("0.0.9", State.WARNING)]
)
def test_a_server_of_another_version_is_told(tmp_path, monkeypatch, theirs, state):
    """The package was upgraded under a running stack: both work, but not as one expects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "replica_bytes", lambda *_, **__: [GIB])
    monkeypatch.setattr(doctor, "of_kafka", lambda *_: iter(()))
    monkeypatch.setattr(checkup, "of_redis", lambda *_: [Finding("Redis", State.OK, "")])
    monkeypatch.setattr(apps, "serving", lambda _: True)
    monkeypatch.setattr(apps, "server_status", lambda _: {"version": theirs})
    home = Home(tmp_path)
    monkeypatch.setattr(Stack, "running", lambda _: Stack(home, Ports.free(), bound=False))
    findings = {finding.check: finding for finding in doctor.examine(home)}
    assert findings["server"].state == state
    assert theirs in findings["server"].found
    assert ("`nextclick up`" in findings["server"].to_do) == (state is State.WARNING)
    monkeypatch.setattr(apps, "server_status", lambda _: {})  # `parts` says that it is away
    assert "server" not in [finding.check for finding in doctor.examine(home)]


def test_the_topics_of_a_tenant_are_looked_at(tmp_path, monkeypatch):
    """Those of one shop are there, those of another are not."""
    monkeypatch.setattr(doctor, "admin_client", lambda _: Broker("shop"))
    monkeypatch.setattr(doctor, "replica_bytes", lambda *_, **__: [GIB])
    monkeypatch.setattr(checkup, "of_redis", lambda *_: [Finding("Redis", State.OK, "")])
    monkeypatch.setattr(checkup, "of_clock", lambda *_: checkup.clocks(0, 0, 0))
    monkeypatch.setenv("NEXTCLICK_KAFKA", "broker:9092")
    monkeypatch.setenv("NEXTCLICK_TENANT", "shop")
    for given, state in ((None, State.OK), ("shop2", State.FAULT)):
        found = {f.check: f for f in doctor.examine(Home(tmp_path), given)}
        assert found["topics"].state is state


def test_only_a_fault_fails():
    """Scripts go by the exit code."""
    warning = Finding("x", State.WARNING, "")
    assert not doctor.faulty([warning])
    assert doctor.faulty([warning, Finding("y", State.FAULT, "")])
