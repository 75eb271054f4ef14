"""Joins logged answers with clicks, as the score job does, and makes pages of them.

First all answers are added, then all sessions. An answer's click is the one that
`streaming.tasks.attribution` finds: the next step of the session, on whatever item. What that step
was on decides the reward: 1 at the place that showed it, else 0.

Memory is bounded: beyond `MOST_BYTES` of answers, those of a sample of the visitors are kept, by
the hash of their keys, so that a visitor's answers stay together.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from evaluation.off_policy.pages import Pages
from nextclick.limits import SCORED_ITEMS
from nextclick.topics import IMPRESSIONS, SESSIONS
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import AwaitedAnswers
from records.errors import RecordError
from records.limited import check_size, decode_impression, decode_session
from streaming.tasks.attribution import add_answer, add_steps, attribute
from streaming.tasks.id_hash import id_hash

MOST_BYTES = 64 << 20
"""Of the answers that are kept, as records."""

OVERHEAD_BYTES = 200
"""Of each of them, for what holds it."""

OF_USER = "u:"
"""How the key of a user begins whose session has no id yet."""

NO_POLICY = "no policy drew them"
NO_POOL = "not in the sample that has a pool"
RECENT = "too recent: their click may still come"
ERASED = "erased visitors"
BROKEN = "not what the topic holds"
MISFIT = "shown items, propensities and pool do not fit together"


class Kept(NamedTuple):
    """An answer: when it arrived, and what is needed of its record."""

    arrived_ms: int
    record: bytes


class JoinedAnswers:
    """Answers by visitor, and the item that was clicked after each.

    Parameters
    ----------
    latest_ms
        Answers that arrived later are not judged.
    most_bytes
        See `MOST_BYTES`.
    """

    def __init__(self, latest_ms: int, most_bytes: int = MOST_BYTES) -> None:
        self._latest_ms, self._most_bytes = latest_ms, most_bytes
        self._answers: dict[str, list[Kept]] = {}
        self._awaited: dict[str, AwaitedAnswers] = {}
        self._added: dict[str, int] = {}
        self._clicked: dict[str, int] = {}
        self._bytes = 0
        self._below = 1 << 64
        self._of_users = False
        self.passed_over: Counter[str] = Counter()
        """Answers that cannot be judged, by the reason."""

    @property
    def share(self) -> float:
        """Share of the visitors whose answers were kept."""
        return self._below / 2.0**64

    def add_answer(self, key: str, value: bytes | None, arrived_ms: int) -> None:
        """Add a record of `impressions`; its key is the session, or the user without one."""
        if value is None or _hash(key) >= self._below:
            return
        try:
            check_size(IMPRESSIONS, key.encode(), value)
            answer = decode_impression(value)
        except RecordError:
            self.passed_over[BROKEN] += 1
            return
        if reason := self._not_judged(answer, arrived_ms):
            self.passed_over[reason] += 1
        kept = Kept(arrived_ms, _reduced(answer, judged=not reason))
        self._answers.setdefault(key, []).append(kept)
        if key.startswith(OF_USER):
            self._of_users = True
        self._bytes += len(kept.record) + OVERHEAD_BYTES
        while self._bytes > self._most_bytes and self._below > 1:
            self._below //= 2
            for other in [name for name in self._answers if _hash(name) >= self._below]:
                self._forget(other)

    def _not_judged(self, answer: Impression, arrived_ms: int) -> str:
        """Return why an answer is not judged; it takes its click nevertheless."""
        if not answer.propensities:
            return NO_POLICY
        if not answer.pool_item_ids:
            return NO_POOL
        if arrived_ms > self._latest_ms:
            return RECENT
        return "" if _fits(answer) else MISFIT

    def add_session(self, key: str, value: bytes | None, arrived_ms: int) -> None:
        """Add a record of `sessions`, after all answers."""
        if value is None:
            gone = self._forget(key)
            if gone:
                self.passed_over[ERASED] += gone
            return
        if key not in self._answers and not self._of_users:
            return
        try:
            check_size(SESSIONS, key.encode(), value)
            session = decode_session(value, arrived_ms)
        except RecordError:
            return
        name = session.session_id
        if name not in self._awaited and session.user_id:
            self._take_over(name, OF_USER + session.user_id, arrived_ms)
        if name not in self._answers:
            return
        awaited = self._awaited.setdefault(name, AwaitedAnswers())
        self._add_until(name, arrived_ms)
        add_steps(awaited, session)
        self._attribute(awaited)

    def _take_over(self, session_id: str, before: str, arrived_ms: int) -> None:
        """Give a session the answers that its visitor got before it had an id."""
        waiting = self._answers.get(before, [])
        if taken := [kept for kept in waiting if kept.arrived_ms <= arrived_ms]:
            self._answers[before] = waiting[len(taken) :]
            own = self._answers.get(session_id, [])
            self._answers[session_id] = sorted([*taken, *own], key=lambda kept: kept.arrived_ms)

    def _add_until(self, visitor: str, arrived_ms: float) -> None:
        awaited, added = self._awaited[visitor], self._added.get(visitor, 0)
        answers = self._answers[visitor]
        while added < len(answers) and answers[added].arrived_ms <= arrived_ms:
            answer = Impression.FromString(answers[added].record)
            # What is attributed carries the ranking's name; here it says which answer it is.
            answer.model = answer.recommendation_id
            add_answer(awaited, answer)
            self._attribute(awaited)
            added += 1
        self._added[visitor] = added

    def _attribute(self, awaited: AwaitedAnswers) -> None:
        for clicked in attribute(awaited):
            self._clicked[clicked.answer.lists[0].model] = clicked.item

    def _forget(self, visitor: str) -> int:
        """Drop a visitor's answers; return how many there were."""
        answers = self._answers.pop(visitor, [])
        self._awaited.pop(visitor, None)
        self._bytes -= sum(len(kept.record) + OVERHEAD_BYTES for kept in answers)
        return len(answers)

    def pages(self, places: int = SCORED_ITEMS) -> Pages | None:
        """Return what can be judged, up to so many places of each; None if there is nothing."""
        for visitor in self._awaited:
            self._add_until(
                visitor, float("inf")
            )  # those that came after the step that scores them
            self._attribute(self._awaited[visitor])
        made = _Made(places)
        for number, answers in enumerate(self._answers.values()):
            for kept in answers:
                answer = Impression.FromString(kept.record)
                if answer.pool_item_ids:
                    made.add(answer, number, self._clicked.get(answer.recommendation_id))
        return made.pages()


class _Made:
    """The arrays of `Pages`, as they grow."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._numbers: dict[str, int] = {}
        self._items: list[int] = []
        self._scores: list[float] = []
        self._rows: list[tuple[int, int, int, float, float]] = []
        self._shown: list[list[int]] = []
        self._propensity: list[list[float]] = []
        self._click: list[list[float]] = []

    def add(self, answer: Impression, visitor: int, clicked: int | None) -> None:
        pool = list(answer.pool_item_ids)
        place_of = {item_id: place for place, item_id in enumerate(pool)}
        shown = answer.item_ids[: min(len(answer.propensities), self._places)]
        rest = self._places - len(shown)
        self._shown.append([place_of[item_id] for item_id in shown] + [-1] * rest)
        self._propensity.append([*answer.propensities[: len(shown)], *[1.0] * rest])
        self._click.append([float(id_hash(i) == clicked) for i in shown] + [0.0] * rest)
        inclusion, time_s = answer.inclusion_probability, answer.timestamp_ms / 1_000
        self._rows.append((len(self._items), len(pool), visitor, inclusion, time_s))
        numbers = self._numbers
        self._items += [numbers.setdefault(item_id, len(numbers)) for item_id in pool]
        self._scores += answer.pool_scores

    def pages(self) -> Pages | None:
        if not self._rows:
            return None
        first, size, visitor, inclusion, time_s = zip(*self._rows, strict=True)
        shown = np.array(self._shown, np.int64)
        used = max(1, int((shown >= 0).any(axis=0).sum()))
        return Pages(
            item=np.array(self._items, np.int64),
            score=np.array(self._scores),
            first=np.array(first, np.int64),
            size=np.array(size, np.int64),
            shown=shown,
            propensity=np.array(self._propensity),
            click=np.array(self._click),
            place=np.broadcast_to(np.arange(self._places), shown.shape),
            visitor=np.array(visitor, np.int64),
            inclusion=np.array(inclusion),
            time_s=np.array(time_s),
            names=list(self._numbers),
        ).shortened(used)


def _fits(answer: Impression) -> bool:
    """Whether an answer's fields are of one page: what a server writes is."""
    pool, shown = set(answer.pool_item_ids), answer.item_ids[: len(answer.propensities)]
    return (
        len(answer.pool_scores) == len(pool) == len(answer.pool_item_ids)
        and 0 < len(shown) == len(answer.propensities) == len(set(shown))
        and pool.issuperset(shown)
        and all(0 < p <= 1 for p in answer.propensities)
        and 0 < answer.inclusion_probability <= 1
    )


def _reduced(answer: Impression, *, judged: bool) -> bytes:
    """Return what is needed of a record: of those that are not judged, what takes the click."""
    answer.ClearField("shadows")
    answer.ClearField("scores")
    answer.ClearField("session_id")
    answer.ClearField("policy")
    if not judged:
        for name in ("item_ids", "propensities", "pool_item_ids", "pool_scores"):
            answer.ClearField(name)
    return answer.SerializeToString()


def _hash(visitor: str) -> int:
    return int.from_bytes(hashlib.blake2b(visitor.encode(), digest_size=8).digest(), "big")


def told(passed_over: Counter[str]) -> Iterator[str]:
    """Yield in words which answers were passed over.

    >>> list(told(Counter({RECENT: 1_200})))
    ['1,200 answers: too recent: their click may still come']
    """
    for reason, n in passed_over.most_common():
        yield f"{n:,} answer{'s' * (n != 1)}: {reason}"
