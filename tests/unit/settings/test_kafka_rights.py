"""The rights of each role, against what its processes read and write."""

from pathlib import Path

from nextclick.topics import DEAD_LETTERS, topic
from server.replica.followed_topics import FOLLOWED
from settings.kafka_rights import CATALOGUE, LEDGER, OFF_POLICY, READ, ROLES, TOPIC, Right
from streaming.jobs.registry import JOBS
from streaming.store import GROUP

SECURITY = Path(__file__).parents[3] / "docs" / "security.md"


def test_replicas_read_what_they_follow():
    """A topic that is followed without the right stops a server; one that is not needs none."""
    followed = {followed.name for followed in FOLLOWED} | {DEAD_LETTERS}
    for name in ("server", "emitter"):
        assert set(ROLES[name].reads) == followed


def test_jobs_read_what_they_are_declared_with():
    """And commit for their groups, by which their lag is told."""
    parts = [part for job in JOBS.values() for part in job.parts]
    assert set(ROLES["jobs"].reads) == {name for part in parts for name in part.topics}
    assert set(ROLES["jobs"].groups) == {part.group for part in parts}
    by_name = {GROUP, LEDGER, CATALOGUE, OFF_POLICY}
    assert set(ROLES["operator"].describes) == {*ROLES["jobs"].groups, *by_name}
    assert ROLES["store"].groups == (GROUP,)


def test_names_have_their_tenant():
    """A user of one shop must not read another's clicks."""
    rights = set(ROLES["store"].rights("shop"))
    assert Right(TOPIC, topic("sessions", "shop"), READ) in rights
    assert all(right.name.startswith("shop.") for right in rights)


def test_the_rights_are_documented():
    """Whoever runs the cluster grants what is written there."""
    documented = {}
    for line in SECURITY.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].strip("`") in ROLES and len(cells) > 2:
            documented[cells[0].strip("`")] = cells[2:]
    for name, role in ROLES.items():
        told = {READ: role.reads, "WRITE": role.writes, "groups": (*role.groups, *role.describes)}
        for cell, names in zip(documented[name], told.values(), strict=True):
            assert {word.strip("`") for word in cell.split(", ") if word} == set(names), (
                name,
                cell,
            )
