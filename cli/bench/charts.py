"""Files that a benchmark leaves: its figures as JSON, and a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

OWN, FLOOR = "#2f855a", "#b0b7c3"


def save_serving(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json`` and ``base.svg``: answers beside the bare echo."""
    save_json(base, result)
    import matplotlib as mpl  # noqa: PLC0415 - a second to load, for charts only

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nextclick"
    names = ("p50", "p95", "p99")
    figure, axes = plt.subplots(figsize=(6, 3.2))
    for i, (prefix, label, colour) in enumerate(
        (("floor_", "bare gRPC echo", FLOOR), ("", "nextclick", OWN))
    ):
        values = [result[f"{prefix}{name}_us"] for name in names]
        bars = axes.bar([x + 0.4 * i for x in range(3)], values, 0.4, label=label, color=colour)
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    axes.set_xticks([x + 0.2 for x in range(3)], names)
    axes.set_ylabel("microseconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(base.with_suffix(".svg"), bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def save_json(base: Path, result: dict[str, Any]) -> None:
    """Write ``base.json``."""
    base.with_suffix(".json").write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
