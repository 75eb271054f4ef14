"""The page docs/results.md and its chart: every ranking on the public splits, and more."""

from __future__ import annotations

from pathlib import Path

from evaluation.charts import BASELINE, LEARNING, OWN, PUBLISHED, drawn
from evaluation.cold_start import cold_start
from evaluation.comparison import Figures, compare_rankings
from evaluation.errors import NoDataError
from evaluation.off_policy.open_bandit import off_policy
from evaluation.progress import Progress, silent
from evaluation.public_splits import OTHER_SPLITS, PUBLISHED_SPLITS, Published
from evaluation.rankings import MODELS, NEEDS_CATALOGUE
from evaluation.shown_items import load_actions, render_shown, score_shown
from online_models.engine.warm_up import warm_up

HEAD = """# Results

Written by `nextclick results --data DIR`; the published figures and protocols are those of the
papers named below. HR@20 / MRR@20 in percent: each case has one target, the full training catalogue
is ranked, items of the session stay in the ranking, and a target outside the first 20 counts 0. One
pass over the training file, click by click, on one core, with one configuration for all splits; the
ranker's figures are medians of three seeds. *static*: frozen after the training file, comparable
with the published figures. *prequential*: each test click is scored, then learned.

![HR@20 of published models and of nextclick on five public splits](results.svg)

| data | best published | static | prequential | new items, static (HR@20) | already seen |
| --- | --- | --- | --- | --- | --- |
"""
NOTES = """
How to read it:

* Tmall: 45 % of the targets are items that the session has already seen, and listing a session's
  own items by recency finds them all (`own-items` below). A large lead over the published models
  there comes from recognising repeats, not from finding new items; see the column of new items.
* Nowplaying: most of the gain from learning while testing comes from sessions that repeat an
  earlier test session.
* Sources of the published figures: GRU4Rec (tuned) on the RSC15 week from the reproducibility
  package of "Who is the Winner in the Race of New Proposals?"; Yoochoose from the SR-GNN and
  SGNN-HN papers; Diginetica, Tmall and Nowplaying from the GCE-GNN and COTREC papers.

## Every ranking, static

HR@20 (95 % bootstrap interval) / MRR@20. `rules`, `item-knn`, `session-knn` and `blend` weight the
same counts differently; `covisit-vectors` factorises those counts and ranks all items exactly.

"""
TIMES = """
## Time

Microseconds on one core of a shared two-core server whose other core was busy, including the call
from Python.

| data | learning a click, mean | answer, p50 | answer, p99 |
| --- | --- | --- | --- |
"""
OTHER_SPLITS_HEAD = """
## Further data

Splits without published figures: the 30Music sample (tested on the sessions from 2015-01-08 on,
without songs that are not in the training part), and two consecutive days of RSC15 (tested on the
second). HR@20 / MRR@20, static except for the last column.

| data | cases | popularity | item-knn | rules | session-knn | ranker | prequential |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
LIVE = """
## Live

`make demo` plays serenade_example (an undocumented sample of a shop's clicks, Apache-2.0) through
Kafka, Flink and the server; the same files in process are

    nextclick evaluate --train cli/sample/train.txt.gz --test cli/sample/valid.txt.gz \\
        --test cli/sample/test.txt.gz --protocol prequential

The live hit rate is less than a point below that (README); how soon a click affects the answers is
in [performance](performance.md).
"""

OTHER_SPLITS_COLUMNS = ("popularity", "item-knn", "rules", "session-knn", "ranker", "prequential")
COLOURS = (PUBLISHED, BASELINE, OWN, LEARNING)

Measured = dict[str, tuple[Published, dict[str, Figures]]]
"""By name of the split: the figures of others, and those of all rankings."""


def write_report(
    data: Path, sample: Path, page: Path, seeds: int, progress: Progress = silent
) -> None:
    """Evaluate every ranking on the public data and write the page, and beside it the chart.

    Parameters
    ----------
    data
        Folder of the public data, a folder each. Those of `PUBLISHED_SPLITS` make the first
        tables; sections whose data are missing are left out.
    sample
        Folder of serenade_example: ``train``, ``valid`` and ``test.txt.gz``.
    page
        Markdown file to write; the chart has its name with the suffix ``.svg``.
    seeds
        Runs of the ranker, for the medians.
    progress
        Told how far it is.

    Raises
    ------
    NoDataError
        If the folder has none of `PUBLISHED_SPLITS`.
    UnreadableFileError
        For a file that cannot be understood.
    """
    found = [split for split in PUBLISHED_SPLITS if (data / split.folder).is_dir()]
    if not found:
        names = ", ".join(split.folder for split in PUBLISHED_SPLITS)
        raise NoDataError(f"{data} has none of the folders {names}; give the folder that has them")
    warm_up()
    measured: Measured = {}
    for split in found:
        assert split.published is not None
        train, test = split.load(data / split.folder)
        figures = compare_rankings(split.name, train, test, seeds, progress)
        measured[split.name] = split.published, figures
    text = render(measured) + other_splits(data, seeds, progress) + shown(data, progress)
    page.write_text(text + cold_start(data, sample, progress) + LIVE)
    draw(measured, page.with_suffix(".svg"))


def render(measured: Measured) -> str:
    """Return the first part of the page: the splits that others have published figures for."""
    text = HEAD
    for name, (published, rankings) in measured.items():
        static = rankings["ranker"]
        text += (
            f"| {name} | {published.hit_rate:.2f} / {published.mrr:.2f} ({published.models})"
            f" | {_pair(static)} | {_pair(rankings['prequential'])}"
            f" | {_percent(static['hit_rate_new'])} | {_percent(static['repeat_share'])} |\n"
        )
    text += NOTES
    text += "| ranking | " + " | ".join(measured) + " |\n"
    text += "| --- |" + " --- |" * len(measured) + "\n"
    for ranking in MODELS:
        if ranking == NEEDS_CATALOGUE:
            continue  # these files have no catalogue
        cells = (_with_interval(rankings[ranking]) for _, rankings in measured.values())
        text += f"| {ranking} | " + " | ".join(cells) + " |\n"
    text += TIMES
    for name, (_, rankings) in measured.items():
        learn, answer = rankings["ranker"]["learn_us"], rankings["ranker"]["recommend_us"]
        text += f"| {name} | {learn['mean']:.0f} | {answer['p50']:.0f} | {answer['p99']:.0f} |\n"
    return text


def other_splits(data: Path, seeds: int, progress: Progress) -> str:
    """Return the section on splits without published figures, empty if none is there."""
    rows = ""
    for split in OTHER_SPLITS:
        if (data / split.folder).is_dir():
            train, test = split.load(data / split.folder)
            rankings = compare_rankings(split.name, train, test, seeds, progress)
            cells = " | ".join(_pair(rankings[name]) for name in OTHER_SPLITS_COLUMNS)
            rows += f"| {split.name} | {rankings['ranker']['cases']:,} | {cells} |\n"
    return OTHER_SPLITS_HEAD + rows if rows else ""


def shown(data: Path, progress: Progress) -> str:
    """Return the sections on what was shown, empty where the data are missing."""
    text, trivago = "", data / "trivago_100k" / "trivago_val_100k.csv.gz"
    if trivago.exists():
        text += render_shown(score_shown(load_actions(trivago), progress=progress))
    if (data / "open_bandit").is_dir():
        text += off_policy(data / "open_bandit", progress)
    return text


def draw(measured: Measured, file: Path) -> None:
    """Draw published and own hit rates side by side."""
    rankings = [of for _, of in measured.values()]
    bars = {
        "best published": [published.hit_rate for published, _ in measured.values()],
        "session-kNN": [100 * of["session-knn"]["hit_rate"] for of in rankings],
        "nextclick, static": [100 * of["ranker"]["hit_rate"] for of in rankings],
        "nextclick, prequential": [100 * of["prequential"]["hit_rate"] for of in rankings],
    }
    width = 0.8 / len(bars)
    with drawn(file, 9, 3.6) as axes:
        for i, (label, values) in enumerate(bars.items()):
            places = [x + i * width for x in range(len(measured))]
            axes.bar(places, values, width, label=label, color=COLOURS[i])
        axes.set_xticks([x + 1.5 * width for x in range(len(measured))], list(measured))
        axes.set_ylabel("HR@20, %")
        axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.15))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _pair(figures: Figures) -> str:
    return f"{_percent(figures['hit_rate'])} / {_percent(figures['mrr'])}"


def _with_interval(figures: Figures) -> str:
    low, high = figures["hit_rate_95"]
    interval = f"({_percent(low)} to {_percent(high)})"
    return f"{_percent(figures['hit_rate'])} {interval} / {_percent(figures['mrr'])}"
