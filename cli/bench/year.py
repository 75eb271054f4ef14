"""``nextclick bench year``: models whose table is small, over a year of catalogues."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Annotated, Any, NamedTuple

import numpy as np
import psutil
import typer

from cli.bench.charts import save_year
from cli.console import print_json, print_result, print_table, progress
from cli.errors import CommandError
from cli.figures import count, hundredths, percent
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json, Seed
from cli.stack.layout import SAMPLE
from cli.stack.temporary import results_folder
from evaluation.datasets import Session, load_sessions
from evaluation.endurance import LONG_US, Endurance, Life, faster_of, longest
from evaluation.succession import BOT_CLICKS, BOTS, different_items, part_of, year_of
from online_models import metrics
from online_models.engine import Engine
from online_models.engine.warm_up import warm_up
from online_models.memory.layout import Limits
from server.interpreter import exempt_from_collection

TABLES = 20
"""Different items in all, as a multiple of the rows of the bounded models."""

CLICKS_A_ROW = 44
"""Clicks in all for each sampled one: fewer clicks are those of a smaller catalogue."""

SESSIONS_A_ROW = 4
"""Sessions and pairs that are kept, as a multiple of the rows: as in the default limits."""

BOUNDED, AGAIN, ROOMY = "bounded", "bounded, again", "roomy"
TENTHS, QUARTERS = 10, 4
MEGABYTE = 1 << 20


class Lived(NamedTuple):
    """What a process has measured.

    Parameters
    ----------
    items
        Different items of the year.
    table
        Rows of the models.
    life
        The measurements.
    """

    items: int
    table: int
    life: Life


def year(
    clicks: Annotated[int, typer.Option(min=10_000, help="Clicks of the year.")] = 5_000_000,
    seed: Seed = 0,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Compare models whose table holds a twentieth of a year's items with models that hold all.

    The sample's sessions, resampled over 365 catalogues: a tenth of the items is exchanged each
    day, a third of those that left return, 5 % of the clicks are a bot's on invented ids, half of
    which it clicks in two sessions. Times are of the processor, and call by call those of the
    faster of two equal lives, so that what a shared machine adds to single calls counts little.
    Each life is in a process of its own.

    nextclick bench year --clicks 300000
    """
    lived: dict[str, Lived] = {}
    context = multiprocessing.get_context("spawn")
    connections: dict[Connection, str] = {}
    with progress() as bar:
        tasks = {}
        for name in (BOUNDED, AGAIN, ROOMY):
            mine, others = context.Pipe(duplex=False)
            context.Process(target=live, args=(name, clicks, seed, others), daemon=True).start()
            others.close()
            connections[mine] = name
            tasks[name] = bar.add_task(name, total=clicks, note="")
        while connections:
            for ready in wait(list(connections)):
                assert isinstance(ready, Connection)
                name = connections[ready]
                try:
                    message = ready.recv()
                except EOFError:
                    raise CommandError(f"the process of the {name} models has died") from None
                if isinstance(message, Lived):
                    lived[name] = message
                    del connections[ready]
                else:
                    done, note = message
                    bar.update(tasks[name], completed=done, note=f"hit rate {note}")
    result = compared(lived[BOUNDED], lived[AGAIN], lived[ROOMY])
    save_year(results_folder(home) / "year", result)
    if json:
        print_json(result)
    else:
        show(result)


def live(name: str, clicks: int, seed: int, parent: Connection) -> None:
    """Let models live through the year, and send the parent progress, then the figures."""
    sampled = part_of(load_sessions(SAMPLE / "train.txt.gz"), clicks // CLICKS_A_ROW)
    limits, items = limits_of(name, sampled, clicks, seed)
    warm_up()
    process = psutil.Process()
    # The last session may go beyond the last click.
    most = clicks + BOT_CLICKS + max(len(session.items) for session in sampled)
    endurance = Endurance(Engine(limits, seed), most, lambda: int(process.memory_info().rss))
    exempt_from_collection()
    life = endurance.live(
        year_of(sampled, clicks, seed=seed),
        lambda _, done, __, note: parent.send((done, note)),
    )
    parent.send(Lived(items, limits.max_items, life))


def limits_of(name: str, sampled: Sequence[Session], clicks: int, seed: int) -> tuple[Limits, int]:
    """Return the models' bounds, in the proportions of the default, and the items of the year."""
    items = different_items(len({item for session in sampled for item in session.items}), seed=seed)
    rows = items // TABLES
    if name != ROOMY:
        kept = _power_of_two(SESSIONS_A_ROW * rows)
        return Limits(max_items=rows, max_sessions=kept, pairs=kept), items
    rows = items + int(2 * BOTS * clicks)
    return Limits(
        max_items=rows,
        max_sessions=_power_of_two(clicks),
        pairs=_power_of_two(SESSIONS_A_ROW * rows),
        provisional_share=1.0,
    ), items


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def figures(life: Life) -> dict[str, Any]:
    """Return a life's figures, by tenth too."""
    n = len(life.learn_us)
    tenth_of_click = np.arange(n) * TENTHS // n
    tenth_of_case = life.case_at * TENTHS // n
    after, memory = np.array(life.memory).T
    quarter = after * QUARTERS // (n + 1)
    return {
        "clicks": n,
        "cases": len(life.hits),
        "hit_rate": float(life.hits.mean()),
        "memory_mb": [float(memory[quarter == q].mean()) / MEGABYTE for q in range(QUARTERS)],
        "tenths": [
            {
                "hit_rate": float(life.hits[tenth_of_case == t].mean()),
                "learn_us": metrics.spread(life.learn_us[tenth_of_click == t]),
                "recommend_us": metrics.spread(life.recommend_us[tenth_of_case == t]),
            }
            for t in range(TENTHS)
        ],
    }


def compared(bounded: Lived, again: Lived, roomy: Lived) -> dict[str, Any]:
    """Return the figures of the bounded models, and their ratios."""
    life = faster_of(bounded.life, again.life)
    result, holds = figures(life), longest(life)
    with_room = figures(roomy.life)
    tenths, memory = result["tenths"], result["memory_mb"]
    for tenth, other in zip(tenths, with_room["tenths"], strict=True):
        tenth["roomy_hit_rate"] = other["hit_rate"]
    return {
        "items": bounded.items,
        "table": bounded.table,
        **result,
        "roomy_hit_rate": with_room["hit_rate"],
        "roomy_memory_mb": with_room["memory_mb"],
        "hit_rate_ratio": result["hit_rate"] / with_room["hit_rate"],
        "memory_ratio": memory[-1] / memory[1],
        **{
            f"{name}_p99_ratio": tenths[-1][f"{name}_us"]["p99"] / tenths[1][f"{name}_us"]["p99"]
            for name in ("learn", "recommend")
        },
        "longest_ms": {name: us / 1_000 for name, us in holds.items()},
        # Where no call was long, none took more than this.
        "longest_hold_ms": max(holds.values(), default=LONG_US) / 1_000,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures, and a line for each tenth of the year."""
    hold = max(result["longest_ms"].items(), key=lambda call: call[1], default=("any", 0.0))
    print_result(
        "A year",
        {
            "clicks": count(result["clicks"]),
            "items in all, rows": f"{count(result['items'])}, {count(result['table'])}",
            "hit rate@20": percent(result["hit_rate"]),
            "  with room for all": percent(result["roomy_hit_rate"]),
            "  ratio": f"{result['hit_rate_ratio']:.3f}",
            "memory by quarter, MB": ", ".join(f"{mb:,.0f}" for mb in result["memory_mb"]),
            "  with room for all, MB": ", ".join(f"{mb:,.0f}" for mb in result["roomy_memory_mb"]),
            "  last quarter to second": f"{result['memory_ratio']:.3f}",
            "p99 of learning, last tenth to second": f"{result['learn_p99_ratio']:.2f}",
            "p99 of answers, last tenth to second": f"{result['recommend_p99_ratio']:.2f}",
            "longest hold": f"{result['longest_hold_ms']:.2f} ms ({hold[0]})",
        },
    )
    print_table(
        "By tenth of the year",
        (
            *("tenth", "hit rate,\n%", "with room\nfor all, %", "learning\np50, us", "p99, us"),
            *("answer\np50, us", "p99, us"),
        ),
        [
            (
                str(number),
                hundredths(tenth["hit_rate"]),
                hundredths(tenth["roomy_hit_rate"]),
                *(
                    f"{tenth[name][percentile]:,.0f}"
                    for name in ("learn_us", "recommend_us")
                    for percentile in ("p50", "p99")
                ),
            )
            for number, tenth in enumerate(result["tenths"], 1)
        ],
    )
