"""What the responses of the services become: the values of `nextclick.results`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nextclick.codec import Item
from nextclick.convert import item_from_proto, user_from_proto
from nextclick.profiles import Profile, ProfileItem
from nextclick.results import (
    Feature,
    FeatureValues,
    FeatureVector,
    Model,
    Reason,
    Recommendation,
    RecommendedItem,
)
from nextclick.users import User
from nextclick.v1 import catalog_service_pb2 as catalog_pb
from nextclick.v1 import feature_service_pb2 as feature_pb
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import session_pb2
from nextclick.v1 import user_service_pb2 as user_pb


def recommendation(response: pb.RecommendResponse) -> Recommendation:
    """Return the answer for one visitor."""
    return Recommendation(
        items=_scored(response.items),
        recommendation_id=response.recommendation_id,
        session_version=response.session_version,
        model_version=response.model_version,
        model_lag_ms=response.model_lag_ms,
        degraded=_degraded(response.degraded),
        source=_name(pb.AnswerSource, response.source, "ANSWER_SOURCE_"),
        timings={t.stage: t.duration_us for t in response.timings},
    )


def batch(response: pb.BatchRecommendResponse) -> list[Recommendation]:
    """Return the answers of a batch, in the order of its requests."""
    return [recommendation(one) for one in response.responses]


def stream_answer(response: pb.StreamRecommendResponse) -> Recommendation:
    """Return one answer of a stream."""
    return recommendation(response.response)


def ranking(response: pb.RankResponse) -> Recommendation:
    """Return the caller's items in their new order."""
    return Recommendation(
        items=_scored(response.items),
        recommendation_id=response.recommendation_id,
        session_version=response.session_version,
        model_version=response.model_version,
        degraded=_degraded(response.degraded),
    )


def listing(response: pb.SimilarItemsResponse | pb.TrendingResponse) -> Recommendation:
    """Return an answer that is nobody's in particular."""
    return Recommendation(_scored(response.items), model_version=response.model_version)


def accepted(
    response: catalog_pb.PutItemsResponse
    | catalog_pb.DeleteItemsResponse
    | user_pb.PutUsersResponse
    | user_pb.DeleteUsersResponse,
) -> int:
    """Return how many items or users the broker has acknowledged."""
    return response.accepted


def items(response: catalog_pb.GetItemsResponse) -> list[Item]:
    """Return items of the catalogue."""
    return [item_from_proto(item) for item in response.items]


def users(response: user_pb.GetUsersResponse) -> list[User]:
    """Return users that were put."""
    return [user_from_proto(user) for user in response.users]


def profiles(response: user_pb.GetProfilesResponse) -> list[Profile]:
    """Return what users did in earlier sessions."""
    return [_profile(profile) for profile in response.profiles]


def models(response: model_pb.ListModelsResponse) -> list[Model]:
    """Return the models of a replica."""
    return [
        Model(
            name=model.name,
            version=model.version,
            examples=model.examples,
            answering=model.answering,
            paused=model.paused,
            rolled_back_to=model.rolled_back_to,
            kept_versions=tuple(model.kept_versions),
            age_ms=model.age_ms if model.age_ms >= 0 else None,
            hit_rate=model.hit_rate if model.HasField("hit_rate") else None,
            mrr=model.mrr if model.HasField("mrr") else None,
            tenant=model.tenant,
        )
        for model in response.models
    ]


def features(response: feature_pb.ListFeaturesResponse) -> list[Feature]:
    """Return what the features mean."""
    return [
        Feature(
            name=feature.name,
            entity=entity(feature.entity),
            meaning=feature.meaning,
            unit=feature.unit,
            origin=feature.origin,
            topics=tuple(feature.topics),
            state=feature.state,
            freshness=feature.freshness,
            delay_ms=feature.delay_ms,
            version=feature.version,
            in_ranker=feature.in_ranker,
            part=feature.part,
            feature_schema=response.feature_schema,
        )
        for feature in response.features
    ]


def feature_values(response: feature_pb.GetFeaturesResponse) -> FeatureValues:
    """Return values of features."""
    return FeatureValues(
        vectors=tuple(
            FeatureVector(
                entity(vector.entity),
                vector.id,
                vector.known,
                {v.name: tuple(v.texts) or v.number for v in vector.values},
            )
            for vector in response.vectors
        ),
        model_version=response.model_version,
        timestamp_ms=response.timestamp_ms,
        feature_schema=response.feature_schema,
        degraded=_degraded(response.degraded),
    )


def entity(value: int) -> str:
    """Return the name of what a feature describes."""
    return _name(feature_pb.FeatureEntity, value, "FEATURE_ENTITY_")


def nothing(_: object) -> None:
    """Return nothing: that there is a response says it all."""


def _profile(message: user_pb.UserProfile) -> Profile:
    told = message.profile
    return Profile(
        user_id=told.user_id,
        items=tuple(
            ProfileItem(
                item.item_id,
                item.steps,
                item.sessions,
                _name(session_pb2.EventType, item.type, "EVENT_TYPE_"),
                item.last_timestamp_ms,
                item.weight,
            )
            for item in told.items
        ),
        purchased={mark.item_id: mark.timestamp_ms for mark in told.purchased},
        liked={mark.item_id: mark.timestamp_ms for mark in told.liked},
        disliked={mark.item_id: mark.timestamp_ms for mark in told.disliked},
        sessions=told.sessions,
        steps=told.steps,
        repeated_steps=told.repeated_steps,
        first_timestamp_ms=told.first_timestamp_ms,
        last_timestamp_ms=told.last_timestamp_ms,
        categories={share.name: share.share for share in message.categories},
        attributes={share.name: share.share for share in message.attributes},
        version=told.version,
        appended_ms=told.appended_ms,
    )


def _scored(scored: Sequence[pb.ScoredItem]) -> tuple[RecommendedItem, ...]:
    return tuple(
        RecommendedItem(
            item.item_id,
            item.score,
            tuple(Reason(r.source, r.share, tuple(r.because_item_ids)) for r in item.reasons),
            item.next_click_probability if item.HasField("next_click_probability") else None,
        )
        for item in scored
    )


def _degraded(reasons: Sequence[int]) -> tuple[str, ...]:
    return tuple(_name(pb.DegradedReason, reason, "DEGRADED_REASON_") for reason in reasons)


def _name(enum: Any, value: int, prefix: str) -> str:
    try:
        return str(enum.Name(value)).removeprefix(prefix).lower()
    except ValueError:  # a newer server knows more of them
        return str(value)
