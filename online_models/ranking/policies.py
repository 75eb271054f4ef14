"""The policies that a server can use, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from online_models.memory.names import unique
from online_models.ranking.policy import Policy


class PolicyClass(Protocol):
    """Constructs a policy, and knows its name."""

    name: str

    def __call__(self, seed: int) -> Policy:
        """Return the policy; what it draws follows from the seed."""


POLICIES: tuple[PolicyClass, ...] = ()
"""The classes of policies; `NEXTCLICK_POLICY` selects a server's by its name."""


def by_name(policies: Sequence[PolicyClass]) -> dict[str, PolicyClass]:
    """Return policies by their names.

    Raises
    ------
    ValueError
        If two have the same.
    """
    names = unique("policies", (policy.name for policy in policies))
    return dict(zip(names, policies, strict=True))


_KNOWN = by_name(POLICIES)


def make_policy(name: str, seed: int = 0) -> Policy | None:
    """Return the policy with a name, None if the name is empty.

    Raises
    ------
    ValueError
        If there is no such policy; the message lists the known ones.
    """
    if not name:
        return None
    if name not in _KNOWN:
        known = ", ".join(sorted(_KNOWN)) or "none"
        raise ValueError(f"there is no policy {name!r}; known are: {known}")
    return _KNOWN[name](seed)
