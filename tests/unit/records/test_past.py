"""A profile as the models read it: rows, seconds and flags, and nothing of the future."""

import numpy as np
import pytest

from nextclick.v1.profile_pb2 import Profile
from online_models.sources.past import BOUGHT, LIKED
from records.past import past_of

ROWS = {"a": 1, "b": 2, "c": 3}


def rows_of(ids):
    return [ROWS.get(item_id, 0) for item_id in ids]


@pytest.fixture
def profile():
    known = Profile(user_id="u", steps=8, repeated_steps=2, last_timestamp_ms=40_000)
    for item_id, time_ms in (("a", 10_000), ("gone", 20_500), ("b", 30_000), ("c", 40_000)):
        known.items.add(item_id=item_id, last_timestamp_ms=time_ms)
    known.purchased.add(item_id="a", timestamp_ms=10_500)
    known.purchased.add(item_id="c", timestamp_ms=50_000)
    known.liked.add(item_id="a", timestamp_ms=9_000)
    known.liked.add(item_id="b", timestamp_ms=30_000)
    return known


def test_a_past_has_rows_seconds_and_flags(profile):
    """A shifted flag would teach the ranker that what was bought was liked."""
    past = past_of(profile, 40_001, rows_of)
    assert past.rows.tolist() == [1, 0, 2, 3]
    assert past.times_s.tolist() == [10, 20, 30, 40]
    assert past.flags.tolist() == [BOUGHT | LIKED, 0, LIKED, 0]
    assert past.repeats == 0.25
    assert [part.dtype for part in past[:3]] == [np.int32, np.int64, np.uint8]


def test_what_the_session_itself_bought_is_no_past(profile):
    """Purchases are in the profile at once, items once their session is over."""
    assert past_of(profile, 60_000, rows_of).flags.tolist() == [BOUGHT | LIKED, 0, LIKED, BOUGHT]
    assert past_of(profile, 40_001, rows_of).flags.tolist()[-1] == 0


@pytest.mark.parametrize(("began_ms", "n"), [(40_000, 3), (30_000, 2), (10_001, 1)])
def test_a_history_that_is_read_again_has_nothing_of_its_future(profile, began_ms, n):
    """The profile is that of today: an example of last year must not know it."""
    past = past_of(profile, began_ms, rows_of)
    assert len(past.rows) == len(past.times_s) == len(past.flags) == n
    assert past.repeats == 0, "how often the user repeats was counted until today"


def test_nothing_before_the_session_is_no_past(profile):
    """Then the user is answered as one who is not known."""
    assert past_of(profile, 10_000, rows_of) is None
    assert past_of(Profile(user_id="u"), 10_000, rows_of) is None


def test_items_are_put_in_the_order_of_their_steps():
    """Profiles of other versions may have another order; the models rely on this one."""
    profile = Profile()
    for item_id, time_ms in (("b", 30_000), ("a", 10_000)):
        profile.items.add(item_id=item_id, last_timestamp_ms=time_ms)
    past = past_of(profile, 40_000, rows_of)
    assert past.rows.tolist() == [1, 2]
    assert past.times_s.tolist() == [10, 30]
    assert past.repeats == 0
