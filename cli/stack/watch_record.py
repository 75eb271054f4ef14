"""What the supervisor of a stack has seen of each part: kept in a file, for `nextclick status`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field

from cli.stack.backoff import FIRST_PAUSE_S
from cli.stack.layout import Home

WATCH_FILE = "watched.json"
LINES = 12
"""Last lines of a part's log that are kept at its death."""


@dataclass
class Deaths:
    """The deaths of a part.

    Parameters
    ----------
    restarts
        Times that it was started again.
    last_exit
        How it ended last: ``exit 1``, ``signal 9``, ``unknown`` where another process started it,
        or why it could not be started; empty if it has not ended.
    last_died
        When, in seconds since 1970.
    log
        The last lines of its log then.
    pause_s
        Pause before the start after its next death.
    """

    restarts: int = 0
    last_exit: str = ""
    last_died: float = 0.0
    log: list[str] = field(default_factory=list)
    pause_s: float = FIRST_PAUSE_S


def read(home: Home) -> dict[str, Deaths]:
    """Return the deaths of each part and job; empty if nothing was recorded."""
    try:
        recorded = json.loads((home.root / WATCH_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: Deaths(**deaths) for name, deaths in recorded.items()}


def write(home: Home, deaths: dict[str, Deaths]) -> None:
    """Record the deaths of all parts, atomically."""
    temporary = home.path() / f"{WATCH_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps({name: asdict(d) for name, d in deaths.items()}, indent=2))
    temporary.replace(home.root / WATCH_FILE)


def forget(home: Home) -> None:
    """Delete the record."""
    (home.root / WATCH_FILE).unlink(missing_ok=True)
