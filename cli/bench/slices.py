"""Slices of load: product and floor are asked in turn, so that both see the same minutes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from cli.bench import native


@dataclass(frozen=True)
class Target:
    """A server to be asked: its address, process, method and file of requests."""

    address: str
    process: psutil.Process
    method: str
    requests: Path


@dataclass
class Slices:
    """What slices of one kind have measured.

    Attributes
    ----------
    us
        Microseconds of an answer in each slice: [p50, p95, p99].
    cpu_us
        Microseconds of processor time per answer in each slice.
    answers_per_s
        Answers a second in each slice.
    """

    us: list[list[float]] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    answers_per_s: list[float] = field(default_factory=list)

    def medians(self, prefix: str = "") -> dict[str, float]:
        """Return the medians over the slices."""
        p50, p95, p99 = (statistics.median(column) for column in zip(*self.us, strict=True))
        return {
            f"{prefix}p50_us": p50,
            f"{prefix}p95_us": p95,
            f"{prefix}p99_us": p99,
            f"{prefix}cpu_us": statistics.median(self.cpu_us),
        }


class AlternatingSlices:
    """Asks the product and its floor in turn.

    Parameters
    ----------
    program
        The native client.
    product, floor
        The two servers.
    rounds
        Slices of each kind.
    seconds
        Length of a slice.
    tick
        Called after each slice.
    """

    def __init__(
        self,
        program: Path,
        product: Target,
        floor: Target,
        rounds: int,
        seconds: float,
        tick: Callable[[], None],
    ) -> None:
        self._program = program
        self._product, self._floor = product, floor
        self._rounds, self._seconds = rounds, seconds
        self._tick = tick
        self.errors = 0

    def warm_up(self) -> None:
        """Ask both for a slice that does not count."""
        self._ask(self._product, Slices(), 0)
        self._ask(self._floor, Slices(), 0)

    def both(self, rate: float = 0) -> dict[str, float]:
        """Return the medians of both, the floor's with the prefix ``floor_``.

        ``rate`` requests a second are sent whether answered or not; 0: one after another.
        """
        product, floor = Slices(), Slices()
        for _ in range(self._rounds):
            for target, slices in ((self._product, product), (self._floor, floor)):
                self._ask(target, slices, rate)
                self._tick()
        return product.medians() | floor.medians("floor_")

    def product(self, method: str, requests: Path) -> Slices:
        """Return slices of the product alone, on another method or other requests."""
        slices = Slices()
        target = Target(self._product.address, self._product.process, method, requests)
        for _ in range(self._rounds):
            self._ask(target, slices, 0)
            self._tick()
        return slices

    def _ask(self, target: Target, slices: Slices, rate: float) -> None:
        before = processor_time_s(target.process)
        load = native.run(
            self._program, target.address, target.method, target.requests, self._seconds, rate
        )
        used = processor_time_s(target.process) - before
        slices.us.append(np.percentile(load.us, [50, 95, 99]).tolist())
        slices.cpu_us.append(1e6 * used / len(load.us))
        slices.answers_per_s.append(len(load.us) / self._seconds)
        self.errors += load.errors


def processor_time_s(process: psutil.Process) -> float:
    """Return the processor time that a process has used, in nanoseconds' steps.

    Its own clock (``clock_getcpuclockid(3)``): ``cpu_times`` counts hundredths of a second.
    """
    return time.clock_gettime((~process.pid << 3) | 2)
