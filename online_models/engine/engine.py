"""The models as one object: callers mostly use item ids, kernels use rows.

For one thread at a time. Learning is click by click; answering changes nothing that affects a later
answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.engine import resize
from online_models.engine import snapshot as snapshots
from online_models.engine.inspection import Inspection
from online_models.learners import click
from online_models.learners.click import LEARN_FROM_CLICK
from online_models.learners.sample import DEFAULT_SAMPLE
from online_models.memory.layout import Limits
from online_models.ranking.blend import FITTED
from online_models.ranking.features import registry as features
from online_models.ranking.request import Past
from online_models.sources import popularity
from online_models.sources.context_popularity import Said
from online_models.sweep import MOST_PLACES, PLACES_A_CLICK
from online_models.tables import sessions
from online_models.vectors import two_towers
from online_models.vectors.index import VectorIndex


class Example(NamedTuple):
    """A case for the ranker: candidates, best of the blend first.

    ``features`` (N_FEATURES, n) float32 is a view that the next call overwrites; ``target`` is the
    place of the item that came next, -1 if it is no candidate (then n is 0).
    """

    item_ids: list[str]
    features: NDArray[np.float32]
    target: int


class Engine(Inspection):
    """Streaming session-kNN, rules, co-visits and popularity, vectors and a ranker over them.

    Parameters
    ----------
    limits
        Bounds of memory; see `Limits`.
    seed
        Seed of everything random. The counts are not random.
    weights
        Initial weights of the blend, (n,) float32; one of `blend.SINGLE_SOURCE_WEIGHTS`.
    sample
        Learn vectors from every click, and the ranker from one click in this many; 0: neither.
    remote
        Vectors and ranker are learned elsewhere; `put_vectors` and `put_ranker` apply them.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        seed: int = 0,
        weights: NDArray[np.float32] = FITTED,
        sample: int = DEFAULT_SAMPLE,
        remote: bool = False,
    ) -> None:
        if remote and sample:
            raise ValueError("a remote engine learns neither vectors nor ranker: sample must be 0")
        super().__init__(limits or Limits(), seed)
        self.seed = seed
        self.sample = sample
        self.remote = remote
        self.arrays["blend_weights"][:] = 0
        self.arrays["blend_weights"][: len(weights)] = weights

    def begin_row(self, row: int) -> None:
        """Give a new item its first vectors."""
        super().begin_row(row)
        if self.sample:
            two_towers.begin_vector(self._state, row)

    def note_content(self, row: int, tokens: Sequence[int]) -> None:
        """Set an item's content; its vectors include it, if they are learned here."""
        if self.sample:
            two_towers.set_tokens(self.arrays, self._state, row, tokens)
        else:
            self.arrays["item_tokens"][row] = 0
            self.arrays["item_tokens"][row, : len(tokens)] = tokens

    def begin_index(self, clock: Callable[[], float]) -> VectorIndex:
        """See `PublishedModels.begin_index`; vectors learned here take in all of their content."""
        for row in range(1, len(self.ids) if self.sample else 0):
            two_towers.refresh(self._state, row)
        return super().begin_index(clock)

    # ---- learning

    def open_session(self) -> int:
        """Return the number of a new session; it takes the slot of ``number - max_sessions``."""
        number = self.next_session
        self._counters["next_session"] = number + 1
        return number

    def learn(
        self,
        session: int,
        item_id: str,
        place: int | None = None,
        at_s: int = 0,
        said: Said = (),
        past: Past | None = None,
    ) -> None:
        """Learn a step: insert the item into the session at ``place``, and count it.

        Parameters
        ----------
        session
            Number from `open_session`.
        item_id
            The item. If it gets no row, it only takes its place in the session.
        place
            Index among the kept steps of the session; None: at the end.
        at_s
            Its time: seconds since 1970, 0 if unknown.
        said
            What is said of its context: device, country, channel.
        past
            What the user did before this session; only the ranker learns of it.
        """
        row = self.rows.get(item_id) or self.admit(item_id, session)
        at = -1 if place is None else place
        if row and said:
            self.contexts.learn(said, item_id, self.clicks)
        if self.sample:
            n_past = 0 if past is None else self._request.write_past(past)
            told = click.learn_click_all(self._state, session, row, at, at_s, self.sample, n_past)
        else:
            told = click.count_click(self._state, session, row, at, at_s)
        if self.confirms(told):
            self.confirm(row)
        if self._sweep.active:
            self._sweep.spend(PLACES_A_CLICK)

    def place(self, session: int, item_id: str, at_s: int = 0) -> None:
        """Append a step to a session that was learned before, as part of another one.

        Nothing learns it again; an item without a row only takes its place. Arguments as `learn`'s.
        """
        sessions.append(self._state, session, self.rows.get(item_id, 0), at_s)

    @contextmanager
    def one_turn(self) -> Iterator[None]:
        """Learn many steps in no more time for a sweep than a single new item may take.

        Rows become free later then: a record of 50 new items took 15 ms.
        """
        self._sweep.budget = MOST_PLACES
        try:
            yield
        finally:
            self._sweep.budget = math.inf

    def strengthen(self, item_id: str, weight: float = 1.0) -> None:
        """Add ``weight`` clicks to the popularity of an item, and to nothing else."""
        row = self.rows.get(item_id, 0)
        if row:
            popularity.add_clicks(self._state, row, float(weight))

    def forget_session(self, session: int) -> None:
        """Erase a session, so that it no longer votes. What it added to counts stays."""
        slot = session & (self.limits.max_sessions - 1)
        e = self.arrays["sessions"][slot]
        if session >= 0 and e["number"] == session + 1:
            e["n"] = 0

    def example(self, session: int, item_id: str, past: Past | None = None) -> Example | None:
        """Return the case that a click makes; call it before the click is learned.

        None if it makes none: the item or the session's last one has no row, the session is empty
        and its user's ``past`` does not lead to the item, or the models have learned too little yet
        (`learners.click.LEARN_FROM_CLICK`).
        """
        row, items = self.rows.get(item_id, 0), self.session_rows(session)
        if row == 0 or self.clicks < LEARN_FROM_CLICK:
            return None
        self._request.write(items, 0, session, past=past)
        if self._request.n_query == 0 or self._query[self._request.n_query - 1] == 0:
            return None
        if self._request.first_page:  # who asks for one has no session yet
            self._counters["next_session"] -= 1
        place = int(click.make_case(self._state, row))
        if self._request.first_page:
            self._counters["next_session"] += 1
        if place < 0 and self._request.first_page:
            return None
        if place < 0:
            return Example([], np.zeros((features.N_FEATURES, 0), np.float32), -1)
        n = int(self._found["candidates"][0])
        rows = self.arrays["pool"][self.arrays["candidates"][:n]]
        ids = [self.ids[candidate] for candidate in rows.tolist()]
        return Example(ids, self.arrays["features"][: features.N_FEATURES, :n], place)

    # ---- snapshots

    def snapshot(self, path: Path, undisturbed: snapshots.Undisturbed = nullcontext) -> None:
        """Write everything that was learned into a new folder ``path``.

        Answers may be given meanwhile if ``undisturbed()`` keeps them waiting while it is held: a
        tenth of a millisecond at a time.
        """
        meta = {
            "seed": self.seed,
            "sample": self.sample,
            "remote": self.remote,
            "with_vectors": self.with_vectors,
            **self.kept(),
        }
        snapshots.write(path, self.arrays, self.limits, meta, undisturbed)

    @classmethod
    def restore(cls, path: Path, limits: Limits | None = None) -> Engine:
        """Read what `snapshot` wrote.

        Parameters
        ----------
        path
            The folder.
        limits
            Limits that the models get; None: those that they had. In larger ones, answers stay the
            same. In smaller ones, what is worth least leaves; what stays keeps its statistics. With
            other limits, this takes the memory of both for a while.

        Raises
        ------
        SnapshotError
            If the folder is damaged or of another version, or a table cannot get other limits.
        """
        saved, meta = snapshots.read_meta(path)
        try:
            engine = cls(saved, meta["seed"], sample=meta["sample"], remote=meta["remote"])
            engine.with_vectors = meta["with_vectors"]
            snapshots.read_tables(path, meta, engine.arrays)
            engine.keep(meta)
            if meta["version"] < snapshots.SINCE["item_lists"]:
                engine.lists.make(np.array(list(engine.rows.values()), np.int64))
                engine._sweep.start_over()  # its phases had other numbers
        except KeyError as e:
            raise snapshots.SnapshotError(f"cannot read the snapshot in {path}: no {e}") from e
        return engine if limits in (None, saved) else engine.resized(limits)

    def resized(self, limits: Limits) -> Engine:
        """Return models of other limits that know the same; these are spent."""
        known = [(self.ids[row], facts, numbers) for row, facts, numbers in self.facts.named()]
        resize.squeeze(self, self._sweep, limits.max_items)
        other = Engine(limits, self.seed, sample=self.sample, remote=self.remote)
        resize.lay_out(self.arrays, self.limits, other.arrays, limits)
        other.with_vectors = self.with_vectors
        other.keep(self.kept())
        other._sweep.start_over()
        for item_id, facts, numbers in known:
            if row := other.row(item_id):
                other.facts.put(row, facts, numbers)
        return other
