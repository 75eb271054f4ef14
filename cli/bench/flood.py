"""``nextclick bench flood``: real visitors beside a robot that invents an item for each click."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from confluent_kafka import Consumer

from cli.bench.charts import save_json
from cli.bench.load import live_clicks
from cli.bench.probes import LIMIT_S, SteadyProbes, backlog, ends
from cli.console import print_json, print_result, progress
from cli.figures import count, percent, seconds
from cli.live.bootstrap import bootstrap
from cli.live.ledger import Ledger
from cli.options import DEFAULT_BENCH_FOLDER, BenchFolder, Json
from cli.stack import apps
from cli.stack.layout import SAMPLE
from cli.stack.process import find, wait_until
from cli.stack.stack import Stack
from cli.stack.temporary import results_folder, temporary_stack
from connections.kafka import client_config
from evaluation.datasets import Session, load_sessions
from nextclick import Client, Filter, Item
from nextclick.topics import EVENTS

CASES = 2_000
"""Clicks of held-out sessions that are asked for before the flood and after it."""

K = 20
LOOK_S = 2.0
"""Between two looks at the memory of the parts, which are taken until the flood is processed."""

QUARTERS = 4
PROBES = 4.0
"""Real clicks a second whose way to an answer is timed."""

SLOWEST = 1_000.0
"""Clicks a second that the sessions job processes at least."""

MEGABYTE = 1 << 20


def flood(
    clicks: Annotated[int, typer.Option(min=1_000, help="Clicks of the robot.")] = 400_000,
    rate: Annotated[float, typer.Option(min=1, help="Clicks of the robot a second.")] = 6_000.0,
    real: Annotated[float, typer.Option(min=1, help="Real clicks a second.")] = 200.0,
    history: Annotated[int, typer.Option(min=1_000, help="Clicks learned before.")] = 100_000,
    cases: Annotated[int, typer.Option(min=10, help="Held-out clicks to ask for.")] = CASES,
    home: BenchFolder = DEFAULT_BENCH_FOLDER,
    json: Json = False,
) -> None:
    """Measure what real visitors notice of a robot's clicks on ids that no item has.

    Freshness during the flood, the time until an item that enters the catalogue at its end is
    recommended, the hit rate on the same held-out clicks before and after, and the memory of each
    part: its last quarter compared with the third.

    nextclick bench flood --json
    """
    with temporary_stack(home) as stack:
        result = measure(stack, clicks, rate, real, history, cases)
    save_json(results_folder(home) / "flood", result)
    if json:
        print_json(result)
    else:
        print_result("A flood of invented ids", readable(result))


def measure(
    stack: Stack, clicks: int, rate: float, real: float, history: int, cases: int
) -> dict[str, Any]:
    """Return the figures of one run on a stack; arguments as in `flood`."""
    asked, limit_s = held_out(cases), LIMIT_S + clicks / SLOWEST
    watcher = Consumer({**client_config(stack.kafka_settings), "group.id": "bench"})
    try:
        with (
            progress() as bar,
            Client(stack.target, timeout_s=LIMIT_S) as client,
            Ledger(stack.kafka_settings) as book,
        ):
            bootstrap(stack, load_sessions(SAMPLE / "train.txt.gz"), history, book, bar)
            before = hit_rate(client, asked)
            with live_clicks(stack, real), SteadyProbes(stack, PROBES, limit_s) as probes:
                start, rows = sum(ends(watcher, EVENTS)), apps.server_status(stack.ports)["items"]
                behind = backlog(watcher)
                began = time.monotonic()
                with Memory(stack) as memory:
                    with live_clicks(stack, rate, "robot", clicks) as robot:
                        task = bar.add_task("flood", total=int(clicks / rate), note="")
                        while find(robot):
                            bar.update(task, completed=time.monotonic() - began)
                            time.sleep(LOOK_S / 10)
                    lasted = time.monotonic() - began
                    sent = sum(ends(watcher, EVENTS)) - start - int((real + PROBES) * lasted)
                    behind_after = backlog(watcher)
                    new_item_s = until_recommended(client)
                    wait_until(lambda: backlog(watcher) <= real, limit_s, "the flood processed")
                settled_s = time.monotonic() - began - lasted
            after = hit_rate(client, asked)
            items = apps.server_status(stack.ports)["items"]
    finally:
        watcher.close()
    p50, p99 = np.percentile(probes.times_ms, [50, 99]).tolist()
    return {
        "robot_clicks": sent,
        "robot_clicks_per_s": sent / lasted,
        "real_clicks_per_s": real,
        "seconds": lasted,
        "probes": len(probes.times_ms),
        "lost_probes": probes.lost,
        "p50_ms": p50,
        "p99_ms": p99,
        "backlog_before": behind,
        "backlog": behind_after,
        "settled_s": settled_s,
        "new_item_s": new_item_s,
        "cases": len(asked),
        "hit_rate_before": before,
        "hit_rate": after,
        "items_before": rows,
        "items": items,
        "memory_mb": memory.quarters(),
    }


def held_out(cases: int) -> list[tuple[list[str], str]]:
    """Return clicks of held-out sessions: (items before it, its item)."""
    return list(itertools.islice(_held_out(load_sessions(SAMPLE / "test.txt.gz")), cases))


def _held_out(sessions: list[Session]) -> Iterator[tuple[list[str], str]]:
    for session in sessions:
        for place in range(1, len(session.items)):
            yield list(session.items[max(0, place - 10) : place]), session.items[place]


def hit_rate(client: Client, asked: list[tuple[list[str], str]]) -> float:
    """Return the share of clicks whose item is in the answer to the items before it."""
    hits = 0
    for items, clicked in asked:
        answer = client.recommend("held-out", page_size=K, session_items=items)
        hits += clicked in [item.item_id for item in answer.items]
    return hits / len(asked)


def until_recommended(client: Client) -> float:
    """Put an item into the catalogue; return the seconds until it is recommended."""
    category = "flood-new"
    began = time.monotonic()
    client.put_items([Item("flood-new-item", categories=(category,))])
    wait_until(
        lambda: bool(client.recommend("held-out", filter=Filter(categories=(category,))).items),
        LIMIT_S,
        "the new item recommended",
    )
    return time.monotonic() - began


class Memory:
    """Looks at the memory of each part of a stack, in a thread, while it is entered."""

    def __init__(self, stack: Stack) -> None:
        self._processes = {child.name: psutil.Process(child.pid) for child in stack.children}
        self._bytes: dict[str, list[int]] = {name: [] for name in self._processes}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            for name, process in self._processes.items():
                self._bytes[name].append(int(process.memory_info().rss))
            if self._ended.wait(LOOK_S):
                return

    def quarters(self) -> dict[str, list[float]]:
        """Return the mean megabytes of each part in each quarter of the time."""
        return {
            name: [
                statistics.mean(part.tolist()) / MEGABYTE if len(part) else float("nan")
                for part in np.array_split(np.array(sizes), QUARTERS)
            ]
            for name, sizes in self._bytes.items()
        }


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the figures as people read them."""
    return {
        "robot's clicks": count(result["robot_clicks"]),
        "  a second": f"{result['robot_clicks_per_s']:,.0f}",
        "a real click to its effect, p50": f"{result['p50_ms']:,.0f} ms",
        "  p99": f"{result['p99_ms']:,.0f} ms",
        "events without an outcome, before, after": (
            f"{count(result['backlog_before'])}, {count(result['backlog'])}"
        ),
        "  caught up after": seconds(result["settled_s"]),
        "a new item recommended after": f"{result['new_item_s']:.2f} s",
        f"hit rate@{K}, before, after": (
            f"{percent(result['hit_rate_before'])}, {percent(result['hit_rate'])}"
        ),
        "items, before, after": f"{count(result['items_before'])}, {count(result['items'])}",
        **{
            f"memory of {name}, third and last quarter": f"{part[2]:,.0f}, {part[3]:,.0f} MB"
            for name, part in result["memory_mb"].items()
        },
    }
