"""Policies that can be judged: how likely each candidate is at a place, given those before it.

A policy is a TOML file, such as

    kind = "plackett-luce"
    temperature = 0.5

What serves an answer is a policy of `online_models.ranking.policies`; what stands here is how one
chooses, as a function of the candidates' scores and of what is left. So a policy can be judged
before it exists, and its parameters can be chosen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Protocol, get_type_hints

import numpy as np
from scipy.special import log_ndtr

from evaluation.errors import EvaluationError
from evaluation.off_policy.logged_policy import LoggedPolicy
from evaluation.off_policy.pages import Block, Bools, Floats

Chooser = Callable[[Bools, int], Floats]
"""Returns the probability of each candidate, (m, c), given which are left, (m, c), and the number
of the place. Rows sum to 1 where anything is left; what is not left has 0."""


class PolicyFileError(EvaluationError):
    """A file that describes no policy."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path}: {reason}")


class TargetPolicy(Protocol):
    """A policy to judge."""

    kind: ClassVar[str]

    def chooser(self, block: Block) -> Chooser:
        """Return how it chooses on the pages of a block."""


@dataclass(frozen=True)
class Uniform:
    """Chooses any of the candidates that are left, each as likely as the others."""

    kind: ClassVar[str] = "uniform"

    def chooser(self, block: Block) -> Chooser:
        """See `TargetPolicy.chooser`."""
        return lambda left, place: _shared(left)


@dataclass(frozen=True)
class Greedy:
    """Chooses the best that is left: what is answered without a policy."""

    kind: ClassVar[str] = "greedy"

    def chooser(self, block: Block) -> Chooser:
        """See `TargetPolicy.chooser`."""
        return lambda left, place: _best(block.score, left)


@dataclass(frozen=True)
class EpsilonGreedy:
    """Chooses the best that is left, or with probability ``epsilon`` any that is left."""

    epsilon: float
    kind: ClassVar[str] = "epsilon-greedy"

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise ValueError("epsilon: must be from 0 to 1")

    def chooser(self, block: Block) -> Chooser:
        """See `TargetPolicy.chooser`."""
        e = self.epsilon
        return lambda left, place: (1 - e) * _best(block.score, left) + e * _shared(left)


@dataclass(frozen=True)
class PlackettLuce:
    """Chooses with probabilities that are proportional to exp(score / temperature)."""

    temperature: float
    kind: ClassVar[str] = "plackett-luce"

    def __post_init__(self) -> None:
        _check_positive("temperature", self.temperature)

    def chooser(self, block: Block) -> Chooser:
        """See `TargetPolicy.chooser`."""
        logits = block.score / self.temperature

        def choose(left: Bools, place: int) -> Floats:
            some = np.where(left, logits, -np.inf)
            most = some.max(axis=1, keepdims=True)
            odds = np.exp(some - np.where(np.isfinite(most), most, 0.0))
            return _normalised(odds)

        return choose


@dataclass(frozen=True)
class Thompson:
    """Draws a value for each candidate and place, normal around its score; chooses the greatest.

    ``spread`` is the standard deviation. The probability that a candidate's value is the greatest,
    ∫ f_a(t) Π_{b≠a} F_b(t) dt, is a sum over `POINTS` points: the integrand is smooth and vanishes
    at both ends, so that the sum has an error below 1e-6.
    """

    spread: float
    kind: ClassVar[str] = "thompson"
    POINTS: ClassVar[int] = 48
    REACH: ClassVar[float] = 7.0

    def __post_init__(self) -> None:
        _check_positive("spread", self.spread)

    def chooser(self, block: Block) -> Chooser:
        """See `TargetPolicy.chooser`."""

        def choose(left: Bools, place: int) -> Floats:
            some = np.where(left, block.score, -np.inf)
            most = some.max(axis=1, keepdims=True)
            behind = (some - np.where(np.isfinite(most), most, 0.0)) / self.spread
            t = np.linspace(-self.REACH, self.REACH, self.POINTS)
            # The greatest value of all is hardly below the one drawn around the highest score.
            away = np.where(left, -behind, 1e3)[:, :, None] + t  # (m, c, points)
            below = np.where(left[:, :, None], log_ndtr(away), 0.0)
            density = -0.5 * away**2
            odds = np.exp(density - below + below.sum(axis=1, keepdims=True)).sum(axis=2)
            return _normalised(np.where(left, odds, 0.0))

        return choose


_EVERY: tuple[type[TargetPolicy], ...] = (
    Uniform,
    Greedy,
    EpsilonGreedy,
    PlackettLuce,
    Thompson,
    LoggedPolicy,
)

KINDS = {policy.kind: policy for policy in _EVERY}
"""What ``kind`` may be."""


def load_policy(path: Path) -> TargetPolicy:
    """Return the policy that a file describes.

    Raises
    ------
    PolicyFileError
        If it cannot be read, or a field is missing, unknown or out of range; it names the field.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise PolicyFileError(path, e.strerror or e) from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise PolicyFileError(path, f"is no TOML: {e}") from e
    try:
        return policy_of(said, path.parent)
    except ValueError as e:
        raise PolicyFileError(path, e) from e


def policy_of(said: Mapping[str, Any], folder: Path = Path()) -> TargetPolicy:
    """Return the policy that fields describe.

    Parameters
    ----------
    said
        ``kind`` and the parameters of that kind.
    folder
        Where files lie that it names.

    Raises
    ------
    ValueError
        If a field is missing, unknown or out of range; it names the field.

    Examples
    --------
    >>> policy_of({"kind": "epsilon-greedy", "epsilon": 0.1})
    EpsilonGreedy(epsilon=0.1)
    """
    kind = said.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is not known; known are {', '.join(KINDS)}")
    made: Any = KINDS[kind]
    types = get_type_hints(made)
    known = {field.name: field for field in fields(made)}
    for name in said.keys() - known.keys() - {"kind"}:
        takes = ", ".join(known) or "nothing"
        raise ValueError(f"{name}: is not known; {kind} takes {takes}")
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in said:
            if field.default is MISSING:
                raise ValueError(f"{name}: is missing; {kind} needs it")
            continue
        values[name] = _typed(name, said[name], types[name], folder)
    policy: TargetPolicy = made(**values)
    return policy


def _typed(name: str, value: Any, wanted: Any, folder: Path) -> Any:
    if wanted is Path:
        if not isinstance(value, str):
            raise ValueError(f"{name}: must be the path of a file")
        return folder / value
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name}: must be a number")
    return float(value)


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: must be above 0")


def _shared(left: Bools) -> Floats:
    return _normalised(left.astype(np.float64))


def _best(score: Floats, left: Bools) -> Floats:
    some = np.where(left, score, -np.inf)
    best = np.zeros(left.shape)
    any_left = left.any(axis=1)
    best[np.flatnonzero(any_left), some.argmax(axis=1)[any_left]] = 1
    return best


def _normalised(odds: Floats) -> Floats:
    total = odds.sum(axis=1, keepdims=True)
    shares: Floats = odds / np.where(total > 0, total, 1.0)
    return shares
