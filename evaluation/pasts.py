"""What the users of a file did before each of its sessions, as the profiles of a shop have it.

The rules are those of `nextclick.v1.Profile`: the last 50 items of sessions that are over, each
once, by the last step on it; and how many of the steps were on an item that was already among them.
Files of clicks do not say what was bought or liked, so no item has a flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.datasets import Session
from nextclick.limits import PAST_ITEMS
from online_models.engine import Engine, Past


@dataclass(slots=True)
class Profile:
    """What one user did in sessions that are over.

    Attributes
    ----------
    last_ms
        By item, the last step on it; at most `PAST_ITEMS`, the last one last.
    steps, repeated_steps
        Steps of these sessions; those on an item that an earlier one had among ``last_ms``.
    """

    last_ms: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    repeated_steps: int = 0

    def add(self, session: Session) -> None:
        """Add a session that is over."""
        times_ms = session.times_ms or ()
        self.steps += len(session.items)
        self.repeated_steps += sum(item in self.last_ms for item in session.items)
        last_ms = dict(self.last_ms)
        for item, time_ms in zip(session.items, times_ms, strict=True):
            last_ms[item] = max(time_ms, last_ms.get(item, time_ms))
        latest = sorted(last_ms.items(), key=lambda entry: entry[1])[-PAST_ITEMS:]
        self.last_ms = dict(latest)

    @property
    def repeats(self) -> float:
        """Share of the steps that were repeated, 0..1."""
        return self.repeated_steps / self.steps if self.steps else 0.0


class Pasts:
    """What each session's user had done before it began.

    Parameters
    ----------
    sessions
        All sessions of the file; those without user or clock are passed over.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._of: dict[str, tuple[Profile, int]] = {}
        """By session: the profile when it began, and when that was."""
        by_user: dict[str, list[Session]] = {}
        for session in sessions:
            if session.user_id and session.times_ms:
                by_user.setdefault(session.user_id, []).append(session)
        for those in by_user.values():
            self._note(those)

    def _note(self, sessions: list[Session]) -> None:
        """Note the profiles of a user: a session is in those of sessions that begin after it."""
        over = sorted(sessions, key=_end_ms)
        profile, added = Profile(), 0
        for session in sorted(sessions, key=_begin_ms):
            while _end_ms(over[added]) < _begin_ms(session):
                profile = Profile(profile.last_ms, profile.steps, profile.repeated_steps)
                profile.add(over[added])
                added += 1
            if profile.last_ms:
                self._of[session.session_id] = (profile, _begin_ms(session))

    def of(self, session: Session, engine: Engine) -> Past | None:
        """Return what a session's user had done before it began; None: nothing."""
        profile, began_ms = self._of.get(session.session_id, (None, 0))
        if profile is None:
            return None
        times_ms = np.fromiter(profile.last_ms.values(), np.int64, len(profile.last_ms))
        past = Past(
            np.array(engine.rows_of(list(profile.last_ms)), np.int32),
            times_ms // 1_000,
            np.zeros(len(times_ms), np.uint8),
            profile.repeats,
        )
        return past.before(began_ms // 1_000)


def _begin_ms(session: Session) -> int:
    return (session.times_ms or (0,))[0]


def _end_ms(session: Session) -> int:
    return (session.times_ms or (0,))[-1]
