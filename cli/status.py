"""``nextclick status``: the parts of the running stack, and the models."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from cli.console import print_json, print_line, print_table
from cli.errors import CommandError
from cli.figures import clock, count, hundredths, percent
from cli.options import DEFAULT_HOME, HomeFolder, Json, StackTenant
from cli.stack import apps, flink_rest, watch_record
from cli.stack.apps import EMITTER
from cli.stack.lag import group_lag
from cli.stack.process import find
from cli.stack.stack import Stack
from cli.stack.watch_record import Deaths
from nextclick.limits import MAX_LEARNER_LATE_MS, SAMPLED_SHARE
from nextclick.topics import RANKER_MODEL, SESSIONS, VECTORS_MODEL
from streaming import store
from streaming.jobs.registry import JOBS

LIVE_COLUMNS = (
    "ranking", "last\ncases", "cases", "shown", "hit\nrate", "MRR", "NDCG", "cover-\nage",
    "diver-\nsity", "CTR",
)  # fmt: skip

OF_ONE_TENANT = ("server", "store", EMITTER)
"""Parts that serve the stack's own tenant; all others are shared."""

COUNTED = ("applied", "checksum", "passed_over", "passed_over_checksum")
"""Figures of a learner that `--json` shows."""


def status(tenant: StackTenant = None, home: HomeFolder = DEFAULT_HOME, json: Json = False) -> None:
    """Show the parts of the running stack with their lag, and the models with their scores.

    With another tenant than the stack's, these are the shared parts and that tenant's jobs: its
    servers are not the stack's, and tell of themselves.

    nextclick status --json
    """
    stack = Stack.in_folder(home)
    try:
        result = describe(stack, tenant)
        if json:
            print_json(result)
            return
        show(result)
    except KeyError as e:
        theirs, ours = apps.server_status(stack.ports).get("version"), version("nextclick")
        if theirs == ours:
            raise
        raise CommandError(
            f"the server is of version {theirs or 'unknown'}, this command of {ours}, and they do "
            "not understand each other: `nextclick down` and `nextclick up` start the stack in "
            "this version"
        ) from e


def show(result: dict[str, Any]) -> None:
    """Print what `describe` returns as tables."""
    live = live_rows(result["scoreboard"])
    print_table(
        "parts",
        ("part", "state...", "lag, records", "restarts", "last exit..."),
        [
            (
                part["name"],
                part["state"],
                count(part["lag"]),
                count(part["restarts"]),
                part["last_exit"] or "",
            )
            for part in result["parts"]
        ],
    )
    if result["models"]:
        print_table(
            "models",
            ("model", "version", "examples", "share", "answers", "hit rate@20", "MRR@20"),
            [
                (
                    model["name"],
                    count(model["version"]),
                    count(model["examples"]),
                    percent(model["share"], 1),
                    "yes" if model["answers"] else "",
                    percent(model["hit_rate"]),
                    percent(model["mrr"]),
                )
                for model in result["models"]
            ],
        )
    if live:
        print_table("live score of lists of 20, in %", LIVE_COLUMNS, live)
    show_drifts(result["scoreboard"])
    for model in result["models"]:
        if model["sampling"]:
            print_line(
                f"{model['name']} was more than {MAX_LEARNER_LATE_MS // 1000} s behind: until it "
                f"has caught up, it learns {percent(SAMPLED_SHARE, 0)} of the sessions that begin"
            )
    for part in result["parts"]:
        if part["refused"]:
            print_line(
                f"{part['name']} has passed over {count(part['refused'])} records that it cannot "
                "use; the logs of the TaskManagers say which, and why"
            )
    for part in result["parts"]:
        if part["log"]:
            print_line(f"last lines of {part['name']} before it was started again:")
            print_line("\n".join(f"  {line}" for line in part["log"]))


def live_rows(scoreboard: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each ranking and window."""
    return [
        (
            name,
            count(int(size)),
            count(window["cases"]),
            percent(window["shown"], 0).removesuffix(" %"),
            hundredths(window["hit_rate_20"]),
            hundredths(window["mrr_20"]),
            hundredths(window["ndcg_20"]),
            hundredths(window["coverage"]),
            hundredths(window["diversity"]),
            hundredths(board["click_through_rate"]),
        )
        for name, board in scoreboard.items()
        for size, window in board["windows"].items()
    ]


def show_drifts(scoreboard: dict[str, Any]) -> None:
    """Print since when a hit rate drifts."""
    for name, board in scoreboard.items():
        for drift in board["drifts"][-1:]:
            before, after = drift["hit_rate_before"], drift["hit_rate_after"]
            print_line(
                f"{name}: the hit rate has drifted from {percent(before)} to {percent(after)} "
                f"since {clock(drift['began_ms'])}"
            )


def describe(stack: Stack, given: str | None = None) -> dict[str, Any]:
    """Return the parts and the models of a stack; ``given`` is a tenant, if not the stack's own.

    A part has a name, a state, its lag in records, how many records it has passed over if it is a
    job's, how often it was started again, how it ended last, and the last lines of its log then.
    """
    parts: list[dict[str, Any]] = []
    tenant = stack.tenant_or(given)
    ours = tenant == stack.tenant
    server, emitter = apps.server_status(stack.ports), apps.emitter_status(stack.ports)
    watched = watch_record.read(stack.home)
    for child in stack.children:
        if child.name in OF_ONE_TENANT and not ours:
            continue
        state, lag = "UP" if find(child) else "DOWN", None
        if child.name == "server" and server:
            state, lag = server["state"], server["lag"]
        elif child.name == EMITTER:
            lag = emitter.get("lag")
        elif child.name == "store":
            lag = group_lag(stack.kafka_settings, store.GROUP, (SESSIONS,), tenant)
        deaths = watched.get(child.name, Deaths())
        row = {"name": child.name, "state": state, "lag": lag, "refused": None}
        parts.append(row | described(deaths))
    for job in flink_rest.jobs(stack.ports):
        owner, name = flink_rest.tenant_and_job(job["name"])
        if owner != tenant or job["jid"] != stack.jobs.get(job["name"]):
            continue
        deaths = Deaths(restarts=flink_rest.restarts(stack.ports, job["jid"]))
        for part in JOBS[name].parts:
            lag = group_lag(stack.kafka_settings, part.group, part.topics, tenant)
            refused = flink_rest.refused(stack.ports, job["jid"], part.operator)
            row = {"name": f"job {part.name}", "state": job["state"], "lag": lag}
            parts.append(row | {"refused": refused} | described(deaths))
    if not ours:
        return {"parts": parts, "models": [], "scoreboard": {}}
    # Counts learn from every click, vectors from those that are not passed over, the ranker from a
    # sample of the clicks.
    clicks = server.get("clicks")
    models: list[dict[str, Any]] = [
        {"name": "blend", "version": clicks, "examples": clicks, "share": 1.0, "sampling": False}
    ]
    # What the emitter passes over never reaches the ranker.
    for name, before in ((VECTORS_MODEL, {}), (RANKER_MODEL, emitter)):
        learner = server.get("learners", {}).get(name, {})
        versions = {"version": learner.get("version"), "examples": learner.get("learned")}
        counted = {figure: learner.get(figure) for figure in COUNTED}
        models.append({"name": name, **versions, **counted, **learned(learner, before)})
    for model in models:
        score = server.get("scores", {}).get(model["name"], {})
        model |= {"answers": server.get("ranking") == model["name"]}
        model |= {"hit_rate": score.get("hit_rate"), "mrr": score.get("mrr")}
    return {"parts": parts, "models": models, "scoreboard": server.get("scoreboard", {})}


def learned(learner: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return which share of its input a learner has not passed over, and whether it samples now.

    Parameters
    ----------
    learner
        Its state, from the server's ``/status``; empty if it has none.
    before
        The status of the example emitter if it feeds the learner: it counts what it has passed over
        since its start.
    """
    out_of_sample = before.get("passed_over", 0)
    offered = learner.get("applied", 0) + out_of_sample
    passed_over = learner.get("passed_over", 0) + out_of_sample
    return {
        "share": 1 - passed_over / offered if offered else None,
        "sampling": learner.get("sampling", False) or before.get("sampling", False),
    }


def described(deaths: Deaths) -> dict[str, Any]:
    """Return what people should know of a part's deaths."""
    died = datetime.fromtimestamp(deaths.last_died, UTC)
    return {
        "restarts": deaths.restarts,
        "last_exit": f"{deaths.last_exit} at {died:%H:%M:%S}Z" if deaths.last_exit else None,
        "log": deaths.log,
    }
