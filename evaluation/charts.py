"""Charts as SVG files: the same figures give the same bytes.

matplotlib takes a second to load, so it is imported only when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PUBLISHED, BASELINE, OWN, LEARNING = "#b0b7c3", "#8fb8de", "#2f855a", "#68d391"


@contextmanager
def drawn(file: Path, width: float, height: float, panels: int = 1) -> Iterator[Any]:
    """Yield axes without a frame (a list for several panels); written to ``file`` at the end."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nextclick"
    figure, axes = plt.subplots(1, panels, figsize=(width, height), layout="constrained")
    for one in axes if panels > 1 else [axes]:
        one.spines[["top", "right"]].set_visible(False)
    yield axes
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def draw_comparison(file: Path, title: str, results: dict[str, dict[str, Any]]) -> None:
    """Draw the rankings' hit rates with their intervals, and their MRR, one below another."""
    names = list(results)
    places = range(len(names) - 1, -1, -1)
    with drawn(file, 7, 0.45 * len(names) + 1) as axes:
        for offset, metric, colour in ((0.2, "hit_rate", OWN), (-0.2, "mrr", BASELINE)):
            values = [100 * results[name][metric] for name in names]
            low, high = zip(*(results[name][f"{metric}_95"] for name in names), strict=True)
            errors = [
                [v - 100 * bound for v, bound in zip(values, low, strict=True)],
                [100 * bound - v for v, bound in zip(values, high, strict=True)],
            ]
            errors = [[max(e, 0.0) for e in side] for side in errors]
            heights = [place + offset for place in places]
            label = {"hit_rate": "hit rate, %", "mrr": "MRR, %"}[metric]
            axes.barh(heights, values, 0.38, xerr=errors, color=colour, label=label)
        axes.set_yticks(list(places), names)
        axes.set_title(title, loc="left")
        axes.legend(frameon=False, loc="lower right")
