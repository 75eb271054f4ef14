"""Every method of the gRPC API, declared once: its handler, and the lane that answers it.

`GrpcServer` serves what is declared here; reflection, health, timings and counts follow from it. A
new method needs its definition in the protobuf files, a handler, and a line in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from listeners.tokens import Scope
from nextclick.v1 import (
    catalog_service_pb2,
    event_service_pb2,
    feature_service_pb2,
    model_service_pb2,
    recommendation_service_pb2,
    user_service_pb2,
)
from server.services.catalogue import Catalogue
from server.services.event import Events
from server.services.features import Features
from server.services.model import Models
from server.services.profiles import UserProfiles
from server.services.recommendation import Recommendations
from server.services.users import Users


class Lane(Enum):
    """Which thread answers a method, and what its handler may do.

    ``handler(request)`` maps serialised bytes to serialised bytes.
    """

    FAST = auto()
    """One short answer, on the thread that receives calls (`fast_lane`). The handler must not
    block; what must is a `Deferred` answer."""

    IN_TURN = auto()
    """Many answers in one message: calls run one after another on the answering thread. The handler
    must not block."""

    STREAM = auto()
    """A stream of answers: each is computed on the answering thread, between those of other calls.
    The handler maps one message to its answer."""

    ASIDE = auto()
    """On one of many threads, beside the answers."""

    KAFKA = auto()
    """As `ASIDE`, but at most `max_waiting_puts` at once, since the call may wait for Kafka.
    ``handler(request, timeout_s)`` also gets what is left until the caller's deadline."""


class Method(NamedTuple):
    """A method of the API; the types of its messages are those of the protobuf definition."""

    service: ServiceDescriptor
    name: str
    handler: Callable[..., Any]
    """A method of the class that answers the service; see `Lane` for its arguments."""
    lane: Lane
    staged: bool = False
    """Whether the handler enters stages of its own; it then takes the call's as `Stages`, last."""

    @property
    def path(self) -> str:
        """The path of the method in gRPC."""
        return f"/{self.service.full_name}/{self.name}"

    @property
    def scope(self) -> Scope:
        """What the token of a call must be for."""
        return SCOPES[self.service.full_name]

    @property
    def request(self) -> type[Message]:
        """The class of the request, or of one message of a stream."""
        return GetMessageClass(self.service.methods_by_name[self.name].input_type)

    def bound_to(self, handlers: Sequence[object]) -> Callable[..., Any]:
        """Return the handler, bound to the object that has it.

        Raises
        ------
        LookupError
            If no object has it, or the API defines no such method.
        """
        if self.name not in self.service.methods_by_name:
            defined = ", ".join(self.service.methods_by_name)
            raise LookupError(f"{self.path} is not defined; {self.service.name} has {defined}")
        name = self.handler.__name__
        for candidate in handlers:
            if getattr(type(candidate), name, None) is self.handler:
                bound: Callable[..., Any] = getattr(candidate, name)
                return bound
        raise LookupError(f"no handler given for {self.path}")


RECOMMENDATION = recommendation_service_pb2.DESCRIPTOR.services_by_name["RecommendationService"]
EVENT = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
CATALOGUE = catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"]
USER = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
FEATURE = feature_service_pb2.DESCRIPTOR.services_by_name["FeatureService"]

SCOPES = {
    RECOMMENDATION.full_name: Scope.RECOMMEND,
    EVENT.full_name: Scope.EVENTS,
    CATALOGUE.full_name: Scope.CATALOGUE,
    USER.full_name: Scope.USERS,
    MODEL.full_name: Scope.MODELS,
    FEATURE.full_name: Scope.FEATURES,
}
"""What the token of a call must be for, by service."""

METHODS = (
    Method(RECOMMENDATION, "Recommend", Recommendations.recommend, Lane.FAST, staged=True),
    Method(RECOMMENDATION, "Rank", Recommendations.rank, Lane.FAST),
    Method(RECOMMENDATION, "SimilarItems", Recommendations.similar_items, Lane.FAST),
    Method(RECOMMENDATION, "Trending", Recommendations.trending, Lane.FAST),
    Method(RECOMMENDATION, "BatchRecommend", Recommendations.batch_recommend, Lane.IN_TURN),
    Method(RECOMMENDATION, "StreamRecommend", Recommendations.stream_recommend, Lane.STREAM),
    Method(EVENT, "PutEvents", Events.put_events, Lane.KAFKA, staged=True),
    Method(CATALOGUE, "PutItems", Catalogue.put_items, Lane.KAFKA),
    Method(CATALOGUE, "GetItems", Catalogue.get_items, Lane.ASIDE),
    Method(CATALOGUE, "DeleteItems", Catalogue.delete_items, Lane.KAFKA),
    Method(USER, "PutUsers", Users.put_users, Lane.KAFKA),
    Method(USER, "GetUsers", Users.get_users, Lane.ASIDE),
    Method(USER, "DeleteUsers", Users.delete_users, Lane.KAFKA),
    Method(USER, "GetProfiles", UserProfiles.get_profiles, Lane.ASIDE),
    Method(MODEL, "ListModels", Models.list_models, Lane.ASIDE),
    Method(MODEL, "PauseLearning", Models.pause_learning, Lane.KAFKA),
    Method(MODEL, "ResumeLearning", Models.resume_learning, Lane.KAFKA),
    Method(MODEL, "RollBack", Models.roll_back, Lane.KAFKA),
    Method(FEATURE, "ListFeatures", Features.list_features, Lane.ASIDE),
    Method(FEATURE, "GetFeatures", Features.get_features, Lane.ASIDE),
)
