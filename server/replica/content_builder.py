"""Keeps the content vectors up to date in the background: new items at once, the basis in time.

Reading a long description takes longer than a slice of the log may, so the log only notes which
items have changed (`CatalogueEntries.changed`); a thread of its own reads their entries.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from nextclick.codec import Item
from online_models.content.terms import Content, Embedding, counted, unit
from online_models.content.vectors import ContentVectors
from server import metrics
from server.priority import give_way
from server.replica.index_builder import BETWEEN_BUILDS_S, BUILDING, NICENESS
from server.replica.replica import Replica

log = logging.getLogger("nextclick.content")

ITEMS_CHECK_S, ITEMS = 0.1, 100
"""Pause between two rounds, and the most items put in each."""

AT_ONCE = 4
"""Items that are put in one slice: a tenth of a millisecond."""

WHOLE_CATALOGUE = 1_000
"""While more items wait, as after a start, there is no pause."""

LISTED = 10
"""New items that are put on lists in a round, one in a slice: a third of a millisecond each."""

RENEWED_S = 600.0
"""All new items are put on lists again after so long, and with each basis."""

BASIS_CHECK_S = 0.5

FIRST_BASIS_S = 2.0
"""Pause before another basis while the catalogue grows to more than twice the items of the last
one: the first of them know next to nothing."""

CHANGES = 4
"""Changes made during a fit that are taken over at once: a tenth of a millisecond."""


class ContentBuilder:
    """Two threads, so that new items need not wait for a fit.

    `start` it once; it calls `Engine.begin_content`.
    """

    def __init__(self, replica: Replica, clock: Callable[[], float] = time.monotonic) -> None:
        self._replica = replica
        self._clock = clock
        self._stop = threading.Event()
        self._next_basis = self._next_renewal = 0.0
        self._content: ContentVectors = replica.engine.begin_content(clock, self._embedding)
        replica.catalogue.follow_changes()
        self._threads = [
            threading.Thread(target=self._run, args=work, name=work[0], daemon=True)
            for work in (
                ("content", self.put_items, ITEMS_CHECK_S, 0),
                ("basis", self.make_basis, BASIS_CHECK_S, NICENESS),
            )
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the current fit."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(60)

    def _run(self, name: str, work: Callable[[], None], pause_s: float, niceness: int) -> None:
        if niceness:
            give_way(niceness)
        while not self._stop.wait(pause_s):
            try:
                work()
            except Exception:
                log.exception("%s failed; retrying later", name)
                self._stop.wait(BETWEEN_BUILDS_S)

    def put_items(self) -> None:
        """Give the items that have changed their vectors, and put new ones on lists."""
        changed = self._replica.catalogue.changed
        left = max(ITEMS, len(changed) if len(changed) > WHOLE_CATALOGUE else 0)
        while left > 0 and changed and not self._stop.is_set():
            left -= AT_ONCE
            self._put_some()
        self._list_new_items()
        metrics.CONTENT_WAITING.set(len(changed))
        metrics.CONTENT_VECTORS.set(self._content.n_vectors)
        metrics.CONTENT_WITHOUT_VECTOR.set(self._content.n_known - self._content.n_vectors)
        if self._content.generation is not None:
            metrics.CONTENT_AGE.set(self._clock() - self._content.generation.fitted_s)

    def _list_new_items(self) -> None:
        """Put some of the new items on the lists of those that they are like."""
        new_items = self._replica.engine.new_items
        assert new_items is not None
        if self._clock() > self._next_renewal and self._content.generation is not None:
            self._next_renewal = self._clock() + RENEWED_S
            new_items.renew()
        for _ in range(LISTED):
            with self._replica.slice():
                if not new_items.list_next():
                    break
        metrics.NEW_ITEMS_WAITING.set(len(new_items))

    def _put_some(self) -> None:
        catalogue, engine = self._replica.catalogue, self._replica.engine
        with self._replica.slice():
            item_ids = catalogue.take_changed(AT_ONCE)
        is_now = []
        for item_id in item_ids:
            item = catalogue.get(item_id)
            is_now.append(counted(content_of(item) if item is not None else Content()))
        with self._replica.slice():
            for item_id, one in zip(item_ids, is_now, strict=True):
                row = engine.row(item_id)
                if row:
                    engine.put_content(row, one)

    def make_basis(self) -> None:
        """Make another basis if one is due, with the vectors of all items."""
        content, now = self._content, self._clock()
        if not content.due or (now < self._next_basis and not self._outgrown(now)):
            return
        started = time.monotonic()
        with self._replica.slice():
            content.begin()
        try:
            made = content.make()
            done = False
            while not done:
                with self._replica.slice() as until:
                    while not done and time.perf_counter() < until:
                        done = content.take_over(made, CHANGES)
        except Exception:
            content.give_up()
            metrics.CONTENT_FITS_FAILED.inc()
            raise
        self._next_renewal = 0.0
        taken = time.monotonic() - started
        self._next_basis = now + max(BETWEEN_BUILDS_S, taken / BUILDING)
        metrics.CONTENT_FITS.inc()

    def _outgrown(self, now: float) -> bool:
        """Whether most items have come since the last basis, and that is not too new."""
        of = self._content.generation
        if of is None:
            return True
        return self._content.n_known > 2 * of.basis.items and now - of.fitted_s > FIRST_BASIS_S

    def _embedding(self, row: int) -> Embedding | None:
        """Return the shop's own vector of an item, at unit length."""
        item = self._replica.catalogue.get(self._replica.engine.ids[row])
        return None if item is None else unit(content_of(item).embedding)


def content_of(item: Item) -> Content:
    """Return what an item of the catalogue is."""
    return Content(
        item.categories,
        item.attributes,
        item.title,
        item.kind,
        item.description,
        item.embedding,
    )
