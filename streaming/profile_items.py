"""What a session adds to its user's profile, and what leaves it when the session is erased."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from nextclick.event_types import EVENT_TYPES
from nextclick.limits import (
    MAX_DISLIKED_ITEMS,
    MAX_LIKED_ITEMS,
    MAX_PURCHASED_ITEMS,
    PROFILE_HALF_LIFE_MS,
    PROFILE_ITEMS,
)
from nextclick.v1 import session_pb2 as pb
from nextclick.v1.profile_pb2 import Profile, ProfileItem, ProfileMark

Marks = RepeatedCompositeFieldContainer[ProfileMark]

_STRENGTHS: dict[int, int] = {
    getattr(pb, kind.enum_name): kind.strength for kind in EVENT_TYPES if kind.enum_name
}

MAX_HALVINGS = 1_000
"""Of a weight; more would be a number too small for a float."""


def merge(profile: Profile, session: pb.SessionRecord, since: int) -> int:
    """Add the steps of a session to the items of a profile; return how many are new.

    Parameters
    ----------
    profile
        The profile.
    session
        The session; its counters are left to the caller.
    since
        The version up to which the session has been added before.
    """
    items = {item.item_id: item for item in profile.items}
    counted, new = set(), []
    for step in session.steps:
        if step.seq > since:
            new.append(step)
            continue
        counted.add(step.item_id)
        if step.strengthened_seq > since and step.item_id in items:
            _strengthen(items[step.item_id], step.type)
    earlier = {
        step.item_id
        for step in new
        if (item := items.get(step.item_id)) and item.sessions > (step.item_id in counted)
    }
    for step in new:
        item = items.setdefault(step.item_id, ProfileItem(item_id=step.item_id))
        if step.item_id not in counted:
            item.sessions += 1
            counted.add(step.item_id)
        _add(item, step)
    profile.steps += len(new)
    profile.repeated_steps += sum(step.item_id in earlier for step in new)
    if new:
        first, last = new[0].timestamp_ms, new[-1].timestamp_ms
        known = profile.first_timestamp_ms
        profile.first_timestamp_ms = min(known, first) if known else first
        profile.last_timestamp_ms = max(profile.last_timestamp_ms, last)
        kept = sorted(items.values(), key=lambda item: (item.last_timestamp_ms, item.item_id))
        kept = [_copied(item) for item in kept[-PROFILE_ITEMS:]]
        del profile.items[:]
        profile.items.extend(kept)
    return len(new)


def mark(profile: Profile, session: pb.SessionRecord, before: pb.SessionRecord) -> bool:
    """Note what a session has bought, liked and disliked; return whether that is new.

    Parameters
    ----------
    profile
        The profile.
    session
        The session after an event.
    before
        The session as it was known; what is in it has been noted.
    """
    marks = {pb.EVENT_TYPE_PURCHASE: profile.purchased, pb.EVENT_TYPE_LIKE: profile.liked}
    most = {pb.EVENT_TYPE_PURCHASE: MAX_PURCHASED_ITEMS, pb.EVENT_TYPE_LIKE: MAX_LIKED_ITEMS}
    changed = False
    for step in session.steps:
        if max(step.seq, step.strengthened_seq) <= before.version or step.type not in marks:
            continue
        held = marks[step.type]
        changed |= _put(held, step.item_id, step.timestamp_ms, most[step.type])
    known = {*before.hidden_item_ids, *(mark.item_id for mark in profile.disliked)}
    at_ms = session.last_timestamp_ms or session.appended_ms
    for item_id in session.hidden_item_ids:
        if item_id not in known:
            changed |= _put(profile.disliked, item_id, at_ms, MAX_DISLIKED_ITEMS)
    return changed


def erase(profile: Profile, item_ids: Collection[str] | None) -> bool:
    """Remove items from a profile, all of them if None; return whether there were any."""
    lists: Iterable[Any] = (profile.items, profile.purchased, profile.liked, profile.disliked)
    changed = False
    for held in lists:
        stay = () if item_ids is None else (e for e in held if e.item_id not in item_ids)
        kept = [_copied(entry) for entry in stay]
        if len(kept) < len(held):
            changed = True
            del held[:]
            held.extend(kept)
    return changed


def _add(item: ProfileItem, step: pb.Step) -> None:
    """Count a step on an item."""
    at_ms, last_ms = step.timestamp_ms, item.last_timestamp_ms
    if not item.steps:
        item.weight, item.last_timestamp_ms = 1, at_ms
    elif at_ms > last_ms:
        item.weight = item.weight * _decay(at_ms - last_ms) + 1
        item.last_timestamp_ms = at_ms
    else:
        item.weight += _decay(last_ms - at_ms)
    item.steps += 1
    _strengthen(item, step.type)


def _strengthen(item: ProfileItem, kind: pb.EventType) -> None:
    """Give an item the stronger of two types; of equally strong ones, the higher number."""
    if _rank(kind) > _rank(item.type):
        item.type = kind


def _rank(kind: int) -> tuple[int, int]:
    return _STRENGTHS.get(kind, 0), kind


def _decay(elapsed_ms: int) -> float:
    return math.pow(2, -min(elapsed_ms / PROFILE_HALF_LIFE_MS, MAX_HALVINGS))


def _put(marks: Marks, item_id: str, at_ms: int, most: int) -> bool:
    """Note when an item was marked last; return whether that changes anything."""
    held = {mark.item_id: mark.timestamp_ms for mark in marks}
    if held.pop(item_id, -1) >= at_ms:
        return False
    held[item_id] = at_ms
    kept = sorted(held.items(), key=lambda entry: entry[1])[-most:]  # of equal times, as they came
    before = [(mark.item_id, mark.timestamp_ms) for mark in marks]
    if kept == before:
        return False
    del marks[:]
    for name, time_ms in kept:
        marks.add(item_id=name, timestamp_ms=time_ms)
    return True


def _copied(entry: Any) -> Any:
    """Return a copy: an entry of a list is not to be used once that is emptied."""
    copy = type(entry)()
    copy.CopyFrom(entry)
    return copy
