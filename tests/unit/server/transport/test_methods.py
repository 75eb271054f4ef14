"""The table of methods: all that the API defines, each in a lane that fits it."""

import pytest

from nextclick.v1 import recommendation_service_pb2 as pb
from server.services.recommendation import Recommendations
from server.transport.methods import METHODS, RECOMMENDATION, Lane, Method
from tests.unit.nextclick.every_call import METHODS as DEFINED


def test_every_defined_method_is_served():
    """A method that is defined and not declared would be UNIMPLEMENTED for its callers."""
    declared = [method.path for method in METHODS]
    assert sorted(declared) == sorted(f"/nextclick.v1.{name}" for name in DEFINED)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_streams_and_only_streams_are_in_the_lane_of_streams(method):
    """gRPC would hand one message to a handler of many, or the other way round."""
    definition = method.service.methods_by_name[method.name]
    streams = (definition.client_streaming, definition.server_streaming)
    assert streams == ((True, True) if method.lane is Lane.STREAM else (False, False))


def test_names_of_methods_are_unique():
    """Timings and counts are by the name alone."""
    names = [method.name for method in METHODS]
    assert len(set(names)) == len(names)


def test_the_type_of_a_request_is_that_of_its_definition():
    """The protobuf definition says it; the table does not repeat it."""
    method = Method(RECOMMENDATION, "Rank", Recommendations.rank, Lane.FAST)
    assert method.request is pb.RankRequest


def test_a_handler_that_is_missing_is_named():
    """A server that lacks a service must not start as if it had it."""
    with pytest.raises(LookupError, match="RecommendationService/Rank"):
        Method(RECOMMENDATION, "Rank", Recommendations.rank, Lane.FAST).bound_to([object()])


def test_a_method_that_the_api_does_not_define_is_named():
    """A slip in the name was a KeyError, or a path that nobody could call."""
    slip = Method(RECOMMENDATION, "Recomend", Recommendations.recommend, Lane.FAST)
    with pytest.raises(LookupError, match=r"RecommendationService/Recomend .* has Recommend, "):
        slip.bound_to([])
