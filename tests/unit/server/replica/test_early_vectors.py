"""Vectors that come before their item: kept, but they give it no row."""

import numpy as np

from nextclick.codec import Item, encode_item
from online_models.engine import Engine
from online_models.memory.layout import Limits
from records.item_vectors import ItemVectors, encode
from server.replica.replica import Replica

LIMITS = Limits(max_items=64, max_sessions=64, pairs=64)
VECTOR = np.ones(64, np.float32)


def test_vectors_wait_for_the_item_and_give_it_no_row():
    """A replica reads its topics side by side, and bots' ids have vectors as well."""
    replica = Replica(Engine(LIMITS, sample=0, remote=True))
    value = encode(ItemVectors(VECTOR, VECTOR, 1, [0]))
    for item_id in (b"early", b"gone", b"bot"):
        replica.apply_vectors(item_id, value)
    assert not replica.engine.rows
    replica.apply_vectors(b"gone", None)
    for item_id in ("early", "gone"):
        replica.apply_item(item_id.encode(), encode_item(Item(item_id)))
    assert replica.engine.arrays["target_vectors"][replica.engine.row("early")].all()
    assert not replica.engine.arrays["target_vectors"][replica.engine.row("gone")].any()
    assert replica.engine.with_vectors == 1
