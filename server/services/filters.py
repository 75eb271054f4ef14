"""The filter of a request: what the caller asks for, and what the visitor must not see again."""

from __future__ import annotations

from nextclick.limits import DAY_MS
from nextclick.v1 import recommendation_service_pb2 as pb
from online_models.engine import Filter
from server.replica.replica import Replica
from server.services.conditions import condition_of
from server.services.facts import facts_of
from server.services.visitor import Rows, Visitor

FilteredRequest = pb.RecommendRequest | pb.SimilarItemsRequest | pb.TrendingRequest

NOT_ASKED = pb.ItemFilter()


def filter_of(
    replica: Replica, visitor: Visitor, rows: Rows, wanted: pb.ItemFilter | None, now_ms: int
) -> Filter | None:
    """Return the engine's filter, None if nothing is filtered; the caller must hold the lock.

    Parameters
    ----------
    replica
        Has the models, and what is said of users.
    visitor
        What the visitor has disliked is hidden, in whatever session that was.
    rows
        Items that must not come again.
    wanted
        The valid filter of the request; None: it has none.
    now_ms
        The time, in milliseconds since 1970.
    """
    profile = visitor.profile
    if wanted is None and not (len(rows) or visitor.hidden or profile.disliked):
        return None
    wanted = NOT_ASKED if wanted is None else wanted
    excluded = [*visitor.hidden, *profile.disliked, *wanted.excluded_item_ids]
    if wanted.exclude_purchased:
        excluded += visitor.purchased
    if days := wanted.purchased_within_days:
        excluded += [*visitor.purchased, *profile.bought_since(now_ms - days * DAY_MS)]
    condition = None
    if wanted.HasField("condition"):
        condition = condition_of(wanted.condition, facts_of(replica, visitor))
    narrow = excluded or len(rows) or wanted.categories or wanted.kinds or condition is not None
    if not narrow and not wanted.include_unavailable:
        return None
    return Filter(
        tuple(wanted.categories),
        (*rows, *map(replica.engine.row, excluded)),
        wanted.include_unavailable,
        tuple(wanted.kinds),
        condition,
    )
