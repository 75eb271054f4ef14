"""``nextclick demo``: real clicks through the whole system, with every event accounted for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import err, print_json, print_result, print_table, progress
from cli.errors import CommandError
from cli.figures import count, microseconds, percent, seconds
from cli.files import (
    ItemColumn,
    SessionColumn,
    TimeColumn,
    TypeColumn,
    UserColumn,
    read_files,
)
from cli.live.answer_times import beside_plain
from cli.live.bootstrap import PREFIX, QUIET_S, bootstrap, wait_applied, wait_scored
from cli.live.ledger import Ledger
from cli.live.player import K, Player, Score, readable_score
from cli.options import Json
from cli.server_client import client_of
from cli.stack.layout import SAMPLE
from cli.stack.process import find
from cli.stack.stack import Stack
from cli.stack.temporary import temporary_stack
from evaluation.click_files.columns import Columns
from evaluation.datasets import Session, load_sessions, split_last
from settings.client import ClientSettings
from settings.load import load as load_settings

RATE = 50.0
"""Live clicks a second."""

LIVE_PREFIX = "live-"
"""Put before the ids of live sessions; not longer than that of the history's."""

ASKED = 2_000
"""Sessions that are asked for where answers are timed, the last ones of the history."""

HELD_OUT = 0.1
"""Share of a file's sessions that is played live."""


@dataclass(frozen=True)
class Traffic:
    """What a demo plays: first a history, then live sessions."""

    history: list[Session]
    live: list[Session]


def demo(
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Clicks to play instead of the sample: the first 90 % of its sessions as "
            "history, the rest live. Several files are read as one log.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    max_events: Annotated[
        int | None,
        typer.Option(min=10, help="Send at most this many events, a fifth of them live."),
    ] = None,
    secured: Annotated[
        bool,
        typer.Option(
            "--secured",
            help="Secure it: Kafka and Redis with TLS, users and their rights, gRPC with "
            "certificates and scopes; answers are timed beside plain ones.",
        ),
    ] = False,
    home: Annotated[
        Path, typer.Option(help="Folder of its data and logs.", file_okay=False)
    ] = Path(".nextclick/demo"),
    session: SessionColumn = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time_: TimeColumn = None,
    type_: TypeColumn = None,
    json: Json = False,
) -> None:
    """Start everything, learn a history, then play live clicks and score every answer.

    Uses a stack of its own on free ports, whatever else runs, and ends it afterwards.

    nextclick demo --max-events 5000
    """
    started = time.monotonic()
    traffic = load(data, Columns(session, user, item, time_, type_))
    with temporary_stack(home, secured=secured) as stack:
        scheme = "https" if secured else "http"
        err.print(f"gRPC {stack.target}, metrics {scheme}://127.0.0.1:{stack.ports.http}/metrics")
        result, faults = run(stack, traffic, max_events)
        if secured:
            asked = [f"{PREFIX}{session.session_id}" for session in traffic.history[-ASKED:]]
            with err.status("timing answers beside those of a plain server"):
                result["answers"] = beside_plain(stack, asked)
    result["seconds"] = time.monotonic() - started
    if json:
        print_json(result)
    else:
        show(result)
    if faults:
        raise CommandError("; ".join(faults))


def load(data: Sequence[Path] | None, columns: Columns) -> Traffic:
    """Return the sample's traffic, or that of files."""
    if not data:
        live = [
            Session(f"{name}-{session.session_id}", session.items, session.times_ms)
            for name in ("valid", "test")
            for session in load_sessions(SAMPLE / f"{name}.txt.gz")
        ]
        return Traffic(load_sessions(SAMPLE / "train.txt.gz"), live)
    return Traffic(*split_last(read_files(data, columns, PREFIX)[0], HELD_OUT))


def run(stack: Stack, traffic: Traffic, max_events: int | None) -> tuple[dict[str, Any], list[str]]:
    """Play the traffic; returns the figures and what went wrong."""
    n_live = sum(len(s.items) for s in traffic.live)
    n_history = sum(len(s.items) for s in traffic.history)
    if max_events is not None:
        n_live = min(n_live, max_events // 5)
        n_history = min(n_history, max_events - n_live)
    settings = load_settings(ClientSettings)
    with Ledger(stack.kafka_settings) as book, client_of(stack.target, settings) as client:
        with progress() as bar:
            sent = bootstrap(stack, traffic.history, n_history, book, bar)
            player = Player(client, traffic.live, rate=RATE, prefix=LIVE_PREFIX, max_clicks=n_live)
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


def figures(
    score: Score, book: Ledger, sent: int, lost: int, status: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures that the command prints."""
    played = score.figures()
    return {
        **played,
        "sent": sent,
        "applied": book.applied,
        "dead_lettered": book.dead_lettered,
        "duplicates": book.duplicates,
        "lost": lost,
        "stale_answers": score.stale,
        "freshness_ms": {**played["freshness_ms"], "probes": len(score.freshness_ms)},
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
    """Return hit rate and MRR of a ranking over its longest window."""
    window = board["windows"].get("10000", {})
    return {"hit_rate": window.get("hit_rate_20", 0.0), "mrr": window.get("mrr_20", 0.0)}


def readable_answers(answers: dict[str, float] | None) -> dict[str, str]:
    """Return what answers of a secured stack take, beside plain ones; nothing of a plain stack."""
    if answers is None:
        return {}
    return {
        "answers, one after another, p50": microseconds(answers["secured_p50_us"]),
        "  without TLS and tokens": microseconds(answers["plain_p50_us"]),
        "  ratio": f"{answers['ratio']:.2f}",
    }


def show(result: dict[str, Any]) -> None:
    """Print what became of the clicks, and how the score job judges the rankings."""
    print_result(
        "What became of the clicks",
        {
            "events sent": count(result["sent"]),
            "  applied": count(result["applied"]),
            "  dead letters": count(result["dead_lettered"]),
            "  duplicates": count(result["duplicates"]),
            "  lost": count(result["lost"]),
            **readable_score(result),
            "items with vectors": count(result["vectors"]),
            "examples learned by the ranker": count(result["examples"]),
            **readable_answers(result.get("answers")),
            "time": seconds(result["seconds"]),
        },
    )
    print_table(
        "Live score, by the score job",
        ("ranking", "answers...", "cases", f"hit rate@{K}", f"MRR@{K}"),
        [
            (
                model,
                "in the shadow" if score["shadow_cases"] == score["cases"] else "shown",
                count(score["cases"]),
                percent(score["hit_rate"]),
                percent(score["mrr"]),
            )
            for model, score in result["scoreboard"].items()
        ],
    )
