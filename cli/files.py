"""Files of clicks: options that say what their columns are, and the report of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.console import err
from cli.errors import CommandError
from evaluation.click_files.columns import Columns
from evaluation.click_files.report import Report
from evaluation.datasets import Session, read_sessions
from nextclick.limits import MAX_ID_BYTES

ClickFiles = Annotated[
    list[Path],
    typer.Argument(help="Clicks; several files are read as one log.", exists=True, dir_okay=False),
]
SessionColumn = Annotated[
    str | None,
    typer.Option(
        "--session", help="Column of sessions: its name, its number, or -: none; else guessed."
    ),
]
UserColumn = Annotated[
    str | None,
    typer.Option(
        "--user",
        help="Column of users; without sessions, 30 idle minutes end one.",
    ),
]
ItemColumn = Annotated[str | None, typer.Option("--item", help="Column of items.")]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        help="Column of times: COLUMN; COLUMN=FORMAT with a format of strptime, or s, ms, us, ns; "
        "DATE+TIME where two columns make one.",
    ),
]
TypeColumn = Annotated[
    str | None,
    typer.Option(
        "--type",
        help="Column of events' types: COLUMN; COLUMN=VALUE,VALUE with those that are clicks.",
    ),
]


def read_files(
    paths: Sequence[Path], columns: Columns, prefix: str = ""
) -> tuple[list[Session], Report]:
    """Return the sessions of files, and print on standard error what was read and what was not.

    Parameters
    ----------
    paths
        The files.
    columns
        What the options say of their columns.
    prefix
        What will be put before the session ids; those that it makes too long are refused.

    Raises
    ------
    CommandError
        If nothing may be named with the prefix.
    """
    if prefix.startswith("u:"):
        raise CommandError('--prefix must not begin with "u:", which names users')
    try:
        name_bytes = MAX_ID_BYTES - len(prefix.encode())
    except UnicodeEncodeError:
        raise CommandError("--prefix is not UTF-8; choose another") from None
    sessions, report = read_sessions(paths, columns, name_bytes=name_bytes)
    for line in report.lines():
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    return sessions, report


def check_writable(*paths: Path | None) -> None:
    """Raise `OSError` for a file that cannot be written: before the work, not after it."""
    for path in paths:
        if path is not None:
            path.open("a").close()
