"""Learning the ranker from `examples`; rows of its state are replayed cases and kept versions."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator

from nextclick.limits import MAX_KEPT_VERSIONS
from nextclick.topics import COMMANDS, RANKER, RANKER_MODEL, topic
from nextclick.v1 import learning_pb2 as pb
from online_models.learners.ranker import RankerLearner
from online_models.ranking.features.registry import N_FEATURES
from records import example, ranker_weights
from records.errors import RecordError
from records.session_life import Applied
from streaming.output import Output
from streaming.raw_record import RawRecord
from streaming.tasks.session_notes import SessionNotes
from streaming.tasks.task import Progress, TaskOptions, pack_meta, unpack_meta

log = logging.getLogger("nextclick.ranker")

_NUMBER = struct.Struct("<I")
"""Prefix of a stored row: the target of a case, or the cases that a version has learned."""

PAGES = 1 << 13
"""Of the notes on sessions: 262,144 of them, 8 MB. Repetitions are of the last minutes."""

EARLIER = 31
"""Clicks before the last applied one of a session of which it is known whether they are applied."""

_ALL = (1 << EARLIER) - 1

FIRST_KEPT = 200
"""The first version is kept after this many cases."""

KEEP_SHARE = 1.05
"""The next version is kept after this many times the cases of the last kept one."""


class RankerTask:
    """Learns every example once, in order; keeps versions to roll back to.

    An emitter that died repeats what it has emitted since its snapshot, and several emit the same
    examples: of each session it is noted which of its clicks have been applied, and what comes
    again is counted and passed over. An example that comes after one of a later click counts as
    applied, but is not learned: the emitter makes it after a restart, of a click that had made none
    (its item had no row then), with vectors that may know the clicks since. Nor is one whose
    features cannot be used (another schema). While the task is late, it passes over the examples of
    sessions that are not in the sample (`records.session_sample`).
    """

    def __init__(self, options: TaskOptions) -> None:
        self._commands = topic(COMMANDS, options.tenant)
        self._learner = RankerLearner(options.seed)
        self._notes = SessionNotes(PAGES)
        self.progress = Progress(RANKER_MODEL)
        self._versions: dict[int, bytes] = {}
        """Kept versions as they are stored."""
        self._changed: dict[str, bytes] = {}
        self._dirty = True

    @property
    def learned(self) -> int:
        """Cases learned."""
        return self._learner.steps

    def load(self, meta: bytes, rows: Iterable[tuple[str, bytes]]) -> None:
        """See `StreamTask.load`."""
        state, model = unpack_meta(meta)
        self.progress.take_over(state)
        fits = self._learner.load(model)
        features = self._learner.features_of(model) if fits else 0
        for name, value in self._notes.load(rows):
            if not fits or not self._load_row(name, value, features):
                self._changed[name] = b""
        self.progress.kept = [v for v in self.progress.kept if v in self._versions]
        dropped = sum(not value for value in self._changed.values())
        if dropped:
            log.warning(
                "ranker: dropped %d rows that do not fit the features of this version%s",
                dropped,
                "" if fits else ", as its weights: it begins to learn anew",
            )

    def _load_row(self, name: str, value: bytes, n_features: int) -> bool:
        """Load a row; return False if it cannot be used: it was written with other features.

        Cases of the version before have fewer: they are written again as those of this one.
        """
        number = int(name[1:])
        if name[0] == "v":
            kept = number in self.progress.kept and self._learner.fits(value[_NUMBER.size :])
            if kept:
                self._versions[number] = value
            return kept
        try:
            features = example.unpack_features(value[_NUMBER.size :], n_features)
        except RecordError:
            return False
        if n_features < N_FEATURES:
            self._changed[name] = value[: _NUMBER.size] + example.pack_features(features)
        return self._learner.load_case(number, features, _number(value))

    def apply(self, record: RawRecord) -> None:
        """See `StreamTask.apply`."""
        self._dirty = True
        if record.topic == self._commands:
            command = self.progress.command(record)
            if command and command.kind == pb.LearnerCommand.KIND_ROLL_BACK:
                self._roll_back(command.version)
            return
        self.progress.note_arrival(record.append_time_ms)
        message = example.parse(record.value, record.append_time_ms)
        click = example.click_of(message)
        applied, earlier = self._notes.get(message.session_id)
        in_order = applied.precedes(click)
        if not in_order and _is_applied(click, applied, earlier):
            self.progress.repetitions += 1
            return
        self._notes.put(message.session_id, *_applying(click, applied, earlier))
        taken = self.progress.sample.takes(message.session_id, message.incarnation)
        self.progress.count(message.session_id, message.seq, passed_over=not taken)
        if not in_order or self.progress.paused or not taken:
            return
        case = example.decode(message)
        slot = self._learner.learn(case.features, case.target)
        if slot >= 0:
            packed = example.pack_features(case.features)
            self._changed[f"s{slot}"] = _NUMBER.pack(case.target) + packed
            self._keep()

    def _keep(self) -> None:
        """Keep a version from time to time, less and less often."""
        last = _number(self._versions[self.progress.kept[-1]]) if self.progress.kept else 0
        if self.learned < max(FIRST_KEPT, last * KEEP_SHARE):
            return
        version = self.progress.version + 1
        if version in self._versions:
            return
        self.progress.kept = [*self.progress.kept, version][-MAX_KEPT_VERSIONS:]
        self._versions[version] = _NUMBER.pack(self.learned) + self._learner.dump()
        self._changed[f"v{version}"] = self._versions[version]
        for old in set(self._versions) - set(self.progress.kept):
            del self._versions[old]
            self._changed[f"v{old}"] = b""
        self.progress.version = version

    def _roll_back(self, version: int) -> None:
        if version in self._versions:
            self._learner.load(self._versions[version][_NUMBER.size :], keep_cases=True)
            self.progress.rolled_back_to = version

    def changes(self) -> tuple[bytes, dict[str, bytes]]:
        """See `StreamTask.changes`."""
        rows, self._changed = self._changed, {}
        rows |= self._notes.changes()
        return pack_meta(self.progress.state(self.learned, 0), self._learner.dump()), rows

    def publish(self, now_ms: int) -> Iterator[Output]:
        """See `StreamTask.publish`: one record if anything has changed."""
        if not self.progress.adapt(now_ms) and not self._dirty:
            return
        self._dirty = False
        self.progress.version += 1
        state = self.progress.state(self.learned, now_ms)
        value = ranker_weights.encode(state, self._learner.weights())
        yield Output(RANKER, RANKER_MODEL.encode(), value)


def _is_applied(click: Applied, last: Applied, earlier: int) -> bool:
    """Whether a click that is not after the last applied one counts as applied.

    ``earlier`` has a bit for each of the `EARLIER` versions before the last one, the nearest first;
    what is further back, or of another life, counts as applied.
    """
    back = last.version - click.version - 1
    if click.incarnation != last.incarnation or not 0 <= back < EARLIER:
        return True
    return bool(earlier >> back & 1)


def _applying(click: Applied, last: Applied, earlier: int) -> tuple[Applied, int]:
    """Return the last applied click and ``earlier`` (`_is_applied`) once a click is applied."""
    if click.incarnation != last.incarnation:
        return click, 0
    ahead = click.version - last.version
    if ahead < 0:
        return last, earlier | 1 << -ahead - 1
    return click, (earlier << ahead | 1 << ahead - 1) & _ALL if ahead <= EARLIER else 0


def _number(row: bytes) -> int:
    """Return the prefix of a stored row."""
    return int(_NUMBER.unpack_from(row)[0])
