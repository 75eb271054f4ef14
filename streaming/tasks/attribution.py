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

from nextclick.limits import SCORED_ITEMS
from nextclick.v1.impression_pb2 import Impression, ShadowAnswer
from nextclick.v1.scoreboard_pb2 import AwaitedAnswer, AwaitedAnswers, AwaitedStep
from nextclick.v1.session_pb2 import SessionRecord
from records.session_life import Applied
from streaming.tasks.id_hash import id_hash

MAX_WAITING, MAX_STEPS = 16, 16
"""The most answers of a session that wait for a click, and steps that are kept for late answers; a
new one replaces the oldest. A job that was away reads one topic ahead of the other: by more than
this many of a session, it loses cases."""

MAX_SHOWN = 8
"""Answers kept to count clicks that carry their id."""


class ClickedAfter(NamedTuple):
    """An answer and the item that the visitor clicked next, as `id_hash` has it."""

    answer: AwaitedAnswer
    item: int


def add_answer(awaited: AwaitedAnswers, answer: Impression) -> None:
    """Let an answer wait for its click."""
    awaited.waiting.append(_compact(answer))
    awaited.last_shown.add(answer=id_hash(answer.recommendation_id), model=answer.model)
    _forget_oldest(awaited)


def take_over(awaited: AwaitedAnswers, before: AwaitedAnswers) -> None:
    """Add the answers that a visitor got before the session had an id."""
    awaited.waiting.extend(before.waiting)
    awaited.last_shown.extend(before.last_shown)
    _forget_oldest(awaited)


def add_steps(awaited: AwaitedAnswers, record: SessionRecord) -> list[str]:
    """Add a session's new steps; return the models whose answers their ids name."""
    before = Applied(awaited.incarnation, awaited.version, awaited.appended_ms)
    if not before.precedes(record):
        return []
    if record.incarnation != awaited.incarnation:
        del awaited.last_steps[:]
        awaited.scored_seq = 0
    applied = before.version_in(record)
    new_steps = sorted(
        (step for step in record.steps if step.seq > applied), key=lambda step: step.seq
    )
    models = {shown.answer: shown.model for shown in awaited.last_shown}
    followed = [id_hash(s.recommendation_id) for s in new_steps if s.recommendation_id]
    for step in new_steps[-MAX_STEPS:]:
        awaited.last_steps.add(item=id_hash(step.item_id), seq=step.seq)
    _forget_oldest(awaited)
    awaited.incarnation, awaited.version, awaited.appended_ms = Applied.after(record)
    return [models[answer] for answer in followed if answer in models]


def attribute(awaited: AwaitedAnswers) -> Iterator[ClickedAfter]:
    """Yield and remove the answers whose click has arrived; remove answers before them."""
    waiting: list[AwaitedAnswer] = []
    attributed: dict[int, ClickedAfter] = {}
    for answer in awaited.waiting:
        step = _next_step(awaited, answer)
        if step is None:
            waiting.append(answer)
        elif step.seq > awaited.scored_seq:
            attributed[step.seq] = ClickedAfter(answer, step.item)
    if len(waiting) < len(awaited.waiting):
        kept = AwaitedAnswers(waiting=waiting)
        del awaited.waiting[:]
        awaited.MergeFrom(kept)
    for seq in sorted(attributed):
        awaited.scored_seq = seq
        yield attributed[seq]


def renew(awaited: AwaitedAnswers) -> bool:
    """Put what the versions before have written into its present form; return whether any was."""
    if not (awaited.steps or awaited.answers or awaited.shown):
        return False
    awaited.waiting.extend(map(_compact, awaited.answers))
    for step in awaited.steps:
        awaited.last_steps.add(item=id_hash(step.item_id), seq=step.seq)
    for shown in awaited.shown:
        awaited.last_shown.add(answer=id_hash(shown.recommendation_id), model=shown.model)
    for name in ("steps", "answers", "shown"):
        awaited.ClearField(name)
    return True


def _compact(answer: Impression) -> AwaitedAnswer:
    waiting = AwaitedAnswer(
        session_version=answer.session_version,
        session_incarnation=answer.session_incarnation,
        timestamp_ms=answer.timestamp_ms,
        appended_items=map(id_hash, answer.appended_item_ids),
    )
    answers: list[Impression | ShadowAnswer] = [answer, *answer.shadows]
    for each in answers:
        compact = waiting.lists.add(
            model=each.model,
            items=map(id_hash, each.item_ids[:SCORED_ITEMS]),
            scores=each.scores[:SCORED_ITEMS],
        )
        for measure in ("diversity", "popularity"):
            if each is not answer or answer.HasField(measure):  # a shadow always has them
                setattr(compact, measure, getattr(each, measure))
    return waiting


def _forget_oldest(awaited: AwaitedAnswers) -> None:
    del awaited.waiting[:-MAX_WAITING]
    del awaited.last_shown[:-MAX_SHOWN]
    del awaited.last_steps[:-MAX_STEPS]


def _next_step(awaited: AwaitedAnswers, answer: AwaitedAnswer) -> AwaitedStep | None:
    """Return the step that scores an answer, None if it has not arrived."""
    appended = list(answer.appended_items)
    # Older servers name no incarnation.
    incarnation = answer.session_incarnation or awaited.incarnation
    for step in awaited.last_steps:
        if (awaited.incarnation, step.seq) <= (incarnation, answer.session_version):
            continue
        if step.item in appended:
            appended.remove(step.item)
            continue
        return step
    return None
