"""``nextclick status``: the parts of the running stack, and the models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from cli.console import out, print_json
from cli.options import DEFAULT_HOME, HomeFolder, Json
from cli.stack import apps, flink, watch_record
from cli.stack.apps import EMITTER
from cli.stack.lag import group_lag
from cli.stack.process import find
from cli.stack.stack import Stack
from cli.stack.watch_record import Deaths
from nextclick.topics import SESSIONS
from streaming import store
from streaming.jobs.registry import JOBS


def status(home: HomeFolder = DEFAULT_HOME, json: Json = False) -> None:
    """Show the parts of the running stack with their lag, and the models with their scores."""
    result = describe(Stack.in_folder(home))
    if json:
        print_json(result)
        return
    live = score_rows(result["scoreboard"])
    tables = (("parts", result["parts"]), ("models", result["models"]), ("live score", live))
    for title, rows in tables:
        if not rows:
            continue
        table = Table(title=title, title_justify="left")
        columns = [column for column in rows[0] if column != "log"]
        for column in columns:
            table.add_column(
                column.replace("_", " "), justify="right" if column != "name" else "left"
            )
        for row in rows:
            table.add_row(*(cell(row[column]) for column in columns))
        out.print(table)
    for part in result["parts"]:
        if part["log"]:
            out.print(f"last lines of {part['name']} before it was started again:")
            out.print("\n".join(f"  {line}" for line in part["log"]), markup=False)


def cell(value: object) -> str:
    """Return a value as people read it."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def describe(stack: Stack) -> dict[str, Any]:
    """Return the parts and the models of a stack.

    A part has a name, a state, its lag in records, how often it was started again, how it ended
    last, and the last lines of its log then.
    """
    parts: list[dict[str, Any]] = []
    server = apps.server_status(stack.ports)
    watched = watch_record.read(stack.home)
    for child in stack.children:
        state, lag = "UP" if find(child) else "DOWN", None
        if child.name == "server" and server:
            state, lag = server["state"], server["lag"]
        elif child.name == EMITTER:
            lag = apps.emitter_status(stack.ports).get("lag")
        elif child.name == "store":
            lag = group_lag(stack.kafka, store.GROUP, SESSIONS)
        deaths = watched.get(child.name, Deaths())
        parts.append({"name": child.name, "state": state, "lag": lag, **described(deaths)})
    for job in flink.jobs(stack.ports):
        if job["jid"] != stack.jobs.get(job["name"]):
            continue
        for part in JOBS[job["name"]].parts:
            lag = group_lag(stack.kafka, part.group, part.topics[0])
            row = {"name": f"job {part.name}", "state": job["state"], "lag": lag}
            parts.append(row | described(Deaths()))
    # Counts and vectors learn from every click, the ranker from a sample of the clicks.
    clicks = server.get("clicks")
    models: list[dict[str, Any]] = [{"name": "blend", "version": clicks, "examples": clicks}]
    for name in ("vectors", "ranker"):
        learner = server.get("learners", {}).get(name, {})
        versions = {"version": learner.get("version"), "examples": learner.get("learned")}
        models.append({"name": name, **versions})
    for model in models:
        score = server.get("scores", {}).get(model["name"], {})
        model |= {"answers": server.get("ranking") == model["name"]}
        model |= {"hit_rate": score.get("hit_rate"), "mrr": score.get("mrr")}
    return {"parts": parts, "models": models, "scoreboard": server.get("scoreboard", {})}


def described(deaths: Deaths) -> dict[str, Any]:
    """Return what people should know of a part's deaths."""
    died = datetime.fromtimestamp(deaths.last_died, UTC)
    return {
        "restarts": deaths.restarts,
        "last_exit": f"{deaths.last_exit} at {died:%H:%M:%S}Z" if deaths.last_exit else None,
        "log": deaths.log,
    }


def score_rows(scoreboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each ranking and window of the live score."""
    return [
        {
            "name": name,
            "last": int(size),
            "cases": window["cases"],
            "shown": f"{1 - board['shadow_cases'] / max(board['cases'], 1):.0%}",
            "HR@20": window["hit_rate_20"],
            "MRR@20": window["mrr_20"],
            "NDCG@20": window["ndcg_20"],
            "coverage": window["coverage"],
            "diversity": window["diversity"],
            "CTR": board["click_through_rate"],
            "drift since": drift_time(board["drifts"]),
        }
        for name, board in scoreboard.items()
        for size, window in board["windows"].items()
    ]


def drift_time(drifts: list[dict[str, Any]]) -> str:
    """Return when the last change of the hit rate began, and from what to what."""
    if not drifts:
        return ""
    last = drifts[-1]
    began = datetime.fromtimestamp(last["began_ms"] / 1000, UTC)
    return (
        f"{began:%Y-%m-%d %H:%M:%S}Z: {last['hit_rate_before']:.2f} to {last['hit_rate_after']:.2f}"
    )
