"""Data without a published table: the same figures, beside baselines, for the results page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluation.datasets import Session, load_sessions

BASELINES = ("popularity", "item-knn", "rules", "session-knn", "ranker", "prequential")
THIRTY_MUSIC_TEST_MS = 1_420_675_200_000
"""2015-01-08 00:00 UTC: sessions from there on are the test."""

HEAD = """
## Further data

No published tables: the 30Music sample (sessions from 2015-01-08 on are the test, songs that are in
the training part), and two neighbouring days of RSC15 (the second is the test). HR@20 / MRR@20,
static but for the last column.

| data | cases | popularity | item-knn | rules | session-knn | ranker | prequential |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Further:
    """A data set: its name, and its training and test sessions from a folder."""

    name: str
    load: Callable[[Path], tuple[list[Session], list[Session]]]


def thirty_music(folder: Path) -> tuple[list[Session], list[Session]]:
    """Return the sessions before the day, and those after it with the songs known by then."""
    sessions = load_sessions(folder / "sessions_sample_10.csv.gz")
    early = [s for s in sessions if (s.times_ms or (0,))[0] < THIRTY_MUSIC_TEST_MS]
    known = {item for s in early for item in s.items}
    late = []
    for s in sessions:
        if (s.times_ms or (0,))[0] >= THIRTY_MUSIC_TEST_MS:
            kept = [(i, t) for i, t in zip(s.items, s.times_ms or (), strict=True) if i in known]
            if len(kept) > 1:
                late.append(Session(s.session_id, *zip(*kept, strict=True)))
    return early, late


def two_days(folder: Path) -> tuple[list[Session], list[Session]]:
    """Return the sessions of both days."""
    first, second = (load_sessions(folder / f"rsc15_day{n}.txt.gz") for n in (1, 2))
    return first, second


FURTHER = {
    "thirty_music": Further("30Music, 10 % sample", thirty_music),
    "rsc15_two_days": Further("RSC15, two days", two_days),
}
