"""The group of commands ``nextclick bench``."""

from __future__ import annotations

import typer

from cli.bench.flood import flood
from cli.bench.freshness import freshness
from cli.bench.frontier import frontier
from cli.bench.gateway import gateway
from cli.bench.growth import growth
from cli.bench.guard import guard
from cli.bench.index import index
from cli.bench.learning import learning
from cli.bench.serving import serving
from cli.bench.throughput import throughput
from cli.bench.year import year

bench_app = typer.Typer(
    help="Benchmarks, each on a stack of its own.", no_args_is_help=True, rich_markup_mode=None
)
for command in (
    flood,
    freshness,
    frontier,
    gateway,
    growth,
    guard,
    index,
    learning,
    serving,
    throughput,
    year,
):
    bench_app.command()(command)
