"""The stages of a call: what it was at, and since when.

Whoever works on a call enters its stages one after another. For most calls that does nothing, since
nobody times them (`UNTIMED`); those that are explained or traced have `Stages`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

Fact = str | int

clock_ns = time.perf_counter_ns


class Untimed:
    """The stages of a call that nobody times."""

    __slots__ = ()

    trace_id = ""
    """Names the call's trace; empty: it has none."""

    facts: dict[str, Fact] | None = None
    """What a trace says of the call, by name, nothing of it personal; None: there is no trace."""

    def enter(self, stage: str) -> None:
        """Note that a stage begins, and that the one before it has so ended."""

    def end(self, code: int) -> None:
        """Note that the call was answered, with a google.rpc code."""

    def apart(self, stage: str, began_ns: int) -> None:
        """Note a stage that ends now, and for which no caller has waited."""


UNTIMED = Untimed()


def untimed(_path: bytes, _metadata: object) -> Untimed:
    """Return the stages of any call where no call is traced."""
    return UNTIMED


class Stages(Untimed):
    """The stages of one call, of which the last one lasts.

    Parameters
    ----------
    first
        Name of the first stage.
    began_ns
        When it began, as `clock_ns` tells the time.
    """

    __slots__ = ("_entered",)

    def __init__(self, first: str, began_ns: int) -> None:
        self._entered = [(first, began_ns)]

    def enter(self, stage: str) -> None:
        """See `Untimed`."""
        self._entered.append((stage, clock_ns()))

    def spans(self) -> Iterator[tuple[str, int, int]]:
        """Yield each stage, when it began and when it ended, the last one now."""
        ends = [*(began_ns for _, began_ns in self._entered[1:]), clock_ns()]
        for (stage, began_ns), ended_ns in zip(self._entered, ends, strict=True):
            yield stage, began_ns, ended_ns
