"""Server and score job together: the live score is what a count of the traffic gives."""

import random
from itertools import pairwise

import pytest

from streaming.raw_record import RawRecord
from streaming.tasks.rolling_score import RING
from streaming.tasks.score import ScoreTask
from streaming.tasks.task import TaskOptions
from tests.unit.server.services.shop import Shop, record

ITEMS = [f"i{i}" for i in range(22)]
PAGE = 5


def visits():
    """Sessions of four clicks, in which an item may come again, but not at once."""
    rng = random.Random(7)
    found = [rng.choices(ITEMS[:8], k=4) for _ in range(40)]
    return {
        f"v{n}": items for n, items in enumerate(found) if all(a != b for a, b in pairwise(items))
    }


class Traffic:
    """A shop's visitors, each asking for an answer after each click but the last.

    Parameters
    ----------
    sent
        How many of the session's last items each request carries.
    behind
        Clicks that the server has not read yet when it answers.
    """

    def __init__(self, sent, behind):
        shop, task = Shop(), ScoreTask(TaskOptions())
        self.expected = []
        for name, items in visits().items():
            for n in range(1, len(items) + 1):
                if n > behind:
                    shop.apply(record(name, items[: n - behind]))
                self._give(task, "sessions", name, record(name, items[:n]))
                if n < len(items):
                    tail = items[max(n - sent, 0) : n] if sent else []
                    answer = shop.recommend(session_id=name, session_items=tail, page_size=PAGE)
                    impression, key = shop.impressions.seen[-1]
                    self._give(task, "impressions", key, impression)
                    shown = [item.item_id for item in answer.items]
                    self.expected.append(shown.index(items[n]) + 1 if items[n] in shown else 0)
        self.scored = task._scores["blend"]._latest(RING)["rank"].tolist()

    @staticmethod
    def _give(task, topic, key, message):
        task.apply(RawRecord(message.SerializeToString(), key.encode(), topic, 0, 0, 9))


@pytest.mark.parametrize(("sent", "behind"), [(0, 0), (1, 0), (2, 0), (4, 0), (1, 1), (4, 1)])
def test_the_live_score_equals_a_count_of_the_traffic(sent, behind):
    """An answer must not be judged by a click that was in its query, whoever brought it there."""
    traffic = Traffic(sent, behind)
    assert traffic.scored == traffic.expected


def test_requests_that_carry_the_sessions_items_have_the_same_live_score():
    """A caller that follows the advice of the README must not see another score for it."""
    without = Traffic(sent=0, behind=0)
    assert 0 < sum(rank > 0 for rank in without.scored) < len(without.scored)
    assert Traffic(sent=3, behind=0).scored == without.scored
