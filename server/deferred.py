"""An answer that needs a read first, which may take longer than other callers should wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Deferred(NamedTuple, Generic[T]):
    """Two ways to an answer: one to be called aside, and one for when all who could are busy."""

    wait: Callable[[], T]
    """Reads, then answers; may block for a bounded time."""
    at_once: Callable[[], T]
    """Answers without the read; must not block."""
