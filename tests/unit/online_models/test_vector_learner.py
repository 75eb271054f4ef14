"""The learner of vectors never fills, and what it stores is exact at any time."""

import numpy as np
import pytest

from online_models import sweep
from online_models.learners import publication, stored_vectors
from online_models.learners.vectors import GONE_SHARE, VectorLearner
from online_models.tables.item_rows import CONFIRMED, IN_CATALOGUE

BY_ROW = ("context_vectors", "target_vectors", "token_sums", "item_tokens", "stats", "becomes")


class Store:
    """The stored state: what a job keeps in Flink."""

    def __init__(self):
        self.meta, self.rows = b"", {}

    def save(self, learner):
        self.meta, changed = learner.changes()
        self.rows |= changed
        self.rows = {name: value for name, value in self.rows.items() if value}

    def load(self, max_items):
        learner = VectorLearner(max_items)
        learner.load(self.meta, self.rows.items())
        return learner


def steps(n, seed=0, invented=0.1):
    """Clicks, catalogue entries and deletions of a shop whose items succeed one another."""
    rng = np.random.default_rng(seed)
    session, before = 0, []
    for i in range(n):
        kind = rng.random()
        item = f"i{i // 20 + int(40 * rng.random() ** 2)}"
        if kind < 0.05:
            yield "put", item, [int(t) for t in rng.integers(1, 30, 3)]
        elif kind < 0.07:
            yield "delete", item, []
        elif kind < 0.07 + invented:
            yield "click", f"bot{i}", []
        else:
            if rng.random() < 0.3:
                session, before = session + 1, []
            yield ("first" if not before else "click"), item, list(before)
            before.append(item)


def apply(learner, step, slot):
    kind, item, detail = step
    if kind == "put":
        learner.put_item(item, detail)
    elif kind == "delete":
        learner.withdraw(item)
    else:
        slot = learner.learn(-1 if kind == "first" else slot, detail, item)
    return slot


def state(learner):
    """All that later clicks depend on."""
    items, n = learner.items, len(learner.items.ids)
    arrays = {name: learner.arrays[name][:n].tobytes() for name in BY_ROW}
    sessions = [s[1 : 1 + s[0]].tolist() for s in items.sessions[: items.held_sessions]]
    return arrays | {
        "squares": learner.arrays["item_adagrad"]["squares"][:n].tobytes(),
        "tokens": learner.arrays["token_vectors"].tobytes(),
        "clicks": learner.arrays["recent_clicks"].tobytes(),
        "counters": learner.arrays["counters"].tobytes(),
        "rows": dict(sorted(items.rows.items())),
        "free": items.free,
        "leaving_rows": items.leaving,
        "deleted": list(items.deleted),
        "gone": set(items.gone),
        "unconfirmed": items.unconfirmed,
        "in_catalogue": items.in_catalogue,
        "sweep": items.sweep.kept(),
        "sessions": sessions,
    }


def check(learner):
    """Every row is in use, leaving or free, and nothing refers to a free one."""
    items = learner.items
    rows, leaving, free = set(items.rows.values()), set(items.leaving), set(items.free)
    assert len(rows) + len(leaving) + len(free) == len(rows | leaving | free)
    assert rows | leaving | free == set(range(1, len(items.ids)))
    flags = learner.arrays["stats"]["flags"][sorted(rows)]
    assert items.unconfirmed == int((flags & CONFIRMED == 0).sum())
    assert items.in_catalogue == int((flags & IN_CATALOGUE > 0).sum())
    assert not np.isin(learner.arrays["recent_clicks"], sorted(free)).any()
    held = items.sessions[: items.held_sessions]
    named = [row for session in held for row in session[1 : 1 + session[0]].tolist()]
    assert not set(named) & free
    content = (learner.arrays["item_tokens"][:, 0] > 0).sum()
    assert learner.arrays["counters"]["items_with_content"][0] == content


@pytest.mark.parametrize("seed", [0, 1])
def test_stored_and_loaded_anywhere_it_is_equal_bit_for_bit(monkeypatch, seed):
    """A restart in the middle of a sweep must change no vector, and no item that leaves."""
    monkeypatch.setattr(sweep, "MOST_PLACES", 64)  # so small a table is swept at once otherwise
    rng = np.random.default_rng(seed)
    calm, shaken, store = VectorLearner(64), VectorLearner(64), Store()
    slots = [-1, -1]
    phases = set()
    for i, step in enumerate(steps(4_000, seed)):
        slots = [
            apply(learner, step, slot) for learner, slot in zip((calm, shaken), slots, strict=True)
        ]
        if i % 61 == 0:
            assert set(calm.gone(1_000)) == set(shaken.gone(1_000))
            calm.to_publish(1_000)
        if rng.random() < 0.1:
            store.save(shaken)
            if rng.random() < 0.5:
                phases.add(shaken.items.sweep.phase if shaken.items.sweep.active else None)
                shaken = store.load(64)
                assert state(shaken) == state(calm)
        if i % 500 == 0:
            check(calm)
    assert state(shaken) == state(calm)
    assert len(phases) > 2
    assert len(calm.items.ids) <= 65
    store.save(shaken)
    stored = {name[1:] for name in store.rows if name[0] == "i"}
    assert stored == set(shaken.rows)
    without = sum(name[0] == "f" for name in store.rows)
    assert without + len(stored) == len(shaken.items.ids) - 1


def test_items_that_come_later_are_learned():
    """Once the table was full, what came later was never learned."""
    learner, slot = VectorLearner(64), -1
    for step in steps(4_000, invented=0):
        slot = apply(learner, step, slot)
    late = {f"i{200 + n}" for n in range(10)}
    assert len(late & set(learner.rows)) >= 8
    check(learner)


def test_invented_ids_take_nothing_from_confirmed_items():
    """A robot clicks each id once; real items are clicked in many sessions."""
    learner = VectorLearner(256)
    real = [f"r{i}" for i in range(100)]
    for item in real * 2:
        learner.learn(-1, [], item)
    slot = learner.learn(-1, [], "bot")
    for i in range(5_000):
        slot = learner.learn(slot, [f"bot{i - 1}"], f"bot{i}")
    assert set(real) <= set(learner.rows)
    assert "bot4999" in learner.rows


def test_ids_invented_for_two_sessions_take_nothing_from_the_catalogue():
    """A robot clicks each id in two sessions, but beside its other ids only."""
    learner = VectorLearner(256)
    for i in range(150):
        learner.put_item(f"put{i}", [])
    for item in ("real", "next"):  # clicked beside the catalogue, which lacks them
        for _ in range(2):
            learner.learn(learner.learn(-1, [], "put0"), ["put0"], item)
    slots = [-1, -1]
    for i in range(3_000):
        slots = [learner.learn(slot, [f"bot{i - 1}"] * (i > 0), f"bot{i}") for slot in slots]
    assert {"real", "next", *(f"put{i}" for i in range(150))} <= set(learner.rows)
    assert "bot2999" in learner.rows
    check(learner)


def test_deleted_items_leave_first_and_the_catalogue_last():
    """What the shop sells is worth more than what was clicked as often without it."""
    learner = VectorLearner(64)
    for i in range(40):
        learner.put_item(f"kept{i}", [])
    for i in range(8):
        learner.put_item(f"deleted{i}", [])
        learner.withdraw(f"deleted{i}")
    for i in range(40):
        learner.learn(-1, [], f"new{i}")
    assert not [item for item in learner.rows if item.startswith("deleted")]
    assert sum(item.startswith("kept") for item in learner.rows) == 40


def test_items_that_have_left_do_not_pile_up():
    """Where more left than were published each time, the list and the stored rows grew for ever."""
    learner = VectorLearner(64)
    leaving, published = 300, []
    for turn in range(200):
        learner.items.gone.update(dict.fromkeys(f"{turn}-{n}" for n in range(leaving)))
        assert len(learner.items.gone) <= GONE_SHARE * leaving
        published += learner.gone(100)
    while learner.items.gone:
        published += learner.gone(100)
    assert sorted(published) == sorted(f"{turn}-{n}" for turn in range(200) for n in range(leaving))


def test_an_item_that_is_back_is_not_dropped_after_its_new_vectors():
    """A tombstone after the new vectors would leave the replicas without any."""
    learner = VectorLearner(64)
    learner.learn(-1, [], "back")
    learner.to_publish(100)
    i = 0
    while "back" in learner.rows:
        learner.learn(-1, [], f"x{i}")
        i += 1
    learner.learn(-1, [], "back")
    assert "back" not in learner.gone(1_000)
    assert "back" in dict(learner.to_publish(1_000))


def test_all_rows_are_published_again_in_turn():
    """A replica whose item has left and come back has its vectors again after a round."""
    learner = VectorLearner(64)
    for i in range(40):
        learner.put_item(f"i{i}", [])
    learner.to_publish(1_000)
    seen = set()
    for i in range(publication.CLICKS_A_ROW * 40):
        learner.learn(-1, [], "i0")
        if i % 64 == 63:
            seen |= {item for item, _ in learner.to_publish(1_000)}
    assert seen == set(learner.rows)


def halves(published):
    return {item: vectors.astype("<f2").tobytes() for item, vectors in published.items()}


def test_what_was_published_is_published_again_after_a_restart():
    """Vectors move a little before they are published: a restart alone would change answers."""
    learner, slot, store, published = VectorLearner(64), -1, Store(), {}
    for i, step in enumerate(steps(2_000)):
        slot = apply(learner, step, slot)
        if i % 20 == 0:
            published |= learner.to_publish(1_000)
            store.save(learner)
    published |= learner.to_publish(1_000)
    store.save(learner)
    again = dict(store.load(64).to_publish(1_000))
    assert len(again) > 50
    assert halves(again) == halves({item: published[item] for item in again})
    for name in [name for name in store.rows if name[0] == "p"]:
        del store.rows[name]
    current = dict(store.load(64).to_publish(1_000))
    assert current.keys() == again.keys()
    assert halves(current) != halves(again)


@pytest.mark.parametrize("size", [24, 256])
def test_a_state_is_loaded_into_another_size(size):
    """Operators change the size; the items worth least make room, and the others go on."""
    learner, slot, store = VectorLearner(64), -1, Store()
    for step in steps(3_000):
        slot = apply(learner, step, slot)
    learner.learn(-1, [], "known")
    for _ in range(20):
        learner.learn(-1, [], "known")
    learner.to_publish(1_000)
    store.save(learner)
    other = store.load(size)
    check(other)
    assert len(other.rows) == (len(learner.rows) if size > 64 else 23)
    mine, there = learner.rows["known"], other.rows["known"]
    vectors = (learner.arrays["target_vectors"][mine], other.arrays["target_vectors"][there])
    assert vectors[0].tobytes() == vectors[1].tobytes()
    assert set(other.items.gone) >= set(learner.rows) - set(other.rows)
    store.save(other)
    assert any(name[0] == "p" for name in store.rows) == (size > 64), "of the same rows"
    again = store.load(size)
    assert state(again) == state(other)
    for step in steps(500, seed=3):
        slots = [apply(one, step, -1) for one in (again, other)]
        assert slots[0] == slots[1]
    assert state(again) == state(other)


def former(store):
    """The state as the version before stored it: no counts, no free rows."""
    size = stored_vectors.FORMER_RECORD.itemsize
    rows = {}
    for name, value in store.rows.items():
        content = value[stored_vectors.RECORD.itemsize :]
        rows[name] = value[:size] + content if name[0] == "i" else value
    return store.meta[: stored_vectors.FORMER_SIZE], rows


def test_a_state_of_the_version_before_is_read():
    """An upgrade must not begin to learn anew; what was clicked lately is kept."""
    learner, store = VectorLearner(64), Store()
    for i in range(40):
        learner.learn(-1, [], f"i{i}")
    for i in range(200):
        learner.learn(-1, [], f"i{i % 10}")
    learner.put_item("put", [3])
    store.save(learner)
    meta, rows = former(store)
    upgraded = VectorLearner(64)
    upgraded.load(meta, rows.items())
    check(upgraded)
    assert upgraded.rows == learner.rows
    n = len(learner.rows) + 1
    for name in ("context_vectors", "target_vectors", "item_tokens"):
        assert upgraded.arrays[name][:n].tobytes() == learner.arrays[name][:n].tobytes()
    assert (
        upgraded.arrays["stats"]["clicks"][1:41] == learner.arrays["stats"]["clicks"][1:41]
    ).all()
    for i in range(60):
        upgraded.learn(-1, [], f"new{i}")
    assert {"put", *(f"i{i}" for i in range(10))} <= set(upgraded.rows)
    smaller = VectorLearner(24)
    smaller.load(meta, rows.items())
    assert {f"i{i}" for i in range(10)} <= set(smaller.rows)
