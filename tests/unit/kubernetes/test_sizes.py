"""Memory, disks and times of the pods follow from the settings by the formulas of the code."""

import pytest

from gateway.__main__ import DRAIN_S
from online_models.memory.layout import Limits
from server.replica.memory import most_bytes
from server.replica.replica import Role
from server.replica.saved_snapshots import LATEST, MOST_KEPT
from tests.unit.kubernetes.manifests import OVERLAYS, mebibytes, named, overlay, pod, pods
from tests.unit.kubernetes.test_processes import settings_of

TOLERANCE = 1.1
"""How far the formula may be from what a process takes (docs/operating.md)."""

MIB = 1 << 20

STOP_READING_S, SNAPSHOT_S = 60, 30
"""The longest wait for the log reader on shutdown (`LogReader.stop`); a snapshot's time."""


def parts(manifests, role):
    """Return a replica's pod, and the most bytes of each part of its memory."""
    of = pod(manifests, {Role.SERVER: "server", Role.EMITTER: "emitter"}[role])
    settings = settings_of(manifests, of)
    limits = Limits(max_items=settings.max_items, max_sessions=settings.max_sessions)
    users, profiles = settings.max_users, settings.max_profiles
    return of, most_bytes(limits, role, max_users=users, max_profiles=profiles)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("role", Role)
def test_a_replica_has_the_memory_that_its_limits_take(name, role):
    """It would be killed once it is full, or ask a node for what it never uses."""
    of, memory = parts(overlay(name), role)
    needed = TOLERANCE * sum(memory.values()) / MIB
    limit = mebibytes(of.container["resources"]["limits"]["memory"])
    assert needed <= limit <= 1.1 * needed


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("role", Role)
def test_a_replicas_disk_has_room_for_its_snapshots(name, role):
    """It would stop writing them, and read the whole log at its next start."""
    manifests = overlay(name)
    of, memory = parts(manifests, role)
    snapshot = sum(memory[part] for part in ("models", "sessions", "catalogue", "profiles")) / MIB
    (claim,) = named(manifests, of.kind, of.name)["spec"]["volumeClaimTemplates"]
    disk = mebibytes(claim["spec"]["resources"]["requests"]["storage"])
    assert disk >= (LATEST + MOST_KEPT + 1) * snapshot


@pytest.mark.parametrize("name", OVERLAYS)
def test_memory_is_asked_for_as_it_is_limited(name):
    """A node would promise more than it has, and kill whoever it finds."""
    for entry in pods(overlay(name)):
        if entry.kind == "FlinkDeployment":
            continue  # its operator does so
        resources = entry.container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        assert resources["requests"]["cpu"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_redis_evicts_sessions_before_it_is_killed(name):
    """It would be killed while it writes a dump, or evict the store's positions."""
    container = pod(overlay(name), "redis").container
    given = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    most = mebibytes(given["--maxmemory"].replace("gb", "Gi").replace("mb", "Mi"))
    assert most <= mebibytes(container["resources"]["limits"]["memory"]) / 1.5
    assert given["--maxmemory-policy"] == "volatile-ttl"


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_server_has_time_to_end(name):
    """Calls would fail at every upgrade, or the snapshot would not be written."""
    manifests = overlay(name)
    server = pod(manifests, "server")
    settings = settings_of(manifests, server)
    probe = server.container["readinessProbe"]
    assert settings.lame_duck_s > probe["periodSeconds"] * probe["failureThreshold"]
    calls_s = max(settings.drain_s, settings.put_timeout_s)
    needed_s = settings.lame_duck_s + calls_s + STOP_READING_S + SNAPSHOT_S
    assert server.spec["terminationGracePeriodSeconds"] >= needed_s
    assert 0 < settings.connection_age_s <= 600
    grace_s = pod(manifests, "emitter").spec["terminationGracePeriodSeconds"]
    assert grace_s >= STOP_READING_S + SNAPSHOT_S


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_gateway_has_time_to_end(name):
    """Calls would fail at every upgrade."""
    gateway = pod(overlay(name), "gateway")
    probe = gateway.container["readinessProbe"]
    sleep, seconds = gateway.container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(seconds) > probe["periodSeconds"] * probe["failureThreshold"]
    assert gateway.spec["terminationGracePeriodSeconds"] > int(seconds) + DRAIN_S


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_must_be_one_is_one(name):
    """Two stores would write everything twice; so would two emitters."""
    manifests = overlay(name)
    assert named(manifests, "StatefulSet", "emitter")["spec"]["replicas"] == 1
    store = named(manifests, "Deployment", "store")["spec"]
    assert (store["replicas"], store["strategy"]) == (1, {"type": "Recreate"})
