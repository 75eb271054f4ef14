"""Of each session, a batch of the store keeps the newest record."""

import itertools

import pytest

from nextclick.v1.session_pb2 import SessionRecord
from streaming.session_writer import Batch

OLDEST_FIRST = [(100, 8, 107), (900, 1, 900), (900, 2, 901), (100, 11, 902), (100, 12, 903)]
"""Incarnation, version, time of arrival: a visit, the next one, and both after they were joined."""


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(OLDEST_FIRST, 2)))
def test_the_newer_of_two_records_stays_in_any_order(one, other):
    """A job that starts from nothing may divide a session into other lives than before."""
    for order in ((one, other), (other, one)):
        batch = Batch()
        for offset, (incarnation, version, appended_ms) in enumerate(order):
            record = SessionRecord(
                session_id="s", incarnation=incarnation, version=version, appended_ms=appended_ms
            )
            batch.add(0, offset, b"s", record.SerializeToString())
        (entry,) = batch.entries.values()
        kept = SessionRecord.FromString(entry[-1])
        assert (kept.incarnation, kept.version, kept.appended_ms) == other
