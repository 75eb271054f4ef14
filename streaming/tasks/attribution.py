"""Which click judges which answer: joined by order within a session, never by time.

An answer given at version v of a session, with some items appended by the caller, is judged by
the first step that arrived after v, past those that are the appended items in their order. A step
judges one answer, the last one before it. Answer and step come from two topics in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import AwaitedAnswers
from nextclick.v1.session_pb2 import SessionRecord, Step

MAX_WAITING = 4
"""Answers of a session that wait for a click; the oldest makes room."""

MAX_STEPS, MAX_SHOWN = 8, 8
"""Steps kept for late answers, and answers kept for attribution."""


class Verdict(NamedTuple):
    """An answer and the item that came next."""

    answer: Impression
    item_id: str


def note_answer(notes: AwaitedAnswers, answer: Impression) -> None:
    """Have an answer wait for its click."""
    notes.answers.append(answer)
    del notes.answers[:-MAX_WAITING]
    notes.shown.add(recommendation_id=answer.recommendation_id, model=answer.model)
    del notes.shown[:-MAX_SHOWN]


def note_steps(notes: AwaitedAnswers, record: SessionRecord) -> list[str]:
    """Take over a session's new steps; returns the models whose answers they followed."""
    news = sorted(
        (step for step in record.steps if step.seq > notes.version), key=lambda step: step.seq
    )
    models = {name.recommendation_id: name.model for name in notes.shown}
    followed = [models[s.recommendation_id] for s in news if s.recommendation_id in models]
    notes.steps.extend(news)
    del notes.steps[:-MAX_STEPS]
    notes.version = max(notes.version, record.version)
    return followed


def judge(notes: AwaitedAnswers) -> Iterator[Verdict]:
    """Yield the answers whose click has come, and forget them and those that they replace."""
    waiting: list[Impression] = []
    judged: dict[int, Verdict] = {}
    for answer in notes.answers:
        step = _next_step(notes, answer)
        if step is None:
            waiting.append(answer)
        elif step.seq > notes.scored_seq:
            judged[step.seq] = Verdict(answer, step.item_id)
    if len(waiting) < len(notes.answers):
        kept = [Impression.FromString(answer.SerializeToString()) for answer in waiting]
        del notes.answers[:]
        notes.answers.extend(kept)
    for seq in sorted(judged):
        notes.scored_seq = seq
        yield judged[seq]


def _next_step(notes: AwaitedAnswers, answer: Impression) -> Step | None:
    """Return the step that judges an answer, None if it has not come."""
    appended = list(answer.appended_item_ids)
    for step in notes.steps:
        if step.seq <= answer.session_version:
            continue
        if appended and step.item_id == appended[0]:
            del appended[0]
            continue
        return step
    return None
