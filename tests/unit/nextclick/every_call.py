"""One call of each method of the services, by its name in gRPC."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import nextclick.v1
from nextclick import Event, Item, User

EVENTS = [Event("click", item, 1_764_086_400_000, "s", event_id=item) for item in "ab"]

EVERY_CALL: dict[str, Callable[[Any], Any]] = {
    "CatalogService/DeleteItems": lambda client: client.delete_items(["a"]),
    "CatalogService/GetItems": lambda client: client.get_items(["a"]),
    "CatalogService/PutItems": lambda client: client.put_items([Item("a")]),
    "EventService/PutEvents": lambda client: client.put_events(EVENTS),
    "FeatureService/GetFeatures": lambda client: client.get_features("s"),
    "FeatureService/ListFeatures": lambda client: client.list_features(),
    "ModelService/ListModels": lambda client: client.list_models(),
    "ModelService/PauseLearning": lambda client: client.pause_learning("ranker"),
    "ModelService/ResumeLearning": lambda client: client.resume_learning("ranker"),
    "ModelService/RollBack": lambda client: client.roll_back("ranker", 1),
    "RecommendationService/BatchRecommend": lambda client: client.recommend_batch(["s"]),
    "RecommendationService/Rank": lambda client: client.rank(["a"], "s"),
    "RecommendationService/Recommend": lambda client: client.recommend("s", explain=True),
    "RecommendationService/SimilarItems": lambda client: client.similar_items("a"),
    "RecommendationService/StreamRecommend": lambda client: list(client.recommend_stream(["s"])),
    "RecommendationService/Trending": lambda client: client.trending(),
    "UserService/DeleteUsers": lambda client: client.delete_users(["u"]),
    "UserService/GetUsers": lambda client: client.get_users(["u"]),
    "UserService/PutUsers": lambda client: client.put_users([User("u")]),
    "UserService/GetProfiles": lambda client: client.get_profiles(["u"]),
}

METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}/{method.name}": method
    for file in pkgutil.iter_modules(nextclick.v1.__path__, "nextclick.v1.")
    if file.name.endswith("_service_pb2")
    for service in importlib.import_module(file.name).DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every method that is defined, those of new services too."""


def empty_response(name: str) -> Message:
    """Return a response of a method."""
    return GetMessageClass(METHODS[name].output_type)()
