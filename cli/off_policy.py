"""``nextclick off-policy``: what another policy would earn, from what this one has shown."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import asdict
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import bars, print_json, print_line, print_table
from cli.errors import CommandError
from cli.figures import count, percent
from cli.impressions.joining import JoinedAnswers, told
from cli.impressions.reading import read_since
from cli.options import Json, Kafka, Seed, Tenant
from evaluation.off_policy.bandit_logs import load_log
from evaluation.off_policy.judging import LEAST_EFFECTIVE, Estimate, Judged, judge
from evaluation.off_policy.policies import load_policy
from evaluation.progress import Progress
from nextclick.limits import DAY_MS, MAX_PAGE, MINUTE_MS, SCORED_ITEMS, SESSION_IDLE_MS
from nextclick.topics import IMPRESSIONS, SESSIONS
from settings.base import Settings
from settings.load import load

DEFAULT_SINCE = "7d"
UNITS_MS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS}
"""Units of a time that has passed."""


def off_policy(
    policy: Annotated[
        Path,
        typer.Option(help="TOML file that describes the new policy.", exists=True, dir_okay=False),
    ],
    since: Annotated[
        str | None,
        typer.Option(help=f"Answers since so long ago: 90m, 12h, 7d; default: {DEFAULT_SINCE}."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="Judge from this file (CSV or Parquet, as the Open Bandit data), without Kafka.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    places: Annotated[
        int, typer.Option(min=1, max=MAX_PAGE, help="Clicks on the first so many places count.")
    ] = SCORED_ITEMS,
    max_weight: Annotated[
        float | None,
        typer.Option(help="Larger weights count as this one; default: none does.", min=1),
    ] = None,
    least_effective: Annotated[
        float, typer.Option(help="Effective pages below which nothing is estimated.", min=1)
    ] = LEAST_EFFECTIVE,
    seed: Seed = 0,
    kafka: Kafka = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Estimate what a new policy would earn from what the present one has shown, or refuse to.

    It reads the topics `impressions` and `sessions`, and changes nothing. Answers count that a
    policy drew and that were recorded with what it chose from.

    nextclick off-policy --policy new.toml --since 7d
    """
    target = load_policy(policy)
    if log is not None and since is not None:
        raise CommandError("--since is for Kafka; of --log, all rows are read")
    if max_weight is not None and not isfinite(max_weight):
        raise CommandError("--max-weight must be a number")
    passed_over: Counter[str] = Counter()
    kept_share = 1.0
    with bars() as progress:
        if log is not None:
            pages = load_log(log, seed=seed, progress=progress)
        else:
            ago_ms = milliseconds(since or DEFAULT_SINCE)
            settings = load(Settings, kafka=kafka, tenant=tenant)
            joined = read_pages(settings, ago_ms, progress)
            passed_over, kept_share = joined.passed_over, joined.share
            found = joined.pages(places)
            if found is None:
                raise CommandError(nothing(passed_over))
            pages = found
        judged = judge(
            pages,
            target,
            most=inf if max_weight is None else max_weight,
            least_effective=least_effective,
            seed=seed,
            progress=progress,
        )
    if json:
        print_json(result_of(judged, target.kind, passed_over, kept_share))
    else:
        show(judged, target.kind, passed_over, kept_share)


def milliseconds(text: str) -> int:
    """Return how long ago a text says.

    >>> milliseconds("90m"), milliseconds("7d")
    (5400000, 604800000)
    """
    said = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if said is None or not int(said[1]):
        raise CommandError(f"--since: {text!r} is no time; write 90m, 12h or 7d")
    return int(said[1]) * UNITS_MS[said[2]]


def read_pages(settings: Settings, ago_ms: int, progress: Progress) -> JoinedAnswers:
    """Return the answers since so long ago, joined with their clicks."""
    now_ms = time.time_ns() // 1_000_000
    joined = JoinedAnswers(latest_ms=now_ms - SESSION_IDLE_MS)
    for name, add in ((IMPRESSIONS, joined.add_answer), (SESSIONS, joined.add_session)):
        for record in read_since(settings, settings.tenant, name, now_ms - ago_ms, progress):
            add(*record)
    return joined


def nothing(passed_over: Counter[str]) -> str:
    """Return what to do where no answer can be judged."""
    if not passed_over:
        return "there are no answers since then: choose an earlier --since"
    return (
        f"no answer can be judged ({'; '.join(told(passed_over))}): servers record what can be "
        "with a policy that draws (NEXTCLICK_POLICY) and NEXTCLICK_POOL_SHARE above 0"
    )


def result_of(
    judged: Judged, kind: str, passed_over: Counter[str], kept_share: float
) -> dict[str, Any]:
    """Return what `--json` prints; refused estimates have no figures."""
    result = asdict(judged)
    result["estimates"] = [_figures(estimate) for estimate in judged.estimates]
    own = [_finite(bound) for bound in judged.own_interval]
    return {"policy": kind, **result, "own_interval": own, "visitors_kept": kept_share} | {
        "passed_over": dict(passed_over)
    }


def _figures(estimate: Estimate) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "name": estimate.name,
        "verdict": estimate.verdict,
        "refused": estimate.refused,
        "effective": estimate.effective,
        "effective_clicks": estimate.clicks,
    }
    intervals = ("interval", "bernstein", "gain")
    if estimate.refused:
        return figures | dict.fromkeys(("value", *intervals))
    for name in intervals:
        bounds = getattr(estimate, name)
        figures[name] = None if bounds is None else [_finite(bound) for bound in bounds]
    return figures | {"value": estimate.value}


def _finite(bound: float) -> float | None:
    """Return a bound as JSON has it; None: there is none."""
    return bound if isfinite(bound) else None


def show(judged: Judged, kind: str, passed_over: Counter[str], kept_share: float = 1.0) -> None:
    """Print the estimates as a table, and what to know about them."""
    rows = [_row(estimate) for estimate in judged.estimates]
    columns = ("estimator", "clicks a page", "95 %", "Bernstein", "effective", "verdict...")
    print_table(f"{kind}, clicks a page in %", columns, rows)
    own = f"{percent(judged.own)} ({_bounds(judged.own_interval)})"
    print_line(
        f"the log: {count(judged.pages)} pages of {count(judged.visitors)} visitors, "
        f"{count(judged.clicks)} clicks; its own policy has {own}"
    )
    weights = f"mean {judged.mean_weight:.2f}, at most {judged.largest_weight:,.1f}"
    left_out = f"; the limit leaves out {percent(judged.limited)}" if judged.limited > 1e-9 else ""
    print_line(f"weights of pages: {weights}{left_out}")
    if kept_share < 1:
        print_line(f"a sample of {percent(kept_share)} of the visitors, for memory")
    for line in told(passed_over):
        print_line(f"passed over: {line}")
    for reason in dict.fromkeys(e.refused for e in judged.estimates if e.refused):
        names = ", ".join(e.name for e in judged.estimates if e.refused == reason)
        print_line(f"refused: {names}: {reason}")


def _row(estimate: Estimate) -> tuple[str, ...]:
    effective = "" if estimate.effective is None else f"{estimate.effective:,.0f}"
    if estimate.refused:
        return estimate.name, "", "", "", effective, estimate.verdict
    bernstein = "" if estimate.bernstein is None else _bounds(estimate.bernstein)
    rate = f"{100 * estimate.value:.2f}"
    return estimate.name, rate, _bounds(estimate.interval), bernstein, effective, estimate.verdict


def _bounds(interval: tuple[float, float]) -> str:
    """Return an interval of a rate in percent; one of clicks a page ends at 100.

    >>> _bounds((0.0123, 0.0345))
    '1.23-3.45'
    """
    return "-".join(f"{100 * min(bound, 1.0):.2f}" for bound in interval)
