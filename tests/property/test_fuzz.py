"""The fuzzers make all that records and requests may have: what is left out would not be tried."""

from dataclasses import MISSING, fields

import pytest

from nextclick import decode_event, decode_item, decode_user
from nextclick.topics import EVENTS, IMPRESSIONS, ITEMS, PROFILES, SESSIONS, USERS
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.profile_pb2 import Profile
from nextclick.v1.session_pb2 import SessionRecord
from server.services import recommendation_checks
from server.transport.methods import METHODS
from tests.property.request_fuzz import RequestFuzz

MADE = 200
"""Messages of a kind, among which each field is."""


def declared(descriptor, found=None):
    """Names of the fields of a message, and of those in it."""
    found = set() if found is None else found
    for field in descriptor.fields:
        if field.full_name not in found:
            found.add(field.full_name)
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                declared(field.message_type, found)
    return found


def said(message):
    """Names of the fields that are set in a message, and in those in it."""
    for field, value in message.ListFields():
        yield field.full_name
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in [value] if field.label != field.LABEL_REPEATED else value:
                yield from said(part)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_field_of_a_request_is_tried(method):
    """A filter that was added has kernels of its own, which nobody would have tried to stop."""
    fuzz, kind = RequestFuzz(1), method.request
    made = [kind.FromString(fuzz.request(method.name)) for _ in range(MADE)]
    tried = {name for message in made for name in said(message)}
    assert declared(kind.DESCRIPTOR) == tried


@pytest.mark.parametrize(
    ("topic", "kind"), [(PROFILES, Profile), (SESSIONS, SessionRecord), (IMPRESSIONS, Impression)]
)
def test_every_field_of_a_message_on_a_topic_is_tried(topic, kind):
    """As above."""
    fuzz = RequestFuzz(1)
    made = [kind.FromString(fuzz.record(topic)[1]) for _ in range(MADE)]
    assert declared(kind.DESCRIPTOR) == {name for message in made for name in said(message)}


@pytest.mark.parametrize(
    ("topic", "decode"), [(ITEMS, decode_item), (USERS, decode_user), (EVENTS, decode_event)]
)
def test_every_field_of_a_json_record_is_tried(topic, decode):
    """As above."""
    fuzz = RequestFuzz(1)
    made = [decode(fuzz.record(topic)[1]) for _ in range(MADE)]
    for field in fields(made[0]):
        default = field.default if field.default is not MISSING else None
        assert len({repr(getattr(one, field.name)) for one in made} - {repr(default)}) > 0, field


def test_most_filters_are_valid():
    """Else whatever is behind the checks would hardly be reached."""
    fuzz = RequestFuzz(1)
    wrong = [recommendation_checks._filter(fuzz.filter()) for _ in range(MADE)]
    assert sum(map(bool, wrong)) < MADE / 10
