"""A profile as the models read it: rows, seconds and flags, and nothing of the future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextclick.limits import PROFILE_ITEMS
from nextclick.v1 import session_pb2 as pb
from nextclick.v1.profile_pb2 import Profile
from online_models.sources.past import BOUGHT, LIKED
from records.past import STRANGER, known

ROWS = {"a": 1, "b": 2, "c": 3}


def rows_of(ids):
    return [ROWS.get(item_id, 0) for item_id in ids]


def past_of(profile, began_ms=0):
    return known(profile).past(rows_of, began_ms)


@pytest.fixture
def profile():
    made = Profile(user_id="u", steps=8, repeated_steps=2, last_timestamp_ms=40_000)
    for item_id, time_ms in (("a", 10_000), ("gone", 20_500), ("b", 30_000), ("c", 40_000)):
        made.items.add(item_id=item_id, last_timestamp_ms=time_ms)
    made.purchased.add(item_id="a", timestamp_ms=10_500)
    made.purchased.add(item_id="c", timestamp_ms=50_000)
    made.liked.add(item_id="a", timestamp_ms=9_000)
    made.liked.add(item_id="b", timestamp_ms=30_000)
    made.disliked.add(item_id="d")
    return made


def test_a_past_has_rows_seconds_and_flags(profile):
    """A shifted flag would teach the ranker that what was bought was liked."""
    past = past_of(profile, 40_001)
    assert past.rows.tolist() == [1, 0, 2, 3]
    assert past.times_s.tolist() == [10, 20, 30, 40]
    assert past.flags.tolist() == [BOUGHT | LIKED, 0, LIKED, 0]
    assert past.repeats == 0.25
    assert [part.dtype for part in past[:3]] == [np.int32, np.int64, np.uint8]


def test_before_the_first_step_all_of_it_is_past(profile):
    """A first page knows what was bought a minute ago, in another tab."""
    past = past_of(profile)
    assert past.rows.tolist() == [1, 0, 2, 3]
    assert past.flags.tolist() == [BOUGHT | LIKED, 0, LIKED, BOUGHT]
    assert past.repeats == 0.25


def test_what_the_session_itself_bought_is_no_past(profile):
    """Purchases are in the profile at once, items once their session is over."""
    assert past_of(profile, 60_000).flags.tolist() == [BOUGHT | LIKED, 0, LIKED, BOUGHT]
    assert past_of(profile, 50_000).flags.tolist()[-1] == 0


def test_what_sessions_bought_is_told_by_their_items_too(profile):
    """Of marks, only the last ones are kept; a strongest event stays with its item."""
    profile.items[1].type = pb.EVENT_TYPE_PURCHASE
    profile.items[2].type = pb.EVENT_TYPE_LIKE
    assert past_of(profile, 30_001).flags.tolist() == [BOUGHT | LIKED, BOUGHT, LIKED]


def test_the_first_of_several_purchases_counts(profile):
    """Bought again in this session, an item was still bought before it."""
    profile.purchased.add(item_id="a", timestamp_ms=90_000)
    assert past_of(profile, 40_001).flags.tolist()[0] == BOUGHT | LIKED


@pytest.mark.parametrize(("began_ms", "n"), [(40_000, 3), (30_000, 2), (10_001, 1)])
def test_a_history_that_is_read_again_has_nothing_of_its_future(profile, began_ms, n):
    """The profile is that of today: an example of last year must not know it."""
    past = past_of(profile, began_ms)
    assert len(past.rows) == len(past.times_s) == len(past.flags) == n
    assert past.repeats == 0, "how often the user repeats was counted until today"


def test_nothing_before_the_session_is_no_past(profile):
    """Then the user is answered as one who is not known."""
    assert past_of(profile, 10_000) is None
    assert past_of(Profile(user_id="u"), 10_000) is None
    assert STRANGER.past(rows_of) is None


def test_items_that_all_have_left_are_no_past():
    """They would make a first page of nothing."""
    profile = Profile()
    profile.items.add(item_id="gone", last_timestamp_ms=10_000)
    assert past_of(profile) is None


def test_items_are_put_in_the_order_of_their_steps():
    """Profiles of other versions may have another order; the models rely on this one."""
    profile = Profile()
    for item_id, time_ms in (("b", 30_000), ("a", 10_000)):
        profile.items.add(item_id=item_id, last_timestamp_ms=time_ms)
    past = past_of(profile, 40_000)
    assert past.rows.tolist() == [1, 2]
    assert past.times_s.tolist() == [10, 30]
    assert past.repeats == 0


def test_no_more_items_are_taken_than_a_profile_has():
    """Another version may keep more; the tables of the models are as long as this one's."""
    profile = Profile()
    for n in range(PROFILE_ITEMS + 5):
        profile.items.add(item_id=str(n), last_timestamp_ms=1_000 * n)
    assert known(profile).item_ids == tuple(str(n) for n in range(5, PROFILE_ITEMS + 5))


@given(
    st.lists(st.tuples(st.sampled_from("abcx"), st.integers(1, 9)), unique_by=lambda x: x[0]),
    st.lists(st.tuples(st.sampled_from("abcx"), st.integers(1, 9))),
    st.integers(1, 10),
)
def test_what_comes_later_changes_nothing(items, marks, began):
    """Whatever a profile has of the time after a session's begin, its past is the same."""
    profile, before = Profile(), Profile()
    for item_id, at in items:
        for made in (profile, before) if at < began else (profile,):
            made.items.add(item_id=item_id, last_timestamp_ms=1_000 * at)
    for item_id, at in marks:
        for made in (profile, before) if at < began else (profile,):
            made.purchased.add(item_id=item_id, timestamp_ms=1_000 * at)
            made.liked.add(item_id=item_id, timestamp_ms=1_000 * at)
    past, wanted = past_of(profile, 1_000 * began), past_of(before)
    assert (past is None) == (wanted is None)
    if past is not None:
        assert [part.tolist() for part in past[:3]] == [part.tolist() for part in wanted[:3]]
