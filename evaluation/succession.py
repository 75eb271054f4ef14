"""Catalogues that succeed one another, and the visits of each day: real sessions on other items.

A catalogue has places. Each item of the sampled sessions is a place, and each day every place holds
one item: the sessions of a day are sampled ones with the items that their places hold. Items are
exchanged each day; some of those that left return later, in the place of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from evaluation.datasets import Session

DAYS = 365
EXCHANGED = 0.1
"""Share of the places that get another item each day."""

RETURNING, AWAY_DAYS = 1 / 3, 40
"""Share of the items that return after they have left, and the most days until then."""

BOTS = 0.05
"""Share of the clicks that come from bots."""

BOT_CLICKS = 20
"""Clicks of a bot's session, each on an id that it has invented."""

DAY_S, STEP_S = 86_400, 30
"""Seconds of a day; between two clicks of a session without a clock."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A session: its items and their times in seconds, and whether a bot invented the items."""

    items: list[str]
    times_s: list[int]
    bot: bool


@dataclass(frozen=True, slots=True)
class Day:
    """A day: items that leave the catalogue and items that come, before the day's visits."""

    left: list[str]
    came: list[str]
    visits: list[Visit] = field(default_factory=list)


def catalogues(places: int, days: int = DAYS, seed: int = 0) -> Iterator[tuple[Day, list[str]]]:
    """Yield each day's changes, without visits, and the items by place.

    Parameters
    ----------
    places
        Items of a catalogue. All of them come on the first day.
    days
        How many.
    seed
        Seed of what is exchanged, and of what returns when.

    Examples
    --------
    >>> for day, items in catalogues(10, days=3):
    ...     print(len(day.left), len(day.came), len(set(items)))
    0 10 10
    1 1 10
    1 1 10
    """
    random = np.random.default_rng((seed, 1))
    unused = map("i{}".format, count())
    items = [next(unused) for _ in range(places)]
    yield Day([], list(items)), items
    returning: list[list[str]] = [[] for _ in range(days + AWAY_DAYS + 1)]
    due: list[str] = []
    for day in range(1, days):
        due += returning[day]
        exchanged = random.choice(places, max(round(EXCHANGED * places), 1), replace=False)
        left = [items[place] for place in exchanged]
        came = [due.pop() if due else next(unused) for _ in left]
        for place, item in zip(exchanged, came, strict=True):
            items[place] = item
        for item in left:
            if random.random() < RETURNING:
                returning[day + 1 + int(random.integers(AWAY_DAYS))].append(item)
        yield Day(left, came), items


def different_items(places: int, days: int = DAYS, seed: int = 0) -> int:
    """Return how many different items `catalogues` has on all days together."""
    return len({item for day, _ in catalogues(places, days, seed) for item in day.came})


def year_of(
    sampled: Sequence[Session], clicks: int, days: int = DAYS, seed: int = 0
) -> Iterator[Day]:
    """Yield the days, with as many visits as make ``clicks`` clicks in all, or a few more.

    Parameters
    ----------
    sampled
        Sessions to draw from, with replacement; their items are the places.
    clicks
        Clicks in all, of bots too.
    days
        How many; each has about as many clicks.
    seed
        Seed of everything random.
    """
    numbers: dict[str, int] = {}
    sessions = [[numbers.setdefault(i, len(numbers)) for i in s.items] for s in sampled]
    pauses = [_seconds(s) for s in sampled]
    random = np.random.default_rng((seed, 2))
    n = bots = 0
    invented = _invented()
    for which, (day, items) in enumerate(catalogues(len(numbers), days, seed)):
        begin, until = n, clicks * (which + 1) // days
        while n < until:
            start = which * DAY_S + DAY_S * (n - begin) // max(until - begin, 1)
            bot = bots < BOTS * n
            if bot:
                visited = next(invented)
                times = [start + 1 + step for step in range(BOT_CLICKS)]
                bots += BOT_CLICKS
            else:
                drawn = int(random.integers(len(sessions)))
                visited = [items[place] for place in sessions[drawn]]
                times = [start + 1 + pause for pause in pauses[drawn]]
            day.visits.append(Visit(visited, times, bot))
            n += len(visited)
        yield day


def _invented() -> Iterator[list[str]]:
    """Yield the items of each bot's session; every second one's are those of the next one, too."""
    ids = map("bot{}".format, count())
    for which in count():
        items = [next(ids) for _ in range(BOT_CLICKS)]
        yield from [items, items] if which % 2 else [items]


def part_of(sampled: Sequence[Session], clicks: int) -> list[Session]:
    """Return the first sessions, as many as have ``clicks`` clicks; all if they have fewer."""
    part: list[Session] = []
    n = 0
    for session in sampled:
        if n >= clicks:
            break
        part.append(session)
        n += len(session.items)
    return part


def _seconds(session: Session) -> list[int]:
    """Return the seconds since a session's first click."""
    if session.times_ms is None:
        return [STEP_S * step for step in range(len(session.items))]
    return [(t - session.times_ms[0]) // 1_000 for t in session.times_ms]
