"""The group of commands ``nextclick bench``."""

from __future__ import annotations

import typer

from cli.bench.freshness import freshness
from cli.bench.frontier import frontier
from cli.bench.growth import growth
from cli.bench.index import index
from cli.bench.learning import learning
from cli.bench.serving import serving
from cli.bench.throughput import throughput

bench_app = typer.Typer(
    help="Benchmarks, each on a stack of its own.", no_args_is_help=True, rich_markup_mode=None
)
bench_app.command()(freshness)
bench_app.command()(frontier)
bench_app.command()(growth)
bench_app.command()(index)
bench_app.command()(learning)
bench_app.command()(serving)
bench_app.command()(throughput)


@bench_app.callback()
def _group() -> None:
    """Keep ``bench freshness`` a sub-command."""
