"""``nextclick results``: evaluates every ranking on the public data and writes the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import bars, print_line
from cli.files import check_writable
from cli.stack.layout import SAMPLE
from evaluation.report import write_report


def results(
    data: Annotated[
        Path, typer.Option(help="Folder of the public data.", exists=True, file_okay=False)
    ],
    page: Annotated[Path, typer.Option(help="The page to write.", dir_okay=False)] = Path(
        "docs/results.md"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the ranker, for the median.")] = 3,
) -> None:
    """Evaluate every ranking on the public splits and write docs/results.md and its chart.

    nextclick results --data ../data
    """
    check_writable(page)
    with bars() as progress:
        write_report(data, SAMPLE, page, seeds, progress)
    print_line(f"wrote {page}")
