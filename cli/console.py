"""What people see: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# Without a terminal there is no width to fit into.
err = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
out = Console()


def progress() -> Progress:
    """Return a progress bar with counts, a note (``note=``) and the time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=err,
    )


def print_json(result: Mapping[str, Any]) -> None:
    """Print one object on standard output, and nothing else."""
    sys.stdout.write(json.dumps(result) + "\n")


def print_result(title: str, rows: Mapping[str, str]) -> None:
    """Print a table of names and values."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    out.print(table)
