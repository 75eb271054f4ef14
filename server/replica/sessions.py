"""The replica's sessions: the number of each in the models, and how far it has been applied."""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

from nextclick.context import NOWHERE, Context, shared
from nextclick.convert import context_from_proto
from nextclick.topics import event_key
from nextclick.v1 import session_pb2 as pb
from online_models.engine import Engine
from online_models.memory.sharded_dict import ShardedDict
from records.session_life import UNKNOWN, Applied
from server.replica.evicted_sessions import EvictedSessions


@dataclass(slots=True)
class Entry:
    """A session in memory; the engine keeps its items under ``number``.

    ``first_ms`` and ``last_ms`` are the times of its first and last step, as the sender says; the
    first one is kept of signed-in users alone, 0 for others: their past ends there.
    """

    number: int
    applied: Applied = UNKNOWN
    last_ms: int = 0
    user_id: str = ""
    hidden: tuple[str, ...] = ()
    purchased: tuple[str, ...] = ()
    context: Context = NOWHERE
    first_ms: int = 0


_VISIT = event_key("", "")
"""Ids of sessions begin with it whose events have none."""

LATEST_MS = (1 << 32) * 1_000
"""Times must be earlier than this to fit into the models' 32 bits of seconds."""

BeforeLearning = Callable[[pb.SessionRecord, Applied, int, str], None]
"""Called before a click is learned that is the latest of its session, with the session's record,
the click's place in the session, number in the engine, and item."""


class SessionTable:
    """Applies session records to the models: each step once, in the order of arrival.

    Holds at most as many sessions as the engine; a new one replaces the oldest.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.before_learning: BeforeLearning | None = None
        self._entries = ShardedDict[Entry]()
        self._names: list[str] = [""] * engine.limits.max_sessions
        """Ids by number, modulo the most sessions; empty where that session is not in memory."""
        self._users = ShardedDict[str]()
        self._visits = ShardedDict[str]()
        """Of users whose current session has an id of its own: the last one that has none."""
        self.evicted = 0
        self.known_of_evicted = EvictedSessions()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, session_id: str) -> Entry | None:
        """Return a session, None if it is not in memory."""
        return self._entries.get(session_id)

    def newest(self, n: int) -> list[str]:
        """Return the ids of the ``n`` sessions that were opened last."""
        return list(itertools.islice(self._ids(reversed(self._numbers())), n))

    def current_session(self, user_id: str) -> str:
        """Return the id of the session of a user's last click, empty if none."""
        return self._users.get(user_id, "")

    def last_visit(self, user_id: str) -> str:
        """Return the id of the session of a user's events without session id, empty if none."""
        names = (self._users.get(user_id, ""), self._visits.get(user_id, ""))
        visits = [
            (entry.applied.incarnation, name)
            for name in names
            if name.startswith(_VISIT) and (entry := self._entries.get(name))
        ]
        return max(visits, default=(0, ""))[1]

    def apply(self, record: pb.SessionRecord) -> list[str]:
        """Apply a session's record; return the items of the steps that were learned.

        Records may be missing (compaction: the next one has all steps) or repeated (nothing is
        learned twice). If a record comes more than 50 steps after the last one applied, the oldest
        of these steps are lost. A session that returns after its state has expired starts empty,
        under a new number; the models keep the one before as a past session. One that was evicted
        gets its steps back, of which only those are learned that have arrived since.
        """
        entry = self._entries.get(record.session_id)
        if entry is not None and not entry.applied.precedes(record):
            _note_arrival(entry, record)
            return []
        if entry is None:
            applied = self.known_of_evicted.applied(record.session_id)
            entry = self._open(record.session_id)
            if applied != UNKNOWN:
                entry.applied = applied
                self._place_applied(entry, record)
        elif entry.applied.returns(record):
            self._remove(record.session_id)
            entry = self._open(record.session_id)
        if record.HasField("context"):
            entry.context = context_from_proto(record.context)
        learned = self._learn(entry, record)
        entry.applied = Applied.after(record)
        entry.last_ms = record.last_timestamp_ms
        if record.user_id:
            entry.first_ms = record.first_timestamp_ms
            self._note_user(entry, record)
        if record.hidden_item_ids:
            entry.hidden = tuple(record.hidden_item_ids)
        return learned

    def _place_applied(self, entry: Entry, record: pb.SessionRecord) -> None:
        """Give a session that was evicted the steps that were learned before."""
        applied = entry.applied.version_in(record)
        for step in record.steps if applied else ():
            if step.seq <= applied:
                at_s = seconds(step.timestamp_ms)
                self._engine.place(entry.number, step.item_id, at_s)
                if step.type == pb.EVENT_TYPE_PURCHASE:
                    _note_purchase(entry, step.item_id)

    def _learn(self, entry: Entry, record: pb.SessionRecord) -> list[str]:
        steps = record.steps
        applied = entry.applied.version_in(record)
        if steps and steps[-1].seq == record.version == applied + 1:
            # Nearly always: one more step, at the end.
            last = steps[-1]
            if self.before_learning is not None:
                self.before_learning(record, _place(record, last), entry.number, last.item_id)
            self._engine.learn(
                entry.number,
                last.item_id,
                at_s=seconds(last.timestamp_ms),
                said=entry.context.counted,
            )
            self._note(entry, (last,), applied)
            return [last.item_id]
        with self._engine.one_turn():
            learned = self._learn_steps(entry, record, applied)
        self._note(entry, steps, applied)
        return learned

    def _learn_steps(self, entry: Entry, record: pb.SessionRecord, applied: int) -> list[str]:
        """Learn the steps since ``applied`` in the order of arrival; return their items."""
        steps = record.steps
        seqs = [step.seq for step in steps]  # reading a field 5,000 times took a millisecond
        news = sorted((seq, at) for at, seq in enumerate(seqs) if seq > applied)
        arrived: list[int] = []
        before = []  # of each step, how many of those before it have arrived earlier
        for seq in seqs:
            before.append(bisect_left(arrived, seq))
            insort(arrived, seq)
        kept = len(self._engine.session_rows(entry.number))
        for seq, at in news:
            # The engine may still keep older steps that the record has dropped.
            place = max(kept - bisect_left(arrived, seq), 0) + before[at]
            if self.before_learning is not None and place == kept:
                click = _place(record, steps[at])
                self.before_learning(record, click, entry.number, steps[at].item_id)
            at_s = seconds(steps[at].timestamp_ms)
            said = entry.context.counted
            self._engine.learn(entry.number, steps[at].item_id, place, at_s, said)
            kept = len(self._engine.session_rows(entry.number))
        return [steps[at].item_id for _, at in news]

    def _note(self, entry: Entry, steps: Iterable[pb.Step], applied: int) -> None:
        """Strengthen the items of steps that a stronger event has updated; note purchases."""
        for step in steps:
            if step.strengthened_seq > applied:
                self._engine.strengthen(step.item_id)
            if step.type == pb.EVENT_TYPE_PURCHASE:
                _note_purchase(entry, step.item_id)

    def _note_user(self, entry: Entry, record: pb.SessionRecord) -> None:
        """Make the session its user's current one, unless another has a later click.

        Partitions are read in any order, so the time decides, as in the session store. The session
        is no other user's any more.
        """
        if entry.user_id != record.user_id:
            self._forget_user(record.session_id, entry)
            entry.user_id = record.user_id
        name = self._users.get(record.user_id, "")
        if name == record.session_id:
            return
        current = self._entries.get(name)
        if current is None or current.last_ms <= record.last_timestamp_ms:
            self._users[record.user_id] = record.session_id
            self._note_visit(record.user_id, name)
        else:
            self._note_visit(record.user_id, record.session_id)

    def _note_visit(self, user_id: str, name: str) -> None:
        """Note a session that is not its user's current one, if it is the last visit."""
        entry = self._entries.get(name)
        if entry is None or not name.startswith(_VISIT):
            return
        last = self._entries.get(self.last_visit(user_id))
        if last is None or last.applied.incarnation < entry.applied.incarnation:
            self._visits[user_id] = name

    def erase(self, session_id: str) -> None:
        """Erase a session, after its tombstone."""
        entry = self._remove(session_id)
        if entry is not None:
            self._engine.forget_session(entry.number)

    def _remove(self, session_id: str) -> Entry | None:
        entry = self._entries.pop(session_id, None)
        if entry is not None:
            self._names[entry.number % len(self._names)] = ""
            self._forget_user(session_id, entry)
        return entry

    def _forget_user(self, session_id: str, entry: Entry) -> None:
        """Let a session be no visit of its user, and not the current session."""
        for held in (self._users, self._visits):
            if held.get(entry.user_id) == session_id:
                del held[entry.user_id]

    def _open(self, session_id: str) -> Entry:
        entry = Entry(self._engine.open_session())
        oldest = self._names[entry.number % len(self._names)]
        if oldest:
            self.known_of_evicted.note(oldest, self._entries[oldest].applied)
            self._remove(oldest)
            self.evicted += 1
        self._entries[session_id] = entry
        self._names[entry.number % len(self._names)] = session_id
        return entry

    def _numbers(self) -> range:
        """Return the numbers that sessions in memory may have, oldest first."""
        end = self._engine.next_session
        return range(max(end - len(self._names), 0), end)

    def _ids(self, numbers: Iterable[int]) -> Iterator[str]:
        """Yield the ids of those sessions that are in memory."""
        return filter(None, (self._names[number % len(self._names)] for number in numbers))

    def dump(self) -> Iterator[list[Any]]:
        """Yield all sessions as plain lists for a snapshot, oldest first."""
        for name in self._ids(self._numbers()):
            e = self._entries[name]
            current = self._users.get(e.user_id) == name
            yield [
                name,
                e.number,
                e.applied.version,
                e.last_ms,
                e.user_id,
                current,
                e.hidden,
                e.purchased,
                e.applied.incarnation,
                e.applied.appended_ms,
                e.first_ms,
                *([astuple(e.context)] if e.context is not NOWHERE else ()),
            ]

    def load(self, rows: Iterable[list[Any]]) -> None:
        """Load rows that `dump` yielded; those of earlier versions end earlier.

        A session that the models, being smaller than then, do not hold counts as evicted.
        """
        oldest = self._engine.next_session - self._engine.limits.max_sessions
        for name, number, version, last_ms, user_id, current, hidden, purchased, *life in rows:
            later: list[Any] = [0, 0, 0]
            later[: len(life)] = life
            incarnation, appended_ms, first_ms, *said = later
            applied = Applied(incarnation, version, appended_ms)
            if number < oldest:
                self.known_of_evicted.note(name, applied)
                self.evicted += 1
                continue
            self._entries[name] = Entry(
                number,
                applied,
                last_ms,
                user_id,
                tuple(hidden),
                tuple(purchased),
                shared(*said[0]) if said else NOWHERE,
                first_ms,
            )
            self._names[number % len(self._names)] = name
            if current:
                self._users[user_id] = name
            else:
                self._note_visit(user_id, name)


def _place(record: pb.SessionRecord, step: pb.Step) -> Applied:
    """Return the place of a step in its session."""
    return Applied(record.incarnation, step.seq, step.appended_ms)


def _note_arrival(entry: Entry, record: pb.SessionRecord) -> None:
    """Note that an event arrived which changed nothing: the life of the session goes on."""
    same_place = record.incarnation == entry.applied.incarnation
    if same_place and record.version == entry.applied.version:
        entry.applied = max(entry.applied, Applied.after(record))


def _note_purchase(entry: Entry, item_id: str) -> None:
    if item_id not in entry.purchased:
        entry.purchased = (*entry.purchased, item_id)[-200:]


def seconds(time_ms: int) -> int:
    """Return a time in seconds, as the models keep it in 32 bits; 0 if it does not fit."""
    return time_ms // 1_000 if 0 < time_ms < LATEST_MS else 0
