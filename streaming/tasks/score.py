"""The live score: rolling scores of the rankings, computed from `impressions` and `sessions`.

Each answer is scored by the click after it (`attribution`). Every ranking, shown or in the shadow,
has a `RollingScore`, and another one for its answers that a policy has re-ordered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from nextclick.limits import MAX_RANKINGS, SCORED_ITEMS
from nextclick.topics import IMPRESSIONS, SCOREBOARD, SESSIONS, topic
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import AwaitedAnswers
from nextclick.v1.session_pb2 import SessionRecord
from records.errors import RecordError
from records.limited import check_size, decode_impression, decode_session
from records.scored_ranking import scored_name
from streaming.output import Output
from streaming.raw_record import RawRecord
from streaming.tasks.attribution import add_answer, add_steps, attribute
from streaming.tasks.rolling_score import Answer, RollingScore
from streaming.tasks.task import TaskOptions

MAX_SESSIONS = 50_000
"""The most sessions whose answers and steps are kept; a new one replaces the longest idle one."""

PUBLISH_MS = 1_000

SESSION, CASES, COUNTS = "s:", "c:", "m:"
"""Prefixes of the names of the state's rows."""


class ScoreTask:
    """Scores live answers; a `streaming.tasks.task.StreamTask`."""

    def __init__(self, options: TaskOptions) -> None:
        self._impressions = topic(IMPRESSIONS, options.tenant)
        self._sessions: OrderedDict[str, AwaitedAnswers] = OrderedDict()
        self._scores: dict[str, RollingScore] = {}
        self._touched: set[str] = set()
        self._dropped: set[str] = set()
        self._changed: set[str] = set()
        self._unpublished: set[str] = set()
        self._published_ms = 0

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """See `StreamTask.load`."""
        del meta
        counts: dict[str, bytes] = {}
        blocks: dict[str, list[tuple[int, bytes]]] = {}
        for name, value in rows:
            kind, rest = name[:2], name[2:]
            if kind == SESSION:
                self._sessions[rest] = AwaitedAnswers.FromString(value)
            elif kind == COUNTS:
                counts[rest] = value
            else:
                block, model = rest.split(":", 1)
                blocks.setdefault(model, []).append((int(block), value))
        for model, dumped in counts.items():
            self._scores[model] = RollingScore.load(dumped, blocks.get(model, ()))

    def apply(self, record: RawRecord) -> None:
        """See `StreamTask.apply`; unreadable ones and those beyond a limit are skipped."""
        try:
            if record.topic == self._impressions:
                check_size(IMPRESSIONS, record.key, record.value)
                self._add_answer(record, decode_impression(record.value))
            elif record.value:
                check_size(SESSIONS, record.key, record.value)
                self._add_steps(record, decode_session(record.value, record.append_time_ms))
            else:
                self._forget(record.key.decode(errors="replace"))
        except RecordError:
            return

    def _add_answer(self, record: RawRecord, answer: Impression) -> None:
        answer.model = scored_name(answer.model, answer.policy)
        score = self._score(answer.model)
        if score is None:
            return
        score.count_impression(answer.known_items)
        self._mark_changed(answer.model)
        del answer.item_ids[SCORED_ITEMS:], answer.propensities[:]
        # For a visitor without a session, the record's key is the user's.
        awaited = self._awaited(answer.session_id or record.key.decode(errors="replace"))
        add_answer(awaited, answer)
        self._add_cases(awaited, record.append_time_ms)

    def _add_steps(self, record: RawRecord, session: SessionRecord) -> None:
        known = session.session_id in self._sessions
        awaited = self._awaited(session.session_id)
        before_session = f"u:{session.user_id}"
        if not known and session.user_id and before_session in self._sessions:
            for answer in self._sessions[before_session].answers:
                add_answer(awaited, answer)
            self._forget(before_session)
        for model in add_steps(awaited, session):
            score = self._score(model)
            if score is not None:
                score.count_click()
                self._mark_changed(model)
        self._add_cases(awaited, record.append_time_ms)

    def _add_cases(self, awaited: AwaitedAnswers, now_ms: int) -> None:
        for case in attribute(awaited):
            for model, answer in _answers(case.answer):
                score = self._score(model)
                if score is not None:
                    score.add_case(answer, case.item_id, now_ms)
                    self._mark_changed(model)

    def _score(self, model: str) -> RollingScore | None:
        """Return the score of a ranking; None for a new one beyond `MAX_RANKINGS`."""
        score = self._scores.get(model)
        if score is None and model and len(self._scores) < MAX_RANKINGS:
            score = self._scores[model] = RollingScore(model)
        return score

    def _mark_changed(self, model: str) -> None:
        self._changed.add(model)
        self._unpublished.add(model)

    def _awaited(self, session_id: str) -> AwaitedAnswers:
        """Return what is kept of a session, and mark it as the latest used."""
        awaited = self._sessions.pop(session_id, None) or AwaitedAnswers()
        self._sessions[session_id] = awaited
        self._touched.add(session_id)
        self._dropped.discard(session_id)
        if len(self._sessions) > MAX_SESSIONS:
            self._forget(next(iter(self._sessions)))
        return awaited

    def _forget(self, session_id: str) -> None:
        if self._sessions.pop(session_id, None) is not None:
            self._touched.discard(session_id)
            self._dropped.add(session_id)

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """See `StreamTask.changes`."""
        rows = {SESSION + s: self._sessions[s].SerializeToString() for s in self._touched}
        rows |= {SESSION + s: b"" for s in self._dropped}
        for model in self._changed:
            score = self._scores[model]
            rows[COUNTS + model] = score.dump()
            for block, raw in score.changes().items():
                rows[f"{CASES}{block}:{model}"] = raw
        self._touched, self._dropped, self._changed = set(), set(), set()
        return b"", rows

    def publish(self, now_ms: int) -> Iterator[Output]:
        """See `StreamTask.publish`: each ranking that has changed, at most once a second."""
        if 0 <= now_ms - self._published_ms < PUBLISH_MS:  # a clock may step back
            return
        for model in sorted(self._unpublished):
            self._published_ms = now_ms
            score = self._scores[model].current(now_ms)
            yield Output(SCOREBOARD, model.encode(), score.SerializeToString())
        self._unpublished = set()


def _answers(shown: Impression) -> Iterator[tuple[str, Answer]]:
    """Yield an answer that was shown and those in its shadow, each with its ranking."""
    nan = float("nan")
    yield (
        shown.model,
        Answer(
            shown.item_ids,
            shown.scores,
            shown.timestamp_ms,
            diversity=shown.diversity if shown.HasField("diversity") else nan,
            popularity=shown.popularity if shown.HasField("popularity") else nan,
        ),
    )
    for other in shown.shadows:
        yield (
            other.model,
            Answer(
                other.item_ids,
                other.scores,
                shown.timestamp_ms,
                diversity=other.diversity,
                popularity=other.popularity,
                shadow=True,
            ),
        )
