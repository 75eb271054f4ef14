"""``nextclick demo``: real clicks through the whole system, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.accounting import Ledger
from cli.console import err, print_json, print_result, progress
from cli.datasets import SAMPLE, Session, load_sessions, split_last
from cli.errors import CommandError
from cli.history import send_history
from cli.player import K, Player, Score
from cli.stack import apps
from cli.stack.layout import Child, Home, Ports
from cli.stack.process import find, wait_until
from cli.stack.stack import Stack
from nextclick import Client
from online_models import metrics

RATE = 50.0

QUIET_S = 60.0
"""A run that ends no event, or scores no answer, for so long has lost what is missing."""


@dataclass(frozen=True)
class Traffic:
    """What a demo plays: a history first, then live sessions."""

    history: list[Session]
    live: list[Session]


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Clicks to play instead of the sample: the first 90 % of its sessions as "
            "history, the rest live.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    max_events: Annotated[
        int | None,
        typer.Option(min=10, help="Send at most so many events, a fifth of them live."),
    ] = None,
    home: Annotated[
        Path, typer.Option(help="Folder of its data and logs.", file_okay=False)
    ] = Path(".nextclick/demo"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Start everything, learn a history, then play live clicks and score every answer.

    A stack of its own on free ports, beside whatever runs; ends it at the end.

    nextclick demo --max-events 5000
    """
    started = time.monotonic()
    traffic = load(data)
    stack = Stack(Home(home.absolute()), Ports.free(), bound=True)
    if Stack.running(stack.home):
        raise CommandError(f"another demo runs in {home}; wait for it or choose another --home")
    stack.reset()
    try:
        with err.status("starting") as status:
            stack.start(lambda note: status.update(f"{note} ..."))
        err.print(f"gRPC {stack.target}, metrics http://127.0.0.1:{stack.ports.http}/metrics")
        result, faults = run(stack, traffic, max_events)
    finally:
        with err.status("stopping"):
            stack.stop()
            stack.prune()
    result["seconds"] = time.monotonic() - started
    if json:
        print_json(result)
    else:
        print_result("What became of the clicks", readable(result))
    if faults:
        raise CommandError("; ".join(faults))


def load(data: Path | None) -> Traffic:
    """Return the sample's traffic, or a file's."""
    if data is None:
        live = [
            Session(f"{name}-{session.session_id}", session.items, session.times_ms)
            for name in ("valid", "test")
            for session in load_sessions(SAMPLE / f"{name}.txt.gz")
        ]
        return Traffic(load_sessions(SAMPLE / "train.txt.gz"), live)
    return Traffic(*split_last(load_sessions(data), 0.1))


def run(stack: Stack, traffic: Traffic, max_events: int | None) -> tuple[dict[str, Any], list[str]]:
    """Play the traffic; returns the result and what went wrong."""
    n_live = sum(len(s.items) for s in traffic.live)
    n_history = sum(len(s.items) for s in traffic.history)
    if max_events is not None:
        n_live = min(n_live, max_events // 5)
        n_history = min(n_history, max_events - n_live)
    with ledger(stack.kafka) as book, Client(stack.target, timeout_s=10) as client:
        with progress() as bar:
            sent = bootstrap(stack, traffic.history, n_history, book, bar)
            player = Player(client, traffic.live, rate=RATE, prefix="live-", max_clicks=n_live)
            task = bar.add_task("live clicks", total=player.clicks, note="")
            score = player.play(lambda n, note: bar.update(task, advance=n, note=note))
        sent += score.sent
        book.wait(sent, QUIET_S)
        lost = book.check(sent)
        wait_applied(stack, book)
        status = wait_scored(stack, len(score.ranks))
    faults = score.errors[:3]
    faults += [f"{c.name} has ended" for c in stack.children if find(c) is None]
    if lost:
        faults.append(f"{lost} of {sent} events are lost")
    return figures(score, book, sent, lost, status), faults


@contextmanager
def ledger(kafka: str) -> Iterator[Ledger]:
    """Open a ledger and close it."""
    book = Ledger(kafka)
    try:
        yield book
    finally:
        book.close()


def bootstrap(stack: Stack, history: list[Session], n: int, book: Ledger, bar: Any) -> int:
    """Send the history through the stream and wait until the server has learned it."""
    produced = bar.add_task("history to Kafka", total=n, note="")
    sent = send_history(
        stack.kafka,
        history,
        prefix="train-",
        last=n,
        tick=lambda done: bar.advance(produced, done),
    )
    applied = bar.add_task("sessions by Flink", total=n, note="")
    book.wait(sent, QUIET_S, lambda done: bar.update(applied, completed=done))
    learned = bar.add_task("learned by vectors and ranker", total=n, note="")
    wait_applied(stack, book)
    wait_learned(stack, lambda clicks: bar.update(learned, completed=clicks))
    return sent


def wait_applied(stack: Stack, book: Ledger) -> None:
    """Wait until the server has applied every record that the ledger has read."""

    def applied() -> bool:
        book.read(0)
        return int(apps.server_status(stack.ports).get("position", -1)) >= book.position

    wait_until(applied, 120, "the server applies the log", watched(stack))


def wait_learned(stack: Stack, tick: Callable[[int], None]) -> None:
    """Wait until the learners have applied all that the server and the follower have seen."""

    def learned() -> bool:
        server, follower = apps.server_status(stack.ports), apps.follower_status(stack.ports)
        applied = {name: s["applied"] for name, s in server.get("learners", {}).items()}
        tick(min(applied.get("vectors", 0), follower.get("clicks", 0)))
        return bool(
            follower.get("position", -1) >= server.get("position", 0) > 0
            and applied.get("vectors", 0) >= server["clicks"]
            and applied.get("ranker", 0) >= follower["emitted"]
        )

    wait_until(learned, 600, "the learners have caught up", watched(stack))


def watched(stack: Stack) -> list[tuple[Child, Path]]:
    """Return the processes without which waiting is in vain, and their logs."""
    return [(child, stack.home.log(child.name)) for child in stack.children]


def wait_scored(stack: Stack, cases: int) -> dict[str, Any]:
    """Return the server's status, as soon as the score job has judged every answer.

    An impression may be dropped: when no more are judged, it is not waited for.
    """
    last, since = 0, time.monotonic()
    while True:
        status = apps.server_status(stack.ports)
        board = status.get("scoreboard", {}).values()
        judged = sum(score["cases"] - score["shadow_cases"] for score in board)
        if judged != last:
            last, since = judged, time.monotonic()
        if judged >= cases or time.monotonic() - since > QUIET_S:
            return status
        time.sleep(0.1)


def figures(
    score: Score, book: Ledger, sent: int, lost: int, status: dict[str, Any]
) -> dict[str, Any]:
    """Return the result's keys."""
    latency, freshness = metrics.spread(score.latency_us), metrics.spread(score.freshness_ms)
    cases = len(score.ranks)
    return {
        "sent": sent,
        "applied": book.applied,
        "dead_lettered": book.dead_lettered,
        "duplicates": book.duplicates,
        "lost": lost,
        "cases": cases,
        "stale": score.stale / cases if cases else 0.0,
        "stale_answers": score.stale,
        "hit_rate": metrics.hit_rate(score.ranks, K),
        "mrr": metrics.mrr(score.ranks, K),
        "latency_us": latency,
        "freshness_ms": {**freshness, "probes": len(score.freshness_ms)},
        "clicks_learned": status.get("clicks", 0),
        "items": status.get("items", 0),
        "vectors": status.get("vectors", 0),
        "examples": status.get("learners", {}).get("ranker", {}).get("learned", 0),
        "ranker_version": status.get("learners", {}).get("ranker", {}).get("version", 0),
        "ranking": status.get("ranking", ""),
        "scoreboard": {
            model: {
                "cases": board["cases"],
                "shadow_cases": board["shadow_cases"],
                **latest(board),
            }
            for model, board in status.get("scoreboard", {}).items()
        },
    }


def latest(board: dict[str, Any]) -> dict[str, float]:
    """Return hit rate and MRR of a ranking's longest window."""
    window = board["windows"].get("10000", {})
    return {"hit_rate": window.get("hit_rate_20", 0.0), "mrr": window.get("mrr_20", 0.0)}


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the result as people read it."""
    latency, freshness = result["latency_us"], result["freshness_ms"]
    rows = {
        "events sent": f"{result['sent']:,}",
        "  applied": f"{result['applied']:,}",
        "  dead letters": f"{result['dead_lettered']:,}",
        "  duplicates": f"{result['duplicates']:,}",
        "  lost": f"{result['lost']:,}",
        "recommendations before a click": f"{result['cases']:,}",
        "  hit rate@20": f"{100 * result['hit_rate']:.2f} %",
        "  MRR@20": f"{100 * result['mrr']:.2f} %",
        "  without the last click": f"{100 * result['stale']:.2f} %",
        "answer time p50, p99": f"{latency['p50'] / 1000:.2f}, {latency['p99'] / 1000:.2f} ms",
        "click to answer p50, p99": f"{freshness['p50']:.0f}, {freshness['p99']:.0f} ms",
        "items with vectors": f"{result['vectors']:,}",
        "examples learned by the ranker": f"{result['examples']:,}",
    }
    for model, score in result["scoreboard"].items():
        of = "in the shadow" if score["shadow_cases"] == score["cases"] else "shown"
        rows[f"score job: {model}, {of}"] = (
            f"{score['cases']:,} cases, hit rate {100 * score['hit_rate']:.2f} %, "
            f"MRR {100 * score['mrr']:.2f} %"
        )
    return rows | {"seconds": f"{result['seconds']:.0f}"}
