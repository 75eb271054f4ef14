"""What an extra of the package brings, and what of it is not installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires

PACKAGE = "nextclick"

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(\[(?P<extras>[\w, -]+)\])?[^;]*(;.*extra == .(?P<extra>[\w-]+).*)?"
)


def missing(extra: str) -> str:
    """Return a sentence that names what of an extra is not installed, empty if nothing is.

    Each room calls it first. Where the package itself is not installed, its requirements are not
    known, and Python says what it does not find.
    """
    names = sorted(name for name in set(_requirements(extra)) if not _installed(name))
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb} not installed: pip install '{PACKAGE}[{extra}]'"


def _requirements(extra: str) -> Iterator[str]:
    """Yield the names of an extra's distributions, and of those of the extras that it includes."""
    for requirement in requires(PACKAGE) or () if _installed(PACKAGE) else ():
        found = _REQUIREMENT.fullmatch(requirement)
        if found is None or found["extra"] != extra:
            continue
        if found["name"] != PACKAGE:
            yield found["name"]
            continue
        for included in found["extras"].split(","):
            yield from _requirements(included.strip())


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
