"""The policy that has written another log, as far as its logged propensities tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from evaluation.off_policy.bandit_logs import load_log
from evaluation.off_policy.pages import Block, Bools, Floats, Ints, Pages


@dataclass(frozen=True)
class LoggedPolicy:
    """Chooses as the policy that wrote the log ``file``: of single slots.

    Each item's probability at a position is the one that was logged nearest in time; all of them
    are then scaled to sum to 1. It tells nothing of clicks, so that nothing of the future is known.
    """

    file: Path
    kind: ClassVar[str] = "logged"

    @cached_property
    def _log(self) -> Pages:
        return load_log(self.file)

    def chooser(self, block: Block) -> Callable[[Bools, int], Floats]:
        """See `TargetPolicy.chooser`; an item that the log never shows there has 0."""
        numbers = {name: number for number, name in enumerate(self._log.names)}
        known = np.array([numbers.get(name, -1) for name in block.pages.names])
        nearest = self._nearest(block, known)

        def choose(left: Bools, place: int) -> Floats:
            some = np.where(left, nearest, 0.0)
            total = some.sum(axis=1, keepdims=True)
            chosen: Floats = some / np.where(total > 0, total, 1.0)
            return chosen

        return choose

    def _nearest(self, block: Block, known: Ints) -> Floats:
        """Return the propensity of each candidate that was logged nearest in time, (m, c)."""
        log, pages = self._log, block.pages
        found = np.zeros(block.item.shape)
        logged_item, logged_place = log.shown_item[:, 0], log.place[:, 0]
        numbers = np.where(block.there, known[block.item], -1)
        for place in np.unique(pages.place[:, 0]):
            rows = np.flatnonzero(pages.place[:, 0] == place)
            for number in np.unique(numbers[rows]):
                which = np.flatnonzero((logged_item == number) & (logged_place == place))
                if number < 0 or not len(which):
                    continue
                which = which[np.argsort(log.time_s[which], kind="stable")]
                at_row, at_column = np.nonzero(numbers[rows] == number)
                nearest = which[_nearest_of(log.time_s[which], pages.time_s[rows[at_row]])]
                found[rows[at_row], at_column] = log.propensity[nearest, 0]
        return found


def _nearest_of(times: Floats, asked: Floats) -> Ints:
    """Return which of rising times is the nearest one to each that is asked for."""
    after = np.clip(np.searchsorted(times, asked), 1, max(len(times) - 1, 1))
    after = np.minimum(after, len(times) - 1)
    before = np.maximum(after - 1, 0)
    nearest: Ints = np.where(asked - times[before] <= times[after] - asked, before, after)
    return nearest
