"""Puts and deletes items through a server: at a pace, patiently, and without those it refuses."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from nextclick import (
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    Item,
    OverloadedError,
    UnavailableError,
)

CALL_ITEMS, CALL_CHARACTERS = 500, 500_000
"""Items of a call, and characters of their texts: its message is far from the limit of 4 MiB."""

NUMBER_BYTES = 8
"""Of a number in a message."""

PATIENCE_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 120.0, 0.5, 10.0
"""How long a server that has answered before may be away, and the pauses between two attempts."""

TOO_LARGE = re.compile(r"has \d+ (bytes|entries)(?: of JSON)?; send at most (\d+)")
PLACE = re.compile(r"\[(\d+)\]\.?")

Row = tuple[int, Item]
"""The number of a line, and the item that it holds."""

Refuse = Callable[[int, str], None]
"""Takes the number of a line, and why the server refuses its item."""


class Sender:
    """Writes items through a client.

    Parameters
    ----------
    client
        Calls the server.
    rate
        At most so many items a second.
    clock, sleep
        Return and pass monotonic seconds.
    """

    def __init__(
        self,
        client: Client,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._rate = rate
        self._clock, self._sleep = clock, sleep
        self._due = 0.0
        self._answered = False

    def put(self, rows: Iterable[Row], refuse: Refuse) -> Iterator[int]:
        """Put items; yield how many the server has taken, call by call.

        Raises
        ------
        NextclickError
            If the server does not answer at first, or is away for more than `PATIENCE_S`, or for
            whatever is not the fault of an item.
        """
        for batch in _batches(rows):
            yield self._call(
                batch, lambda some: self._client.put_items([item for _, item in some]), refuse
            )

    def delete(self, rows: Iterable[Row], refuse: Refuse) -> Iterator[int]:
        """Delete items, as `put` puts them."""
        for batch in _batches(rows):
            yield self._call(
                batch,
                lambda some: self._client.delete_items([item.item_id for _, item in some]),
                refuse,
            )

    def _call(
        self, batch: list[Row], method: Callable[[Sequence[Row]], int], refuse: Refuse
    ) -> int:
        """Return how many of the items were taken; the others are refused."""
        while batch:
            self._wait_for_turn(len(batch))
            try:
                return self._patiently(partial(method, batch))
            except InvalidRequestError as e:
                faults = _faults(e)
                if not faults:
                    raise
                for place, reason in faults.items():
                    refuse(batch[place][0], reason)
                batch = [row for place, row in enumerate(batch) if place not in faults]
        return 0

    def _wait_for_turn(self, items: int) -> None:
        now = self._clock()
        if now < self._due:
            self._sleep(self._due - now)
        self._due = max(self._due, now) + items / self._rate

    def _patiently(self, call: Callable[[], int]) -> int:
        """Return the answer of a call, tried again while the server is away or overloaded."""
        given_up = self._clock() + PATIENCE_S
        pause = FIRST_PAUSE_S
        while True:
            try:
                accepted = call()
            except (UnavailableError, OverloadedError, DeadlineExceededError):
                if not self._answered or self._clock() + pause > given_up:
                    raise
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self._answered = True
                return accepted


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists that fit into a call."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        size = _characters(row[1])
        if batch and (len(batch) == CALL_ITEMS or characters + size > CALL_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(row)
        characters += size
    if batch:
        yield batch


def _characters(item: Item) -> int:
    texts = [item.item_id, item.title, item.kind, item.description, item.image_url, item.page_url]
    texts += [*item.categories, *item.attributes, *item.attributes.values(), *item.numbers]
    return sum(map(len, texts)) + NUMBER_BYTES * (len(item.numbers) + len(item.embedding))


def _faults(error: InvalidRequestError) -> dict[int, str]:
    """Return why items are refused, by their places in the call; one reason for each.

    >>> from nextclick import FieldFault
    >>> fault = FieldFault("items[7].categories[0]", "has 130 bytes; send at most 128")
    >>> _faults(InvalidRequestError("", (fault,)))
    {7: 'categories: more than 128 bytes'}
    """
    faults: dict[int, str] = {}
    for fault in error.faults:
        if found := PLACE.search(fault.field):
            name = PLACE.sub("", fault.field[found.end() :]) or "item_id"
            said = TOO_LARGE.sub(r"more than \2 \1", fault.description)
            faults.setdefault(int(found[1]), f"{name}: {said}")
    return faults
