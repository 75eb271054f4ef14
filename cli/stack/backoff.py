"""When to start again what has died: soon, but ever later while it keeps dying."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between a death and the next start; doubled with each further death."""

STEADY_S = 60.0
"""What has run this long has not died of its settings: the pause is reset."""


@dataclass
class Backoff:
    """The pause before the next start.

    >>> backoff = Backoff()
    >>> [backoff.after(lived_s=1) for _ in range(3)]
    [0.5, 1.0, 2.0]
    >>> backoff.after(lived_s=100)
    0.5
    """

    pause_s: float = FIRST_PAUSE_S

    def after(self, lived_s: float) -> float:
        """Return the seconds to wait after a death, and double the next pause."""
        if lived_s > STEADY_S:
            self.pause_s = FIRST_PAUSE_S
        pause = self.pause_s
        self.pause_s = min(2 * pause, LONGEST_PAUSE_S)
        return pause
