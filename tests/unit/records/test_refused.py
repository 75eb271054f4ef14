"""Records that were passed over: what is kept and said of them."""

from nextclick.topics import SESSIONS
from records.refused import DETAIL, INVALID, LATEST, LINES_PER_S, Refused, RefusedRecords


def test_a_topic_full_of_poison_does_not_fill_the_log(caplog):
    """A hundred thousand lines a second would fill the disk, and take longer than the records."""
    now, counted = 1.0, []
    refused = RefusedRecords(counted.append, lambda: now)
    for second in (1.0, 2.0):
        now = second
        for offset in range(1_000):
            refused.add(Refused(SESSIONS, 0, offset, INVALID, "x" * 10_000))
            refused.report()
    now = 3.0
    refused.report()
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) <= 3 * (LINES_PER_S + 1)
    assert any("more records" in line for line in lines)
    assert len(counted) == 2_000
    assert [len(record.detail) for record in refused.latest] == [DETAIL] * LATEST
