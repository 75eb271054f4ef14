"""The live score: rolling scores of the rankings, computed from `impressions` and `sessions`.

Each answer is scored by the click after it (`attribution`). Every ranking, shown or in the shadow,
has a `RollingScore`, and another one for its answers that a policy has re-ordered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from nextclick.limits import MAX_RANKINGS
from nextclick.topics import IMPRESSIONS, SCOREBOARD, topic
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import AwaitedAnswer, AwaitedAnswers
from nextclick.v1.session_pb2 import SessionRecord
from records.limited import decode_impression, decode_session
from records.scored_ranking import scored_name
from streaming.output import Output
from streaming.raw_record import RawRecord
from streaming.tasks.attribution import add_answer, add_steps, attribute, renew, take_over
from streaming.tasks.rolling_score import Answer, RollingScore
from streaming.tasks.task import TaskOptions

MAX_SESSIONS, MAX_BYTES = 50_000, 64 << 20
"""The most sessions whose answers and steps are kept, and bytes of them and of their ids; a new one
replaces those idle longest."""

PUBLISH_MS = 1_000

SESSION, CASES, COUNTS = "s:", "c:", "m:"
"""Prefixes of the names of the state's rows."""


class ScoreTask:
    """Scores live answers; a `streaming.tasks.task.StreamTask`."""

    def __init__(self, options: TaskOptions) -> None:
        self._impressions = topic(IMPRESSIONS, options.tenant)
        self._sessions: OrderedDict[str, bytes] = OrderedDict()
        """What is kept of each session, as it is stored; the longest idle one first."""
        self._bytes = 0
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
                awaited = AwaitedAnswers.FromString(value)
                former = renew(awaited)
                self._put(rest, awaited.SerializeToString())
                if not former:
                    self._touched.discard(rest)
            elif kind == COUNTS:
                counts[rest] = value
            else:
                block, model = rest.split(":", 1)
                blocks.setdefault(model, []).append((int(block), value))
        for model, dumped in counts.items():
            self._scores[model] = RollingScore.load(dumped, blocks.get(model, ()))

    def apply(self, record: RawRecord) -> None:
        """See `StreamTask.apply`."""
        if record.topic == self._impressions:
            self._add_answer(record, decode_impression(record.value))
        elif record.value:
            self._add_steps(record, decode_session(record.value, record.append_time_ms))
        else:
            self._forget(record.key.decode(errors="replace"))

    def _add_answer(self, record: RawRecord, answer: Impression) -> None:
        answer.model = scored_name(answer.model, answer.policy)
        score = self._score(answer.model)
        if score is None:
            return
        score.count_impression(answer.known_items)
        self._mark_changed(answer.model)
        # For a visitor without a session, the record's key is the user's.
        session_id = answer.session_id or record.key.decode(errors="replace")
        awaited = self._awaited(session_id)
        add_answer(awaited, answer)
        self._add_cases(session_id, awaited, record.append_time_ms)

    def _add_steps(self, record: RawRecord, session: SessionRecord) -> None:
        awaited = self._awaited(session.session_id)
        before_session = f"u:{session.user_id}"
        new = session.session_id not in self._sessions
        if new and session.user_id and before_session in self._sessions:
            take_over(awaited, self._awaited(before_session))
            self._forget(before_session)
        for model in add_steps(awaited, session):
            score = self._score(model)
            if score is not None:
                score.count_click()
                self._mark_changed(model)
        self._add_cases(session.session_id, awaited, record.append_time_ms)

    def _add_cases(self, session_id: str, awaited: AwaitedAnswers, now_ms: int) -> None:
        """Score the answers whose click has come, and keep the rest."""
        for case in attribute(awaited):
            for model, answer in _answers(case.answer):
                score = self._score(model)
                if score is not None:
                    score.add_case(answer, case.item, now_ms)
                    self._mark_changed(model)
        self._put(session_id, awaited.SerializeToString())

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
        return AwaitedAnswers.FromString(self._sessions.get(session_id, b""))

    def _put(self, session_id: str, row: bytes) -> None:
        """Keep what is known of a session, as that of the latest used one."""
        self._forget(session_id)
        self._sessions[session_id] = row
        self._bytes += len(session_id.encode()) + len(row)
        self._touched.add(session_id)
        self._dropped.discard(session_id)
        while len(self._sessions) > MAX_SESSIONS or self._bytes > MAX_BYTES:
            self._forget(next(iter(self._sessions)))

    def _forget(self, session_id: str) -> None:
        row = self._sessions.pop(session_id, None)
        if row is not None:
            self._bytes -= len(session_id.encode()) + len(row)
            self._touched.discard(session_id)
            self._dropped.add(session_id)

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """See `StreamTask.changes`."""
        rows = {SESSION + s: self._sessions[s] for s in self._touched}
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


def _answers(answer: AwaitedAnswer) -> Iterator[tuple[str, Answer]]:
    """Yield the list that was shown and those in its shadow, each with its ranking."""
    nan = float("nan")
    for place, each in enumerate(answer.lists):
        yield (
            each.model,
            Answer(
                each.items,
                each.scores,
                answer.timestamp_ms,
                diversity=each.diversity if each.HasField("diversity") else nan,
                popularity=each.popularity if each.HasField("popularity") else nan,
                shadow=place > 0,
            ),
        )
