"""Files of clicks: options that say what their columns are, and the report of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.console import err
from evaluation.click_files.columns import Columns
from evaluation.click_files.report import Report
from evaluation.datasets import Session, read_sessions

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


def read_files(paths: Sequence[Path], columns: Columns) -> tuple[list[Session], Report]:
    """Return the sessions of files, and print on standard error what was read and what was not."""
    sessions, report = read_sessions(paths, columns)
    for line in report.lines():
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    return sessions, report
