"""What people see: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

TEXT = "..."

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


@contextmanager
def bars() -> Iterator[Callable[[str, int, int, str], None]]:
    """Yield a callback that shows the task at work as a bar: (task, done, total, note).

    Only one task is shown at a time; bars of finished ones stay on the screen.
    """
    shown: tuple[str, Progress] | None = None

    def show(task: str, done: int, total: int, note: str) -> None:
        nonlocal shown
        if shown is None or shown[0] != task:
            if shown is not None:
                shown[1].stop()
            shown = task, progress()
            shown[1].add_task(task, note="")
            shown[1].start()
        bar = shown[1]
        bar.update(bar.task_ids[0], completed=done, total=total, note=note)

    try:
        yield show
    finally:
        if shown is not None:
            shown[1].stop()


def print_error(sentence: str) -> None:
    """Print what went wrong, on standard error; in a terminal, lines end between words."""
    text = f"error: {sentence}"
    said = (_filled(text, err) if err.is_terminal else text).removeprefix("error:")
    err.print(f"[bold red]error:[/]{escape(said)}", highlight=False, soft_wrap=True)


def print_note(sentence: str) -> None:
    """Print a sentence on standard error, beside a result that programs read."""
    err.print(_filled(sentence, err), markup=False, highlight=False, soft_wrap=True)


def print_line(sentence: str) -> None:
    """Print a sentence on standard output; its lines end between words: a path stays whole."""
    out.print(_filled(sentence, out), markup=False, highlight=False, soft_wrap=True)


def print_json(result: Mapping[str, Any]) -> None:
    """Print one object on standard output, and nothing else."""
    sys.stdout.write(json.dumps(result) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that fits 80 columns, or the terminal.

    Parameters
    ----------
    title
        What it shows; with the unit, if all figures have the same.
    columns
        Their headings. The first names the rows, and is folded where there is no room; those that
        end with ``...`` (not printed) hold text, too. All others hold figures, which are never cut.
    rows
        The cells.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        if place == 0 or column.endswith(TEXT):
            table.add_column(column.removesuffix(TEXT), overflow="fold")
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    _print_title(title)
    out.print(table)
    out.print()


def print_result(title: str, rows: Mapping[str, str]) -> None:
    """Print a table of names and values."""
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(escape(name), escape(value))
    _print_title(title)
    out.print(table)


def _print_title(title: str) -> None:
    # Not a title of rich's table, which is folded where the table is narrower.
    out.print(f"[italic]{escape(title)}[/]", highlight=False)


def _filled(text: str, console: Console) -> str:
    """Return a text in lines that fit a console, none of which ends within a word."""
    return "\n".join(
        textwrap.fill(line, console.width, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
