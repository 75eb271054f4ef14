"""The calls that both clients make: how a request is built and what its answer becomes.

A `Call` or `StreamCall` neither waits nor knows whether its client is blocking or asynchronous.
A new method of a service is one function here, and one short method in each client.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nextclick import responses
from nextclick.channel import Stubs
from nextclick.codec import Item, item_faults, width_faults
from nextclick.context import Context, check_context
from nextclick.convert import context_to_proto, item_to_proto, user_to_proto
from nextclick.errors import FieldFault, InvalidRequestError
from nextclick.profiles import Profile
from nextclick.requests import Filter, RecommendRequest, Similarity
from nextclick.results import Feature, FeatureValues, Model, Recommendation
from nextclick.users import User, user_faults
from nextclick.v1 import catalog_service_pb2 as catalog_pb
from nextclick.v1 import feature_service_pb2 as feature_pb
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import session_pb2
from nextclick.v1 import user_service_pb2 as user_pb

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, the method that it goes to, and what its response becomes.

    One that ``reads`` changes nothing: it may be sent to several servers at once.
    """

    method: Callable[[Stubs], Any]
    request: Any
    parse: Callable[[Any], T]
    reads: bool = False


@dataclass(frozen=True, slots=True)
class StreamCall(Generic[T]):
    """A method that answers each request of a stream, and what goes into it and comes out.

    ``build`` makes the message of one of the ``requests``; it may refuse.
    """

    method: Callable[[Stubs], Any]
    build: Callable[[Any], Any]
    parse: Callable[[Any], T]


def recommend(request: RecommendRequest) -> Call[Recommendation]:
    """Return the call for what a visitor will want next."""
    message = _recommend_request(request)
    return Call(
        lambda stubs: stubs.recommendations.Recommend, message, responses.recommendation, reads=True
    )


def recommend_batch(
    requests: Sequence[str | RecommendRequest], page_size: int, flt: Filter | None
) -> Call[list[Recommendation]]:
    """Return the call for what several visitors will want next."""
    _refuse_text("requests", requests)
    message = pb.BatchRecommendRequest(
        requests=[_recommend_request(_of_visitor(one, page_size, flt)) for one in requests]
    )
    return Call(
        lambda stubs: stubs.recommendations.BatchRecommend, message, responses.batch, reads=True
    )


def recommend_stream(
    requests: Iterable[str | RecommendRequest] | AsyncIterable[str | RecommendRequest],
    page_size: int,
    flt: Filter | None,
) -> StreamCall[Recommendation]:
    """Return the call for what one visitor after another will want next."""
    _refuse_text("requests", requests)

    def build(one: str | RecommendRequest) -> pb.StreamRecommendRequest:
        message = _recommend_request(_of_visitor(one, page_size, flt))
        return pb.StreamRecommendRequest(request=message)

    return StreamCall(
        lambda stubs: stubs.recommendations.StreamRecommend, build, responses.stream_answer
    )


def rank(
    item_ids: Sequence[str],
    session_id: str,
    user_id: str,
    session_items: Sequence[str],
    context: Context | None,
) -> Call[Recommendation]:
    """Return the call that orders the caller's own items."""
    request = _build(
        pb.RankRequest,
        session_id=session_id,
        user_id=user_id,
        item_ids=item_ids,
        session_items=session_items,
        context=_context(context),
    )
    return Call(lambda stubs: stubs.recommendations.Rank, request, responses.ranking, reads=True)


def similar_items(
    item_id: str, page_size: int, flt: Filter | None, by: Similarity
) -> Call[Recommendation]:
    """Return the call for the neighbours of an item."""
    if by not in SIMILARITIES:
        wrong = f"is {by!r}; choose one of {', '.join(SIMILARITIES)}"
        raise InvalidRequestError("", (FieldFault("by", wrong),))
    request = _build(
        pb.SimilarItemsRequest,
        item_id=item_id,
        page_size=page_size,
        filter=_filter(flt),
        by=SIMILARITIES[by],
    )
    return Call(
        lambda stubs: stubs.recommendations.SimilarItems, request, responses.listing, reads=True
    )


def trending(page_size: int, flt: Filter | None) -> Call[Recommendation]:
    """Return the call for what grows now."""
    request = _build(pb.TrendingRequest, page_size=page_size, filter=_filter(flt))
    return Call(
        lambda stubs: stubs.recommendations.Trending, request, responses.listing, reads=True
    )


def put_items(items: Sequence[Item]) -> Call[int]:
    """Return the call that adds or replaces items; refuses faulty ones, all faults at once."""
    faults = []
    for place, item in enumerate(items):
        faults += [
            FieldFault(f"items[{place}].{f.field}", f.description) for f in item_faults(item)
        ]
        if item.deleted:
            faults.append(FieldFault(f"items[{place}].deleted", "use delete_items for these"))
    if not faults:
        faults = width_faults("items", [len(item.embedding) for item in items])
    if faults:
        raise InvalidRequestError("faulty items", tuple(faults))
    request = catalog_pb.PutItemsRequest(items=[item_to_proto(item) for item in items])
    return Call(lambda stubs: stubs.catalogue.PutItems, request, responses.accepted)


def get_items(item_ids: Sequence[str]) -> Call[list[Item]]:
    """Return the call for what the catalogue knows of items."""
    request = _build(catalog_pb.GetItemsRequest, item_ids=item_ids)
    return Call(lambda stubs: stubs.catalogue.GetItems, request, responses.items, reads=True)


def delete_items(item_ids: Sequence[str]) -> Call[int]:
    """Return the call that deletes items."""
    request = _build(catalog_pb.DeleteItemsRequest, item_ids=item_ids)
    return Call(lambda stubs: stubs.catalogue.DeleteItems, request, responses.accepted)


def put_users(users: Sequence[User]) -> Call[int]:
    """Return the call that adds or replaces users; refuses faulty ones, all faults at once."""
    faults = []
    for place, user in enumerate(users):
        faults += [
            FieldFault(f"users[{place}].{f.field}", f.description) for f in user_faults(user)
        ]
        if user.deleted:
            faults.append(FieldFault(f"users[{place}].deleted", "use delete_users for these"))
    if faults:
        raise InvalidRequestError("faulty users", tuple(faults))
    request = user_pb.PutUsersRequest(users=[user_to_proto(user) for user in users])
    return Call(lambda stubs: stubs.users.PutUsers, request, responses.accepted)


def get_users(user_ids: Sequence[str]) -> Call[list[User]]:
    """Return the call for what was said of users."""
    request = _build(user_pb.GetUsersRequest, user_ids=user_ids)
    return Call(lambda stubs: stubs.users.GetUsers, request, responses.users, reads=True)


def delete_users(user_ids: Sequence[str]) -> Call[int]:
    """Return the call that forgets users and their profiles."""
    request = _build(user_pb.DeleteUsersRequest, user_ids=user_ids)
    return Call(lambda stubs: stubs.users.DeleteUsers, request, responses.accepted)


def get_profiles(user_ids: Sequence[str]) -> Call[list[Profile]]:
    """Return the call for what users did in earlier sessions."""
    request = _build(user_pb.GetProfilesRequest, user_ids=user_ids)
    return Call(lambda stubs: stubs.users.GetProfiles, request, responses.profiles, reads=True)


def list_models() -> Call[list[Model]]:
    """Return the call for the models of a replica."""
    request = model_pb.ListModelsRequest()
    return Call(lambda stubs: stubs.models.ListModels, request, responses.models, reads=True)


def pause_learning(model: str) -> Call[None]:
    """Return the call that has a model pass over its input."""
    request = _build(model_pb.PauseLearningRequest, model=model)
    return Call(lambda stubs: stubs.models.PauseLearning, request, responses.nothing)


def resume_learning(model: str) -> Call[None]:
    """Return the call that has a model learn again."""
    request = _build(model_pb.ResumeLearningRequest, model=model)
    return Call(lambda stubs: stubs.models.ResumeLearning, request, responses.nothing)


def roll_back(model: str, version: int) -> Call[None]:
    """Return the call that takes a model back to a kept version."""
    request = _build(model_pb.RollBackRequest, model=model, version=version)
    return Call(lambda stubs: stubs.models.RollBack, request, responses.nothing)


def list_features(entity: str) -> Call[list[Feature]]:
    """Return the call for what the features mean; refuses an entity that there is not."""
    known: dict[str, Any] = {responses.entity(n): n for n in feature_pb.FeatureEntity.values()}
    known[""] = feature_pb.FEATURE_ENTITY_UNSPECIFIED
    if entity not in known:
        wanted = ", ".join(name for name in known if name not in ("", "unspecified"))
        fault = FieldFault("entity", f"is {entity!r}; give one of {wanted}, or nothing for all")
        raise InvalidRequestError("", (fault,))
    request = feature_pb.ListFeaturesRequest(entity=known[entity])
    return Call(lambda stubs: stubs.features.ListFeatures, request, responses.features, reads=True)


def get_features(
    session_id: str, user_id: str, item_ids: Sequence[str], names: Sequence[str]
) -> Call[FeatureValues]:
    """Return the call for values of features."""
    request = _build(
        feature_pb.GetFeaturesRequest,
        session_id=session_id,
        user_id=user_id,
        item_ids=item_ids,
        names=names,
    )
    return Call(
        lambda stubs: stubs.features.GetFeatures, request, responses.feature_values, reads=True
    )


SIMILARITIES = {
    "behaviour": pb.SIMILARITY_UNSPECIFIED,
    "content": pb.SIMILARITY_CONTENT,
    "mix": pb.SIMILARITY_MIX,
}
"""The first is left out on the wire, as by older clients."""

_LISTS = {
    "item_ids",
    "user_ids",
    "session_items",
    "categories",
    "excluded_item_ids",
    "kinds",
    "names",
}


def _build(request_type: type[Any], **fields: Any) -> Any:
    for name, value in fields.items():
        if name in _LISTS:
            _refuse_text(name, value)
    try:
        return request_type(**fields)
    except (TypeError, ValueError) as error:
        # Wrong types, lone surrogates, negative sizes: protobuf says what, not where.
        name = request_type.DESCRIPTOR.name
        raise InvalidRequestError(f"{name}: {error}; correct the arguments") from error


def _refuse_text(name: str, value: object) -> None:
    if isinstance(value, str):
        # Its letters would be taken for the list.
        raise InvalidRequestError("", (FieldFault(name, "must be a list of ids, not one"),))


def _refuse_texts_in(name: str, condition: object) -> None:
    """Refuse a text where a list belongs, anywhere in a condition: its letters would be it."""
    if isinstance(condition, Mapping):
        for key, value in condition.items():
            if key in ("values", "conditions") and isinstance(value, str):
                raise InvalidRequestError("", (FieldFault(f"{name}.{key}", "must be a list"),))
            _refuse_texts_in(f"{name}.{key}", value)
    elif isinstance(condition, Sequence) and not isinstance(condition, str):
        for place, value in enumerate(condition):
            _refuse_texts_in(f"{name}[{place}]", value)


def _of_visitor(
    one: str | RecommendRequest, page_size: int, flt: Filter | None
) -> RecommendRequest:
    if isinstance(one, RecommendRequest):
        return one
    return RecommendRequest(one, page_size=page_size, filter=flt)


def _recommend_request(request: RecommendRequest) -> pb.RecommendRequest:
    message: pb.RecommendRequest = _build(
        pb.RecommendRequest,
        session_id=request.session_id,
        user_id=request.user_id,
        page_size=request.page_size,
        session_items=request.session_items,
        filter=_filter(request.filter),
        explain=request.explain,
        context=_context(request.context),
    )
    return message


def _context(context: Context | None) -> session_pb2.Context | None:
    """Return the message of a context, None for none; refuses what is no context."""
    if context is None:
        return None
    faults: list[FieldFault] = []
    check_context(faults, context)
    if faults:
        raise InvalidRequestError("", tuple(faults))
    return context_to_proto(context)


def _filter(flt: Filter | None) -> pb.ItemFilter | None:
    if flt is None:
        return None
    fields = {f.name: getattr(flt, f.name) for f in dataclasses.fields(flt)}
    _refuse_texts_in("condition", flt.condition)
    message: pb.ItemFilter = _build(pb.ItemFilter, **fields)
    return message
