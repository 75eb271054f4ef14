"""The builder of content vectors: entries of the catalogue become vectors, beside the log."""

import time

import pytest
from prometheus_client import REGISTRY

from nextclick import Item, encode_item
from online_models.engine import By, Engine
from online_models.memory.layout import Limits
from server.replica.content_builder import FIRST_BASIS_S, LISTED, RENEWED_S, ContentBuilder
from server.replica.replica import Replica

LIMITS = Limits(max_items=512, max_sessions=64, pairs=64)
WORDS = {"film": ("night", "castle", "king"), "shoe": ("leather", "sole", "red")}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def replica():
    replica = Replica(Engine(LIMITS, sample=0, remote=True))
    for number in range(40):
        put(replica, ("film", "shoe")[number % 2], number)
    return replica


@pytest.fixture
def clock():
    return Clock()


def put(replica, kind, number):
    item_id = f"{kind}{number}"
    words = WORDS[kind]
    title = f"{words[number % 3]} {words[(number + 1) % 3]}"
    item = Item(item_id, categories=(kind,), title=title)
    replica.apply_item(item_id.encode(), encode_item(item))
    return item_id


def metric(name):
    return REGISTRY.get_sample_value(f"nextclick_content_{name}")


def alike(replica, item_id, k=10):
    engine = replica.engine
    ranked = engine.similar(engine.row(item_id), k, by=By.CONTENT)
    return [engine.item_id(row) for row in ranked.rows[: ranked.n_near]]


def test_entries_that_were_there_get_vectors_and_new_ones_at_once(replica, clock):
    """A restart would forget what items are; a new item would wait for the next fit."""
    builder = ContentBuilder(replica, clock)
    fits = metric("fits_total")
    builder.put_items()
    assert metric("waiting") == 0
    assert (metric("vectors"), metric("without_vector")) == (0, 40)
    builder.make_basis()
    assert metric("fits_total") == fits + 1
    assert all(name.startswith("film") for name in alike(replica, "film2"))
    new = put(replica, "film", 100)
    assert new not in alike(replica, "film2", 40)
    builder.put_items()
    assert new in alike(replica, "film2", 40)
    clock.now += 7
    builder.put_items()
    assert metric("basis_age_seconds") == 7
    assert metric("vectors") == 41
    builder.make_basis()
    assert metric("fits_total") == fits + 1, "one item is not enough for another basis"


def test_what_the_catalogue_takes_back_is_forgotten(replica, clock):
    """A deleted item would take the place of another among the neighbours."""
    builder = ContentBuilder(replica, clock)
    builder.put_items()
    builder.make_basis()
    deleted = encode_item(Item("film2", deleted=True))
    replica.apply_item(b"film2", deleted)
    builder.put_items()
    assert not replica.engine.content.has(replica.engine.row("film2"))
    assert "film2" not in alike(replica, "film4", 40)


def test_a_catalogue_that_grows_gets_another_basis_soon(replica, clock):
    """The first items of an import would decide for minutes what the others are."""
    builder = ContentBuilder(replica, clock)
    builder.put_items()
    builder.make_basis()
    for number in range(100, 160):
        put(replica, "shoe", number)
    builder.put_items()
    builder.make_basis()
    assert replica.engine.content.generation.basis.items == 40
    clock.now += FIRST_BASIS_S + 1
    builder.make_basis()
    assert replica.engine.content.generation.basis.items == 100


def test_a_fit_that_failed_is_counted_and_tried_again(replica, clock, monkeypatch):
    """Content would stand still, and nobody would know."""
    builder = ContentBuilder(replica, clock)
    builder.put_items()
    failed = metric("fits_failed_total")
    with monkeypatch.context() as broken:
        broken.setattr(replica.engine.content, "make", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            builder.make_basis()
    assert metric("fits_failed_total") == failed + 1
    builder.make_basis()
    assert replica.engine.content.generation is not None


def test_its_threads_do_all_of_it(replica):
    """Nothing would happen in a server."""
    builder = ContentBuilder(replica)
    builder.start()
    try:
        deadline = time.monotonic() + 60
        while not replica.engine.content.n_vectors:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        builder.stop()
    assert alike(replica, "film2")


def test_a_new_item_is_on_the_lists_of_those_that_it_is_like(replica, clock):
    """It would be a candidate of nobody until it is clicked."""
    engine = replica.engine
    engine.arrays["stats"]["clicks"][engine.rows_of(["film2", "film4"])] = 100
    builder = ContentBuilder(replica, clock)
    builder.put_items()
    assert metric("waiting") == 0
    assert REGISTRY.get_sample_value("nextclick_new_items_waiting") > 0
    builder.make_basis()
    rounds = 0
    while REGISTRY.get_sample_value("nextclick_new_items_waiting"):
        builder.put_items()
        rounds += 1
        assert rounds < 100
    listed = engine.arrays["like"]["row"][engine.row("film2")]
    assert listed[0]
    assert {engine.ids[row][:4] for row in listed if row} == {"film"}
    new = put(replica, "film", 104)
    builder.put_items()
    assert engine.row(new) in engine.arrays["like"]["row"][engine.row("film2")]
    clock.now += RENEWED_S + 1
    builder.put_items()
    assert REGISTRY.get_sample_value("nextclick_new_items_waiting") == 38 + 1 - LISTED
