"""What is asked reaches the kernels as it was said, and the declared limits fit one another."""

import numpy as np

from nextclick.limits import MAX_PAGE
from online_models.engine import Engine, Filter, Past
from online_models.memory.layout import Limits
from online_models.memory.state import REQUEST
from online_models.ranking.page import MAX_ANSWER
from online_models.ranking.request import LARGEST_NUMBER

TINY = Limits(max_items=64, max_sessions=64, pairs=64)


def test_every_field_of_a_request_lies_where_kernels_read_it():
    """Two swapped fields would answer another session's request, or another page."""
    engine = Engine(TINY)
    engine.leave_out(["pair"])
    flt = Filter(("x", "y", "z", "w"), (5,), True)
    engine._request.write([1, 2, 3], 7, 11, flt, (13, 17))
    asked = engine.arrays["request"][0]
    assert {name: int(asked[name]) for name in REQUEST.names} == {
        "number": 1,
        "n_query": 3,
        "session": 11,
        "previous_s": 13,
        "last_s": 17,
        "size": 7,
        "n_categories": 4,
        "unavailable": 1,
        "exclusions": 1,
        "n_left_out": 1,
        "now_s": 0,
        "mask": -1,
        "n_past": 0,
        "first_page": 0,
    }
    past = Past(*(np.array([4, 5], kind) for kind in (np.int32, np.int64, np.uint8)), 0.5)
    engine._request.write([1], 7, 11, None, (13, 17), past)
    wanted = ("session", "last_s", "n_past", "first_page", "n_query")
    assert [int(engine.arrays["request"][name][0]) for name in wanted] == [11, 17, 2, 0, 1]
    engine._request.write([], 7, 11, None, (13, 17), past)
    assert [int(engine.arrays["request"][name][0]) for name in wanted] == [-1, 0, 2, 1, 2]
    assert engine.arrays["query"][:2].tolist() == [4, 5]
    assert engine.arrays["past_repeats"][0] == 0.5


def test_numbers_of_requests_begin_anew_with_one():
    """Items that were never marked hold 0: a request of that number would exclude them all."""
    engine = Engine(TINY)
    engine._request.number = LARGEST_NUMBER
    engine._request.write([], 5)
    assert engine.arrays["request"]["number"][0] == 1


def test_the_largest_page_of_the_contract_can_be_answered():
    """A page that the checks let through must not fail in the models."""
    assert MAX_PAGE <= MAX_ANSWER


def test_vectors_learned_here_take_in_their_content_before_they_are_indexed():
    """A new item would be searched where its random first vector lies."""
    engine = Engine(TINY, sample=1)
    engine.put_item("new", categories=("shoes",))
    engine.put_item("sold", categories=("shoes",))
    for _ in range(120):
        number = engine.open_session()
        for item_id in ("a", "sold", "b"):
            engine.learn(number, item_id)
    row = engine.row("new")
    before = engine.arrays["target_vectors"][row].copy()
    engine.begin_index(lambda: 0.0)
    tokens = engine.arrays["item_tokens"][row]
    sums = engine.arrays["token_vectors"][tokens[tokens > 0]].sum(axis=0)
    assert abs(engine.arrays["token_sums"][row] - sums).max() < 1e-5
    assert abs(engine.arrays["target_vectors"][row] - before).max() > 1e-3
