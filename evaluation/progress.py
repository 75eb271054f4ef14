"""How a long evaluation reports its progress, without knowing who watches."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called now and then with (task, steps done, steps in all, a note, perhaps empty)."""


def silent(task: str, done: int, total: int, note: str) -> None:
    """Report nothing."""
