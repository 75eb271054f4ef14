"""Files that a benchmark leaves: its figures as JSON, and a chart of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from evaluation.charts import BASELINE, OWN, PUBLISHED, drawn

LABELS_APART = 1.5
"""Least ratio of two labelled sizes of a logarithmic axis."""


def save_serving(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json`` and ``base.svg``: answers compared with the bare echo."""
    save_json(base, result)
    names = ("p50", "p95", "p99")
    with drawn(base.with_suffix(".svg"), 6, 3.2) as axes:
        for i, (prefix, label, colour) in enumerate(
            (("floor_", "bare gRPC echo", PUBLISHED), ("", "nextclick", OWN))
        ):
            values = [result[f"{prefix}{name}_us"] for name in names]
            bars = axes.bar([x + 0.4 * i for x in range(3)], values, 0.4, label=label, color=colour)
            axes.bar_label(bars, fmt="%.0f", fontsize=8)
        axes.set_xticks([x + 0.2 for x in range(3)], names)
        axes.set_ylabel("microseconds")
        axes.legend(frameon=False)


def save_frontier(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json`` and ``base.svg``: points against microseconds, a dot per part."""
    save_json(base, result)
    with drawn(base.with_suffix(".svg"), 7.5, 4.2) as axes:
        for kind, colour in (("source", OWN), ("feature", BASELINE)):
            rows = [row for row in result["parts"] if row["kind"] == kind]
            x, y = [row["us"] for row in rows], [row["mrr"] for row in rows]
            errors = [row["mrr_95"] for row in rows]
            axes.errorbar(x, y, errors, fmt="o", color=colour, label=f"{kind}s", capsize=2)
            for row in rows:
                axes.annotate(
                    row["part"],
                    (row["us"], row["mrr"]),
                    xytext=(5, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
        axes.axhline(0, color=PUBLISHED, linewidth=0.8)
        axes.set_xlabel("microseconds that an answer takes longer with it")
        axes.set_ylabel("MRR@20, points that it adds")
        axes.legend(frameon=False)


def save_growth(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json`` and ``base.svg``: times and memory as each size grows."""
    save_json(base, result)
    names = ("items", "sessions", "length", "candidates", "page")
    with drawn(base.with_suffix(".svg"), 14, 2.8, panels=6) as panels:
        for axes, name in zip(panels, names, strict=False):
            x = [row[name] for row in result[name]]
            for percentile, colour in (("p50", OWN), ("p99", BASELINE)):
                values = [row["recommend_us"][percentile] for row in result[name]]
                axes.plot(x, values, "o-", color=colour, label=f"answer, {percentile}")
            if name in ("items", "sessions"):
                values = [row["learn_us"]["mean"] for row in result[name]]
                axes.plot(x, values, "o-", color=PUBLISHED, label="learning, mean")
            size_axis(axes, x)
            axes.set_xlabel(name)
        panels[0].set_ylabel("microseconds")
        panels[0].legend(frameon=False, fontsize=7)
        for name, colour in (("items", OWN), ("sessions", BASELINE)):
            x = [row[name] for row in result[name]]
            panels[5].plot(x, [row["memory_mb"] for row in result[name]], "o-", color=colour)
            panels[5].annotate(name, (x[-1], result[name][-1]["memory_mb"]), fontsize=7)
        size_axis(panels[5], [row["items"] for row in result["items"]])
        panels[5].set_xlabel("items, sessions")
        panels[5].set_ylabel("memory, MB")


def size_axis(axes: Any, sizes: Sequence[int]) -> None:
    """Give axes a logarithmic scale whose ticks are these sizes, where labels have room."""
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    shown: list[int] = []
    for size in sorted(set(sizes)):
        if not shown or size >= LABELS_APART * shown[-1]:
            shown.append(size)
    axes.set_xticks(shown, [short(size) for size in shown], fontsize=7)
    axes.minorticks_off()


def short(n: int) -> str:
    """Return a number as a label: 20, 10k, 2M.

    >>> [short(n) for n in (20, 10_000, 500_000, 2_000_000)]
    ['20', '10k', '500k', '2M']
    """
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if n >= unit and n % unit == 0:
            return f"{n // unit}{sign}"
    return str(n)


def save_year(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json`` and ``base.svg``: hits, times and memory over the year."""
    save_json(base, result)
    tenths = result["tenths"]
    x = [10 * t + 5 for t in range(len(tenths))]
    with drawn(base.with_suffix(".svg"), 10, 3, panels=3) as (hits, times, memory):
        for name, label, colour in (
            ("roomy_hit_rate", "with room for all", PUBLISHED),
            ("hit_rate", "bounded", OWN),
        ):
            hits.plot(x, [100 * row[name] for row in tenths], "o-", color=colour, label=label)
        hits.set_ylabel("hit rate@20, %")
        for name, label, colour in (("learn", "learning", OWN), ("recommend", "answer", BASELINE)):
            for percentile, line in (("p50", "o-"), ("p99", "o--")):
                values = [row[f"{name}_us"][percentile] for row in tenths]
                times.plot(x, values, line, color=colour, label=f"{label}, {percentile}")
        times.set_ylabel("microseconds")
        quarters = [25 * q + 12.5 for q in range(len(result["memory_mb"]))]
        for name, label, colour in (
            ("roomy_memory_mb", "with room for all", PUBLISHED),
            ("memory_mb", "bounded", OWN),
        ):
            memory.plot(quarters, result[name], "o-", color=colour, label=label)
        memory.set_ylabel("memory, MB")
        for axes in (hits, times, memory):
            axes.set_ylim(bottom=0)
            axes.set_xlabel("% of the year")
            axes.legend(frameon=False, fontsize=7)


def save_json(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json``."""
    base.with_suffix(".json").write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
