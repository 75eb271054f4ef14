"""Public click data: where the files lie, how they are split, and what others have published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.datasets import Session, load_sessions

TrainAndTest = tuple[Sequence[Session], Sequence[Session]]

THIRTY_MUSIC_TEST_MS = 1_420_675_200_000
"""2015-01-08 00:00 UTC: sessions from there on are the test."""


@dataclass(frozen=True)
class Published:
    """The best published figures of a split that could be read, in percent.

    Attributes
    ----------
    hit_rate, mrr
        The best HR@20 and the best MRR@20, which may be of two models.
    models
        The models that have reached them.
    cases
        Test cases that they are of, where they are not those of the split; None: the same.
    """

    hit_rate: float
    mrr: float
    models: str
    cases: int | None = None


@dataclass(frozen=True)
class Split:
    """Sessions to learn from and sessions to predict.

    Attributes
    ----------
    folder
        Name of its folder among the public data.
    name
        As tables and charts call it.
    load
        Returns the training and the test sessions from the folder's path.
    published
        HR@20 and MRR@20 of others; None if nobody has published any for this split.
    """

    folder: str
    name: str
    load: Callable[[Path], TrainAndTest]
    published: Published | None = None


def session_files(folder: Path) -> TrainAndTest:
    """Return a split whose two parts are files with a session a line."""
    train = load_sessions(folder / "train_sessions.csv.gz")
    return train, load_sessions(folder / "test_sessions.csv.gz")


def rsc15_week(folder: Path) -> TrainAndTest:
    """Return the RSC15 week of the session-rec comparison, with its clock."""
    train = load_sessions(folder / "rsc15_train_full.txt.gz")
    return train, load_sessions(folder / "rsc15_test.txt.gz")


def rsc15_days(folder: Path) -> TrainAndTest:
    """Return two neighbouring days of RSC15: the second is the test."""
    first = load_sessions(folder / "rsc15_day1.txt.gz")
    return first, load_sessions(folder / "rsc15_day2.txt.gz")


def thirty_music(folder: Path) -> TrainAndTest:
    """Return the sessions before the day of the split, and those after it.

    Of the latter only the songs that were played before that day are kept.
    """
    sessions = load_sessions(folder / "sessions_sample_10.csv.gz")
    early = [s for s in sessions if (s.times_ms or (0,))[0] < THIRTY_MUSIC_TEST_MS]
    known = {item for s in early for item in s.items}
    late = []
    for s in sessions:
        if (s.times_ms or (0,))[0] >= THIRTY_MUSIC_TEST_MS:
            kept = [(i, t) for i, t in zip(s.items, s.times_ms or (), strict=True) if i in known]
            if len(kept) > 1:
                items, times_ms = zip(*kept, strict=True)
                late.append(Session(s.session_id, items, times_ms))
    return early, late


PUBLISHED_SPLITS = (
    Split("rsc15_64_timed", "RSC15, one week", rsc15_week, Published(65.03, 31.65, "GRU4Rec")),
    Split(
        "yoochoose_1_64",
        "Yoochoose 1/64",
        session_files,
        Published(72.62, 32.61, "SR-PredictAO on SGNN-HN, 55,379 cases; SGNN-HN", cases=55_379),
    ),
    Split("diginetica", "Diginetica", session_files, Published(54.22, 19.07, "GCE-GNN; COTREC")),
    Split("tmall", "Tmall", session_files, Published(36.35, 18.04, "COTREC")),
    Split("nowplaying", "Nowplaying", session_files, Published(22.37, 8.40, "GCE-GNN")),
)
"""Splits that others have published figures for."""

OTHER_SPLITS = (
    Split("thirty_music", "30Music, 10 % sample", thirty_music),
    Split("rsc15_two_days", "RSC15, two days", rsc15_days),
)
"""Splits without published figures: results are compared with the baselines only."""
