"""Where reading each topic begins: nothing is applied twice, and nothing is left out unnoticed."""

from functools import partial

import pytest

from nextclick.topics import ITEMS, PROFILES, RANKER, SCOREBOARD, SESSIONS, TOPICS, VECTORS
from online_models.memory.table import Kept
from online_models.state_tables import TABLES
from server.replica.followed_topics import FOLLOWED, Partition
from server.replica.replica import Role

START = {followed.name: followed.start for followed in FOLLOWED}
LOW, HIGH, HISTORY = 100, 1_000, 300


def start(name, position, role=Role.SERVER, high=HIGH):
    return START[name](Partition(LOW, high, position, lambda: max(LOW, high - HISTORY), role))


def test_only_topics_that_exist_are_followed():
    """A misspelt one would be created empty by nobody, and waited for."""
    assert set(START) <= set(TOPICS)
    assert len(START) == len(FOLLOWED)


@pytest.mark.parametrize("name", [ITEMS, PROFILES, SESSIONS, VECTORS])
def test_a_server_goes_on_where_its_snapshot_ended(name):
    """Reading everything again would take as long as a first start."""
    assert start(name, 400) == 400
    assert start(name, HIGH) == HIGH


@pytest.mark.parametrize("position", [None, LOW - 1, HIGH + 1])
def test_without_a_usable_position_all_is_read_of_clicks_the_newest(position):
    """The log may have expired, or been created again, since the snapshot."""
    assert start(ITEMS, position) == LOW
    assert start(PROFILES, position) == LOW
    assert start(VECTORS, position) == LOW
    assert start(SESSIONS, position) == HIGH - HISTORY
    assert start(SESSIONS, position, high=LOW + 10) == LOW


def test_the_ranker_is_in_no_snapshot():
    """Else a restarted server would rank by the blend until the ranker learns again."""
    assert start(RANKER, 400) == LOW


def test_held_vectors_are_in_no_snapshot():
    """An emitter that went on at its position would lose those that it held."""
    assert start(VECTORS, 400, Role.EMITTER) == LOW


def test_of_scores_the_newest_are_enough():
    """Each replaces those before it; a month of them is not worth a second."""
    assert start(SCOREBOARD, None) == HIGH - TOPICS[SCOREBOARD].read_last
    assert start(SCOREBOARD, 400) == HIGH - TOPICS[SCOREBOARD].read_last
    assert start(SCOREBOARD, HIGH - 1) == HIGH - 1
    assert start(SCOREBOARD, None, high=LOW + 1) == LOW


def test_one_topic_carries_the_clicks():
    """The lag in time, and the pace of the emitter, are those of clicks."""
    assert [followed.name for followed in FOLLOWED if followed.clicks] == [SESSIONS]


def test_rows_go_into_tables_by_item_that_snapshots_keep():
    """Each record of another table would be skipped; of one that is not kept, lost at a restart."""
    by_item = {t.name for t in TABLES if t.shape[:1] == ("rows",) and t.kept is Kept.ROWS}
    assert "target_vectors" in by_item
    rows = [f.apply.keywords["table"] for f in FOLLOWED if isinstance(f.apply, partial)]
    assert set(rows) <= by_item
