"""Records that cannot be applied: passed over, counted, and found again."""

import pytest
from prometheus_client import REGISTRY

from nextclick.topics import ITEMS, RANKER, SCOREBOARD, SESSIONS, USERS, VECTORS
from nextclick.v1.learning_pb2 import LearnerState
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import SessionRecord, Step
from records.refused import INVALID, TOO_LARGE
from server import status
from tests.unit.server.replica.played_log import Message, record, until


def test_a_record_that_cannot_be_applied_is_skipped(replica, reader, monkeypatch):
    """One such record must not stop the learning for good."""
    apply = replica.sessions.apply

    def fails_on_a(session):
        if session.session_id == "a":
            raise ZeroDivisionError
        return apply(session)

    monkeypatch.setattr(replica.sessions, "apply", fails_on_a)
    it = reader()
    it._consumer.messages = [
        Message(SESSIONS, 0, 0, record("a", "x")),
        Message(SESSIONS, 0, 1, record("b", "y")),
    ]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 0)) == 2)
    assert replica.engine.clicks == 1


def refused_by(topic, reason):
    labels = {"topic": topic, "reason": reason}
    return REGISTRY.get_sample_value("nextclick_unreadable_total", labels) or 0


def said(caplog):
    return [r.getMessage() for r in caplog.records if "passing over" in r.getMessage()]


def test_what_was_never_refused_is_counted_as_0(reader):
    """Of a series that begins with 1, Prometheus sees no increase, and no alert fires."""
    reader().start()
    labels = {"topic": SCOREBOARD, "reason": "failed"}
    assert REGISTRY.get_sample_value("nextclick_unreadable_total", labels) == 0


POISON = [
    (SESSIONS, b" " * 100_000, TOO_LARGE),
    (SESSIONS, b"\xff\xff", INVALID),
    (SESSIONS, SessionRecord(session_id="s", version=9, steps=[Step()] * 4_000), INVALID),
    (SESSIONS, SessionRecord(version=9), INVALID),
    (SESSIONS, SessionRecord(session_id="s", version=9, incarnation=1 << 42), INVALID),
    (ITEMS, b'{"v": 1}', INVALID),
    (USERS, b'{"v": 1, "user_id": "u", "consent": "no"}', INVALID),
    (VECTORS, b"\x0a\x00", INVALID),
    (VECTORS, b"\xff\xff", INVALID),
    (RANKER, LearnerState(version=1), INVALID),  # under the key of no learner
    (RANKER, b"\xff\xff", INVALID),
    (SCOREBOARD, Score(model="other"), INVALID),
    (SCOREBOARD, b"\xff\xff", INVALID),
]


@pytest.mark.parametrize(("topic", "value", "reason"), POISON)
def test_poison_is_passed_over_counted_and_found_again(
    replica, reader, caplog, topic, value, reason
):
    """Every record that a topic may hold must let the next one through, and say where it is."""
    value = value if isinstance(value, bytes) else value.SerializeToString()
    before = refused_by(topic, reason)
    it = reader()
    it._consumer.messages = [
        Message(topic, 0, 6, value),
        Message(SESSIONS, 1, 0, record("b", "y")),
    ]
    it.start()
    until(lambda: replica.positions.get((SESSIONS, 1)) == 1)
    assert replica.positions[topic, 0] == 7
    assert replica.engine.clicks == 1
    assert refused_by(topic, reason) == before + 1
    [refused] = replica.refused.latest
    assert refused[:4] == (topic, 0, 6, reason)
    until(lambda: said(caplog))
    [line] = said(caplog)
    assert f"{topic}-0 at 6: {reason}" in line
    assert len(line) < 400
    assert status.describe(replica, True)["refused"][0]["offset"] == 6
    assert not replica.catalogue
    assert not len(replica.users)
    assert not replica.learners
    assert not replica.scoreboard
