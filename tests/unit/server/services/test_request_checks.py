"""Requests that are refused, and how those of a batch are read."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from nextclick.limits import MAX_ID_BYTES
from nextclick.v1 import recommendation_service_pb2 as pb
from server.errors import RequestError
from server.services.requests import entries
from tests.unit.server.services.shop import batch, ids

LONG = "x" * (MAX_ID_BYTES + 1)


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({}, {"session_id"}),
        ({"session_id": "s", "page_size": 501}, {"page_size"}),
        ({"session_id": "x" * 257, "user_id": "ü" * 200}, {"session_id", "user_id"}),
        ({"session_id": "s", "session_items": ["a"] * 51}, {"session_items"}),
        (
            {"page_size": 501, "filter": {"categories": ["c"] * 65}},
            {"session_id", "page_size", "filter.categories"},
        ),
        (
            {"session_id": "s", "filter": {"excluded_item_ids": ["a"] * 1_001}},
            {"filter.excluded_item_ids"},
        ),
        ({"session_id": "s", "session_items": ["a", "ü" * 129]}, {"session_items[1]"}),
        (
            {"session_id": "s", "filter": {"categories": ["c" * 129], "excluded_item_ids": [LONG]}},
            {"filter.categories[0]", "filter.excluded_item_ids[0]"},
        ),
    ],
)
def test_all_faults_of_a_request_are_named(shop, fields, faulty):
    """A developer should see every mistake in the first error."""
    with pytest.raises(RequestError) as error:
        shop.recommend(**fields)
    assert {fault.field for fault in error.value.faults} == faulty


def test_a_long_id_to_be_ranked_is_named(shop):
    """Ids of any length would be copied into every answer."""
    request = pb.RankRequest(session_id="s", item_ids=["a", LONG])
    with pytest.raises(RequestError, match=r"item_ids\[1\]: has 257 bytes"):
        shop.service.rank(request.SerializeToString())


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("recommend", "RecommendRequest"),
        ("rank", "RankRequest"),
        ("similar_items", "SimilarItemsRequest"),
        ("trending", "TrendingRequest"),
        ("stream_recommend", "StreamRecommendRequest"),
    ],
)
def test_a_large_request_is_refused_before_it_is_parsed(shop, call, kind):
    """4 MB, a few kB on the wire, took 90 ms to parse, in which nobody else got an answer."""
    with pytest.raises(RequestError, match=f"the {kind} has 4194304 bytes; send at most 100000"):
        getattr(shop.service, call)(b"\x22\x00" * (1 << 21))


def test_the_requests_of_a_batch_are_parsed_one_by_one(shop):
    """Each is bounded as a single call is; a batch of them all may be larger."""
    one = pb.RecommendRequest(session_id="me", session_items=["i4"], page_size=3)
    wide = pb.RecommendRequest(session_id="x" * 200, filter={"excluded_item_ids": ["i5"] * 900})
    raw = shop.service.batch_recommend(batch(one, *[wide] * 200, one))
    found = pb.BatchRecommendResponse.FromString(raw).responses
    assert len(found) == 202
    assert ids(found[0]) == ids(found[-1])
    large = pb.RecommendRequest(session_id="me", session_items=["x" * 200_000])
    with pytest.raises(RequestError) as error:
        shop.service.batch_recommend(batch(one, large))
    assert [fault.field for fault in error.value.faults] == ["requests[1]"]
    for number in (0, 257):
        with pytest.raises(RequestError, match="send 1 to 256"):
            shop.service.batch_recommend(batch(*[one] * number))


@given(st.binary(min_size=1, max_size=40))
def test_a_batch_is_read_as_protobuf_reads_it(raw):
    """Torn bytes are refused as such; what is whole is the same message."""
    try:
        cut = entries(raw, "requests", 40)
    except DecodeError:
        return
    try:
        found = [pb.RecommendRequest.FromString(entry) for entry in cut]
    except DecodeError:
        found = None
    try:
        message = pb.BatchRecommendRequest.FromString(raw)
    except DecodeError:
        message = None
    assert found == (None if message is None else list(message.requests))
