"""The live score, from `impressions` and `sessions`; a task as the learners are.

Each answer is scored by the click after it (`judge`), the ranking that was shown and the one in
its shadow apart (`scorekeeper`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping

from google.protobuf.message import DecodeError

from nextclick.topics import SCOREBOARD
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import AwaitedAnswers
from nextclick.v1.session_pb2 import SessionRecord
from streaming.raw_record import RawRecord
from streaming.tasks.attribution import Verdict, judge, note_answer, note_steps
from streaming.tasks.rolling_score import DEPTH, Answer, Scorekeeper
from streaming.tasks.task import Output

MAX_SESSIONS = 50_000
"""Sessions whose answers and latest steps are kept; the one longest idle makes room."""

MAX_MODELS = 16
PUBLISH_MS = 1_000


SESSION, CASES, COUNTS = "s:", "c:", "m:"
"""Begin the names of the state's rows."""


class ScoreTask:
    """Scores live answers; obeys `streaming.tasks.task.LearnerTask`."""

    def __init__(self, impressions: str, sessions: str) -> None:
        self._impressions = impressions
        self._sessions_topic = sessions
        self._sessions: OrderedDict[str, AwaitedAnswers] = OrderedDict()
        self._keepers: dict[str, Scorekeeper] = {}
        self._touched: set[str] = set()
        self._dropped: set[str] = set()
        self._counted: set[str] = set()
        self._unpublished: set[str] = set()
        self._published_ms = 0

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """See `LearnerTask.load`."""
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
            self._keepers[model] = Scorekeeper.load(dumped, blocks.get(model, ()))

    def learn(self, record: RawRecord, seen: MutableMapping[str, bytes]) -> None:
        """See `LearnerTask.learn`; what cannot be read is passed over."""
        del seen
        try:
            if record.topic == self._impressions:
                self._answered(record, Impression.FromString(record.value))
            elif record.value:
                self._clicked(record, SessionRecord.FromString(record.value))
            else:
                self._forget(record.key.decode(errors="replace"))
        except DecodeError:
            return

    def _answered(self, record: RawRecord, answer: Impression) -> None:
        keeper = self._keeper(answer.model)
        if keeper is None:
            return
        keeper.show(answer.known_items)
        self._note(answer.model)
        del answer.item_ids[DEPTH:]
        # A visitor without any session yet is named by the record's key.
        notes = self._notes(answer.session_id or record.key.decode(errors="replace"))
        note_answer(notes, answer)
        self._score(notes, record.append_time_ms)

    def _clicked(self, record: RawRecord, session: SessionRecord) -> None:
        known = session.session_id in self._sessions
        notes = self._notes(session.session_id)
        nameless = f"u:{session.user_id}"
        if not known and session.user_id and nameless in self._sessions:
            for answer in self._sessions[nameless].answers:
                note_answer(notes, answer)
            self._forget(nameless)
        for model in note_steps(notes, session):
            keeper = self._keeper(model)
            if keeper is not None:
                keeper.follow()
                self._note(model)
        self._score(notes, record.append_time_ms)

    def _score(self, notes: AwaitedAnswers, now_ms: int) -> None:
        for verdict in judge(notes):
            for model, answer in _answers(verdict):
                keeper = self._keeper(model)
                if keeper is not None:
                    keeper.add(answer, verdict.item_id, now_ms)
                    self._note(model)

    def _keeper(self, model: str) -> Scorekeeper | None:
        """Return the keeper of a ranking; None beyond `MAX_MODELS` of them."""
        keeper = self._keepers.get(model)
        if keeper is None and model and len(self._keepers) < MAX_MODELS:
            keeper = self._keepers[model] = Scorekeeper(model)
        return keeper

    def _note(self, model: str) -> None:
        self._counted.add(model)
        self._unpublished.add(model)

    def _notes(self, session_id: str) -> AwaitedAnswers:
        """Return what is kept of a session, as the one touched last."""
        notes = self._sessions.pop(session_id, None) or AwaitedAnswers()
        self._sessions[session_id] = notes
        self._touched.add(session_id)
        self._dropped.discard(session_id)
        if len(self._sessions) > MAX_SESSIONS:
            self._forget(next(iter(self._sessions)))
        return notes

    def _forget(self, session_id: str) -> None:
        if self._sessions.pop(session_id, None) is not None:
            self._touched.discard(session_id)
            self._dropped.add(session_id)

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """See `LearnerTask.changes`."""
        rows = {SESSION + s: self._sessions[s].SerializeToString() for s in self._touched}
        rows |= {SESSION + s: b"" for s in self._dropped}
        for model in self._counted:
            keeper = self._keepers[model]
            rows[COUNTS + model] = keeper.dump()
            for block, raw in keeper.changes().items():
                rows[f"{CASES}{block}:{model}"] = raw
        self._touched, self._dropped, self._counted = set(), set(), set()
        return b"", rows

    def publish(self, now_ms: int) -> Iterator[Output]:
        """See `LearnerTask.publish`: each ranking that has changed, at most once a second."""
        if now_ms - self._published_ms < PUBLISH_MS:
            return
        for model in sorted(self._unpublished):
            self._published_ms = now_ms
            score = self._keepers[model].score(now_ms)
            yield Output(SCOREBOARD, model.encode(), score.SerializeToString())
        self._unpublished = set()


def _answers(verdict: Verdict) -> Iterator[tuple[str, Answer]]:
    """Yield what a verdict is about: the answer that was shown, and the one in its shadow."""
    shown = verdict.answer
    nan = float("nan")
    yield (
        shown.model,
        Answer(
            shown.item_ids,
            shown.scores,
            shown.timestamp_ms,
            shown.diversity if shown.HasField("diversity") else nan,
            shown.popularity if shown.HasField("popularity") else nan,
        ),
    )
    if shown.HasField("shadow"):
        other = shown.shadow
        yield (
            other.model,
            Answer(
                other.item_ids,
                other.scores,
                shown.timestamp_ms,
                other.diversity,
                other.popularity,
                shadow=True,
            ),
        )
