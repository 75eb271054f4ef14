"""Files that a benchmark leaves: its figures as JSON, and a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from cli.charts import OWN, PUBLISHED, drawn


def save_serving(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json`` and ``base.svg``: answers beside the bare echo."""
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


def save_json(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json``."""
    base.with_suffix(".json").write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
