"""Limits of profiles: readers take all that the job writes, and refuse what is beyond."""

import math

import pytest

from nextclick.limits import (
    MAX_CLOCK_SKEW_MS,
    MAX_DISLIKED_ITEMS,
    MAX_ID_BYTES,
    MAX_KEY_BYTES,
    MAX_LIKED_ITEMS,
    MAX_MERGED_SESSIONS,
    MAX_PURCHASED_ITEMS,
    PROFILE_ITEMS,
)
from nextclick.topics import PROFILES
from nextclick.v1.profile_pb2 import Profile, ProfileItem, ProfileMark, ProfileSession
from records.errors import RecordError
from records.limited import check_size, decode_profile

LONGEST, LONGER = "\N{SNOWMAN}" * (MAX_ID_BYTES // 3) + "x", "\N{SNOWMAN}" * (MAX_ID_BYTES // 3 + 1)
KEY = f"u:{LONGEST}~{2**63}"
LATEST_MS, MOST = 4_102_444_800_000, 2**32 - 1


def item(**changes):
    fields = {
        "item_id": LONGEST,
        "steps": MOST,
        "sessions": MOST,
        "type": 7,
        "last_timestamp_ms": LATEST_MS,
        "weight": 1.5,
    }
    return ProfileItem(**(fields | changes))


def marks(n, item_id=LONGEST):
    return [ProfileMark(item_id=item_id, timestamp_ms=LATEST_MS)] * n


def sessions(n, session_id=KEY):
    note = ProfileSession(
        session_id=session_id, incarnation=LATEST_MS, version=MOST, appended_ms=LATEST_MS
    )
    return [note] * n


def profile(**changes):
    fields = {
        "user_id": LONGEST,
        "version": 2**64 - 1,
        "incarnation": LATEST_MS,
        "appended_ms": LATEST_MS,
        "items": [item()] * PROFILE_ITEMS,
        "purchased": marks(MAX_PURCHASED_ITEMS),
        "liked": marks(MAX_LIKED_ITEMS),
        "disliked": marks(MAX_DISLIKED_ITEMS),
        "sessions": MOST,
        "steps": 2**64 - 1,
        "repeated_steps": 2**64 - 1,
        "first_timestamp_ms": LATEST_MS,
        "last_timestamp_ms": LATEST_MS,
        "merged": sessions(MAX_MERGED_SESSIONS),
    }
    return Profile(**(fields | changes))


def test_the_longest_profile_that_is_written_is_read():
    """If it failed, a user with long ids would be a stranger for good."""
    value = profile().SerializeToString()
    check_size(PROFILES, LONGEST.encode(), value)
    assert decode_profile(value) == profile()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (profile(user_id=""), "user_id"),
        (profile(user_id=LONGER), "user_id"),
        (profile(incarnation=-1), "incarnation, appended_ms"),
        (profile(appended_ms=-1), "incarnation, appended_ms"),
        (profile(items=[item()] * (PROFILE_ITEMS + 1)), "items"),
        (profile(items=[item(item_id=LONGER)]), "items.item_id"),
        (profile(items=[item(weight=math.nan)]), "items.weight"),
        (profile(items=[item(weight=math.inf)]), "items.weight"),
        (profile(purchased=marks(MAX_PURCHASED_ITEMS + 1)), "purchased"),
        (profile(purchased=marks(1, LONGER)), "purchased.item_id"),
        (profile(liked=marks(MAX_LIKED_ITEMS + 1)), "liked"),
        (profile(liked=marks(1, LONGER)), "liked.item_id"),
        (profile(disliked=marks(MAX_DISLIKED_ITEMS + 1)), "disliked"),
        (profile(disliked=marks(1, LONGER)), "disliked.item_id"),
        (profile(merged=sessions(MAX_MERGED_SESSIONS + 1)), "merged"),
        (profile(merged=sessions(1, "x" * (MAX_KEY_BYTES + 1))), "merged.session_id"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_by_the_name_of_its_field(message, field):
    """A profile of a million items would keep every answer waiting."""
    with pytest.raises(RecordError) as caught:
        decode_profile(message.SerializeToString())
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["incarnation", "appended_ms"])
def test_a_profile_tells_of_no_arrival_after_its_own(field):
    """One from the future would be the newest of its user until then."""
    arrived_ms = 1_700_000_000_000
    latest = arrived_ms + MAX_CLOCK_SKEW_MS
    assert decode_profile(Profile(user_id="u", **{field: latest}).SerializeToString(), arrived_ms)
    ahead = Profile(user_id="u", **{field: latest + 1_000}).SerializeToString()
    with pytest.raises(RecordError, match="301 s ahead of the record's arrival"):
        decode_profile(ahead, arrived_ms)


def test_bytes_that_are_no_profile_are_refused():
    """One torn record must not end a reader."""
    with pytest.raises(RecordError, match="record: is no Profile"):
        decode_profile(b"\xff\xff")
