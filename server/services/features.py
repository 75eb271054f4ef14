"""FeatureService: what the features are, and their values by the kernels that answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from nextclick.v1 import feature_service_pb2 as pb
from nextclick.v1.profile_pb2 import Profile
from online_models.ranking.features.declared import DECLARED, GROUPS, features_of
from online_models.ranking.features.entity import SessionFacts, UserFacts, Value
from online_models.ranking.features.feature import Entity, Feature
from online_models.ranking.features.registry import FEATURES, NAMES, SCHEMA
from server.replica.redis_view import UNREAD, RedisView, Stored
from server.replica.replica import Replica
from server.services.degraded import degraded_reasons
from server.services.feature_checks import check_get, check_list
from server.services.filters import filter_of
from server.services.replies import response_field
from server.services.requests import parsed
from server.services.visitor import UnreadVisitorError, Visitor, past_of, resolve_visitor

ENTITIES: dict[Entity, Any] = {
    entity: pb.FeatureEntity.Value(f"FEATURE_ENTITY_{entity.name}") for entity in Entity
}
IN_RANKER = frozenset(NAMES)

Values = Iterable[tuple[Feature, Value]]


class Features:
    """Answers ListFeatures and GetFeatures.

    Parameters
    ----------
    replica
        Has models, sessions and catalogue.
    redis_view
        Asked for sessions that are not in memory, as for an answer.
    repeats
        As of `Recommendations`: the candidates are those of its answers.
    """

    def __init__(self, replica: Replica, redis_view: RedisView, *, repeats: bool = True) -> None:
        self._replica = replica
        self._redis = redis_view
        self._repeats = repeats

    def list_features(self, raw: bytes) -> bytes:
        """Answer a ListFeaturesRequest."""
        request = parsed(pb.ListFeaturesRequest, raw)
        check_list(request)
        wanted = [entity for entity, number in ENTITIES.items() if number == request.entity]
        features = features_of(wanted[0]) if wanted else DECLARED
        return pb.ListFeaturesResponse(
            features=map(declaration, features), feature_schema=SCHEMA
        ).SerializeToString()

    def get_features(self, raw: bytes) -> bytes:
        """Answer a GetFeaturesRequest."""
        request = parsed(pb.GetFeaturesRequest, raw)
        check_get(request)
        try:
            return self._get(request, None if self._redis.up else UNREAD)
        except UnreadVisitorError as unread:
            return self._get(request, self._redis.read([unread.question])[0])

    def _get(self, request: pb.GetFeaturesRequest, stored: Stored | None) -> bytes:
        now_ms = time.time_ns() // 1_000_000
        found: list[tuple[Entity, str, Values | None]] = []
        of_items: list[tuple[Entity, str, Values | None]] = []
        items = () if request.session_id else request.item_ids
        categories = list(map(self._categories, items))  # needs no lock, as in GetItems
        with self._replica.answering():
            if request.session_id:
                visitor = resolve_visitor(
                    self._replica, request.session_id, request.user_id, stored
                )
                of_session, *of_items = self._of_session(
                    visitor, request.session_id, request.item_ids, now_ms
                )
                found.append(of_session)
            if request.user_id:
                found.append((Entity.USER, request.user_id, self._of_user(request.user_id, now_ms)))
            found += of_items
            for item_id, of_item in zip(items, categories, strict=True):
                found.append((Entity.ITEM, item_id, self._of_item(item_id, of_item)))
            answer = pb.GetFeaturesResponse(
                model_version=self._replica.engine.clicks,
                timestamp_ms=now_ms,
                feature_schema=SCHEMA,
                degraded=degraded_reasons(self._replica, self._redis, stored),
            )
        names = frozenset(request.names)
        # One by one: to serialise all of them at once would keep answers waiting.
        vectors = (_vector(*one, names).SerializeToString() for one in found)
        return b"".join(map(response_field, vectors)) + answer.SerializeToString()

    def _of_session(
        self, visitor: Visitor, session_id: str, item_ids: Sequence[str], now_ms: int
    ) -> Iterator[tuple[Entity, str, Values | None]]:
        """Yield what is found of a session, then of items as its candidates."""
        if len(visitor.rows) == 0:
            yield Entity.SESSION, session_id, None
            for item_id in item_ids:
                yield Entity.CANDIDATE, item_id, None
            return
        engine = self._replica.engine
        engine.at(now_ms // 1_000)
        flt = filter_of(self._replica, visitor, () if self._repeats else visitor.rows, None, now_ms)
        past = past_of(engine, visitor)
        candidates = engine.candidate_features(
            visitor.rows, visitor.number, flt, visitor.times_s, past
        )
        facts = SessionFacts(
            items=[engine.ids[row] for row in visitor.rows],
            version=visitor.applied.version,
            last_s=candidates.last_s,
            now_ms=now_ms,
            purchased=tuple(visitor.purchased),
            hidden=tuple(visitor.hidden),
        )
        shared = zip(FEATURES, candidates.session.tolist(), strict=True)
        values = [(f, value) for f, value in shared if f.entity is Entity.SESSION]
        for group in GROUPS[Entity.SESSION]:
            values += zip(group.features, group.values(facts), strict=True)
        yield Entity.SESSION, session_id, values
        places = {row: place for place, row in enumerate(candidates.rows.tolist())}
        for item_id in item_ids:
            place = places.get(engine.row(item_id))
            column = None if place is None else _column(candidates.features[:, place])
            yield Entity.CANDIDATE, item_id, column

    def _categories(self, item_id: str) -> Sequence[str]:
        entry = self._replica.catalogue.get(item_id)
        return entry.categories if entry else ()

    def _of_item(self, item_id: str, categories: Sequence[str]) -> Values | None:
        row = self._replica.engine.row(item_id)
        if row == 0:
            return None
        values = self._replica.engine.item_features(row, categories)
        return zip(features_of(Entity.ITEM), values, strict=True)

    def _of_user(self, user_id: str, now_ms: int) -> Values | None:
        record = self._replica.profiles.record(user_id)
        if record is None or self._replica.refuses_profile(user_id):
            return None
        facts = UserFacts(Profile.FromString(record), now_ms)
        return [
            pair
            for group in GROUPS[Entity.USER]
            for pair in zip(group.features, group.values(facts), strict=True)
        ]


def declaration(feature: Feature) -> pb.Feature:
    """Return the message of a feature."""
    assert feature.origin is not None
    return pb.Feature(
        name=feature.name,
        entity=ENTITIES[feature.entity],
        meaning=feature.meaning,
        unit=feature.unit,
        origin=feature.origin.name,
        topics=feature.origin.topics,
        state=feature.origin.state,
        freshness=feature.origin.freshness,
        delay_ms=feature.origin.delay_ms,
        version=feature.version,
        in_ranker=feature.name in IN_RANKER,
        part=feature.part,
    )


def _column(features: NDArray[Any]) -> Values:
    return zip(FEATURES, features.tolist(), strict=True)


def _vector(
    entity: Entity, id_: str, values: Values | None, names: frozenset[str]
) -> pb.FeatureVector:
    vector = pb.FeatureVector(entity=ENTITIES[entity], id=id_, known=values is not None)
    for feature, value in values or ():
        if value is None or (names and feature.name not in names):
            continue
        if isinstance(value, int | float):
            vector.values.add(name=feature.name, number=value)
        elif value:
            vector.values.add(name=feature.name, texts=value)
    return vector
