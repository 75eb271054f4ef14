"""The committed page of results and its chart say what the code says."""

import re
from pathlib import Path

import pytest

from evaluation.charts import PUBLISHED
from evaluation.public_splits import PUBLISHED_SPLITS
from evaluation.report import HEAD, of_fewer

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "results.md").read_text()
ROWS = {
    cells[0]: cells
    for line in PAGE[: PAGE.index("\nHow to read it")].splitlines()
    if line.startswith("| ")
    and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) > 1
}


@pytest.mark.parametrize("split", PUBLISHED_SPLITS, ids=lambda split: split.folder)
def test_the_page_has_the_published_figures_of_the_code(split):
    """A figure that was corrected in one place would go on being quoted from the other."""
    published = split.published
    told = f"{published.hit_rate:.2f} / {published.mrr:.2f} ({published.models})"
    assert ROWS[split.name][2] == told
    if published.cases is not None:
        assert f"{published.cases:,} cases" in published.models
        assert published.cases != int(ROWS[split.name][1].replace(",", ""))


def test_the_page_begins_as_the_code_writes_it():
    """A page that nobody can write again would be somebody's own words."""
    assert PAGE.startswith(HEAD)


def test_our_figure_by_the_cases_of_others_is_given_with_its_bounds():
    """A rate of other cases cannot be compared: the page says what ours can be of theirs."""
    static = float(ROWS["Yoochoose 1/64"][3].split(" / ")[0]) / 100
    low, high = of_fewer(static, 55_898, 55_379)
    hits = static * 55_898
    assert low * 55_379 == pytest.approx(hits - 519)
    assert high * 55_379 == pytest.approx(hits)
    assert f"hits between {100 * low:.2f} and {100 * high:.2f} %" in " ".join(PAGE.split())
    assert of_fewer(0.001, 1_000, 10) == (0, 0.1)


def test_the_chart_draws_the_figures_of_the_page():
    """The chart is what the README shows first."""
    chart = (DOCS / "results.svg").read_text()
    bar = re.compile(
        r'<path d="M [\d.]+ ([\d.]+) \nL [\d.]+ [\d.]+ \nL [\d.]+ ([\d.]+) \nL [\d.]+ [\d.]+ \nz\n'
        r'" clip-path="[^"]*" style="fill: (#\w+)"/>'
    )
    heights = [
        float(foot) - float(top) for foot, top, fill in bar.findall(chart) if fill == PUBLISHED
    ]
    rates = [split.published.hit_rate for split in PUBLISHED_SPLITS]
    assert len(heights) == len(rates)
    for height, rate in zip(heights, rates, strict=True):
        assert height / heights[0] == pytest.approx(rate / rates[0], rel=1e-4)
