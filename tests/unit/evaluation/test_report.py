"""The results page: every section that has data, and nothing of the others."""

import gzip

import pytest

from evaluation.errors import NoDataError
from evaluation.rankings import MODELS, NEEDS_CATALOGUE
from evaluation.report import write_report


def lines(first, last):
    """Sessions that walk a circle of 40 items."""
    return [
        f"{s}," + " ".join(str((3 * s + step) % 40) for step in range(4))
        for s in range(first, last)
    ]


def clicks(first, last):
    rows = [
        f"{s}\t{(3 * s + step) % 40}\t{10 * s + step + 1}"
        for s in range(first, last)
        for step in range(4)
    ]
    return gzip.compress(("SessionId\tItemId\tTime\n" + "\n".join(rows)).encode())


@pytest.fixture
def sample(tmp_path):
    folder = tmp_path / "sample"
    folder.mkdir()
    for name, first, last in (("train", 0, 60), ("valid", 60, 70), ("test", 70, 80)):
        (folder / f"{name}.txt.gz").write_bytes(clicks(first, last))
    return folder


def test_the_page_has_a_row_for_each_ranking_and_sections_for_the_data_that_are_there(
    tmp_path, sample
):
    """The README's figures come from this page: a section that breaks must not go unnoticed."""
    tmall = tmp_path / "data" / "tmall"
    tmall.mkdir(parents=True)
    for name, first, last in (("train", 0, 80), ("test", 80, 100)):
        text = "session_id,items\n" + "\n".join(lines(first, last))
        (tmall / f"{name}_sessions.csv.gz").write_bytes(gzip.compress(text.encode()))
    page, tasks = tmp_path / "results.md", set()
    write_report(
        tmp_path / "data", sample, page, seeds=1, progress=lambda task, *_: tasks.add(task)
    )
    text = page.read_text()
    for ranking in MODELS:
        assert (f"\n| {ranking} | " in text) == (ranking != NEEDS_CATALOGUE)
    assert "| Tmall | 60 | 36.35 / 18.04 (COTREC) | " in text
    assert "new visitor, no click yet (serenade_example, 20 sessions)" in text
    assert "## Further data" not in text
    assert "## Off-policy" not in text
    assert page.with_suffix(".svg").read_text().startswith("<?xml")
    assert {"Tmall: counts", "ranker", "prequential", "cold start"} <= tasks


def test_without_any_split_it_says_which_ones_are_known(tmp_path, sample):
    """A wrong --data must not write an empty page."""
    with pytest.raises(NoDataError, match="tmall"):
        write_report(tmp_path, sample, tmp_path / "page.md", seeds=1)
    assert not (tmp_path / "page.md").exists()
