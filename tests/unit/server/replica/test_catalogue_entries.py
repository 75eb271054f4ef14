"""The catalogue's entries go with the rows of their items, and come back with them."""

import time
import tracemalloc

import pytest
from prometheus_client import REGISTRY

from nextclick.codec import Item, encode_item
from nextclick.v1.session_pb2 import SessionRecord
from online_models import sweep
from online_models.engine import Engine, Filter
from online_models.memory.layout import Limits
from online_models.tables.facts import kind
from server import status
from server.replica.catalogue_entries import (
    DROPPED_AT_ONCE,
    ENTRY_BYTES,
    CatalogueEntries,
    WaitingItems,
)
from server.replica.replica import Replica
from tests.processor_time import least_seconds

LIMITS = Limits(max_items=32, max_sessions=64, pairs=64)


@pytest.fixture
def replica():
    return Replica(Engine(LIMITS, sample=0, remote=True))


@pytest.fixture
def slow_sweeps(monkeypatch):
    """A sweep visits one place for each new item: rows run out before it ends."""
    monkeypatch.setattr(sweep, "MOST_PLACES", 1)


def put(replica, item_id, **fields):
    item = Item(item_id, **fields)
    replica.apply_item(item_id.encode(), encode_item(item))
    return item


def click(replica, session_id, *item_ids):
    record = SessionRecord(session_id=session_id, version=len(item_ids))
    for seq, item_id in enumerate(item_ids, 1):
        record.steps.add(item_id=item_id, seq=seq, timestamp_ms=1)
    replica.apply_session(session_id.encode(), record.SerializeToString())
    while replica.unsettled:
        replica.settle()


def push_out(replica, item_id):
    """Click other items, each beside the one before, until one has left."""
    before = item_id
    for i in range(1_000):
        if not replica.engine.row(item_id):
            return
        for visitor in "ab":
            click(replica, f"{item_id}{visitor}{i}", before, f"other{i}")
        before = f"other{i}"
    raise AssertionError(f"{item_id} has not left")


def find_rows(replica):
    """Let waiting items have their rows."""
    deadline = time.perf_counter() + 60
    while replica.catalogue.waiting:
        replica.retry_items(deadline)
        assert time.perf_counter() < deadline


def counted(name):
    return REGISTRY.get_sample_value(name)


def test_a_catalogue_larger_than_the_table_takes_no_more_entries_than_rows(replica):
    """A year of new items must not fill the memory."""
    for i in range(500):
        put(replica, f"i{i}")
    rows = replica.engine.rows
    assert 0 < len(replica.catalogue) <= LIMITS.max_items
    assert len(replica.catalogue) == len(rows)
    assert replica.catalogue.get("i499") == Item("i499")
    push_out(replica, "i499")
    assert len(replica.catalogue) < len(rows)


def test_an_item_that_left_has_its_entry_again_when_it_is_clicked(replica):
    """Else it would come back without its categories, and available although it is sold out."""
    item = put(replica, "x", categories=("shoes",), available=False)
    push_out(replica, "x")
    assert replica.catalogue.get("x") == item
    click(replica, "back", "x")
    row = replica.engine.row("x")
    assert row
    shoes = Filter(categories=("shoes",), include_unavailable=True)
    assert replica.engine.recommend([], 5, flt=shoes).rows.tolist() == [row]
    assert len(replica.engine.recommend([], 5, flt=Filter(categories=("shoes",))).rows) == 0
    assert replica.catalogue.get("x") == item
    assert "x" not in replica.catalogue.left


@pytest.mark.parametrize("how", ["deletion", "tombstone", "new entry"])
def test_what_the_catalogue_says_later_replaces_what_is_kept(replica, how):
    """An old entry must not come back over a newer one, nor over a deletion."""
    put(replica, "x", title="old")
    push_out(replica, "x")
    if how == "tombstone":
        replica.apply_item(b"x", None)
    else:
        put(replica, "x", deleted=how == "deletion", title="new")
    assert replica.catalogue.get("x") == (Item("x", title="new") if how == "new entry" else None)
    assert "x" not in replica.catalogue.left
    click(replica, "back", "x")
    assert bool(replica.engine.row("x")) == (how != "deletion")


def test_entries_of_items_that_left_are_bounded(replica):
    """The catalogue may be a hundred times as large as the table."""
    entries = CatalogueEntries(replica.engine, most_bytes=10 * (ENTRY_BYTES + 150))
    before = counted("nextclick_entries_dropped_total")
    for i in range(500):
        entries.put(Item(f"i{i:03}", title="t" * 30))
    assert 5 <= len(entries.left) <= 10
    assert not entries.waiting
    left = [item_id for item_id, _ in entries.left]
    dropped = counted("nextclick_entries_dropped_total") - before
    assert dropped == 500 - len(entries) - len(left)
    assert entries.get("i000") is None
    assert all(entries.get(item_id) for item_id in left)


def test_an_item_without_a_free_row_waits_and_is_put_later(replica, slow_sweeps):
    """The shop was told that its item is accepted, and puts it only once."""
    items = [put(replica, f"i{i}", categories=(f"c{i}",)) for i in range(60)]
    waiting = [item_id for item_id, _ in replica.catalogue.waiting]
    assert waiting
    assert not any(replica.engine.row(item_id) for item_id in waiting)
    assert status.describe(replica, True)["items_waiting"] == len(waiting)
    assert [replica.catalogue.get(item.item_id) for item in items] == items
    placed = []
    while replica.catalogue.waiting:
        item_id = replica.catalogue.retry()
        if item_id:
            placed.append(item_id)
            only = replica.engine.recommend([], 5, flt=Filter(categories=(f"c{item_id[1:]}",)))
            assert only.rows.tolist() == [replica.engine.row(item_id)]
    assert placed == waiting
    assert [replica.catalogue.get(item.item_id) for item in items] == items


def test_what_changes_while_an_item_waits_counts(replica, slow_sweeps):
    """The newest entry is applied, and a deleted item does not appear."""
    for i in range(60):
        put(replica, f"i{i}")
    changed, deleted, clicked = [item_id for item_id, _ in replica.catalogue.waiting][:3]
    put(replica, changed, categories=("new",))
    put(replica, deleted, deleted=True)
    assert deleted not in replica.catalogue.waiting
    assert replica.catalogue.get(changed).categories == ("new",)
    for visitor in range(10_000):
        if replica.engine.row(clicked):
            break
        click(replica, f"s{visitor}", clicked)
    assert clicked not in replica.catalogue.waiting
    find_rows(replica)
    assert replica.engine.row(deleted) == 0
    assert replica.catalogue.get(changed).categories == ("new",)


def test_more_waiting_items_than_there_is_memory_for_are_counted_and_said(
    replica, slow_sweeps, caplog
):
    """An operator must hear of entries that the shop has to put again."""
    now = 5.0
    entries = CatalogueEntries(replica.engine, 3 * (ENTRY_BYTES + 150), clock=lambda: now)
    before = counted("nextclick_items_refused_total")
    lost = 0
    for i in range(60):
        known = len(entries.waiting)
        had_row = entries.put(Item(f"i{i:02}", title="t" * 30))
        lost += not had_row and len(entries.waiting) == known
        entries.report()
    assert lost > 1
    assert len(entries.waiting) == 3
    assert "i59" in entries.waiting
    assert counted("nextclick_items_refused_total") == before + lost
    now = 6.0
    entries.report()
    entries.report()
    said = [r.getMessage() for r in caplog.records]
    assert [line.split()[1] for line in said] == ["1", str(lost - 1)]
    assert "NEXTCLICK_MAX_ITEMS" in said[0]


def test_a_large_record_takes_the_room_of_many_small_ones_in_steps():
    """Sixteen items with large entries leave at once, each took the room of 280: 11 to 16 ms."""
    waiting = WaitingItems()
    n = 0
    while not waiting.keep(f"i{n}", b"small"):
        n += 1
    at_first = least_seconds(waiting.first)
    steps = []
    for k in range(200):
        steps.append(waiting.keep(f"large{k}", b"x" * 65_000))
        while waiting.over:
            steps.append(waiting.drop_oldest())
    assert sum(steps) > n / 2
    assert max(steps) == DROPPED_AT_ONCE
    # To find the oldest of them took longer the more had been dropped: 10 ms a record.
    assert least_seconds(waiting.first) < 20 * at_first
    assert "i0" not in waiting
    assert "large199" in waiting


def test_an_entry_takes_little_more_memory_than_its_record():
    """A quarter of a million of them took a gigabyte: the encoder's bytes have room for 4 kB."""
    replica = Replica(Engine(Limits(1_024, 64, pairs=64), sample=0, remote=True))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for n in range(1_000):
        assert replica.catalogue.put(Item(f"item {n}", title="some words"))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / 1_000 < 2_000


def test_the_width_of_embeddings_is_that_of_most_items_that_have_a_row(replica):
    """What writes to the topic itself, in two widths, must not turn the whole shop's."""
    entries = replica.catalogue
    assert entries.embedding_width == 0
    for n in range(3):
        put(replica, f"i{n}", embedding=(1.0, 2.0))
    put(replica, "odd", embedding=(1.0, 2.0, 3.0))
    assert entries.embedding_width == 2
    put(replica, "i0")
    put(replica, "i1", embedding=(1.0, 2.0, 3.0))
    assert entries.embedding_width == 3
    for name in ("odd", "i1"):
        replica.apply_item(name.encode(), encode_item(Item(name, deleted=True)))
    assert entries.embedding_width == 2
    push_out(replica, "i2")
    assert entries.embedding_width == 0
    other = CatalogueEntries(replica.engine)
    put(replica, "i9", embedding=(4.0,))
    other.load({name: list(records) for name, records in entries.dump().items()}, more_rows=False)
    assert other.embedding_width == 1


def test_an_item_that_leaves_is_found_by_nothing_until_it_is_back(replica):
    """Its row is another's soon, which must not be found by what this one was."""
    index = replica.engine.facts
    fact = kind("film")
    put(replica, "x", kind="film", numbers={"price": 3.0}, available_until_ms=9_000)
    row = replica.engine.row("x")
    assert index.number(fact)
    push_out(replica, "x")
    assert not index.number(fact)
    assert index.of(row) == ([], {})
    click(replica, "back", "x")
    has, numbers = index.of(replica.engine.row("x"))
    assert has == [index.number(fact)]
    assert numbers == {"price": 3.0}
    assert replica.engine.windows.due(9)
