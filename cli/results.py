"""``nextclick results``: evaluates every ranking on the public splits and writes the page."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import out
from cli.errors import CommandError
from cli.evaluate import RANKINGS, Settings, baseline, learn, make_engine, predict, warm_up
from evaluation.charts import BASELINE, LEARNING, OWN, PUBLISHED, drawn
from evaluation.cold_start import cold_start
from evaluation.datasets import Session, load_sessions
from evaluation.further import BASELINES, FURTHER
from evaluation.further import HEAD as HEAD_FURTHER
from evaluation.off_policy import off_policy
from evaluation.prequential import Ask, summary
from evaluation.shown_items import load_actions, render_shown, score_shown
from online_models.engine import Engine
from online_models.ranking.blend_weights import READINGS

K = 20

HEAD = """# Results

Written by `nextclick results --data DIR`; the published figures and protocols are those of the
papers named below. HR@20 / MRR@20 in percent: one target a case, the full training catalogue is
ranked, items of the session stay in the ranking, a target outside the first 20 counts 0. One pass
over the training file, click by click, one core, one configuration for all; the ranker's figures
are medians of three seeds. *static*: frozen after the training file, to be compared with published
figures. *prequential*: each test click is scored, then learned.

![HR@20 of published models and of nextclick on five public splits](results.svg)

| data | best published | static | prequential | new items, static (HR@20) | already seen |
| --- | --- | --- | --- | --- | --- |
"""
NOTES = """
What to know when reading it:

* Tmall: 45 % of the targets are items that the session has already seen, and listing a session's
  own items by recency finds them all (`own-items` below). A large lead over the published models
  there is repeats understood, not new items found; the column of new items says how many of those.
* Nowplaying: most of the gain from learning while testing comes from sessions that repeat an
  earlier test session.
* Published figures: GRU4Rec (tuned) on the RSC15 week from the reproducibility package of "Who is
  the Winner in the Race of New Proposals?"; Yoochoose from the SR-GNN and SGNN-HN papers;
  Diginetica, Tmall and Nowplaying from the GCE-GNN and COTREC papers.

## Every ranking, static

HR@20 (95 % bootstrap interval) / MRR@20. `rules`, `item-knn`, `session-knn` and `blend` are
readings of the same counts; `covisit-vectors` are those counts factorised, ranked exactly.

"""
TIMES = """
## Time

Microseconds on one core of a shared server with two, the other one at work too; the call from
Python included.

| data | learning a click, mean | answer, p50 | answer, p99 |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Split:
    """A public split: folder, name, files, best published HR@20 and MRR@20 and whose."""

    folder: str
    name: str
    published: tuple[float, float]
    whose: str
    train: str = "train_sessions.csv.gz"
    test: str = "test_sessions.csv.gz"


SPLITS = (
    Split(
        "rsc15_64_timed",
        "RSC15, one week",
        (65.03, 31.65),
        "GRU4Rec",
        "rsc15_train_full.txt.gz",
        "rsc15_test.txt.gz",
    ),
    Split("yoochoose_1_64", "Yoochoose 1/64", (70.57, 32.61), "SR-GNN; SGNN-HN"),
    Split("diginetica", "Diginetica", (54.22, 19.07), "GCE-GNN; COTREC"),
    Split("tmall", "Tmall", (36.35, 18.04), "COTREC"),
    Split("nowplaying", "Nowplaying", (22.37, 8.40), "GCE-GNN"),
)


def results(
    data: Annotated[Path, typer.Option(help="Folder of the splits.", exists=True, file_okay=False)],
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/results.md"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the ranker, for the median.")] = 3,
) -> None:
    """Evaluate every ranking on the public splits and write docs/results.md and its chart.

    nextclick results --data ../data
    """
    found = [split for split in SPLITS if (data / split.folder).is_dir()]
    if not found:
        names = ", ".join(split.folder for split in SPLITS)
        raise CommandError(f"none of the splits is in {data}: {names}")
    warm_up()
    figures = {}
    for split in found:
        train, test = (load_sessions(data / split.folder / f) for f in (split.train, split.test))
        figures[split] = measure(split.name, train, test, seeds)
    page.write_text(render(figures) + further(data, seeds) + shown(data) + cold_start(data) + LIVE)
    draw(figures, page.with_suffix(".svg"))
    out.print(f"wrote {page}")


def further(data: Path, seeds: int) -> str:
    """Return the section on data without published tables, empty if none is there."""
    rows = ""
    for folder, entry in FURTHER.items():
        if (data / folder).is_dir():
            train, test = entry.load(data / folder)
            by_model = measure(entry.name, train, test, seeds)
            cells = " | ".join(_pair(by_model[name]) for name in BASELINES)
            rows += f"| {entry.name} | {by_model['ranker']['cases']:,} | {cells} |\n"
    return HEAD_FURTHER + rows if rows else ""


def shown(data: Path) -> str:
    """Return the sections on what was shown, empty where the data are missing."""
    text, trivago = "", data / "trivago_100k" / "trivago_val_100k.csv.gz"
    if trivago.exists():
        text += render_shown(score_shown(load_actions(trivago)))
    if (data / "open_bandit").is_dir():
        text += off_policy(data / "open_bandit")
    return text


def measure(
    name: str, train: list[Session], test: list[Session], seeds: int
) -> dict[str, dict[str, Any]]:
    """Return the results of all rankings, static, and of the ranker, prequential.

    The ranker's figures are medians over seeds; the others have nothing random in them and are
    readings of the same counts, which are learned once.
    """
    measured: dict[str, dict[str, Any]] = {}
    counts = make_engine("blend", 0)
    learned = learn(counts, train, f"{name}: counts")
    for ranking in (r for r in RANKINGS if r not in ("ranker", "content-vectors")):
        reading = READINGS.get(ranking, READINGS["blend"])
        counts.arrays["weights"][: len(reading)] = reading
        measured[ranking] = figures_of(counts, test, learned, ranking, baseline(ranking, counts))
    runs: dict[str, list[dict[str, Any]]] = {"ranker": [], "prequential": []}
    for seed in range(seeds):
        engine = make_engine("ranker", seed)
        learned = learn(engine, train, f"{name}: ranker, seed {seed}")
        runs["ranker"].append(figures_of(engine, test, learned, "ranker"))
        live = figures_of(engine, test, learned, "prequential", learning=True)
        runs["prequential"].append(live)
    return measured | {name: median_of(results) for name, results in runs.items()}


def figures_of(
    engine: Engine,
    test: list[Session],
    learned: list[float],
    label: str,
    ask: Ask | None = None,
    learning: bool = False,
) -> dict[str, Any]:
    """Score a file; returns the figures."""
    started = time.perf_counter()
    settings = Settings(learning, min_prefix=1, k=K, seed=0)
    cases, more = predict(engine, test, settings, label, ask)
    return summary(cases, K, len(engine.ids) - 1, time.perf_counter() - started, learned + more)


def median_of(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure over several runs."""

    def median(values: list[Any]) -> Any:
        if isinstance(values[0], dict):
            return {key: median([v[key] for v in values]) for key in values[0]}
        if isinstance(values[0], list):
            return [median(list(column)) for column in zip(*values, strict=True)]
        return statistics.median(values)

    return {key: median([result[key] for result in results]) for key in results[0]}


def render(figures: dict[Split, dict[str, dict[str, Any]]]) -> str:
    """Return the page."""
    text = HEAD
    for split, by_model in figures.items():
        static = by_model["ranker"]
        text += (
            f"| {split.name} | {split.published[0]:.2f} / {split.published[1]:.2f} ({split.whose})"
            f" | {_pair(static)} | {_pair(by_model['prequential'])}"
            f" | {_percent(static['hit_rate_new'])} | {_percent(static['repeat_share'])} |\n"
        )
    text += NOTES
    text += "| ranking | " + " | ".join(split.name for split in figures) + " |\n"
    text += "| --- |" + " --- |" * len(figures) + "\n"
    for model in RANKINGS:
        if model == "content-vectors":
            continue  # these files have no catalogue
        cells = []
        for by_model in figures.values():
            low, high = by_model[model]["hit_rate_95"]
            interval = f"({_percent(low)} to {_percent(high)})"
            rate, mrr = by_model[model]["hit_rate"], by_model[model]["mrr"]
            cells.append(f"{_percent(rate)} {interval} / {_percent(mrr)}")
        text += f"| {model} | " + " | ".join(cells) + " |\n"
    text += TIMES
    for split, by_model in figures.items():
        learn, ask = by_model["ranker"]["learn_us"], by_model["ranker"]["recommend_us"]
        text += f"| {split.name} | {learn['mean']:.0f} | {ask['p50']:.0f} | {ask['p99']:.0f} |\n"
    return text


COLOURS = (PUBLISHED, BASELINE, OWN, LEARNING)
LIVE = """
## Live

`make demo` plays serenade_example (an undocumented sample of a shop's clicks, Apache-2.0) through
Kafka, Flink and the server; the same files in process are

    nextclick evaluate --train cli/sample/train.txt.gz --test cli/sample/valid.txt.gz \\
        --test cli/sample/test.txt.gz --protocol prequential

The live path finds less than a point fewer of the next clicks than that (README); how soon a click
counts is in [performance](performance.md).
"""


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _pair(result: dict[str, Any]) -> str:
    return f"{_percent(result['hit_rate'])} / {_percent(result['mrr'])}"


def draw(figures: dict[Split, dict[str, dict[str, Any]]], file: Path) -> None:
    """Draw published and own hit rates side by side."""
    bars = {
        "best published": [split.published[0] for split in figures],
        "session-kNN": [100 * f["session-knn"]["hit_rate"] for f in figures.values()],
        "nextclick, static": [100 * f["ranker"]["hit_rate"] for f in figures.values()],
        "nextclick, prequential": [100 * f["prequential"]["hit_rate"] for f in figures.values()],
    }
    width = 0.8 / len(bars)
    with drawn(file, 9, 3.6) as axes:
        for i, (label, values) in enumerate(bars.items()):
            places = [x + i * width for x in range(len(figures))]
            axes.bar(places, values, width, label=label, color=COLOURS[i])
        axes.set_xticks([x + 1.5 * width for x in range(len(figures))], [s.name for s in figures])
        axes.set_ylabel("HR@20, %")
        axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.15))
