"""GetProfiles: what users did in earlier sessions, and what the catalogue makes of it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from nextclick.codec import Item
from nextclick.errors import FieldFault
from nextclick.limits import (
    MAX_ID_BYTES,
    MAX_PROFILE_SHARES,
    MAX_PROFILES_ASKED,
    PROFILE_HALF_LIFE_MS,
)
from nextclick.v1 import user_service_pb2 as pb
from nextclick.v1.profile_pb2 import Profile
from server.errors import RequestError, unavailable
from server.replica.redis_view import Question, RedisView
from server.replica.replica import Replica
from server.services.replies import response_field
from server.services.requests import entries


class UserProfiles:
    """Answers GetProfiles.

    Shares are of the catalogue at the time of the call: a shop that moves its items to other
    categories would otherwise have profiles of categories that are no more.
    """

    def __init__(self, replica: Replica, redis_view: RedisView) -> None:
        self._replica = replica
        self._redis = redis_view

    def get_profiles(self, raw: bytes) -> bytes:
        """Answer a GetProfilesRequest; asks Redis for those that are not in memory."""
        profiles = self._profiles(_ids(raw))
        told = (user_profile(profile, self._replica.catalogue.get) for profile in profiles)
        # One by one, as items of the catalogue.
        return b"".join(response_field(profile.SerializeToString()) for profile in told)

    def _profiles(self, user_ids: Sequence[str]) -> Iterator[Profile]:
        """Yield the profiles of the users that have one, and do not refuse it."""
        profiles = self._replica.profiles
        user_ids = [
            user_id
            for user_id in user_ids
            if not self._replica.refuses_profile(user_id) and not profiles.is_erased(user_id)
        ]
        held = {user_id: profiles.record(user_id) for user_id in user_ids}
        wanted = [user_id for user_id, record in held.items() if record is None]
        stored: dict[str, Profile | None] = {}
        if wanted and not self._replica.knows_profiles:
            questions = [Question("", profile_of=user_id) for user_id in wanted]
            for user_id, answer in zip(wanted, self._redis.read(questions), strict=True):
                if not answer.complete:
                    raise unavailable(
                        "Redis does not answer, and not all of these profiles are in memory; ask "
                        "again"
                    )
                stored[user_id] = answer.profile
        for user_id in user_ids:
            record = held[user_id]
            profile = stored.get(user_id) if record is None else Profile.FromString(record)
            if profile is not None:
                yield profile


def user_profile(profile: Profile, item: Callable[[str], Item | None]) -> pb.UserProfile:
    """Return a profile with the shares of its categories and attributes.

    Parameters
    ----------
    profile
        The profile.
    item
        Returns an item of the catalogue, None if it does not have it.
    """
    categories: Counter[str] = Counter()
    attributes: Counter[str] = Counter()
    total = 0.0
    for seen in profile.items:
        age_ms = profile.last_timestamp_ms - seen.last_timestamp_ms
        weight = seen.weight * 0.5 ** (age_ms / PROFILE_HALF_LIFE_MS)
        total += weight
        told = item(seen.item_id)
        if told is not None:
            categories.update(dict.fromkeys(told.categories, weight))
            pairs = (f"{name}={value}" for name, value in told.attributes.items())
            attributes.update(dict.fromkeys(pairs, weight))
    return pb.UserProfile(
        profile=profile,
        categories=_shares(categories, total),
        attributes=_shares(attributes, total),
    )


def _shares(weights: Counter[str], total: float) -> list[pb.ProfileShare]:
    """Return the largest shares of a total, of equal ones in the order of their names."""
    largest = sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))
    return [
        pb.ProfileShare(name=name, share=min(weight / total, 1.0) if total else 0.0)
        for name, weight in largest[:MAX_PROFILE_SHARES]
    ]


def _ids(raw: bytes) -> Sequence[str]:
    """Return the ids of a request; see `entries` for its errors."""
    for i, entry in enumerate(entries(raw, "user_ids", MAX_PROFILES_ASKED)):
        if len(entry) > MAX_ID_BYTES:
            fault = f"has {len(entry)} bytes; send 1 to {MAX_ID_BYTES}"
            raise RequestError("", [FieldFault(f"user_ids[{i}]", fault)])
    return pb.GetProfilesRequest.FromString(raw).user_ids
