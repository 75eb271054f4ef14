"""How long clicks take on their way, as a replica measures it."""

import pytest
from prometheus_client import REGISTRY

from nextclick.v1.session_pb2 import SessionRecord
from server.replica.freshness import REPLICA, SESSIONS_JOB, Freshness


def observed(hop):
    """How often a hop was observed, and the sum of its seconds."""
    found = (
        REGISTRY.get_sample_value(f"nextclick_freshness_seconds_{what}", {"hop": hop})
        for what in ("count", "sum")
    )
    return tuple(value or 0.0 for value in found)


def since(before):
    return {
        hop: tuple(now - then for now, then in zip(observed(hop), before[hop], strict=True))
        for hop in before
    }


@pytest.fixture
def before():
    return {hop: observed(hop) for hop in (SESSIONS_JOB, REPLICA)}


def test_each_hop_of_the_newest_click_is_measured_once(replica, before):
    """An operator who sees stale answers has to know whose fault they are."""
    replica.freshness = Freshness(lambda: 10.5)
    for version in (1, 2):
        record = SessionRecord(session_id="s", version=version, appended_ms=10_000 + version)
        record.steps.add(item_id="a", seq=version, timestamp_ms=1)
        replica.apply_session(b"s", record.SerializeToString(), 10_200 + version)
    for _ in range(2):
        replica.freshness.observe()
    assert since(before) == {
        SESSIONS_JOB: (1, pytest.approx(0.2)),
        REPLICA: (1, pytest.approx(0.298)),
    }
    replica.apply_session(b"s", record.SerializeToString(), 12_000)
    replica.freshness.observe()
    assert since(before)[REPLICA][0] == 1, "a repeated record is no click"


def test_records_of_before_and_clocks_that_differ_do_no_harm(before):
    """A record without the time of its event would have taken 50 years."""
    freshness = Freshness(lambda: 10.0)
    freshness.note(0, 10_500)
    freshness.observe()
    assert since(before) == {SESSIONS_JOB: (0, 0), REPLICA: (1, 0)}
