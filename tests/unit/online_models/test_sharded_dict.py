"""Dictionaries in parts behave as whole ones."""

import random
from collections import OrderedDict

import pytest

from online_models.memory.sharded_dict import SHARDS, ShardedDict, ShardedQueue


@pytest.mark.parametrize("kind", [ShardedDict, ShardedQueue])
def test_it_holds_what_a_whole_one_would_hold(kind):
    """Items, sessions and catalogue entries are found by it, and by nothing else."""
    pick, whole, parts = random.Random(1), OrderedDict(), kind()
    for n in range(20_000):
        key = f"k{pick.randrange(500)}"
        if pick.random() < 0.4:
            assert parts.pop(key, None) == whole.pop(key, None)
        else:
            parts[key] = whole[key] = n
            whole.move_to_end(key)
        assert (len(parts), key in parts) == (len(whole), key in whole)
        assert parts.get(key, -1) == whole.get(key, -1)
    assert parts == dict(whole)
    with pytest.raises(KeyError):
        parts["never"]
    with pytest.raises(KeyError):
        del parts["never"]
    assert len(parts) == len(whole)


def test_a_queue_keeps_the_order_in_which_keys_were_set_last():
    """What has waited longest is dropped first."""
    pick, whole, parts = random.Random(2), OrderedDict(), ShardedQueue()
    assert parts.first() is None
    for n in range(5_000):
        key = f"k{pick.randrange(500)}"
        parts[key] = whole[key] = n
        whole.move_to_end(key)
        if n % 2:
            assert parts.first() == next(iter(whole))
            parts.pop(parts.first())
            whole.popitem(last=False)
    assert list(parts.items()) == list(whole.items())


def test_no_part_holds_much_more_than_its_share():
    """The largest part is the one whose copying takes longest."""
    n = 100 * SHARDS
    parts = ShardedDict((f"item {i}", i) for i in range(n))
    sizes = [len(shard) for shard in parts._shards]
    assert sum(sizes) == n
    assert max(sizes) < 2 * n / SHARDS
