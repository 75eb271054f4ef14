"""The policies that a server can use, by name."""

from __future__ import annotations

from collections.abc import Callable

from online_models.ranking.policy import Policy

POLICIES: dict[str, Callable[[int], Policy]] = {}
"""Constructors of policies by name, called with a seed; `NEXTCLICK_POLICY` selects a server's."""


def make_policy(name: str, seed: int = 0) -> Policy | None:
    """Return the policy with a name, None if the name is empty.

    Raises
    ------
    ValueError
        If there is no such policy; the message lists the known ones.
    """
    if not name:
        return None
    if name not in POLICIES:
        known = ", ".join(sorted(POLICIES)) or "none"
        raise ValueError(f"there is no policy {name!r}; known are: {known}")
    return POLICIES[name](seed)
