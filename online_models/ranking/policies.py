"""The policies that a server may be told to use, by name."""

from __future__ import annotations

from collections.abc import Callable

from online_models.ranking.policy import Policy

POLICIES: dict[str, Callable[[int], Policy]] = {}
"""Policies by name, made from a seed; `NEXTCLICK_POLICY` names the one that a server uses."""


def make_policy(name: str, seed: int = 0) -> Policy | None:
    """Return the policy of a name, None for an empty one.

    Raises
    ------
    ValueError
        If there is none of that name; says which there are.
    """
    if not name:
        return None
    if name not in POLICIES:
        known = ", ".join(sorted(POLICIES)) or "none"
        raise ValueError(f"there is no policy {name!r}; known are: {known}")
    return POLICIES[name](seed)
