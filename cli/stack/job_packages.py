"""The Python packages of the jobs in one archive, for a Flink whose interpreter lacks them.

The interpreter has apache-flink, and what that requires; all else that the jobs import is sent.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cli.stack.layout import PROJECT

OURS = ("connections", "online_models", "records", "settings", "streaming")
"""Packages of the project that the jobs import, beside the client's, which is in ``proto``."""

REQUIRED = ("numba", "pydantic-settings", "river")
"""What they require that apache-flink does not; a test compares it with what they import."""

FLINK = "apache-flink"

COMPRESSION = 1
"""Most of the archive is libraries of LLVM and SciPy, which more effort makes hardly smaller."""


def write(archive: Path) -> None:
    """Write the archive: a zip that Flink extracts into a folder on the ``PYTHONPATH``."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as into:
        for name, file in files():
            into.write(file, name)


def files() -> Iterator[tuple[str, Path]]:
    """Yield each file of the archive: its name there, and where it is."""
    for root, name in (*((PROJECT, name) for name in OURS), (PROJECT / "proto", "nextclick")):
        for file in sorted((root / name).rglob("*.py")):
            yield str(file.relative_to(root)), file
    for name in sorted(closure(REQUIRED) - closure([FLINK])):
        for part in distribution(name).files or ():
            if ".." not in part.parts and part.suffix != ".pyc":
                yield str(part), Path(str(part.locate()))


def closure(names: Iterable[str]) -> set[str]:
    """Return the installed distributions of these names, and all that they require."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = normal(left.pop())
        try:
            required = distribution(name).requires or []
        except PackageNotFoundError:  # of another platform, or an extra
            continue
        if name not in found:
            found.add(name)
            left += [NAME.match(text)[0] for text in required if "extra ==" not in text]  # type: ignore[index]
    return found


NAME = re.compile(r"[A-Za-z0-9._-]+")
"""How a requirement begins."""


def normal(name: str) -> str:
    """Return a distribution's name as packaging tools compare them.

    >>> normal("Pydantic_Settings")
    'pydantic-settings'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
