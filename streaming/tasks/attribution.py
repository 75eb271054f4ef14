"""Joins answers with the clicks that score them, by their order in a session, never by time.

An answer given at version v of a session is scored by the first step that arrived after v. A step
on each item that the caller had appended to the session is passed over, in whatever order they
arrive: the answer knew of it. A session that has returned since scores it by the first step of its
new life. A step scores one answer, the last one before
it. Answers and steps come from two topics, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import AwaitedAnswers
from nextclick.v1.session_pb2 import SessionRecord, Step
from records.session_life import Applied

MAX_WAITING = 4
"""The most answers of a session that wait for a click; a new one replaces the oldest."""

MAX_STEPS, MAX_SHOWN = 8, 8
"""Steps kept for late answers; answers kept to count clicks that carry their id."""


class ClickedAfter(NamedTuple):
    """An answer and the item that the visitor clicked next."""

    answer: Impression
    item_id: str


def add_answer(awaited: AwaitedAnswers, answer: Impression) -> None:
    """Let an answer wait for its click."""
    awaited.answers.append(answer)
    del awaited.answers[:-MAX_WAITING]
    awaited.shown.add(recommendation_id=answer.recommendation_id, model=answer.model)
    del awaited.shown[:-MAX_SHOWN]


def add_steps(awaited: AwaitedAnswers, record: SessionRecord) -> list[str]:
    """Add a session's new steps; return the models whose answers their ids name."""
    before = Applied(awaited.incarnation, awaited.version, awaited.appended_ms)
    if not before.precedes(record):
        return []
    if record.incarnation != awaited.incarnation:
        del awaited.steps[:]
        awaited.scored_seq = 0
    applied = before.version_in(record)
    new_steps = sorted(
        (step for step in record.steps if step.seq > applied), key=lambda step: step.seq
    )
    models = {shown.recommendation_id: shown.model for shown in awaited.shown}
    named = [models[s.recommendation_id] for s in new_steps if s.recommendation_id in models]
    awaited.steps.extend(new_steps)
    del awaited.steps[:-MAX_STEPS]
    awaited.incarnation, awaited.version, awaited.appended_ms = Applied.after(record)
    return named


def attribute(awaited: AwaitedAnswers) -> Iterator[ClickedAfter]:
    """Yield and remove the answers whose click has arrived; remove answers before them."""
    waiting: list[Impression] = []
    attributed: dict[int, ClickedAfter] = {}
    for answer in awaited.answers:
        step = _next_step(awaited, answer)
        if step is None:
            waiting.append(answer)
        elif step.seq > awaited.scored_seq:
            attributed[step.seq] = ClickedAfter(answer, step.item_id)
    if len(waiting) < len(awaited.answers):
        kept = [Impression.FromString(answer.SerializeToString()) for answer in waiting]
        del awaited.answers[:]
        awaited.answers.extend(kept)
    for seq in sorted(attributed):
        awaited.scored_seq = seq
        yield attributed[seq]


def _next_step(awaited: AwaitedAnswers, answer: Impression) -> Step | None:
    """Return the step that scores an answer, None if it has not arrived."""
    appended = list(answer.appended_item_ids)
    # Older servers name no incarnation.
    incarnation = answer.session_incarnation or awaited.incarnation
    for step in awaited.steps:
        if (awaited.incarnation, step.seq) <= (incarnation, answer.session_version):
            continue
        if step.item_id in appended:
            appended.remove(step.item_id)
            continue
        return step
    return None
